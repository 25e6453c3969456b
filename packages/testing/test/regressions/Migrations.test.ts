// Findings of a review: threads that are read by a later form of their graph. Each test says what should hold.
import { Ask, Channel, type Entry, Graph, Journal, Node, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import { elsewhere, tagsOf } from "../behaviours/support.ts"

const Approve = Ask.make("approve", { question: Schema.String, answer: Schema.Boolean })

// `price` was in dollars and is in cents.
const make = (step: "old" | "new", form: "dollars" | "cents", deadline: "1 minute" | "10 days" = "10 days") =>
  Graph.make("price", {
    state: { price: Channel.last(Schema.Finite), ok: Channel.optional(Schema.Boolean) },
    nodes: {
      ask: () => Effect.map(Ask.ask(Approve, "ok?"), (ok) => ({ ok })),
      raise: ({ price }) => Effect.succeed({ price: price + 100 }),
      again: () => Effect.map(Ask.ask(Approve, "again?"), (ok) => ({ ok })),
      ...({ [step]: () => Effect.succeed({}) } as { readonly old: () => Effect.Effect<{}> })
    },
    edges: { start: "ask", ask: "raise", raise: "again", again: step, [step]: "end" } as never,
    deadline,
    ...(form === "dollars"
      ? {}
      : {
          migrate: (stored: Entry.GraphShape) =>
            stored.nodes.includes("old")
              ? { nodes: { old: "new" }, channels: { price: (json: Schema.Json) => ({ price: Number(json) * 100 }) } }
              : undefined
        })
  })

describe("migrations", () => {
  const Old = make("old", "dollars")
  const New = make("new", "cents")

  it.effect("a run that has migrated its thread once does not do it again", () =>
    Effect.gen(function* () {
      yield* Thread.run(Old, { thread: "t", input: { price: 5 } })
      yield* Thread.run(New, { thread: "t" })
      yield* Thread.run(New, { thread: "t" })
      yield* Thread.run(New, { thread: "t" })
      assert.strictEqual((yield* tagsOf("t")).filter((tag) => tag === "Migrated").length, 1)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("what another process wrote in the new form is not migrated by one that holds the thread", () =>
    Effect.gen(function* () {
      yield* Thread.run(Old, { thread: "t", input: { price: 5 } })
      yield* Thread.run(New, { thread: "t" })
      yield* Effect.gen(function* () {
        yield* Thread.answer(Approve, { thread: "t", value: true })
        const { state } = yield* Thread.run(New, { thread: "t" })
        assert.strictEqual(state.price, 600)
      }).pipe(elsewhere)
      const { state } = yield* Thread.run(New, { thread: "t" })
      assert.strictEqual(state.price, 600)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("the patch of a fork is of the form of the graph that makes it", () =>
    Effect.gen(function* () {
      yield* Thread.run(Old, { thread: "t", input: { price: 5 } })
      yield* Thread.fork(New, { thread: "t", at: 2, as: "t2", update: { price: 700 } })
      assert.strictEqual((yield* Thread.state(New, { thread: "t2" })).price, 700)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("the time of waiting goes on to be none of a run's deadline when its thread is migrated", () =>
    Effect.gen(function* () {
      const old = make("old", "dollars", "1 minute")
      const now = make("new", "cents", "1 minute")
      yield* Thread.run(old, { thread: "t", input: { price: 5 } })
      yield* TestClock.adjust("1 hour")
      yield* Thread.run(now, { thread: "t" })
      yield* TestClock.adjust("1 hour")
      yield* Thread.answer(Approve, { thread: "t", value: true })
      const exit = yield* Effect.exit(Thread.run(now, { thread: "t" }))
      assert.strictEqual(exit._tag, "Success", String(exit))
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a task that is done is not run again because the node whose error it takes has a new name", () =>
    Effect.gen(function* () {
      class Boom extends Schema.TaggedError<Boom>()("Boom", {}) {}
      let repaired = 0
      let broken = true
      const form = <const Name extends string>(name: Name) =>
        Graph.make("repair", {
          state: { out: Channel.append(Schema.String) },
          nodes: {
            [name]: () => Effect.fail(new Boom()) as Effect.Effect<{ out: Array<string> }, Boom>,
            other: () => Effect.succeed({ out: ["other"] }),
            repair: Node.make(Boom, () => Effect.sync(() => ({ out: [`repaired ${++repaired}`] }))),
            last: () => Effect.suspend(() => (broken ? Effect.die("down") : Effect.succeed({ out: ["last"] })))
          } as never,
          edges: { start: [name, "other"], [name]: "end", other: "last", last: "end", repair: "end" } as never,
          onError: { Boom: "repair" } as never,
          migrate: (stored: Entry.GraphShape) =>
            stored.nodes.includes("fetch") && name !== "fetch" ? { nodes: { fetch: "get" } } : undefined
        } as never) as Graph.Graph<"repair", { readonly out: ReadonlyArray<string> }, never, never, {}>
      yield* Effect.exit(Thread.run(form("fetch"), { thread: "t", input: {} }))
      assert.strictEqual(repaired, 1)
      broken = false
      yield* Thread.run(form("get"), { thread: "t" })
      assert.strictEqual(repaired, 1)
    }).pipe(Effect.provide(Journal.layerMemory))
  )
})

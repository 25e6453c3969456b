// Findings of a review: asks, calls and deadlines. Each test says what should hold.
import { Ask, Channel, Durable, Graph, Journal, Node, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import { makeGate, onJournal, settle } from "../behaviours/support.ts"

const Approve = Ask.make("approve", { question: Schema.String, answer: Schema.Boolean })
const Name = Ask.make("name", { question: Schema.String, answer: Schema.String })

describe("asks", () => {
  it.effect("a node that asks two questions at once waits for both", () =>
    Effect.gen(function* () {
      const graph = Graph.make("two-asks", {
        state: { out: Channel.optional(Schema.String) },
        nodes: {
          both: () =>
            Effect.map(
              Effect.all([Ask.ask(Approve, "ok?"), Ask.ask(Name, "who?")], { concurrency: "unbounded" }),
              ([ok, name]) => ({ out: `${name} ${ok}` })
            )
        },
        edges: { start: "both", both: "end" }
      })
      const waiting = yield* Thread.run(graph, { thread: "t", input: {} })
      assert.strictEqual(waiting._tag, "Waiting")
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a node that asks beside other work of its own waits", () =>
    Effect.gen(function* () {
      const graph = Graph.make("ask-and-work", {
        state: { out: Channel.optional(Schema.String) },
        nodes: {
          both: () =>
            Effect.map(
              Effect.all([Ask.ask(Approve, "ok?"), Effect.as(Effect.sleep("1 second"), "worked")], {
                concurrency: "unbounded"
              }),
              ([ok, work]) => ({ out: `${work} ${ok}` })
            )
        },
        edges: { start: "both", both: "end" }
      })
      const fiber = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Waiting")
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a deadline of a graph inside does not count the time it waits for an answer", () =>
    Effect.gen(function* () {
      const inner = Graph.make("inner", {
        state: { ok: Channel.optional(Schema.Boolean) },
        nodes: { ask: () => Effect.map(Ask.ask(Approve, "ok?"), (ok) => ({ ok })) },
        edges: { start: "ask", ask: "end" },
        deadline: "1 minute"
      })
      const outer = Graph.make("outer", {
        state: { ok: Channel.optional(Schema.Boolean) },
        nodes: { inner: Graph.node(inner, { input: () => ({}), update: ({ ok }) => ({ ok }) }) },
        edges: { start: "inner", inner: "end" }
      })
      yield* Thread.run(outer, { thread: "t", input: {} })
      yield* TestClock.adjust("1 day")
      yield* Thread.answer(Approve, { thread: "t", value: true })
      const done = yield* Effect.exit(Thread.run(outer, { thread: "t" }))
      assert.strictEqual(done._tag, "Success", String(done))
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("an answer that was accepted is not passed over for the deadline", () =>
    Effect.gen(function* () {
      const Soon = Ask.make("soon", {
        question: Schema.String,
        answer: Schema.String,
        deadline: "1 minute",
        otherwise: () => "otherwise"
      })
      const graph = Graph.make("soon", {
        state: { out: Channel.optional(Schema.String) },
        nodes: { ask: () => Effect.map(Ask.ask(Soon, "?"), (out) => ({ out })) },
        edges: { start: "ask", ask: "end" }
      })
      yield* Thread.run(graph, { thread: "t", input: {} })
      const [open] = yield* Thread.asks({ thread: "t" })
      yield* TestClock.adjust("1 minute")
      let accepted = false
      // Another process, whose clock is a moment behind, answers just before this one finds that the time is up.
      const done = yield* Thread.run(graph, { thread: "t" }).pipe(
        onJournal((journal) => ({
          append: (thread, expected, entries, options) =>
            Effect.gen(function* () {
              if (entries[0]._tag === "AskExpired" && !accepted) {
                yield* journal.append(thread, expected, [{ _tag: "AskAnswered", ask: open!.ask, value: "in time" }])
                accepted = true
              }
              return yield* journal.append(thread, expected, entries, options)
            })
        }))
      )
      assert.isTrue(accepted)
      assert.strictEqual(done.state.out, "in time")
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  const lettered = (calls: Array<string>, pass: Effect.Effect<void>, sent = "sent") =>
    Effect.gen(function* () {
      return yield* Durable.call({
        key: "pay",
        detail: "pay",
        schema: Schema.String,
        call: Effect.as(
          Effect.andThen(
            Effect.sync(() => calls.push("pay")),
            pass
          ),
          sent
        )
      })
    })

  for (const where of ["outside", "inside"] as const) {
    it.effect(`a patch does not forget that a call was in flight (${where} a graph inside)`, () =>
      Effect.gen(function* () {
        const gate = yield* makeGate
        const calls: Array<string> = []
        const flat = Graph.make("pay", {
          state: { out: Channel.optional(Schema.String) },
          nodes: {
            pay: () => Effect.map(lettered(calls, calls.length < 1 ? gate.pass : Effect.void), (out) => ({ out }))
          },
          edges: { start: "pay", pay: "end" }
        })
        const nested = Graph.make("outer", {
          state: { out: Channel.optional(Schema.String) },
          nodes: { inner: Graph.node(flat, { input: () => ({}), update: ({ out }) => ({ out }) }) },
          edges: { start: "inner", inner: "end" }
        })
        const graph = where === "outside" ? flat : nested
        const fiber = yield* Effect.forkChild(Thread.run(graph as typeof flat, { thread: "t", input: {} }))
        yield* gate.reached
        yield* Fiber.interrupt(fiber)
        // Refused, or remembered.
        yield* Effect.exit(Thread.patch(graph as typeof flat, { thread: "t", update: { out: "patched" } }))
        yield* Effect.exit(Thread.run(graph as typeof flat, { thread: "t" }))
        yield* settle
        assert.deepStrictEqual(calls, ["pay"])
      }).pipe(Effect.provide(Journal.layerMemory))
    )
  }

  it.effect("what was made once for an item is not taken for another item after a patch", () =>
    Effect.gen(function* () {
      let broken = true
      const Item = Schema.String
      const graph = Graph.make("items", {
        state: { items: Channel.last(Schema.Array(Item)), out: Channel.append(Schema.String) },
        nodes: {
          work: Node.make(Item, (item) =>
            Effect.gen(function* () {
              const made = yield* Durable.once("made", Schema.String, Effect.succeed(`made of ${item}`))
              if (broken) return yield* Effect.die("down")
              return { out: [made] }
            })
          )
        },
        edges: { start: { each: "work", of: (state) => state.items }, work: "end" }
      })
      yield* Effect.exit(Thread.run(graph, { thread: "t", input: { items: ["a", "b"] } }))
      broken = false
      yield* Thread.patch(graph, { thread: "t", update: { items: ["c"] } })
      const done = yield* Thread.run(graph, { thread: "t" })
      assert.deepStrictEqual(done.state.out, ["made of c"])
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  for (const schema of [Schema.Void, Schema.Undefined]) {
    it.effect(`a piece without a result (${schema.ast._tag}) is made once`, () =>
      Effect.gen(function* () {
        let made = 0
        let broken = true
        const graph = Graph.make("void", {
          state: { out: Channel.optional(Schema.String) },
          nodes: {
            send: () =>
              Effect.gen(function* () {
                yield* Durable.once(
                  "send",
                  schema as Schema.Codec<void>,
                  Effect.sync(() => void made++)
                )
                if (broken) return yield* Effect.die("down")
                return { out: "sent" }
              })
          },
          edges: { start: "send", send: "end" }
        })
        yield* Effect.exit(Thread.run(graph, { thread: "t", input: {} }))
        broken = false
        yield* Thread.run(graph, { thread: "t" })
        assert.strictEqual(made, 1)
      }).pipe(Effect.provide(Journal.layerMemory))
    )
  }

  it.effect("what a person said of a call stands, also where the program words the question differently since", () =>
    Effect.gen(function* () {
      const made: Array<string> = []
      let wording = "pay 5"
      let killed = true
      const graph = Graph.make("worded", {
        state: { out: Channel.optional(Schema.String) },
        nodes: {
          pay: () =>
            Effect.map(
              Durable.call({
                key: "pay",
                detail: { text: wording },
                schema: Schema.String,
                call: Effect.suspend(
                  () => (made.push("made"), killed ? Effect.die("killed") : Effect.succeed("receipt"))
                )
              }),
              (out) => ({ out })
            )
        },
        edges: { start: "pay", pay: "end" }
      })
      yield* Effect.exit(Thread.run(graph, { thread: "t", input: {} }))
      killed = false
      yield* Thread.run(graph, { thread: "t" })
      wording = "pay 5 US dollars"
      const waiting = yield* Thread.run(graph, { thread: "t" })
      assert.strictEqual(waiting._tag === "Waiting" ? waiting.asks.length : 0, 1)
      yield* Thread.answer(Durable.Uncertain, { thread: "t", value: { decision: "made", result: "by hand" } })
      wording = "pay five US dollars"
      const done = yield* Thread.run(graph, { thread: "t" })
      assert.deepStrictEqual([done._tag, done.state.out, made], ["Done", "by hand", ["made"]])
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  for (const how of ["fork", "patch as of a node"] as const) {
    it.effect(`a ${how} of an old thread has the time that its graph gives a run`, () =>
      Effect.gen(function* () {
        const graph = Graph.make("timed", {
          state: { out: Channel.append(Schema.String) },
          nodes: {
            a: () => Effect.succeed({ out: ["a"] }),
            b: () => Effect.succeed({ out: ["b"] })
          },
          edges: { start: "a", a: "b", b: "end" },
          deadline: "1 minute"
        })
        yield* Thread.run(graph, { thread: "t", input: {} })
        yield* TestClock.adjust("1 day")
        if (how === "fork") yield* Thread.fork(graph, { thread: "t", at: 2, as: "t2" })
        else yield* Thread.patch(graph, { thread: "t", update: { out: ["p"] }, node: "a" })
        const exit = yield* Effect.exit(Thread.run(graph, { thread: how === "fork" ? "t2" : "t" }))
        assert.strictEqual(exit._tag, "Success", String(exit))
      }).pipe(Effect.provide(Journal.layerMemory))
    )
  }
})

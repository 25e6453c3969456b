// Findings of a review: the writer of a run, and what wide steps cost. Each test says what should hold.
import { Ask, Channel, Durable, Graph, Journal, Node, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import { onJournal, settle } from "../behaviours/support.ts"
import { assertInProportion } from "../measures.ts"

const Approve = Ask.make("approve", { question: Schema.Int, answer: Schema.Boolean })

/** A journal whose appends take a hundredth of a second. */
const slow = onJournal((journal) => ({
  append: (...args) => Effect.andThen(Effect.sleep("10 millis"), journal.append(...args))
}))

describe("writer", () => {
  it.effect("a task that appends goes on once its entry stands, however much the others append", () =>
    Effect.gen(function* () {
      let single = false
      let others = 0
      const seen: Array<number> = []
      const flat = Graph.make("busy", {
        state: { out: Channel.append(Schema.String) },
        nodes: {
          work: Node.make(Schema.Int, (item) =>
            item === 0
              ? Effect.gen(function* () {
                  yield* Durable.once("one", Schema.String, Effect.succeed("x"))
                  single = true
                  seen.push(others)
                  return { out: ["one"] }
                })
              : Effect.gen(function* () {
                  for (let index = 0; index < 100; index++) {
                    yield* Durable.once(
                      `${index}`,
                      Schema.Int,
                      Effect.as(Effect.sleep(index === 0 ? `${item} millis` : "1 millis"), item)
                    )
                    others++
                  }
                  return { out: [`${item}`] }
                })
          )
        },
        edges: { start: { each: "work", of: ({ out }) => (out.length === 0 ? [0, 1, 15] : []) }, work: "end" }
      })
      const fiber = yield* Effect.forkChild(slow(Thread.run(flat, { thread: "t", input: {} })))
      for (let index = 0; index < 4000 && fiber.pollUnsafe() === undefined; index++) {
        yield* TestClock.adjust("1 millis")
      }
      yield* Fiber.interrupt(fiber)
      assert.isTrue(single)
      assert.isAtMost(seen[0]!, 20)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a run that is interrupted ends once its append stands, however much the others append", () =>
    Effect.gen(function* () {
      const flat = Graph.make("busy", {
        state: { out: Channel.append(Schema.String) },
        nodes: {
          work: Node.make(Schema.Int, (item) =>
            Effect.gen(function* () {
              for (let index = 0; index < 100; index++) {
                yield* Durable.once(`${index}`, Schema.Int, Effect.as(Effect.sleep(`${item} millis`), item))
              }
              return { out: [`${item}`] }
            })
          )
        },
        edges: { start: { each: "work", of: ({ out }) => (out.length === 0 ? [1, 3, 5, 7, 9] : []) }, work: "end" }
      })
      const fiber = yield* Effect.forkChild(slow(Thread.run(flat, { thread: "t", input: {} })))
      for (let index = 0; index < 200; index++) yield* TestClock.adjust("1 millis")
      const interrupted = yield* Effect.forkChild(Fiber.interrupt(fiber))
      let waited = 0
      for (; waited < 1000 && interrupted.pollUnsafe() === undefined; waited++) yield* TestClock.adjust("1 millis")
      assert.isAtMost(waited, 50)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("work that outlives its run cannot write into the next one", () =>
    Effect.gen(function* () {
      let broken = true
      const exits: Array<string> = []
      const graph = Graph.make("late", {
        state: { out: Channel.append(Schema.String) },
        nodes: {
          work: () =>
            Effect.gen(function* () {
              if (!broken) return yield* Effect.never as Effect.Effect<{ out: Array<string> }>
              yield* Effect.forkDetach(
                Effect.andThen(
                  Effect.sleep("1 second"),
                  Effect.tap(Effect.exit(Durable.once("late", Schema.String, Effect.succeed("late"))), (exit) => {
                    exits.push(exit._tag)
                    return Effect.void
                  })
                )
              )
              return yield* Effect.die("down")
            })
        },
        edges: { start: "work", work: "end" }
      })
      // So often that the thread is held in memory.
      yield* Effect.exit(Thread.run(graph, { thread: "t", input: {} }))
      yield* TestClock.adjust("2 seconds")
      exits.length = 0
      yield* Effect.exit(Thread.run(graph, { thread: "t", input: {} }))
      broken = false
      const second = yield* Effect.forkChild(Effect.exit(Thread.run(graph, { thread: "t", input: { out: ["new"] } })))
      yield* settle
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(exits, ["Failure"])
      yield* Fiber.interrupt(second)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  const inner = Graph.make("inner", {
    state: { n: Channel.last(Schema.Int) },
    nodes: { a: ({ n }) => Effect.succeed({ n: n + 1 }), b: ({ n }) => Effect.succeed({ n: n + 1 }) },
    edges: { start: "a", a: "b", b: "end" }
  })
  const nested = Graph.make("nested", {
    state: { items: Channel.last(Schema.Array(Schema.Int)), out: Channel.append(Schema.Int) },
    nodes: {
      work: Node.withInput(
        Schema.Int,
        Graph.node(inner, { input: (n: number) => ({ n }), update: ({ n }) => ({ out: [n] }) })
      )
    },
    edges: { start: { each: "work", of: ({ items }) => items }, work: "end" }
  })
  const asking = Graph.make("asking", {
    state: { items: Channel.last(Schema.Array(Schema.Int)), out: Channel.append(Schema.Boolean) },
    nodes: { work: Node.make(Schema.Int, (n) => Effect.map(Ask.ask(Approve, n), (ok) => ({ out: [ok] }))) },
    edges: { start: { each: "work", of: ({ items }) => items }, work: "end" }
  })
  const items = (count: number) => Array.from({ length: count }, (_, index) => index)

  for (const [what, graph] of [
    ["graphs inside", nested],
    ["questions", asking]
  ] as const) {
    it.live(
      `a fan-out over many ${what} costs in proportion to their number`,
      () =>
        Effect.gen(function* () {
          const run = (thread: string, count: number) =>
            Effect.provideService(
              Thread.run(graph as typeof nested, { thread, input: { items: items(count) } }),
              Thread.WarmThreads,
              0
            )
          yield* run("warm-up", 200)
          yield* assertInProportion((index) => run(`small ${index}`, 500), run("large", 4000))
        }).pipe(Effect.provide(Journal.layerMemory)),
      { retry: 3 }
    )
  }
})

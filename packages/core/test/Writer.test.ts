import { assert, it } from "@effect/vitest"
import { Channel, Durable, Graph, Journal, Policy, Thread } from "@selvage/core"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"

/** A journal whose appends take 60 ms. */
const slow = Layer.effect(
  Journal.Journal,
  Effect.map(Journal.Journal, (journal) =>
    Journal.Journal.of({
      ...journal,
      append: (...args) => Effect.andThen(Effect.sleep("60 millis"), journal.append(...args))
    })
  )
).pipe(Layer.provide(Journal.layerMemory))

it.effect("an attempt that times out while its record is written in a group is not made again", () =>
  Effect.gen(function* () {
    const made: Array<string> = []
    const piece = (name: string) => () =>
      Effect.map(
        Durable.once(
          "piece",
          Schema.String,
          Effect.sync(() => {
            made.push(name)
            return name
          })
        ),
        (done) => ({ done: [done] })
      )
    const graph = Graph.make("pieces", {
      state: { done: Channel.append(Schema.String) },
      nodes: { a: piece("a"), b: piece("b"), c: piece("c") },
      edges: { start: ["a", "b", "c"], a: "end", b: "end", c: "end" },
      // Longer than an append, shorter than two: b and c time out while theirs is under way.
      policy: Policy.make({ timeout: "90 millis", retry: Policy.retryable(Schedule.recurs(2)) })
    })
    const run = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual((yield* Fiber.join(run)).state.done, ["a", "b", "c"])
    assert.deepStrictEqual(made, ["a", "b", "c"])
    const journal = yield* Journal.Journal
    const recorded = (yield* journal.read("t")).filter(({ entry }) => entry._tag === "Recorded")
    assert.lengthOf(recorded, 3)
  }).pipe(Effect.provide(slow))
)

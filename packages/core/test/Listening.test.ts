import { Channel, Event, Graph, Journal, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const count = 5000

/** A graph that says numbers one by one or many at once, and remembers how far it came. */
const makeSpeaker = (speak: (said: (number: number) => string) => Effect.Effect<void>) => {
  const progress = { said: 0 }
  const said = (number: number) => {
    progress.said = number
    return String(number)
  }
  const graph = Graph.make("speaker", {
    state: { done: Channel.last(Schema.Boolean) },
    nodes: { speak: () => Effect.as(speak(said), { done: true }) },
    edges: { start: "speak", speak: "end" }
  })
  return { graph, progress }
}

const numbers = Array.from({ length: count }, (_, index) => index + 1)

const oneByOne = (said: (number: number) => string) =>
  Effect.forEach(numbers, (number) => Effect.suspend(() => Event.token(said(number))), { discard: true })

const inGroups = (said: (number: number) => string) =>
  Effect.forEach(
    Array.from({ length: count / 100 }, (_, group) => numbers.slice(group * 100, (group + 1) * 100)),
    (group) => Effect.suspend(() => Event.tokens(group.map(said))),
    { discard: true }
  )

describe("who listens to a run", () => {
  for (const [name, speak] of [
    ["one by one", oneByOne],
    ["in groups", inGroups]
  ] as const) {
    it.effect(`hears every token in order, and holds the run back while it is slow: ${name}`, () =>
      Effect.gen(function* () {
        const { graph, progress } = makeSpeaker(speak)
        const gate = yield* Deferred.make<void>()
        const heard: Array<string> = []
        const listening = yield* Thread.stream(graph, { thread: "t", input: { done: false } }).pipe(
          Stream.runForEach((event) => {
            if (event._tag !== "Token") return Effect.void
            heard.push(event.delta)
            return Deferred.await(gate)
          }),
          Effect.forkChild
        )
        for (let turn = 0; turn < 1000; turn++) yield* Effect.yieldNow
        assert.deepStrictEqual(heard, ["1"])
        // The buffer of 256, once in the hands of the listener and once more behind it, and a group under way.
        assert.isAtMost(progress.said, 2 * 256 + 100)
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(listening)
        assert.deepStrictEqual(heard, numbers.map(String))
      }).pipe(Effect.provide(Journal.layerMemory))
    )
  }

  it.effect("and leaves while the buffer is full stops the run", () =>
    Effect.gen(function* () {
      const { graph, progress } = makeSpeaker(oneByOne)
      const first = yield* Stream.runHead(
        Stream.filter(
          Thread.stream(graph, { thread: "t", input: { done: false } }),
          (event) => event._tag === "Token" && event.delta === "600"
        )
      )
      assert.strictEqual(first._tag, "Some")
      const { said } = progress
      for (let turn = 0; turn < 100; turn++) yield* Effect.yieldNow
      assert.strictEqual(progress.said, said)
      assert.isBelow(said, count)
    }).pipe(Effect.provide(Journal.layerMemory))
  )
})

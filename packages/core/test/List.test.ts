import { assert, it } from "@effect/vitest"
import { Channel, Graph, Journal, Thread } from "@selvage/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const Lines = Graph.make("lines", {
  state: {
    n: Channel.last(Schema.Int, { initial: 0 }),
    log: Channel.append(Schema.String),
    short: Channel.ephemeral(Channel.append(Schema.Int))
  },
  nodes: {
    write: ({ n, short }) => Effect.succeed({ n: n + 1, log: [`line ${n}`], short: [n, short.length] })
  },
  edges: { start: "write", write: ({ n }) => (n % 700 === 0 ? "end" : "write") }
})

const expected = (length: number) => Array.from({ length }, (_, index) => `line ${index}`)

it.effect("a long list is an array like any other, and states of before keep theirs", () =>
  Effect.gen(function* () {
    const first = (yield* Thread.run(Lines, { thread: "t", input: {} })).state
    const second = (yield* Thread.run(Lines, { thread: "t", input: { log: ["between"] } })).state
    assert.deepStrictEqual(second.log, [...expected(700), "between", ...expected(1400).slice(700)])
    assert.deepStrictEqual(first.log, expected(700))
    assert.isTrue(Array.isArray(first.log))
    assert.deepStrictEqual(Object.keys(second), ["n", "log", "short"])
    assert.deepStrictEqual({ ...second }, { n: 1400, log: second.log, short: [1399, 2] })
    assert.deepStrictEqual(JSON.parse(JSON.stringify(second)), { ...second })
    assert.deepStrictEqual(yield* Thread.state(Lines, { thread: "t" }), second)
    assert.deepStrictEqual(structuredClone(second), { ...second })
  }).pipe(Effect.provide(Journal.layerMemory))
)

it.effect("a list that a reader holds does not grow under it", () =>
  Effect.gen(function* () {
    const seen: Array<ReadonlyArray<string>> = []
    const Reading = Graph.make("reading", {
      state: { log: Channel.append(Schema.String) },
      nodes: {
        write: ({ log }) => {
          seen.push(log)
          return Effect.succeed({ log: [`line ${log.length}`] })
        }
      },
      edges: { start: "write", write: ({ log }) => (log.length < 600 ? "write" : "end") }
    })
    const { log } = yield* Graph.run(Reading, {})
    assert.deepStrictEqual(log, expected(600))
    assert.deepStrictEqual(
      seen.map(({ length }) => length),
      Array.from({ length: 600 }, (_, index) => index)
    )
  })
)

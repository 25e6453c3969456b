import { Channel, Graph, Journal, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"

/** Folds updates as a run does, and as a replay does after a restart: through the JSON of the update. */
const folded = (channel: Channel.Any, updates: ReadonlyArray<unknown>): unknown => {
  const codec = Schema.toCodecJson(channel.update)
  const reduce = channel.reducer as (value: unknown, update: unknown) => unknown
  return updates.reduce(
    (value, update) =>
      reduce(
        value,
        Schema.decodeUnknownSync(codec)(JSON.parse(JSON.stringify(Schema.encodeUnknownSync(codec)(update))))
      ),
    channel.initial
  )
}

describe("Channel", () => {
  it("last keeps the last value, falsy ones too; without an initial value the input must give it", () => {
    const channel = Channel.last(Schema.NullOr(Schema.Int), { initial: 1 })
    assert.deepStrictEqual(folded(channel, [2, 0]), 0)
    assert.deepStrictEqual(folded(channel, [2, null]), null)
    assert.isFalse(channel.required)
    assert.isTrue(Channel.last(Schema.Int).required)
  })

  it("optional starts as undefined and can be unset", () => {
    assert.isUndefined(folded(Channel.optional(Schema.Date), []))
    assert.deepStrictEqual(folded(Channel.optional(Schema.Date), [new Date(0)]), new Date(0))
    assert.isUndefined(folded(Channel.optional(Schema.Date), [new Date(0), undefined]))
  })

  it("append adds the items of each update", () => {
    assert.deepStrictEqual(folded(Channel.append(Schema.BigInt), [[1n], [], [2n, 3n]]), [1n, 2n, 3n])
  })

  it("sum adds", () => {
    assert.strictEqual(folded(Channel.sum, [1, 2.5, -1]), 2.5)
  })

  it("merge folds updates by a function", () => {
    const bounds = Channel.merge(Schema.Struct({ low: Schema.Number, high: Schema.Number }), {
      initial: { low: Number.POSITIVE_INFINITY, high: Number.NEGATIVE_INFINITY },
      merge: (a, b) => ({ low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) })
    })
    const one = (n: number) => ({ low: n, high: n })
    assert.deepStrictEqual(folded(bounds, [one(3), one(-1), one(2)]), { low: -1, high: 3 })
    assert.deepStrictEqual(folded(bounds, []), bounds.initial)
  })

  it("reduce folds updates of another type", () => {
    const counter = Channel.reduce({
      schema: Schema.Int,
      update: Schema.Literals(["up", "down"]),
      initial: 0,
      reducer: (n, update) => (update === "up" ? n + 1 : n - 1)
    })
    assert.strictEqual(folded(counter, ["up", "up", "down"]), 1)
  })

  describe("map", () => {
    const levels = Channel.map(Schema.NullOr(Schema.Date))

    it("sets keys, and takes them out", () => {
      const at = new Date(0)
      assert.deepStrictEqual(
        folded(levels, [
          { a: at, b: null },
          { a: Channel.removed, c: at }
        ]),
        { b: null, c: at }
      )
      assert.deepStrictEqual(folded(levels, [{ a: Channel.removed }]), {})
      assert.deepStrictEqual(folded(levels, [{ a: at }, {}]), { a: at })
    })

    it("has an update with a JSON of its own, which no value can be mistaken for", () => {
      const anything = Channel.map(Schema.Json)
      const encode = Schema.encodeUnknownSync(Schema.toCodecJson(anything.update))
      assert.deepStrictEqual(encode({ a: 1, b: Channel.removed }), { set: { a: 1 }, remove: ["b"] })
      assert.deepStrictEqual(encode({}), {})
      const tricky = { set: { remove: ["a"] }, remove: { set: 1 } }
      assert.deepStrictEqual(folded(anything, [{ a: 1 }, tricky]), { a: 1, ...tricky })
      assert.deepStrictEqual(Schema.toJsonSchemaDocument(anything.update).schema, {
        type: "object",
        properties: { set: { type: "object" }, remove: { type: "array", items: { type: "string" } } },
        additionalProperties: true
      })
    })

    it("is the map that the updates describe", () => {
      const update = fc.dictionary(
        fc.constantFrom("a", "b", "c", "__proto__"),
        fc.oneof(fc.integer(), fc.constant(Channel.removed)),
        { noNullPrototype: true }
      )
      fc.assert(
        fc.property(fc.array(update), (updates) => {
          const expected = new Map<string, unknown>()
          for (const [key, value] of updates.flatMap(Object.entries)) {
            if (value === Channel.removed) expected.delete(key)
            else expected.set(key, value)
          }
          const is = folded(Channel.map(Schema.Int), updates) as Readonly<Record<string, unknown>>
          assert.deepStrictEqual(new Map(Object.entries(is)), expected)
        })
      )
    })

    it("refuses a value that does not fit", () => {
      assert.throws(() => folded(levels, [{ a: "yesterday" }]))
    })
  })

  it.effect("an ephemeral value is seen by the routes and tasks that follow, and is gone after them", () =>
    Effect.gen(function* () {
      const seen: Array<readonly [string, ReadonlyArray<string>]> = []
      const graph = Graph.make("forgetful", {
        state: { n: Channel.sum, hints: Channel.ephemeral(Channel.append(Schema.String)) },
        nodes: {
          first: ({ hints }) => Effect.sync(() => (seen.push(["first", hints]), { n: 1, hints: ["from first"] })),
          second: ({ hints }) => Effect.sync(() => (seen.push(["second", hints]), { n: 1 })),
          third: ({ hints }) => Effect.sync(() => (seen.push(["third", hints]), { n: 1, hints: ["from third"] }))
        },
        edges: {
          start: "first",
          first: ({ hints }) => (seen.push(["route", hints]), "second"),
          second: "third",
          third: "end"
        }
      })
      const state = yield* Graph.run(graph, { hints: ["from the input"] })
      assert.deepStrictEqual(seen, [
        ["first", ["from the input"]],
        ["route", ["from first"]],
        ["second", ["from first"]],
        ["third", []]
      ])
      assert.deepStrictEqual(state, { n: 3, hints: ["from third"] })
    })
  )

  it.effect("an ephemeral value is there after a restart right behind the step that wrote it", () =>
    Effect.gen(function* () {
      const seen: Array<ReadonlyArray<string>> = []
      let down = true
      const graph = Graph.make("restarted", {
        state: { n: Channel.sum, hints: Channel.ephemeral(Channel.append(Schema.String)) },
        nodes: {
          first: () => Effect.succeed({ hints: ["from first"] }),
          second: ({ hints }) =>
            Effect.suspend(() => {
              seen.push(hints)
              return down ? Effect.fail("down" as const) : Effect.succeed({ n: 1 })
            })
        },
        edges: { start: "first", first: "second", second: "end" }
      })
      yield* Effect.exit(Thread.run(graph, { thread: "t", input: {} }))
      down = false
      const { state } = yield* Thread.run(graph, { thread: "t" })
      assert.deepStrictEqual(seen, [["from first"], ["from first"]])
      assert.deepStrictEqual(state, { n: 1, hints: [] })
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it("ephemeral keeps what its channel is, and says so", () => {
    const inner = Channel.append(Schema.String)
    const channel = Channel.ephemeral(inner)
    assert.isTrue(channel.ephemeral)
    assert.isFalse(inner.ephemeral)
    assert.deepStrictEqual([channel.kind, channel.initial, channel.required], ["append", [], false])
    assert.deepStrictEqual(folded(channel, [["a"], ["b"]]), ["a", "b"])
    assert.deepStrictEqual([Channel.shape(inner), Channel.shape(channel)], ["append", "ephemeral append"])
  })
})

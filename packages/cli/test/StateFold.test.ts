import * as StateFold from "@selvage/cli/StateFold"
import type { Entry } from "@selvage/core/Entry"
import { assert, it } from "@effect/vitest"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"

type Update = { readonly [channel: string]: Schema.Json }

const started = (channels: Readonly<Record<string, string>>): Entry => ({
  _tag: "RunStarted",
  graph: { name: "g", channels, nodes: ["n"] },
  input: {}
})

const committed = (step: number, update: Update): Entry => ({
  _tag: "StepCommitted",
  path: "",
  step,
  tasks: ["n"],
  results: [{ task: "n", node: "n", update }]
})

const fold = (entries: ReadonlyArray<Entry>) => {
  const folding = StateFold.empty()
  entries.forEach((entry, index) => Result.getOrThrow(StateFold.next(folding, { seq: index + 1, at: 0, entry })))
  return StateFold.result(folding).state
}

it("a map has the keys that were set and not taken out", () => {
  const state = fold([
    started({ levels: "map" }),
    committed(1, { levels: { set: { bolts: 1, nuts: 2, __proto__x: 3 } } }),
    committed(2, { levels: { set: { bolts: 5 }, remove: ["nuts", "never there"] } })
  ])
  assert.deepStrictEqual<unknown>(state, { levels: { bolts: 5, __proto__x: 3 } })
})

it("a conversation has the messages that were appended, replaced and not removed", () => {
  const message = (content: string, id?: string) => ({
    role: "user",
    content,
    ...(id === undefined ? {} : { options: { selvage: { id } } })
  })
  const state = fold([
    started({ talk: "messages" }),
    committed(1, { talk: { content: [message("one", "a"), message("two")] } }),
    committed(2, { talk: [{ _tag: "Append", prompt: { content: [message("three", "b")] } }] }),
    committed(3, {
      talk: [
        { _tag: "Replace", id: "a", message: message("ONE", "a") },
        { _tag: "Remove", ids: ["b"] }
      ]
    })
  ])
  assert.deepStrictEqual<unknown>(state, { talk: { content: [message("ONE", "a"), message("two")] } })
})

it("an ephemeral channel has what the last step wrote", () => {
  const entries = [
    started({ warnings: "ephemeral append", n: "sum" }),
    committed(1, { warnings: ["low"], n: 1 }),
    committed(2, { n: 1 })
  ]
  assert.deepStrictEqual<unknown>(fold(entries.slice(0, 2)), { warnings: ["low"], n: 1 })
  assert.deepStrictEqual<unknown>(fold(entries), { warnings: [], n: 2 })
})

it("an update that its channel cannot take is told with its entry", () => {
  assert.throws(
    () => fold([started({ levels: "map" }), committed(1, { levels: { set: 3 } })]),
    /Entry 2 updates channel "levels"/
  )
})

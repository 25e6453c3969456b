// Whatever a model and a tool say, however deep: it is told to the model, and the thread goes on.
import { assert, describe, it } from "@effect/vitest"
import { Bound, Journal, Thread } from "@selvage/core"
import { ScriptedModel } from "@selvage/testing"
import { Plugin } from "@selvage/tools"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Agent } from "../src/index.ts"

const nested = (depth: number): Schema.Json => {
  let value: Schema.Json = 1
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

describe("what a model and a tool say", () => {
  const Fetch = Tool.make("fetch", { parameters: Schema.Struct({ url: Schema.Json }), success: Schema.Json }).annotate(
    Tool.Readonly,
    true
  )
  const Pay = Tool.make("pay", { parameters: Schema.Struct({ usd: Schema.Json }), success: Schema.Json }).annotate(
    Tool.Destructive,
    true
  )
  const Tools = Plugin.make("p", { version: "1.0.0", toolkit: Toolkit.make(Fetch, Pay) })
  const A = Agent.make("a", { instructions: "x", tools: [Tools] })

  for (const depth of [Bound.maxDepth + 1, 2_000, 100_000]) {
    it.effect(`${depth} levels deep is told to the model as a failed call, and the run goes on`, () =>
      Effect.gen(function* () {
        const deep = nested(depth)
        let calls = 0
        const made = Effect.sync(() => {
          calls++
          return deep
        })
        const fake = Tools.fake({ fetch: () => made, pay: () => made })
        for (const [thread, turn, expected] of [
          ["result", ScriptedModel.call("fetch", { url: "u" }), 1],
          ["result of a call that changes the world", ScriptedModel.call("pay", { usd: 1 }), 1],
          ["arguments", ScriptedModel.call("fetch", { url: deep }), 0],
          ["arguments of a call that changes the world", ScriptedModel.call("pay", { usd: deep }), 0]
        ] as const) {
          calls = 0
          const outcome = yield* Effect.provide(Thread.run(A, { thread, run: "r", input: { prompt: "go" } }), [
            ScriptedModel.layer([turn, ScriptedModel.text("done")]),
            fake
          ])
          assert.strictEqual(outcome._tag, "Done", thread)
          assert.strictEqual(outcome.state.text, "done")
          assert.strictEqual(calls, expected, thread)
          const failed = outcome.state.messages.content.flatMap((message) =>
            message.role === "tool"
              ? message.content.filter((part) => part.type === "tool-result" && part.isFailure)
              : []
          )
          assert.lengthOf(failed, 1)
        }
      }).pipe(Effect.provide(Journal.layerMemory))
    )
  }
})

it.effect("a result of a schema of anything that is no JSON is told to the model as a failed call, made once", () =>
  Effect.gen(function* () {
    for (const changes of [true, false]) {
      const Any = Tool.make("any", { parameters: Schema.Struct({}), success: Schema.Any }).annotate(
        changes ? Tool.Destructive : Tool.Readonly,
        true
      )
      const Tools = Plugin.make("p", { version: "1.0.0", toolkit: Toolkit.make(Any) })
      const A = Agent.make("a", { instructions: "x", tools: [Tools] })
      const results: Readonly<Record<string, unknown>> = {
        "a function": () => 1,
        "a bigint": { n: 1n },
        "a date": new Date(0),
        "a map": new Map([[1, nested(3_000)]])
      }
      for (const [name, result] of Object.entries(results)) {
        let calls = 0
        const fake = Tools.fake({ any: () => Effect.sync(() => (calls++, result)) })
        const thread = `${name} ${changes}`
        const outcome = yield* Effect.provide(Thread.run(A, { thread, input: { prompt: "go" } }), [
          ScriptedModel.layer([ScriptedModel.call("any", {}), ScriptedModel.text("done")]),
          fake
        ])
        assert.strictEqual(outcome._tag === "Done" && outcome.state.text, "done", thread)
        assert.strictEqual(calls, 1, thread)
      }
    }
  }).pipe(Effect.provide(Journal.layerMemory))
)

// Line 22 of the acceptance list: limits.
import { Agent } from "@selvage/agent"
import { type Errors, Journal, Limit, Thread } from "@selvage/core"
import { Plugin } from "@selvage/tools"
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { elsewhere } from "../../testing/test/behaviours/support.ts"

describe("Limits", () => {
  const Look = Tool.make("look", { parameters: Schema.Struct({}), success: Schema.Struct({}) }).annotate(
    Tool.Readonly,
    true
  )
  const Eyes = Plugin.make("eyes", { version: "1.0.0", toolkit: Toolkit.make(Look) })

  for (const [name, limit, turns, says] of [
    ["turns", Limit.turns(3), 3, "3 turns"],
    // Each turn takes twenty seconds.
    ["time", Limit.within("50 seconds"), 3, "within 50s"],
    // Each turn takes 120 tokens.
    ["tokens", Limit.spend({ tokens: 480 }), 4, "480 tokens"],
    ["money", Limit.spend({ usd: 0.02 }), 2, "0.02 USD"]
  ] as const) {
    it.effect(
      `22. The limit of ${name} stops at its value, before the next model call, with a LimitReached that says which`,
      () =>
        Effect.gen(function* () {
          const looker = Agent.make("looker", {
            instructions: "Look.",
            tools: [Eyes],
            limit: Limit.all(Limit.turns(6), limit)
          })
          let requests = 0
          const model = yield* LanguageModel.make({
            generateText: () =>
              Effect.as(
                Effect.andThen(
                  Effect.sync(() => requests++),
                  TestClock.adjust("20 seconds")
                ),
                [
                  { type: "response-metadata", modelId: "looking-glass" },
                  { type: "tool-call", id: `call ${requests}`, name: "look", params: {} },
                  {
                    type: "finish",
                    reason: "tool-calls",
                    usage: {
                      inputTokens: { uncached: 100, total: 100, cacheRead: 0, cacheWrite: 0 },
                      outputTokens: { total: 20, text: 20, reasoning: 0 }
                    }
                  }
                ]
              ),
            streamText: () => Stream.empty
          })
          yield* Effect.gen(function* () {
            const run = Thread.run(looker, { thread: "t", run: "only", input: { prompt: "?" } })
            const error: unknown = yield* Effect.flip(run)
            assert.ok(isLimit(error))
            assert.deepStrictEqual([error.limit, error.turns], [says, turns])
            assert.strictEqual(requests, turns)
            // A restart does not reset it.
            assert.ok(isLimit(yield* Effect.flip(elsewhere(run))))
            assert.strictEqual(requests, turns)
          }).pipe(
            Effect.provide([
              Eyes.fake({ look: () => Effect.succeed({}) }),
              Layer.succeed(LanguageModel.LanguageModel, model),
              Journal.layerMemory
            ]),
            Effect.provideService(Agent.Pricing, (name) =>
              name === "looking-glass" ? Option.some(0.01) : Option.none()
            )
          )
        })
    )
  }

  for (const [what, total] of [
    ["no counts", undefined],
    ["counts", 60]
  ] as const) {
    it.effect(`A limit in tokens holds for a model that gives ${what}: what is not known is estimated`, () =>
      Effect.gen(function* () {
        const looker = Agent.make("looker", {
          instructions: "Look.",
          tools: [Eyes],
          limit: Limit.spend({ tokens: 300 })
        })
        let requests = 0
        const model = yield* LanguageModel.make({
          generateText: () =>
            Effect.sync(() => {
              requests++
              return [
                { type: "response-metadata", modelId: "looking-glass" },
                { type: "text", text: "I look again. ".repeat(10) },
                { type: "tool-call", id: `call ${requests}`, name: "look", params: {} },
                {
                  type: "finish",
                  reason: "tool-calls",
                  usage: {
                    inputTokens: { uncached: total, total, cacheRead: undefined, cacheWrite: undefined },
                    outputTokens: { total, text: total, reasoning: undefined }
                  }
                }
              ]
            }),
          streamText: () => Stream.empty
        })
        const seen = { turns: 0 }
        const error = yield* Thread.run(looker, { thread: "t", input: { prompt: "Look." } }).pipe(
          Effect.provide([
            Layer.succeed(LanguageModel.LanguageModel, model),
            Layer.succeed(Agent.Pricing, (_, usage) => {
              seen.turns += usage.inputTokens.total ?? 0
              return Option.none()
            }),
            Eyes.fake({ look: () => Effect.succeed({}) }),
            Journal.layerMemory
          ]),
          Effect.flip
        )
        assert.isTrue(isLimit(error))
        assert.isBelow(requests, 6)
        assert.isAbove(seen.turns, 0)
      })
    )
  }

  it("A limit that does not count turns keeps a bound on them, and one that does keeps its own", () => {
    const names = (limit: Limit.Limit) => limit.parts.map(({ name }) => name)
    assert.deepStrictEqual(names(Limit.withTurns(Limit.within("1 hour"), 100)), ["within 1h", "100 turns"])
    assert.deepStrictEqual(names(Limit.withTurns(Limit.all(Limit.turns(500), Limit.spend({ usd: 1 })), 100)), [
      "500 turns",
      "1 USD"
    ])
  })
})

const isLimit = (error: unknown): error is Errors.LimitReached =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "LimitReached"

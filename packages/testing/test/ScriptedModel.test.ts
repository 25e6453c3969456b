import { ScriptedModel } from "@selvage/testing"
import { assert, describe, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const toolkit = Toolkit.make(
  Tool.make("check_stock", { parameters: Schema.Struct({ sku: Schema.String }), success: Schema.Int })
)
const ask = (prompt: string) =>
  LanguageModel.generateText({
    prompt,
    toolkit,
    disableToolCallResolution: true,
    toolCallValidation: "deferred"
  })
const Decision = Schema.Struct({ order: Schema.Boolean, at: Schema.DateTimeUtc })
const decide = LanguageModel.generateObject({ prompt: "decide", schema: Decision, objectName: "decision" })

describe("a script", () => {
  it.effect("is played turn by turn, and the requests are kept", () =>
    Effect.gen(function* () {
      const first = yield* ask("stock?")
      assert.deepStrictEqual(
        first.toolCalls.map(({ id, name, params }) => ({ id, name, params })),
        [
          { id: "call_1_1", name: "check_stock", params: { sku: "SKU-1" } },
          { id: "mine", name: "made_up", params: "{oops" }
        ]
      )
      assert.strictEqual(first.finishReason, "tool-calls")
      const second = yield* decide
      assert.isTrue(second.value.order)
      const third = yield* ask("thanks")
      assert.deepStrictEqual([third.text, third.finishReason], ["Welcome.", "stop"])
      assert.deepStrictEqual([third.usage.inputTokens.total, third.usage.outputTokens.total], [7, 3])
      const { remaining, requests } = yield* ScriptedModel.Script
      assert.deepStrictEqual(
        (yield* requests).map(({ method, object, tools, turn }) => ({ turn, method, object, tools })),
        [
          { turn: 1, method: "generateText", object: undefined, tools: ["check_stock"] },
          { turn: 2, method: "generateObject", object: "decision", tools: [] },
          { turn: 3, method: "generateText", object: undefined, tools: ["check_stock"] }
        ]
      )
      assert.strictEqual(yield* remaining, 0)
    }).pipe(
      Effect.provide(
        ScriptedModel.layer(
          [
            ScriptedModel.calls([
              { name: "check_stock", params: { sku: "SKU-1" } },
              { name: "made_up", params: "{oops", id: "mine" }
            ]),
            ScriptedModel.object({ order: true, at: "2024-01-01T00:00:00.000Z" }),
            ScriptedModel.text("Welcome.")
          ],
          { usage: { input: 7, output: 3 } }
        )
      )
    )
  )

  it.effect("streams text word by word and calls with their arguments", () =>
    Effect.gen(function* () {
      const parts = yield* Stream.runCollect(
        LanguageModel.streamText({
          prompt: "go",
          toolkit,
          disableToolCallResolution: true,
          toolCallValidation: "deferred"
        })
      )
      const deltas = parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : []))
      assert.deepStrictEqual(deltas, ["Let ", "me ", "see."])
      const types = parts.map((part) => part.type).slice(-5)
      assert.deepStrictEqual(types, [
        "tool-params-start",
        "tool-params-delta",
        "tool-params-end",
        "tool-call",
        "finish"
      ])
      const { requests } = yield* ScriptedModel.Script
      assert.strictEqual((yield* requests)[0]?.method, "streamText")
    }).pipe(
      Effect.provide(
        ScriptedModel.layer([
          ScriptedModel.calls([{ name: "check_stock", params: { sku: "SKU-1" } }], { text: "Let me see." })
        ])
      )
    )
  )

  it.effect("can decide by the request, and can fail", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask("a")).text, "turn 1 of check_stock")
      assert.strictEqual((yield* ask("b")).text, "later")
      const error = yield* Effect.flip(ask("c"))
      assert.strictEqual(error.reason._tag, "RateLimitError")
    }).pipe(
      Effect.provide(
        ScriptedModel.layer([
          ScriptedModel.respond(({ tools, turn }) => ScriptedModel.text(`turn ${turn} of ${tools.join()}`)),
          ScriptedModel.respond(() => Effect.succeed(ScriptedModel.text("later"))),
          ScriptedModel.fail(AiError.make({ module: "m", method: "n", reason: new AiError.RateLimitError({}) }))
        ])
      )
    )
  )

  it.effect("starts anew with each build of its layer", () => {
    const once = Effect.provide(
      Effect.map(ask("a"), ({ text }) => text),
      ScriptedModel.layer([ScriptedModel.text("x")])
    )
    return Effect.map(Effect.all([once, once]), (texts) => assert.deepStrictEqual(texts, ["x", "x"]))
  })
})

describe("what does not fit fails and says where", () => {
  const says = (
    turns: ReadonlyArray<ScriptedModel.Turn>,
    run: Effect.Effect<unknown, AiError.AiError, LanguageModel.LanguageModel>,
    expected: string
  ) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(run)
      assert.include(error.message, expected)
      assert.isFalse(error.isRetryable)
    }).pipe(Effect.provide(ScriptedModel.layer(turns)))
  const plain = LanguageModel.generateText({ prompt: "hi" })

  it.effect("a request after the last turn", () =>
    says(
      [ScriptedModel.text("x")],
      Effect.andThen(plain, ask("again")),
      "Turn 2: text was asked for with the tools check_stock, but the script has only 1 turns."
    )
  )
  it.effect("a text where an object was asked for", () =>
    says(
      [ScriptedModel.text("x")],
      decide,
      `Turn 1: the object "decision" was asked for, but the script has a text here.`
    )
  )
  it.effect("an object where text was asked for", () =>
    says([ScriptedModel.object({})], plain, "Turn 1: text was asked for, but the script has an object here.")
  )
  it.effect("a call where no tools were offered", () =>
    says(
      [ScriptedModel.call("check_stock", {})],
      plain,
      "the script has a call of check_stock here, but no tools were offered"
    )
  )
})

it.effect("tells the model's name if it has one", () =>
  Effect.gen(function* () {
    const { content } = yield* LanguageModel.generateText({ prompt: "Hello" })
    assert.strictEqual(content.find((part) => part.type === "response-metadata")?.modelId, "openai:gpt-5")
  }).pipe(Effect.provide(ScriptedModel.layer([ScriptedModel.text("Hi")], { model: "openai:gpt-5" })))
)

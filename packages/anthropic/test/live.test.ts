/**
 * Against the API itself, and only when there is a key: `ANTHROPIC_API_KEY=… vitest run --project anthropic live`. It costs a few cents.
 * `ANTHROPIC_LIVE_MODEL` names the model, `claude-haiku-5-5` when absent.
 */
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { AnthropicClient, AnthropicLanguageModel, AnthropicTokens, AnthropicTool } from "../src/index.ts"

const key = process.env["ANTHROPIC_API_KEY"]?.trim() ?? ""
const model = { model: process.env["ANTHROPIC_LIVE_MODEL"] ?? "claude-haiku-5-5", config: { maxTokens: 2000 } }

const live = Layer.merge(AnthropicLanguageModel.layer(model), AnthropicTokens.layer(model)).pipe(
  Layer.provide(AnthropicClient.layer({ apiKey: Redacted.make(key) }))
)

const Stock = Tool.make("check_stock", {
  description: "Units of a product in the warehouse",
  parameters: Schema.Struct({ sku: Schema.String }),
  success: Schema.Struct({ units: Schema.Int })
})

describe.skipIf(key === "")("the API", () => {
  it.live("answers, whole and streamed", () =>
    Effect.gen(function* () {
      const prompt = "Say the word selvage and nothing else."
      const response = yield* LanguageModel.generateText({ prompt })
      assert.include(response.text.toLowerCase(), "selvage")
      const parts = yield* LanguageModel.streamText({ prompt }).pipe(Stream.runCollect)
      const finish = parts.at(-1)
      assert.isTrue(finish?.type === "finish" && (finish.usage.outputTokens.total ?? 0) > 0)
    }).pipe(Effect.provide(live))
  )

  it.live("fills a schema", () =>
    Effect.gen(function* () {
      const { value } = yield* LanguageModel.generateObject({
        prompt: "Three dozen eggs: how many?",
        schema: Schema.Struct({ count: Schema.Int, note: Schema.optional(Schema.String) })
      })
      assert.strictEqual(value.count, 36)
    }).pipe(Effect.provide(live))
  )

  it.live("calls a tool and takes its result", () =>
    Effect.gen(function* () {
      const toolkit = Toolkit.make(Stock)
      const ask = (prompt: Prompt.Prompt) =>
        LanguageModel.generateText({ prompt, toolkit }).pipe(
          Effect.provide(toolkit.toLayer({ check_stock: () => Effect.succeed({ units: 4711 }) }))
        )
      const question = Prompt.make("How many units of A-100 are in stock? Use the tool.")
      const first = yield* ask(question)
      assert.strictEqual(first.toolCalls[0]?.name, "check_stock")
      const second = yield* ask(Prompt.concat(question, Prompt.fromResponseParts(first.content)))
      assert.match(second.text, /4[,. ]?711/)
    }).pipe(Effect.provide(live))
  )

  it.live("searches the web, and takes its own search back", () =>
    Effect.gen(function* () {
      const toolkit = Toolkit.make(AnthropicTool.WebSearch_20250305({ maxUses: 1 }))
      const question = Prompt.make("Search the web: what is a selvage? Answer in one sentence.")
      const first = yield* LanguageModel.generateText({ prompt: question, toolkit })
      assert.isTrue(first.toolResults.some((part) => part.name === "AnthropicWebSearch"))
      const prompt = Prompt.concat(Prompt.concat(question, Prompt.fromResponseParts(first.content)), "Shorter.")
      const second = yield* LanguageModel.generateText({ prompt, toolkit })
      assert.isAbove(second.text.length, 0)
    }).pipe(Effect.provide(live))
  )

  it.live("counts tokens", () =>
    Effect.gen(function* () {
      const tokens = yield* AnthropicTokens.AnthropicTokens.use((tokens) => tokens.count({ prompt: "Hello" }))
      assert.isAbove(tokens, 0)
    }).pipe(Effect.provide(live))
  )
})

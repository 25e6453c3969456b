/**
 * Against OpenAI itself, and only where SELVAGE_LIVE_OPENAI_API_KEY holds a key: these cost money.
 * SELVAGE_LIVE_OPENAI_MODEL chooses the model.
 */
import { assert, describe, it } from "@effect/vitest"
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { OpenAiClient, OpenAiEmbeddingModel, OpenAiLanguageModel, OpenAiTool } from "../src/index.ts"
import { apis, Tools, ToolsLive } from "./support.ts"

const apiKey = process.env["SELVAGE_LIVE_OPENAI_API_KEY"]
const name = process.env["SELVAGE_LIVE_OPENAI_MODEL"] ?? "gpt-5.4-mini"

const client = OpenAiClient.layer({ apiKey: Redacted.make(apiKey ?? "") })

describe.skipIf(apiKey === undefined)("live", () => {
  for (const api of apis) {
    const model = OpenAiLanguageModel.layer({ model: name, api }).pipe(Layer.provide(client))

    it.live(`${api} answers, streams, calls tools and gives objects`, () =>
      Effect.gen(function* () {
        const answer = yield* LanguageModel.generateText({ prompt: "Say the word: bolt" })
        assert.isTrue(answer.text.toLowerCase().includes("bolt"))
        assert.isAbove(answer.usage.inputTokens.total ?? 0, 0)
        const parts = yield* Stream.runCollect(
          LanguageModel.streamText({
            prompt: "What is the weather in Oslo and in Rome? Use the tool.",
            toolkit: Tools
          })
        )
        assert.isAbove(parts.filter((part) => part.type === "tool-result").length, 0)
        const object = yield* LanguageModel.generateObject({
          prompt: "12 left, we sell 9 a week, delivery takes 10 days. Order?",
          schema: Schema.Struct({ order: Schema.Boolean, why: Schema.optional(Schema.String) })
        })
        assert.isTrue(object.value.order)
      }).pipe(Effect.provide([ToolsLive, model]))
    )
  }

  it.live("searches the web, counts tokens and embeds", () =>
    Effect.gen(function* () {
      const answer = yield* LanguageModel.generateText({
        prompt: "What did copper cost yesterday? Search.",
        toolkit: yield* Toolkit.make(OpenAiTool.WebSearch({ search_context_size: "low" }))
      })
      assert.isTrue(answer.toolCalls.some((call) => call.providerExecuted))
      const tokens = yield* OpenAiLanguageModel.countTokens({ model: name, prompt: "hello", toolkit: Tools })
      assert.isAbove(tokens, 1)
      const embedded = yield* Effect.flatMap(EmbeddingModel.EmbeddingModel, (model) => model.embedMany(["a", "b"]))
      assert.deepStrictEqual(
        embedded.embeddings.map(({ vector }) => vector.length),
        [256, 256]
      )
    }).pipe(
      Effect.provide([
        OpenAiLanguageModel.layer({ model: name }).pipe(Layer.provide(client)),
        OpenAiEmbeddingModel.model("text-embedding-3-small", { dimensions: 256 }).pipe(Layer.provide(client)),
        client
      ])
    )
  )
})

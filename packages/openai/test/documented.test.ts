import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { OpenAiTool } from "../src/index.ts"
import { modelAt, playing } from "./support.ts"

describe("the provider's documented examples", () => {
  it.effect("a streamed response of the Responses API", () =>
    Effect.gen(function* () {
      const parts = yield* LanguageModel.streamText({ prompt: "Hello!" }).pipe(
        Stream.runCollect,
        Effect.provide(modelAt(yield* playing("responses-text-stream")))
      )
      assert.deepStrictEqual(
        parts.map((part) => part.type),
        ["response-metadata", "text-start", "text-delta", "text-delta", "text-end", "finish"]
      )
      assert.strictEqual(
        parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : [])).join(""),
        "Hi there! How can I assist you today?"
      )
      const last = parts.at(-1)
      assert.isTrue(last?.type === "finish" && last.reason === "stop")
      if (last?.type === "finish") {
        assert.deepStrictEqual([last.usage.inputTokens.total, last.usage.outputTokens.total], [37, 11])
        assert.strictEqual(last.metadata.openai?.stopReason, "completed")
        assert.strictEqual(last.response?.status, 200)
      }
    })
  )

  it.effect("a function call of the Responses API", () =>
    Effect.gen(function* () {
      const toolkit = Toolkit.make(
        Tool.make("get_current_weather", {
          parameters: Schema.Struct({ location: Schema.String, unit: Schema.Literals(["celsius", "fahrenheit"]) }),
          success: Schema.Finite
        })
      )
      const response = yield* LanguageModel.generateText({
        prompt: "What is the weather like in Boston today?",
        toolkit,
        disableToolCallResolution: true
      }).pipe(Effect.provide(modelAt(yield* playing("responses-function-call"))))
      assert.strictEqual(response.finishReason, "tool-calls")
      assert.deepStrictEqual(
        response.toolCalls.map(({ id, name, params }) => ({ id, name, params })),
        [
          {
            id: "call_unLAR8MvFNptuiZK6K6HCy5k",
            name: "get_current_weather",
            params: { location: "Boston, MA", unit: "celsius" }
          }
        ]
      )
    })
  )

  it.effect("a web search of the Responses API, with what it cites", () =>
    Effect.gen(function* () {
      const response = yield* LanguageModel.generateText({
        prompt: "What's the latest news about AI?",
        toolkit: yield* Toolkit.make(OpenAiTool.WebSearch({}))
      }).pipe(Effect.provide(modelAt(yield* playing("responses-web-search"))))
      assert.deepStrictEqual(
        response.content.map((part) => part.type),
        ["response-metadata", "tool-call", "tool-result", "text", "source", "source", "finish"]
      )
      assert.strictEqual(response.finishReason, "stop")
      const sources = response.content.flatMap((part) =>
        part.type === "source" && part.sourceType === "url" ? [part.url.host] : []
      )
      assert.deepStrictEqual(sources, ["www.ft.com", "www.wsj.com"])
    })
  )

  it.effect("an answer of Chat Completions", () =>
    Effect.gen(function* () {
      const response = yield* LanguageModel.generateText({ prompt: "Hello!" }).pipe(
        Effect.provide(modelAt(yield* playing("chat-text"), { api: "chat" }))
      )
      assert.strictEqual(response.text, "Hello! How can I assist you today?")
      assert.deepStrictEqual([response.usage.inputTokens.total, response.usage.outputTokens.total], [19, 10])
      const metadata = response.content.find((part) => part.type === "response-metadata")
      assert.strictEqual(metadata?.metadata.openai?.serviceTier, "default")
    })
  )

  it.effect("a streamed tool call of Chat Completions", () =>
    Effect.gen(function* () {
      const toolkit = Toolkit.make(
        Tool.make("get_weather", { parameters: Schema.Struct({ location: Schema.String }), success: Schema.Finite })
      )
      const parts = yield* LanguageModel.streamText({
        prompt: "What's the weather like in Paris today?",
        toolkit,
        disableToolCallResolution: true
      }).pipe(Stream.runCollect, Effect.provide(modelAt(yield* playing("chat-tool-stream"), { api: "chat" })))
      assert.strictEqual(
        parts.flatMap((part) => (part.type === "tool-params-delta" ? [part.delta] : [])).join(""),
        '{"location":"Paris, France"}'
      )
      const call = parts.find((part) => part.type === "tool-call")
      assert.deepStrictEqual(call?.params, { location: "Paris, France" })
    })
  )
})

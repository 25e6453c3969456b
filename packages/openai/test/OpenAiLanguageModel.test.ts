import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { OpenAiLanguageModel } from "../src/index.ts"
import { aimock, apis, key, lastBody, modelAt, Tools, ToolsLive } from "./support.ts"

for (const api of apis) {
  describe(`over ${api}, against aimock`, () => {
    it.effect("generates text with its finish reason, usage and metadata", () =>
      Effect.gen(function* () {
        const mock = yield* aimock([
          {
            match: { userMessage: "hello" },
            response: {
              content: "Hi there!",
              id: "answer-1",
              model: "gpt-4o-2024-08-06",
              created: 1_700_000_000,
              usage: {
                input_tokens: 12,
                output_tokens: 5,
                prompt_tokens: 12,
                completion_tokens: 5
              }
            }
          }
        ])
        const response = yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
          Effect.provide(modelAt(`${mock.url}/v1`, { api }))
        )
        assert.strictEqual(response.text, "Hi there!")
        assert.strictEqual(response.finishReason, "stop")
        assert.strictEqual(response.usage.inputTokens.total, 12)
        assert.strictEqual(response.usage.outputTokens.total, 5)
        const metadata = response.content.find((part) => part.type === "response-metadata")
        assert.strictEqual(metadata?.id, "answer-1")
        assert.strictEqual(metadata?.modelId, "gpt-4o-2024-08-06")
        assert.strictEqual(metadata?.timestamp?.epochMilliseconds, 1_700_000_000_000)
      })
    )

    it.effect("streams text that adds up to the answer, and finishes with usage", () =>
      Effect.gen(function* () {
        const mock = yield* aimock([
          {
            match: { userMessage: "story" },
            response: {
              content: "Once upon a time there was a schedule.",
              usage: { input_tokens: 7, output_tokens: 9, prompt_tokens: 7, completion_tokens: 9 }
            },
            chunkSize: 5
          }
        ])
        const parts = yield* LanguageModel.streamText({ prompt: "story" }).pipe(
          Stream.runCollect,
          Effect.provide(modelAt(`${mock.url}/v1`, { api }))
        )
        const deltas = parts.filter((part) => part.type === "text-delta")
        assert.isAbove(deltas.length, 3)
        assert.strictEqual(deltas.map((part) => part.delta).join(""), "Once upon a time there was a schedule.")
        assert.strictEqual(parts.filter((part) => part.type === "text-start").length, 1)
        assert.strictEqual(parts.filter((part) => part.type === "text-end").length, 1)
        const last = parts.at(-1)
        assert.strictEqual(last?.type, "finish")
        if (last?.type === "finish") {
          assert.strictEqual(last.reason, "stop")
          assert.strictEqual(last.usage.outputTokens.total, 9)
        }
      })
    )

    it.effect("calls tools in parallel, and sends their results back", () =>
      Effect.gen(function* () {
        const mock = yield* aimock([
          {
            match: { userMessage: "weather", hasToolResult: false },
            response: {
              toolCalls: [
                {
                  name: "get_weather",
                  arguments: JSON.stringify({ city: "Oslo", unit: null }),
                  id: "call_1"
                },
                {
                  name: "get_weather",
                  arguments: JSON.stringify({ city: "Rome", unit: "F" }),
                  id: "call_2"
                }
              ]
            }
          },
          {
            match: { userMessage: "weather", hasToolResult: true },
            response: { content: "3 in Oslo, 70 in Rome" }
          }
        ])
        const answer = yield* Effect.gen(function* () {
          const first = yield* LanguageModel.generateText({ prompt: "weather", toolkit: Tools })
          assert.strictEqual(first.finishReason, "tool-calls")
          assert.deepStrictEqual(
            first.toolResults.map((part) => part.result),
            [{ degrees: 3 }, { degrees: 70 }]
          )
          return yield* LanguageModel.generateText({
            prompt: Prompt.concat(Prompt.make("weather"), Prompt.fromResponseParts(first.content)),
            toolkit: Tools
          })
        }).pipe(Effect.provide([ToolsLive, modelAt(`${mock.url}/v1`, { api })]))
        assert.strictEqual(answer.text, "3 in Oslo, 70 in Rome")
        const body = JSON.stringify(lastBody(mock))
        assert.isTrue(body.includes("call_1") && body.includes("call_2"))
        assert.isTrue(body.includes('{\\"degrees\\":3}'))
      })
    )

    it.effect("streams tool arguments, then the call and its result", () =>
      Effect.gen(function* () {
        const mock = yield* aimock([
          {
            match: { userMessage: "weather" },
            response: {
              toolCalls: [{ name: "get_weather", arguments: '{"city":"Oslo","unit":null}', id: "call_1" }]
            },
            chunkSize: 6
          }
        ])
        const parts = yield* LanguageModel.streamText({ prompt: "weather", toolkit: Tools }).pipe(
          Stream.runCollect,
          Effect.provide([ToolsLive, modelAt(`${mock.url}/v1`, { api })])
        )
        const json = parts.flatMap((part) => (part.type === "tool-params-delta" ? [part.delta] : [])).join("")
        assert.strictEqual(json, '{"city":"Oslo","unit":null}')
        const kinds = parts.map((part) => part.type)
        assert.isBelow(kinds.indexOf("tool-params-start"), kinds.indexOf("tool-params-end"))
        assert.isBelow(kinds.indexOf("tool-params-end"), kinds.indexOf("tool-call"))
        const result = parts.find((part) => part.type === "tool-result")
        assert.deepStrictEqual(result?.result, { degrees: 3 })
        const last = parts.at(-1)
        assert.strictEqual(last?.type === "finish" ? last.reason : undefined, "tool-calls")
      })
    )

    it.effect("hands calls over unresolved when the caller dispatches them", () =>
      Effect.gen(function* () {
        const mock = yield* aimock([
          {
            match: { userMessage: "weather" },
            response: {
              toolCalls: [
                { name: "get_weather", arguments: '{"city":"Oslo","unit":null}', id: "call_1" },
                { name: "unheard_of", arguments: '{"a":1}', id: "call_2" }
              ]
            }
          }
        ])
        const response = yield* LanguageModel.generateText({
          prompt: "weather",
          toolkit: Tools,
          disableToolCallResolution: true,
          toolCallValidation: "deferred"
        }).pipe(Effect.provide([ToolsLive, modelAt(`${mock.url}/v1`, { api })]))
        assert.deepStrictEqual(
          response.toolCalls.map((call) => [call.name, call.params]),
          [
            ["get_weather", { city: "Oslo" }],
            ["unheard_of", { a: 1 }]
          ]
        )
      })
    )

    it.effect("asks for structured output with a strict schema and decodes it", () =>
      Effect.gen(function* () {
        const mock = yield* aimock([
          {
            match: { userMessage: "decide" },
            response: { content: '{"order":true,"units":40,"note":null}' }
          }
        ])
        const response = yield* LanguageModel.generateObject({
          prompt: "decide",
          objectName: "a decision",
          schema: Schema.Struct({
            order: Schema.Boolean,
            units: Schema.Int,
            note: Schema.optional(Schema.String)
          })
        }).pipe(Effect.provide(modelAt(`${mock.url}/v1`, { api })))
        assert.deepStrictEqual(response.value, { order: true, units: 40 })
      })
    )

    it.effect("sends the settings of the layer, with those of the call over them", () =>
      Effect.gen(function* () {
        const mock = yield* aimock([{ match: { userMessage: "hello" }, response: { content: "Hi" } }])
        yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
          // What is not said here is as it is said further out.
          OpenAiLanguageModel.withConfig({ temperature: undefined }),
          OpenAiLanguageModel.withConfig({ temperature: 0.9 }),
          Effect.provide(modelAt(`${mock.url}/v1`, { api, config: { temperature: 0.1 } }))
        )
        assert.strictEqual(lastBody(mock)["temperature"], 0.9)
      })
    )

    it.effect("reports a rejected key without showing it", () =>
      Effect.gen(function* () {
        const mock = yield* aimock([
          {
            match: { userMessage: "hello" },
            response: {
              status: 401,
              error: { message: `Incorrect API key provided: ${key}`, code: "invalid_api_key" }
            }
          }
        ])
        const error = yield* Effect.flip(
          LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(modelAt(`${mock.url}/v1`, { api })))
        )
        assert.strictEqual(error.reason._tag, "AuthenticationError")
        assert.isFalse(error.isRetryable)
        assert.isTrue(error.message.includes("<redacted>"))
        assert.isFalse(`${error.message}${JSON.stringify(error)}${String(error.stack)}`.includes(key))
      })
    )

    it.effect("reports a rate limit with the delay the server asks for, once", () =>
      Effect.gen(function* () {
        const mock = yield* aimock([
          {
            match: { userMessage: "hello" },
            response: {
              status: 429,
              error: { message: "slow down", code: "rate_limit_exceeded" },
              retryAfter: 7
            }
          }
        ])
        const error = yield* Effect.flip(
          LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(modelAt(`${mock.url}/v1`, { api })))
        )
        assert.strictEqual(error.reason._tag, "RateLimitError")
        assert.isTrue(error.isRetryable)
        assert.deepStrictEqual(error.retryAfter, Duration.seconds(7))
        assert.strictEqual(mock.getRequests().length, 1)
      })
    )

    it.effect("reports a broken server as worth a retry, also when streaming", () =>
      Effect.gen(function* () {
        const mock = yield* aimock([
          {
            match: { userMessage: "hello" },
            response: { status: 500, error: { message: "oops", type: "server_error" } }
          }
        ])
        const error = yield* Effect.flip(
          LanguageModel.streamText({ prompt: "hello" }).pipe(
            Stream.runDrain,
            Effect.provide(modelAt(`${mock.url}/v1`, { api }))
          )
        )
        assert.strictEqual(error.reason._tag, "InternalProviderError")
        assert.isTrue(error.isRetryable)
        assert.strictEqual(error.method, "streamText")
      })
    )

    it.effect("fails when a stream is cut", () =>
      Effect.gen(function* () {
        const mock = yield* aimock([
          {
            match: { userMessage: "story" },
            response: { content: "Once upon a time there was a schedule." },
            chunkSize: 5,
            truncateAfterChunks: 5
          }
        ])
        const seen: Array<string> = []
        const error = yield* Effect.flip(
          LanguageModel.streamText({ prompt: "story" }).pipe(
            Stream.runForEach((part) => Effect.sync(() => seen.push(part.type))),
            Effect.provide(modelAt(`${mock.url}/v1`, { api }))
          )
        )
        assert.strictEqual(error.reason._tag, "NetworkError")
        assert.isTrue(error.isRetryable)
        assert.isFalse(seen.includes("finish"))
      })
    )
  })
}

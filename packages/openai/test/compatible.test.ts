/** Servers that speak OpenAI's protocol their own way; each quirk names where it was seen. */
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { OpenAiClient, OpenAiLanguageModel } from "../src/index.ts"
import { chunk, completion, message, response } from "./fixtures.ts"
import { answering, fixture, modelAt, playing, receiving, streaming, Tools } from "./support.ts"

const stream = (url: string, options: Partial<OpenAiLanguageModel.Options> = { api: "chat" }) =>
  LanguageModel.streamText({ prompt: "hello", toolkit: Tools, disableToolCallResolution: true }).pipe(
    Stream.runCollect,
    Effect.provide(modelAt(url, options))
  )

const calls = (parts: ReadonlyArray<{ readonly type: string }>) =>
  parts.flatMap((part) =>
    part.type === "tool-call" && "params" in part && "id" in part ? [[part.id, part.params]] : []
  )

const toolDelta = (delta: object) => chunk({ tool_calls: [delta] })

const oslo = '{"city":"Oslo","unit":null}'
const rome = '{"city":"Rome","unit":null}'

describe("Azure", () => {
  const azure = (baseUrl: string, query?: Record<string, string>) =>
    OpenAiClient.layer({ apiKey: Redacted.make("azure-key"), auth: "api-key", baseUrl, query })

  it.effect("takes the key in its own header, and a deployment's name as the model", () =>
    Effect.gen(function* () {
      const server = yield* receiving(response([message("ok")]))
      yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
        Effect.provide(
          OpenAiLanguageModel.layer({ model: "my-deployment" }).pipe(
            Layer.provide(azure(server.url.replace("/v1", "/openai/v1/")))
          )
        )
      )
      const [request] = server.received
      assert.strictEqual(request?.path, "/openai/v1/responses")
      assert.strictEqual(request?.headers["api-key"], "azure-key")
      assert.isUndefined(request?.headers["authorization"])
      assert.strictEqual(request?.body["model"], "my-deployment")
    })
  )

  it.effect("of an older version takes it in the query, and the deployment in the address", () =>
    Effect.gen(function* () {
      const server = yield* receiving(completion({ content: "ok" }))
      yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
        Effect.provide(
          OpenAiLanguageModel.layer({ model: "gpt-4o", api: "chat" }).pipe(
            Layer.provide(
              azure(server.url.replace("/v1", "/openai/deployments/gpt-4o"), { "api-version": "2024-10-21" })
            )
          )
        )
      )
      assert.strictEqual(server.received[0]?.path, "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
    })
  )

  it.effect("sends chunks about its filter that are no part of the answer", () =>
    Effect.gen(function* () {
      const { events } = yield* fixture("azure-filter-chunks")
      const [before, between] = events ?? []
      const parts = yield* stream(
        yield* streaming([
          before ?? "",
          chunk({ role: "assistant", content: "" }),
          chunk({ content: "Hi" }),
          between ?? "",
          chunk({ content: "!" }),
          chunk({}, "stop"),
          "[DONE]"
        ])
      )
      const metadata = parts[0]
      assert.strictEqual(metadata?.type === "response-metadata" ? metadata.id : undefined, "chatcmpl-1")
      assert.strictEqual(parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : [])).join(""), "Hi!")
    })
  )

  it.effect("filters a prompt: not an error to retry", () =>
    Effect.gen(function* () {
      const url = yield* playing("azure-content-filter")
      const error = yield* Effect.flip(
        LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(modelAt(url, { api: "chat" })))
      )
      assert.strictEqual(error.reason._tag, "ContentPolicyError")
      assert.isFalse(error.isRetryable)
    })
  )

  it.effect("cuts an answer it filters", () =>
    Effect.gen(function* () {
      const parts = yield* stream(yield* streaming([chunk({ content: "Once" }), chunk({}, "content_filter"), "[DONE]"]))
      const last = parts.at(-1)
      assert.strictEqual(last?.type === "finish" ? last.reason : undefined, "content-filter")
    })
  )
})

describe("Ollama", () => {
  it.effect("needs no key, and knows the older limit on tokens and no strict schemas", () =>
    Effect.gen(function* () {
      const server = yield* receiving(completion({ content: '{"order":true}' }))
      yield* LanguageModel.generateObject({
        prompt: "hello",
        toolkit: Tools,
        disableToolCallResolution: true,
        schema: Schema.Struct({ order: Schema.Boolean })
      }).pipe(
        Effect.provide(
          OpenAiLanguageModel.layer({
            model: "qwen3",
            api: "chat",
            config: { maxOutputTokens: 50 },
            compatibility: { maxTokens: "max_tokens", strict: false }
          }).pipe(Layer.provide(OpenAiClient.layer({ baseUrl: server.url, auth: "none" })))
        )
      )
      const [request] = server.received
      assert.isUndefined(request?.headers["authorization"])
      // https://github.com/ollama/ollama/issues/7125: max_completion_tokens is accepted and ignored.
      assert.strictEqual(request?.body["max_tokens"], 50)
      assert.isUndefined(request?.body["max_completion_tokens"])
      assert.isFalse(JSON.stringify(request?.body).includes("strict"))
    })
  )

  it.effect("gives all parallel calls the same index (ollama/ollama#15457), and says stop (#16212)", () =>
    Effect.gen(function* () {
      const parts = yield* stream(
        yield* streaming([
          toolDelta({ index: 0, id: "call_a", type: "function", function: { name: "get_weather", arguments: oslo } }),
          toolDelta({ index: 0, id: "call_b", type: "function", function: { name: "get_weather", arguments: rome } }),
          chunk({ content: "" }, "stop"),
          "[DONE]"
        ])
      )
      assert.deepStrictEqual(calls(parts), [
        ["call_a", { city: "Oslo" }],
        ["call_b", { city: "Rome" }]
      ])
      const last = parts.at(-1)
      assert.strictEqual(last?.type === "finish" ? last.reason : undefined, "tool-calls")
    })
  )

  it.effect("leaves the index out (ollama/ollama#7881)", () =>
    Effect.gen(function* () {
      const parts = yield* stream(
        yield* streaming([
          toolDelta({ id: "call_a", function: { name: "get_weather", arguments: oslo } }),
          toolDelta({ id: "call_b", function: { name: "get_weather", arguments: rome } }),
          chunk({}, "tool_calls"),
          "[DONE]"
        ])
      )
      assert.deepStrictEqual(calls(parts), [
        ["call_a", { city: "Oslo" }],
        ["call_b", { city: "Rome" }]
      ])
    })
  )

  it.effect("leaves the id out (continuedev/continue#13235)", () =>
    Effect.gen(function* () {
      const parts = yield* stream(
        yield* streaming([
          toolDelta({ index: 0, function: { name: "get_weather", arguments: '{"city":' } }),
          toolDelta({ index: 0, function: { arguments: '"Oslo","unit":null}' } }),
          toolDelta({ index: 1, id: "", function: { name: "get_weather", arguments: rome } }),
          chunk({}, "tool_calls"),
          "[DONE]"
        ])
      )
      const found = calls(parts)
      assert.deepStrictEqual(
        found.map(([, params]) => params),
        [{ city: "Oslo" }, { city: "Rome" }]
      )
      assert.strictEqual(new Set(found.map(([id]) => id)).size, 2)
    })
  )

  it.effect("answers an unknown model with 404", () =>
    Effect.gen(function* () {
      const url = yield* answering(
        {
          error: {
            message: 'model "qwen9" not found, try pulling it first',
            type: "api_error",
            param: null,
            code: null
          }
        },
        404
      )
      const error = yield* Effect.flip(stream(url))
      assert.strictEqual(error.reason._tag, "InvalidRequestError")
      assert.isFalse(error.isRetryable)
      assert.isTrue(error.message.includes("try pulling it first") && error.message.includes("base URL"))
    })
  )
})

describe("calls without index, one delta at a time or several", () => {
  it.effect("belong together by their id", () =>
    Effect.gen(function* () {
      const parts = yield* stream(
        yield* streaming([
          toolDelta({ id: "a", function: { name: "get_weather", arguments: '{"city":"Os' } }),
          toolDelta({ id: "b", function: { name: "get_weather", arguments: '{"city":"Ro' } }),
          toolDelta({ id: "a", function: { arguments: 'lo","unit":null}' } }),
          toolDelta({ id: "b", function: { arguments: 'me","unit":null}' } }),
          chunk({}, "tool_calls")
        ])
      )
      assert.deepStrictEqual(calls(parts), [
        ["a", { city: "Oslo" }],
        ["b", { city: "Rome" }]
      ])
    })
  )

  it.effect("belong to the last one without an id, or by position among several", () =>
    Effect.gen(function* () {
      const single = yield* stream(
        yield* streaming([
          toolDelta({ id: "a", function: { name: "get_weather", arguments: "" } }),
          toolDelta({ function: { arguments: oslo } }),
          toolDelta({ id: "b", function: { name: "get_weather", arguments: "" } }),
          toolDelta({ function: { arguments: rome } }),
          chunk({}, "tool_calls")
        ])
      )
      const several = yield* stream(
        yield* streaming([
          chunk({
            tool_calls: [
              { id: "a", function: { name: "get_weather", arguments: '{"city":' } },
              { id: "b", function: { name: "get_weather", arguments: '{"city":' } }
            ]
          }),
          chunk({
            tool_calls: [
              { function: { arguments: '"Oslo","unit":null}' } },
              { function: { arguments: '"Rome","unit":null}' } }
            ]
          }),
          chunk({}, "tool_calls")
        ])
      )
      for (const parts of [single, several]) {
        assert.deepStrictEqual(calls(parts), [
          ["a", { city: "Oslo" }],
          ["b", { city: "Rome" }]
        ])
      }
    })
  )

  it.effect("may hold their arguments as an object, streamed or not", () =>
    Effect.gen(function* () {
      const call = { id: "a", function: { name: "get_weather", arguments: { city: "Oslo", unit: null } } }
      const parts = yield* stream(yield* streaming([toolDelta(call), chunk({}, "tool_calls")]))
      assert.deepStrictEqual(calls(parts), [["a", { city: "Oslo" }]])
      const answer = yield* LanguageModel.generateText({
        prompt: "hello",
        toolkit: Tools,
        disableToolCallResolution: true
      }).pipe(
        Effect.provide(
          modelAt(yield* answering(completion({ content: null, tool_calls: [call] }, "tool_calls")), { api: "chat" })
        )
      )
      assert.deepStrictEqual(calls(answer.content), [["a", { city: "Oslo" }]])
    })
  )
})

describe("vLLM", () => {
  it.effect("says what is wrong without an error field", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(stream(yield* playing("vllm-error")))
      assert.strictEqual(error.reason._tag, "InvalidRequestError")
      assert.isTrue(error.message.includes("maximum context length is 2048"))
    })
  )

  it.effect("says so inside a stream too", () =>
    Effect.gen(function* () {
      const { body } = yield* fixture("vllm-error")
      const error = yield* Effect.flip(stream(yield* streaming([chunk({ content: "Once" }), body ?? {}, "[DONE]"])))
      assert.strictEqual(error.reason._tag, "InvalidRequestError")
    })
  )

  it.effect("ends a response with an output that is empty (vllm-project/vllm#30223)", () =>
    Effect.gen(function* () {
      const parts = yield* stream(
        yield* streaming([
          { type: "response.created", response: response([], { status: "in_progress" }) },
          { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "Hi" },
          { type: "response.completed", response: response([]) }
        ]),
        { api: "responses" }
      )
      assert.deepStrictEqual(
        parts.map((part) => part.type),
        ["response-metadata", "text-start", "text-delta", "text-end", "finish"]
      )
    })
  )

  it.effect("shows reasoning under either name", () =>
    Effect.gen(function* () {
      for (const field of ["reasoning", "reasoning_content"]) {
        const parts = yield* stream(
          yield* streaming([chunk({ [field]: "hm" }), chunk({ content: "Hi" }), chunk({}, "stop")])
        )
        assert.strictEqual(
          parts.flatMap((part) => (part.type === "reasoning-delta" ? [part.delta] : [])).join(""),
          "hm"
        )
      }
    })
  )
})

describe("LM Studio", () => {
  it.effect("counts no tokens in a stream: they are unknown, not zero", () =>
    Effect.gen(function* () {
      const parts = yield* stream(yield* playing("lmstudio-stream"))
      const last = parts.at(-1)
      assert.strictEqual(last?.type === "finish" ? last.reason : undefined, "stop")
      assert.isTrue(last?.type === "finish" && last.usage.outputTokens.total === undefined)
    })
  )

  it.effect("has an empty or partial count", () =>
    Effect.gen(function* () {
      for (const usage of [{}, { prompt_tokens: null, completion_tokens: 3 }, null]) {
        const url = yield* answering({ ...completion({ content: "hi" }), usage })
        const answer = yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
          Effect.provide(modelAt(url, { api: "chat" }))
        )
        assert.isUndefined(answer.usage.inputTokens.total)
        assert.strictEqual(answer.usage.outputTokens.total, usage?.completion_tokens)
      }
    })
  )

  it.effect("says in plain text that no model is loaded (lmstudio-ai/lms#107)", () =>
    Effect.gen(function* () {
      const url = yield* answering({ error: "No models loaded. Please load a model in the developer page." }, 404)
      const error = yield* Effect.flip(stream(url))
      assert.strictEqual(error.reason._tag, "InvalidRequestError")
      assert.isTrue(error.message.includes("No models loaded"))
    })
  )

  it.effect("can be spared the request for counts", () =>
    Effect.gen(function* () {
      const bodies = yield* Effect.forEach([true, false], (streamUsage) =>
        Effect.gen(function* () {
          const server = yield* receiving({})
          yield* Effect.flip(stream(server.url, { api: "chat", compatibility: { streamUsage } }))
          return server.received[0]?.body["stream_options"]
        })
      )
      assert.deepStrictEqual(bodies, [{ include_usage: true }, undefined])
    })
  )
})

describe("the Responses API of another server", () => {
  it.effect("that never says the response is complete has not answered", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        stream(
          yield* streaming([
            { type: "response.created", response: response([], { status: "in_progress" }) },
            { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "Hi" },
            { type: "response.output_item.done", output_index: 0, item: message("Hi") },
            "[DONE]"
          ]),
          { api: "responses" }
        )
      )
      assert.strictEqual(error.reason._tag, "NetworkError")
      assert.isTrue(error.message.includes("response.completed"))
    })
  )

  it.effect("that says all only at the end is heard", () =>
    Effect.gen(function* () {
      const parts = yield* stream(
        yield* streaming([{ type: "response.completed", response: response([message("Hi")]) }]),
        { api: "responses" }
      )
      assert.deepStrictEqual(
        parts.map((part) => part.type),
        ["response-metadata", "text-start", "text-delta", "text-end", "finish"]
      )
    })
  )
})

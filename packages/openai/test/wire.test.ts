import { assert, describe, it } from "@effect/vitest"
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { OpenAiLanguageModel } from "../src/index.ts"
import { call, chunk, completion, message, response, text, usage } from "./fixtures.ts"
import { answering, apis, modelAt, serve, streaming, Tools, ToolsLive } from "./support.ts"

const ask = (url: string, api: OpenAiLanguageModel.Api) =>
  LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(modelAt(url, { api })))

const collect = (url: string, api: OpenAiLanguageModel.Api) =>
  LanguageModel.streamText({ prompt: "hello" }).pipe(Stream.runCollect, Effect.provide(modelAt(url, { api })))

/** A server that keeps the bodies it gets. */
const recording = (api: OpenAiLanguageModel.Api) =>
  Effect.gen(function* () {
    const bodies: Array<Record<string, unknown>> = []
    const url = yield* serve((_, reply, body) => {
      bodies.push(Schema.decodeSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))(body))
      reply.writeHead(200, { "content-type": "application/json" })
      reply.end(JSON.stringify(text(api, "ok")))
    })
    return { url, bodies }
  })

for (const api of apis) {
  describe(`the wire of ${api}`, () => {
    it.effect("counts cached and reasoning tokens apart", () =>
      Effect.gen(function* () {
        const answer = yield* ask(yield* answering(text(api, "hi")), api)
        assert.deepStrictEqual(
          { ...answer.usage.inputTokens },
          {
            uncached: 40,
            total: 100,
            cacheRead: 60,
            cacheWrite: undefined
          }
        )
        assert.deepStrictEqual({ ...answer.usage.outputTokens }, { total: 50, text: 20, reasoning: 30 })
      })
    )

    it.effect("says when the token limit cut the answer, and drops the call it cut", () =>
      Effect.gen(function* () {
        const url = yield* answering(
          api === "chat"
            ? completion(
                {
                  tool_calls: [{ id: "call_1", function: { name: "get_weather", arguments: '{"ci' } }]
                },
                "length"
              )
            : response(
                [
                  {
                    type: "function_call",
                    call_id: "call_1",
                    name: "get_weather",
                    arguments: '{"ci',
                    status: "incomplete"
                  }
                ],
                { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } }
              )
        )
        const answer = yield* LanguageModel.generateText({ prompt: "hello", toolkit: Tools }).pipe(
          Effect.provide([ToolsLive, modelAt(url, { api })])
        )
        assert.strictEqual(answer.finishReason, "length")
        assert.strictEqual(answer.toolCalls.length, 0)
      })
    )

    it.effect("gives a refusal as text that is marked", () =>
      Effect.gen(function* () {
        const url = yield* answering(
          api === "chat" ? completion({ refusal: "I can't." }) : response([message("I can't.", "refusal")])
        )
        const answer = yield* ask(url, api)
        assert.strictEqual(answer.text, "I can't.")
        assert.strictEqual(answer.finishReason, "content-filter")
        assert.deepStrictEqual(answer.content.find((part) => part.type === "text")?.metadata, {
          openai: { refusal: true }
        })
      })
    )

    it.effect("fails for good when an object is refused", () =>
      Effect.gen(function* () {
        const url = yield* answering(
          api === "chat" ? completion({ refusal: "I can't." }) : response([message("I can't.", "refusal")])
        )
        const error = yield* Effect.flip(
          LanguageModel.generateObject({
            prompt: "hello",
            schema: Schema.Struct({ a: Schema.String })
          }).pipe(Effect.provide(modelAt(url, { api })))
        )
        assert.strictEqual(error.reason._tag, "ContentPolicyError")
        assert.isFalse(error.isRetryable)
      })
    )

    it.effect("reports arguments that are malformed JSON", () =>
      Effect.gen(function* () {
        const url = yield* answering(call(api, '{"city": Oslo'))
        const error = yield* Effect.flip(
          LanguageModel.generateText({ prompt: "hello", toolkit: Tools }).pipe(
            Effect.provide([ToolsLive, modelAt(url, { api })])
          )
        )
        assert.strictEqual(error.reason._tag, "ToolParameterValidationError")
      })
    )

    it.effect("leaves malformed arguments to a caller that validates calls itself", () =>
      Effect.gen(function* () {
        const url = yield* answering(call(api, '{"city": Oslo'))
        const answer = yield* LanguageModel.generateText({
          prompt: "hello",
          toolkit: Tools,
          disableToolCallResolution: true,
          toolCallValidation: "deferred"
        }).pipe(Effect.provide([ToolsLive, modelAt(url, { api })]))
        assert.strictEqual(answer.toolCalls[0]?.params, '{"city": Oslo')
      })
    )

    it.effect("reports a body that is not JSON, and one of another shape", () =>
      Effect.gen(function* () {
        for (const body of ["<html>gateway</html>", '{"id": "r", "outp', "{}", ""]) {
          const error = yield* Effect.flip(ask(yield* answering(body), api))
          assert.strictEqual(error.reason._tag, "InvalidResponseError")
        }
      })
    )

    it.effect("reports a stream event that is not JSON", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(collect(yield* streaming(["{nope"]), api))
        assert.strictEqual(error.reason._tag, "InvalidResponseError")
      })
    )

    it.effect("fails when a stream ends politely but too early", () =>
      Effect.gen(function* () {
        const events = {
          responses: [
            { type: "response.created", response: response([], { status: "in_progress" }) },
            {
              type: "response.output_text.delta",
              output_index: 0,
              content_index: 0,
              delta: "Once"
            }
          ],
          chat: [chunk({ content: "Once" })]
        }
        const seen: Array<string> = []
        const error = yield* Effect.flip(
          LanguageModel.streamText({ prompt: "hello" }).pipe(
            Stream.runForEach((part) => Effect.sync(() => seen.push(part.type))),
            Effect.provide(modelAt(yield* streaming(events[api]), { api }))
          )
        )
        assert.deepStrictEqual(seen, ["response-metadata", "text-start", "text-delta"])
        assert.strictEqual(error.reason._tag, "NetworkError")
        assert.isTrue(error.message.includes("cut"))
      })
    )

    it.effect("fails when the provider reports an error inside a stream", () =>
      Effect.gen(function* () {
        const error = { code: "rate_limit_exceeded", message: "too fast" }
        const events = {
          responses: [{ type: "response.failed", response: response([], { status: "failed", error }) }],
          chat: [chunk({ content: "Once" }), { error }]
        }
        const failure = yield* Effect.flip(collect(yield* streaming(events[api]), api))
        assert.strictEqual(failure.reason._tag, "RateLimitError")
      })
    )

    const failures: ReadonlyArray<{
      readonly name: string
      readonly status: number
      readonly headers?: Record<string, string>
      readonly error?: object
      readonly reason: AiError.AiErrorReason["_tag"]
      readonly retryAfter?: Duration.Duration
    }> = [
      {
        name: "a bad request",
        status: 400,
        error: { param: "temperature" },
        reason: "InvalidRequestError"
      },
      {
        name: "a filtered prompt",
        status: 400,
        error: { code: "content_filter" },
        reason: "ContentPolicyError"
      },
      { name: "a key without rights", status: 403, reason: "AuthenticationError" },
      {
        name: "an unknown model",
        status: 404,
        error: { code: "model_not_found" },
        reason: "InvalidRequestError"
      },
      {
        name: "an exhausted quota",
        status: 429,
        error: { code: "insufficient_quota" },
        reason: "QuotaExhaustedError"
      },
      {
        name: "a rate limit in milliseconds",
        status: 429,
        headers: { "retry-after-ms": "250", "retry-after": "1" },
        reason: "RateLimitError",
        retryAfter: Duration.millis(250)
      },
      {
        name: "a rate limit until a date",
        status: 429,
        headers: {
          date: "Fri, 01 May 2026 10:00:00 GMT",
          "retry-after": "Fri, 01 May 2026 10:00:30 GMT"
        },
        reason: "RateLimitError",
        retryAfter: Duration.seconds(30)
      },
      {
        name: "an overload with a date to come back",
        status: 503,
        headers: { "retry-after": "5" },
        reason: "RateLimitError",
        retryAfter: Duration.seconds(5)
      },
      { name: "an overload", status: 503, reason: "InternalProviderError" },
      { name: "an unreadable error body", status: 502, reason: "InternalProviderError" }
    ]
    for (const failure of failures) {
      it.effect(`maps ${failure.name} to ${failure.reason}`, () =>
        Effect.gen(function* () {
          const body =
            failure.status === 502 ? "<html>bad gateway</html>" : { error: { message: "no", ...failure.error } }
          const error = yield* Effect.flip(ask(yield* answering(body, failure.status, failure.headers), api))
          assert.strictEqual(error.reason._tag, failure.reason)
          assert.deepStrictEqual(error.retryAfter, failure.retryAfter)
        })
      )
    }

    it.effect("sends tools in strict form where they have one", () =>
      Effect.gen(function* () {
        const Loose = Tool.dynamic("loose", {
          parameters: { type: "object", properties: { a: { type: "string" } } }
        })
        const Empty = Tool.make("ping", { success: Schema.String })
        const toolkit = Toolkit.make(...Object.values(Tools.tools), Loose, Empty)
        const server = yield* recording(api)
        yield* LanguageModel.generateText({
          prompt: "hello",
          toolkit,
          disableToolCallResolution: true,
          toolChoice: { tool: "ping" }
        }).pipe(Effect.provide(modelAt(server.url, { api, config: { parallelToolCalls: false } })))
        const [body] = server.bodies
        const tools = JSON.stringify(body?.["tools"])
        assert.isTrue(tools.includes('"required":["city","unit"]'))
        assert.isTrue(tools.includes('"strict":true'))
        assert.isTrue(tools.includes('{"type":"object","properties":{"a":{"type":"string"}}}'))
        assert.isTrue(tools.includes('"strict":false'))
        assert.isFalse(body?.["parallel_tool_calls"])
        assert.deepStrictEqual(
          body?.["tool_choice"],
          api === "chat" ? { type: "function", function: { name: "ping" } } : { type: "function", name: "ping" }
        )
      })
    )

    it.effect("sends images and files", () =>
      Effect.gen(function* () {
        const server = yield* recording(api)
        yield* LanguageModel.generateText({
          prompt: [
            { role: "system", content: "You see." },
            {
              role: "user",
              content: [
                { type: "text", text: "What is this?" },
                { type: "file", mediaType: "image/png", data: new Uint8Array([1, 2, 3]) },
                {
                  type: "file",
                  mediaType: "image/png",
                  data: new URL("https://example.com/a.png")
                },
                { type: "file", mediaType: "application/pdf", fileName: "a.pdf", data: "AQID" }
              ]
            }
          ]
        }).pipe(Effect.provide(modelAt(server.url, { api })))
        const sent = JSON.stringify(server.bodies[0])
        for (const part of [
          '"role":"system"',
          "data:image/png;base64,AQID",
          "https://example.com/a.png",
          '"filename":"a.pdf"',
          "data:application/pdf;base64,AQID"
        ]) {
          assert.isTrue(sent.includes(part), part)
        }
      })
    )

    it.effect("says which settings it was given, and no others", () =>
      Effect.gen(function* () {
        const server = yield* recording(api)
        yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
          Effect.provide(
            modelAt(server.url, {
              api,
              model: "gpt-5.1",
              config: { maxOutputTokens: 90, reasoningEffort: "low" }
            })
          )
        )
        assert.deepStrictEqual(
          Object.keys(server.bodies[0] ?? {}).toSorted(),
          api === "chat"
            ? ["max_completion_tokens", "messages", "model", "reasoning_effort"]
            : ["include", "input", "max_output_tokens", "model", "reasoning", "store"]
        )
      })
    )
  })
}

describe("reasoning", () => {
  const item = {
    type: "reasoning",
    id: "rs_1",
    summary: [{ type: "summary_text", text: "I think" }],
    encrypted_content: "opaque"
  }

  it.effect("goes back to the Responses API as it came, ahead of the call it led to", () =>
    Effect.gen(function* () {
      const bodies: Array<string> = []
      const url = yield* serve((_, reply, body) => {
        bodies.push(body)
        reply.writeHead(200, { "content-type": "application/json" })
        reply.end(
          JSON.stringify(
            response(
              bodies.length === 1
                ? [
                    item,
                    {
                      type: "function_call",
                      call_id: "call_1",
                      name: "get_weather",
                      arguments: '{"city":"Oslo","unit":null}'
                    }
                  ]
                : [message("3")]
            )
          )
        )
      })
      yield* Effect.gen(function* () {
        const first = yield* LanguageModel.generateText({ prompt: "weather", toolkit: Tools })
        assert.strictEqual(first.reasoningText, "I think")
        yield* LanguageModel.generateText({
          prompt: Prompt.concat(Prompt.make("weather"), Prompt.fromResponseParts(first.content)),
          toolkit: Tools
        })
      }).pipe(Effect.provide([ToolsLive, modelAt(url, { model: "gpt-5.1" })]))
      const sent = yield* Schema.decodeUnknownEffect(
        Schema.fromJsonString(Schema.Struct({ input: Schema.Array(Schema.Record(Schema.String, Schema.Unknown)) }))
      )(bodies[1])
      assert.deepStrictEqual(sent.input[1], item)
      assert.deepStrictEqual(
        sent.input.map((entry) => entry["type"] ?? entry["role"]),
        ["user", "reasoning", "function_call", "function_call_output"]
      )
    })
  )

  it.effect("streams its summaries, and ends with what it takes to send it back", () =>
    Effect.gen(function* () {
      const summary = (summary_index: number, delta: string) => ({
        type: "response.reasoning_summary_text.delta",
        item_id: "rs_1",
        output_index: 0,
        summary_index,
        delta
      })
      const url = yield* streaming([
        { type: "response.created", response: response([], { status: "in_progress" }) },
        {
          type: "response.output_item.added",
          output_index: 0,
          item: { type: "reasoning", id: "rs_1", summary: [] }
        },
        summary(0, "I "),
        summary(0, "think"),
        summary(1, "again"),
        { type: "response.output_item.done", output_index: 0, item },
        { type: "response.something_new", whatever: 1 },
        { type: "response.completed", response: response([item]) }
      ])
      const parts = yield* collect(url, "responses")
      assert.strictEqual(
        parts.flatMap((part) => (part.type === "reasoning-delta" ? [part.delta] : [])).join(""),
        "I think\n\nagain"
      )
      assert.deepStrictEqual(parts.find((part) => part.type === "reasoning-end")?.metadata, {
        openai: { itemId: "rs_1", encryptedContent: "opaque" }
      })
    })
  )

  it.effect("of a compatible server is its own part, before the text", () =>
    Effect.gen(function* () {
      const url = yield* streaming([
        chunk({ role: "assistant", reasoning_content: "hm" }),
        chunk({ content: "Hi" }),
        chunk({}, "stop"),
        { ...chunk({}), choices: [], usage: usage.chat },
        "[DONE]"
      ])
      const parts = yield* collect(url, "chat")
      assert.deepStrictEqual(
        parts.map((part) => part.type),
        [
          "response-metadata",
          "reasoning-start",
          "reasoning-delta",
          "reasoning-end",
          "text-start",
          "text-delta",
          "text-end",
          "finish"
        ]
      )
      const last = parts.at(-1)
      assert.strictEqual(last?.type === "finish" ? last.usage.outputTokens.reasoning : undefined, 30)
    })
  )
})

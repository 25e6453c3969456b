import * as History from "@selvage/provider/History"
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as ResponseIdTracker from "effect/ai/ResponseIdTracker"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { OpenAiClient, OpenAiLanguageModel } from "../src/index.ts"
import { completion, message, response, text } from "./fixtures.ts"
import { answering, apis, key, modelAt, receiving, serve, streaming, Tools, ToolsLive } from "./support.ts"

const breakpoint = { prompt_cache_breakpoint: { mode: "explicit" } }

const marked = Prompt.make([
  { role: "system", content: "A handbook", options: { openai: { cacheBreakpoint: true } } },
  {
    role: "user",
    content: [
      { type: "text", text: "Read this", options: { openai: { cacheBreakpoint: true } } },
      {
        type: "file",
        mediaType: "image/png",
        data: new URL("https://example.com/a.png"),
        options: { openai: { imageDetail: "high", cacheBreakpoint: true } }
      }
    ]
  }
])

describe("options of a request", () => {
  const settings: OpenAiLanguageModel.Config = {
    temperature: 0.2,
    reasoningEffort: "none",
    metadata: { team: "warehouse" },
    store: true,
    user: "u-1",
    safetyIdentifier: "hash",
    serviceTier: "flex",
    verbosity: "low",
    promptCache: { key: "handbook", mode: "explicit", ttl: "30m", retention: "24h" },
    headers: { "x-trace": "t-1" }
  }

  for (const api of apis) {
    it.effect(`reach ${api}, per call`, () =>
      Effect.gen(function* () {
        const server = yield* receiving(text(api, "ok"))
        yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
          OpenAiLanguageModel.withConfig(settings),
          Effect.provide(modelAt(server.url, { api, model: "gpt-5.6-sol" }))
        )
        const [request] = server.received
        assert.strictEqual(request?.headers["x-trace"], "t-1")
        const shared = {
          temperature: 0.2,
          metadata: { team: "warehouse" },
          user: "u-1",
          safety_identifier: "hash",
          service_tier: "flex",
          prompt_cache_key: "handbook",
          prompt_cache_options: { mode: "explicit", ttl: "30m" },
          prompt_cache_retention: "24h"
        }
        const own =
          api === "chat"
            ? { reasoning_effort: "none", verbosity: "low" }
            : { reasoning: { effort: "none" }, text: { verbosity: "low" } }
        for (const [name, value] of Object.entries({ ...shared, ...own })) {
          assert.deepStrictEqual(request?.body[name], value, name)
        }
      })
    )

    it.effect(`mark where a cached prefix ends over ${api}`, () =>
      Effect.gen(function* () {
        const server = yield* receiving(text(api, "ok"))
        yield* LanguageModel.generateText({ prompt: marked }).pipe(Effect.provide(modelAt(server.url, { api })))
        const sent = server.received[0]?.body[api === "chat" ? "messages" : "input"]
        const url = "https://example.com/a.png"
        assert.deepStrictEqual(
          sent,
          api === "chat"
            ? [
                { role: "system", content: [{ type: "text", text: "A handbook", ...breakpoint }] },
                {
                  role: "user",
                  content: [
                    { type: "text", text: "Read this", ...breakpoint },
                    { type: "image_url", image_url: { url, detail: "high" }, ...breakpoint }
                  ]
                }
              ]
            : [
                { role: "system", content: [{ type: "input_text", text: "A handbook", ...breakpoint }] },
                {
                  role: "user",
                  content: [
                    { type: "input_text", text: "Read this", ...breakpoint },
                    { type: "input_image", image_url: url, detail: "high", ...breakpoint }
                  ]
                }
              ]
        )
      })
    )

    it.effect(`of another shape, or another provider, are ignored over ${api}`, () =>
      Effect.gen(function* () {
        const server = yield* receiving(text(api, "ok"))
        const stored = yield* Schema.decodeUnknownEffect(Prompt.Prompt)({
          content: [
            {
              role: "user",
              content: [{ type: "text", text: "hi", options: { openai: { cacheBreakpoint: "yes" }, other: { a: 1 } } }]
            }
          ]
        })
        yield* LanguageModel.generateText({ prompt: stored }).pipe(Effect.provide(modelAt(server.url, { api })))
        assert.isFalse(JSON.stringify(server.received[0]?.body).includes("breakpoint"))
      })
    )

    it.effect(`send an uploaded file by its id over ${api}`, () =>
      Effect.gen(function* () {
        const server = yield* receiving(text(api, "ok"))
        yield* LanguageModel.generateText({
          prompt: [{ role: "user", content: [{ type: "file", mediaType: "application/pdf", data: "file-abc123" }] }]
        }).pipe(Effect.provide(modelAt(server.url, { api })))
        const sent = JSON.stringify(server.received[0]?.body)
        assert.isTrue(sent.includes('"file_id":"file-abc123"'))
        assert.isFalse(sent.includes("base64"))
      })
    )
  }

  it.effect("let Chat Completions hear a recording", () =>
    Effect.gen(function* () {
      const server = yield* receiving(completion({ content: "a drill" }))
      yield* LanguageModel.generateText({
        prompt: [
          { role: "user", content: [{ type: "file", mediaType: "audio/mpeg", data: new Uint8Array([1, 2, 3]) }] }
        ]
      }).pipe(Effect.provide(modelAt(server.url, { api: "chat" })))
      assert.deepStrictEqual(server.received[0]?.body["messages"], [
        { role: "user", content: [{ type: "input_audio", input_audio: { data: "AQID", format: "mp3" } }] }
      ])
    })
  )

  it.effect("that Chat Completions does not have are refused, not dropped", () =>
    Effect.gen(function* () {
      const server = yield* receiving(completion({ content: "ok" }))
      const error = yield* Effect.flip(
        LanguageModel.generateText({ prompt: "hello" }).pipe(
          Effect.provide(modelAt(server.url, { api: "chat", config: { promptCache: { ttl: "12h" } } }))
        )
      )
      assert.strictEqual(error.reason._tag, "InvalidUserInputError")
      assert.strictEqual(server.received.length, 0)
    })
  )

  const only: Record<OpenAiLanguageModel.Api, OpenAiLanguageModel.Config> = {
    responses: {
      reasoningSummary: "auto",
      reasoningContext: "all_turns",
      maxToolCalls: 2,
      previousResponseId: "resp_9",
      conversation: "conv_1"
    },
    chat: { seed: 7, stop: ["END"], frequencyPenalty: 0.5, presencePenalty: 0 }
  }
  const names = { responses: "the Responses API", chat: "Chat Completions" }

  for (const api of apis) {
    const other = api === "chat" ? "responses" : "chat"

    it.effect(`that only ${other} has are refused over ${api} before anything is sent, each by its name`, () =>
      Effect.gen(function* () {
        const server = yield* receiving(text(api, "ok"))
        const model = modelAt(server.url, { api })
        for (const [name, value] of Object.entries(only[other])) {
          const given = OpenAiLanguageModel.withConfig({ temperature: 0, store: false, [name]: value })
          const errors = [
            yield* Effect.flip(LanguageModel.generateText({ prompt: "hello" }).pipe(given, Effect.provide(model))),
            yield* Effect.flip(
              LanguageModel.streamText({ prompt: "hello" }).pipe(Stream.runDrain, given, Effect.provide(model))
            )
          ]
          for (const error of errors) {
            assert.strictEqual(error.reason._tag, "InvalidUserInputError")
            assert.include(error.message, `${name}: only ${names[other]} has it`)
          }
        }
        assert.strictEqual(server.received.length, 0)
      })
    )

    it.effect(`that only ${other} has are named together over ${api}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(
          LanguageModel.generateText({ prompt: "hello" }).pipe(
            Effect.provide(modelAt("http://127.0.0.1:1/v1", { api, config: only[other] }))
          )
        )
        assert.include(error.message, `${Object.keys(only[other]).join(", ")}: only ${names[other]} has them`)
      })
    )

    it.effect(`that ${api} has, and those that hold undefined, are not refused`, () =>
      Effect.gen(function* () {
        const server = yield* receiving(text(api, "ok"))
        const absent = Object.fromEntries(Object.keys(only[other]).map((name) => [name, undefined]))
        yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
          Effect.provide(modelAt(server.url, { api, model: "a-deployment", config: { ...only[api], ...absent } }))
        )
        assert.strictEqual(server.received.length, 1)
      })
    )
  }
})

describe("continuing a stored response", () => {
  it.effect("happens by itself with a ResponseIdTracker: only what is new is sent", () =>
    Effect.gen(function* () {
      const server = yield* receiving(
        response([message("Hi")], { id: "resp_1" }),
        response([message("Bye")], { id: "resp_2" })
      )
      yield* Effect.gen(function* () {
        const question = Prompt.make("hello")
        const first = yield* LanguageModel.generateText({ prompt: question })
        yield* LanguageModel.generateText({
          prompt: Prompt.concat(Prompt.concat(question, Prompt.fromResponseParts(first.content)), "bye")
        })
      }).pipe(
        Effect.provide(modelAt(server.url, { config: { store: true } })),
        Effect.provideServiceEffect(ResponseIdTracker.ResponseIdTracker, ResponseIdTracker.make)
      )
      assert.isUndefined(server.received[0]?.body["previous_response_id"])
      assert.strictEqual(server.received[1]?.body["previous_response_id"], "resp_1")
      assert.deepStrictEqual(server.received[1]?.body["input"], [
        { role: "user", content: [{ type: "input_text", text: "bye" }] }
      ])
    })
  )

  it.effect("falls back to the whole conversation when OpenAI forgot it", () =>
    Effect.gen(function* () {
      const inputs: Array<number> = []
      const url = yield* serve((_, reply, body) => {
        const sent = Schema.decodeSync(
          Schema.fromJsonString(
            Schema.Struct({
              previous_response_id: Schema.optional(Schema.String),
              input: Schema.Array(Schema.Unknown)
            })
          )
        )(body)
        inputs.push(sent.input.length)
        const forgotten = sent.previous_response_id !== undefined
        reply.writeHead(forgotten ? 400 : 200, { "content-type": "application/json" })
        reply.end(
          JSON.stringify(
            forgotten
              ? { error: { message: "Previous response not found.", code: "previous_response_not_found" } }
              : response([message("Hi")])
          )
        )
      })
      const answer = yield* Effect.gen(function* () {
        const question = Prompt.make("hello")
        const first = yield* LanguageModel.generateText({ prompt: question })
        return yield* LanguageModel.generateText({
          prompt: Prompt.concat(Prompt.concat(question, Prompt.fromResponseParts(first.content)), "bye")
        })
      }).pipe(
        Effect.provide(modelAt(url, { config: { store: true } })),
        Effect.provideServiceEffect(ResponseIdTracker.ResponseIdTracker, ResponseIdTracker.make)
      )
      assert.strictEqual(answer.text, "Hi")
      assert.deepStrictEqual(inputs, [1, 1, 3])
    })
  )

  it.effect("by an id, or in a conversation, that the caller keeps", () =>
    Effect.gen(function* () {
      const server = yield* receiving(response([message("Hi")]))
      const model = modelAt(server.url)
      yield* LanguageModel.generateText({ prompt: "and now?" }).pipe(
        OpenAiLanguageModel.withConfig({ previousResponseId: "resp_9" }),
        Effect.provide(model)
      )
      yield* LanguageModel.generateText({ prompt: "and now?" }).pipe(
        OpenAiLanguageModel.withConfig({ conversation: "conv_1" }),
        Effect.provide(model)
      )
      assert.deepStrictEqual(
        server.received.map(({ body }) => [body["previous_response_id"], body["conversation"]]),
        [
          ["resp_9", undefined],
          [undefined, "conv_1"]
        ]
      )
    })
  )
})

describe("reasoning across turns", () => {
  const items = [
    {
      type: "reasoning",
      id: "rs_1",
      summary: [
        { type: "summary_text", text: "First" },
        { type: "summary_text", text: "Second" }
      ],
      encrypted_content: "opaque"
    },
    { type: "reasoning", id: "rs_2", summary: [], encrypted_content: "sealed" },
    { type: "reasoning", id: "rs_3", summary: [], content: [{ type: "reasoning_text", text: "I think aloud" }] }
  ]

  const finished = [...items, message("ok")].map((item, output_index) => ({
    type: "response.output_item.done",
    output_index,
    item
  }))

  it.effect("goes back as it came: several summaries, none, or the thoughts themselves", () =>
    Effect.gen(function* () {
      const whole = yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
        Effect.provide(modelAt(yield* answering(response([...items, message("ok")]))))
      )
      const url = yield* streaming([
        ...finished,
        { type: "response.completed", response: response([...items, message("ok")]) }
      ])
      const streamed = yield* LanguageModel.streamText({ prompt: "hello" }).pipe(
        Stream.runCollect,
        Effect.provide(modelAt(url))
      )
      const server = yield* receiving(response([message("ok")]))
      for (const content of [whole.content, streamed]) {
        yield* LanguageModel.generateText({
          prompt: Prompt.concat(Prompt.fromResponseParts(content), "go on")
        }).pipe(Effect.provide(modelAt(server.url, { model: "gpt-5.1" })))
      }
      for (const { body } of server.received) {
        const { input } = yield* Schema.decodeUnknownEffect(Schema.Struct({ input: Schema.Array(Schema.Unknown) }))(
          body
        )
        assert.deepStrictEqual(input.slice(0, 3), items)
        assert.deepInclude(input[3], { role: "assistant", content: "ok" })
      }
    })
  )

  it.effect("goes back over Chat Completions where the server takes it", () =>
    Effect.gen(function* () {
      const server = yield* receiving(completion({ reasoning_content: "hm", content: "3" }))
      yield* Effect.gen(function* () {
        const first = yield* LanguageModel.generateText({ prompt: "hello" })
        assert.strictEqual(first.reasoningText, "hm")
        yield* LanguageModel.generateText({ prompt: Prompt.fromResponseParts(first.content) })
      }).pipe(Effect.provide(modelAt(server.url, { api: "chat", compatibility: { reasoning: "reasoning_content" } })))
      assert.deepStrictEqual(server.received[1]?.body["messages"], [
        { role: "assistant", content: "3", reasoning_content: "hm" },
        { role: "user", content: History.proceed }
      ])
    })
  )
})

describe("counting tokens", () => {
  const client = (baseUrl: string) => OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl })

  it.effect("asks OpenAI, with everything that would be sent", () =>
    Effect.gen(function* () {
      const server = yield* receiving({ object: "response.input_tokens", input_tokens: 42 })
      const tokens = yield* OpenAiLanguageModel.countTokens({
        model: "gpt-5.1",
        prompt: "hello",
        toolkit: Tools,
        schema: Schema.Struct({ order: Schema.Boolean })
      }).pipe(Effect.provide(client(server.url)))
      assert.strictEqual(tokens, 42)
      const [request] = server.received
      assert.strictEqual(request?.path, "/v1/responses/input_tokens")
      assert.deepStrictEqual(Object.keys(request?.body ?? {}).toSorted(), [
        "input",
        "model",
        "text",
        "tool_choice",
        "tools"
      ])
    })
  )

  it.effect("ignores options that do not change the count, also those of Chat Completions", () =>
    Effect.gen(function* () {
      const server = yield* receiving({ object: "response.input_tokens", input_tokens: 42 })
      yield* OpenAiLanguageModel.countTokens({
        model: "gpt-5.1",
        prompt: "hello",
        config: { seed: 7, stop: ["END"], temperature: 0, previousResponseId: "resp_9" }
      }).pipe(Effect.provide(client(server.url)))
      assert.deepStrictEqual(Object.keys(server.received[0]?.body ?? {}).toSorted(), [
        "input",
        "model",
        "previous_response_id"
      ])
    })
  )

  it.effect("fails as a call does", () =>
    Effect.gen(function* () {
      const url = yield* answering({ error: { message: "slow down" } }, 429, { "retry-after": "2" })
      const error = yield* Effect.flip(
        OpenAiLanguageModel.countTokens({ model: "gpt-5.1", prompt: "hello" }).pipe(Effect.provide(client(url)))
      )
      assert.strictEqual(error.reason._tag, "RateLimitError")
      assert.strictEqual(error.method, "countTokens")
    })
  )
})

describe("metadata of an answer", () => {
  it.effect("says why it ended in the provider's words, also where effect/ai has none", () =>
    Effect.gen(function* () {
      const cut = response([message("Once")], {
        status: "incomplete",
        incomplete_details: { reason: "max_output_tokens" }
      })
      const url = yield* answering(cut)
      const answer = yield* LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(modelAt(url)))
      const odd = yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
        Effect.provide(modelAt(yield* answering(completion({ content: "hi" }, "eos")), { api: "chat" }))
      )
      const reasons = [answer, odd].map((answer) => {
        const finish = answer.content.find((part) => part.type === "finish")
        return [finish?.reason, finish?.metadata.openai?.stopReason]
      })
      assert.deepStrictEqual(reasons, [
        ["length", "max_output_tokens"],
        ["other", "eos"]
      ])
    })
  )

  it.effect("holds the rate limits of the response, streamed or not", () =>
    Effect.gen(function* () {
      const headers = { "x-ratelimit-remaining-requests": "99", "set-cookie": "secret=1", "x-request-id": "req_1" }
      const url = yield* answering(response([message("hi")]), 200, headers)
      const answer = yield* LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(modelAt(url)))
      const finish = answer.content.find((part) => part.type === "finish")
      assert.deepStrictEqual(finish?.response?.headers, {
        "content-type": "application/json",
        "x-ratelimit-remaining-requests": "99",
        "x-request-id": "req_1"
      })
      const streamUrl = yield* streaming([{ type: "response.completed", response: response([message("hi")]) }])
      const parts = yield* LanguageModel.streamText({ prompt: "hello" }).pipe(
        Stream.runCollect,
        Effect.provide(modelAt(streamUrl))
      )
      const last = parts.at(-1)
      assert.strictEqual(last?.type === "finish" ? last.response?.status : undefined, 200)
    })
  )

  it.effect("keeps the phase of a text, and sends it back", () =>
    Effect.gen(function* () {
      const server = yield* receiving(response([{ ...message("I look"), phase: "commentary" }]))
      yield* Effect.gen(function* () {
        const first = yield* LanguageModel.generateText({ prompt: "hello", toolkit: Tools })
        yield* LanguageModel.generateText({ prompt: Prompt.fromResponseParts(first.content) })
      }).pipe(Effect.provide([ToolsLive, modelAt(server.url)]))
      assert.deepStrictEqual(server.received[1]?.body["input"], [
        { role: "assistant", content: "I look", phase: "commentary" },
        { role: "user", content: [{ type: "input_text", text: History.proceed }] }
      ])
    })
  )
})

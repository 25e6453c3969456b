import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { AnthropicLanguageModel } from "../src/index.ts"
import { against, message, mock, modelName, serveJson, serveSse, sse, started, stopped, textBlock } from "./servers.ts"

const Stock = Tool.make("check_stock", {
  description: "Units of a product in the warehouse",
  parameters: Schema.Struct({ sku: Schema.String }),
  success: Schema.Struct({ units: Schema.Int })
})
const tools = Toolkit.make(Stock)
const handlers = tools.toLayer({ check_stock: ({ sku }) => Effect.succeed({ units: sku.length }) })

const call = (id: string, sku: string) => ({ id, name: "check_stock", arguments: JSON.stringify({ sku }) })
const types = (parts: ReadonlyArray<{ readonly type: string }>) => parts.map((part) => part.type)

describe("against aimock", () => {
  it.effect("answers with text, usage, stop reason and the response's id and model", () =>
    Effect.gen(function* () {
      const server = yield* mock
      server.onMessage("hello", {
        content: "Hi there!",
        id: "msg_42",
        usage: { input_tokens: 12, output_tokens: 3 }
      })
      const response = yield* LanguageModel.generateText({ prompt: "hello" }).pipe(against(server.url))
      assert.strictEqual(response.text, "Hi there!")
      assert.strictEqual(response.finishReason, "stop")
      assert.strictEqual(response.usage.inputTokens.total, 12)
      assert.strictEqual(response.usage.outputTokens.total, 3)
      const metadata = response.content.find((part) => part.type === "response-metadata")
      assert.strictEqual(metadata?.id, "msg_42")
      assert.strictEqual(metadata?.modelId, modelName)
    })
  )

  it.effect("streams text as it comes and finishes with usage", () =>
    Effect.gen(function* () {
      const server = yield* mock
      server.onMessage("hello", { content: "Hi there, friend!", usage: { input_tokens: 12, output_tokens: 6 } })
      const parts = yield* LanguageModel.streamText({ prompt: "hello" }).pipe(Stream.runCollect, against(server.url))
      const deltas = parts.filter((part) => part.type === "text-delta").map((part) => part.delta)
      assert.isAbove(deltas.length, 1)
      assert.strictEqual(deltas.join(""), "Hi there, friend!")
      const finish = parts.at(-1)
      assert.isTrue(finish?.type === "finish" && finish.reason === "stop")
      assert.isTrue(finish?.type === "finish" && finish.usage.outputTokens.total === 6)
      assert.isTrue(finish?.type === "finish" && finish.usage.inputTokens.total === 12)
    })
  )

  it.effect("calls tools in parallel and sends their results back in one turn", () =>
    Effect.gen(function* () {
      const server = yield* mock
      server.on(
        { userMessage: "stock", hasToolResult: false },
        { toolCalls: [call("toolu_1", "A"), call("toolu_2", "BB")] }
      )
      server.on({ toolCallId: "toolu_2" }, { content: "One and two." })
      const first = yield* LanguageModel.generateText({ prompt: "stock of A and BB?", toolkit: tools }).pipe(
        Effect.provide(handlers),
        against(server.url)
      )
      assert.strictEqual(first.finishReason, "tool-calls")
      assert.deepStrictEqual(
        first.toolResults.map((part) => part.result),
        [{ units: 1 }, { units: 2 }]
      )
      const prompt = Prompt.concat(Prompt.make("stock of A and BB?"), Prompt.fromResponseParts(first.content))
      const second = yield* LanguageModel.generateText({ prompt, toolkit: tools }).pipe(
        Effect.provide(handlers),
        against(server.url)
      )
      assert.strictEqual(second.text, "One and two.")
      const sent: any = server.getLastRequest()?.body
      assert.deepStrictEqual(
        sent.messages.slice(-2).map((message: any) => [message.role, message.content]),
        [
          ["tool", '{"units":1}'],
          ["tool", '{"units":2}']
        ]
      )
    })
  )

  it.effect("streams the arguments of a tool call, then the call and its result", () =>
    Effect.gen(function* () {
      const server = yield* mock
      server.onMessage("stock", { toolCalls: [call("toolu_1", "A-100")] })
      const parts = yield* LanguageModel.streamText({ prompt: "stock?", toolkit: tools }).pipe(
        Stream.runCollect,
        Effect.provide(handlers),
        against(server.url)
      )
      const json = parts.filter((part) => part.type === "tool-params-delta").map((part) => part.delta)
      assert.isAbove(json.length, 1)
      assert.strictEqual(json.join(""), '{"sku":"A-100"}')
      assert.deepStrictEqual(
        types(parts).filter((type) => type !== "tool-params-delta"),
        ["response-metadata", "tool-params-start", "tool-params-end", "tool-call", "tool-result", "finish"]
      )
    })
  )

  it.effect("fills a schema, optional fields included", () =>
    Effect.gen(function* () {
      const server = yield* mock
      server.onMessage("decide", { content: '{"sku":"A-100","quantity":5,"note":null}' })
      const { value } = yield* LanguageModel.generateObject({
        prompt: "decide",
        schema: Schema.Struct({
          sku: Schema.String,
          quantity: Schema.Int.check(Schema.isGreaterThan(0)),
          note: Schema.optional(Schema.String)
        })
      }).pipe(against(server.url))
      assert.deepStrictEqual(value, { sku: "A-100", quantity: 5 })
    })
  )

  it.effect("keeps thinking with its signature, so that the next request can carry it", () =>
    Effect.gen(function* () {
      const server = yield* mock
      server.onMessage("think", {
        content: "42",
        reasoning: "Let me see.",
        reasoningSignature: "sig-1",
        redactedThinking: ["xyz"]
      })
      const prompt = "think"
      const whole = yield* LanguageModel.generateText({ prompt }).pipe(against(server.url))
      const streamed = yield* LanguageModel.streamText({ prompt }).pipe(Stream.runCollect, against(server.url))
      for (const parts of [whole.content, streamed]) {
        const [turn] = Prompt.fromResponseParts(parts).content
        assert.deepStrictEqual(
          turn?.role === "assistant" &&
            turn.content.map((part) => [
              part.type,
              part.type === "reasoning" && Object.keys(part.options["anthropic"] ?? {})
            ]),
          [
            ["reasoning", ["redactedData", "prefix"]],
            ["reasoning", ["signature", "prefix"]],
            ["text", false]
          ]
        )
      }
    })
  )
})

describe("the request", () => {
  it.effect("puts system text apart, merges turns, sends results before text, and samples by the old API version", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      const prompt = Prompt.make([
        { role: "system", content: "You buy." },
        { role: "user", content: "stock?" },
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "hm", options: { anthropic: { signature: "s" } } },
            { type: "reasoning", text: "another provider's" },
            { type: "tool-call", id: "call|1", name: "check_stock", params: { sku: "A" }, providerExecuted: false }
          ]
        },
        { role: "user", content: "quick!" },
        {
          role: "tool",
          content: [{ type: "tool-result", id: "call|1", name: "check_stock", isFailure: true, result: "gone" }]
        }
      ])
      yield* LanguageModel.generateText({ prompt, toolkit: tools }).pipe(
        Effect.provide(handlers),
        against(server.url, {
          model: "claude-haiku-4-5",
          maxTokens: 50,
          temperature: 0.2,
          stopSequences: ["END"],
          parallelToolCalls: false
        })
      )
      const { body, headers, path } = server.received[0]!
      assert.strictEqual(path, "/v1/messages")
      assert.strictEqual(headers["anthropic-version"], "2023-06-01")
      assert.deepStrictEqual(body, {
        model: "claude-haiku-4-5",
        max_tokens: 50,
        temperature: 0.2,
        stop_sequences: ["END"],
        system: [{ type: "text", text: "You buy." }],
        messages: [
          { role: "user", content: [{ type: "text", text: "stock?" }] },
          {
            role: "assistant",
            content: [
              { type: "thinking", thinking: "hm", signature: "s" },
              { type: "tool_use", id: "call_1", name: "check_stock", input: { sku: "A" } }
            ]
          },
          {
            role: "user",
            content: [
              { type: "tool_result", tool_use_id: "call_1", content: "gone", is_error: true },
              { type: "text", text: "quick!" }
            ]
          }
        ],
        tools: [
          {
            name: "check_stock",
            description: "Units of a product in the warehouse",
            input_schema: {
              type: "object",
              properties: { sku: { type: "string" } },
              required: ["sku"],
              additionalProperties: true
            }
          }
        ],
        tool_choice: { type: "auto", disable_parallel_tool_use: true }
      })
    })
  )

  it.effect("sends images, PDF and text files, and says which file it cannot send", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      const file = (mediaType: string, data: string | Uint8Array | URL) =>
        Prompt.make([{ role: "user", content: [{ type: "file", mediaType, data, fileName: "f" }] }])
      const send = (prompt: Prompt.Prompt) => LanguageModel.generateText({ prompt }).pipe(against(server.url))
      yield* send(file("image/png", new Uint8Array([1, 2, 3])))
      yield* send(file("image/*", new URL("https://example.com/a.png")))
      yield* send(file("application/pdf", "AQID"))
      yield* send(file("text/csv", new TextEncoder().encode("a,b")))
      assert.deepStrictEqual(
        server.received.map(({ body }) => body.messages[0].content[0]),
        [
          { type: "image", source: { type: "base64", media_type: "image/png", data: "AQID" } },
          { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
          { type: "document", source: { type: "base64", media_type: "application/pdf", data: "AQID" }, title: "f" },
          { type: "document", source: { type: "text", media_type: "text/plain", data: "a,b" }, title: "f" }
        ]
      )
      const error = yield* Effect.flip(send(file("audio/mp3", "AQID")))
      assert.strictEqual(error.reason._tag, "InvalidUserInputError")
      assert.include(error.message, "audio/mp3")
      assert.strictEqual(server.received.length, 4)
    })
  )

  it.effect("takes the scope's configuration over the layer's, field by field", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      yield* LanguageModel.generateText({ prompt: "hi" }).pipe(
        AnthropicLanguageModel.withConfig({ effort: "low", maxTokens: undefined }),
        AnthropicLanguageModel.withConfig({ model: "claude-haiku-5-5" }),
        against(server.url, { maxTokens: 77, effort: "high" })
      )
      const { effort, max_tokens, model } = { ...server.received[0]!.body, ...server.received[0]!.body.output_config }
      assert.deepStrictEqual(
        { effort, max_tokens, model },
        { effort: "low", max_tokens: 77, model: "claude-haiku-5-5" }
      )
    })
  )

  it.effect("limits an answer to the default, and speaks the SDK's API version, when nothing is set", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      yield* LanguageModel.generateText({ prompt: "hi" }).pipe(against(server.url))
      const { body, headers } = server.received[0]!
      assert.strictEqual(body.max_tokens, AnthropicLanguageModel.defaultMaxTokens)
      assert.notStrictEqual(headers["anthropic-version"], "2023-06-01")
    })
  )

  it.effect("sends the schema of an object in the API's subset", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({ content: [{ type: "text", text: '{"n":3}' }] }))
      const { value } = yield* LanguageModel.generateObject({
        prompt: "n",
        schema: Schema.Struct({ n: Schema.Int.check(Schema.isGreaterThan(2)) })
      }).pipe(against(server.url))
      assert.deepStrictEqual(value, { n: 3 })
      const { format } = server.received[0]!.body.output_config
      assert.strictEqual(format.type, "json_schema")
      assert.strictEqual(format.schema.type, "object")
      assert.strictEqual(format.schema.additionalProperties, false)
      assert.notInclude(JSON.stringify(format.schema), "exclusiveMinimum")
    })
  )

  it.effect("offers a strict tool in the API's subset and brings its arguments back", () =>
    Effect.gen(function* () {
      const Note = Tool.make("note", {
        parameters: Schema.Struct({ text: Schema.String, tag: Schema.optionalKey(Schema.String) }),
        success: Schema.String
      }).annotate(Tool.Strict, true)
      const toolkit = Toolkit.make(Note)
      const server = yield* serveJson(
        message({
          stop_reason: "tool_use",
          content: [{ type: "tool_use", id: "toolu_1", name: "note", input: { text: "x", tag: null } }]
        })
      )
      const response = yield* LanguageModel.generateText({ prompt: "n", toolkit }).pipe(
        Effect.provide(toolkit.toLayer({ note: (params) => Effect.succeed(JSON.stringify(params)) })),
        against(server.url)
      )
      assert.deepStrictEqual(server.received[0]!.body.tools[0].input_schema.required, ["text", "tag"])
      assert.isTrue(server.received[0]!.body.tools[0].strict)
      assert.deepStrictEqual(
        response.toolResults.map((part) => part.result),
        ['{"text":"x"}']
      )
    })
  )

  it.effect("takes a tool without parameters and one whose parameters are a class", () =>
    Effect.gen(function* () {
      class Query extends Schema.Class<Query>("Query")({ text: Schema.String }) {}
      const toolkit = Toolkit.make(Tool.make("ping"), Tool.make("find", { parameters: Query }))
      const server = yield* serveJson(message({}))
      yield* LanguageModel.generateText({
        prompt: "n",
        toolkit,
        toolChoice: { mode: "required", oneOf: ["ping", "find"] }
      }).pipe(
        Effect.provide(toolkit.toLayer({ ping: () => Effect.void, find: () => Effect.void })),
        against(server.url, { model: "claude-sonnet-5" })
      )
      const { tool_choice, tools } = server.received[0]!.body
      assert.deepStrictEqual(tool_choice, { type: "any" })
      assert.deepStrictEqual(
        tools.map((tool: any) => [tool.name, tool.input_schema.type, Object.keys(tool.input_schema.properties ?? {})]),
        [
          ["ping", "object", []],
          ["find", "object", ["text"]]
        ]
      )
    })
  )
})

describe("the answer", () => {
  it.effect("counts cached and thinking tokens", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(
        message({
          usage: {
            input_tokens: 10,
            cache_read_input_tokens: 100,
            cache_creation_input_tokens: 1000,
            output_tokens: 50,
            output_tokens_details: { thinking_tokens: 20 }
          }
        })
      )
      const { usage } = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(against(server.url))
      assert.deepStrictEqual({ ...usage.inputTokens }, { uncached: 10, cacheRead: 100, cacheWrite: 1000, total: 1110 })
      assert.deepStrictEqual({ ...usage.outputTokens }, { total: 50, reasoning: 20, text: 30 })
    })
  )

  const reasons = [
    ["end_turn", "stop"],
    ["stop_sequence", "stop"],
    ["max_tokens", "length"],
    ["model_context_window_exceeded", "length"],
    ["pause_turn", "pause"],
    ["refusal", "content-filter"],
    ["something_new", "other"]
  ] as const
  for (const [stopReason, expected] of reasons) {
    it.effect(`finishes with ${expected} when the API says ${stopReason}`, () =>
      Effect.gen(function* () {
        const server = yield* serveSse(sse([started, ...textBlock("x"), ...stopped(stopReason)]))
        const parts = yield* LanguageModel.streamText({ prompt: "hi" }).pipe(Stream.runCollect, against(server.url))
        const finish = parts.at(-1)
        assert.isTrue(finish?.type === "finish" && finish.reason === expected)
      })
    )
  }

  it.effect("tells why the model refused", () =>
    Effect.gen(function* () {
      const refusal = { stop_reason: "refusal", stop_details: { type: "refusal", category: "bio", explanation: "No." } }
      const server = yield* serveJson(message(refusal))
      const response = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(against(server.url))
      const finish = response.content.find((part) => part.type === "finish")
      assert.deepStrictEqual(finish?.metadata.anthropic?.refusal, { category: "bio", explanation: "No." })
      const error = yield* LanguageModel.generateObject({
        prompt: "hi",
        schema: Schema.Struct({ a: Schema.String })
      }).pipe(against(server.url), Effect.flip)
      assert.strictEqual(error.reason._tag, "ContentPolicyError")
    })
  )

  it.effect("says that the limit cut an object", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(
        message({ stop_reason: "max_tokens", content: [{ type: "text", text: '{"a":"' }] })
      )
      const error = yield* LanguageModel.generateObject({
        prompt: "hi",
        schema: Schema.Struct({ a: Schema.String })
      }).pipe(against(server.url, { maxTokens: 5 }), Effect.flip)
      assert.strictEqual(error.reason._tag, "StructuredOutputError")
      assert.include(error.message, "maxTokens (5)")
    })
  )

  const cutCall = [
    {
      type: "content_block_start",
      index: 0,
      content_block: { type: "tool_use", id: "t1", name: "check_stock", input: {} }
    },
    { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: '{"sku":"A' } },
    { type: "content_block_stop", index: 0 }
  ]

  it.effect("leaves out a tool call that the limit cut, and names it", () =>
    Effect.gen(function* () {
      const streaming = yield* serveSse(sse([started, ...cutCall, ...stopped("max_tokens")]))
      const whole = yield* serveJson(
        message({
          stop_reason: "max_tokens",
          content: [{ type: "tool_use", id: "t1", name: "check_stock", input: {} }]
        })
      )
      const options = { prompt: "hi", toolkit: tools }
      const streamed = yield* LanguageModel.streamText(options).pipe(
        Stream.runCollect,
        Effect.provide(handlers),
        against(streaming.url)
      )
      const response = yield* LanguageModel.generateText(options).pipe(Effect.provide(handlers), against(whole.url))
      for (const parts of [streamed, response.content]) {
        assert.notInclude(types(parts), "tool-call")
        const finish = parts.at(-1)
        assert.isTrue(finish?.type === "finish" && finish.metadata.anthropic?.cutToolCall === "check_stock")
      }
    })
  )

  it.effect("leaves out a streamed call that the limit cut before its arguments began", () =>
    Effect.gen(function* () {
      const [start, , stop] = cutCall
      const server = yield* serveSse(sse([started, start!, stop!, ...stopped("max_tokens")]))
      const parts = yield* LanguageModel.streamText({ prompt: "hi", toolkit: tools }).pipe(
        Stream.runCollect,
        Effect.provide(handlers),
        against(server.url)
      )
      assert.deepStrictEqual(types(parts), ["response-metadata", "tool-params-start", "tool-params-end", "finish"])
    })
  )

  it.effect("keeps the calls before the one that the limit cut", () =>
    Effect.gen(function* () {
      const at = (index: number, event: any) => ({ ...event, index })
      const whole = [
        at(0, { ...cutCall[0], content_block: { type: "tool_use", id: "t0", name: "check_stock", input: {} } }),
        { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: '{"sku":"A"}' } },
        { type: "content_block_stop", index: 0 }
      ]
      const cut = cutCall.map((event) => at(1, event))
      const server = yield* serveSse(sse([started, ...whole, ...cut, ...stopped("max_tokens")]))
      const parts = yield* LanguageModel.streamText({
        prompt: "hi",
        toolkit: tools,
        disableToolCallResolution: true
      }).pipe(Stream.runCollect, Effect.provide(handlers), against(server.url))
      assert.deepStrictEqual(
        parts.flatMap((part) => (part.type === "tool-call" ? [part.id] : [])),
        ["t0"]
      )
    })
  )

  it.effect("reports tool arguments that are not JSON", () =>
    Effect.gen(function* () {
      const server = yield* serveSse(sse([started, ...cutCall, ...stopped("tool_use")]))
      const error = yield* LanguageModel.streamText({ prompt: "hi", toolkit: tools }).pipe(
        Stream.runDrain,
        Effect.provide(handlers),
        against(server.url),
        Effect.flip
      )
      assert.strictEqual(error.reason._tag, "ToolParameterValidationError")
      assert.include(error.message, "check_stock")
    })
  )

  it.effect("rejects a call of a tool that was not offered, unless validation is deferred", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(
        message({ stop_reason: "tool_use", content: [{ type: "tool_use", id: "t1", name: "nope", input: { a: 1 } }] })
      )
      const error = yield* LanguageModel.generateText({ prompt: "hi", toolkit: tools }).pipe(
        Effect.provide(handlers),
        against(server.url),
        Effect.flip
      )
      assert.strictEqual(error.reason._tag, "ToolNotFoundError")
      const response = yield* LanguageModel.generateText({
        prompt: "hi",
        toolkit: tools,
        disableToolCallResolution: true,
        toolCallValidation: "deferred"
      }).pipe(Effect.provide(handlers), against(server.url))
      assert.deepStrictEqual(
        response.toolCalls.map((part) => [part.name, part.params]),
        [["nope", { a: 1 }]]
      )
    })
  )

  it.effect("ignores blocks and events it does not know", () =>
    Effect.gen(function* () {
      const server = yield* serveSse(
        sse([
          started,
          { type: "ping" },
          { type: "weather_report" },
          { type: "content_block_start", index: 0, content_block: { type: "hologram" } } as { type: string },
          { type: "content_block_stop", index: 0 } as { type: string },
          ...textBlock("ok", 1),
          ...stopped("end_turn")
        ])
      )
      const parts = yield* LanguageModel.streamText({ prompt: "hi" }).pipe(Stream.runCollect, against(server.url))
      assert.deepStrictEqual(types(parts), ["response-metadata", "text-start", "text-delta", "text-end", "finish"])
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { OpenAiTool } from "../src/index.ts"
import { completion, message, response } from "./fixtures.ts"
import { aimock, answering, lastBody, modelAt, receiving, streaming, Tools, ToolsLive, Weather } from "./support.ts"

const Hosted = Toolkit.make(
  OpenAiTool.WebSearch({ search_context_size: "low", filters: { allowed_domains: ["lme.com"] } }),
  OpenAiTool.CodeInterpreter({ container: { type: "auto" } }),
  OpenAiTool.FileSearch({ vector_store_ids: ["vs_1"], max_num_results: 3 }),
  OpenAiTool.ImageGeneration({ quality: "low" }),
  OpenAiTool.Mcp({ server_label: "docs", server_url: "https://mcp.example.com", require_approval: "never" })
)

const search = {
  type: "web_search_call",
  id: "ws_1",
  status: "completed",
  action: {
    type: "search" as const,
    query: "copper",
    sources: [{ type: "url" as const, url: "https://lme.com/copper" }]
  },
  unknown_field: { kept: true }
}

const code = {
  type: "code_interpreter_call",
  id: "ci_1",
  status: "completed",
  container_id: "cntr_1",
  code: 'print("é")',
  outputs: [
    { type: "logs", logs: "é" },
    { type: "hologram", data: 1 }
  ]
}

const files = {
  type: "file_search_call",
  id: "fs_1",
  status: "completed",
  queries: ["bolts"],
  results: [{ file_id: "file-1", filename: "bolts.pdf", score: 0.9, text: "M8", attributes: { year: 2026 } }]
}

const image = {
  type: "image_generation_call",
  id: "ig_1",
  status: "completed",
  result: "AQID",
  output_format: "png",
  revised_prompt: "a bolt"
}

const mcp = {
  type: "mcp_call",
  id: "mcp_1",
  server_label: "docs",
  name: "lookup",
  arguments: '{"q":"bolt"}',
  output: "a bolt",
  error: null
}

const cited = {
  ...message("Copper rose. See bolts.pdf and chart.png."),
  content: [
    {
      type: "output_text",
      text: "Copper rose. See bolts.pdf and chart.png.",
      annotations: [
        { type: "url_citation", start_index: 0, end_index: 12, url: "https://lme.com/copper", title: "Copper" },
        { type: "url_citation", start_index: 0, end_index: 12, url: "not a url", title: "Nowhere" },
        { type: "file_citation", file_id: "file-1", filename: "bolts.pdf", index: 21 },
        {
          type: "container_file_citation",
          file_id: "cfile_1",
          container_id: "cntr_1",
          filename: "chart.png",
          start_index: 31,
          end_index: 40
        },
        { type: "a_new_kind", whatever: 1 }
      ]
    }
  ]
}

const output = [search, code, files, image, mcp, cited]

describe("tools that OpenAI executes", () => {
  it.effect("are sent with their arguments, and their results asked for", () =>
    Effect.gen(function* () {
      const server = yield* receiving(response([message("ok")]))
      yield* LanguageModel.generateText({ prompt: "hello", toolkit: yield* Hosted }).pipe(
        Effect.provide(modelAt(server.url))
      )
      assert.deepStrictEqual(server.received[0]?.body["tools"], [
        { type: "web_search", search_context_size: "low", filters: { allowed_domains: ["lme.com"] } },
        { type: "code_interpreter", container: { type: "auto" } },
        { type: "file_search", vector_store_ids: ["vs_1"], max_num_results: 3 },
        { type: "image_generation", quality: "low" },
        { type: "mcp", server_label: "docs", server_url: "https://mcp.example.com", require_approval: "never" }
      ])
      assert.deepStrictEqual(server.received[0]?.body["include"], [
        "web_search_call.action.sources",
        "code_interpreter_call.outputs",
        "file_search_call.results"
      ])
    })
  )

  it.effect("come as calls with their results, and what is cited as sources", () =>
    Effect.gen(function* () {
      const answer = yield* LanguageModel.generateText({ prompt: "hello", toolkit: yield* Hosted }).pipe(
        Effect.provide(modelAt(yield* answering(response(output))))
      )
      assert.deepStrictEqual(
        answer.toolCalls.map((call) => [call.name, call.providerExecuted, call.params]),
        [
          ["OpenAiWebSearch", true, { action: search.action }],
          ["OpenAiCodeInterpreter", true, { container_id: "cntr_1", code: code.code }],
          ["OpenAiFileSearch", true, { queries: ["bolts"] }],
          ["OpenAiImageGeneration", true, {}],
          ["OpenAiMcp", true, { server_label: "docs", name: "lookup", arguments: '{"q":"bolt"}' }]
        ]
      )
      assert.deepStrictEqual(
        answer.toolResults.map((part) => [part.isFailure, part.result]),
        [
          [false, { status: "completed", action: search.action }],
          [false, { status: "completed", outputs: [{ type: "logs", logs: "é" }] }],
          [false, { status: "completed", results: files.results }],
          [false, { status: "completed", result: "AQID", output_format: "png", revised_prompt: "a bolt" }],
          [false, { status: "completed", output: "a bolt" }]
        ]
      )
      assert.deepStrictEqual(
        answer.content.flatMap((part) =>
          part.type === "source" ? [[part.title, part.sourceType, part.metadata.openai]] : []
        ),
        [
          ["Copper", "url", { startIndex: 0, endIndex: 12 }],
          ["bolts.pdf", "document", { kind: "file_citation", fileId: "file-1", index: 21 }],
          ["chart.png", "document", { kind: "container_file_citation", fileId: "cfile_1", containerId: "cntr_1" }]
        ]
      )
      assert.strictEqual(answer.finishReason, "stop")
    })
  )

  it.effect("go back as they came when the conversation goes on", () =>
    Effect.gen(function* () {
      const server = yield* receiving(response(output), response([message("ok")]))
      yield* Effect.gen(function* () {
        const toolkit = yield* Hosted
        const first = yield* LanguageModel.generateText({ prompt: "hello", toolkit })
        // As a store would give it back.
        const stored = yield* Schema.encodeEffect(Prompt.Prompt)(Prompt.fromResponseParts(first.content))
        const history = yield* Schema.decodeUnknownEffect(Prompt.Prompt)(JSON.parse(JSON.stringify(stored)))
        yield* LanguageModel.generateText({ prompt: Prompt.concat(history, "And zinc?"), toolkit })
      }).pipe(Effect.provide(modelAt(server.url)))
      const { input } = yield* Schema.decodeUnknownEffect(Schema.Struct({ input: Schema.Array(Schema.Unknown) }))(
        server.received[1]?.body
      )
      assert.deepStrictEqual(input.slice(0, 5), [search, code, files, image, mcp])
    })
  )

  it.effect("stream: the code as it is written, then the call and its result", () =>
    Effect.gen(function* () {
      const url = yield* streaming([
        { type: "response.created", response: response([], { status: "in_progress" }) },
        { type: "response.output_item.added", output_index: 0, item: { ...search, status: "in_progress" } },
        { type: "response.web_search_call.searching", output_index: 0, item_id: "ws_1" },
        { type: "response.output_item.done", output_index: 0, item: search },
        { type: "response.output_item.added", output_index: 1, item: { ...code, code: "", outputs: null } },
        {
          type: "response.code_interpreter_call_code.delta",
          output_index: 1,
          item_id: "ci_1",
          delta: 'print("'
        },
        { type: "response.code_interpreter_call_code.delta", output_index: 1, item_id: "ci_1", delta: 'é")' },
        { type: "response.output_item.done", output_index: 1, item: code },
        {
          type: "response.output_text.delta",
          output_index: 2,
          content_index: 0,
          delta: "Copper rose. See bolts.pdf and chart.png."
        },
        {
          type: "response.output_text.annotation.added",
          output_index: 2,
          content_index: 0,
          item_id: "msg_1",
          annotation_index: 0,
          annotation: cited.content[0]?.annotations[0]
        },
        { type: "response.output_item.done", output_index: 2, item: cited },
        { type: "response.completed", response: response([search, code, cited]) }
      ])
      const parts = yield* LanguageModel.streamText({ prompt: "hello", toolkit: yield* Hosted }).pipe(
        Stream.runCollect,
        Effect.provide(modelAt(url))
      )
      const params = (id: string) =>
        parts.flatMap((part) => (part.type === "tool-params-delta" && part.id === id ? [part.delta] : []))
      assert.isAbove(params("ci_1").length, 3)
      assert.deepStrictEqual(JSON.parse(params("ci_1").join("")), { container_id: "cntr_1", code: code.code })
      assert.deepStrictEqual(JSON.parse(params("ws_1").join("")), { action: search.action })
      assert.deepStrictEqual(
        parts.flatMap((part) => (part.type === "tool-call" || part.type === "tool-result" ? [part.id] : [])),
        ["ws_1", "ws_1", "ci_1", "ci_1"]
      )
      assert.deepStrictEqual(
        parts.flatMap((part) => (part.type === "source" ? [part.title] : [])),
        ["Copper", "bolts.pdf", "chart.png"]
      )
      const last = parts.at(-1)
      assert.strictEqual(last?.type === "finish" ? last.reason : undefined, "stop")
    })
  )

  it.effect("stand beside tools of your own", () =>
    Effect.gen(function* () {
      const toolkit = Toolkit.make(Weather, OpenAiTool.WebSearch({}))
      const call = {
        type: "function_call",
        call_id: "c",
        name: "get_weather",
        arguments: '{"city":"Oslo","unit":null}'
      }
      const answer = yield* LanguageModel.generateText({ prompt: "hello", toolkit }).pipe(
        Effect.provide([ToolsLive, modelAt(yield* answering(response([search, call])))])
      )
      assert.deepStrictEqual(
        answer.toolResults.map((part) => [part.name, part.providerExecuted]),
        [
          ["OpenAiWebSearch", true],
          ["get_weather", false]
        ]
      )
      assert.strictEqual(answer.finishReason, "tool-calls")
    })
  )

  it.effect("that failed there are failures here", () =>
    Effect.gen(function* () {
      const url = yield* answering(
        response([
          { ...search, status: "failed" },
          { ...mcp, output: null, error: { type: "http_error", code: 502 } },
          message("sorry")
        ])
      )
      const answer = yield* LanguageModel.generateText({ prompt: "hello", toolkit: yield* Hosted }).pipe(
        Effect.provide(modelAt(url))
      )
      assert.deepStrictEqual(
        answer.toolResults.map((part) => [part.isFailure, part.result]),
        [
          [true, { type: "execution-interrupted", reason: "the call ended as failed" }],
          [true, { type: "execution-interrupted", reason: '{"type":"http_error","code":502}' }]
        ]
      )
    })
  )

  it.effect("can be demanded by name", () =>
    Effect.gen(function* () {
      const server = yield* receiving(response([message("ok")]))
      const toolkit = yield* Hosted
      yield* Effect.forEach(["OpenAiWebSearch", "OpenAiCodeInterpreter", "OpenAiMcp"] as const, (tool) =>
        LanguageModel.generateText({ prompt: "hello", toolkit, toolChoice: { tool } })
      ).pipe(Effect.provide(modelAt(server.url)))
      assert.deepStrictEqual(
        server.received.map(({ body }) => body["tool_choice"]),
        [
          { type: "allowed_tools", mode: "required", tools: [{ type: "web_search" }] },
          { type: "code_interpreter" },
          { type: "mcp", server_label: "docs" }
        ]
      )
    })
  )

  it.effect("that were not asked for are left out", () =>
    Effect.gen(function* () {
      const answer = yield* LanguageModel.generateText({ prompt: "hello", toolkit: Tools }).pipe(
        Effect.provide([ToolsLive, modelAt(yield* answering(response([search, message("ok")])))])
      )
      assert.deepStrictEqual(
        answer.content.map((part) => part.type),
        ["response-metadata", "text", "finish"]
      )
    })
  )

  it.effect("of another provider are refused before anything is sent", () =>
    Effect.gen(function* () {
      const server = yield* receiving(response([]))
      const Foreign = Tool.providerDefined({
        id: "anthropic.web_search",
        customName: "AnthropicWebSearch",
        providerName: "web_search"
      })
      const error = yield* Effect.flip(
        LanguageModel.generateText({
          prompt: "hello",
          toolkit: yield* Toolkit.make(Foreign(undefined))
        }).pipe(Effect.provide(modelAt(server.url)))
      )
      assert.strictEqual(error.reason._tag, "ToolConfigurationError")
      assert.isTrue(error.message.includes("anthropic.web_search"))
      assert.strictEqual(server.received.length, 0)
    })
  )

  it.effect("of a mock by a third party arrive too", () =>
    Effect.gen(function* () {
      const mock = yield* aimock([
        { match: { userMessage: "copper" }, response: { content: "It rose.", webSearches: ["copper price"] } }
      ])
      const parts = yield* LanguageModel.streamText({
        prompt: "copper",
        toolkit: yield* Toolkit.make(OpenAiTool.WebSearch({}))
      }).pipe(Stream.runCollect, Effect.provide(modelAt(`${mock.url}/v1`)))
      assert.deepStrictEqual(lastBody(mock)["tools"] !== undefined, true)
      const call = parts.find((part) => part.type === "tool-call")
      assert.strictEqual(call?.name, "OpenAiWebSearch")
      assert.isTrue(call?.providerExecuted)
    })
  )
})

describe("web search over Chat Completions", () => {
  it.effect("is an option of the request, and its citations are sources", () =>
    Effect.gen(function* () {
      const server = yield* receiving(
        completion({
          content: "It rose.",
          annotations: [
            {
              type: "url_citation",
              url_citation: { start_index: 0, end_index: 8, title: "Copper", url: "https://lme.com/copper" }
            }
          ]
        })
      )
      const answer = yield* LanguageModel.generateText({
        prompt: "hello",
        toolkit: yield* Toolkit.make(
          OpenAiTool.WebSearch({ search_context_size: "high", user_location: { type: "approximate", city: "Oslo" } })
        )
      }).pipe(Effect.provide(modelAt(server.url, { api: "chat" })))
      assert.deepStrictEqual(server.received[0]?.body["web_search_options"], {
        search_context_size: "high",
        user_location: { type: "approximate", approximate: { city: "Oslo" } }
      })
      assert.isUndefined(server.received[0]?.body["tools"])
      assert.deepStrictEqual(
        answer.content.flatMap((part) => (part.type === "source" ? [part.title] : [])),
        ["Copper"]
      )
    })
  )

  it.effect("is the only such tool there", () =>
    Effect.gen(function* () {
      const server = yield* receiving(completion({ content: "ok" }))
      const error = yield* Effect.flip(
        LanguageModel.generateText({ prompt: "hello", toolkit: yield* Hosted }).pipe(
          Effect.provide(modelAt(server.url, { api: "chat" }))
        )
      )
      assert.strictEqual(error.reason._tag, "ToolConfigurationError")
      assert.isTrue(error.message.includes("Responses API"))
      assert.strictEqual(server.received.length, 0)
    })
  )
})

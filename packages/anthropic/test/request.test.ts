import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Model from "effect/ai/Model"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { AnthropicClient, AnthropicLanguageModel, AnthropicTool } from "../src/index.ts"
import { against, key, message, modelName, serveJson } from "./servers.ts"

const cacheControl = { type: "ephemeral" } as const
const forAnHour = { type: "ephemeral", ttl: "1h" } as const

/** The request that a prompt becomes. */
const sent = (prompt: Prompt.RawInput, config?: AnthropicLanguageModel.Config) =>
  Effect.gen(function* () {
    const server = yield* serveJson(message({}))
    yield* LanguageModel.generateText({ prompt }).pipe(against(server.url, config))
    return server.received[0]!
  })

describe("cache breakpoints", () => {
  it.effect("stand on system text, parts and results, and a message's on its last block", () =>
    Effect.gen(function* () {
      const { body } = yield* sent([
        { role: "system", content: "Long.", options: { anthropic: { cacheControl: forAnHour } } },
        {
          role: "user",
          content: [
            { type: "text", text: "a", options: { anthropic: { cacheControl } } },
            { type: "text", text: "b" }
          ],
          options: { anthropic: { cacheControl: forAnHour } }
        },
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "d", options: { anthropic: { signature: "s" } } },
            { type: "text", text: "c" },
            { type: "tool-call", id: "1", name: "t", params: {} }
          ],
          options: { anthropic: { cacheControl } }
        },
        {
          role: "tool",
          content: [
            {
              type: "tool-result",
              id: "1",
              name: "t",
              isFailure: false,
              result: "e",
              options: { anthropic: { cacheControl: forAnHour } }
            }
          ]
        }
      ])
      assert.deepStrictEqual(body.system, [{ type: "text", text: "Long.", cache_control: forAnHour }])
      assert.deepStrictEqual(
        body.messages.flatMap((turn: any) => turn.content).map((block: any) => [block.type, block.cache_control]),
        [
          ["text", cacheControl],
          ["text", forAnHour],
          ["thinking", undefined],
          ["text", undefined],
          ["tool_use", cacheControl],
          ["tool_result", forAnHour]
        ]
      )
    })
  )

  it.effect("do not stand twice on one block: a part's own wins over its message's", () =>
    Effect.gen(function* () {
      const { body } = yield* sent([
        {
          role: "user",
          content: [{ type: "text", text: "a", options: { anthropic: { cacheControl: forAnHour } } }],
          options: { anthropic: { cacheControl } }
        }
      ])
      assert.deepStrictEqual(body.messages[0].content, [{ type: "text", text: "a", cache_control: forAnHour }])
    })
  )

  it.effect("can be the API's own to place, for a whole call", () =>
    Effect.gen(function* () {
      const { body } = yield* sent("hi", { cacheControl: forAnHour })
      assert.deepStrictEqual(body.cache_control, forAnHour)
    })
  )

  it.effect("of a wrong shape fail the call before it is sent, and say where", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      // As it might come out of a store.
      const prompt = yield* Schema.decodeUnknownEffect(Prompt.Prompt)({
        content: [
          {
            role: "user",
            content: [{ type: "text", text: "a", options: { anthropic: { cacheControl: { type: "forever" } } } }]
          }
        ]
      })
      const error = yield* LanguageModel.generateText({ prompt }).pipe(against(server.url), Effect.flip)
      assert.strictEqual(error.reason._tag, "InvalidUserInputError")
      assert.include(error.message, "a text part")
      assert.strictEqual(server.received.length, 0)
    })
  )
})

describe("files", () => {
  const blocks = (content: ReadonlyArray<Prompt.UserMessagePartEncoded>) =>
    Effect.map(sent([{ role: "user", content }]), ({ body }) => body.messages[0].content)

  it.effect("of the Files API go by their id, as images, documents, or into the container", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* blocks([
          { type: "file", mediaType: "image/png", data: "file_01a" },
          { type: "file", mediaType: "application/pdf", data: "file_01b" },
          {
            type: "file",
            mediaType: "text/csv",
            data: "file_01c",
            options: { anthropic: { containerUpload: true, cacheControl } }
          }
        ]),
        [
          { type: "image", source: { type: "file", file_id: "file_01a" } },
          { type: "document", source: { type: "file", file_id: "file_01b" } },
          { type: "container_upload", file_id: "file_01c", cache_control: cacheControl }
        ]
      )
    })
  )

  it.effect("carry title, context, citations, a breakpoint and what to do with a large image", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* blocks([
          {
            type: "file",
            mediaType: "application/pdf",
            fileName: "a.pdf",
            data: new URL("https://example.com/a.pdf"),
            options: {
              anthropic: {
                documentTitle: "A",
                documentContext: "Of 2026.",
                citations: { enabled: true },
                cacheControl
              }
            }
          },
          {
            type: "file",
            mediaType: "image/png",
            data: "AQID",
            options: { anthropic: { oversizedImage: "error" } }
          }
        ]),
        [
          {
            type: "document",
            source: { type: "url", url: "https://example.com/a.pdf" },
            title: "A",
            context: "Of 2026.",
            citations: { enabled: true },
            cache_control: cacheControl
          },
          {
            type: "image",
            source: { type: "base64", media_type: "image/png", data: "AQID" },
            transformations: { oversized_image: "error" }
          }
        ]
      )
    })
  )

  it.effect("that are bytes cannot go into a container, and the message says what to do", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        blocks([
          { type: "file", mediaType: "text/csv", data: "AQID", options: { anthropic: { containerUpload: true } } }
        ])
      )
      assert.strictEqual(error.reason._tag, "InvalidUserInputError")
      assert.include(error.message, "Files API")
    })
  )

  it.effect("that a tool gives go into its result", () =>
    Effect.gen(function* () {
      const { body } = yield* sent([
        { role: "user", content: "draw" },
        { role: "assistant", content: [{ type: "tool-call", id: "1", name: "draw", params: {} }] },
        {
          role: "tool",
          content: [
            {
              type: "tool-result",
              id: "1",
              name: "draw",
              isFailure: false,
              result: {},
              modelOutput: [
                { type: "text", text: "Here." },
                { type: "file", mediaType: "image/png", data: "AQID" }
              ]
            }
          ]
        }
      ])
      assert.deepStrictEqual(body.messages[2].content[0].content, [
        { type: "text", text: "Here." },
        { type: "image", source: { type: "base64", media_type: "image/png", data: "AQID" } }
      ])
    })
  )
})

describe("a call's configuration", () => {
  it.effect("becomes the request's fields and headers", () =>
    Effect.gen(function* () {
      const { body, headers } = yield* sent("hi", {
        thinking: { type: "adaptive", display: "omitted" },
        effort: "max",
        container: { id: "container_1", skills: [{ type: "anthropic", skillId: "xlsx", version: "latest" }] },
        cacheDiagnostics: { previousMessageId: "msg_0" },
        speed: "fast",
        inferenceGeo: "eu",
        serviceTier: "standard_only",
        userId: "u-1",
        userProfileId: "profile_1",
        workspaceId: "wrkspc_1",
        betas: ["fast-mode-2026-02-01", "context-1m-2025-08-07"]
      })
      assert.deepStrictEqual(body, {
        model: modelName,
        max_tokens: AnthropicLanguageModel.defaultMaxTokens,
        messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
        thinking: { type: "adaptive", display: "omitted" },
        output_config: { effort: "max" },
        container: { id: "container_1", skills: [{ type: "anthropic", skill_id: "xlsx", version: "latest" }] },
        diagnostics: { previous_message_id: "msg_0" },
        speed: "fast",
        inference_geo: "eu",
        service_tier: "standard_only",
        metadata: { user_id: "u-1" }
      })
      assert.deepInclude(headers, {
        "anthropic-beta": "fast-mode-2026-02-01,context-1m-2025-08-07",
        "anthropic-user-profile-id": "profile_1",
        "anthropic-workspace-id": "wrkspc_1"
      })
    })
  )

  for (const [model, thinking, wire] of [
    ["claude-haiku-4-5", { type: "enabled", budgetTokens: 2048 }, { type: "enabled", budget_tokens: 2048 }],
    ["claude-sonnet-5-5", { type: "between_tools" }, { type: "between_tools" }],
    ["claude-sonnet-5", { type: "disabled" }, { type: "disabled" }],
    [
      "claude-opus-5-5",
      { type: "adaptive", prefixMismatch: "drop_block" },
      { type: "adaptive", block_binding: { prefix_mismatch_behavior: "drop_block" } }
    ]
  ] as const) {
    it.effect(`takes thinking ${thinking.type} of ${model}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual((yield* sent("hi", { model, thinking })).body.thinking, wire)
      })
    )
  }

  it.effect("is told to the program by the model: its provider's name and its own", () =>
    Effect.gen(function* () {
      const names = Effect.all([Model.ProviderName, Model.ModelName])
      const client = AnthropicClient.layer({ apiKey: Redacted.make(key) })
      const provided = AnthropicLanguageModel.model(modelName).pipe(Layer.provide(client))
      assert.deepStrictEqual(yield* names.pipe(Effect.provide(provided)), ["anthropic", modelName])
    })
  )
})

describe("tools", () => {
  const offered = <Tools extends Record<string, Tool.Any>>(
    toolkit: Toolkit.WithHandler<Tools>,
    toolChoice?: LanguageModel.ToolChoice<keyof Tools & string>,
    config?: AnthropicLanguageModel.Config
  ) =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      yield* LanguageModel.generateText({
        prompt: "hi",
        toolkit,
        disableToolCallResolution: true,
        ...(toolChoice === undefined ? undefined : { toolChoice })
      }).pipe(against(server.url, config))
      return server.received[0]!.body
    })

  it.effect("of Anthropic go by type and name, with their arguments", () =>
    Effect.gen(function* () {
      const toolkit = yield* Toolkit.make(
        AnthropicTool.WebSearch_20260318({
          maxUses: 3,
          allowedDomains: ["example.com"],
          userLocation: { type: "approximate", city: "Bonn" },
          responseInclusion: "excluded"
        }),
        AnthropicTool.WebFetch_20260318({
          maxContentTokens: 1000,
          citations: { enabled: true },
          useCache: false,
          urlSources: {
            userInput: { type: "all" },
            serverToolResults: { type: "only", tools: [{ type: "tool_reference", name: "web_search" }] }
          }
        }),
        AnthropicTool.CodeExecution_20260521({}),
        AnthropicTool.ToolSearchBM25_20251119({})
      )
      const body = yield* offered(toolkit, { tool: "AnthropicWebSearch" }, { model: "claude-sonnet-5" })
      assert.deepStrictEqual(body.tools, [
        {
          type: "web_search_20260318",
          name: "web_search",
          max_uses: 3,
          allowed_domains: ["example.com"],
          user_location: { type: "approximate", city: "Bonn" },
          response_inclusion: "excluded"
        },
        {
          type: "web_fetch_20260318",
          name: "web_fetch",
          max_content_tokens: 1000,
          citations: { enabled: true },
          use_cache: false,
          url_sources: {
            user_input: { type: "all" },
            server_tool_results: { type: "only", tools: [{ type: "tool_reference", name: "web_search" }] }
          }
        },
        { type: "code_execution_20260521", name: "code_execution" },
        { type: "tool_search_tool_bm25_20251119", name: "tool_search_tool_bm25" }
      ])
      assert.deepStrictEqual(body.tool_choice, { type: "tool", name: "web_search" })
    })
  )

  it.effect("of Anthropic that nobody wrote down here can be declared by their type", () =>
    Effect.gen(function* () {
      const Later = Tool.providerDefined({
        id: "anthropic.web_search_20990101",
        customName: "Later",
        providerName: "web_search",
        args: Schema.Struct({ maxUses: Schema.Int })
      })
      const body = yield* offered(yield* Toolkit.make(Later({ maxUses: 1 })))
      assert.deepStrictEqual(body.tools, [{ type: "web_search_20990101", name: "web_search", max_uses: 1 }])
    })
  )

  it.effect("tell Anthropic what their options say", () =>
    Effect.gen(function* () {
      const options: AnthropicTool.ToolOptions = {
        cacheControl: forAnHour,
        deferLoading: true,
        eagerInputStreaming: true,
        inputExamples: [{ sku: "A-100" }],
        allowedCallers: ["direct", "code_execution_20260120"]
      }
      const Stock = Tool.make("check_stock", { parameters: Schema.Struct({ sku: Schema.String }) }).annotate(
        AnthropicTool.Options,
        options
      )
      const Search = AnthropicTool.WebSearch_20250305({ cacheControl, deferLoading: true, allowedCallers: ["direct"] })
      const toolkit = Toolkit.make(Stock, Search)
      const body = yield* Effect.flatMap(toolkit, offered).pipe(
        Effect.provide(toolkit.toLayer({ check_stock: () => Effect.void }))
      )
      assert.deepInclude(body.tools[0], {
        cache_control: forAnHour,
        defer_loading: true,
        eager_input_streaming: true,
        input_examples: [{ sku: "A-100" }],
        allowed_callers: ["direct", "code_execution_20260120"]
      })
      assert.deepStrictEqual(body.tools[1], {
        type: "web_search_20250305",
        name: "web_search",
        cache_control: cacheControl,
        defer_loading: true,
        allowed_callers: ["direct"]
      })
    })
  )

  it.effect("of another provider fail the call before it is sent, and are named", () =>
    Effect.gen(function* () {
      const Foreign = Tool.providerDefined({
        id: "openai.web_search",
        customName: "OpenAiWebSearch",
        providerName: "web_search"
      })
      const error = yield* Effect.flip(offered(yield* Toolkit.make(Foreign(undefined))))
      assert.strictEqual(error.reason._tag, "ToolConfigurationError")
      assert.include(error.message, "openai.web_search")
    })
  )

  it.effect("whose failures go to the model say so to us, not to the API", () =>
    Effect.gen(function* () {
      const toolkit = Toolkit.make(AnthropicTool.Bash_20250124({ failureMode: "return" }))
      const body = yield* Effect.flatMap(toolkit, offered).pipe(
        Effect.provide(toolkit.toLayer({ AnthropicBash: () => Effect.succeed("ran") }))
      )
      assert.deepStrictEqual(body.tools, [{ type: "bash_20250124", name: "bash" }])
    })
  )

  it.effect("that Anthropic knows and we run are called by our name, and answered by theirs", () =>
    Effect.gen(function* () {
      const toolkit = Toolkit.make(
        AnthropicTool.Bash_20250124({}),
        AnthropicTool.TextEditor_20250728({ maxCharacters: 100 }),
        AnthropicTool.Memory_20250818({})
      )
      const server = yield* serveJson(
        message({
          stop_reason: "tool_use",
          content: [
            { type: "tool_use", id: "toolu_1", name: "bash", input: { command: "ls" } },
            {
              type: "tool_use",
              id: "toolu_2",
              name: "str_replace_based_edit_tool",
              input: { command: "view", path: "/a" }
            },
            {
              type: "tool_use",
              id: "toolu_3",
              name: "memory",
              input: { command: "rename", old_path: "/memories/a", new_path: "/memories/b" }
            }
          ]
        })
      )
      const handlers = toolkit.toLayer({
        AnthropicBash: ({ command }) => Effect.succeed(`ran ${command}`),
        AnthropicTextEditor: (input) => Effect.succeed(`${input.command} ${input.path}`),
        AnthropicMemory: (input) => Effect.succeed(input.command)
      })
      const run = (prompt: Prompt.RawInput) =>
        LanguageModel.generateText({ prompt, toolkit }).pipe(Effect.provide(handlers), against(server.url))
      const first = yield* run("go")
      assert.deepStrictEqual(
        first.toolResults.map((part) => [part.name, part.result]),
        [
          ["AnthropicBash", "ran ls"],
          ["AnthropicTextEditor", "view /a"],
          ["AnthropicMemory", "rename"]
        ]
      )
      yield* run(Prompt.concat(Prompt.make("go"), Prompt.fromResponseParts(first.content)))
      const [firstRequest, secondRequest] = server.received
      assert.deepStrictEqual(firstRequest!.body.tools, [
        { type: "bash_20250124", name: "bash" },
        { type: "text_editor_20250728", name: "str_replace_based_edit_tool", max_characters: 100 },
        { type: "memory_20250818", name: "memory" }
      ])
      assert.deepStrictEqual(
        secondRequest!.body.messages[1].content.map((block: any) => block.name),
        ["bash", "str_replace_based_edit_tool", "memory"]
      )
    })
  )
})

describe("a history from another provider", () => {
  it.effect("goes without what only that provider understands", () =>
    Effect.gen(function* () {
      const { body } = yield* sent([
        { role: "user", content: "hi" },
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "", options: { another: { itemId: "rs_1", encryptedContent: "x" } } },
            {
              type: "tool-call",
              id: "ws_1",
              name: "OpenAiWebSearch",
              params: {},
              providerExecuted: true,
              options: { another: { itemId: "ws_1" } }
            },
            {
              type: "tool-result",
              id: "ws_1",
              name: "OpenAiWebSearch",
              isFailure: false,
              result: {},
              providerExecuted: true
            },
            { type: "text", text: "Found.", options: { another: { itemId: "msg_1" } } }
          ]
        },
        { role: "user", content: "more" }
      ])
      assert.deepStrictEqual(body.messages[1], { role: "assistant", content: [{ type: "text", text: "Found." }] })
    })
  )
})

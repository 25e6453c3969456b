import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { AnthropicTool } from "../src/index.ts"
import { answer, asEvents, fixture, takenBack } from "./fixtures.ts"
import { against, serve, serveJson, serveSse, sse } from "./servers.ts"
import { runs } from "../../testing/test/measures.ts"

const Stock = Tool.make("check_stock", {
  parameters: Schema.Struct({ sku: Schema.String }),
  success: Schema.Struct({ units: Schema.Int })
})
const everything = Toolkit.make(
  Stock,
  AnthropicTool.WebSearch_20250305({}),
  AnthropicTool.WebFetch_20250910({}),
  AnthropicTool.CodeExecution_20250825({}),
  AnthropicTool.ToolSearchRegex_20251119({})
)
const handlers = everything.toLayer({ check_stock: ({ sku }) => Effect.succeed({ units: sku.length }) })

const options = { prompt: "go", disableToolCallResolution: true, toolCallValidation: "deferred" } as const

const whole = (url: string) =>
  LanguageModel.generateText({ ...options, toolkit: everything }).pipe(
    Effect.provide(handlers),
    Effect.map((response) => response.content),
    against(url)
  )
const streamed = (url: string) =>
  LanguageModel.streamText({ ...options, toolkit: everything }).pipe(
    Stream.runCollect,
    Effect.provide(handlers),
    against(url)
  )
const wholeWithoutTools = (url: string) =>
  LanguageModel.generateText(options).pipe(
    Effect.map((response) => response.content),
    against(url)
  )

const Stored = Schema.fromJsonString(Prompt.Prompt)

/** The assistant content of the next request, when an answer was stored and goes back in it. */
const sentBack = (parts: ReadonlyArray<Response.AnyPart>) =>
  Effect.gen(function* () {
    const server = yield* serveJson(answer([]))
    const said = Prompt.concat(Prompt.make("go"), Prompt.fromResponseParts(parts))
    const prompt = yield* Schema.decodeEffect(Stored)(yield* Schema.encodeEffect(Stored)(said))
    yield* LanguageModel.generateText({ ...options, prompt, toolkit: everything }).pipe(
      Effect.provide(handlers),
      // The prompt is not the one of the answer, to which newer models bind their thinking.
      against(server.url, { model: "claude-sonnet-5" })
    )
    return server.received[0]!.body.messages[1]?.content ?? []
  })

const messages = [
  "message-text",
  "message-thinking",
  "message-web-search",
  "message-web-search-error",
  "message-web-fetch",
  "message-code-execution",
  "message-code-execution-python",
  "message-tool-search",
  "message-programmatic",
  "message-dynamic-search",
  "message-pause",
  "message-refusal",
  "message-citations",
  "message-cache"
]

const shown = (parts: ReadonlyArray<Response.AnyPart>) =>
  parts.flatMap((part) =>
    part.type === "tool-call"
      ? [`${part.name}(${JSON.stringify(part.params)})`]
      : part.type === "tool-result"
        ? [`${part.name} ${part.isFailure ? "failed" : "gave"} ${JSON.stringify(part.result)}`]
        : part.type === "text"
          ? [part.text]
          : []
  )

describe("a documented answer", () => {
  for (const name of messages) {
    it.effect(`${name} goes back as it came, whole or streamed, with its tools declared or not`, () =>
      Effect.gen(function* () {
        const recorded = fixture(name).message
        const json = yield* serveJson(recorded)
        const stream = yield* serveSse(sse(asEvents(recorded)))
        for (const parts of [yield* whole(json.url), yield* streamed(stream.url), yield* wholeWithoutTools(json.url)]) {
          assert.deepStrictEqual(yield* sentBack(parts), takenBack(recorded.content))
        }
      })
    )

    it.effect(`${name} ends the same way, whole or streamed`, () =>
      Effect.gen(function* () {
        const recorded = fixture(name).message
        const json = yield* serveJson(recorded)
        const stream = yield* serveSse(sse(asEvents(recorded)))
        const ends = []
        for (const parts of [yield* whole(json.url), yield* streamed(stream.url)]) {
          const finish = parts.at(-1)
          assert.isTrue(finish?.type === "finish")
          if (finish?.type === "finish") ends.push({ ...finish, response: undefined })
        }
        assert.deepStrictEqual(ends[0], ends[1])
      })
    )
  }

  it.effect("shows what Anthropic searched, fetched and ran", () =>
    Effect.gen(function* () {
      const show = (name: string) =>
        Effect.flatMap(serveJson(fixture(name).message), ({ url }) => Effect.map(whole(url), shown))
      const page = {
        type: "web_search_result",
        url: "https://example.com/selvage",
        title: "On selvages",
        encrypted_content: "EqgfCioIARgBIiQ",
        page_age: "April 30, 2026"
      }
      assert.deepStrictEqual(yield* show("message-web-search"), [
        "I'll search for it.",
        'AnthropicWebSearch({"query":"selvage"})',
        `AnthropicWebSearch gave ${JSON.stringify([page])}`,
        "Based on what I found, ",
        "it keeps cloth from unravelling"
      ])
      assert.include(
        yield* show("message-web-search-error"),
        'AnthropicWebSearch failed {"type":"web_search_tool_result_error","error_code":"max_uses_exceeded"}'
      )
      const ran = yield* show("message-code-execution")
      assert.include(ran, 'AnthropicCodeExecution({"type":"bash_code_execution","command":"ls -la | head -5"})')
      assert.include(
        ran,
        'AnthropicCodeExecution failed {"type":"text_editor_code_execution_tool_result_error","error_code":"file_not_found"}'
      )
      assert.deepStrictEqual(yield* show("message-tool-search"), [
        "I'll look for a tool.",
        'AnthropicToolSearchRegex({"pattern":"stock","limit":5})',
        'AnthropicToolSearchRegex gave {"type":"tool_search_tool_search_result","tool_references":[{"type":"tool_reference","tool_name":"check_stock"}]}',
        "Found one.",
        'check_stock({"sku":"A-100"})'
      ])
    })
  )

  it.effect("cites its sources, by URL and by document", () =>
    Effect.gen(function* () {
      const json = yield* serveJson(fixture("message-citations").message)
      const stream = yield* serveSse(sse(asEvents(fixture("message-citations").message)))
      for (const parts of [yield* whole(json.url), yield* streamed(stream.url)]) {
        assert.deepStrictEqual(
          parts.flatMap((part) =>
            part.type === "source"
              ? [
                  part.sourceType === "url"
                    ? [part.id, part.url.href, part.title]
                    : [part.id, part.mediaType, part.title, part.metadata.anthropic?.cited_text]
                ]
              : []
          ),
          [
            ["1-0", "text/plain", "Example", "The grass is green."],
            ["3-0", "application/pdf", "A PDF", "Water is essential for life."],
            ["3-1", "text/plain", "document 2", "These are important findings."],
            ["3-2", "https://example.com/keys", "Keys"]
          ]
        )
      }
    })
  )

  it.effect("tells its container, its cached tokens and why the cache was missed", () =>
    Effect.gen(function* () {
      const finishOf = (name: string) =>
        Effect.flatMap(serveJson(fixture(name).message), ({ url }) =>
          Effect.map(whole(url), (parts) => parts.find((part) => part.type === "finish"))
        )
      const ran = yield* finishOf("message-code-execution")
      assert.deepStrictEqual(ran?.metadata.anthropic?.container, {
        id: "container_01Fixture",
        expiresAt: "2026-11-21T10:00:00Z",
        skills: []
      })
      const cached = yield* finishOf("message-cache")
      assert.deepStrictEqual(
        { ...cached?.usage.inputTokens },
        { uncached: 2048, cacheRead: 1800, cacheWrite: 248, total: 4096 }
      )
      assert.deepInclude(cached?.metadata.anthropic?.usage, { cacheWrite5m: 148, cacheWrite1h: 100 })
      assert.deepStrictEqual(cached?.metadata.anthropic?.cacheMiss, { reason: "tools_changed", missedTokens: 900 })
      const searched = yield* finishOf("message-web-search")
      assert.strictEqual(searched?.metadata.anthropic?.usage.webSearchRequests, 1)
      const refused = yield* finishOf("message-refusal")
      assert.strictEqual(refused?.reason, "content-filter")
      assert.strictEqual(refused?.metadata.anthropic?.refusal?.category, "cyber")
    })
  )
})

describe("a documented stream", () => {
  const deltas = (
    parts: ReadonlyArray<Response.AnyPart>,
    type: "text-delta" | "reasoning-delta" | "tool-params-delta"
  ) => parts.flatMap((part) => (part.type === type ? [part.delta] : []))

  const play = (name: string) => Effect.flatMap(serveSse(sse(fixture(name).events ?? [])), ({ url }) => streamed(url))

  it.effect("of text gives its pieces and the usage at its end", () =>
    Effect.gen(function* () {
      const parts = yield* play("stream-text")
      assert.deepStrictEqual(deltas(parts, "text-delta"), ["Good", " day!"])
      const finish = parts.at(-1)
      assert.isTrue(finish?.type === "finish" && finish.usage.inputTokens.total === 25)
      assert.isTrue(finish?.type === "finish" && finish.usage.outputTokens.total === 15)
    })
  )

  it.effect("of a tool call gives its arguments as they are written, then the call", () =>
    Effect.gen(function* () {
      const parts = yield* play("stream-tool-use")
      assert.strictEqual(deltas(parts, "tool-params-delta").join(""), '{"sku": "A-100"}')
      assert.deepStrictEqual(shown(parts), ['check_stock({"sku":"A-100"})'])
    })
  )

  it.effect("of thinking gives it with its signature", () =>
    Effect.gen(function* () {
      const parts = yield* play("stream-thinking")
      assert.strictEqual(deltas(parts, "reasoning-delta").join(""), "Halve it until nothing is left.")
      const end = parts.find((part) => part.type === "reasoning-end")
      assert.strictEqual(end?.metadata.anthropic?.signature, "EqQBCgIYAhIM1gbcDa9GJwZA")
    })
  )

  it.effect("of a web search gives the query as it is written, the results, and what the text cites", () =>
    Effect.gen(function* () {
      const parts = yield* play("stream-web-search")
      assert.deepStrictEqual(
        parts.map((part) => part.type).filter((type) => !type.endsWith("-delta")),
        [
          "response-metadata",
          "text-start",
          "text-end",
          "tool-params-start",
          "tool-params-end",
          "tool-call",
          "tool-result",
          "text-start",
          "source",
          "text-end",
          "finish"
        ]
      )
      const call = parts.find((part) => part.type === "tool-call")
      assert.isTrue(call?.providerExecuted)
      assert.deepStrictEqual(call?.params, { query: "selvage" })
      const result = parts.find((part) => part.type === "tool-result")
      assert.isTrue(
        result?.name === "AnthropicWebSearch" &&
          !result.isFailure &&
          result.result[1]?.url === "https://example.org/loom"
      )
      const finish = parts.at(-1)
      assert.isTrue(finish?.type === "finish" && finish.usage.inputTokens.total === 10_682)
    })
  )

  it.effect("cut after any of its events is an error, never a short answer", () =>
    Effect.gen(function* () {
      for (const name of ["stream-text", "stream-tool-use", "stream-thinking", "stream-web-search"]) {
        const events = fixture(name).events ?? []
        for (let length = 0; length < events.length; length++) {
          const server = yield* serveSse(sse(events.slice(0, length)))
          const error = yield* Effect.flip(streamed(server.url))
          assert.strictEqual(error.reason._tag, "NetworkError", `${name} cut after ${length} events`)
        }
      }
    })
  )
})

describe("a documented error", () => {
  for (const { body, reason, status } of fixture("errors").errors ?? []) {
    it.effect(`${status} ${body.error.type} is ${reason}, whole or streamed`, () =>
      Effect.gen(function* () {
        const server = yield* serveJson(body, status)
        assert.strictEqual((yield* Effect.flip(whole(server.url))).reason._tag, reason)
        assert.strictEqual((yield* Effect.flip(streamed(server.url))).reason._tag, reason)
      })
    )

    it.effect(`${body.error.type} in mid-stream is ${reason}`, () =>
      Effect.gen(function* () {
        const server = yield* serveSse(sse([...(fixture("stream-text").events ?? []).slice(0, 4), body]))
        assert.strictEqual((yield* Effect.flip(streamed(server.url))).reason._tag, reason)
      })
    )
  }
})

describe("what Anthropic did on its own side", () => {
  it.effect("never fails an answer: what no schema takes is kept, unseen, and goes back", () =>
    Effect.gen(function* () {
      const content = [
        { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { queries: ["of a later date"] } },
        { type: "web_search_tool_result", tool_use_id: "srvtoolu_1", content: { type: "of_a_later_date" } },
        { type: "text", text: "Found." }
      ]
      const server = yield* serveJson(answer(content))
      const parts = yield* whole(server.url)
      assert.deepStrictEqual(shown(parts), ["Found."])
      assert.deepStrictEqual(yield* sentBack(parts), content)
    })
  )

  it.effect("goes back with what its tool's schema does not know, which the parts leave out", () =>
    Effect.gen(function* () {
      const page = { type: "web_search_result", url: "https://example.com", title: "t", encrypted_content: "x" }
      const content = [
        { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "a", of_a_later_date: 1 } },
        { type: "web_search_tool_result", tool_use_id: "srvtoolu_1", content: [{ ...page, of_a_later_date: 2 }] }
      ]
      const server = yield* serveJson(answer(content))
      const { content: parts } = yield* LanguageModel.generateText({
        prompt: "go",
        toolkit: everything,
        disableToolCallResolution: true
      }).pipe(Effect.provide(handlers), against(server.url))
      assert.deepStrictEqual(shown(parts), [
        'AnthropicWebSearch({"query":"a"})',
        `AnthropicWebSearch gave ${JSON.stringify([page])}`
      ])
      assert.deepStrictEqual(yield* sentBack(parts), content)
    })
  )

  it.effect("shows a result whose call stood in an earlier, paused answer", () =>
    Effect.gen(function* () {
      const server = yield* serve((response) => {
        const paused = server.received.length === 1
        const recorded = fixture("message-pause").message
        const results = [
          {
            type: "web_search_tool_result",
            tool_use_id: "srvtoolu_02Search",
            content: recorded.content[2].content
          },
          { type: "text", text: "Done." }
        ]
        response.writeHead(200, { "content-type": "application/json" })
        response.end(JSON.stringify(paused ? recorded : answer(results)))
      })
      const first = yield* whole(server.url)
      const finish = first.at(-1)
      assert.isTrue(finish?.type === "finish" && finish.reason === "pause")
      const prompt = Prompt.concat(Prompt.make("go"), Prompt.fromResponseParts(first))
      const second = yield* LanguageModel.generateText({ ...options, prompt, toolkit: everything }).pipe(
        Effect.provide(handlers),
        against(server.url)
      )
      assert.deepStrictEqual(server.received[1]!.body.messages, [
        { role: "user", content: [{ type: "text", text: "go" }] },
        { role: "assistant", content: fixture("message-pause").message.content }
      ])
      assert.deepStrictEqual(
        second.content.map((part) => part.type),
        ["response-metadata", "tool-result", "text", "finish"]
      )
    })
  )
})

describe("any answer", () => {
  const word = fc.stringMatching(/^[a-z]{1,12}$/)
  const id = fc.stringMatching(/^[a-zA-Z0-9]{4,8}$/)
  const webCitation = fc.record({
    type: fc.constant("web_search_result_location"),
    cited_text: word,
    encrypted_index: word,
    title: fc.option(word),
    url: word.map((path) => `https://example.com/${path}`)
  })
  const charCitation = fc.record({
    type: fc.constant("char_location"),
    cited_text: word,
    document_index: fc.nat(9),
    document_title: fc.option(word),
    file_id: fc.option(word),
    start_char_index: fc.nat(99),
    end_char_index: fc.nat(99)
  })
  const single = fc.oneof(
    fc.record({ type: fc.constant("text"), text: fc.string() }),
    fc.record({
      type: fc.constant("text"),
      text: word,
      citations: fc.array(fc.oneof(webCitation, charCitation), { minLength: 1, maxLength: 3 })
    }),
    fc.record({ type: fc.constant("thinking"), thinking: fc.string(), signature: word }),
    fc.record({ type: fc.constant("redacted_thinking"), data: word }),
    fc.record({ type: fc.constant("container_upload"), file_id: word }),
    fc.record({
      type: fc.constant("tool_use"),
      id,
      name: fc.constant("check_stock"),
      input: fc.record({ sku: fc.string() })
    })
  )
  // Inputs and results that the tool's schema knows, knows in part, or does not know.
  const input = fc.oneof(
    fc.record({ query: fc.string() }),
    fc.record({ query: fc.string(), of_a_later_date: fc.string() }),
    fc.record({ wanted: fc.string() })
  )
  const page = { type: "web_search_result", url: "https://example.com", title: "t", encrypted_content: "x" }
  const pages = fc.constantFrom<unknown>([], [page], [page, { ...page, of_a_later_date: { a: 1 } }], [{ url: "x" }])
  const searched = fc.tuple(id, input, pages).map(([id, input, content]) => [
    { type: "server_tool_use", id, name: "web_search", input },
    { type: "web_search_tool_result", tool_use_id: id, content }
  ])
  const ran = fc.tuple(id, fc.string()).map(([id, command]) => [
    { type: "server_tool_use", id, name: "bash_code_execution", input: { command } },
    {
      type: "bash_code_execution_tool_result",
      tool_use_id: id,
      content: { type: "bash_code_execution_result", stdout: command, stderr: "", return_code: 0, content: [] }
    }
  ])
  const content = fc
    .array(
      fc.oneof(
        single.map((block) => [block]),
        searched,
        ran
      ),
      { maxLength: 6 }
    )
    .map((groups) => groups.flat())

  const law = (blocks: ReadonlyArray<unknown>) =>
    Effect.gen(function* () {
      const json = yield* serveJson(answer(blocks))
      const stream = yield* serveSse(sse(asEvents(answer(blocks))))
      for (const parts of [yield* whole(json.url), yield* streamed(stream.url)]) {
        assert.deepStrictEqual(yield* sentBack(parts), takenBack(blocks))
      }
    }).pipe(Effect.scoped)

  it("goes back as it came, whole or streamed", async () => {
    const property = fc.asyncProperty(content, (blocks) => Effect.runPromise(law(blocks)))
    const { counterexample, errorInstance } = await fc.check(property, { numRuns: runs(12) })
    assert.isNull(counterexample, `${JSON.stringify(counterexample)} ${String(errorInstance)}`)
  })
})

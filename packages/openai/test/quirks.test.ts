/** Quirks of compatible servers, as tables: what they send, and what a program gets. One server for all of them. */
import { assert, describe, layer } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Context from "effect/Context"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { chunk, completion, message, response } from "./fixtures.ts"
import { modelAt, serve, sse, Tools } from "./support.ts"

/** What a server sends: an object as JSON, a text as it is, and a list as events. */
type Sent = object | string | ReadonlyArray<object | string>

/** What a program gets: a text, calls, the reason, thoughts, counts; or the reason of an error. */
type Got =
  | string
  | {
      readonly text?: string
      readonly thoughts?: string
      readonly calls?: ReadonlyArray<readonly [name: string, city: string]>
      readonly reason?: string
      readonly tokens?: readonly [number | undefined, number | undefined]
    }

type Row = readonly [quirk: string, sent: Sent, got: Got, status?: number]

class Server extends Context.Service<
  Server,
  {
    readonly url: string
    readonly sends: (sent: Sent, status: number) => void
    /** The body of the last request. */
    readonly received: () => string
  }
>()("quirks/Server") {}

const ServerLive = Layer.effect(
  Server,
  Effect.gen(function* () {
    let now: readonly [Sent, number] = ["", 200]
    let last = ""
    const url = yield* serve((_, reply, body) => {
      last = body
      const [sent, status] = now
      reply.writeHead(status, { "content-type": Array.isArray(sent) ? "text/event-stream" : "application/json" })
      reply.end(typeof sent === "string" ? sent : Array.isArray(sent) ? raw(sent) : JSON.stringify(sent))
    })
    return { url, sends: (sent, status) => void (now = [sent, status]), received: () => last }
  })
)

// A text that has lines of the protocol itself is sent as it is.
const raw = (events: ReadonlyArray<object | string>): string =>
  events.map((event) => (typeof event === "string" && event.endsWith("\n\n") ? event : sse([event]))).join("")

const request = { prompt: "hello", toolkit: Tools, disableToolCallResolution: true } as const

/** The parts that a program gets, of a stream or of a whole answer. */
const ask = (
  streams: boolean
): Effect.Effect<ReadonlyArray<Response.AnyPart>, AiError.AiError, LanguageModel.LanguageModel> =>
  streams
    ? Effect.map(
        Stream.runCollect(LanguageModel.streamText(request)),
        (parts): ReadonlyArray<Response.AnyPart> => parts
      )
    : Effect.map(LanguageModel.generateText(request), ({ content }): ReadonlyArray<Response.AnyPart> => content)

const open = (part: { readonly type: string; readonly id?: unknown }) =>
  part.type.replace(/-(start|end)$/, ` ${String(part.id)}`)

/** Every part that starts is ended, once. */
const balanced = (parts: ReadonlyArray<{ readonly type: string; readonly id?: unknown }>) => {
  const begun = new Set<string>()
  for (const part of parts) {
    if (part.type.endsWith("-start")) {
      assert.isFalse(begun.has(open(part)), `${open(part)} starts twice`)
      begun.add(open(part))
    }
    if (part.type.endsWith("-end")) assert.isTrue(begun.delete(open(part)), `${open(part)} ends once`)
  }
  assert.deepStrictEqual([...begun], [])
}

const run = (api: "chat" | "responses", row: Row) =>
  Effect.gen(function* () {
    const [, sent, expected, status = 200] = row
    const server = yield* Server
    server.sends(sent, status)
    const parts = yield* ask(Array.isArray(sent)).pipe(Effect.provide(modelAt(server.url, { api })), Effect.result)
    if (typeof expected === "string") {
      assert.strictEqual(
        parts._tag === "Failure" && AiError.isAiError(parts.failure) ? parts.failure.reason._tag : "none",
        expected
      )
      return
    }
    if (parts._tag === "Failure") return assert.fail(String(parts.failure))
    const all: ReadonlyArray<any> = parts.success
    balanced(all)
    const finish = all.findLast((part) => part.type === "finish")
    const join = (...types: ReadonlyArray<string>) =>
      all.flatMap((part) => (types.includes(part.type) ? [part.delta ?? part.text] : [])).join("")
    const got: Record<string, unknown> = {
      text: join("text", "text-delta"),
      thoughts: join("reasoning", "reasoning-delta"),
      calls: all.flatMap((part) => (part.type === "tool-call" ? [[part.name, part.params.city]] : [])),
      reason: finish.reason,
      tokens: [finish.usage.inputTokens.total, finish.usage.outputTokens.total]
    }
    for (const [what, value] of Object.entries({ calls: [], ...expected }))
      assert.deepStrictEqual(got[what], value, what)
  })

const args = (city: string) => JSON.stringify({ city, unit: null })
const fn = (city: string, more: object = {}) => ({ name: "get_weather", arguments: args(city), ...more })
const call = (id: string | undefined, city: string, index?: number) => ({
  ...(index === undefined ? {} : { index }),
  ...(id === undefined ? {} : { id }),
  type: "function",
  function: fn(city)
})
const calls = (...all: ReadonlyArray<object>) => chunk({ tool_calls: all })
const done = "[DONE]"
const oslo = ["get_weather", "Oslo"] as const
const rome = ["get_weather", "Rome"] as const
const both = { calls: [oslo, rome], reason: "tool-calls" }
const counted = (prompt_tokens: unknown, completion_tokens: unknown) => ({
  usage: { prompt_tokens, completion_tokens }
})
const failed = (error: unknown) => ({ ...chunk({}), choices: [{ index: 0, delta: {}, finish_reason: "error", error }] })

const chatStreams: ReadonlyArray<Row> = [
  // Gemini behind new-api and gcli2api.
  [
    "the finish reason in every chunk",
    [chunk({ content: "Hi" }, "stop"), chunk({ tool_calls: [call("a", "Oslo", 0)] }, "stop"), done],
    { text: "Hi", calls: [oslo], reason: "tool-calls" }
  ],
  [
    "a call after the finish reason",
    [chunk({ content: "Hi" }), chunk({}, "stop"), calls(call("a", "Oslo", 0)), done],
    { text: "Hi", calls: [oslo], reason: "tool-calls" }
  ],
  [
    "a second finish reason with a call",
    [chunk({}, "stop"), chunk({ tool_calls: [call("a", "Oslo", 0)] }, "tool_calls"), done],
    { calls: [oslo], reason: "tool-calls" }
  ],
  [
    "text after the finish reason",
    [chunk({ content: "A" }, "stop"), chunk({ content: "B" }), done],
    { text: "AB", reason: "stop" }
  ],
  [
    "a reason that says length, and one that says stop after it",
    [chunk({ content: "A" }, "length"), chunk({}, "stop"), done],
    { text: "A", reason: "length" }
  ],
  ["no finish reason before [DONE]", [chunk({ content: "A" }), done], { text: "A", reason: "unknown" }],
  [
    "no finish reason before [DONE], with a call",
    [calls(call("a", "Oslo", 0)), done],
    { calls: [oslo], reason: "tool-calls" }
  ],
  ["an empty finish reason before [DONE]", [chunk({ content: "A" }, ""), done], { text: "A", reason: "unknown" }],
  ["no finish reason, and no [DONE]", [chunk({ content: "A" })], "NetworkError"],
  ["nothing but [DONE]", [done], "NetworkError"],
  ["no [DONE]", [chunk({ content: "A" }, "stop")], { text: "A", reason: "stop" }],
  [
    "two calls at one index",
    [calls(call("a", "Oslo", 0)), calls(call("b", "Rome", 0)), chunk({}, "tool_calls"), done],
    both
  ],
  [
    "two calls at one index without ids",
    [calls(call(undefined, "Oslo", 0)), calls(call(undefined, "Rome", 0)), chunk({}, "tool_calls"), done],
    both
  ],
  [
    "two calls at one index in one chunk",
    [calls(call("a", "Oslo", 0), call("b", "Rome", 0)), chunk({}, "tool_calls"), done],
    both
  ],
  ["calls without an index", [calls(call("a", "Oslo")), calls(call("b", "Rome")), chunk({}, "tool_calls"), done], both],
  [
    "calls without an index or ids",
    [calls(call(undefined, "Oslo"), call(undefined, "Rome")), chunk({}, "tool_calls"), done],
    both
  ],
  ["calls from index 1 on", [calls(call("a", "Oslo", 1), call("b", "Rome", 2)), chunk({}, "tool_calls"), done], both],
  [
    "the name again with every piece",
    [
      calls({ index: 0, id: "a", function: { name: "get_weather", arguments: '{"city":' } }),
      calls({ index: 0, id: "a", function: { name: "get_weather", arguments: '"Oslo","unit":null}' } }),
      chunk({}, "tool_calls"),
      done
    ],
    { calls: [oslo] }
  ],
  [
    "an empty id and name with later pieces",
    [
      calls({ index: 0, id: "a", function: { name: "get_weather", arguments: '{"city":' } }),
      calls({ index: 0, id: "", function: { name: "", arguments: '"Oslo","unit":null}' } }),
      chunk({}, "tool_calls"),
      done
    ],
    { calls: [oslo] }
  ],
  [
    "arguments as an object",
    [
      calls({ index: 0, id: "a", function: { name: "get_weather", arguments: { city: "Oslo", unit: null } } }),
      chunk({}, "tool_calls"),
      done
    ],
    { calls: [oslo] }
  ],
  [
    "a call of before there were several",
    [
      chunk({ function_call: { name: "get_weather", arguments: '{"city":"Os' } }),
      chunk({ function_call: { arguments: 'lo","unit":null}' } }),
      chunk({}, "function_call"),
      done
    ],
    { calls: [oslo], reason: "tool-calls" }
  ],
  [
    "a call that is cut by the limit",
    [calls({ index: 0, id: "a", function: { name: "get_weather", arguments: '{"ci' } }), chunk({}, "length"), done],
    { calls: [], reason: "length" }
  ],
  [
    "a call that is cut, without the limit",
    [calls({ index: 0, id: "a", function: { name: "get_weather", arguments: '{"ci' } }), chunk({}, "stop"), done],
    "ToolParameterValidationError"
  ],
  [
    "a call without a name",
    [calls({ index: 0, id: "a", function: { arguments: "{}" } }), done],
    "InvalidResponseError"
  ],
  [
    "content as parts (Mistral)",
    [
      chunk({ content: [{ type: "text", text: "A" }] }),
      chunk({ content: [{ type: "text", text: "B" }] }, "stop"),
      done
    ],
    { text: "AB" }
  ],
  [
    "thoughts as parts (Mistral)",
    [
      chunk({ content: [{ type: "thinking", thinking: [{ type: "text", text: "hm" }] }] }),
      chunk({ content: "A" }, "stop"),
      done
    ],
    { text: "A", thoughts: "hm" }
  ],
  [
    "parts of a kind that nobody knows",
    [
      chunk(
        {
          content: [
            { type: "reference", reference_ids: [1] },
            { type: "text", text: "A" }
          ]
        },
        "stop"
      ),
      done
    ],
    { text: "A" }
  ],
  ["content null", [chunk({ content: null }), chunk({ content: "A" }, "stop"), done], { text: "A" }],
  [
    "reasoning_content",
    [chunk({ reasoning_content: "hm" }), chunk({ content: "A" }, "stop"), done],
    { text: "A", thoughts: "hm" }
  ],
  ["reasoning", [chunk({ reasoning: "hm" }), chunk({ content: "A" }, "stop"), done], { text: "A", thoughts: "hm" }],
  [
    "an empty reasoning_content beside reasoning",
    [chunk({ reasoning_content: "", reasoning: "hm" }), chunk({ content: "A" }, "stop"), done],
    { text: "A", thoughts: "hm" }
  ],
  ["reasoning that is no text", [chunk({ reasoning: { effort: "low" }, content: "A" }, "stop"), done], { text: "A" }],
  [
    "an error in a choice (OpenRouter)",
    [chunk({ content: "A" }), failed({ code: 502, message: "upstream" }), done],
    "InternalProviderError"
  ],
  ["a rate limit in a choice", [failed({ code: 429, message: "slow down" }), done], "RateLimitError"],
  ["an error in a choice as text", [failed("upstream"), done], "InternalProviderError"],
  ["the reason error without an error", [chunk({ content: "A" }, "error"), done], "InternalProviderError"],
  [
    "ping events",
    ["event: ping\ndata: {}\n\n", chunk({ content: "A" }), 'data: {"type":"ping"}\n\n', chunk({}, "stop"), done],
    { text: "A" }
  ],
  [
    "comments",
    [": keep-alive\n\n", ": OPENROUTER PROCESSING\n\n", chunk({ content: "A" }, "stop"), done],
    { text: "A" }
  ],
  ["empty data", ["data:\n\n", "data: \n\n", chunk({ content: "A" }, "stop"), "data: \n\n", done], { text: "A" }],
  ["a chunk without choices", [{ id: "c" }, chunk({ content: "A" }, "stop"), done], { text: "A" }],
  ["choices null", [{ id: "c", choices: null }, chunk({ content: "A" }, "stop"), done], { text: "A" }],
  ["choices empty", [{ id: "c", choices: [] }, chunk({ content: "A" }, "stop"), done], { text: "A" }],
  ["a choice without a delta", [{ choices: [{ index: 0 }] }, chunk({ content: "A" }, "stop"), done], { text: "A" }],
  [
    "a whole message in place of deltas",
    [{ choices: [{ message: { content: "A" }, finish_reason: "stop" }] }, done],
    { text: "A", reason: "stop" }
  ],
  [
    "a whole message after its deltas",
    [chunk({ content: "A" }), { choices: [{ message: { content: "A" }, finish_reason: "stop" }] }, done],
    { text: "A" }
  ],
  [
    "ids and times of other types",
    [
      {
        id: 7,
        created: "today",
        model: null,
        service_tier: 1,
        choices: [{ delta: { content: "A" }, finish_reason: "stop" }]
      },
      done
    ],
    { text: "A" }
  ],
  ["annotations of another shape", [chunk({ content: "A", annotations: "none" }, "stop"), done], { text: "A" }],
  [
    "usage of another shape",
    [{ ...chunk({ content: "A" }, "stop"), usage: "none" }, done],
    { text: "A", tokens: [undefined, undefined] }
  ],
  [
    "counts as texts",
    [{ ...chunk({ content: "A" }, "stop"), ...counted("10", 5) }, done],
    { text: "A", tokens: [undefined, 5] }
  ],
  [
    "counts null",
    [{ ...chunk({ content: "A" }, "stop"), ...counted(null, null) }, done],
    { text: "A", tokens: [undefined, undefined] }
  ],
  [
    "counts in every chunk",
    [{ ...chunk({ content: "A" }), ...counted(10, 1) }, { ...chunk({}, "stop"), ...counted(10, 5) }, done],
    { tokens: [10, 5] }
  ],
  [
    "zero counts after counts",
    [{ ...chunk({ content: "A" }, "stop"), ...counted(10, 5) }, { choices: [], ...counted(0, 0) }, done],
    { tokens: [10, 5] }
  ],
  [
    "counts in the choice (Moonshot)",
    [{ ...chunk({}), choices: [{ delta: { content: "A" }, finish_reason: "stop", ...counted(10, 5) }] }, done],
    { tokens: [10, 5] }
  ],
  ["no counts", [chunk({ content: "A" }, "stop"), done], { tokens: [undefined, undefined] }],
  ["a reason of its own", [chunk({ content: "A" }, "eos"), done], { text: "A", reason: "other" }],
  ["an error with a type and no code", [{ error: { type: "rate_limit_error", message: "slow" } }], "RateLimitError"],
  [
    "an error with a code that says nothing, and a type",
    [{ error: { code: "x", type: "authentication_error", message: "no" } }],
    "AuthenticationError"
  ],
  ["an overload by its type", [{ error: { type: "overloaded_error", message: "busy" } }], "InternalProviderError"],
  [
    "a refused request by its type",
    [{ error: { type: "invalid_request_error", code: "odd", message: "no" } }],
    "InvalidRequestError"
  ],
  [
    "a quota by its type",
    [{ error: { type: "insufficient_quota", code: "429", message: "pay" } }],
    "QuotaExhaustedError"
  ],
  ["a status 402 as a code", [{ error: { code: 402, message: "pay" } }], "QuotaExhaustedError"],
  ["an error as text (LM Studio)", [{ error: "boom" }], "InternalProviderError"],
  [
    "an error as an object of its own (vLLM)",
    [{ object: "error", message: "boom", type: "BadRequestError", code: 400 }],
    "InvalidRequestError"
  ],
  ["an error event without a type", ['event: error\ndata: {"message":"boom"}\n\n'], "InternalProviderError"],
  ["error null beside an answer", [{ ...chunk({ content: "A" }, "stop"), error: null }, done], { text: "A" }],
  ["what is no JSON", ["data: {\n\n"], "InvalidResponseError"]
]

const chatWholes: ReadonlyArray<Row> = [
  [
    "content as parts (Mistral)",
    completion({
      content: [
        { type: "thinking", thinking: [{ type: "text", text: "hm" }] },
        { type: "text", text: "A" }
      ]
    }),
    { text: "A", thoughts: "hm" }
  ],
  ["parts as texts", completion({ content: ["A", "B"] }), { text: "AB" }],
  [
    "an error in a choice (OpenRouter)",
    { choices: [{ finish_reason: "error", error: { code: 502, message: "up" }, message: { content: "" } }] },
    "InternalProviderError"
  ],
  ["an error in a choice without a message", { choices: [{ error: { code: 429, message: "up" } }] }, "RateLimitError"],
  ["a choice without a message", { choices: [{ finish_reason: "stop" }] }, "InvalidResponseError"],
  ["no choices", { choices: [] }, "InvalidResponseError"],
  ["a call without an id", completion({ tool_calls: [call(undefined, "Oslo")] }, "tool_calls"), { calls: [oslo] }],
  [
    "a call beside the reason stop",
    completion({ tool_calls: [call("a", "Oslo")] }, "stop"),
    { calls: [oslo], reason: "tool-calls" }
  ],
  [
    "a call of before there were several",
    completion({ function_call: fn("Oslo") }, "function_call"),
    { calls: [oslo], reason: "tool-calls" }
  ],
  [
    "a call without a reason",
    { choices: [{ message: { tool_calls: [call("a", "Oslo")] } }] },
    { calls: [oslo], reason: "tool-calls" }
  ],
  [
    "arguments as an object",
    completion(
      { tool_calls: [{ id: "a", function: { name: "get_weather", arguments: { city: "Oslo", unit: null } } }] },
      "tool_calls"
    ),
    { calls: [oslo] }
  ],
  [
    "a call that is cut by the limit",
    completion({ tool_calls: [{ id: "a", function: { name: "get_weather", arguments: '{"c' } }] }, "length"),
    { calls: [], reason: "length" }
  ],
  ["tool_calls null", completion({ content: "A", tool_calls: null }), { text: "A" }],
  [
    "ids and times of other types",
    { id: 1, created: "x", model: 5, choices: [{ message: { content: "A" }, finish_reason: "stop" }] },
    { text: "A" }
  ],
  [
    "usage of another shape",
    { choices: [{ message: { content: "A" }, finish_reason: "stop" }], usage: [] },
    { text: "A", tokens: [undefined, undefined] }
  ],
  ["annotations of another shape", completion({ content: "A", annotations: {} }), { text: "A" }],
  ["a 200 with an error", { error: { message: "no", type: "server_error" } }, "InternalProviderError"],
  ["a 200 with a rate limit", { error: { message: "slow", code: 429 } }, "RateLimitError"],
  ["a 200 with an error as text", { error: "no" }, "InternalProviderError"],
  ["a 200 with a detail (FastAPI)", { detail: "no such model" }, "InternalProviderError"],
  ["a 200 with a code and a message (DashScope)", { code: "invalid_api_key", message: "no" }, "AuthenticationError"],
  ["a 200 with a status of its own", { status: 503, msg: "busy" }, "InternalProviderError"],
  ["a 200 that says nothing", {}, "InvalidResponseError"],
  ["a 200 that is no JSON", "<html>", "InvalidResponseError"],
  ["402 as a quota", { error: { message: "pay" } }, "QuotaExhaustedError", 402],
  [
    "429 with a quota as type",
    { error: { message: "pay", type: "insufficient_quota", code: "x" } },
    "QuotaExhaustedError",
    429
  ],
  ["400 with a code of its own", { error: { message: "no", code: "odd" } }, "InvalidRequestError", 400]
]

const delta = (text: string, output_index = 0) => ({
  type: "response.output_text.delta",
  output_index,
  content_index: 0,
  delta: text
})
const fc = (city: string, more: object = {}) => ({
  type: "function_call",
  id: "fc",
  call_id: `call ${city}`,
  ...fn(city),
  ...more
})
const created = { type: "response.created", response: response([], { status: "in_progress", usage: null }) }
const completed = (output: ReadonlyArray<object> = [], more: object = {}) => ({
  type: "response.completed",
  response: response(output, more)
})
const added = (item: object, output_index = 0) => ({ type: "response.output_item.added", output_index, item })
const finished = (item: object, output_index = 0) => ({ type: "response.output_item.done", output_index, item })
const piece = (text: string, output_index = 0) => ({
  type: "response.function_call_arguments.delta",
  output_index,
  delta: text
})

const responsesStreams: ReadonlyArray<Row> = [
  [
    "a call that only its pieces tell of",
    [created, added(fc("Oslo", { arguments: "" })), piece(args("Oslo")), completed()],
    { calls: [oslo], reason: "tool-calls" }
  ],
  [
    "a call that only arguments.done tells of",
    [
      created,
      added(fc("Oslo", { arguments: "" })),
      { type: "response.function_call_arguments.done", output_index: 0, arguments: args("Oslo") },
      completed()
    ],
    { calls: [oslo], reason: "tool-calls" }
  ],
  [
    "two calls that only their pieces tell of",
    [
      created,
      added(fc("Oslo", { arguments: "" })),
      added(fc("Rome", { arguments: "" }), 1),
      piece(args("Rome"), 1),
      piece(args("Oslo")),
      completed()
    ],
    both
  ],
  ["a call only in the end", [created, completed([fc("Oslo")])], { calls: [oslo], reason: "tool-calls" }],
  ["a call that is never begun", [created, finished(fc("Oslo")), completed([fc("Oslo")])], { calls: [oslo] }],
  [
    "a call without pieces",
    [created, added(fc("Oslo", { arguments: "" })), finished(fc("Oslo")), completed()],
    { calls: [oslo] }
  ],
  [
    "a call that is cut, without a limit",
    [created, added(fc("Oslo", { arguments: "" })), piece('{"ci'), completed()],
    "ToolParameterValidationError"
  ],
  [
    "a call that is cut by the limit",
    [
      created,
      added(fc("Oslo", { arguments: "" })),
      piece('{"ci'),
      {
        type: "response.incomplete",
        response: response([], { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } })
      }
    ],
    { calls: [], reason: "length" }
  ],
  ["text only in the end", [created, completed([message("A")])], { text: "A" }],
  ["text without its item", [created, delta("A"), completed()], { text: "A" }],
  [
    "reasoning that is never finished",
    [
      created,
      added({ type: "reasoning", id: "rs", summary: [] }),
      { type: "response.reasoning_summary_text.delta", output_index: 0, summary_index: 0, delta: "hm" },
      delta("A", 1),
      completed()
    ],
    { text: "A", thoughts: "hm" }
  ],
  ["no event of its creation", [delta("A"), completed()], { text: "A" }],
  [
    "ids and times of other types",
    [delta("A"), completed([], { id: 7, created_at: "x", model: null, service_tier: 3 })],
    { text: "A" }
  ],
  [
    "usage of another shape",
    [delta("A"), completed([], { usage: "none" })],
    { text: "A", tokens: [undefined, undefined] }
  ],
  [
    "counts null",
    [delta("A"), completed([], { usage: { input_tokens: null, output_tokens: null } })],
    { tokens: [undefined, undefined] }
  ],
  ["ping events", ["event: ping\ndata: {}\n\n", delta("A"), 'data: {"type":"ping"}\n\n', completed()], { text: "A" }],
  ["empty data", ["data:\n\n", delta("A"), completed()], { text: "A" }],
  ["events nobody knows", [{ type: "response.of_tomorrow", x: 1 }, delta("A"), completed()], { text: "A" }],
  ["items nobody knows", [finished({ type: "of_tomorrow" }), delta("A", 1), completed()], { text: "A" }],
  ["[DONE] at the end", [delta("A"), completed(), done], { text: "A" }],
  ["[DONE] in place of the end", [delta("A"), done], "NetworkError"],
  ["no end", [delta("A")], "NetworkError"],
  ["an error by its code", [{ type: "error", code: "rate_limit_exceeded", message: "slow" }], "RateLimitError"],
  ["an error with a number as code", ['data: {"type":"error","code":429,"message":"slow"}\n\n'], "RateLimitError"],
  [
    "an error by its type",
    [{ type: "error", error: { type: "insufficient_quota", message: "pay" } }],
    "QuotaExhaustedError"
  ],
  [
    "an error in the shape of Chat",
    ['data: {"error":{"type":"server_error","message":"no"}}\n\n'],
    "InternalProviderError"
  ],
  [
    "a failed response",
    [
      {
        type: "response.failed",
        response: response([], { status: "failed", error: { code: "server_error", message: "no" } })
      }
    ],
    "InternalProviderError"
  ],
  [
    "a cancelled response",
    [{ type: "response.failed", response: response([], { status: "cancelled" }) }],
    "InternalProviderError"
  ]
]

const responsesWholes: ReadonlyArray<Row> = [
  [
    "a call that is cut by the limit",
    response([fc("Oslo", { arguments: '{"c' })], {
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" }
    }),
    { calls: [], reason: "length" }
  ],
  ["no status", response([message("A")], { status: null }), { text: "A", reason: "stop" }],
  ["ids and times of other types", response([message("A")], { id: null, created_at: "x" }), { text: "A" }],
  ["usage of another shape", response([message("A")], { usage: "none" }), { tokens: [undefined, undefined] }],
  [
    "annotations of another shape",
    response([{ type: "message", content: [{ type: "output_text", text: "A", annotations: "x" }] }]),
    { text: "A" }
  ],
  ["items nobody knows", response([{ type: "of_tomorrow" }, message("A")]), { text: "A" }],
  ["a 200 with an error", { error: { message: "no", type: "rate_limit_error" } }, "RateLimitError"],
  ["402 as a quota", { error: { message: "pay" } }, "QuotaExhaustedError", 402],
  [
    "a failed response",
    response([], { status: "failed", error: { code: "server_error", message: "no" } }),
    "InternalProviderError"
  ]
]

describe("quirks of compatible servers", () => {
  layer(ServerLive)((it) => {
    for (const [wire, api, rows] of [
      ["Chat, a stream", "chat", chatStreams],
      ["Chat, whole", "chat", chatWholes],
      ["Responses, a stream", "responses", responsesStreams],
      ["Responses, whole", "responses", responsesWholes]
    ] as const) {
      for (const row of rows) it.effect(`${wire}: ${row[0]}`, () => run(api, row))
    }

    for (const streams of [true, false]) {
      it.effect(
        `Chat, ${streams ? "a stream" : "whole"}: a signature of Gemini's is kept, and goes back with its call`,
        () =>
          Effect.gen(function* () {
            const server = yield* Server
            const extra_content = { google: { thought_signature: "sig" } }
            const signed = { ...call("a", "Oslo", 0), extra_content }
            server.sends(
              streams ? [calls(signed), chunk({}, "tool_calls"), done] : completion({ tool_calls: [signed] }),
              200
            )
            const parts = yield* ask(streams).pipe(Effect.provide(modelAt(server.url, { api: "chat" })))
            const made = parts.find((part) => part.type === "tool-call")
            assert.deepStrictEqual(made?.metadata, { openai: { extraContent: extra_content } })
            const history = Prompt.fromMessages([
              ...Prompt.make("hello").content,
              ...Prompt.fromResponseParts(parts).content,
              Prompt.toolMessage({
                content: [
                  Prompt.toolResultPart({
                    id: "a",
                    name: "get_weather",
                    isFailure: false,
                    providerExecuted: false,
                    result: { degrees: 3 }
                  })
                ]
              })
            ])
            server.sends(completion({ content: "A" }), 200)
            yield* LanguageModel.generateText({ ...request, prompt: history }).pipe(
              Effect.provide(modelAt(server.url, { api: "chat" }))
            )
            assert.include(server.received(), JSON.stringify({ extra_content }).slice(1, -1))
          })
      )
    }

    for (const [api, sent] of [
      ["chat", completion({ content: '{"a":' }, "length")],
      [
        "responses",
        response([message('{"a":')], { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } })
      ]
    ] as const) {
      it.effect(`${api}: an object that is cut at the limit of tokens says so`, () =>
        Effect.gen(function* () {
          const server = yield* Server
          server.sends(sent, 200)
          const error = yield* LanguageModel.generateObject({
            prompt: "hello",
            schema: Schema.Struct({ a: Schema.String })
          }).pipe(Effect.provide(modelAt(server.url, { api })), Effect.flip)
          assert.strictEqual(error.reason._tag, "StructuredOutputError")
          assert.match(error.message, /cut at the limit of tokens/)
        })
      )
    }
  })
})

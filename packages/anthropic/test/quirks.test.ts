/** Quirks of servers that are compatible with Anthropic's, as tables: what they send, and what a program gets. */
import { assert, describe, layer } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { against, message, serve, sse, started, stopped, textBlock } from "./servers.ts"

type Sent = object | string | ReadonlyArray<object | string>
type Got =
  | string
  | {
      readonly text?: string
      readonly calls?: ReadonlyArray<string>
      readonly reason?: string
      readonly tokens?: readonly [number | undefined, number | undefined]
    }
type Row = readonly [quirk: string, sent: Sent, got: Got, status?: number]

class Server extends Context.Service<Server, { readonly url: string; sends: (sent: Sent, status: number) => void }>()(
  "quirks/Server"
) {}

const raw = (events: ReadonlyArray<any>): string =>
  events.map((event) => (typeof event === "string" ? event : sse([event]))).join("")

const ServerLive = Layer.effect(
  Server,
  Effect.gen(function* () {
    let now: readonly [Sent, number] = ["", 200]
    const { url } = yield* serve((reply) => {
      const [sent, status] = now
      reply.writeHead(status, { "content-type": Array.isArray(sent) ? "text/event-stream" : "application/json" })
      reply.end(typeof sent === "string" ? sent : Array.isArray(sent) ? raw(sent) : JSON.stringify(sent))
    })
    return { url, sends: (sent, status) => void (now = [sent, status]) }
  })
)

const Weather = Tool.make("get_weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })
const request = { prompt: "hello", toolkit: Toolkit.make(Weather), disableToolCallResolution: true } as const

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

const open = (part: any) => part.type.replace(/-(start|end)$/, ` ${String(part.id)}`)

const balanced = (parts: ReadonlyArray<any>) => {
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

const run = ([, sent, expected, status = 200]: Row) =>
  Effect.gen(function* () {
    const server = yield* Server
    server.sends(sent, status)
    const parts = yield* ask(Array.isArray(sent)).pipe(against(server.url), Effect.result)
    if (typeof expected === "string") {
      const failure: unknown = parts._tag === "Failure" ? parts.failure : undefined
      assert.strictEqual(AiError.isAiError(failure) ? failure.reason._tag : "none", expected)
      return
    }
    if (parts._tag === "Failure") return assert.fail(String(parts.failure))
    const all: ReadonlyArray<any> = parts.success
    balanced(all)
    const finish = all.findLast((part) => part.type === "finish")
    const got: Record<string, unknown> = {
      text: all
        .flatMap((part) => (["text", "text-delta"].includes(part.type) ? [part.delta ?? part.text] : []))
        .join(""),
      calls: all.flatMap((part) => (part.type === "tool-call" ? [part.params.city] : [])),
      reason: finish.reason,
      tokens: [finish.usage.inputTokens.total, finish.usage.outputTokens.total]
    }
    for (const [what, value] of Object.entries({ calls: [], ...expected }))
      assert.deepStrictEqual(got[what], value, what)
  })

const start = (index: number, id: string, input: object = {}) => ({
  type: "content_block_start",
  index,
  content_block: { type: "tool_use", id, name: "get_weather", input }
})
const piece = (index: number, partial_json: string) => ({
  type: "content_block_delta",
  index,
  delta: { type: "input_json_delta", partial_json }
})
const stop = (index: number) => ({ type: "content_block_stop", index })
const json = (city: string) => JSON.stringify({ city })
const whole = (index: number, city: string) => [start(index, `t${index}`), piece(index, json(city))]
const [textStart, textDelta] = textBlock("A")
const both = { calls: ["Oslo", "Rome"], reason: "tool-calls" }
const named = (name: string, data: unknown) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

const streams: ReadonlyArray<Row> = [
  [
    "two calls that are stopped at the end",
    [started, ...whole(0, "Oslo"), ...whole(1, "Rome"), stop(0), stop(1), ...stopped("tool_use")],
    both
  ],
  [
    "two calls that are stopped in the other order",
    [started, ...whole(0, "Oslo"), ...whole(1, "Rome"), stop(1), stop(0), ...stopped("tool_use")],
    { calls: ["Oslo", "Rome"] }
  ],
  [
    "three calls that begin before one is filled",
    [
      started,
      start(0, "a"),
      start(1, "b"),
      start(2, "c"),
      piece(2, json("C")),
      piece(0, json("A")),
      piece(1, json("B")),
      stop(0),
      stop(1),
      stop(2),
      ...stopped("tool_use")
    ],
    { calls: ["A", "B", "C"] }
  ],
  [
    "a text and a call that are stopped at the end",
    [started, textStart!, textDelta!, ...whole(1, "Oslo"), stop(0), stop(1), ...stopped("tool_use")],
    { text: "A", calls: ["Oslo"] }
  ],
  [
    "blocks that are never stopped",
    [started, textStart!, textDelta!, ...whole(1, "Oslo"), ...whole(2, "Rome"), ...stopped("tool_use")],
    { text: "A", ...both }
  ],
  [
    "blocks of one number that are never stopped",
    [started, start(0, "a"), piece(0, json("Oslo")), start(0, "b"), piece(0, json("Rome")), ...stopped("tool_use")],
    both
  ],
  [
    "blocks of one number",
    [started, ...whole(0, "Oslo"), stop(0), start(0, "b"), piece(0, json("Rome")), stop(0), ...stopped("tool_use")],
    both
  ],
  [
    "a call whose input comes with its start",
    [started, start(0, "a", { city: "Oslo" }), stop(0), ...stopped("tool_use")],
    { calls: ["Oslo"] }
  ],
  [
    "a call that is cut by the limit, and was not stopped",
    [started, ...whole(0, "Oslo"), start(1, "b"), piece(1, '{"ci'), ...stopped("max_tokens")],
    { calls: ["Oslo"], reason: "length" }
  ],
  [
    "calls that are stopped together, the last of them cut by the limit",
    [started, ...whole(0, "Oslo"), start(1, "b"), piece(1, '{"ci'), stop(0), stop(1), ...stopped("max_tokens")],
    { calls: ["Oslo"], reason: "length" }
  ],
  [
    "a call that is cut without a limit",
    [started, start(0, "a"), piece(0, '{"ci'), stop(0), ...stopped("tool_use")],
    "ToolParameterValidationError"
  ],
  [
    "a call that is cut without a limit, and was not stopped",
    [started, start(0, "a"), piece(0, '{"ci'), ...stopped("tool_use")],
    "ToolParameterValidationError"
  ],
  [
    "a call beside end_turn",
    [started, ...whole(0, "Oslo"), stop(0), ...stopped("end_turn")],
    { calls: ["Oslo"], reason: "tool-calls" }
  ],
  [
    "a call without a reason",
    [started, ...whole(0, "Oslo"), stop(0), { type: "message_delta", delta: {} }, { type: "message_stop" }],
    { calls: ["Oslo"], reason: "tool-calls" }
  ],
  ["no message_delta", [started, ...textBlock("A"), { type: "message_stop" }], { text: "A", reason: "unknown" }],
  ["no message_stop", [started, ...textBlock("A"), stopped("end_turn")[0]!], "NetworkError"],
  ["nothing", [started], "NetworkError"],
  ["a piece of a block that never began", [started, piece(0, "{}"), ...stopped("tool_use")], "InvalidResponseError"],
  [
    "pings",
    [started, { type: "ping" }, ...textBlock("A"), "event: ping\ndata:\n\n", ...stopped("end_turn")],
    { text: "A" }
  ],
  ["comments", [": hello\n\n", started, ...textBlock("A"), ": bye\n\n", ...stopped("end_turn")], { text: "A" }],
  ["empty data", [started, "data:\n\n", "data: \n\n", ...textBlock("A"), ...stopped("end_turn")], { text: "A" }],
  [
    "[DONE] at the end",
    [started, ...textBlock("A"), "data: [DONE]\n\n", ...stopped("end_turn"), "data: [DONE]\n\n"],
    { text: "A" }
  ],
  ["events nobody knows", [started, { type: "of_tomorrow" }, ...textBlock("A"), ...stopped("end_turn")], { text: "A" }],
  [
    "the type of an event only in its name",
    [
      started,
      ...textBlock("A"),
      named("message_delta", { delta: { stop_reason: "end_turn" } }),
      named("message_stop", {})
    ],
    { text: "A", reason: "stop" }
  ],
  [
    "a start without an id, model or counts",
    [{ type: "message_start", message: {} }, ...textBlock("A"), ...stopped("end_turn")],
    { text: "A", tokens: [undefined, 9] }
  ],
  [
    "counts null",
    [
      { type: "message_start", message: { id: "m", model: "c", usage: null } },
      ...textBlock("A"),
      { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: null },
      { type: "message_stop" }
    ],
    { tokens: [undefined, undefined] }
  ],
  [
    "counts as texts",
    [
      { type: "message_start", message: { id: "m", model: "c", usage: { input_tokens: "10" } } },
      ...textBlock("A"),
      ...stopped("end_turn")
    ],
    { tokens: [undefined, 9] }
  ],
  [
    "zero counts after counts",
    [
      started,
      ...textBlock("A"),
      { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { input_tokens: 0, output_tokens: 7 } },
      { type: "message_stop" }
    ],
    { tokens: [10, 7] }
  ],
  [
    "counts only at the end",
    [
      { type: "message_start", message: { id: "m", model: "c", usage: { input_tokens: 0, output_tokens: 0 } } },
      ...textBlock("A"),
      { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { input_tokens: 10, output_tokens: 7 } },
      { type: "message_stop" }
    ],
    { tokens: [10, 7] }
  ],
  ["a reason of its own", [started, ...textBlock("A"), ...stopped("of_tomorrow")], { text: "A", reason: "other" }],
  [
    "an error in its own shape",
    [started, { type: "error", error: { type: "overloaded_error", message: "no" } }],
    "InternalProviderError"
  ],
  [
    "an error without its event",
    [started, 'data: {"type":"error","error":{"type":"rate_limit_error","message":"no"}}\n\n'],
    "RateLimitError"
  ],
  [
    "an error in OpenAI's shape",
    [started, 'data: {"error":{"type":"insufficient_quota","message":"pay"}}\n\n'],
    "QuotaExhaustedError"
  ],
  [
    "an error with a status as code",
    [started, named("error", { error: { code: 429, message: "slow" } })],
    "RateLimitError"
  ],
  [
    "an error with 402 as code",
    [started, named("error", { error: { code: "402", message: "pay" } })],
    "QuotaExhaustedError"
  ],
  [
    "an error as the first event",
    [named("error", { type: "error", error: { type: "authentication_error", message: "no" } })],
    "AuthenticationError"
  ],
  ["what is no JSON", [started, "data: {\n\n"], "InvalidResponseError"]
]

const tool = { type: "tool_use", id: "a", name: "get_weather", input: { city: "Oslo" } }

const wholes: ReadonlyArray<Row> = [
  [
    "no id, model or counts",
    message({ id: undefined, model: null, usage: undefined }),
    { text: "Hello.", tokens: [undefined, undefined] }
  ],
  ["counts as texts", message({ usage: { input_tokens: "10", output_tokens: 5 } }), { tokens: [undefined, 5] }],
  ["a call beside end_turn", message({ content: [tool] }), { calls: ["Oslo"], reason: "tool-calls" }],
  [
    "a call without a reason",
    message({ content: [tool], stop_reason: null }),
    { calls: ["Oslo"], reason: "tool-calls" }
  ],
  ["blocks nobody knows", message({ content: [{ type: "of_tomorrow" }, { type: "text", text: "A" }] }), { text: "A" }],
  [
    "a call that is cut by the limit",
    message({ content: [tool, { ...tool, id: "b", input: {} }], stop_reason: "max_tokens" }),
    { calls: ["Oslo"], reason: "length" }
  ],
  [
    "a 200 with an error",
    { type: "error", error: { type: "overloaded_error", message: "no" } },
    "InternalProviderError"
  ],
  ["a 200 with an error in OpenAI's shape", { error: { message: "slow", code: 429 } }, "RateLimitError"],
  ["a 200 that says nothing", {}, "InvalidResponseError"],
  ["a 200 that is no JSON", "<html>", "InvalidResponseError"],
  ["402 as a quota", { type: "error", error: { message: "pay" } }, "QuotaExhaustedError", 402],
  ["429 with a quota as type", { error: { type: "insufficient_quota", message: "pay" } }, "QuotaExhaustedError", 429],
  ["an error page", "<html>", "InternalProviderError", 502]
]

describe("quirks of servers compatible with Anthropic", () => {
  layer(ServerLive)((it) => {
    for (const [name, rows] of [
      ["a stream", streams],
      ["whole", wholes]
    ] as const) {
      for (const row of rows) it.effect(`${name}: ${row[0]}`, () => run(row))
    }
  })
})

/** The fault matrix as data: what a provider may do wrong, and what comes of it. `docs/models.md` shows it. */
import type { ServerResponse } from "node:http"
import { perform } from "./stages.ts"
import { sse, type Wire } from "./wires.ts"

/** What a call ends in. */
export interface Outcome {
  /** The reason of the `AiError`; `answer` if it is none. */
  readonly reason: string
  readonly retryable: boolean
  /** Milliseconds. */
  readonly retryAfter?: number | undefined
  /** Whether a breaker counts it against the provider. */
  readonly fault: boolean
}

/** What is asked. */
export type Question = "text" | "tools" | "object"

export interface Fault {
  readonly name: string
  readonly asks?: Question | undefined
  /** Where the request goes, if not to the server. */
  readonly url?: string | undefined
  /** Whether the server is silent, so that the client's own limit ends the call. */
  readonly silent?: boolean | undefined
  readonly serve: (wire: Wire, response: ServerResponse, streaming: boolean) => void
  /** What both a call and a stream end in, unless the stream has an outcome of its own. */
  readonly call: Outcome
  readonly stream?: Outcome | undefined
  /** Whether a stream gave its first text before. */
  readonly partial?: boolean | undefined
}

export const text = "A selvage"

const json = (response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}) => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(JSON.stringify(body))
}

const status =
  (code: number, headers: Record<string, string> = {}): Fault["serve"] =>
  (wire, response) =>
    json(response, code, wire.error(code, "no"), headers)

const retry = (reason: string, retryAfter?: number): Outcome => ({ reason, retryable: true, retryAfter, fault: true })
const never = (reason: string, fault: boolean): Outcome => ({ reason, retryable: false, fault })

const contextCode: Readonly<Record<Wire["name"], string>> = {
  "OpenAI Responses": "context_length_exceeded",
  "OpenAI Chat": "context_length_exceeded",
  Anthropic: "invalid_request_error"
}

const quotaCode: Readonly<Record<Wire["name"], string>> = {
  "OpenAI Responses": "insufficient_quota",
  "OpenAI Chat": "insufficient_quota",
  Anthropic: "billing_error"
}

const errorEvent = (wire: Wire): object =>
  wire.name === "Anthropic"
    ? wire.error(529, "overloaded", "overloaded_error")
    : wire.name === "OpenAI Chat"
      ? wire.error(503, "overloaded")
      : { type: "error", code: "server_error", message: "overloaded", param: null }

export const faults: ReadonlyArray<Fault> = [
  {
    name: "429 with `retry-after: 7`",
    serve: status(429, { "retry-after": "7" }),
    call: retry("RateLimitError", 7000)
  },
  { name: "429 without", serve: status(429), call: retry("RateLimitError") },
  { name: "500", serve: status(500), call: retry("InternalProviderError") },
  { name: "503", serve: status(503), call: retry("InternalProviderError") },
  {
    name: "503 with `retry-after: 3`",
    serve: status(503, { "retry-after": "3" }),
    call: retry("RateLimitError", 3000)
  },
  {
    name: "no headers within the client's timeout",
    silent: true,
    serve: () => undefined,
    call: retry("NetworkError")
  },
  {
    name: "silence in the middle, longer than the client's timeout",
    silent: true,
    serve: (wire, response, streaming) => perform(wire, { _tag: "Stall", text }, response, streaming),
    call: retry("NetworkError"),
    partial: true
  },
  {
    name: "connection cut in the middle",
    serve: (wire, response, streaming) => perform(wire, { _tag: "Cut", text }, response, streaming),
    call: retry("NetworkError"),
    partial: true
  },
  {
    name: "connection closed politely, but too early",
    serve: (wire, response, streaming) => {
      response.writeHead(200, { "content-type": streaming ? "text/event-stream" : "application/json" })
      response.end(streaming ? sse(wire.begin(text)) : '{"id":')
    },
    call: never("InvalidResponseError", true),
    stream: retry("NetworkError"),
    partial: true
  },
  {
    name: "malformed JSON",
    serve: (wire, response, streaming) => perform(wire, { _tag: "Malformed", text }, response, streaming),
    call: never("InvalidResponseError", true),
    partial: true
  },
  {
    name: "JSON of another shape",
    serve: (wire, response, streaming) => {
      const event =
        wire.name === "OpenAI Chat" ? { choices: 7 } : { ...Object(wire.events({ _tag: "Answer", text }).at(-2)) }
      const broken = Object.fromEntries(Object.entries(event).map(([key, value]) => [key, key === "type" ? value : 7]))
      response.writeHead(200, { "content-type": streaming ? "text/event-stream" : "application/json" })
      response.end(streaming ? sse([...wire.begin(text), broken]) : '{"hello":"world"}')
    },
    call: never("InvalidResponseError", true),
    partial: true
  },
  {
    name: "a web page with status 200",
    serve: (_, response) => {
      response.writeHead(200, { "content-type": "text/html" })
      response.end("<html>Sign in</html>")
    },
    call: never("InvalidResponseError", true)
  },
  {
    name: "an empty body",
    serve: (_, response, streaming) => {
      response.writeHead(200, { "content-type": streaming ? "text/event-stream" : "application/json" })
      response.end()
    },
    call: never("InvalidResponseError", true),
    stream: retry("NetworkError")
  },
  {
    name: "an error event in the middle",
    serve: (wire, response, streaming) => {
      if (!streaming) return json(response, 503, wire.error(503, "overloaded"))
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.end(sse([...wire.begin(text), errorEvent(wire)]))
    },
    call: retry("InternalProviderError"),
    partial: true
  },
  {
    name: "tool arguments that do not fit",
    asks: "tools",
    serve: (wire, response, streaming) =>
      perform(
        wire,
        { _tag: "Answer", calls: [{ id: "call_1", name: "check_stock", arguments: '{"sku":17}' }] },
        response,
        streaming
      ),
    call: { reason: "ToolParameterValidationError", retryable: true, fault: false }
  },
  {
    name: "tool arguments that are no JSON",
    asks: "tools",
    serve: (wire, response, streaming) =>
      perform(
        wire,
        { _tag: "Answer", calls: [{ id: "call_1", name: "check_stock", arguments: '{"sku":' }] },
        response,
        streaming
      ),
    call: { reason: "ToolParameterValidationError", retryable: true, fault: false }
  },
  {
    name: "a call of no tool",
    asks: "tools",
    serve: (wire, response, streaming) =>
      perform(
        wire,
        { _tag: "Answer", calls: [{ id: "call_1", name: "make_up", arguments: "{}" }] },
        response,
        streaming
      ),
    call: { reason: "ToolNotFoundError", retryable: true, fault: false }
  },
  {
    name: "a refusal",
    serve: (wire, response, streaming) => perform(wire, { _tag: "Refusal", text }, response, streaming),
    call: { reason: "answer, `content-filter`", retryable: false, fault: false },
    partial: true
  },
  {
    name: "a refusal of an object",
    asks: "object",
    serve: (wire, response, streaming) => perform(wire, { _tag: "Refusal", text }, response, streaming),
    call: never("ContentPolicyError", false)
  },
  {
    name: "an object that does not fit",
    asks: "object",
    serve: (wire, response, streaming) => perform(wire, { _tag: "Answer", text: '{"units":"7"}' }, response, streaming),
    call: { reason: "StructuredOutputError", retryable: true, fault: false }
  },
  {
    name: "a prompt longer than the context",
    serve: (wire, response) => json(response, 400, wire.error(400, "prompt is too long", contextCode[wire.name])),
    call: never("InvalidRequestError", false)
  },
  { name: "an invalid key", serve: status(401), call: never("AuthenticationError", true) },
  { name: "a model that is not there", serve: status(404), call: never("InvalidRequestError", false) },
  {
    name: "no credit",
    serve: (wire, response) => json(response, 429, wire.error(429, "pay first", quotaCode[wire.name])),
    call: never("QuotaExhaustedError", true)
  },
  {
    name: "a host that no name server knows",
    url: "http://selvage.invalid",
    serve: () => undefined,
    call: retry("NetworkError")
  },
  {
    name: "a port where nobody listens",
    url: "http://127.0.0.1:1",
    serve: () => undefined,
    call: retry("NetworkError")
  }
]

const yes = (value: boolean) => (value ? "yes" : "no")
const cells = ({ fault, reason, retryAfter, retryable }: Outcome): string =>
  [
    reason.startsWith("answer") ? reason : `\`${reason}\``,
    yes(retryable),
    retryAfter === undefined ? "" : `${retryAfter / 1000} s`,
    yes(fault)
  ].join(" | ")

/** The matrix as the document shows it. */
export const table = (): string =>
  [
    "| Fault | | Outcome | `isRetryable` | `retryAfter` | Breaker counts it |",
    "|---|---|---|---|---|---|",
    ...faults.flatMap(({ asks, call, name, stream }) =>
      stream === undefined
        ? [`| ${name} | ${asks === "object" ? "call" : "call, stream"} | ${cells(call)} |`]
        : [`| ${name} | call | ${cells(call)} |`, `| | stream | ${cells(stream)} |`]
    )
  ].join("\n")

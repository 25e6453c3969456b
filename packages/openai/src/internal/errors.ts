/**
 * From what the SDK throws to the reasons of `AiError`. Every text that goes into an error passes the client's `redact`.
 */
import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from "openai"
import * as AiError from "effect/ai/AiError"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

/** The request an error belongs to. */
export interface RequestContext {
  readonly module: "OpenAiLanguageModel" | "OpenAiEmbeddingModel"
  readonly method: "generateText" | "streamText" | "countTokens" | "embedMany"
  readonly url: string
  readonly redact: (text: string) => string
}

const maxBody = 2000

/** An `AiError` of this module for a reason. */
export const make = (
  context: Pick<RequestContext, "module" | "method">,
  reason: AiError.AiErrorReason
): AiError.AiError => AiError.make({ module: context.module, method: context.method, reason })

/** The address of an endpoint as errors may show it: without what may be secret in it. */
export const address = (baseUrl: string, path: string): string => {
  const [plain] = baseUrl.split("?")
  return `${(plain ?? "").replace(/\/\/[^/@]*@/, "//").replace(/\/+$/, "")}${path}`
}

/** A connection that broke, timed out, or was never made. */
export const network = (context: RequestContext, description: string): AiError.AiError =>
  make(
    context,
    new AiError.NetworkError({
      reason: "TransportError",
      method: "POST",
      url: context.url,
      description: context.redact(description)
    })
  )

/** An answer that does not follow the protocol. */
export const invalidResponse = (context: RequestContext, description: string): AiError.AiError =>
  make(context, new AiError.InvalidResponseError({ description: context.redact(description) }))

const seconds = /^\d+(\.\d+)?$/

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A duration like `6m0s` or `120ms`. */
const parseReset = (text: string): number | undefined => {
  if (seconds.test(text)) return Number(text) * 1000
  const found = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)]
  if (found.map(([whole]) => whole).join("") !== text || found.length === 0) return undefined
  return found.reduce((sum, [, amount, unit]) => sum + Number(amount) * (units[unit ?? ""] ?? 0), 0)
}

/** When the limits that are used up are there again; see https://developers.openai.com/api/docs/guides/rate-limits. */
const limitReset = (headers: Headers): Duration.Duration | undefined => {
  const resets = ["requests", "tokens"].flatMap((kind) => {
    if (headers.get(`x-ratelimit-remaining-${kind}`)?.trim() !== "0") return []
    const reset = parseReset(headers.get(`x-ratelimit-reset-${kind}`)?.trim() ?? "")
    return reset === undefined ? [] : [reset]
  })
  return resets.length === 0 ? undefined : Duration.millis(Math.max(...resets))
}

/**
 * The delay a server asks for: `retry-after-ms`, else `retry-after` as seconds or as a date, else when a limit that is used
 * up is reset. A date is measured against the server's own `date` header where there is one, so a skewed local clock does
 * no harm.
 */
export const retryAfter = (headers: Headers | undefined, now: number): Duration.Duration | undefined => {
  const millis = headers?.get("retry-after-ms")?.trim()
  if (millis !== undefined && seconds.test(millis)) return Duration.millis(Number(millis))
  const value = headers?.get("retry-after")?.trim()
  if (value === undefined) return headers === undefined ? undefined : limitReset(headers)
  if (seconds.test(value)) return Duration.seconds(Number(value))
  const at = Date.parse(value)
  if (Number.isNaN(at)) return undefined
  const served = Date.parse(headers?.get("date") ?? "")
  return Duration.millis(Math.max(0, at - (Number.isNaN(served) ? now : served)))
}

// An allowlist: cookies and proxy headers have no place in an error.
const keepHeader = (name: string): boolean =>
  name === "x-request-id" ||
  name === "content-type" ||
  name.startsWith("retry-after") ||
  name.startsWith("x-ratelimit-")

/** The response headers worth keeping. */
export const pickHeaders = (headers: Headers): Record<string, string> =>
  Object.fromEntries([...headers.entries()].filter(([name]) => keepHeader(name)))

/** What the API says about a failure, in an error body, an `error` event, or `response.error`. */
export const ErrorBody = Schema.Struct({
  message: Schema.optional(Schema.NullOr(Schema.String)),
  type: Schema.optional(Schema.NullOr(Schema.String)),
  code: Schema.optional(Schema.NullOr(Schema.Union([Schema.String, Schema.Finite]))),
  param: Schema.optional(Schema.NullOr(Schema.String))
})

const decodeErrorBody = Schema.decodeUnknownOption(ErrorBody)

const decodeBody = (body: unknown): typeof ErrorBody.Type | undefined =>
  // LM Studio and llama.cpp say `{"error": "text"}`.
  typeof body === "string" ? { message: body } : Option.getOrUndefined(decodeErrorBody(body))

const policyCodes = new Set([
  "content_filter",
  "content_policy_violation",
  "ResponsibleAIPolicyViolation",
  "cyber_policy",
  "bio_policy",
  "image_content_policy_violation"
])
const quotaCodes = new Set([
  "insufficient_quota",
  "billing_hard_limit_reached",
  "billing_not_active",
  "billing_error",
  "insufficient_balance",
  "insufficient_user_quota",
  "exceeded_current_quota_error",
  "quota_exceeded",
  "payment_required"
])

/** The status that an error would have had, by the words for it where there is none: inside a stream, or an answer with status 200. */
const statusOfWord: Readonly<Record<string, number>> = {
  invalid_prompt: 400,
  invalid_request_error: 400,
  context_length_exceeded: 400,
  model_not_found: 404,
  not_found_error: 404,
  request_too_large: 413,
  authentication_error: 401,
  invalid_authentication_error: 401,
  invalid_api_key: 401,
  expired_api_key: 401,
  permission_error: 403,
  permission_denied: 403,
  rate_limit_exceeded: 429,
  rate_limit_error: 429,
  rate_limit_reached_error: 429,
  too_many_requests: 429,
  engine_overloaded_error: 503,
  overloaded_error: 503,
  server_error: 500,
  internal_error: 500,
  api_error: 500,
  timeout_error: 504
}

const statusOf = (code: string | number | null | undefined): number | undefined => {
  const value = typeof code === "string" && /^\d{3}$/.test(code) ? Number(code) : code
  return typeof value === "number" && value >= 400 && value < 600 ? value : undefined
}

const hint = (status: number | undefined): string =>
  status === 404 ? " (check the model's name, and that the base URL ends in the API's version)" : ""

type Failure = {
  readonly status: number | undefined
  readonly headers: Headers | undefined
  readonly body: unknown
  readonly message: string
}

const reasonOf = (failure: Failure, context: RequestContext, now: number): AiError.AiErrorReason => {
  const body = decodeBody(failure.body)
  const code = body?.code === null || body?.code === undefined ? undefined : String(body.code)
  // Servers differ in which of the two says what is wrong.
  const kinds = [code, body?.type ?? undefined].flatMap((kind) => (kind === undefined ? [] : [kind]))
  const { headers } = failure
  // Inside a stream, and inside answers with status 200, gateways put the status into the code.
  const words = kinds.map((kind) => (Object.hasOwn(statusOfWord, kind) ? statusOfWord[kind] : undefined))
  const status = failure.status ?? statusOf(body?.code) ?? words.find((word) => word !== undefined)
  const text = failure.body === undefined || failure.body === null ? undefined : JSON.stringify(failure.body)
  const http =
    failure.status === undefined || headers === undefined
      ? undefined
      : {
          response: { status: failure.status, headers: pickHeaders(headers) },
          ...(text === undefined ? undefined : { body: context.redact(text).slice(0, maxBody) })
        }
  const description = AiError.buildErrorDescription({
    status: status ?? 0,
    message: context.redact((body?.message ?? failure.message) + hint(status)).slice(0, maxBody),
    method: "POST",
    url: context.url,
    errorCode: code,
    errorType: body?.type,
    requestId: headers?.get("x-request-id"),
    body: undefined
  })
  const delay = retryAfter(headers, now)
  const common = http === undefined ? {} : { http }
  const rateLimit = () =>
    new AiError.RateLimitError({
      ...common,
      ...(delay === undefined ? undefined : { retryAfter: delay }),
      metadata: { openai: { description } }
    })

  if (kinds.some((kind) => policyCodes.has(kind))) return new AiError.ContentPolicyError({ ...common, description })
  if (status === 402 || kinds.some((kind) => quotaCodes.has(kind))) {
    return new AiError.QuotaExhaustedError({ ...common, metadata: { openai: { description } } })
  }
  if (status === 401) {
    const expired = kinds.some((kind) => kind.includes("expired"))
    return new AiError.AuthenticationError({
      ...common,
      kind: expired ? "ExpiredKey" : "InvalidKey",
      description
    })
  }
  if (status === 403) {
    return new AiError.AuthenticationError({
      ...common,
      kind: "InsufficientPermissions",
      description
    })
  }
  // A server that says when to come back is, to its caller, a rate limit: only that reason can carry the delay.
  if (status === 429 || kinds.includes("rate_limit_exceeded") || (status === 503 && delay !== undefined))
    return rateLimit()
  if (status === 408 || status === 409 || (status !== undefined && status >= 500)) {
    return new AiError.InternalProviderError({ ...common, description })
  }
  if (status !== undefined && status >= 400) {
    return new AiError.InvalidRequestError({
      ...common,
      ...(body?.param ? { parameter: body.param } : undefined),
      description
    })
  }
  // Without a status it came inside a stream that had begun well: the provider's trouble, and worth another try.
  return status === undefined
    ? new AiError.InternalProviderError({ description })
    : new AiError.UnknownError({ ...common, description })
}

/** The error for a failure reported inside a successful HTTP response. */
export const fromBody = (
  context: RequestContext,
  body: typeof ErrorBody.Type | undefined,
  fallback: string
): AiError.AiError =>
  make(context, reasonOf({ status: undefined, headers: undefined, body, message: fallback }, context, 0))

/** The failure an event of a stream reports, if it does. */
export const inEvent = (name: string, data: unknown): typeof ErrorBody.Type | undefined => {
  if (!Predicate.isObject(data)) return undefined
  const reported = "error" in data && data.error ? data.error : name === "error" ? data : undefined
  return reported === undefined
    ? undefined
    : (decodeBody(reported) ?? { message: JSON.stringify(reported).slice(0, maxBody) })
}

/** The failure that a body reports which is no answer: of the shapes that servers give it, some with status 200. */
export const inBody = (data: unknown): typeof ErrorBody.Type | undefined => {
  const reported = inEvent("", data)
  if (reported !== undefined || !Predicate.isObject(data)) return reported
  const fields = data as Readonly<Record<string, unknown>>
  const message = ["message", "msg", "detail", "error_msg", "errorMessage"]
    .map((field) => fields[field])
    .find((value) => typeof value === "string")
  const code = fields["code"] ?? fields["status"] ?? fields["error_code"]
  return message === undefined
    ? undefined
    : {
        message,
        type: typeof fields["type"] === "string" ? fields["type"] : undefined,
        code: typeof code === "string" || typeof code === "number" ? code : undefined
      }
}

const causes = (error: unknown): string => {
  const messages: Array<string> = []
  let current: unknown = error
  while (current instanceof Error && messages.length < 4) {
    const code = "code" in current && typeof current.code === "string" ? ` (${current.code})` : ""
    messages.push(`${current.message}${code}`)
    current = current.cause
  }
  return messages.join(": ")
}

/** The error for anything the SDK or `fetch` threw. */
export const fromThrown = (thrown: unknown, context: RequestContext, now: number): AiError.AiError => {
  if (AiError.isAiError(thrown)) return thrown
  if (thrown instanceof APIConnectionTimeoutError) return network(context, "The request timed out")
  if (thrown instanceof APIUserAbortError) return network(context, "The request was aborted")
  if (thrown instanceof APIConnectionError) return network(context, causes(thrown))
  if (thrown instanceof APIError) {
    return make(
      context,
      reasonOf(
        {
          status: thrown.status,
          headers: thrown.headers,
          body: thrown.error,
          message: thrown.message
        },
        context,
        now
      )
    )
  }
  if (thrown instanceof SyntaxError)
    return invalidResponse(context, `The server sent malformed JSON: ${thrown.message}`)
  if (thrown instanceof TypeError && "code" in thrown && thrown.code === "ERR_INVALID_URL") {
    return make(
      context,
      new AiError.NetworkError({
        reason: "InvalidUrlError",
        method: "POST",
        url: context.url,
        description: "The base URL is not a URL"
      })
    )
  }
  return network(context, thrown instanceof Error ? causes(thrown) : "The request failed")
}

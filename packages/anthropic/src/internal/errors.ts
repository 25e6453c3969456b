/**
 * What went wrong, in the words of `AiError`.
 *
 * The error type in the response body decides before the status does: in the middle of a stream there is no status any more.
 */
import {
  AnthropicError,
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
  APIUserAbortError
} from "@anthropic-ai/sdk"
import * as AiError from "effect/ai/AiError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** Thrown before anything is sent when the key cannot be. Never holds the key. */
export class UnusableApiKey extends Error {
  readonly kind: "MissingKey" | "InvalidKey"
  constructor(kind: "MissingKey" | "InvalidKey") {
    super(`The Anthropic API key is unusable: ${kind}`)
    this.kind = kind
  }
}

/** Thrown before anything is sent when a header cannot be. Never holds its value. */
export class UnusableHeader extends Error {
  readonly header: string
  constructor(header: string) {
    super(`The header ${header} cannot be sent`)
    this.header = header
  }
}

/** Where a request went, and how to keep the key out of what we say about it. */
export interface RequestContext {
  readonly url: string
  readonly redact: (text: string) => string
}

const maxText = 2_000
const maxRetryAfterMillis = 24 * 60 * 60 * 1000

/** Makes a text from outside fit for an error: without the key or a URL's credentials, and not longer than a screen. */
export const quote = (text: string, context: RequestContext): string => {
  const clean = context.redact(text).replace(/\/\/[^/\s@]*@/g, "//")
  return clean.length > maxText ? `${clean.slice(0, maxText)}…` : clean
}

/** The endpoint of a base URL without credentials or query, for error messages. */
export const endpoint = (baseUrl: string, path: string): string => {
  const text = `${baseUrl.replace(/\/+$/, "")}${path}`
  if (!URL.canParse(text)) return text.replace(/\/\/[^/@]*@/, "//")
  const url = new URL(text)
  return `${url.origin}${url.pathname}`
}

const reportedHeader = /^(request-id|retry-after|retry-after-ms|anthropic-ratelimit-.*)$/

/** The response headers worth keeping: the request id and the limits. */
export const reportedHeaders = (headers: Headers, context: RequestContext): Record<string, string> =>
  Object.fromEntries(
    [...headers.entries()]
      .filter(([name]) => reportedHeader.test(name))
      .map(([name, value]) => [name, quote(value, context)])
  )

export const transportError = (description: string, context: RequestContext): AiError.AiErrorReason =>
  new AiError.NetworkError({
    reason: "TransportError",
    method: "POST",
    url: context.url,
    description: quote(description, context)
  })

export const invalidResponse = (description: string, context: RequestContext): AiError.AiErrorReason =>
  new AiError.InvalidResponseError({ description: quote(description, context) })

/** Checks what a server sent against what it should have sent. */
export const decoder = <A>(schema: Schema.ConstraintDecoder<A>) => {
  const decode = Schema.decodeUnknownExit(schema)
  return (value: unknown, context: RequestContext): Effect.Effect<A, AiError.AiErrorReason> => {
    const exit = decode(value)
    // A stream decodes thousands of events, and nearly all of them are as they should be.
    return Exit.isSuccess(exit)
      ? Effect.succeed(exit.value)
      : Effect.mapError(exit, (error) =>
          invalidResponse(`the server's answer does not follow the protocol: ${error.message}`, context)
        )
  }
}

const numeric = (text: string | null): number | undefined => {
  if (text === null || text.trim() === "") return undefined
  const value = Number(text)
  return Number.isFinite(value) ? value : undefined
}

// A date in `retry-after` is by the server's clock, so the server's own `date` is what it is measured against when there is one.
const retryAfter = (headers: Headers | undefined, now: number): Duration.Duration | undefined => {
  if (headers === undefined) return undefined
  const clamp = (millis: number) => Duration.millis(Math.min(Math.max(millis, 0), maxRetryAfterMillis))
  const millis = numeric(headers.get("retry-after-ms"))
  if (millis !== undefined) return clamp(millis)
  const text = headers.get("retry-after")
  const seconds = numeric(text)
  if (seconds !== undefined) return clamp(seconds * 1000)
  const at = Date.parse(text ?? "")
  if (Number.isNaN(at)) return undefined
  const serverNow = Date.parse(headers.get("date") ?? "")
  return clamp(at - (Number.isNaN(serverNow) ? now : serverNow))
}

const ErrorBody = Schema.Struct({
  error: Schema.Struct({
    type: Schema.optional(Schema.NullOr(Schema.String)),
    message: Schema.optional(Schema.NullOr(Schema.String)),
    code: Schema.optional(Schema.Unknown)
  })
})

const typeOfStatus = (status: number | undefined): string => {
  switch (status) {
    case 400:
    case 404:
    case 405:
    case 413:
    case 415:
    case 422:
    case 431:
      return "invalid_request_error"
    case 401:
      return "authentication_error"
    case 402:
      return "billing_error"
    case 403:
      return "permission_error"
    case 408:
    case 409:
      return "api_error"
    case 429:
      return "rate_limit_error"
    default:
      return status !== undefined && status >= 500 ? "api_error" : "unknown"
  }
}

const knownTypes = new Set([
  "invalid_request_error",
  "request_too_large",
  "not_found_error",
  "authentication_error",
  "permission_error",
  "billing_error",
  "rate_limit_error",
  "api_error",
  "overloaded_error",
  "timeout_error"
])

// Sent with several statuses, 400 among them, while what it means is always the same: paying helps, repeating does not.
const outOfCredit = /credit balance is too low|spend[_ ]limit|insufficient[_ ](?:user[_ ])?(?:quota|balance)/i

// Inside a stream gateways put the status into the code.
const statusIn = (code: unknown): number | undefined => {
  const status = typeof code === "string" && /^\d{3}$/.test(code) ? Number(code) : code
  return typeof status === "number" && status >= 400 && status < 600 ? status : undefined
}

const apiErrorReason = (error: APIError, context: RequestContext, now: number): AiError.AiErrorReason => {
  const body = Option.getOrUndefined(Schema.decodeUnknownOption(ErrorBody)(error.error))?.error
  const status: number | undefined = error.status
  const bodyType = body?.type ?? undefined
  const message = quote(body?.message ?? error.message, context)
  const wait = retryAfter(error.headers, now)
  const requestId = error.requestID ?? undefined
  const description = requestId === undefined ? message : `${message} [request ${quote(requestId, context)}]`
  const common = {
    metadata: {
      anthropic: {
        ...(bodyType === undefined ? undefined : { type: quote(bodyType, context) }),
        ...(error.errorCode === null ? undefined : { code: quote(error.errorCode, context) }),
        ...(requestId === undefined ? undefined : { requestId: quote(requestId, context) })
      }
    },
    http: {
      ...(status === undefined || error.headers === undefined
        ? undefined
        : { response: { status, headers: reportedHeaders(error.headers, context) } }),
      ...(error.error === undefined ? undefined : { body: quote(safeStringify(error.error), context) })
    }
  }
  if (outOfCredit.test(`${error.errorCode ?? ""} ${bodyType ?? ""} ${message}`))
    return new AiError.QuotaExhaustedError(common)

  switch (
    bodyType !== undefined && knownTypes.has(bodyType) ? bodyType : typeOfStatus(status ?? statusIn(body?.code))
  ) {
    case "invalid_request_error":
    case "request_too_large":
    case "not_found_error":
      // A gateway may label its own failure a bad request; the status is what tells whose fault it is.
      if (status !== undefined && status >= 500) break
      return new AiError.InvalidRequestError({ ...common, description })
    case "authentication_error":
      return new AiError.AuthenticationError({ ...common, kind: "InvalidKey", description })
    case "permission_error":
      return new AiError.AuthenticationError({ ...common, kind: "InsufficientPermissions", description })
    case "billing_error":
      return new AiError.QuotaExhaustedError(common)
    case "rate_limit_error":
      return new AiError.RateLimitError({ ...common, ...(wait === undefined ? undefined : { retryAfter: wait }) })
    case "api_error":
    case "overloaded_error":
    case "timeout_error":
      break
    default:
      return new AiError.UnknownError({ ...common, description })
  }
  // `InternalProviderError` has no place for a wait. A server that is overloaded and names one is limiting the rate, and coming back
  // before the time it named makes it worse; the body's own type stays in the metadata.
  return wait === undefined
    ? new AiError.InternalProviderError({ ...common, description })
    : new AiError.RateLimitError({ ...common, retryAfter: wait })
}

const safeStringify = (value: unknown): string => {
  try {
    return typeof value === "string" ? value : (JSON.stringify(value) ?? String(value))
  } catch {
    return String(value)
  }
}

const chain = (error: unknown): ReadonlyArray<Error> => {
  const errors: Array<Error> = []
  for (let next = error; next instanceof Error && errors.length < 8; next = next.cause) errors.push(next)
  return errors
}

const codeOf = (error: Error): string | undefined => {
  const code: unknown = "code" in error ? error.code : undefined
  return typeof code === "string" ? code : undefined
}

const reasonOf = (cause: unknown, context: RequestContext, now: number): AiError.AiErrorReason => {
  const errors = chain(cause)
  const unusable = errors.find((error) => error instanceof UnusableApiKey)
  if (unusable !== undefined) {
    return new AiError.AuthenticationError({
      kind: unusable.kind,
      description:
        unusable.kind === "MissingKey"
          ? "The Anthropic API key is empty; nothing was sent"
          : "The Anthropic API key holds characters that cannot be sent in a header; nothing was sent"
    })
  }
  const header = errors.find((error) => error instanceof UnusableHeader)
  if (header !== undefined) {
    return new AiError.InvalidRequestError({
      description: `The header ${JSON.stringify(header.header)} has a name or a value that cannot be sent; nothing was sent`
    })
  }
  if (
    errors.some((error) => codeOf(error) === "ERR_INVALID_URL" || /URL that includes credentials/.test(error.message))
  ) {
    return new AiError.NetworkError({
      reason: "InvalidUrlError",
      method: "POST",
      url: context.url,
      description:
        "The base URL cannot be used; give the root of the API without user or password, like https://api.anthropic.com"
    })
  }
  if (cause instanceof APIConnectionTimeoutError) {
    return transportError("no response within the client's timeout", context)
  }
  if (cause instanceof APIUserAbortError) return transportError("the request was aborted", context)
  if (cause instanceof APIError && !(cause instanceof APIConnectionError)) return apiErrorReason(cause, context, now)
  if (cause instanceof SyntaxError) {
    return invalidResponse(`the server's answer is not valid JSON: ${cause.message}`, context)
  }
  if (cause instanceof APIConnectionError || cause instanceof TypeError) {
    const root = errors.at(-1)
    const code = root === undefined ? undefined : codeOf(root)
    return transportError([root?.message || "connection error", code].filter(Boolean).join(" "), context)
  }
  // What the SDK says of a response that it cannot read, such as a stream without a body.
  if (cause instanceof AnthropicError) return invalidResponse(cause.message, context)
  return new AiError.UnknownError({ description: quote(String(cause), context) })
}

class Thrown {
  readonly cause: unknown
  constructor(cause: unknown) {
    this.cause = cause
  }
}

/** Fails with the reason of what the SDK threw. */
export const fromThrown = (cause: unknown, context: RequestContext): Effect.Effect<never, AiError.AiErrorReason> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(reasonOf(cause, context, now)))

/** Runs a promise of the SDK's and maps whatever it throws to a reason. */
export const attempt = <A>(
  run: () => PromiseLike<A>,
  context: RequestContext
): Effect.Effect<A, AiError.AiErrorReason> =>
  Effect.tryPromise({ try: run, catch: (cause) => new Thrown(cause) }).pipe(
    Effect.catch(({ cause }) => fromThrown(cause, context))
  )

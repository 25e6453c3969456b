/** Rate limits of a model in requests and tokens per minute, and the provider's own as far as it tells them. */
import type * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as RateLimiter from "effect/persistence/RateLimiter"
import * as Predicate from "effect/Predicate"
import type { Call, Middleware, Outcome } from "../Middleware.ts"
import { around } from "../Middleware.ts"
import { elapsedMillis } from "./elapsed.ts"
import { kinds, type Need, Remaining, type Told } from "./remaining.ts"

/** Which limit is meant. */
export type Limit = "requests" | "tokens" | "provider"

/** What a limiter is made of. */
export interface Limits {
  readonly key: string
  readonly requestsPerMinute: number | undefined
  readonly tokensPerMinute: number | undefined
  /** How long a call may wait for its turn, in milliseconds. */
  readonly maxWait: number
  /** How many tokens a call will take, before it is made. */
  readonly estimate: (call: Call) => number
  readonly refuse: (limit: Limit, retryAfter: Duration.Duration, call: Call) => AiError.AiError
}

/** What is known of a call when it has its turn. */
interface Held {
  readonly estimate: number
  readonly epoch: number
  readonly need: Need
}

const minute = Duration.minutes(1)

/** How long a store may take. One that is down or slow does not stop the application: the provider has limits of its own. */
const storeTimeout = Duration.seconds(1)

type Headers = Readonly<Record<string, unknown>>

const text = (headers: Headers, name: string): string | undefined => {
  const value = headers[name]
  return typeof value === "string" ? value : undefined
}

// OpenAI's form: "1s", "6m0s", "120ms", "1h2m3s".
const span = (value: string): number | undefined => {
  const units: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 }
  let millis = 0
  let rest = value
  while (rest.length > 0) {
    const found = /^(\d+(?:\.\d+)?)(h|ms|m|s)/.exec(rest)
    if (found === null) return undefined
    millis += Number(found[1]) * units[found[2]!]!
    rest = rest.slice(found[0].length)
  }
  return value.length === 0 ? undefined : millis
}

const resetMillis = (value: string | undefined, now: number): number | undefined => {
  if (value === undefined) return undefined
  const relative = span(value)
  if (relative !== undefined) return relative
  const at = DateTime.make(value)
  return Option.isSome(at) ? Math.max(0, DateTime.toEpochMillis(at.value) - now) : undefined
}

/**
 * How long to wait because a provider says that nothing remains: OpenAI's `x-ratelimit-*` and Anthropic's
 * `anthropic-ratelimit-*`; `undefined` if something remains or nothing is said.
 */
export const exhaustedFor = (headers: Headers, now: number): Duration.Duration | undefined => {
  let wait: number | undefined
  for (const kind of ["requests", "tokens", "input-tokens", "output-tokens"]) {
    for (const [remaining, reset] of [
      [`x-ratelimit-remaining-${kind}`, `x-ratelimit-reset-${kind}`],
      [`anthropic-ratelimit-${kind}-remaining`, `anthropic-ratelimit-${kind}-reset`]
    ] as const) {
      if (text(headers, remaining) !== "0") continue
      const millis = resetMillis(text(headers, reset), now)
      if (millis !== undefined && millis > 0) wait = Math.max(wait ?? 0, millis)
    }
  }
  return wait === undefined ? undefined : Duration.millis(wait)
}

const count = (headers: Headers, name: string): number | undefined => {
  const value = Number(text(headers, name) ?? Number.NaN)
  return Number.isFinite(value) && value >= 0 ? value : undefined
}

/** What a provider says that remains, and of how much, by the same headers. */
const toldOf = (headers: Headers, now: number): ReadonlyArray<Told> =>
  kinds.flatMap((kind) =>
    [(what: string) => `x-ratelimit-${what}-${kind}`, (what: string) => `anthropic-ratelimit-${kind}-${what}`].flatMap(
      (named): ReadonlyArray<Told> => {
        const remaining = count(headers, named("remaining"))
        const limit = count(headers, named("limit"))
        const millis = resetMillis(text(headers, named("reset")), now)
        return remaining === undefined || limit === undefined || millis === undefined
          ? []
          : [{ kind, remaining, limit, resetMillis: millis }]
      }
    )
  )

const headersOf = (outcome: Outcome): Headers | undefined => {
  if (outcome.finish !== undefined) return outcome.finish.response?.headers
  const error = Exit.isFailure(outcome.exit)
    ? Option.getOrUndefined(Cause.findErrorOption(outcome.exit.cause))
    : undefined
  return error !== undefined && "http" in error.reason ? error.reason.http?.response?.headers : undefined
}

const total = (usage: Response.FinishPartEncoded["usage"]): number =>
  (usage.inputTokens.total ?? usage.inputTokens.uncached ?? 0) +
  (usage.outputTokens.total ?? usage.outputTokens.text ?? 0)

const isRateLimited = (error: AiError.AiError): boolean => error.reason._tag === "RateLimitError"

/** Waits for a turn before a call, and takes what it really used after it. */
export const limiting = (limiter: RateLimiter.RateLimiter, limits: Limits): Middleware => {
  const { key, maxWait, refuse, requestsPerMinute, tokensPerMinute } = limits
  const adaptive = { key: `${key}:provider`, tokens: 1 }
  const remaining = new Remaining()

  // A full bucket that says no tells when to ask again; whoever waits holds no place, so a caller that gives up costs
  // the others nothing.
  const take = Effect.fnUntraced(function* (limit: Limit, tokens: number, perMinute: number, end: number, call: Call) {
    const clock = yield* Clock.Clock
    while (true) {
      const result = yield* Effect.result(
        Effect.timeout(
          limiter.consume({
            key: `${key}:${limit}`,
            algorithm: "token-bucket",
            onExceeded: "fail",
            window: minute,
            limit: perMinute,
            tokens: Math.min(tokens, perMinute)
          }),
          storeTimeout
        )
      )
      if (result._tag === "Success") return
      const reason = result.failure._tag === "RateLimiterError" ? result.failure.reason : result.failure
      if (reason._tag !== "RateLimitExceeded") return yield* Effect.logWarning(`rate limit ${key}: ${reason.message}`)
      const wait = Math.max(1, Duration.toMillis(reason.retryAfter))
      if (elapsedMillis(clock) + wait > end) return yield* refuse(limit, reason.retryAfter, call)
      yield* Effect.sleep(wait)
    }
  })

  const heed = Effect.fnUntraced(function* (end: number, call: Call) {
    const clock = yield* Clock.Clock
    while (true) {
      const told = yield* Effect.option(
        Effect.timeout(
          limiter.adaptiveConsume({ ...adaptive, fallbackLimit: requestsPerMinute ?? 60, fallbackWindow: minute }),
          storeTimeout
        )
      )
      if (Option.isNone(told)) return 0
      const { delay, epoch, phase } = told.value
      if (Duration.isZero(delay)) return epoch
      if (elapsedMillis(clock) + Duration.toMillis(delay) > end) {
        return yield* refuse("provider", delay, call)
      }
      yield* Effect.sleep(delay)
      if (phase === "learned") return epoch
    }
  })

  const turn = Effect.fnUntraced(function* (call: Call, estimate: number, end: number) {
    if (requestsPerMinute !== undefined) yield* take("requests", 1, requestsPerMinute, end, call)
    if (tokensPerMinute !== undefined) yield* take("tokens", estimate, tokensPerMinute, end, call)
    return yield* heed(end, call)
  })

  // Not interruptible but while it waits: what is taken is given back by `after`.
  const before = Effect.fnUntraced(function* (call: Call) {
    const clock = yield* Clock.Clock
    const end = elapsedMillis(clock) + maxWait
    const estimate = Math.max(1, Math.ceil(limits.estimate(call)))
    const epoch = yield* Effect.interruptible(turn(call, estimate, end))
    const need: Need = { requests: 1, tokens: estimate, "input-tokens": estimate }
    while (true) {
      const now = elapsedMillis(clock)
      const wait = remaining.take(need, now)
      if (wait === 0) return { estimate, epoch, need }
      if (now + wait > end) return yield* refuse("provider", Duration.millis(wait), call)
      yield* Effect.interruptible(Effect.sleep(wait))
    }
  })

  const after = Effect.fnUntraced(function* (held: Held, outcome: Outcome, call: Call) {
    const clock = yield* Clock.Clock
    const now = clock.currentTimeMillisUnsafe()
    const headers = headersOf(outcome)
    // What the head of a stream said was long ago.
    const told = headers === undefined || call.method === "streamText" ? [] : toldOf(headers, now)
    remaining.end(held.need, told, elapsedMillis(clock))
    if (tokensPerMinute !== undefined && outcome.usage !== undefined) {
      const more = total(outcome.usage) - Math.min(held.estimate, tokensPerMinute)
      if (more > 0) {
        const debt = { key: `${key}:tokens`, window: minute, limit: tokensPerMinute, tokens: more }
        const taken = limiter.consume({ ...debt, algorithm: "token-bucket", onExceeded: "delay" })
        yield* Effect.ignore(Effect.timeout(taken, storeTimeout))
      }
    }
    const error = Exit.isFailure(outcome.exit)
      ? Option.getOrUndefined(Cause.findErrorOption(outcome.exit.cause))
      : undefined
    const exhausted = headers === undefined ? undefined : exhaustedFor(headers, now)
    const asked = error !== undefined && isRateLimited(error) ? error.retryAfter : undefined
    const retryAfter =
      asked === undefined ? exhausted : exhausted === undefined ? asked : Duration.max(asked, exhausted)
    if (retryAfter === undefined) return
    const feedback = limiter.adaptiveFeedback({ ...adaptive, epoch: held.epoch, status: 429, retryAfter })
    yield* Effect.ignore(Effect.timeout(feedback, storeTimeout))
  })

  return around({ before, after })
}

/** A rough number of tokens of a prompt: a quarter of its characters. */
export const estimateTokens = (call: Call): number => {
  let characters = 0
  const count = (value: unknown): void => {
    if (typeof value === "string") characters += value.length
    else if (Array.isArray(value)) for (const item of value) count(item)
    else if (Predicate.isObject(value) && !(value instanceof Uint8Array))
      for (const item of Object.values(value)) count(item)
  }
  for (const message of call.prompt.content) count(message.content)
  return Math.ceil(characters / 4)
}

/**
 * What happens around the requests of one model: bounds on time, retries, a second request beside a late one, a circuit
 * breaker, rate limits.
 *
 * A {@link Policy} is a value; {@link middleware} makes it a middleware, in this order, from outside:
 *
 * - `deadline`: the end of the whole call, retries and waits included;
 * - `breaker`: one outcome per call, after its retries; a key per provider and model;
 * - `retry`: a schedule whose input is the error; {@link retryable} keeps to errors that say they are worth it, and waits
 *   at least their `retryAfter`, but no longer than a minute, and never beyond the deadline of the call or of its run;
 * - `hedge`: a second request when the first is late, off by default: it costs what it costs;
 * - `rateLimit`: requests and tokens per minute, and what the provider says that remains;
 * - `timeout`: one attempt, the first token of a stream, the next token of a stream.
 *
 * Each is a middleware of its own ({@link deadline}, {@link breaker}, {@link retry}, {@link hedge}, {@link rateLimit},
 * {@link timeout}) to compose otherwise. What they refuse is an `AiError` that carries one of the errors below, see
 * `Refusal`.
 *
 * **Streams**
 *
 * A stream that gave nothing but its announcement is asked for again like a whole answer. One that gave content fails,
 * unless `onPartial` is `restart`: then a part `response-metadata` whose metadata has `selvage.restarted` says that all
 * before it is void ({@link afterRestart}), and the stream begins anew. One that called a tool is never restarted: the
 * tool may have begun to run.
 *
 * **Gotchas**
 *
 * - Times are those of the model. The handlers of tools run above all of it.
 * - The breaker counts errors that speak of the provider (network, 5xx, 429, time, keys), not those of a request (invalid,
 *   too long, refused, malformed output). A stream counts at its end.
 * - The limits of this process are shared by other processes only with a Redis store. What a provider says that remains, with
 *   whole answers, each process counts down for itself.
 * - Whoever waits for a rate limit holds no place in a queue; the wait is bounded by `maxWait`. A call that the limit
 *   refused is not retried here, for it has waited as long as it may: it fails, or goes to the next model.
 *
 * **Example**
 *
 * ```ts
 * import * as ModelPolicy from "@selvage/models/ModelPolicy"
 * import * as Offline from "@selvage/models/Offline"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
 * import * as Schedule from "effect/Schedule"
 *
 * const careful = ModelPolicy.layer({
 *   retry: ModelPolicy.retryable(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 }))),
 *   timeout: { attempt: "1 minute", firstToken: "10 seconds", nextToken: "10 seconds" },
 *   breaker: { tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" },
 *   rateLimit: { requestsPerMinute: 500, tokensPerMinute: 200_000, maxWait: "20 seconds" },
 *   deadline: "2 minutes"
 * })
 *
 * export const program = LanguageModel.generateText({ prompt: "What is a selvage?" }).pipe(
 *   Effect.provide(careful.pipe(Layer.provide([Offline.layer, ModelPolicy.layerStoresMemory])))
 * )
 * ```
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as RateLimiter from "effect/persistence/RateLimiter"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { breaking, isFault } from "./internal/breaking.ts"
import * as Circuit from "./internal/circuit.ts"
import { layerCircuits, layerLimits } from "./internal/elapsed.ts"
import { estimateTokens, limiting } from "./internal/limiting.ts"
import { afterRestart, isRestart } from "./internal/restart.ts"
import { backoff, hedging, type OnPartial, retryable as retrySchedule, retrying } from "./internal/retrying.ts"
import { until, within } from "./internal/timing.ts"
import * as Middleware from "./Middleware.ts"
import * as Refusal from "./Refusal.ts"

export { afterRestart, isFault, isRestart, type OnPartial }

/** A model took longer than its policy allows. Retryable. */
export class ModelTimedOut extends Schema.TaggedError<ModelTimedOut>()("ModelTimedOut", {
  model: Schema.String,
  /** What was waited for. */
  phase: Schema.Literals(["answer", "first-token", "next-token"]),
  millis: Schema.Finite
}) {
  override get message() {
    return `${this.model}: no ${this.phase} within ${this.millis} ms. Raise the policy's timeout, or ask a faster model.`
  }
}

/** The deadline of a call is over. Not retryable. */
export class DeadlineExceeded extends Schema.TaggedError<DeadlineExceeded>()("DeadlineExceeded", {
  model: Schema.String,
  millis: Schema.Finite
}) {
  override get message() {
    return `${this.model}: the call did not end within ${this.millis} ms, its retries included. Raise the policy's deadline, or retry less.`
  }
}

/** The circuit of a model is open after failures: it was not asked. Retryable, later. */
export class CircuitOpen extends Schema.TaggedError<CircuitOpen>()("CircuitOpen", {
  key: Schema.String,
  /** When it will be asked again; `undefined` while another call is the probe. */
  retryAfterMillis: Schema.optional(Schema.Finite)
}) {
  override get message() {
    const when = this.retryAfterMillis === undefined ? "when the probe has ended" : `in ${this.retryAfterMillis} ms`
    return `${this.key}: not asked, its circuit is open after repeated failures. Ask again ${when}, or name a model to fall back to.`
  }
}

/** A rate limit leaves no room within the time that a call may wait. Retryable after `retryAfter`. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  key: Schema.String,
  /** Ours in requests or tokens per minute, or the provider's own. */
  limit: Schema.Literals(["requests", "tokens", "provider"]),
  retryAfterMillis: Schema.Finite
}) {
  override get message() {
    return `${this.key}: the limit of ${this.limit} leaves no room for ${this.retryAfterMillis} ms. Ask later, raise the limit or maxWait, or name a model to fall back to.`
  }
}

/** Bounds on the time that a model may take. */
export interface Timeouts {
  /** One attempt, from the request to the end of the answer. What the reader of a stream takes does not count. */
  readonly attempt?: Duration.Input | undefined
  /** From the request to the first content of a stream. */
  readonly firstToken?: Duration.Input | undefined
  /** Between two chunks of a stream, once it gives content. */
  readonly nextToken?: Duration.Input | undefined
}

/** When a circuit opens, and for how long. */
export interface Breaker {
  readonly tripPolicy: CircuitBreaker.TripPolicy
  readonly openDuration: Duration.Input | Schedule.Schedule<unknown, number>
  /** Tells apart the circuits of one model that have other rules: breakers of one key must agree on them. */
  readonly variant?: string | undefined
}

/** Rate limits of one model. */
export interface RateLimit {
  readonly requestsPerMinute?: number | undefined
  /** Of input and output together. The estimate is taken before the call, what was used beyond it after. */
  readonly tokensPerMinute?: number | undefined
  /** How long a call may wait for its turn; default 30 seconds. */
  readonly maxWait?: Duration.Input | undefined
  /** How many tokens a call will take; default a quarter of the characters of its prompt. */
  readonly estimate?: ((call: Middleware.Call) => number) | undefined
  /** Tells apart the limits of one model that have other numbers. */
  readonly variant?: string | undefined
}

/** What happens around the requests of one model. What is left out does not happen. */
export interface Policy {
  readonly deadline?: Duration.Input | undefined
  readonly breaker?: Breaker | undefined
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
  /** What to do when a stream fails after it gave content; default `fail`. */
  readonly onPartial?: OnPartial | undefined
  /** When to ask a second time beside a request that has not answered. */
  readonly hedge?: Duration.Input | undefined
  readonly rateLimit?: RateLimit | undefined
  readonly timeout?: Timeouts | undefined
}

/** The stores that breakers and limiters keep their state in. */
export type Stores = CircuitBreaker.CircuitBreakerStore | RateLimiter.RateLimiterStore

/**
 * Restricts a schedule to errors that say they are worth a retry, and makes it wait at least their `retryAfter`. An error that
 * asks for more than `maxWait` (default 1 minute) is not waited for: the call fails with it, or goes to the next model.
 */
export const retryable = <Output>(
  schedule: Schedule.Schedule<Output, unknown>,
  options: { readonly maxWait?: Duration.Input | undefined } = {}
): Schedule.Schedule<Output, unknown> => retrySchedule(schedule, options.maxWait)

/** Nothing happens around the requests. */
export const none: Policy = {}

/**
 * What a model behind a network gets unless told otherwise: two more tries on errors worth it (200 ms, 400 ms, jittered,
 * or what the error asks for, up to a minute), ten minutes for an attempt, two for the first token and between tokens, a circuit that opens
 * after ten failed calls in a row for 30 seconds, half an hour for the whole call.
 */
export const standard: Policy = {
  deadline: "30 minutes",
  breaker: { tripPolicy: CircuitBreaker.consecutive(10), openDuration: "30 seconds" },
  retry: backoff(2),
  timeout: { attempt: "10 minutes", firstToken: "2 minutes", nextToken: "2 minutes" }
}

const millis = (input: Duration.Input | undefined): number =>
  input === undefined ? Infinity : Duration.toMillis(Duration.fromInputUnsafe(input))

/** How breakers, limits and messages name what is below. */
export const keyOf = ({ models, role }: Middleware.Subject): string =>
  models.length > 0 ? models.join("|") : (role ?? "model")

const keyWith = (name: string, variant: string | undefined): string =>
  variant === undefined ? name : `${name} (${variant})`

const named =
  (make: (key: string) => Middleware.Middleware): Middleware.Middleware =>
  (next) =>
    make(keyOf(next.subject))(next)

/** Asks again as a schedule says; its input is the `AiError`. */
export const retry = (
  schedule: Schedule.Schedule<unknown, unknown>,
  options: { readonly onPartial?: OnPartial | undefined } = {}
): Middleware.Middleware => retrying(schedule, options.onPartial ?? "fail")

/** Bounds the time of an attempt; fails with {@link ModelTimedOut}. */
export const timeout = (timeouts: Timeouts): Middleware.Middleware =>
  named((model) =>
    within(
      {
        attempt: millis(timeouts.attempt),
        firstToken: millis(timeouts.firstToken),
        nextToken: millis(timeouts.nextToken)
      },
      (phase, limit, method) =>
        Refusal.make(ModelTimedOut, new ModelTimedOut({ model, phase, millis: limit }), {
          as: "InternalProviderError",
          method
        })
    )
  )

/** Bounds the time of a whole call; fails with {@link DeadlineExceeded}. */
export const deadline = (within: Duration.Input): Middleware.Middleware => {
  const limit = millis(within)
  return named((model) =>
    until(limit, (method) => Refusal.make(DeadlineExceeded, new DeadlineExceeded({ model, millis: limit }), { method }))
  )
}

/** Asks a second time when there is no answer after a while; the first answer is taken, the other request ends. */
export const hedge = (after: Duration.Input): Middleware.Middleware => hedging(millis(after))

const broken = (circuit: Circuit.Circuit, variant: string | undefined): Middleware.Middleware =>
  named((name) => {
    const key = keyWith(name, variant)
    return breaking(circuit, key, (reason, { method }) => {
      const wait = reason._tag === "CircuitOpen" ? { retryAfterMillis: Duration.toMillis(reason.retryAfter) } : {}
      return Refusal.make(CircuitOpen, new CircuitOpen({ key, ...wait }), { as: "InternalProviderError", method })
    })
  })

/** Does not ask a model that keeps failing; fails with {@link CircuitOpen}. */
export const breaker = (
  circuitBreaker: CircuitBreaker.CircuitBreaker,
  options: { readonly variant?: string | undefined } = {}
): Middleware.Middleware =>
  broken((effect, key, classify) => circuitBreaker.execute(effect, { key, classify }), options.variant)

/** Waits for its turn; fails with {@link RateLimited} if that would take too long. */
export const rateLimit = (limiter: RateLimiter.RateLimiter, options: RateLimit = {}): Middleware.Middleware =>
  named((name) => {
    const key = keyWith(name, options.variant)
    return limiting(limiter, {
      key,
      requestsPerMinute: options.requestsPerMinute,
      tokensPerMinute: options.tokensPerMinute,
      maxWait: millis(options.maxWait ?? "30 seconds"),
      estimate: options.estimate ?? estimateTokens,
      refuse: (limit, retryAfter, { method }) =>
        Refusal.make(RateLimited, new RateLimited({ key, limit, retryAfterMillis: Duration.toMillis(retryAfter) }), {
          as: "RateLimitError",
          retryAfter,
          method
        })
    })
  })

/** A policy as a middleware. */
export const middleware = Effect.fnUntraced(function* (
  policy: Policy
): Effect.fn.Return<Middleware.Middleware, never, Stores> {
  return Middleware.compose(
    ...(policy.deadline === undefined ? [] : [deadline(policy.deadline)]),
    ...(policy.breaker === undefined ? [] : [broken(yield* Circuit.make(policy.breaker), policy.breaker.variant)]),
    ...(policy.retry === undefined ? [] : [retry(policy.retry, { onPartial: policy.onPartial })]),
    ...(policy.hedge === undefined ? [] : [hedge(policy.hedge)]),
    ...(policy.rateLimit === undefined ? [] : [rateLimit(yield* RateLimiter.make, policy.rateLimit)]),
    ...(policy.timeout === undefined ? [] : [timeout(policy.timeout)])
  )
})

/** A policy around the model below. */
export const layer = (
  policy: Policy = standard
): Layer.Layer<LanguageModel.LanguageModel, never, LanguageModel.LanguageModel | Stores> =>
  Middleware.layer(middleware(policy))

/**
 * Circuits and limits of this process alone, by the time that passes whatever is done to a clock. For several processes, use
 * `CircuitBreaker.layerStoreRedis` and its like.
 */
export const layerStoresMemory: Layer.Layer<Stores> = Layer.merge(layerCircuits, layerLimits)

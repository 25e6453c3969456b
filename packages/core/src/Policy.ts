/**
 * A policy says what happens around an attempt: a retry schedule, a timeout per attempt, a circuit breaker. It is a
 * value; `Policy.apply` puts it around any effect, and a graph puts it around a node.
 *
 * Timeout and retry stand inside the breaker, so that the breaker sees one outcome per call. The timer of a timeout
 * starts anew with each attempt.
 *
 * **Gotchas**
 *
 * The retry schedule decides from the error. {@link retryable} restricts a schedule to errors that say so themselves:
 * `isRetryable` (as `effect/ai`'s `AiError` has it) is `true`, or the error is an {@link AttemptTimedOut}; and it waits at
 * least an error's `retryAfter`. Whatever the schedule says, an ask that waits and a journal that fails are not retried,
 * and a defect is a bug and never is. To a breaker, an ask is no failure.
 *
 * **Example**
 *
 * ```ts
 * import { Policy } from "@selvage/core"
 * import { Effect, Schedule } from "effect"
 *
 * const patient = Policy.make({ retry: Policy.retryable(Schedule.recurs(5)), timeout: "10 seconds" })
 *
 * export const program = Effect.succeed("ok").pipe(Policy.apply(patient))
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import { JournalConflict, JournalUnavailable } from "./Errors.ts"
import { Suspended } from "./Task.ts"

/** One attempt took longer than its policy allows. */
export class AttemptTimedOut extends Schema.TaggedError<AttemptTimedOut>()("AttemptTimedOut", {
  millis: Schema.Finite
}) {
  override get message() {
    return `The attempt took longer than ${this.millis} ms and was interrupted. Raise the policy's timeout, or retry.`
  }
}

/** What happens around an attempt. `Failure` is what the policy itself can fail with. */
export interface Policy<out Failure = never> {
  readonly retry: Schedule.Schedule<unknown, unknown> | undefined
  readonly timeout: Duration.Duration | undefined
  readonly breaker: { readonly breaker: CircuitBreaker.CircuitBreaker; readonly key: string } | undefined
  readonly "~failure": () => Failure
}

/** Any policy. */
export interface Any extends Policy<unknown> {}

interface Options {
  /** When to try again; its input is the error. See {@link retryable}. */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
  /** How long one attempt may take. */
  readonly timeout?: Duration.Input | undefined
  /** A breaker of `effect/persistence/CircuitBreaker` and the key of what it guards. */
  readonly breaker?: { readonly breaker: CircuitBreaker.CircuitBreaker; readonly key: string } | undefined
}

type FailureOf<O extends Options> =
  | (O extends { readonly timeout: Duration.Input } ? AttemptTimedOut : never)
  | (O extends { readonly breaker: object } ? CircuitBreaker.CircuitBreakerError : never)

/** Makes a policy. */
export const make = <const O extends Options>(options: O): Policy<FailureOf<O>> => ({
  retry: options.retry,
  timeout: options.timeout === undefined ? undefined : Duration.fromInputUnsafe(options.timeout),
  breaker: options.breaker,
  "~failure": () => undefined as never
})

/** Whether an error says of itself that a retry may help. */
export const isRetryable = (error: unknown): boolean =>
  error instanceof AttemptTimedOut || (Predicate.hasProperty(error, "isRetryable") && error.isRetryable === true)

const retryAfter = (error: unknown): Duration.Duration =>
  Predicate.hasProperty(error, "retryAfter") && Duration.isDuration(error.retryAfter) ? error.retryAfter : Duration.zero

/**
 * Restricts a schedule to errors worth a retry, and makes it wait at least as long as the error asks for.
 */
export const retryable = <Output>(schedule: Schedule.Schedule<Output, unknown>): Schedule.Schedule<Output, unknown> =>
  Schedule.modifyDelay(
    Schedule.while(schedule, ({ input }) => Effect.succeed(isRetryable(input))),
    ({ duration, input }) => Effect.succeed(Duration.max(duration, retryAfter(input)))
  )

/** Three more tries on retryable errors: 200 ms, 400 ms, 800 ms, each jittered, or what the error asks for. */
export const transient: Policy = make({
  retry: retryable(Schedule.exponential("200 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 3 })))
})

// What belongs to the runtime around the effect is none of its policy's business.
const isOwn = (error: unknown): boolean =>
  !(error instanceof Suspended || error instanceof JournalConflict || error instanceof JournalUnavailable)

const classify = (exit: Exit.Exit<unknown, unknown>): CircuitBreaker.Outcome => {
  if (Exit.isSuccess(exit)) return { _tag: "Success" }
  const error = Cause.squash(exit.cause)
  if (Cause.hasInterruptsOnly(exit.cause) || !isOwn(error)) return { _tag: "Ignored" }
  const wait = retryAfter(error)
  return { _tag: "Failure", ...(Duration.isZero(wait) ? {} : { retryAfter: wait }) }
}

/** Puts a policy around an effect. */
export const apply: {
  <Failure>(policy: Policy<Failure>): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Failure, R>
  <A, E, R, Failure>(self: Effect.Effect<A, E, R>, policy: Policy<Failure>): Effect.Effect<A, E | Failure, R>
} = dual(
  2,
  (
    self: Effect.Effect<unknown, unknown, unknown>,
    policy: Policy<unknown>
  ): Effect.Effect<unknown, unknown, unknown> => {
    const { breaker, retry, timeout } = policy
    const attempt =
      timeout === undefined
        ? self
        : Effect.timeoutOrElse(self, {
            duration: timeout,
            orElse: () => Effect.fail(new AttemptTimedOut({ millis: Duration.toMillis(timeout) }))
          })
    const tried = retry === undefined ? attempt : Effect.retry(attempt, { schedule: retry, while: isOwn })
    return breaker === undefined ? tried : breaker.breaker.execute(tried, { key: breaker.key, classify })
  }
)

/** A circuit breaker around a model. */
import type * as AiError from "effect/ai/AiError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Call, Middleware } from "../Middleware.ts"
import { tagOf } from "../Refusal.ts"
import type { Circuit } from "./circuit.ts"
import { open } from "./partial.ts"

/** Whether an error speaks of the provider's health, rather than of this request or of what we put around the model. */
export const isFault = (error: AiError.AiError): boolean => {
  const { reason } = error
  const refusal = tagOf(error)
  if (refusal !== undefined) return refusal === "ModelTimedOut"
  switch (reason._tag) {
    case "NetworkError":
    case "InternalProviderError":
    case "RateLimitError":
    case "QuotaExhaustedError":
    case "AuthenticationError":
    case "InvalidResponseError":
      return true
    default:
      return false
  }
}

const classify = (exit: Exit.Exit<unknown, AiError.AiError>): CircuitBreaker.Outcome => {
  if (Exit.isSuccess(exit)) return CircuitBreaker.success
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error === undefined || !isFault(error)) return CircuitBreaker.ignored
  const { retryAfter } = error
  return { _tag: "Failure", ...(retryAfter === undefined ? {} : { retryAfter }) }
}

const whenOpened = (exit: Exit.Exit<unknown, AiError.AiError>): CircuitBreaker.Outcome =>
  Exit.isSuccess(exit) ? CircuitBreaker.ignored : classify(exit)

/** What a breaker answers in the model's place. */
export type Refuse = (reason: CircuitBreaker.CircuitBreakerErrorReason, call: Call) => AiError.AiError

/**
 * Asks through a breaker. A stream is admitted when it is opened, and its outcome is recorded at its end: a provider that
 * answers at once and then breaks off is not healthy.
 */
export const breaking = (circuit: Circuit, key: string, refuse: Refuse): Middleware => {
  const through = <A, R>(
    effect: Effect.Effect<A, AiError.AiError, R>,
    call: Call,
    outcome: (exit: Exit.Exit<unknown, AiError.AiError>) => CircuitBreaker.Outcome
  ): Effect.Effect<A, AiError.AiError, R> =>
    Effect.catchTag(circuit(effect, key, outcome), "CircuitBreakerError", ({ reason }) =>
      Effect.fail(refuse(reason, call))
    )
  // A circuit that admits nobody has its outcome already.
  const record = (exit: Exit.Exit<void, AiError.AiError>): Effect.Effect<void> =>
    Effect.asVoid(Effect.exit(circuit(exit, key, classify)))
  return (next) => ({
    ...next,
    generate: (call) => through(next.generate(call), call, classify),
    stream: (call) =>
      Stream.unwrap(
        Effect.map(through(open(next.stream(call)), call, whenOpened), ({ stream }) =>
          Stream.transformPull(stream, (pull) =>
            Effect.succeed(
              Effect.tapCause(pull, (cause) => {
                const failure = Pull.filterNoDone(cause)
                return record(Result.isFailure(failure) ? Exit.void : Exit.failCause(failure.success))
              })
            )
          )
        )
      )
  })
}

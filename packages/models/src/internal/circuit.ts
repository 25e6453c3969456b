/**
 * Calls through a circuit: what `effect/persistence/CircuitBreaker` does with a call, on the same stores and by the same rules, in fewer
 * steps, for every call of a model takes them. What an outcome is, is known at once here, and nobody listens to transitions.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import { UnhandledLogLevel } from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { bounded } from "./bounded.ts"

/** Runs an effect through the circuit of a key, and counts its outcome. */
export type Circuit = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  key: string,
  classify: (exit: Exit.Exit<A, E>) => CircuitBreaker.Outcome
) => Effect.Effect<A, E | CircuitBreaker.CircuitBreakerError, R>

/** The rules of a circuit. */
export interface Rules {
  readonly tripPolicy: CircuitBreaker.TripPolicy
  readonly openDuration: Duration.Input | Schedule.Schedule<unknown, number>
}

const noTime = Effect.succeed(Duration.zero)

/** The longest that a circuit stays open because an error asks for it. */
const longest = Duration.hours(1)

/** How long a circuit stays open that has opened so many times in a row. By a schedule: as long as its step of that number waits. */
const openings = ({ openDuration }: Rules): ((times: number) => Effect.Effect<Duration.Duration>) => {
  if (!Schedule.isSchedule(openDuration)) {
    const duration = Effect.succeed(Duration.fromInputUnsafe(openDuration))
    return () => duration
  }
  return Effect.fnUntraced(function* (times) {
    const step = yield* Schedule.toStep(openDuration)
    let now = yield* Clock.currentTimeMillis
    let wait = Duration.zero
    for (let opening = 1; opening <= times; opening++) {
      const next = yield* Effect.exit(step(now, opening))
      if (Exit.isFailure(next)) break
      wait = next.value[1]
      now += Duration.toMillis(wait)
    }
    return wait
  })
}

// A store that cannot be reached stops no call.
const unheard = (what: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.flatMap(UnhandledLogLevel, (level) =>
    level === undefined ? Effect.void : Effect.logWithLevel(level)(what, cause)
  )

/** How long a store may take, in milliseconds; then the call goes on as if it could not be reached. */
const answerMillis = 1_000

const answered = <A>(
  answer: Effect.Effect<A, CircuitBreaker.CircuitBreakerError>
): Effect.Effect<A, CircuitBreaker.CircuitBreakerError> =>
  bounded(
    answer,
    answerMillis,
    () => {
      const message = `the store of circuits gave no answer within ${answerMillis} ms`
      const reason = new CircuitBreaker.CircuitBreakerStoreError({ message })
      return Effect.fail(new CircuitBreaker.CircuitBreakerError({ reason }))
    },
    undefined,
    "left"
  )

const isOfStore = ({ reason }: CircuitBreaker.CircuitBreakerError): boolean =>
  reason._tag === "CircuitBreakerStoreError"

/** A circuit on the store in context. */
export const make = (rules: Rules): Effect.Effect<Circuit, never, CircuitBreaker.CircuitBreakerStore> =>
  Effect.map(CircuitBreaker.CircuitBreakerStore, (store) => {
    const openingFor = openings(rules)
    const openFor = (
      outcome: CircuitBreaker.Outcome,
      { consecutiveOpenings, probe }: CircuitBreaker.Admission
    ): Effect.Effect<Duration.Duration> => {
      // Only a failure opens a circuit, or by a rate the success that makes the calls enough.
      const mayOpen =
        outcome._tag === "Failure" || (outcome._tag === "Success" && !probe && rules.tripPolicy._tag === "Rate")
      if (!mayOpen) return noTime
      const asked = outcome._tag === "Failure" ? outcome.retryAfter : undefined
      return Effect.map(openingFor(consecutiveOpenings + 1), (wait) =>
        asked === undefined ? wait : Duration.max(wait, Duration.min(asked, longest))
      )
    }

    const record = (
      key: string,
      admission: CircuitBreaker.Admission,
      outcome: CircuitBreaker.Outcome
    ): Effect.Effect<void> =>
      Effect.catch(
        Effect.flatMapEager(openFor(outcome, admission), (openFor) =>
          answered(
            store.record({
              key,
              generation: admission.generation,
              outcome: outcome._tag,
              tripPolicy: rules.tripPolicy,
              openFor
            })
          )
        ),
        (error) => unheard("an outcome is not counted by its circuit", Cause.fail(error))
      )

    return <A, E, R>(
      self: Effect.Effect<A, E, R>,
      key: string,
      classify: (exit: Exit.Exit<A, E>) => CircuitBreaker.Outcome
    ) =>
      Effect.uninterruptibleMask((restore) => {
        // As long as the call: a store may hold something for it.
        const scope = Scope.makeUnsafe()
        const refused = (
          error: CircuitBreaker.CircuitBreakerError
        ): Effect.Effect<A, E | CircuitBreaker.CircuitBreakerError, R> =>
          isOfStore(error)
            ? Effect.andThen(unheard("a circuit cannot be asked", Cause.fail(error)), restore(self))
            : Effect.fail(error)
        const call = Effect.matchEffect(answered(Effect.provideService(store.admit(key), Scope.Scope, scope)), {
          onFailure: refused,
          onSuccess: (admission) =>
            Effect.onExitPrimitive(restore(self), (exit) => record(key, admission, classify(exit)))
        })
        return Effect.onExitPrimitive(call, (exit) => Scope.closeUnsafe(scope, exit))
      })
  })

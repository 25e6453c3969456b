/** Asking again, after a failure or beside an answer that is late. */
import * as Event from "@selvage/core/Event"
import * as Policy from "@selvage/core/Policy"
import type * as AiError from "effect/ai/AiError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { Call, Middleware, Part } from "../Middleware.ts"
import { tagOf } from "../Refusal.ts"
import { nothing, noting, open } from "./partial.ts"
import { marker } from "./restart.ts"

/** What to do when a stream fails after it gave content. */
export type OnPartial = "fail" | "restart"

/** Adds an event to the span of the whole call, and tells it who listens to the run. */
export const report = (call: Call, name: string, attributes: Record<string, unknown>): Effect.Effect<void> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    call.span.event(name, clock.currentTimeNanosUnsafe(), attributes)
    return Event.emit(name, attributes)
  })

/** A stream that begins anew: the mark, told also to who listens to the run, and then its parts. */
export const restarting = (
  call: Call,
  model: string,
  error: AiError.AiError,
  parts: Stream.Stream<Part, AiError.AiError>
): Stream.Stream<Part, AiError.AiError> =>
  Stream.unwrap(
    Effect.as(
      report(call, "selvage.model.restarted", { "selvage.model": model, "error.message": error.message }),
      Stream.concat(Stream.succeed(marker(model, error)), parts)
    )
  )

// Our own rate limit refuses who has waited as long as a call may: to wait on as a retry would be to wait longer.
const mayRetry = (error: AiError.AiError): boolean => tagOf(error) !== "RateLimited"

// A retry that could only begin after the deadline would end in a worse error than the one at hand, and leave no time for
// another model.
const inTime = (schedule: Schedule.Schedule<unknown, unknown>): Schedule.Schedule<unknown, unknown> =>
  Schedule.while(schedule, ({ duration, now }) =>
    Effect.map(Policy.Deadline, (deadline) => deadline === undefined || now + Duration.toMillis(duration) < deadline)
  )

/** `Effect.retry`, which begins its schedule with the first failure: most calls have none. */
export const askAgain = <A, E>(
  ask: Effect.Effect<A, E>,
  schedule: Schedule.Schedule<unknown, unknown>,
  isWorthIt: (error: E) => boolean = () => true
): Effect.Effect<A, E> =>
  Effect.catch(ask, (first) =>
    Effect.flatMap(Schedule.toStepWithSleep(schedule), (step) => {
      const again = (error: E): Effect.Effect<A, E> =>
        isWorthIt(error)
          ? Effect.flatMap(
              Pull.catchDone(step(error), () => Effect.fail(error)),
              () => Effect.catch(ask, again)
            )
          : Effect.fail(error)
      return again(first)
    })
  )

/** Asks again as a schedule says, whose input is the error. */
export const retrying = (given: Schedule.Schedule<unknown, unknown>, onPartial: OnPartial): Middleware => {
  const schedule = inTime(given)
  return (next) => {
    const model = next.subject.models.join("|")
    const noted = (call: Call) => (error: AiError.AiError) =>
      report(call, "selvage.model.failed", { "selvage.model": model, "error.message": error.message })
    return {
      ...next,
      generate: (call) => askAgain(Effect.tapError(next.generate(call), noted(call)), schedule, mayRetry),
      stream: (call) =>
        Stream.unwrap(
          Effect.map(Schedule.toStepWithSleep(schedule), (step) => {
            const attempt = (): Stream.Stream<Part, AiError.AiError> =>
              Stream.suspend(() => {
                const progress = nothing()
                return Stream.catch(noting(next.stream(call), progress), (error) => {
                  const stands = progress.called || (progress.content && onPartial === "fail")
                  if (stands || !mayRetry(error)) return Stream.fail(error)
                  const wait = Effect.andThen(
                    noted(call)(error),
                    Pull.catchDone(step(error), () => Effect.fail(error))
                  )
                  const again = progress.content ? restarting(call, model, error, attempt()) : attempt()
                  return Stream.unwrap(Effect.as(wait, again))
                })
              })
            return attempt()
          })
        )
    }
  }
}

// A fails before B began: that is the answer. Else the first success is, and the later failure if there is none.
const hedged = <A, E, R>(
  ask: Effect.Effect<A, E, R>,
  after: number,
  begun: Effect.Effect<void>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let second = false
    let failures = 0
    const settle = (exit: Exit.Exit<A, E>): Effect.Effect<A, E> => {
      if (Exit.isFailure(exit)) failures++
      return Exit.isFailure(exit) && second && failures < 2 ? Effect.never : exit
    }
    const own = Effect.flatMap(Effect.exit(ask), settle)
    const other = Effect.sleep(after).pipe(
      Effect.andThen(
        Effect.suspend(() => {
          second = true
          return begun
        })
      ),
      Effect.andThen(own)
    )
    return Effect.raceFirst(own, other)
  })

/** Asks a second time if there is no answer, or no content of a stream, after a while; the first to answer is heard. */
export const hedging =
  (after: number): Middleware =>
  (next) => {
    const begun = (call: Call) =>
      report(call, "selvage.model.hedged", { "selvage.model": next.subject.models.join("|") })
    return {
      ...next,
      generate: (call) => hedged(next.generate(call), after, begun(call)),
      stream: (call) =>
        Stream.unwrap(Effect.map(hedged(open(next.stream(call)), after, begun(call)), ({ stream }) => stream))
    }
  }

/** Retries errors that say they are worth it, at least as late as they ask for, unless that is too long. */
export const retryable = <Output>(
  schedule: Schedule.Schedule<Output, unknown>,
  maxWait: Duration.Input = "1 minute"
): Schedule.Schedule<Output, unknown> => {
  const longest = Duration.toMillis(Duration.fromInputUnsafe(maxWait))
  return Schedule.while(Policy.retryable(schedule), ({ duration }) =>
    Effect.succeed(Duration.toMillis(duration) <= longest)
  )
}

/** Jittered exponential backoff, at least what the error asks for, on errors that are worth it. */
export const backoff = (times: number): Schedule.Schedule<unknown, unknown> =>
  retryable(Schedule.exponential("200 millis").pipe(Schedule.jittered, Schedule.upTo({ times })))

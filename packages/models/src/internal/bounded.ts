/** A bound on the time of an effect, for effects that nearly always keep it. */
import * as Alarm from "@selvage/provider/Alarm"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/**
 * `Effect.timeoutOrElse`, at the cost of no turn of the event loop and of no timer of its own: a race has both for every call, which for
 * a call of a model is most of what its policy costs. The effect has the services of `context`, by default those of its caller.
 */
export const bounded = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  orElse: () => Effect.Effect<A, E2>,
  context?: Context.Context<R>
): Effect.Effect<A, E | E2, R> =>
  Effect.withFiber((caller) =>
    Effect.callback((resume) => {
      // What the type says of the caller's services, its fiber does not know.
      const fiber = Effect.runForkWith(context ?? (caller.context as Context.Context<R>))(self)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return resume(exit)
      let late = false
      const callOff = Alarm.by(caller)(millis, () => {
        late = true
        fiber.interruptUnsafe()
      })
      fiber.addObserver((ended) => {
        callOff()
        resume(late && Exit.isFailure(ended) ? orElse() : ended)
      })
      // The effect must not outlive its caller.
      return Effect.suspend(() => {
        callOff()
        return Fiber.interrupt(fiber)
      })
    })
  )

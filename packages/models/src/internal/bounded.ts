/** A bound on the time of an effect, for effects that nearly always keep it. */
import * as Alarm from "@selvage/provider/Alarm"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/**
 * `Effect.timeoutOrElse`, at the cost of no turn of the event loop and of no timer of its own: a race has both for every call, which for
 * a call of a model is most of what its policy costs. The effect has the services of `context`, by default those of its caller.
 *
 * `late: "left"` does not wait until an effect that is interrupted has ended: for questions to a store, whose client may be deaf
 * to an interruption while its server is silent.
 */
export const bounded = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  orElse: () => Effect.Effect<A, E2>,
  context?: Context.Context<R>,
  late: "awaited" | "left" = "awaited"
): Effect.Effect<A, E | E2, R> =>
  Effect.withFiber((caller) =>
    Effect.callback((resume) => {
      // What the type says of the caller's services, its fiber does not know.
      const fiber = Effect.runForkWith(context ?? (caller.context as Context.Context<R>))(self)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return resume(exit)
      let isLate = false
      const callOff = Alarm.by(caller)(millis, () => {
        isLate = true
        if (late === "left") resume(orElse())
        fiber.interruptUnsafe()
      })
      fiber.addObserver((ended) => {
        callOff()
        resume(isLate && Exit.isFailure(ended) ? orElse() : ended)
      })
      // The effect must not outlive its caller, unless it is a question to a server that may never answer.
      return Effect.suspend(() => {
        callOff()
        if (late === "awaited") return Fiber.interrupt(fiber)
        fiber.interruptUnsafe()
        return Effect.void
      })
    })
  )

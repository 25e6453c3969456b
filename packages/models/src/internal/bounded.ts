/** A bound on the time of an effect, for effects that nearly always keep it. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/**
 * `Effect.timeoutOrElse`, at the cost of no turn of the event loop and, for an effect that ends at once, of no timer: a race has
 * both for every call, which for a call of a model is most of what its policy costs.
 */
export const bounded = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  orElse: () => Effect.Effect<A, E2>
): Effect.Effect<A, E | E2, R> =>
  // Not interruptible but while it waits: the effect must not outlive its caller, nor the alarm either of them.
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkChild(self, { startImmediately: true }), (fiber): Effect.Effect<A, E | E2> => {
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return exit
      let late = false
      const alarm = Effect.flatMap(Effect.sleep(millis), () => {
        late = true
        return Fiber.interrupt(fiber)
      })
      return Effect.flatMap(Effect.forkChild(alarm, { startImmediately: true }), (timer) =>
        Effect.flatMap(
          Effect.onInterrupt(restore(Fiber.await(fiber)), () =>
            Effect.andThen(Fiber.interrupt(timer), Fiber.interrupt(fiber))
          ),
          (ended): Effect.Effect<A, E | E2> => {
            timer.interruptUnsafe()
            return late && Exit.isFailure(ended) ? restore(orElse()) : ended
          }
        )
      )
    })
  )

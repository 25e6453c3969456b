/** A limit on how long something outside, such as a store, may leave a call without an answer. */
import * as Effect from "effect/Effect"

/**
 * A call that ends when its time is over, in real time whatever the caller's clock: what is outside keeps its own. It does not
 * wait until the call has ended: that is interrupted, and so is one whose caller is interrupted; a client may be deaf to it while
 * its server is silent.
 */
export const within = <A, E, R, B, E2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  late: () => Effect.Effect<B, E2>
): Effect.Effect<A | B, E | E2, R> =>
  Effect.withFiber((caller) =>
    Effect.callback((resume) => {
      // What the type says of the caller's services, its fiber does not know.
      const fiber = Effect.runForkWith(caller.context as Parameters<typeof Effect.runForkWith<R>>[0])(self)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return resume(exit)
      // oxlint-disable-next-line no-restricted-globals -- what is outside keeps real time
      const timer = setTimeout(() => {
        // First: the fiber may end at once, and its own end must not come before.
        resume(late())
        fiber.interruptUnsafe()
      }, millis)
      fiber.addObserver((ended) => {
        clearTimeout(timer)
        resume(ended)
      })
      return Effect.sync(() => {
        clearTimeout(timer)
        fiber.interruptUnsafe()
      })
    })
  )

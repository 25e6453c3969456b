/**
 * Interrupts an effect after each of its steps in turn. A fiber can be interrupted between any two operations, so what is
 * registered in one operation and given back by a finalizer that is installed in the next is leaked once in a while; this
 * finds it each time.
 *
 * **Example**
 *
 * ```ts
 * import { Interruption } from "@selvage/testing"
 * import * as Effect from "effect/Effect"
 *
 * const open = new Set<string>()
 *
 * // Registers in one operation and installs the finalizer in the next: `proof` fails.
 * const leaking = Effect.flatMap(
 *   Effect.sync(() => open.add("file")),
 *   () => Effect.ensuring(Effect.yieldNow, Effect.sync(() => open.delete("file")))
 * )
 *
 * export const proof = Interruption.everyStep({
 *   subject: () => leaking,
 *   sound: (step) => (open.size === 0 ? Effect.void : Effect.fail(`leaks when interrupted after step ${step}`))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scheduler from "effect/Scheduler"

/** An effect that was to end soon and did not. */
export class NeverEnds extends Schema.TaggedError<NeverEnds>()("NeverEnds", {
  what: Schema.String,
  /** Turns of the event loop that it was given. */
  turns: Schema.Int
}) {
  override get message() {
    return `${this.what} did not end within ${this.turns} turns of the event loop. Look for what it waits for.`
  }
}

// Yields before one operation, counted over all fibers that it schedules.
class Stopping extends Scheduler.MixedScheduler {
  readonly #at: number
  readonly #stopped: () => void
  #count = 0

  constructor(at: number, stopped: () => void) {
    super()
    this.#at = at
    this.#stopped = stopped
  }
  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (++this.#count !== this.#at) return super.shouldYield(fiber)
    // The fiber has stopped by then, and none goes on before.
    void Promise.resolve().then(this.#stopped)
    return true
  }
}

/**
 * Runs `subject` again and again, interrupted after its first operation, its second, and so on until it ends before it is
 * interrupted, and checks after each time that what it leaves is `sound`. Operations of the fibers that it forks count too.
 * Succeeds with how many times it was interrupted.
 */
export const everyStep = <E, R, R2>(options: {
  /** Made anew for each step. How it ends does not matter. */
  readonly subject: (step: number) => Effect.Effect<unknown, unknown, R>
  /** Fails with what is wrong. */
  readonly sound: (step: number) => Effect.Effect<void, E, R2>
  /** Every how many operations it is interrupted: 1 if not given. */
  readonly every?: number | undefined
}): Effect.Effect<number, E, R | R2> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<R>()
    const { every = 1 } = options
    for (let times = 0; ; times++) {
      const step = 1 + times * every
      let interrupted = false
      const scheduler = new Stopping(step, () => {
        interrupted = true
        fiber.interruptUnsafe()
      })
      const fiber = Effect.runForkWith(Context.add(context, Scheduler.Scheduler, scheduler))(
        // One operation before the first, so that the fiber is known by then.
        Effect.andThen(Effect.yieldNow, options.subject(step))
      )
      yield* Fiber.await(fiber)
      yield* options.sound(step)
      if (!interrupted) return times
    }
  })

/**
 * How an effect ends that needs nothing but turns of the event loop; `NeverEnds`, after it was interrupted, if it has not
 * ended within `turns` (1,000 if not given).
 */
export const ends = <A, E, R>(
  what: string,
  self: Effect.Effect<A, E, R>,
  turns = 1000
): Effect.Effect<Exit.Exit<A, E>, NeverEnds, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self)
    for (let turn = 0; turn < turns; turn++) {
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return exit
      yield* Effect.yieldNow
    }
    yield* Effect.forkChild(Fiber.interrupt(fiber))
    return yield* new NeverEnds({ what, turns })
  })

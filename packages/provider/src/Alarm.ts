/**
 * Alarms: what is to happen after a time unless it is called off, as a timeout nearly always is.
 *
 * All alarms of one length that are set by one clock wait together, in one fiber, as Node's own timers of one length do: an alarm
 * that is called off costs no fiber, no timer and no turn of the event loop. The fiber ends with the last of its alarms, so that none keeps
 * a process alive.
 *
 * **Example**
 *
 * ```ts
 * import * as Alarm from "@selvage/provider/Alarm"
 * import * as Effect from "effect/Effect"
 *
 * // Aborts a request that takes longer than a second.
 * export const get = (url: string) =>
 *   Effect.withFiber((fiber) => {
 *     const controller = new AbortController()
 *     const callOff = Alarm.set(fiber, 1000, () => controller.abort())
 *     return Effect.ensuring(
 *       Effect.tryPromise(() => fetch(url, { signal: controller.signal })),
 *       Effect.sync(callOff)
 *     )
 *   })
 * ```
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

interface Alarm {
  readonly at: number
  readonly ring: () => void
}

/** Alarms of one length, in the order in which they are due. It is gone with the last of them. */
class Line {
  readonly #alarms = new Set<Alarm>()
  readonly #clock: Clock.Clock
  readonly #millis: number
  readonly #gone: () => void
  readonly #fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  #waiting: Fiber.Fiber<void> | undefined
  #ringing = false

  constructor(fiber: Fiber.Fiber<unknown, unknown>, clock: Clock.Clock, millis: number, gone: () => void) {
    this.#clock = clock
    this.#millis = millis
    this.#gone = gone
    // Nothing else of whoever set the first alarm stays.
    this.#fork = Effect.runForkWith(
      Context.add(Context.make(Clock.Clock, clock), Scheduler.Scheduler, fiber.getRef(Scheduler.Scheduler))
    )
  }

  add(ring: () => void): () => void {
    const alarm: Alarm = { at: this.#clock.currentTimeMillisUnsafe() + this.#millis, ring }
    this.#alarms.add(alarm)
    if (this.#waiting === undefined && !this.#ringing) this.#waiting = this.#fork(this.#wait)
    return () => this.#remove(alarm)
  }

  #remove(alarm: Alarm): void {
    if (!this.#alarms.delete(alarm) || this.#alarms.size > 0 || this.#ringing) return
    this.#gone()
    this.#waiting?.interruptUnsafe()
    this.#waiting = undefined
  }

  readonly #wait: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.#clock.currentTimeMillisUnsafe()
    this.#ringing = true
    for (const alarm of this.#alarms) {
      if (alarm.at > now) break
      this.#alarms.delete(alarm)
      alarm.ring()
    }
    this.#ringing = false
    for (const next of this.#alarms) {
      return Effect.andThen(this.#clock.sleep(Duration.millis(next.at - now)), this.#wait)
    }
    this.#gone()
    return Effect.void
  })
}

const lines = new WeakMap<Clock.Clock, Map<number, Line>>()

/**
 * Calls `ring` after a time by the clock of a fiber, unless the alarm is called off by what this gives, which may be done more than
 * once. `ring` must not throw. A time that is not finite never comes.
 */
export const set = (fiber: Fiber.Fiber<unknown, unknown>, millis: number, ring: () => void): (() => void) => {
  if (!Number.isFinite(millis)) return () => {}
  const clock = fiber.getRef(Clock.Clock)
  const known = lines.get(clock) ?? new Map<number, Line>()
  lines.set(clock, known)
  const line = known.get(millis) ?? new Line(fiber, clock, millis, () => known.delete(millis))
  known.set(millis, line)
  return line.add(ring)
}

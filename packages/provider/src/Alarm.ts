/**
 * Alarms: what is to happen after a time unless it is called off, as a timeout nearly always is.
 *
 * All alarms of one length that are set by one clock wait together, in one fiber, as Node's own timers of one length do: an alarm
 * that is called off costs no fiber, no timer and no turn of the event loop. The fiber ends with the last of its alarms, so that none keeps
 * a process alive. Time is the clock's monotonic one: that of the wall may be set.
 *
 * **Example**
 *
 * ```ts
 * import * as Alarm from "@selvage/provider/Alarm"
 * import * as Effect from "effect/Effect"
 *
 * // Aborts a request that takes longer than a second.
 * export const get = (url: string) =>
 *   Effect.acquireUseRelease(
 *     Effect.withFiberSucceed((fiber) => {
 *       const controller = new AbortController()
 *       return { signal: controller.signal, callOff: Alarm.by(fiber)(1000, () => controller.abort()) }
 *     }),
 *     ({ signal }) => Effect.tryPromise(() => fetch(url, { signal })),
 *     ({ callOff }) => Effect.sync(callOff)
 *   )
 * ```
 */
import type { AsyncResource } from "node:async_hooks"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import { millisOf } from "./internal/monotonic.ts"

/**
 * Calls `ring` after so many milliseconds, unless the alarm is called off by what this gives, which may be done more than once.
 * A time that is not finite never comes. One of zero or less has come with the next turn of the event loop.
 */
export type Setter = (millis: number, ring: () => void) => () => void

interface Alarm {
  readonly at: number
  readonly ring: () => void
}

// What stands in an `AsyncLocalStorage` belongs to who sets an alarm, and all alarms of a length wait in one fiber.
const outside: AsyncResource | undefined = (() => {
  const hooks = globalThis.process?.getBuiltinModule?.("node:async_hooks")
  return hooks && new hooks.AsyncResource("selvage/Alarm")
})()

// One alarm that throws is nobody else's matter.
const rung = ({ ring }: Alarm): void => {
  try {
    ring()
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown
    })
  }
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

  constructor(clock: Clock.Clock, scheduler: Scheduler.Scheduler, millis: number, gone: () => void) {
    this.#clock = clock
    this.#millis = millis
    this.#gone = gone
    const fork = Effect.runForkWith(Context.add(Context.make(Clock.Clock, clock), Scheduler.Scheduler, scheduler))
    this.#fork = (effect) => (outside === undefined ? fork(effect) : outside.runInAsyncScope(() => fork(effect)))
  }

  add(ring: () => void): () => void {
    const alarm: Alarm = { at: millisOf(this.#clock) + this.#millis, ring }
    this.#alarms.add(alarm)
    if (this.#waiting === undefined && !this.#ringing) {
      const wait = this.#sleep(this.#millis, alarm.at)
      this.#waiting = this.#fork(this.#millis > 0 ? wait : Effect.andThen(Effect.yieldNow, wait))
    }
    return () => this.#remove(alarm)
  }

  #remove(alarm: Alarm): void {
    if (!this.#alarms.delete(alarm) || this.#alarms.size > 0 || this.#ringing) return
    this.#gone()
    this.#waiting?.interruptUnsafe()
    this.#waiting = undefined
  }

  // What was slept has passed, also by a clock that says otherwise.
  #sleep(millis: number, until: number): Effect.Effect<void> {
    return Effect.flatMap(this.#clock.sleep(Duration.millis(millis)), () => this.#ring(until))
  }

  #ring(until: number): Effect.Effect<void> {
    const now = Math.max(until, millisOf(this.#clock))
    this.#ringing = true
    for (const alarm of this.#alarms) {
      if (alarm.at > now) break
      this.#alarms.delete(alarm)
      rung(alarm)
    }
    this.#ringing = false
    for (const { at } of this.#alarms) return this.#sleep(Math.max(0, at - millisOf(this.#clock)), at)
    this.#gone()
    return Effect.void
  }
}

const lines = new WeakMap<Clock.Clock, Map<number, Line>>()

/** Sets alarms by the clock of a fiber, for as long as one likes: also when the fiber is over. */
export const by = (fiber: Fiber.Fiber<unknown, unknown>): Setter => {
  const clock = fiber.getRef(Clock.Clock)
  const scheduler = fiber.getRef(Scheduler.Scheduler)
  return (millis, ring) => {
    if (!Number.isFinite(millis)) return () => {}
    const known = lines.get(clock) ?? new Map<number, Line>()
    lines.set(clock, known)
    const line = known.get(millis) ?? new Line(clock, scheduler, millis, () => known.delete(millis))
    known.set(millis, line)
    return line.add(ring)
  }
}

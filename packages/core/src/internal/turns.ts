// Turns of the event loop: the runtime gives way by the time that it took, so that timers and I/O of the process have theirs.
//
// Effect's own scheduler gives way after so many operations of a fiber since it was resumed. A fiber whose appends are done when
// they are asked for (SQLite) is resumed by each of them and never comes to that number.
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

/** How long the runtime goes on before it gives way, in milliseconds. What it does at once comes on top of that. */
const longest = 8

// All that a platform with an event loop has; `core` has no types of any.
const host = globalThis as unknown as {
  readonly performance: { readonly now: () => number }
  readonly setImmediate?: (f: () => void) => unknown
  readonly setTimeout: (f: () => void, millis: number) => unknown
}

const afterThisTurn = (f: () => void): void => {
  if (host.setImmediate === undefined) host.setTimeout(f, 0)
  else host.setImmediate(f)
}

// When the runtime first looked in this turn: all runs of a process share its one event loop.
let began: number | undefined

const anew = () => {
  began = undefined
}

/** Whether it is time to {@link giveWay}. */
export const isOver = (): boolean => {
  const now = host.performance.now()
  if (began === undefined) {
    began = now
    afterThisTurn(anew)
    return false
  }
  if (now - began < longest) return false
  // One that a test made decides by itself whose turn it is; a synchronous one has no event loop.
  const scheduler = Fiber.getCurrent()?.getRef(Scheduler.Scheduler)
  return (
    scheduler instanceof Scheduler.MixedScheduler &&
    scheduler.constructor === Scheduler.MixedScheduler &&
    scheduler.executionMode === "async"
  )
}

interface Waiter {
  resume: (() => void) | undefined
}

// Those that gave way, in their order, from `next` on. Not `Effect.yieldNow`, after which all that gave way go on in one turn.
let waiting: Array<Waiter> = []
let next = 0

const goOn = () => {
  const now = host.performance.now()
  if (began === undefined) afterThisTurn(anew)
  began = now
  while (next < waiting.length) {
    const { resume } = waiting[next++]!
    resume?.()
    if (host.performance.now() - now >= longest) break
  }
  if (next < waiting.length) {
    afterThisTurn(goOn)
    return
  }
  waiting = []
  next = 0
}

/** Lets timers, I/O and what waits for longer go first. For a fiber whose turn {@link isOver}. */
export const giveWay: Effect.Effect<void> = Effect.callback<void>((resume) => {
  const waiter: Waiter = { resume: () => resume(Effect.void) }
  if (waiting.push(waiter) === 1) afterThisTurn(goOn)
  return Effect.sync(() => {
    waiter.resume = undefined
  })
})

/** Gives way if it is time to. */
export const pause: Effect.Effect<void> = Effect.suspend(() => (isOver() ? giveWay : Effect.void))

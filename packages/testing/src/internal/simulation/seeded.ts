// Everything that a simulated world decides by chance or by time, from one seed.
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Scheduler, SchedulerDispatcher } from "effect/Scheduler"

/** Chance from a seed (splitmix32). */
export interface Chance {
  /** At least 0, less than 1. */
  readonly next: () => number
  /** A whole number, at least 0 and less than `n`. */
  readonly below: (n: number) => number
  readonly happens: (probability: number) => boolean
  readonly pick: <A>(items: readonly [A, ...ReadonlyArray<A>]) => A
}

export const chance = (seed: number): Chance => {
  let state = seed | 0
  const next = () => {
    state = (state + 0x9e3779b9) | 0
    let t = state ^ (state >>> 16)
    t = Math.imul(t, 0x21f0aaad)
    t ^= t >>> 15
    t = Math.imul(t, 0x735a2d97)
    return ((t ^ (t >>> 15)) >>> 0) / 4294967296
  }
  const below = (n: number) => Math.floor(next() * n)
  return { next, below, happens: (probability) => next() < probability, pick: (items) => items[below(items.length)]! }
}

/** A number that belongs to a text, below `n`. */
export const numberOf = (text: string, n: number): number => {
  let hash = 2166136261
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 16777619)
  return (hash >>> 0) % n
}

interface Sleeper {
  readonly at: number
  readonly order: number
  readonly wake: () => void
}

/**
 * A scheduler that runs what is ready in an order given by chance, and a clock that moves on when nothing is ready. All
 * in one loop, so that a seed gives the same world each time.
 */
export const makeTime = (random: Chance): { readonly scheduler: Scheduler; readonly clock: Clock.Clock } => {
  const ready: Array<() => void> = []
  const sleepers: Array<Sleeper> = []
  let now = 1_700_000_000_000
  let order = 0
  let looping = false

  const loop = () => {
    while (true) {
      if (ready.length > 0) {
        const index = random.below(ready.length)
        const task = ready[index]!
        ready[index] = ready[ready.length - 1]!
        ready.pop()
        task()
        continue
      }
      const next = sleepers.shift()
      if (next === undefined) break
      now = Math.max(now, next.at)
      next.wake()
    }
    looping = false
  }

  const dispatcher: SchedulerDispatcher = {
    scheduleTask: (task) => {
      ready.push(task)
      if (looping) return
      looping = true
      void Promise.resolve().then(loop)
    },
    flush: () => {}
  }

  const sleep = (duration: Duration.Duration): Effect.Effect<void> =>
    Effect.callback((resume) => {
      const sleeper: Sleeper = {
        at: now + Duration.toMillis(duration),
        order: order++,
        wake: () => resume(Effect.void)
      }
      // Sorted by time, then by who came first.
      let index = sleepers.length
      while (index > 0 && sleepers[index - 1]!.at > sleeper.at) index--
      sleepers.splice(index, 0, sleeper)
      if (!looping) {
        looping = true
        void Promise.resolve().then(loop)
      }
      return Effect.sync(() => {
        const at = sleepers.indexOf(sleeper)
        if (at >= 0) sleepers.splice(at, 1)
      })
    })

  const nanos = () => BigInt(now) * 1_000_000n
  return {
    scheduler: {
      executionMode: "async",
      // Now and then in the middle of what a fiber does.
      shouldYield: () => random.happens(0.01),
      makeDispatcher: () => dispatcher
    },
    clock: {
      currentTimeMillisUnsafe: () => now,
      currentTimeMillis: Effect.sync(() => now),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep
    }
  }
}

/**
 * What a ledger holds in its store: renewed while it is kept, and held for the time that passes. A store lets holds expire by
 * the time of day, so after a clock was set they are given the time that they have left.
 */
import type * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Semaphore from "effect/Semaphore"
import type { BudgetUnavailable, Line, Service } from "../BudgetStore.ts"
import { elapsedMillis } from "./elapsed.ts"

interface Hold {
  readonly lines: Arr.NonEmptyReadonlyArray<Line>
  /** When it was reserved, and when it ends by itself: by time that passes. */
  readonly began: number
  until: number
  /** When it ends by the time of day, as the store knows. */
  expires: number
}

/** How long holds last, in milliseconds, and how the store is told. */
export interface Settings {
  readonly holdFor: number
  readonly keepFor: number
  readonly renew: (request: Parameters<Service["renew"]>[0]) => Effect.Effect<void, BudgetUnavailable>
}

/** The holds of one ledger. */
export interface Holds {
  readonly begin: (id: string, lines: Arr.NonEmptyReadonlyArray<Line>, expires: number, elapsed: number) => void
  /** Lets a hold end later: at the end of `keepFor`. */
  readonly keep: (id: string) => Effect.Effect<void>
  readonly end: (id: string) => void
  /** Renews all that is held if a clock was set since it was last looked at. To be done before a store is asked for more. */
  readonly caughtUp: Effect.Effect<void>
  /** Renews what is due, for ever. */
  readonly renewing: Effect.Effect<never>
}

/** The holds of one ledger. */
export const makeHolds = ({ holdFor, keepFor, renew }: Settings): Holds => {
  const holds = new Map<string, Hold>()
  const any = Latch.makeUnsafe()
  const one = Semaphore.makeUnsafe(1)
  let ahead: number | undefined

  /** By how much the time of day is ahead of the time that passed. It changes when a clock is set. */
  const aheadOf = (clock: Clock.Clock): number => clock.currentTimeMillisUnsafe() - elapsedMillis(clock)
  const wasSet = (now: number): boolean => ahead !== undefined && Math.abs(now - ahead) >= holdFor / 3

  const renewDue = Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const [now, elapsed] = [clock.currentTimeMillisUnsafe(), elapsedMillis(clock)]
    for (const [id, { until }] of holds) if (until <= elapsed) holds.delete(id)
    const wanted = ({ until }: Hold) => now + Math.min(holdFor, until - elapsed)
    // Three times in the life of a hold, so that a store may fail once.
    const due = [...holds].filter(([, hold]) => Math.abs(wanted(hold) - hold.expires) >= holdFor / 3)
    yield* Effect.forEach(
      due,
      ([id, hold]) => {
        if (!holds.has(id)) return Effect.void
        const expires = wanted(hold)
        return renew({ id, charges: hold.lines, now, expires }).pipe(
          Effect.andThen(Effect.sync(() => (hold.expires = expires))),
          Effect.catchCause((cause) =>
            Effect.logWarning("a reservation could not be renewed, it is tried again", cause)
          )
        )
      },
      { concurrency: 8, discard: true }
    )
    ahead = now - elapsed
  })

  return {
    begin: (id, lines, expires, elapsed) => {
      holds.set(id, { lines, began: elapsed, until: elapsed + holdFor, expires })
      if (holds.size === 1) any.openUnsafe()
    },
    keep: (id) =>
      Effect.sync(() => {
        const hold = holds.get(id)
        if (hold !== undefined) hold.until = hold.began + keepFor
      }),
    end: (id) => {
      holds.delete(id)
    },
    caughtUp: Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      ahead ??= aheadOf(clock)
      if (!wasSet(aheadOf(clock))) return Effect.void
      // Others wait until it is done.
      return one.withPermits(1)(Effect.suspend(() => (wasSet(aheadOf(clock)) ? renewDue : Effect.void)))
    }),
    // Closed before it is looked at: what is held in between opens it again.
    renewing: any.close.pipe(
      Effect.andThen(Effect.suspend(() => (holds.size === 0 ? any.await : Effect.void))),
      Effect.andThen(Effect.sleep(holdFor / 3)),
      Effect.andThen(one.withPermits(1)(renewDue)),
      Effect.forever
    )
  }
}

// The lease of a run: held while its calls may be in flight, and waited for by whoever finds calls of another.
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import { JournalConflict } from "../Errors.ts"
import type { Journal } from "../Journal.ts"
import * as Lease from "../Lease.ts"
import type { JournalFailure } from "../Task.ts"
import type { Intended, Replay } from "./replay.ts"
import { inFlight } from "./replay.ts"

/** How far clocks of processes may be apart, in milliseconds. */
const skew = 60_000

// How many owners whose runs have ended here are remembered.
const maxEnded = 1024

interface Held {
  readonly owner: string
  readonly ttl: number
  /** By the clock of this process. A renewal counts from before it was sent. */
  validUntil: number
}

/** The leases that this process holds on a journal; one fiber renews them all. */
interface Keeper {
  readonly held: Map<string, Held>
  /** Owners whose runs ended here, and when. */
  readonly ended: Map<string, number>
  beating: Fiber.Fiber<void> | undefined
}

// Held by the journal, and gone with it.
const keepers = new WeakMap<Journal["Service"], Keeper>()

const keeperOf = (journal: Journal["Service"]): Keeper => {
  let keeper = keepers.get(journal)
  if (keeper === undefined) {
    keeper = { held: new Map(), ended: new Map(), beating: undefined }
    keepers.set(journal, keeper)
  }
  return keeper
}

/** Renews what is still valid. What was not renewed in time stays invalid: another may have taken its calls over. */
const beat = Effect.fnUntraced(function* (journal: Journal["Service"], { held }: Keeper) {
  const now = yield* Clock.currentTimeMillis
  const valid = Array.from(held.values()).filter(({ validUntil }) => now < validUntil)
  if (valid.length === 0) return
  const renewed = yield* Effect.option(journal.leases.renew(valid.map(({ owner }) => owner)))
  if (Option.isNone(renewed)) return
  const standing = new Set(renewed.value)
  for (const lease of valid) lease.validUntil = standing.has(lease.owner) ? now + lease.ttl : now
})

const beats = Effect.fnUntraced(function* (journal: Journal["Service"], keeper: Keeper) {
  while (keeper.held.size > 0) {
    yield* Effect.sleep(Math.ceil(Math.min(...Array.from(keeper.held.values(), ({ ttl }) => ttl)) / 3))
    yield* beat(journal, keeper)
  }
})

const hold = (journal: Journal["Service"], keeper: Keeper, lease: Held) =>
  Effect.suspend(() => {
    keeper.held.set(lease.owner, lease)
    if (keeper.beating !== undefined) return Effect.void
    // Not a child of the run that is the first to need it.
    return Effect.map(Effect.forkDetach(beats(journal, keeper)), (fiber) => {
      keeper.beating = fiber
    })
  })

const letGo = (keeper: Keeper, owner: string, now: number): void => {
  keeper.held.delete(owner)
  keeper.ended.set(owner, now)
  if (keeper.ended.size > maxEnded) {
    const [oldest] = keeper.ended.keys()
    keeper.ended.delete(oldest!)
  }
  if (keeper.held.size > 0) return
  keeper.beating?.interruptUnsafe()
  keeper.beating = undefined
}

/** A call as it is known by the task that makes it. */
export interface RunLease {
  readonly owner: string
  /** Takes the lease, if the run does not have it; fails where it has run out. */
  readonly hold: Effect.Effect<void, JournalFailure>
  /** Makes a call while the lease is valid, and takes note of when it ended. */
  readonly during: <A, E, R>(fact: string, call: Effect.Effect<A, E, R>) => Effect.Effect<A, E | JournalFailure, R>
  /** Waits until nobody else can be making these calls; fails if somebody is. */
  readonly takeOver: (calls: ReadonlyArray<Intended>) => Effect.Effect<void, JournalFailure>
  /** How long, in milliseconds, it is still unknown whether a call that ended without a result took effect. */
  readonly unsettled: (fact: string, call: Intended) => Effect.Effect<number>
  /** The run is over: its lease is dropped, or no longer renewed where its calls may still be on their way. */
  readonly end: Effect.Effect<void>
}

/** The lease of one run. */
export const make = (journal: Journal["Service"], thread: string, log: Replay): RunLease => {
  const keeper = keeperOf(journal)
  const owner = globalThis.crypto.randomUUID()
  const oneTakes = Semaphore.makeUnsafe(1)
  /** When attempts of this run ended. */
  const attempts = new Map<string, number>()
  let lease: Held | undefined

  const conflict = (reason: string) => new JournalConflict({ thread, expected: log.head, actual: log.head, reason })
  const ranOut = () =>
    conflict("has calls in flight, and the lease of this run ran out, so that another may take them over")
  const isAtWork = ({ key, task }: Intended) =>
    conflict(`has the call "${key}" of task "${task}" in flight, and the run that makes it is at work`)

  const ttlMillis = Effect.map(Lease.Ttl, (ttl) => Duration.toMillis(Duration.fromInputUnsafe(ttl)))

  const check: Effect.Effect<void, JournalConflict> = Effect.flatMap(Clock.currentTimeMillis, (now) =>
    lease === undefined || now < lease.validUntil ? Effect.void : Effect.fail(ranOut())
  )

  const take = Effect.gen(function* () {
    if (lease !== undefined) return yield* check
    const ttl = yield* ttlMillis
    if (ttl <= 0) return
    const now = yield* Clock.currentTimeMillis
    yield* journal.leases.acquire({ owner, thread, ttl })
    lease = { owner, ttl, validUntil: now + ttl }
    yield* hold(journal, keeper, lease)
  })

  const runsOut: Effect.Effect<never, JournalConflict> = Effect.suspend(() =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const left = lease === undefined ? Infinity : lease.validUntil - now
      return left <= 0 ? Effect.fail(ranOut()) : Effect.flatMap(Effect.sleep(left), () => runsOut)
    })
  )

  /** Waits until the lease of another owner has certainly run out, and takes it from that one for good. */
  const expire = Effect.fnUntraced(function* (call: Intended, other: string, ttl: number) {
    const found = yield* journal.leases.read(other)
    // It was taken before any call was journaled, so it was given back, taken away or removed for its age.
    if (Option.isNone(found)) return
    const { at, beat, ttl: own } = found.value
    const now = yield* Clock.currentTimeMillis
    if (now < at + own + skew) yield* Effect.sleep(Math.max(own, ttl))
    if (!(yield* journal.leases.end(other, { beat }))) return yield* isAtWork(call)
  })

  /** An owner's calls of which nobody knows whether they are made still; older journals do not say whose they are. */
  const takeOne = Effect.fnUntraced(function* (call: Intended, ttl: number) {
    if (call.owner !== undefined) {
      if (keeper.held.has(call.owner)) return yield* isAtWork(call)
      if (!keeper.ended.has(call.owner)) yield* expire(call, call.owner, ttl)
      return
    }
    const now = yield* Clock.currentTimeMillis
    if (now < call.at + ttl + skew) yield* Effect.sleep(ttl)
  })

  return {
    owner,
    hold: oneTakes.withPermits(1)(take),
    during: (fact, call) => {
      const ended = Effect.map(Clock.currentTimeMillis, (now) => void attempts.set(fact, now))
      return Effect.suspend(() => {
        if (lease === undefined) return Effect.ensuring(call, ended)
        return Effect.andThen(check, Effect.ensuring(Effect.raceFirst(call, runsOut), ended))
      })
    },
    takeOver: Effect.fnUntraced(function* (calls) {
      const others = new Map(calls.filter((call) => call.owner !== owner).map((call) => [call.owner, call]))
      if (others.size === 0) return
      const ttl = yield* ttlMillis
      if (ttl <= 0) return
      yield* Effect.forEach(others.values(), (call) => takeOne(call, ttl), { concurrency: "unbounded", discard: true })
    }),
    unsettled: Effect.fnUntraced(function* (fact, call) {
      const ended = attempts.get(fact) ?? (call.owner === undefined ? undefined : keeper.ended.get(call.owner))
      if (ended === undefined) return 0
      return ended + (yield* ttlMillis) - (yield* Clock.currentTimeMillis)
    }),
    end: Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (lease === undefined) return Effect.void
      letGo(keeper, owner, now)
      return inFlight(log).some((call) => call.owner === owner) ? Effect.void : Effect.ignore(journal.leases.end(owner))
    })
  }
}

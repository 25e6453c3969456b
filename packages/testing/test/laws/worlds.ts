// The worlds in which the laws are checked: what nodes do in them, who dies in them, and how a property runs in one.
import type { Entry } from "@selvage/core/Entry"
import type { SnapshotPolicy } from "@selvage/core/Journal"
import { Durable, Journal, Lease, Thread } from "@selvage/core"
import { PostgresJournal } from "@selvage/postgres"
import { SqliteJournal } from "@selvage/sqlite"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as fc from "fast-check"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { postgresClient, postgresOptions, postgresSchema, reachable } from "../../../sqlite/test/stores.ts"
import { answerTo, type Generated, Question, type Transient, type World } from "../../src/internal/simulation/plan.ts"
import { runs } from "../measures.ts"
import { chance, makeTime, numberOf } from "../../src/internal/simulation/seeded.ts"

export type Service = Journal.Journal["Service"]

export interface Store {
  readonly name: "memory" | "SQLite" | "PostgreSQL"
  readonly layer: Layer.Layer<Journal.Journal>
  readonly skip: boolean
}

/** Every store, empty. `schema` must be unique to the test file. */
export const stores = (schema: string, snapshots?: SnapshotPolicy): ReadonlyArray<Store> => {
  const sqlite = Layer.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "selvage-laws-"))),
        (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
      ),
      (directory) => SqliteJournal.layer({ filename: join(directory, "journal.db"), durability: "normal", snapshots })
    )
  )
  const postgres = Layer.unwrap(
    Effect.as(postgresSchema(schema), PostgresJournal.layer({ ...postgresOptions(schema), snapshots }))
  ).pipe(Layer.provide(postgresClient))
  return [
    { name: "memory", layer: Journal.layerMemoryWith({ snapshots }), skip: false },
    { name: "SQLite", layer: Layer.orDie(sqlite), skip: false },
    { name: "PostgreSQL", layer: Layer.orDie(postgres), skip: !reachable }
  ]
}

/** A clock that moves on with each turn of the event loop, so that a file or a server has its turn as well. */
const turningClock = (): Clock.Clock => {
  const sleepers: Array<{ readonly at: number; readonly wake: () => void }> = []
  let now = 1_700_000_000_000
  let turning = false
  const turn = () => {
    const next = sleepers.shift()
    turning = next !== undefined
    if (next === undefined) return
    now = Math.max(now, next.at)
    next.wake()
    setImmediate(turn)
  }
  const sleep = (duration: Duration.Duration) =>
    Effect.callback<void>((resume) => {
      const sleeper = { at: now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
      const index = sleepers.findIndex(({ at }) => at > sleeper.at)
      sleepers.splice(index < 0 ? sleepers.length : index, 0, sleeper)
      if (!turning) setImmediate(turn)
      turning = true
      return Effect.sync(() => {
        const at = sleepers.indexOf(sleeper)
        if (at >= 0) sleepers.splice(at, 1)
      })
    })
  const nanos = () => BigInt(now) * 1_000_000n
  return {
    currentTimeMillisUnsafe: () => now,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep
  }
}

/**
 * Checks a property on the journal of the context, each run with a thread's name, a clock and a scheduler of its own.
 * Time goes on when nothing is ready, so a node with a timeout must not wait for a file or a server.
 */
export const holds = <A>(
  arbitrary: fc.Arbitrary<A>,
  store: Store,
  often: { readonly memory: number; readonly other: number },
  property: (value: A, thread: string, seed: number) => Effect.Effect<void, unknown, Journal.Journal>
): Effect.Effect<void, never, Journal.Journal> =>
  Effect.flatMap(Journal.Journal, (journal) => {
    let count = 0
    const drawn = fc.asyncProperty(arbitrary, fc.noShrink(fc.nat()), (value, seed) => {
      const { clock: simulated, scheduler } = makeTime(chance(seed))
      const clock = store.name === "memory" ? simulated : turningClock()
      const checked = Effect.suspend(() => property(value, `t${++count}`, seed)).pipe(
        Effect.provideService(Journal.Journal, journal),
        Effect.provideService(Clock.Clock, clock),
        // This clock does not wait for a server to renew a lease.
        store.name === "PostgreSQL" ? Effect.provideService(Lease.Ttl, 0) : identity
      )
      return Effect.runPromise(checked, { scheduler })
    })
    return Effect.promise(() =>
      fc.assert(drawn, { numRuns: runs(store.name === "memory" ? often.memory : often.other) })
    )
  })

/** A process that may be killed. */
export interface Process {
  dead: boolean
  readonly killed: Deferred.Deferred<void>
}

export const makeProcess = (): Process => ({ dead: false, killed: Deferred.makeUnsafe() })

/** A process that was killed goes no further. */
export const alive = ({ dead }: Process) => (dead ? Effect.never : Effect.void)

const kill = (process: Process) =>
  Effect.suspend(() => {
    process.dead = true
    return Effect.andThen(Deferred.succeed(process.killed, undefined), Effect.never)
  })

/** Where a process dies: at this append, counted from 1, before or after it is written. */
export interface Death {
  readonly at: number
  readonly when: "before" | "after"
}

/** A journal of a process that dies at an append: nothing it does afterwards comes to anything. */
export const mortal = (journal: Service, process: Process, death: Death | undefined): Service => {
  let appends = 0
  const once = <A, E>(append: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      if (process.dead) return Effect.never
      if (++appends !== death?.at) return Effect.tap(append, () => alive(process))
      return death.when === "before" ? kill(process) : Effect.andThen(Effect.exit(append), kill(process))
    })
  return Journal.Journal.of({
    ...journal,
    append: (...args) => once(journal.append(...args)),
    post: (...args) => once(journal.post(...args)),
    // The dead renew nothing.
    leases: {
      acquire: (lease) => Effect.andThen(alive(process), journal.leases.acquire(lease)),
      renew: (owners) => Effect.andThen(alive(process), journal.leases.renew(owners)),
      read: (owner) => Effect.andThen(alive(process), journal.leases.read(owner)),
      end: (...args) => Effect.andThen(alive(process), journal.leases.end(...args))
    },
    keepSnapshot: (...args) => Effect.suspend(() => Effect.andThen(alive(process), journal.keepSnapshot(...args)))
  })
}

/** Lives a life: its exit, or `undefined` if it was killed. Not a child: the killed are never heard of again. */
export const live = <A, E>(process: Process, life: Effect.Effect<A, E>): Effect.Effect<Exit.Exit<A, E> | undefined> =>
  Effect.flatMap(Effect.forkDetach(life), (fiber) =>
    Effect.raceFirst(Fiber.await(fiber), Effect.as(Deferred.await(process.killed), undefined))
  )

/** What nodes did to the world, by place: the task and where it runs. */
export class Ledger {
  readonly entered = new Map<string, number>()
  readonly pieces = new Map<string, number>()
  readonly calls = new Map<string, number>()
  readonly keys = new Map<string, Set<string>>()
  /** Tasks that run now. */
  running = 0
}

const add = (counts: Map<string, number>, place: string) => {
  counts.set(place, (counts.get(place) ?? 0) + 1)
}

/** What comes in between. */
export interface Hooks {
  readonly process?: Process
  /** At the beginning of every task. */
  readonly enter?: (place: string) => Effect.Effect<void, Transient>
  /** Before a piece whose result is journaled. */
  readonly piece?: (place: string) => Effect.Effect<void>
  /** After the world was changed, before the node learns of it. */
  readonly after?: Effect.Effect<void>
}

/** A world that keeps a ledger. */
export const worldOf = (ledger: Ledger, hooks: Hooks = {}): World => {
  const { after = Effect.yieldNow, enter = () => Effect.void, piece = () => Effect.void, process } = hooks
  // Whether it lives and what it does are one: in between it could die, and act nevertheless.
  const act = <A>(change: () => A): Effect.Effect<A> =>
    Effect.suspend(() => (process?.dead === true ? Effect.never : Effect.succeed(change())))
  return {
    enter: (place) =>
      Effect.andThen(
        act(() => add(ledger.entered, place)),
        enter(place)
      ),
    piece: (place) =>
      Effect.andThen(
        piece(place),
        act(() => add(ledger.pieces, place))
      ),
    call: (place) =>
      act(() => add(ledger.calls, place)).pipe(Effect.andThen(after), Effect.andThen(act(() => numberOf(place, 5)))),
    lookUp: (place) => act(() => ledger.calls.has(place)),
    put: (place, key) => act(() => void ledger.keys.set(place, (ledger.keys.get(place) ?? new Set()).add(key))),
    within: (_fan, _most, effect) => effect
  }
}

/** Answers what a thread asks, truthfully. */
export const answerAll = Effect.fnUntraced(function* (thread: string, ledger: Ledger) {
  for (const { ask, kind, question } of yield* Thread.asks({ thread })) {
    if (kind === "question") {
      yield* Thread.answer(Question, { thread, ask, value: answerTo(String(question)) })
      continue
    }
    const place = placeOfCall(question)
    const value = ledger.calls.has(place)
      ? ({ decision: "made", result: numberOf(place, 5) } as const)
      : ({ decision: "repeat" } as const)
    yield* Thread.answer(Durable.Uncertain, { thread, ask, value })
  }
})

/** The place of the call that an uncertain ask is about. */
export const placeOfCall = (question: unknown): string =>
  typeof question === "object" && question !== null && "detail" in question ? String(question.detail) : ""

/** Runs a thread to its end, answering what it asks. */
export const drive = Effect.fnUntraced(function* (graph: Generated, thread: string, ledger: Ledger) {
  for (let round = 0; round < rounds; round++) {
    const outcome = yield* Thread.run(graph, { thread, run: "only", input })
    if (outcome._tag === "Done") return outcome.state
    yield* answerAll(thread, ledger)
  }
  return yield* Effect.die(new Error(`${thread} does not come to an end`))
})

/** More than any thread here needs; without a bound a property that is broken would never end. */
export const rounds = 200

/** What every generated graph is run with. */
export const input = { tags: ["input"], round: 0 }

/** The places whose task, and whose piece, stands in the journal. */
export const factsOf = (entries: Iterable<Entry>) => {
  const committed = new Map<string, string>()
  const recorded = new Set<string>()
  const intended = new Set<string>()
  for (const entry of entries) {
    if (entry._tag === "TaskCompleted") committed.set(placeOf(entry, entry.result.task), JSON.stringify(entry.result))
    if (entry._tag === "StepCommitted") {
      for (const result of entry.results) committed.set(placeOf(entry, result.task), JSON.stringify(result))
    }
    if (entry._tag === "Recorded") recorded.add(placeOf(entry, entry.task))
    if (entry._tag === "Intent") intended.add(placeOf(entry, entry.task))
  }
  return { committed, recorded, intended }
}

const placeOf = ({ path, step }: { readonly path: string; readonly step: number }, task: string) =>
  `${path}|${step}|${task}`

/** The entries of a thread; none if it is not there. */
export const entriesOf = (journal: Service, thread: string) =>
  journal.read(thread).pipe(
    Effect.map((entries) => entries.map(({ entry }) => entry)),
    Effect.catchTag("ThreadNotFound", () => Effect.succeed<ReadonlyArray<Entry>>([]))
  )

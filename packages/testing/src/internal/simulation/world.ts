// A world in which processes run one thread, fail, and are killed; and what must hold in it whatever happens.
import type { Entry } from "@selvage/core/Entry"
import { JournalUnavailable } from "@selvage/core/Errors"
import { type Appended, Journal } from "@selvage/core/Journal"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Transient, type World } from "./plan.ts"
import { type Chance, numberOf } from "./seeded.ts"

/** What can go wrong, by name. */
export type Fault =
  | "append lost"
  | "append slow"
  | "acknowledgement lost"
  | "read failed"
  | "node failed"
  | "node slow"
  | "request slow"
  | "frozen"
  | "crash"
  | "interrupt"

type Service = Journal["Service"]

/** A process, from its start to its end. */
export interface Process {
  readonly name: string
  /** Killed: nothing that it does has an effect any more. */
  dead: boolean
  /** The last entry that it knows: what stood when it opened the thread, and what it wrote since. */
  head: number
  opening: boolean
  /** It does nothing before this instant. */
  frozenUntil: number
  /** Places whose call it may be making. */
  readonly calling: Set<string>
}

/** What is true in the world, whoever knows of it. */
export class Truth {
  readonly random: Chance
  readonly faults = new Map<Fault, number>()
  readonly violations: Array<string> = []
  readonly processes = new Set<Process>()
  readonly entries: Array<Entry> = []
  /** The entry that committed a task, and the one that recorded a piece. */
  readonly committed = new Map<string, number>()
  readonly recorded = new Map<string, number>()
  readonly calls = new Map<string, number>()
  /** Calls whose request is on its way. */
  readonly sent = new Set<string>()
  readonly puts = new Map<string, Set<string>>()
  /** How many faults are still to come. */
  #left: number

  readonly now: () => number
  /** Whether a run may fail: an attempt that outlasts its policy ends it. */
  failing = false

  constructor(random: Chance, faults: number, now: () => number = () => 0) {
    this.random = random
    this.now = now
    this.#left = faults
  }

  /** Whether this goes wrong now. */
  goesWrong(fault: Fault, probability: number): boolean {
    if (this.#left <= 0 || !this.random.happens(probability)) return false
    this.#left--
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1)
    return true
  }

  violated(what: string) {
    if (this.violations.length < 10) this.violations.push(what)
  }

  start(name: string): Process {
    const process: Process = { name, dead: false, head: 0, opening: true, frozenUntil: 0, calling: new Set() }
    this.processes.add(process)
    return process
  }

  kill(process: Process) {
    process.dead = true
    process.calling.clear()
    this.processes.delete(process)
  }

  /** Whether somebody who lives may be making this call. */
  isCalled(place: string, except?: Process): boolean {
    for (const process of this.processes) if (process !== except && process.calling.has(place)) return true
    return false
  }

  /** Takes note of what now stands in the journal. */
  wrote(entries: ReadonlyArray<Entry>) {
    for (const entry of entries) {
      this.entries.push(entry)
      const seq = this.entries.length
      const note = (notes: Map<string, number>, place: string, what: string) => {
        if (notes.has(place)) this.violated(`${what} ${place} stands twice, at ${notes.get(place)} and ${seq}`)
        notes.set(place, seq)
      }
      if (entry._tag === "TaskCompleted") {
        note(this.committed, `${entry.path}|${entry.step}|${entry.result.task}`, "task")
      }
      if (entry._tag === "StepCommitted") {
        for (const { task } of entry.results) note(this.committed, `${entry.path}|${entry.step}|${task}`, "task")
      }
      if (entry._tag === "Recorded") note(this.recorded, `${entry.path}|${entry.step}|${entry.task}`, "piece")
    }
  }
}

/** A process that was killed goes no further. */
const alive = (process: Process) => Effect.suspend(() => (process.dead ? Effect.never : Effect.void))

const sleepUpTo = (random: Chance, millis: number) => Effect.suspend(() => Effect.sleep(random.below(millis)))

/** The world as the nodes of one process act on it. */
export const worldOf = (truth: Truth, process: Process, failing: boolean): World => {
  const { random } = truth
  const running = new Map<string, number>()
  const after = Effect.andThen(sleepUpTo(random, 5), alive(process))
  return {
    enter: (place) =>
      Effect.gen(function* () {
        const at = truth.committed.get(place)
        if (at !== undefined && at <= process.head) {
          truth.violated(`${process.name} runs task ${place} again, which it knows to be committed at ${at}`)
        }
        yield* sleepUpTo(random, truth.goesWrong("node slow", 0.05) ? 200 : 10)
        yield* alive(process)
        if (failing && truth.goesWrong("node failed", 0.1)) return yield* new Transient({ of: place })
      }),
    piece: (place) =>
      Effect.suspend(() => {
        const at = truth.recorded.get(place)
        if (at !== undefined && at <= process.head) {
          truth.violated(`${process.name} makes the piece ${place} again, which it knows to be recorded at ${at}`)
        }
        return after
      }),
    call: (place) =>
      Effect.gen(function* () {
        yield* alive(process)
        if (failing && truth.goesWrong("node failed", 0.05)) return yield* new Transient({ of: place })
        const arrive = Effect.sync(() => {
          truth.sent.delete(place)
          truth.calls.set(place, (truth.calls.get(place) ?? 0) + 1)
        })
        if (failing && truth.goesWrong("request slow", 0.15)) {
          truth.sent.add(place)
          // Whatever becomes of who sent it.
          const sent = yield* Effect.forkDetach(Effect.andThen(sleepUpTo(random, 8000), arrive))
          yield* Fiber.join(sent)
        } else yield* arrive
        yield* after
        return numberOf(place, 5)
      }),
    lookUp: (place) =>
      Effect.gen(function* () {
        yield* alive(process)
        return (truth.calls.get(place) ?? 0) > 0
      }),
    put: (place, key) =>
      Effect.andThen(
        alive(process),
        Effect.suspend(() => {
          const keys = truth.puts.get(place) ?? new Set()
          truth.puts.set(place, keys.add(key))
          return after
        })
      ),
    within: (fan, most, effect) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          const now = (running.get(fan) ?? 0) + 1
          running.set(fan, now)
          if (now > most) truth.violated(`${now} tasks of ${fan} run at once, of ${most}`)
        }),
        () => effect,
        () => Effect.sync(() => running.set(fan, running.get(fan)! - 1))
      )
  }
}

/** The journal as one process reaches it. */
export const journalOf = (
  truth: Truth,
  process: Process,
  journal: Service,
  crash: Effect.Effect<void> | undefined
): Service => {
  const { random } = truth
  const unavailable = (operation: string) => new JournalUnavailable({ operation, cause: new Error("injected") })
  // A frozen process goes on where it was, and its clock has not waited.
  const awake = Effect.suspend(() => {
    if (crash !== undefined && truth.failing && truth.goesWrong("frozen", 0.01))
      process.frozenUntil = truth.now() + random.below(40_000)
    const left = process.frozenUntil - truth.now()
    return Effect.andThen(left > 0 ? Effect.sleep(left) : Effect.void, alive(process))
  })
  const maybeCrash = Effect.suspend(() =>
    crash !== undefined && truth.goesWrong("crash", 0.02) ? Effect.andThen(crash, Effect.never) : Effect.void
  )
  const reading = Effect.fnUntraced(function* <A, E>(effect: Effect.Effect<A, E>, operation: string) {
    yield* awake
    if (truth.goesWrong("read failed", 0.02)) return yield* unavailable(operation)
    const found = yield* effect
    yield* awake
    return found
  })
  const writing = Effect.fnUntraced(function* <E>(append: Effect.Effect<Appended, E>, entries: ReadonlyArray<Entry>) {
    yield* awake
    process.opening = false
    yield* maybeCrash
    if (truth.goesWrong("append slow", 0.05)) yield* sleepUpTo(random, 50)
    yield* alive(process)
    if (truth.goesWrong("append lost", 0.03)) return yield* unavailable("append")
    // From the intent on it may be called; who lost the race for the intent calls nothing.
    const places = entries.flatMap((entry) =>
      entry._tag === "Intent" ? [`${entry.path}|${entry.step}|${entry.task}`] : []
    )
    for (const place of places) process.calling.add(place)
    const appended = yield* append.pipe(
      Effect.tapError(() =>
        Effect.sync(() => {
          for (const place of places) process.calling.delete(place)
        })
      )
    )
    truth.wrote(entries)
    for (const entry of entries) {
      if (entry._tag === "Recorded") process.calling.delete(`${entry.path}|${entry.step}|${entry.task}`)
    }
    yield* maybeCrash
    if (truth.goesWrong("append slow", 0.05)) yield* sleepUpTo(random, 50)
    yield* alive(process)
    yield* awake
    if (truth.goesWrong("acknowledgement lost", 0.03)) return yield* unavailable("append")
    process.head = Math.max(process.head, appended.written.at(-1)?.seq ?? 0)
    return appended
  })
  return Journal.of({
    ...journal,
    append: (...args) => writing(journal.append(...args), args[2]),
    post: (...args) => writing(journal.post(...args), args[1]),
    read: (thread, range) =>
      Effect.tap(reading(journal.read(thread, range), "read"), (entries) =>
        Effect.sync(() => {
          if (process.opening) process.head = Math.max(process.head, entries.at(-1)?.seq ?? 0)
        })
      ),
    // The dead renew nothing.
    leases: {
      acquire: (lease) => Effect.andThen(awake, journal.leases.acquire(lease)),
      renew: (owners) => Effect.andThen(awake, journal.leases.renew(owners)),
      read: (owner) => Effect.andThen(awake, journal.leases.read(owner)),
      end: (...args) => Effect.andThen(awake, journal.leases.end(...args))
    },
    info: (thread) => reading(journal.info(thread), "look up a thread"),
    keepSnapshot: (...args) => Effect.andThen(alive(process), journal.keepSnapshot(...args)),
    snapshot: (thread) => reading(journal.snapshot(thread), "read a snapshot")
  })
}

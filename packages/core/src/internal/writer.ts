// The one writer of a run: appends in order, as few as can be, and takes in what came from outside in between.
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { Entry, Sequenced } from "../Entry.ts"
import { JournalConflict, type ReadFailure } from "../Errors.ts"
import type { Event } from "../Event.ts"
import type { Appended, Journal } from "../Journal.ts"
import type { JournalFailure } from "../Task.ts"
import type { Compiled } from "./compile.ts"
import type { RunJournal } from "./frame.ts"
import * as Lease from "./lease.ts"
import type { Opened } from "./open.ts"
import { replay } from "./replay.ts"
import * as Snapshot from "./snapshot.ts"
import { giveWay, isOver } from "./turns.ts"

type Entries = readonly [Entry, ...ReadonlyArray<Entry>]

/** How often it is decided anew what to do with an input or a patch when the thread moved meanwhile. */
export const maxCollisions = 64

/** How many entries of those that wait go into one append. */
const maxEntries = 256

interface Slot {
  readonly entries: Entries
  /** `lead`: it is its turn to write what waits. */
  readonly done: Deferred.Deferred<boolean | "lead", JournalFailure>
  leads: boolean
}

/**
 * One append at a time, each after the one before; what waits for its turn goes into the next as one. What was posted
 * in between is taken in; any other entry means that somebody else runs the thread, and is a conflict.
 */
export const make = (options: {
  readonly journal: Journal["Service"]
  readonly thread: string
  readonly graph: Compiled
  readonly opened: Opened
  readonly emit: ((event: Event) => Effect.Effect<void>) | undefined
  /** Events up to here are known to who listens. */
  readonly after: number
}): RunJournal => {
  const { after, emit, graph, journal, opened, thread } = options
  const { log } = opened
  let busy = false
  let closed = false
  const slots = new Set<Slot>()

  // Told in order and each once, also if the one who tells is interrupted: the next goes on where it was.
  const untold: Array<Sequenced> = []
  const oneTells = Semaphore.makeUnsafe(1)
  const tell = (emit: (event: Event) => Effect.Effect<void>) =>
    Effect.whileLoop({
      while: () => untold.length > 0,
      body: () =>
        Effect.uninterruptibleMask((restore) =>
          Effect.map(restore(emit({ _tag: "Journaled", ...untold[0]! })), () => untold.shift())
        ),
      step: () => {}
    })
  const took = (entries: ReadonlyArray<Sequenced>, reader?: Compiled) => {
    replay(log, entries, reader)
    if (emit !== undefined) for (const entry of entries) if (entry.seq > after) untold.push(entry)
  }

  const wrote = ({ hash, id, snapshotDue, written }: Appended): boolean => {
    opened.id = id
    opened.hash = hash
    took(written)
    return snapshotDue
  }

  const write = (entries: Entries): Effect.Effect<boolean, JournalFailure> =>
    Effect.matchEffect(
      Effect.suspend(() => journal.append(thread, log.head, entries, { id: opened.id, hash: opened.hash })),
      {
        onSuccess: (appended) => {
          const snapshotDue = wrote(appended)
          return isOver() ? Effect.as(giveWay, snapshotDue) : Effect.succeed(snapshotDue)
        },
        onFailure: (error) => (error._tag === "JournalUnavailable" ? Effect.fail(error) : pass(entries, error))
      }
    )

  /** Writes behind what was posted in between, and takes that in. However much is posted, this is one more append. */
  const pass = Effect.fnUntraced(function* (entries: Entries, conflict: JournalConflict) {
    const after = log.head
    const appended = yield* journal.append(thread, after, entries, { id: opened.id, hash: opened.hash, past: "posted" })
    const until = appended.written[0]!.seq - 1
    if (until > after) {
      const between = yield* Effect.catchTag(
        journal.read(thread, { after, until }),
        ["JournalCorrupt", "ThreadNotFound"],
        () => Effect.fail(conflict)
      )
      took(between, graph)
    }
    return wrote(appended)
  })

  const catchUp = (until?: number, hash?: string): Effect.Effect<void, ReadFailure | JournalConflict> =>
    Effect.flatMap(
      Effect.suspend(() => readOn(until)),
      (between) => {
        took(between, graph)
        if (between.length > 0) opened.hash = log.head === until ? hash : undefined
        return emit === undefined ? Effect.void : oneTells.withPermits(1)(tell(emit))
      }
    )

  /** What came after the log; where the log's last entry is another one now, the thread was set back meanwhile. */
  const readOn = (until: number | undefined) => {
    const { head } = log
    return Effect.catchTag(journal.read(thread, { after: head, until, hash: opened.hash }), "JournalCorrupt", (error) =>
      Effect.fail(error.seq === head ? new JournalConflict({ thread, expected: head, actual: head }) : error)
    )
  }

  /** Those that go into one append: in order, and not so many that to encode them would hold up the process. */
  const takeSlots = (): ReadonlyArray<Slot> => {
    const taken: Array<Slot> = []
    let entries = 0
    for (const slot of slots) {
      if (taken.length > 0 && entries + slot.entries.length > maxEntries) break
      entries += slot.entries.length
      taken.push(slot)
      slots.delete(slot)
    }
    return taken
  }

  const ended = () => new JournalConflict({ thread, expected: log.head, actual: log.head })

  // Who comes while an append is under way waits; the first that waits then writes for all that do.
  const handOver: Effect.Effect<void> = Effect.sync(() => {
    const [next] = slots
    if (next === undefined) busy = false
    else {
      next.leads = true
      Deferred.doneUnsafe(next.done, Effect.succeed("lead" as const))
    }
  })

  const lead = (entries: Entries): Effect.Effect<boolean, JournalFailure> =>
    Effect.flatMap(Effect.exit(write(entries)), (exit) => Effect.andThen(handOver, exit))

  const leadAll: Effect.Effect<boolean, JournalFailure> = Effect.suspend(() => {
    const taken = takeSlots()
    const [first, ...rest] = taken.flatMap((slot) => slot.entries)
    const end = closed ? Effect.fail(ended()) : write([first!, ...rest])
    return Effect.flatMap(Effect.exit(end), (exit) => {
      for (const slot of taken) if (!slot.leads) Deferred.doneUnsafe(slot.done, exit)
      return Effect.andThen(handOver, exit)
    })
  })

  const follow = (entries: Entries, restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>) => {
    const slot: Slot = { entries, done: Deferred.makeUnsafe(), leads: false }
    slots.add(slot)
    const turn = Effect.onInterrupt(restore(Deferred.await(slot.done)), () => {
      // What is being written is waited for: another attempt must find it, or know that it is not there.
      if (!slots.delete(slot)) return Effect.exit(Deferred.await(slot.done))
      return slot.leads ? handOver : Effect.void
    })
    return Effect.flatMap(turn, (outcome) => (outcome === "lead" ? leadAll : Effect.succeed(outcome)))
  }

  return {
    thread,
    get key() {
      return `${thread}:${opened.id ?? ""}`
    },
    replay: log,
    lease: Lease.make(journal, thread, log),
    append: (entries) =>
      // Once an append is under way it is seen through: an interruption must not lose where the thread stands.
      Effect.uninterruptibleMask((restore) => {
        let written: Effect.Effect<boolean, JournalFailure>
        if (closed) return Effect.fail(ended())
        if (busy) written = follow(entries, restore)
        else {
          busy = true
          written = lead(entries)
        }
        return emit === undefined ? written : Effect.tap(written, () => restore(oneTells.withPermits(1)(tell(emit))))
      }),
    catchUp: catchUp(),
    post: (entries) =>
      Effect.flatMap(journal.post(thread, entries, { id: opened.id }), ({ hash, written }) => {
        const { seq } = written.at(-1)!
        return Effect.as(catchUp(seq, hash), seq)
      }),
    close: Effect.sync(() => {
      closed = true
    }),
    // A cache: what fails here, also because a reducer nests its state too deep to be written, is made up for by the next.
    snapshot: Effect.suspend(() => {
      const cut = Snapshot.cut(graph, log)
      return cut === undefined ? Effect.void : journal.keepSnapshot(thread, cut.seq, cut.value, { id: opened.id })
    }).pipe(
      Effect.catchDefect(() => Effect.void),
      Effect.ignore
    )
  }
}

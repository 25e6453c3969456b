/** Threads in the memory of this process: what `Journal.layerMemory` and `Journal.layerEphemeral` are made of. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type Entry, isPosted, type Sequenced } from "../Entry.ts"
import { EntryNotFound, JournalConflict, RestoreInvalid, ThreadExists, ThreadNotFound } from "../Errors.ts"
import type { Appended, Journal, Snapshot, ThreadInfo } from "../Journal.ts"
import * as Fold from "./journalFold.ts"
import * as Mailbox from "./mailbox.ts"
import * as MemoryLeases from "./memoryLeases.ts"

interface Kept {
  info: ThreadInfo
  readonly entries: Array<Sequenced>
  /** Bytes of all entries, roughly, and of those up to the last snapshot. */
  bytes: number
  snapshot: (Snapshot & { readonly size: number; readonly bytes: number }) | undefined
  removed: boolean
  readonly waiting: Set<() => void>
  /** What waits for a run; not folded where a thread is kept anyway. */
  readonly mailbox: Mailbox.Mailbox
}

export interface Options {
  readonly snapshots: Fold.Policy
  /** Whether a thread is forgotten once its run is done or failed. */
  readonly ephemeral: boolean
}

const page = 512

// Unlike a name, never the same again in this process; no other process sees these threads.
let incarnations = 0

/** About how many bytes a value has as JSON; not worth making the text for. */
const roughSize = (json: unknown): number => {
  if (typeof json === "string") return json.length + 2
  if (Array.isArray(json)) {
    let size = 2
    for (const item of json) size += roughSize(item) + 1
    return size
  }
  if (!Predicate.isObject(json)) return 5
  let size = 2
  for (const key in json) size += key.length + 4 + roughSize(Reflect.get(json, key))
  return size
}

/** A journal of its own, empty. */
export const make = ({ ephemeral, snapshots }: Options): Journal["Service"] => {
  const threads = new Map<string, Kept>()
  const { drop: dropLeases, leases } = MemoryLeases.make()

  const find = (thread: string): Effect.Effect<Kept, ThreadNotFound> =>
    Effect.suspend(() => {
      const kept = threads.get(thread)
      return kept === undefined ? Effect.fail(new ThreadNotFound({ thread })) : Effect.succeed(kept)
    })

  const open = (thread: string, at: number): Kept => ({
    info: {
      thread,
      id: `memory-${++incarnations}`,
      graph: "",
      status: "unfinished",
      head: 0,
      createdAt: at,
      updatedAt: at
    },
    entries: [],
    bytes: 0,
    snapshot: undefined,
    removed: false,
    waiting: new Set(),
    mailbox: Mailbox.emptyMailbox()
  })

  const wake = (kept: Kept) => {
    const waiting = Array.from(kept.waiting)
    kept.waiting.clear()
    for (const resume of waiting) resume()
  }

  const drop = (kept: Kept) => {
    threads.delete(kept.info.thread)
    kept.removed = true
    wake(kept)
  }

  const push = (kept: Kept, written: ReadonlyArray<Sequenced>, updatedAt: number) => {
    for (const sequenced of written) {
      const { entry } = sequenced
      kept.entries.push(sequenced)
      kept.bytes += roughSize(entry)
    }
    if (ephemeral) Mailbox.foldAll(kept.mailbox, written)
    const entries = written.map(({ entry }) => entry)
    kept.info = {
      ...kept.info,
      graph: Fold.graphOf(entries) ?? kept.info.graph,
      status: Fold.statusAfter(kept.info.status, entries),
      head: kept.entries.length,
      updatedAt
    }
  }

  /** After everything that a thread's status depends on. */
  const settle = (kept: Kept) => {
    threads.set(kept.info.thread, kept)
    const ended = kept.info.status === "done" || kept.info.status === "failed"
    if (ephemeral && ended && Mailbox.waiting(kept.mailbox) === 0) drop(kept)
    else if (kept.waiting.size > 0) wake(kept)
  }

  const isDue = ({ bytes, info, snapshot }: Kept) =>
    Fold.isSnapshotDue(snapshots, {
      entries: info.head - (snapshot?.seq ?? 0),
      bytes: bytes - (snapshot?.bytes ?? 0),
      snapshot: snapshot?.size ?? 0
    })

  const add = (kept: Kept, entries: ReadonlyArray<Entry>, at: number): Appended => {
    const written = Fold.place(entries, kept.info.head, at)
    push(kept, written, at)
    settle(kept)
    return { written, snapshotDue: !kept.removed && isDue(kept), id: kept.info.id }
  }

  return {
    append: (thread, expected, entries, options) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) => {
        const known = threads.get(thread)
        const actual = known?.info.head ?? 0
        const passes =
          options?.past === "posted" && known?.entries.slice(expected).every(({ entry }) => isPosted(entry)) === true
        if (
          (passes ? actual < expected : actual !== expected) ||
          (options?.id !== undefined && options.id !== known?.info.id)
        ) {
          return Effect.fail(new JournalConflict({ thread, expected, actual }))
        }
        return Effect.succeed(add(known ?? open(thread, at), entries, at))
      }),
    post: (thread, entries, options) =>
      Effect.flatMap(
        Effect.andThen(Fold.onlyPosted(entries), Clock.currentTimeMillis),
        (at): ReturnType<Journal["Service"]["post"]> => {
          const kept = threads.get(thread)
          if (kept === undefined) return Effect.fail(new ThreadNotFound({ thread }))
          const { head, id } = kept.info
          if (options?.id !== undefined && options.id !== id) {
            return Effect.fail(new JournalConflict({ thread, expected: head, actual: head }))
          }
          return Effect.succeed(add(kept, entries, at))
        }
      ),
    read: (thread, range) => {
      const { after, until } = Fold.rangeOf(range)
      return Effect.map(find(thread), (kept) => kept.entries.slice(after, until))
    },
    info: (thread) => Effect.map(find(thread), (kept) => kept.info),
    threads: (filter) =>
      Stream.suspend(() =>
        Stream.fromIterable(
          Array.from(threads.values(), (kept) => kept.info)
            .filter((info) => Fold.matches(filter, info))
            .sort(Fold.newestFirst)
        )
      ),
    fork: Effect.fnUntraced(function* (from, at, as, patch) {
      const original = yield* find(from)
      const now = yield* Clock.currentTimeMillis
      if (threads.has(as)) return yield* new ThreadExists({ thread: as })
      if (!Fold.hasEntry(original.info.head, at)) {
        return yield* new EntryNotFound({ thread: from, seq: at, head: original.info.head })
      }
      const kept = open(as, now)
      push(kept, original.entries.slice(0, at), now)
      if (original.snapshot !== undefined && original.snapshot.seq <= at) kept.snapshot = original.snapshot
      push(kept, Fold.place(Fold.forked(from, at, patch), at, now), now)
      settle(kept)
      return kept.info.head
    }),
    leases,
    remove: (thread, options) =>
      Effect.flatMap(find(thread), (kept) => {
        if (options?.head !== undefined && options.head !== kept.info.head) {
          return Effect.fail(new JournalConflict({ thread, expected: options.head, actual: kept.info.head }))
        }
        return Effect.sync(() => {
          drop(kept)
          dropLeases(thread)
        })
      }),
    snapshot: (thread) =>
      Effect.sync(() =>
        Option.map(Option.fromUndefinedOr(threads.get(thread)?.snapshot), ({ seq, value }) => ({ seq, value }))
      ),
    keepSnapshot: (thread, seq, value: Schema.Json, options) =>
      Effect.sync(() => {
        const kept = threads.get(thread)
        if (kept === undefined || seq < 1 || seq > kept.info.head || (kept.snapshot?.seq ?? 0) >= seq) return
        if (options?.id !== undefined && options.id !== kept.info.id) return
        let bytes = kept.bytes
        for (const { entry } of kept.entries.slice(seq)) bytes -= roughSize(entry)
        kept.snapshot = { seq, value, size: roughSize(value), bytes }
      }),
    tail: (thread, after) =>
      Stream.unwrap(
        Effect.map(find(thread), (kept) => {
          // A forgotten thread's last entries still come: the tail holds on to them.
          const next = (from: number): Effect.Effect<ReadonlyArray<Sequenced>, ThreadNotFound> =>
            Effect.suspend(() => {
              if (kept.info.head > from) return Effect.succeed(kept.entries.slice(from, from + page))
              if (kept.removed) return Effect.fail(new ThreadNotFound({ thread }))
              const changed = Effect.callback<void>((resume) => {
                // The fiber may have yielded since it looked.
                if (kept.info.head > from || kept.removed) return resume(Effect.void)
                const wakeUp = () => resume(Effect.void)
                kept.waiting.add(wakeUp)
                return Effect.sync(() => kept.waiting.delete(wakeUp))
              })
              return Effect.flatMap(changed, () => next(from))
            })
          return Stream.paginate(Fold.rangeOf({ after }).after, (from) =>
            Effect.map(next(from), (entries) => [entries, Option.some(from + entries.length)] as const)
          )
        })
      ),
    restore: Effect.fnUntraced(function* (thread, entries) {
      const [first] = entries
      const last = entries.at(-1)
      const issue = Fold.restoreIssue(entries)
      if (issue !== undefined || first === undefined || last === undefined) {
        return yield* new RestoreInvalid({
          thread,
          seq: issue?.seq ?? 1,
          issue: issue?.issue ?? "there are no entries"
        })
      }
      if (threads.has(thread)) return yield* new ThreadExists({ thread })
      const kept = open(thread, first.at)
      push(kept, entries, last.at)
      settle(kept)
    }),
    check: (thread) => Effect.as(find(thread), [])
  }
}

/**
 * The journal: the one place where threads are kept. A thread is an append-only list of {@link Entry.Entry | entries};
 * state, history, events and forks are folds or views of it.
 *
 * An append is a compare-and-set on the sequence number of the last entry: either all entries of the append stand, or
 * none does and the caller learns where the thread stands now (`JournalConflict`). An append returns only once it is
 * durable by the option of its store.
 *
 * Stores: {@link layerMemory} here, `SqlJournal.layer` over any `effect/sql` client (SQLite, PostgreSQL).
 *
 * **Gotchas**
 *
 * - The memory journal keeps everything until its layer is closed or a thread is deleted.
 * - A fork copies its prefix, so that deleting the original never harms it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Entry, Sequenced } from "./Entry.ts"
import type { JournalCorrupt, JournalUnavailable } from "./Errors.ts"
import { EntryNotFound, JournalConflict, ThreadExists, ThreadNotFound } from "./Errors.ts"

/**
 * Where a thread stands: `unfinished` (a run is under way, or was killed), `waiting` for answers, `done`, or `failed`.
 */
export type Status = "unfinished" | "waiting" | "done" | "failed"

/** What a journal tells of a thread without reading its entries. */
export interface ThreadInfo {
  readonly thread: string
  readonly graph: string
  readonly status: Status
  /** Sequence number of the last entry. */
  readonly head: number
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly updatedAt: number
}

/** The journal service. */
export class Journal extends Context.Service<
  Journal,
  {
    /**
     * Appends entries after `expected`, the sequence number of the last entry the caller knows (0: the thread is new).
     * Succeeds with the entries in their places. All of them stand, or none.
     */
    readonly append: (
      thread: string,
      expected: number,
      entries: readonly [Entry, ...ReadonlyArray<Entry>]
    ) => Effect.Effect<ReadonlyArray<Sequenced>, JournalConflict | JournalUnavailable>
    /** The entries with `after < seq <= until`, in order. */
    readonly read: (
      thread: string,
      range?: { readonly after?: number | undefined; readonly until?: number | undefined }
    ) => Effect.Effect<ReadonlyArray<Sequenced>, JournalUnavailable | JournalCorrupt | ThreadNotFound>
    /** What is known of one thread. */
    readonly info: (thread: string) => Effect.Effect<ThreadInfo, JournalUnavailable | ThreadNotFound>
    /** All threads, the one changed last first. */
    readonly threads: Effect.Effect<ReadonlyArray<ThreadInfo>, JournalUnavailable>
    /** Makes thread `as` of the entries 1 to `at` of `from`, followed by a `Forked` entry. Succeeds with the new head. */
    readonly fork: (
      from: string,
      at: number,
      as: string
    ) => Effect.Effect<number, JournalUnavailable | ThreadNotFound | ThreadExists | EntryNotFound>
    /** Deletes a thread, all of it and only it. */
    readonly remove: (thread: string) => Effect.Effect<void, JournalUnavailable | ThreadNotFound>
  }
>()("selvage/core/Journal") {}

/** The status of a thread after more entries. Pure. */
export const statusAfter = <S extends Status | undefined>(status: S, entries: ReadonlyArray<Entry>): Status | S => {
  let result: Status | S = status
  for (const entry of entries) {
    // A fork or a patch says nothing of whether the thread is done.
    if (entry._tag === "Forked" || entry._tag === "Patched") continue
    result = entry._tag === "RunFinished" ? entry.outcome : "unfinished"
  }
  return result
}

/** The name of the graph that a list of entries starts, if it starts one. */
export const graphOf = (entries: ReadonlyArray<Entry>): string | undefined => {
  for (const entry of entries) if (entry._tag === "RunStarted") return entry.graph.name
  return undefined
}

/** Entries in their places after `head`. Pure. */
export const place = (entries: ReadonlyArray<Entry>, head: number, at: number): ReadonlyArray<Sequenced> =>
  entries.map((entry, index) => ({ seq: head + index + 1, at, entry }))

interface Kept {
  info: ThreadInfo
  readonly entries: Array<Sequenced>
}

/** A journal in the memory of this process; for tests and for work that need not outlive it. */
export const layerMemory: Layer.Layer<Journal> = Layer.effect(
  Journal,
  Effect.sync(() => {
    const threads = new Map<string, Kept>()
    const find = (thread: string) =>
      Effect.suspend(() => {
        const kept = threads.get(thread)
        return kept === undefined ? Effect.fail(new ThreadNotFound({ thread })) : Effect.succeed(kept)
      })
    const write = (thread: string, at: number, entries: ReadonlyArray<Entry>): ReadonlyArray<Sequenced> => {
      let kept = threads.get(thread)
      if (kept === undefined) {
        kept = {
          info: { thread, graph: "", status: "unfinished", head: 0, createdAt: at, updatedAt: at },
          entries: []
        }
        threads.set(thread, kept)
      }
      const written = place(entries, kept.entries.length, at)
      for (const sequenced of written) kept.entries.push(sequenced)
      kept.info = {
        ...kept.info,
        graph: graphOf(entries) ?? kept.info.graph,
        status: statusAfter(kept.info.status, entries),
        head: kept.entries.length,
        updatedAt: at
      }
      return written
    }
    return Journal.of({
      append: (thread, expected, entries) =>
        Effect.flatMap(Clock.currentTimeMillis, (at) => {
          const actual = threads.get(thread)?.info.head ?? 0
          return actual === expected
            ? Effect.succeed(write(thread, at, entries))
            : Effect.fail(new JournalConflict({ thread, expected, actual }))
        }),
      read: (thread, range) =>
        Effect.map(find(thread), (kept) => kept.entries.slice(range?.after ?? 0, range?.until ?? kept.entries.length)),
      info: (thread) => Effect.map(find(thread), (kept) => kept.info),
      threads: Effect.sync(() =>
        Array.from(threads.values(), (kept) => kept.info).sort((a, b) => b.updatedAt - a.updatedAt)
      ),
      fork: Effect.fnUntraced(function* (from, at, as) {
        const original = yield* find(from)
        const now = yield* Clock.currentTimeMillis
        if (threads.has(as)) return yield* new ThreadExists({ thread: as })
        if (at < 1 || at > original.info.head) {
          return yield* new EntryNotFound({ thread: from, seq: at, head: original.info.head })
        }
        const prefix = original.entries.slice(0, at)
        const entries = prefix.map((sequenced) => sequenced.entry)
        threads.set(as, {
          info: {
            thread: as,
            graph: original.info.graph,
            status: statusAfter("unfinished", entries),
            head: at,
            createdAt: now,
            updatedAt: now
          },
          entries: prefix
        })
        write(as, now, [{ _tag: "Forked", from, at }])
        return at + 1
      }),
      remove: (thread) => Effect.map(find(thread), () => void threads.delete(thread))
    })
  })
)

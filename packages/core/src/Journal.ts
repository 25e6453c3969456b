/**
 * The journal: the one place where threads are kept. A thread is an append-only list of {@link Entry.Entry | entries};
 * state, history, events and forks are folds or views of it.
 *
 * An append is a compare-and-set on the sequence number of the last entry: either all entries of the append stand, or
 * none does and the caller learns where the thread stands now (`JournalConflict`). An append returns only once it is
 * durable by the option of its store.
 *
 * | journal | keeps |
 * |---|---|
 * | {@link layerEphemeral} | a thread while its run is unfinished or waits, in memory |
 * | {@link layerMemory} | everything, in memory |
 * | `SqliteJournal.layer` of `@selvage/sqlite` | everything, in a file |
 * | `PostgresJournal.layer` of `@selvage/postgres` | everything, in PostgreSQL |
 *
 * A fifth one implements {@link Journal} and runs `JournalLaws` of `@selvage/testing`.
 *
 * **Gotchas**
 *
 * - A fork copies its prefix, so that deleting the original never harms it.
 * - A name can be used again after a thread was deleted. A writer that passes the `id` it knows is never taken for a
 *   writer of the new thread.
 * - Snapshots are a cache. A journal that keeps none is right, only slower to open.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Bound from "./Bound.ts"
import { Entry, type GraphShape, type Posted, type Sequenced, type Values } from "./Entry.ts"
import {
  type EntryNotFound,
  ImportInvalid,
  type JournalConflict,
  type JournalUnavailable,
  type ReadFailure,
  type RestoreInvalid,
  type ThreadExists,
  type ThreadNotFound
} from "./Errors.ts"
import type { Leases } from "./Lease.ts"
import { policyOf } from "./internal/journalFold.ts"
import * as Memory from "./internal/memoryJournal.ts"
import { pause } from "./internal/turns.ts"

/**
 * Where a thread stands: `unfinished` (a run is under way, or was killed), `waiting` for answers, `done`, or `failed`.
 */
export type Status = "unfinished" | "waiting" | "done" | "failed"

/** What a journal tells of a thread without reading its entries. */
export interface ThreadInfo {
  readonly thread: string
  /** Another for each thread that was ever made under this name. */
  readonly id: string
  /** The graph of the last run. */
  readonly graph: string
  readonly status: Status
  /** Sequence number of the last entry. */
  readonly head: number
  /** What tells the entries up to the last from all others: see {@link Appended.hash}. */
  readonly hash?: string | undefined
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly updatedAt: number
}

/** Which threads to list; all that is given must hold. */
export interface ThreadFilter {
  readonly status?: Status | undefined
  readonly graph?: string | undefined
  /** Changed last before this instant, milliseconds since the epoch. */
  readonly updatedBefore?: number | undefined
}

/** A change of state from outside: updates by channel, and the node that is taken to have made them, if any. */
export interface Patch {
  readonly updates: Values
  readonly node?: string
  /** The graph whose form the updates have, where it is not that of the entries before. */
  readonly graph?: GraphShape
}

/** What an append did. */
export interface Appended {
  /** The entries in their places. */
  readonly written: ReadonlyArray<Sequenced>
  /** Whether the policy of the store asks for a snapshot now. */
  readonly snapshotDue: boolean
  /** The {@link ThreadInfo.id} of the thread. */
  readonly id: string
  /**
   * What tells the entries of the thread from all others of as many: the link of a hash chain. A journal that keeps none, such as
   * one in memory, cannot be set back behind the back of a program.
   */
  readonly hash?: string | undefined
}

/** A fold of a prefix of a thread; only its maker knows of what kind. */
export interface Snapshot {
  /** The last entry that is folded in. */
  readonly seq: number
  readonly value: Schema.Json
}

/**
 * When a snapshot is due: as many entries or as many bytes after the last one, but never before as many bytes were
 * written as that one took. `never` turns them off.
 */
export type SnapshotPolicy =
  | "never"
  | {
      /** Default 1,024. */
      readonly entries?: number | undefined
      /** Default 262,144 (256 KiB). */
      readonly bytes?: number | undefined
    }

/** Something that is wrong with a kept thread, and where. */
export interface Finding {
  readonly seq: number
  /**
   * `gap`: entries are missing from `seq` on. `chain`: the entry, its time or its place was changed. `undecodable`: it
   * is no entry that this version knows, or a value of it is missing. `head`: the thread's own record does not fit its
   * entries. `snapshot`: the snapshot that stands on `seq` is not what was kept; it is not used.
   */
  readonly kind: "gap" | "chain" | "undecodable" | "head" | "snapshot"
  readonly issue: string
}

/** The journal service. */
export class Journal extends Context.Service<
  Journal,
  {
    /**
     * Appends entries after `expected`, the sequence number of the last entry the caller knows (0: the thread is new).
     * All of them stand, or none. With `id` the thread must also be that one, and not a later one of its name. With
     * `past: "posted"` they may also stand behind entries that were posted after `expected`, however many: what is posted
     * cannot hold up the run. Read what lies between.
     */
    readonly append: (
      thread: string,
      expected: number,
      entries: readonly [Entry, ...ReadonlyArray<Entry>],
      options?: {
        readonly id?: string | undefined
        readonly past?: "posted" | undefined
        /** The hash of entry `expected`, as an append or {@link ThreadInfo} told it: another is a conflict. */
        readonly hash?: string | undefined
      }
    ) => Effect.Effect<Appended, JournalConflict | JournalUnavailable>
    /**
     * Appends entries from outside of the run (`Entry.Posted`: answers, queued inputs, queued patches) wherever the thread
     * stands, so that they do not compete with the run that works. What counts is decided by who folds the thread: an
     * answer to an ask that is not open, an input of a run that is known, or a key that was used before counts as not
     * there. With `id` the thread must be that one; another of its name is a `JournalConflict`. Any other entry is a defect.
     */
    readonly post: (
      thread: string,
      entries: readonly [Posted, ...ReadonlyArray<Posted>],
      options?: { readonly id?: string | undefined }
    ) => Effect.Effect<Appended, ThreadNotFound | JournalConflict | JournalUnavailable>
    /**
     * The entries with `after < seq <= until`, in order: all from the first where `after` is below 0 or no number, none
     * where `until` comes first.
     */
    readonly read: (
      thread: string,
      range?: {
        readonly after?: number | undefined
        readonly until?: number | undefined
        /** The hash of entry `after` as the reader knows it; another there now is `JournalCorrupt`. */
        readonly hash?: string | undefined
      }
    ) => Effect.Effect<ReadonlyArray<Sequenced>, ReadFailure>
    /** What is known of one thread. */
    readonly info: (thread: string) => Effect.Effect<ThreadInfo, JournalUnavailable | ThreadNotFound>
    /**
     * The threads, the one changed last first, read in bounded pages. One that changes while the list is read comes at
     * most once, and may be missed.
     */
    readonly threads: (filter?: ThreadFilter) => Stream.Stream<ThreadInfo, JournalUnavailable>
    /**
     * Makes thread `as` of the entries 1 to `at` of `from`, followed by a `Forked` entry and, with a patch, a `Patched`
     * one; all at once. Succeeds with the new head.
     */
    readonly fork: (
      from: string,
      at: number,
      as: string,
      patch?: Patch
    ) => Effect.Effect<number, JournalUnavailable | ThreadNotFound | ThreadExists | EntryNotFound>
    /** Deletes a thread, all of it and only it; with `head` only if that is still its last entry. */
    readonly remove: (
      thread: string,
      options?: { readonly head?: number | undefined }
    ) => Effect.Effect<void, JournalUnavailable | ThreadNotFound | JournalConflict>
    /** The last snapshot that was kept. One that cannot be read counts as none. */
    readonly snapshot: (thread: string) => Effect.Effect<Option.Option<Snapshot>, JournalUnavailable>
    /**
     * Keeps a snapshot in place of an older one. Ignored if the thread is gone, has no such entry, is another than `id`
     * says, or has a newer snapshot.
     */
    readonly keepSnapshot: (
      thread: string,
      seq: number,
      value: Schema.Json,
      options?: { readonly id?: string | undefined }
    ) => Effect.Effect<void, JournalUnavailable>
    /**
     * Every entry after `after`, then new ones as they come, whoever appends them: no gap, no duplicate, no faster than
     * they are taken. Ends with `ThreadNotFound` when the thread is deleted, and else never.
     */
    readonly tail: (thread: string, after: number) => Stream.Stream<Sequenced, ReadFailure>
    /** Makes a thread of all its entries, 1 to the last, with their times. */
    readonly restore: (
      thread: string,
      entries: ReadonlyArray<Sequenced>
    ) => Effect.Effect<void, JournalUnavailable | ThreadExists | RestoreInvalid>
    /** The leases of runs that make calls which must not be repeated: see `Lease`. Removing a thread removes its own. */
    readonly leases: Leases
    /** What is wrong with a thread, at most {@link maxFindings}; nothing when it is sound. */
    readonly check: (thread: string) => Effect.Effect<ReadonlyArray<Finding>, JournalUnavailable | ThreadNotFound>
  }
>()("selvage/core/Journal") {}

/** How many findings `check` tells of at most. */
export const maxFindings = 100

export { graphOf, isSnapshotDue, place, policyOf, statusAfter } from "./internal/journalFold.ts"

const Header = Schema.Struct({
  format: Schema.Literal("selvage-journal"),
  version: Schema.Literal(1),
  thread: Schema.String,
  graph: Schema.String,
  head: Schema.Int.check(Schema.isGreaterThan(0))
})
const encodeHeader = Schema.encodeSync(Schema.fromJsonString(Header))
const decodeHeader = Schema.decodeEffect(Schema.fromJsonString(Header))

const Line = Schema.fromJsonString(Schema.Struct({ seq: Schema.Int, at: Schema.Int, entry: Entry }))
const encodeLine = Schema.encodeSync(Line)
const decodeLine = Schema.decodeEffect(Line)

const exportPage = 256

/**
 * A thread as lines of JSON (NDJSON, without the line feeds): a header with `format`, `version`, `thread`, `graph` and
 * `head`, then `seq`, `at` and `entry` of each entry. What is appended meanwhile is not in it.
 */
export const exportThread = (thread: string): Stream.Stream<string, ReadFailure, Journal> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const journal = yield* Journal
      const { graph, head } = yield* journal.info(thread)
      const header = encodeHeader({ format: "selvage-journal", version: 1, thread, graph, head })
      const entries = Stream.range(0, Math.ceil(head / exportPage) - 1).pipe(
        Stream.flatMap((page) =>
          Stream.fromIterableEffect(
            Effect.andThen(
              pause,
              journal.read(thread, { after: page * exportPage, until: Math.min(head, (page + 1) * exportPage) })
            )
          )
        )
      )
      return Stream.concat(
        Stream.succeed(header),
        Stream.map(entries, (entry) => encodeLine(entry))
      )
    })
  )

/**
 * Makes a thread of the lines of {@link exportThread}, under its old name or `as`. Its entries are in memory until all
 * are read: then all stand at once. Blank lines are passed over. Succeeds with what the journal knows of the thread.
 */
export const importThread = <E, R>(
  lines: Stream.Stream<string, E, R>,
  options?: { readonly as?: string | undefined }
): Effect.Effect<ThreadInfo, E | ImportInvalid | JournalUnavailable | ThreadExists | ThreadNotFound, R | Journal> =>
  Effect.gen(function* () {
    const journal = yield* Journal
    let line = 0
    let header: typeof Header.Type | undefined
    const entries: Array<Sequenced> = []
    const next = Effect.fnUntraced(function* (text: string) {
      line++
      if (line % exportPage === 0) yield* pause
      if (text.trim() === "") return
      const beyond = Bound.textIssue(text)
      if (beyond !== undefined) return yield* new ImportInvalid({ line, issue: beyond })
      if (header === undefined) {
        header = yield* decodeHeader(text)
        return
      }
      const entry = yield* decodeLine(text)
      const seq = entries.push(entry)
      if (entry.seq !== seq) {
        return yield* new ImportInvalid({ line, issue: `entry ${seq} belongs here, and this is entry ${entry.seq}` })
      }
    })
    yield* Stream.runForEach(lines, (text) =>
      Effect.catchTag(next(text), "SchemaError", ({ message }) =>
        Effect.fail(new ImportInvalid({ line, issue: message }))
      )
    )
    if (header === undefined) return yield* new ImportInvalid({ line: line + 1, issue: "there is no header" })
    if (entries.length !== header.head) {
      const issue = `the thread has ${header.head} entries, and ${entries.length} of them are here`
      return yield* new ImportInvalid({ line: line + 1, issue })
    }
    const thread = options?.as ?? header.thread
    yield* Effect.catchTag(journal.restore(thread, entries), "RestoreInvalid", ({ issue, seq }) =>
      Effect.fail(new ImportInvalid({ line: seq + 1, issue }))
    )
    return yield* journal.info(thread)
  })

/**
 * Deletes the threads that were last changed longer ago than `olderThan` and have one of these statuses (default: done,
 * failed). One that moves meanwhile stays. Succeeds with the number of deleted threads.
 */
export const retain = (options: {
  readonly olderThan: Duration.Input
  readonly status?: ReadonlyArray<Status> | undefined
}): Effect.Effect<number, JournalUnavailable, Journal> =>
  Effect.gen(function* () {
    const journal = yield* Journal
    const now = yield* Clock.currentTimeMillis
    const updatedBefore = now - Duration.toMillis(Duration.fromInputUnsafe(options.olderThan))
    return yield* Stream.fromIterable(new Set(options.status ?? (["done", "failed"] as const))).pipe(
      Stream.flatMap((status) => journal.threads({ status, updatedBefore })),
      Stream.mapEffect(({ head, thread }) =>
        Effect.as(journal.remove(thread, { head }), 1).pipe(
          Effect.catchTag(["JournalConflict", "ThreadNotFound"], () => Effect.succeed(0))
        )
      ),
      Stream.runFold(
        () => 0,
        (total, removed) => total + removed
      )
    )
  })

/** {@link Journal} `check` of every thread; only those that have findings. */
export const checkAll: Stream.Stream<
  { readonly thread: string; readonly findings: ReadonlyArray<Finding> },
  JournalUnavailable,
  Journal
> = Stream.unwrap(
  Effect.map(Journal, (journal) =>
    journal.threads().pipe(
      Stream.mapEffect(({ thread }) =>
        Effect.map(
          Effect.catchTag(journal.check(thread), "ThreadNotFound", () => Effect.succeed([])),
          (findings) => ({ thread, findings })
        )
      ),
      Stream.filter(({ findings }) => findings.length > 0)
    )
  )
)

/** What the journals in memory can be told. */
export interface MemoryOptions {
  readonly snapshots?: SnapshotPolicy | undefined
}

const layerOf = (ephemeral: boolean, options: MemoryOptions): Layer.Layer<Journal> =>
  Layer.effect(
    Journal,
    Effect.sync(() => Journal.of(Memory.make({ ephemeral, snapshots: policyOf(options.snapshots) })))
  )

/** A journal in the memory of this process; for tests and for work that need not outlive it. */
export const layerMemoryWith = (options: MemoryOptions): Layer.Layer<Journal> => layerOf(false, options)

/** {@link layerMemoryWith} as it is. */
export const layerMemory: Layer.Layer<Journal> = layerMemoryWith({})

/**
 * No journal to speak of: a thread is kept in memory while its run is unfinished or waits for answers, and forgotten
 * once a run of it is done or failed.
 */
export const layerEphemeral: Layer.Layer<Journal> = layerOf(true, { snapshots: "never" })

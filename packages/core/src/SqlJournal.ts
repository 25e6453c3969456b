/**
 * The journal on an `effect/sql` client: SQLite (`@selvage/sqlite`) and PostgreSQL (`@effect/sql-pg`).
 *
 * Two tables, made and migrated by the layer: `selvage_threads` holds one row per thread with its head, and
 * `selvage_entries` one row per entry. An append moves the head with a conditional update and inserts its entries in
 * the same transaction, so that a reader sees all of them or none.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import { Entry, type Sequenced } from "./Entry.ts"
import {
  EntryNotFound,
  JournalConflict,
  JournalCorrupt,
  JournalUnavailable,
  ThreadExists,
  ThreadNotFound
} from "./Errors.ts"
import { graphOf, Journal, place, type Status, statusAfter, type ThreadInfo } from "./Journal.ts"

const migrations = Migrator.fromRecord({
  "0001_journal": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE selvage_threads (
      thread TEXT PRIMARY KEY,
      graph TEXT NOT NULL,
      status TEXT NOT NULL,
      head INTEGER NOT NULL,
      created_at BIGINT NOT NULL,
      updated_at BIGINT NOT NULL
    )`
    const entries = `CREATE TABLE selvage_entries (
      thread TEXT NOT NULL,
      seq INTEGER NOT NULL,
      at BIGINT NOT NULL,
      entry TEXT NOT NULL,
      PRIMARY KEY (thread, seq)
    )`
    yield* sql.onDialectOrElse({
      sqlite: () => sql.unsafe(`${entries} WITHOUT ROWID`),
      orElse: () => sql.unsafe(entries)
    })
  })
})

const EntryJson = Schema.fromJsonString(Entry)
const encodeEntry = Schema.encodeUnknownSync(EntryJson)
const decodeEntry = Schema.decodeUnknownExit(EntryJson)

// Numbers arrive as number, bigint or string, as the driver of the dialect has it.
const Count = Schema.Union([Schema.Finite, Schema.BigInt, Schema.String])
const ThreadRow = Schema.Struct({
  thread: Schema.String,
  graph: Schema.String,
  status: Schema.Literals(["unfinished", "waiting", "done", "failed"]),
  head: Count,
  created_at: Count,
  updated_at: Count
})
const decodeThreadRows = Schema.decodeUnknownEffect(Schema.Array(ThreadRow))

const toInfo = (row: typeof ThreadRow.Type): ThreadInfo => ({
  thread: row.thread,
  graph: row.graph,
  status: row.status,
  head: Number(row.head),
  createdAt: Number(row.created_at),
  updatedAt: Number(row.updated_at)
})

const unavailable = (operation: string) => (cause: unknown) => new JournalUnavailable({ operation, cause })

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const find = Effect.fnUntraced(
    function* (thread: string) {
      const rows = yield* decodeThreadRows(yield* sql`SELECT * FROM selvage_threads WHERE thread = ${thread}`)
      return rows[0] === undefined ? undefined : toInfo(rows[0])
    },
    Effect.mapError(unavailable("look up a thread"))
  )

  const info = (thread: string) =>
    Effect.filterOrFail(
      find(thread),
      (found) => found !== undefined,
      () => new ThreadNotFound({ thread })
    )

  const insert = (thread: string, after: number, at: number, entries: Arr.NonEmptyReadonlyArray<Entry>) =>
    sql`INSERT INTO selvage_entries ${sql.insert(
      Arr.map(entries, (entry, index) => ({ thread, seq: after + index + 1, at, entry: encodeEntry(entry) }))
    )}`

  const moveHead = (thread: string, expected: number, entries: ReadonlyArray<Entry>, at: number) => {
    const head = expected + entries.length
    const status = statusAfter(undefined, entries)
    return expected === 0
      ? sql`INSERT INTO selvage_threads ${sql.insert({
          thread,
          graph: graphOf(entries) ?? "",
          status,
          head,
          created_at: at,
          updated_at: at
        })} ON CONFLICT DO NOTHING RETURNING head`
      : sql`UPDATE selvage_threads SET head = ${head}, status = COALESCE(${status ?? null}, status), updated_at = ${at}
          WHERE thread = ${thread} AND head = ${expected} RETURNING head`
  }

  /** The status of a thread as of an entry: what the last entry says that says anything. */
  const statusAt = (thread: string, at: number) =>
    sql<{ entry: unknown }>`SELECT entry FROM selvage_entries WHERE thread = ${thread} AND seq <= ${at}
      ORDER BY seq DESC LIMIT 16`.pipe(
      Effect.mapBoth({
        onFailure: unavailable("fork a thread"),
        onSuccess: (rows) => {
          const entries = rows.flatMap(({ entry }) => {
            const decoded = decodeEntry(entry)
            return decoded._tag === "Success" ? [decoded.value] : []
          })
          return statusAfter<Status>("unfinished", entries.toReversed())
        }
      })
    )

  return Journal.of({
    info,
    append: Effect.fnUntraced(function* (thread, expected, entries) {
      const at = yield* Clock.currentTimeMillis
      const moved = yield* sql
        .withTransaction(
          Effect.flatMap(moveHead(thread, expected, entries, at), (rows) =>
            rows.length === 0 ? Effect.succeed(false) : Effect.as(insert(thread, expected, at, entries), true)
          )
        )
        .pipe(Effect.mapError(unavailable("append to a thread")))
      if (!moved) {
        const actual = (yield* find(thread))?.head ?? 0
        return yield* new JournalConflict({ thread, expected, actual })
      }
      return place(entries, expected, at)
    }),
    read: Effect.fnUntraced(function* (thread, range) {
      const { head } = yield* info(thread)
      const after = range?.after ?? 0
      const until = Math.min(range?.until ?? head, head)
      const rows = yield* sql<{ seq: unknown; at: unknown; entry: unknown }>`SELECT seq, at, entry FROM selvage_entries
        WHERE thread = ${thread} AND seq > ${after} AND seq <= ${until} ORDER BY seq`.pipe(
        Effect.mapError(unavailable("read a thread"))
      )
      const entries: Array<Sequenced> = []
      for (const row of rows) {
        const seq = after + entries.length + 1
        const decoded = decodeEntry(row.entry)
        if (decoded._tag === "Failure" || Number(row.seq) !== seq) {
          const issue =
            Number(row.seq) !== seq ? `entry ${seq} is missing` : "it is not an entry that this version knows"
          return yield* new JournalCorrupt({ thread, seq, issue })
        }
        entries.push({ seq, at: Number(row.at), entry: decoded.value })
      }
      if (after + entries.length < until) {
        return yield* new JournalCorrupt({ thread, seq: after + entries.length + 1, issue: "the entry is missing" })
      }
      return entries
    }),
    threads: sql`SELECT * FROM selvage_threads ORDER BY updated_at DESC, thread`.pipe(
      Effect.flatMap(decodeThreadRows),
      Effect.mapBoth({ onFailure: unavailable("list the threads"), onSuccess: (rows) => rows.map(toInfo) })
    ),
    fork: Effect.fnUntraced(function* (from, at, as) {
      const original = yield* info(from)
      if (at < 1 || at > original.head) return yield* new EntryNotFound({ thread: from, seq: at, head: original.head })
      const now = yield* Clock.currentTimeMillis
      const status = yield* statusAt(from, at)
      const forked: Entry = { _tag: "Forked", from, at }
      const made = yield* sql
        .withTransaction(
          Effect.gen(function* () {
            const rows = yield* sql`INSERT INTO selvage_threads ${sql.insert({
              thread: as,
              graph: original.graph,
              status,
              head: at + 1,
              created_at: now,
              updated_at: now
            })} ON CONFLICT DO NOTHING RETURNING head`
            if (rows.length === 0) return false
            yield* sql`INSERT INTO selvage_entries (thread, seq, at, entry)
          SELECT ${as}, seq, at, entry FROM selvage_entries WHERE thread = ${from} AND seq <= ${at}`
            yield* insert(as, at, now, [forked])
            return true
          })
        )
        .pipe(Effect.mapError(unavailable("fork a thread")))
      return made ? at + 1 : yield* new ThreadExists({ thread: as })
    }),
    remove: Effect.fnUntraced(function* (thread) {
      yield* info(thread)
      yield* sql
        .withTransaction(
          Effect.gen(function* () {
            yield* sql`DELETE FROM selvage_entries WHERE thread = ${thread}`
            yield* sql`DELETE FROM selvage_threads WHERE thread = ${thread}`
          })
        )
        .pipe(Effect.mapError(unavailable("delete a thread")))
    })
  })
})

/**
 * The journal on the `SqlClient` in the context. Makes and migrates its tables (recorded in `selvage_migrations`).
 */
export const layer: Layer.Layer<Journal, JournalUnavailable, SqlClient.SqlClient> = Layer.effect(
  Journal,
  Migrator.make({})({ loader: migrations, table: "selvage_migrations" }).pipe(
    Effect.mapError(unavailable("open: its tables could not be made or migrated")),
    Effect.andThen(make)
  )
)

/** What is done to whole threads: fork, remove, restore, snapshots. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import type { Entry, Sequenced } from "../../Entry.ts"
import {
  EntryNotFound,
  JournalConflict,
  JournalUnavailable,
  RestoreInvalid,
  ThreadExists,
  ThreadNotFound
} from "../../Errors.ts"
import type { Patch, Snapshot } from "../../Journal.ts"
import { forked, graphOf, hasEntry, restoreIssue, statusAfter } from "../journalFold.ts"
import * as Append from "./append.ts"
import * as Chain from "./chain.ts"
import type { EntryRow, ValueRow } from "./dialect.ts"
import { uniqueId } from "./digest.ts"
import type { Announce } from "./writer.ts"
import type { KnownThreads } from "./knownThreads.ts"
import { type ProgramFailed, run } from "./program.ts"
import {
  type Database,
  decodeKnown,
  isNameable,
  type Known,
  selectKnown,
  toEntry,
  unavailable,
  valuesOf
} from "./rows.ts"
import { transact } from "./transact.ts"
import * as LargeValues from "./values.ts"

export interface Options {
  readonly database: Database
  readonly known: KnownThreads
  readonly announce: Announce | undefined
  readonly committed: (thread: string) => void
}

const hourMillis = 3_600_000
const insertPage = 256
const scanPage = 64

/** Typed failures as they are; all others as the journal being unavailable. */
const during =
  (operation: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.mapError(self, (error): Exclude<E, SqlError | Schema.SchemaError | ProgramFailed> | JournalUnavailable =>
      isOurs(error) ? error : unavailable(operation)(error)
    )

const isOurs = <E>(error: E): error is Exclude<E, SqlError | Schema.SchemaError | ProgramFailed> =>
  error instanceof EntryNotFound ||
  error instanceof JournalConflict ||
  error instanceof JournalUnavailable ||
  error instanceof RestoreInvalid ||
  error instanceof ThreadExists ||
  error instanceof ThreadNotFound

const decodeSnapshot = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Json))

export const make = ({ announce, committed, database, known }: Options) => {
  const { dialect, query } = database
  const text = dialect.text
  const selectKept = text(`${selectKnown} WHERE t.thread = ? ${dialect.lock.keep}`)
  const selectAlone = text(`${selectKnown} WHERE t.thread = ? ${dialect.lock.alone}`)
  const selectHash = text("SELECT hash FROM selvage_entries WHERE thread = ? AND seq = ?")
  const selectBackwards = text(
    `SELECT seq, entry FROM selvage_entries WHERE thread = ? AND seq <= ? ORDER BY seq DESC LIMIT ${scanPage}`
  )
  const sumBytes = text("SELECT SUM(LENGTH(entry)) FROM selvage_entries WHERE thread = ? AND seq <= ?")
  const copies = [
    `INSERT INTO selvage_entries (thread, seq, at, hash, entry)
      SELECT CAST(? AS TEXT), seq, at, hash, entry FROM selvage_entries WHERE thread = ? AND seq <= ?`,
    `INSERT INTO selvage_value_uses (thread, hash, seq)
      SELECT CAST(? AS TEXT), hash, seq FROM selvage_value_uses WHERE thread = ? AND seq <= ?`,
    `INSERT INTO selvage_snapshots (thread, seq, bytes, size, value, hash)
      SELECT CAST(? AS TEXT), seq, bytes, size, value, hash FROM selvage_snapshots WHERE thread = ? AND seq <= ?`
  ].map(text)
  const deleteValues = text(`DELETE FROM selvage_values
    WHERE hash IN (SELECT u.hash FROM selvage_value_uses u WHERE u.thread = ?)
      AND NOT EXISTS (SELECT 1 FROM selvage_value_uses u WHERE u.hash = selvage_values.hash AND u.thread <> ?)`)
  const deletes = [
    "selvage_value_uses",
    "selvage_snapshots",
    "selvage_entries",
    "selvage_leases",
    "selvage_threads"
  ].map((table) => text(`DELETE FROM ${table} WHERE thread = ?`))
  const selectSnapshot = text(`SELECT s.seq, s.value, s.hash, e.hash FROM selvage_snapshots s
    JOIN selvage_entries e ON e.thread = s.thread AND e.seq = s.seq WHERE s.thread = ?`)
  const upsertSnapshot = text(`INSERT INTO selvage_snapshots (thread, seq, bytes, size, value, hash)
    SELECT t.thread, CAST(? AS INTEGER), t.bytes - COALESCE((SELECT SUM(LENGTH(e.entry)) FROM selvage_entries e
        WHERE e.thread = t.thread AND e.seq > CAST(? AS INTEGER)), 0), CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS TEXT)
      FROM selvage_threads t
      WHERE t.thread = ? AND t.head >= CAST(? AS INTEGER) AND t.id = COALESCE(CAST(? AS TEXT), t.id) ${dialect.lock.keep}
    ON CONFLICT (thread) DO UPDATE SET seq = excluded.seq, bytes = excluded.bytes, size = excluded.size,
      value = excluded.value, hash = excluded.hash
      WHERE selvage_snapshots.seq < excluded.seq
    RETURNING bytes`)

  const lockRow = Effect.fnUntraced(function* (connection: Connection, select: string, thread: string) {
    const [row] = yield* decodeKnown(yield* connection.executeValues(select, [thread]))
    return row ?? (yield* new ThreadNotFound({ thread }))
  })

  /** The row that thread `as` would have had when `from` stood at `at`. */
  const prefix = Effect.fnUntraced(function* (
    connection: Connection,
    from: Known,
    at: number,
    as: string,
    now: number
  ) {
    const { graph, head, status, thread } = from.info
    const [hash] = (yield* connection.executeValues(selectHash, [thread, at]))[0] ?? []
    if (typeof hash !== "string") return yield* new EntryNotFound({ thread, seq: at, head })
    const [[bytes] = []] = yield* connection.executeValues(sumBytes, [thread, at])
    const facts = at === head ? { graph, status } : yield* factsAt(connection, thread, at)
    const result: Known = {
      info: { thread: as, id: uniqueId(), head: at, createdAt: now, updatedAt: now, ...facts },
      hash,
      bytes: Number(bytes ?? 0),
      hour: -1,
      snapshot: { seq: 0, bytes: 0, size: 0 }
    }
    return result
  })

  /** Read from the end until a run's beginning is found; an entry that cannot be read is passed over. */
  const factsAt = Effect.fnUntraced(function* (connection: Connection, thread: string, at: number) {
    const entries: Array<Entry> = []
    for (let until = at; until >= 1;) {
      const rows = yield* connection.executeValues(selectBackwards, [thread, until])
      const values = yield* valuesOf(
        { ...database, query: (select, params) => connection.executeValues(select, params) },
        rows.map(([, entry]) => entry)
      )
      for (const [, entry] of rows) {
        const decoded = toEntry(entry, values)
        if (decoded._tag === "Success") entries.push(decoded.success)
      }
      const last = rows.at(-1)
      if (last === undefined || entries.some((entry) => graphOf([entry]) !== undefined)) break
      until = Number(last[0]) - 1
    }
    entries.reverse()
    return { graph: graphOf(entries) ?? "", status: statusAfter("unfinished", entries) }
  })

  const create = Effect.fnUntraced(function* (connection: Connection, move: Append.Plan["move"]) {
    const created = yield* run(connection, dialect.create([move]))
    if (!created.has(move.thread)) return yield* new ThreadExists({ thread: move.thread })
  })

  const fork = Effect.fnUntraced(function* (
    from: string,
    at: number,
    as: string,
    patch: Patch | undefined,
    now: number
  ) {
    yield* nameable(as)
    // An entry of the fork names it, and can only name a whole number.
    if (!Number.isInteger(at)) {
      const [row] = yield* decodeKnown(yield* database.query(selectKept, [from]))
      if (row === undefined) return yield* new ThreadNotFound({ thread: from })
      return yield* new EntryNotFound({ thread: from, seq: at, head: row.info.head })
    }
    const request = Append.makeRequest(as, at, forked(from, at, patch), undefined, now)
    return yield* transact(
      database,
      "use",
      Effect.fnUntraced(function* (connection) {
        const source = yield* lockRow(connection, selectKept, from)
        const { head } = source.info
        if (!hasEntry(head, at)) return yield* new EntryNotFound({ thread: from, seq: at, head })
        const plan = Append.plan(request, yield* prefix(connection, source, at, as, now))
        yield* create(connection, plan.move)
        for (const copy of copies) yield* connection.executeValues(copy, [as, from, at])
        const values = Append.valueRows(plan)
        if (values.length > 0) yield* run(connection, dialect.insertValues(values))
        yield* run(connection, dialect.insertEntries(plan.rows))
        return plan.after.info.head
      })
    )
  })

  const remove = Effect.fnUntraced(function* (thread: string, head: number | undefined) {
    if (!isNameable(thread)) return yield* new ThreadNotFound({ thread })
    yield* transact(
      database,
      "delete",
      Effect.fnUntraced(function* (connection) {
        const { info } = yield* lockRow(connection, selectAlone, thread)
        if (head !== undefined && head !== info.head) {
          return yield* new JournalConflict({ thread, expected: head, actual: info.head })
        }
        yield* connection.executeValues(deleteValues, [thread, thread])
        for (const text of deletes) yield* connection.executeValues(text, [thread])
        if (announce !== undefined) yield* run(connection, announce([thread]))
      })
    )
    known.delete(thread)
    committed(thread)
  })

  const restore = Effect.fnUntraced(function* (thread: string, entries: ReadonlyArray<Sequenced>) {
    yield* nameable(thread)
    const issue = restoreIssue(entries)
    if (issue !== undefined) return yield* new RestoreInvalid({ thread, ...issue })
    const { entryRows, move, valueRows } = yield* restored(thread, entries)
    yield* transact(
      database,
      "use",
      Effect.fnUntraced(function* (connection) {
        yield* create(connection, move)
        for (let from = 0; from < valueRows.length; from += insertPage) {
          yield* run(connection, dialect.insertValues(valueRows.slice(from, from + insertPage)))
        }
        for (let from = 0; from < entryRows.length; from += insertPage) {
          yield* run(connection, dialect.insertEntries(entryRows.slice(from, from + insertPage)))
        }
      })
    )
  })

  const snapshot = Effect.fnUntraced(function* (thread: string) {
    if (!isNameable(thread)) return Option.none<Snapshot>()
    const [row] = yield* query(selectSnapshot, [thread])
    if (row === undefined) return Option.none<Snapshot>()
    const [seq, value, hash, entry] = row
    if (Chain.seal(String(entry), Number(seq), String(value)) !== hash) return Option.none<Snapshot>()
    return Option.map(decodeSnapshot(row[1]), (value): Snapshot => ({ seq: Number(row[0]), value }))
  })

  const keepSnapshot = Effect.fnUntraced(function* (
    thread: string,
    seq: number,
    value: Schema.Json,
    id: string | undefined
  ) {
    if (seq < 1 || seq > 2_147_483_647 || !isNameable(thread)) return
    const text = JSON.stringify(value)
    const [[entry] = []] = yield* query(selectHash, [thread, seq])
    if (typeof entry !== "string") return
    const params = [seq, seq, text.length, text, Chain.seal(entry, seq, text), thread, seq, id ?? null]
    const [row] = yield* query(upsertSnapshot, params)
    const kept = known.get(thread)
    if (row === undefined || kept === undefined || (id !== undefined && id !== kept.info.id)) return
    known.set(thread, { ...kept, snapshot: { seq, bytes: Number(row[0]), size: text.length } })
  })

  return {
    fork: (from: string, at: number, as: string, patch: Patch | undefined, now: number) =>
      during("fork a thread")(fork(from, at, as, patch, now)),
    remove: (thread: string, head: number | undefined) => during("delete a thread")(remove(thread, head)),
    restore: (thread: string, entries: ReadonlyArray<Sequenced>) =>
      during("restore a thread")(restore(thread, entries)),
    snapshot: (thread: string) => during("read a snapshot")(snapshot(thread)),
    keepSnapshot: (thread: string, seq: number, value: Schema.Json, id: string | undefined) =>
      during("keep a snapshot")(keepSnapshot(thread, seq, value, id))
  }
}

/** Refuses a name that some database would change or not take. */
export const nameable = (thread: string): Effect.Effect<void, JournalUnavailable> =>
  isNameable(thread)
    ? Effect.void
    : Effect.fail(
        unavailable("make a thread")(
          new Error(`the name ${JSON.stringify(thread)} holds U+0000 or half of a surrogate pair; choose another`)
        )
      )

/** The rows of a thread that is made of its entries. */
const restored = Effect.fnUntraced(function* (thread: string, entries: ReadonlyArray<Sequenced>) {
  const entryRows: Array<EntryRow> = []
  const valueRows: Array<ValueRow> = []
  let hash = Chain.start
  let bytes = 0
  let createdAt: number | undefined
  let updatedAt = 0
  for (const { at, entry, seq } of entries) {
    const { text, values } = yield* Effect.try({
      try: () => LargeValues.shrink(Append.encodeEntry(entry)),
      catch: (cause) =>
        new RestoreInvalid({ thread, seq, issue: cause instanceof Error ? cause.message : String(cause) })
    })
    hash = Chain.link(hash, seq, at, text)
    bytes += text.length
    createdAt ??= at
    updatedAt = at
    entryRows.push({ thread, seq, at, hash, entry: text })
    for (const [key, value] of values) {
      bytes += value.length
      valueRows.push({ thread, seq, hash: key, value })
    }
  }
  const kinds = entries.map(({ entry }) => entry)
  const move: Append.Plan["move"] = {
    thread,
    id: uniqueId(),
    graph: graphOf(kinds) ?? "",
    status: statusAfter("unfinished", kinds),
    head: entries.length,
    hash,
    bytes,
    createdAt: createdAt ?? 0,
    at: updatedAt,
    hour: Math.floor(updatedAt / hourMillis),
    before: { head: 0, hash: Chain.start, hour: -1 }
  }
  return { entryRows, move, valueRows }
})

/**
 * What the journal says to SQLite and to PostgreSQL. The texts are constant, so that each is prepared once.
 *
 * SQLite runs inside the process: a statement for each row is faster there than taking JSON apart in SQL. PostgreSQL is
 * a round trip away: all rows of a kind go as one JSON parameter.
 */
import type { Program, Rows } from "./program.ts"

/** The row of a thread as an append leaves it. */
export interface Move {
  readonly thread: string
  readonly id: string
  readonly graph: string
  readonly status: string
  readonly head: number
  readonly hash: string
  readonly bytes: number
  readonly createdAt: number
  readonly at: number
  /** `at` in hours: the index on it changes once an hour, not at every append. */
  readonly hour: number
  /** What the row must hold before; not for a new thread. */
  readonly before: { readonly head: number; readonly hash: string; readonly hour: number }
}

/** The row of an entry. */
export interface EntryRow {
  readonly thread: string
  readonly seq: number
  readonly at: number
  readonly hash: string
  readonly entry: string
}

/** A large value, and a thread that refers to it. */
export interface ValueRow {
  readonly thread: string
  /** The entry that refers to it. */
  readonly seq: number
  readonly hash: string
  readonly value: string
}

export interface Dialect {
  /** What a transaction that writes begins with. `values`: whether it may write or delete large values. */
  readonly begin: (values: "none" | "use" | "delete") => ReadonlyArray<string>
  /** Makes rows; returns the names of those that were not there. */
  readonly create: (moves: ReadonlyArray<Move>) => Program<ReadonlySet<string>>
  /** Locks the rows of threads, so that nobody moves their heads before this transaction is over. */
  readonly lockThreads: (threads: ReadonlyArray<string>) => Program<void>
  /** Moves heads; returns the names of those that stood where they should. */
  readonly move: (moves: ReadonlyArray<Move>) => Program<ReadonlySet<string>>
  readonly insertEntries: (rows: ReadonlyArray<EntryRow>) => Program<void>
  readonly insertValues: (rows: ReadonlyArray<ValueRow>) => Program<void>
  /** A placeholder of its parameters for the strings of a JSON array, as a subquery. */
  readonly stringsOf: string
  /** Whether a table is there: a row that has 1 or true, or none. */
  readonly hasTable: (name: string) => string
  /** Numbers its placeholders. */
  readonly text: (text: string) => string
  /** Keeps the selected row of `t` from being deleted, or from any change. */
  readonly lock: { readonly keep: string; readonly alone: string }
}

const columns = "thread, id, graph, status, head, hash, bytes, created_at, updated_at, changed_hour"

const createRow = `INSERT INTO selvage_threads (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING RETURNING thread`
const standing = "WHERE thread = ? AND head = ? AND hash = ? AND id = ? RETURNING thread"
const moved = "UPDATE selvage_threads SET graph = ?, status = ?, head = ?, hash = ?, bytes = ?, updated_at = ?"
const moveRow = `${moved} ${standing}`
// SQLite writes an index entry anew whenever its column is assigned, be it the same.
const moveRowHour = `${moved}, changed_hour = ? ${standing}`
const insertEntry = "INSERT INTO selvage_entries (thread, seq, at, hash, entry) VALUES (?, ?, ?, ?, ?)"
const insertValue = "INSERT INTO selvage_values (hash, value) VALUES (?, ?) ON CONFLICT DO NOTHING"
const insertUse = "INSERT INTO selvage_value_uses (thread, hash, seq) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

export const sqlite: Dialect = {
  begin: () => ["BEGIN IMMEDIATE"],
  *create(moves) {
    const created = new Set<string>()
    for (const { at, bytes, createdAt, graph, hash, head, hour, id, status, thread } of moves) {
      const row = [thread, id, graph, status, head, hash, bytes, createdAt, at, hour]
      if ((yield [createRow, row]).length > 0) created.add(thread)
    }
    return created
  },
  // BEGIN IMMEDIATE has locked everything.
  *lockThreads() {},
  *move(moves) {
    const done = new Set<string>()
    for (const { at, before, bytes, graph, hash, head, hour, id, status, thread } of moves) {
      const rows =
        hour === before.hour
          ? yield [moveRow, [graph, status, head, hash, bytes, at, thread, before.head, before.hash, id]]
          : yield [moveRowHour, [graph, status, head, hash, bytes, at, hour, thread, before.head, before.hash, id]]
      if (rows.length > 0) done.add(thread)
    }
    return done
  },
  *insertEntries(rows) {
    for (const { at, entry, hash, seq, thread } of rows) yield [insertEntry, [thread, seq, at, hash, entry]]
  },
  *insertValues(rows) {
    for (const { hash, seq, thread, value } of rows) {
      yield [insertValue, [hash, value]]
      yield [insertUse, [thread, hash, seq]]
    }
  },
  stringsOf: "(SELECT value FROM json_each(?))",
  hasTable: (name) => `SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '${name}'`,
  text: (text) => text,
  // BEGIN IMMEDIATE has locked everything.
  lock: { keep: "", alone: "" }
}

const createRows = `INSERT INTO selvage_threads (${columns})
  SELECT thread, id, graph, status, head, hash, bytes, "createdAt", at, hour
  FROM json_to_recordset($1::text::json) AS r (thread text, id text, graph text, status text, head integer, hash text,
    bytes bigint, "createdAt" bigint, at bigint, hour integer)
  ON CONFLICT DO NOTHING RETURNING thread`
const moveRows = `UPDATE selvage_threads t
  SET graph = r.graph, status = r.status, head = r.head, hash = r.hash, bytes = r.bytes, updated_at = r.at,
    changed_hour = r.hour
  FROM json_to_recordset($1::text::json) AS r (thread text, id text, graph text, status text, head integer, hash text,
    bytes bigint, at bigint, hour integer, before json)
  WHERE t.thread = r.thread AND t.head = (r.before->>'head')::integer AND t.hash = r.before->>'hash' AND t.id = r.id
  RETURNING t.thread`
// In one order, so that two transactions do not wait for each other.
const lockRows = `SELECT t.thread FROM selvage_threads t
  WHERE t.thread IN (SELECT json_array_elements_text($1::text::json)) ORDER BY t.thread FOR UPDATE`
const insertEntryRows = `INSERT INTO selvage_entries (thread, seq, at, hash, entry)
  SELECT thread, seq, at, hash, entry
  FROM json_to_recordset($1::text::json) AS r (thread text, seq integer, at bigint, hash text, entry text)`
const insertValueRows = `INSERT INTO selvage_values (hash, value)
  SELECT DISTINCT ON (hash) hash, value FROM json_to_recordset($1::text::json) AS r (hash text, value text)
  ON CONFLICT DO NOTHING`
const insertUseRows = `INSERT INTO selvage_value_uses (thread, hash, seq)
  SELECT thread, hash, seq FROM json_to_recordset($1::text::json) AS r (thread text, hash text, seq integer)
  ON CONFLICT DO NOTHING`

const names = (rows: Rows): ReadonlySet<string> => new Set(rows.map(([name]) => String(name)))

/**
 * Who refers to large values, and who deletes those that nobody refers to any more, must not do so at once; any number
 * may refer. Taken before any row is locked, so that the two never wait for each other.
 */
const valuesLock = "hashtext('selvage_values'), hashtext(current_schema())"

/** `durability` is that of each transaction that writes; `full` is the server's own setting. */
export const postgres = (options: { readonly durability: "full" | "normal" }): Dialect => ({
  begin: (values) => [
    "BEGIN",
    ...(options.durability === "normal" ? ["SET LOCAL synchronous_commit = off"] : []),
    ...(values === "use" ? [`SELECT pg_advisory_xact_lock_shared(${valuesLock})`] : []),
    ...(values === "delete" ? [`SELECT pg_advisory_xact_lock(${valuesLock})`] : [])
  ],
  *create(moves) {
    return names(yield [createRows, [JSON.stringify(moves)]])
  },
  *lockThreads(threads) {
    yield [lockRows, [JSON.stringify(threads)]]
  },
  *move(moves) {
    return names(yield [moveRows, [JSON.stringify(moves)]])
  },
  *insertEntries(rows) {
    yield [insertEntryRows, [JSON.stringify(rows)]]
  },
  *insertValues(rows) {
    yield [insertValueRows, [JSON.stringify(rows)]]
    yield [insertUseRows, [JSON.stringify(rows.map(({ hash, seq, thread }) => ({ hash, seq, thread })))]]
  },
  stringsOf: "(SELECT json_array_elements_text(?::text::json))",
  hasTable: (name) => `SELECT to_regclass('${name}') IS NOT NULL`,
  text: (text) => {
    let count = 0
    return text.replaceAll("?", () => `$${++count}`)
  },
  lock: { keep: "FOR KEY SHARE OF t", alone: "FOR UPDATE OF t" }
})

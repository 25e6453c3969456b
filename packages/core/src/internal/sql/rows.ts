/** Rows of the tables as values. Nothing of them is believed before a schema has seen it. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Entry } from "../../Entry.ts"
import { JournalUnavailable } from "../../Errors.ts"
import { plainCause } from "../cause.ts"
import type { ThreadInfo } from "../../Journal.ts"
import type { Dialect } from "./dialect.ts"
import * as Values from "./values.ts"

export const unavailable = (operation: string) => (cause: unknown) =>
  new JournalUnavailable({ operation, cause: plainCause(cause) })

/** What a writer must know of a thread to append to it. */
export interface Known {
  readonly info: ThreadInfo
  readonly hash: string
  /** Characters of all entries. */
  readonly bytes: number
  readonly hour: number
  /** The snapshot's last entry, the characters of the entries up to it, and its own. */
  readonly snapshot: { readonly seq: number; readonly bytes: number; readonly size: number }
}

// Numbers arrive as number, bigint or string, as the driver of the dialect has it.
const Count = Schema.Union([Schema.Finite, Schema.BigInt, Schema.String])
const KnownRows = Schema.Array(
  Schema.Tuple([
    Schema.String,
    Schema.String,
    Schema.String,
    Schema.Literals(["unfinished", "waiting", "done", "failed"]),
    Count,
    Schema.String,
    Count,
    Count,
    Count,
    Count,
    Schema.NullOr(Count),
    Schema.NullOr(Count),
    Schema.NullOr(Count)
  ])
)
const decodeKnownRows = Schema.decodeUnknownEffect(KnownRows)
const decodeKnownRowsNow = Schema.decodeUnknownSync(KnownRows)

const toKnown = (row: (typeof KnownRows.Type)[number]): Known => {
  const [thread, id, graph, status, head, hash, bytes, createdAt, updatedAt, hour, seq, snapshotBytes, size] = row
  return {
    info: {
      thread,
      id,
      hash,
      graph,
      status,
      head: Number(head),
      createdAt: Number(createdAt),
      updatedAt: Number(updatedAt)
    },
    hash,
    bytes: Number(bytes),
    hour: Number(hour),
    snapshot: { seq: Number(seq ?? 0), bytes: Number(snapshotBytes ?? 0), size: Number(size ?? 0) }
  }
}

/** The rows of threads; what follows is a WHERE clause on `t`. */
export const selectKnown = `SELECT t.thread, t.id, t.graph, t.status, t.head, t.hash, t.bytes, t.created_at, t.updated_at,
    t.changed_hour, s.seq, s.bytes, s.size
  FROM selvage_threads t LEFT JOIN selvage_snapshots s ON s.thread = t.thread`

export const decodeKnown = (rows: ReadonlyArray<ReadonlyArray<unknown>>) =>
  Effect.map(decodeKnownRows(rows), (rows) => rows.map(toKnown))

/** {@link decodeKnown}, which throws. */
export const decodeKnownNow = (rows: ReadonlyArray<ReadonlyArray<unknown>>) => decodeKnownRowsNow(rows).map(toKnown)

/** How a part of the journal asks the database. */
export interface Database {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  /** How long a statement may be without an answer, in milliseconds; `Infinity` for a database in this process. */
  readonly limit: number
  readonly query: (
    text: string,
    params: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError>
}

/** An entry as it is stored. */
export interface Stored {
  readonly seq: number
  readonly at: number
  readonly text: unknown
  readonly hash: unknown
}

const decodeEntry = Schema.decodeUnknownResult(Entry)

/** Large values by hash, parsed. */
export type ValueMap = ReadonlyMap<string, unknown>

/** Stored text as an entry, or why it is none. */
export const toEntry = (text: unknown, values: ValueMap): Result.Result<Entry, string> => {
  if (typeof text !== "string") return Result.fail("it is no text")
  try {
    const json: unknown = JSON.parse(text)
    return Result.mapError(
      decodeEntry(Values.mayRefer(text) ? Values.grow(json, values) : json),
      (error) => `it is not an entry that this version knows: ${error.message}`
    )
  } catch (cause) {
    return Result.fail(cause instanceof Values.Missing ? cause.message : "it is no JSON")
  }
}

const noValues: ValueMap = new Map()
const valuePage = 64

/** The large values that texts refer to, and those that these refer to. One that is not sound is left out. */
export const valuesOf = (database: Database, texts: ReadonlyArray<unknown>): Effect.Effect<ValueMap, SqlError> => {
  const referring = texts.filter((text) => typeof text === "string").filter(Values.mayRefer)
  return referring.length === 0 ? Effect.succeed(noValues) : fetchValues(database, referring)
}

const referencesIn = (text: string, into: Set<string>) => {
  try {
    Values.references(JSON.parse(text), into)
  } catch {
    // No JSON: whoever decodes it says so.
  }
}

const fetchValues = Effect.fnUntraced(function* ({ dialect, query }: Database, texts: ReadonlyArray<string>) {
  const select = dialect.text(`SELECT hash, value FROM selvage_values WHERE hash IN ${dialect.stringsOf}`)
  const values = new Map<string, unknown>()
  const wanted = new Set<string>()
  for (const text of texts) referencesIn(text, wanted)
  const asked = new Set<string>()
  while (true) {
    const page = Array.from(wanted)
      .filter((key) => !asked.has(key))
      .slice(0, valuePage)
    if (page.length === 0) return values
    for (const key of page) asked.add(key)
    for (const [key, text] of yield* query(select, [JSON.stringify(page)])) {
      if (typeof key !== "string" || typeof text !== "string" || !Values.isIntact(key, text)) continue
      values.set(key, JSON.parse(text))
      if (Values.mayRefer(text)) referencesIn(text, wanted)
    }
  }
})

/** Whether text can be a name in every database: no U+0000, no half of a surrogate pair. */
export const isNameable = (name: string): boolean => !name.includes("\u0000") && !/\p{Surrogate}/u.test(name)

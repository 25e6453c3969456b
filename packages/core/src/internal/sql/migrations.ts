/** The tables of the journal, and what brings those of an earlier version up to date. */
import * as Effect from "effect/Effect"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import * as Chain from "./chain.ts"
import { uniqueId } from "./digest.ts"

const withoutRowid = Effect.fnUntraced(function* (create: string) {
  const sql = yield* SqlClient.SqlClient
  return yield* sql.onDialectOrElse({
    sqlite: () => sql.unsafe(`${create} WITHOUT ROWID`),
    orElse: () => sql.unsafe(create)
  })
})

const threadsAndEntries = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE selvage_threads (
    thread TEXT PRIMARY KEY,
    graph TEXT NOT NULL,
    status TEXT NOT NULL,
    head INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
  )`
  yield* withoutRowid(`CREATE TABLE selvage_entries (
    thread TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at BIGINT NOT NULL,
    entry TEXT NOT NULL,
    PRIMARY KEY (thread, seq)
  )`)
})

const upgradePage = 512

/** Gives the entries of a thread their hashes as they stand; what was wrong before remains unknown. */
const upgradeThread = Effect.fnUntraced(function* (thread: unknown) {
  const sql = yield* SqlClient.SqlClient
  let hash = Chain.start
  let bytes = 0
  let after = 0
  while (true) {
    const rows = yield* sql`SELECT seq, at, entry FROM selvage_entries WHERE thread = ${thread} AND seq > ${after}
      ORDER BY seq LIMIT ${upgradePage}`.values
    for (const [seq, at, entry] of rows) {
      after = Number(seq)
      hash = Chain.link(hash, after, Number(at), String(entry))
      bytes += String(entry).length
      yield* sql`UPDATE selvage_entries SET hash = ${hash} WHERE thread = ${thread} AND seq = ${after}`
    }
    if (rows.length < upgradePage) break
  }
  yield* sql`UPDATE selvage_threads SET id = ${uniqueId()}, hash = ${hash}, bytes = ${bytes} WHERE thread = ${thread}`
})

const upgradeThreads = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  let after = ""
  while (true) {
    const rows = yield* sql`SELECT thread FROM selvage_threads WHERE id = '' AND thread >= ${after}
      ORDER BY thread LIMIT ${upgradePage}`.values
    for (const [thread] of rows) {
      after = String(thread)
      yield* upgradeThread(thread)
    }
    if (rows.length < upgradePage) return
  }
})

const chainSnapshotsValues = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE selvage_threads ADD COLUMN id TEXT NOT NULL DEFAULT ''`
  yield* sql`ALTER TABLE selvage_threads ADD COLUMN hash TEXT NOT NULL DEFAULT ''`
  yield* sql`ALTER TABLE selvage_threads ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0`
  yield* sql`ALTER TABLE selvage_threads ADD COLUMN changed_hour INTEGER NOT NULL DEFAULT 0`
  yield* sql`ALTER TABLE selvage_entries ADD COLUMN hash TEXT NOT NULL DEFAULT ''`
  yield* sql`UPDATE selvage_threads SET changed_hour = updated_at / 3600000`
  yield* sql`CREATE INDEX selvage_threads_changed ON selvage_threads (changed_hour)`
  yield* sql`CREATE TABLE selvage_snapshots (
    thread TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    bytes BIGINT NOT NULL,
    size BIGINT NOT NULL,
    value TEXT NOT NULL
  )`
  yield* sql`CREATE TABLE selvage_values (hash TEXT PRIMARY KEY, value TEXT NOT NULL)`
  yield* withoutRowid(`CREATE TABLE selvage_value_uses (
    thread TEXT NOT NULL,
    hash TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (thread, hash)
  )`)
  yield* sql`CREATE INDEX selvage_value_uses_hash ON selvage_value_uses (hash)`
  yield* upgradeThreads
})

/** Makes the tables and brings them up to date; what was done stands in `selvage_migrations`. */
export const migrate = Migrator.make({})({
  loader: Migrator.fromRecord({
    "0001_journal": threadsAndEntries,
    "0002_chain_snapshots_values": chainSnapshotsValues
  }),
  table: "selvage_migrations"
})

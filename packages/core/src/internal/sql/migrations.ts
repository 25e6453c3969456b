/** The tables of the journal, and what brings those of an earlier version up to date. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import * as Chain from "./chain.ts"
import { uniqueId } from "./digest.ts"
import { type Database, unavailable } from "./rows.ts"
import { within } from "./within.ts"

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

/** A server's own limit is for statements of the journal; what follows in this transaction takes as long as it takes. */
const patiently = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql.onDialectOrElse({
    pg: () => Effect.asVoid(sql`SET LOCAL statement_timeout = 0`),
    orElse: () => Effect.void
  })
})

const chainSnapshotsValues = Effect.gen(function* () {
  yield* patiently
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

const leases = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE selvage_leases (
    owner TEXT PRIMARY KEY,
    thread TEXT NOT NULL,
    beat INTEGER NOT NULL,
    at BIGINT NOT NULL,
    ttl BIGINT NOT NULL
  )`
  yield* sql`CREATE INDEX selvage_leases_thread ON selvage_leases (thread)`
})

/** Snapshots are a cache: those without a hash are given up. */
const snapshotHashes = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE selvage_snapshots ADD COLUMN hash TEXT NOT NULL DEFAULT ''`
  yield* sql`DELETE FROM selvage_snapshots`
})

const migrations = {
  "0001_journal": threadsAndEntries,
  "0002_chain_snapshots_values": chainSnapshotsValues,
  "0003_snapshot_hashes": snapshotHashes,
  "0004_leases": leases
}

/** The version of the tables that this code reads and writes. */
export const version = Object.keys(migrations).length

const table = "selvage_migrations"

const migrate = Migrator.make({})({ loader: Migrator.fromRecord(migrations), table })

/** The version of the tables as they stand; 0: there are none. */
const standing = Effect.fnUntraced(function* ({ dialect, query }: Database) {
  const [[found] = []] = yield* query(dialect.hasTable(table), [])
  if (found !== 1 && found !== true) return 0
  const [[last] = []] = yield* query(`SELECT MAX(migration_id) FROM ${table}`, [])
  return Number(last ?? 0)
})

// Gives the entries of a large journal their hashes.
const upgradeLimit = 10 * 60_000

const known = Effect.fnUntraced(function* (database: Database) {
  const found = yield* Effect.mapError(standing(database), unavailable("open: the version of its tables is not known"))
  if (found <= version) return found
  return yield* unavailable("open")(
    new Error(
      `its tables are of version ${found}, written by a newer release, and this one knows version ${version}: ` +
        `upgrade the @selvage packages of this program`
    )
  )
})

/** From here on entries have hashes, and the tables that are read have their columns of today but for the next. */
const firstReadable = 2

/** From here on snapshots have hashes. */
export const snapshotsSealed = 3

/** The version of tables that can be read as they stand: nothing is made and nothing migrated. */
export const readable = Effect.fnUntraced(function* (database: Database) {
  const found = yield* known(database)
  if (found >= firstReadable) return found
  return yield* unavailable("open")(
    new Error(
      found === 0
        ? "there are no tables of a journal in it"
        : `its tables are of version ${found}, and can be read from version ${firstReadable} on: open it once for writing, which brings them up to date`
    )
  )
})

/** Makes the tables and brings them up to date; what was done stands in `selvage_migrations`. Newer ones are refused. Gives the version. */
export const prepare = Effect.fnUntraced(function* (database: Database) {
  const before = yield* known(database)
  if (before === version) return version
  const limit = before === 0 || database.limit === Infinity ? database.limit : upgradeLimit
  yield* within(migrate, limit).pipe(
    // Two processes that make the tables at once: the one that comes second finds them.
    Effect.retry({ times: 3, while: (error) => error._tag === "SqlError" && error.reason._tag === "UniqueViolation" }),
    Effect.provideService(SqlClient.SqlClient, database.sql),
    // Where the connection is cut, the rollback that fails too is a defect beside the failure.
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.interrupt // Nothing failed: the caller left.
        : Effect.fail(unavailable("open: its tables could not be made or migrated")(Cause.squash(cause)))
    )
  )
  return version
})

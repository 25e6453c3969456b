/**
 * An `effect/sql` client over Node's own `node:sqlite`: no native module, no server.
 *
 * One connection, guarded by a semaphore: a statement, a stream or a transaction holds it to its end, others queue.
 * `sql.withTransaction` starts with `BEGIN IMMEDIATE`, so a writer takes the write lock before it reads; provide
 * `SqlClient.BeginTransaction` with `"BEGIN"` for a read-only one. Nested transactions are savepoints. Failure and
 * interruption roll back.
 *
 * **Values**
 *
 * In: `undefined` is NULL, a boolean is 1 or 0, a `Date` is its ISO 8601 text, a whole number is an INTEGER (so
 * `? / 2` divides as integers). `NaN` and plain objects are refused: SQLite would store NULL, or take them for named
 * parameters. Out: rows are ordinary objects, BLOBs are `Uint8Array`, an INTEGER beyond ±2^53 is a `bigint` and
 * any other a `number`; with `SqlClient.SafeIntegers` every INTEGER is a `bigint`.
 *
 * **Gotchas**
 *
 * - `node:sqlite` is synchronous: a statement blocks the event loop while it runs and cannot be interrupted midway.
 *   Waiting for another connection's lock does not block: it polls, for at most `busyTimeout`, in real time.
 * - While a stream is open its connection is taken: query inside the stream only within the same transaction.
 * - One statement per call. A second one in the same text is an error, not silently ignored.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import { existsSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import * as FileIdentity from "./internal/FileIdentity.ts"
import { makeConnection } from "./internal/SqliteConnection.ts"
import * as SqliteFailure from "./internal/SqliteFailure.ts"

/** The runtime type identifier of a {@link SqliteClient}. */
export const TypeId: TypeId = "~selvage/sqlite/SqliteClient"

/** The type of {@link TypeId}. */
export type TypeId = "~selvage/sqlite/SqliteClient"

/** A `SqlClient` on one SQLite file. */
export interface SqliteClient extends SqlClient.SqlClient {
  readonly [TypeId]: TypeId
  readonly config: SqliteClientConfig
  /**
   * Runs a transaction to its end at once, without any fiber being able to come in between. `undefined`, and nothing
   * done: a transaction is under way here, or another connection has the write lock. Throws what `use` throws, or an
   * `SqlError`, after it has rolled back. For writers that count microseconds; others have `withTransaction`.
   */
  readonly transactNow: <A>(
    use: (execute: (sql: string, params: ReadonlyArray<unknown>) => ReadonlyArray<ReadonlyArray<unknown>>) => A
  ) => { readonly result: A } | undefined
}

/** The service of the {@link SqliteClient}. */
export const SqliteClient = Context.Service<SqliteClient>("selvage/sqlite/SqliteClient")

/** Where the database is and how it is written. */
export interface SqliteClientConfig {
  /** Path of the file, created if it is not there, or `:memory:`. Its directory must exist. */
  readonly filename: string
  /**
   * Default `false`. `true` opens a file that is there, writes nothing, and reads beside a writer. Where the directory cannot be
   * written (a read-only mount) and no write-ahead log stands beside the file, it is read as one that does not change.
   */
  readonly readonly?: boolean | undefined
  /** Default `wal`: readers do not wait for the writer. A file keeps its mode; `:memory:` has its own. */
  readonly journalMode?: "wal" | "delete" | "truncate" | "persist" | undefined
  /**
   * Default `full`: a commit survives power loss. `normal` is some six times faster per commit and, with `wal`,
   * survives a crash of the process but may lose the last commits on power loss.
   */
  readonly synchronous?: "full" | "normal" | undefined
  /** How long to wait for a lock another connection holds before a `LockTimeoutError`. Default 5 seconds. */
  readonly busyTimeout?: Duration.Input | undefined
  /** How many statements stay prepared; the least recently used goes first. Default 128. */
  readonly preparedStatements?: number | undefined
  readonly spanAttributes?: Record<string, unknown> | undefined
  readonly transformResultNames?: ((name: string) => string) | undefined
  readonly transformQueryNames?: ((name: string) => string) | undefined
}

/** Opens the file; it is closed with the scope. */
export const make = Effect.fnUntraced(function* (
  config: SqliteClientConfig
): Effect.fn.Return<SqliteClient, SqlError, Scope.Scope | Reactivity.Reactivity> {
  const { connection, database } = yield* open(config)
  const transformRows =
    config.transformResultNames === undefined
      ? undefined
      : Statement.defaultTransforms(config.transformResultNames, false).array
  const acquirers = SqlClient.makeSqliteAcquirers({
    connection: Effect.succeed(connection),
    semaphore: yield* Semaphore.make(1),
    isTransaction: () => database.isTransaction
  })
  const client = yield* SqlClient.make({
    ...acquirers,
    driver: "node-sqlite",
    compiler: Statement.makeCompilerSqlite(config.transformQueryNames),
    prepareTransactionControls: true,
    beginTransaction: "BEGIN IMMEDIATE",
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
    transformRows,
    spanAttributes: [
      ...Object.entries(config.spanAttributes ?? {}),
      ["db.system.name", "sqlite"],
      ["db.namespace", config.filename]
    ]
  })
  return Object.assign(client, { [TypeId]: TypeId, config, transactNow: connection.transactNow })
})

/** Opens the database and proves that it is one, so that a wrong file is reported here and not by the first query. */
const open = Effect.fnUntraced(function* (config: SqliteClientConfig) {
  const { filename } = config
  const { journalMode = "wal", synchronous = "full" } = config
  if (filename === "") {
    return yield* SqliteFailure.refused(filename, "open", "the filename is empty; name a file, or :memory:")
  }
  const database = yield* Effect.acquireRelease(
    Effect.try({
      try: () => (config.readonly === true ? openToRead(filename) : new DatabaseSync(filename, { timeout: 0 })),
      catch: (cause) => SqliteFailure.fromCause(filename, "open", cause)
    }),
    (database) => Effect.sync(() => database.close())
  )
  const identity = FileIdentity.of(filename)
  const connection = makeConnection(database, config, identity)
  if (config.readonly === true) {
    yield* connection.executeUnprepared("PRAGMA schema_version", [], undefined)
    return { connection, database }
  }
  const [mode] = yield* connection.executeValuesUnprepared(`PRAGMA journal_mode = ${journalMode}`, [])
  if (mode?.[0] !== journalMode && mode?.[0] !== "memory") {
    return yield* SqliteFailure.refused(
      filename,
      "open",
      `the journal mode stays "${mode?.[0]}"; its file system may not support "${journalMode}", choose another journalMode`
    )
  }
  yield* connection.executeUnprepared(`PRAGMA synchronous = ${synchronous}`, [], undefined)
  // Reads the header: a file that is no database fails here in every journal mode.
  yield* connection.executeUnprepared("PRAGMA schema_version", [], undefined)
  return { connection, database }
})

/** A file that is there, to read; also where nothing beside it can be written, as a log and an index of it would have to be. */
const openToRead = (filename: string): DatabaseSync => {
  const database = new DatabaseSync(filename, { readOnly: true, timeout: 0 })
  try {
    database.prepare("PRAGMA schema_version").get()
    return database
  } catch (cause) {
    database.close()
    if (SqliteFailure.isBusy(cause) || existsSync(`${filename}-wal`)) throw cause
    const url = pathToFileURL(filename)
    url.searchParams.set("immutable", "1")
    return new DatabaseSync(url, { readOnly: true, timeout: 0 })
  }
}

const layerFrom = <E>(acquire: Effect.Effect<SqliteClient, E, Scope.Scope | Reactivity.Reactivity>) =>
  Layer.effectContext(
    Effect.map(acquire, (client) => Context.make(SqliteClient, client).pipe(Context.add(SqlClient.SqlClient, client)))
  ).pipe(Layer.provide(Reactivity.layer))

/** Provides the client, as `SqlClient` and as {@link SqliteClient}, on the file of `config`. */
export const layer = (config: SqliteClientConfig): Layer.Layer<SqliteClient | SqlClient.SqlClient, SqlError> =>
  layerFrom(make(config))

/** {@link layer} with the settings read from configuration. */
export const layerConfig = (
  config: Config.Wrap<SqliteClientConfig>
): Layer.Layer<SqliteClient | SqlClient.SqlClient, Config.ConfigError | SqlError> =>
  layerFrom(Effect.flatMap(Config.unwrap(config), make))

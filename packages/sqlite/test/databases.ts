// The journals on SQL with a way to look behind them.
import { PgClient } from "@effect/sql-pg"
import type { Journal } from "@selvage/core"
import { PostgresJournal } from "@selvage/postgres"
import { SqliteClient, SqliteJournal } from "@selvage/sqlite"
import { NodeFileSystem } from "@effect/platform-node"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { postgresClient, postgresOptions, postgresSchema, reachable } from "./stores.ts"

export interface Behind {
  /** A journal on this database. Each build of it is as another process. */
  readonly journal: Layer.Layer<Journal.Journal>
  /** Runs statements one by one; succeeds with the rows of the last. */
  readonly run: (...statements: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>>
  /** A client on the database, on a connection of its own. */
  readonly client: Layer.Layer<SqlClient>
  /** How a child process finds it. */
  readonly address: string
}

const runOn =
  (client: Layer.Layer<SqlClient>): Behind["run"] =>
  (...statements) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      let rows: ReadonlyArray<ReadonlyArray<unknown>> = []
      for (const text of statements) rows = yield* sql.unsafe(text).values
      return rows
    }).pipe(Effect.provide(client), Effect.orDie)

export const sqliteFile = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  return `${yield* fs.makeTempDirectoryScoped()}/journal.db`
}).pipe(Effect.provide(NodeFileSystem.layer), Effect.orDie)

const sqlite: Effect.Effect<Behind, never, Scope> = Effect.map(sqliteFile, (filename) => {
  const client = Layer.orDie(SqliteClient.layer({ filename }))
  return {
    journal: Layer.orDie(SqliteJournal.layer({ filename })),
    client,
    run: runOn(client),
    address: filename
  }
})

const postgres = (schema: string): Effect.Effect<Behind, never, Scope> =>
  Effect.gen(function* () {
    const admin = yield* Layer.build(postgresClient)
    yield* Effect.provide(postgresSchema(schema), admin)
    yield* Effect.provide(
      Effect.flatMap(SqlClient, (sql) => sql`CREATE SCHEMA ${sql(schema)}`),
      admin
    )
    const options = postgresOptions(schema)
    const client = Layer.orDie(
      PgClient.layer({ url: options.url, startupParameters: { search_path: schema }, maxConnections: 2 })
    )
    return {
      journal: Layer.orDie(PostgresJournal.layer(options)),
      client,
      run: runOn(client),
      address: schema
    }
  }).pipe(Effect.orDie)

/** `schema` must be unique to the test file. */
export const databases = (schema: string) => [
  { name: "SQLite", behind: sqlite, skip: false },
  { name: "PostgreSQL", behind: postgres(schema), skip: !reachable }
]

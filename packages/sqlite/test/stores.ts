// Every journal there is, for tests that must hold on all of them.
import { PgClient } from "@effect/sql-pg"
import { Journal } from "@selvage/core"
import { PostgresJournal } from "@selvage/postgres"
import { SqliteJournal } from "@selvage/sqlite"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { NodeFileSystem } from "@effect/platform-node"

const url = process.env.SELVAGE_TEST_POSTGRES_URL ?? "postgres://postgres@127.0.0.1:5432/test"

const sqliteFile = Layer.unwrap(
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped()
    return SqliteJournal.layer({ filename: `${directory}/journal.db` })
  })
).pipe(Layer.provide(NodeFileSystem.layer))

/** A client for looking behind the journal. */
export const postgresClient = PgClient.layer({ url: Redacted.make(url) })

/** A schema of its own in PostgreSQL while the scope is open. */
export const postgresSchema = Effect.fnUntraced(function* (schema: string) {
  const admin = yield* SqlClient
  yield* admin`DROP SCHEMA IF EXISTS ${admin(schema)} CASCADE`
  yield* Effect.addFinalizer(() => Effect.orDie(admin`DROP SCHEMA IF EXISTS ${admin(schema)} CASCADE`))
})

export const postgresOptions = (schema: string): PostgresJournal.Options => ({ url: Redacted.make(url), schema })

/** The journal in a file or in a schema that other processes open too. */
export const journalAt = (
  place: { readonly _tag: "sqlite"; readonly filename: string } | { readonly _tag: "postgres"; readonly schema: string }
): Layer.Layer<Journal.Journal> =>
  Layer.orDie(
    place._tag === "sqlite"
      ? SqliteJournal.layer({ filename: place.filename })
      : PostgresJournal.layer(postgresOptions(place.schema))
  )

/** PostgreSQL in a schema of its own, dropped at the end. */
const postgres = (schema: string) =>
  Layer.unwrap(Effect.as(postgresSchema(schema), PostgresJournal.layer(postgresOptions(schema)))).pipe(
    Layer.provide(postgresClient)
  )

export const reachable = await Effect.runPromise(
  Effect.flatMap(SqlClient, (sql) => sql`SELECT 1`).pipe(
    Effect.provide(PgClient.layer({ url: Redacted.make(url), connectTimeout: "10 seconds" })),
    Effect.as(true),
    Effect.catchCause(() => Effect.succeed(false))
  )
)

if (!reachable && process.env.CI === "true") throw new Error(`PostgreSQL is not reachable at ${url}`)
if (!reachable)
  console.log(`PostgreSQL is not reachable at ${url}, its tests are skipped. Start one: docker compose up -d`)

/** All journals, also the one that forgets threads whose run is over. */
export const journals = (schema: string) => [
  { name: "ephemeral", layer: Journal.layerEphemeral, skip: false, keeps: "unfinished" as const },
  ...stores(schema).map((store) => ({ ...store, keeps: "all" as const }))
]

/** The stores that keep all threads, each as a layer that starts empty. `schema` must be unique to the test file. */
export const stores = (
  schema: string
): ReadonlyArray<{ readonly name: string; readonly layer: Layer.Layer<Journal.Journal>; readonly skip: boolean }> => [
  { name: "memory", layer: Journal.layerMemory, skip: false },
  { name: "SQLite", layer: Layer.orDie(sqliteFile), skip: false },
  { name: "PostgreSQL", layer: Layer.orDie(postgres(schema)), skip: !reachable }
]

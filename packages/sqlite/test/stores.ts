// Every journal there is, for tests that must hold on all of them.
import { PgClient } from "@effect/sql-pg"
import { Journal } from "@selvage/core"
import * as SqlJournal from "@selvage/core/SqlJournal"
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

/** PostgreSQL in a schema of its own, dropped at the end. */
const postgres = (schema: string) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const admin = yield* SqlClient
      yield* admin`DROP SCHEMA IF EXISTS ${admin(schema)} CASCADE`
      yield* admin`CREATE SCHEMA ${admin(schema)}`
      yield* Effect.addFinalizer(() => Effect.orDie(admin`DROP SCHEMA ${admin(schema)} CASCADE`))
      return SqlJournal.layer.pipe(
        Layer.provide(PgClient.layer({ url: Redacted.make(`${url}?options=-c%20search_path%3D${schema}`) }))
      )
    })
  ).pipe(Layer.provide(PgClient.layer({ url: Redacted.make(url) })))

const reachable = await Effect.runPromise(
  Effect.flatMap(SqlClient, (sql) => sql`SELECT 1`).pipe(
    Effect.provide(PgClient.layer({ url: Redacted.make(url), connectTimeout: "2 seconds" })),
    Effect.as(true),
    Effect.catchCause(() => Effect.succeed(false))
  )
)

if (!reachable && process.env.CI === "true") throw new Error(`PostgreSQL is not reachable at ${url}`)
if (!reachable)
  console.log(`PostgreSQL is not reachable at ${url}, its tests are skipped. Start one: docker compose up -d`)

/** The stores, each as a layer that starts empty. `schema` must be unique to the test file. */
export const stores = (
  schema: string
): ReadonlyArray<{ readonly name: string; readonly layer: Layer.Layer<Journal.Journal>; readonly skip: boolean }> => [
  { name: "memory", layer: Journal.layerMemory, skip: false },
  { name: "SQLite", layer: Layer.orDie(sqliteFile), skip: false },
  { name: "PostgreSQL", layer: Layer.orDie(postgres(schema)), skip: !reachable }
]

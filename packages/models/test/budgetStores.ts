// Every store of budgets there is, for tests that must hold on all of them.
import { NodeFileSystem, NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { SqliteClient } from "@selvage/sqlite"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
// Not all of the package: the processes of the tests load this as well.
import * as BudgetStore from "../src/BudgetStore.ts"
import * as BudgetStoreRedis from "../src/BudgetStoreRedis.ts"
import * as BudgetStoreSql from "../src/BudgetStoreSql.ts"

const postgresUrl = process.env.SELVAGE_TEST_POSTGRES_URL ?? "postgres://postgres@127.0.0.1:5432/test"
const redisUrl = process.env.SELVAGE_TEST_REDIS_URL ?? "redis://127.0.0.1:6379"

/** The Redis of the tests. */
export const redisClient = NodeRedis.layer({ url: redisUrl })

/** A store that others have made: SQLite by its file, PostgreSQL by its schema, Redis by its prefix. */
export const connect = (name: string, place: string): Layer.Layer<BudgetStore.BudgetStore> => {
  if (name === "Redis") return Layer.orDie(BudgetStoreRedis.layer({ prefix: place }).pipe(Layer.provide(redisClient)))
  const client =
    name === "SQLite"
      ? SqliteClient.layer({ filename: place, synchronous: "normal" })
      : PgClient.layer({ url: Redacted.make(`${postgresUrl}?options=-c%20search_path%3D${place}`) })
  return Layer.orDie(BudgetStoreSql.layer().pipe(Layer.provide(client)))
}

const sqlitePlace = Effect.gen(function* () {
  const fs = Context.get(yield* Layer.build(NodeFileSystem.layer), FileSystem.FileSystem)
  return `${yield* fs.makeTempDirectoryScoped()}/budgets.db`
})

const postgresPlace = Effect.fnUntraced(function* (schema: string) {
  const admin = Context.get(yield* Layer.build(PgClient.layer({ url: Redacted.make(postgresUrl) })), SqlClient)
  yield* admin`DROP SCHEMA IF EXISTS ${admin(schema)} CASCADE`
  yield* admin`CREATE SCHEMA ${admin(schema)}`
  yield* Effect.addFinalizer(() => Effect.orDie(admin`DROP SCHEMA ${admin(schema)} CASCADE`))
  return schema
})

const redisPlace = Effect.fnUntraced(function* (prefix: string) {
  const client = Context.get(yield* Layer.build(redisClient), Redis.Redis)
  const empty = Effect.gen(function* () {
    const keys = yield* client.send<Array<string>>("KEYS", `{${prefix}}*`)
    if (keys.length > 0) yield* client.send("DEL", ...keys)
  })
  yield* empty
  yield* Effect.addFinalizer(() => Effect.orDie(empty))
  return prefix
})

/** Makes an empty place for a store; it is removed with the scope. */
export const emptyPlace = (name: string, unique: string): Effect.Effect<string, never, Scope.Scope> => {
  if (name === "SQLite") return Effect.orDie(sqlitePlace)
  return name === "PostgreSQL" ? Effect.orDie(postgresPlace(unique)) : Effect.orDie(redisPlace(unique))
}

const emptyStore = (name: string, unique: string): Layer.Layer<BudgetStore.BudgetStore> =>
  Layer.unwrap(Effect.map(emptyPlace(name, unique), (place) => connect(name, place)))

const reached = (attempt: Effect.Effect<unknown, unknown>): Promise<boolean> =>
  Effect.runPromise(
    attempt.pipe(
      Effect.timeout("10 seconds"),
      Effect.as(true),
      Effect.catchCause(() => Effect.succeed(false))
    )
  )

const stands = async (name: string, url: string, attempt: Effect.Effect<unknown, unknown>): Promise<boolean> => {
  const found = await reached(attempt)
  if (!found && process.env.CI === "true") throw new Error(`${name} is not reachable at ${url}`)
  if (!found) {
    console.log(`${name} is not reachable at ${url}, its tests are skipped. Start one: docker compose up -d`)
  }
  return found
}

const hasPostgres = await stands(
  "PostgreSQL",
  postgresUrl,
  Effect.flatMap(SqlClient, (sql) => sql`SELECT 1`).pipe(
    Effect.provide(PgClient.layer({ url: Redacted.make(postgresUrl), connectTimeout: "10 seconds" }))
  )
)

const hasRedis = await stands(
  "Redis",
  redisUrl,
  Effect.flatMap(Redis.Redis, (client) => client.send("PING")).pipe(Effect.provide(redisClient))
)

/** Which servers are there. */
export const reachable = { postgres: hasPostgres, redis: hasRedis }

/** The stores, each as a layer that starts empty. `name` must be unique to the test. */
export const stores = (
  name: string
): ReadonlyArray<{
  readonly name: string
  readonly layer: Layer.Layer<BudgetStore.BudgetStore>
  readonly skip: boolean
}> => [
  { name: "memory", layer: BudgetStore.layerMemory(), skip: false },
  { name: "SQLite", layer: emptyStore("SQLite", `selvage_${name}`), skip: false },
  { name: "PostgreSQL", layer: emptyStore("PostgreSQL", `selvage_${name}`), skip: !hasPostgres },
  { name: "Redis", layer: emptyStore("Redis", `selvage_${name}`), skip: !hasRedis }
]

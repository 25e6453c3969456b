import { PgClient } from "@effect/sql-pg"
import { Journal } from "@selvage/core"
import type { Entry } from "@selvage/core/Entry"
import { PostgresJournal } from "@selvage/postgres"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"

const url = process.env.SELVAGE_TEST_POSTGRES_URL ?? "postgres://postgres@127.0.0.1:5432/test"
const client = PgClient.layer({ url: Redacted.make(url), connectTimeout: "2 seconds" })

const reachable = await Effect.runPromise(
  Effect.flatMap(SqlClient, (sql) => sql`SELECT 1`).pipe(
    Effect.provide(client),
    Effect.as(true),
    Effect.catchCause(() => Effect.succeed(false))
  )
)
if (!reachable && process.env.CI === "true") throw new Error(`PostgreSQL is not reachable at ${url}`)
if (!reachable)
  console.log(`PostgreSQL is not reachable at ${url}, its tests are skipped. Start one: docker compose up -d`)

const patched = (n: number): Entry => ({ _tag: "Patched", updates: { n } })

const dropped = Effect.fnUntraced(function* (schema: string) {
  const sql = yield* SqlClient
  const drop = Effect.orDie(sql`DROP SCHEMA IF EXISTS ${sql(schema)} CASCADE`)
  yield* drop
  yield* Effect.addFinalizer(() => drop)
})

describe.skipIf(!reachable)("PostgresJournal", () => {
  const schema = 'selvage "postgres" test'
  const options: PostgresJournal.Options = { url: Redacted.make(url), schema }
  const layer = PostgresJournal.layer(options)

  it.live("a tail goes on without a gap when its listening connection is lost", () =>
    Effect.gen(function* () {
      yield* dropped(schema)
      const sql = yield* SqlClient
      const here = yield* Layer.build(layer)
      const there = yield* Layer.build(Layer.fresh(layer))
      const append = (head: number) =>
        Effect.flatMap(Journal.Journal, (journal) => journal.append("t", head, [patched(head)])).pipe(
          Effect.provide(there)
        )
      yield* append(0)
      const seen = yield* Deferred.make<void>()
      const third = yield* Deferred.make<void>()
      const tail = yield* Stream.unwrap(Effect.map(Journal.Journal, (journal) => journal.tail("t", 0))).pipe(
        Stream.tap(({ seq }) => (seq === 2 ? Deferred.succeed(seen, undefined) : Effect.void)),
        Stream.tap(({ seq }) => (seq === 3 ? Deferred.succeed(third, undefined) : Effect.void)),
        Stream.take(4),
        Stream.runCollect,
        Effect.provide(here),
        Effect.forkChild
      )
      yield* append(1)
      yield* Deferred.await(seen)
      const listening = sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE application_name = 'selvage' AND query LIKE ${'LISTEN "selvage selvage%'}`
      let killed = 0
      while (killed === 0) {
        killed = (yield* listening).length
        yield* Effect.sleep("20 millis")
      }
      // While nobody listens, and after somebody does again.
      yield* append(2)
      yield* Deferred.await(third)
      yield* append(3)
      const entries = yield* Fiber.join(tail)
      assert.deepStrictEqual(
        entries.map(({ seq }) => seq),
        [1, 2, 3, 4]
      )
    }).pipe(Effect.scoped, Effect.provide(client))
  )

  it.live("a tail hears of a thread whose name is too long to be told", () =>
    Effect.gen(function* () {
      yield* dropped(schema)
      const thread = "long".repeat(1_000)
      const here = yield* Layer.build(layer)
      const there = yield* Layer.build(Layer.fresh(layer))
      const append = (head: number) =>
        Effect.flatMap(Journal.Journal, (journal) => journal.append(thread, head, [patched(head)])).pipe(
          Effect.provide(there)
        )
      yield* append(0)
      const seen = yield* Deferred.make<void>()
      const tail = yield* Stream.unwrap(Effect.map(Journal.Journal, (journal) => journal.tail(thread, 0))).pipe(
        Stream.tap(({ seq }) => (seq === 2 ? Deferred.succeed(seen, undefined) : Effect.void)),
        Stream.take(3),
        Stream.runDrain,
        Effect.provide(here),
        Effect.forkChild
      )
      yield* append(1)
      yield* Deferred.await(seen)
      yield* append(2)
      yield* Fiber.join(tail)
    }).pipe(Effect.scoped, Effect.provide(client))
  )

  it.effect("two processes that start at once share the tables they make", () =>
    Effect.gen(function* () {
      yield* dropped(schema)
      const journals = yield* Effect.all(
        [1, 2, 3].map(() => Effect.provide(Journal.Journal, Layer.fresh(layer))),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(journals, 3)
    }).pipe(Effect.scoped, Effect.provide(client))
  )

  it.effect("durability normal does not wait for the disk, and full does as the server is set up", () =>
    Effect.gen(function* () {
      yield* dropped(schema)
      const sql = yield* SqlClient
      for (const durability of ["normal", "full"] as const) {
        const asked = Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* sql.unsafe(`CREATE OR REPLACE FUNCTION "selvage ""postgres"" test".note() RETURNS trigger AS
              'BEGIN NEW.entry := NEW.entry || repeat('' '', length(current_setting(''synchronous_commit''))); RETURN NEW; END'
              LANGUAGE plpgsql`)
          yield* sql.unsafe(`CREATE OR REPLACE TRIGGER note BEFORE INSERT ON "selvage ""postgres"" test".selvage_entries
              FOR EACH ROW EXECUTE FUNCTION "selvage ""postgres"" test".note()`)
          yield* journal.append(durability, 0, [patched(1)])
          const [row] = yield* sql.unsafe<{ entry: string }>(
            `SELECT entry FROM "selvage ""postgres"" test".selvage_entries WHERE thread = '${durability}'`
          )
          return row?.entry.replace(/^.*\}/, "").length
        })
        const [server] = yield* sql<{ synchronous_commit: string }>`SHOW synchronous_commit`
        const expected = durability === "normal" ? "off" : server?.synchronous_commit
        const found = yield* Effect.provide(asked, Layer.fresh(PostgresJournal.layer({ ...options, durability })))
        assert.strictEqual(found, expected?.length)
      }
    }).pipe(Effect.scoped, Effect.provide(client))
  )

  it.live("a server that is not there is a JournalUnavailable that does not tell the password", () =>
    Effect.gen(function* () {
      const away = PostgresJournal.layer({ url: Redacted.make("postgres://me:hunter2@127.0.0.1:1/x") })
      const error = yield* Effect.flip(Effect.scoped(Layer.build(away)))
      assert.strictEqual(error._tag, "JournalUnavailable")
      assert.notInclude(`${error.message} ${String(error)}`, "hunter2")
    })
  )

  it.effect("a schema whose name is too long for a channel is refused", () =>
    Effect.gen(function* () {
      const long = PostgresJournal.layer({ ...options, schema: "s".repeat(49) })
      assert.match((yield* Effect.flip(Effect.scoped(Layer.build(long)))).message, /longer than 48 bytes/)
    })
  )
})

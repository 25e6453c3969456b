import { Journal } from "@selvage/core"
import { SqliteClient, SqliteJournal } from "@selvage/sqlite"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { isSqlError } from "effect/sql/SqlError"
import { sqliteFile } from "./databases.ts"

const names = (client: SqliteClient.SqliteClient) =>
  Effect.map(client`SELECT name FROM items`.values, (rows) => rows.flat())

const withItems = <A, E>(use: (client: SqliteClient.SqliteClient, filename: string) => Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const filename = yield* sqliteFile
    const made = Effect.gen(function* () {
      const client = yield* SqliteClient.SqliteClient
      yield* client`CREATE TABLE items (name TEXT UNIQUE)`
      return yield* use(client, filename)
    })
    return yield* Effect.provide(made, SqliteClient.layer({ filename }))
  })

const insert = "INSERT INTO items VALUES (?)"

describe("transactNow", () => {
  it.effect("commits what was done, and gives the result", () =>
    withItems((client) =>
      Effect.gen(function* () {
        const done = client.transactNow((execute) => {
          execute(insert, ["bolt"])
          return execute("SELECT count(*), 9007199254740993 FROM items", [])
        })
        assert.deepStrictEqual(done, { result: [[1, 9007199254740993n]] })
        assert.deepStrictEqual(yield* names(client), ["bolt"])
      })
    )
  )

  it.effect("rolls back when it throws, with an SqlError where SQLite refused", () =>
    withItems((client) =>
      Effect.gen(function* () {
        const attempt = (fail: (execute: (sql: string, params: ReadonlyArray<unknown>) => unknown) => void) => {
          try {
            client.transactNow((execute) => {
              execute(insert, ["bolt"])
              fail(execute)
            })
            return undefined
          } catch (error) {
            return error
          }
        }
        const refused = attempt((execute) => execute(insert, ["bolt"]))
        assert.isTrue(isSqlError(refused) && refused.reason._tag === "UniqueViolation")
        const own = new Error("mine")
        assert.strictEqual(
          attempt(() => {
            throw own
          }),
          own
        )
        assert.deepStrictEqual(yield* names(client), [])
        assert.isDefined(client.transactNow((execute) => execute(insert, ["nut"])))
      })
    )
  )

  it.effect("does nothing while a transaction is under way here, or another connection has the lock", () =>
    withItems((client, filename) =>
      Effect.gen(function* () {
        const inside = client.withTransaction(Effect.sync(() => client.transactNow(() => 1)))
        assert.isUndefined(yield* inside)
        const other = Effect.flatMap(SqliteClient.SqliteClient, (other) =>
          other.withTransaction(Effect.sync(() => client.transactNow(() => 1)))
        )
        assert.isUndefined(yield* Effect.provide(other, SqliteClient.layer({ filename })))
        assert.deepStrictEqual(
          client.transactNow(() => 1),
          { result: 1 }
        )
      })
    )
  )

  it.live("an append waits for another process's lock, then stands", () =>
    Effect.gen(function* () {
      const filename = yield* sqliteFile
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const other = yield* SqliteClient.SqliteClient
        const locked = yield* Deferred.make<void>()
        const free = yield* Deferred.make<void>()
        const holder = yield* Deferred.succeed(locked, undefined).pipe(
          Effect.andThen(Deferred.await(free)),
          other.withTransaction,
          Effect.forkChild
        )
        yield* Deferred.await(locked)
        const appending = yield* Effect.forkChild(journal.append("t", 0, [{ _tag: "Patched", updates: {} }]))
        yield* Effect.sleep("50 millis")
        assert.isUndefined(appending.pollUnsafe())
        yield* Deferred.succeed(free, undefined)
        yield* Fiber.join(holder)
        assert.lengthOf((yield* Fiber.join(appending)).written, 1)
      }).pipe(Effect.provide([SqliteJournal.layer({ filename }), SqliteClient.layer({ filename })]))
    })
  )

  it.live("an append that waits too long for the lock fails and leaves nothing", () =>
    Effect.gen(function* () {
      const filename = yield* sqliteFile
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const other = yield* SqliteClient.SqliteClient
        const entries = [{ _tag: "Patched", updates: {} }] as const
        const appends = Effect.all(
          ["a", "b", "c"].map((thread) => Effect.flip(journal.append(thread, 0, entries))),
          { concurrency: "unbounded" }
        )
        for (const error of yield* other.withTransaction(appends)) {
          assert.strictEqual(error._tag, "JournalUnavailable")
          assert.match(error.message, /another connection holds the lock/)
        }
        yield* journal.append("a", 0, entries)
        assert.strictEqual((yield* Effect.flip(journal.info("b")))._tag, "ThreadNotFound")
      }).pipe(
        Effect.provide([SqliteJournal.layer({ filename, busyTimeout: "50 millis" }), SqliteClient.layer({ filename })])
      )
    })
  )
})

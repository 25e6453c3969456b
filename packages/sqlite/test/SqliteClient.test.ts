import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Config from "effect/Config"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqliteClient from "../src/SqliteClient.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "selvage-sqlite-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const file = Effect.map(directory, (path) => join(path, "test.db"))

const memory = SqliteClient.layer({ filename: ":memory:" })

type Live = Layer.Layer<SqliteClient.SqliteClient | SqlClient.SqlClient, SqlError>

/** Runs `use` with a client of its own, closed at the end. */
const withClient = <A, E, R>(layer: Live, use: (sql: SqlClient.SqlClient) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(SqlClient.SqlClient, use).pipe(Effect.provide(layer, { local: true }))

const items = (sql: SqlClient.SqlClient) => sql`CREATE TABLE items (name TEXT PRIMARY KEY, units INTEGER NOT NULL)`

const names = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ name: string }>`SELECT name FROM items ORDER BY name`, (rows) => rows.map((row) => row.name))

describe("queries", () => {
  it.effect("inserts and selects ordinary objects", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        yield* items(sql)
        yield* sql`INSERT INTO items ${sql.insert([
          { name: "bolt", units: 3 },
          { name: "nut", units: 4 }
        ])}`
        const rows = yield* sql`SELECT * FROM items WHERE name IN ${sql.in(["bolt", "nut"])} ORDER BY name`
        assert.deepStrictEqual(rows, [
          { name: "bolt", units: 3 },
          { name: "nut", units: 4 }
        ])
        assert.strictEqual(Object.getPrototypeOf(rows[0]), Object.prototype)
      })
    )
  )

  it.effect("returns inserted rows, row arrays and the raw result", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        yield* items(sql)
        const inserted = yield* sql`INSERT INTO items ${sql.insert({ name: "bolt", units: 3 }).returning("*")}`
        assert.deepStrictEqual(inserted, [{ name: "bolt", units: 3 }])
        assert.deepStrictEqual(yield* sql`SELECT 1 AS a, 2 AS a`.values, [[1, 2]])
        assert.deepStrictEqual(yield* sql`UPDATE items SET units = 5`.raw, { changes: 1, lastInsertRowid: 1 })
        assert.deepStrictEqual(yield* sql`SELECT units FROM items`.raw, [{ units: 5 }])
      })
    )
  )

  it.effect("keeps whole numbers whole, fractions, text, bytes, booleans, dates and null", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        const date = new Date("2026-01-02T03:04:05.678Z")
        const bytes = new Uint8Array([0, 1, 255])
        const [row] = yield* sql`SELECT ${5} AS whole, typeof(${5}) AS type, ${0.5} AS half, ${"é😀"} AS text,
          ${bytes} AS bytes, ${true} AS yes, ${false} AS no, ${date} AS date, ${null} AS absent, ${undefined} AS missing`
        assert.deepStrictEqual(row, {
          whole: 5,
          type: "integer",
          half: 0.5,
          text: "é😀",
          bytes,
          yes: 1,
          no: 0,
          date: "2026-01-02T03:04:05.678Z",
          absent: null,
          missing: null
        })
      })
    )
  )

  it.effect("returns an integer beyond 2^53 exactly, as a bigint", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        const large = 9007199254740993n
        const smallest = -(2n ** 63n)
        assert.deepStrictEqual(yield* sql`SELECT ${large} AS large, ${smallest} AS smallest, 7 AS small`, [
          { large, smallest, small: 7 }
        ])
        const safe = sql`SELECT 7 AS small`.pipe(Effect.provideService(SqlClient.SafeIntegers, true))
        assert.deepStrictEqual(yield* safe, [{ small: 7n }])
      })
    )
  )

  it.effect("refuses a value SQLite would silently change, and a bigint it cannot hold", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        for (const [value, expected] of [
          [Number.NaN, /parameter 1 is NaN/],
          [{ a: 1 }, /parameter 1 is of type object/],
          [new Date(Number.NaN), /parameter 1 is an invalid Date/],
          [2n ** 70n, /BigInt value is too large/]
        ] as const) {
          const error = yield* Effect.flip(sql`SELECT ${value}`)
          assert.match(error.message, expected)
        }
      })
    )
  )

  it.effect("refuses a second statement in one text", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(sql.unsafe("SELECT 1; SELECT 2"))
        assert.match(error.message, /more than one statement/)
        assert.deepStrictEqual(yield* sql.unsafe("SELECT 1 AS a; -- done\n /* really */"), [{ a: 1 }])
      })
    )
  )

  it.effect("renames columns both ways", () =>
    withClient(
      SqliteClient.layer({
        filename: ":memory:",
        transformQueryNames: (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
        transformResultNames: (name) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
      }),
      (sql) =>
        Effect.gen(function* () {
          yield* sql`CREATE TABLE orders (unit_price INTEGER)`
          yield* sql`INSERT INTO orders ${sql.insert({ unitPrice: 5 })}`
          assert.deepStrictEqual(yield* sql`SELECT * FROM orders`, [{ unitPrice: 5 }])
          assert.deepStrictEqual(yield* Stream.runCollect(sql`SELECT * FROM orders`.stream), [{ unitPrice: 5 }])
        })
    )
  )

  it.effect("keeps answering when more statements were used than stay prepared", () =>
    withClient(SqliteClient.layer({ filename: ":memory:", preparedStatements: 2 }), (sql) =>
      Effect.gen(function* () {
        for (const round of [1, 2]) {
          for (const value of [1, 2, 3, 4]) {
            assert.deepStrictEqual(yield* sql.unsafe(`SELECT ${value} AS value, ? AS round`, [round]), [
              { value, round }
            ])
          }
        }
      })
    )
  )
})

describe("streams", () => {
  const numbers = (sql: SqlClient.SqlClient, last: number) =>
    sql<{
      n: number
    }>`WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${last}) SELECT n FROM s`

  it.effect("streams every row once, over chunk borders", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        for (const last of [1, 128, 129, 1000]) {
          const rows = yield* Stream.runCollect(numbers(sql, last).stream)
          assert.deepStrictEqual(
            rows.map((row) => row.n),
            Array.from({ length: last }, (_, index) => index + 1)
          )
        }
      })
    )
  )

  it.effect("reads no more of an endless result than is taken, and frees the connection", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        const some = yield* numbers(sql, Number.MAX_SAFE_INTEGER).stream.pipe(Stream.take(300), Stream.runCount)
        assert.strictEqual(some, 300)
        assert.deepStrictEqual(yield* sql`SELECT 1 AS a`, [{ a: 1 }])
      })
    )
  )

  it.effect("fails typed in the middle", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        const broken = sql`SELECT json(value) AS v FROM json_each('["1", "2", "{"]')`.stream
        const error = yield* Effect.flip(Stream.runDrain(broken))
        assert.match(error.message, /malformed JSON/)
      })
    )
  )
})

describe("transactions", () => {
  it.effect("commits", () =>
    Effect.gen(function* () {
      const filename = yield* file
      yield* withClient(SqliteClient.layer({ filename }), (sql) =>
        sql.withTransaction(Effect.andThen(items(sql), sql`INSERT INTO items VALUES ('bolt', 1)`))
      )
      assert.deepStrictEqual(yield* withClient(SqliteClient.layer({ filename }), names), ["bolt"])
    })
  )

  it.effect("rolls back on failure", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        yield* items(sql)
        const insert = sql`INSERT INTO items VALUES ('bolt', 1)`
        const error = yield* Effect.flip(sql.withTransaction(Effect.andThen(insert, Effect.fail("no" as const))))
        assert.strictEqual(error, "no")
        assert.deepStrictEqual(yield* names(sql), [])
      })
    )
  )

  it.effect("rolls back a nested transaction alone", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        yield* items(sql)
        yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`INSERT INTO items VALUES ('outer', 1)`
            const inner = Effect.andThen(sql`INSERT INTO items VALUES ('inner', 1)`, Effect.fail("no" as const))
            yield* Effect.exit(sql.withTransaction(inner))
            yield* sql.withTransaction(sql`INSERT INTO items VALUES ('second', 1)`)
          })
        )
        assert.deepStrictEqual(yield* names(sql), ["outer", "second"])
      })
    )
  )

  it.effect("rolls back on interruption and frees the connection", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        yield* items(sql)
        const inserted = yield* Deferred.make<void>()
        const open = yield* sql`INSERT INTO items VALUES ('bolt', 1)`.pipe(
          Effect.andThen(Deferred.succeed(inserted, undefined)),
          Effect.andThen(Effect.never),
          sql.withTransaction,
          Effect.forkChild
        )
        yield* Deferred.await(inserted)
        yield* Fiber.interrupt(open)
        assert.deepStrictEqual(yield* names(sql), [])
      })
    )
  )

  it.effect("lets another fiber's statements wait, and a waiting one be interrupted", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        yield* items(sql)
        const inserted = yield* Deferred.make<void>()
        const finish = yield* Deferred.make<void>()
        const open = yield* sql`INSERT INTO items VALUES ('bolt', 1)`.pipe(
          Effect.andThen(Deferred.succeed(inserted, undefined)),
          Effect.andThen(Deferred.await(finish)),
          sql.withTransaction,
          Effect.forkChild
        )
        yield* Deferred.await(inserted)
        const waiting = yield* Effect.forkChild(sql`DELETE FROM items`, { startImmediately: true })
        yield* Fiber.interrupt(waiting)
        const reading = yield* Effect.forkChild(names(sql), { startImmediately: true })
        yield* Deferred.succeed(finish, undefined)
        yield* Fiber.join(open)
        assert.deepStrictEqual(yield* Fiber.join(reading), ["bolt"])
      })
    )
  )

  it.effect("stays usable after a commit that fails", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        yield* sql`CREATE TABLE parent (id INTEGER PRIMARY KEY)`
        yield* sql`CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)`
        const error = yield* Effect.flip(sql.withTransaction(sql`INSERT INTO child VALUES (1)`))
        assert.strictEqual(error.reason._tag, "ConstraintError")
        yield* sql.withTransaction(sql`INSERT INTO parent VALUES (1)`)
        assert.deepStrictEqual(yield* sql`SELECT count(*) AS children FROM child`, [{ children: 0 }])
      })
    )
  )
})

describe("two clients on one file", () => {
  it.effect("a writer waits until the other commits, without blocking it", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const layer = SqliteClient.layer({ filename })
      const done = yield* withClient(layer, (first) =>
        withClient(layer, (second) =>
          Effect.gen(function* () {
            yield* items(first)
            const writing = yield* Deferred.make<void>()
            const finish = yield* Deferred.make<void>()
            const holder = yield* first`INSERT INTO items VALUES ('first', 1)`.pipe(
              Effect.andThen(Deferred.succeed(writing, undefined)),
              Effect.andThen(Deferred.await(finish)),
              first.withTransaction,
              Effect.forkChild
            )
            yield* Deferred.await(writing)
            const waiter = yield* second
              .withTransaction(second`INSERT INTO items VALUES ('second', 1)`)
              .pipe(Effect.forkChild({ startImmediately: true }))
            assert.isUndefined(waiter.pollUnsafe())
            yield* Deferred.succeed(finish, undefined)
            yield* Fiber.join(holder)
            yield* Fiber.join(waiter)
            return yield* names(first)
          })
        )
      )
      assert.deepStrictEqual(done, ["first", "second"])
    })
  )

  it.effect("a reader sees the last commit while a writer is at work", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const layer = SqliteClient.layer({ filename })
      yield* withClient(layer, (writer) =>
        withClient(layer, (reader) =>
          Effect.gen(function* () {
            yield* items(writer)
            yield* writer.withTransaction(
              Effect.gen(function* () {
                yield* writer`INSERT INTO items VALUES ('bolt', 1)`
                assert.deepStrictEqual(yield* names(reader), [])
              })
            )
            assert.deepStrictEqual(yield* names(reader), ["bolt"])
          })
        )
      )
    })
  )

  it.effect("gives a LockTimeoutError that names the file when the lock is not freed in time", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const holder = SqliteClient.layer({ filename })
      const impatient = SqliteClient.layer({ filename, busyTimeout: "20 millis" })
      yield* withClient(holder, (first) =>
        withClient(impatient, (second) =>
          Effect.gen(function* () {
            yield* items(first)
            const error = yield* first.withTransaction(Effect.flip(second`INSERT INTO items VALUES ('second', 1)`))
            assert.strictEqual(error.reason._tag, "LockTimeoutError")
            assert.isTrue(error.isRetryable)
            assert.include(error.message, filename)
            yield* second`INSERT INTO items VALUES ('second', 1)`
          })
        )
      )
    })
  )

  it.effect("a stale snapshot fails at once", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const layer = SqliteClient.layer({ filename, busyTimeout: "1 hour" })
      yield* withClient(layer, (first) =>
        withClient(layer, (second) =>
          Effect.gen(function* () {
            yield* items(first)
            const stale = Effect.gen(function* () {
              yield* names(first)
              yield* second`INSERT INTO items VALUES ('second', 1)`
              return yield* Effect.flip(first`INSERT INTO items VALUES ('first', 1)`)
            })
            const error = yield* first
              .withTransaction(stale)
              .pipe(Effect.provideService(SqlClient.BeginTransaction, "BEGIN"))
            assert.strictEqual(error.reason._tag, "LockTimeoutError")
          })
        )
      )
    })
  )

  it.effect("an interrupted statement stops waiting for the lock", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const layer = SqliteClient.layer({ filename, busyTimeout: "1 hour" })
      yield* withClient(layer, (first) =>
        withClient(layer, (second) =>
          Effect.gen(function* () {
            yield* items(first)
            yield* first.withTransaction(
              Effect.gen(function* () {
                const waiting = yield* Effect.forkChild(second`INSERT INTO items VALUES ('second', 1)`, {
                  startImmediately: true
                })
                yield* Fiber.interrupt(waiting)
                assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(waiting)))
              })
            )
            assert.deepStrictEqual(yield* names(second), [])
          })
        )
      )
    })
  )
})

describe("files", () => {
  it.effect("keeps the data over a reopen, in WAL mode and fully synchronous by default", () =>
    Effect.gen(function* () {
      const layer = SqliteClient.layer({ filename: yield* file })
      yield* withClient(layer, (sql) => Effect.andThen(items(sql), sql`INSERT INTO items VALUES ('bolt', 1)`))
      yield* withClient(layer, (sql) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* names(sql), ["bolt"])
          assert.deepStrictEqual(yield* sql`PRAGMA journal_mode`, [{ journal_mode: "wal" }])
          assert.deepStrictEqual(yield* sql`PRAGMA synchronous`, [{ synchronous: 2 }])
          assert.deepStrictEqual(yield* sql`PRAGMA foreign_keys`, [{ foreign_keys: 1 }])
        })
      )
    })
  )

  it.effect("takes its settings from configuration", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const layer = SqliteClient.layerConfig({
        filename: Config.String("DB"),
        synchronous: Config.Literals(["full", "normal"], "DB_SYNCHRONOUS")
      })
      const provider = ConfigProvider.fromUnknown({ DB: filename, DB_SYNCHRONOUS: "normal" })
      const program = Effect.gen(function* () {
        const sql = yield* SqliteClient.SqliteClient
        assert.strictEqual(sql.config.filename, filename)
        assert.deepStrictEqual(yield* sql`PRAGMA synchronous`, [{ synchronous: 1 }])
      })
      yield* Effect.provide(program, Layer.provide(layer, ConfigProvider.layer(provider)))
    })
  )

  const openError = (filename: string) => Effect.flip(withClient(SqliteClient.layer({ filename }), () => Effect.void))

  it.effect("says that the directory of the file does not exist", () =>
    Effect.gen(function* () {
      const filename = join(yield* directory, "no", "test.db")
      const error = yield* openError(filename)
      assert.strictEqual(error.reason._tag, "ConnectionError")
      assert.include(error.message, filename)
      assert.match(error.message, /directory ".*no" does not exist; create the directory/)
    })
  )

  it.effect("says that the filename is a directory, or empty", () =>
    Effect.gen(function* () {
      assert.match((yield* openError(yield* directory)).message, /is a directory; name a file in it/)
      assert.match((yield* openError("")).message, /filename is empty/)
    })
  )

  it.effect("says that the file is not a database and leaves it as it is", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const content = "sku,name\n1,bolt\n".repeat(500)
      writeFileSync(filename, content)
      const error = yield* openError(filename)
      assert.isFalse(error.isRetryable)
      assert.include(error.message, filename)
      assert.match(error.message, /not a database; the file was left as it is/)
      assert.strictEqual(readFileSync(filename, "utf8"), content)
    })
  )

  it.effect("says that the file is damaged", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const layer = SqliteClient.layer({ filename, journalMode: "delete" })
      yield* withClient(layer, (sql) =>
        Effect.andThen(
          items(sql),
          sql`INSERT INTO items SELECT value || hex(randomblob(200)), 1 FROM json_each(${JSON.stringify(
            Array.from({ length: 200 }, (_, index) => index)
          )})`
        )
      )
      const bytes = readFileSync(filename)
      bytes.fill(0xff, 4096)
      writeFileSync(filename, bytes)
      const error = yield* Effect.flip(withClient(layer, names))
      assert.isFalse(error.isRetryable)
      assert.include(error.message, filename)
      assert.match(error.message, /damaged: restore a backup/)
    })
  )
})

describe("errors", () => {
  it.effect("classifies what SQLite reports", () =>
    withClient(memory, (sql) =>
      Effect.gen(function* () {
        yield* items(sql)
        yield* sql`INSERT INTO items VALUES ('bolt', 1)`
        const reason = (statement: Effect.Effect<unknown, SqlError>) =>
          Effect.map(Effect.flip(statement), (error) => error.reason)
        const unique = yield* reason(sql`INSERT INTO items VALUES ('bolt', 1)`)
        assert.strictEqual(unique._tag, "UniqueViolation")
        assert.strictEqual(unique._tag === "UniqueViolation" && unique.constraint, "items.name")
        assert.strictEqual((yield* reason(sql`INSERT INTO items VALUES ('nut', NULL)`))._tag, "ConstraintError")
        assert.strictEqual((yield* reason(sql`SELEC 1`))._tag, "SqlSyntaxError")
        assert.strictEqual((yield* reason(sql`SELECT * FROM nowhere`))._tag, "SqlSyntaxError")
        assert.strictEqual((yield* reason(sql`SELECT json('{')`))._tag, "UnknownError")
        assert.match((yield* reason(sql`SELECT * FROM nowhere`)).message ?? "", /":memory:": no such table: nowhere/)
      })
    )
  )
})

describe("migrations", () => {
  it.effect("effect/sql's Migrator applies each once", () =>
    Effect.gen(function* () {
      const layer = SqliteClient.layer({ filename: yield* file })
      const migrate = Migrator.make({})({
        loader: Migrator.fromRecord({
          "0001_items": Effect.flatMap(SqlClient.SqlClient, items),
          "0002_bolt": Effect.flatMap(SqlClient.SqlClient, (sql) => sql`INSERT INTO items VALUES ('bolt', 1)`)
        })
      })
      const applied = yield* Effect.provide(migrate, layer, { local: true })
      assert.deepStrictEqual(applied, [
        [1, "items"],
        [2, "bolt"]
      ])
      assert.deepStrictEqual(yield* Effect.provide(migrate, layer, { local: true }), [])
      assert.deepStrictEqual(yield* withClient(layer, names), ["bolt"])
    })
  )
})

// What is damaged, set back or replaced under a program is noticed.
import { Channel, Graph, Journal, Thread } from "@selvage/core"
import type { JournalUnavailable } from "@selvage/core/Errors"
import { PostgresJournal } from "@selvage/postgres"
import { SqliteJournal } from "@selvage/sqlite"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { chmodSync, copyFileSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { postgresClient, postgresOptions, postgresSchema, reachable } from "./stores.ts"

const Sum = Graph.make("sum", {
  state: { cents: Channel.sum, n: Channel.last(Schema.Int, { initial: 0 }), max: Channel.last(Schema.Int) },
  nodes: { step: ({ n }) => Effect.succeed({ n: n + 1, cents: 100 }) },
  edges: { start: "step", step: ({ n, max }) => (n < max ? "step" : "end") }
})

const Log = Graph.make("log", {
  state: { log: Channel.append(Schema.String) },
  nodes: { say: () => Effect.succeed({}) },
  edges: { start: "say", say: "end" }
})

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "selvage-damage-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A store, a process on it (each use is another), and a way behind it. */
interface World {
  readonly process: Layer.Layer<Journal.Journal>
  readonly exec: (text: string) => Effect.Effect<void>
  readonly value: (text: string) => Effect.Effect<unknown>
}

const onSqlite = Effect.map(directory, (path): World => {
  const filename = join(path, "journal.db")
  const on = <A>(use: (database: DatabaseSync) => A) =>
    Effect.sync(() => {
      const database = new DatabaseSync(filename)
      try {
        return use(database)
      } finally {
        database.close()
      }
    })
  return {
    process: Layer.fresh(Layer.orDie(SqliteJournal.layer({ filename, snapshots: { entries: 16 } }))),
    exec: (text) => on((database) => database.exec(text)),
    value: (text) => on((database) => Object.values(database.prepare(text).get() ?? {})[0])
  }
})

const schema = "selvage_damage_test"
const onPostgres = Effect.gen(function* () {
  yield* postgresSchema(schema)
  const sql = yield* SqlClient
  const within = (text: string) => text.replaceAll(/selvage_(?=[a-z]+\b)/g, `${schema}.selvage_`)
  const world: World = {
    process: Layer.fresh(
      Layer.orDie(PostgresJournal.layer({ ...postgresOptions(schema), snapshots: { entries: 16 } }))
    ),
    exec: (text) =>
      Effect.orDie(
        Effect.forEach(
          text.split(";").filter((part) => part.trim() !== ""),
          (part) => sql.unsafe(within(part)),
          { discard: true }
        )
      ),
    value: (text) => Effect.orDie(Effect.map(sql.unsafe(within(text)).values, ([row]) => row?.[0]))
  }
  return world
})

const kindsOf = Effect.flatMap(Journal.Journal, (journal) =>
  Effect.map(journal.check("t"), (findings) => findings.map(({ kind }) => kind))
)

const worlds = [
  ["SQLite", Effect.provide(onSqlite, postgresClient), false],
  ["PostgreSQL", onPostgres, !reachable]
] as const

for (const [name, world, skip] of worlds) {
  describe.skipIf(skip)(`a journal on ${name}`, { timeout: 60_000 }, () => {
    it.live("does not use a snapshot that was changed, and says so", () =>
      Effect.gen(function* () {
        const { exec, process, value } = yield* world
        const before = yield* Effect.provide(Thread.run(Sum, { thread: "t", input: { max: 40 } }), process)
        assert.strictEqual(before._tag === "Done" && before.state.cents, 4000)
        const cents = /"cents":(\d+)/.exec(String(yield* value("SELECT value FROM selvage_snapshots")))![1]!
        const flipped = String.fromCharCode(cents.charCodeAt(0) ^ 4) + cents.slice(1)
        yield* exec(`UPDATE selvage_snapshots SET value = REPLACE(value, '"cents":${cents}', '"cents":${flipped}')`)
        yield* Effect.gen(function* () {
          assert.strictEqual((yield* Thread.state(Sum, { thread: "t" })).cents, 4000)
          assert.deepStrictEqual(yield* kindsOf, ["snapshot"])
          assert.isTrue(Option.isNone(yield* Effect.flatMap(Journal.Journal, (journal) => journal.snapshot("t"))))
        }).pipe(Effect.provide(process))
      }).pipe(Effect.scoped, Effect.provide(postgresClient))
    )

    it.live("fails a read that reaches an entry that was changed, and reads what lies before and other threads", () =>
      Effect.gen(function* () {
        const { exec, process } = yield* world
        for (const thread of ["t", "other"]) {
          yield* Effect.provide(Thread.run(Sum, { thread, input: { max: 8 } }), process)
        }
        yield* exec(
          `UPDATE selvage_entries SET entry = REPLACE(entry, '"cents":100', '"cents":900') WHERE seq = 5 AND thread = 't'`
        )
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const error = yield* Effect.flip(Thread.state(Sum, { thread: "t" }))
          assert.deepInclude(error, { _tag: "JournalCorrupt", seq: 5 })
          assert.lengthOf(yield* journal.read("t", { until: 4 }), 4)
          assert.strictEqual((yield* Effect.flip(journal.read("t", { after: 4 })))._tag, "JournalCorrupt")
          assert.strictEqual((yield* Thread.state(Sum, { thread: "other" })).cents, 800)
          assert.deepStrictEqual(yield* kindsOf, ["chain"])
        }).pipe(Effect.provide(process))
      }).pipe(Effect.scoped, Effect.provide(postgresClient))
    )

    it.live("that is set back under a process is folded as it stands, by that process too", () =>
      Effect.gen(function* () {
        const { exec, process, value } = yield* world
        yield* Effect.gen(function* () {
          yield* Thread.run(Log, { thread: "t", input: { log: ["one"] } })
          const head = Number(yield* value("SELECT head FROM selvage_threads"))
          const hash = String(yield* value("SELECT hash FROM selvage_threads"))
          const lost = ["lost", "lost too"]
          for (const word of lost) yield* Thread.run(Log, { thread: "t", input: { log: [word] } })
          yield* exec(
            `DELETE FROM selvage_entries WHERE seq > ${head}; UPDATE selvage_threads SET head = ${head}, hash = '${hash}'`
          )
          // As many entries as there were, fewer, and more.
          for (const words of [["two"], ["three", "four"], ["five"]]) {
            for (const word of words) {
              yield* Effect.provide(Thread.run(Log, { thread: "t", input: { log: [word] } }), process)
            }
            const own = yield* Thread.run(Log, { thread: "t", input: { log: [`after ${words[0]}`] } }).pipe(
              Effect.retry({ times: 1 })
            )
            const stands = yield* Effect.provide(Thread.state(Log, { thread: "t" }), process)
            assert.deepStrictEqual(own._tag === "Done" && own.state.log, stands.log)
            assert.isFalse(stands.log.some((word) => lost.includes(word)))
          }
          assert.deepStrictEqual(yield* kindsOf, [])
        }).pipe(Effect.provide(process))
      }).pipe(Effect.scoped, Effect.provide(postgresClient))
    )

    it.live(
      "that is set back under a run takes none of its appends, also where the last entries came from outside",
      () =>
        Effect.gen(function* () {
          const { exec, process, value } = yield* world
          const patched = (text: string) => ({ _tag: "Patched", updates: { log: [text] } }) as const
          const posted = { _tag: "AskAnswered", ask: "a", value: 1 } as const
          yield* Effect.gen(function* () {
            const journal = yield* Journal.Journal
            yield* journal.append("t", 0, [patched("one")])
            const before = String(yield* value("SELECT hash FROM selvage_threads"))
            const { hash } = yield* journal.append("t", 1, [patched("lost"), patched("lost")])
            yield* exec(
              `DELETE FROM selvage_entries WHERE seq > 1; UPDATE selvage_threads SET head = 1, hash = '${before}'`
            )
            const other = yield* Effect.gen(function* () {
              const journal = yield* Journal.Journal
              const { hash } = yield* journal.append("t", 1, [patched("other"), patched("other")])
              yield* journal.post("t", [posted])
              return hash
            }).pipe(Effect.provide(process))
            const append = (hash: string | undefined) =>
              journal.append("t", 3, [patched("own")], { hash, past: "posted" })
            assert.strictEqual((yield* Effect.flip(append(hash)))._tag, "JournalConflict")
            assert.strictEqual((yield* append(other)).written[0]!.seq, 5)
            assert.deepStrictEqual(yield* kindsOf, [])
          }).pipe(Effect.provide(process))
        }).pipe(Effect.scoped, Effect.provide(postgresClient))
    )

    it.live("of a newer version is refused, with what to do, and left as it is", () =>
      Effect.gen(function* () {
        const { exec, process, value } = yield* world
        yield* Effect.provide(Thread.run(Log, { thread: "t", input: { log: ["one"] } }), process)
        yield* exec("INSERT INTO selvage_migrations (migration_id, name) VALUES (99, 'of the future')")
        const exit = yield* Effect.exit(Effect.provide(Journal.Journal, process))
        assert.match(String(exit), /version 99.*upgrade/)
        assert.strictEqual(Number(yield* value("SELECT COUNT(*) FROM selvage_threads")), 1)
      }).pipe(Effect.scoped, Effect.provide(postgresClient))
    )
  })
}

describe("a journal's file", () => {
  const entry = { _tag: "Patched", updates: {} } as const

  for (const how of ["removed", "replaced"] as const) {
    it.live(`that was ${how} takes no more appends, and says why`, () =>
      Effect.gen(function* () {
        const path = yield* directory
        const filename = join(path, "journal.db")
        const other = join(path, "other.db")
        yield* Effect.provide(
          Effect.flatMap(Journal.Journal, (journal) => journal.append("o", 0, [entry])),
          SqliteJournal.layer({ filename: other })
        )
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* journal.append("t", 0, [entry])
          for (const suffix of ["", "-wal", "-shm"]) rmSync(filename + suffix, { force: true })
          if (how === "replaced") renameSync(other, filename)
          for (const operation of [
            journal.append("t", 1, [entry]),
            journal.append("u", 0, [entry]),
            journal.read("t")
          ]) {
            const error = yield* Effect.flip(operation as Effect.Effect<unknown, JournalUnavailable>)
            assert.strictEqual(error._tag, "JournalUnavailable")
            assert.include(error.message, how)
            assert.include(error.message, filename)
          }
        }).pipe(Effect.provide(SqliteJournal.layer({ filename })))
      }).pipe(Effect.scoped)
    )
  }

  it.live("is read beside its writer, from a directory that cannot be written, and never changed", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const filename = join(path, "journal.db")
      const append = (head: number) => Effect.flatMap(Journal.Journal, (journal) => journal.append("t", head, [entry]))
      yield* Effect.provide(append(0), SqliteJournal.layer({ filename }))
      const reading = Layer.fresh(SqliteJournal.layer({ filename, readonly: true }))
      const length = Effect.map(
        Effect.flatMap(Journal.Journal, (journal) => journal.read("t")),
        (entries) => entries.length
      )
      // Under a writer's lock.
      const writer = new DatabaseSync(filename)
      writer.exec("BEGIN IMMEDIATE")
      assert.strictEqual(yield* Effect.provide(length, reading), 1)
      writer.exec("ROLLBACK")
      writer.close()
      const error = yield* Effect.flip(Effect.provide(append(1), reading))
      assert.strictEqual(error._tag, "JournalUnavailable")
      // A copy alone in a directory without write permission, as on a read-only mount.
      const sealed = yield* directory
      const copy = join(sealed, "copy.db")
      copyFileSync(filename, copy)
      chmodSync(copy, 0o444)
      chmodSync(sealed, 0o555)
      const { mtimeMs, size } = statSync(copy)
      assert.strictEqual(
        yield* Effect.provide(length, Layer.fresh(SqliteJournal.layer({ filename: copy, readonly: true }))),
        1
      )
      assert.deepInclude(statSync(copy), { mtimeMs, size })
      chmodSync(sealed, 0o755)
    }).pipe(Effect.scoped)
  )

  it.live("of a release before snapshots had hashes is read as it stands", () =>
    Effect.gen(function* () {
      const filename = join(yield* directory, "journal.db")
      yield* Effect.provide(
        Thread.run(Sum, { thread: "t", input: { max: 40 } }),
        Layer.fresh(SqliteJournal.layer({ filename, snapshots: { entries: 16 } }))
      )
      const old = new DatabaseSync(filename)
      old.exec(`ALTER TABLE selvage_snapshots DROP COLUMN hash; DROP TABLE selvage_leases;
        DELETE FROM selvage_migrations WHERE migration_id > 2`)
      yield* Effect.gen(function* () {
        assert.strictEqual((yield* Thread.state(Sum, { thread: "t" })).cents, 4000)
        assert.strictEqual((yield* Thread.summary({ thread: "t" })).steps, 40)
        assert.deepStrictEqual(yield* kindsOf, [])
      }).pipe(Effect.provide(SqliteJournal.layer({ filename, readonly: true })))
      assert.deepInclude(old.prepare("SELECT MAX(migration_id) AS version FROM selvage_migrations").get(), {
        version: 2
      })
      old.close()
    }).pipe(Effect.scoped)
  )

  it.live("that is not there, or is of an older version, is not made by a reader", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const filename = join(path, "journal.db")
      const reading = Layer.fresh(SqliteJournal.layer({ filename, readonly: true }))
      const reason = Effect.map(Effect.flip(Effect.provide(Journal.Journal, reading)), ({ message }) => message)
      assert.match(yield* reason, /failed to open/)
      const old = new DatabaseSync(filename)
      old.exec("CREATE TABLE selvage_migrations (migration_id integer primary key, name text)")
      assert.match(yield* reason, /no tables of a journal/)
      old.exec("INSERT INTO selvage_migrations VALUES (1, 'journal')")
      old.close()
      assert.match(yield* reason, /version 1.*open it once for writing/)
    }).pipe(Effect.scoped)
  )
})

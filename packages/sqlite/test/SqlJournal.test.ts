// What the journals on SQL promise beyond the laws of every journal: damage is found, commits are shared, large values
// are stored once, other processes are seen.
import { Journal } from "@selvage/core"
import type { Entry } from "@selvage/core/Entry"
import * as SqlJournal from "@selvage/core/SqlJournal"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { databases } from "./databases.ts"

const patched = (n: number): Entry => ({ _tag: "Patched", updates: { n } })
const many = (count: number): [Entry, ...Array<Entry>] => [
  patched(1),
  ...Array.from({ length: count - 1 }, (_, index) => patched(index + 2))
]
const recorded = (value: string): Entry => ({ _tag: "Recorded", path: "", step: 1, task: "t", key: "k", value })

const damages: ReadonlyArray<{
  readonly name: string
  readonly statements: ReadonlyArray<string>
  readonly findings: ReadonlyArray<string>
  /** The entry that a read stops at; `undefined`: it reads all. */
  readonly unreadable: number | undefined
}> = [
  {
    name: "a missing entry",
    statements: ["DELETE FROM selvage_entries WHERE thread = 't' AND seq = 4"],
    findings: ["4 gap"],
    unreadable: 4
  },
  {
    name: "several missing entries",
    statements: ["DELETE FROM selvage_entries WHERE thread = 't' AND seq IN (1, 5, 6)"],
    findings: ["1 gap", "5 gap"],
    unreadable: 1
  },
  {
    name: "a changed entry",
    statements: ["UPDATE selvage_entries SET entry = replace(entry, '4', '5') WHERE thread = 't' AND seq = 4"],
    findings: ["4 chain"],
    unreadable: 4
  },
  {
    name: "a changed time",
    statements: ["UPDATE selvage_entries SET at = at + 1 WHERE thread = 't' AND seq = 9"],
    findings: ["9 chain"],
    unreadable: 9
  },
  {
    name: "a changed entry with a hash to match",
    statements: [
      "UPDATE selvage_entries SET hash = 'AAAAAAAAAAAAAAAAAAAAAA', entry = entry || ' ' WHERE thread = 't' AND seq = 4"
    ],
    findings: ["4 chain", "5 chain"],
    unreadable: 4
  },
  {
    name: "two swapped entries",
    statements: [
      "UPDATE selvage_entries SET seq = 99 WHERE thread = 't' AND seq = 3",
      "UPDATE selvage_entries SET seq = 3 WHERE thread = 't' AND seq = 7",
      "UPDATE selvage_entries SET seq = 7 WHERE thread = 't' AND seq = 99"
    ],
    findings: ["3 chain", "4 chain", "7 chain", "8 chain"],
    unreadable: 3
  },
  {
    name: "a truncated tail",
    statements: ["DELETE FROM selvage_entries WHERE thread = 't' AND seq > 8"],
    findings: ["9 gap"],
    unreadable: 9
  },
  {
    name: "a truncated tail with the head to match",
    statements: [
      "DELETE FROM selvage_entries WHERE thread = 't' AND seq > 8",
      "UPDATE selvage_threads SET head = 8 WHERE thread = 't'"
    ],
    findings: ["8 head"],
    unreadable: 8
  },
  {
    name: "a head that fell behind",
    statements: ["UPDATE selvage_threads SET head = 8 WHERE thread = 't'"],
    findings: ["8 head"],
    unreadable: undefined
  },
  {
    name: "text that is no JSON",
    statements: ["UPDATE selvage_entries SET entry = '{\"_tag\":' WHERE thread = 't' AND seq = 2"],
    findings: ["2 chain", "2 undecodable"],
    unreadable: 2
  },
  {
    name: "an entry of an unknown kind",
    statements: [`UPDATE selvage_entries SET entry = '{"_tag":"Unheard"}' WHERE thread = 't' AND seq = 10`],
    findings: ["10 chain", "10 undecodable"],
    unreadable: 10
  }
]

const file = (name: string) => `${name}: ${"0123456789abcdef".repeat(65_536)}`

for (const { behind, name, skip } of databases("selvage_sql_journal_test")) {
  describe.skipIf(skip)(`The journal on ${name}`, () => {
    for (const { findings, name, statements, unreadable } of damages) {
      it.effect(`${name} is found where it is, and other threads are readable`, () =>
        Effect.gen(function* () {
          const { journal, run } = yield* behind
          yield* Effect.gen(function* () {
            const journal = yield* Journal.Journal
            yield* journal.append("t", 0, many(10))
            yield* journal.append("u", 0, many(3))
            yield* run(...statements)
            const found = yield* journal.check("t")
            assert.deepStrictEqual(
              found.map(({ kind, seq }) => `${seq} ${kind}`),
              findings
            )
            const all = yield* Stream.runCollect(Journal.checkAll)
            assert.deepStrictEqual(
              all.map(({ thread }) => thread),
              ["t"]
            )
            const read = yield* Effect.exit(journal.read("t"))
            if (unreadable === undefined) assert.isTrue(Exit.isSuccess(read))
            else {
              const error = yield* Effect.flip(journal.read("t"))
              assert.ok(error._tag === "JournalCorrupt")
              assert.strictEqual(error.seq, unreadable)
              if (unreadable > 1) {
                const before = yield* journal.read("t", { until: unreadable - 1 })
                assert.lengthOf(before, unreadable - 1)
                yield* journal.fork("t", unreadable - 1, "rescued")
                assert.deepStrictEqual(yield* journal.check("rescued"), [])
              }
            }
            assert.lengthOf(yield* journal.read("u"), 3)
            assert.lengthOf(
              yield* Stream.runCollect(journal.threads()),
              unreadable === undefined ? 2 : unreadable > 1 ? 3 : 2
            )
          }).pipe(Effect.provide(journal))
        })
      )
    }

    it.effect("a large value is stored once, whoever refers to it, and goes with the last of them", () =>
      Effect.gen(function* () {
        const { journal, run } = yield* behind
        const stored = () =>
          Effect.map(run("SELECT COUNT(*), COALESCE(SUM(LENGTH(value)), 0) FROM selvage_values"), ([row]) =>
            (row ?? []).map(Number)
          )
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const size = file("a").length + 2
          yield* journal.append("one", 0, [recorded(file("a")), recorded("small"), recorded(file("a"))])
          yield* journal.append("two", 0, [patched(1), recorded(file("a"))])
          yield* journal.fork("one", 3, "fork")
          yield* journal.fork("two", 1, "fork before")
          assert.deepStrictEqual(yield* stored(), [1, size])
          yield* journal.append("two", 2, [recorded(file("b"))])
          assert.deepStrictEqual(yield* stored(), [2, 2 * size])
          const [[entries] = []] = yield* run("SELECT SUM(LENGTH(entry)) FROM selvage_entries")
          assert.isBelow(Number(entries), 2000)
          yield* journal.remove("two")
          assert.deepStrictEqual(yield* stored(), [1, size])
          yield* journal.remove("one")
          yield* journal.remove("fork before")
          assert.deepStrictEqual((yield* journal.read("fork", { after: 2, until: 3 }))[0]?.entry, recorded(file("a")))
          yield* journal.remove("fork")
          assert.deepStrictEqual(yield* stored(), [0, 0])
          assert.deepStrictEqual((yield* run("SELECT COUNT(*) FROM selvage_value_uses")).flat().map(Number), [0])
        }).pipe(Effect.provide(journal))
      })
    )

    it.effect("a large value that is missing or changed is found", () =>
      Effect.gen(function* () {
        const { journal, run } = yield* behind
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* journal.append("t", 0, [patched(1), recorded(file("a"))])
          yield* run("UPDATE selvage_values SET value = replace(value, '0123', '3210')")
          const [changed] = yield* journal.check("t")
          assert.deepStrictEqual([changed?.seq, changed?.kind], [2, "undecodable"])
          yield* run("DELETE FROM selvage_values")
          const [missing] = yield* journal.check("t")
          assert.match(missing?.issue ?? "", /its value .* is missing/)
          assert.strictEqual((yield* Effect.flip(journal.read("t")))._tag, "JournalCorrupt")
        }).pipe(Effect.provide(journal))
      })
    )

    it.effect("an append that the database refuses does not fail those that share its transaction", () =>
      Effect.gen(function* () {
        const { journal, run } = yield* behind
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* run(
            ...(name === "SQLite"
              ? [
                  `CREATE TRIGGER refuse BEFORE INSERT ON selvage_entries WHEN NEW.thread = 't-7'
                    BEGIN SELECT RAISE(ABORT, 'no sevens'); END`
                ]
              : ["ALTER TABLE selvage_entries ADD CONSTRAINT no_sevens CHECK (thread <> 't-7')"])
          )
          const threads = Array.from({ length: 20 }, (_, index) => `t-${index}`)
          const exits = yield* Effect.forEach(threads, (thread) => Effect.exit(journal.append(thread, 0, many(2))), {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual(
            threads.filter((_, index) => exits[index]?._tag === "Failure"),
            ["t-7"]
          )
          const refused = exits[7]
          assert.match(
            refused !== undefined && Exit.isFailure(refused) ? String(refused.cause) : "",
            /JournalUnavailable/
          )
          for (const thread of threads.filter((thread) => thread !== "t-7")) {
            assert.lengthOf(yield* journal.read(thread), 2)
          }
          assert.strictEqual((yield* Effect.flip(journal.info("t-7")))._tag, "ThreadNotFound")
        }).pipe(Effect.provide(journal))
      })
    )

    it.effect("a writer whose memory of a thread is out of date writes where it stands now", () =>
      Effect.gen(function* () {
        const { journal } = yield* behind
        const other = yield* Effect.map(Layer.build(Layer.fresh(journal)), (context) => context)
        yield* Effect.gen(function* () {
          const here = yield* Journal.Journal
          const there = yield* Effect.provide(Journal.Journal, other)
          yield* here.append("t", 0, many(2))
          yield* there.append("t", 2, many(3))
          const conflict = yield* Effect.flip(here.append("t", 2, many(1)))
          assert.ok(conflict._tag === "JournalConflict")
          assert.strictEqual(conflict.actual, 5)
          yield* here.append("t", 5, many(1))
          yield* there.remove("t")
          yield* there.append("t", 0, many(6))
          // The same name at the same entry, and not the same thread.
          assert.strictEqual((yield* Effect.flip(here.append("t", 6, many(1))))._tag, "JournalConflict")
          assert.deepStrictEqual(yield* here.check("t"), [])
        }).pipe(Effect.provide(journal))
      })
    )

    it.effect("more appends than may wait at once wait before the queue, and none is lost", () =>
      Effect.gen(function* () {
        const { journal } = yield* behind
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const threads = Array.from({ length: 9000 }, (_, index) => `t-${index}`)
          const fibers = yield* Effect.forEach(threads, (thread) =>
            Effect.forkChild(journal.append(thread, 0, many(1)), { startImmediately: true })
          )
          // Some of those that wait in the queue, and some before it, give up.
          yield* Fiber.interruptAll(fibers.filter((_, index) => [10, 8191, 8192, 8999].includes(index)))
          const exits = yield* Effect.forEach(fibers, Fiber.await)
          const told = threads.filter((_, index) => exits[index]?._tag === "Success")
          const failed = exits.filter((exit) => Exit.isFailure(exit) && !Exit.hasInterrupts(exit))
          assert.deepStrictEqual(failed, [])
          assert.isAtLeast(told.length, 8996)
          const listed = new Set((yield* Stream.runCollect(journal.threads())).map(({ thread }) => thread))
          assert.deepStrictEqual(
            told.filter((thread) => !listed.has(thread)),
            []
          )
          assert.strictEqual((yield* journal.append("after", 0, many(1))).written.length, 1)
        }).pipe(Effect.provide(journal))
      })
    )

    it.effect("an append inside a transaction of the same client is refused, not waited for", () =>
      Effect.gen(function* () {
        const { client } = yield* behind
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient
          const journal = yield* SqlJournal.make()
          const error = yield* Effect.flip(sql.withTransaction(journal.append("t", 0, many(1))))
          assert.match(error.message, /inside a transaction of the same SqlClient/)
          yield* journal.append("t", 0, many(1))
        }).pipe(Effect.provide(client))
      })
    )

    it.effect("appends that wait when the journal closes fail, and those that were told of stand", () =>
      Effect.gen(function* () {
        const { journal } = yield* behind
        const told: Array<string> = []
        const fibers = yield* Effect.scoped(
          Effect.gen(function* () {
            const context = yield* Layer.build(journal)
            const service = yield* Effect.provide(Journal.Journal, context)
            const append = (thread: string) =>
              Effect.map(service.append(thread, 0, many(1)), () => void told.push(thread))
            const fibers = yield* Effect.forEach(
              Array.from({ length: 3000 }, (_, index) => `t-${index}`),
              (thread) => Effect.forkDetach(append(thread))
            )
            yield* Effect.yieldNow
            return fibers
          })
        )
        const exits = yield* Effect.forEach(fibers, Fiber.await)
        assert.strictEqual(exits.filter(Exit.isSuccess).length, told.length)
        const reading = Effect.gen(function* () {
          const service = yield* Journal.Journal
          const listed = yield* Stream.runCollect(service.threads())
          const there = new Set(listed.map(({ thread }) => thread))
          assert.deepStrictEqual(
            told.filter((thread) => !there.has(thread)),
            []
          )
        })
        yield* Effect.provide(reading, Layer.fresh(journal))
      })
    )

    it.live("a tail sees what another process appends", () =>
      Effect.gen(function* () {
        const { address, journal } = yield* behind
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* journal.append("t", 0, many(2))
          const seen = yield* Deferred.make<void>()
          const tail = yield* journal.tail("t", 0).pipe(
            Stream.tap(({ seq }) => (seq === 2 ? Deferred.succeed(seen, undefined) : Effect.void)),
            Stream.take(42),
            Stream.runCollect,
            Effect.forkChild
          )
          yield* Deferred.await(seen)
          const args = name === "SQLite" ? [address, ""] : ["", address]
          const code = yield* appendElsewhere([...args, "t", "2", "40"])
          assert.strictEqual(code, 0)
          const entries = yield* Fiber.join(tail)
          assert.deepStrictEqual(
            entries.map(({ seq }) => seq),
            Array.from({ length: 42 }, (_, index) => index + 1)
          )
        }).pipe(Effect.provide(journal))
      })
    )

    it.effect("tables of the first version are brought up to date with their threads", () =>
      Effect.gen(function* () {
        const { journal, run } = yield* behind
        yield* run(
          "CREATE TABLE selvage_migrations (migration_id INTEGER PRIMARY KEY, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, name VARCHAR(255) NOT NULL)",
          "INSERT INTO selvage_migrations (migration_id, name) VALUES (1, 'journal')",
          "CREATE TABLE selvage_threads (thread TEXT PRIMARY KEY, graph TEXT NOT NULL, status TEXT NOT NULL, head INTEGER NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)",
          "CREATE TABLE selvage_entries (thread TEXT NOT NULL, seq INTEGER NOT NULL, at BIGINT NOT NULL, entry TEXT NOT NULL, PRIMARY KEY (thread, seq))",
          "INSERT INTO selvage_threads VALUES ('old', 'g', 'waiting', 2, 1700000000000, 1700000007200)",
          "INSERT INTO selvage_threads VALUES ('older', 'g', 'done', 1, 5, 5)",
          `INSERT INTO selvage_entries VALUES ('old', 1, 1700000000000, '{"_tag":"Patched","updates":{"n":1}}')`,
          `INSERT INTO selvage_entries VALUES ('old', 2, 1700000007200, '{"_tag":"RunFinished","outcome":"waiting"}')`,
          `INSERT INTO selvage_entries VALUES ('older', 1, 5, '{"_tag":"RunFinished","outcome":"done"}')`
        )
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          assert.deepStrictEqual(yield* Stream.runCollect(Journal.checkAll), [])
          const infos = yield* Stream.runCollect(journal.threads())
          assert.deepStrictEqual(
            infos.map(({ head, status, thread, updatedAt }) => ({ head, status, thread, updatedAt })),
            [
              { head: 2, status: "waiting", thread: "old", updatedAt: 1_700_000_007_200 },
              { head: 1, status: "done", thread: "older", updatedAt: 5 }
            ]
          )
          assert.notStrictEqual(infos[0]?.id, infos[1]?.id)
          assert.notStrictEqual(infos[0]?.id, "")
          yield* journal.append("old", 2, many(2))
          assert.lengthOf(yield* journal.read("old"), 4)
          assert.deepStrictEqual(yield* journal.check("old"), [])
          yield* run("DELETE FROM selvage_entries WHERE thread = 'old' AND seq = 1")
          assert.strictEqual((yield* journal.check("old"))[0]?.kind, "gap")
        }).pipe(Effect.provide(journal))
      })
    )

    it.effect("tables of the second version are brought up to date, and their snapshots made anew", () =>
      Effect.gen(function* () {
        const { journal, run } = yield* behind
        const reopened = Layer.fresh(journal)
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* journal.append("t", 0, many(3))
          yield* journal.keepSnapshot("t", 2, { n: 3 })
        }).pipe(Effect.provide(journal))
        yield* run(
          "ALTER TABLE selvage_snapshots DROP COLUMN hash",
          "DROP TABLE selvage_leases",
          "DELETE FROM selvage_migrations WHERE migration_id > 2"
        )
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          assert.isTrue(Option.isNone(yield* journal.snapshot("t")))
          assert.lengthOf(yield* journal.read("t"), 3)
          yield* journal.keepSnapshot("t", 2, { n: 4 })
          assert.deepStrictEqual(Option.getOrUndefined(yield* journal.snapshot("t")), { seq: 2, value: { n: 4 } })
          assert.deepStrictEqual(yield* journal.check("t"), [])
        }).pipe(Effect.provide(reopened))
      })
    )

    it.effect("a snapshot that cannot be read counts as none", () =>
      Effect.gen(function* () {
        const { journal, run } = yield* behind
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* journal.append("t", 0, many(3))
          yield* journal.keepSnapshot("t", 2, { n: 3 })
          yield* run("UPDATE selvage_snapshots SET value = '{'")
          assert.strictEqual((yield* journal.snapshot("t"))._tag, "None")
          yield* journal.keepSnapshot("t", 3, { n: 6 })
          assert.strictEqual((yield* journal.snapshot("t"))._tag, "Some")
        }).pipe(Effect.provide(journal))
      })
    )
  })
}

const appendElsewhere = (args: ReadonlyArray<string>) =>
  Effect.callback<number | null>((resume) => {
    const child = spawn(process.execPath, [fileURLToPath(new URL("appender.ts", import.meta.url)), ...args], {
      stdio: ["ignore", "inherit", "inherit"]
    })
    child.on("close", (code) => resume(Effect.succeed(code)))
    return Effect.sync(() => child.kill())
  })

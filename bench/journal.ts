/**
 * The journal alone, beside the bare statements it runs: `node bench/journal.ts`. Best of several rounds, since the
 * machine is shared. Needs no packages of the peers.
 */
import * as Effect from "effect/Effect"
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
// By their files: this directory is no part of the workspace, and its links to it come with the peers.
// oxlint-disable no-restricted-imports
import type { Entry } from "../packages/core/src/Entry.ts"
import { Journal } from "../packages/core/src/Journal.ts"
import * as SqliteJournal from "../packages/sqlite/src/SqliteJournal.ts"

const directory = mkdtempSync(join(tmpdir(), "selvage-journal-"))
let files = 0
const file = () => join(directory, `${++files}.db`)

const entry = (step: number): Entry => ({
  _tag: "StepCommitted",
  path: "",
  step,
  tasks: ["count"],
  results: [{ task: "count", node: "count", update: { n: 1 } }]
})

const timed = <E, R>(effect: Effect.Effect<unknown, E, R>) =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, () => performance.now() - start)
  })

const report = (name: string, value: number, unit: string) =>
  console.log(`${name.padEnd(58)} ${value.toFixed(value < 100 ? 1 : 0).padStart(8)} ${unit}`)

const appends = Effect.fnUntraced(function* (thread: string, count: number) {
  const journal = yield* Journal
  for (let head = 0; head < count; head++) yield* journal.append(thread, head, [entry(head)])
})

const bare = (filename: string, synchronous: string, rounds: number) => {
  const database = new DatabaseSync(filename)
  database.exec("PRAGMA journal_mode = wal")
  database.exec(`PRAGMA synchronous = ${synchronous}`)
  database.exec("CREATE TABLE t (thread TEXT PRIMARY KEY, head INTEGER)")
  database.exec("CREATE TABLE e (thread TEXT, seq INTEGER, entry TEXT, PRIMARY KEY (thread, seq)) WITHOUT ROWID")
  const [begin, move, insert, commit] = [
    "BEGIN IMMEDIATE",
    "UPDATE t SET head = ? WHERE thread = ? AND head = ?",
    "INSERT INTO e VALUES (?, ?, ?)",
    "COMMIT"
  ].map((text) => database.prepare(text))
  let best = Infinity
  for (let round = 0; round < rounds; round++) {
    const thread = `t-${round}`
    database.prepare("INSERT INTO t VALUES (?, 0)").run(thread)
    const start = performance.now()
    for (let head = 0; head < 1000; head++) {
      begin?.run()
      move?.run(head + 1, thread, head)
      insert?.run(thread, head + 1, JSON.stringify(entry(head)))
      commit?.run()
    }
    best = Math.min(best, performance.now() - start)
  }
  database.close()
  return best
}

const sizeOf = Effect.gen(function* () {
  const filename = file()
  yield* Effect.provide(appends("t-1", 1000), SqliteJournal.layer({ filename }))
  return statSync(filename).size / 1e6
})

const main = Effect.gen(function* () {
  for (const durability of ["normal", "full"] as const) {
    report(`bare node:sqlite, ${durability}: one append`, bare(file(), durability, 8), "µs")
    yield* Effect.gen(function* () {
      let best = Infinity
      for (let round = 0; round < 8; round++) best = Math.min(best, yield* timed(appends(`t-${round}`, 1000)))
      report(`SqliteJournal, ${durability}: one append`, best, "µs")
      let many = Infinity
      for (let round = 0; round < 5; round++) {
        const threads = Array.from({ length: 1000 }, (_, index) => `many-${round}-${index}`)
        const all = Effect.forEach(threads, (thread) => appends(thread, 10), { concurrency: "unbounded" })
        many = Math.min(many, yield* timed(all))
      }
      report(`SqliteJournal, ${durability}: 1,000 threads × 10 appends`, 10_000 / (many / 1000), "appends/s")
      const journal = yield* Journal
      yield* appends("long", 6000)
      let reading = Infinity
      for (let round = 0; round < 5; round++) reading = Math.min(reading, yield* timed(journal.read("long")))
      report(`SqliteJournal, ${durability}: read of 6,000 entries, each`, reading / 6, "µs")
    }).pipe(Effect.provide(SqliteJournal.layer({ filename: file(), durability })))
  }
  report("store of 1,000 entries", yield* sizeOf, "MB")
})

await Effect.runPromise(main).finally(() => rmSync(directory, { recursive: true }))

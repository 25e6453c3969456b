/**
 * Real processes, killed at random while they run threads on SQLite and on PostgreSQL: `pnpm torture --minutes 1`.
 *
 * Counts what was lost (a call that a finished thread should have made and did not), repeated (a call made twice, a task
 * committed twice) and torn (a journal that is not sound, a state that is not what it should be). `--network` kills nothing, and puts
 * PostgreSQL and Redis behind proxies that delay, freeze, cut and garble: see `torture/network.ts`.
 */
import { PgClient } from "@effect/sql-pg"
import { Journal, Thread } from "@selvage/core"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { callsPerThread, layerOf, Ledger, type Place, Work } from "./torture/work.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    workers: { type: "string", default: "1" },
    network: { type: "boolean", default: false }
  }
})
const minutes = Number(values.minutes)
const workers = Number(values.workers)
if (!(minutes > 0) || !(workers >= 1)) {
  console.error("--minutes is a number above 0, --workers a whole number from 1.")
  process.exit(2)
}

const url = process.env.SELVAGE_TEST_POSTGRES_URL ?? "postgres://postgres@127.0.0.1:5432/test"
const schema = `torture_${process.pid}`
const directory = mkdtempSync(join(tmpdir(), "selvage-torture-"))
const places: ReadonlyArray<Place> = [
  { _tag: "sqlite", directory },
  { _tag: "postgres", url, schema }
]
const admin = PgClient.layer({ url: Redacted.make(url) })
const inSchema = (statement: "CREATE SCHEMA" | "DROP SCHEMA") =>
  Effect.flatMap(SqlClient, (sql) =>
    statement === "CREATE SCHEMA" ? sql`CREATE SCHEMA ${sql(schema)}` : sql`DROP SCHEMA ${sql(schema)} CASCADE`
  ).pipe(Effect.provide(admin), Effect.runPromise)

const batch = 200
// So that some live long enough to take over what the one before left in the air.
const longestLife = 1000
const children = new Set<ChildProcess>()

/** Runs one worker again and again, until the time is over and what it began is done. */
const torment = async (place: Place, name: string, until: number) => {
  let kills = 0
  let first = 1
  const done = new Set<number>()
  while (true) {
    while (done.has(first)) first++
    const over = performance.now() >= until
    // What was begun is finished, nothing new is begun.
    const last = over ? Math.max(first - 1, ...done) + 4 : first + batch
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, "torture/worker.ts"), JSON.stringify(place), name, String(first), String(last)],
      { stdio: ["ignore", "pipe", "inherit"] }
    )
    children.add(child)
    let text = ""
    let timer: NodeJS.Timeout | undefined
    child.stdout.on("data", (data) => {
      // From its first sign of life on.
      if (!over) timer ??= setTimeout(() => child.kill("SIGKILL"), Math.random() * longestLife)
      text += String(data)
      const lines = text.split("\n")
      text = lines.pop() ?? ""
      for (const line of lines) done.add(Number(line))
    })
    const signal = await new Promise((resolve) => child.on("close", (_code, signal) => resolve(signal)))
    children.delete(child)
    clearTimeout(timer)
    if (signal === "SIGKILL") kills++
    else if (child.exitCode !== 0) throw new Error(`worker ${name} ended with ${child.exitCode}`)
    if (over) return { name, kills, threads: last }
  }
}

interface Count {
  readonly lost: number
  readonly repeated: number
  readonly torn: number
  readonly entries: number
}

const examine = (place: Place, names: ReadonlyArray<{ readonly name: string; readonly threads: number }>) =>
  Effect.gen(function* () {
    const journal = yield* Journal.Journal
    const times = yield* (yield* Ledger).times
    let [repeated, torn, entries, calls] = [0, 0, 0, 0]
    for (const count of times.values()) {
      calls += 1
      repeated += count - 1
    }
    const threads = names.flatMap(({ name, threads }) =>
      Array.from({ length: threads }, (_, index) => `${name}-${index + 1}`)
    )
    for (const thread of threads) {
      torn += (yield* journal.check(thread)).length
      const state = yield* Thread.state(Work, { thread })
      if (state.calls !== callsPerThread || state.round !== 3 || state.log.length !== 3 * 8) torn++
      const committed = new Set<string>()
      for (const { entry } of yield* Stream.runCollect(Thread.events({ thread }))) {
        entries++
        if (entry._tag !== "StepCommitted" && entry._tag !== "TaskCompleted") continue
        for (const { task } of entry._tag === "StepCommitted" ? entry.results : [entry.result]) {
          const key = `${entry.path}|${entry.step}|${task}`
          if (committed.has(key)) repeated++
          committed.add(key)
        }
      }
    }
    return { lost: threads.length * callsPerThread - calls, repeated, torn, entries } satisfies Count
  }).pipe(Effect.provide(layerOf(place)), Effect.runPromise)

if (values.network) {
  const redis = process.env.SELVAGE_TEST_REDIS_URL ?? "redis://127.0.0.1:6379"
  const { torture } = await import("./torture/network.ts")
  await inSchema("CREATE SCHEMA")
  try {
    process.exitCode = (await Effect.runPromise(torture({ minutes, postgres: url, redis, schema }))) ? 0 : 1
  } finally {
    await inSchema("DROP SCHEMA")
    rmSync(directory, { recursive: true })
  }
  process.exit()
}

let failed = false
await inSchema("CREATE SCHEMA")
try {
  const until = performance.now() + minutes * 60_000
  await Promise.all(
    places.map(async (place) => {
      const names = Array.from({ length: workers }, (_, index) => `${place._tag}${index}`)
      const ends = await Promise.all(names.map((name) => torment(place, name, until)))
      const { entries, lost, repeated, torn } = await examine(place, ends)
      const [kills, threads] = ends.reduce(([k, t], end) => [k + end.kills, t + end.threads], [0, 0])
      console.log(
        `${place._tag}: ${kills} kills, ${threads} threads, ${entries} entries; lost ${lost}, repeated ${repeated}, torn ${torn}`
      )
      failed ||= lost !== 0 || repeated !== 0 || torn !== 0
    })
  )
} finally {
  for (const child of children) child.kill("SIGKILL")
  await inSchema("DROP SCHEMA")
  rmSync(directory, { recursive: true })
}
process.exitCode = failed ? 1 : 0

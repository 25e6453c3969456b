/**
 * The crash proof: the job runs in a child process that is killed with SIGKILL at random moments and started again on
 * the same thread. At the end database and journal must show that every product was decided once, no order was placed
 * twice, and no finished task ran again.
 */
import { type Entry, Thread } from "@selvage/core"
import { SqliteClient, SqliteJournal } from "@selvage/sqlite"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ChildProcess from "effect/process/ChildProcess"
import { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Progress from "./Progress.ts"
import { Restock } from "./Restock.ts"
import { Warehouse } from "./Warehouse.ts"

/** What the crash proof counted and is not zero. */
export class CrashProofFailed extends Schema.TaggedError<CrashProofFailed>()("CrashProofFailed", {
  findings: Schema.Array(Schema.String)
}) {
  override get message() {
    return `The crash proof failed: ${this.findings.join("; ")}`
  }
}

class JobFailed extends Schema.TaggedError<JobFailed>()("JobFailed", { code: Schema.Int, output: Schema.String }) {
  override get message() {
    return `The job ended with code ${this.code} without being killed:\n${this.output}`
  }
}

const thread = "restock"

/** How much of the job may be done at the last kill, so that it hits the job and not its end. */
const lastKill = 0.85

/** Runs the job in children, kills them at moments spread over the whole job, and proves the outcome. */
export const crash = Effect.fnUntraced(function* (options: {
  readonly main: string
  readonly data: string
  readonly kills: number
}) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "selvage-crash-" })
  const start = yield* spawn(options, directory)

  let kills = 0
  for (let attempt = 1; kills < options.kills; attempt++) {
    const job = yield* start
    // Each kill has its own part of the job and hits it somewhere: by what is decided, then by time.
    yield* job.reached(((kills + (yield* Random.next)) / options.kills) * lastKill)
    yield* Effect.sleep(`${yield* Random.nextIntBetween(0, 60)} millis`)
    if (!(yield* job.kill)) {
      yield* job.finished
      yield* Console.log(`run ${attempt}: finished before the kill`)
      break
    }
    kills++
    yield* Console.log(`run ${attempt}: killed with SIGKILL; ${yield* standing(path.join(directory, "journal.db"))}`)
  }
  const last = yield* start
  yield* last.finished
  yield* Console.log(`last run: finished; ${yield* standing(path.join(directory, "journal.db"))}`)
  yield* prove(directory, kills)
}, Effect.scoped)

/** Starts the job, and tells when it works, whether a kill hit it, and how it ended. */
const spawn = Effect.fnUntraced(function* (
  { data, main }: { readonly main: string; readonly data: string },
  directory: string
) {
  const spawner = yield* ChildProcessSpawner
  const command = ChildProcess.make(process.execPath, [
    main,
    "--directory",
    directory,
    "--data",
    data,
    "--approve",
    "all"
  ])
  return Effect.gen(function* () {
    const child = yield* spawner.spawn(command)
    const output: Array<string> = []
    const lines = child.all.pipe(Stream.decodeText, Stream.splitLines)
    const reading = yield* Effect.forkScoped(
      Stream.runForEach(lines, (line) => Effect.sync(() => void output.push(line)))
    )
    // What the job tells of itself: it has begun, and how much of it is decided.
    const decided = () => {
      const [, done, all] = /\[(\d+)\/(\d+) decided/.exec(output.at(-1) ?? "") ?? []
      return done === undefined
        ? output.some((line) => line.startsWith("thread:"))
          ? 0
          : -1
        : Number(done) / Number(all)
    }
    return {
      /** Waits until this share of the job is decided, or the job has ended. */
      reached: (share: number) =>
        Effect.repeat(
          Effect.andThen(
            Effect.sleep("2 millis"),
            Effect.map(child.isRunning, (running) => !running || decided() >= share)
          ),
          { until: (yes) => yes, times: 300_000 }
        ),
      kill: Effect.gen(function* () {
        const running = yield* child.isRunning
        if (running) yield* Effect.ignore(child.kill({ killSignal: "SIGKILL" }))
        return running
      }),
      finished: Effect.gen(function* () {
        const code = yield* child.exitCode
        yield* Fiber.join(reading)
        if (code !== 0) return yield* new JobFailed({ code, output: output.join("\n") })
      })
    }
  })
})

const standing = (journal: string) =>
  Stream.runCollect(Thread.events({ thread })).pipe(
    Effect.map(
      (entries) =>
        `${Progress.summary(progressOf(entries))}; ${entries.length} entries, ${finishedTasks(entries.map(({ entry }) => entry)).length} tasks done`
    ),
    Effect.catchTag("ThreadNotFound", () => Effect.succeed("not begun")),
    Effect.provide(SqliteJournal.layer({ filename: journal }))
  )

const progressOf = (entries: ReadonlyArray<Entry.Sequenced>): Progress.Progress =>
  entries.reduce((progress, entry) => Progress.update(progress, { _tag: "Journaled", ...entry }), Progress.empty)

/** Every completion of a task, by its place. */
const finishedTasks = (entries: ReadonlyArray<Entry.Entry>): ReadonlyArray<string> =>
  entries.flatMap((entry) =>
    entry._tag === "TaskCompleted"
      ? [`${entry.path}${entry.result.task}@${entry.step}`]
      : entry._tag === "StepCommitted"
        ? entry.results.map((result) => `${entry.path}${result.task}@${entry.step}`)
        : []
  )

const repeated = (items: ReadonlyArray<string>): ReadonlyArray<string> => {
  const seen = new Set<string>()
  return items.filter((item) => seen.size === seen.add(item).size)
}

/** Proves from database and journal of a finished job that nothing is lost and nothing doubled. */
export const prove = Effect.fnUntraced(function* (directory: string, kills: number) {
  const path = yield* Path.Path
  const files = {
    journal: SqliteJournal.layer({ filename: path.join(directory, "journal.db") }),
    database: SqliteClient.layer({ filename: path.join(directory, "warehouse.db") })
  }
  const { decisions, entries, products, spentCents } = yield* Effect.gen(function* () {
    const state = yield* Thread.state(Restock, { thread })
    const journaled = yield* Stream.runCollect(Thread.events({ thread }))
    return { ...state, entries: journaled.map(({ entry }) => entry), spentCents: progressOf(journaled).spentCents }
  }).pipe(Effect.provide(files.journal))
  const orders = yield* Effect.flatMap(Warehouse, (warehouse) => warehouse.orders).pipe(
    Effect.provide(Layer.provide(Warehouse.layer, files.database))
  )
  const intents = entries.filter((entry) => entry._tag === "Intent").length
  const recorded = entries.flatMap((entry) =>
    entry._tag === "Recorded" ? [`${entry.path}${entry.task}${entry.key}`] : []
  )
  const decided = decisions.map(({ sku }) => sku)
  const counts = [
    ["products decided twice", repeated(decided).length],
    ["products not decided", products.filter(({ sku }) => !decided.includes(sku)).length],
    ["orders placed twice for a product", repeated(orders.map(({ sku }) => sku)).length],
    ["orders placed twice by one call", repeated(orders.map((order) => order.idempotencyKey ?? `#${order.id}`)).length],
    ["finished tasks run again", repeated(finishedTasks(entries)).length],
    ["results of calls journaled twice", repeated(recorded).length],
    [
      "decisions that disagree with the orders",
      decisions.filter(({ order, sku }) => order !== orders.some((placed) => placed.sku === sku)).length
    ],
    [
      "cents on which journal and database disagree",
      Math.abs(spentCents - orders.reduce((sum, { costCents }) => sum + costCents, 0))
    ]
  ] as const
  yield* Console.log(
    `\n${kills} kills, ${products.length} products, ${decided.length} decisions, ${orders.length} orders, ` +
      `${intents} intents, ${recorded.length} results, ${finishedTasks(entries).length} tasks, ${entries.length} entries`
  )
  yield* Console.log(counts.map(([what, count]) => `${String(count).padStart(4)}  ${what}`).join("\n"))
  const findings = counts.flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`]))
  if (findings.length > 0) return yield* new CrashProofFailed({ findings })
  yield* Console.log("nothing lost, nothing doubled")
})

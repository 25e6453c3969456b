import { Journal, Thread } from "@selvage/core"
import { SqliteJournal } from "@selvage/sqlite"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Approve, Orders } from "./fixture/orders.ts"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

/** The directory that the fixture modules are named from. */
export const here = fileURLToPath(new URL(".", import.meta.url))

export interface Ended {
  readonly stdout: string
  readonly stderr: string
  readonly code: number | null
}

interface Options {
  readonly cwd?: string
  readonly env?: Record<string, string>
  /** Goes away after the first output, as `head` does. */
  readonly leave?: boolean
}

/** Runs the real binary to its end. */
export const selvage = (args: ReadonlyArray<string>, { cwd = here, env = {}, leave = false }: Options = {}) =>
  Effect.callback<Ended>((resume) => {
    const child = spawn(process.execPath, [main, ...args], {
      cwd,
      env: { PATH: process.env["PATH"], NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (chunk) => {
      stdout += chunk
      if (leave) child.stdout.destroy()
    })
    child.stderr.on("data", (chunk) => {
      stderr += chunk
    })
    child.on("close", (code) => resume(Effect.succeed({ stdout, stderr, code })))
    return Effect.sync(() => child.kill())
  })

export const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "selvage-cli-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

export const onJournal = (file: string) => Effect.provide(SqliteJournal.layer({ filename: file }))

/** A journal with a thread that is done after an ask (`done`), one that waits (`waiting`) and one that failed (`failed`). */
export const journalFile = Effect.gen(function* () {
  const file = join(yield* temporary, "journal.db")
  yield* Effect.gen(function* () {
    yield* Thread.run(Orders, { thread: "done", input: { items: ["pen", "big box", "ink"] } })
    yield* Thread.answer(Approve, { thread: "done", value: true })
    yield* Thread.run(Orders, { thread: "done" })
    yield* Thread.run(Orders, { thread: "done", input: { items: ["cap"], count: 10 } })
    yield* Thread.run(Orders, { thread: "waiting", input: { items: ["pen", "big\u001b[31m/box"] } })
    yield* Effect.flip(Thread.run(Orders, { thread: "failed", input: { items: ["pen", "poison"] } }))
  }).pipe(onJournal(file))
  return file
})

export const head = (file: string, thread: string) =>
  Effect.flatMap(Journal.Journal, (journal) => journal.info(thread)).pipe(
    Effect.map((info) => info.head),
    onJournal(file)
  )

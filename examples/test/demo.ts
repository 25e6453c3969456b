/** The demo as its user runs it: a child process in a directory of its own. */
import { SqliteClient, SqliteJournal } from "@selvage/sqlite"
import { Journal } from "@selvage/core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Warehouse } from "../restock/Warehouse.ts"

const main = fileURLToPath(new URL("../restock/main.ts", import.meta.url))

export const data = fileURLToPath(new URL("../restock/data", import.meta.url))

export interface Ended {
  readonly stdout: string
  readonly stderr: string
  readonly code: number | null
}

export interface Options {
  readonly env?: Record<string, string>
  /** Kills with SIGKILL as soon as the output says so. */
  readonly killAt?: (stdout: string) => boolean
}

/** Runs the demo in a directory to its end. No key of who runs the tests gets in. */
export const demo = (directory: string, args: ReadonlyArray<string>, { env = {}, killAt }: Options = {}) =>
  Effect.callback<Ended>((resume) => {
    const child = spawn(process.execPath, [main, ...args], {
      cwd: directory,
      env: { PATH: process.env["PATH"], NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (chunk) => {
      stdout += chunk
      if (killAt?.(stdout) === true) child.kill("SIGKILL")
    })
    child.stderr.on("data", (chunk) => {
      stderr += chunk
    })
    child.on("close", (code) => resume(Effect.succeed({ stdout, stderr, code })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

export const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "selvage-demo-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

export const databaseFile = (directory: string) => join(directory, ".selvage/warehouse.db")
export const journalFile = (directory: string) => join(directory, ".selvage/journal.db")

/** The orders in the database, and the entries of a thread. */
export const kept = Effect.fnUntraced(function* (directory: string, thread = "restock") {
  const orders = yield* Effect.flatMap(Warehouse, (warehouse) => warehouse.orders).pipe(
    Effect.provide(Layer.provide(Warehouse.layer, SqliteClient.layer({ filename: databaseFile(directory) })))
  )
  const entries = yield* Effect.flatMap(Journal.Journal, (journal) => journal.read(thread)).pipe(
    Effect.provide(SqliteJournal.layer({ filename: journalFile(directory) }))
  )
  return { orders, entries }
})

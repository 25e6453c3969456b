/** The demo in a directory of its own: in this process, or as its user runs it, in a child. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { SqliteClient, SqliteJournal } from "@selvage/sqlite"
import { Journal } from "@selvage/core"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stdio from "effect/Stdio"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { format } from "node:util"
import { run } from "../restock/Demo.ts"
import { Warehouse } from "../restock/Warehouse.ts"

const main = fileURLToPath(new URL("../restock/main.ts", import.meta.url))

export const data = fileURLToPath(new URL("../restock/data", import.meta.url))

export interface Ended {
  readonly stdout: string
  readonly stderr: string
  readonly code: number | null
}

export interface Options {
  /** Kills with SIGKILL as soon as the output says so. */
  readonly killAt?: (stdout: string) => boolean
}

/** Runs the demo on a directory to its end, with an environment and streams of its own. */
export const demo = (
  directory: string,
  args: ReadonlyArray<string>,
  env: Record<string, string> = {}
): Effect.Effect<Ended> =>
  Effect.suspend(() => {
    let stdout = ""
    let stderr = ""
    const captured: Console.Console = Object.assign(Object.create(console), {
      log: (...values: ReadonlyArray<unknown>) => void (stdout += `${format(...values)}\n`),
      error: (...values: ReadonlyArray<unknown>) => void (stderr += `${format(...values)}\n`)
    })
    return run(["--directory", join(directory, ".selvage"), ...args]).pipe(
      Effect.provide(Layer.merge(NodeServices.layer, Stdio.layerTest({}))),
      Effect.provideService(Console.Console, captured),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })),
      Effect.map((code) => ({ stdout, stderr, code }))
    )
  })

/** Runs the demo in a child process to its end. No key of who runs the tests gets in. */
export const demoProcess = (directory: string, args: ReadonlyArray<string>, { killAt }: Options = {}) =>
  Effect.callback<Ended>((resume) => {
    const child = spawn(process.execPath, [main, ...args], {
      cwd: directory,
      env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"], NO_COLOR: "1" },
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

import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cli } from "@selvage/cli"
import { Journal, Thread } from "@selvage/core"
import { SqliteJournal } from "@selvage/sqlite"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { format } from "node:util"
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
}

/** A directory in which relative paths are looked up, of the whole process: tests of a file run one after the other. */
const inDirectory = (directory: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.cwd()
      process.chdir(directory)
      return before
    }),
    (before) => Effect.sync(() => process.chdir(before))
  )

/** Runs the command to its end, in this process: with streams, an environment and the real time of its own. */
export const selvage = (args: ReadonlyArray<string>, { cwd = here, env = {} }: Options = {}): Effect.Effect<Ended> =>
  Effect.suspend(() => {
    let stdout = ""
    let stderr = ""
    const decoder = new TextDecoder()
    const write = (chunk: string | Uint8Array) => {
      stdout += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true })
    }
    const captured: Console.Console = Object.assign(Object.create(console), {
      log: (...values: ReadonlyArray<unknown>) => write(`${format(...values)}\n`),
      error: (...values: ReadonlyArray<unknown>) => {
        stderr += `${format(...values)}\n`
      }
    })
    const streams = Stdio.layerTest({
      args: Effect.succeed(args),
      stdout: () => Sink.forEach((chunk) => Effect.sync(() => write(chunk)))
    })
    return inDirectory(cwd).pipe(
      Effect.andThen(Cli.run(args)),
      Effect.provide(Layer.merge(NodeServices.layer, streams)),
      Effect.provideService(Console.Console, captured),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: { NO_COLOR: "1", ...env } })),
      TestClock.withLive,
      Effect.scoped,
      Effect.map((code) => ({ stdout, stderr, code }))
    )
  })

/** Runs the real binary to its end. With `leave` its reader goes away after the first output, as `head` does. */
export const binary = (
  args: ReadonlyArray<string>,
  { cwd = here, env = {}, leave = false }: Options & { readonly leave?: boolean } = {}
) =>
  Effect.callback<Ended>((resume) => {
    const child = spawn(process.execPath, [main, ...args], {
      cwd,
      env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"], NO_COLOR: "1", ...env },
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

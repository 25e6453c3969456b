/**
 * Many short threads in one process, and what its heap holds afterwards: `pnpm soak --threads 100000`.
 *
 * The heap after all of them must be where it was after the first tenth: nothing is kept of a thread that is done but what
 * the stated bound of warm threads allows.
 */
import { Channel, Graph, Journal, Thread } from "@selvage/core"
import { SqliteJournal } from "@selvage/sqlite"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

const { values } = parseArgs({ options: { threads: { type: "string", default: "100000" } } })
const threads = Number(values.threads)
if (!(Number.isSafeInteger(threads) && threads >= 1000)) {
  console.error("--threads is a whole number from 1000.")
  process.exit(2)
}

setFlagsFromString("--expose-gc")
const gc: unknown = runInNewContext("gc")

const heap = async (): Promise<number> => {
  for (let round = 0; round < 4; round++) {
    if (typeof gc === "function") gc()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed / 1e6
}

const Short = Graph.make("short", {
  state: { name: Channel.last(Schema.String), log: Channel.append(Schema.String) },
  nodes: {
    one: ({ name }) => Effect.succeed({ log: [`one ${name}`] }),
    // Not done at once, so that it takes a fiber.
    two: ({ name }) => Effect.as(Effect.yieldNow, { log: [`two ${name}`] })
  },
  edges: { start: "one", one: "two", two: "end" }
})

const batch = 100

const soak = async (name: string, layer: Layer.Layer<Journal.Journal, unknown>): Promise<boolean> => {
  const runtime = ManagedRuntime.make(layer)
  const run = (from: number) =>
    runtime.runPromise(
      Effect.forEach(
        Array.from({ length: batch }, (_, index) => `t-${from + index}`),
        (thread) => Thread.run(Short, { thread, input: { name: thread } }),
        { concurrency: "unbounded", discard: true }
      )
    )
  const start = performance.now()
  let early = 0
  for (let done = 0; done < threads; done += batch) {
    if (early === 0 && done >= threads / 10) early = await heap()
    await run(done)
  }
  const late = await heap()
  const seconds = (performance.now() - start) / 1000
  await runtime.dispose()
  // Compiled code and tables of the engine still grow a little.
  const kept = late <= early * 1.05 + 1
  console.log(
    `${name}: ${threads} threads in ${seconds.toFixed(1)} s; heap ${early.toFixed(1)} MB after a tenth, ${late.toFixed(1)} MB at the end${kept ? "" : ": GREW"}`
  )
  return kept
}

const directory = mkdtempSync(join(tmpdir(), "selvage-soak-"))
try {
  const ephemeral = await soak("ephemeral", Journal.layerEphemeral)
  const sqlite = await soak(
    "SQLite",
    SqliteJournal.layer({ filename: join(directory, "soak.db"), durability: "normal" })
  )
  process.exitCode = ephemeral && sqlite ? 0 : 1
} finally {
  rmSync(directory, { recursive: true })
}

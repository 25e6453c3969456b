/**
 * Measures Selvage beside LangGraph: `pnpm bench [--only N] [--runs N] [--json FILE]`.
 *
 * Each workload runs in turn, peer then ours, in fresh processes. Installs its own packages where they are missing.
 */
import { execFile, spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { cpus, tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs, promisify } from "node:util"
import type { Sample } from "./measure.ts"
import { type Row, rows } from "./rows.ts"
import { judge, type Measured, table } from "./table.ts"

const here = import.meta.dirname
const execute = promisify(execFile)

const { values } = parseArgs({
  options: { only: { type: "string" }, runs: { type: "string", default: "5" }, json: { type: "string" } }
})

const runs = Number(values.runs)
if (!Number.isInteger(runs) || runs < 1 || runs > 100) throw new Error(`--runs takes 1 to 100, not "${values.runs}"`)
const chosen = rows.filter(({ number }) => values.only === undefined || number === values.only)
if (chosen.length === 0) {
  const known = Array.from(new Set(rows.map(({ number }) => number)))
  throw new Error(`--only takes one of ${known.join(", ")}, not "${values.only}"`)
}

/** The peer from npm (see .npmrc), and links to the workspace's packages, which npm knows nothing of. */
const install = async () => {
  if (!existsSync(join(here, "node_modules", "@langchain", "langgraph"))) {
    const { status } = spawnSync("npm", ["ci"], { cwd: here, stdio: ["ignore", process.stderr.fd, process.stderr.fd] })
    if (status !== 0) throw new Error(`"npm ci" in ${here} failed; is a registry reachable?`)
  }
  const scope = join(here, "node_modules", "@selvage")
  await mkdir(scope, { recursive: true })
  for (const name of ["core", "sqlite"]) {
    if (!existsSync(join(scope, name))) await symlink(join("..", "..", "..", "packages", name), join(scope, name))
  }
}

// A worker must not outlive its run: it would slow whatever is measured next.
const stopped = new AbortController()
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopped.abort())

const measure = async (side: "peer" | "ours", workload: string): Promise<Sample> => {
  const directory = await mkdtemp(join(tmpdir(), "selvage-bench-"))
  try {
    const { stdout } = await execute(
      process.execPath,
      [join(here, "worker.ts"), side, workload, join(directory, "store.db")],
      // Nothing of the caller's: a tracing variable of the peer would have it call out.
      { cwd: here, env: { PATH: process.env["PATH"] }, signal: stopped.signal }
    )
    return JSON.parse(stdout) as Sample
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** Rows of one number share the processes of a workload that several of them name. */
const measureTogether = async (together: ReadonlyArray<Row>): Promise<ReadonlyArray<Measured>> => {
  const samples = new Map<string, Array<Sample>>()
  const of = (side: "peer" | "ours", workload: string) => {
    const key = `${side}: ${workload}`
    const kept = samples.get(key) ?? []
    samples.set(key, kept)
    return kept
  }
  for (let round = 1; round <= runs; round++) {
    for (const { ours, peer } of together) {
      for (const [side, workload] of [["peer", peer] as const, ["ours", ours] as const]) {
        if (workload === undefined || of(side, workload).length >= round) continue
        const sample = await measure(side, workload)
        of(side, workload).push(sample)
        console.error(`${round}/${runs} ${side} ${workload}: ${sample.ms.toFixed(1)} ms`)
      }
    }
  }
  return together.map((row) => judge(row, of("ours", row.ours), row.peer === undefined ? [] : of("peer", row.peer)))
}

await install()
const measured: Array<Measured> = []
for (const number of new Set(chosen.map((row) => row.number))) {
  measured.push(...(await measureTogether(chosen.filter((row) => row.number === number))))
}

const machine = { node: process.version, cpu: cpus()[0]?.model.trim() ?? "unknown", cores: cpus().length }
console.log(table(measured))
console.log(`\nNode ${machine.node}, ${machine.cores} cores of ${machine.cpu}; medians of ${runs} fresh processes.`)
if (values.json !== undefined)
  await writeFile(values.json, `${JSON.stringify({ machine, runs, rows: measured }, null, 2)}\n`)

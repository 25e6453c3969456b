/**
 * Measures Selvage beside its peers: `pnpm bench [--only N] [--runs N] [--json FILE] [--write]`.
 *
 * Each workload runs in turn, peer then ours, in fresh processes. Installs its own packages where they are missing.
 * `--write` puts the table into README.md.
 */
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { cpus, loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs, promisify } from "node:util"
import { install } from "./install.ts"
import type { Sample } from "./measure.ts"
import { type Row, rows, type Run } from "./rows.ts"
import { judge, type Measured, table } from "./table.ts"

const here = import.meta.dirname
const execute = promisify(execFile)

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    runs: { type: "string", default: "5" },
    json: { type: "string" },
    write: { type: "boolean", default: false }
  }
})

const runs = Number(values.runs)
if (!Number.isInteger(runs) || runs < 1 || runs > 100) throw new Error(`--runs takes 1 to 100, not "${values.runs}"`)
const numbers = Array.from(new Set(rows.map(({ number }) => number)))
const only = values.only?.flatMap((list) => list.split(",")) ?? numbers
for (const number of only) {
  if (!numbers.includes(number)) throw new Error(`--only takes some of ${numbers.join(",")}, not "${number}"`)
}
if (values.write && values.only !== undefined) {
  throw new Error("--write keeps the whole table, so it does not go with --only")
}

// A worker must not outlive its run: it would slow whatever is measured next.
const stopped = new AbortController()
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopped.abort())

const measure = async ([module, workload]: Run): Promise<Sample> => {
  const directory = await mkdtemp(join(tmpdir(), "selvage-bench-"))
  try {
    const { stdout } = await execute(
      process.execPath,
      [join(here, "worker.ts"), module, workload, join(directory, "store.db")],
      // Nothing of the caller's: a tracing variable of a peer would have it call out.
      { cwd: here, env: { PATH: process.env["PATH"], NODE_NO_WARNINGS: "1" }, signal: stopped.signal }
    )
    return JSON.parse(stdout) as Sample
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** Rows of one number share the processes of a workload that several of them name. */
const measureTogether = async (together: ReadonlyArray<Row>): Promise<ReadonlyArray<Measured>> => {
  const samples = new Map<string, Array<Sample>>()
  const of = (run: Run) => {
    const key = run.join(": ")
    const kept = samples.get(key) ?? []
    samples.set(key, kept)
    return kept
  }
  for (let round = 1; round <= runs; round++) {
    for (const row of together) {
      if (round > (row.runs ?? runs)) continue
      for (const run of [row.peer, row.ours]) {
        if (run === undefined || of(run).length >= round) continue
        const sample = await measure(run)
        of(run).push(sample)
        console.error(`${round}/${row.runs ?? runs} ${run.join(": ")}: ${sample.ms.toFixed(1)} ms`)
      }
    }
  }
  return together.map((row) => judge(row, of(row.ours), row.peer === undefined ? [] : of(row.peer)))
}

await install()
const measured: Array<Measured> = []
const busiest = { load: loadavg()[0] ?? 0 }
for (const number of only) {
  measured.push(...(await measureTogether(rows.filter((row) => row.number === number))))
  busiest.load = Math.max(busiest.load, loadavg()[0] ?? 0)
}

const machine = { node: process.version, cpu: cpus()[0]?.model.trim() ?? "unknown", cores: cpus().length, ...busiest }
const report = [
  table(measured),
  "",
  `Node ${machine.node}, ${machine.cores} cores of ${machine.cpu}, ${new Date().toISOString().slice(0, 10)}; medians of ` +
    `${runs} fresh processes where no other number is given. Highest load average: ${machine.load.toFixed(1)}` +
    `${machine.load > 1.6 ? ", so others were at work: take the ratios as rough" : ""}.`
].join("\n")
console.log(report)

if (values.json !== undefined) {
  await writeFile(values.json, `${JSON.stringify({ machine, runs, rows: measured }, null, 2)}\n`)
}
if (values.write) {
  const readme = join(here, "README.md")
  const [begin, end] = ["<!-- table: begin -->", "<!-- table: end -->"] as const
  const text = await readFile(readme, "utf8")
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${readme} has no "${begin}" and "${end}" to write between`)
  await writeFile(readme, `${text.slice(0, from)}${begin}\n\n${report}\n\n${text.slice(to)}`)
}

/**
 * Where the time of a workload of ours goes: `node bench/profile.ts WORKLOAD [--cold] [--peer SIDE] [--top 15]`.
 *
 * A fresh process runs the workload from the packages' sources under V8's sampling profiler (as `--cpu-prof` does, but
 * without what is loaded before the workload starts), 30 times more after the first run; with `--cold` only once, as the
 * table measures it. Shown are the functions by self time, ours by the time in them and in what they call, and self
 * time by file. `--peer effect-ai` profiles the same workload of a peer. `import` shows what loading costs: the modules
 * that are read, and what a bundle is left with. The profile itself stays, for Chrome's developer tools.
 */
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs, promisify } from "node:util"
import { build } from "./bundle.ts"
import { install, installPeers } from "./install.ts"
import type { Sample } from "./measure.ts"
import { rows, type Run } from "./rows.ts"

interface Node {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly children?: ReadonlyArray<number> | undefined
}

interface Profile {
  readonly nodes: ReadonlyArray<Node>
  readonly samples: ReadonlyArray<number>
  readonly timeDeltas: ReadonlyArray<number>
}

const root = join(import.meta.dirname, "..")

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    cold: { type: "boolean", default: false },
    peer: { type: "string" },
    top: { type: "string", default: "15" }
  }
})
const top = Number(values.top)

const short = (url: string) =>
  url
    .replace(/^file:\/\//, "")
    .replace(/^.*\/node_modules\/(?=effect\/|@langchain|ai\/)/, "")
    .replace(`${root}/`, "")

const fileOf = ({ callFrame: { functionName, url } }: Node) =>
  url === "" ? (functionName.startsWith("(") ? functionName : "native") : short(url)

const nameOf = (node: Node) => {
  const { functionName, lineNumber, url } = node.callFrame
  const name = functionName === "" ? "(anonymous)" : functionName
  return url === "" ? name : `${name} ${fileOf(node)}:${lineNumber + 1}`
}

const list = (title: string, times: ReadonlyMap<string, number>, total: number) => {
  console.log(`\n${title}`)
  const sorted = Array.from(times).sort((a, b) => b[1] - a[1])
  for (const [name, micros] of sorted.slice(0, top)) {
    console.log(
      `${((100 * micros) / total).toFixed(1).padStart(6)} % ${(micros / 1000).toFixed(1).padStart(9)} ms  ${name}`
    )
  }
}

const add = (to: Map<string, number>, key: string, micros: number) => to.set(key, (to.get(key) ?? 0) + micros)

const summarise = ({ nodes, samples, timeDeltas }: Profile) => {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)))
  const self = new Map<string, number>()
  const files = new Map<string, number>()
  const within = new Map<string, number>()
  let total = 0
  const selfOf = new Map<number, number>()
  samples.forEach((id, index) => selfOf.set(id, (selfOf.get(id) ?? 0) + Math.max(0, timeDeltas[index] ?? 0)))
  for (const [id, micros] of selfOf) {
    const node = byId.get(id)!
    const { functionName, url } = node.callFrame
    // Waiting, and the profiler's own start and stop.
    if (functionName === "(idle)" || url.startsWith("node:inspector")) continue
    total += micros
    add(self, nameOf(node), micros)
    add(files, fileOf(node), micros)
    // A function that calls itself counts once.
    const seen = new Set<string>()
    for (let at: Node | undefined = node; at !== undefined; at = parents.get(at.id)) {
      if (fileOf(at).startsWith("packages/")) seen.add(nameOf(at))
    }
    for (const name of seen) add(within, name, micros)
  }
  console.log(`${(total / 1000).toFixed(0)} ms at work`)
  list("self time", self, total)
  list("ours, with what they call (until they hand over to Effect's loop)", within, total)
  list("self time by file", files, total)
}

/** What an import has to read, and what is left of it in the bundle of a hello graph. */
const importCosts = async () => {
  const directory = await mkdtemp(join(tmpdir(), "selvage-profile-"))
  try {
    const { metafile } = await build("selvage.ts", join(directory, "hello.mjs"))
    const kept = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.entries(inputs))
    const show = (title: string, files: ReadonlyArray<readonly [string, number]>) => {
      const total = files.reduce((sum, [, bytes]) => sum + bytes, 0)
      console.log(`\n${title}: ${files.length} modules, ${(total / 1000).toFixed(0)} kB`)
      for (const [name, bytes] of files.toSorted((a, b) => b[1] - a[1]).slice(0, top)) {
        console.log(`${(bytes / 1000).toFixed(1).padStart(8)} kB  ${name.replace(/^.*node_modules\//, "")}`)
      }
    }
    show(
      "read by an import of what a hello graph needs (it cannot leave out what is not used)",
      Object.entries(metafile.inputs).map(([name, { bytes }]) => [name, bytes] as const)
    )
    show(
      "in the minified bundle of a hello graph",
      kept.map(([name, { bytesInOutput }]) => [name, bytesInOutput] as const)
    )
  } finally {
    await rm(directory, { recursive: true })
  }
}

const profileOf = async ([module, workload]: Run) => {
  const directory = await mkdtemp(join(tmpdir(), "selvage-profile-"))
  const file = join(directory, `${workload.replace(/\W+/g, "-")}.cpuprofile`)
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(import.meta.dirname, "worker.ts"), module, workload, join(directory, "store.db")],
    {
      cwd: import.meta.dirname,
      env: {
        PATH: process.env["PATH"],
        NODE_NO_WARNINGS: "1",
        SELVAGE_BENCH_PROFILE: file,
        SELVAGE_BENCH_REPEATS: values.cold ? "0" : "30"
      }
    }
  )
  const { ms, warm } = JSON.parse(stdout) as Sample
  const later = warm === undefined ? "" : `, later ${warm.toFixed(1)} ms`
  console.log(`${module}: ${workload}: first run ${ms.toFixed(1)} ms${later} under the profiler; ${file}`)
  summarise(JSON.parse(await readFile(file, "utf8")) as Profile)
}

const workload = positionals[0]
installPeers()
if (workload === "import") {
  await install()
  await importCosts()
} else {
  const known = rows.flatMap(({ ours, peer }) => (peer === undefined ? [ours] : [ours, peer]))
  const found = known.find(([module, name]) => name === workload && module.startsWith(`${values.peer ?? "selvage"}/`))
  if (found === undefined) {
    const names = Array.from(new Set(known.map(([module, name]) => `${module}: ${name}`)))
    throw new Error(`no workload "${workload}"; there are import and\n${names.join("\n")}`)
  }
  if (found[0] === "selvage/start") await install()
  await profileOf(found)
}

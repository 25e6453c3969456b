/**
 * One fresh process, one workload: `node worker.ts MODULE WORKLOAD FILE`. Prints a sample as JSON.
 *
 * With `SELVAGE_BENCH_PROFILE=FILE` it runs the sources of the packages, and writes a CPU profile of the workload, without
 * what was loaded before it.
 */
import { registerHooks } from "node:module"
import type { Workload } from "./measure.ts"

const [module, name, file] = process.argv.slice(2)
const profile = process.env["SELVAGE_BENCH_PROFILE"]
// Names and lines of a profile are those of the sources; but what is to be loaded is what is published.
if (profile !== undefined && module !== "selvage/start") {
  registerHooks({
    resolve: (specifier, context, next) => {
      const found = /^@selvage\/([^/]+)(?:\/(.+))?$/.exec(specifier)
      return found === null
        ? next(specifier, context)
        : next(new URL(`../packages/${found[1]}/src/${found[2] ?? "index"}.ts`, import.meta.url).href, context)
    }
  })
}

const { workloads }: { readonly workloads: Readonly<Record<string, Workload>> } = await import(
  `./workloads/${module}.ts`
)
const workload = name === undefined ? undefined : workloads[name]
if (workload === undefined || file === undefined) {
  throw new Error(`no workload "${name}" in ${module}; there are ${Object.keys(workloads).join("; ")}`)
}

const profiled = async (to: string): ReturnType<Workload> => {
  const { Session } = await import("node:inspector/promises")
  const { writeFile } = await import("node:fs/promises")
  const session = new Session()
  session.connect()
  await session.post("Profiler.enable")
  await session.post("Profiler.setSamplingInterval", { interval: 100 })
  await session.post("Profiler.start")
  const sample = await workload(file)
  const { profile } = await session.post("Profiler.stop")
  session.disconnect()
  await writeFile(to, JSON.stringify(profile))
  return sample
}

const sample = await (profile === undefined ? workload(file) : profiled(profile))
console.log(JSON.stringify({ ...sample, rss: process.resourceUsage().maxRSS * 1024 }))

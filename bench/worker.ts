/** One fresh process, one workload of one side: `node worker.ts peer|ours WORKLOAD FILE`. Prints a sample as JSON. */
import type { Workload } from "./measure.ts"

const [side, name, file] = process.argv.slice(2)
const { workloads }: { readonly workloads: Readonly<Record<string, Workload>> } =
  side === "peer" ? await import("./workloads/peer.ts") : await import("./workloads/ours.ts")
const workload = name === undefined ? undefined : workloads[name]
if (workload === undefined || file === undefined) {
  throw new Error(`no workload "${name}"; there are ${Object.keys(workloads).join("; ")}`)
}
const sample = await workload(file)
console.log(JSON.stringify({ ...sample, rss: process.resourceUsage().maxRSS * 1024 }))

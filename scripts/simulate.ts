/**
 * Simulated worlds, by seed: `pnpm simulate --seeds 1000`, or one of them again: `pnpm simulate --seed 42`.
 */
import { Simulation } from "@selvage/testing"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    seed: { type: "string" },
    from: { type: "string", default: "1" }
  }
})

const whole = (name: string, text: string): number => {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 0) return value
  console.error(`--${name} is a whole number, not "${text}".`)
  process.exit(2)
}

const first = values.seed === undefined ? whole("from", values.from) : whole("seed", values.seed)
const count = values.seed === undefined ? whole("seeds", values.seeds) : 1

const faults = new Map<string, number>()
const failing: Array<number> = []
let entries = 0
const start = performance.now()
for (let seed = first; seed < first + count; seed++) {
  const report = await Simulation.run(seed)
  entries += report.entries
  for (const [kind, times] of Object.entries(report.faults)) faults.set(kind, (faults.get(kind) ?? 0) + times)
  if (report.violations.length === 0) continue
  failing.push(seed)
  console.log(`seed ${seed}:`)
  for (const violation of report.violations) console.log(`  ${violation}`)
}
const seconds = (performance.now() - start) / 1000
console.log(`${count} seeds from ${first}, ${entries} entries, ${seconds.toFixed(1)} s`)
for (const [kind, times] of [...faults].sort(([, a], [, b]) => b - a)) console.log(`  ${kind}: ${times}`)
console.log(
  failing.length === 0
    ? "no violations"
    : `${failing.length} seeds with violations; again with: pnpm simulate --seed ${failing[0]}`
)
process.exitCode = failing.length === 0 ? 0 : 1

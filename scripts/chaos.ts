/**
 * Calls to models over HTTP, of which a part breaks down: `pnpm chaos [--calls 10000] [--seed 1] [--rate 0.3]`. Prints what
 * the servers did, what the calls ended in, and what was not as it must be.
 */
import * as Effect from "effect/Effect"
import { loadavg } from "node:os"
import { parseArgs } from "node:util"
import { run } from "../packages/testing/test/models/chaos.ts"

const { values } = parseArgs({
  options: {
    calls: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
    rate: { type: "string", default: "0.3" },
    concurrency: { type: "string", default: "64" }
  }
})

const number = (name: string, text: string, most: number): number => {
  const value = Number(text)
  if (Number.isFinite(value) && value >= 0 && value <= most) return value
  console.error(`--${name} is a number from 0 to ${most}, not "${text}".`)
  process.exit(2)
}

const report = await Effect.runPromise(
  run({
    calls: number("calls", values.calls, 1_000_000),
    seed: number("seed", values.seed, 2 ** 32),
    rate: number("rate", values.rate, 1),
    concurrency: number("concurrency", values.concurrency, 10_000)
  })
)

const list = (counts: Readonly<Record<string, number>>) => {
  for (const [what, count] of Object.entries(counts).sort(([, a], [, b]) => b - a)) console.log(`  ${what}: ${count}`)
}

console.log(
  `${values.calls} calls, ${report.requests} requests, ${report.seconds.toFixed(1)} s, load ${loadavg()[0]?.toFixed(1)}`
)
console.log("the servers:")
list(report.faults)
console.log("the calls:")
list(report.outcomes)
console.log(`refused by an open circuit: ${report.refused}`)
console.log(`the slowest call: ${report.slowestMillis} ms; the latest timer: ${report.lagMillis} ms`)
console.log(`charged: ${report.tokens} tokens that were counted, and ${report.estimated} estimates`)
for (const violation of report.violations.slice(0, 50)) console.log(`VIOLATED: ${violation}`)
console.log(report.violations.length === 0 ? "no violations" : `${report.violations.length} violations`)
process.exitCode = report.violations.length === 0 ? 0 : 1

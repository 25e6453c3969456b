/**
 * Calls of models that end in every way, and what the heap holds afterwards: `pnpm leaks [--calls 10000] [--wire Anthropic]`. So many
 * calls for each way and wire, with prompts of 100,000 characters; what is kept must not grow with them.
 */
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import { kept, ways, wires } from "../packages/testing/test/models/leaks.ts"

const { values } = parseArgs({ options: { calls: { type: "string", default: "10000" }, wire: { type: "string" } } })
const calls = Number(values.calls)
if (!(Number.isSafeInteger(calls) && calls >= 10)) {
  console.error(`--calls is a whole number from 10, not "${values.calls}".`)
  process.exit(2)
}
const chosen = wires.filter((wire) => values.wire === undefined || wire === values.wire)
if (chosen.length === 0) {
  console.error(`--wire is one of ${wires.join(", ")}, not "${values.wire}".`)
  process.exit(2)
}

const size = 100_000
// As much as the compiled code of a first round takes, and thirty prompts.
const most = 30 * size

let broken = false
for (const wire of chosen) {
  for (const way of ways) {
    // The adapters wait a second for a server that does not hang up.
    const count = way.act === "completes and does not hang up" ? Math.min(calls, 100) : calls
    const began = performance.now()
    const bytes = await Effect.runPromise(kept(wire, [way], { calls: count, size }))
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    const isKept = bytes > most
    broken ||= isKept
    console.log(
      `${isKept ? "KEPT" : "ok  "} ${wire}, ${way.name}: ${count} calls, ${(bytes / 1e6).toFixed(2)} MB more, ${seconds} s`
    )
  }
}
process.exit(broken ? 1 : 0)

/**
 * Requests to models on strict providers: `pnpm wires [--cases 20000] [--seed 1] [--wire "OpenAI Chat"]`. So many histories per wire, of
 * which each must become a request that the API takes, or an error before anything is sent. Prints the first that does not.
 */
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import { check, models, type Name } from "../packages/testing/test/models/strict.ts"

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "20000" },
    seed: { type: "string", default: "1" },
    wire: { type: "string" }
  }
})

const whole = (name: string, text: string, most: number): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 0 && value <= most) return value
  console.error(`--${name} is a whole number from 0 to ${most}, not "${text}".`)
  process.exit(2)
}

const cases = whole("cases", values.cases, 10_000_000)
const seed = whole("seed", values.seed, 2 ** 31)
const names = (Object.keys(models) as Array<Name>).filter((name) => values.wire === undefined || name === values.wire)
if (names.length === 0) {
  console.error(`--wire is one of ${Object.keys(models).join(", ")}, not "${values.wire}".`)
  process.exit(2)
}

let broken = false
for (const name of names) {
  const began = performance.now()
  const exit = await Effect.runPromiseExit(check(name, { cases, seed }))
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  if (exit._tag === "Success") {
    console.log(
      `${name}: ${cases} histories on ${models[name].join(", ")}: all were taken or refused before they were sent, ${seconds} s`
    )
  } else {
    broken = true
    console.log(`${name}: BROKEN after ${seconds} s\n${String(exit.cause)}`)
  }
}
process.exitCode = broken ? 1 : 0

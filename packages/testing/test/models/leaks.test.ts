import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { kept, ways, wires } from "./leaks.ts"

// The server's second of patience at the end of an answer is not for every test: `pnpm leaks` has it.
const quick = ways.filter(({ act }) => act !== "completes and does not hang up")

describe("what is kept of calls of models", () => {
  for (const wire of wires) {
    // Prompts of 3 MB together for each way: one way that keeps them is seen.
    it.live(`over ${wire} is nothing, however they end: a heap as before`, () =>
      Effect.gen(function* () {
        const bytes = yield* kept(wire, quick, { calls: 3, size: 1_000_000 })
        assert.isBelow(bytes, 2_500_000)
      })
    )
  }
})

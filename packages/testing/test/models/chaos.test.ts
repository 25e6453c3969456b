import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { run } from "./chaos.ts"
import { runs } from "../measures.ts"

it.live(
  "calls at 30 % faults over HTTP: each ends in time with an answer or a typed error, no token and no socket is lost",
  () =>
    Effect.gen(function* () {
      // The limits of time in these calls are real: so few at a time that a machine that is busy keeps them.
      const calls = runs(400)
      const report = yield* run({ calls, seed: 42, rate: 0.3, concurrency: 20 })
      assert.deepStrictEqual(report.violations, [])
      assert.isAbove(report.outcomes["answer"] ?? 0, calls * 0.5)
      // Every fault came, some more than once, and some calls failed for it.
      assert.strictEqual(Object.keys(report.faults).length, 16)
      assert.isAbove(Object.keys(report.outcomes).length, 3)
      assert.isAbove(report.requests, calls * 1.2)
      assert.isAbove(report.refused, 0)
    })
)

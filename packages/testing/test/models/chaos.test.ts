import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { run } from "./chaos.ts"

it.live(
  "1,000 calls at 30 % faults over HTTP: each ends in time with an answer or a typed error, no token and no socket is lost",
  () =>
    Effect.gen(function* () {
      const report = yield* run({ calls: 1000, seed: 42, rate: 0.3, concurrency: 100 })
      assert.deepStrictEqual(report.violations, [])
      assert.isAbove(report.outcomes["answer"] ?? 0, 600)
      // Every fault came, some more than once, and some calls failed for it.
      assert.strictEqual(Object.keys(report.faults).length, 16)
      assert.isAbove(Object.keys(report.outcomes).length, 3)
      assert.isAbove(report.requests, 1200)
      assert.isAbove(report.refused, 0)
    }),
  60_000
)

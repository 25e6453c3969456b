import { Limit } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

const turn = (at: number, usd?: number): Limit.Turn => ({
  startedAt: at,
  endedAt: at + 10,
  inputTokens: 70,
  outputTokens: 30,
  ...(usd === undefined ? {} : { usd })
})

const stops = (limit: Limit.Limit, turns: ReadonlyArray<Limit.Turn>) =>
  Limit.check(limit, turns).pipe(
    Effect.as(undefined),
    Effect.catch((error) => Effect.succeed(error.limit))
  )

describe("Limit", () => {
  it.effect("turns, tokens, money and time each stop at their value and say which", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* stops(Limit.turns(2), []), undefined)
      assert.strictEqual(yield* stops(Limit.turns(2), [turn(0)]), undefined)
      assert.strictEqual(yield* stops(Limit.turns(2), [turn(0), turn(20)]), "2 turns")
      assert.strictEqual(yield* stops(Limit.spend({ tokens: 300 }), [turn(0), turn(20)]), undefined)
      assert.strictEqual(yield* stops(Limit.spend({ tokens: 200 }), [turn(0), turn(20)]), "200 tokens")
      assert.strictEqual(yield* stops(Limit.spend({ usd: 0.05 }), [turn(0, 0.02), turn(20, 0.02)]), undefined)
      assert.strictEqual(yield* stops(Limit.spend({ usd: 0.05 }), [turn(0, 0.02), turn(20, 0.03)]), "0.05 USD")
      yield* TestClock.setTime(44_000)
      assert.strictEqual(yield* stops(Limit.within("45 seconds"), [turn(0)]), undefined)
      yield* TestClock.setTime(45_000)
      assert.strictEqual(yield* stops(Limit.within("45 seconds"), [turn(0), turn(20)]), "within 45s")
    })
  )

  it.effect("all of several limits must go on, and time is counted from the first turn, whatever came in between", () =>
    Effect.gen(function* () {
      const limit = Limit.all(Limit.turns(8), Limit.within("1 minute"))
      // As after a restart: the turns come from the journal, the clock has moved on.
      yield* TestClock.setTime(3_600_000)
      assert.strictEqual(yield* stops(limit, [turn(0), turn(20)]), "within 1m")
      assert.strictEqual(yield* stops(limit, [turn(3_599_000)]), undefined)
    })
  )
})

import { Limit } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"

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

  it.effect("decides as its schedule does, so that it can be composed as one", () =>
    Effect.gen(function* () {
      const amount = fc.integer({ min: 0, max: 5 })
      const limits = fc
        .array(
          fc.oneof(
            amount.map((n) => Limit.turns(n)),
            amount.map((n) => Limit.within(n * 10)),
            amount.map((n) => Limit.spend({ usd: n, tokens: n * 100 }))
          ),
          { maxLength: 3 }
        )
        .map((limits) => Limit.all(...limits))
      const turns = fc.array(
        fc.tuple(amount, fc.option(amount, { nil: undefined })).map(([at, usd]) => turn(at * 10, usd)),
        { maxLength: 5 }
      )
      for (const [limit, taken] of fc.sample(fc.tuple(limits, turns), 500)) {
        const scheduled = Limit.all(...limit.parts.map(({ name, schedule }) => Limit.make(name, schedule)))
        assert.strictEqual(yield* stops(limit, taken), yield* stops(scheduled, taken))
      }
    })
  )

  it.effect("a schedule of one's own stands beside the others, and the first that says no is named", () =>
    Effect.gen(function* () {
      const cheap = Limit.make(
        "cheap turns",
        Schedule.identity<Limit.Turn>().pipe(Schedule.while(({ input }) => Effect.succeed((input.usd ?? 0) < 1)))
      )
      const limit = Limit.all(Limit.turns(3), cheap, Limit.spend({ tokens: 150 }))
      assert.strictEqual(yield* stops(limit, [turn(0, 0)]), undefined)
      assert.strictEqual(yield* stops(limit, [turn(0, 2)]), "cheap turns")
      assert.strictEqual(yield* stops(limit, [turn(0, 2), turn(0), turn(0)]), "3 turns")
      assert.strictEqual(yield* stops(limit, [turn(0), turn(0)]), "150 tokens")
    })
  )
})

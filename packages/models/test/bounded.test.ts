import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import { bounded } from "../src/internal/bounded.ts"
import { askAgain } from "../src/internal/retrying.ts"

const late = () => Effect.fail("late" as const)
const slow = Effect.as(Effect.sleep("2 seconds"), "answer")

describe("bounded", () => {
  it.effect("gives what ends in time, a success and a failure, at once or later", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* bounded(Effect.succeed(1), 1000, late), 1)
      assert.strictEqual(yield* Effect.flip(bounded(Effect.fail("own"), 1000, late)), "own")
      const fiber = yield* Effect.forkChild(bounded(slow, 3000, late))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "answer")
    })
  )

  it.effect("interrupts what does not, waits for its end, and gives the other", () =>
    Effect.gen(function* () {
      let ended = false
      const stubborn = Effect.onInterrupt(Effect.never, () =>
        Effect.andThen(
          Effect.sleep("5 seconds"),
          Effect.sync(() => (ended = true))
        )
      )
      const fiber = yield* Effect.forkChild(Effect.exit(bounded(stubborn, 1000, late)))
      yield* TestClock.adjust("1 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("late"))
      assert.isTrue(ended)
    })
  )

  it.effect("ends with its caller: nothing goes on, no alarm is left", () =>
    Effect.gen(function* () {
      let interrupted = 0
      let alarms = 0
      const forever = Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      const fiber = yield* Effect.forkChild(
        bounded(forever, 1000, () =>
          Effect.suspend(() => {
            alarms++
            return late()
          })
        )
      )
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual([interrupted, alarms], [1, 0])
    })
  )

  it.effect("does not outlive its caller: what was interrupted is over before its caller's release", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const caller: { fiber?: Fiber.Fiber<unknown, unknown> } = {}
      const step = Effect.onExit(
        Effect.suspend(() => {
          caller.fiber?.interruptUnsafe()
          return Effect.never
        }),
        () => Effect.sync(() => void order.push("work"))
      )
      const held = Effect.acquireUseRelease(
        Effect.yieldNow,
        () => bounded(step, 1000, late),
        () => Effect.sync(() => void order.push("release"))
      )
      caller.fiber = yield* Effect.forkChild(held)
      yield* Effect.exit(Fiber.join(caller.fiber))
      assert.deepStrictEqual(order, ["work", "release"])
    })
  )

  it.effect("bounds also where its caller cannot be interrupted", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.uninterruptible(Effect.exit(bounded(Effect.never, 1000, late))))
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("late"))
    })
  )

  it.effect("passes a defect on", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.exit(bounded(Effect.die("broken"), 1000, late)), Exit.die("broken"))
    })
  )
})

describe("askAgain", () => {
  const failing = (times: number) => {
    const at: Array<number> = []
    const ask = Effect.flatMap(
      Effect.clockWith((clock) => clock.currentTimeMillis),
      (now) => {
        at.push(now)
        return at.length <= times ? Effect.fail(`failure ${at.length}`) : Effect.succeed("answer")
      }
    )
    return { ask, at }
  }

  it.effect("asks when `Effect.retry` would, and ends as it would", () =>
    Effect.gen(function* () {
      const schedules: ReadonlyArray<Schedule.Schedule<unknown>> = [
        Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 3 })),
        Schedule.spaced("1 second").pipe(Schedule.upTo({ duration: "2500 millis" })),
        Schedule.recurs(0)
      ]
      for (const schedule of schedules) {
        for (const times of [0, 1, 3, 9]) {
          const [one, other] = [failing(times), failing(times)]
          const fibers = [
            yield* Effect.forkChild(Effect.exit(askAgain(one.ask, schedule)), { startImmediately: true }),
            yield* Effect.forkChild(Effect.exit(Effect.retry(other.ask, schedule)), { startImmediately: true })
          ]
          yield* TestClock.adjust("1 minute")
          const [ours, theirs] = yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
          assert.deepStrictEqual(ours, theirs)
          assert.deepStrictEqual(one.at, other.at)
        }
      }
    })
  )

  it.effect("does not ask again where it is not worth it", () =>
    Effect.gen(function* () {
      const { ask, at } = failing(9)
      const asked = askAgain(ask, Schedule.recurs(5), (error) => error !== "failure 3")
      assert.strictEqual(yield* Effect.flip(asked), "failure 3")
      assert.strictEqual(at.length, 3)
    })
  )
})

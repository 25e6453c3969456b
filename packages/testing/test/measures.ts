// How much, how long, how patiently: what keeps tests cheap, and right on a machine that is busy (docs/testing.md).
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

const factor = Number(process.env["SELVAGE_TEST_RUNS"] ?? 1)

/** How many generated cases to look at: so many by default, more with SELVAGE_TEST_RUNS (`pnpm test:long`). */
export const runs = (byDefault: number): number => Math.max(1, Math.round(byDefault * factor))

/**
 * The time of the processor that this thread spends on an effect, in milliseconds: what others do does not count. It is
 * told in ticks of some milliseconds: measure what takes fifty at least, or repeat it.
 */
export const cpuMillis = <E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<number, E, R> =>
  Effect.gen(function* () {
    const before = process.threadCpuUsage()
    yield* effect
    const { system, user } = process.threadCpuUsage(before)
    return (user + system) / 1000
  })

/**
 * Asserts that a cost is in proportion to the size: eight pieces of work cost about what one of eight times the size costs.
 * Where the cost is the square of the size, the large one costs eight times as much.
 */
export const assertInProportion = <E, R>(
  small: (index: number) => Effect.Effect<unknown, E, R>,
  large: Effect.Effect<unknown, E, R>
): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    const eight = yield* cpuMillis(Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8], small, { discard: true }))
    const one = yield* cpuMillis(large)
    assert.isAtMost(one, 4 * Math.max(eight, 25), `eight small ones: ${eight} ms, a large one: ${one} ms`)
  })

/**
 * Whether something holds with a patience of some milliseconds: first with a short one, so that a test that waits for a
 * limit to pass is over soon, then with longer ones, for a machine that is too busy to answer within the short one.
 */
export const patiently = <A, E, R>(attempt: (millis: number) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    for (const millis of [150, 1500, 15_000]) {
      const exit = yield* Effect.exit(attempt(millis))
      if (Exit.isSuccess(exit) || Cause.hasInterrupts(exit.cause)) return yield* exit
    }
    return yield* attempt(60_000)
  })

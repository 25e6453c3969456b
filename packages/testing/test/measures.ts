// How much, how long, how patiently: what keeps tests cheap, and right on a machine that is busy (docs/testing.md).
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

const factor = Number(process.env["SELVAGE_TEST_RUNS"] ?? 1)

/** How many generated cases to look at: so many by default, more with SELVAGE_TEST_RUNS (`pnpm test:long`). */
export const runs = (byDefault: number): number => Math.max(1, Math.round(byDefault * factor))

/** The time of the processor that this thread spends on an effect, in milliseconds: what others do does not count. */
export const cpuMillis = <E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<number, E, R> =>
  Effect.gen(function* () {
    const before = process.threadCpuUsage()
    yield* effect
    const { system, user } = process.threadCpuUsage(before)
    return (user + system) / 1000
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

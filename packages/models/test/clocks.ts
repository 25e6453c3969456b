// A clock that can be set.
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Sets a clock back or forward. */
export type Jump = (by: Duration.Input) => Effect.Effect<void>

/** The clock of the test with a wall clock that can be set; what sleeps does not notice. */
export const settable = Effect.map(Clock.Clock, (clock) => {
  let ahead = 0
  const millis = () => clock.currentTimeMillisUnsafe() + ahead
  const nanos = () => BigInt(millis()) * 1_000_000n
  const jumping: Clock.Clock = {
    ...clock,
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: Effect.sync(() => clock.monotonicTimeNanosUnsafe()),
    sleep: (duration) => clock.sleep(duration)
  }
  const jump: Jump = (by) => Effect.sync(() => void (ahead += Duration.toMillis(Duration.fromInputUnsafe(by))))
  return { jumping, jump }
})

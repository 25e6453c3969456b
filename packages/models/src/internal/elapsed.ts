/** Time that passes, which a clock that is set does not change. */
import type * as Clock from "effect/Clock"

/** Milliseconds since some moment: only their differences mean something. */
export const elapsedMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)

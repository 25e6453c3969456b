import type * as Clock from "effect/Clock"

/** Milliseconds of a clock that only goes forward, from a beginning of its own. */
export const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000

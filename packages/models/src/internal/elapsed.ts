/** Time that passes, which a clock that is set does not change. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as RateLimiter from "effect/persistence/RateLimiter"

/** Milliseconds since some moment: only their differences mean something. */
export const elapsedMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)

const steadyClocks = new WeakMap<Clock.Clock, Clock.Clock>()

/** A clock without a time of day, whose every time is time that passed. */
const steadyOf = (clock: Clock.Clock): Clock.Clock => {
  const known = steadyClocks.get(clock)
  if (known !== undefined) return known
  const made: Clock.Clock = {
    currentTimeMillisUnsafe: () => elapsedMillis(clock),
    currentTimeMillis: Effect.sync(() => elapsedMillis(clock)),
    currentTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    currentTimeNanos: clock.monotonicTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(duration)
  }
  steadyClocks.set(clock, made)
  return made
}

const steadily = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => Effect.provideService(self, Clock.Clock, steadyOf(fiber.getRef(Clock.Clock))))

/** `CircuitBreaker.layerStoreMemory`, whose circuits are open for the time that passes. */
export const layerCircuits: Layer.Layer<CircuitBreaker.CircuitBreakerStore> = Layer.effect(
  CircuitBreaker.CircuitBreakerStore,
  Effect.map(Layer.build(CircuitBreaker.layerStoreMemory()), (context) => {
    const store = Context.get(context, CircuitBreaker.CircuitBreakerStore)
    return {
      admit: (key) => steadily(store.admit(key)),
      record: (outcome) => steadily(store.record(outcome)),
      state: (key) => steadily(store.state(key))
    }
  })
)

/** `RateLimiter.layerStoreMemory`, whose buckets fill by the time that passes. */
export const layerLimits: Layer.Layer<RateLimiter.RateLimiterStore> = Layer.effect(
  RateLimiter.RateLimiterStore,
  Effect.map(Layer.build(RateLimiter.layerStoreMemory), (context) => {
    const store = Context.get(context, RateLimiter.RateLimiterStore)
    return {
      fixedWindow: (options) => steadily(store.fixedWindow(options)),
      tokenBucket: (options) => steadily(store.tokenBucket(options)),
      adaptiveConsume: (options) => steadily(store.adaptiveConsume(options)),
      adaptiveFeedback: (options) => steadily(store.adaptiveFeedback(options))
    }
  })
)

import { Errors, Policy, Task } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as TestClock from "effect/testing/TestClock"

class Flaky extends Schema.TaggedError<Flaky>()("Flaky", {
  isRetryable: Schema.Boolean,
  retryAfter: Schema.optionalKey(Schema.DurationFromMillis)
}) {}

/** An effect that fails with each of the errors in turn and then succeeds, and the times at which it was tried. */
const failing = (errors: ReadonlyArray<Flaky>) => {
  const times: Array<number> = []
  const effect = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const error = errors[times.length]
    times.push(now)
    return error === undefined ? Effect.succeed("ok") : Effect.fail(error)
  })
  return { times, effect }
}

/** Runs it to its end in test time. */
const within = <A, E, R>(duration: Duration.Input, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust(duration)
    return yield* Fiber.await(fiber)
  })

const flaky = new Flaky({ isRetryable: true })
const broken = new Flaky({ isRetryable: false })
const every = (delay: Duration.Input) => Policy.retryable(Schedule.spaced(delay))

describe("retry", () => {
  it.effect("waits what the schedule says, and at least the error's retryAfter", () =>
    Effect.gen(function* () {
      const hurried = new Flaky({ isRetryable: true, retryAfter: Duration.millis(20) })
      const limited = new Flaky({ isRetryable: true, retryAfter: Duration.seconds(7) })
      const { effect, times } = failing([flaky, hurried, limited, flaky])
      const policy = Policy.make({ retry: Policy.retryable(Schedule.exponential("100 millis")) })
      assert.deepStrictEqual(yield* within("1 minute", Policy.apply(effect, policy)), Exit.succeed("ok"))
      assert.deepStrictEqual(times, [0, 100, 300, 7300, 8100])
    })
  )

  it.effect("only an error that is retryable is retried", () =>
    Effect.gen(function* () {
      const { effect, times } = failing([flaky, broken])
      const exit = yield* within("1 minute", Policy.apply(effect, Policy.make({ retry: every("1 second") })))
      assert.deepStrictEqual(exit, Exit.fail(broken))
      assert.deepStrictEqual(times, [0, 1000])
    })
  )

  it.effect(
    "a bug is not retried, and neither are an ask that waits and a journal that fails, whatever the schedule",
    () =>
      Effect.gen(function* () {
        const always = Policy.make({ retry: Schedule.spaced("1 second") })
        const causes: ReadonlyArray<Effect.Effect<never, unknown>> = [
          Effect.die("bug"),
          Effect.fail(new Task.Suspended({ asks: ["a"] })),
          Effect.fail(new Errors.JournalUnavailable({ operation: "append", cause: "down" })),
          Effect.fail(new Errors.JournalConflict({ thread: "t", expected: 1, actual: 2 }))
        ]
        for (const cause of causes) {
          let tried = 0
          const effect = Effect.suspend(() => (tried++, cause))
          const exit = yield* within("10 seconds", Policy.apply(effect, always))
          assert.isTrue(Exit.isFailure(exit))
          assert.strictEqual(tried, 1)
        }
      })
  )

  it.effect("composes with the operators of Schedule, and ends with the last error", () =>
    Effect.gen(function* () {
      const both = Schedule.max([Schedule.spaced("1 second"), Schedule.recurs(2)])
      const { effect, times } = failing([flaky, flaky, flaky, flaky])
      const exit = yield* within("1 minute", Policy.apply(effect, Policy.make({ retry: Policy.retryable(both) })))
      assert.deepStrictEqual(exit, Exit.fail(flaky))
      assert.deepStrictEqual(times, [0, 1000, 2000])
    })
  )
})

describe("timeout", () => {
  it.effect("starts anew with each attempt, and interrupts the attempt it ends", () =>
    Effect.gen(function* () {
      const ended: Array<number> = []
      let tried = 0
      const slow = Effect.suspend(() => Effect.sleep(tried++ < 2 ? "1 hour" : "9 seconds")).pipe(
        Effect.onInterrupt(() => Effect.map(Clock.currentTimeMillis, (now) => void ended.push(now)))
      )
      const policy = Policy.make({ retry: every("1 second"), timeout: "10 seconds" })
      assert.deepStrictEqual(yield* within("1 minute", Policy.apply(slow, policy)), Exit.void)
      assert.deepStrictEqual(ended, [10_000, 21_000])
    })
  )

  it.effect("an attempt that timed out leaves no write behind", () =>
    Effect.gen(function* () {
      const written: Array<number> = []
      let tried = 0
      const attempt = Effect.suspend(() => {
        const own = ++tried
        return Effect.andThen(
          Effect.sleep(own === 1 ? "11 seconds" : "1 second"),
          Effect.sync(() => written.push(own))
        )
      })
      const policy = Policy.make({ retry: every("1 second"), timeout: "10 seconds" })
      yield* within("1 minute", Policy.apply(attempt, policy))
      assert.deepStrictEqual(written, [2])
    })
  )

  it.effect("fails with AttemptTimedOut without a retry", () =>
    Effect.gen(function* () {
      const exit = yield* within("5 seconds", Policy.apply(Effect.never, Policy.make({ timeout: "5 seconds" })))
      assert.deepStrictEqual(exit, Exit.fail(new Policy.AttemptTimedOut({ millis: 5000 })))
    })
  )
})

describe("deadline", () => {
  const by = (millis: number) => Effect.provideService(Policy.Deadline, millis)

  it.effect("cuts an attempt short to what is left, and there is no attempt after it", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ timeout: "10 seconds", retry: every("1 second") })
      const cut = (millis: number) => Exit.fail(new Policy.AttemptTimedOut({ millis, deadline: true }))
      assert.deepStrictEqual(yield* within("4 seconds", Policy.apply(Effect.never, policy).pipe(by(4000))), cut(4000))
      let ran = false
      const late = Policy.apply(
        Effect.sync(() => (ran = true)),
        policy
      ).pipe(by(4000))
      assert.deepStrictEqual(yield* within(0, late), cut(0))
      assert.isFalse(ran)
    })
  )

  it.effect("leaves a shorter timeout as it is", () =>
    Effect.gen(function* () {
      const exit = yield* within(
        "1 second",
        Policy.apply(Effect.never, Policy.make({ timeout: "1 second" })).pipe(by(4000))
      )
      assert.deepStrictEqual(exit, Exit.fail(new Policy.AttemptTimedOut({ millis: 1000 })))
    })
  )

  it.effect("a retry whose delay would pass it is given up at once, with the error at hand", () =>
    Effect.gen(function* () {
      const { effect, times } = failing([flaky, flaky, flaky, flaky])
      const policy = Policy.make({ retry: every("3 seconds") })
      const exit = yield* within("6 seconds", Policy.apply(effect, policy).pipe(by(7000)))
      assert.deepStrictEqual(exit, Exit.fail(flaky))
      assert.deepStrictEqual(times, [0, 3000, 6000])
      const patient = new Flaky({ isRetryable: true, retryAfter: Duration.minutes(1) })
      assert.deepStrictEqual(
        yield* within(0, Policy.apply(failing([patient]).effect, policy).pipe(by(20_000))),
        Exit.fail(patient)
      )
    })
  )
})

describe("slots", () => {
  class Pool extends Policy.Slots<Pool>()("test/Pool") {}
  const pooled = Policy.make({ slots: Pool })

  const busy = (log: { running: number; most: number }) =>
    Effect.acquireUseRelease(
      Effect.sync(() => (log.most = Math.max(log.most, ++log.running))),
      () => Effect.sleep("1 second"),
      () => Effect.sync(() => log.running--)
    )

  it.effect("are shared by all that name them, and never exceeded; who came first goes first", () =>
    Effect.gen(function* () {
      const log = { running: 0, most: 0 }
      const order: Array<number> = []
      const one = (index: number) =>
        Effect.andThen(
          Policy.apply(busy(log), pooled),
          Effect.sync(() => order.push(index))
        )
      const exit = yield* within(
        "10 seconds",
        Effect.all(
          Array.from({ length: 7 }, (_, i) => one(i)),
          { concurrency: "unbounded", discard: true }
        )
      )
      assert.deepStrictEqual(exit, Exit.void)
      assert.strictEqual(log.most, 2)
      assert.deepStrictEqual(order, [0, 1, 2, 3, 4, 5, 6])
    }).pipe(Effect.provide(Pool.layer(2)))
  )

  it.effect("too many that wait, and one that waits too long, fail with SlotsExhausted, which a retry may help", () =>
    Effect.gen(function* () {
      const holder = yield* Effect.forkChild(Policy.apply(Effect.sleep("10 seconds"), pooled))
      yield* Effect.yieldNow
      const waiter = yield* Effect.forkChild(Effect.exit(Policy.apply(Effect.void, pooled)))
      yield* Effect.yieldNow
      const third = yield* Effect.flip(Policy.apply(Effect.void, pooled))
      assert.deepStrictEqual(
        third,
        new Policy.SlotsExhausted({ slots: "test/Pool", reason: "too many waiting", after: 1 })
      )
      assert.isTrue(Policy.isRetryable(third))
      yield* TestClock.adjust("3 seconds")
      const waited: Exit.Exit<void, unknown> = yield* Fiber.join(waiter)
      assert.deepStrictEqual(
        waited,
        Exit.fail(new Policy.SlotsExhausted({ slots: "test/Pool", reason: "waited too long", after: 3000 }))
      )
      yield* TestClock.adjust("7 seconds")
      yield* Fiber.join(holder)
      yield* Policy.apply(Effect.void, pooled)
    }).pipe(Effect.provide(Pool.layer(1, { maxWaiting: 1, maxWait: "3 seconds" })))
  )

  it.effect("come free on failure, on a bug, on a timeout and on interruption, and of one that waits", () =>
    Effect.gen(function* () {
      yield* Effect.exit(Policy.apply(Effect.fail("no"), pooled))
      yield* Effect.exit(Policy.apply(Effect.die("bug"), pooled))
      yield* within("1 second", Policy.apply(Effect.never, Policy.make({ slots: Pool, timeout: "1 second" })))
      const started = yield* Deferred.make<void>()
      const holder = yield* Effect.forkChild(
        Policy.apply(Effect.andThen(Deferred.succeed(started, undefined), Effect.never), pooled)
      )
      yield* Deferred.await(started)
      const waiting = yield* Effect.forkChild(Policy.apply(Effect.void, pooled))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(waiting)
      yield* Fiber.interrupt(holder)
      assert.strictEqual(yield* Policy.apply(Effect.succeed("free"), pooled), "free")
    }).pipe(Effect.provide(Pool.layer(1, { maxWaiting: 1 })))
  )

  it.effect("a slot that comes as a waiter is interrupted goes on to the next", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* Effect.forkChild(Policy.apply(Deferred.await(gate), pooled))
      yield* Effect.yieldNow
      const first = yield* Effect.forkChild(Policy.apply(Effect.void, pooled))
      yield* Effect.yieldNow
      const second = yield* Effect.forkChild(Policy.apply(Effect.succeed("second"), pooled))
      yield* Effect.yieldNow
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.interrupt(first)
      assert.strictEqual(yield* Fiber.join(second), "second")
      assert.strictEqual(yield* Policy.apply(Effect.succeed("free"), pooled), "free")
    }).pipe(Effect.provide(Pool.layer(1)))
  )

  it.effect("are taken per attempt: none is held while a retry waits, and the wait is not part of the timeout", () =>
    Effect.gen(function* () {
      const { effect } = failing([flaky])
      const policy = Policy.make({ slots: Pool, retry: every("10 seconds"), timeout: "2 seconds" })
      const retrying = yield* Effect.forkChild(Policy.apply(effect, policy))
      yield* Effect.yieldNow
      const other = yield* within("2 seconds", Policy.apply(Effect.sleep("2 seconds"), pooled))
      assert.deepStrictEqual(other, Exit.void)
      const holder = yield* Effect.forkChild(Policy.apply(Effect.sleep("20 seconds"), pooled))
      const slow = yield* Effect.forkChild(Policy.apply(Effect.sleep("1 second"), policy))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* Fiber.join(retrying), "ok")
      yield* Fiber.join(slow)
      yield* Fiber.join(holder)
    }).pipe(Effect.provide(Pool.layer(1)))
  )
})

describe("breaker", () => {
  it.effect("sees one outcome per call, after its retries; asks, full slots and deadlines are no failures to it", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({
        tripPolicy: CircuitBreaker.consecutive(1),
        openDuration: "1 minute"
      })
      const policy = Policy.make({
        retry: Policy.retryable(Schedule.recurs(2)),
        breaker: { breaker, key: "api" }
      })
      const { effect, times } = failing([flaky, flaky])
      assert.strictEqual(yield* Policy.apply(effect, policy), "ok")
      assert.strictEqual(times.length, 3)
      for (const harmless of [
        new Task.Suspended({ asks: ["a"] }),
        new Policy.SlotsExhausted({ slots: "s", reason: "too many waiting", after: 1 }),
        new Policy.AttemptTimedOut({ millis: 1, deadline: true })
      ]) {
        yield* Effect.flip(Policy.apply(Effect.fail(harmless), policy))
      }
      assert.deepStrictEqual(yield* Effect.flip(Policy.apply(Effect.fail(broken), policy)), broken)
      const open = yield* Effect.exit(Policy.apply(Effect.succeed("not called"), policy))
      assert.isTrue(Exit.isFailure(open) && Cause.squash(open.cause) instanceof CircuitBreaker.CircuitBreakerError)
    }).pipe(Effect.provide(CircuitBreaker.layerStoreMemory()))
  )
})

it.effect("a policy that sets nothing is the effect itself", () =>
  Effect.sync(() => {
    const effect = Effect.succeed(1)
    assert.strictEqual(Policy.apply(effect, Policy.make({})), effect)
  })
)

// Budgets and policies by a clock that is set back and forward, as clocks of machines are.
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import { type Budget, BudgetLedger, BudgetStore, Middleware, ModelPolicy } from "../src/index.ts"
import { type Jump, settable } from "./clocks.ts"
import { fake, holds, text, unavailable } from "./fakes.ts"

const { Ledger } = BudgetLedger
const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const tokens = (count: number): BudgetStore.Amount => ({ tokens: count, micros: 0 })
const runs = Number(process.env.SELVAGE_TEST_RUNS ?? 60)

const jumping = <A, E>(
  test: (jump: Jump) => Effect.Effect<A, E, BudgetLedger.Ledger>,
  options?: BudgetLedger.Options
): Effect.Effect<A, E> =>
  Effect.flatMap(settable, ({ jump, jumping }) =>
    test(jump).pipe(
      Effect.provide(BudgetLedger.layer(options).pipe(Layer.provide(BudgetStore.layerMemory()))),
      Effect.provideService(Clock.Clock, jumping)
    )
  )

const granted = Effect.fnUntraced(function* (account: Budget.AccountInput, amount: number, times: number) {
  const ledger = yield* Ledger
  let count = 0
  for (let asked = 0; asked < times; asked++) {
    const given = yield* Effect.option(ledger.reserve([account], tokens(amount)))
    if (given._tag === "None") continue
    yield* ledger.settle(given.value, tokens(amount))
    count++
  }
  return count
})

describe("Ledger", () => {
  // From the first of two hours that a clock of the zone shows alike; and how many days the next three hours are in.
  for (const [zone, instant, days] of [
    ["Africa/Cairo", "2026-10-29T20:00:00Z", 2],
    ["America/Nuuk", "2026-10-25T00:00:00Z", 2],
    ["America/Scoresbysund", "2026-10-25T00:00:00Z", 2],
    ["Asia/Beirut", "2026-10-24T20:00:00Z", 2],
    ["America/Havana", "2026-11-01T04:00:00Z", 1],
    ["Atlantic/Azores", "2026-10-25T00:00:00Z", 1],
    ["Europe/Zurich", "2026-10-25T00:00:00Z", 1]
  ] as const) {
    it.effect(`keeps the ceiling of a day through the hour that is shown twice in ${zone}`, () =>
      jumping(() =>
        Effect.gen(function* () {
          yield* TestClock.setTime(Date.parse(instant))
          const account = { name: "u", tokens: 100, window: { every: "day", zone } } as const
          let count = 0
          for (let half = 0; half < 6; half++) {
            count += yield* granted(account, 50, 5)
            yield* TestClock.adjust("30 minutes")
          }
          assert.strictEqual(count, 2 * days)
        })
      )
    )
  }

  const accounts: ReadonlyArray<Budget.AccountInput> = [
    { name: "a", tokens: 100, window: { every: "day", zone: "Africa/Cairo" } },
    { name: "a", tokens: 150, window: { every: "month", zone: "UTC" } },
    { name: "a", tokens: 100, window: { last: "24 hours" } },
    { name: "a", tokens: 400 }
  ]
  const jumps = [1_000, 9 * minute, hour, 25 * hour, 8 * day, 40 * day, 400 * day].flatMap((by) => [by, -by])
  const steps = fc.array(
    fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          _tag: fc.constant("reserve" as const),
          amount: fc.constantFrom(30, 50, 70),
          kept: fc.boolean()
        })
      },
      {
        weight: 3,
        arbitrary: fc.record({
          _tag: fc.constant("settle" as const),
          which: fc.nat(20),
          part: fc.double({ min: 0.5, max: 1, noNaN: true })
        })
      },
      { weight: 1, arbitrary: fc.record({ _tag: fc.constant("release" as const), which: fc.nat(20) }) },
      {
        weight: 2,
        arbitrary: fc.record({
          _tag: fc.constant("pass" as const),
          millis: fc.constantFrom(minute, 4 * minute, hour, day)
        })
      },
      { weight: 3, arbitrary: fc.record({ _tag: fc.constant("jump" as const), millis: fc.constantFrom(...jumps) }) }
    ),
    { minLength: 6, maxLength: 40, size: "max" }
  )

  it(
    "gives no fresh ceiling by a clock that is set back or forward: all that was spent or is under way counts until its window has ended",
    () =>
      holds(
        fc.tuple(fc.nat(accounts.length - 1), steps),
        ([index, steps]) =>
          jumping(
            Effect.fnUntraced(function* (jump) {
              yield* TestClock.setTime(Date.parse("2026-10-29T12:00:00Z"))
              const ledger = yield* Ledger
              const account = accounts[index]!
              const made: Array<{
                readonly reservation: BudgetLedger.Reservation
                /** By time that passed, not by the clock. */
                readonly until: number
                state: "held" | "released" | { readonly used: number }
              }> = []
              const elapsed = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))
              for (const step of steps) {
                if (step._tag === "pass") yield* TestClock.adjust(step.millis)
                if (step._tag === "jump") yield* jump(step.millis)
                if (step._tag === "reserve") {
                  const exit = yield* Effect.option(ledger.reserve([account], tokens(step.amount)))
                  if (exit._tag === "None") continue
                  const [now, since] = [yield* Clock.currentTimeMillis, yield* elapsed]
                  const counted = made.reduce((sum, { reservation, state, until }) => {
                    if (reservation.lines[0]!.ends <= now) return sum
                    if (typeof state === "object") return sum + state.used
                    return state === "held" && until > since ? sum + reservation.amount.tokens : sum
                  }, 0)
                  assert.isAtMost(counted + step.amount, account.tokens!)
                  if (step.kept) yield* ledger.keep(exit.value)
                  const until = since + (step.kept ? hour : 10 * minute)
                  made.push({ reservation: exit.value, until, state: "held" })
                }
                if (step._tag === "settle" || step._tag === "release") {
                  const own = made[step.which]
                  if (own === undefined || own.state !== "held") continue
                  if (step._tag === "release") {
                    own.state = "released"
                    yield* ledger.release(own.reservation)
                  } else {
                    const used = Math.round(own.reservation.amount.tokens * step.part)
                    own.state = { used }
                    yield* ledger.settle(own.reservation, tokens(used))
                  }
                }
              }
            })
          ),
        runs
      ),
    3_600_000
  )
})

describe("ModelPolicy", () => {
  const named = Middleware.named({ models: ["fake:one"] })
  const set = (test: (jump: Jump) => Effect.Effect<void, unknown, ModelPolicy.Stores>) =>
    Effect.flatMap(settable, ({ jump, jumping }) =>
      test(jump).pipe(Effect.provide(ModelPolicy.layerStoresMemory), Effect.provideService(Clock.Clock, jumping))
    )

  for (const by of [-day, day]) {
    const way = by < 0 ? "back" : "forward"

    it.effect(`keeps a circuit open for its time by a clock that is set ${way}`, () =>
      set(
        Effect.fnUntraced(function* (jump) {
          const { asked, model } = fake([unavailable, text("again")])
          const policy = yield* ModelPolicy.middleware({
            breaker: { tripPolicy: { _tag: "Consecutive", failures: 1 }, openDuration: "30 seconds" }
          })
          const careful = yield* Middleware.apply(model, Middleware.compose(named, policy))
          const call = Effect.exit(careful.generateText({ prompt: "hi" }))
          yield* call
          yield* jump(by)
          yield* TestClock.adjust("29 seconds")
          assert.isTrue(Exit.isFailure(yield* call))
          assert.strictEqual(asked.length, 1)
          yield* TestClock.adjust("1 second")
          assert.isTrue(Exit.isSuccess(yield* call))
        })
      )
    )

    it.effect(`lets calls through at their rate by a clock that is set ${way}`, () =>
      set(
        Effect.fnUntraced(function* (jump) {
          const { asked, model } = fake([text("yes")])
          const limits = ModelPolicy.rateLimit(yield* RateLimiter.make, { requestsPerMinute: 6, maxWait: "1 minute" })
          const slow = yield* Middleware.apply(model, Middleware.compose(named, limits))
          for (let call = 0; call < 6; call++) yield* slow.generateText({ prompt: "hi" })
          const waiting = yield* Effect.forkChild(slow.generateText({ prompt: "hi" }), { startImmediately: true })
          yield* jump(by)
          yield* TestClock.adjust("9 seconds")
          assert.strictEqual(asked.length, 6)
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(waiting)
        })
      )
    )

    it.effect(`bounds a stream by the time that passes when a clock is set ${way}`, () =>
      set(
        Effect.fnUntraced(function* (jump) {
          const part = (delta: string) => ({ type: "text-delta", id: "t", delta }) as const
          const slowly = Stream.fromIterable(["a", "b"]).pipe(
            Stream.mapEffect((delta) => Effect.delay(Effect.succeed(part(delta)), "8 seconds")),
            Stream.concat(Stream.never)
          )
          const { model } = fake([], { streams: [slowly] })
          const bounded = yield* Middleware.apply(
            model,
            Middleware.compose(named, ModelPolicy.timeout({ firstToken: "10 seconds", nextToken: "10 seconds" }))
          )
          let deltas = ""
          const reader = yield* bounded.streamText({ prompt: "hi" }).pipe(
            Stream.runForEach((part) => Effect.sync(() => (deltas += part.type === "text-delta" ? part.delta : ""))),
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust("5 seconds")
          yield* jump(by)
          yield* TestClock.adjust("12 seconds")
          assert.strictEqual(deltas, "ab")
          assert.isUndefined(reader.pollUnsafe())
          yield* TestClock.adjust("20 seconds")
          assert.isTrue(Exit.isFailure(reader.pollUnsafe() ?? Exit.void))
        })
      )
    )
  }
})

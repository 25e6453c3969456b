import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import { Budget, BudgetLedger, BudgetStore } from "../src/index.ts"
import { holds } from "./fakes.ts"

const { Ledger } = BudgetLedger
const tokens = (count: number): BudgetStore.Amount => ({ tokens: count, micros: 0 })
const at = (iso: string) => TestClock.setTime(DateTime.toEpochMillis(DateTime.makeUnsafe(iso)))

const memory = (options?: BudgetLedger.Options) =>
  Effect.provide(BudgetLedger.layer(options).pipe(Layer.provide(BudgetStore.layerMemory())))

const spend = Effect.fnUntraced(function* (account: Budget.AccountInput, amount: BudgetStore.Amount) {
  const ledger = yield* Ledger
  yield* ledger.settle(yield* ledger.reserve([account], amount), amount)
})

const refusal = (account: Budget.AccountInput, amount: BudgetStore.Amount) =>
  Effect.flatMap(Ledger, (ledger) => Effect.flip(ledger.reserve([account], amount))).pipe(
    Effect.filterOrFail((error) => error._tag === "BudgetExceeded")
  )

/** Everything that is reported while an effect runs. */
const reported = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const ledger = yield* Ledger
    const events: Array<BudgetLedger.BudgetEvent> = []
    const reader = yield* ledger.events.pipe(
      Stream.runForEach((event) => Effect.sync(() => events.push(event))),
      Effect.forkChild({ startImmediately: true })
    )
    yield* effect
    yield* Effect.yieldNow
    yield* Fiber.interrupt(reader)
    return events
  })

describe("Account", () => {
  it("refuses what makes no sense where it is written", () => {
    for (const wrong of [
      { name: "" },
      { name: "a", tokens: -1 },
      { name: "a", tokens: 1.5 },
      { name: "a", dollars: Number.NaN },
      { name: "a", window: { every: "day", zone: "Mars/Olympus" } },
      { name: "a", window: { last: "a while" } },
      { name: "a", alerts: [2] }
    ]) {
      assert.isTrue(Exit.isFailure(Schema.decodeUnknownExit(Budget.Account)(wrong)), JSON.stringify(wrong))
    }
    const wrong = { name: "a", window: { every: "day", zone: "Mars/Olympus" } } as const
    assert.throws(() => Effect.void.pipe(Budget.withAccounts([wrong])), /IANA time zone/)
  })
})

describe("Ledger", () => {
  it.effect("says which account has no room, of how much, and when there will be", () =>
    Effect.gen(function* () {
      yield* at("2026-11-21T08:00:00Z")
      const account = { name: "user:42", dollars: 0.5, window: { every: "day", zone: "Europe/Zurich" } } as const
      yield* spend(account, { tokens: 10, micros: 490_000 })
      const ledger = yield* Ledger
      yield* ledger.reserve([account], { tokens: 10, micros: 8_000 })
      const error = yield* refusal(account, { tokens: 10, micros: 12_000 })
      assert.deepInclude(error, {
        account: "user:42",
        window: "day Europe/Zurich",
        resource: "money",
        ceiling: 500_000,
        spent: 490_000,
        reserved: 8_000,
        asked: 12_000
      })
      assert.strictEqual(
        error.message,
        "The account user:42 (day Europe/Zurich) cannot pay $0.012: of $0.50, $0.49 are spent and $0.008 are reserved; it fits at 2026-11-21T23:00:00.000Z at the latest, if nothing else is spent: wait, or raise the ceiling."
      )
      assert.include((yield* refusal(account, { tokens: 0, micros: 500_001 })).message, "more than the whole ceiling")
    }).pipe(memory())
  )

  it.effect("counts by the calendar of the account's time zone, also on the day that has 25 hours", () =>
    Effect.gen(function* () {
      const account = { name: "u", tokens: 10, window: { every: "day", zone: "Europe/Zurich" } } as const
      yield* at("2026-10-24T22:00:00Z") // midnight in Zurich, before the clocks go back
      yield* spend(account, tokens(10))
      yield* at("2026-10-25T22:59:59.999Z")
      const error = yield* refusal(account, tokens(1))
      assert.strictEqual(DateTime.formatIso(error.freesAt!), "2026-10-25T23:00:00.000Z")
      yield* at("2026-10-25T23:00:00Z")
      yield* spend(account, tokens(10))
      const [day] = yield* (yield* Ledger).balances([account])
      assert.strictEqual(day?.spent.tokens, 10)
    }).pipe(memory())
  )

  it.effect("counts weeks from Monday, and months", () =>
    Effect.gen(function* () {
      const week = { name: "u", tokens: 10, window: { every: "week", zone: "UTC" } } as const
      const month = { name: "u", tokens: 10, window: { every: "month", zone: "UTC" } } as const
      yield* at("2026-11-22T12:00:00Z") // a Sunday
      yield* spend(week, tokens(10))
      yield* spend(month, tokens(10))
      assert.strictEqual(DateTime.formatIso((yield* refusal(week, tokens(1))).freesAt!), "2026-11-23T00:00:00.000Z")
      assert.strictEqual(DateTime.formatIso((yield* refusal(month, tokens(1))).freesAt!), "2026-12-01T00:00:00.000Z")
    }).pipe(memory())
  )

  it("keeps a rolling window: no span of its length has more than the ceiling, and nothing is held back a slice too long", () => {
    const length = 24_000
    const slice = 1_000
    const asks = fc.array(fc.record({ pause: fc.nat(9_000), amount: fc.integer({ min: 1, max: 60 }) }), {
      maxLength: 40
    })
    return holds(asks, (asked) =>
      Effect.gen(function* () {
        const account = { name: "r", tokens: 100, window: { last: "24 seconds" } } as const
        const granted: Array<{ readonly at: number; readonly amount: number }> = []
        const within = (from: number) =>
          granted.filter((one) => one.at > from).reduce((sum, one) => sum + one.amount, 0)
        for (const { amount, pause } of asked) {
          yield* TestClock.adjust(pause)
          const now = yield* Clock.currentTimeMillis
          const exit = yield* Effect.exit(spend(account, tokens(amount)))
          if (Exit.isSuccess(exit)) granted.push({ at: now, amount })
          assert.isAtMost(within(now - length), 100)
          // Refused only if it would not have fitted into a window that is one slice longer.
          if (Exit.isFailure(exit)) assert.isAbove(within(now - length - slice) + amount, 100)
        }
      }).pipe(memory())
    )
  })

  it.effect("says when a rolling window has room for what is asked", () =>
    Effect.gen(function* () {
      const account = { name: "r", tokens: 100, window: { last: "24 hours" } } as const
      yield* at("2026-11-21T00:30:00Z")
      yield* spend(account, tokens(30))
      yield* at("2026-11-21T05:10:00Z")
      yield* spend(account, tokens(60))
      const [small, large] = [yield* refusal(account, tokens(20)), yield* refusal(account, tokens(80))]
      assert.strictEqual(DateTime.formatIso(small.freesAt!), "2026-11-22T01:00:00.000Z")
      assert.strictEqual(DateTime.formatIso(large.freesAt!), "2026-11-22T06:00:00.000Z")
      yield* at("2026-11-22T00:59:59.999Z")
      yield* refusal(account, tokens(20))
      yield* at("2026-11-22T01:00:00Z")
      yield* spend(account, tokens(20))
    }).pipe(memory())
  )

  it.effect("holds in all accounts or in none", () =>
    Effect.gen(function* () {
      const ledger = yield* Ledger
      const accounts = [
        { name: "tenant", tokens: 100 },
        { name: "user", tokens: 5 }
      ]
      yield* Effect.flip(ledger.reserve(accounts, tokens(10)))
      for (const { holds, reserved } of yield* ledger.balances(accounts))
        assert.deepStrictEqual([holds, reserved.tokens], [0, 0])
    }).pipe(memory())
  )

  it.effect("counts an account that is named twice once, with the lowest ceilings", () =>
    Effect.gen(function* () {
      const ledger = yield* Ledger
      const twice = [
        { name: "u", tokens: 100, dollars: 1 },
        { name: "u", tokens: 10 }
      ]
      const error = yield* Effect.flip(ledger.reserve(twice, tokens(11)))
      assert.strictEqual(error._tag === "BudgetExceeded" && error.ceiling, 10)
      yield* ledger.reserve(twice, tokens(10))
      assert.strictEqual((yield* ledger.balances([{ name: "u" }]))[0]?.reserved.tokens, 10)
    }).pipe(memory())
  )

  it.effect("frees what a process held that died, and counts what it settles late after all", () =>
    Effect.gen(function* () {
      const ledger = yield* Ledger
      const account = { name: "u", tokens: 100 }
      const lost = yield* ledger.reserve([account], tokens(100))
      yield* TestClock.adjust("9 minutes")
      yield* refusal(account, tokens(1))
      yield* TestClock.adjust("1 minute")
      yield* spend(account, tokens(40))
      yield* ledger.settle(lost, tokens(90))
      assert.deepInclude((yield* ledger.balances([account]))[0], { spent: tokens(130), reserved: BudgetStore.zero })
    }).pipe(memory())
  )

  it.effect(
    "keeps what it is asked to keep, also with a store that fails once in a while, and no longer than it may",
    () =>
      Effect.gen(function* () {
        const memory = BudgetStore.makeMemory()
        let asked = 0
        const broken = new BudgetStore.BudgetUnavailable({ operation: "renew an amount", cause: "unplugged" })
        const ledger = yield* BudgetLedger.make({ holdFor: "3 minutes", keepFor: "20 minutes" }).pipe(
          Effect.provideService(BudgetStore.BudgetStore, {
            ...memory,
            renew: (request) => (asked++ % 2 === 0 ? Effect.fail(broken) : memory.renew(request))
          })
        )
        const account = { name: "u", tokens: 100 }
        const held = Effect.map(ledger.balances([account]), ([own]) => own?.holds)
        for (const round of [1, 2]) {
          const kept = yield* ledger.reserve([account], tokens(10))
          yield* ledger.keep(kept)
          yield* ledger.reserve([account], tokens(10))
          for (let minutes = 0; minutes < 19; minutes++) {
            yield* TestClock.adjust("1 minute")
            assert.strictEqual(yield* held, minutes < 2 ? 2 : 1, `round ${round}, minute ${minutes + 1}`)
          }
          if (round === 1) yield* ledger.settle(kept, tokens(1))
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(yield* held, 0)
          yield* TestClock.adjust("10 minutes")
        }
        const before = asked
        yield* TestClock.adjust("1 day")
        assert.strictEqual(asked, before)
      }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None"))
  )

  it.effect("counts what is settled very late, and reports what is not counted because its account is forgotten", () =>
    Effect.gen(function* () {
      const ledger = yield* Ledger
      const account = { name: "u", tokens: 100 }
      const lost = yield* ledger.reserve([account], tokens(100))
      yield* TestClock.adjust("8 days")
      const late = yield* ledger.reserve([account], tokens(20))
      yield* ledger.settle(lost, tokens(70))
      assert.strictEqual((yield* ledger.balances([account]))[0]?.spent.tokens, 70)
      yield* ledger.forget([account])
      yield* spend(account, tokens(1))
      const events = yield* reported(ledger.settle(late, tokens(90)))
      assert.deepStrictEqual(
        events.map(({ _tag }) => _tag),
        ["Unsettled"]
      )
      assert.strictEqual((yield* ledger.balances([account]))[0]?.spent.tokens, 1)
    }).pipe(memory())
  )

  it.effect("reports each threshold once, however many callers cross it together", () =>
    Effect.gen(function* () {
      const account = { name: "u", tokens: 1_000, dollars: 1, alerts: [0.5, 0.9, 1] }
      const events = yield* reported(
        Effect.forEach(Array.from({ length: 100 }), () => spend(account, { tokens: 10, micros: 5_000 }), {
          concurrency: "unbounded"
        })
      )
      const told = events.flatMap((event) =>
        event._tag === "ThresholdReached" ? [`${event.resource} ${event.threshold} ${event.spent}`] : []
      )
      assert.sameMembers(told, ["tokens 0.5 500", "tokens 0.9 900", "tokens 1 1000", "money 0.5 500000"])
    }).pipe(memory())
  )

  describe("an account that lets wait", () => {
    const account = { name: "w", tokens: 10, onExhausted: "wait" } as const

    it.effect("grants when there is room again, in order", () =>
      Effect.gen(function* () {
        const ledger = yield* Ledger
        const first = yield* ledger.reserve([account], tokens(10))
        const served: Array<string> = []
        const waiters = yield* Effect.forEach(["a", "b", "c"], (name) =>
          ledger.reserve([account], tokens(10)).pipe(
            Effect.tap((reservation) =>
              Effect.andThen(
                Effect.sync(() => served.push(name)),
                ledger.release(reservation)
              )
            ),
            Effect.forkChild({ startImmediately: true })
          )
        )
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(served, [])
        yield* ledger.release(first)
        yield* Effect.forEach(waiters, Fiber.join)
        assert.deepStrictEqual(served, ["a", "b", "c"])
        assert.strictEqual((yield* ledger.balances([account]))[0]?.holds, 0)
      }).pipe(memory())
    )

    it.effect("finds what another process released, and what time frees", () =>
      Effect.gen(function* () {
        const store = yield* BudgetStore.BudgetStore
        const other = yield* BudgetLedger.make().pipe(Effect.provideService(BudgetStore.BudgetStore, store))
        const own = yield* BudgetLedger.make().pipe(Effect.provideService(BudgetStore.BudgetStore, store))
        const held = yield* other.reserve([account], tokens(10))
        const waiter = yield* Effect.forkChild(own.reserve([account], tokens(10)), { startImmediately: true })
        yield* other.release(held)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(waiter)

        const rolling = { name: "r", tokens: 10, window: { last: "24 seconds" }, onExhausted: "wait" } as const
        yield* own.settle(yield* own.reserve([rolling], tokens(10)), tokens(10))
        const next = yield* Effect.forkChild(own.reserve([rolling], tokens(10)), { startImmediately: true })
        yield* TestClock.adjust("23 seconds")
        assert.isUndefined(next.pollUnsafe())
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(next)
      }).pipe(Effect.provide(BudgetStore.layerMemory()), Effect.scoped)
    )

    it.effect("fails when the time is up, and at once if it can never fit or too many wait", () =>
      Effect.gen(function* () {
        const ledger = yield* Ledger
        yield* refusal(account, tokens(11))
        yield* ledger.reserve([account], tokens(10))
        const one = yield* Effect.forkChild(refusal(account, tokens(1)), { startImmediately: true })
        const two = yield* Effect.forkChild(refusal(account, tokens(1)), { startImmediately: true })
        yield* refusal(account, tokens(1))
        yield* TestClock.adjust("29 seconds")
        assert.isUndefined(one.pollUnsafe())
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.join(one)).reserved, 10)
        yield* Fiber.join(two)
        // Those who left are counted no longer.
        const three = yield* Effect.forkChild(refusal(account, tokens(1)), { startImmediately: true })
        assert.isUndefined(three.pollUnsafe())
        yield* Fiber.interrupt(three)
      }).pipe(memory({ maxWaiting: 2, waitFor: "30 seconds" }))
    )

    it.effect("holds nothing for a caller that is interrupted while it waits, also where it acquires a resource", () =>
      Effect.gen(function* () {
        const ledger = yield* Ledger
        const first = yield* ledger.reserve([account], tokens(10))
        const waiter = yield* Effect.acquireUseRelease(
          ledger.reserve([account], tokens(10)),
          () => Effect.never,
          ledger.release
        ).pipe(Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.interrupt(waiter)
        yield* ledger.release(first)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* ledger.balances([account]))[0]?.holds, 0)
      }).pipe(memory())
    )
  })

  it.effect("gives back what the store granted to a caller that was interrupted before it heard of it", () =>
    Effect.gen(function* () {
      const inner = BudgetStore.makeMemory()
      const granted = yield* Deferred.make<void>()
      const ledger = yield* BudgetLedger.make().pipe(
        Effect.provideService(BudgetStore.BudgetStore, {
          ...inner,
          reserve: (request) =>
            inner.reserve(request).pipe(Effect.tap(Deferred.succeed(granted, void 0)), Effect.andThen(Effect.never))
        })
      )
      const account = { name: "u", tokens: 10 }
      const caller = yield* Effect.forkChild(ledger.reserve([account], tokens(10)), { startImmediately: true })
      yield* Deferred.await(granted)
      assert.strictEqual((yield* ledger.balances([account]))[0]?.holds, 1)
      yield* Fiber.interrupt(caller)
      assert.strictEqual((yield* ledger.balances([account]))[0]?.holds, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("settles once with a store that fails twice, and fails with one that is gone", () =>
    Effect.gen(function* () {
      const inner = BudgetStore.makeMemory()
      const broken = new BudgetStore.BudgetUnavailable({ operation: "settle an amount", cause: "unplugged" })
      let failures = 2
      const ledger = yield* BudgetLedger.make().pipe(
        Effect.provideService(BudgetStore.BudgetStore, {
          ...inner,
          // The first failure is an answer that got lost: the store had settled.
          settle: (request) =>
            Effect.suspend(() => {
              if (failures-- <= 0) return inner.settle(request)
              return Effect.andThen(failures === 1 ? inner.settle(request) : Effect.void, Effect.fail(broken))
            })
        })
      )
      const account = { name: "u", tokens: 10 }
      const settling = yield* Effect.forkChild(ledger.settle(yield* ledger.reserve([account], tokens(10)), tokens(7)))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(settling)
      assert.deepInclude((yield* ledger.balances([account]))[0], { spent: tokens(7), reserved: BudgetStore.zero })
      failures = 3
      const failing = yield* Effect.forkChild(
        Effect.flip(ledger.settle(yield* ledger.reserve([account], tokens(1)), tokens(1)))
      )
      yield* TestClock.adjust("1 second")
      assert.match((yield* Fiber.join(failing)).message, /could not settle an amount.*unplugged/)
    }).pipe(Effect.scoped)
  )

  it.effect("fails, and drops nothing that counts, when the memory has no place for another account", () =>
    Effect.gen(function* () {
      const ledger = yield* BudgetLedger.make()
      const daily = (name: string) => ({ name, window: { every: "day", zone: "UTC" } }) as const
      for (const name of ["a", "b"]) yield* ledger.settle(yield* ledger.reserve([daily(name)], tokens(1)), tokens(1))
      const error = yield* Effect.flip(ledger.reserve([daily("c")], tokens(1)))
      assert.match(error.message, /All 2 are in use/)
      yield* TestClock.adjust("9 days")
      yield* ledger.reserve([daily("c")], tokens(1))
      yield* ledger.reserve([{ name: "run" }], tokens(1))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ledger.reserve([{ name: "run 2" }], tokens(1)))))
      yield* ledger.forget([{ name: "run" }])
      yield* ledger.reserve([{ name: "run 2" }], tokens(1))
    }).pipe(Effect.provide(BudgetStore.layerMemory({ maxBooks: 2 })), Effect.scoped)
  )

  describe("with a store that does not answer", () => {
    const account = { name: "u", tokens: 10 }
    const silent = (parts: Partial<BudgetStore.Service>) => {
      const inner = BudgetStore.makeMemory()
      return BudgetLedger.make({ answerWithin: "5 seconds" }).pipe(
        Effect.map((ledger) => ({ ledger, inner })),
        Effect.provideService(BudgetStore.BudgetStore, { ...inner, ...parts })
      )
    }

    it.effect("fails after a while, also where it cannot be interrupted", () =>
      Effect.gen(function* () {
        for (const operation of ["settle", "release"] as const) {
          const { ledger } = yield* silent({ [operation]: () => Effect.never })
          for (const interrupted of [false, true]) {
            const call = yield* Effect.acquireUseRelease(
              ledger.reserve([account], tokens(1)),
              () => (interrupted ? Effect.never : Effect.void),
              (held) => Effect.exit(operation === "settle" ? ledger.settle(held, tokens(1)) : ledger.release(held))
            ).pipe(Effect.forkChild({ startImmediately: true }))
            if (interrupted) yield* Effect.forkChild(Fiber.interrupt(call), { startImmediately: true })
            yield* TestClock.adjust("4 seconds")
            assert.isUndefined(call.pollUnsafe())
            yield* TestClock.adjust("20 seconds")
            assert.isDefined(call.pollUnsafe())
          }
        }
      }).pipe(Effect.scoped)
    )

    it.effect("holds nothing for a reservation that was granted too late", () =>
      Effect.gen(function* () {
        const { inner, ledger } = yield* silent({})
        const slow = yield* BudgetLedger.make({ answerWithin: "5 seconds" }).pipe(
          Effect.provideService(BudgetStore.BudgetStore, {
            ...inner,
            reserve: (request) => Effect.tap(inner.reserve(request), () => Effect.never)
          })
        )
        const call = yield* Effect.forkChild(Effect.flip(slow.reserve([account], tokens(1))), {
          startImmediately: true
        })
        assert.strictEqual((yield* ledger.balances([account]))[0]?.holds, 1)
        yield* TestClock.adjust("5 seconds")
        assert.match((yield* Fiber.join(call)).message, /could not reserve an amount.*did not answer in 5s/)
        assert.strictEqual((yield* ledger.balances([account]))[0]?.holds, 0)
      }).pipe(Effect.scoped)
    )
  })

  it.effect("does not swallow defects of a store", () =>
    Effect.gen(function* () {
      const ledger = yield* BudgetLedger.make().pipe(
        Effect.provideService(BudgetStore.BudgetStore, {
          ...BudgetStore.makeMemory(),
          reserve: () => Effect.die("boom")
        })
      )
      const exit = yield* Effect.exit(ledger.reserve([{ name: "u" }], tokens(1)))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    }).pipe(Effect.scoped)
  )
})

import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import * as fc from "fast-check"
import { BudgetStore } from "../src/index.ts"
import { spawn } from "node:child_process"
import { join } from "node:path"
import { connect, emptyPlace, redisClient, stores } from "./budgetStores.ts"
import { runs } from "../../testing/test/measures.ts"
import { spend, type Spending } from "./fixtures/spending.ts"

const { BudgetStore: Store, never, zero } = BudgetStore

const day = 86_400_000
const minute = 60_000
const week = 7 * day
const open = { slot: 0, ends: never, ceiling: {}, maxHolds: 10_000 } as const
const tokens = (count: number): BudgetStore.Amount => ({ tokens: count, micros: 0 })

type Hold = { readonly id: string; readonly lines: readonly [BudgetStore.Line, ...Array<BudgetStore.Line>] }

for (const { layer: store, name, skip } of stores("budget_store")) {
  describe.skipIf(skip)(`BudgetStore on ${name}`, () => {
    layer(store, { excludeTestServices: true })((it) => {
      it.effect("holds an amount, counts what was used in its place, and counts it once", () =>
        Effect.gen(function* () {
          const own = yield* Store
          const line = { ...open, book: "once" }
          const amount = { tokens: 100, micros: 2_000 }
          const request = { id: "once-1", lines: [line] as const, amount, now: 0, expires: minute }
          assert.deepStrictEqual(yield* own.reserve(request), { _tag: "Reserved" })
          assert.deepStrictEqual(yield* own.sums(["once"], 0), [{ spent: zero, reserved: amount, holds: 1 }])
          const usage = { tokens: 70, micros: 1_500 }
          const end = { id: "once-1", charges: [line] as const, usage, now: 0 }
          assert.deepStrictEqual(yield* own.settle(end), [zero])
          assert.deepStrictEqual(yield* own.settle(end), [undefined])
          assert.deepStrictEqual(yield* own.sums(["once"], 0), [{ spent: usage, reserved: zero, holds: 0 }])
        })
      )

      it.effect("gives back what is released, and counts nothing afterwards", () =>
        Effect.gen(function* () {
          const own = yield* Store
          const line = { ...open, book: "released" }
          yield* own.reserve({ id: "rel-1", lines: [line], amount: tokens(5), now: 0, expires: minute })
          yield* own.release({ id: "rel-1", charges: [line], now: 0 })
          yield* own.release({ id: "rel-1", charges: [line], now: 0 })
          assert.deepStrictEqual(yield* own.settle({ id: "rel-1", charges: [line], usage: tokens(5), now: 0 }), [
            undefined
          ])
          assert.deepStrictEqual(yield* own.sums(["released"], 0), [{ spent: zero, reserved: zero, holds: 0 }])
        })
      )

      it.effect("refuses by the first line without room, and then holds nothing in any", () =>
        Effect.gen(function* () {
          const own = yield* Store
          const tenant = { ...open, book: "nested tenant", ceiling: { tokens: 1_000 } }
          const user = { ...open, book: "nested user", ends: 500, ceiling: { tokens: 1_000, micros: 40 } }
          const amount = { tokens: 10, micros: 30 }
          yield* own.reserve({ id: "n-1", lines: [tenant, user], amount, now: 0, expires: minute })
          yield* own.settle({ id: "n-1", charges: [tenant, user], usage: { tokens: 10, micros: 15 }, now: 0 })
          yield* own.reserve({
            id: "n-2",
            lines: [tenant, user],
            amount: { tokens: 1, micros: 20 },
            now: 0,
            expires: minute
          })
          const before = yield* own.sums(["nested tenant", "nested user"], 0)
          const reply = yield* own.reserve({ id: "n-3", lines: [tenant, user], amount, now: 0, expires: minute })
          assert.deepStrictEqual(
            reply._tag === "Refused"
              ? { ...reply, slots: reply.slots.reduce((sum, slot) => BudgetStore.add(sum, slot.amount), zero) }
              : reply,
            {
              _tag: "Refused",
              index: 1,
              resource: "money",
              sums: { spent: { tokens: 10, micros: 15 }, reserved: { tokens: 1, micros: 20 }, holds: 1 },
              slots: { tokens: 11, micros: 35 }
            }
          )
          assert.isTrue(reply._tag === "Refused" && reply.slots.every(({ ends }) => ends === 500))
          assert.deepStrictEqual(yield* own.sums(["nested tenant", "nested user"], 0), before)
        })
      )

      it.effect("bounds how many holds a book has", () =>
        Effect.gen(function* () {
          const own = yield* Store
          const line = { ...open, book: "bounded", maxHolds: 2 }
          for (const id of ["b-1", "b-2"]) {
            yield* own.reserve({ id, lines: [line], amount: zero, now: 0, expires: minute })
          }
          const reply = yield* own.reserve({ id: "b-3", lines: [line], amount: zero, now: 0, expires: minute })
          assert.strictEqual(reply._tag === "Refused" && reply.resource, "holds")
          yield* own.release({ id: "b-1", charges: [line], now: 0 })
          assert.strictEqual(
            (yield* own.reserve({ id: "b-4", lines: [line], amount: zero, now: 0, expires: minute }))._tag,
            "Reserved"
          )
        })
      )

      it.effect("frees a hold when it expires, and still counts its late usage, once", () =>
        Effect.gen(function* () {
          const own = yield* Store
          const line = { ...open, book: "late", ceiling: { tokens: 100 } }
          yield* own.reserve({ id: "l-1", lines: [line], amount: tokens(100), now: 0, expires: minute })
          const second = { id: "l-2", lines: [line] as const, amount: tokens(60), now: minute - 1, expires: 2 * minute }
          assert.strictEqual((yield* own.reserve(second))._tag, "Refused")
          assert.strictEqual((yield* own.reserve({ ...second, now: minute }))._tag, "Reserved")
          const late = { id: "l-1", charges: [line] as const, usage: tokens(90), now: 3 * minute }
          assert.deepStrictEqual(yield* own.settle(late), [zero])
          assert.deepStrictEqual(yield* own.settle(late), [undefined])
          assert.deepStrictEqual(yield* own.sums(["late"], 3 * minute), [
            { spent: tokens(90), reserved: zero, holds: 0 }
          ])
        })
      )

      it.effect("lets a hold that is renewed expire later, also one that has expired, but none that is over", () =>
        Effect.gen(function* () {
          const own = yield* Store
          const line = { ...open, book: "renewed", ceiling: { tokens: 100 } }
          const day1 = { ...open, book: "renewed day", ends: day }
          const renew = (id: string, now: number, expires: number) =>
            own.renew({ id, charges: [line, day1], now, expires })
          const held = (now: number) =>
            Effect.map(own.sums(["renewed", "renewed day"], now), (sums) =>
              sums.map(({ holds, reserved }) => [holds, reserved.tokens])
            )
          for (const id of ["r-1", "r-2"])
            yield* own.reserve({ id, lines: [line, day1], amount: tokens(10), now: 0, expires: minute })
          yield* renew("r-1", minute - 1, 3 * minute)
          assert.deepStrictEqual(yield* held(2 * minute), [
            [1, 10],
            [1, 10]
          ])
          yield* renew("r-2", 2 * minute, 4 * minute)
          assert.deepStrictEqual(yield* held(2 * minute), [
            [2, 20],
            [2, 20]
          ])
          yield* own.settle({ id: "r-1", charges: [line, day1], usage: tokens(7), now: 2 * minute })
          yield* renew("r-1", 2 * minute, 5 * minute)
          yield* renew("never", 2 * minute, 5 * minute)
          assert.deepStrictEqual(yield* held(3 * minute), [
            [1, 10],
            [1, 10]
          ])
          yield* renew("r-2", day - 1, day + minute)
          assert.deepStrictEqual(yield* held(day), [
            [1, 10],
            [0, 0]
          ])
          yield* own.forget(["renewed"])
          yield* renew("r-2", day, day + 2 * minute)
          assert.deepStrictEqual(yield* held(day), [
            [0, 0],
            [0, 0]
          ])
        })
      )

      it.effect("counts a slot until it ends, and its holds no longer than that", () =>
        Effect.gen(function* () {
          const own = yield* Store
          const first = { ...open, book: "days", slot: 0, ends: day, ceiling: { tokens: 10 } }
          const next = { ...first, slot: day, ends: 2 * day }
          yield* own.reserve({ id: "d-1", lines: [first], amount: tokens(6), now: day - 10, expires: day + minute })
          yield* own.reserve({ id: "d-2", lines: [first], amount: tokens(4), now: day - 10, expires: day + minute })
          yield* own.settle({ id: "d-1", charges: [first], usage: tokens(6), now: day - 5 })
          assert.deepStrictEqual(yield* own.sums(["days"], day - 1), [
            { spent: tokens(6), reserved: tokens(4), holds: 1 }
          ])
          assert.deepStrictEqual(yield* own.sums(["days"], day), [{ spent: zero, reserved: zero, holds: 0 }])
          yield* own.reserve({ id: "d-3", lines: [next], amount: tokens(10), now: day, expires: day + minute })
          // Reserved yesterday, settled today: yesterday's.
          assert.deepStrictEqual(yield* own.settle({ id: "d-2", charges: [first], usage: tokens(4), now: day + 1 }), [
            zero
          ])
          assert.deepStrictEqual(yield* own.sums(["days"], day + 1), [{ spent: zero, reserved: tokens(10), holds: 1 }])
        })
      )

      it.effect("knows what was spent after a clock was far ahead for a while, and has few slots all the same", () =>
        Effect.gen(function* () {
          const own = yield* Store
          const daily = (at: number) => ({ ...open, book: "ahead", slot: at * day, ends: (at + 1) * day })
          let id = 0
          const spend = Effect.fnUntraced(function* (at: number, now: number) {
            const request = { id: `ahead-${id++}`, lines: [daily(at)] as const, now }
            yield* own.reserve({ ...request, amount: tokens(1), expires: now + minute })
            yield* own.settle({ id: request.id, charges: request.lines, usage: tokens(1), now })
          })
          for (let at = 130; at < 200; at++) yield* spend(at, at * day)
          const spent = (now: number) => Effect.map(own.sums(["ahead"], now), ([sums]) => sums?.spent.tokens)
          const now = 199 * day
          assert.strictEqual(yield* spent(now), 1)
          const hold = { ...daily(199), ceiling: { tokens: 20 } }
          yield* own.reserve({ id: "ahead-held", lines: [hold], amount: tokens(5), now, expires: now + minute })
          // A clock that is a year ahead, for as many reservations as a store may drop something by.
          for (let more = 0; more < 66; more++) yield* spend(600, 600 * day)
          assert.strictEqual(yield* spent(600 * day), 66)
          // Back again: what was spent today, and by the wrong clock; and what is under way.
          assert.deepStrictEqual((yield* own.sums(["ahead"], now))[0], {
            spent: tokens(67),
            reserved: tokens(5),
            holds: 1
          })
          const refused = yield* own.reserve({
            id: "ahead-no",
            lines: [{ ...hold, ceiling: { tokens: 72 } }],
            amount: tokens(1),
            now,
            expires: now + minute
          })
          assert.strictEqual(refused._tag, "Refused")
          // The slots of a refusal are all that there are after this time.
          const all = yield* own.reserve({
            id: "ahead-all",
            lines: [{ ...hold, ceiling: { tokens: 0 } }],
            amount: tokens(1),
            now: -1,
            expires: minute
          })
          assert.strictEqual(all._tag === "Refused" && all.sums.spent.tokens, 136)
          assert.isAtMost(all._tag === "Refused" ? all.slots.length : 999, 40)
          assert.deepStrictEqual(yield* own.settle({ id: "ahead-held", charges: [hold], usage: tokens(3), now }), [
            tokens(67)
          ])
        })
      )

      it.effect("keeps numbers up to 2^53 exact", () =>
        Effect.gen(function* () {
          const own = yield* Store
          const line = { ...open, book: "large", ceiling: { micros: Number.MAX_SAFE_INTEGER } }
          const large = { tokens: 1, micros: 9_007_199_254_740_990 }
          yield* own.reserve({ id: "g-1", lines: [line], amount: large, now: 0, expires: minute })
          yield* own.settle({ id: "g-1", charges: [line], usage: large, now: 0 })
          const one = { tokens: 0, micros: 1 }
          yield* own.reserve({ id: "g-2", lines: [line], amount: one, now: 0, expires: minute })
          yield* own.settle({ id: "g-2", charges: [line], usage: one, now: 0 })
          const reply = yield* own.reserve({ id: "g-3", lines: [line], amount: one, now: 0, expires: minute })
          assert.strictEqual(reply._tag === "Refused" && reply.sums.spent.micros, Number.MAX_SAFE_INTEGER)
        })
      )

      it.effect("forgets books", () =>
        Effect.gen(function* () {
          const own = yield* Store
          const [run, user] = [
            { ...open, book: "run:1" },
            { ...open, book: "user:1" }
          ] as const
          yield* own.reserve({ id: "f-1", lines: [run, user], amount: tokens(5), now: 0, expires: minute })
          yield* own.forget(["run:1", "not there"])
          assert.deepStrictEqual(yield* own.settle({ id: "f-1", charges: [run, user], usage: tokens(7), now: 0 }), [
            undefined,
            zero
          ])
          assert.deepStrictEqual(yield* own.sums(["run:1", "user:1"], 0), [
            { spent: zero, reserved: zero, holds: 0 },
            { spent: tokens(7), reserved: zero, holds: 0 }
          ])
        })
      )

      it.effect("never overdraws with hundreds of callers on one account", () =>
        Effect.gen(function* () {
          const own = yield* Store
          // Of 200 callers 7 users could each pay 16, together 112; their tenant can pay 80.
          const hundreds = runs(2)
          const tenant = { ...open, book: "crowd tenant", ceiling: { tokens: 400 * hundreds } }
          const amount = { tokens: 10, micros: 60 }
          const callers = Array.from({ length: 100 * hundreds }, (_, caller) => {
            const user = {
              ...open,
              book: `crowd user ${caller % 7}`,
              ceiling: { tokens: 1_000, micros: 500 * hundreds }
            }
            const lines = caller % 2 === 0 ? ([tenant, user] as const) : ([user, tenant] as const)
            return { id: `c-${caller}`, lines }
          })
          const together = { concurrency: "unbounded" } as const
          const replies = yield* Effect.forEach(
            callers,
            ({ id, lines }) => own.reserve({ id, lines, amount, now: 0, expires: minute }),
            together
          )
          const granted = callers.filter((_, index) => replies[index]?._tag === "Reserved")
          assert.strictEqual(granted.length, 40 * hundreds)
          const books = ["crowd tenant", ...Array.from({ length: 7 }, (_, index) => `crowd user ${index}`)]
          const during = yield* own.sums(books, 0)
          assert.deepStrictEqual(during[0], {
            spent: zero,
            reserved: { tokens: 400 * hundreds, micros: 2400 * hundreds },
            holds: 40 * hundreds
          })
          for (const { reserved } of during.slice(1)) assert.isAtMost(reserved.micros, 500 * hundreds)

          const usage = { tokens: 9, micros: 55 }
          yield* Effect.forEach(
            granted,
            ({ id, lines }, index) =>
              index % 5 === 0
                ? own.release({ id, charges: lines, now: 0 })
                : own.settle({ id, charges: lines, usage, now: 0 }),
            together
          )
          const [all, ...users] = yield* own.sums(books, 0)
          assert.deepStrictEqual(all, {
            spent: { tokens: 32 * hundreds * 9, micros: 32 * hundreds * 55 },
            reserved: zero,
            holds: 0
          })
          const sum = users.reduce((total, { spent }) => BudgetStore.add(total, spent), zero)
          assert.deepStrictEqual(sum, { tokens: 32 * hundreds * 9, micros: 32 * hundreds * 55 })
        })
      )

      it.effect(
        "agrees with the model under any schedule, and never exceeds a ceiling but by real usage above its estimate",
        () =>
          Effect.gen(function* () {
            const own = yield* Store
            let run = 0
            yield* Effect.promise(() =>
              fc.assert(
                fc.asyncProperty(schedules, (steps) => Effect.runPromise(follow(own, `p${run++}`, steps))),
                { numRuns: runs(name === "memory" ? 50 : 8) }
              )
            )
          })
      )
    })
  })
}

const spender = (spending: Spending) =>
  Effect.callback<{ readonly granted: number; readonly signal: string | null }, Error>((resume) => {
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, "fixtures/spender.ts"), JSON.stringify(spending)],
      { stdio: ["ignore", "pipe", "inherit"] }
    )
    let out = ""
    child.stdout.on("data", (chunk) => (out += String(chunk)))
    child.on("error", (error) => resume(Effect.fail(error)))
    child.on("close", (_, signal) => resume(Effect.succeed({ granted: Number(out), signal })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

for (const { name, skip } of stores("budget_processes").filter(({ name }) => name !== "memory")) {
  describe.skipIf(skip)(`BudgetStore of several processes on ${name}`, () => {
    it.live("never overdraws, and has again what a process held that was killed when its holds expire", () =>
      Effect.gen(function* () {
        const place = yield* emptyPlace(name, "selvage_budget_processes")
        const left = Effect.map(
          Effect.flatMap(BudgetStore.BudgetStore, (own) =>
            Effect.all([own.sums(["shared"], 0), own.sums(["shared"], 60_000)])
          ),
          ([[before], [after]]) => ({ before, after })
        ).pipe(Effect.provide(connect(name, place)))
        const many = { store: name, place, callers: 200, now: 0, settles: true }
        const dead = yield* spender({ ...many, name: "dead", callers: 30, settles: false })
        assert.strictEqual(dead.signal, "SIGKILL")
        const [other, own] = yield* Effect.all([spender({ ...many, name: "a" }), spend({ ...many, name: "b" })], {
          concurrency: 2
        })
        assert.strictEqual(other.granted + own, 70)
        const { after, before } = yield* left
        assert.deepStrictEqual(before, { spent: tokens(700), reserved: tokens(300), holds: 30 })
        assert.deepStrictEqual(after, { spent: tokens(700), reserved: zero, holds: 0 })
        assert.strictEqual(yield* spend({ ...many, name: "c", now: 60_000 }), 30)
      }).pipe(Effect.scoped)
    )
  })
}

const onRedis = stores("budget_redis").find(({ name }) => name === "Redis")

describe.skipIf(onRedis?.skip)("BudgetStore on Redis", () => {
  it.live("leaves nothing behind for ever but accounts without window", () =>
    Effect.gen(function* () {
      const prefix = yield* emptyPlace("Redis", "selvage_budget_redis")
      const daily = { ...open, book: "daily", ends: day }
      yield* Effect.gen(function* () {
        const own = yield* Store
        for (const id of ["k-1", "k-2"]) {
          yield* own.reserve({
            id,
            lines: [daily, { ...open, book: "run" }],
            amount: tokens(1),
            now: 0,
            expires: minute
          })
        }
        yield* own.settle({ id: "k-1", charges: [daily, { ...open, book: "run" }], usage: tokens(1), now: 0 })
      }).pipe(Effect.provide(connect("Redis", prefix)))
      const client = yield* Redis.Redis
      const keys = (yield* client.send<Array<string>>("KEYS", `{${prefix}}*`)).sort()
      const days = yield* Effect.forEach(keys, (key) =>
        Effect.map(client.send<number>("PTTL", key), (millis) => (millis < 0 ? "for ever" : Math.round(millis / day)))
      )
      const lives = Object.fromEntries(keys.map((key, index) => [key.slice(prefix.length + 3), days[index]]))
      assert.deepStrictEqual(lives, {
        "book:daily": 8,
        "book:run": "for ever",
        "hold:k-2:daily": 7,
        "hold:k-2:run": 7,
        "open:daily": 8,
        "open:run": "for ever"
      })
    }).pipe(Effect.scoped, Effect.provide(redisClient))
  )
})

type Step =
  | { readonly _tag: "reserve"; readonly accounts: ReadonlyArray<number>; readonly amount: BudgetStore.Amount }
  | { readonly _tag: "settle"; readonly which: number; readonly usage: BudgetStore.Amount }
  | { readonly _tag: "release"; readonly which: number }
  | { readonly _tag: "renew"; readonly which: number }
  | { readonly _tag: "pass"; readonly millis: number }

const amounts = (most: number) => fc.record({ tokens: fc.nat(most), micros: fc.nat(most) })
const schedules: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        _tag: fc.constant("reserve" as const),
        accounts: fc.uniqueArray(fc.nat(3), { minLength: 1 }),
        amount: amounts(40)
      })
    },
    {
      weight: 3,
      arbitrary: fc.record({ _tag: fc.constant("settle" as const), which: fc.nat(30), usage: amounts(60) })
    },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("release" as const), which: fc.nat(30) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("renew" as const), which: fc.nat(30) }) },
    {
      weight: 2,
      // Within a slot, past the life of a hold, into another slot, past all memory; and back.
      arbitrary: fc.record({
        _tag: fc.constant("pass" as const),
        millis: fc.constantFrom(1, 30_000, minute, day / 2, week, 400 * day, -1, -minute, -day / 2, -week, -400 * day)
      })
    }
  ),
  { maxLength: 30 }
)

// What the accounts are: without window, of a day, of a day with other ceilings, without ceiling.
const lineAt = (prefix: string, account: number, now: number): BudgetStore.Line => {
  const slot = Math.floor(now / day) * day
  const daily = { slot, ends: slot + day, maxHolds: 4, book: `${prefix} ${account}` }
  if (account === 0) return { ...open, book: `${prefix} 0`, ceiling: { tokens: 200, micros: 150 } }
  if (account === 1) return { ...daily, ceiling: { tokens: 100 } }
  return account === 2 ? { ...daily, ceiling: { micros: 80 } } : { ...daily, ceiling: {} }
}

interface Entry extends BudgetStore.Charge {
  readonly id: string
  expires: number
  /** Renewed after it had expired, so that it may be beyond the ceiling. */
  revived: boolean
  readonly held: BudgetStore.Amount
  state: "held" | "released" | { readonly usage: BudgetStore.Amount; readonly overrun: BudgetStore.Amount }
}

const isOpen = (entry: Entry, now: number) => entry.state === "held" && entry.expires > now && entry.ends > now

/** Does the steps on a store and on a list of everything that happened, and compares after each. */
const follow = (own: BudgetStore.Service, prefix: string, steps: ReadonlyArray<Step>) =>
  Effect.gen(function* () {
    const holds: Array<Hold> = []
    const entries: Array<Entry> = []
    let now = 1_000 * day
    // By time that goes back, holds that expired are open again beside those that took their place.
    let wentBack = false
    const modelOf = (book: string): BudgetStore.Sums & { readonly overrun: BudgetStore.Amount } => {
      let [spent, reserved, overrun] = [zero, zero, zero]
      let count = 0
      for (const entry of entries) {
        if (entry.book !== book || entry.ends <= now) continue
        if (typeof entry.state === "object") {
          spent = BudgetStore.add(spent, entry.state.usage)
          overrun = BudgetStore.add(overrun, entry.state.overrun)
        } else if (isOpen(entry, now)) {
          reserved = BudgetStore.add(reserved, entry.held)
          if (entry.revived) overrun = BudgetStore.add(overrun, entry.held)
          count++
        }
      }
      return { spent, reserved, holds: count, overrun }
    }
    for (const step of steps) {
      if (step._tag === "pass") {
        now += step.millis
        wentBack ||= step.millis < 0
      }
      if (step._tag === "reserve") {
        const [first, ...rest] = step.accounts.map((account) => lineAt(prefix, account, now))
        const hold: Hold = { id: `${prefix}-${holds.length}`, lines: [first!, ...rest] }
        const expires = now + minute
        const expected = hold.lines.findIndex(
          (line) => BudgetStore.lacking(line, modelOf(line.book), step.amount) !== undefined
        )
        const reply = yield* own.reserve({ ...hold, amount: step.amount, now, expires })
        assert.strictEqual(reply._tag === "Refused" ? reply.index : -1, expected)
        holds.push(hold)
        if (expected < 0) {
          for (const { book, ends, slot } of hold.lines) {
            entries.push({ id: hold.id, book, slot, ends, expires, revived: false, held: step.amount, state: "held" })
          }
        }
      }
      if (step._tag === "settle" || step._tag === "release") {
        const hold = holds[step.which]
        if (hold === undefined) continue
        for (const entry of entries) {
          if (entry.id !== hold.id || entry.state !== "held") continue
          if (step._tag === "release") entry.state = "released"
          else {
            const covered = isOpen(entry, now) && !entry.revived ? entry.held : zero
            const above = (unit: "tokens" | "micros") => Math.max(0, step.usage[unit] - covered[unit])
            entry.state = { usage: step.usage, overrun: { tokens: above("tokens"), micros: above("micros") } }
          }
        }
        if (step._tag === "release") yield* own.release({ id: hold.id, charges: hold.lines, now })
        else yield* own.settle({ id: hold.id, charges: hold.lines, usage: step.usage, now })
      }
      if (step._tag === "renew") {
        const hold = holds[step.which]
        if (hold === undefined) continue
        for (const entry of entries) {
          if (entry.id !== hold.id || entry.state !== "held") continue
          // What has expired comes back, whether there is room or not.
          if (entry.expires <= now) entry.revived = true
          entry.expires = now + minute
        }
        yield* own.renew({ id: hold.id, charges: hold.lines, now, expires: now + minute })
      }
      const books = [0, 1, 2, 3].map((account) => lineAt(prefix, account, now))
      const sums = yield* own.sums(
        books.map(({ book }) => book),
        now
      )
      for (const [index, line] of books.entries()) {
        const { overrun, ...expected } = modelOf(line.book)
        assert.deepStrictEqual(sums[index], expected)
        for (const unit of ["tokens", "micros"] as const) {
          const ceiling = line.ceiling[unit]
          if (ceiling === undefined || wentBack) continue
          assert.isAtMost(expected.spent[unit] + expected.reserved[unit], ceiling + overrun[unit])
        }
      }
    }
  })

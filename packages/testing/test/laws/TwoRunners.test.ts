// Law 4 under several runners: a call that must not be repeated is made once, whoever else runs the thread, and however late
// its request arrives.
import { Channel, Durable, Graph, Journal, Lease, Policy, Task, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import { elsewhere, onJournal, settle } from "../behaviours/support.ts"
import { patiently } from "../measures.ts"
import { stores } from "./worlds.ts"

/** A bank that makes a payment once its request has arrived; it does not know a key twice. */
const makeBank = (arrives: string) => {
  const paid: Array<string> = []
  const request = (key: string) =>
    Effect.andThen(
      Effect.sleep(arrives as "1 second"),
      Effect.sync(() => paid.push(key))
    )
  return {
    paid,
    // What was sent arrives, whatever becomes of the client.
    send: (key: string) =>
      Effect.flatMap(Effect.forkDetach(request(key)), (sent) => Effect.as(Fiber.join(sent), "receipt")),
    find: (key: string) => Effect.sync(() => (paid.includes(key) ? Option.some("receipt") : Option.none()))
  }
}

type Bank = ReturnType<typeof makeBank>

const payment = (bank: Bank, policy?: Parameters<typeof Policy.make>[0]) =>
  Graph.make("payment", {
    state: { receipt: Channel.optional(Schema.String) },
    nodes: {
      pay: Effect.fnUntraced(function* () {
        const key = (yield* Task.Current)?.key ?? ""
        const receipt = yield* Durable.call({
          key: "pay",
          detail: {},
          schema: Schema.String,
          call: bank.send(key),
          reconcile: bank.find(key)
        })
        return { receipt }
      })
    },
    edges: { start: "pay", pay: "end" },
    ...(policy === undefined ? {} : { policies: { pay: Policy.make(policy) } })
  })

/** Lets a store work, and time pass. */
const pass = (seconds: number) =>
  Effect.gen(function* () {
    for (let half = 0; half < seconds * 2; half++) {
      yield* TestClock.adjust("500 millis")
      yield* settle
    }
  })

const input = { thread: "t", input: {} }

const start = <A, E>(run: Effect.Effect<A, E, Journal.Journal>) => Effect.forkChild(Effect.exit(run))

const tag = (exit: Exit.Exit<{ readonly _tag: string }, unknown>) =>
  Exit.isSuccess(exit) ? exit.value._tag : (/JournalConflict|AttemptTimedOut/.exec(String(exit.cause))?.[0] ?? "?")

const everywhere = stores("selvage_two_runners_test")

for (const { layer, name, skip } of everywhere.filter(({ name }) => name !== "PostgreSQL")) {
  describe.skipIf(skip)(`Law 4 with several runners on ${name}`, { timeout: 30_000 }, () => {
    for (const where of ["in two processes", "in one process, without a name"] as const) {
      it.effect(`a call under way is not made by another runner (${where})`, () =>
        Effect.gen(function* () {
          const bank = makeBank("5 seconds")
          const run = Thread.run(payment(bank), input)
          const first = yield* start(run)
          yield* pass(1)
          const second = yield* start(where === "in two processes" ? elsewhere(run) : run)
          yield* pass(15)
          const ends = [tag(yield* Fiber.join(first)), tag(yield* Fiber.join(second))]
          assert.strictEqual(ends[0], "Done")
          assert.include(["Done", "JournalConflict"], ends[1])
          assert.lengthOf(bank.paid, 1)
        }).pipe(Effect.provide(layer))
      )
    }

    it.effect(
      "of three that take over a dead runner's call one makes it, and not before its request can have arrived",
      () =>
        Effect.gen(function* () {
          const bank = makeBank("8 seconds")
          const run = Thread.run(payment(bank), input)
          const dead = yield* start(elsewhere(run))
          yield* pass(1)
          yield* Fiber.interrupt(dead)
          const others = yield* Effect.forEach([1, 2, 3], () => start(elsewhere(run)))
          yield* pass(30)
          const ends = yield* Effect.forEach(others, (fiber) => Effect.map(Fiber.join(fiber), tag))
          assert.include(ends, "Done")
          assert.lengthOf(bank.paid, 1)
        }).pipe(Effect.provide(layer))
    )

    it.effect("a call whose request never left is made by the next runner, once", () =>
      Effect.gen(function* () {
        const bank = makeBank("1 second")
        const silent: Bank = { ...bank, send: () => Effect.never }
        const dead = yield* start(elsewhere(Thread.run(payment(silent), input)))
        yield* pass(1)
        yield* Fiber.interrupt(dead)
        const others = yield* Effect.forEach([1, 2, 3], () => start(elsewhere(Thread.run(payment(bank), input))))
        yield* pass(30)
        const ends = yield* Effect.forEach(others, (fiber) => Effect.map(Fiber.join(fiber), tag))
        assert.include(ends, "Done")
        assert.lengthOf(bank.paid, 1)
      }).pipe(Effect.provide(layer))
    )

    it.effect(
      "a runner whose store is silent makes no call after its lease ran out, and gives up the one under way",
      () =>
        Effect.gen(function* () {
          const bank = makeBank("1 hour")
          let silent = false
          const deaf = onJournal((journal) => ({
            leases: {
              ...journal.leases,
              renew: (owners) => Effect.suspend(() => (silent ? Effect.never : journal.leases.renew(owners)))
            }
          }))
          const run = yield* start(deaf(Thread.run(payment(bank), input)))
          yield* pass(20)
          assert.isUndefined(run.pollUnsafe())
          silent = true
          yield* pass(12)
          assert.strictEqual(tag(yield* Fiber.join(run)), "JournalConflict")
        }).pipe(Effect.provide(layer))
    )

    it.effect("a call that timed out is not made again before its request can have arrived", () =>
      Effect.gen(function* () {
        const bank = makeBank("5 seconds")
        const retried = payment(bank, { timeout: "2 seconds", retry: Policy.retryable(Schedule.recurs(3)) })
        const run = yield* start(Thread.run(retried, input))
        yield* pass(12)
        // The second attempt found nothing and waited; a later one found the payment.
        assert.strictEqual(tag(yield* Fiber.join(run)), "Done")
        assert.lengthOf(bank.paid, 1)
      }).pipe(Effect.provide(layer))
    )

    it.effect("a run without such calls has no lease, and one that is done leaves none", () =>
      Effect.gen(function* () {
        const owners: Array<string> = []
        const watched = onJournal((journal) => ({
          leases: {
            ...journal.leases,
            acquire: (lease) => Effect.suspend(() => (owners.push(lease.owner), journal.leases.acquire(lease)))
          }
        }))
        const idle = Graph.make("idle", {
          state: {},
          nodes: { a: () => Effect.succeed({}) },
          edges: { start: "a", a: "end" }
        })
        yield* watched(Thread.run(idle, { thread: "idle", input: {} }))
        assert.deepStrictEqual(owners, [])
        const bank = makeBank("1 second")
        const run = yield* start(watched(Thread.run(payment(bank), input)))
        yield* pass(2)
        yield* Fiber.join(run)
        assert.lengthOf(owners, 1)
        const { leases } = yield* Journal.Journal
        assert.isTrue(Option.isNone(yield* leases.read(owners[0]!)))
      }).pipe(Effect.provide(layer))
    )

    it.effect("leases can be turned off", () =>
      Effect.gen(function* () {
        const bank = makeBank("1 second")
        const silent: Bank = { ...bank, send: () => Effect.never }
        const dead = yield* start(elsewhere(Thread.run(payment(silent), input)))
        yield* settle
        yield* Fiber.interrupt(dead)
        const next = yield* start(Effect.provideService(elsewhere(Thread.run(payment(bank), input)), Lease.Ttl, 0))
        yield* pass(2)
        assert.strictEqual(tag(yield* Fiber.join(next)), "Done")
      }).pipe(Effect.provide(layer))
    )
  })
}

// A server answers in real time, and not between two steps of the test clock.
for (const { layer, name, skip } of everywhere.filter(({ name }) => name === "PostgreSQL")) {
  describe.skipIf(skip)(`Law 4 with several runners on ${name}`, () => {
    /** A run that dies in its call, and three that come after it; how those end. */
    const takeOver = (dead: Bank, bank: Bank, thread: string, ttl: number) =>
      Effect.gen(function* () {
        const run = (bank: Bank) => elsewhere(Thread.run(payment(bank), { thread, input: {} }))
        const called = yield* Deferred.make<void>()
        const dying = yield* start(
          run({ ...dead, send: (key) => Effect.andThen(Deferred.succeed(called, undefined), dead.send(key)) })
        )
        yield* Deferred.await(called)
        yield* Fiber.interrupt(dying)
        const others = yield* Effect.forEach([1, 2, 3], () => start(run(bank)))
        return yield* Effect.forEach(others, (fiber) => Effect.map(Fiber.join(fiber), tag))
      }).pipe(Effect.provideService(Lease.Ttl, ttl))

    for (const [what, leaves] of [
      ["finds a dead runner's call that arrives late", true],
      ["makes a dead runner's call whose request never left", false]
    ] as const) {
      it.live(`of three one ${what}, and none makes it twice`, () =>
        patiently((millis) =>
          Effect.gen(function* () {
            const bank = makeBank(`${millis / 2} millis`)
            const dead = leaves ? bank : { ...bank, send: () => Effect.never }
            assert.include(yield* takeOver(dead, bank, `${what} ${millis}`, millis), "Done")
            assert.lengthOf(bank.paid, 1)
          })
        ).pipe(Effect.provide(layer))
      )
    }

    it.live("a call that timed out is not made again before its request can have arrived", () =>
      patiently((millis) =>
        Effect.gen(function* () {
          const bank = makeBank(`${millis / 2} millis`)
          const policy = { timeout: `${millis / 5} millis`, retry: Policy.retryable(Schedule.recurs(3)) } as const
          const run = Thread.run(payment(bank, policy), { thread: `timed out ${millis}`, input: {} })
          // The attempts that only wait are timed out too.
          assert.include(["Done", "AttemptTimedOut"], tag(yield* Effect.exit(run)))
          yield* Effect.sleep(millis)
          assert.lengthOf(bank.paid, 1)
        }).pipe(Effect.provideService(Lease.Ttl, millis))
      ).pipe(Effect.provide(layer))
    )
  })
}

import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import { AsyncLocalStorage } from "node:async_hooks"
import * as Alarm from "../src/Alarm.ts"
import { runs } from "../../testing/test/measures.ts"

const set = (millis: number, ring: () => void) => Effect.withFiberSucceed((fiber) => Alarm.by(fiber)(millis, ring))

/** The clock of a test that counts who sleeps by it. */
const counting = Effect.map(Clock.Clock, (clock) => {
  const sleeping = { now: 0, ever: 0 }
  const counted: Clock.Clock = {
    ...clock,
    sleep: (duration) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          sleeping.now++
          sleeping.ever++
        }),
        () => clock.sleep(duration),
        () => Effect.sync(() => sleeping.now--)
      )
  }
  return { counted, sleeping }
})

describe("Alarm", () => {
  it.effect("rings once, when it is time and not before", () =>
    Effect.gen(function* () {
      const rung: Array<string> = []
      yield* set(1000, () => rung.push("first"))
      yield* TestClock.adjust("400 millis")
      yield* set(1000, () => rung.push("second"))
      yield* set(100, () => rung.push("short"))
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(rung, ["short"])
      yield* TestClock.adjust("499 millis")
      assert.deepStrictEqual(rung, ["short"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(rung, ["short", "first"])
      yield* TestClock.adjust("1 hours")
      assert.deepStrictEqual(rung, ["short", "first", "second"])
    })
  )

  it.effect("does not ring when it was called off, however often, and leaves others alone", () =>
    Effect.gen(function* () {
      const rung: Array<string> = []
      const callOff = yield* set(1000, () => rung.push("called off"))
      callOff()
      yield* set(1000, () => rung.push("first"))
      callOff()
      yield* set(1000, () => rung.push("second"))
      yield* set(Infinity, () => rung.push("never"))
      yield* TestClock.adjust("1 hours")
      callOff()
      assert.deepStrictEqual(rung, ["first", "second"])
    })
  )

  it.effect("may set another when it rings, and call off one that is due with it", () =>
    Effect.gen(function* () {
      const rung: Array<string> = []
      const later = { callOff: () => {} }
      const alarm = Alarm.by(yield* Effect.fiber)
      alarm(1000, () => {
        rung.push("first")
        later.callOff()
        alarm(1000, () => rung.push("again"))
      })
      later.callOff = alarm(1000, () => rung.push("called off"))
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(rung, ["first"])
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(rung, ["first", "again"])
    })
  )

  it.effect("waits in one fiber with all of its length, and nobody waits when all are called off", () =>
    Effect.gen(function* () {
      const { counted, sleeping } = yield* counting
      const all = yield* Effect.provideService(
        Effect.forEach(Array.from({ length: 1000 }), () => set(1000, () => {})),
        Clock.Clock,
        counted
      )
      assert.deepStrictEqual(sleeping, { now: 1, ever: 1 })
      for (const callOff of all) callOff()
      assert.deepStrictEqual(sleeping, { now: 0, ever: 1 })
    })
  )

  it.effect("goes by time that passes, whatever the wall shows", () =>
    Effect.gen(function* () {
      const { counted } = yield* counting
      let wall = 0
      const clock: Clock.Clock = { ...counted, currentTimeMillisUnsafe: () => wall }
      const rung: Array<string> = []
      const alarm = (name: string) =>
        Effect.provideService(
          set(1000, () => rung.push(name)),
          Clock.Clock,
          clock
        )
      yield* alarm("first")
      yield* TestClock.adjust("900 millis")
      wall += 3_600_000
      yield* alarm("second")
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(rung, ["first"])
      wall -= 7_200_000
      yield* TestClock.adjust("900 millis")
      assert.deepStrictEqual(rung, ["first", "second"])
    })
  )

  it.effect("rings by a clock whose sleeps take no time", () =>
    Effect.gen(function* () {
      let rung = 0
      const { counted } = yield* counting
      yield* Effect.provideService(
        set(1000, () => rung++),
        Clock.Clock,
        { ...counted, sleep: () => Effect.yieldNow }
      )
      yield* Effect.repeat(Effect.yieldNow, { until: () => rung === 1 })
    })
  )

  it.effect("that throws leaves others alone, and is no secret", () =>
    Effect.gen(function* () {
      const listeners = process.listeners("uncaughtException")
      process.removeAllListeners("uncaughtException")
      const thrown = new Promise((resolve) => process.once("uncaughtException", resolve))
      const rung: Array<string> = []
      yield* set(77, () => {
        throw new Error("broken")
      })
      yield* set(77, () => rung.push("beside"))
      yield* TestClock.adjust("77 millis")
      yield* set(77, () => rung.push("after"))
      yield* TestClock.adjust("77 millis")
      assert.strictEqual(String(yield* Effect.promise(() => thrown)), "Error: broken")
      for (const listener of listeners) process.on("uncaughtException", listener)
      assert.deepStrictEqual(rung, ["beside", "after"])
    })
  )

  it.effect("keeps nothing of who set it, or set the first", () =>
    Effect.gen(function* () {
      const storage = new AsyncLocalStorage<string>()
      const heard: Array<unknown> = []
      const alarm = Alarm.by(yield* Effect.fiber)
      storage.run("first", () => alarm(1000, () => heard.push(storage.getStore())))
      storage.run("second", () => alarm(1000, () => heard.push(storage.getStore())))
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(heard, [undefined, undefined])
    })
  )

  it("rings whatever was not called off in time, and nothing else", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            after: fc.constantFrom(0, 1, 5, 10),
            millis: fc.constantFrom(0, 1, 5, 20),
            callOff: fc.option(fc.nat(30), { nil: undefined })
          }),
          { maxLength: 12 }
        ),
        (alarms) =>
          Effect.gen(function* () {
            const { counted, sleeping } = yield* counting
            const rung: Array<string> = []
            const expected: Array<string> = []
            const due: Array<{ readonly at: number; readonly callOff: () => void }> = []
            let now = 0
            const pass = Effect.fnUntraced(function* (to: number) {
              for (; now < to; now++) {
                yield* TestClock.adjust("1 millis")
                for (const { at, callOff } of due) if (at === now + 1) callOff()
              }
            })
            for (const [index, { after, callOff, millis }] of alarms.entries()) {
              yield* pass(now + after)
              const at = now + millis
              const off = yield* Effect.provideService(
                set(millis, () => rung.push(`${index} at ${at}`)),
                Clock.Clock,
                counted
              )
              if (callOff !== undefined) due.push({ at: now + callOff, callOff: off })
              if (callOff === 0) off()
              if (callOff === undefined || (callOff >= millis && callOff > 0)) expected.push(`${index} at ${at}`)
            }
            yield* pass(now + 60)
            assert.deepStrictEqual(rung.toSorted(), expected.toSorted())
            assert.strictEqual(sleeping.now, 0)
          }).pipe(Effect.provide(TestClock.layer()), Effect.runPromise)
      ),
      { numRuns: runs(30) }
    ))
})

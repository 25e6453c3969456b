import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Watch from "../src/Watch.ts"

/** A request that ends when it is aborted, and what became of it. */
const request = (watch: Watch.Watch) =>
  Effect.callback<never, string>((resume) => {
    watch.signal.addEventListener("abort", () => resume(Effect.fail(watch.isSilent ? "silent" : "aborted")))
  })

const body = (...pieces: ReadonlyArray<string>) => {
  const left = pieces.map((piece) => new TextEncoder().encode(piece))
  let cancelled = false
  const stream = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        const piece = left.shift()
        if (piece === undefined) controller.close()
        else controller.enqueue(piece)
      },
      cancel: () => {
        cancelled = true
      }
    },
    { highWaterMark: 0 }
  )
  return { response: new Response(stream), left: () => left.length, isCancelled: () => cancelled }
}

describe("Watch", () => {
  it.effect("aborts a request that is silent, and counts from what was heard last", () =>
    Effect.gen(function* () {
      let watch: Watch.Watch | undefined
      const fiber = yield* Effect.forkChild(
        Watch.during(1000, (own) => {
          watch = own
          return request(own)
        }),
        { startImmediately: true }
      )
      yield* TestClock.adjust("900 millis")
      watch?.heard()
      yield* TestClock.adjust("900 millis")
      watch?.heard()
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail("silent"))
    })
  )

  it.effect("aborts a request that is left, and none that was heard to its end", () =>
    Effect.gen(function* () {
      const seen: Array<Watch.Watch> = []
      const left = yield* Effect.forkChild(
        Watch.during(1000, (own) => {
          seen.push(own)
          return Effect.never
        }),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(left)
      yield* Watch.during(1000, (own) =>
        Effect.sync(() => {
          seen.push(own)
          own.finished()
        })
      )
      yield* Effect.exit(
        Watch.during(1000, (own) => {
          seen.push(own)
          return Effect.fail("failed")
        })
      )
      yield* TestClock.adjust("1 hours")
      assert.deepStrictEqual(
        seen.map((own) => [own.signal.aborted, own.isFinished, own.isSilent]),
        [
          [true, false, false],
          [false, true, false],
          [true, false, false]
        ]
      )
    })
  )

  it.effect("goes on by its clock when the fiber that began it is over", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const watch = yield* Fiber.join(yield* Effect.forkChild(Scope.provide(Watch.scoped(1000), scope)))
      yield* TestClock.adjust("500 millis")
      watch.heard()
      yield* TestClock.adjust("999 millis")
      assert.isFalse(watch.isSilent)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual([watch.isSilent, watch.signal.aborted], [true, true])
    })
  )

  it.effect("finds no time at all to be silent", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Watch.during(0, request))
      assert.strictEqual(error, "silent")
    })
  )

  it.effect("leaves no alarm, wherever a fiber is interrupted", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      for (let position = 0; position < 12; position++) {
        let sleeping = 0
        let operation = 0
        const scheduler: Scheduler.Scheduler = {
          executionMode: "async",
          shouldYield: () => operation++ === position,
          makeDispatcher: () => new Scheduler.MixedScheduler("async").makeDispatcher()
        }
        const counted: Clock.Clock = {
          ...clock,
          sleep: () =>
            Effect.callback(() => {
              sleeping++
              return Effect.sync(() => void sleeping--)
            })
        }
        const fiber = yield* Watch.during(1000, request).pipe(
          Effect.provideService(Clock.Clock, counted),
          Effect.provideService(Scheduler.Scheduler, scheduler),
          Effect.forkChild({ startImmediately: true })
        )
        yield* Fiber.interrupt(fiber)
        // The sleeper may have yielded too.
        yield* Effect.repeat(Effect.yieldNow, { times: 3 })
        assert.strictEqual(sleeping, 0, `at operation ${position}`)
      }
    })
  )

  it.effect("lasts as long as a scope, and ends as its user says", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const plain = yield* Scope.provide(Watch.scoped(1000), scope)
      const own = yield* Scope.provide(
        Watch.scoped(1000, () => Effect.void),
        scope
      )
      assert.isFalse(plain.signal.aborted)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(plain.signal.aborted)
      assert.isFalse(own.signal.aborted)
      own.abort()
      assert.isTrue(own.signal.aborted)
    })
  )

  it.effect("reads a text, however its characters are cut, and none that is too large", () =>
    Effect.gen(function* () {
      const whole = new TextEncoder().encode("añb")
      const cut = new Response(
        new ReadableStream({
          start: (controller) => {
            controller.enqueue(whole.slice(0, 2))
            controller.enqueue(whole.slice(2))
            controller.close()
          }
        })
      )
      const read = (response: Response, most: number) =>
        Watch.during(1000, (watch) =>
          Effect.map(
            Effect.promise(() => Watch.text(response, watch, most)),
            (text) => ({ text, finished: watch.isFinished })
          )
        )
      assert.deepStrictEqual(yield* read(cut, 4), { text: "añb", finished: true })
      const large = body("four", "more", "rest")
      assert.deepStrictEqual(yield* read(large.response, 7), { text: undefined, finished: false })
      assert.deepStrictEqual([large.left(), large.isCancelled()], [1, true])
    })
  )

  it.effect(
    "takes the place of an SDK's signal in a fetch that obeys it, and has one reason without a stack of the request",
    () =>
      Effect.gen(function* () {
        const sent: Array<AbortSignal | null | undefined> = []
        const fetch = Watch.obeying((_input, init) => {
          sent.push(init?.signal)
          return Promise.resolve(new Response())
        })
        const own = AbortSignal.abort()
        const ask = (init: RequestInit) => Effect.promise(() => fetch("http://127.0.0.1", init))
        const watches: Array<Watch.Watch> = []
        for (let n = 0; n < 2; n++) {
          yield* Watch.during(1000, (watch) => {
            watches.push(watch)
            return ask({ ...watch.options, signal: own })
          })
        }
        yield* ask({ signal: own })
        assert.deepStrictEqual(sent, [watches[0]?.signal, watches[1]?.signal, own])
        const [one, other] = watches.map(({ signal }): unknown => signal.reason)
        assert.instanceOf(one, DOMException)
        assert.strictEqual(one, other)
      })
  )
})

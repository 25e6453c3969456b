import { assert, describe, it } from "@effect/vitest"
import * as CorePolicy from "@selvage/core/Policy"
import * as Cause from "effect/Cause"
import * as References from "effect/References"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import { Middleware, ModelPolicy, Refusal } from "../src/index.ts"
import { fake, finish, forbidden, holds, text, unavailable } from "./fakes.ts"

const limited = (seconds: number) =>
  AiError.make({
    module: "Fake",
    method: "generateText",
    reason: new AiError.RateLimitError({ retryAfter: Duration.seconds(seconds) })
  })

const ask = (model: LanguageModel.LanguageModel) =>
  Effect.map(model.generateText({ prompt: "hi" }), (response) => response.text)

const read = (model: LanguageModel.LanguageModel) =>
  Effect.map(Stream.runCollect(model.streamText({ prompt: "hi" })), (parts) =>
    parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")
  )

/** Both ways of asking, each on a model of its own. */
const both = (
  make: () => Effect.Effect<LanguageModel.LanguageModel>,
  law: (ask: Effect.Effect<string, AiError.AiError>) => Effect.Effect<void, unknown>
) =>
  Effect.gen(function* () {
    yield* law(ask(yield* make()))
    yield* law(read(yield* make()))
  })

const named = Middleware.named({ models: ["fake:one"] })

const find = <A extends Refusal.Carried>(schema: Refusal.ErrorSchema<A>, error: unknown) =>
  Option.getOrThrow(Refusal.find(schema, error))

/** Runs an effect while the test clock goes on by itself, and says how long it took. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>, step: Duration.Input = "100 millis", steps = 2000) =>
  Effect.gen(function* () {
    const began = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.forkChild(
      Effect.flatMap(Effect.exit(effect), (exit) => Effect.map(Clock.currentTimeMillis, (at) => [exit, at] as const)),
      { startImmediately: true }
    )
    for (let n = 0; n < steps && fiber.pollUnsafe() === undefined; n++) yield* TestClock.adjust(step)
    if (fiber.pollUnsafe() === undefined) return yield* Effect.die(new Error("the effect did not end in time"))
    const [exit, at] = yield* Fiber.join(fiber)
    return { exit, millis: at - began }
  })

const stream = (...steps: ReadonlyArray<Response.StreamPartEncoded | Effect.Effect<never, AiError.AiError>>) =>
  Stream.fromIterable(steps).pipe(
    Stream.rechunk(1),
    Stream.mapEffect((step) => (Effect.isEffect(step) ? step : Effect.succeed(step)))
  )

const opening: ReadonlyArray<Response.StreamPartEncoded> = [
  { type: "response-metadata", id: "r" },
  { type: "text-start", id: "1" }
]
const delta = (delta: string): Response.StreamPartEncoded => ({ type: "text-delta", id: "1", delta })
const ending: ReadonlyArray<Response.StreamPartEncoded> = [{ type: "text-end", id: "1" }, finish()]

const whole = stream(...opening, delta("whole"), ...ending)
const torn = stream(...opening, delta("to"), Effect.fail(unavailable))
const stalled = stream(...opening, delta("sta"), Effect.never)
const mute = stream({ type: "response-metadata", id: "r" }, Effect.never)

describe("ModelPolicy", () => {
  describe("retry", () => {
    const twice = ModelPolicy.retry(
      ModelPolicy.retryable(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 })))
    )

    it.effect("asks again on errors worth it, as the schedule says", () =>
      both(
        () => Middleware.apply(fake([unavailable, unavailable, text("yes")]).model, twice),
        Effect.fnUntraced(function* (asked) {
          const { exit, millis } = yield* timed(asked)
          assert.deepStrictEqual(exit, Exit.succeed("yes"))
          assert.strictEqual(millis, 2000)
        })
      )
    )

    it.effect("waits at least what the error asks for", () =>
      both(
        () => Middleware.apply(fake([limited(7), text("yes")]).model, twice),
        Effect.fnUntraced(function* (asked) {
          assert.strictEqual((yield* timed(asked)).millis, 7000)
        })
      )
    )

    it.effect(
      "does not wait for longer than it may, or than the deadline: it fails at once with the error at hand",
      () =>
        Effect.gen(function* () {
          const fails = (
            seconds: number,
            around: ReadonlyArray<Middleware.Middleware>,
            run: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E> = (effect) => effect
          ) =>
            both(
              () => Middleware.apply(fake([limited(seconds), text("yes")]).model, ...around),
              Effect.fnUntraced(function* (asked) {
                const { exit, millis } = yield* timed(run(asked))
                const error = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isFailReason)?.error : undefined
                assert.strictEqual(AiError.isAiError(error) && error.reason._tag, "RateLimitError")
                assert.strictEqual(millis, 0)
              })
            )
          yield* fails(3600, [twice])
          yield* fails(20, [ModelPolicy.deadline("15 seconds"), twice])
          const now = yield* Clock.currentTimeMillis
          yield* fails(20, [twice], Effect.provideService(CorePolicy.Deadline, now + 15_000))
          const long = ModelPolicy.retryable(Schedule.recurs(1), { maxWait: "2 hours" })
          const patient = yield* Middleware.apply(fake([limited(3600), text("yes")]).model, ModelPolicy.retry(long))
          assert.deepStrictEqual((yield* timed(ask(patient), "1 minute")).exit, Exit.succeed("yes"))
        })
    )

    it.effect("gives up with the last error", () =>
      both(
        () => Middleware.apply(fake([unavailable]).model, twice),
        Effect.fnUntraced(function* (asked) {
          const { exit, millis } = yield* timed(asked)
          assert.isTrue(Exit.isFailure(exit))
          assert.strictEqual(millis, 2000)
        })
      )
    )

    it.effect("does not repeat what is not worth it", () =>
      Effect.gen(function* () {
        const { asked, model } = fake([forbidden, text("yes")])
        const wrapped = yield* Middleware.apply(model, twice)
        yield* Effect.flip(ask(wrapped))
        assert.strictEqual(asked.length, 1)
      })
    )

    it.effect("does not restart a stream that gave content, unless told to, and then says so", () =>
      Effect.gen(function* () {
        const silent = yield* Middleware.apply(fake([], { streams: [torn, whole] }).model, twice)
        const seen: Array<string> = []
        const failed = yield* timed(
          silent.streamText({ prompt: "hi" }).pipe(Stream.runForEach((part) => Effect.sync(() => seen.push(part.type))))
        )
        assert.isTrue(Exit.isFailure(failed.exit))
        assert.deepStrictEqual(seen, ["response-metadata", "text-start", "text-delta"])

        const loud = yield* Middleware.apply(
          fake([], { streams: [torn, whole] }).model,
          named,
          ModelPolicy.retry(ModelPolicy.retryable(Schedule.recurs(1)), { onPartial: "restart" }),
          named
        )
        const { exit } = yield* timed(Stream.runCollect(loud.streamText({ prompt: "hi" })))
        const parts = Exit.isSuccess(exit) ? exit.value : []
        const mark = parts.find(ModelPolicy.isRestart)
        assert.strictEqual(mark?.type === "response-metadata" && mark.metadata.selvage?.restarted.model, "fake:one")
        assert.deepStrictEqual(
          ModelPolicy.afterRestart(parts).map((part) => part.type),
          ["response-metadata", "text-start", "text-delta", "text-end", "finish"]
        )
        assert.strictEqual(parts.length, 9)
      })
    )

    it.effect("never restarts a stream that called a tool", () =>
      Effect.gen(function* () {
        const Act = Tool.make("act", { parameters: Schema.Struct({}), success: Schema.String })
        const Acting = Toolkit.make(Act)
        const runs: Array<string> = []
        const broken = stream(
          { type: "tool-call", id: "1", name: "act", params: {} },
          ...opening,
          Effect.fail(unavailable)
        )
        const { asked, model } = fake([], { streams: [broken, whole] })
        const wrapped = yield* Middleware.apply(
          model,
          ModelPolicy.retry(ModelPolicy.retryable(Schedule.recurs(3)), { onPartial: "restart" })
        )
        const { exit } = yield* timed(
          Stream.runDrain(LanguageModel.streamText({ prompt: "hi", toolkit: Acting })).pipe(
            Effect.provideService(LanguageModel.LanguageModel, wrapped),
            Effect.provide(Acting.toLayer({ act: () => Effect.sync(() => `run ${runs.push("act")}`) }))
          )
        )
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(asked.length, 1)
        assert.isAtMost(runs.length, 1)
      })
    )

    it.effect("ends the request of a failed attempt before the next", () =>
      Effect.gen(function* () {
        const events: Array<string> = []
        const request = (n: number, of: Stream.Stream<Response.StreamPartEncoded, AiError.AiError>) =>
          Stream.unwrap(
            Effect.as(
              Effect.acquireRelease(
                Effect.sync(() => events.push(`open ${n}`)),
                () => Effect.sync(() => events.push(`close ${n}`))
              ),
              of
            )
          )
        const early = stream({ type: "response-metadata", id: "r" }, Effect.fail(unavailable))
        const wrapped = yield* Middleware.apply(
          fake([], { streams: [request(1, early), request(2, torn), request(3, whole)] }).model,
          ModelPolicy.retry(ModelPolicy.retryable(Schedule.recurs(3)), { onPartial: "restart" })
        )
        yield* timed(read(wrapped))
        assert.deepStrictEqual(events, ["open 1", "close 1", "open 2", "close 2", "open 3", "close 3"])
      })
    )
  })

  describe("timeout", () => {
    const bounded = Middleware.compose(
      ModelPolicy.timeout({ attempt: "10 seconds", firstToken: "2 seconds", nextToken: "1 second" }),
      named
    )

    const timedOut = (model: LanguageModel.LanguageModel, how: "ask" | "read") =>
      Effect.gen(function* () {
        const { exit, millis } = yield* timed(Effect.flip(how === "ask" ? ask(model) : read(model)))
        const error = Exit.isSuccess(exit) ? exit.value : undefined
        assert.isTrue(error?.isRetryable)
        return { ...find(ModelPolicy.ModelTimedOut, error), waited: millis }
      })

    it.effect("bounds the answer, the first token and the next", () =>
      Effect.gen(function* () {
        const slow = yield* Middleware.apply(fake([Effect.never], { streams: [mute, stalled] }).model, bounded)
        const model = "fake:one"
        assert.include(yield* timedOut(slow, "ask"), { phase: "answer", waited: 10_000, model })
        const streaming = yield* Middleware.apply(fake([], { streams: [mute, stalled] }).model, bounded)
        assert.include(yield* timedOut(streaming, "read"), { phase: "first-token", waited: 2000, model })
        assert.include(yield* timedOut(streaming, "read"), { phase: "next-token", waited: 1000, model })
      })
    )

    it.effect("bounds a stream that gives a little for ever", () =>
      Effect.gen(function* () {
        const dripping = Stream.concat(
          Stream.fromIterable(opening),
          Stream.fromEffectRepeat(Effect.as(Effect.sleep("800 millis"), delta("a")))
        )
        const wrapped = yield* Middleware.apply(fake([], { streams: [dripping] }).model, bounded)
        assert.include(yield* timedOut(wrapped, "read"), { phase: "answer", waited: 10_000 })
      })
    )

    it.effect("does not count the time of a slow reader", () =>
      Effect.gen(function* () {
        const wrapped = yield* Middleware.apply(fake([], { streams: [whole] }).model, bounded)
        const { exit, millis } = yield* timed(
          Stream.runForEach(wrapped.streamText({ prompt: "hi" }), () => Effect.sleep("30 seconds")),
          "1 second"
        )
        assert.isTrue(Exit.isSuccess(exit))
        assert.isAbove(millis, 100_000)
      })
    )

    it.effect("interrupts the request", () =>
      Effect.gen(function* () {
        let interrupted = 0
        const slow = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
        const wrapped = yield* Middleware.apply(
          fake([slow], { streams: [stream(slow), stream(...opening, delta("x"), slow)] }).model,
          bounded
        )
        yield* timed(read(wrapped))
        yield* timed(read(wrapped))
        assert.strictEqual(interrupted, 2)
      })
    )
  })

  describe("deadline", () => {
    it.effect("bounds the whole call with its retries, and is not retryable", () =>
      both(
        () =>
          Middleware.apply(
            fake([unavailable, Effect.never], { streams: [stream(Effect.fail(unavailable)), Stream.never] }).model,
            ModelPolicy.deadline("5 seconds"),
            ModelPolicy.retry(ModelPolicy.retryable(Schedule.spaced("2 seconds"))),
            named
          ),
        Effect.fnUntraced(function* (asked) {
          const { exit, millis } = yield* timed(Effect.flip(asked))
          const error = Exit.isSuccess(exit) ? exit.value : undefined
          assert.isFalse(error?.isRetryable)
          assert.include(find(ModelPolicy.DeadlineExceeded, error), { model: "fake:one", millis: 5000 })
          assert.strictEqual(millis, 5000)
        })
      )
    )

    it("holds for every schedule of failures, delays and stalls", () =>
      holds(
        fc.record({
          steps: fc.array(fc.constantFrom("fail", "slow", "never", "answer", "limited"), {
            minLength: 1,
            maxLength: 6
          }),
          streamed: fc.boolean(),
          deadline: fc.integer({ min: 1, max: 60 }),
          firstToken: fc.integer({ min: 1, max: 60 }),
          hedge: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
          onPartial: fc.constantFrom("fail" as const, "restart" as const)
        }),
        ({ deadline, firstToken, hedge, onPartial, steps, streamed }) =>
          Effect.gen(function* () {
            const played = {
              fail: unavailable,
              slow: Effect.delay(Effect.succeed(text("late")), "7 seconds"),
              never: Effect.never,
              answer: text("yes"),
              limited: limited(3)
            }
            const streams = {
              fail: torn,
              slow: Stream.unwrap(Effect.delay(Effect.succeed(whole), "7 seconds")),
              never: stalled,
              answer: whole,
              limited: stream(Effect.fail(limited(3)))
            }
            const policy = yield* ModelPolicy.middleware({
              deadline: `${deadline} seconds`,
              retry: ModelPolicy.retryable(Schedule.spaced("1 second")),
              timeout: { attempt: "40 seconds", firstToken: `${firstToken} seconds`, nextToken: "5 seconds" },
              onPartial,
              ...(hedge === undefined ? {} : { hedge: `${hedge} seconds` as const }),
              breaker: { tripPolicy: CircuitBreaker.consecutive(2), openDuration: "3 seconds" },
              rateLimit: { requestsPerMinute: 30 }
            })
            const wrapped = yield* Middleware.apply(
              fake(
                steps.map((step) => played[step]),
                { streams: steps.map((step) => streams[step]) }
              ).model,
              policy,
              named
            )
            const { exit, millis } = yield* timed(streamed ? read(wrapped) : ask(wrapped), "500 millis", 400)
            assert.isAtMost(millis, deadline * 1000)
            if (Exit.isFailure(exit)) assert.isTrue(Exit.findErrorOption(exit)._tag === "Some")
          }).pipe(Effect.provide(ModelPolicy.layerStoresMemory))
      ))
  })

  describe("hedge", () => {
    it.effect("asks a second time when the first is late, and ends the slower request", () =>
      Effect.gen(function* () {
        let interrupted = 0
        const late = Effect.onInterrupt(Effect.delay(Effect.succeed(text("late")), "1 minute"), () =>
          Effect.sync(() => void interrupted++)
        )
        const slow = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
        const lateStream = stream(slow)
        for (const how of [ask, read]) {
          const { asked, model } = fake([late, text("second")], { streams: [lateStream, whole] })
          const wrapped = yield* Middleware.apply(model, ModelPolicy.hedge("3 seconds"))
          const { exit, millis } = yield* timed(how(wrapped))
          assert.deepStrictEqual(exit, Exit.succeed(how === ask ? "second" : "whole"))
          assert.strictEqual(millis, 3000)
          assert.strictEqual(asked.length, 2)
        }
        assert.strictEqual(interrupted, 2)
      })
    )

    it.effect("does not ask a second time when the first answers or fails in time", () =>
      Effect.gen(function* () {
        for (const step of [text("yes"), unavailable]) {
          const { asked, model } = fake([step])
          const wrapped = yield* Middleware.apply(model, ModelPolicy.hedge("3 seconds"))
          assert.strictEqual((yield* timed(ask(wrapped))).millis, 0)
          assert.strictEqual(asked.length, 1)
        }
      })
    )

    it.effect("fails only when both fail", () =>
      Effect.gen(function* () {
        const failsAfter = (seconds: number) => Effect.delay(Effect.fail(unavailable), Duration.seconds(seconds))
        const one = yield* Middleware.apply(
          fake([failsAfter(5), Effect.delay(Effect.succeed(text("second")), "4 seconds")]).model,
          ModelPolicy.hedge("3 seconds")
        )
        assert.deepStrictEqual((yield* timed(ask(one))).exit, Exit.succeed("second"))
        const none = yield* Middleware.apply(fake([failsAfter(5), failsAfter(1)]).model, ModelPolicy.hedge("3 seconds"))
        const { exit, millis } = yield* timed(ask(none))
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(millis, 5000)
      })
    )
  })

  describe("breaker", () => {
    const make = CircuitBreaker.make({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "30 seconds" })

    it.effect("stops asking a model that keeps failing, per model, and probes it later", () =>
      Effect.gen(function* () {
        const circuits = yield* make
        const { asked, model } = fake([unavailable, unavailable, text("again")])
        const wrapped = yield* Middleware.apply(model, ModelPolicy.breaker(circuits), named)
        const other = yield* Middleware.apply(
          fake([text("other")]).model,
          ModelPolicy.breaker(circuits),
          Middleware.named({ models: ["fake:two"] })
        )
        yield* Effect.flip(ask(wrapped))
        yield* Effect.flip(ask(wrapped))
        const error = yield* Effect.flip(ask(wrapped))
        assert.include(find(ModelPolicy.CircuitOpen, error), { key: "fake:one", retryAfterMillis: 30_000 })
        assert.isTrue(error.isRetryable)
        assert.strictEqual(asked.length, 2)
        assert.strictEqual(yield* ask(other), "other")
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(yield* ask(wrapped), "again")
        assert.strictEqual((yield* circuits.state("fake:one"))._tag, "Closed")
      }).pipe(Effect.scoped, Effect.provide(CircuitBreaker.layerStoreMemory()))
    )

    it.effect("does not count errors of the request, nor interruption", () =>
      Effect.gen(function* () {
        const circuits = yield* make
        const refused = AiError.make({
          module: "Fake",
          method: "generateText",
          reason: new AiError.ContentPolicyError({ description: "no" })
        })
        const wrapped = yield* Middleware.apply(fake([refused]).model, ModelPolicy.breaker(circuits), named)
        for (let n = 0; n < 3; n++) yield* Effect.flip(ask(wrapped))
        const slow = yield* Middleware.apply(fake([Effect.never]).model, ModelPolicy.breaker(circuits), named)
        for (let n = 0; n < 3; n++) {
          const fiber = yield* Effect.forkChild(ask(slow), { startImmediately: true })
          yield* Fiber.interrupt(fiber)
        }
        assert.strictEqual((yield* circuits.state("fake:one"))._tag, "Closed")
      }).pipe(Effect.scoped, Effect.provide(CircuitBreaker.layerStoreMemory()))
    )

    it.effect("counts a stream at its end: one that is cut is a failure, one that ends is not", () =>
      Effect.gen(function* () {
        const circuits = yield* make
        const wrapped = yield* Middleware.apply(
          fake([], { streams: [torn, whole, torn, torn, whole] }).model,
          ModelPolicy.breaker(circuits),
          named
        )
        yield* Effect.flip(read(wrapped))
        assert.strictEqual(yield* read(wrapped), "whole")
        yield* Effect.flip(read(wrapped))
        assert.strictEqual((yield* circuits.state("fake:one"))._tag, "Closed")
        yield* Effect.flip(read(wrapped))
        assert.strictEqual((yield* circuits.state("fake:one"))._tag, "Open")
        find(ModelPolicy.CircuitOpen, yield* Effect.flip(read(wrapped)))
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(yield* read(wrapped), "whole")
        assert.strictEqual((yield* circuits.state("fake:one"))._tag, "Closed")
      }).pipe(Effect.scoped, Effect.provide(CircuitBreaker.layerStoreMemory()))
    )

    it.effect("sees one outcome for a call and its retries", () =>
      Effect.gen(function* () {
        const { asked, model } = fake([unavailable])
        const policy = yield* ModelPolicy.middleware({
          breaker: { tripPolicy: CircuitBreaker.consecutive(2), openDuration: "30 seconds" },
          retry: Schedule.recurs(3)
        })
        const wrapped = yield* Middleware.apply(model, policy, named)
        yield* Effect.flip(ask(wrapped))
        yield* Effect.flip(ask(wrapped))
        find(ModelPolicy.CircuitOpen, yield* Effect.flip(ask(wrapped)))
        assert.strictEqual(asked.length, 8)
      }).pipe(Effect.scoped, Effect.provide(ModelPolicy.layerStoresMemory))
    )
  })

  describe("rate limit", () => {
    const limiter = RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))

    it.effect("lets requests through at their rate", () =>
      Effect.gen(function* () {
        const limits = ModelPolicy.rateLimit(yield* RateLimiter.RateLimiter, {
          requestsPerMinute: 2,
          maxWait: "5 minutes"
        })
        const { asked, model } = fake([text("yes")])
        const wrapped = yield* Middleware.apply(model, limits, named)
        const { millis } = yield* timed(
          Effect.forEach([1, 2, 3, 4, 5], () => ask(wrapped), { concurrency: "unbounded" }),
          "1 second"
        )
        assert.strictEqual(millis, 90_000)
        assert.strictEqual(asked.length, 5)
      }).pipe(Effect.provide(limiter))
    )

    it.effect("fails when the turn would come too late, with the time to wait", () =>
      both(
        () =>
          Effect.gen(function* () {
            const limits = ModelPolicy.rateLimit(yield* RateLimiter.RateLimiter, {
              requestsPerMinute: 1,
              maxWait: "10 seconds"
            })
            const wrapped = yield* Middleware.apply(fake([text("yes")]).model, limits, named)
            yield* Effect.orDie(ask(wrapped))
            return wrapped
          }).pipe(Effect.provide(limiter)),
        Effect.fnUntraced(function* (asked) {
          const error = yield* Effect.flip(asked)
          assert.isTrue(error.isRetryable)
          assert.deepStrictEqual(error.retryAfter, Duration.minutes(1))
          assert.include(find(ModelPolicy.RateLimited, error), { key: "fake:one", limit: "requests" })
        })
      )
    )

    it.effect("is not waited for by retries beyond the time that a call may wait", () =>
      Effect.gen(function* () {
        const policy = yield* ModelPolicy.middleware({
          retry: ModelPolicy.retryable(Schedule.recurs(3)),
          rateLimit: { requestsPerMinute: 1, maxWait: "10 seconds" }
        })
        const wrapped = yield* Middleware.apply(fake([text("yes")]).model, policy, named)
        yield* ask(wrapped)
        for (const asked of [ask(wrapped), read(wrapped)]) {
          const { exit, millis } = yield* timed(Effect.flip(asked))
          assert.isTrue(Exit.isSuccess(exit) && Option.isSome(Refusal.find(ModelPolicy.RateLimited, exit.value)))
          assert.strictEqual(millis, 0)
        }
      }).pipe(Effect.scoped, Effect.provide(ModelPolicy.layerStoresMemory))
    )

    it.effect("goes on without a store that does not answer", () =>
      Effect.gen(function* () {
        const hangs = RateLimiter.RateLimiter.of({
          [RateLimiter.TypeId]: RateLimiter.TypeId,
          consume: () => Effect.never,
          adaptiveConsume: () => Effect.never,
          adaptiveFeedback: () => Effect.never
        })
        const model = yield* Middleware.apply(
          fake([limited(5), text("yes")]).model,
          ModelPolicy.retry(ModelPolicy.retryable(Schedule.recurs(1))),
          ModelPolicy.rateLimit(hangs, { requestsPerMinute: 60, tokensPerMinute: 1_000 })
        )
        const { exit, millis } = yield* timed(ask(model))
        assert.deepStrictEqual(exit, Exit.succeed("yes"))
        assert.isAtMost(millis, 5_000 + 8_000)
      }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
    )

    it.effect("counts the tokens that were really used", () =>
      Effect.gen(function* () {
        const limits = ModelPolicy.rateLimit(yield* RateLimiter.RateLimiter, {
          tokensPerMinute: 120,
          maxWait: "5 minutes",
          estimate: () => 30
        })
        const wrapped = yield* Middleware.apply(fake([text("120 tokens")]).model, limits, named)
        yield* ask(wrapped)
        // The first took 30 before and 90 after; 30 are there again after a quarter of a minute.
        assert.strictEqual((yield* timed(ask(wrapped))).millis, 15_000)
        // The second left a debt of 90: half a minute until there are 30 again, and what passed.
        assert.strictEqual((yield* timed(read(wrapped))).millis, 60_000)
      }).pipe(Effect.provide(limiter))
    )

    it.effect("holds everybody back for as long as a 429 says", () =>
      Effect.gen(function* () {
        const limits = ModelPolicy.rateLimit(yield* RateLimiter.RateLimiter, { maxWait: "1 minute" })
        const wrapped = yield* Middleware.apply(fake([limited(20), text("yes")]).model, limits, named)
        yield* Effect.flip(ask(wrapped))
        assert.strictEqual((yield* timed(ask(wrapped))).millis, 20_000)
        assert.strictEqual((yield* timed(ask(wrapped))).millis, 0)
      }).pipe(Effect.provide(limiter))
    )

    for (const [provider, headers] of Object.entries({
      OpenAI: { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m12s" },
      Anthropic: {
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "1970-01-01T00:01:12Z"
      }
    })) {
      it.effect(`heeds what ${provider} says that remains`, () =>
        Effect.gen(function* () {
          const limits = ModelPolicy.rateLimit(yield* RateLimiter.RateLimiter, { maxWait: "2 minutes" })
          const last = { ...finish(), response: { status: 200, headers } }
          const wrapped = yield* Middleware.apply(
            fake([[{ type: "text", text: "last" }, last], text("yes")]).model,
            limits,
            named
          )
          assert.strictEqual(yield* ask(wrapped), "last")
          assert.strictEqual((yield* timed(ask(wrapped))).millis, 72_000)
        }).pipe(Effect.provide(limiter))
      )
    }

    for (const [provider, headers] of Object.entries({
      OpenAI: {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "57s"
      },
      Anthropic: {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "3",
        "anthropic-ratelimit-requests-reset": "1970-01-01T00:00:57Z"
      }
    })) {
      it.effect(`lets no more calls out at once than ${provider} says that remain, and as fast as they come back`, () =>
        Effect.gen(function* () {
          const limits = ModelPolicy.rateLimit(yield* RateLimiter.RateLimiter, { maxWait: "1 minute" })
          const first = { ...finish(), response: { status: 200, headers } }
          const { asked, model } = fake([
            [{ type: "text", text: "first" }, first],
            Effect.delay(Effect.succeed(text("yes")), "10 minutes")
          ])
          const wrapped = yield* Middleware.apply(model, limits, named)
          yield* ask(wrapped)
          const calls = yield* Effect.forEach(Array.from({ length: 10 }), () =>
            Effect.forkChild(ask(wrapped), { startImmediately: true })
          )
          assert.strictEqual(asked.length, 4)
          yield* TestClock.adjust("1 seconds")
          assert.strictEqual(asked.length, 5)
          yield* TestClock.adjust("6 seconds")
          assert.strictEqual(asked.length, 11)
          yield* Fiber.interruptAll(calls)
        }).pipe(Effect.provide(limiter))
      )
    }

    it.effect(
      "forgets what it took when calls are interrupted, and lets a call out that is larger than any limit",
      () =>
        Effect.gen(function* () {
          const limits = ModelPolicy.rateLimit(yield* RateLimiter.RateLimiter, {
            maxWait: "1 minute",
            estimate: () => 1_000
          })
          const headers = {
            "x-ratelimit-limit-tokens": "100",
            "x-ratelimit-remaining-tokens": "40",
            "x-ratelimit-reset-tokens": "6s"
          }
          const said = { ...finish(), response: { status: 200, headers } }
          const { model } = fake([[{ type: "text", text: "first" }, said]])
          const wrapped = yield* Middleware.apply(model, limits, named)
          yield* ask(wrapped)
          const waiting = yield* Effect.forkChild(ask(wrapped), { startImmediately: true })
          yield* Fiber.interrupt(waiting)
          assert.strictEqual((yield* timed(ask(wrapped))).millis, 6_000)
          assert.strictEqual((yield* timed(ask(wrapped))).millis, 6_000)
        }).pipe(Effect.provide(limiter))
    )

    it.effect("gives up its turn when it is interrupted", () =>
      Effect.gen(function* () {
        const limits = ModelPolicy.rateLimit(yield* RateLimiter.RateLimiter, {
          requestsPerMinute: 1,
          maxWait: "5 minutes"
        })
        const { asked, model } = fake([text("yes")])
        const wrapped = yield* Middleware.apply(model, limits, named)
        yield* ask(wrapped)
        const waiting = yield* Effect.forkChild(ask(wrapped), { startImmediately: true })
        yield* TestClock.adjust("30 seconds")
        yield* Fiber.interrupt(waiting)
        assert.strictEqual((yield* timed(ask(wrapped))).millis, 30_000)
        assert.strictEqual(asked.length, 2)
      }).pipe(Effect.provide(limiter))
    )
  })

  it.effect("as a layer, around any model", () =>
    Effect.gen(function* () {
      const { asked, model } = fake([unavailable, text("yes")])
      const layer = ModelPolicy.layer().pipe(
        Layer.provide([Layer.succeed(LanguageModel.LanguageModel, model), ModelPolicy.layerStoresMemory])
      )
      const { exit } = yield* timed(
        Effect.map(LanguageModel.generateText({ prompt: "hi" }), (response) => response.text).pipe(
          Effect.provide(layer)
        )
      )
      assert.deepStrictEqual(exit, Exit.succeed("yes"))
      assert.strictEqual(asked.length, 2)
    })
  )
})

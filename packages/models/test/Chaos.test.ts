import { assert, describe, it } from "@effect/vitest"
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
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Budget, BudgetLedger, BudgetStore, Fallback, Middleware, ModelPolicy } from "../src/index.ts"
import { finish, unavailable } from "./fakes.ts"
import { runs } from "../../testing/test/measures.ts"

const faults = ["500", "429", "hangs", "cut", "stalls", "refuses", "malformed"] as const

const error = (reason: AiError.AiErrorReason) => AiError.make({ module: "Chaos", method: "generateText", reason })
const errors = {
  "500": unavailable,
  "429": error(new AiError.RateLimitError({ retryAfter: Duration.seconds(2) })),
  refuses: error(new AiError.ContentPolicyError({ description: "no" })),
  malformed: error(new AiError.InvalidOutputError({ description: "not what was asked" }))
}

/** The same numbers for the same seed. */
const random = (seed: number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const used = 120
const estimate = 1009

/** A provider that breaks down in a part of all requests, and counts those that are open. */
const broken = (seed: number, rate: number, open: { count: number; asked: number }) => {
  const next = random(seed)
  const fate = () => {
    open.asked++
    return next() < rate ? faults[Math.floor(next() * faults.length)]! : "answers"
  }
  const request = Effect.acquireRelease(
    Effect.sync(() => void open.count++),
    () => Effect.sync(() => void open.count--)
  )
  const latency = Effect.suspend(() => Effect.sleep(Math.ceil(next() * 400)))
  const calling = (): Response.ToolCallPartEncoded => ({ type: "tool-call", id: "1", name: "note", params: {} })
  const last = finish("tool-calls", used - 20, 20)
  return LanguageModel.make({
    generateText: () =>
      Effect.scoped(
        Effect.gen(function* () {
          const what = fate()
          yield* request
          yield* latency
          if (what === "answers") return [{ type: "text", text: "yes" }, calling(), last]
          if (what === "hangs" || what === "stalls") return yield* Effect.never
          return yield* what === "cut" ? unavailable : errors[what]
        })
      ),
    streamText: () =>
      Stream.unwrap(
        Effect.gen(function* () {
          const what = fate()
          yield* request
          yield* latency
          const begin: ReadonlyArray<Response.StreamPartEncoded> = [
            { type: "response-metadata", id: "r" },
            { type: "text-start", id: "t" },
            { type: "text-delta", id: "t", delta: "yes" }
          ]
          const partial = Stream.rechunk(Stream.fromIterable(begin), 1)
          if (what === "answers")
            return Stream.fromIterable([...begin, { type: "text-end" as const, id: "t" }, calling(), last])
          if (what === "hangs") return yield* Effect.never
          if (what === "stalls") return Stream.concat(partial, Stream.never)
          if (what === "cut") return Stream.concat(partial, Stream.fail(unavailable))
          return yield* errors[what]
        })
      )
  })
}

const Note = Tool.make("note", { parameters: Schema.Struct({}), success: Schema.String })
const Notes = Toolkit.make(Note)

describe("Chaos", () => {
  it.effect(
    "a thousand calls at 30 % faults: each ends in time with an answer or a typed error, tools run once, nothing leaks",
    () =>
      Effect.gen(function* () {
        const calls = runs(1000)
        const open = { count: 0, asked: 0 }
        let notes = 0
        const policy = {
          breaker: { tripPolicy: CircuitBreaker.rate({ threshold: 0.6, size: 20 }), openDuration: "5 seconds" },
          retry: ModelPolicy.retryable(Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 2 }))),
          timeout: { attempt: "20 seconds", firstToken: "5 seconds", nextToken: "3 seconds" }
        } as const
        const model = (name: string, seed: number) =>
          Effect.gen(function* () {
            const around = yield* ModelPolicy.middleware(policy)
            return yield* Middleware.apply(yield* broken(seed, 0.3, open), around, Middleware.named({ models: [name] }))
          })
        const both = yield* Fallback.make([yield* model("one", 7), yield* model("two", 11)])
        const account = { name: "chaos", tokens: 10_000_000 }
        const budget = yield* Budget.middleware({
          accounts: [account],
          estimate: () => Effect.succeed({ input: estimate, cachedInput: 0, cacheWrite: 0, output: 0, reasoning: 0 })
        })
        const whole = yield* Middleware.apply(both, ModelPolicy.deadline("30 seconds"), budget)

        const once = (n: number) =>
          Effect.gen(function* () {
            const began = yield* Clock.currentTimeMillis
            const exit = yield* Effect.exit(
              n % 2 === 0
                ? Effect.asVoid(LanguageModel.generateText({ prompt: "hi", toolkit: Notes }))
                : Stream.runDrain(LanguageModel.streamText({ prompt: "hi", toolkit: Notes }))
            )
            return { exit, millis: (yield* Clock.currentTimeMillis) - began }
          })
        const run = yield* Effect.forkChild(
          Effect.forEach(Array.from({ length: calls }), (_, n) => once(n), { concurrency: 250 }).pipe(
            Effect.provideService(LanguageModel.LanguageModel, whole),
            Effect.provide(Notes.toLayer({ note: () => Effect.sync(() => `note ${++notes}`) }))
          ),
          { startImmediately: true }
        )
        while (run.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
        const ends = yield* Fiber.join(run)

        const answers = ends.filter(({ exit }) => Exit.isSuccess(exit)).length
        for (const { exit, millis } of ends) {
          assert.isAtMost(millis, 30_000)
          if (Exit.isFailure(exit)) {
            const failure = Exit.findErrorOption(exit)
            assert.isTrue(failure._tag === "Some" && AiError.isAiError(failure.value), String(exit.cause))
          }
        }
        assert.isAbove(answers, calls * 0.9)
        assert.isAbove(open.asked, calls * 1.2)
        assert.strictEqual(notes, answers)
        assert.strictEqual(open.count, 0)

        const ledger = yield* BudgetLedger.Ledger
        const [balance] = yield* ledger.balances([account])
        assert.deepStrictEqual(balance?.reserved, { tokens: 0, micros: 0 })
        // What an answer used is counted to the token; the estimate stands for calls whose usage nobody knows.
        const estimated = (balance?.spent.tokens ?? 0) - answers * used
        assert.isAtLeast(estimated, 0)
        assert.strictEqual(estimated % estimate, 0)
        assert.isAtMost(estimated / estimate, calls - answers)
      }).pipe(
        Effect.scoped,
        Effect.provideService(References.MinimumLogLevel, "None"),
        Effect.provide(
          Layer.merge(
            ModelPolicy.layerStoresMemory,
            BudgetLedger.layer().pipe(Layer.provide(BudgetStore.layerMemory()))
          )
        )
      )
  )
})

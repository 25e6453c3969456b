import { assert, describe, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { Fallback, Middleware, ModelPolicy } from "../src/index.ts"
import { call, fake, finish, forbidden, holds, text, unavailable } from "./fakes.ts"

const Act = Tool.make("act", { parameters: Schema.Struct({}), success: Schema.String, failure: AiError.AiError })
const Acting = Toolkit.make(Act)

const named = (name: string, model: LanguageModel.LanguageModel) =>
  Middleware.apply(model, Middleware.named({ models: [name] }))

const head = [
  { type: "response-metadata" as const, modelId: "first" },
  { type: "text-start" as const, id: "1" },
  { type: "text-delta" as const, id: "1", delta: "half" }
]
const torn = Stream.concat(Stream.fromIterable(head).pipe(Stream.rechunk(1)), Stream.fail(unavailable))
const mute = Stream.concat(Stream.fromIterable(head.slice(0, 1)), Stream.fail(unavailable))

const ask = (model: LanguageModel.LanguageModel) =>
  Effect.map(model.generateText({ prompt: "hi" }), (response) => response.text)

describe("Fallback", () => {
  it.effect("asks the models in order until one answers", () =>
    Effect.gen(function* () {
      const model = yield* Fallback.make([
        yield* named("a", fake([unavailable]).model),
        yield* named("b", fake([forbidden]).model),
        yield* named("c", fake([text("c")]).model)
      ])
      assert.strictEqual(yield* ask(model), "c")
      assert.deepStrictEqual(Middleware.subjectOf(model).models, ["a", "b", "c"])
    })
  )

  it.effect("does not ask a model whose circuit is open, but the next", () =>
    Effect.gen(function* () {
      const first = fake([unavailable])
      const policy = yield* ModelPolicy.middleware({
        breaker: { tripPolicy: CircuitBreaker.consecutive(1), openDuration: "30 seconds" },
        retry: Schedule.recurs(2)
      })
      const guarded = yield* Middleware.apply(first.model, policy, Middleware.named({ models: ["first"] }))
      const model = yield* Fallback.make([guarded, fake([text("second")]).model])
      assert.deepStrictEqual([yield* ask(model), yield* ask(model), yield* ask(model)], ["second", "second", "second"])
      assert.strictEqual(first.asked.length, 3)
    }).pipe(Effect.scoped, Effect.provide(ModelPolicy.layerStoresMemory))
  )

  it.effect("fails with the last error, or with one that is not to be passed on", () =>
    Effect.gen(function* () {
      const all = yield* Fallback.make([fake([unavailable]).model, fake([forbidden]).model])
      assert.strictEqual((yield* Effect.flip(ask(all))).reason._tag, "AuthenticationError")
      const other = fake([text("other")])
      const some = yield* Fallback.make([fake([forbidden]).model, other.model, other.model], {
        when: (error) => error.isRetryable
      })
      assert.strictEqual((yield* Effect.flip(ask(some))).reason._tag, "AuthenticationError")
      assert.strictEqual(other.asked.length, 0)
    })
  )

  it.effect("leaves no trace of a stream that gave nothing", () =>
    Effect.gen(function* () {
      const model = yield* Fallback.make([fake([], { streams: [mute] }).model, fake([text("good")]).model])
      const parts = yield* Stream.runCollect(model.streamText({ prompt: "hi" }))
      assert.deepStrictEqual(
        parts.map((part) => part.type),
        ["text-start", "text-delta", "text-end", "finish"]
      )
    })
  )

  it.effect("does not begin a stream again that gave content, unless told to, and then says so", () =>
    Effect.gen(function* () {
      const first = yield* named("first", fake([], { streams: [torn] }).model)
      const second = fake([text("good")])
      const silent = yield* Fallback.make([first, second.model])
      yield* Effect.flip(Stream.runDrain(silent.streamText({ prompt: "hi" })))
      assert.strictEqual(second.asked.length, 0)

      const loud = yield* Fallback.make([first, second.model], { onPartial: "restart" })
      const parts = yield* Stream.runCollect(loud.streamText({ prompt: "hi" }))
      assert.deepStrictEqual(
        parts.map((part) =>
          part.type === "text-delta"
            ? part.delta
            : part.type === "response-metadata"
              ? (part.metadata.selvage?.restarted.model ?? part.type)
              : part.type
        ),
        ["response-metadata", "text-start", "half", "first", "text-start", "good", "text-end", "finish"]
      )
      assert.strictEqual(ModelPolicy.afterRestart(parts).length, 4)
    })
  )

  it.effect("ends the request of a model that failed before it asks the next", () =>
    Effect.gen(function* () {
      const events: Array<string> = []
      const request = (name: string, of: Stream.Stream<Response.StreamPartEncoded, AiError.AiError>) =>
        Stream.unwrap(
          Effect.as(
            Effect.acquireRelease(
              Effect.sync(() => events.push(`open ${name}`)),
              () => Effect.sync(() => events.push(`close ${name}`))
            ),
            of
          )
        )
      const model = yield* Fallback.make(
        [
          fake([], { streams: [request("mute", mute)] }).model,
          fake([], { streams: [request("torn", torn)] }).model,
          fake([], { streams: [request("good", Stream.fromIterable([...head, finish()]))] }).model
        ],
        { onPartial: "restart" }
      )
      yield* Stream.runDrain(model.streamText({ prompt: "hi" }))
      assert.deepStrictEqual(events, ["open mute", "close mute", "open torn", "close torn", "open good", "close good"])
    })
  )

  it.effect("is not led on by a tool that fails", () =>
    Effect.gen(function* () {
      const second = fake([text("other")])
      const model = yield* Fallback.make([fake([call("act", {})]).model, second.model])
      const error = yield* Effect.flip(LanguageModel.generateText({ prompt: "hi", toolkit: Acting })).pipe(
        Effect.provideService(LanguageModel.LanguageModel, model),
        Effect.provide(Acting.toLayer({ act: () => Effect.fail(unavailable) }))
      )
      assert.strictEqual(error._tag, "AiError")
      assert.strictEqual(second.asked.length, 0)
    })
  )

  it.effect("is interrupted with its request and asks nobody else", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const slow = Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
      const second = fake([text("other")])
      const model = yield* Fallback.make([fake([slow]).model, second.model])
      const fiber = yield* Effect.forkChild(ask(model), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(interrupted)
      assert.strictEqual(second.asked.length, 0)
    })
  )

  it.effect("is also a plan for a whole program", () =>
    Effect.gen(function* () {
      const plan = Fallback.plan([fake([unavailable]).model, fake([text("second")]).model])
      const response = yield* Effect.withExecutionPlan(LanguageModel.generateText({ prompt: "hi" }), plan)
      assert.strictEqual(response.text, "second")
    })
  )

  it("never runs a tool twice, whatever the models do", () =>
    holds(
      fc.record({
        models: fc.array(fc.constantFrom("fail", "torn", "mute", "call", "call then fail", "text"), {
          minLength: 1,
          maxLength: 4
        }),
        streamed: fc.boolean(),
        onPartial: fc.constantFrom("fail" as const, "restart" as const)
      }),
      ({ models, onPartial, streamed }) =>
        Effect.gen(function* () {
          const runs: Array<string> = []
          const calling = { type: "tool-call" as const, id: "1", name: "act", params: {} }
          const streams = {
            fail: Stream.fail(unavailable),
            torn,
            mute,
            call: Stream.make(calling, finish("tool-calls")),
            "call then fail": Stream.concat(
              Stream.fromIterable([calling, ...head]).pipe(Stream.rechunk(1)),
              Stream.fail(unavailable)
            ),
            text: Stream.fromIterable([...head, finish()])
          }
          const [first, ...rest] = models.map(
            (kind) =>
              fake([kind === "call" ? call("act", {}) : kind === "text" ? text("yes") : unavailable], {
                streams: [streams[kind]]
              }).model
          )
          const model = yield* Fallback.make([first!, ...rest], { onPartial })
          const options = { prompt: "hi", toolkit: Acting }
          const asked = streamed
            ? Stream.runDrain(LanguageModel.streamText(options))
            : Effect.asVoid(LanguageModel.generateText(options))
          yield* Effect.exit(asked).pipe(
            Effect.provideService(LanguageModel.LanguageModel, model),
            Effect.provide(Acting.toLayer({ act: () => Effect.sync(() => `run ${runs.push("act")}`) }))
          )
          assert.isAtMost(runs.length, 1)
          if (models[0] === "call") assert.strictEqual(runs.length, 1)
        }),
      40
    ))
})

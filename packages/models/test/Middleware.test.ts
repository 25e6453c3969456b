import { assert, describe, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Model from "effect/ai/Model"
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { Middleware, Refusal } from "../src/index.ts"
import { encodePart } from "../src/internal/bottom.ts"
import { call, fake, holds, text, unavailable } from "./fakes.ts"

const PlaceOrder = Tool.make("place_order", {
  parameters: Schema.Struct({ units: Schema.NumberFromString }),
  success: Schema.String,
  failure: Schema.String,
  failureMode: "return"
})
const Orders = Toolkit.make(PlaceOrder)

const ordering = () => {
  const orders: Array<number> = []
  const layer = Orders.toLayer({
    place_order: ({ units }) => Effect.sync(() => `order ${orders.push(units)}`)
  })
  return { orders, layer }
}

/** Asks again on any failure, up to `times`. */
const again =
  (times: number): Middleware.Middleware =>
  (next) => ({
    ...next,
    generate: (request) => Effect.retry(next.generate(request), { times }),
    stream: (request) => Stream.retry(next.stream(request), Schedule.recurs(times))
  })

const passed: Middleware.Middleware = (next) => ({ ...next })

const withModel = (model: LanguageModel.LanguageModel) => Effect.provideService(LanguageModel.LanguageModel, model)

describe("Middleware", () => {
  describe("gives what the model gives", () => {
    it.effect("as a whole answer", () =>
      Effect.gen(function* () {
        const { model } = fake([
          [
            { type: "response-metadata", id: "r1", modelId: "m", timestamp: "2026-01-01T00:00:00.000Z" },
            { type: "reasoning", text: "hm", metadata: { fake: { signature: "s" } } },
            ...text("hello")
          ]
        ])
        const wrapped = yield* Middleware.apply(model, passed)
        const [before, after] = yield* Effect.all([
          model.generateText({ prompt: "hi" }),
          wrapped.generateText({ prompt: "hi" })
        ])
        assert.deepStrictEqual(after.content, before.content)
        assert.strictEqual(after.usage.inputTokens.total, 100)
      })
    )

    it.effect("as a stream, in the same chunks", () =>
      Effect.gen(function* () {
        const { model } = fake([text("a b c")])
        const wrapped = yield* Middleware.apply(model, passed)
        const chunks = (of: LanguageModel.LanguageModel) => {
          const sizes: Array<number> = []
          return of.streamText({ prompt: "hi" }).pipe(
            Stream.mapArray((parts) => {
              sizes.push(parts.length)
              return parts
            }),
            Stream.runCollect,
            Effect.map((parts) => ({ parts, sizes }))
          )
        }
        assert.deepStrictEqual(yield* chunks(wrapped), yield* chunks(model))
      })
    )

    it.effect("as an object, whatever form the provider wants it in", () =>
      Effect.gen(function* () {
        const Wanted = Schema.Struct({ at: Schema.Date, note: Schema.optionalKey(Schema.String), big: Schema.BigInt })
        // OpenAI's strict mode has no optional keys: they come as null, which the asked schema does not know.
        const wire = JSON.stringify({ at: "2026-01-01T00:00:00.000Z", note: null, big: "12345678901234567890" })
        const { asked, model } = fake([text(wire)], { codecTransformer: toCodecOpenAI })
        const wrapped = yield* Middleware.apply(model, passed, passed)
        const { text: seen, value } = yield* wrapped.generateObject({
          prompt: "hi",
          schema: Wanted,
          objectName: "wanted"
        })
        assert.deepStrictEqual(value, { at: new Date("2026-01-01T00:00:00.000Z"), big: 12345678901234567890n })
        assert.deepStrictEqual(JSON.parse(seen), { at: "2026-01-01T00:00:00.000Z", big: "12345678901234567890" })
        const format = asked[0]!.responseFormat
        assert.strictEqual(format.type === "json" ? format.objectName : "", "wanted")
      })
    )

    it.effect("and the calls of tools where the caller resolves them", () =>
      Effect.gen(function* () {
        const { orders, layer } = ordering()
        const wrapped = yield* Middleware.apply(fake([call("place_order", { units: "3" })]).model, passed)
        const toolkit = yield* Effect.provide(Orders, layer)
        const response = yield* wrapped.generateText({ prompt: "hi", toolkit, disableToolCallResolution: true })
        assert.deepStrictEqual(
          response.toolCalls.map(({ name, params }) => ({ name, params })),
          [{ name: "place_order", params: { units: "3" } }]
        )
        assert.deepStrictEqual(orders, [])
      })
    )

    it.effect("also undeclared ones if they are deferred, else they are an error", () =>
      Effect.gen(function* () {
        const { layer } = ordering()
        const wrapped = yield* Middleware.apply(fake([call("fire_rocket", { at: 1 })]).model, passed)
        const toolkit = yield* Effect.provide(Orders, layer)
        const deferred = yield* wrapped.generateText({
          prompt: "hi",
          toolkit,
          disableToolCallResolution: true,
          toolCallValidation: "deferred"
        })
        assert.deepStrictEqual(deferred.toolCalls[0]?.params, { at: 1 })
        for (const failed of [
          yield* Effect.flip(wrapped.generateText({ prompt: "hi", toolkit })),
          yield* Effect.flip(Stream.runDrain(wrapped.streamText({ prompt: "hi", toolkit })))
        ]) {
          assert.isTrue(AiError.isAiError(failed) && failed.reason._tag === "ToolNotFoundError")
        }
      })
    )

    it("for every kind of part: as data and back it is the same part", () => {
      const decode = Schema.decodeUnknownSync(Schema.Union([Response.Part(), Response.StreamPart()]))
      const metadata = fc.option(fc.record({ fake: fc.jsonValue() }), { nil: undefined })
      const id = fc.string({ minLength: 1 })
      const count = fc.option(fc.nat(), { nil: undefined })
      const part = fc.oneof(
        fc.record({ type: fc.constantFrom("text", "reasoning"), text: fc.string(), metadata }),
        fc.record({
          type: fc.constantFrom("text-delta", "reasoning-delta", "tool-params-delta"),
          id,
          delta: fc.string(),
          metadata
        }),
        fc.record({
          type: fc.constant("tool-call"),
          id,
          name: id,
          params: fc.jsonValue(),
          providerExecuted: fc.boolean(),
          metadata
        }),
        fc.record({
          type: fc.constant("tool-result"),
          id,
          name: id,
          result: fc.jsonValue(),
          isFailure: fc.boolean(),
          metadata
        }),
        fc.record({ type: fc.constant("file"), mediaType: id, data: fc.base64String(), metadata }),
        fc.record({
          type: fc.constant("source"),
          sourceType: fc.constant("url"),
          id,
          url: fc.webUrl(),
          title: id,
          metadata
        }),
        fc.record({
          type: fc.constant("source"),
          sourceType: fc.constant("document"),
          id,
          mediaType: id,
          title: id,
          metadata
        }),
        fc.record({
          type: fc.constant("response-metadata"),
          id: fc.option(id, { nil: undefined }),
          timestamp: fc.option(
            fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((date) => date.toISOString()),
            { nil: undefined }
          ),
          metadata
        }),
        fc.record({
          type: fc.constant("finish"),
          reason: fc.constantFrom("stop", "length", "tool-calls"),
          usage: fc.record({
            inputTokens: fc.record({ uncached: count, total: count, cacheRead: count, cacheWrite: count }),
            outputTokens: fc.record({ total: count, text: count, reasoning: count })
          }),
          metadata
        })
      )
      fc.assert(
        fc.property(part, (encoded) => {
          const decoded = decode(encoded)
          const data = encodePart(decoded)
          assert.deepStrictEqual(decode(data), decoded)
          assert.deepStrictEqual(decode(JSON.parse(JSON.stringify(data))), decode(JSON.parse(JSON.stringify(data))))
          assert.notProperty(data, "~effect/ai/Response/Part")
        })
      )
    })
  })

  describe("stands below the tools", () => {
    it.effect("which run once, with the caller's handlers, however often the model was asked", () =>
      Effect.gen(function* () {
        const { orders, layer } = ordering()
        const { asked, model } = fake([unavailable, unavailable, call("place_order", { units: "3" })])
        const wrapped = yield* Middleware.apply(model, again(5), passed)
        const response = yield* LanguageModel.generateText({ prompt: "hi", toolkit: Orders }).pipe(
          withModel(wrapped),
          Effect.provide(layer)
        )
        assert.strictEqual(response.toolResults[0]?.result, "order 1")
        assert.deepStrictEqual(orders, [3])
        assert.strictEqual(asked.length, 3)
      })
    )

    it.effect("whose arguments are checked as their failure mode says", () =>
      Effect.gen(function* () {
        const { orders, layer } = ordering()
        const wrapped = yield* Middleware.apply(fake([call("place_order", { units: [] })]).model, passed)
        const response = yield* LanguageModel.generateText({ prompt: "hi", toolkit: Orders }).pipe(
          withModel(wrapped),
          Effect.provide(layer)
        )
        assert.isTrue(response.toolResults[0]?.isFailure)
        assert.deepStrictEqual(orders, [])
      })
    )

    it.effect("and refuses a model that would run them itself", () =>
      Effect.gen(function* () {
        const { orders, layer } = ordering()
        const inner = fake([call("place_order", { units: "3" })]).model
        const stubborn = {
          ...inner,
          generateText: (options: { readonly toolkit: Toolkit.WithHandler<{}> }) =>
            inner.generateText({ ...options, disableToolCallResolution: false } as never)
        } as unknown as LanguageModel.LanguageModel
        const wrapped = yield* Middleware.apply(stubborn, passed)
        const failed = yield* LanguageModel.generateText({ prompt: "hi", toolkit: Orders }).pipe(
          withModel(wrapped),
          Effect.provide(layer),
          Effect.flip
        )
        assert.isTrue(AiError.isAiError(failed) && failed.reason._tag === "ToolConfigurationError")
        assert.deepStrictEqual(orders, [])
      })
    )

    it("so no schedule of failures makes one run twice", () =>
      holds(
        fc.record({
          steps: fc.array(fc.constantFrom("fail", "call", "text", "undeclared"), { maxLength: 8 }),
          streamed: fc.boolean(),
          layers: fc.integer({ min: 1, max: 4 })
        }),
        ({ layers, steps, streamed }) =>
          Effect.gen(function* () {
            const { layer, orders } = ordering()
            const played = {
              fail: unavailable,
              call: call("place_order", { units: "1" }),
              text: text("done"),
              undeclared: call("nobody", {})
            }
            const { model } = fake([...steps.map((step) => played[step]), played.text])
            const wrapped = yield* Middleware.apply(model, ...Array.from({ length: layers }, () => again(9)))
            const options = { prompt: "hi", toolkit: Orders }
            const asked = streamed
              ? Stream.runDrain(LanguageModel.streamText(options))
              : Effect.asVoid(LanguageModel.generateText(options))
            yield* asked.pipe(withModel(wrapped), Effect.provide(layer))
            const answer = steps.find((step) => step === "call" || step === "text")
            assert.deepStrictEqual(orders, answer === "call" ? [1] : [])
          })
      ))
  })

  describe("composes", () => {
    const log = (entries: Array<string>, name: string) =>
      Middleware.around({
        before: (_, subject) => Effect.sync(() => void entries.push(`> ${name} ${subject.models.join("|")}`)),
        after: () => Effect.sync(() => void entries.push(`< ${name}`))
      })

    it.effect("the first outermost, as one layer above the other", () =>
      Effect.gen(function* () {
        const entries: Array<string> = []
        const { asked, model } = fake([text("hi")])
        const layer = Middleware.layer(log(entries, "a")).pipe(
          Layer.provide(Middleware.layer(Middleware.compose(log(entries, "b"), log(entries, "c")))),
          Layer.provide(Model.make("acme", "one", Layer.succeed(LanguageModel.LanguageModel, model)))
        )
        yield* Effect.provide(LanguageModel.generateText({ prompt: "hi" }), layer)
        assert.deepStrictEqual(entries, ["> a acme:one", "> b acme:one", "> c acme:one", "< c", "< b", "< a"])
        assert.strictEqual(asked.length, 1)
      })
    )

    it.effect("changes and refuses calls on their way down", () =>
      Effect.gen(function* () {
        class TooLong extends Schema.TaggedError<TooLong>()("TooLong", { length: Schema.Int }) {
          override get message() {
            return `The prompt has ${this.length} messages. Send fewer.`
          }
        }
        const limit = Middleware.mapCall((request) =>
          request.prompt.content.length > 1
            ? Effect.fail(Refusal.make(TooLong, new TooLong({ length: request.prompt.content.length })))
            : Effect.succeed({ ...request, toolChoice: "none" as const })
        )
        const { asked, model } = fake([text("hi")])
        const wrapped = yield* Middleware.apply(model, limit)
        const two = [
          { role: "system" as const, content: "s" },
          { role: "user" as const, content: [{ type: "text" as const, text: "u" }] }
        ]
        const error = yield* Effect.flip(wrapped.generateText({ prompt: two }))
        assert.isFalse(error.isRetryable)
        assert.include(error.message, "The prompt has 2 messages. Send fewer.")
        assert.deepStrictEqual(Refusal.find(TooLong, error), Option.some(new TooLong({ length: 2 })))
        const recovered = yield* wrapped.streamText({ prompt: two }).pipe(
          Stream.runDrain,
          Effect.as("sent"),
          Refusal.catchRefusal(TooLong, (cause) => Effect.succeed(cause._tag))
        )
        assert.strictEqual(recovered, "TooLong")
        assert.strictEqual(asked.length, 0)
        yield* wrapped.generateText({ prompt: "u" })
        assert.strictEqual(asked.length, 1)
      })
    )
  })

  describe("around", () => {
    const watched = () => {
      const outcomes: Array<Middleware.Outcome> = []
      const middleware = Middleware.around({
        before: () => Effect.succeed("held"),
        after: (held, outcome) => Effect.sync(() => void (held === "held" && outcomes.push(outcome)))
      })
      return { outcomes, middleware }
    }

    it.effect("sees the usage of a whole answer and of a stream", () =>
      Effect.gen(function* () {
        const { middleware, outcomes } = watched()
        const wrapped = yield* Middleware.apply(fake([text("hello")]).model, middleware)
        yield* wrapped.generateText({ prompt: "hi" })
        yield* Stream.runDrain(wrapped.streamText({ prompt: "hi" }))
        assert.deepStrictEqual(
          outcomes.map(({ content, exit, usage }) => [Exit.isSuccess(exit), content, usage?.outputTokens.total]),
          [
            [true, true, 20],
            [true, true, 20]
          ]
        )
      })
    )

    it.effect("sees failure, a reader that leaves and interruption, once each", () =>
      Effect.gen(function* () {
        const { middleware, outcomes } = watched()
        const failing = yield* Middleware.apply(fake([unavailable]).model, middleware)
        yield* Effect.flip(failing.generateText({ prompt: "hi" }))
        yield* Effect.flip(Stream.runDrain(failing.streamText({ prompt: "hi" })))
        const left = yield* Middleware.apply(fake([text("a b")]).model, middleware)
        yield* left.streamText({ prompt: "hi" }).pipe(Stream.rechunk(1), Stream.take(2), Stream.runDrain)
        const slow = yield* Middleware.apply(fake([Effect.never]).model, middleware)
        for (const asked of [
          Effect.asVoid(slow.generateText({ prompt: "hi" })),
          Stream.runDrain(slow.streamText({ prompt: "hi" }))
        ]) {
          const fiber = yield* Effect.forkChild(asked, { startImmediately: true })
          yield* Fiber.interrupt(fiber)
        }
        assert.deepStrictEqual(
          outcomes.map(({ content, exit }) => [
            Exit.isSuccess(exit) ? "success" : Exit.hasInterrupts(exit) ? "interrupt" : "failure",
            content
          ]),
          [
            ["failure", false],
            ["failure", false],
            ["success", true],
            ["interrupt", false],
            ["interrupt", false]
          ]
        )
        assert.isUndefined(outcomes[3]?.usage)
      })
    )
  })
})

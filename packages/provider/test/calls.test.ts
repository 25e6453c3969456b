/** What surrounds a call: its spans, its end, and the services that it sees, as with `LanguageModel.make`. */
import { assert, describe, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as IdGenerator from "effect/ai/IdGenerator"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as ResponseIdTracker from "effect/ai/ResponseIdTracker"
import * as Telemetry from "effect/ai/Telemetry"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Provider from "../src/Provider.ts"

type Way = (model: LanguageModel.LanguageModel) => Effect.Effect<unknown, AiError.AiError>

const whole: Way = (model) => model.generateText({ prompt: "hi", toolChoice: "required", concurrency: 2 })
const streamed: Way = (model) =>
  Stream.runDrain(model.streamText({ prompt: "hi", toolChoice: { tool: "pay" } as never }))

const request: Provider.Request = {
  prompt: Prompt.make("hi"),
  tools: [],
  toolChoice: "none",
  toolCallValidation: "strict"
}
const directly = (model: LanguageModel.LanguageModel): Provider.Direct =>
  Provider.directOf(model) ?? assert.fail("this model has no direct way")

const refused = AiError.make({
  module: "Test",
  method: "test",
  reason: new AiError.InvalidOutputError({ description: "refused" })
})

const delta: Response.StreamPartEncoded = { type: "text-delta", id: "t", delta: "y" }

/** A provider that works in a span of its own, and then does what it is told. */
const working = (
  text: Effect.Effect<Array<Response.PartEncoded>, AiError.AiError, IdGenerator.IdGenerator>,
  parts: Stream.Stream<Response.StreamPartEncoded, AiError.AiError, IdGenerator.IdGenerator>
): Provider.Provider => ({
  generateText: () => Effect.withSpan(text, "work"),
  streamText: () => Stream.withSpan(parts, "work")
})

const endings: ReadonlyArray<{ readonly name: string; readonly provider: Provider.Provider }> = [
  {
    name: "gives an answer",
    provider: working(Effect.succeed([{ type: "text", text: "yes" }]), Stream.make(delta))
  },
  { name: "fails", provider: working(Effect.fail(refused), Stream.concat(Stream.make(delta), Stream.fail(refused))) },
  { name: "dies", provider: working(Effect.die("dead"), Stream.concat(Stream.make(delta), Stream.die("dead"))) },
  {
    name: "gives no answer",
    provider: working(
      Effect.succeed([{ type: "hologram" } as never]),
      Stream.make(delta, { type: "hologram" } as never)
    )
  }
]

/** The spans of a run, in the order of their beginning, and how it ended. */
const traced = <E>(run: Effect.Effect<unknown, E>) =>
  Effect.gen(function* () {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span(options) {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const exit = yield* Effect.exit(Effect.withTracer(Effect.withSpan(run, "caller"), tracer))
    return {
      end: Exit.isSuccess(exit) ? "success" : Cause.squash(exit.cause),
      spans: spans.map(({ attributes, kind, name, parent, status }) => ({
        name,
        kind,
        parent: parent._tag === "Some" && parent.value._tag === "Span" ? parent.value.name : undefined,
        attributes: Object.fromEntries(attributes),
        status: status._tag === "Ended" ? status.exit._tag : "open"
      }))
    }
  })

describe("a call has the spans of LanguageModel.make", () => {
  for (const [how, way, method] of [
    ["whole", whole, "generateText"],
    ["streamed", streamed, "streamText"]
  ] as const) {
    for (const { name, provider } of endings) {
      it.effect(`where its provider ${name}, ${how}`, () =>
        Effect.gen(function* () {
          const ours = yield* traced(way(yield* Provider.make(provider)))
          const theirs = yield* traced(way(yield* LanguageModel.make(provider)))
          assert.deepStrictEqual(ours.spans, theirs.spans)
          assert.strictEqual(String(ours.end), String(theirs.end))
          assert.isTrue(ours.spans.some((span) => span.name === `LanguageModel.${method}` && span.kind === "client"))
          assert.isFalse(ours.spans.some(({ status }) => status === "open"))
        })
      )
    }

    it.effect(`where it is interrupted, ${how}, which ends what its provider does`, () =>
      Effect.gen(function* () {
        const seen: Array<Effect.Success<ReturnType<typeof traced>>["spans"]> = []
        for (const make of [Provider.make, LanguageModel.make]) {
          const begun = yield* Deferred.make<void>()
          let ended = false
          const never = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
            Effect.onInterrupt(() => Effect.sync(() => void (ended = true)))
          )
          const model = yield* make(working(never, Stream.concat(Stream.make(delta), Stream.fromEffect(never))))
          const interrupted = Effect.gen(function* () {
            const fiber = yield* Effect.forkChild(way(model))
            yield* Deferred.await(begun)
            yield* Fiber.interrupt(fiber)
          })
          seen.push((yield* traced(interrupted)).spans)
          assert.isTrue(ended)
        }
        assert.deepStrictEqual(seen[0], seen[1])
        assert.deepStrictEqual(
          seen[0]?.map(({ status }) => status),
          ["Success", "Failure", "Failure"]
        )
      })
    )
  }

  it.effect("where its reader has had enough", () =>
    Effect.gen(function* () {
      const ended: Array<boolean> = []
      const provider = working(
        Effect.succeed([]),
        Stream.ensuring(
          Stream.concat(Stream.make(delta), Stream.never),
          Effect.sync(() => void ended.push(true))
        )
      )
      const few: Way = (model) => Stream.runDrain(Stream.take(model.streamText({ prompt: "hi" }), 1))
      const ours = yield* traced(few(yield* Provider.make(provider)))
      const theirs = yield* traced(few(yield* LanguageModel.make(provider)))
      assert.deepStrictEqual(ours, theirs)
      assert.deepStrictEqual(ended, [true, true])
    })
  )
})

describe("a call sees the services of LanguageModel.make", () => {
  const ids = (prefix: string): IdGenerator.Service => ({ generateId: () => Effect.succeed(`${prefix}_1`) })
  const named = Effect.flatMap(IdGenerator.IdGenerator, (generator) => generator.generateId())
  const provider = working(
    Effect.map(named, (text) => [{ type: "text", text }]),
    Stream.map(Stream.fromEffect(named), (id) => ({ ...delta, id }))
  )

  it.effect("the generator of ids that was there when it was made, not one that is there when it is asked", () =>
    Effect.gen(function* () {
      for (const make of [Provider.make, LanguageModel.make]) {
        const model = yield* Effect.provideService(make(provider), IdGenerator.IdGenerator, ids("made"))
        const seen = Effect.gen(function* () {
          const { text } = yield* model.generateText({ prompt: "hi" })
          return [
            text,
            ...(yield* Stream.runCollect(model.streamText({ prompt: "hi" }))).map((part) => "id" in part && part.id)
          ]
        })
        const asked = Effect.provideService(seen, IdGenerator.IdGenerator, ids("asked"))
        assert.deepStrictEqual(yield* asked, ["made_1", "made_1"])
      }
    })
  )

  it.effect("a generator of its own where there was none", () =>
    Effect.gen(function* () {
      const { text } = yield* (yield* Provider.make(provider)).generateText({ prompt: "hi" })
      assert.isAbove(text.length, 5)
    })
  )

  it.effect("a transformer of spans, of the call or else of the model, which is told the same", () =>
    Effect.gen(function* () {
      const { provider } = endings[0] ?? assert.fail()
      const told = (make: (provider: Provider.Provider) => Effect.Effect<LanguageModel.LanguageModel>) =>
        Effect.gen(function* () {
          const heard: Array<unknown> = []
          const transformer =
            (who: string): Telemetry.SpanTransformer =>
            ({ span, ...rest }) =>
              void heard.push({ who, span: span._tag === "Span" ? span.name : "", ...rest })
          const model = yield* Effect.provideService(
            make(provider),
            Telemetry.CurrentSpanTransformer,
            transformer("made")
          )
          const calls = Effect.gen(function* () {
            yield* model.generateText({ prompt: "hi" })
            yield* model.generateText({
              prompt: "hi",
              disableToolCallResolution: true,
              toolCallValidation: "deferred"
            })
            yield* streamed(model)
          })
          yield* calls
          yield* Effect.provideService(calls, Telemetry.CurrentSpanTransformer, transformer("asked"))
          return heard
        })
      const ours = yield* told(Provider.make)
      assert.deepStrictEqual(ours, yield* told(LanguageModel.make))
      assert.strictEqual(ours.length, 6)
    })
  )

  it.effect("a tracker of responses, which is told of streams too", () =>
    Effect.gen(function* () {
      const asked = (make: (provider: Provider.Provider) => Effect.Effect<LanguageModel.LanguageModel>) =>
        Effect.gen(function* () {
          const requests: Array<unknown> = []
          const model = yield* make({
            generateText: () => Effect.succeed([]),
            streamText: ({ incrementalPrompt, previousResponseId, prompt }) => {
              requests.push({ incrementalPrompt, previousResponseId, prompt })
              return Stream.make({ type: "response-metadata", id: `resp_${requests.length}` }, delta)
            }
          })
          const tracker = yield* ResponseIdTracker.make
          const first = Prompt.make("one")
          const more = Prompt.fromMessages([
            ...first.content,
            ...Prompt.make([{ role: "assistant", content: "yes" }]).content,
            ...Prompt.make("two").content
          ])
          for (const prompt of [first, more]) {
            yield* Effect.provideService(
              Stream.runDrain(model.streamText({ prompt })),
              ResponseIdTracker.ResponseIdTracker,
              tracker
            )
          }
          return requests
        })
      const ours = yield* asked(Provider.make)
      assert.deepStrictEqual(ours, yield* asked(LanguageModel.make))
      assert.deepInclude(ours[1], { previousResponseId: "resp_1" })
    })
  )

  it.effect("no approval that waits, whole or streamed, but the same failure", () =>
    Effect.gen(function* () {
      const prompt = Prompt.make([
        {
          role: "assistant",
          content: [
            { type: "tool-call", id: "c", name: "pay", params: {}, providerExecuted: false },
            { type: "tool-approval-request", approvalId: "a", toolCallId: "c" }
          ]
        },
        { role: "tool", content: [{ type: "tool-approval-response", approvalId: "a", approved: false }] }
      ])
      const ways: ReadonlyArray<Way> = [
        (model) => model.generateText({ prompt }),
        (model) => Stream.runDrain(model.streamText({ prompt }))
      ]
      for (const way of ways) {
        const ours = yield* Effect.flip(way(yield* Provider.make(provider)))
        const theirs = yield* Effect.flip(way(yield* LanguageModel.make(provider)))
        assert.strictEqual(ours.reason._tag, "ToolkitRequiredError")
        assert.strictEqual(ours.message, theirs.message)
        assert.strictEqual(ours.method, theirs.method)
      }
    })
  )
})

describe("the direct way", () => {
  const ways: ReadonlyArray<readonly [method: "generateText" | "streamText", way: Way]> = [
    ["generateText", (model) => directly(model).generateText(request)],
    ["streamText", (model) => Stream.runDrain(directly(model).streamText(request))]
  ]
  for (const [method, way] of ways) {
    for (const { name, provider } of endings) {
      it.effect(`has the spans of a call where its provider ${name}: ${method}`, () =>
        Effect.gen(function* () {
          const ours = yield* traced(way(yield* Provider.make(provider)))
          const usual: Way = (model) =>
            method === "generateText"
              ? model.generateText({ prompt: "hi" })
              : Stream.runDrain(model.streamText({ prompt: "hi" }))
          const theirs = yield* traced(usual(yield* LanguageModel.make(provider)))
          assert.deepStrictEqual(ours.spans, theirs.spans)
          assert.strictEqual(String(ours.end), String(theirs.end))
        })
      )
    }
  }

  it.effect("gives calls and results of tools as they came, declared or not", () =>
    Effect.gen(function* () {
      const call = { type: "tool-call", id: "c", name: "pay", params: { sum: "unread" } } as const
      const parts: Array<Response.PartEncoded> = [call, { type: "text", text: "y", metadata: { acme: { note: 1 } } }]
      const chunk = [delta, call] as const
      const model = yield* Provider.make({
        generateText: () => Effect.succeed(parts),
        streamText: () => Stream.fromIterable(chunk)
      })
      assert.strictEqual(yield* directly(model).generateText(request), parts)
      const [first, second] = yield* Stream.runCollect(directly(model).streamText(request))
      assert.strictEqual(first, chunk[0])
      assert.strictEqual(second, chunk[1])
    })
  )

  it.effect("asks its provider for what it is told to ask for", () =>
    Effect.gen(function* () {
      const requests: Array<LanguageModel.ProviderOptions> = []
      const model = yield* Provider.make({
        generateText: (options) =>
          Effect.as(
            Effect.sync(() => requests.push(options)),
            []
          ),
        streamText: (options) => Stream.drain(Stream.fromEffect(Effect.sync(() => requests.push(options))))
      })
      for (const toolCallValidation of ["strict", "deferred"] as const) {
        yield* directly(model).generateText({ ...request, toolCallValidation })
        yield* Stream.runDrain(directly(model).streamText({ ...request, toolCallValidation }))
      }
      assert.deepStrictEqual(
        requests.map(({ span, ...rest }) => ({ ...rest, span: span._tag === "Span" ? span.name : undefined })),
        [undefined, "deferred"].flatMap((validation) =>
          ["generateText", "streamText"].map((method) => ({
            prompt: request.prompt,
            tools: [],
            toolChoice: "none",
            responseFormat: { type: "text" },
            previousResponseId: undefined,
            incrementalPrompt: undefined,
            ...(validation === undefined ? {} : { toolCallValidation: validation }),
            span: `LanguageModel.${method}`
          }))
        ) as unknown as Array<never>
      )
    })
  )

  it.effect("is closed where the model was made with a transformer of spans", () =>
    Effect.gen(function* () {
      const { provider } = endings[0] ?? assert.fail()
      const model = yield* Effect.provideService(Provider.make(provider), Telemetry.CurrentSpanTransformer, () => {})
      assert.isFalse(directly(model).isOpen(yield* Effect.context<never>()))
      assert.isTrue(directly(yield* Provider.make(provider)).isOpen(yield* Effect.context<never>()))
    })
  )

  it.effect("ends what its provider does when it is interrupted", () =>
    Effect.gen(function* () {
      for (const [, way] of ways) {
        const begun = yield* Deferred.make<void>()
        const ended = yield* Deferred.make<void>()
        const never = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(ended, undefined))
        )
        const model = yield* Provider.make(working(never, Stream.fromEffect(never)))
        const fiber = yield* Effect.forkChild(way(model))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        yield* Deferred.await(ended)
      }
    })
  )
})

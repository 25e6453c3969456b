/** A model that takes the short way gives what `LanguageModel.make` gives over the same provider. */
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as ResponseIdTracker from "effect/ai/ResponseIdTracker"
import * as Telemetry from "effect/ai/Telemetry"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import * as Provider from "../src/Provider.ts"
import { runs } from "../../testing/test/measures.ts"

const word = fc.string({ maxLength: 6 })
const sparse = [1, 2, 3]
delete sparse[1]
const cyclic: Record<string, unknown> = {}
cyclic["itself"] = cyclic

/** What is right nearly always: an answer in which everything is wrong at once tests little. */
const mostly = <A>(right: fc.Arbitrary<A>, ...wrong: ReadonlyArray<unknown>) =>
  fc.oneof({ weight: 14, arbitrary: right }, { weight: 1, arbitrary: fc.constantFrom(...wrong) })
const metadata = mostly(
  fc.constantFrom(undefined, {}, { acme: null }, { acme: { note: "kept", deep: [1, { more: true }] } }),
  { acme: { lost: undefined } },
  { acme: Number.NaN },
  { acme: new Date(0) },
  { acme: sparse },
  { acme: cyclic },
  [],
  "none"
)
const http = mostly(
  fc.constantFrom(undefined, { status: 200, headers: { "x-request-id": "1" }, more: 1 }),
  { status: 200, headers: { "x-key": Redacted.make("hidden") } },
  { status: 200.5, headers: {} },
  { status: 200, headers: { "x-count": 1 } },
  "http"
)
const count = mostly(fc.option(fc.nat(1000), { nil: undefined }), 0.5)
const usage = fc.record({
  inputTokens: fc.record({ total: count, uncached: count, cacheRead: count, cacheWrite: count }, { requiredKeys: [] }),
  outputTokens: fc.record({ total: count, text: count, reasoning: count })
})
const common: ReadonlyArray<fc.Arbitrary<object>> = [
  fc.record(
    {
      type: fc.constant("finish"),
      reason: mostly(fc.constantFrom("stop", "length"), "nonsense"),
      usage: mostly(usage, undefined, {}, { inputTokens: {} }),
      response: http,
      metadata,
      more: word
    },
    { requiredKeys: ["type", "reason", "usage"] }
  ),
  fc.record({
    type: fc.constant("response-metadata"),
    id: mostly(fc.option(word, { nil: undefined }), 1),
    modelId: fc.option(word, { nil: undefined }),
    timestamp: mostly(fc.constantFrom(undefined, "2026-11-21T00:00:00.000Z", "2026-11-21T00:00:00+02:00"), "soon", 1)
  }),
  fc.record({
    type: fc.constant("source"),
    sourceType: fc.constant("url"),
    id: word,
    url: mostly(fc.constant("https://example.com/"), "no address"),
    title: word
  }),
  fc.record({ type: fc.constant("file"), mediaType: word, data: mostly(fc.constant("aGk="), "?") }),
  fc.record({ type: fc.constant("tool-call"), id: word, name: word, params: fc.constant({}) }),
  fc.record({ type: mostly(fc.constant("finish"), "hologram"), reason: fc.constant("stop"), usage })
]
const whole = fc.array(
  fc.oneof(
    fc.record(
      {
        type: fc.constantFrom("text", "reasoning"),
        text: mostly(word, 1),
        metadata,
        "~effect/ai/Response/Part": mostly(fc.constant("~effect/ai/Response/Part"), "other")
      },
      { requiredKeys: ["type", "text"] }
    ),
    ...common
  ),
  { maxLength: 5 }
)
const chunks = fc.array(
  fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          type: fc.constantFrom("text-delta", "reasoning-delta"),
          id: word,
          delta: word,
          metadata
        })
      },
      { weight: 1, arbitrary: fc.record({ type: fc.constantFrom("text-start", "text-end"), id: word, metadata }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant("text-delta"), id: fc.constant(1), delta: word }) },
      ...common.map((arbitrary) => ({ weight: 1, arbitrary }))
    ),
    { minLength: 1, maxLength: 4 }
  ),
  { maxLength: 4 }
)

/** A provider that gives what is not always as its types say. */
const giving = (parts: ReadonlyArray<object>, streamed: ReadonlyArray<ReadonlyArray<object>> = []) => {
  const requests: Array<LanguageModel.ProviderOptions> = []
  const provider: Provider.Provider = {
    generateText: (request) =>
      Effect.sync(() => {
        requests.push(request)
        return parts as Array<Response.PartEncoded>
      }),
    streamText: (request) => {
      requests.push(request)
      return Stream.fromIterable(streamed as ReadonlyArray<[Response.StreamPartEncoded]>).pipe(
        Stream.flatMap((chunk) => Stream.fromIterable(chunk))
      )
    }
  }
  return { provider, requests }
}

const both = (provider: Provider.Provider) => Effect.all([Provider.make(provider), LanguageModel.make(provider)])

const validations = [{}, { disableToolCallResolution: true, toolCallValidation: "deferred" }] as const

describe("Provider.make", () => {
  it("answers as LanguageModel.make does, whatever the parts", () =>
    fc.assert(
      fc.asyncProperty(whole, fc.constantFrom(...validations), (parts, validation) =>
        Effect.runPromise(
          Effect.gen(function* () {
            const models = yield* both(giving(parts).provider)
            const [ours, theirs] = yield* Effect.forEach(models, (model) =>
              Effect.result(
                Effect.map(model.generateText({ prompt: "hi", ...validation }), ({ content }) => [...content])
              )
            )
            assert.strictEqual(ours?._tag, theirs?._tag)
            if (ours?._tag === "Success" && theirs?._tag === "Success") {
              assert.deepStrictEqual(ours.success, theirs.success)
              assert.strictEqual(JSON.stringify(ours.success), JSON.stringify(theirs.success))
            } else if (ours?._tag === "Failure" && theirs?._tag === "Failure") {
              assert.strictEqual(ours.failure.message, theirs.failure.message)
            }
          })
        )
      ),
      { numRuns: runs(400) }
    ))

  it.effect("answers with metadata as deep as it comes, which is the answer's own", () =>
    Effect.gen(function* () {
      let deep: object = {}
      for (let depth = 0; depth < 20_000; depth++) deep = { deep }
      const parts = [{ type: "text", text: "yes", metadata: { acme: deep } }]
      const model = yield* Provider.make(giving(parts).provider)
      const { content } = yield* model.generateText({ prompt: "hi" })
      assert.strictEqual<unknown>(content[0]?.metadata["acme"], deep)
      assert.notStrictEqual<unknown>(content[0]?.metadata, parts[0]?.metadata)
    })
  )

  it("streams as LanguageModel.make does, whatever the chunks", () =>
    fc.assert(
      fc.asyncProperty(chunks, fc.constantFrom(...validations), (parts, validation) =>
        Effect.runPromise(
          Effect.gen(function* () {
            const models = yield* both(giving([], parts).provider)
            const heard = yield* Effect.forEach(models, (model) => {
              const seen: Array<unknown> = []
              return model.streamText({ prompt: "hi", ...validation }).pipe(
                Stream.runForEach((part) => Effect.sync(() => seen.push(part))),
                Effect.result,
                Effect.map((end) => ({ seen, end: end._tag === "Failure" ? end.failure.message : "end" }))
              )
            })
            assert.deepStrictEqual(heard[0], heard[1])
          })
        )
      ),
      { numRuns: runs(60) }
    ))

  it.effect("asks its provider for the same, in a span with the same attributes", () =>
    Effect.gen(function* () {
      const { provider, requests } = giving([{ type: "text", text: "yes" }], [[{ type: "text-start", id: "t" }]])
      for (const model of yield* both(provider)) {
        yield* model.generateText({ prompt: "hi", toolChoice: "required", concurrency: 3 })
        yield* Stream.runDrain(model.streamText({ prompt: "hi" }))
      }
      const told = requests.map(({ span, ...request }) => ({
        ...request,
        name: span._tag === "Span" ? span.name : "",
        kind: span._tag === "Span" ? span.kind : "",
        attributes: span._tag === "Span" ? [...span.attributes] : []
      }))
      assert.deepStrictEqual(told.slice(0, 2), told.slice(2))
    })
  )
})

describe("Provider.directOf", () => {
  it.effect("is the way to the parts as they came, for models made here", () =>
    Effect.gen(function* () {
      const parts: Array<Response.PartEncoded> = [{ type: "text", text: "yes", metadata: { acme: null } }]
      const { provider } = giving(parts, [[{ type: "text-delta", id: "t", delta: "y" }]])
      const [ours, theirs] = yield* both(provider)
      assert.isUndefined(Provider.directOf(theirs))
      const direct = Provider.directOf(ours)
      assert.isDefined(direct)
      const request = {
        prompt: Prompt.make("hi"),
        tools: [],
        toolChoice: "none",
        toolCallValidation: "strict"
      } as const
      assert.strictEqual(yield* direct!.generateText(request), parts)
      assert.deepStrictEqual(yield* Stream.runCollect(direct!.streamText(request)), [
        { type: "text-delta", id: "t", delta: "y" }
      ])
      assert.isTrue(direct!.isOpen(Context.empty()))
      const tracker = yield* ResponseIdTracker.make
      assert.isFalse(direct!.isOpen(Context.make(ResponseIdTracker.ResponseIdTracker, tracker)))
      assert.isFalse(direct!.isOpen(Context.make(Telemetry.CurrentSpanTransformer, () => undefined)))
    })
  )
})

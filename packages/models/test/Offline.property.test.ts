import { assert, describe, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { Offline } from "../src/index.ts"
import { converse } from "./converse.ts"
import { any, struct } from "./schemas.ts"
import { runs } from "../../testing/test/measures.ts"

const someText = fc.oneof(
  fc.constantFrom(
    "",
    "Order 40 units of SKU-0042 from S-1 before 2026-01-01",
    "What is the weather in Lisbon?",
    'Book "Dune" for ann@example.com at 14:30 tomorrow',
    "Delete user 7 and cancel order #12, do not send anything",
    '{"sku":"A-1","units":-3,"price":1e9}'
  ),
  fc.string({ maxLength: 80 }),
  fc.lorem({ maxCount: 12 })
)

const verbs = ["get", "list", "search", "place", "create", "delete", "send", "book", "frobnicate"]
const tool = fc
  .record({
    verb: fc.constantFrom(...verbs),
    noun: fc.constantFrom("order", "user", "weather", "book", "event", "x"),
    description: fc.option(someText, { nil: undefined }),
    parameters: struct(any),
    kind: fc.nat(2),
    result: fc.jsonValue({ maxDepth: 3 }),
    fails: fc.boolean()
  })
  .map(({ description, fails, kind, noun, parameters, result, verb }) => {
    const made = Tool.make(`${verb}_${noun}`, {
      ...(description === undefined ? undefined : { description }),
      parameters,
      success: Schema.Unknown,
      failure: Schema.Unknown,
      failureMode: "return"
    })
    return {
      tool: kind === 0 ? made : made.annotate(Tool.Readonly, kind === 1).annotate(Tool.Destructive, kind === 2),
      handler: () => (fails ? Effect.fail(result) : Effect.succeed(result))
    }
  })
const tools = fc.uniqueArray(tool, { maxLength: 5, selector: ({ tool }) => tool.name })

describe("Offline, for any schema and any toolkit", () => {
  it.effect("gives structured output that decodes, whatever the schema and the conversation", () => {
    let refused = 0
    return Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(struct(any), someText, fc.jsonValue({ maxDepth: 3 }), (schema, text, result) =>
          Effect.gen(function* () {
            const prompt = Prompt.make([
              { role: "user", content: [{ type: "text", text }] },
              {
                role: "assistant",
                content: [{ type: "tool-call", id: "1", name: "get_order", params: { sku: "A-1" } }]
              },
              {
                role: "tool",
                content: [{ type: "tool-result", id: "1", name: "get_order", isFailure: false, result }]
              }
            ])
            const response = yield* LanguageModel.generateObject({
              prompt,
              schema: schema as Schema.Codec<unknown, Record<string, unknown>>
            })
            assert.isTrue(Schema.is(schema)(response.value))
            // What it said is JSON that decodes to the value.
            const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.toCodecJson(schema)))
            assert.isTrue(Schema.is(schema)(yield* decode(response.text)))
          }).pipe(
            // A check of one's own that its JSON schema does not tell may be beyond guessing: that is said, not faked.
            Effect.catchIf(
              (error) => AiError.isAiError(error) && error.reason._tag === "UnsupportedSchemaError",
              () => Effect.sync(() => void refused++)
            ),
            Effect.tapError(() => Effect.sync(() => console.log(JSON.stringify(Schema.toJsonSchemaDocument(schema))))),
            Effect.provide(Offline.layer),
            Effect.runPromise
          )
        ),
        { numRuns: runs(40) }
      )
    ).pipe(Effect.andThen(Effect.sync(() => assert.isAtMost(refused, Math.max(2, runs(40) / 100)))))
  })

  it.effect("calls only tools that are there, nothing twice, and ends", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(tools, someText, someText, (made, request, instructions) =>
          Effect.gen(function* () {
            const toolkit = Toolkit.make(...made.map((entry) => entry.tool))
            const handlers: Record<string, () => Effect.Effect<unknown, unknown>> = Object.fromEntries(
              made.map((entry) => [entry.tool.name, entry.handler])
            )
            const run = yield* converse(
              toolkit,
              handlers,
              Prompt.make([
                { role: "system", content: instructions },
                { role: "user", content: [{ type: "text", text: request }] }
              ])
            )
            const known = new Set<string>(made.map((entry) => entry.tool.name))
            const seen = run.calls.map((call) => JSON.stringify([call.name, call.params]))
            assert.isTrue(run.calls.every((call) => known.has(call.name)))
            assert.strictEqual(new Set(seen).size, seen.length)
            assert.isAtMost(seen.length, 32)
          }).pipe(Effect.provide(Offline.layer), Effect.runPromise)
        ),
        { numRuns: runs(30) }
      )
    )
  )

  it.effect(
    "streams what it answers as a whole: the same text, the same calls, with arguments that their tools take, one end",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(tools, someText, someText, (made, request, instructions) =>
            Effect.gen(function* () {
              const toolkit = Toolkit.make(...made.map((entry) => entry.tool))
              const options = {
                prompt: Prompt.make([
                  { role: "system", content: instructions },
                  { role: "user", content: [{ type: "text", text: request }] }
                ]),
                toolkit,
                disableToolCallResolution: true,
                toolCallValidation: "deferred"
              } as const
              const whole = yield* LanguageModel.generateText(options)
              const parts = yield* Stream.runCollect(LanguageModel.streamText(options))
              const text = parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : [])).join("")
              assert.strictEqual(text, whole.text)
              const calls = parts.flatMap((part) => (part.type === "tool-call" ? [part] : []))
              assert.deepStrictEqual(calls, whole.toolCalls)
              for (const call of calls) {
                const called = made.find((entry) => entry.tool.name === call.name)
                assert.isDefined(called)
                // Fails if the arguments do not fit.
                yield* Schema.decodeUnknownEffect(Schema.toCodecJson(called!.tool.parametersSchema))(call.params)
              }
              assert.strictEqual(new Set(calls.map((call) => call.id)).size, calls.length)
              assert.deepStrictEqual(
                parts.flatMap((part, index) => (part.type === "finish" ? [index] : [])),
                [parts.length - 1]
              )
            }).pipe(Effect.provide(Offline.layer), Effect.runPromise)
          ),
          { numRuns: runs(20) }
        )
      )
  )

  it.effect("answers the same prompt in the same way", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(tools, someText, (made, request) =>
          Effect.gen(function* () {
            const toolkit = Toolkit.make(...made.map((entry) => entry.tool))
            const handlers: Record<string, () => Effect.Effect<unknown, unknown>> = Object.fromEntries(
              made.map((entry) => [entry.tool.name, entry.handler])
            )
            const once = yield* Effect.exit(converse(toolkit, handlers, request))
            const again = yield* Effect.exit(converse(toolkit, handlers, request))
            assert.deepStrictEqual(Exit.isSuccess(once) && once.value.calls, Exit.isSuccess(again) && again.value.calls)
          }).pipe(Effect.provide(Offline.layer), Effect.runPromise)
        ),
        { numRuns: runs(8) }
      )
    )
  )
})

import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { Offline } from "../src/index.ts"
import { converse } from "./converse.ts"

const names = [
  "id",
  "sku",
  "userId",
  "city",
  "units",
  "price",
  "startDate",
  "title",
  "status",
  "reasons",
  "approved",
  "items",
  "email",
  "query",
  "limit",
  "name"
]
const name = fc.constantFrom(...names)
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

interface Tree {
  readonly label: string
  readonly children: ReadonlyArray<Tree>
  readonly parent: Tree | null
}
const Tree: Schema.Codec<Tree> = Schema.Struct({
  label: Schema.String,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree)),
  parent: Schema.NullOr(Schema.suspend((): Schema.Codec<Tree> => Tree))
}).annotate({ identifier: "Tree" })

type AnySchema = Schema.Codec<unknown, unknown>
const as = (schema: Schema.Top): AnySchema => schema as never

/** Schemas that can stand in any place, of every kind that a JSON form is defined for. */
const leaf: fc.Arbitrary<AnySchema> = fc.oneof(
  fc.constantFrom(
    as(Schema.String),
    as(Schema.NonEmptyString),
    as(Schema.Int),
    as(Schema.Finite),
    as(Schema.Boolean),
    as(Schema.Null),
    as(Schema.Unknown),
    as(Schema.Date),
    as(Schema.BigInt),
    as(Schema.DateTimeUtcFromString),
    as(Schema.FiniteFromString),
    as(Schema.Option(Schema.String)),
    as(Tree),
    as(Schema.String.check(Schema.isPattern(/^[A-Z]{2}-\d{4}$/))),
    as(Schema.String.check(Schema.isPattern(/^[a-f]+(x|y)?$/u))),
    as(Schema.String.check(Schema.isUUID())),
    as(Schema.String.check(Schema.makeFilter((text) => text.length % 2 === 0))),
    as(Schema.Int.check(Schema.makeFilter((value) => value > 10)))
  ),
  fc
    .tuple(fc.integer({ min: -50, max: 50 }), fc.nat(30))
    .map(([minimum, size]) => as(Schema.Int.check(Schema.isBetween({ minimum, maximum: minimum + size })))),
  fc
    .tuple(fc.nat(5), fc.nat(20))
    .map(([low, size]) => as(Schema.String.check(Schema.isMinLength(low), Schema.isMaxLength(low + size)))),
  fc
    .uniqueArray(fc.string({ minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 })
    .map((literals) => as(Schema.Literals(literals))),
  fc
    .integer({ min: 1, max: 9 })
    .map((divisor) => as(Schema.Int.check(Schema.isMultipleOf(divisor), Schema.isGreaterThan(divisor))))
)

const struct = (field: fc.Arbitrary<AnySchema>): fc.Arbitrary<AnySchema> =>
  fc
    .uniqueArray(fc.tuple(name, field, fc.nat(2)), { maxLength: 6, selector: ([key]) => key })
    .map((fields) =>
      as(
        Schema.Struct(
          Object.fromEntries(
            fields.map(([key, value, kind]) => [
              key,
              kind === 0 ? value : kind === 1 ? Schema.optionalKey(value) : Schema.NullOr(value)
            ])
          )
        )
      )
    )

const { any } = fc.letrec<{ any: AnySchema }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small", maxDepth: 3 },
    leaf,
    struct(tie("any")),
    tie("any").map((item) => as(Schema.Array(item))),
    fc
      .tuple(leaf, fc.integer({ min: 1, max: 3 }))
      .map(([item, low]) => as(Schema.Array(item).check(Schema.isMinLength(low), Schema.isMaxLength(low + 2)))),
    fc.tuple(leaf, tie("any")).map((members) => as(Schema.Tuple(members))),
    fc.tuple(leaf, tie("any")).map((members) => as(Schema.Union(members))),
    fc
      .tuple(struct(leaf), struct(leaf))
      .map(([left, right]) =>
        as(
          Schema.Union([
            Schema.Struct({ kind: Schema.Literal("left"), body: left }),
            Schema.Struct({ kind: Schema.Literal("right"), body: right })
          ])
        )
      ),
    leaf.map((value) => as(Schema.Record(Schema.String, value)))
  )
}))

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
  it.effect(
    "gives structured output that decodes, whatever the schema and the conversation",
    () =>
      Effect.promise(() =>
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
            }).pipe(
              Effect.tapError(() =>
                Effect.sync(() => console.log(JSON.stringify(Schema.toJsonSchemaDocument(schema))))
              ),
              Effect.provide(Offline.layer),
              Effect.runPromise
            )
          ),
          { numRuns: 400 }
        )
      ),
    60_000
  )

  it.effect(
    "calls only tools that are there, nothing twice, and ends",
    () =>
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
          { numRuns: 300 }
        )
      ),
    60_000
  )

  it.effect(
    "answers the same prompt in the same way",
    () =>
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
              assert.deepStrictEqual(
                Exit.isSuccess(once) && once.value.calls,
                Exit.isSuccess(again) && again.value.calls
              )
            }).pipe(Effect.provide(Offline.layer), Effect.runPromise)
          ),
          { numRuns: 50 }
        )
      ),
    60_000
  )
})

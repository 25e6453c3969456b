import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Prompt from "effect/ai/Prompt"
import * as fc from "fast-check"
import { runs } from "../../testing/test/measures.ts"
import { isIdentity, unfaithful } from "../src/internal/faithful.ts"

/** A schema and its values. */
interface Pair {
  readonly schema: Schema.Codec<unknown, unknown>
  readonly value: fc.Arbitrary<unknown>
}

const pair = <A, E>(schema: Schema.Codec<A, E>, value: fc.Arbitrary<A>): Pair => ({ schema, value })

class Point extends Schema.Class<Point>("Point")({ x: Schema.Finite, at: Schema.optionalKey(Schema.Date) }) {}

interface Tree {
  readonly at: Date
  readonly kids: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({
  at: Schema.Date,
  kids: Schema.Array(Schema.suspend((): Schema.Codec<Tree, unknown> => Tree))
}) satisfies Schema.Codec<Tree, unknown>

// JSON has no -0; it is read as 0.
const zeroed = (n: number) => (n === 0 ? 0 : n)
const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map(zeroed)
const number = fc.oneof(finite, fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY))
const text = fc.oneof(fc.string(), fc.constantFrom("NaN", "Infinity", "12", "2020-01-01T00:00:00.000Z", "abcd", "x"))
const date = fc.date({ noInvalidDate: true })
const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as Schema.Json)
const trees = (kids: fc.Arbitrary<Tree>): fc.Arbitrary<Tree> =>
  fc.record({ at: date, kids: fc.array(kids, { maxLength: 2 }) }, { noNullPrototype: true })
const tree = trees(trees(date.map((at) => ({ at, kids: [] }))))

const leaves: ReadonlyArray<Pair> = [
  pair(Schema.String, text),
  pair(Schema.NonEmptyString, fc.string({ minLength: 1 })),
  pair(Schema.Finite, finite),
  pair(Schema.Int, fc.integer()),
  pair(Schema.Number, number),
  pair(Schema.Boolean, fc.boolean()),
  pair(Schema.Null, fc.constant(null)),
  pair(Schema.Undefined, fc.constant(undefined)),
  pair(Schema.BigInt, fc.bigInt()),
  pair(Schema.Literals(["x", "y", 12]), fc.constantFrom("x", "y", 12)),
  pair(Schema.Literal("NaN"), fc.constant("NaN")),
  pair(
    Schema.TemplateLiteral(["id-", Schema.Int]),
    fc.integer().map((n) => `id-${n}` as const)
  ),
  pair(Schema.Date, date),
  pair(
    Schema.DateTimeUtc,
    date.map((at) => DateTime.makeUnsafe(at))
  ),
  pair(Schema.Duration, fc.integer({ min: 0 }).map(Duration.millis)),
  pair(
    Schema.URL,
    fc.webUrl().map((url) => new URL(url))
  ),
  pair(Schema.Uint8Array, fc.uint8Array()),
  pair(Schema.Json, json),
  pair(
    Point,
    fc.record({ x: finite, at: date }, { requiredKeys: ["x"] }).map((fields) => new Point(fields))
  ),
  pair(Tree, tree)
]

const optionally = (value: fc.Arbitrary<unknown>) => fc.option(value, { nil: missing, freq: 2 })
const missing = Symbol("missing")

const struct = (fields: ReadonlyArray<readonly [string, Pair, "required" | "key" | "optional"]>): Pair => ({
  schema: Schema.Struct(
    Object.fromEntries(
      fields.map(([name, { schema }, presence]) => [
        name,
        presence === "required" ? schema : presence === "key" ? Schema.optionalKey(schema) : Schema.optional(schema)
      ])
    )
  ),
  value: fc
    .tuple(
      ...fields.map(([, { value }, presence]) =>
        presence === "required"
          ? value
          : optionally(presence === "key" ? value : fc.oneof(value, fc.constant(undefined)))
      )
    )
    .map((values) =>
      Object.fromEntries(fields.map(([name], i) => [name, values[i]]).filter(([, value]) => value !== missing))
    )
})

const field = (inner: fc.Arbitrary<Pair>) =>
  fc.tuple(fc.constantFrom("a", "b", "c"), inner, fc.constantFrom("required", "required", "key", "optional"))

const pairs: fc.Arbitrary<Pair> = fc.letrec<{ pair: Pair }>((tie) => ({
  pair: fc.oneof(
    { depthSize: "small" },
    { arbitrary: fc.constantFrom(...leaves), weight: 3 },
    {
      arbitrary: tie("pair").map(({ schema, value }) => pair(Schema.Array(schema), fc.array(value, { maxLength: 3 }))),
      weight: 1
    },
    {
      arbitrary: fc
        .tuple(tie("pair"), tie("pair"))
        .map(([a, b]) => pair(Schema.Tuple([a.schema, b.schema]), fc.tuple(a.value, b.value))),
      weight: 1
    },
    {
      arbitrary: fc
        .uniqueArray(field(tie("pair")), { selector: ([name]) => name, minLength: 1, maxLength: 3 })
        .map(struct),
      weight: 3
    },
    {
      arbitrary: tie("pair").map(({ schema, value }) =>
        pair(
          Schema.Record(Schema.String, schema),
          fc.dictionary(fc.string(), value, { maxKeys: 3, noNullPrototype: true })
        )
      ),
      weight: 1
    },
    {
      arbitrary: tie("pair").map(({ schema, value }) =>
        pair(Schema.Option(schema), fc.oneof(fc.constant(Option.none()), value.map(Option.some)))
      ),
      weight: 1
    },
    {
      arbitrary: tie("pair").map(({ schema, value }) =>
        pair(
          Schema.ReadonlyMap(Schema.String, schema),
          fc
            .dictionary(fc.string(), value, { maxKeys: 3, noNullPrototype: true })
            .map((record) => new Map(Object.entries(record)))
        )
      ),
      weight: 1
    },
    {
      arbitrary: fc.array(tie("pair"), { minLength: 2, maxLength: 3 }).map((members): Pair => ({
        schema: Schema.Union(members.map(({ schema }) => schema)),
        value: fc.oneof(...members.map(({ value }) => value))
      })),
      weight: 4
    }
  )
})).pair

const cases = pairs.chain(({ schema, value }) => fc.record({ schema: fc.constant(schema), value }))

const codec = (schema: Schema.Codec<unknown, unknown>) => {
  const json = Schema.toCodecJson(schema)
  return { encode: Schema.encodeUnknownSync(json), decode: Schema.decodeUnknownSync(json) }
}

const restarted = (encoded: unknown): unknown => JSON.parse(JSON.stringify(encoded))

const count = runs(150)

describe("a schema with a faithful JSON encoding", () => {
  it("reads every value back as it was", () => {
    let held = 0
    fc.assert(
      fc.property(cases, ({ schema, value }) => {
        if (unfaithful(schema) !== undefined) return
        held++
        const { decode, encode } = codec(schema)
        assert.deepStrictEqual(decode(restarted(encode(value))), value)
      }),
      { numRuns: count, endOnFailure: true }
    )
    assert.isAbove(held, count / 3, "too few of the generated schemas were found faithful for this to say much")
  })

  it("that is an identity encodes a value as it is, and decoding it again changes nothing", () => {
    let held = 0
    fc.assert(
      fc.property(cases, ({ schema, value }) => {
        if (!isIdentity(schema)) return
        held++
        const { decode, encode } = codec(schema)
        assert.deepStrictEqual(encode(value), value)
        assert.deepStrictEqual(decode(restarted(encode(value))), value)
        const more =
          typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value, zzz: "more" } : value
        const encoded = Schema.encodeUnknownExit(Schema.toCodecJson(schema))(more)
        if (encoded._tag === "Success") assert.deepStrictEqual(decode(encoded.value), encoded.value)
      }),
      { numRuns: count, endOnFailure: true }
    )
    assert.isAbove(held, count / 20, "too few of the generated schemas were identities for this to say much")
  })

  it.each<readonly [string, Schema.Constraint]>([
    [
      "strings, finite numbers, booleans, null",
      Schema.Struct({ a: Schema.String, b: Schema.Finite, c: Schema.NullOr(Schema.Boolean) })
    ],
    ["JSON", Schema.Json],
    [
      "recursion",
      Schema.Struct({ next: Schema.optionalKey(Schema.suspend((): Schema.Codec<unknown> => Schema.Json)) })
    ],
    [
      "tagged unions",
      Schema.Union([Schema.TaggedStruct("A", { n: Schema.Int }), Schema.TaggedStruct("B", { n: Schema.String })])
    ]
  ])("is an identity: %s", (_, schema) => {
    assert.isUndefined(unfaithful(schema))
    assert.isTrue(isIdentity(schema))
  })

  it.each<readonly [string, Schema.Constraint]>([
    ["numbers with NaN", Schema.Number],
    ["dates", Schema.Struct({ at: Schema.Date })],
    ["bigints", Schema.BigInt],
    ["bytes", Schema.Uint8Array],
    ["options", Schema.Option(Schema.String)],
    ["class instances", Point],
    ["recursive types", Tree],
    ["optional values", Schema.UndefinedOr(Schema.Date)],
    ["a literal beside a date", Schema.Union([Schema.Literal("never"), Schema.Date])],
    [
      "members told apart by a tag",
      Schema.Union([Schema.TaggedStruct("A", { n: Schema.Date }), Schema.TaggedStruct("B", { n: Schema.String })])
    ],
    ["a prompt", Prompt.Prompt],
    ["errors with a cause", Schema.Struct({ cause: Schema.Defect() })]
  ])("is faithful but no identity: %s", (_, schema) => {
    assert.isUndefined(unfaithful(schema))
    assert.isFalse(isIdentity(schema))
  })
})

describe("a schema without a faithful JSON encoding is found, with its place and advice", () => {
  const opaque = Schema.declare((u): u is () => void => typeof u === "function", { identifier: "Callback" })
  const bothWays = Schema.String.pipe(
    Schema.decodeTo(
      Schema.Finite,
      SchemaTransformation.transformEffect({
        decode: (s) => Effect.succeed(Number(s)),
        encode: (n) => Effect.succeed(String(n))
      })
    )
  )
  it.each<readonly [string, Schema.Constraint, RegExp]>([
    ["unknown", Schema.Unknown, /^Unknown may hold what JSON cannot; use Schema\.Json/],
    ["any", Schema.Any, /^Any may hold/],
    ["object", Schema.ObjectKeyword, /^ObjectKeyword may hold/],
    ["void", Schema.Void, /^Void .* use Schema\.Undefined/],
    ["symbol", Schema.Symbol, /symbol/],
    ["JSON text of anything", Schema.fromJsonString(Schema.Unknown), /^Unknown may hold/],
    [
      "deep inside",
      Schema.Struct({ notes: Schema.Array(Schema.Struct({ meta: Schema.Unknown })) }),
      /^at notes\[\]\.meta: Unknown/
    ],
    ["in a record", Schema.Record(Schema.String, Schema.Symbol), /^at \[key\]: /],
    ["in a type parameter", Schema.Struct({ a: Schema.Option(Schema.Unknown) }), /^at a: Unknown/],
    [
      "in a recursive type",
      Schema.Struct({ next: Schema.suspend((): Schema.Codec<unknown> => Schema.Unknown) }),
      /^at next: Unknown/
    ],
    ["a type without a codec", Schema.Struct({ done: opaque }), /^at done: Callback has no JSON codec/],
    ["null and undefined", Schema.NullishOr(Schema.String), /undefined is null as JSON/],
    [
      "an optional null",
      Schema.Struct({ a: Schema.optional(Schema.NullOr(Schema.Int)) }),
      /^at a: .*undefined is null as JSON/
    ],
    ["a string beside a date", Schema.Union([Schema.String, Schema.Date]), /Date can be taken for String/],
    ["a string beside NaN", Schema.Union([Schema.String, Schema.Number]), /use Schema\.Finite/],
    [
      "a part of another",
      Schema.Union([Schema.Struct({ a: Schema.Int }), Schema.Struct({ a: Schema.Int, b: Schema.Int })]),
      /\{ a, b \} can be taken for \{ a \}/
    ],
    [
      "an instance that a struct would take apart",
      Schema.Union([Schema.Struct({ a: Schema.optionalKey(Schema.Int) }), Schema.URL]),
      /URL can be taken for \{ a \}/
    ],
    [
      "a secret that refuses",
      Schema.Redacted(Schema.String, { disallowJsonEncode: true }),
      /Redacted refuses to be encoded/
    ]
  ])("%s", (_, schema, finding) => {
    assert.match(unfaithful(schema) ?? "nothing found", finding)
    assert.isFalse(isIdentity(schema))
  })

  it("a property that no JSON object can have", () => {
    assert.match(unfaithful(Schema.Struct({ [Symbol.for("key")]: Schema.String })) ?? "", /cannot be derived/)
  })

  it("a transformation without a way back", () => {
    const oneWay = Schema.String.pipe(
      Schema.decodeTo(Schema.Finite, { decode: SchemaGetter.Number(), encode: SchemaGetter.forbiddenEncoding })
    )
    assert.match(unfaithful(Schema.Array(oneWay)) ?? "", /^at \[\]: .*refuses to be encoded or decoded/)
    assert.isUndefined(unfaithful(bothWays))
  })
})

// Schemas of every kind that a JSON form is defined for, as arbitraries.
import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"

/** Any schema that needs no services. */
export type AnySchema = Schema.Codec<unknown, unknown>
export const as = (schema: Schema.Top): AnySchema => schema as never

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
  "name",
  "__proto__x",
  "a b",
  "größe"
]
export const name = fc.constantFrom(...names)

// ---- Recursive schemas: a tree, a list, an expression of a tagged union, two that need each other

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

type List = { readonly _tag: "Nil" } | { readonly _tag: "Cons"; readonly head: number; readonly tail: List }
const List: Schema.Codec<List> = Schema.Union([
  Schema.Struct({
    _tag: Schema.tag("Cons"),
    head: Schema.Int,
    tail: Schema.suspend((): Schema.Codec<List> => List)
  }),
  Schema.Struct({ _tag: Schema.tag("Nil") })
]).annotate({ identifier: "List" })

type Expression =
  | { readonly kind: "add"; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "negate"; readonly of: readonly [Expression] }
  | { readonly kind: "number"; readonly value: number }
const Expression: Schema.Codec<Expression> = Schema.Union([
  Schema.Struct({
    kind: Schema.Literal("add"),
    left: Schema.suspend((): Schema.Codec<Expression> => Expression),
    right: Schema.suspend((): Schema.Codec<Expression> => Expression)
  }),
  Schema.Struct({
    kind: Schema.Literal("negate"),
    of: Schema.Tuple([Schema.suspend((): Schema.Codec<Expression> => Expression)])
  }),
  Schema.Struct({ kind: Schema.Literal("number"), value: Schema.Finite })
]).annotate({ identifier: "Expression" })

interface Department {
  readonly name: string
  readonly staff: Readonly<Record<string, Person>>
}
interface Person {
  readonly name: string
  readonly heads?: Department
}
const Person: Schema.Codec<Person> = Schema.Struct({
  name: Schema.NonEmptyString,
  heads: Schema.optionalKey(Schema.suspend((): Schema.Codec<Department> => Department))
}).annotate({ identifier: "Person" })
const Department: Schema.Codec<Department> = Schema.Struct({
  name: Schema.String,
  staff: Schema.Record(
    Schema.String,
    Schema.suspend((): Schema.Codec<Person> => Person)
  )
}).annotate({ identifier: "Department" })

class Point extends Schema.Class<Point>("Point")({ x: Schema.Finite, y: Schema.Finite }) {}

const Level = { low: "low", high: "high" } as const

const fixed: ReadonlyArray<Schema.Top> = [
  Schema.String,
  Schema.NonEmptyString,
  Schema.Trim,
  Schema.Trimmed,
  Schema.Char,
  Schema.Int,
  Schema.Finite,
  Schema.Natural,
  Schema.Number,
  Schema.Boolean,
  Schema.BooleanFromBit,
  Schema.Null,
  Schema.Unknown,
  Schema.Json,
  Schema.Enum(Level),
  Schema.Literals([1, 2, 3]),
  Schema.Literals(["a", 1, true]),
  // Dates and times
  Schema.Date,
  Schema.DateFromString,
  Schema.DateFromMillis,
  Schema.DateTimeUtc,
  Schema.DateTimeUtcFromString,
  Schema.DateTimeUtcFromMillis,
  Schema.DateTimeZonedFromString,
  Schema.Duration,
  Schema.DurationFromMillis,
  Schema.TimeZoneFromString,
  Schema.Date.check(Schema.isGreaterThanDate(new Date("2030-01-01"))),
  Schema.DateTimeUtcFromString.check(
    Schema.makeFilter((value) => DateTime.toEpochMillis(value) > Date.UTC(2001, 0, 1))
  ),
  // Numbers of other kinds
  Schema.BigInt,
  Schema.BigIntFromString,
  Schema.BigInt.check(Schema.isGreaterThanBigInt(10n)),
  Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: -9n, maximum: -3n })),
  Schema.BigDecimal,
  Schema.BigDecimal.check(Schema.isGreaterThanBigDecimal(BigDecimal.fromStringUnsafe("1.5"))),
  Schema.FiniteFromString,
  Schema.NumberFromString,
  Schema.Int.check(Schema.isInt32()),
  Schema.Finite.check(Schema.isGreaterThan(0.1), Schema.isLessThan(0.2)),
  // What stands for other things
  Schema.URL,
  Schema.URLFromString,
  Schema.RegExp,
  Schema.Uint8ArrayFromBase64,
  Schema.StringFromBase64,
  Schema.Option(Schema.String),
  Schema.OptionFromNullOr(Schema.Int),
  Schema.Redacted(Schema.String),
  Schema.Result(Schema.String, Schema.Int),
  Schema.ReadonlySet(Schema.String),
  Schema.ReadonlyMap(Schema.String, Schema.Int),
  Schema.HashMap(Schema.String, Schema.Int),
  Schema.Chunk(Schema.Int),
  Schema.SemVerFromString,
  Schema.Ipv4AddressFromString,
  Point,
  // Texts of a form
  Schema.String.check(Schema.isPattern(/^[A-Z]{2}-\d{4}$/)),
  Schema.String.check(Schema.isPattern(/^[a-f]+(x|y)?$/u)),
  Schema.String.check(Schema.isPattern(/^\+\d{7,15}$/)),
  Schema.String.check(Schema.isPattern(/^(?:[0-9]{3}-){2}[0-9]{4}$/)),
  Schema.String.check(Schema.isPattern(/^#[0-9a-f]{6}$/i)),
  Schema.String.check(Schema.isPattern(/^[^@\s]+@[^@\s]+\.[a-z]{2,}$/)),
  Schema.String.check(Schema.isUUID()),
  Schema.String.check(Schema.isULID()),
  Schema.String.check(Schema.isBase64()),
  Schema.String.check(Schema.isStartingWith("sku-"), Schema.isMinLength(8)),
  Schema.String.check(Schema.isEndingWith("!")),
  Schema.String.check(Schema.isIncluding("mid")),
  Schema.String.check(Schema.isUppercased(), Schema.isMinLength(3)),
  Schema.String.check(Schema.isLowercased()),
  Schema.String.check(Schema.isCapitalized(), Schema.isNonEmpty()),
  Schema.String.check(Schema.makeFilter((text) => text.length % 2 === 0)),
  Schema.Int.check(Schema.makeFilter((value) => value > 10)),
  Schema.TemplateLiteral(["order-", Schema.Int]),
  Schema.TemplateLiteral([Schema.Literals(["a", "b"]), ":", Schema.String]),
  Schema.TemplateLiteralParser(["v", Schema.FiniteFromString]),
  // Defaults and transformations
  Schema.Struct({ a: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("x"))) }),
  Schema.NonEmptyArray(Schema.Int),
  Schema.UniqueArray(Schema.String),
  Schema.Array(Schema.Int).check(Schema.isUnique(), Schema.isMinLength(3)),
  Tree,
  List,
  Expression,
  Person,
  Department
]

/** Schemas that can stand in any place. */
export const leaf: fc.Arbitrary<AnySchema> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...fixed.map(as)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.integer({ min: -50, max: 50 }), fc.nat(30))
      .map(([minimum, size]) => as(Schema.Int.check(Schema.isBetween({ minimum, maximum: minimum + size }))))
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(5), fc.nat(20))
      .map(([low, size]) => as(Schema.String.check(Schema.isMinLength(low), Schema.isMaxLength(low + size))))
  },
  {
    weight: 1,
    arbitrary: fc
      .uniqueArray(fc.string({ minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 })
      .map((literals) => as(Schema.Literals(literals)))
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 1, max: 9 })
      .map((divisor) => as(Schema.Int.check(Schema.isMultipleOf(divisor), Schema.isGreaterThan(divisor))))
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.double({ min: -100, max: 100, noNaN: true }), fc.double({ min: 0.01, max: 10, noNaN: true }))
      .map(([low, size]) => as(Schema.Finite.check(Schema.isGreaterThan(low), Schema.isLessThanOrEqualTo(low + size))))
  }
)

export const struct = (field: fc.Arbitrary<AnySchema>): fc.Arbitrary<AnySchema> =>
  fc
    .uniqueArray(fc.tuple(name, field, fc.nat(3)), { maxLength: 6, selector: ([key]) => key })
    .map((fields) =>
      as(
        Schema.Struct(
          Object.fromEntries(
            fields.map(([key, value, kind]) => [
              key,
              kind === 0
                ? value
                : kind === 1
                  ? Schema.optionalKey(value)
                  : kind === 2
                    ? Schema.optional(value)
                    : Schema.NullOr(value)
            ])
          )
        )
      )
    )

const tagged = (body: fc.Arbitrary<AnySchema>): fc.Arbitrary<AnySchema> =>
  fc
    .tuple(body, body, fc.boolean())
    .map(([left, right, oneOf]) =>
      as(
        Schema.Union(
          [
            Schema.Struct({ kind: Schema.Literal("left"), body: left }),
            Schema.Struct({ kind: Schema.Literal("right"), body: right })
          ],
          oneOf ? { mode: "oneOf" } : undefined
        )
      )
    )

export const { any } = fc.letrec<{ any: AnySchema }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small", maxDepth: 3 },
    leaf,
    struct(tie("any")),
    tie("any").map((item) => as(Schema.Array(item))),
    fc
      .tuple(leaf, fc.integer({ min: 1, max: 3 }))
      .map(([item, low]) => as(Schema.Array(item).check(Schema.isMinLength(low), Schema.isMaxLength(low + 2)))),
    fc.tuple(leaf, tie("any")).map((members) => as(Schema.Tuple(members))),
    fc.tuple(leaf, tie("any")).map(([first, second]) => as(Schema.Tuple([first, Schema.optionalKey(second)]))),
    fc.tuple(leaf, tie("any")).map(([first, rest]) => as(Schema.TupleWithRest(Schema.Tuple([first]), [rest]))),
    fc
      .tuple(leaf, leaf, leaf)
      .map(([first, rest, last]) => as(Schema.TupleWithRest(Schema.Tuple([first]), [rest, last]))),
    fc.tuple(leaf, tie("any")).map((members) => as(Schema.Union(members))),
    tagged(struct(tie("any"))),
    leaf.map((value) => as(Schema.Record(Schema.String, value))),
    leaf.map((value) => as(Schema.Record(Schema.Literals(["x", "y"]), value))),
    leaf.map((value) => as(Schema.Record(Schema.TemplateLiteral(["k-", Schema.Int]), value))),
    leaf.map((value) => as(Schema.Record(Schema.String, value).check(Schema.isMinProperties(2)))),
    leaf.map((value) =>
      as(Schema.StructWithRest(Schema.Struct({ known: value }), [Schema.Record(Schema.String, Schema.Unknown)]))
    )
  )
}))

/**
 * Building blocks of the wire schemas.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

/** A field that may be missing or null: servers differ in which they send. */
export const nullish = <S extends Schema.Top>(schema: S) => Schema.optional(Schema.NullOr(schema))

/** A field that an answer does not need: what is not of its shape is as good as missing. */
export const spare = <A, I>(schema: Schema.Codec<A, I>): Schema.Codec<A | null | undefined, I | null | undefined> =>
  Schema.UndefinedOr(Schema.NullOr(schema)).pipe(Schema.catchDecoding(() => Effect.succeed(Option.some(undefined))))

/**
 * Any object whose `type` is none of the known ones, reduced to `{ type: "other" }`. New kinds pass unread; a malformed one of
 * a known kind does not pass as new.
 */
export const otherThan = (known: ReadonlyArray<string>) =>
  Schema.Struct({
    type: Schema.String.check(Schema.makeFilter((type) => !known.includes(type))).pipe(
      Schema.decodeTo(
        Schema.Literal("other"),
        SchemaTransformation.transform({ decode: () => "other" as const, encode: () => "other" })
      )
    )
  })

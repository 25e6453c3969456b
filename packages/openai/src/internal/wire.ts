/**
 * Building blocks of the wire schemas.
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

/** A field that may be missing or null: servers differ in which they send. */
export const nullish = <S extends Schema.Top>(schema: S) => Schema.optional(Schema.NullOr(schema))

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

// A value on its way into an entry: within its bounds as it is given and as the JSON that it becomes, and JSON at all.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Bound from "../Bound.ts"

const isJson = Schema.is(Schema.Json)

/** Why a value cannot stand in an entry as it is, if it cannot. */
export const jsonIssue = (value: unknown): string | undefined =>
  Bound.issueOf(value) ??
  (isJson(value) ? undefined : "it is no JSON; give it a schema that encodes it, as Schema.Json")

/** A value as the JSON of its schema; fails with what is wrong with it. */
export const encodeBounded = <A>(
  schema: Schema.Codec<A, Schema.Json>,
  value: A
): Effect.Effect<Schema.Json, { readonly message: string }> =>
  Effect.suspend(() => {
    const beyond = Bound.issueOf(value)
    if (beyond !== undefined) return Effect.fail({ message: beyond })
    return Schema.encodeEffect(schema)(value).pipe(
      // A class that holds itself is walked by its schema alone.
      Effect.catchDefect((defect) =>
        Effect.fail({
          message: `it could not be encoded: ${defect instanceof Error ? defect.message : String(defect)}`
        })
      ),
      // What is no plain object is looked into as the JSON that it is.
      Effect.flatMap((json) => {
        const message = jsonIssue(json)
        return message === undefined ? Effect.succeed(json) : Effect.fail({ message })
      })
    )
  })

/**
 * Refusals: failures of what stands around a model, carried in an `AiError`.
 *
 * A `LanguageModel` fails with `AiError` and nothing else, so that whoever calls a model need not know what is around it. A
 * middleware's own typed error travels in the metadata of the reason, in its encoded form, and is got back by its schema.
 * It survives processes, and `isRetryable` and `retryAfter` of the `AiError` say what retries, breakers and fallback need.
 *
 * **Example**
 *
 * ```ts
 * import * as Refusal from "@selvage/models/Refusal"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * class QuietHours extends Schema.TaggedError<QuietHours>()("QuietHours", { until: Schema.String }) {
 *   override get message() {
 *     return `No model is asked before ${this.until}. Ask later.`
 *   }
 * }
 *
 * export const program = Effect.fail(Refusal.make(QuietHours, new QuietHours({ until: "07:00" }))).pipe(
 *   Refusal.catchRefusal(QuietHours, ({ until }) => Effect.succeed(`closed until ${until}`))
 * )
 * ```
 */
import * as AiError from "effect/ai/AiError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

/** The key of the metadata that holds a refusal. */
export const key = "selvage"

/** An error that can be carried: its message says what happened, to what, and what to do. */
export interface Carried {
  readonly _tag: string
  readonly message: string
}

/** Options of {@link make}. */
export interface Options {
  /**
   * The reason that carries the error. `UnknownError` (default) and `InvalidRequestError` are not retryable,
   * `InternalProviderError` and `RateLimitError` are. `RateLimitError` shows its own message.
   */
  readonly as?: "UnknownError" | "InvalidRequestError" | "InternalProviderError" | "RateLimitError" | undefined
  /** How long to wait before it is worth another try; only for `RateLimitError`. */
  readonly retryAfter?: Duration.Duration | undefined
  /** What failed; `generateText`, for example. */
  readonly method?: string | undefined
}

/** The schema of an error that can be carried. */
export type ErrorSchema<A extends Carried> = Schema.ConstraintCodec<A, unknown, never, never>

const reasonOf = (description: string, metadata: AiError.ProviderMetadata, options: Options): AiError.AiErrorReason => {
  switch (options.as) {
    case "InvalidRequestError":
      return new AiError.InvalidRequestError({ description, metadata })
    case "InternalProviderError":
      return new AiError.InternalProviderError({ description, metadata })
    case "RateLimitError":
      return new AiError.RateLimitError({
        metadata,
        ...(options.retryAfter === undefined ? {} : { retryAfter: options.retryAfter })
      })
    default:
      return new AiError.UnknownError({ description, metadata })
  }
}

/** Carries a typed error in an `AiError`. */
export const make = <A extends Carried>(schema: ErrorSchema<A>, error: A, options: Options = {}): AiError.AiError => {
  const json = Schema.encodeSync(Schema.toCodecJson(schema))(error) as AiError.ProviderMetadata[string]
  return AiError.make({
    module: "Middleware",
    method: options.method ?? "generateText",
    reason: reasonOf(error.message, { [key]: json }, options)
  })
}

/** The tag of the error that an `AiError` carries, if it carries one: cheaper than {@link find}. */
export const tagOf = (error: AiError.AiError): string | undefined => {
  const carried = "metadata" in error.reason ? error.reason.metadata[key] : undefined
  return Predicate.hasProperty(carried, "_tag") && typeof carried._tag === "string" ? carried._tag : undefined
}

/** The typed error in an `AiError`, if it carries one of this schema. */
export const find = <A extends Carried>(schema: ErrorSchema<A>, error: unknown): Option.Option<A> => {
  if (!AiError.isAiError(error) || !("metadata" in error.reason)) return Option.none()
  const carried = error.reason.metadata[key]
  return Predicate.hasProperty(carried, "_tag")
    ? Schema.decodeUnknownOption(Schema.toCodecJson(schema))(carried)
    : Option.none()
}

/** Recovers from a typed error that an `AiError` carries. */
export const catchRefusal: {
  <A extends Carried, B, E2, R2>(
    schema: ErrorSchema<A>,
    f: (error: A) => Effect.Effect<B, E2, R2>
  ): <C, E, R>(self: Effect.Effect<C, E, R>) => Effect.Effect<B | C, E | E2, R | R2>
  <C, E, R, A extends Carried, B, E2, R2>(
    self: Effect.Effect<C, E, R>,
    schema: ErrorSchema<A>,
    f: (error: A) => Effect.Effect<B, E2, R2>
  ): Effect.Effect<B | C, E | E2, R | R2>
} = dual(
  3,
  <C, E, R, A extends Carried, B, E2, R2>(
    self: Effect.Effect<C, E, R>,
    schema: ErrorSchema<A>,
    f: (error: A) => Effect.Effect<B, E2, R2>
  ): Effect.Effect<B | C, E | E2, R | R2> =>
    Effect.catch(self, (error: E): Effect.Effect<B, E | E2, R2> => {
      const found = find(schema, error)
      return Option.isSome(found) ? f(found.value) : Effect.fail(error)
    })
)

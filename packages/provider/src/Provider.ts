/**
 * A `LanguageModel` from what a provider gives: `effect/ai`'s `LanguageModel.make`, with two things added that no caller sees
 * but in the time a call takes.
 *
 * - A call without tools does not compile a schema of its answer, and does not run one over every token: `LanguageModel.make`
 *   does both anew for each. The parts that such a call is answered with are simple, and read by hand here; what is
 *   unusual among them still goes through the schema, as does every call with tools, of an object, or that continues a
 *   response.
 * - What the provider gives stays within reach ({@link directOf}), so that middleware can stand directly on it rather than on a
 *   model that has decoded what the middleware encodes again.
 *
 * **Example**
 *
 * ```ts
 * import * as Provider from "@selvage/provider/Provider"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Stream from "effect/Stream"
 *
 * export const echo = Layer.effect(
 *   LanguageModel.LanguageModel,
 *   Provider.make({
 *     generateText: ({ prompt }) => Effect.succeed([{ type: "text", text: `${prompt.content.length} messages` }]),
 *     streamText: () => Stream.empty
 *   })
 * )
 * ```
 */
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import { simply } from "./internal/simply.ts"

/** What a provider gives: one request each, from options that are prepared to parts in their encoded form. */
export type Provider = Parameters<typeof LanguageModel.make>[0] & {
  /** What it was made with, as far as it shapes an answer: data, such as a temperature or an address. For caches, which tell models apart by it. */
  readonly settings?: unknown
}

/** One request as middleware makes it: text is asked for, tools are declared and not run. */
export interface Request extends Pick<LanguageModel.ProviderOptions, "prompt" | "tools" | "toolChoice"> {
  /** `deferred`: calls of tools that were not declared are part of the answer. */
  readonly toolCallValidation: "strict" | "deferred"
}

/**
 * The way around a model's decoding, to its provider: requests under a span of their own, parts as the provider gave them once
 * they were found to be as `effect/ai/Response` has them. Calls and results of tools are not looked into: their schemas are the
 * business of the model that is built on it.
 */
export interface Direct {
  /** Those of the provider. */
  readonly settings: unknown
  /**
   * Whether a call may go this way where it is made: not one that continues a response (`ResponseIdTracker`), nor one whose answer
   * a `CurrentSpanTransformer` reads.
   */
  readonly isOpen: (context: Context.Context<never>) => boolean
  readonly generateText: (request: Request) => Effect.Effect<Array<Response.PartEncoded>, AiError.AiError>
  readonly streamText: (request: Request) => Stream.Stream<Response.StreamPartEncoded, AiError.AiError>
}

const known = new WeakMap<LanguageModel.LanguageModel, Direct>()

/** Makes a model. */
export const make = (provider: Provider): Effect.Effect<LanguageModel.LanguageModel> =>
  Effect.flatMap(LanguageModel.make(provider), (made) =>
    Effect.map(simply(provider, made), ({ direct, model }) => {
      known.set(model, direct)
      return model
    })
  )

/** The way around a model that {@link make} made; `undefined` for others. */
export const directOf = (model: LanguageModel.LanguageModel): Direct | undefined => known.get(model)

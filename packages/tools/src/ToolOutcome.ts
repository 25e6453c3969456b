/**
 * What came of a tool call, as it is journaled and given to the model.
 *
 * @since 0.1.0
 */
import * as Prompt from "effect/ai/Prompt"
import * as Schema from "effect/Schema"
import type { ToolFailure } from "./Errors.ts"

/** Why a call failed: the tags of {@link ToolFailure}. */
export const Category = Schema.Literals([
  "ToolNotFound",
  "ToolArgumentsInvalid",
  "ToolFailed",
  "ToolTimedOut",
  "ToolDenied",
  "ToolResultTooLarge"
])
export type Category = typeof Category.Type

// Named, so that the declarations keep Effect's own types of parts.
const ModelOutput: Schema.Codec<
  ReadonlyArray<Prompt.ToolModelOutputPart>,
  ReadonlyArray<Prompt.TextPartEncoded | Prompt.FilePartEncoded>
> = Schema.Array(Prompt.ToolModelOutputPart)

/** What came of a tool call. */
export const ToolOutcome = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  isFailure: Schema.Boolean,
  /** The tool's result by its schema, or `{ category, message, failure? }`. */
  result: Schema.Json,
  /** There if, and only if, the call failed. */
  category: Schema.optionalKey(Category),
  /** What the model gets in place of the result, where the tool says so (`Tool.toModelOutput`). */
  modelOutput: Schema.optionalKey(ModelOutput)
})
export type ToolOutcome = typeof ToolOutcome.Type

/** The outcome of a call that failed: the model is told the category and a message it can act on. */
export const failed = (call: { readonly id: string; readonly name: string }, error: ToolFailure): ToolOutcome => ({
  id: call.id,
  name: call.name,
  isFailure: true,
  category: error._tag,
  result: {
    category: error._tag,
    message: error.message,
    ...(error._tag === "ToolFailed" && error.failure !== null ? { failure: error.failure } : {})
  }
})

/** The outcome as a part of a prompt's tool message. */
export const toPart = (outcome: ToolOutcome): Prompt.ToolResultPart =>
  Prompt.toolResultPart({
    id: outcome.id,
    name: outcome.name,
    isFailure: outcome.isFailure,
    result: outcome.result,
    providerExecuted: false,
    ...(outcome.modelOutput === undefined ? {} : { modelOutput: outcome.modelOutput })
  })

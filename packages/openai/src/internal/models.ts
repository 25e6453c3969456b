/** Refusing what a model does not take, before the API does. */
import * as AiError from "effect/ai/AiError"
import * as Effect from "effect/Effect"
import * as OpenAiModels from "../OpenAiModels.ts"
import type { Config } from "./config.ts"
import * as Errors from "./errors.ts"

/** Whether a model reasons. A model of another name does where its settings say so. */
export const reasons = (model: string, config: Config): boolean =>
  config.reasoningEffort !== undefined ||
  config.reasoningSummary !== undefined ||
  OpenAiModels.traitsOf(model)?.reasons === true ||
  model.startsWith("codex")

/** Fails for settings that the model cannot take. */
export const refuse = (
  api: "responses" | "chat",
  model: string,
  config: Config,
  context: Errors.RequestContext
): Effect.Effect<void, AiError.AiError> => {
  const flaws = OpenAiModels.impossible(model, api, config)
  return flaws.length === 0
    ? Effect.void
    : Effect.fail(
        Errors.make(
          context,
          new AiError.InvalidUserInputError({
            description: flaws.map(({ fix, what }) => `${what}; ${fix}`).join(". ")
          })
        )
      )
}

/** Prompts as the two APIs take them, before they are written in their wires. */
import * as History from "@selvage/provider/History"
import type * as Names from "@selvage/provider/Names"
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Errors from "./errors.ts"
import { type Prepared, wireParams } from "./tools.ts"

// Both are what the APIs say when an id is longer: https://github.com/openai/openai-python/issues/2140 for Chat, the `call_id` of the
// Responses API likewise with 64.
const ids: Readonly<Record<"chat" | "responses", Names.Rule>> = {
  chat: { other: /[^\x21-\x7e]/g, longest: 40 },
  responses: { other: /[^\x21-\x7e]/g, longest: 64 }
}

/** How a prompt is made whole. */
export interface Options {
  readonly api: "chat" | "responses"
  readonly tools: Prepared
  readonly takes: NonNullable<History.Wire["takes"]>
  /** OpenAI has the beginning of the conversation. */
  readonly continues?: boolean | undefined
}

/** The prompt as an API takes it, or that there is nothing to send. */
export const whole = (
  prompt: Prompt.Prompt,
  { api, continues, takes, tools }: Options,
  context: Errors.RequestContext
): Effect.Effect<Prompt.Prompt, AiError.AiError> => {
  const made = History.whole(prompt, {
    ids: ids[api],
    names: tools.names,
    params: wireParams(tools),
    takes,
    continues
  })
  return made.content.length > 0
    ? Effect.succeed(made)
    : Effect.fail(
        Errors.make(
          context,
          new AiError.InvalidUserInputError({
            description: "the prompt has no content; add a user message that is not blank"
          })
        )
      )
}

/** Which of the two APIs takes which option. */
import * as AiError from "effect/ai/AiError"
import * as Effect from "effect/Effect"
import type { Config } from "./config.ts"
import * as Errors from "./errors.ts"

// Names every option, so that a new one does not compile until it says who takes it.
const takers: ReadonlyMap<string, "both" | "responses" | "chat"> = new Map(
  Object.entries({
    temperature: "both",
    topP: "both",
    maxOutputTokens: "both",
    reasoningEffort: "both",
    reasoningSummary: "responses",
    reasoningContext: "responses",
    verbosity: "both",
    parallelToolCalls: "both",
    maxToolCalls: "responses",
    serviceTier: "both",
    store: "both",
    previousResponseId: "responses",
    conversation: "responses",
    promptCache: "both",
    safetyIdentifier: "both",
    user: "both",
    metadata: "both",
    seed: "chat",
    stop: "chat",
    frequencyPenalty: "chat",
    presencePenalty: "chat",
    headers: "both"
  } as const satisfies Record<keyof Config, "both" | "responses" | "chat">)
)

const apiNames = { responses: "the Responses API", chat: "Chat Completions" }

/** Fails for options that only the other API has: a request without them would not be the one that was asked for. */
export const refuseForeign = (
  api: "responses" | "chat",
  config: Config,
  context: Errors.RequestContext
): Effect.Effect<void, AiError.AiError> => {
  const other = api === "chat" ? "responses" : "chat"
  const foreign: Array<string> = []
  for (const [name, value] of Object.entries(config)) {
    if (value !== undefined && takers.get(name) === other) foreign.push(name)
  }
  if (foreign.length === 0) return Effect.void
  const them = foreign.length === 1 ? "it" : "them"
  return Effect.fail(
    Errors.make(
      context,
      new AiError.InvalidUserInputError({
        description: `The model speaks ${apiNames[api]}, which cannot take ${foreign.join(", ")}: only ${apiNames[other]} has ${them}; remove ${them} or set api to "${other}"`
      })
    )
  )
}

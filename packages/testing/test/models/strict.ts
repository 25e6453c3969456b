/** The law of requests on strict providers without sockets, for each wire and several generations of models. */
import { AnthropicClient, AnthropicLanguageModel } from "@selvage/anthropic"
import { OpenAiClient, OpenAiLanguageModel } from "@selvage/openai"
import { LanguageModelLaws, StrictProvider } from "@selvage/testing"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

export type Name = "OpenAI Responses" | "OpenAI Chat" | "Anthropic"

/** Models of each wire: today's, and an older one that takes other options. */
export const models: Readonly<Record<Name, ReadonlyArray<string>>> = {
  "OpenAI Responses": ["gpt-5.4", "gpt-6-sol", "gpt-4o"],
  "OpenAI Chat": ["gpt-5.4", "gpt-4o"],
  Anthropic: ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-4-5", "claude-opus-4-8"]
}

type Reached = Pick<StrictProvider.Provider, "url" | "fetch">

/** A model that speaks a wire to a strict provider: over loopback, or through its `fetch`. */
export const modelAt = (
  name: Name,
  model: string,
  provider: Reached,
  local = false
): Layer.Layer<LanguageModel.LanguageModel> => {
  const fetch = local ? { fetch: provider.fetch } : {}
  return name === "Anthropic"
    ? AnthropicLanguageModel.layer({ model }).pipe(
        Layer.provide(AnthropicClient.layer({ apiKey: Redacted.make("sk-ant-test"), baseUrl: provider.url, ...fetch }))
      )
    : OpenAiLanguageModel.layer({ model, api: name === "OpenAI Chat" ? "chat" : "responses" }).pipe(
        Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sk-test"), baseUrl: `${provider.url}/v1`, ...fetch }))
      )
}

/** A stage without sockets. */
export const localStage = (name: Name, model: string): Layer.Layer<LanguageModelLaws.Stage> =>
  StrictProvider.stage(
    (provider) => modelAt(name, model, provider, true),
    (...turns) => Effect.sync(() => StrictProvider.makeLocal(...turns))
  )

/** The law of requests, so many cases of it for a wire, shared by its models. */
export const check = (name: Name, { cases, seed }: { readonly cases: number; readonly seed: number }) =>
  Effect.forEach(
    models[name],
    (model) => {
      const own = Math.ceil(cases / models[name].length)
      const law = LanguageModelLaws.all({}, { cases: own, seed }).at(-1)
      return law === undefined ? Effect.void : Effect.provide(law.check, localStage(name, model))
    },
    { discard: true }
  )

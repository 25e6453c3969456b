/** The three wires that our adapters speak: what a turn is in each, and the model that speaks it. */
import { AnthropicClient, AnthropicLanguageModel } from "@selvage/anthropic"
import { OpenAiClient, OpenAiLanguageModel } from "@selvage/openai"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Encodings from "../../src/internal/strict/encodings.ts"

export { type Answer, type Event, type Said, sse } from "../../src/internal/strict/encodings.ts"

export interface Wire extends Encodings.Encoding {
  readonly name: "OpenAI Responses" | "OpenAI Chat" | "Anthropic"
  readonly model: (url: string, timeout?: Duration.Input) => Layer.Layer<LanguageModel.LanguageModel>
}

const openAi =
  (api: OpenAiLanguageModel.Api): Wire["model"] =>
  (url, timeout) =>
    OpenAiLanguageModel.layer({ model: "gpt-5.1", api }).pipe(
      Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sk-test"), baseUrl: `${url}/v1`, timeout }))
    )

export const responses: Wire = { ...Encodings.responses, name: "OpenAI Responses", model: openAi("responses") }

export const chat: Wire = { ...Encodings.chat, name: "OpenAI Chat", model: openAi("chat") }

export const anthropic: Wire = {
  ...Encodings.messages,
  name: "Anthropic",
  model: (url, timeout) =>
    AnthropicLanguageModel.layer({ model: "claude-sonnet-5-5" }).pipe(
      Layer.provide(AnthropicClient.layer({ apiKey: Redacted.make("sk-ant-test"), baseUrl: url, timeout }))
    )
}

export const wires: ReadonlyArray<Wire> = [responses, chat, anthropic]

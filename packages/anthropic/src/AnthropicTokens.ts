/**
 * How many tokens a call would take, counted by the API: with its system prompt, tools, images and documents, and without making it.
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { AnthropicClient, AnthropicTokens } from "@selvage/anthropic"
 *
 * export const program = AnthropicTokens.AnthropicTokens.use((tokens) => tokens.count({ prompt: "How long is this?" })).pipe(
 *   Effect.provide(AnthropicTokens.layer({ model: "claude-sonnet-5-5" }).pipe(Layer.provide(AnthropicClient.layerConfig())))
 * )
 * ```
 *
 * **Gotchas**
 *
 * - It is a request, with the API's own rate limits, and its failures are those of the model.
 * - It is not `effect/ai`'s `Tokenizer`: the API counts tokens and does not say which they are.
 */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import { AnthropicClient } from "./AnthropicClient.ts"
import { current, type Options } from "./internal/config.ts"
import { decoder, endpoint, type RequestContext } from "./internal/errors.ts"
import * as Request from "./internal/request.ts"
import * as Transport from "./internal/transport.ts"
import * as Wire from "./internal/wire.ts"

/** The call to count. */
export interface CountOptions {
  readonly prompt: Prompt.RawInput
  readonly toolkit?: Toolkit.Any | undefined
  readonly toolChoice?: LanguageModel.ToolChoice<string> | undefined
  /** The schema of the object, when the call is `generateObject`. */
  readonly schema?: Schema.Top | undefined
}

/** What the service offers. */
export interface Service {
  /** The input tokens of a call. */
  readonly count: (options: CountOptions) => Effect.Effect<number, AiError.AiError>
}

/** Counts tokens. */
export class AnthropicTokens extends Context.Service<AnthropicTokens, Service>()("selvage/anthropic/AnthropicTokens") {}

const path = "/v1/messages/count_tokens"
const decodeCount = decoder(Wire.TokenCount)

const callOf = (options: CountOptions): Request.Call => {
  const { schema, toolChoice = "auto" } = options
  const tools = Object.values(options.toolkit?.tools ?? {})
  return {
    prompt: Prompt.make(options.prompt),
    tools:
      typeof toolChoice === "object" && "oneOf" in toolChoice
        ? tools.filter((tool) => toolChoice.oneOf.includes(tool.name))
        : tools,
    toolChoice,
    responseFormat: schema === undefined ? { type: "text" } : { type: "json", objectName: "object", schema }
  }
}

/** Builds the counter on the client in context. Model and configuration are those the counted calls are made with. */
export const make = Effect.fnUntraced(function* (model: Options): Effect.fn.Return<Service, never, AnthropicClient> {
  const client = yield* AnthropicClient
  const context: RequestContext = { url: endpoint(client.sdk.baseURL, path), redact: client.redact }
  const count = Effect.fnUntraced(function* (options: CountOptions) {
    const config = yield* Effect.withFiberSucceed((fiber) => current(fiber, model))
    const { body, headers } = Request.counting(yield* Request.make(callOf(options), model.model, config))
    const { data } = yield* Transport.whole({ client, path, body, headers, context })
    return (yield* decodeCount(data, context)).input_tokens
  })
  return AnthropicTokens.of({
    count: (options) =>
      Effect.mapError(count(options), (reason) => AiError.make({ module: "AnthropicTokens", method: "count", reason }))
  })
})

/** A layer that provides the counter, for example `layer({ model: "claude-sonnet-5-5" })`. */
export const layer = (model: Options): Layer.Layer<AnthropicTokens, never, AnthropicClient> =>
  Layer.effect(AnthropicTokens, make(model))

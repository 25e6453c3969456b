/**
 * OpenAI's models as an `effect/ai` `LanguageModel`.
 *
 * Two wire protocols, one service: the Responses API (the default), and Chat Completions for servers that are compatible
 * with OpenAI behind a base URL.
 *
 * - A failure is an `AiError`: `isRetryable` and `retryAfter` are set from what the server said, and nothing is retried here.
 * - Interrupting a call, or closing a stream early, aborts the HTTP request.
 * - A stream that ends before its last event fails; it is never a short answer.
 *
 * ```ts
 * import { OpenAiLanguageModel } from "@selvage/openai"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 *
 * // settings of the layer, and of one call over them
 * export const Model = OpenAiLanguageModel.layer({ model: "gpt-5.1", config: { reasoningEffort: "low" } })
 *
 * export const careful = LanguageModel.generateText({ prompt: "Which supplier is late most often?" }).pipe(
 *   OpenAiLanguageModel.withConfig({ reasoningEffort: "high", metadata: { team: "warehouse" } })
 * )
 *
 * // a server that speaks Chat Completions its own way
 * export const Local = OpenAiLanguageModel.layer({
 *   model: "qwen3",
 *   api: "chat",
 *   compatibility: { maxTokens: "max_tokens", strict: false }
 * })
 *
 * // what a prompt costs, before it is sent
 * export const tokens = OpenAiLanguageModel.countTokens({ model: "gpt-5.1", prompt: "Which supplier is late?" })
 * ```
 *
 * **Gotchas**
 *
 * - Responses are not stored at OpenAI unless `store` is set. Reasoning then travels encrypted in the prompt.
 * - Tools are strict where their schema has a strict form, else plain; `Tool.Strict` on a tool decides otherwise.
 * - A refusal is text with finish reason `content-filter`; where an object was asked for it is a `ContentPolicyError`.
 * - `previousResponseId` and `ResponseIdTracker` continue what is stored at OpenAI: they need `store: true`.
 * - With `toolCallValidation: "deferred"` a call whose arguments are malformed JSON carries the text as its parameters.
 */
import * as Annotations from "@selvage/provider/Annotations"
import * as Provider from "@selvage/provider/Provider"
import type * as AiError from "effect/ai/AiError"
import * as IdGenerator from "effect/ai/IdGenerator"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Model from "effect/ai/Model"
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import * as Prompt from "effect/ai/Prompt"
import type * as Tool from "effect/ai/Tool"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ChatParts from "./internal/chatParts.ts"
import * as ChatRequest from "./internal/chatRequest.ts"
import * as ChatStream from "./internal/chatStream.ts"
import * as ChatWire from "./internal/chatWire.ts"
import * as Errors from "./internal/errors.ts"
import * as ResponsesParts from "./internal/responsesParts.ts"
import * as ResponsesRequest from "./internal/responsesRequest.ts"
import * as ResponsesStream from "./internal/responsesStream.ts"
import * as ResponsesWire from "./internal/responsesWire.ts"
import { type Compatibility, compact, type Config } from "./internal/config.ts"
import * as Tools from "./internal/tools.ts"
import * as Transport from "./internal/transport.ts"
import { OpenAiClient, type Service } from "./OpenAiClient.ts"
// oxlint-disable-next-line import/no-unassigned-import -- for its augmentations of effect/ai
import "./OpenAiOptions.ts"

export type { Compatibility, PromptCache, Config } from "./internal/config.ts"

/** Which wire protocol to speak. */
export type Api = "responses" | "chat"

/** What a model is made from. */
export interface Options {
  /** The model's name at the provider, for example `gpt-5.1`. */
  readonly model: string
  /** Default: `responses`. */
  readonly api?: Api | undefined
  /** The settings of every request; {@link CurrentConfig} overrides single ones. */
  readonly config?: Config | undefined
  /** How a compatible server differs from OpenAI. Chat Completions only. */
  readonly compatibility?: Compatibility | undefined
}

/** The settings of the requests made in a fiber, over those of the layer. */
export const CurrentConfig = Context.Reference<Config>("selvage/openai/OpenAiLanguageModel/CurrentConfig", {
  defaultValue: () => ({})
})

/** Runs an effect with settings added to its requests. */
export const withConfig: {
  (config: Config): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, config: Config): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, config: Config): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.service(CurrentConfig), (current) =>
    Effect.provideService(self, CurrentConfig, { ...current, ...compact(config) })
  )
)

const contextOf = (client: Service, method: Errors.RequestContext["method"], path: string): Errors.RequestContext => ({
  module: "OpenAiLanguageModel",
  method,
  url: Errors.address(client.sdk.baseURL, path),
  redact: client.redact
})

/** Makes the service. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<LanguageModel.LanguageModel, never, OpenAiClient> {
  const client = yield* OpenAiClient
  const { model } = options
  const api = options.api ?? "responses"
  const path = api === "responses" ? "/responses" : "/chat/completions"
  const compatibility = options.compatibility ?? {}

  const own = compact(options.config ?? {})
  const prepare = Effect.fnUntracedEager(function* (
    method: Errors.RequestContext["method"],
    request: LanguageModel.ProviderOptions,
    current: Config
  ): Effect.fn.Return<ResponsesParts.Conversion & { readonly config: Config }, AiError.AiError> {
    const config = { ...own, ...compact(current) }
    const context = contextOf(client, method, path)
    Annotations.request(request.span, {
      provider: "openai",
      model,
      output: request.responseFormat.type,
      temperature: config.temperature,
      topP: config.topP,
      maxTokens: config.maxOutputTokens
    })
    return {
      config,
      context,
      options: request,
      tools: yield* Tools.prepareAll(request.tools, context, compatibility.strict !== false)
    }
  })

  const generate = Effect.fnUntracedEager(function* (request: LanguageModel.ProviderOptions, current: Config) {
    const conversion = yield* prepare("generateText", request, current)
    const { context, config, tools } = conversion
    const headers = compact({ headers: config.headers })
    if (api === "chat") {
      const body = yield* ChatRequest.make(model, config, compatibility, request, tools, context)
      const answer = yield* Transport.request(client, context, ChatWire.Completion, (fetchOptions) =>
        client.sdk.chat.completions.create(body, { fetchOptions, ...headers }).asResponse()
      )
      return yield* ChatParts.fromBody(answer, conversion, yield* IdGenerator.IdGenerator)
    }
    const body = yield* ResponsesRequest.make(model, config, request, tools, context)
    const answer = yield* Transport.request(client, context, ResponsesWire.Body, (fetchOptions) =>
      client.sdk.responses.create(body, { fetchOptions, ...headers }).asResponse()
    )
    return yield* ResponsesParts.fromBody(answer, conversion)
  })

  const stream = Effect.fnUntracedEager(function* (request: LanguageModel.ProviderOptions, current: Config) {
    const conversion = yield* prepare("streamText", request, current)
    const { context, config, tools } = conversion
    const headers = compact({ headers: config.headers })
    if (api === "chat") {
      const body = yield* ChatRequest.make(model, config, compatibility, request, tools, context)
      const ids = yield* IdGenerator.IdGenerator
      const usage = compatibility.streamUsage === false ? undefined : { stream_options: { include_usage: true } }
      return Transport.events(
        client,
        context,
        ChatWire.Chunk,
        (http) => ChatStream.machine(conversion, ids, http),
        (fetchOptions) =>
          client.sdk.chat.completions
            .create({ ...body, stream: true, ...usage }, { fetchOptions, ...headers })
            .asResponse()
      )
    }
    const body = yield* ResponsesRequest.make(model, config, request, tools, context)
    return Transport.events(
      client,
      context,
      ResponsesWire.Event,
      (http) => ResponsesStream.machine(conversion, http),
      (fetchOptions) =>
        client.sdk.responses.create({ ...body, stream: true }, { fetchOptions, ...headers }).asResponse()
    )
  })

  return yield* Provider.make({
    settings: { model, api, baseUrl: client.sdk.baseURL, config: options.config, compatibility },
    codecTransformer: toCodecOpenAI,
    supportsSystemMessagesInHistory: Effect.succeed(true),
    generateText: (request) =>
      Effect.withFiber((fiber) =>
        Effect.map(generate(request, fiber.getRef(CurrentConfig)), (parts) => {
          for (const part of parts) Annotations.part(request.span, part)
          return parts
        })
      ),
    streamText: (request) =>
      Stream.unwrap(Effect.withFiber((fiber) => stream(request, fiber.getRef(CurrentConfig)))).pipe(
        Stream.mapArray((parts) => {
          for (const part of parts) Annotations.part(request.span, part)
          return parts
        })
      )
  })
})

/** A `LanguageModel` over the client. */
export const layer = (options: Options): Layer.Layer<LanguageModel.LanguageModel, never, OpenAiClient> =>
  Layer.effect(LanguageModel.LanguageModel, make(options))

/** The same as an `effect/ai` `Model`, which also provides its provider's and its own name. */
export const model = (
  name: string,
  options: Omit<Options, "model"> = {}
): Model.Model<"openai", LanguageModel.LanguageModel, OpenAiClient> =>
  Model.make("openai", name, layer({ ...options, model: name }))

/** What to count. */
export interface CountOptions {
  readonly model: string
  readonly prompt: Prompt.RawInput
  /** The tools that would be sent along. */
  readonly toolkit?: { readonly tools: Readonly<Record<string, Tool.Any>> } | undefined
  /** The object that would be asked for. */
  readonly schema?: Schema.Top | undefined
  /** Settings that count, such as `previousResponseId`. */
  readonly config?: Config | undefined
}

/**
 * The input tokens a prompt would cost with a model, as OpenAI counts them, files and tools included. One request to
 * `/responses/input_tokens`; nothing is generated. Fails as a call would. Compatible servers seldom have it.
 */
export const countTokens = Effect.fnUntraced(function* (
  options: CountOptions
): Effect.fn.Return<number, AiError.AiError, OpenAiClient> {
  const client = yield* OpenAiClient
  const config = { ...compact(options.config ?? {}), ...compact(yield* CurrentConfig) }
  const context = contextOf(client, "countTokens", "/responses/input_tokens")
  const tools = yield* Tools.prepareAll(Object.values(options.toolkit?.tools ?? {}), context, true)
  const body = yield* ResponsesRequest.makeCount(
    options.model,
    config,
    {
      prompt: Prompt.make(options.prompt),
      toolChoice: "auto",
      responseFormat:
        options.schema === undefined
          ? { type: "text" }
          : { type: "json", objectName: "answer", schema: options.schema },
      previousResponseId: undefined,
      incrementalPrompt: undefined
    },
    tools,
    context
  )
  const answer = yield* Transport.request(client, context, ResponsesWire.InputTokens, (fetchOptions) =>
    client.sdk.responses.inputTokens.count(body, { fetchOptions, ...compact({ headers: config.headers }) }).asResponse()
  )
  return answer.body.input_tokens
})

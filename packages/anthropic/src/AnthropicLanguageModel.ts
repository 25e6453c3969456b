/**
 * Claude as an `effect/ai` `LanguageModel`, over the Messages API of the official SDK.
 *
 * - `generateText` and `generateObject` are one request; `streamText` is one request whose events become parts as they come. Interrupting
 *   either, or leaving a stream early, aborts the HTTP request.
 * - Every failure is an `AiError`. A stream that ends before the server said so is a `NetworkError`, never a short answer.
 * - `generateObject` uses the API's JSON-schema output (`output_config.format`), through the codec that keeps Effect's schema authoritative.
 *
 * **Gotchas**
 *
 * - The API needs an upper limit on the answer. Without `maxTokens` it is {@link defaultMaxTokens}; an answer cut there finishes with
 *   `"length"`, and a tool call cut there is left out and named in `metadata.anthropic.cutToolCall` of the finish part.
 * - System messages anywhere in the prompt go into the one system prompt, in order.
 * - Thinking goes back to the API only with its signature, so thinking of another provider's model is left out of the request.
 * - API version 2026-10-21, which the SDK speaks, has no `temperature`, `topP` and `topK` any more. A call that sets one is sent with the
 *   version before it, 2023-06-01, where some models take them and others answer with `InvalidRequestError`.
 * - A 529 or 5xx that names a wait becomes a `RateLimitError`, the one reason that can carry `retryAfter`.
 */
import type Anthropic from "@anthropic-ai/sdk"
import * as AiError from "effect/ai/AiError"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import { addGenAIAnnotations } from "effect/ai/Telemetry"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Span } from "effect/Tracer"
import { AnthropicClient, type Service as Client } from "./AnthropicClient.ts"
import { attempt, endpoint, invalidResponse, type RequestContext, transportError } from "./internal/errors.ts"
import * as Events from "./internal/events.ts"
import * as PromptWire from "./internal/prompt.ts"
import * as Answer from "./internal/response.ts"
import * as Tools from "./internal/tools.ts"
import * as Wire from "./internal/wire.ts"

declare module "effect/ai/Response" {
  interface FinishPartMetadata {
    readonly anthropic?: {
      /** The stop reason in Anthropic's words. */
      readonly stopReason: string | null
      readonly stopSequence: string | null
      readonly refusal: { readonly category: string | null; readonly explanation: string | null } | null
      /** The tool whose call the token limit cut, if it did. */
      readonly cutToolCall: string | null
    } | null
  }
  interface ReasoningPartMetadata {
    readonly anthropic?: { readonly signature?: string | null; readonly redactedData?: string } | null
  }
  interface ReasoningStartPartMetadata {
    readonly anthropic?: { readonly redactedData?: string } | null
  }
  interface ReasoningEndPartMetadata {
    readonly anthropic?: { readonly signature?: string | null } | null
  }
}

/** The upper limit on an answer's tokens, thinking included, where no `maxTokens` is set. */
export const defaultMaxTokens = 8192

/** How the model should answer. Everything is optional, and absent means the API's default unless said otherwise. */
export interface Config {
  /** Another model than the layer's. */
  readonly model?: string | undefined
  /** Upper limit on the answer's tokens, thinking included; {@link defaultMaxTokens} when absent. */
  readonly maxTokens?: number | undefined
  /** 0 to 1. Sends the call with API version 2023-06-01; newer models reject it there too. */
  readonly temperature?: number | undefined
  /** 0 to 1. As for `temperature`. */
  readonly topP?: number | undefined
  /** As for `temperature`. */
  readonly topK?: number | undefined
  readonly stopSequences?: ReadonlyArray<string> | undefined
  /** Which kinds a model takes, and what it does without, depends on the model. */
  readonly thinking?: Thinking | undefined
  /** How much work to put into an answer. */
  readonly effort?: "low" | "medium" | "high" | "xhigh" | "max" | undefined
  /** `false` allows at most one tool call in an answer. */
  readonly parallelToolCalls?: boolean | undefined
  readonly serviceTier?: "auto" | "standard_only" | undefined
  /** An opaque id of the end user, which helps Anthropic detect abuse. No names, no addresses. */
  readonly userId?: string | undefined
}

/** `enabled` takes a budget of at least 1024 tokens, below `maxTokens`. */
export type Thinking =
  | { readonly type: "adaptive" }
  | { readonly type: "enabled"; readonly budgetTokens: number }
  | { readonly type: "disabled" }

/** The configuration of the calls made in a scope of the program. It wins over the layer's, field by field. */
export const CurrentConfig = Context.Reference<Config>("selvage/anthropic/AnthropicLanguageModel/CurrentConfig", {
  defaultValue: () => ({})
})

/** What a model is made from. */
export interface Options {
  /** A model id, such as `claude-sonnet-5-5`. */
  readonly model: string
  readonly config?: Config | undefined
}

const given = (config: Config): Config =>
  Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined))

/** Runs an effect with some of the configuration changed, for example `withConfig({ maxTokens: 200 })`. */
export const withConfig: {
  (config: Config): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, config: Config): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, config: Config): Effect.Effect<A, E, R> =>
  Effect.flatMap(CurrentConfig, (outer) => Effect.provideService(self, CurrentConfig, { ...outer, ...given(config) }))
)

type Reason = AiError.AiErrorReason

// The SDK's types are those of an API version without the sampling parameters.
interface Request extends Anthropic.MessageCreateParamsNonStreaming {
  readonly temperature?: number
  readonly top_p?: number
  readonly top_k?: number
}

const set = <const Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } =>
  value === undefined ? {} : ({ [key]: value } as { [K in Key]?: Value })

const thinking = (config: Thinking | undefined): Anthropic.ThinkingConfigParam | undefined =>
  config?.type === "enabled" ? { type: "enabled", budget_tokens: config.budgetTokens } : config

const outputConfig = (
  options: LanguageModel.ProviderOptions,
  effort: Config["effort"]
): Effect.Effect<Anthropic.OutputConfig | undefined, Reason> => {
  const { responseFormat } = options
  if (responseFormat.type === "text") return Effect.succeed(effort === undefined ? undefined : { effort })
  return Effect.try({
    try: () => ({
      ...set("effort", effort),
      format: { type: "json_schema" as const, schema: toCodecAnthropic(responseFormat.schema).jsonSchema }
    }),
    catch: (error) =>
      new AiError.UnsupportedSchemaError({
        description: `${responseFormat.objectName}: ${error instanceof Error ? error.message : String(error)}`
      })
  })
}

const makeRequest = Effect.fnUntraced(function* (
  options: LanguageModel.ProviderOptions,
  model: Options
): Effect.fn.Return<Request, Reason> {
  const config: Config = { ...given(model.config ?? {}), ...given(yield* CurrentConfig) }
  const { messages, system } = yield* PromptWire.toWire(options.prompt)
  return {
    model: config.model ?? model.model,
    max_tokens: config.maxTokens ?? defaultMaxTokens,
    messages,
    ...set("system", system),
    ...(yield* Tools.toWire(options, config.parallelToolCalls)),
    ...set("output_config", yield* outputConfig(options, config.effort)),
    ...set("thinking", thinking(config.thinking)),
    ...set("stop_sequences", config.stopSequences && [...config.stopSequences]),
    ...set("service_tier", config.serviceTier),
    ...set("metadata", config.userId === undefined ? undefined : { user_id: config.userId }),
    ...set("temperature", config.temperature),
    ...set("top_p", config.topP),
    ...set("top_k", config.topK)
  }
})

const samplingVersion = "2023-06-01"

const requestOptions = (request: Request, signal: AbortSignal): Anthropic.RequestOptions => {
  const samples = request.temperature !== undefined || request.top_p !== undefined || request.top_k !== undefined
  return { signal, ...(samples ? { headers: { "anthropic-version": samplingVersion } } : undefined) }
}

const annotateRequest = (span: Span, request: Request, options: LanguageModel.ProviderOptions): void =>
  addGenAIAnnotations(span, {
    provider: { name: "anthropic" },
    operation: { name: "chat" },
    output: { type: options.responseFormat.type },
    request: {
      model: request.model,
      maxTokens: request.max_tokens,
      temperature: request.temperature,
      topP: request.top_p,
      topK: request.top_k,
      stopSequences: request.stop_sequences
    }
  })

const annotateResponse = (span: Span, part: Response.StreamPartEncoded | Response.PartEncoded): void => {
  if (part.type === "response-metadata") {
    addGenAIAnnotations(span, { response: { id: part.id, model: part.modelId } })
  } else if (part.type === "finish") {
    addGenAIAnnotations(span, {
      response: { finishReasons: [part.reason] },
      usage: { inputTokens: part.usage.inputTokens.total, outputTokens: part.usage.outputTokens.total }
    })
  }
}

const decoder = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const decode = Schema.decodeUnknownEffect(schema)
  return (value: unknown, context: RequestContext): Effect.Effect<S["Type"], Reason> =>
    Effect.mapError(decode(value), (error) =>
      invalidResponse(`the server's answer does not follow the protocol: ${error.message}`, context)
    )
}
const decodeMessage = decoder(Wire.Message)
const decodeEvent = decoder(Wire.StreamEvent)

const generate = Effect.fnUntraced(function* (
  client: Client,
  model: Options,
  options: LanguageModel.ProviderOptions
): Effect.fn.Return<Array<Response.PartEncoded>, Reason> {
  const context: RequestContext = { url: endpoint(client.sdk.baseURL), redact: client.redact }
  const request = yield* makeRequest(options, model)
  annotateRequest(options.span, request, options)
  const { data, response } = yield* attempt(
    (signal) => client.sdk.messages.create(request, requestOptions(request, signal)).withResponse(),
    context
  )
  const message = yield* decodeMessage(data, context)
  const parts = yield* Answer.fromMessage(message, {
    options,
    maxTokens: request.max_tokens,
    http: response,
    context
  })
  for (const part of parts) annotateResponse(options.span, part)
  return parts
})

const drainTimeout = Duration.seconds(1)

const open = Effect.fnUntraced(function* (client: Client, model: Options, options: LanguageModel.ProviderOptions) {
  const context: RequestContext = { url: endpoint(client.sdk.baseURL), redact: client.redact }
  const request = yield* makeRequest(options, model)
  annotateRequest(options.span, request, options)
  // The request lives as long as the stream: however it ends, the connection is let go.
  const controller = yield* Effect.acquireRelease(
    Effect.sync(() => new AbortController()),
    (controller) => Effect.sync(() => controller.abort())
  )
  const { data, response } = yield* attempt(
    () =>
      client.sdk.messages
        .create({ ...request, stream: true }, requestOptions(request, controller.signal))
        .withResponse(),
    context
  )

  const exchange: Answer.Exchange = { options, maxTokens: request.max_tokens, http: response, context }
  const state = Events.initial()
  const events: AsyncIterator<unknown> = data[Symbol.asyncIterator]()
  const next = attempt(() => events.next(), context)
  // Reading the body to its end lets the connection serve the next request; a server that keeps it open is not waited for.
  const drain = next.pipe(
    Effect.repeat({ until: (event) => event.done === true }),
    Effect.timeoutOption(drainTimeout),
    Effect.ignore
  )
  const pull = Effect.gen(function* () {
    while (!state.stopped) {
      const event = yield* next
      if (event.done === true) {
        return yield* transportError("the stream ended before the answer was complete", context)
      }
      const parts = yield* Events.onEvent(state, yield* decodeEvent(event.value, context), exchange)
      for (const part of parts) annotateResponse(options.span, part)
      if (Arr.isReadonlyArrayNonEmpty(parts)) return parts
    }
    yield* drain
    return yield* Cause.done()
  })
  return Stream.fromPull(Effect.succeed(pull))
})

const named = (options: LanguageModel.ProviderOptions, method: string) => (reason: Reason) =>
  AiError.make({
    module: "AnthropicLanguageModel",
    method: options.responseFormat.type === "json" ? "generateObject" : method,
    reason
  })

/** Builds the model on the client in context. */
export const make = Effect.fnUntraced(function* (
  model: Options
): Effect.fn.Return<LanguageModel.LanguageModel, never, AnthropicClient> {
  const client = yield* AnthropicClient
  return yield* LanguageModel.make({
    codecTransformer: toCodecAnthropic,
    generateText: (options) => Effect.mapError(generate(client, model, options), named(options, "generateText")),
    streamText: (options) => Stream.mapError(Stream.unwrap(open(client, model, options)), named(options, "streamText"))
  })
})

/** A layer that provides the model, for example `layer({ model: "claude-sonnet-5-5" })`. */
export const layer = (model: Options): Layer.Layer<LanguageModel.LanguageModel, never, AnthropicClient> =>
  Layer.effect(LanguageModel.LanguageModel, make(model))

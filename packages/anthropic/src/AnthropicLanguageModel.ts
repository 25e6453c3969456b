/**
 * Claude as an `effect/ai` `LanguageModel`, over the Messages API of the official SDK.
 *
 * - `generateText` and `generateObject` are one request; `streamText` is one request whose events become parts as they come. Interrupting
 *   either, or leaving a stream early, aborts the HTTP request.
 * - Every failure is an `AiError`. A stream that ends before the server said so is a `NetworkError`, never a short answer.
 * - `generateObject` uses the API's JSON-schema output (`output_config.format`), through the codec that keeps Effect's schema authoritative.
 * - An answer that goes back in a later prompt goes back as it came: thinking with its signature, citations, and what Anthropic's own tools
 *   did (`AnthropicTool`), also where the toolkit does not have the tool.
 *
 * ```ts
 * import * as LanguageModel from "effect/ai/LanguageModel"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { AnthropicClient, AnthropicLanguageModel } from "@selvage/anthropic"
 *
 * const Claude = AnthropicLanguageModel.layer({ model: "claude-sonnet-5-5", config: { effort: "low" } })
 *
 * export const program = LanguageModel.generateText({ prompt: "Why?" }).pipe(
 *   AnthropicLanguageModel.withConfig({ maxTokens: 500 }),
 *   Effect.provide(Claude.pipe(Layer.provide(AnthropicClient.layerConfig())))
 * )
 * ```
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
import * as Annotations from "@selvage/provider/Annotations"
import * as Provider from "@selvage/provider/Provider"
import * as AiError from "effect/ai/AiError"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Model from "effect/ai/Model"
import type * as Response from "effect/ai/Response"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Sse from "effect/encoding/Sse"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { AnthropicClient, type Service as Client } from "./AnthropicClient.ts"
import { type Config, current, type Options } from "./internal/config.ts"
import { decoder, endpoint, type RequestContext, transportError } from "./internal/errors.ts"
import * as Events from "./internal/events.ts"
import * as Request from "./internal/request.ts"
import * as Answer from "./internal/response.ts"
import * as Threads from "./internal/threads.ts"
import * as Transport from "./internal/transport.ts"
import * as Wire from "./internal/wire.ts"

export {
  type Config,
  type ContainerConfig,
  CurrentConfig,
  defaultMaxTokens,
  type Options,
  type PrefixMismatch,
  type Thinking,
  type ThinkingDisplay,
  withConfig
} from "./internal/config.ts"

type Reason = AiError.AiErrorReason

const path = "/v1/messages"
const decodeMessage = decoder(Wire.Message)
const decodeAnyEvent = decoder(Wire.StreamEvent)
const decodersOfEvents = new Map<
  unknown,
  (data: unknown, context: RequestContext) => Effect.Effect<Wire.StreamEvent, Reason>
>(Object.entries(Wire.events).map(([type, schema]) => [type, decoder<Wire.StreamEvent>(schema)]))

// An event says itself which of the union it is, and there is one for every token.
const decodeEvent = (data: unknown, context: RequestContext): Effect.Effect<Wire.StreamEvent, Reason> =>
  (decodersOfEvents.get(Predicate.hasProperty(data, "type") ? data.type : undefined) ?? decodeAnyEvent)(data, context)

/** What an effect has given already; most steps of a stream are such, and a generator that waits for each is most of their cost. */
const given = <A, E>(effect: Effect.Effect<A, E> | Exit.Exit<A, E>): A | undefined =>
  Exit.isExit(effect) && effect._tag === "Success" ? (effect as Exit.Success<A, E>).value : undefined

/** What the calls of one model share. */
interface Source {
  readonly client: Client
  readonly model: Options
  readonly threads: Threads.Threads
}

const prepare = Effect.fnUntracedEager(function* (
  { client, model, threads }: Source,
  options: LanguageModel.ProviderOptions,
  config: Config
) {
  const context: RequestContext = { url: endpoint(client.sdk.baseURL, path), redact: client.redact }
  const request = yield* Request.makeThreaded(options, model.model, config, threads)
  const { body } = request
  Annotations.request(options.span, {
    provider: "anthropic",
    model: body.model,
    output: options.responseFormat.type,
    maxTokens: body.max_tokens,
    temperature: body.temperature,
    topP: body.top_p,
    topK: body.top_k,
    stopSequences: body.stop_sequences
  })
  return { context, request }
})

const generate = Effect.fnUntracedEager(function* (
  source: Source,
  options: LanguageModel.ProviderOptions,
  config: Config
): Effect.fn.Return<Array<Response.PartEncoded>, Reason> {
  const { context, request } = yield* prepare(source, options, config)
  const { body, headers, mark, prepared } = request
  const { data, response } = yield* Transport.whole({ body, headers, client: source.client, path, context })
  const message = yield* decodeMessage(data, context)
  if (message.id) source.threads.remember(message.id, options.tools)
  const parts = yield* Answer.fromMessage(message, {
    options,
    maxTokens: body.max_tokens,
    http: response,
    context,
    prepared,
    mark
  })
  for (const part of parts) Annotations.part(options.span, part)
  return parts
})

const drainTimeout = Duration.seconds(1)

const open = Effect.fnUntracedEager(function* (source: Source, options: LanguageModel.ProviderOptions, config: Config) {
  const { context, request } = yield* prepare(source, options, config)
  const { headers, mark, prepared } = request
  const body = { ...request.body, stream: true }
  // The request lives as long as the stream: however it ends, the connection is let go.
  const { next, response } = yield* Transport.events({ body, headers, client: source.client, path, context })

  const exchange: Answer.Exchange = { options, maxTokens: body.max_tokens, http: response, context, prepared, mark }
  const state = Events.initial()
  let failure: Reason | undefined
  // Reading the body to its end lets the connection serve the next request; a server that keeps it open is not waited for.
  const drain = next.pipe(
    Effect.repeat({ until: (arrived) => arrived === undefined }),
    Effect.timeoutOption(drainTimeout),
    Effect.ignore
  )
  const handle = Effect.fnUntraced(function* (
    arrived: ReadonlyArray<Sse.Event>,
    all: Array<Response.StreamPartEncoded>
  ) {
    for (const event of arrived) {
      if (state.stopped) return
      const read = Transport.dataOf(event, response, context)
      const data = given(read) ?? (yield* read)
      if (data === undefined) continue
      const decoded = decodeEvent(data, context)
      const step = Events.onEvent(state, given(decoded) ?? (yield* decoded), exchange)
      const parts = given(step) ?? (yield* step)
      for (const part of parts) {
        Annotations.part(options.span, part)
        if (part.type === "response-metadata" && part.id !== undefined) source.threads.remember(part.id, options.tools)
        all.push(part)
      }
    }
  })
  const pull = Effect.gen(function* () {
    while (!state.stopped && failure === undefined) {
      const arrived = yield* next
      if (arrived === undefined) {
        return yield* Effect.fail(transportError("the stream ended before the answer was complete", context))
      }
      const parts: Array<Response.StreamPartEncoded> = []
      // What came before a failure in the same arrival is still given.
      yield* Effect.catch(handle(arrived, parts), (reason) => Effect.sync(() => void (failure = reason)))
      if (Arr.isReadonlyArrayNonEmpty(parts)) return parts
    }
    if (failure !== undefined) return yield* Effect.fail(failure)
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
  const source: Source = { client: yield* AnthropicClient, model, threads: Threads.make() }
  return yield* Provider.make({
    settings: { ...model, baseUrl: source.client.sdk.baseURL },
    codecTransformer: toCodecAnthropic,
    generateText: (options) =>
      Effect.withFiber((fiber) =>
        Effect.mapError(generate(source, options, current(fiber, model)), named(options, "generateText"))
      ),
    streamText: (options) =>
      Stream.unwrap(Effect.withFiber((fiber) => open(source, options, current(fiber, model)))).pipe(
        Stream.mapError(named(options, "streamText"))
      )
  })
})

/** A layer that provides the model, for example `layer({ model: "claude-sonnet-5-5" })`. */
export const layer = (model: Options): Layer.Layer<LanguageModel.LanguageModel, never, AnthropicClient> =>
  Layer.effect(LanguageModel.LanguageModel, make(model))

/** The model as an `effect/ai` `Model`, which also tells the program its provider's and its own name. */
export const model = (
  name: string,
  config?: Config
): Model.Model<"anthropic", LanguageModel.LanguageModel, AnthropicClient> =>
  Model.make("anthropic", name, layer({ model: name, config }))

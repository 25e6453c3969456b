/**
 * A whole answer as response parts, and what streaming shares with it: usage, finish reason, cut answers.
 */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Container, OpaqueBlock, UsageDetails } from "../AnthropicOptions.ts"
import * as Citations from "./citations.ts"
import { type RequestContext, reportedHeaders } from "./errors.ts"
import * as ServerTools from "./serverTools.ts"
import * as Tools from "./tools.ts"
import * as Wire from "./wire.ts"

type Reason = AiError.AiErrorReason

/** What finishing takes besides the answer itself. */
export interface Exchange {
  readonly options: LanguageModel.ProviderOptions
  readonly maxTokens: number
  /** The tools of the request. */
  readonly prepared: Tools.Prepared
  /** The mark of the request, for models that bind thinking to it. */
  readonly mark: (() => string) | undefined
  readonly http: { readonly status: number; readonly headers: Headers }
  readonly context: RequestContext
}

const finishReason = (stopReason: string | null | undefined): Response.FinishReason => {
  switch (stopReason) {
    case "end_turn":
    case "stop_sequence":
      return "stop"
    case "max_tokens":
    case "model_context_window_exceeded":
      return "length"
    case "tool_use":
      return "tool-calls"
    case "pause_turn":
      return "pause"
    case "refusal":
      return "content-filter"
    case null:
    case undefined:
      return "unknown"
    default:
      return "other"
  }
}

/** Whether the answer ended because there was no room left: its last block may then be incomplete. */
export const isCut = (stop: Wire.StopInfo): boolean => finishReason(stop.stop_reason) === "length"

/** Anthropic counts cached input apart from `input_tokens`; the total is the sum of the three. */
export const usage = (wire: Wire.Usage): typeof Response.Usage.Encoded => {
  const uncached = wire.input_tokens ?? undefined
  const cacheRead = wire.cache_read_input_tokens ?? undefined
  const cacheWrite = wire.cache_creation_input_tokens ?? undefined
  const total = wire.output_tokens ?? undefined
  const reasoning = wire.output_tokens_details?.thinking_tokens ?? undefined
  return {
    inputTokens: {
      uncached,
      cacheRead,
      cacheWrite,
      total: uncached === undefined ? undefined : uncached + (cacheRead ?? 0) + (cacheWrite ?? 0)
    },
    outputTokens: {
      total,
      reasoning,
      text: total === undefined || reasoning === undefined ? undefined : Math.max(0, total - reasoning)
    }
  }
}

/** The part that says which response this is. The API sends no time, so it is the time of arrival. */
export const metadata = (
  id: string | undefined,
  model: string | undefined
): Effect.Effect<Response.ResponseMetadataPartEncoded> =>
  Effect.withFiberSucceed((fiber) => ({
    type: "response-metadata",
    id,
    modelId: model,
    timestamp: new Date(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()).toISOString()
  }))

const containerOf = (wire: Wire.Container): Container => ({
  id: wire.id,
  expiresAt: wire.expires_at ?? null,
  skills: (wire.skills ?? []).map((skill) => ({
    type: skill.type,
    skillId: skill.skill_id,
    version: skill.version ?? null
  }))
})

const usageDetails = (wire: Wire.Usage): UsageDetails => ({
  cacheWrite5m: wire.cache_creation?.ephemeral_5m_input_tokens ?? null,
  cacheWrite1h: wire.cache_creation?.ephemeral_1h_input_tokens ?? null,
  webSearchRequests: wire.server_tool_use?.web_search_requests ?? null,
  webFetchRequests: wire.server_tool_use?.web_fetch_requests ?? null,
  serviceTier: wire.service_tier ?? null,
  inferenceGeo: wire.inference_geo ?? null,
  speed: wire.speed ?? null
})

/** What an answer says at its end. */
export interface Ending {
  readonly stop: Wire.StopInfo
  readonly usage: Wire.Usage
  readonly diagnostics: Wire.Diagnostics | null | undefined
  readonly cutToolCall: string | undefined
  /** Whether a tool of the application's was called: gateways call that another end, or none. */
  readonly called: boolean
}

const reasonOf = ({ called, stop }: Ending): Response.FinishReason => {
  const reason = finishReason(stop.stop_reason)
  return called && (reason === "stop" || reason === "unknown") ? "tool-calls" : reason
}

/** The part that ends a response. */
export const finish = (ending: Ending, exchange: Exchange): Response.FinishPartEncoded => {
  const { stop } = ending
  const miss = ending.diagnostics?.cache_miss_reason
  return {
    type: "finish",
    reason: reasonOf(ending),
    usage: usage(ending.usage),
    response: { status: exchange.http.status, headers: reportedHeaders(exchange.http.headers, exchange.context) },
    metadata: {
      anthropic: {
        stopReason: stop.stop_reason ?? null,
        stopSequence: stop.stop_sequence ?? null,
        refusal:
          stop.stop_details?.type === "refusal"
            ? { category: stop.stop_details.category ?? null, explanation: stop.stop_details.explanation ?? null }
            : null,
        cutToolCall: ending.cutToolCall ?? null,
        container: stop.container ? containerOf(stop.container) : null,
        usage: usageDetails(ending.usage),
        cacheMiss: miss ? { reason: miss.type, missedTokens: miss.cache_missed_input_tokens ?? null } : null
      }
    }
  }
}

/**
 * An object was asked for: a refusal or a cut answer has none, and says so here, because a parser would only say that the text is not JSON.
 */
const checkObject = (message: Wire.Message, exchange: Exchange): Effect.Effect<void, Reason> => {
  if (exchange.options.responseFormat.type !== "json") return Effect.void
  if (message.stop_reason === "refusal") {
    const details = message.stop_details
    return Effect.fail(
      new AiError.ContentPolicyError({
        description: [`the model refused to answer`, details?.category, details?.explanation].filter(Boolean).join(": ")
      })
    )
  }
  if (isCut(message)) {
    const responseText = message.content.map((block) => ("text" in block ? block.text : "")).join("")
    const { inputTokens, outputTokens } = usage(message.usage ?? {})
    return Effect.fail(
      new AiError.StructuredOutputError({
        description:
          message.stop_reason === "max_tokens"
            ? `the answer was cut at maxTokens (${exchange.maxTokens}); raise maxTokens or ask for less`
            : "the answer was cut where the model's context window ended; shorten the prompt",
        responseText: responseText.slice(0, 10_000),
        usage: {
          ...(inputTokens.total === undefined ? undefined : { promptTokens: inputTokens.total }),
          ...(outputTokens.total === undefined ? undefined : { completionTokens: outputTokens.total })
        }
      })
    )
  }
  return Effect.void
}

/** A block that only goes back, as the part that carries it. */
export const opaque = (block: OpaqueBlock): Response.ReasoningPartEncoded => ({
  type: "reasoning",
  text: "",
  metadata: { anthropic: { block } }
})

/** What an answer that was paused ends with, so that a later request can tell that it goes on from there. */
export const pause = { anthropic: { paused: true } } as const

/** What thinking keeps of its request. */
export const prefixOf = ({ mark }: Exchange): { readonly prefix?: string } =>
  mark === undefined ? {} : { prefix: mark() }

const partsOf = Effect.fnUntracedEager(function* (
  block: Wire.ContentBlock,
  index: number,
  exchange: Exchange,
  calls: ServerTools.Calls
): Effect.fn.Return<ReadonlyArray<Response.PartEncoded>, Reason> {
  if ("text" in block) {
    const citations = (block.citations ?? []).filter(Wire.isKnownCitation)
    return [
      {
        type: "text",
        text: block.text,
        ...(citations.length === 0 ? undefined : { metadata: { anthropic: { citations } } })
      },
      ...citations.map((citation, n) => Citations.source(citation, index, n))
    ]
  }
  if ("thinking" in block) {
    return [
      {
        type: "reasoning",
        text: block.thinking,
        metadata: { anthropic: { signature: block.signature ?? null, ...prefixOf(exchange) } }
      }
    ]
  }
  if ("data" in block) {
    return [
      { type: "reasoning", text: "", metadata: { anthropic: { redactedData: block.data, ...prefixOf(exchange) } } }
    ]
  }
  if ("tool_use_id" in block) return [(yield* ServerTools.result(exchange.options, block, calls)) ?? opaque(block)]
  if ("file_id" in block) return [opaque(block)]
  if (!("name" in block)) return []
  if (block.type === "server_tool_use") {
    return [(yield* ServerTools.call(exchange.options, block, calls)) ?? opaque(block)]
  }
  return [yield* Tools.call(exchange.options, exchange.prepared, block)]
})

/** All parts of a whole answer. */
export const fromMessage = Effect.fnUntracedEager(function* (
  message: Wire.Message,
  exchange: Exchange
): Effect.fn.Return<Array<Response.PartEncoded>, Reason> {
  yield* checkObject(message, exchange)
  const parts: Array<Response.PartEncoded> = [yield* metadata(message.id ?? undefined, message.model ?? undefined)]
  const last = message.content.at(-1)
  // The one call that a limit can have cut is the last block, and arguments cut short may still look whole.
  const cut = isCut(message) && last !== undefined && "name" in last ? last : undefined
  const calls: ServerTools.Calls = new Map()
  for (const [index, block] of message.content.entries()) {
    if (block !== cut) parts.push(...(yield* partsOf(block, index, exchange, calls)))
  }
  if (message.stop_reason === "pause_turn") parts.push({ type: "reasoning", text: "", metadata: pause })
  const cutToolCall = cut && exchange.prepared.names.fromWire(cut.name)
  const called = parts.some((part) => part.type === "tool-call" && part.providerExecuted !== true)
  const { diagnostics } = message
  parts.push(finish({ stop: message, usage: message.usage ?? {}, diagnostics, cutToolCall, called }, exchange))
  return parts
})

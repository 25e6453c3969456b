/**
 * A whole answer as response parts, and what streaming shares with it: usage, finish reason, cut answers.
 */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { type RequestContext, reportedHeaders } from "./errors.ts"
import * as Tools from "./tools.ts"
import type * as Wire from "./wire.ts"

type Reason = AiError.AiErrorReason

/** What finishing takes besides the answer itself. */
export interface Exchange {
  readonly options: LanguageModel.ProviderOptions
  readonly maxTokens: number
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
export const metadata = (id: string, model: string): Effect.Effect<Response.ResponseMetadataPartEncoded> =>
  Effect.map(DateTime.now, (now) => ({
    type: "response-metadata",
    id,
    modelId: model,
    timestamp: DateTime.formatIso(now)
  }))

/** The part that ends a response. */
export const finish = (
  stop: Wire.StopInfo,
  wireUsage: Wire.Usage,
  cutToolCall: string | undefined,
  exchange: Exchange
): Response.FinishPartEncoded => ({
  type: "finish",
  reason: finishReason(stop.stop_reason),
  usage: usage(wireUsage),
  response: { status: exchange.http.status, headers: reportedHeaders(exchange.http.headers, exchange.context) },
  metadata: {
    anthropic: {
      stopReason: stop.stop_reason ?? null,
      stopSequence: stop.stop_sequence ?? null,
      refusal:
        stop.stop_details?.type === "refusal"
          ? { category: stop.stop_details.category ?? null, explanation: stop.stop_details.explanation ?? null }
          : null,
      cutToolCall: cutToolCall ?? null
    }
  }
})

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
    const { inputTokens, outputTokens } = usage(message.usage)
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

/** All parts of a whole answer. */
export const fromMessage = Effect.fnUntraced(function* (
  message: Wire.Message,
  exchange: Exchange
): Effect.fn.Return<Array<Response.PartEncoded>, Reason> {
  yield* checkObject(message, exchange)
  const parts: Array<Response.PartEncoded> = [yield* metadata(message.id, message.model)]
  const last = message.content.at(-1)
  // The one call that a limit can have cut is the last block, and arguments cut short may still look whole.
  const cut = isCut(message) && last !== undefined && "name" in last ? last : undefined
  for (const block of message.content) {
    if ("text" in block) {
      parts.push({ type: "text", text: block.text })
    } else if ("thinking" in block) {
      parts.push({
        type: "reasoning",
        text: block.thinking,
        metadata: { anthropic: { signature: block.signature ?? null } }
      })
    } else if ("data" in block) {
      parts.push({ type: "reasoning", text: "", metadata: { anthropic: { redactedData: block.data } } })
    } else if ("name" in block && block !== cut) {
      const params = yield* Tools.fromWire(exchange.options, block.name, block.input)
      parts.push({ type: "tool-call", id: block.id, name: block.name, params, providerExecuted: false })
    }
  }
  parts.push(finish(message, message.usage, cut?.name, exchange))
  return parts
})

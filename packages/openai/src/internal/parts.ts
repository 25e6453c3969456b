/**
 * Parts that both APIs end and begin with.
 */
import type * as Response from "effect/ai/Response"
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import { compact } from "./config.ts"
import * as Errors from "./errors.ts"
import type { Http } from "./transport.ts"

/** Token counts as either API reports them. */
export interface Counts {
  readonly input: number | null | undefined
  readonly output: number | null | undefined
  readonly cacheRead: number | null | undefined
  readonly cacheWrite: number | null | undefined
  readonly reasoning: number | null | undefined
}

/** No counts: what a server reports that does not count. */
export const noCounts: Counts = {
  input: undefined,
  output: undefined,
  cacheRead: undefined,
  cacheWrite: undefined,
  reasoning: undefined
}

const minus = (total: number | null | undefined, part: number | null | undefined): number | undefined =>
  total === undefined || total === null ? undefined : Math.max(0, total - (part ?? 0))

const usage = (counts: Counts): Response.FinishPartEncoded["usage"] => ({
  inputTokens: {
    uncached: minus(counts.input, counts.cacheRead),
    total: counts.input ?? undefined,
    cacheRead: counts.cacheRead ?? undefined,
    cacheWrite: counts.cacheWrite ?? undefined
  },
  outputTokens: {
    total: counts.output ?? undefined,
    text: minus(counts.output, counts.reasoning),
    reasoning: counts.reasoning ?? undefined
  }
})

/** The last part of an answer. `stopReason` is the provider's own word for why it ended. */
export const finish = (
  reason: Response.FinishReason,
  stopReason: string | null | undefined,
  counts: Counts,
  http: Http
): Response.FinishPartEncoded => ({
  type: "finish",
  reason,
  usage: usage(counts),
  response: http,
  ...(stopReason ? { metadata: { openai: { stopReason } } } : undefined)
})

/**
 * The error of an object that was cut at a limit, or by a filter, made of its text: a parser would only say that the text is no JSON.
 * None where no object was asked for, or the answer is whole.
 */
export const cutObject = (
  asked: {
    readonly options: Pick<LanguageModel.ProviderOptions, "responseFormat">
    readonly context: Errors.RequestContext
  },
  reason: Response.FinishReason,
  counts: Counts
): ((text: string) => AiError.AiError) | undefined => {
  if (asked.options.responseFormat.type !== "json" || reason !== "length") return undefined
  return (text) =>
    Errors.make(
      asked.context,
      new AiError.StructuredOutputError({
        description: "the answer was cut at the limit of tokens; raise maxOutputTokens, or ask for less",
        responseText: asked.context.redact(text).slice(0, 10_000),
        usage: {
          ...(typeof counts.input === "number" ? { promptTokens: counts.input } : undefined),
          ...(typeof counts.output === "number" ? { completionTokens: counts.output } : undefined)
        }
      })
    )
}

/** A source, if it is one that can be shown. */
export const urlSource = (
  id: string,
  cited: {
    readonly url?: string | null | undefined
    readonly title?: string | null | undefined
    readonly start_index?: number | null | undefined
    readonly end_index?: number | null | undefined
  }
): Response.UrlSourcePartEncoded | undefined =>
  cited.url && URL.canParse(cited.url)
    ? {
        type: "source",
        sourceType: "url",
        id,
        url: cited.url,
        title: cited.title ?? cited.url,
        metadata: {
          openai: compact({ startIndex: cited.start_index ?? undefined, endIndex: cited.end_index ?? undefined })
        }
      }
    : undefined

/** The first part of an answer. `created` is in seconds. */
export const metadata = (body: {
  readonly id?: string | null | undefined
  readonly model?: string | null | undefined
  readonly created?: number | null | undefined
  readonly serviceTier?: string | null | undefined
}): Response.ResponseMetadataPartEncoded => {
  // Servers that do not know say "" and 0.
  const at = new Date((body.created || Number.NaN) * 1000)
  return {
    type: "response-metadata",
    id: body.id || undefined,
    modelId: body.model || undefined,
    timestamp: Number.isNaN(at.getTime()) ? undefined : at.toISOString(),
    ...(body.serviceTier ? { metadata: { openai: { serviceTier: body.serviceTier } } } : undefined)
  }
}

/**
 * Parts that both APIs end and begin with.
 */
import type * as Response from "effect/ai/Response"
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"

/** Token counts as either API reports them. */
export interface Counts {
  readonly input: number | undefined
  readonly output: number | undefined
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

const minus = (total: number | undefined, part: number | null | undefined): number | undefined =>
  total === undefined ? undefined : Math.max(0, total - (part ?? 0))

const usage = (counts: Counts): Response.FinishPartEncoded["usage"] => ({
  inputTokens: {
    uncached: minus(counts.input, counts.cacheRead),
    total: counts.input,
    cacheRead: counts.cacheRead ?? undefined,
    cacheWrite: counts.cacheWrite ?? undefined
  },
  outputTokens: {
    total: counts.output,
    text: minus(counts.output, counts.reasoning),
    reasoning: counts.reasoning ?? undefined
  }
})

/** The last part of an answer. */
export const finish = (
  reason: Response.FinishReason,
  counts: Counts,
  http?: { readonly status: number; readonly headers: Record<string, string> }
): Response.FinishPartEncoded => ({
  type: "finish",
  reason,
  usage: usage(counts),
  ...(http === undefined ? undefined : { response: http })
})

/** The first part of an answer. `created` is in seconds. */
export const metadata = (body: {
  readonly id?: string | null | undefined
  readonly model?: string | null | undefined
  readonly created?: number | null | undefined
  readonly serviceTier?: string | null | undefined
}): Response.ResponseMetadataPartEncoded => {
  const at = Option.getOrUndefined(DateTime.make((body.created ?? Number.NaN) * 1000))
  return {
    type: "response-metadata",
    id: body.id ?? undefined,
    modelId: body.model ?? undefined,
    timestamp: at === undefined ? undefined : DateTime.formatIso(at),
    ...(body.serviceTier ? { metadata: { openai: { serviceTier: body.serviceTier } } } : undefined)
  }
}

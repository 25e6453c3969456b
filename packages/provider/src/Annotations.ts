/**
 * The attributes of a model call on its span, after OpenTelemetry's semantic conventions for generative AI
 * (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/), as `effect/ai/Telemetry` names them. With names that are
 * written down, for it makes each of them anew out of its field.
 *
 * **Example**
 *
 * ```ts
 * import * as Annotations from "@selvage/provider/Annotations"
 * import * as Effect from "effect/Effect"
 *
 * export const asked = Effect.map(Effect.currentSpan, (span) =>
 *   Annotations.request(span, { provider: "acme", model: "acme-1", output: "text", temperature: 0.2 })
 * )
 * ```
 */
import type * as Response from "effect/ai/Response"
import type { Span } from "effect/Tracer"

/** What is said of a request. What is `undefined` is left out. */
export interface Request {
  readonly provider: string
  readonly model: string
  readonly output: "text" | "json"
  readonly maxTokens?: number | null | undefined
  readonly temperature?: number | null | undefined
  readonly topP?: number | null | undefined
  readonly topK?: number | null | undefined
  readonly stopSequences?: ReadonlyArray<string> | null | undefined
}

const set = (span: Span, name: string, value: unknown): void => {
  if (value !== undefined && value !== null) span.attribute(name, value)
}

/** Says what is asked of whom. */
export const request = (span: Span, { model, output, provider, ...settings }: Request): void => {
  span.attribute("gen_ai.provider.name", provider)
  span.attribute("gen_ai.operation.name", "chat")
  span.attribute("gen_ai.output.type", output)
  span.attribute("gen_ai.request.model", model)
  set(span, "gen_ai.request.max_tokens", settings.maxTokens)
  set(span, "gen_ai.request.temperature", settings.temperature)
  set(span, "gen_ai.request.top_p", settings.topP)
  set(span, "gen_ai.request.top_k", settings.topK)
  set(span, "gen_ai.request.stop_sequences", settings.stopSequences)
}

/** Says what a part tells of the answer: which it is, and at its end why it ended and what it used. */
export const part = (span: Span, one: Response.PartEncoded | Response.StreamPartEncoded): void => {
  if (one.type === "response-metadata") {
    set(span, "gen_ai.response.id", one.id)
    set(span, "gen_ai.response.model", one.modelId)
  } else if (one.type === "finish") {
    span.attribute("gen_ai.response.finish_reasons", [one.reason])
    set(span, "gen_ai.usage.input_tokens", one.usage.inputTokens.total)
    set(span, "gen_ai.usage.output_tokens", one.usage.outputTokens.total)
  }
}

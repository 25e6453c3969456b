/**
 * From Chat Completions' answers to parts.
 */
import * as AiError from "effect/ai/AiError"
import type * as IdGenerator from "effect/ai/IdGenerator"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import type * as Wire from "./chatWire.ts"
import * as Errors from "./errors.ts"
import * as Parts from "./parts.ts"
import type { Conversion } from "./responsesParts.ts"
import { parseParameters } from "./tools.ts"
import type { Answer, Http } from "./transport.ts"

type Completion = typeof Wire.Completion.Type

const counts = (usage: typeof Wire.Usage.Type | null | undefined): Parts.Counts =>
  usage === null || usage === undefined
    ? Parts.noCounts
    : {
        input: usage.prompt_tokens,
        output: usage.completion_tokens ?? undefined,
        cacheRead: usage.prompt_tokens_details?.cached_tokens,
        cacheWrite: usage.prompt_tokens_details?.cache_write_tokens,
        reasoning: usage.completion_tokens_details?.reasoning_tokens
      }

const finishReason = (reason: string | null | undefined, calls: boolean, refused: boolean): Response.FinishReason => {
  switch (reason) {
    case "stop":
      // Some servers say "stop" although the model called tools.
      return refused ? "content-filter" : calls ? "tool-calls" : "stop"
    case "tool_calls":
    case "function_call":
      return "tool-calls"
    case "length":
      return "length"
    case "content_filter":
      return "content-filter"
    case null:
    case undefined:
      return "unknown"
    default:
      return "other"
  }
}

/** The last part. */
export const finish = (
  reason: string | null | undefined,
  calls: boolean,
  refused: boolean,
  usage: typeof Wire.Usage.Type | null | undefined,
  http: Http
) => Parts.finish(finishReason(reason, calls, refused), reason, counts(usage), http)

/** Arguments as text: some servers give the object. */
export const argumentText = (given: string | object | null | undefined): string =>
  typeof given === "string" ? given : given === null || given === undefined ? "" : JSON.stringify(given)

/** The sources a text cites; `from` is how many came before. */
export const sources = (
  annotations: ReadonlyArray<typeof Wire.Annotation.Type> | null | undefined,
  from: number
): ReadonlyArray<Response.UrlSourcePartEncoded> =>
  (annotations ?? []).flatMap((annotation, index) => {
    const source = annotation.url_citation
      ? Parts.urlSource(`source.${from + index}`, annotation.url_citation)
      : undefined
    return source === undefined ? [] : [source]
  })

/** Whether the answer ended before what it was writing was whole. */
export const cutShort = (reason: string | null | undefined): boolean =>
  reason === "length" || reason === "content_filter"

/** Whether a call's arguments are whole. */
export const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const refusalError = (conversion: Conversion, text: string): AiError.AiError | undefined =>
  conversion.options.responseFormat.type === "json"
    ? Errors.make(
        conversion.context,
        new AiError.ContentPolicyError({
          description: `the model refused: ${conversion.context.redact(text)}`
        })
      )
    : undefined

/** The call of a function. */
export const toolCall = (id: string, name: string, text: string, conversion: Conversion) =>
  Effect.map(
    parseParameters(name, text, conversion.tools, conversion.options, conversion.context),
    (params): Response.ToolCallPartEncoded => ({ type: "tool-call", id, name, params })
  )

/** The first part. */
export const metadata = (body: Omit<Completion, "choices">) =>
  Parts.metadata({
    id: body.id,
    model: body.model,
    created: body.created,
    serviceTier: body.service_tier
  })

/** The parts of a whole completion. */
export const fromBody = Effect.fnUntracedEager(function* (
  answer: Answer<Completion>,
  conversion: Conversion,
  ids: IdGenerator.Service
): Effect.fn.Return<Array<Response.PartEncoded>, AiError.AiError> {
  const { body, http } = answer
  const [choice] = body.choices
  if (choice === undefined) return yield* Errors.invalidResponse(conversion.context, "The completion has no choices")
  const { message } = choice
  const parts: Array<Response.PartEncoded> = [metadata(body)]
  const reasoning = message.reasoning_content ?? message.reasoning
  if (reasoning) parts.push({ type: "reasoning", text: reasoning })
  if (message.content) parts.push({ type: "text", text: message.content })
  if (message.refusal) {
    const error = refusalError(conversion, message.refusal)
    if (error !== undefined) return yield* error
    parts.push({ type: "text", text: message.refusal, metadata: { openai: { refusal: true } } })
  }
  parts.push(...sources(message.annotations, 0))
  for (const call of message.tool_calls ?? []) {
    const text = argumentText(call.function.arguments)
    // A call cut off by the token limit was never made; the finish reason tells.
    if (cutShort(choice.finish_reason) && !isJson(text)) continue
    const name = conversion.tools.names.fromWire(call.function.name)
    parts.push(yield* toolCall(call.id || (yield* ids.generateId()), name, text, conversion))
  }
  const calls = parts.some((part) => part.type === "tool-call")
  parts.push(finish(choice.finish_reason, calls, Boolean(message.refusal), body.usage, http))
  return parts
})

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
import { isJson, parseParameters } from "./tools.ts"
import type { Answer, Http } from "./transport.ts"

type Completion = typeof Wire.Completion.Type
type Usage = typeof Wire.Usage.Type

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
      return refused ? "content-filter" : calls ? "tool-calls" : "unknown"
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

/** What of a content is text, and what is thought. */
export const written = (content: typeof Wire.Content.Type): { readonly text: string; readonly thoughts: string } => {
  if (content === null || content === undefined || typeof content === "string") {
    return { text: content ?? "", thoughts: "" }
  }
  let text = ""
  let thoughts = ""
  for (const part of content) {
    if (typeof part === "string") {
      text += part
      continue
    }
    text += part.text ?? ""
    const { thinking } = part
    for (const thought of typeof thinking === "string" ? [thinking] : (thinking ?? [])) {
      thoughts += typeof thought === "string" ? thought : (thought.text ?? "")
    }
  }
  return { text, thoughts }
}

/** Counts as they add up: what a later report leaves out, or says is none, stands as it was. */
export const merged = (before: Usage | undefined, after: Usage | null | undefined): Usage | undefined =>
  before === undefined || after === null || after === undefined
    ? (after ?? before)
    : {
        prompt_tokens: after.prompt_tokens || before.prompt_tokens,
        completion_tokens: after.completion_tokens || before.completion_tokens,
        prompt_tokens_details: after.prompt_tokens_details ?? before.prompt_tokens_details,
        completion_tokens_details: after.completion_tokens_details ?? before.completion_tokens_details
      }

/** The error that a choice reports in place of an answer, if it does. */
export const choiceError = (
  { error, finish_reason }: Pick<typeof Wire.Choice.Type, "error" | "finish_reason">,
  context: Errors.RequestContext
): AiError.AiError | undefined =>
  error || finish_reason === "error"
    ? Errors.fromBody(
        context,
        typeof error === "string" ? { message: error } : (error ?? undefined),
        "the model behind the server failed"
      )
    : undefined

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
export const toolCall = (
  id: string,
  name: string,
  text: string,
  extra: typeof Wire.ToolCallDelta.Type.extra_content,
  conversion: Conversion
) =>
  Effect.map(
    parseParameters(name, text, conversion.tools, conversion.options, conversion.context),
    (params): Response.ToolCallPartEncoded => ({
      type: "tool-call",
      id,
      name,
      params,
      ...(extra ? { metadata: { openai: { extraContent: extra } } } : undefined)
    })
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
  const failed = choiceError(choice, conversion.context)
  if (failed !== undefined) return yield* failed
  const { message } = choice
  if (!message) return yield* Errors.invalidResponse(conversion.context, "The completion has no message")
  const cut = Parts.cutObject(conversion, finishReason(choice.finish_reason, false, false), counts(body.usage))
  const parts: Array<Response.PartEncoded> = [metadata(body)]
  const { text, thoughts } = written(message.content)
  if (cut !== undefined) return yield* cut(text)
  const reasoning = message.reasoning_content || message.reasoning || thoughts
  if (reasoning) parts.push({ type: "reasoning", text: reasoning })
  if (text !== "") parts.push({ type: "text", text })
  if (message.refusal) {
    const error = refusalError(conversion, message.refusal)
    if (error !== undefined) return yield* error
    parts.push({ type: "text", text: message.refusal, metadata: { openai: { refusal: true } } })
  }
  parts.push(...sources(message.annotations, 0))
  const called = message.function_call
    ? [{ id: undefined, function: message.function_call, extra_content: undefined }]
    : []
  for (const call of [...(message.tool_calls ?? []), ...called]) {
    const text = argumentText(call.function.arguments)
    // A call cut off by the token limit was never made; the finish reason tells.
    if (cutShort(choice.finish_reason) && !isJson(text)) continue
    const name = conversion.tools.names.fromWire(call.function.name)
    parts.push(yield* toolCall(call.id || (yield* ids.generateId()), name, text, call.extra_content, conversion))
  }
  const calls = parts.some((part) => part.type === "tool-call")
  parts.push(finish(choice.finish_reason, calls, Boolean(message.refusal), body.usage, http))
  return parts
})

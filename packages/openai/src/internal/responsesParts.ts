/**
 * From the Responses API's answers to parts.
 */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Errors from "./errors.ts"
import * as Hosted from "./hosted.ts"
import * as Parts from "./parts.ts"
import type * as Wire from "./responsesWire.ts"
import { compact } from "./config.ts"
import { isJson, parseParameters, type Prepared } from "./tools.ts"
import type { Answer, Http } from "./transport.ts"

type Body = typeof Wire.Body.Type
type Item = typeof Wire.Item.Type
type Message = typeof Wire.Message.Type
type FunctionCall = typeof Wire.FunctionCall.Type
type Reasoning = typeof Wire.Reasoning.Type

/** What a conversion needs to know of its request. */
export interface Conversion {
  readonly options: Pick<LanguageModel.ProviderOptions, "responseFormat" | "toolCallValidation">
  readonly tools: Prepared
  readonly context: Errors.RequestContext
}

const counts = (body: Body): Parts.Counts => ({
  input: body.usage?.input_tokens,
  output: body.usage?.output_tokens,
  cacheRead: body.usage?.input_tokens_details?.cached_tokens,
  cacheWrite: body.usage?.input_tokens_details?.cache_write_tokens,
  reasoning: body.usage?.output_tokens_details?.reasoning_tokens
})

const finishReason = (body: Body, calls: boolean, refused: boolean): Response.FinishReason => {
  if (body.status === "incomplete") {
    const reason = body.incomplete_details?.reason
    if (reason === "max_output_tokens") return "length"
    return reason === "content_filter" ? "content-filter" : "other"
  }
  if (body.status !== "completed" && body.status !== null && body.status !== undefined) return "unknown"
  if (refused) return "content-filter"
  return calls ? "tool-calls" : "stop"
}

/** The first part. */
export const metadata = (body: Body) =>
  Parts.metadata({
    id: body.id,
    model: body.model,
    created: body.created_at,
    serviceTier: body.service_tier
  })

/** The last part. */
export const finish = (body: Body, calls: boolean, refused: boolean, http: Http) =>
  Parts.finish(finishReason(body, calls, refused), body.incomplete_details?.reason ?? body.status, counts(body), http)

/** A response that OpenAI itself reports as failed. */
export const failure = (body: Body, context: Errors.RequestContext): AiError.AiError | undefined =>
  body.status === "failed" || body.status === "cancelled" || body.error
    ? Errors.fromBody(context, body.error ?? undefined, `response ${body.id ?? ""} ended as ${body.status ?? "failed"}`)
    : undefined

/** An answer that had to be an object is no answer when refused, and asking again would be refused again. */
export const refusal = (conversion: Conversion, text: string): AiError.AiError | undefined =>
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
  item: FunctionCall,
  conversion: Conversion
): Effect.Effect<Response.ToolCallPartEncoded, AiError.AiError> => {
  const name = conversion.tools.names.fromWire(item.name)
  return Effect.map(
    parseParameters(name, item.arguments, conversion.tools, conversion.options, conversion.context),
    (params) => ({ type: "tool-call", id: item.call_id, name, params })
  )
}

const summaries = (item: Reasoning): ReadonlyArray<string> => (item.summary ?? []).map((part) => part.text)

const isContent = (item: Reasoning): boolean => !item.summary?.length && Boolean(item.content?.length)

/** What can be read of reasoning. */
export const reasoningText = (item: Reasoning): string =>
  (isContent(item) ? (item.content ?? []).map((part) => part.text) : summaries(item)).join("\n\n")

/** What it takes to send reasoning back. */
export const reasoningMetadata = (item: Reasoning) => ({
  openai: compact({
    itemId: item.id,
    encryptedContent: item.encrypted_content ?? undefined,
    summaries: summaries(item).length > 1 ? summaries(item) : undefined,
    isContent: isContent(item) ? true : undefined
  })
})

/** What a text says of itself. */
export const textMetadata = (phase: string | null | undefined, refused: boolean) => {
  const openai = compact({ phase: phase ?? undefined, refusal: refused ? true : undefined })
  return Object.keys(openai).length === 0 ? undefined : { metadata: { openai } }
}

const documentKinds = ["file_citation", "container_file_citation", "file_path"] as const

/** The source an annotation names, if it is of a kind that is known. */
export const source = (
  id: string,
  annotation: typeof Wire.Annotation.Type
): Response.UrlSourcePartEncoded | Response.DocumentSourcePartEncoded | undefined => {
  if (annotation.type === "url_citation") return Parts.urlSource(id, annotation)
  const kind = documentKinds.find((kind) => kind === annotation.type)
  if (kind === undefined || !annotation.file_id) return undefined
  return {
    type: "source",
    sourceType: "document",
    id,
    mediaType: "application/octet-stream",
    title: annotation.filename ?? annotation.file_id,
    ...(annotation.filename ? { fileName: annotation.filename } : undefined),
    metadata: {
      openai: {
        kind,
        fileId: annotation.file_id,
        ...compact({ containerId: annotation.container_id ?? undefined, index: annotation.index ?? undefined })
      }
    }
  }
}

const messageParts = (
  item: Message,
  position: number,
  conversion: Conversion
): Effect.Effect<ReadonlyArray<Response.PartEncoded>, AiError.AiError> => {
  const parts: Array<Response.PartEncoded> = []
  for (const [index, part] of item.content.entries()) {
    if (part.type === "output_text") {
      parts.push({ type: "text", text: part.text, ...textMetadata(item.phase, false) })
      for (const [n, annotation] of (part.annotations ?? []).entries()) {
        const cited = source(`${item.id ?? position}.${index}.${n}`, annotation)
        if (cited !== undefined) parts.push(cited)
      }
    }
    if (part.type === "refusal") {
      const error = refusal(conversion, part.refusal)
      if (error !== undefined) return Effect.fail(error)
      parts.push({ type: "text", text: part.refusal, ...textMetadata(item.phase, true) })
    }
  }
  return Effect.succeed(parts)
}

const itemParts = (
  item: Item,
  position: number,
  conversion: Conversion,
  body: Body
): Effect.Effect<ReadonlyArray<Response.PartEncoded>, AiError.AiError> => {
  switch (item.type) {
    case "message":
      return messageParts(item, position, conversion)
    case "function_call":
      // A call cut off by the token limit was never made; the finish reason tells.
      return item.status === "incomplete" || isCut(body, item.arguments)
        ? Effect.succeed([])
        : Effect.map(toolCall(item, conversion), (call) => [call])
    case "reasoning":
      return Effect.succeed([{ type: "reasoning", text: reasoningText(item), metadata: reasoningMetadata(item) }])
    case "other":
      return Effect.succeed([])
    default: {
      const done = Hosted.executed(item, conversion.tools.hosted)
      return Effect.succeed(done === undefined ? [] : [done.call, done.result])
    }
  }
}

/** Whether a message refuses. */
export const isRefusal = (item: Item): boolean =>
  item.type === "message" && item.content.some((part) => part.type === "refusal")

/** Whether arguments are what a limit left of them. */
export const isCut = (body: Pick<Body, "status">, text: string): boolean =>
  body.status === "incomplete" && !isJson(text)

/** The error of an object that was cut. */
export const cutObject = (body: Body, conversion: Conversion): AiError.AiError | undefined =>
  Parts.cutObject(
    conversion,
    finishReason(body, false, false),
    counts(body)
  )?.(
    body.output
      .flatMap((item) => (item.type === "message" ? item.content : []))
      .map((part) => (part.type === "output_text" ? part.text : ""))
      .join("")
  )

/** The parts of a whole response. */
export const fromBody = Effect.fnUntracedEager(function* (
  answer: Answer<Body>,
  conversion: Conversion
): Effect.fn.Return<Array<Response.PartEncoded>, AiError.AiError> {
  const { body, http } = answer
  const error = failure(body, conversion.context)
  if (error !== undefined) return yield* error
  const cut = cutObject(body, conversion)
  if (cut !== undefined) return yield* cut
  const parts: Array<Response.PartEncoded> = [metadata(body)]
  for (const [position, item] of body.output.entries())
    parts.push(...(yield* itemParts(item, position, conversion, body)))
  const calls = parts.some((part) => part.type === "tool-call" && part.providerExecuted !== true)
  parts.push(finish(body, calls, body.output.some(isRefusal), http))
  return parts
})

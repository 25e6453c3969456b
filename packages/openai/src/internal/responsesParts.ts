/**
 * From the Responses API's answers and stream events to parts.
 */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Errors from "./errors.ts"
import * as Parts from "./parts.ts"
import type * as Wire from "./responsesWire.ts"
import { parseParameters, type WireTool } from "./tools.ts"
import { type Answer, type Machine, maxStreamCharacters } from "./transport.ts"

type Body = typeof Wire.Body.Type
type Item = typeof Wire.Item.Type
type FunctionCall = typeof Wire.FunctionCall.Type
type Reasoning = typeof Wire.Reasoning.Type

/** What a conversion needs to know of its request. */
export interface Conversion {
  readonly options: LanguageModel.ProviderOptions
  readonly tools: ReadonlyMap<string, WireTool>
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

const metadata = (body: Body) =>
  Parts.metadata({
    id: body.id,
    model: body.model,
    created: body.created_at,
    serviceTier: body.service_tier
  })

/** A response that OpenAI itself reports as failed. */
const failure = (body: Body, context: Errors.RequestContext): AiError.AiError | undefined =>
  body.status === "failed" || body.status === "cancelled" || body.error
    ? Errors.fromBody(context, body.error ?? undefined, `response ${body.id} ended as ${body.status ?? "failed"}`)
    : undefined

// An answer that had to be an object is no answer when refused, and asking again would be refused again.
const refusal = (conversion: Conversion, text: string): AiError.AiError | undefined =>
  conversion.options.responseFormat.type === "json"
    ? Errors.make(
        conversion.context,
        new AiError.ContentPolicyError({
          description: `the model refused: ${conversion.context.redact(text)}`
        })
      )
    : undefined

const toolCall = (
  item: FunctionCall,
  conversion: Conversion
): Effect.Effect<Response.ToolCallPartEncoded, AiError.AiError> =>
  Effect.map(
    parseParameters(item.name, item.arguments, conversion.tools, conversion.options, conversion.context),
    (params) => ({ type: "tool-call", id: item.call_id, name: item.name, params })
  )

const reasoningText = (item: Reasoning): string =>
  (item.summary?.length ? item.summary : (item.content ?? [])).map((part) => part.text).join("\n\n")

const reasoningMetadata = (item: Reasoning) => ({
  openai: {
    itemId: item.id,
    ...(item.encrypted_content ? { encryptedContent: item.encrypted_content } : undefined)
  }
})

const itemParts = Effect.fnUntraced(function* (
  item: Item,
  conversion: Conversion
): Effect.fn.Return<ReadonlyArray<Response.PartEncoded>, AiError.AiError> {
  switch (item.type) {
    case "message": {
      const parts: Array<Response.PartEncoded> = []
      for (const part of item.content) {
        if (part.type === "output_text") {
          parts.push({
            type: "text",
            text: part.text,
            ...(item.phase ? { metadata: { openai: { phase: item.phase } } } : undefined)
          })
        }
        if (part.type === "refusal") {
          const error = refusal(conversion, part.refusal)
          if (error !== undefined) return yield* error
          parts.push({ type: "text", text: part.refusal, metadata: { openai: { refusal: true } } })
        }
      }
      return parts
    }
    case "function_call":
      // A call cut off by the token limit was never made; the finish reason tells.
      return item.status === "incomplete" ? [] : [yield* toolCall(item, conversion)]
    case "reasoning":
      return [{ type: "reasoning", text: reasoningText(item), metadata: reasoningMetadata(item) }]
    case "other":
      return []
  }
})

const isRefusal = (item: Item): boolean =>
  item.type === "message" && item.content.some((part) => part.type === "refusal")

/** The parts of a whole response. */
export const fromBody = Effect.fnUntraced(function* (
  answer: Answer<Body>,
  conversion: Conversion
): Effect.fn.Return<Array<Response.PartEncoded>, AiError.AiError> {
  const { body, http } = answer
  const error = failure(body, conversion.context)
  if (error !== undefined) return yield* error
  const parts: Array<Response.PartEncoded> = [metadata(body)]
  for (const item of body.output) parts.push(...(yield* itemParts(item, conversion)))
  const calls = parts.some((part) => part.type === "tool-call")
  parts.push(Parts.finish(finishReason(body, calls, body.output.some(isRefusal)), counts(body), http))
  return parts
})

type StreamPart = Response.StreamPartEncoded

/** The machine that turns stream events into parts. */
export const machine = (conversion: Conversion): Machine<typeof Wire.Event.Type, StreamPart> => {
  const texts = new Map<number, Set<string>>()
  const reasonings = new Map<number, { readonly id: string; summary: number }>()
  const calls = new Map<number, string>()
  const finishedCalls = new Set<string>()
  let characters = 0
  let refused = false
  let done = false

  const text = (outputIndex: number, contentIndex: number, delta: string, isRefused: boolean): Array<StreamPart> => {
    const id = `${outputIndex}.${contentIndex}`
    const open = texts.get(outputIndex) ?? new Set()
    texts.set(outputIndex, open)
    const marks = isRefused ? { metadata: { openai: { refusal: true } } } : undefined
    const start: Array<StreamPart> = open.has(id) ? [] : [{ type: "text-start", id, ...marks }]
    open.add(id)
    return [...start, { type: "text-delta", id, delta }]
  }

  const reasoning = (outputIndex: number, summaryIndex: number, delta: string): Array<StreamPart> => {
    const open = reasonings.get(outputIndex)
    if (open === undefined) return []
    const gap = summaryIndex > open.summary ? "\n\n" : ""
    open.summary = summaryIndex
    return [{ type: "reasoning-delta", id: open.id, delta: gap + delta }]
  }

  const added = (outputIndex: number, item: Item): Array<StreamPart> => {
    if (item.type === "function_call") {
      calls.set(outputIndex, item.call_id)
      return [{ type: "tool-params-start", id: item.call_id, name: item.name }]
    }
    if (item.type === "reasoning") {
      reasonings.set(outputIndex, { id: item.id, summary: 0 })
      return [{ type: "reasoning-start", id: item.id, metadata: { openai: { itemId: item.id } } }]
    }
    return []
  }

  const finished = Effect.fnUntraced(function* (
    outputIndex: number,
    item: Item
  ): Effect.fn.Return<ReadonlyArray<StreamPart>, AiError.AiError> {
    switch (item.type) {
      case "message": {
        const parts: Array<StreamPart> = []
        item.content.forEach((part, index) => {
          // A server that streams no deltas still says the text here.
          if (texts.get(outputIndex)?.has(`${outputIndex}.${index}`) === true) return
          if (part.type === "output_text") parts.push(...text(outputIndex, index, part.text, false))
          if (part.type === "refusal") parts.push(...text(outputIndex, index, part.refusal, true))
        })
        refused ||= isRefusal(item)
        const marks = item.phase ? { metadata: { openai: { phase: item.phase } } } : undefined
        for (const id of texts.get(outputIndex) ?? []) parts.push({ type: "text-end", id, ...marks })
        texts.delete(outputIndex)
        return parts
      }
      case "function_call": {
        const started = calls.has(outputIndex) ? [] : added(outputIndex, item)
        finishedCalls.add(item.call_id)
        const end: StreamPart = { type: "tool-params-end", id: item.call_id }
        return item.status === "incomplete" ? [...started, end] : [...started, end, yield* toolCall(item, conversion)]
      }
      case "reasoning": {
        const started = reasonings.has(outputIndex)
          ? []
          : [
              ...added(outputIndex, item),
              {
                type: "reasoning-delta",
                id: item.id,
                delta: reasoningText(item)
              } satisfies StreamPart
            ]
        const id = reasonings.get(outputIndex)?.id ?? item.id
        reasonings.delete(outputIndex)
        return [...started, { type: "reasoning-end", id, metadata: reasoningMetadata(item) }]
      }
      case "other":
        return []
    }
  })

  const completed = Effect.fnUntraced(function* (
    body: Body
  ): Effect.fn.Return<ReadonlyArray<StreamPart>, AiError.AiError> {
    const parts: Array<StreamPart> = []
    for (const [index, item] of body.output.entries()) {
      if (item.type === "function_call" && !finishedCalls.has(item.call_id))
        parts.push(...(yield* finished(index, item)))
    }
    done = true
    parts.push(
      Parts.finish(finishReason(body, finishedCalls.size > 0, refused || body.output.some(isRefusal)), counts(body))
    )
    return parts
  })

  const count = (delta: string): AiError.AiError | undefined => {
    characters += delta.length
    return characters > maxStreamCharacters
      ? Errors.invalidResponse(conversion.context, `The stream exceeded ${maxStreamCharacters} characters`)
      : undefined
  }

  return {
    isDone: () => done,
    end: Effect.suspend(() =>
      done
        ? Effect.succeed([])
        : Effect.fail(Errors.network(conversion.context, "The stream was cut before response.completed arrived"))
    ),
    step: Effect.fnUntraced(function* (event) {
      if ("delta" in event) {
        const error = count(event.delta)
        if (error !== undefined) return yield* error
      }
      switch (event.type) {
        case "response.created":
          return [metadata(event.response)]
        case "response.output_item.added":
          return added(event.output_index, event.item)
        case "response.output_item.done":
          return yield* finished(event.output_index, event.item)
        case "response.output_text.delta":
          return text(event.output_index, event.content_index ?? 0, event.delta, false)
        case "response.refusal.delta":
          refused = true
          return text(event.output_index, event.content_index ?? 0, event.delta, true)
        case "response.function_call_arguments.delta": {
          const id = calls.get(event.output_index)
          return id === undefined ? [] : [{ type: "tool-params-delta", id, delta: event.delta }]
        }
        case "response.reasoning_summary_text.delta":
          return reasoning(event.output_index, event.summary_index ?? 0, event.delta)
        case "response.reasoning_text.delta":
          return reasoning(event.output_index, event.content_index ?? 0, event.delta)
        case "response.completed":
        case "response.incomplete":
        case "response.failed": {
          const error = failure(event.response, conversion.context)
          if (error !== undefined) return yield* error
          return yield* completed(event.response)
        }
        case "error":
          return yield* Errors.fromBody(conversion.context, event, "the stream reported an error")
        case "other":
          return []
      }
    })
  }
}

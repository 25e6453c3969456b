/**
 * From Chat Completions' answers and chunks to parts.
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
import { type Answer, type Machine, maxStreamCharacters } from "./transport.ts"

type Completion = typeof Wire.Completion.Type
type Chunk = typeof Wire.Chunk.Type

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

const cutShort = (reason: string | null | undefined): boolean => reason === "length" || reason === "content_filter"

const isJson = (text: string): boolean => {
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

const toolCall = (id: string, name: string, text: string, conversion: Conversion) =>
  Effect.map(
    parseParameters(name, text, conversion.tools, conversion.options, conversion.context),
    (params): Response.ToolCallPartEncoded => ({ type: "tool-call", id, name, params })
  )

const metadata = (body: Completion | Chunk) =>
  Parts.metadata({
    id: body.id,
    model: body.model,
    created: body.created,
    serviceTier: body.service_tier
  })

/** The parts of a whole completion. */
export const fromBody = Effect.fnUntraced(function* (
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
  for (const call of message.tool_calls ?? []) {
    const text = call.function.arguments ?? ""
    // A call cut off by the token limit was never made; the finish reason tells.
    if (cutShort(choice.finish_reason) && !isJson(text)) continue
    parts.push(yield* toolCall(call.id ?? (yield* ids.generateId()), call.function.name, text, conversion))
  }
  const calls = parts.some((part) => part.type === "tool-call")
  parts.push(
    Parts.finish(finishReason(choice.finish_reason, calls, Boolean(message.refusal)), counts(body.usage), http)
  )
  return parts
})

type StreamPart = Response.StreamPartEncoded
type Block = "reasoning" | "text" | "refusal"

/** The machine that turns chunks into parts. */
export const machine = (conversion: Conversion, ids: IdGenerator.Service): Machine<Chunk, StreamPart> => {
  const calls = new Map<number, { readonly id: string; readonly name: string; arguments: string }>()
  let open: { readonly kind: Block; readonly id: string } | undefined
  let blocks = 0
  let started = false
  let refused = false
  let characters = 0
  let reason: string | undefined
  let usage: typeof Wire.Usage.Type | undefined

  const close = (): Array<StreamPart> => {
    if (open === undefined) return []
    const { kind, id } = open
    open = undefined
    return [{ type: kind === "reasoning" ? "reasoning-end" : "text-end", id }]
  }

  const write = (kind: Block, delta: string): Array<StreamPart> => {
    const parts: Array<StreamPart> = []
    if (open?.kind !== kind) {
      parts.push(...close())
      open = { kind, id: String(blocks++) }
      const marks = kind === "refusal" ? { metadata: { openai: { refusal: true } } } : undefined
      parts.push({
        type: kind === "reasoning" ? "reasoning-start" : "text-start",
        id: open.id,
        ...marks
      })
    }
    const { id } = open
    parts.push({ type: kind === "reasoning" ? "reasoning-delta" : "text-delta", id, delta })
    return parts
  }

  const finishCalls = Effect.fnUntraced(function* (): Effect.fn.Return<ReadonlyArray<StreamPart>, AiError.AiError> {
    const parts: Array<StreamPart> = []
    for (const call of calls.values()) {
      parts.push({ type: "tool-params-end", id: call.id })
      if (cutShort(reason) && !isJson(call.arguments)) continue
      parts.push(yield* toolCall(call.id, call.name, call.arguments, conversion))
    }
    return parts
  })

  const count = (delta: string): AiError.AiError | undefined => {
    characters += delta.length
    return characters > maxStreamCharacters
      ? Errors.invalidResponse(conversion.context, `The stream exceeded ${maxStreamCharacters} characters`)
      : undefined
  }

  type CallDelta = NonNullable<NonNullable<Chunk["choices"][number]["delta"]>["tool_calls"]>[number]

  const callDelta = Effect.fnUntraced(function* (
    delta: CallDelta,
    position: number
  ): Effect.fn.Return<ReadonlyArray<StreamPart>, AiError.AiError> {
    const index = delta.index ?? position
    const text = delta.function?.arguments ?? ""
    const parts: Array<StreamPart> = []
    let call = calls.get(index)
    if (call === undefined) {
      const name = delta.function?.name
      if (!name) return yield* Errors.invalidResponse(conversion.context, "A streamed tool call began without a name")
      call = { id: delta.id ?? (yield* ids.generateId()), name, arguments: "" }
      calls.set(index, call)
      parts.push(...close(), { type: "tool-params-start", id: call.id, name })
    }
    if (text !== "") {
      call.arguments += text
      parts.push({ type: "tool-params-delta", id: call.id, delta: text })
    }
    return parts
  })

  return {
    // The usage comes after the finish reason, in a last chunk that not every server sends: read to the end.
    isDone: () => false,
    end: Effect.suspend(() =>
      reason === undefined
        ? Effect.fail(Errors.network(conversion.context, "The stream was cut before a finish reason arrived"))
        : Effect.succeed([Parts.finish(finishReason(reason, calls.size > 0, refused), counts(usage))])
    ),
    step: Effect.fnUntraced(function* (chunk) {
      const parts: Array<StreamPart> = []
      if (!started) {
        started = true
        parts.push(metadata(chunk))
      }
      if (chunk.usage) usage = chunk.usage
      const [choice] = chunk.choices
      if (choice === undefined) return parts
      const delta = choice.delta
      const texts: ReadonlyArray<readonly [Block, string | null | undefined]> = [
        ["reasoning", delta?.reasoning_content ?? delta?.reasoning],
        ["text", delta?.content],
        ["refusal", delta?.refusal]
      ]
      for (const [kind, value] of texts) {
        if (!value) continue
        const error = count(value)
        if (error !== undefined) return yield* error
        refused ||= kind === "refusal"
        parts.push(...write(kind, value))
      }
      for (const [position, call] of (delta?.tool_calls ?? []).entries()) {
        const error = count(call.function?.arguments ?? "")
        if (error !== undefined) return yield* error
        parts.push(...(yield* callDelta(call, position)))
      }
      if (choice.finish_reason && reason === undefined) {
        reason = choice.finish_reason
        parts.push(...close(), ...(yield* finishCalls()))
      }
      return parts
    })
  }
}

/**
 * From Chat Completions' chunks to parts.
 */
import type * as AiError from "effect/ai/AiError"
import type * as IdGenerator from "effect/ai/IdGenerator"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Parts from "./chatParts.ts"
import type * as Wire from "./chatWire.ts"
import * as Errors from "./errors.ts"
import type { Conversion } from "./responsesParts.ts"
import { isJson } from "./tools.ts"
import { type Http, type Machine, maxStreamCharacters } from "./transport.ts"

type Chunk = typeof Wire.Chunk.Type
type Choice = typeof Wire.Choice.Type
type CallDelta = typeof Wire.ToolCallDelta.Type
type StreamPart = Response.StreamPartEncoded
type Block = "reasoning" | "text" | "refusal"

/** The texts and reasoning of a message: one block is open at a time. */
const blocks = () => {
  let open: { readonly kind: Block; readonly id: string } | undefined
  let count = 0

  const close = (): Array<StreamPart> => {
    if (open === undefined) return []
    const { kind, id } = open
    open = undefined
    return [{ type: kind === "reasoning" ? "reasoning-end" : "text-end", id }]
  }

  const start = (kind: Block, id: string): StreamPart => {
    if (kind === "reasoning") return { type: "reasoning-start", id }
    return kind === "text"
      ? { type: "text-start", id }
      : { type: "text-start", id, metadata: { openai: { refusal: true } } }
  }

  const write = (kind: Block, delta: string): Array<StreamPart> => {
    const parts: Array<StreamPart> = []
    if (open?.kind !== kind) {
      parts.push(...close())
      open = { kind, id: String(count++) }
      parts.push(start(kind, open.id))
    }
    parts.push({ type: kind === "reasoning" ? "reasoning-delta" : "text-delta", id: open.id, delta })
    return parts
  }

  return { write, close }
}

interface Call {
  readonly index: number | null | undefined
  /** The id the server gave, if any. */
  readonly given: string | undefined
  readonly id: string
  readonly name: string
  arguments: string
  extra: CallDelta["extra_content"]
}

/**
 * The calls of a message. A delta belongs to the call with its index; where servers leave the index out, or give all calls
 * the same one, to the call with its id; and with neither to the last call, or, among several deltas, to the one at its
 * position.
 */
const calls = (conversion: Conversion, ids: IdGenerator.Service) => {
  const all: Array<Call> = []

  const find = (delta: CallDelta, position: number, alone: boolean): Call | undefined => {
    const id = delta.id || undefined
    const name = delta.function?.name || undefined
    if (typeof delta.index === "number") {
      const call = all.findLast((call) => call.index === delta.index)
      if (call === undefined || name === undefined) return call
      const another =
        call.given !== undefined && id !== undefined
          ? id !== call.given
          : // Without ids a name begins another call where the one before is whole.
            call.given === undefined && id === undefined && isJson(call.arguments)
      return another ? undefined : call
    }
    if (id !== undefined) return all.findLast((call) => call.given === id)
    // Without an id a name begins a call, and what has neither goes on with one.
    if (name !== undefined) return undefined
    return alone ? all.at(-1) : all[position]
  }

  const write = Effect.fnUntraced(function* (
    delta: CallDelta,
    position: number,
    alone: boolean
  ): Effect.fn.Return<ReadonlyArray<StreamPart>, AiError.AiError> {
    const text = Parts.argumentText(delta.function?.arguments)
    const parts: Array<StreamPart> = []
    let call = find(delta, position, alone)
    if (call === undefined) {
      const wireName = delta.function?.name
      if (!wireName) {
        return yield* Errors.invalidResponse(conversion.context, "A streamed tool call began without a name")
      }
      const name = conversion.tools.names.fromWire(wireName)
      const given = delta.id || undefined
      call = {
        index: delta.index,
        given,
        id: given ?? (yield* ids.generateId()),
        name,
        arguments: "",
        extra: undefined
      }
      all.push(call)
      parts.push({ type: "tool-params-start", id: call.id, name })
    }
    call.extra = delta.extra_content ?? call.extra
    if (text !== "") {
      call.arguments += text
      parts.push({ type: "tool-params-delta", id: call.id, delta: text })
    }
    return parts
  })

  const finish = Effect.fnUntraced(function* (
    reason: string | undefined
  ): Effect.fn.Return<ReadonlyArray<StreamPart>, AiError.AiError> {
    const parts: Array<StreamPart> = []
    for (const call of all) {
      parts.push({ type: "tool-params-end", id: call.id })
      if (Parts.cutShort(reason) && !isJson(call.arguments)) continue
      parts.push(yield* Parts.toolCall(call.id, call.name, call.arguments, call.extra, conversion))
    }
    return parts
  })

  return { write, finish, isEmpty: () => all.length === 0 }
}

/** The machine that turns chunks into parts. */
export const machine = (conversion: Conversion, ids: IdGenerator.Service, http: Http): Machine<Chunk, StreamPart> => {
  const texts = blocks()
  const toolCalls = calls(conversion, ids)
  let started = false
  let answered = false
  let refused = false
  let characters = 0
  let cited = 0
  let reason: string | undefined
  let usage: typeof Wire.Usage.Type | undefined

  const count = (length: number): AiError.AiError | undefined => {
    characters += length
    return characters > maxStreamCharacters
      ? Errors.invalidResponse(conversion.context, `The stream exceeded ${maxStreamCharacters} characters`)
      : undefined
  }

  const choice = Effect.fnUntraced(function* (
    choice: Choice
  ): Effect.fn.Return<ReadonlyArray<StreamPart>, AiError.AiError> {
    const failed = Parts.choiceError(choice, conversion.context)
    if (failed !== undefined) return yield* failed
    const { finish_reason } = choice
    // What is said whole at the end repeats what was streamed.
    const delta = choice.delta ?? (answered ? undefined : choice.message)
    answered ||= Boolean(delta)
    usage = Parts.merged(usage, choice.usage)
    const parts: Array<StreamPart> = []
    const content = Parts.written(delta?.content)
    const written: ReadonlyArray<readonly [Block, string | null | undefined]> = [
      ["reasoning", delta?.reasoning_content || delta?.reasoning || content.thoughts],
      ["text", content.text],
      ["refusal", delta?.refusal]
    ]
    for (const [kind, value] of written) {
      if (!value) continue
      const error = count(value.length)
      if (error !== undefined) return yield* error
      refused ||= kind === "refusal"
      parts.push(...texts.write(kind, value))
    }
    parts.push(...Parts.sources(delta?.annotations, cited))
    cited += delta?.annotations?.length ?? 0
    const called = delta?.function_call ? [{ function: delta.function_call }] : []
    const deltas = [...(delta?.tool_calls ?? []), ...called]
    for (const [position, call] of deltas.entries()) {
      const error = count(Parts.argumentText(call.function?.arguments).length)
      if (error !== undefined) return yield* error
      const given = yield* toolCalls.write(call, position, deltas.length === 1)
      if (given[0]?.type === "tool-params-start") parts.push(...texts.close())
      parts.push(...given)
    }
    // Calls may follow a first reason, and another reason with them; an answer that was cut stays one.
    if (finish_reason && !Parts.cutShort(reason)) reason = finish_reason
    return parts
  })

  return {
    // The usage comes after the finish reason, in a last chunk that not every server sends: read to the end.
    isDone: () => false,
    end: Effect.fnUntraced(function* (marked) {
      // A server that gives no reason still says with `[DONE]` that this was all.
      if (reason === undefined && !(marked && answered)) {
        return yield* Errors.network(conversion.context, "The stream was cut before a finish reason arrived")
      }
      const calls = yield* toolCalls.finish(reason)
      return [...texts.close(), ...calls, Parts.finish(reason, !toolCalls.isEmpty(), refused, usage, http)]
    }),
    step: Effect.fnUntraced(function* (chunk) {
      if ("object" in chunk) {
        return yield* Errors.fromBody(conversion.context, chunk, "the stream reported an error")
      }
      const [first] = chunk.choices ?? []
      const parts: Array<StreamPart> = []
      // Azure begins with a chunk that only says how the prompt was filtered.
      if (!started && (first !== undefined || chunk.id)) {
        started = true
        parts.push(Parts.metadata(chunk))
      }
      usage = Parts.merged(usage, chunk.usage)
      if (first !== undefined) parts.push(...(yield* choice(first)))
      return parts
    })
  }
}

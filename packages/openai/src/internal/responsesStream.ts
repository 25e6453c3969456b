/**
 * From the Responses API's stream events to parts.
 */
import type * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Errors from "./errors.ts"
import * as Hosted from "./hosted.ts"
import * as Parts from "./responsesParts.ts"
import type * as Wire from "./responsesWire.ts"
import { isJson } from "./tools.ts"
import { type Http, type Machine, maxStreamCharacters } from "./transport.ts"

type Item = typeof Wire.Item.Type
type Body = typeof Wire.Body.Type
type StreamPart = Response.StreamPartEncoded
type Conversion = Parts.Conversion
type Given = Effect.Effect<ReadonlyArray<StreamPart>, AiError.AiError>

/** The texts of a message and what they cite. */
const textBlocks = () => {
  const open = new Map<number, Set<string>>()
  const cited = new Map<string, number>()

  const write = (outputIndex: number, contentIndex: number, delta: string, refused: boolean): Array<StreamPart> => {
    const id = `${outputIndex}.${contentIndex}`
    const blocks = open.get(outputIndex) ?? new Set()
    open.set(outputIndex, blocks)
    const start: Array<StreamPart> = blocks.has(id)
      ? []
      : [{ type: "text-start", id, ...Parts.textMetadata(undefined, refused) }]
    blocks.add(id)
    return [...start, { type: "text-delta", id, delta }]
  }

  const cite = (
    outputIndex: number,
    contentIndex: number,
    itemId: string | null | undefined,
    annotation: typeof Wire.Annotation.Type
  ): Array<StreamPart> => {
    const id = `${outputIndex}.${contentIndex}`
    const count = cited.get(id) ?? 0
    cited.set(id, count + 1)
    const source = Parts.source(`${itemId ?? outputIndex}.${contentIndex}.${count}`, annotation)
    return source === undefined ? [] : [source]
  }

  /** What the finished message holds that was not streamed, and the ends of its texts. */
  const finish = (outputIndex: number, item: typeof Wire.Message.Type): Array<StreamPart> => {
    const parts: Array<StreamPart> = []
    for (const [index, part] of item.content.entries()) {
      const id = `${outputIndex}.${index}`
      if (open.get(outputIndex)?.has(id) !== true) {
        // A server that streams no deltas still says the text here.
        if (part.type === "output_text") parts.push(...write(outputIndex, index, part.text, false))
        if (part.type === "refusal") parts.push(...write(outputIndex, index, part.refusal, true))
      }
      if (part.type === "output_text") {
        for (const annotation of (part.annotations ?? []).slice(cited.get(id) ?? 0)) {
          parts.push(...cite(outputIndex, index, item.id, annotation))
        }
      }
    }
    const refused = Parts.isRefusal(item)
    for (const id of open.get(outputIndex) ?? []) {
      parts.push({ type: "text-end", id, ...Parts.textMetadata(item.phase, refused) })
    }
    open.delete(outputIndex)
    return parts
  }

  /** The ends of texts whose message never finished. */
  const close = (): Array<StreamPart> => {
    const ends = [...open.values()].flatMap((ids) => [...ids].map((id): StreamPart => ({ type: "text-end", id })))
    open.clear()
    return ends
  }

  return { write, cite, finish, close }
}

/** Reasoning: summaries, or the thoughts of open models. */
const reasoningBlocks = () => {
  const open = new Map<number, { readonly id: string; summary: number }>()

  const start = (outputIndex: number, id: string): Array<StreamPart> => {
    open.set(outputIndex, { id, summary: 0 })
    return [{ type: "reasoning-start", id, metadata: { openai: { itemId: id } } }]
  }

  const write = (outputIndex: number, summaryIndex: number, delta: string): Array<StreamPart> => {
    const block = open.get(outputIndex)
    if (block === undefined) return []
    const gap = summaryIndex > block.summary ? "\n\n" : ""
    block.summary = summaryIndex
    return [{ type: "reasoning-delta", id: block.id, delta: gap + delta }]
  }

  const finish = (outputIndex: number, item: typeof Wire.Reasoning.Type): Array<StreamPart> => {
    const known = open.get(outputIndex)
    const started: Array<StreamPart> =
      known === undefined
        ? [...start(outputIndex, item.id), { type: "reasoning-delta", id: item.id, delta: Parts.reasoningText(item) }]
        : []
    open.delete(outputIndex)
    return [...started, { type: "reasoning-end", id: known?.id ?? item.id, metadata: Parts.reasoningMetadata(item) }]
  }

  /** The ends of those that were never finished. */
  const close = (): Array<StreamPart> => {
    const ends = [...open.values()].map(({ id }): StreamPart => ({ type: "reasoning-end", id }))
    open.clear()
    return ends
  }

  return { start, write, finish, close }
}

// The parameters of a code interpreter are a JSON object whose one long field is streamed raw.
const quoted = (text: string): string => JSON.stringify(text).slice(1, -1)

/** Calls of tools that OpenAI executes. */
const hostedCalls = (conversion: Conversion) => {
  const open = new Map<number, { readonly id: string; streamed: boolean }>()

  const start = (outputIndex: number, item: Hosted.Item): Array<StreamPart> => {
    const tool = conversion.tools.hosted.find((tool) => tool.item === item.type)
    if (tool === undefined) return []
    open.set(outputIndex, { id: item.id, streamed: false })
    const params: Array<StreamPart> =
      item.type === "code_interpreter_call"
        ? [
            {
              type: "tool-params-delta",
              id: item.id,
              delta: `{"container_id":${JSON.stringify(item["container_id"] ?? "")},"code":"`
            }
          ]
        : []
    return [{ type: "tool-params-start", id: item.id, name: tool.name, providerExecuted: true }, ...params]
  }

  const code = (outputIndex: number, delta: string): Array<StreamPart> => {
    const call = open.get(outputIndex)
    if (call === undefined) return []
    call.streamed = true
    return [{ type: "tool-params-delta", id: call.id, delta: quoted(delta) }]
  }

  const finish = (outputIndex: number, item: Hosted.Item): Array<StreamPart> => {
    const done = Hosted.executed(item, conversion.tools.hosted)
    if (done === undefined) return []
    const started = open.has(outputIndex) ? [] : start(outputIndex, item)
    const call = open.get(outputIndex)
    open.delete(outputIndex)
    const rest =
      item.type !== "code_interpreter_call"
        ? JSON.stringify(done.call.params)
        : `${call?.streamed === true ? "" : quoted(String(item["code"] ?? ""))}"}`
    return [
      ...started,
      { type: "tool-params-delta", id: item.id, delta: rest },
      { type: "tool-params-end", id: item.id },
      done.call,
      done.result
    ]
  }

  return { start, code, finish }
}

/** A call of a function under way. */
interface Call {
  readonly item: typeof Wire.FunctionCall.Type
  readonly id: string
  streamed: boolean
  /** Its arguments so far. */
  text: string
}

/** The machine that turns stream events into parts. */
export const machine = (conversion: Conversion, http: Http): Machine<typeof Wire.Event.Type, StreamPart> => {
  const texts = textBlocks()
  const reasoning = reasoningBlocks()
  const hosted = hostedCalls(conversion)
  const calls = new Map<number, Call>()
  const finishedCalls = new Set<string>()
  let characters = 0
  let started = false
  let finishedAny = false
  let refused = false
  let done = false
  let isIncomplete = false

  const begin = (body: Body): Array<StreamPart> => {
    if (started) return []
    started = true
    return [Parts.metadata(body)]
  }

  const added = (outputIndex: number, item: Item): Array<StreamPart> => {
    switch (item.type) {
      case "function_call":
        calls.set(outputIndex, { item, id: item.call_id, streamed: false, text: "" })
        return [{ type: "tool-params-start", id: item.call_id, name: conversion.tools.names.fromWire(item.name) }]
      case "reasoning":
        return reasoning.start(outputIndex, item.id)
      case "message":
      case "other":
        return []
      default:
        return hosted.start(outputIndex, item)
    }
  }

  const finished = Effect.fnUntraced(function* (
    outputIndex: number,
    item: Item
  ): Effect.fn.Return<ReadonlyArray<StreamPart>, AiError.AiError> {
    finishedAny = true
    switch (item.type) {
      case "message":
        refused ||= Parts.isRefusal(item)
        return texts.finish(outputIndex, item)
      case "function_call": {
        const parts = calls.has(outputIndex) ? [] : added(outputIndex, item)
        finishedCalls.add(item.call_id)
        // A server that streams no deltas still says the arguments here.
        if (calls.get(outputIndex)?.streamed !== true && item.arguments !== "") {
          parts.push({ type: "tool-params-delta", id: item.call_id, delta: item.arguments })
        }
        parts.push({ type: "tool-params-end", id: item.call_id })
        return item.status === "incomplete" || (isIncomplete && !isJson(item.arguments))
          ? parts
          : [...parts, yield* Parts.toolCall(item, conversion)]
      }
      case "reasoning":
        return reasoning.finish(outputIndex, item)
      case "other":
        return []
      default:
        return hosted.finish(outputIndex, item)
    }
  })

  const completed = Effect.fnUntraced(function* (
    body: Body
  ): Effect.fn.Return<ReadonlyArray<StreamPart>, AiError.AiError> {
    const error = Parts.failure(body, conversion.context)
    if (error !== undefined) return yield* error
    const cut = Parts.cutObject(body, conversion)
    if (cut !== undefined) return yield* cut
    const parts = begin(body)
    isIncomplete = body.status === "incomplete"
    // Some servers finish no item, and say the whole only here.
    const all = !finishedAny
    for (const [index, item] of body.output.entries()) {
      if (item.type === "function_call" ? !finishedCalls.has(item.call_id) : all) {
        parts.push(...(yield* finished(index, item)))
      }
    }
    // A call that began and is told of nowhere else is what its pieces make of it.
    for (const [index, { id, item, text }] of calls) {
      if (!finishedCalls.has(id)) parts.push(...(yield* finished(index, { ...item, arguments: text })))
    }
    parts.push(...texts.close(), ...reasoning.close())
    done = true
    parts.push(Parts.finish(body, finishedCalls.size > 0, refused || body.output.some(Parts.isRefusal), http))
    return parts
  })

  const count = (delta: string): AiError.AiError | undefined => {
    characters += delta.length
    return characters > maxStreamCharacters
      ? Errors.invalidResponse(conversion.context, `The stream exceeded ${maxStreamCharacters} characters`)
      : undefined
  }

  const step = (event: typeof Wire.Event.Type): Given => {
    switch (event.type) {
      case "response.created":
        return Effect.succeed(begin(event.response))
      case "response.output_item.added":
        return Effect.succeed(added(event.output_index, event.item))
      case "response.output_item.done":
        return finished(event.output_index, event.item)
      case "response.output_text.delta":
        return Effect.succeed(texts.write(event.output_index, event.content_index ?? 0, event.delta, false))
      case "response.refusal.delta":
        refused = true
        return Effect.succeed(texts.write(event.output_index, event.content_index ?? 0, event.delta, true))
      case "response.output_text.annotation.added":
        return Effect.succeed(texts.cite(event.output_index, event.content_index ?? 0, event.item_id, event.annotation))
      case "response.function_call_arguments.delta": {
        const call = calls.get(event.output_index)
        if (call === undefined) return Effect.succeed([])
        call.streamed = true
        call.text += event.delta
        return Effect.succeed([{ type: "tool-params-delta", id: call.id, delta: event.delta }])
      }
      case "response.function_call_arguments.done": {
        const call = calls.get(event.output_index)
        if (call === undefined || finishedCalls.has(call.id)) return Effect.succeed([])
        const { streamed } = call
        call.text = event.arguments
        call.streamed = true
        return Effect.succeed(
          streamed || event.arguments === "" ? [] : [{ type: "tool-params-delta", id: call.id, delta: event.arguments }]
        )
      }
      case "response.code_interpreter_call_code.delta":
        return Effect.succeed(hosted.code(event.output_index, event.delta))
      case "response.reasoning_summary_text.delta":
        return Effect.succeed(reasoning.write(event.output_index, event.summary_index ?? 0, event.delta))
      case "response.reasoning_text.delta":
        return Effect.succeed(reasoning.write(event.output_index, event.content_index ?? 0, event.delta))
      case "response.completed":
      case "response.incomplete":
      case "response.failed":
        return completed(event.response)
      case "error":
        return Effect.fail(Errors.fromBody(conversion.context, event, "the stream reported an error"))
      case "other":
        return Effect.succeed([])
    }
  }

  return {
    isDone: () => done,
    end: () =>
      done
        ? Effect.succeed([])
        : Effect.fail(Errors.network(conversion.context, "The stream was cut before response.completed arrived")),
    step: (event) => {
      const error = "delta" in event ? count(event.delta) : undefined
      return error === undefined ? step(event) : Effect.fail(error)
    }
  }
}

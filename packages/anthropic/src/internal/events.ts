/**
 * A streamed answer as response parts, event by event.
 *
 * A stream is whole when `message_stop` has come and every block was closed. Anything else is an error: a stream that was cut looks
 * like a short answer otherwise.
 */
import * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import { invalidResponse } from "./errors.ts"
import * as Answer from "./response.ts"
import * as Tools from "./tools.ts"
import type * as Wire from "./wire.ts"

type Reason = AiError.AiErrorReason
type Part = Response.StreamPartEncoded

/** How much text one call's arguments may take; models stay far below it, a broken server may not. */
const maxArgumentsLength = 8 * 1024 * 1024

type Block =
  | { readonly type: "text"; readonly id: string }
  | { readonly type: "reasoning"; readonly id: string; signature: string }
  | { readonly type: "tool"; readonly id: string; readonly name: string; readonly input: unknown; json: string }
  | { readonly type: "ignored" }

interface MalformedCall {
  readonly name: string
  readonly problem: string
}

/** What a stream has told so far. */
export interface State {
  readonly blocks: Map<number, Block>
  started: boolean
  stopped: boolean
  usage: Wire.Usage
  stop: Wire.StopInfo
  malformed: MalformedCall | undefined
}

export const initial = (): State => ({
  blocks: new Map(),
  started: false,
  stopped: false,
  usage: {},
  stop: {},
  malformed: undefined
})

// `message_delta` repeats the counts that changed, cumulative; those it leaves out stand.
const mergeUsage = (before: Wire.Usage, after: Wire.Usage): Wire.Usage => ({
  input_tokens: after.input_tokens ?? before.input_tokens,
  output_tokens: after.output_tokens ?? before.output_tokens,
  cache_creation_input_tokens: after.cache_creation_input_tokens ?? before.cache_creation_input_tokens,
  cache_read_input_tokens: after.cache_read_input_tokens ?? before.cache_read_input_tokens,
  output_tokens_details: after.output_tokens_details ?? before.output_tokens_details
})

type BlockStart = Extract<Wire.StreamEvent, { readonly type: "content_block_start" }>
type BlockDelta = Extract<Wire.StreamEvent, { readonly type: "content_block_delta" }>

const start = (event: BlockStart): readonly [Block, ReadonlyArray<Part>] => {
  const id = String(event.index)
  const block = event.content_block
  if ("text" in block) {
    return [
      { type: "text", id },
      [
        { type: "text-start", id },
        ...(block.text === "" ? [] : [{ type: "text-delta" as const, id, delta: block.text }])
      ]
    ]
  }
  if ("thinking" in block) {
    return [
      { type: "reasoning", id, signature: block.signature ?? "" },
      [
        { type: "reasoning-start", id },
        ...(block.thinking === "" ? [] : [{ type: "reasoning-delta" as const, id, delta: block.thinking }])
      ]
    ]
  }
  if ("data" in block) {
    return [
      { type: "reasoning", id, signature: "" },
      [{ type: "reasoning-start", id, metadata: { anthropic: { redactedData: block.data } } }]
    ]
  }
  if ("name" in block) {
    return [
      { type: "tool", id: block.id, name: block.name, input: block.input, json: "" },
      [{ type: "tool-params-start", id: block.id, name: block.name, providerExecuted: false }]
    ]
  }
  return [{ type: "ignored" }, []]
}

const delta = (
  block: Block,
  event: BlockDelta,
  exchange: Answer.Exchange
): Effect.Effect<ReadonlyArray<Part>, Reason> => {
  const piece = event.delta
  if (block.type === "ignored") return Effect.succeed([])
  if ("text" in piece && block.type === "text") {
    return Effect.succeed([{ type: "text-delta", id: block.id, delta: piece.text }])
  }
  if ("thinking" in piece && block.type === "reasoning") {
    return Effect.succeed([{ type: "reasoning-delta", id: block.id, delta: piece.thinking }])
  }
  if ("signature" in piece && block.type === "reasoning") {
    block.signature += piece.signature
    return Effect.succeed([])
  }
  if ("partial_json" in piece && block.type === "tool") {
    block.json += piece.partial_json
    if (block.json.length > maxArgumentsLength) {
      return Effect.fail(
        invalidResponse(`the arguments of ${block.name} exceed ${maxArgumentsLength} characters`, exchange.context)
      )
    }
    return Effect.succeed(
      piece.partial_json === "" ? [] : [{ type: "tool-params-delta", id: block.id, delta: piece.partial_json }]
    )
  }
  const known = "text" in piece || "thinking" in piece || "signature" in piece || "partial_json" in piece
  return known
    ? Effect.fail(invalidResponse(`a ${piece.type} came for a ${block.type} block`, exchange.context))
    : Effect.succeed([])
}

const stop = Effect.fnUntraced(function* (
  state: State,
  block: Block,
  exchange: Answer.Exchange
): Effect.fn.Return<ReadonlyArray<Part>, Reason> {
  switch (block.type) {
    case "ignored":
      return []
    case "text":
      return [{ type: "text-end", id: block.id }]
    case "reasoning":
      return [
        {
          type: "reasoning-end",
          id: block.id,
          ...(block.signature === "" ? undefined : { metadata: { anthropic: { signature: block.signature } } })
        }
      ]
    case "tool": {
      const end: Part = { type: "tool-params-end", id: block.id }
      // Whether broken JSON is the model's mistake or a limit that cut it is known when the stop reason comes.
      const parsed = yield* Effect.option(
        Effect.try(() => (block.json.trim() === "" ? (block.input ?? {}) : Tool.unsafeSecureJsonParse(block.json)))
      )
      if (parsed._tag === "None") {
        state.malformed ??= {
          name: block.name,
          problem: `its arguments are not valid JSON: ${block.json.slice(0, 200)}`
        }
        return [end]
      }
      const params = yield* Tools.fromWire(exchange.options, block.name, parsed.value)
      return [end, { type: "tool-call", id: block.id, name: block.name, params, providerExecuted: false }]
    }
  }
})

/** The parts an event brings. Changes `state`, which belongs to one stream. */
export const onEvent = Effect.fnUntraced(function* (
  state: State,
  event: Wire.StreamEvent,
  exchange: Answer.Exchange
): Effect.fn.Return<ReadonlyArray<Part>, Reason> {
  const protocol = (problem: string) =>
    Effect.fail(invalidResponse(`the stream is out of order: ${problem}`, exchange.context))
  if ("message" in event) {
    if (state.started) return yield* protocol("a second message_start")
    state.started = true
    state.usage = event.message.usage
    return [yield* Answer.metadata(event.message.id, event.message.model)]
  }
  const isOther = !("index" in event) && !("delta" in event) && event.type !== "message_stop"
  if (isOther) return []
  if (!state.started) return yield* protocol(`${event.type} before message_start`)

  if ("content_block" in event) {
    if (state.blocks.has(event.index)) return yield* protocol(`block ${event.index} started twice`)
    const [block, parts] = start(event)
    state.blocks.set(event.index, block)
    return parts
  }
  if ("index" in event) {
    const block = state.blocks.get(event.index)
    if (block === undefined) return yield* protocol(`${event.type} for block ${event.index}, which is not open`)
    if ("delta" in event) return yield* delta(block, event, exchange)
    state.blocks.delete(event.index)
    return yield* stop(state, block, exchange)
  }
  if ("delta" in event) {
    state.stop = { ...state.stop, ...event.delta }
    state.usage = mergeUsage(state.usage, event.usage ?? {})
    return []
  }
  if (state.blocks.size > 0) return yield* protocol("message_stop while a block is open")
  state.stopped = true
  if (state.malformed !== undefined && !Answer.isCut(state.stop)) {
    return yield* new AiError.ToolParameterValidationError({
      toolName: state.malformed.name,
      description: state.malformed.problem
    })
  }
  return [Answer.finish(state.stop, state.usage, state.malformed?.name, exchange)]
})

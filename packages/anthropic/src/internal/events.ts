/**
 * A streamed answer as response parts, event by event.
 *
 * A stream is whole when `message_stop` has come; blocks that were not stopped end with it. Anything else is an error: a stream that was
 * cut looks like a short answer otherwise.
 */
import * as Text from "@selvage/provider/Text"
import * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { OpaqueBlock } from "../AnthropicOptions.ts"
import * as Citations from "./citations.ts"
import { invalidResponse } from "./errors.ts"
import * as Answer from "./response.ts"
import * as ServerTools from "./serverTools.ts"
import * as Tools from "./tools.ts"
import * as Wire from "./wire.ts"

type Reason = AiError.AiErrorReason
type Part = Response.StreamPartEncoded

/** How much text one call's arguments, and a whole stream, may take; models stay far below it, a broken server may not. */
const maxArgumentsLength = 8 * 1024 * 1024
const maxStreamLength = 16 * 1024 * 1024

interface Call {
  readonly type: "tool"
  readonly index: number
  readonly wire: Extract<Wire.ContentBlock, { readonly input: unknown }>
  /** The toolkit's name for the tool; nothing for a tool of Anthropic's that it does not have. */
  readonly name: string | undefined
  json: string
}

type Block =
  | { readonly type: "text"; readonly index: number; readonly citations: Array<Wire.Citation> }
  | { readonly type: "reasoning"; readonly index: number; signature: string }
  | Call
  | { readonly type: "ignored" }

/** What a stream has told so far. */
export interface State {
  readonly blocks: Map<number, Block>
  readonly calls: ServerTools.Calls
  started: boolean
  stopped: boolean
  /** Characters of all deltas. */
  length: number
  /** Whether a tool of the application's was called. */
  called: boolean
  usage: Wire.Usage
  stop: Wire.StopInfo
  diagnostics: Wire.Diagnostics | null | undefined
  /** A call whose arguments have ended. What comes next tells whether they are whole, or were cut by the limit. */
  held: Call | undefined
  cutToolCall: string | undefined
}

export const initial = (): State => ({
  blocks: new Map(),
  calls: new Map(),
  started: false,
  stopped: false,
  length: 0,
  called: false,
  usage: {},
  stop: {},
  diagnostics: undefined,
  held: undefined,
  cutToolCall: undefined
})

// `message_delta` repeats the counts that changed, cumulative; those it leaves out, or sends as null, stand.
// A gateway sends 0 for what it does not know, and nothing that was counted is uncounted.
const mergeUsage = (before: Wire.Usage, after: Wire.Usage): Wire.Usage => ({
  ...before,
  ...Object.fromEntries(
    Object.entries(after).filter(
      ([name, value]) =>
        value !== null && value !== undefined && !(value === 0 && typeof Reflect.get(before, name) === "number")
    )
  )
})

type BlockStart = Extract<Wire.StreamEvent, { readonly type: "content_block_start" }>
type BlockDelta = Extract<Wire.StreamEvent, { readonly type: "content_block_delta" }>

const opaque = (index: number, block: OpaqueBlock): ReadonlyArray<Part> => [
  { type: "reasoning-start", id: String(index), metadata: { anthropic: { block } } },
  { type: "reasoning-end", id: String(index) }
]

const cite = (block: Extract<Block, { readonly type: "text" }>, citation: Wire.Citation): Part =>
  Citations.source(citation, block.index, block.citations.push(citation) - 1)

const startCall = (event: BlockStart, wire: Call["wire"], exchange: Answer.Exchange): readonly [Block, Array<Part>] => {
  const server = wire.type === "server_tool_use"
  const name = server ? ServerTools.toolOf(exchange.options, wire)?.name : exchange.prepared.names.fromWire(wire.name)
  return [
    { type: "tool", index: event.index, wire, name, json: "" },
    name === undefined ? [] : [{ type: "tool-params-start", id: wire.id, name, providerExecuted: server }]
  ]
}

const start = Effect.fnUntraced(function* (
  event: BlockStart,
  state: State,
  exchange: Answer.Exchange
): Effect.fn.Return<readonly [Block, ReadonlyArray<Part>]> {
  const { content_block: block, index } = event
  const id = String(index)
  if ("text" in block) {
    const text = { type: "text", index, citations: [] } satisfies Block
    const cited = (block.citations ?? []).filter(Wire.isKnownCitation).map((citation) => cite(text, citation))
    const given: ReadonlyArray<Part> = block.text === "" ? [] : [{ type: "text-delta", id, delta: block.text }]
    return [text, [{ type: "text-start", id }, ...given, ...cited]]
  }
  if ("thinking" in block) {
    const given: ReadonlyArray<Part> =
      block.thinking === "" ? [] : [{ type: "reasoning-delta", id, delta: block.thinking }]
    return [{ type: "reasoning", index, signature: block.signature ?? "" }, [{ type: "reasoning-start", id }, ...given]]
  }
  if ("data" in block) {
    return [
      { type: "reasoning", index, signature: "" },
      [
        {
          type: "reasoning-start",
          id,
          metadata: { anthropic: { redactedData: block.data, ...Answer.prefixOf(exchange) } }
        }
      ]
    ]
  }
  if ("tool_use_id" in block) {
    const part = yield* ServerTools.result(exchange.options, block, state.calls)
    return [{ type: "ignored" }, part === undefined ? opaque(index, block) : [part]]
  }
  if ("file_id" in block) return [{ type: "ignored" }, opaque(index, block)]
  return "name" in block ? startCall(event, block, exchange) : [{ type: "ignored" }, []]
})

const delta = (
  block: Block,
  event: BlockDelta,
  exchange: Answer.Exchange
): Effect.Effect<ReadonlyArray<Part>, Reason> => {
  const piece = event.delta
  const id = String(event.index)
  if (block.type === "ignored") return Effect.succeed([])
  if ("text" in piece && block.type === "text") {
    return Effect.succeed([{ type: "text-delta", id, delta: piece.text }])
  }
  if ("citation" in piece && block.type === "text") {
    return Effect.succeed(Wire.isKnownCitation(piece.citation) ? [cite(block, piece.citation)] : [])
  }
  if ("thinking" in piece && block.type === "reasoning") {
    return Effect.succeed([{ type: "reasoning-delta", id, delta: piece.thinking }])
  }
  if ("signature" in piece && block.type === "reasoning") {
    block.signature += piece.signature
    return Effect.succeed([])
  }
  if ("partial_json" in piece && block.type === "tool") {
    block.json += piece.partial_json
    if (block.json.length > maxArgumentsLength) {
      return Effect.fail(
        invalidResponse(`the arguments of ${block.wire.name} exceed ${maxArgumentsLength} characters`, exchange.context)
      )
    }
    return Effect.succeed(
      piece.partial_json === "" || block.name === undefined
        ? []
        : [{ type: "tool-params-delta", id: block.wire.id, delta: piece.partial_json }]
    )
  }
  const known = ["text", "citation", "thinking", "signature", "partial_json"].some((field) => field in piece)
  return known
    ? Effect.fail(invalidResponse(`a ${piece.type} came for a ${block.type} block`, exchange.context))
    : Effect.succeed([])
}

const stop = (block: Block, exchange: Answer.Exchange): ReadonlyArray<Part> => {
  switch (block.type) {
    case "ignored":
      return []
    case "text": {
      const { citations } = block
      return [
        {
          type: "text-end",
          id: String(block.index),
          ...(citations.length === 0 ? undefined : { metadata: { anthropic: { citations } } })
        }
      ]
    }
    case "reasoning":
      return [
        {
          type: "reasoning-end",
          id: String(block.index),
          ...(block.signature === ""
            ? undefined
            : { metadata: { anthropic: { signature: block.signature, ...Answer.prefixOf(exchange) } } })
        }
      ]
    case "tool":
      return block.name === undefined ? [] : [{ type: "tool-params-end", id: block.wire.id }]
  }
}

// The call whose arguments turned out to be whole.
const release = Effect.fnUntraced(function* (
  state: State,
  exchange: Answer.Exchange
): Effect.fn.Return<ReadonlyArray<Part>, Reason> {
  const call = state.held
  if (call === undefined) return []
  state.held = undefined
  const { json } = call
  // Who judges calls himself gets the text as it came, and can answer the model.
  const isDeferred = call.wire.type === "tool_use" && exchange.options.toolCallValidation === "deferred"
  const parsed = Effect.try({
    try: (): unknown => (json.trim() === "" ? (call.wire.input ?? {}) : Tool.unsafeSecureJsonParse(json)),
    catch: () =>
      new AiError.ToolParameterValidationError({
        toolName: call.name ?? call.wire.name,
        description: `its arguments are not valid JSON: ${Text.cut(json, 200)}`
      })
  })
  const input = yield* isDeferred ? Effect.orElseSucceed(parsed, (): unknown => json) : parsed
  if (call.wire.type === "tool_use") {
    state.called = true
    return [yield* Tools.call(exchange.options, exchange.prepared, { ...call.wire, input })]
  }
  // What was parsed from JSON is JSON.
  const wire = { ...call.wire, input: input as Schema.Json }
  const part = yield* ServerTools.call(exchange.options, wire, state.calls)
  return part === undefined ? opaque(call.index, wire) : [part]
})

/** Ends a block. Of calls that end together only the last can have been cut: the others are whole. */
const end = Effect.fnUntraced(function* (
  state: State,
  index: number,
  block: Block,
  exchange: Answer.Exchange
): Effect.fn.Return<ReadonlyArray<Part>, Reason> {
  state.blocks.delete(index)
  const parts = stop(block, exchange)
  if (block.type !== "tool") return parts
  const { held } = state
  if (held !== undefined && held.index > block.index) {
    state.held = block
    const released = yield* release(state, exchange)
    state.held = held
    return [...parts, ...released]
  }
  const released = yield* release(state, exchange)
  state.held = block
  return [...released, ...parts]
})

/** Ends the blocks that a server has not stopped. */
const endAll = Effect.fnUntraced(function* (
  state: State,
  exchange: Answer.Exchange
): Effect.fn.Return<ReadonlyArray<Part>, Reason> {
  const parts: Array<Part> = []
  for (const [index, block] of [...state.blocks].toSorted(([a], [b]) => a - b)) {
    parts.push(...(yield* end(state, index, block, exchange)))
  }
  return parts
})

/** A call that a limit has cut was never made. */
const dropCut = (state: State): void => {
  if (state.held === undefined || !Answer.isCut(state.stop)) return
  state.cutToolCall = state.held.name ?? state.held.wire.name
  state.held = undefined
}

const onBlock = Effect.fnUntraced(function* (
  state: State,
  event: Extract<Wire.StreamEvent, { readonly index: number }>,
  exchange: Answer.Exchange
): Effect.fn.Return<ReadonlyArray<Part>, Reason> {
  const protocol = (problem: string) =>
    Effect.fail(invalidResponse(`the stream is out of order: ${problem}`, exchange.context))
  if ("content_block" in event) {
    // Of gateways that stop no block, or number all the same, the next one stops it.
    const before = state.blocks.get(event.index)
    const stopped = before === undefined ? [] : yield* end(state, event.index, before, exchange)
    const released = [...stopped, ...(yield* release(state, exchange))]
    const [block, parts] = yield* start(event, state, exchange)
    state.blocks.set(event.index, block)
    return [...released, ...parts]
  }
  const block = state.blocks.get(event.index)
  if (block === undefined) return yield* protocol(`${event.type} for block ${event.index}, which is not open`)
  if ("delta" in event) return yield* delta(block, event, exchange)
  return yield* end(state, event.index, block, exchange)
})

const lengthOf = (piece: BlockDelta["delta"]): number => {
  if ("text" in piece) return piece.text.length
  if ("partial_json" in piece) return piece.partial_json.length
  return "thinking" in piece ? piece.thinking.length : 0
}

/** The parts an event brings. Changes `state`, which belongs to one stream. */
export const onEvent = (
  state: State,
  event: Wire.StreamEvent,
  exchange: Answer.Exchange
): Effect.Effect<ReadonlyArray<Part>, Reason> => {
  // One for every token.
  const block = "index" in event && "delta" in event ? state.blocks.get(event.index) : undefined
  if ("index" in event && "delta" in event) {
    const { delta: piece } = event
    state.length += lengthOf(piece)
    if (state.length > maxStreamLength) {
      return Effect.fail(invalidResponse(`the stream exceeds ${maxStreamLength} characters`, exchange.context))
    }
  }
  return block !== undefined && "index" in event && "delta" in event
    ? delta(block, event, exchange)
    : onAnyEvent(state, event, exchange)
}

const onAnyEvent = Effect.fnUntraced(function* (
  state: State,
  event: Wire.StreamEvent,
  exchange: Answer.Exchange
): Effect.fn.Return<ReadonlyArray<Part>, Reason> {
  const protocol = (problem: string) =>
    Effect.fail(invalidResponse(`the stream is out of order: ${problem}`, exchange.context))
  if ("message" in event) {
    if (state.started) return yield* protocol("a second message_start")
    state.started = true
    state.usage = event.message.usage ?? {}
    state.diagnostics = event.message.diagnostics
    state.stop = { container: event.message.container }
    return [yield* Answer.metadata(event.message.id ?? undefined, event.message.model ?? undefined)]
  }
  const isOther = !("index" in event) && !("delta" in event) && event.type !== "message_stop"
  if (isOther) return []
  if (!state.started) return yield* protocol(`${event.type} before message_start`)
  if ("index" in event) return yield* onBlock(state, event, exchange)
  if ("delta" in event) {
    const container = event.delta.container ?? state.stop.container
    state.stop = { ...state.stop, ...event.delta, container }
    state.usage = mergeUsage(state.usage, event.usage ?? {})
    // Where blocks are open, the last of them is the one that was cut.
    if (state.blocks.size === 0) dropCut(state)
    return []
  }
  const ended = yield* endAll(state, exchange)
  dropCut(state)
  state.stopped = true
  const paused: ReadonlyArray<Part> =
    state.stop.stop_reason === "pause_turn"
      ? [
          { type: "reasoning-start", id: "pause", metadata: Answer.pause },
          { type: "reasoning-end", id: "pause" }
        ]
      : []
  return [...ended, ...(yield* release(state, exchange)), ...paused, Answer.finish(state, exchange)]
})

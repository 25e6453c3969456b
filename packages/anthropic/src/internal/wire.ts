/**
 * The part of the Messages API that we read, as schemas: whatever a server sends passes through here before anything trusts it.
 *
 * Decoding is strict for what we know and open for what we do not: a known block or event of the wrong shape is an error, an unknown one
 * is kept as `other` and ignored, because the protocol says that new ones may come.
 */
import * as Schema from "effect/Schema"

const count = Schema.optional(Schema.NullOr(Schema.Int))
const text = Schema.optional(Schema.NullOr(Schema.String))

const unknownType = (known: ReadonlyArray<string>) =>
  Schema.Struct({
    type: Schema.String.check(Schema.makeFilter((type: string) => !known.includes(type) || `a well-formed ${type}`))
  })

export const Usage = Schema.Struct({
  input_tokens: count,
  output_tokens: count,
  cache_creation_input_tokens: count,
  cache_read_input_tokens: count,
  output_tokens_details: Schema.optional(Schema.NullOr(Schema.Struct({ thinking_tokens: count })))
})
export type Usage = typeof Usage.Type

export const StopDetails = Schema.Struct({ type: text, category: text, explanation: text })

const Stop = {
  stop_reason: text,
  stop_sequence: text,
  stop_details: Schema.optional(Schema.NullOr(StopDetails))
}
export const StopInfo = Schema.Struct(Stop)
export type StopInfo = typeof StopInfo.Type

const blocks = {
  text: Schema.Struct({ type: Schema.Literal("text"), text: Schema.String }),
  thinking: Schema.Struct({ type: Schema.Literal("thinking"), thinking: Schema.String, signature: text }),
  redacted_thinking: Schema.Struct({ type: Schema.Literal("redacted_thinking"), data: Schema.String }),
  tool_use: Schema.Struct({
    type: Schema.Literal("tool_use"),
    id: Schema.NonEmptyString,
    name: Schema.NonEmptyString,
    input: Schema.Unknown
  })
}

export const ContentBlock = Schema.Union([
  blocks.text,
  blocks.thinking,
  blocks.redacted_thinking,
  blocks.tool_use,
  unknownType(Object.keys(blocks))
])

export const Message = Schema.Struct({
  id: Schema.String,
  type: Schema.Literal("message"),
  model: Schema.String,
  content: Schema.Array(ContentBlock),
  ...Stop,
  usage: Usage
})
export type Message = typeof Message.Type

const deltas = {
  text_delta: Schema.Struct({ type: Schema.Literal("text_delta"), text: Schema.String }),
  thinking_delta: Schema.Struct({ type: Schema.Literal("thinking_delta"), thinking: Schema.String }),
  signature_delta: Schema.Struct({ type: Schema.Literal("signature_delta"), signature: Schema.String }),
  input_json_delta: Schema.Struct({ type: Schema.Literal("input_json_delta"), partial_json: Schema.String })
}

export const Delta = Schema.Union([
  deltas.text_delta,
  deltas.thinking_delta,
  deltas.signature_delta,
  deltas.input_json_delta,
  unknownType(Object.keys(deltas))
])

const events = {
  message_start: Schema.Struct({
    type: Schema.Literal("message_start"),
    message: Schema.Struct({ id: Schema.String, model: Schema.String, usage: Usage })
  }),
  content_block_start: Schema.Struct({
    type: Schema.Literal("content_block_start"),
    index: Schema.Int,
    content_block: ContentBlock
  }),
  content_block_delta: Schema.Struct({ type: Schema.Literal("content_block_delta"), index: Schema.Int, delta: Delta }),
  content_block_stop: Schema.Struct({ type: Schema.Literal("content_block_stop"), index: Schema.Int }),
  message_delta: Schema.Struct({
    type: Schema.Literal("message_delta"),
    delta: StopInfo,
    usage: Schema.optional(Schema.NullOr(Usage))
  }),
  message_stop: Schema.Struct({ type: Schema.Literal("message_stop") })
}

export const StreamEvent = Schema.Union([
  events.message_start,
  events.content_block_start,
  events.content_block_delta,
  events.content_block_stop,
  events.message_delta,
  events.message_stop,
  unknownType(Object.keys(events))
])
export type StreamEvent = typeof StreamEvent.Type

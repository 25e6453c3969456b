/**
 * The part of the Messages API that we read, as schemas: whatever a server sends passes through here before anything trusts it.
 *
 * Decoding is strict for what we know and open for what we do not: a known block or event of the wrong shape is an error, an unknown one
 * is kept by its `type` alone and ignored, because the protocol says that new ones may come.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

// A count that is none cannot fail an answer.
const count = Schema.optional(
  Schema.UndefinedOr(Schema.NullOr(Schema.Finite)).pipe(
    Schema.catchDecoding(() => Effect.succeed(Option.some(undefined)))
  )
)
const text = Schema.optional(Schema.NullOr(Schema.String))
// What travels as metadata is JSON, which has no `undefined`.
const textKey = Schema.optionalKey(Schema.NullOr(Schema.String))

const unknownType = (known: ReadonlyArray<string>) =>
  Schema.Struct({
    type: Schema.String.check(Schema.makeFilter((type: string) => !known.includes(type) || `a well-formed ${type}`))
  })

export const Usage = Schema.Struct({
  input_tokens: count,
  output_tokens: count,
  cache_creation_input_tokens: count,
  cache_read_input_tokens: count,
  cache_creation: Schema.optional(
    Schema.NullOr(Schema.Struct({ ephemeral_5m_input_tokens: count, ephemeral_1h_input_tokens: count }))
  ),
  output_tokens_details: Schema.optional(Schema.NullOr(Schema.Struct({ thinking_tokens: count }))),
  server_tool_use: Schema.optional(
    Schema.NullOr(Schema.Struct({ web_search_requests: count, web_fetch_requests: count }))
  ),
  service_tier: text,
  inference_geo: text,
  speed: text
})
export type Usage = typeof Usage.Type

export const StopDetails = Schema.Struct({ type: text, category: text, explanation: text })

export const Container = Schema.Struct({
  id: Schema.String,
  expires_at: text,
  skills: Schema.optional(
    Schema.NullOr(Schema.Array(Schema.Struct({ type: Schema.String, skill_id: Schema.String, version: text })))
  )
})
export type Container = typeof Container.Type

export const Diagnostics = Schema.Struct({
  cache_miss_reason: Schema.optional(
    Schema.NullOr(Schema.Struct({ type: Schema.String, cache_missed_input_tokens: count }))
  )
})
export type Diagnostics = typeof Diagnostics.Type

const Stop = {
  stop_reason: text,
  stop_sequence: text,
  stop_details: Schema.optional(Schema.NullOr(StopDetails)),
  container: Schema.optional(Schema.NullOr(Container))
}
export const StopInfo = Schema.Struct(Stop)
export type StopInfo = typeof StopInfo.Type

const cited = { cited_text: Schema.String }
const inDocument = {
  ...cited,
  document_index: Schema.Int,
  document_title: Schema.NullOr(Schema.String),
  file_id: textKey
}
const inBlocks = { start_block_index: Schema.Int, end_block_index: Schema.Int }

const citations = {
  char_location: Schema.Struct({
    type: Schema.Literal("char_location"),
    ...inDocument,
    start_char_index: Schema.Int,
    end_char_index: Schema.Int
  }),
  page_location: Schema.Struct({
    type: Schema.Literal("page_location"),
    ...inDocument,
    start_page_number: Schema.Int,
    end_page_number: Schema.Int
  }),
  content_block_location: Schema.Struct({
    type: Schema.Literal("content_block_location"),
    ...inDocument,
    ...inBlocks
  }),
  search_result_location: Schema.Struct({
    type: Schema.Literal("search_result_location"),
    ...cited,
    ...inBlocks,
    search_result_index: Schema.Int,
    source: Schema.String,
    title: Schema.NullOr(Schema.String)
  }),
  web_search_result_location: Schema.Struct({
    type: Schema.Literal("web_search_result_location"),
    ...cited,
    encrypted_index: Schema.String,
    title: Schema.NullOr(Schema.String),
    url: Schema.String
  })
}

/** A citation of a kind we know. */
export const Citation = Schema.Union(Object.values(citations))
export type Citation = typeof Citation.Type

const AnyCitation = Schema.Union([...Object.values(citations), unknownType(Object.keys(citations))])
type AnyCitation = typeof AnyCitation.Type

export const isKnownCitation = (citation: AnyCitation): citation is Citation => "cited_text" in citation

/** Who called a tool: the model itself (`direct`), or code that it runs. */
export const Caller = Schema.Struct({ type: Schema.String, tool_id: textKey })
export type Caller = typeof Caller.Type

/** The results of the tools that Anthropic runs; their content's shape is for the tool's own schema to judge. */
export const serverToolResults = [
  "web_search_tool_result",
  "web_fetch_tool_result",
  "code_execution_tool_result",
  "bash_code_execution_tool_result",
  "text_editor_code_execution_tool_result",
  "tool_search_tool_result"
] as const

const caller = Schema.optionalKey(Schema.NullOr(Caller))

export const ServerToolUse = Schema.Struct({
  type: Schema.Literal("server_tool_use"),
  id: Schema.NonEmptyString,
  name: Schema.NonEmptyString,
  input: Schema.Json,
  caller
})
export type ServerToolUse = typeof ServerToolUse.Type

export const ServerToolResult = Schema.Struct({
  type: Schema.Literals(serverToolResults),
  tool_use_id: Schema.NonEmptyString,
  content: Schema.Json,
  caller
})
export type ServerToolResult = typeof ServerToolResult.Type

export const ContainerUpload = Schema.Struct({ type: Schema.Literal("container_upload"), file_id: Schema.String })
export type ContainerUpload = typeof ContainerUpload.Type

const blocks = {
  text: Schema.Struct({
    type: Schema.Literal("text"),
    text: Schema.String,
    citations: Schema.optional(Schema.NullOr(Schema.Array(AnyCitation)))
  }),
  thinking: Schema.Struct({ type: Schema.Literal("thinking"), thinking: Schema.String, signature: text }),
  redacted_thinking: Schema.Struct({ type: Schema.Literal("redacted_thinking"), data: Schema.String }),
  tool_use: Schema.Struct({
    type: Schema.Literal("tool_use"),
    id: Schema.NonEmptyString,
    name: Schema.NonEmptyString,
    input: Schema.Unknown,
    caller
  }),
  server_tool_use: ServerToolUse,
  container_upload: ContainerUpload
}

export const ContentBlock = Schema.Union([
  ...Object.values(blocks),
  ServerToolResult,
  unknownType([...Object.keys(blocks), ...serverToolResults])
])
export type ContentBlock = typeof ContentBlock.Type

export const Message = Schema.Struct({
  id: text,
  type: Schema.optional(Schema.NullOr(Schema.Literal("message"))),
  model: text,
  content: Schema.Array(ContentBlock),
  ...Stop,
  diagnostics: Schema.optional(Schema.NullOr(Diagnostics)),
  usage: Schema.optional(Schema.NullOr(Usage))
})
export type Message = typeof Message.Type

const deltas = {
  text_delta: Schema.Struct({ type: Schema.Literal("text_delta"), text: Schema.String }),
  thinking_delta: Schema.Struct({ type: Schema.Literal("thinking_delta"), thinking: Schema.String }),
  signature_delta: Schema.Struct({ type: Schema.Literal("signature_delta"), signature: Schema.String }),
  input_json_delta: Schema.Struct({ type: Schema.Literal("input_json_delta"), partial_json: Schema.String }),
  citations_delta: Schema.Struct({ type: Schema.Literal("citations_delta"), citation: AnyCitation })
}

export const Delta = Schema.Union([...Object.values(deltas), unknownType(Object.keys(deltas))])

/** The events whose kind is known, by their kind. */
export const events = {
  message_start: Schema.Struct({
    type: Schema.Literal("message_start"),
    message: Schema.Struct({
      id: text,
      model: text,
      usage: Schema.optional(Schema.NullOr(Usage)),
      container: Schema.optional(Schema.NullOr(Container)),
      diagnostics: Schema.optional(Schema.NullOr(Diagnostics))
    })
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

export const TokenCount = Schema.Struct({ input_tokens: Schema.Int })

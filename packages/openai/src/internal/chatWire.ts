/**
 * What is read of the Chat Completions API, as schemas; lenient where compatible servers differ.
 * See https://platform.openai.com/docs/api-reference/chat.
 */
import * as Schema from "effect/Schema"
import { ErrorBody } from "./errors.ts"
import { nullish } from "./wire.ts"

/** Token counts; servers that do not count leave some out. */
export const Usage = Schema.Struct({
  prompt_tokens: nullish(Schema.Finite),
  completion_tokens: nullish(Schema.Finite),
  prompt_tokens_details: nullish(
    Schema.Struct({ cached_tokens: nullish(Schema.Finite), cache_write_tokens: nullish(Schema.Finite) })
  ),
  completion_tokens_details: nullish(Schema.Struct({ reasoning_tokens: nullish(Schema.Finite) }))
})

/** What a text cites. */
export const Annotation = Schema.Struct({
  type: Schema.String,
  url_citation: nullish(
    Schema.Struct({
      url: Schema.String,
      title: nullish(Schema.String),
      start_index: nullish(Schema.Finite),
      end_index: nullish(Schema.Finite)
    })
  )
})

const envelope = {
  id: nullish(Schema.String),
  model: nullish(Schema.String),
  created: nullish(Schema.Finite),
  service_tier: nullish(Schema.String),
  usage: nullish(Usage)
}

const message = {
  content: nullish(Schema.String),
  refusal: nullish(Schema.String),
  // Not OpenAI's: how compatible servers show what a model thought.
  reasoning_content: nullish(Schema.String),
  reasoning: nullish(Schema.String),
  annotations: nullish(Schema.Array(Annotation))
}

// A text, but some servers give the object itself.
const Arguments = nullish(Schema.Union([Schema.String, Schema.Record(Schema.String, Schema.Json)]))

const ToolCall = Schema.Struct({
  id: nullish(Schema.String),
  function: Schema.Struct({ name: Schema.String, arguments: Arguments })
})

/** A whole completion. */
export const Completion = Schema.Struct({
  ...envelope,
  choices: Schema.Array(
    Schema.Struct({
      finish_reason: nullish(Schema.String),
      message: Schema.Struct({ ...message, tool_calls: nullish(Schema.Array(ToolCall)) })
    })
  )
})

/** A piece of a call. */
export const ToolCallDelta = Schema.Struct({
  index: nullish(Schema.Int),
  id: nullish(Schema.String),
  function: nullish(Schema.Struct({ name: nullish(Schema.String), arguments: Arguments }))
})

/** A piece of a message. */
export const Choice = Schema.Struct({
  finish_reason: nullish(Schema.String),
  delta: nullish(Schema.Struct({ ...message, tool_calls: nullish(Schema.Array(ToolCallDelta)) }))
})

const Delta = Schema.Struct({ ...envelope, choices: Schema.Array(Choice) })

// A last chunk with counts and no choices.
const Counts = Schema.Struct({ ...envelope, choices: Schema.optional(Schema.Null), usage: Usage })

// How vLLM said that a stream failed; the SDK sees only errors under `error`.
const Failed = Schema.Struct({ ...ErrorBody.fields, object: Schema.Literal("error") })

/** One chunk of a stream. */
export const Chunk = Schema.Union([Delta, Counts, Failed])

/**
 * What is read of the Chat Completions API, as schemas; lenient where compatible servers differ.
 * See https://platform.openai.com/docs/api-reference/chat.
 */
import * as Schema from "effect/Schema"
import { nullish } from "./wire.ts"

/** Token counts. */
export const Usage = Schema.Struct({
  prompt_tokens: Schema.Int,
  completion_tokens: nullish(Schema.Int),
  prompt_tokens_details: nullish(
    Schema.Struct({ cached_tokens: nullish(Schema.Int), cache_write_tokens: nullish(Schema.Int) })
  ),
  completion_tokens_details: nullish(Schema.Struct({ reasoning_tokens: nullish(Schema.Int) }))
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
  reasoning: nullish(Schema.String)
}

const ToolCall = Schema.Struct({
  id: nullish(Schema.String),
  function: Schema.Struct({ name: Schema.String, arguments: nullish(Schema.String) })
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

const ToolCallDelta = Schema.Struct({
  index: nullish(Schema.Int),
  id: nullish(Schema.String),
  function: nullish(Schema.Struct({ name: nullish(Schema.String), arguments: nullish(Schema.String) }))
})

/** One chunk of a stream. */
export const Chunk = Schema.Struct({
  ...envelope,
  choices: Schema.Array(
    Schema.Struct({
      finish_reason: nullish(Schema.String),
      delta: nullish(Schema.Struct({ ...message, tool_calls: nullish(Schema.Array(ToolCallDelta)) }))
    })
  )
})

/**
 * What is read of the Chat Completions API, as schemas; lenient where compatible servers differ.
 * See https://platform.openai.com/docs/api-reference/chat.
 */
import * as Schema from "effect/Schema"
import { ErrorBody } from "./errors.ts"
import { nullish, spare } from "./wire.ts"

const tokens = Schema.optional(spare(Schema.Finite))

/** Token counts; servers that do not count leave some out. */
export const Usage = Schema.Struct({
  prompt_tokens: tokens,
  completion_tokens: tokens,
  prompt_tokens_details: Schema.optional(spare(Schema.Struct({ cached_tokens: tokens, cache_write_tokens: tokens }))),
  completion_tokens_details: Schema.optional(spare(Schema.Struct({ reasoning_tokens: tokens })))
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
  id: Schema.optional(spare(Schema.String)),
  model: Schema.optional(spare(Schema.String)),
  created: Schema.optional(spare(Schema.Finite)),
  service_tier: Schema.optional(spare(Schema.String)),
  usage: Schema.optional(spare(Usage))
}

const Text = Schema.Union([Schema.String, Schema.Struct({ text: nullish(Schema.String) })])

/** A text, or what Mistral makes of it: texts, and thoughts made of texts. A part of another kind says nothing. */
export const Content = nullish(
  Schema.Union([
    Schema.String,
    Schema.Array(
      Schema.Union([
        Schema.String,
        Schema.Struct({
          type: nullish(Schema.String),
          text: nullish(Schema.String),
          thinking: nullish(Schema.Union([Schema.String, Schema.Array(Text)]))
        })
      ])
    )
  ])
)

/** What a server wants back with a call, such as Gemini's `google.thought_signature`. */
const ExtraContent = Schema.optional(spare(Schema.Record(Schema.String, Schema.Json)))

const message = {
  content: Content,
  refusal: nullish(Schema.String),
  // Not OpenAI's: how compatible servers show what a model thought.
  reasoning_content: Schema.optional(spare(Schema.String)),
  reasoning: Schema.optional(spare(Schema.String)),
  annotations: Schema.optional(spare(Schema.Array(Annotation)))
}

// A text, but some servers give the object itself.
const Arguments = nullish(Schema.Union([Schema.String, Schema.Record(Schema.String, Schema.Json)]))

const ToolCall = Schema.Struct({
  id: nullish(Schema.String),
  function: Schema.Struct({ name: Schema.String, arguments: Arguments }),
  extra_content: ExtraContent
})

// How a gateway says that the model behind it failed.
const Failure = nullish(Schema.Union([Schema.String, ErrorBody]))

/** A whole completion. */
export const Completion = Schema.Struct({
  ...envelope,
  choices: Schema.Array(
    Schema.Struct({
      finish_reason: nullish(Schema.String),
      error: Failure,
      message: nullish(
        Schema.Struct({
          ...message,
          tool_calls: nullish(Schema.Array(ToolCall)),
          function_call: nullish(ToolCall.fields.function)
        })
      )
    })
  )
})

/** A piece of a call. */
export const ToolCallDelta = Schema.Struct({
  index: nullish(Schema.Int),
  id: nullish(Schema.String),
  function: nullish(Schema.Struct({ name: nullish(Schema.String), arguments: Arguments })),
  extra_content: ExtraContent
})

const Delta = Schema.Struct({
  ...message,
  tool_calls: nullish(Schema.Array(ToolCallDelta)),
  // Of before there were several calls.
  function_call: ToolCallDelta.fields.function
})

/** A piece of a message. */
export const Choice = Schema.Struct({
  finish_reason: nullish(Schema.String),
  error: Failure,
  delta: nullish(Delta),
  // Where the whole is said at once.
  message: nullish(Delta),
  usage: Schema.optional(spare(Usage))
})

// Counts and pings come without choices.
const Choices = Schema.Struct({ ...envelope, choices: nullish(Schema.Array(Choice)) })

// How vLLM said that a stream failed; the SDK sees only errors under `error`.
const Failed = Schema.Struct({ ...ErrorBody.fields, object: Schema.Literal("error") })

/** One chunk of a stream. */
export const Chunk = Schema.Union([Failed, Choices])

/**
 * What is read of the Responses API, as schemas. Items and events this package does not use may be anything; what it does use
 * must be there. See https://platform.openai.com/docs/api-reference/responses.
 */
import * as Schema from "effect/Schema"
import { ErrorBody } from "./errors.ts"
import * as Hosted from "./hosted.ts"
import { nullish, otherThan, spare } from "./wire.ts"

/** What a text cites. Documented examples lack positions, and new kinds come. */
export const Annotation = Schema.Struct({
  type: Schema.String,
  url: nullish(Schema.String),
  title: nullish(Schema.String),
  start_index: nullish(Schema.Finite),
  end_index: nullish(Schema.Finite),
  file_id: nullish(Schema.String),
  filename: nullish(Schema.String),
  container_id: nullish(Schema.String),
  index: nullish(Schema.Finite)
})

const Text = Schema.Struct({
  type: Schema.Literal("output_text"),
  text: Schema.String,
  annotations: Schema.optional(spare(Schema.Array(Annotation)))
})
const Refusal = Schema.Struct({ type: Schema.Literal("refusal"), refusal: Schema.String })

/** A message of the model. */
export const Message = Schema.Struct({
  type: Schema.Literal("message"),
  id: nullish(Schema.String),
  phase: nullish(Schema.String),
  content: Schema.Array(Schema.Union([Text, Refusal, otherThan(["output_text", "refusal"])]))
})

/** A call of a function tool. */
export const FunctionCall = Schema.Struct({
  type: Schema.Literal("function_call"),
  id: nullish(Schema.String),
  call_id: Schema.String,
  name: Schema.String,
  arguments: Schema.String,
  status: nullish(Schema.String)
})

const Summary = Schema.Struct({ text: Schema.String })

/** What the model thought: summaries, or the text itself from open models, or only its encrypted form. */
export const Reasoning = Schema.Struct({
  type: Schema.Literal("reasoning"),
  id: Schema.String,
  summary: nullish(Schema.Array(Summary)),
  content: nullish(Schema.Array(Summary)),
  encrypted_content: nullish(Schema.String)
})

/** One item of the output. */
export const Item = Schema.Union([
  Message,
  FunctionCall,
  Reasoning,
  Hosted.Item,
  otherThan(["message", "function_call", "reasoning", ...Hosted.itemTypes])
])

const tokens = Schema.optional(spare(Schema.Finite))

/** Token counts; servers that do not count leave some out. */
export const Usage = Schema.Struct({
  input_tokens: tokens,
  output_tokens: tokens,
  input_tokens_details: Schema.optional(spare(Schema.Struct({ cached_tokens: tokens, cache_write_tokens: tokens }))),
  output_tokens_details: Schema.optional(spare(Schema.Struct({ reasoning_tokens: tokens })))
})

/** The answer of the endpoint that counts. */
export const InputTokens = Schema.Struct({ input_tokens: Schema.Int })

/** A whole response. */
export const Body = Schema.Struct({
  id: Schema.optional(spare(Schema.String)),
  model: Schema.optional(spare(Schema.String)),
  created_at: Schema.optional(spare(Schema.Finite)),
  status: nullish(Schema.String),
  service_tier: Schema.optional(spare(Schema.String)),
  incomplete_details: nullish(Schema.Struct({ reason: nullish(Schema.String) })),
  error: nullish(ErrorBody),
  output: Schema.Array(Item),
  usage: Schema.optional(spare(Usage))
})

const lifecycle = <const Type extends string>(type: Type) =>
  Schema.Struct({ type: Schema.Literal(type), response: Body })

const item = <const Type extends string>(type: Type) =>
  Schema.Struct({ type: Schema.Literal(type), output_index: Schema.Int, item: Item })

const delta = <const Type extends string>(type: Type) =>
  Schema.Struct({
    type: Schema.Literal(type),
    output_index: Schema.Int,
    content_index: nullish(Schema.Int),
    summary_index: nullish(Schema.Int),
    delta: Schema.String
  })

const AnnotationAdded = Schema.Struct({
  type: Schema.Literal("response.output_text.annotation.added"),
  item_id: nullish(Schema.String),
  output_index: Schema.Int,
  content_index: nullish(Schema.Int),
  annotation: Annotation
})

const ArgumentsDone = Schema.Struct({
  type: Schema.Literal("response.function_call_arguments.done"),
  output_index: Schema.Int,
  arguments: Schema.String
})

const ErrorEvent = Schema.Struct({
  type: Schema.Literal("error"),
  message: nullish(Schema.String),
  code: nullish(Schema.Union([Schema.String, Schema.Finite])),
  param: nullish(Schema.String)
})

/** One event of a stream. */
export const Event = Schema.Union([
  lifecycle("response.created"),
  lifecycle("response.completed"),
  lifecycle("response.incomplete"),
  lifecycle("response.failed"),
  item("response.output_item.added"),
  item("response.output_item.done"),
  delta("response.output_text.delta"),
  delta("response.refusal.delta"),
  delta("response.function_call_arguments.delta"),
  delta("response.reasoning_summary_text.delta"),
  delta("response.reasoning_text.delta"),
  delta("response.code_interpreter_call_code.delta"),
  ArgumentsDone,
  AnnotationAdded,
  ErrorEvent,
  otherThan([
    "response.created",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.delta",
    "response.refusal.delta",
    "response.function_call_arguments.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
    "response.code_interpreter_call_code.delta",
    "response.function_call_arguments.done",
    "response.output_text.annotation.added",
    "error"
  ])
])

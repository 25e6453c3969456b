/**
 * The question whether a tool call may be made, asked for tools with `needsApproval`.
 *
 * Each call asks under a name of its own, so that calls of one turn cannot take each other's answer.
 *
 * @since 0.1.0
 */
import * as Ask from "@selvage/core/Ask"
import * as Schema from "effect/Schema"

/** What is asked. */
export const Question = Schema.Struct({
  plugin: Schema.String,
  tool: Schema.String,
  /** The arguments as the model gave them. */
  params: Schema.Json,
  /** The name of the call: the model's id of it, with a count where calls of one turn have one id. */
  call: Schema.String
})
export type Question = typeof Question.Type

/** The answer. A reason is told to the model. */
export const Answer = Schema.Struct({ approved: Schema.Boolean, reason: Schema.optionalKey(Schema.String) })
export type Answer = typeof Answer.Type

const prefix = "approval:"

/** The ask for one tool call: `Thread.answer(Approval.ask(call), { thread, value: { approved: true } })`. */
export const ask = (call: string): Ask.Ask<string, Question, Answer> =>
  Ask.make(`${prefix}${call}`, { question: Question, answer: Answer })

/** The approval that an open ask is; `undefined` if it is something else. */
export const of = (open: { readonly name: string }): Ask.Ask<string, Question, Answer> | undefined =>
  open.name.startsWith(prefix) ? ask(open.name.slice(prefix.length)) : undefined

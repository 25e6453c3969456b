/**
 * The question what became of a tool call whose process died, or whose result was lost, while it was under way; asked
 * for tools that are neither `Readonly` nor `Idempotent` and that have no `reconcile`.
 *
 * It is core's `Durable.Uncertain` under a name per call. The `result` of an answer is what the tool would have returned.
 *
 * @since 0.1.0
 */
import type * as Ask from "@selvage/core/Ask"
import * as Durable from "@selvage/core/Durable"

/** What is asked: the call's key in the journal, and its plugin, tool, arguments and id. */
export type Question = typeof Durable.Uncertain.question.Type

/** `repeat` the call, or take it as `made` with a `result`. */
export type Answer = typeof Durable.Uncertain.answer.Type

const prefix = `${Durable.Uncertain.name}:`

/** The ask for one tool call: `Thread.answer(Uncertain.ask(call), { thread, value: { decision: "repeat" } })`. */
export const ask = (call: string): Ask.Ask<string, Question, Answer> => ({
  ...Durable.Uncertain,
  name: `${prefix}${call}`
})

/** The uncertain tool call that an open ask is about; `undefined` if it is something else. */
export const of = (open: { readonly name: string }): Ask.Ask<string, Question, Answer> | undefined =>
  open.name.startsWith(prefix) ? ask(open.name.slice(prefix.length)) : undefined

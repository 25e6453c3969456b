// Views of a run's events. Pure.
import * as Prompt from "effect/ai/Prompt"
import * as Result from "effect/Result"
import type { TaskResult } from "../Entry.ts"
import type { Event } from "../Event.ts"
import type { Operation } from "../Messages.ts"
import { type Compiled, decodeUpdate } from "./compile.ts"

/** What a task wrote. */
export interface Update<Updates> {
  readonly step: number
  readonly task: string
  readonly node: string
  readonly update: Updates
}

/**
 * A piece of text that a model gives, that the pieces of a task so far are void because it begins again, or a message that
 * stands in the conversation.
 */
export type Message =
  | { readonly _tag: "Delta"; readonly path: string; readonly task: string; readonly text: string }
  | { readonly _tag: "Restarted"; readonly path: string; readonly task: string }
  | { readonly _tag: "Message"; readonly task: string; readonly message: Prompt.Message }

const resultsOf = (event: Event): { readonly step: number; readonly results: ReadonlyArray<TaskResult> } => {
  if (event._tag === "Journaled") {
    const { entry } = event
    if (entry._tag === "TaskCompleted" && entry.path === "") return { step: entry.step, results: [entry.result] }
    if (entry._tag === "StepCommitted" && entry.path === "") return entry
  }
  return { step: 0, results: [] }
}

/** What the tasks of the thread's own graph wrote. An entry that does not fit the graph is not this view's. */
export const updates = (graph: Compiled, event: Event): ReadonlyArray<Update<unknown>> => {
  const { results, step } = resultsOf(event)
  return results.flatMap(({ node, task, update = {} }) => {
    const decoded = decodeUpdate(graph, update)
    return Result.isSuccess(decoded) ? [{ step, task, node, update: decoded.success }] : []
  })
}

/** What an event adds to the conversation. */
export const messages = (graph: Compiled, event: Event): ReadonlyArray<Message> => {
  if (event._tag === "Token") return [{ _tag: "Delta", path: event.path, task: event.task, text: event.delta }]
  if (event._tag === "Restarted") return [event]
  return updates(graph, event).flatMap(({ task, update }) =>
    Object.entries(update as Record<string, unknown>).flatMap(([channel, value]) =>
      graph.channels[channel]?.channel.kind === "messages"
        ? added(value).map((message): Message => ({ _tag: "Message", task, message }))
        : []
    )
  )
}

const added = (update: unknown): ReadonlyArray<Prompt.Message> => {
  if (Prompt.isPrompt(update)) return update.content
  if (!Array.isArray(update)) return []
  return (update as ReadonlyArray<Operation>).flatMap((operation) => {
    if (operation._tag === "Append") return operation.prompt.content
    return operation._tag === "Replace" ? [operation.message] : []
  })
}

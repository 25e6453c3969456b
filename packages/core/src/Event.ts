/**
 * What a run tells while it works. A journaled event has a sequence number and can be read again at any time; a live
 * event (a task started, a token, something of your own) is only for who listens now.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Sequenced } from "./Entry.ts"
import * as Task from "./Task.ts"

/**
 * A live event: not journaled, not repeated. `path` names the graph inside which it came to pass, empty for the thread's
 * own.
 */
export type Live =
  | {
      readonly _tag: "TaskStarted"
      readonly path: string
      readonly step: number
      readonly task: string
      readonly node: string
      readonly attempt: number
    }
  | { readonly _tag: "Token"; readonly path: string; readonly task: string; readonly delta: string }
  /** The text that this task told so far is void: it begins again, or its model does, or the run goes on without it. */
  | { readonly _tag: "Restarted"; readonly path: string; readonly task: string }
  /** The handler of a tool call begins. `call` is the model's id of the call. */
  | {
      readonly _tag: "ToolStarted"
      readonly path: string
      readonly task: string
      readonly call: string
      readonly tool: string
      readonly plugin: string
    }
  /** A tool call came to an end, whether its handler ran or not. */
  | {
      readonly _tag: "ToolFinished"
      readonly path: string
      readonly task: string
      readonly call: string
      readonly tool: string
      readonly isFailure: boolean
      readonly result: Schema.Json
    }
  | {
      readonly _tag: "Custom"
      readonly path: string
      readonly task: string
      readonly name: string
      readonly data: unknown
    }

/** An entry as it was appended. */
export interface Journaled extends Sequenced {
  readonly _tag: "Journaled"
}

/**
 * Everything a stream of a run gives, by `_tag`:
 *
 * | of | events |
 * |---|---|
 * | run, step, task, ask | `Journaled`, whose `entry._tag` says what: `RunStarted`, `StepCommitted`, `TaskCompleted`, `AskOpened`, … |
 * | task | `TaskStarted`, once per attempt |
 * | token | `Token`, and `Restarted` where those before it are void |
 * | tool | `ToolStarted`, `ToolFinished` |
 * | custom | `Custom` |
 */
export type Event = Live | Journaled

/** Whether anyone listens to the run of the current task; what would only feed a listener can be skipped. */
export const isListening: Effect.Effect<boolean> = Effect.map(
  Effect.service(Task.Current),
  (task) => task?.emit !== undefined
)

const send = (make: (task: Task.Task) => Live): Effect.Effect<void> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const task = Context.get(context, Task.Current)
    return task?.emit === undefined ? Effect.void : task.emit(make(task))
  })

/** Sends an event of your own to who listens to the run. Does nothing when no one does. */
export const emit = (name: string, data: unknown): Effect.Effect<void> =>
  send(({ path, task }) => ({ _tag: "Custom", path, task, name, data }))

/** Sends a piece of a model's text to who listens to the run. */
export const token = (delta: string): Effect.Effect<void> =>
  send(({ path, task }) => ({ _tag: "Token", path, task, delta }))

/** Sends several pieces of a model's text, in order, as {@link token} does. */
export const tokens = (deltas: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const current = Context.get(context, Task.Current)
    if (current?.emit === undefined) return Effect.void
    const { emit, path, task } = current
    return Effect.forEach(deltas, (delta) => emit({ _tag: "Token", path, task, delta }), { discard: true })
  })

/**
 * Tells who listens that the text which this task told so far is void, as where a model is asked again in the middle of its
 * answer. A task that is tried again does so by itself. Does nothing where no text was told.
 */
export const restarted: Effect.Effect<void> = send(({ path, task }) => ({ _tag: "Restarted", path, task }))

/** Tells who listens to the run that the handler of a tool call begins. */
export const toolStarted = (event: { readonly call: string; readonly tool: string; readonly plugin: string }) =>
  send(({ path, task }) => ({ _tag: "ToolStarted", path, task, ...event }))

/** Tells who listens to the run how a tool call ended. */
export const toolFinished = (event: {
  readonly call: string
  readonly tool: string
  readonly isFailure: boolean
  readonly result: Schema.Json
}) => send(({ path, task }) => ({ _tag: "ToolFinished", path, task, ...event }))

/**
 * The task a node runs in: what a node may ask of the runtime around it.
 *
 * A node needs none of this to work. `Durable`, `Ask` and `Event` are built on it, and outside of a graph run they
 * do what can be done without a runtime.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { JournalConflict, JournalUnavailable } from "./Errors.ts"
import type { Live } from "./Event.ts"

/** What writing a fact of a task to the journal can fail with. */
export type JournalFailure = JournalConflict | JournalUnavailable

/**
 * The task cannot go on before asks are answered. The runtime takes this out of a graph's error type: the run ends as
 * `Waiting`, and the task starts again once an answer stands in the journal.
 */
export class Suspended extends Data.TaggedError("Suspended")<{
  readonly asks: ReadonlyArray<string>
}> {
  override get message() {
    return `Waiting for an answer to ${this.asks.join(", ")}. Asks need a thread: use Thread.run.`
  }
}

/** A question of a task to the outside. */
export interface Question {
  readonly name: string
  readonly kind: "question" | "uncertain"
  readonly question: Schema.Json
  /** For how long it can be answered, in milliseconds. */
  readonly millis: number | undefined
}

/** What came of a question. */
export type Reply =
  | { readonly _tag: "Answered"; readonly value: Schema.Json }
  | { readonly _tag: "Expired"; readonly ask: string; readonly deadline: number }

/** What a node knows of the task it runs in, and what it can ask of the runtime. */
export interface Task {
  /** The thread's name; `undefined` when the graph runs without a journal. */
  readonly thread: string | undefined
  /** The frame: empty for the thread's own graph. */
  readonly path: string
  readonly step: number
  readonly node: string
  /** The node, and for a fan-out the item's key in brackets. */
  readonly task: string
  /** Counts the tries of this task under its policy, from 1. */
  readonly attempt: number
  /** A name for this task that is the same in every attempt and after every restart. */
  readonly key: string
  /**
   * How long nobody worked on the thread by an instant, both in milliseconds: it waited for answers, or lay there until it
   * was forked or patched. Computed from the journal; it only grows. Limits leave it out.
   */
  readonly waited: (now: number) => number
  /** The journaled value of a piece of this task, if it was made. */
  readonly recorded: (key: string) => Schema.Json | undefined
  /** Whether an intent stands in the journal without its result. */
  readonly intended: (key: string) => boolean
  /** Waits until no other run can be making a call that was intended; `JournalConflict` if one is at work. */
  readonly takeOver: (key: string) => Effect.Effect<void, JournalFailure>
  /** For how long, in milliseconds, `None` of a `reconcile` is not to be believed yet: an attempt has only just ended. */
  readonly unsettled: (key: string) => Effect.Effect<number>
  /** Makes an intended call, as long as the lease of the run is valid. */
  readonly calling: <A, E, R>(key: string, call: Effect.Effect<A, E, R>) => Effect.Effect<A, E | JournalFailure, R>
  readonly record: (key: string, value: Schema.Json) => Effect.Effect<void, JournalFailure>
  readonly intend: (key: string, detail: Schema.Json) => Effect.Effect<void, JournalFailure>
  /** The questions that this task has asked under a name in its step, in order; also those that were answered. */
  readonly asked: (name: string) => ReadonlyArray<Schema.Json>
  /** The answer to a question, or `Suspended` after the question was journaled. */
  readonly ask: (question: Question) => Effect.Effect<Reply, JournalFailure | Suspended>
  /** The task of another attempt. */
  readonly next: () => Task
  /** Sends a live event to whoever listens; `undefined` when no one does. */
  readonly emit: ((event: Live) => Effect.Effect<void>) | undefined
}

/** Where a failure came to pass. */
export interface Place {
  /** The thread's name; `undefined` when the graph runs without a journal. */
  readonly thread: string | undefined
  readonly graph: string
  readonly path: string
  readonly step: number
  readonly node: string
  readonly task: string
  readonly attempt: number
}

/** Annotates the cause of a failed run; see {@link placeOf}. */
export class FailedAt extends Context.Service<FailedAt, Place>()("selvage/core/Task/FailedAt") {}

/**
 * The thread, step, node and attempt in which a run failed; `undefined` if no task failed.
 *
 * **Example**
 *
 * ```ts
 * import { Task } from "@selvage/core"
 * import * as Effect from "effect/Effect"
 *
 * export const logged = <A, E, R>(run: Effect.Effect<A, E, R>) =>
 *   Effect.tapCause(run, (cause) => Effect.logError("run failed", Task.placeOf(cause), cause))
 * ```
 */
export const placeOf = (cause: Cause.Cause<unknown>): Place | undefined =>
  Context.getOrUndefined(Cause.annotations(cause), FailedAt)

/** The task around the current effect; `undefined` outside of a graph run. */
export const Current = Context.Reference<Task | undefined>("selvage/core/Task/Current", {
  defaultValue: () => undefined
})

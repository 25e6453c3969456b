/**
 * The state of a thread without its program: a fold of the journaled JSON by the kind of each channel.
 *
 * | kind | folds |
 * |---|---|
 * | `last`, `optional` | the last value written |
 * | `append` | the items, one after another |
 * | `sum` | the sum |
 * | `map` | the records merged, a later key wins |
 * | `messages` | the messages, one after another |
 * | anything else | not: only the program knows the reducer; the updates are listed |
 *
 * What a task left counts once its step is committed, in the order that the commit names the tasks. Graphs inside
 * graphs reach the state through the update of the task that they ran in.
 *
 * **Gotchas**
 *
 * - An initial value stands in the program and not in the journal: a `last` channel that was never written is missing.
 *
 * @since 0.1.0
 */
import type { Sequenced, TaskResult, Values } from "@selvage/core/Entry"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { UpdateUnfoldable } from "./Failure.ts"

type JsonObject = { readonly [key: string]: Schema.Json }

/** A state as far as the journal tells it. */
export interface Folded {
  /** By channel; a channel in `unfolded` holds the list of its updates. */
  readonly state: JsonObject
  /** Channels whose reducer only the program knows. */
  readonly unfolded: ReadonlyArray<string>
  /** Channels that were never written, and whose initial value only the program knows. */
  readonly unwritten: ReadonlyArray<string>
}

/** A fold under way. It owns its values and changes them in place. */
export interface Fold {
  readonly kinds: Map<string, string>
  readonly values: Map<string, Schema.Json>
  readonly lists: Map<string, Array<Schema.Json>>
  readonly pending: Map<string, TaskResult>
}

/** A fold of no entries. */
export const empty = (): Fold => ({ kinds: new Map(), values: new Map(), lists: new Map(), pending: new Map() })

const isObject = (json: Schema.Json): json is JsonObject => Predicate.isObject(json) && !Array.isArray(json)

const listOf = (kind: string, update: Schema.Json): ReadonlyArray<Schema.Json> | undefined => {
  if (kind === "append") return Array.isArray(update) ? update : undefined
  if (kind !== "messages") return [update]
  const content = isObject(update) ? update["content"] : undefined
  return Array.isArray(content) ? content : undefined
}

const push = (fold: Fold, channel: string, kind: string, update: Schema.Json): boolean => {
  const items = listOf(kind, update)
  const list = fold.lists.get(channel)
  if (items === undefined) return false
  if (list === undefined) fold.lists.set(channel, items.slice())
  else for (const item of items) list.push(item)
  return true
}

const write = (fold: Fold, channel: string, update: Schema.Json): boolean => {
  const kind = fold.kinds.get(channel) ?? ""
  const value = fold.values.get(channel)
  switch (kind) {
    case "last":
    case "optional":
      fold.values.set(channel, update)
      return true
    case "sum":
      if (typeof update !== "number") return false
      fold.values.set(channel, (typeof value === "number" ? value : 0) + update)
      return true
    case "map":
      if (!isObject(update)) return false
      fold.values.set(channel, { ...(value !== undefined && isObject(value) ? value : {}), ...update })
      return true
    default:
      return push(fold, channel, kind, update)
  }
}

const update = (fold: Fold, seq: number, updates: Values): Result.Result<void, UpdateUnfoldable> => {
  for (const [channel, json] of Object.entries(updates)) {
    if (!write(fold, channel, json)) {
      return Result.fail(new UpdateUnfoldable({ channel, kind: fold.kinds.get(channel) ?? "", seq }))
    }
  }
  return Result.succeed(undefined)
}

/** Folds the next entry in. */
export const next = (fold: Fold, { entry, seq }: Sequenced): Result.Result<void, UpdateUnfoldable> => {
  switch (entry._tag) {
    case "RunStarted":
      for (const [channel, kind] of Object.entries(entry.graph.channels)) fold.kinds.set(channel, kind)
      fold.pending.clear()
      return update(fold, seq, entry.input)
    case "Patched":
      return update(fold, seq, entry.updates)
    case "TaskCompleted":
      if (entry.path === "") fold.pending.set(entry.result.task, entry.result)
      return Result.succeed(undefined)
    case "StepCommitted": {
      if (entry.path !== "") return Result.succeed(undefined)
      for (const result of entry.results) fold.pending.set(result.task, result)
      for (const task of entry.tasks) {
        const folded = update(fold, seq, fold.pending.get(task)?.update ?? {})
        if (Result.isFailure(folded)) return folded
      }
      fold.pending.clear()
      return Result.succeed(undefined)
    }
    default:
      return Result.succeed(undefined)
  }
}

const startOf = (kind: string): Schema.Json | undefined => (kind === "sum" ? 0 : kind === "map" ? {} : undefined)

/** The state that the entries so far make. */
export const result = (fold: Fold): Folded => {
  const state: Array<readonly [string, Schema.Json]> = []
  const unfolded: Array<string> = []
  const unwritten: Array<string> = []
  for (const channel of new Set([...fold.kinds.keys(), ...fold.lists.keys()])) {
    const kind = fold.kinds.get(channel) ?? ""
    const list = fold.lists.get(channel)
    switch (kind) {
      case "last":
      case "optional":
      case "sum":
      case "map": {
        const value = fold.values.get(channel) ?? startOf(kind)
        if (value !== undefined) state.push([channel, value])
        else if (kind === "last") unwritten.push(channel)
        break
      }
      case "append":
        state.push([channel, list ?? []])
        break
      case "messages":
        state.push([channel, { content: list ?? [] }])
        break
      default:
        state.push([channel, list ?? []])
        unfolded.push(channel)
    }
  }
  return { state: Object.fromEntries(state), unfolded, unwritten }
}

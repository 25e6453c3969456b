/**
 * The state of a thread without its program: a fold of the journaled JSON by the kind of each channel.
 *
 * | kind | folds |
 * |---|---|
 * | `last`, `optional` | the last value written |
 * | `append` | the items, one after another |
 * | `sum` | the sum |
 * | `map` | the records merged, a later key wins; keys that were taken out are gone |
 * | `messages` | the messages, one after another; those replaced or removed by id are |
 * | `ephemeral …` | as the kind after it, of the last step alone |
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
import type { GraphShape, Sequenced, TaskResult, Values } from "@selvage/core/Entry"
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
  /** Channels that forget with each step. */
  readonly ephemeral: Set<string>
  readonly values: Map<string, Schema.Json>
  readonly lists: Map<string, Array<Schema.Json>>
  readonly pending: Map<string, TaskResult>
}

/** A fold of no entries. */
export const empty = (): Fold => ({
  kinds: new Map(),
  ephemeral: new Set(),
  values: new Map(),
  lists: new Map(),
  pending: new Map()
})

const isObject = (json: Schema.Json): json is JsonObject => Predicate.isObject(json) && !Array.isArray(json)

const messageId = (message: Schema.Json): Schema.Json | undefined => {
  const options = isObject(message) ? message["options"] : undefined
  const own = options !== undefined && isObject(options) ? options["selvage"] : undefined
  return own !== undefined && isObject(own) ? own["id"] : undefined
}

/** Edits of a conversation, in order. */
const edit = (fold: Fold, channel: string, operations: ReadonlyArray<Schema.Json>): boolean => {
  let messages: ReadonlyArray<Schema.Json> = fold.lists.get(channel) ?? []
  for (const operation of operations) {
    if (!isObject(operation)) return false
    const { _tag, id, ids, message, prompt } = operation
    const content = prompt !== undefined && isObject(prompt) ? prompt["content"] : undefined
    if (_tag === "Append" && Array.isArray(content)) messages = [...messages, ...content]
    else if (_tag === "Replace" && message !== undefined) {
      messages = messages.map((other) => (messageId(other) === id ? message : other))
    } else if (_tag === "Remove" && Array.isArray(ids)) {
      messages = messages.filter((other) => !ids.includes(messageId(other) ?? null))
    } else return false
  }
  fold.lists.set(channel, messages.slice())
  return true
}

/** A record with keys set and taken out. */
const merge = (value: Schema.Json | undefined, update: Schema.Json): JsonObject | undefined => {
  if (!isObject(update)) return undefined
  const { remove = [], set = {} } = update
  if (!isObject(set) || !Array.isArray(remove)) return undefined
  const merged = new Map(Object.entries(value !== undefined && isObject(value) ? value : {}))
  for (const [key, item] of Object.entries(set)) merged.set(key, item)
  for (const key of remove) merged.delete(String(key))
  return Object.fromEntries(merged)
}

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
    case "map": {
      const merged = merge(value, update)
      if (merged !== undefined) fold.values.set(channel, merged)
      return merged !== undefined
    }
    case "messages":
      return Array.isArray(update) ? edit(fold, channel, update) : push(fold, channel, kind, update)
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

const ephemeral = "ephemeral "

const learn = (fold: Fold, { channels }: GraphShape) => {
  for (const [channel, shape] of Object.entries(channels)) {
    fold.kinds.set(channel, shape.startsWith(ephemeral) ? shape.slice(ephemeral.length) : shape)
    if (shape.startsWith(ephemeral)) fold.ephemeral.add(channel)
    else fold.ephemeral.delete(channel)
  }
}

/** Folds the next entry in. */
export const next = (fold: Fold, { entry, seq }: Sequenced): Result.Result<void, UpdateUnfoldable> => {
  switch (entry._tag) {
    case "RunStarted":
      if (entry.graph !== undefined) learn(fold, entry.graph)
      fold.pending.clear()
      return update(fold, seq, entry.input)
    case "Migrated":
      learn(fold, entry.graph)
      return Result.succeed(undefined)
    case "Patched":
      return update(fold, seq, entry.updates)
    case "TaskCompleted":
      if (entry.path === "") fold.pending.set(entry.result.task, entry.result)
      return Result.succeed(undefined)
    case "StepCommitted": {
      if (entry.path !== "") return Result.succeed(undefined)
      for (const result of entry.results) fold.pending.set(result.task, result)
      for (const channel of fold.ephemeral) {
        fold.values.delete(channel)
        fold.lists.delete(channel)
      }
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

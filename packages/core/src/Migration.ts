/**
 * How a thread that was started with an older form of its graph is read by the graph of today.
 *
 * A thread keeps the shape of the graph it was started with. Where that no longer fits, a run fails with `GraphChanged`,
 * unless the graph is given a migration: then the thread's entries are read as if they had been written with the new
 * names. Nothing in the journal is rewritten.
 *
 * **Example** (a node and a channel have new names, a channel is gone, another holds something else)
 *
 * ```ts
 * import { Channel, Graph } from "@selvage/core"
 * import { Effect, Schema } from "effect"
 *
 * export const Report = Graph.make("report", {
 *   state: { title: Channel.last(Schema.String), cents: Channel.sum },
 *   nodes: { compose: () => Effect.succeed({ cents: 120 }) },
 *   edges: { start: "compose", compose: "end" },
 *   migrate: (stored) =>
 *     "dollars" in stored.channels
 *       ? {
 *           nodes: { write: "compose" },
 *           channels: { heading: "title", draft: null, dollars: (json) => ({ cents: Number(json) * 100 }) }
 *         }
 *       : undefined
 * })
 * ```
 *
 * **Gotchas**
 *
 * - It concerns the thread's own graph. A graph inside it that no longer fits is a `GraphChanged` until the task around it is
 *   done.
 * - A renamed node changes the idempotency keys of its calls that were under way.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type { Entry, GraphShape, TaskResult, Values } from "./Entry.ts"

/** What has become of the nodes and channels of a stored graph. Those that are not named are as they were. */
export interface Migration {
  /** The name now, by the name then. */
  readonly nodes?: Readonly<Record<string, string>> | undefined
  /** The name now, `null` for a channel that is gone, or what the JSON of an update is now. */
  readonly channels?:
    | Readonly<Record<string, string | null | ((update: Schema.Json) => Readonly<Record<string, Schema.Json>>)>>
    | undefined
}

/** Finds the migration for a stored shape; `undefined` if there is none. */
export type Migrate = (stored: GraphShape) => Migration | undefined

const lookup = <A>(record: Readonly<Record<string, A>> | undefined, key: string): A | undefined =>
  record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined

/** Reads an entry of the old form as one of the new. Pure. */
export const upcast = (
  migration: Migration,
  { onError, shape: now }: { readonly shape: GraphShape; readonly onError: Readonly<Record<string, string>> },
  entry: Entry
): Entry => {
  const node = (name: string) => lookup(migration.nodes, name) ?? name
  const rescuers = new Set(Object.values(onError))
  // The node stands before the key of an item; where an error led to it, that is the task that failed.
  const task = (name: string): string => {
    const bracket = name.indexOf("[")
    if (bracket < 0) return node(name)
    const renamed = node(name.slice(0, bracket))
    return rescuers.has(renamed) && name.endsWith("]")
      ? `${renamed}[${task(name.slice(bracket + 1, -1))}]`
      : renamed + name.slice(bracket)
  }
  const path = (text: string) => {
    const at = text.indexOf("@")
    return at < 0 ? text : task(text.slice(0, at)) + text.slice(at)
  }
  const values = (updates: Values): Values => {
    const result: Record<string, Schema.Json> = {}
    for (const [channel, value] of Object.entries(updates)) {
      const to = lookup(migration.channels, channel)
      if (to === null) continue
      if (typeof to === "function") Object.assign(result, to(value))
      else result[to ?? channel] = value
    }
    return result
  }
  const taskResult = (result: TaskResult): TaskResult => ({
    ...result,
    task: task(result.task),
    node: node(result.node),
    ...(result.update === undefined ? {} : { update: values(result.update) })
  })
  switch (entry._tag) {
    case "RunStarted":
      return { ...entry, ...(entry.graph === undefined ? {} : { graph: now }), input: values(entry.input) }
    case "Migrated":
      return entry
    case "InputQueued":
      return { ...entry, graph: now, input: values(entry.input) }
    case "Patched":
    case "PatchQueued":
      return {
        ...entry,
        ...(entry._tag === "PatchQueued" ? { graph: now } : {}),
        updates: values(entry.updates),
        ...(entry.node === undefined ? {} : { node: node(entry.node) })
      }
    case "AskAnswered":
    case "AskExpired":
    case "InputRefused":
    case "PatchRefused":
    case "Forked":
    case "RunFinished":
      return entry
    case "FrameStarted":
      return { ...entry, path: path(entry.path) }
    default: {
      if (entry.path !== "") return { ...entry, path: path(entry.path) }
      if (entry._tag === "TaskCompleted") return { ...entry, result: taskResult(entry.result) }
      if (entry._tag !== "StepCommitted") return { ...entry, task: task(entry.task) }
      return {
        ...entry,
        tasks: entry.tasks.map(task),
        results: entry.results.map(taskResult),
        ...(entry.arrived === undefined
          ? {}
          : {
              arrived: Object.fromEntries(
                Object.entries(entry.arrived).map(([join, from]) => [node(join), from.map(node)])
              )
            })
      }
    }
  }
}

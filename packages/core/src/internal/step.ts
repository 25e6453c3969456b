// The pure core of the runtime: which tasks are next, and what their results make of the state.
import * as Result from "effect/Result"
import { ConcurrentUpdate, NodeContractViolated, UnknownRoute } from "../Errors.ts"
import type { Choice, Compiled, Record_ } from "./compile.ts"

/** A task that is ready to run. */
export interface Ready {
  readonly task: string
  readonly node: string
  readonly input: unknown
  /** Tasks of one fan-out share its concurrency. */
  readonly group: { readonly concurrency: number } | undefined
}

/** A task that is done, as planning sees it. */
export interface Finished {
  readonly task: string
  readonly node: string
  readonly failure: { readonly tag: string; readonly error: unknown } | undefined
}

/**
 * The tasks that follow from the state and the tasks of the step before (`undefined`: the start), in a fixed order. A
 * node that several lead to is ready once. A fan-out of no items goes on after its target.
 */
export const plan = (
  graph: Compiled,
  state: Record_,
  finished: ReadonlyArray<Finished> | undefined
): Result.Result<ReadonlyArray<Ready>, UnknownRoute> => {
  const ready = new Map<string, Ready>()
  const followed = new Set<string>()
  const unknown = (node: string, target: unknown) =>
    new UnknownRoute({ node, target: String(target), known: Object.keys(graph.nodes) })

  // Two items with one key would share a name in the journal; a count tells them apart.
  const freeName = (base: string): string => {
    let name = `${base}]`
    for (let count = 2; ready.has(name); count++) name = `${base}#${count}]`
    return name
  }

  const follow = (from: string): UnknownRoute | undefined => {
    if (followed.has(from)) return undefined
    followed.add(from)
    return go(from, graph.edges[from]!.choose(state))
  }
  const go = (from: string, choice: Choice): UnknownRoute | undefined => {
    if (typeof choice === "string") {
      if (choice === "end") return undefined
      if (!Object.hasOwn(graph.nodes, choice)) return unknown(from, choice)
      ready.set(choice, { task: choice, node: choice, input: state, group: undefined })
      return undefined
    }
    if (Array.isArray(choice)) {
      for (const target of choice as ReadonlyArray<string>) {
        const failure = go(from, target)
        if (failure !== undefined) return failure
      }
      return undefined
    }
    if (typeof choice !== "object" || choice === null || !("items" in choice)) return unknown(from, choice)
    if (!Object.hasOwn(graph.nodes, choice.target)) return unknown(from, choice.target)
    if (choice.items.length === 0) return follow(choice.target)
    const group = choice.concurrency === undefined ? undefined : { concurrency: choice.concurrency }
    choice.items.forEach((input, index) => {
      const task = freeName(`${choice.target}[${choice.keys[index]}`)
      ready.set(task, { task, node: choice.target, input, group })
    })
    return undefined
  }

  let failure: UnknownRoute | undefined
  if (finished === undefined) failure = follow("start")
  else {
    for (const { failure: routed, node, task } of finished) {
      failure = routed === undefined ? follow(node) : route(task, routed)
      if (failure !== undefined) break
    }
  }
  return failure === undefined ? Result.succeed(Array.from(ready.values())) : Result.fail(failure)

  // A target that takes the error runs once per error, one that takes the state once.
  function route(task: string, routed: NonNullable<Finished["failure"]>): UnknownRoute | undefined {
    const target = graph.onError[routed.tag] ?? "end"
    if (target === "end") return undefined
    if (!graph.nodes[target]!.accepts(routed.error)) return go(task, target)
    const name = freeName(`${target}[${task}`)
    ready.set(name, { task: name, node: target, input: routed.error, group: undefined })
    return undefined
  }
}

/** An update in its place: the task that made it. */
export interface TaskUpdate {
  readonly task: string
  readonly node: string
  readonly update: Record_
}

/** Folds the updates of a step into the state, in the order given. */
export const fold = (
  graph: Compiled,
  state: Record_,
  updates: ReadonlyArray<TaskUpdate>
): Result.Result<Record_, ConcurrentUpdate | NodeContractViolated> => {
  const next: Record<string, unknown> = { ...state }
  // Lists that this fold has copied already and may grow in place, so that a wide step does not copy them per task.
  const own = new Set<string>()
  const writers = updates.length > 1 ? new Map<string, string>() : undefined
  for (const { node, task, update } of updates) {
    for (const channel of Object.keys(update)) {
      const { channel: definition, exclusive, reduce } = graph.channels[channel]!
      if (exclusive && writers !== undefined) {
        const other = writers.get(channel)
        if (other !== undefined) return Result.fail(new ConcurrentUpdate({ channel, tasks: [other, task] }))
        writers.set(channel, task)
      }
      if (definition.kind === "append") {
        if (!own.has(channel)) next[channel] = [...(next[channel] as ReadonlyArray<unknown>)]
        own.add(channel)
        for (const item of update[channel] as ReadonlyArray<unknown>) (next[channel] as Array<unknown>).push(item)
        continue
      }
      try {
        next[channel] = reduce(next[channel], update[channel])
      } catch (error) {
        return Result.fail(
          new NodeContractViolated({ node, part: `the reducer of channel "${channel}"`, issue: String(error) })
        )
      }
    }
  }
  return Result.succeed(next)
}

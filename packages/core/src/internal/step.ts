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
  /** The tag of the error that led here; an error of this task is not routed again. */
  readonly rescues: string | undefined
}

/** A task that is done, as planning sees it. */
export interface Finished {
  readonly task: string
  readonly node: string
  readonly failure: { readonly tag: string; readonly error: unknown } | undefined
}

/** For each join that waits, the nodes that arrived at it. */
export type Arrived = Readonly<Record<string, ReadonlyArray<string>>>

/** What is next: the tasks of the step to come (none: the end), and the joins that go on waiting. */
export interface Plan {
  readonly ready: ReadonlyArray<Ready>
  readonly arrived: Arrived | undefined
}

const end: Plan = { ready: [], arrived: undefined }

const unknown = (graph: Compiled, node: string, target: unknown) =>
  new UnknownRoute({ node, target: String(target), known: Object.keys(graph.nodes) })

/**
 * The tasks that follow from the state and the tasks of the step before (`undefined`: the start), in a fixed order. A
 * node that several lead to is ready once. A fan-out of no items goes on after its target. A join is ready once all
 * that it waits for have arrived, or when nothing else is left that could bring them.
 */
export const plan = (
  graph: Compiled,
  state: Record_,
  finished: ReadonlyArray<Finished> | undefined,
  arrived: Arrived | undefined
): Result.Result<Plan, UnknownRoute> => {
  // One task that leads to one other, or to the end: no bookkeeping.
  if (!graph.joining && (finished === undefined || (finished.length === 1 && finished[0]!.failure === undefined))) {
    const from = finished === undefined ? "start" : finished[0]!.node
    const choice = graph.edges[from]!.choose(state)
    if (choice === "end") return Result.succeed(end)
    if (typeof choice === "string") {
      if (!Object.hasOwn(graph.nodes, choice)) return Result.fail(unknown(graph, from, choice))
      return Result.succeed({
        ready: [{ task: choice, node: choice, input: state, group: undefined, rescues: undefined }],
        arrived
      })
    }
  }
  const planner = new Planner(graph, state, arrived)
  const failure =
    finished === undefined ? planner.follow("start") : firstFailure(finished, (task) => planner.after(task))
  return failure === undefined ? Result.succeed(planner.result()) : Result.fail(failure)
}

const firstFailure = <A>(items: ReadonlyArray<A>, f: (item: A) => UnknownRoute | undefined) => {
  for (const item of items) {
    const failure = f(item)
    if (failure !== undefined) return failure
  }
  return undefined
}

class Planner {
  readonly #graph: Compiled
  readonly #state: Record_
  readonly #ready = new Map<string, Ready>()
  readonly #followed = new Set<string>()
  readonly #arrived: Map<string, ReadonlyArray<string>>

  constructor(graph: Compiled, state: Record_, arrived: Arrived | undefined) {
    this.#graph = graph
    this.#state = state
    this.#arrived = new Map(Object.entries(arrived ?? {}))
  }

  after({ failure, node, task }: Finished): UnknownRoute | undefined {
    return failure === undefined ? this.follow(node) : this.#route(task, node, failure)
  }

  follow(from: string): UnknownRoute | undefined {
    if (this.#followed.has(from)) return undefined
    this.#followed.add(from)
    return this.#go(from, this.#graph.edges[from]!.choose(this.#state))
  }

  result(): Plan {
    // What a join still waits for cannot come any more: it runs with what arrived, so that no branch is lost.
    if (this.#ready.size === 0) {
      for (const target of Array.from(this.#arrived.keys())) this.#add(target)
      this.#arrived.clear()
    }
    const arrived = this.#arrived.size === 0 ? undefined : Object.fromEntries(this.#arrived)
    return { ready: Array.from(this.#ready.values()), arrived }
  }

  #add(target: string, rescues?: string) {
    this.#ready.set(target, { task: target, node: target, input: this.#state, group: undefined, rescues })
  }

  // Two items with one key would share a name in the journal; a count tells them apart.
  #freeName(base: string): string {
    let name = `${base}]`
    for (let count = 2; this.#ready.has(name); count++) name = `${base}#${count}]`
    return name
  }

  #go(from: string, choice: Choice): UnknownRoute | undefined {
    if (typeof choice === "string") return this.#goTo(from, choice)
    if (Array.isArray(choice)) return firstFailure(choice as ReadonlyArray<string>, (target) => this.#go(from, target))
    const graph = this.#graph
    if (typeof choice !== "object" || choice === null || !("items" in choice)) return unknown(graph, from, choice)
    if (!Object.hasOwn(graph.nodes, choice.target)) return unknown(graph, from, choice.target)
    if (choice.items.length === 0) return this.follow(choice.target)
    const group = choice.concurrency === undefined ? undefined : { concurrency: choice.concurrency }
    choice.items.forEach((input, index) => {
      const task = this.#freeName(`${choice.target}[${choice.keys[index]}`)
      this.#ready.set(task, { task, node: choice.target, input, group, rescues: undefined })
    })
    return undefined
  }

  #goTo(from: string, target: string, rescues?: string): UnknownRoute | undefined {
    if (target === "end") return undefined
    if (!Object.hasOwn(this.#graph.nodes, target)) return unknown(this.#graph, from, target)
    const joined = this.#graph.joins[target]
    if (joined === undefined || !joined.includes(from)) {
      this.#add(target, rescues)
      return undefined
    }
    const before = this.#arrived.get(target) ?? []
    const now = before.includes(from) ? before : [...before, from]
    if (joined.every((name) => now.includes(name))) {
      this.#arrived.delete(target)
      this.#add(target)
    } else this.#arrived.set(target, now)
    return undefined
  }

  // A target that takes the error runs once per error, one that takes the state once.
  #route(task: string, node: string, failure: NonNullable<Finished["failure"]>): UnknownRoute | undefined {
    const target = this.#graph.onError[failure.tag] ?? "end"
    if (target === "end") return undefined
    if (!this.#graph.nodes[target]!.accepts(failure.error)) return this.#goTo(node, target, failure.tag)
    const name = this.#freeName(`${target}[${task}`)
    this.#ready.set(name, { task: name, node: target, input: failure.error, group: undefined, rescues: failure.tag })
    return undefined
  }
}

/** An update in its place: the task that made it. */
export interface TaskUpdate {
  readonly task: string
  readonly node: string
  readonly update: Record_
}

/** Folds what was made from outside (an input, a patch) into the state. */
export const foldOutside = (graph: Compiled, state: Record_, update: TaskUpdate) =>
  foldInto({ ...state }, graph, [update])

/** Folds the updates of a step into the state, in the order given. What does not outlive a step starts anew. */
export const fold = (
  graph: Compiled,
  state: Record_,
  updates: ReadonlyArray<TaskUpdate>
): Result.Result<Record_, ConcurrentUpdate | NodeContractViolated> => {
  const next: Record<string, unknown> = { ...state }
  for (const channel of graph.ephemeral) next[channel] = graph.initial[channel]
  return foldInto(next, graph, updates)
}

const foldInto = (
  next: Record<string, unknown>,
  graph: Compiled,
  updates: ReadonlyArray<TaskUpdate>
): Result.Result<Record_, ConcurrentUpdate | NodeContractViolated> => {
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
        const items = update[channel] as ReadonlyArray<unknown>
        if (own.has(channel)) for (const item of items) (next[channel] as Array<unknown>).push(item)
        else if (items.length > 0) {
          // One copy; of a copy that grows afterwards there would be two.
          next[channel] = (next[channel] as ReadonlyArray<unknown>).concat(items)
          own.add(channel)
        }
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

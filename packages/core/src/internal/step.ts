// The pure core of the runtime: which tasks are next, and what their results make of the state.
import * as Result from "effect/Result"
import { ConcurrentUpdate, NodeContractViolated, UnknownRoute } from "../Errors.ts"
import type { Choice, Compiled, Record_ } from "./compile.ts"
import { append, copyOf } from "./list.ts"

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

/** A route that leads nowhere, or that failed. */
export type RouteFailure = UnknownRoute | NodeContractViolated

const choose = (graph: Compiled, from: string, state: Record_): Result.Result<Choice, RouteFailure> => {
  try {
    return Result.succeed(graph.edges[from]!.choose(state))
  } catch (error) {
    return Result.fail(new NodeContractViolated({ node: from, part: "the route after it", issue: String(error) }))
  }
}

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
): Result.Result<Plan, RouteFailure> => {
  // One task that leads to one other, or to the end: no bookkeeping.
  if (!graph.joining && (finished === undefined || (finished.length === 1 && finished[0]!.failure === undefined))) {
    const from = finished === undefined ? "start" : finished[0]!.node
    const chosen = choose(graph, from, state)
    if (Result.isFailure(chosen)) return Result.fail(chosen.failure)
    const choice = chosen.success
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
    finished === undefined
      ? planner.follow("start")
      : firstFailure(goingOn(graph, finished), (task) => planner.after(task))
  return failure === undefined ? Result.succeed(planner.result()) : Result.fail(failure)
}

const firstFailure = <A>(items: ReadonlyArray<A>, f: (item: A) => RouteFailure | undefined) => {
  for (const item of items) {
    const failure = f(item)
    if (failure !== undefined) return failure
  }
  return undefined
}

/**
 * The tasks whose edges and routes are followed. A failure is a route: where an item of a fan-out failed and its error leads to
 * a node, that is where the fan-out leads, and not also to what comes after its other items.
 */
const goingOn = (graph: Compiled, finished: ReadonlyArray<Finished>): ReadonlyArray<Finished> => {
  const led = new Set<string>()
  for (const { failure, node } of finished) {
    if (failure !== undefined && (graph.onError[failure.tag] ?? "end") !== "end") led.add(node)
  }
  return led.size === 0 ? finished : finished.filter(({ failure, node }) => failure !== undefined || !led.has(node))
}

/** The nodes that a node can lead to, at any length. */
const reachable = (graph: Compiled, from: string): Set<string> => {
  const all = Object.keys(graph.nodes)
  const seen = new Set<string>()
  const next = [from]
  for (let name = next.pop(); name !== undefined; name = next.pop()) {
    for (const target of graph.edges[name]?.targets ?? all) {
      if (target === "end" || seen.has(target)) continue
      seen.add(target)
      next.push(target)
    }
  }
  return seen
}

class Planner {
  readonly #graph: Compiled
  readonly #state: Record_
  readonly #ready = new Map<string, Ready>()
  readonly #followed = new Set<string>()
  readonly #counts = new Map<string, number>()
  readonly #arrivals = new Set<string>()
  readonly #arrived: Map<string, ReadonlyArray<string>>

  constructor(graph: Compiled, state: Record_, arrived: Arrived | undefined) {
    this.#graph = graph
    this.#state = state
    this.#arrived = new Map(Object.entries(arrived ?? {}))
  }

  after({ failure, node, task }: Finished): RouteFailure | undefined {
    return failure === undefined ? this.follow(node) : this.#route(task, node, failure)
  }

  follow(from: string): RouteFailure | undefined {
    if (this.#followed.has(from)) return undefined
    this.#followed.add(from)
    const chosen = choose(this.#graph, from, this.#state)
    return Result.isFailure(chosen) ? chosen.failure : this.#go(from, chosen.success)
  }

  result(): Plan {
    // What a join still waits for cannot come any more: it runs with what arrived, so that no branch is lost.
    if (this.#ready.size === 0) {
      for (const target of this.#hopeless()) {
        this.#add(target)
        this.#arrived.delete(target)
      }
    }
    const arrived = this.#arrived.size === 0 ? undefined : Object.fromEntries(this.#arrived)
    return { ready: Array.from(this.#ready.values()), arrived }
  }

  /** The joins to which no other join that waits can still lead; where they wait in a circle, the first. */
  #hopeless(): ReadonlyArray<string> {
    const waiting = Array.from(this.#arrived.keys())
    if (waiting.length < 2) return waiting
    const free = waiting.filter((target) =>
      waiting.every((other) => other === target || !reachable(this.#graph, other).has(target))
    )
    return free.length > 0 ? free : waiting.slice(0, 1)
  }

  #add(target: string, rescues?: string) {
    this.#ready.set(target, { task: target, node: target, input: this.#state, group: undefined, rescues })
  }

  // Two items with one key would share a name in the journal; a count tells them apart.
  #freeName(base: string): string {
    let name = `${base}]`
    for (let count = this.#counts.get(base) ?? 2; this.#ready.has(name); count++) {
      name = `${base}#${count}]`
      this.#counts.set(base, count + 1)
    }
    return name
  }

  #go(from: string, choice: Choice): RouteFailure | undefined {
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

  #goTo(from: string, target: string, rescues?: string): RouteFailure | undefined {
    if (target === "end") return undefined
    if (!Object.hasOwn(this.#graph.nodes, target)) return unknown(this.#graph, from, target)
    const joined = this.#graph.joins[target]
    if (joined === undefined || !joined.includes(from)) {
      this.#add(target, rescues)
      return undefined
    }
    // By an edge and by an error route of the same node, from the same step, it is one arrival.
    const arrival = `${from}\u0000${target}`
    if (this.#arrivals.has(arrival)) return undefined
    this.#arrivals.add(arrival)
    const before = this.#arrived.get(target) ?? []
    const now = before.includes(from) ? before : [...before, from]
    if (joined.every((name) => now.includes(name))) {
      this.#arrived.delete(target)
      this.#add(target)
    } else this.#arrived.set(target, now)
    return undefined
  }

  // A target that takes the error runs once per error, one that takes the state once.
  #route(task: string, node: string, failure: NonNullable<Finished["failure"]>): RouteFailure | undefined {
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

/** Folds a change in the middle of a step into the state. */
export const foldPatch = (graph: Compiled, state: Record_, update: TaskUpdate) =>
  foldInto(copyOf(state), graph, [update])

/** Folds the updates of a step, or an input, into the state, in the order given. What does not outlive a step starts anew. */
export const fold = (
  graph: Compiled,
  state: Record_,
  updates: ReadonlyArray<TaskUpdate>
): Result.Result<Record_, ConcurrentUpdate | NodeContractViolated> => {
  const next = copyOf(state)
  for (const channel of graph.ephemeral) next[channel] = graph.initial[channel]
  return foldInto(next, graph, updates)
}

const foldInto = (
  next: Record<string, unknown>,
  graph: Compiled,
  updates: ReadonlyArray<TaskUpdate>
): Result.Result<Record_, ConcurrentUpdate | NodeContractViolated> => {
  // What comes to each list, so that it is appended to once.
  const added = new Map<string, Array<unknown>>()
  const writers = updates.length > 1 ? new Map<string, TaskUpdate>() : undefined
  for (const taskUpdate of updates) {
    const { node, update } = taskUpdate
    for (const channel of Object.keys(update)) {
      const { channel: definition, exclusive, reduce } = graph.channels[channel]!
      if (exclusive && writers !== undefined) {
        const other = writers.get(channel)
        // A node that an error route leads to once for each error does it in their order.
        if (other !== undefined && !(other.node === node && graph.rescuers.has(node))) {
          return Result.fail(new ConcurrentUpdate({ channel, tasks: [other.task, taskUpdate.task] }))
        }
        writers.set(channel, taskUpdate)
      }
      if (definition.kind === "append") {
        const items = added.get(channel)
        if (items === undefined) added.set(channel, (update[channel] as ReadonlyArray<unknown>).slice())
        else for (const item of update[channel] as ReadonlyArray<unknown>) items.push(item)
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
  for (const [channel, items] of added) if (items.length > 0) append(next, channel, items)
  return Result.succeed(next)
}

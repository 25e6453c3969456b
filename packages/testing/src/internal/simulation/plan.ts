// Graphs by chance: what they do is a function of their names, so that any run of one must come to the same state.
import * as Ask from "@selvage/core/Ask"
import * as Channel from "@selvage/core/Channel"
import * as Durable from "@selvage/core/Durable"
import * as Edge from "@selvage/core/Edge"
import * as Graph from "@selvage/core/Graph"
import * as Node from "@selvage/core/Node"
import * as Policy from "@selvage/core/Policy"
import * as Task from "@selvage/core/Task"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { type Chance, numberOf } from "./seeded.ts"

/** What the nodes of a generated graph do to the world; the world may refuse, be slow, or die under them. */
export interface World {
  /** A task began. */
  readonly enter: (place: string) => Effect.Effect<void, Transient>
  /** A piece whose result is journaled runs. */
  readonly piece: (place: string) => Effect.Effect<void>
  /** Changes the world in a way that must not be repeated. */
  readonly call: (place: string) => Effect.Effect<number, Transient>
  /** Whether it was changed, once nobody is at it any more. */
  readonly lookUp: (place: string) => Effect.Effect<boolean>
  /** Changes the world under a key; again with the same key changes nothing. */
  readonly put: (place: string, key: string) => Effect.Effect<void>
  /** How many tasks of a fan-out run at once. */
  readonly within: <A, E, R>(fan: string, most: number, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** A failure that may not come again. */
export class Transient extends Data.TaggedError("Transient")<{ readonly of: string }> {
  readonly isRetryable = true
}

/** A failure that the graph has a route for. */
export class Routed extends Data.TaggedError("Routed")<{ readonly of: string }> {}

type Operation = "plain" | "once" | "call" | "lookUp" | "put" | "ask"

interface NodePlan {
  readonly name: string
  readonly operation: Operation
  readonly policy: boolean
}

type Stage =
  | { readonly _tag: "Node"; readonly node: NodePlan }
  | { readonly _tag: "Routed"; readonly node: NodePlan; readonly recover: NodePlan }
  | { readonly _tag: "Graph"; readonly name: string; readonly graph: GraphPlan }
  | { readonly _tag: "Fan"; readonly node: NodePlan; readonly width: number; readonly concurrency: number | undefined }
  | { readonly _tag: "Parallel"; readonly branches: ReadonlyArray<ReadonlyArray<NodePlan>>; readonly join: NodePlan }

/** A graph as data. */
export interface GraphPlan {
  readonly name: string
  readonly stages: ReadonlyArray<Stage>
  readonly rounds: number
  readonly siblings: "finish" | "interrupt"
  readonly concurrency: number | undefined
}

export const plan = (random: Chance, name = "g", depth = 0): GraphPlan => {
  let count = 0
  const node = (): NodePlan => ({
    name: `n${count++}`,
    operation: random.pick(["plain", "plain", "once", "call", "lookUp", "put", "ask"]),
    policy: random.happens(0.4)
  })
  let routed = false
  const stage = (): Stage => {
    const kind = random.below(10)
    if (kind < 3) return { _tag: "Node", node: node() }
    if (kind === 3 && !routed) {
      routed = true
      return { _tag: "Routed", node: { ...node(), operation: "plain" }, recover: node() }
    }
    if (kind < 6) {
      const concurrency = random.happens(0.5) ? 1 + random.below(2) : undefined
      return { _tag: "Fan", node: node(), width: random.below(4), concurrency }
    }
    if (kind < 8) {
      const branches = Array.from({ length: 2 + random.below(2) }, () =>
        Array.from({ length: 1 + random.below(2) }, node)
      )
      return { _tag: "Parallel", branches, join: node() }
    }
    return depth < 2
      ? { _tag: "Graph", name: `n${count++}`, graph: plan(random, `${name}${count}`, depth + 1) }
      : { _tag: "Node", node: node() }
  }
  return {
    name,
    stages: Array.from({ length: 1 + random.below(depth === 0 ? 4 : 2) }, stage),
    rounds: random.happens(0.3) ? 2 : 1,
    siblings: random.pick(["finish", "interrupt"]),
    concurrency: random.happens(0.2) ? 2 : undefined
  }
}

/** What is asked, and what is answered. */
export const Question = Ask.make("question", { question: Schema.String, answer: Schema.Int })
export const answerTo = (question: string): number => numberOf(question, 10)

const Log = {
  tags: Channel.append(Schema.String),
  log: Channel.append(Schema.String),
  total: Channel.sum,
  seen: Channel.map(Schema.Int),
  round: Channel.last(Schema.Int, { initial: 0 })
}

/** The state of a generated graph. */
export type State = Channel.State<typeof Log>
export type Input = Channel.Input<typeof Log>
export type Generated = Graph.Graph<string, State, Transient | Routed, never, Input>

const retried = Policy.make({
  retry: Policy.retryable(Schedule.spaced("10 millis").pipe(Schedule.upTo({ times: 2 }))),
  timeout: "80 millis"
})

const perform = Effect.fnUntraced(function* (world: World, { name, operation }: NodePlan, label: string) {
  const task = yield* Task.Current
  const place = task === undefined ? label : `${task.path}|${task.step}|${task.task}`
  yield* world.enter(place)
  const update = (extra: number) => ({ log: [label], total: numberOf(label, 7) + extra, seen: { [name]: extra } })
  switch (operation) {
    case "plain":
      return update(0)
    case "once":
      return update(yield* Durable.once("piece", Schema.Int, Effect.as(world.piece(place), numberOf(label, 5))))
    case "call":
      return update(yield* Durable.call({ key: "call", detail: place, schema: Schema.Int, call: world.call(place) }))
    case "lookUp": {
      const reconcile = Effect.map(world.lookUp(place), (made) =>
        made ? Option.some(numberOf(place, 5)) : Option.none<number>()
      )
      return update(
        yield* Durable.call({ key: "call", detail: place, schema: Schema.Int, call: world.call(place), reconcile })
      )
    }
    case "put":
      yield* world.put(place, task?.key ?? "")
      return update(1)
    case "ask":
      return update(yield* Ask.ask(Question, label))
  }
})

/** The graph of a plan, acting on a world. */
export const build = (plan: GraphPlan, world: World): Generated => {
  const nodes: Record<string, unknown> = {}
  const policies: Record<string, unknown> = {}
  const edges: Record<string, unknown> = {}
  const joins: Record<string, ReadonlyArray<string>> = {}
  const onError: Record<string, string> = {}

  const onState = (node: NodePlan) => {
    nodes[node.name] = (state: State) => perform(world, node, `${node.name}:${state.round}`)
    if (node.policy) policies[node.name] = retried
  }
  // Where a stage begins: as a choice of a route, so that it can also be where a round begins.
  const entries = plan.stages.map((stage): (() => unknown) => {
    switch (stage._tag) {
      case "Node":
      case "Routed":
        return () => stage.node.name
      case "Graph":
        return () => stage.name
      case "Parallel":
        return () => stage.branches.map(([first]) => first!.name)
      case "Fan": {
        const items = Array.from({ length: stage.width }, (_, index) => index)
        const { concurrency } = stage
        return () => Edge.fanOut(stage.node.name, items, concurrency === undefined ? {} : { concurrency })
      }
    }
  })
  plan.stages.forEach((stage, index) => {
    const next = entries[index + 1] ?? (() => "tick")
    switch (stage._tag) {
      case "Node":
        onState(stage.node)
        edges[stage.node.name] = next
        return
      case "Routed":
        nodes[stage.node.name] = () => Effect.fail(new Routed({ of: stage.node.name }))
        edges[stage.node.name] = next
        onState(stage.recover)
        edges[stage.recover.name] = next
        onError.Routed = stage.recover.name
        return
      case "Graph":
        nodes[stage.name] = Graph.node(build(stage.graph, world), {
          input: ({ round }: State) => ({ tags: [`round ${round}`] }),
          update: ({ log, tags, total }) => ({ log: [...tags, ...log].map((line) => `${stage.name}/${line}`), total })
        })
        edges[stage.name] = next
        return
      case "Fan": {
        const { concurrency, node } = stage
        nodes[node.name] = Node.make(Schema.Int, (item) => {
          const one = perform(world, node, `${node.name}[${item}]`)
          return concurrency === undefined ? one : world.within(node.name, concurrency, one)
        })
        if (node.policy) policies[node.name] = retried
        edges[node.name] = next
        return
      }
      case "Parallel":
        for (const branch of stage.branches) {
          branch.forEach((node, at) => {
            onState(node)
            edges[node.name] = branch[at + 1]?.name ?? stage.join.name
          })
        }
        onState(stage.join)
        joins[stage.join.name] = stage.branches.map((branch) => branch.at(-1)!.name)
        edges[stage.join.name] = next
        return
    }
  })
  nodes.tick = ({ round }: State) => Effect.succeed({ round: round + 1 })
  edges.start = entries[0]!
  edges.tick = (state: State) => (state.round < plan.rounds ? entries[0]!() : "end")
  const { concurrency, name, siblings } = plan
  // The names and edges exist only at run time, so the compiler cannot know them.
  const definition: unknown = {
    state: Log,
    nodes,
    edges,
    policies,
    joins,
    onError,
    siblings,
    ...(concurrency === undefined ? {} : { concurrency })
  }
  return Graph.make(name, definition as never) as unknown as Generated
}

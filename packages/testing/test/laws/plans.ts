// Graphs as fast-check draws them, so that one that breaks a law shrinks to the smallest that does.
import * as fc from "fast-check"
import type { GraphPlan } from "../../src/internal/simulation/plan.ts"

type Stage = GraphPlan["stages"][number]
type NodePlan = Extract<Stage, { readonly _tag: "Node" }>["node"]
type Operation = NodePlan["operation"]

export interface PlanOptions {
  /** What its nodes do; all there is if not given. */
  readonly operations?: readonly [Operation, ...ReadonlyArray<Operation>]
  /** Whether nodes have a policy with a retry and a timeout. */
  readonly policies?: boolean
  /** How many graphs deep. */
  readonly depth?: number
  readonly stages?: number
}

const allOperations: ReadonlyArray<Operation> = ["plain", "once", "call", "lookUp", "put", "ask"]

/** A plan of a graph; its nodes are named last, so that shrinking keeps names unique. */
export const plans = (options: PlanOptions = {}): fc.Arbitrary<GraphPlan> =>
  unnamed(options, options.depth ?? 2).map((plan) => named(plan, "g"))

const unnamed = (options: PlanOptions, depth: number): fc.Arbitrary<GraphPlan> =>
  fc.record({
    name: fc.constant(""),
    stages: fc.array(stage(options, depth), { minLength: 1, maxLength: options.stages ?? 3 }),
    rounds: fc.constantFrom(1, 1, 2),
    siblings: fc.constantFrom("finish" as const, "interrupt" as const),
    concurrency: fc.constantFrom(undefined, undefined, 2)
  })

const stage = (options: PlanOptions, depth: number): fc.Arbitrary<Stage> => {
  const { operations = allOperations, policies = false } = options
  const node: fc.Arbitrary<NodePlan> = fc.record({
    name: fc.constant(""),
    operation: fc.constantFrom(...operations),
    policy: policies ? fc.boolean() : fc.constant(false)
  })
  const plain = node.map((plan): NodePlan => ({ ...plan, operation: "plain" }))
  const branch = fc.array(node, { minLength: 1, maxLength: 2 })
  const tag = <Tag extends Stage["_tag"]>(tag: Tag) => fc.constant(tag)
  const flat: ReadonlyArray<fc.Arbitrary<Stage>> = [
    fc.record({ _tag: tag("Node"), node }),
    fc.record({ _tag: tag("Routed"), node: plain, recover: node }),
    fc.record({
      _tag: tag("Fan"),
      node,
      width: fc.nat(3),
      concurrency: fc.constantFrom(undefined, undefined, 1, 2)
    }),
    fc.record({
      _tag: tag("Parallel"),
      branches: fc.array(branch, { minLength: 2, maxLength: 3 }),
      join: node
    })
  ]
  if (depth === 0) return fc.oneof(...flat)
  const inner = unnamed({ ...options, stages: 2 }, depth - 1)
  return fc.oneof(...flat, fc.record({ _tag: tag("Graph"), name: fc.constant(""), graph: inner }))
}

const named = (plan: GraphPlan, name: string): GraphPlan => {
  let count = 0
  let routed = false
  const next = () => `n${count++}`
  const node = (plan: NodePlan): NodePlan => ({ ...plan, name: next() })
  const stages = plan.stages.map((stage): Stage => {
    switch (stage._tag) {
      case "Routed":
        // One route per error and graph.
        if (routed) return { _tag: "Node", node: node(stage.node) }
        routed = true
        return { ...stage, node: node(stage.node), recover: node(stage.recover) }
      case "Graph": {
        const own = next()
        return { ...stage, name: own, graph: named(stage.graph, `${name}${own}`) }
      }
      case "Parallel":
        return { ...stage, branches: stage.branches.map((branch) => branch.map(node)), join: node(stage.join) }
      default:
        return { ...stage, node: node(stage.node) }
    }
  })
  return { ...plan, name, stages }
}

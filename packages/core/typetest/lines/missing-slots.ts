import { Graph, Policy } from "@selvage/core"
import { Effect } from "effect"
import { state } from "./shared.ts"

class Pool extends Policy.Slots<Pool>()("lines/Pool") {}

const graph = Graph.make("lines", {
  state,
  nodes: { write: () => Effect.succeed({ answer: "" }) },
  edges: { start: "write", write: "end" },
  policies: { write: Policy.make({ slots: Pool }) }
})

const program = Graph.run(graph, { question: "why" })

export const done = Effect.runPromise(
  program // error
)

import { Graph } from "@selvage/core"
import { Effect } from "effect"
import { Plan, state } from "./shared.ts"

export const graph = Graph.make("lines", {
  state,
  nodes: {
    plan: Plan,
    write: ({ topics }) => Effect.succeed({ answer: topics.join() })
  },
  edges: { start: "plan", plan: "write" } // error
})

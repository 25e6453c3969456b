import { Graph } from "@selvage/core"
import { Effect } from "effect"
import { Plan, Search, state } from "./shared.ts"

export const graph = Graph.make("lines", {
  state,
  nodes: {
    plan: Plan,
    search: Search,
    write: Effect.fnUntraced(function* ({ notes }) {
      return { answer: notes.join() }
    })
  },
  edges: {
    start: "plan",
    plan: { each: "search", of: () => [1, 2] }, // error
    search: ({ notes }) => (notes.length < 3 ? "plan" : "write"),
    write: "end"
  }
})

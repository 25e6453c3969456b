import { Graph } from "@selvage/core"
import { Effect } from "effect"
import { Plan, Search, state } from "./shared.ts"

export const graph = Graph.make("lines", {
  state,
  nodes: {
    plan: Plan,
    search: Search,
    write: Effect.fnUntraced(function* (all) {
      yield* Effect.void
      return { answer: all.ntoes.join() } // error
    })
  },
  edges: {
    start: "plan",
    plan: { each: "search", of: ({ topics }) => topics },
    search: ({ notes }) => (notes.length < 3 ? "plan" : "write"),
    write: "end"
  }
})

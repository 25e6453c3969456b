import { Graph } from "@selvage/core"
import type { Effect } from "effect"
import { Plan, Search, state } from "./shared.ts"

declare const summarize: (all: any) => Effect.Effect<{ readonly answer: string }>

export const graph = Graph.make("lines", {
  state,
  nodes: {
    plan: Plan,
    search: Search,
    write: summarize // error
  },
  edges: {
    start: "plan",
    plan: { each: "search", of: ({ topics }) => topics },
    search: ({ notes }) => (notes.length < 3 ? "plan" : "write"),
    write: "end"
  }
})

import { Graph } from "@selvage/core"
import { Effect } from "effect"
import { Plan, Search, state } from "./shared.ts"

const summarize = function* ({ notes }: { readonly notes: ReadonlyArray<string> }) {
  yield* Effect.void
  return { anwser: notes.join() }
}

export const graph = Graph.make("lines", {
  state,
  nodes: {
    plan: Plan,
    search: Search,
    write: Effect.fnUntraced(summarize) // error
  },
  edges: {
    start: "plan",
    plan: { each: "search", of: ({ topics }) => topics },
    search: ({ notes }) => (notes.length < 3 ? "plan" : "write"),
    write: "end"
  }
})

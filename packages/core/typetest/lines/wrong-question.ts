import { Ask, Graph } from "@selvage/core"
import { Approve, state } from "./shared.ts"

export const graph = Graph.make("lines", {
  state,
  nodes: {
    ask: Ask.node(Approve, { question: () => 42, update: (ok) => ({ answer: `${ok}` }) }) // error
  },
  edges: { start: "ask", ask: "end" }
})

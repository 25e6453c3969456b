import { Channel, Graph, Node } from "@selvage/core"
import { Effect, Schema } from "effect"

class Failed2 extends Schema.TaggedError<Failed2>()("Failed2", { question: Schema.String }) {}
class Failed7 extends Schema.TaggedError<Failed7>()("Failed7", { question: Schema.String }) {}
class Plan extends Node.Service<Plan>()("large/Plan", {
  input: Schema.Struct({ question: Schema.String, spent: Schema.Number }),
  output: Schema.Struct({ spent: Schema.Number })
}) {}
class Search extends Node.Service<Search>()("large/Search", {
  input: Schema.String,
  output: Schema.Struct({ notes: Schema.Array(Schema.String) })
}) {}

export const errors = [Failed2, Failed7]
export const services = [Plan, Search]
export const graph = Graph.make("large", {
  state: {
    question: Channel.last(Schema.String),
    topics: Channel.append(Schema.String),
    notes: Channel.append(Schema.String),
    spent: Channel.sum
  },
  nodes: {
    n0: Effect.fnUntraced(function* ({ spent }) {
      return { spent: spent + 1 }
    })
  },
  edges: { start: "n0", n0: ({ spent }) => (spent > 3 ? "end" : "end") }
})
export const program = Graph.run(graph, { question: "why" })

import { Channel, Graph } from "@selvage/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const Hello = Graph.make("hello", {
  state: { name: Channel.last(Schema.String), greeting: Channel.optional(Schema.String) },
  nodes: { greet: ({ name }) => Effect.succeed({ greeting: `Hello, ${name}` }) },
  edges: { start: "greet", greet: "end" }
})

console.log((await Effect.runPromise(Graph.run(Hello, { name: "Ada" }))).greeting)

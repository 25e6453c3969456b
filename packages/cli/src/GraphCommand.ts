/**
 * `selvage graph`: draws the graphs that a module exports.
 *
 * @since 0.1.0
 */
import * as Graph from "@selvage/core/Graph"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as GraphModule from "./GraphModule.ts"
import * as Output from "./Output.ts"
import { jsonFlag } from "./Root.ts"

/** `selvage graph MODULE [--name GRAPH]` */
export const graph = Command.make(
  "graph",
  {
    module: Argument.String("module").pipe(Argument.withDescription("A file or directory, relative to where you are")),
    name: Flag.String("name").pipe(
      Flag.withMetavar("GRAPH"),
      Flag.withDescription("Only the graph of this name"),
      Flag.optional
    ),
    json: jsonFlag
  },
  Effect.fnUntraced(function* ({ json, module, name }) {
    const found = yield* GraphModule.load(module, Option.getOrUndefined(name))
    yield* Output.print(
      found.map((exported) => {
        const mermaid = Graph.toMermaid(exported.graph).trimEnd()
        if (json) return Output.json({ name: exported.name, export: exported.as, mermaid })
        return found.length === 1
          ? mermaid
          : `%% ${Output.printable(exported.as)}: ${Output.printable(exported.name)}\n${mermaid}\n`
      })
    )
  })
).pipe(
  Command.withDescription("Print the graphs that a module exports as Mermaid flowcharts"),
  Command.withExamples([{ command: "selvage graph src/agent.ts", description: "Draw the graphs of a file" }])
)

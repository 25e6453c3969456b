import type { Compiled } from "./compile.ts"

const shapes = { task: ["[", "]"], service: ["[/", "/]"], ask: ["{{", "}}"], graph: ["[[", "]]"] } as const

/** The graph as a Mermaid flowchart. */
export const mermaid = (graph: Compiled): string => ["flowchart TD", ...body(graph, "", "  ")].join("\n") + "\n"

const body = (graph: Compiled, prefix: string, indent: string): ReadonlyArray<string> => {
  const id = (name: string) => `${prefix}${name.replaceAll(/[^A-Za-z0-9_]/g, "_")}_`
  const lines: Array<string> = [`${indent}${id("start")}((start))`, `${indent}${id("end")}(((end)))`]
  for (const [name, node] of Object.entries(graph.nodes)) {
    if (node.graph === undefined) {
      const [open, close] = shapes[node.kind]
      lines.push(`${indent}${id(name)}${open}"${name}"${close}`)
    } else {
      lines.push(`${indent}subgraph ${id(name)}["${name}: ${node.graph.name}"]`)
      lines.push(...body(node.graph, id(name), `${indent}  `))
      lines.push(`${indent}end`)
    }
  }
  for (const [from, edge] of Object.entries(graph.edges)) {
    const targets = edge.targets ?? [...Object.keys(graph.nodes), "end"]
    for (const target of targets) {
      const joined = graph.joins[target]?.includes(from) === true
      const arrow = joined ? "-->|join|" : edge.kind === "each" ? "==>|each|" : edge.kind === "route" ? "-.->" : "-->"
      lines.push(`${indent}${id(from)} ${arrow} ${id(target)}`)
    }
  }
  for (const [tag, target] of Object.entries(graph.onError)) {
    lines.push(`${indent}error_${id(tag)}>"${tag}"] -.->|error| ${id(target)}`)
  }
  return lines
}

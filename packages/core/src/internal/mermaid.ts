import type { Compiled } from "./compile.ts"

const shapes = { task: ["[", "]"], service: ["[/", "/]"], ask: ["{{", "}}"], graph: ["[[", "]]"] } as const

/** The graph as a Mermaid flowchart. */
export const mermaid = (graph: Compiled): string =>
  ["flowchart TD", ...body(graph, new Ids(), [], "  ")].join("\n") + "\n"

/** Names as ids of Mermaid, which are letters, digits and underscores. No two names get the same id. */
class Ids {
  readonly #given = new Map<string, string>()
  readonly #taken = new Set<string>()

  /** The id of a name inside the graphs of a path. */
  of(path: ReadonlyArray<string>, name: string, prefix = ""): string {
    const key = JSON.stringify([prefix, ...path, name])
    const given = this.#given.get(key)
    if (given !== undefined) return given
    const base = prefix + [...path, name].map((part) => `${part.replaceAll(/[^A-Za-z0-9_]/g, "_")}_`).join("")
    let id = base
    for (let count = 2; this.#taken.has(id); count++) id = `${base}${count}`
    this.#taken.add(id)
    this.#given.set(key, id)
    return id
  }
}

const entities: Readonly<Record<string, string>> = { '"': "quot", "<": "lt", ">": "gt", "&": "amp" }

const special = /[^\p{L}\p{M}\p{N} _.,/()[\]{}+*=!?@%$'|-]/gu

/** A text within quotes: what Mermaid or HTML would read as more than text stands as an entity of Mermaid. */
const escape = (text: string): string =>
  text.replaceAll(special, (character) => `#${entities[character] ?? character.codePointAt(0)};`)

const body = (graph: Compiled, ids: Ids, path: ReadonlyArray<string>, indent: string): ReadonlyArray<string> => {
  const id = (name: string) => ids.of(path, name)
  const lines: Array<string> = [`${indent}${id("start")}((start))`, `${indent}${id("end")}(((end)))`]
  for (const [name, node] of Object.entries(graph.nodes)) {
    if (node.graph === undefined) {
      const [open, close] = shapes[node.kind]
      lines.push(`${indent}${id(name)}${open}"${escape(name)}"${close}`)
    } else {
      lines.push(`${indent}subgraph ${id(name)}["${escape(name)}: ${escape(node.graph.name)}"]`)
      lines.push(...body(node.graph, ids, [...path, name], `${indent}  `))
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
    lines.push(`${indent}${ids.of(path, tag, "error_")}>"${escape(tag)}"] -.->|error| ${id(target)}`)
  }
  return lines
}

// A drawing is read back by a small parser that knows no more of Mermaid than what a drawing uses.
import { Channel, Graph } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"

const quoted = String.raw`"((?:[^"#;&<>\\\n]|#\w+;)*)"`
const id = String.raw`([A-Za-z0-9_]+)`
const line = {
  end: /^end$/,
  stop: new RegExp(`^${id}(?:\\(\\(start\\)\\)|\\(\\(\\(end\\)\\)\\))$`),
  node: new RegExp(`^${id}\\[${quoted}\\]$`),
  graph: new RegExp(`^subgraph ${id}\\[${quoted}\\]$`),
  edge: new RegExp(`^${id} (?:-->|-\\.->|==>\\|each\\|) ${id}$`),
  error: new RegExp(`^${id}>${quoted}\\] -\\.->\\|error\\| ${id}$`)
}

const names: Readonly<Record<string, string>> = { quot: '"', lt: "<", gt: ">", amp: "&" }
const unescaped = (text: string) =>
  text.replaceAll(/#(\w+);/g, (_, entity: string) => names[entity] ?? String.fromCodePoint(Number(entity)))

/** The texts of a drawing by id, and its edges by id. Throws where a line is not of Mermaid, or an id is declared twice. */
const parse = (drawing: string) => {
  const texts = new Map<string, string>()
  const edges: Array<readonly [string, string]> = []
  let depth = 0
  const declare = (id: string, text: string) => {
    if (texts.has(id)) throw new Error(`${id} is declared twice`)
    texts.set(id, text)
  }
  const [first, ...lines] = drawing.trimEnd().split("\n")
  if (first !== "flowchart TD") throw new Error(`not a flowchart: ${first}`)
  for (const raw of lines) {
    const text = raw.replace(/^ +/, "")
    const [kind, match] = Object.entries(line)
      .map(([kind, pattern]) => [kind, pattern.exec(text)] as const)
      .find(([, match]) => match !== null) ?? ["", null]
    if (match === null) throw new Error(`not a line: ${raw}`)
    const [, one = "", two = "", three = ""] = match
    if (kind === "end") depth--
    else if (kind === "edge") edges.push([one, two])
    else if (kind === "stop") declare(one, "")
    else declare(one, unescaped(two))
    if (kind === "graph") depth++
    if (kind === "error") edges.push([one, three])
    if (depth < 0) throw new Error("an end too many")
  }
  if (depth !== 0) throw new Error("a subgraph without an end")
  for (const id of edges.flat()) if (!texts.has(id)) throw new Error(`${id} is not declared`)
  return { texts, edges }
}

const state = { n: Channel.sum }
const chain = (name: string, nodes: ReadonlyArray<string>, inside: Readonly<Record<string, Graph.Any>> = {}) =>
  Graph.make(name, {
    state,
    nodes: Object.fromEntries(
      nodes.map((node) => {
        const graph = inside[node]
        const run: () => Effect.Effect<{ readonly n: number }> = () => Effect.succeed({ n: 1 })
        return [
          node,
          graph === undefined ? run : (Graph.node(graph as never, { input: () => ({}), update: () => ({}) }) as never)
        ]
      })
    ),
    edges: Object.fromEntries(["start", ...nodes].map((node, index) => [node, nodes[index] ?? "end"])) as never
  } as never) as Graph.Any

const name = fc
  .oneof(
    fc.string({ minLength: 1, maxLength: 6, unit: "binary" }),
    fc.string({ minLength: 1, maxLength: 6, unit: fc.constantFrom("a", "-", "_", '"', "#", ";", "]", "2", "\n", "<") }),
    fc.constantFrom("a-b", "a_b", "a b", "a_b_", "a_b_2", "error_Boom", 'say "hi"', "#quot;", "in_start", "style:x#1;")
  )
  .filter((name) => !["start", "end", "__proto__", "in"].includes(name))

describe("a drawing", () => {
  it("tells all names apart and quotes any text, also of graphs inside", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(name, { minLength: 1, maxLength: 8 }),
        fc.uniqueArray(name, { minLength: 1, maxLength: 4 }),
        name,
        (outer, inner, title) => {
          const drawing = Graph.toMermaid(chain("drawn", [...outer, "in"], { in: chain(title, inner) }))
          const { edges, texts } = parse(drawing)
          const drawn = Array.from(texts.values()).filter((text) => text !== "")
          assert.deepStrictEqual(drawn.toSorted(), [...outer, ...inner, `in: ${title}`].toSorted())
          const arrows = [...outer, "in"].map((_, index, all) => [all[index], all[index + 1] ?? ""] as const)
          for (const [from, to] of arrows) {
            const told = edges.some(([a, b]) => {
              const [one, other] = [texts.get(a), texts.get(b)]
              return (
                (from === "in" ? one === `in: ${title}` : one === from) &&
                (to === "in" ? other === `in: ${title}` : other === to)
              )
            })
            assert.isTrue(told, `${from} leads to ${to}`)
          }
        }
      ),
      { numRuns: 60 }
    )
  })

  it("tells an error route from a node of its name", () => {
    class Boom extends Schema.TaggedError<Boom>()('Bo"om', {}) {}
    const graph = Graph.make("g", {
      state,
      nodes: { one: () => Effect.fail(new Boom({})), 'error_Bo"om': () => Effect.succeed({ n: 1 }) },
      edges: { start: "one", one: "end", 'error_Bo"om': "end" },
      onError: { 'Bo"om': 'error_Bo"om' }
    })
    const { edges, texts } = parse(Graph.toMermaid(graph))
    const [from, to] = edges.at(-1)!
    assert.deepStrictEqual([texts.get(from), texts.get(to)], ['Bo"om', 'error_Bo"om'])
  })
})

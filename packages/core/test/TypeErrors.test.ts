import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"

const root = join(import.meta.dirname, "../../..")
const typetest = join(import.meta.dirname, "../typetest")
const lines = join(typetest, "lines")

const tsc = (...args: ReadonlyArray<string>): string => {
  const { error, stdout } = spawnSync(
    join(root, "node_modules/.bin/tsc"),
    ["--pretty", "false", "--singleThreaded", "--extendedDiagnostics", ...args],
    {
      cwd: root,
      encoding: "utf8"
    }
  )
  if (error !== undefined) throw error
  return stdout
}

const lineErrors = tsc("-p", lines)

describe("the compiler's error stands on the line that is wrong, and nowhere else", () => {
  const errors = new Map<string, Set<number>>()
  for (const [, file, line] of lineErrors.matchAll(/^(\S+?)\((\d+),\d+\): error /gm)) {
    const name = basename(file!)
    errors.set(name, (errors.get(name) ?? new Set()).add(Number(line)))
  }

  for (const name of readdirSync(lines).filter((file) => file.endsWith(".ts"))) {
    it(`${name.slice(0, -3).replaceAll("-", " ")}`, () => {
      const marked = readFileSync(join(lines, name), "utf8")
        .split("\n")
        .flatMap((line, index) => (line.endsWith("// error") ? [index + 1] : []))
      assert.strictEqual(marked.length, ["shared.ts", "no-mistake.ts"].includes(name) ? 0 : 1)
      assert.deepStrictEqual(Array.from(errors.get(name) ?? []), marked)
    })
  }
})

/** A graph of so many nodes: functions, services and fan-outs, routes by functions and by lists, error routes. */
const graphOf = (count: number): string => {
  const nodes: Array<string> = []
  const edges: Array<string> = []
  for (let i = 0; i < count; i++) {
    const next = i + 1 < count ? `n${i + 1}` : "end"
    const plain = i + 1 < count && (i + 1) % 5 === 4 ? `{ each: "${next}", of: ({ topics }) => topics }` : `"${next}"`
    switch (i % 5) {
      case 0:
        nodes.push(`n${i}: Effect.fnUntraced(function* ({ spent }) { return { spent: spent + 1 } })`)
        edges.push(`n${i}: ({ spent }) => (spent > 3 ? "${next}" : "end")`)
        break
      case 1:
        nodes.push(`n${i}: Plan`)
        edges.push(`n${i}: ["${next}", "end"]`)
        break
      case 2:
        nodes.push(`n${i}: ({ question }) => Effect.fail(new Failed${i % 10}({ question }))`)
        edges.push(`n${i}: { to: ["${next}", "end"], choose: ({ notes }) => (notes.length > 1 ? "${next}" : "end") }`)
        break
      case 3:
        nodes.push(`n${i}: Node.orElse(Plan, ({ spent }) => Effect.succeed({ spent }))`)
        edges.push(`n${i}: ${plain}`)
        break
      default:
        nodes.push(`n${i}: Search`)
        edges.push(`n${i}: ${plain}`)
    }
  }
  return `import { Channel, Graph, Node } from "@selvage/core"
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
  nodes: { ${nodes.join(",\n    ")} },
  edges: { start: "n0", ${edges.join(",\n    ")} }${count > 8 ? `,\n  onError: { Failed2: "end", Failed7: "n0" }` : ""}
})
export const program = Graph.run(graph, { question: "why" })
`
}

/** What the compiler finds in the fixtures and a graph of so many nodes. */
const checked = (count: number): string => {
  const folder = mkdtempSync(join(typetest, ".large-"))
  try {
    writeFileSync(
      join(folder, "tsconfig.json"),
      `{ "extends": "../lines/tsconfig.json", "include": ["../lines"], "files": ["graph.ts"] }`
    )
    writeFileSync(join(folder, "graph.ts"), graphOf(count))
    const output = tsc("-p", folder)
    assert.notMatch(output, /graph\.ts.*error TS.*/)
    return output
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const instantiations = (output: string): number => Number(/^Instantiations:\s+(\d+)/m.exec(output)?.[1])

// Instantiated types are what checking a graph costs: to count them needs no clock.
it("checking a graph costs in proportion to its nodes: less than 1,500 instantiated types each", () => {
  const count = 50
  const more = instantiations(checked(count)) - instantiations(lineErrors)
  assert.isAbove(more, 0)
  assert.isBelow(more / count, 1500)
})

/**
 * The JSON Schemas of tools as providers take them.
 *
 * Both OpenAI and Anthropic want an object at the root, without a union there. Their strict modes take a subset of JSON Schema, with limits
 * on its size: a schema beyond it is still good for a tool that is not strict, whose arguments are checked when they come.
 *
 * - A root that is no object is {@link isWrapped wrapped}: the tool is given as one with the single field {@link field}.
 * - {@link tame} rewrites what strict modes refuse and another form says as well.
 * - {@link beyond} says why a schema cannot be strict.
 *
 * Sources: https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas,
 * https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations,
 * https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools.
 *
 * **Example**
 *
 * ```ts
 * import * as ToolSchema from "@selvage/provider/ToolSchema"
 *
 * console.log(ToolSchema.beyond({ type: "object", properties: { any: {} }, required: ["any"] })) // "the field any has no type"
 * ```
 */
import type * as JsonSchema from "effect/JsonSchema"
import * as Predicate from "effect/Predicate"

type Node = JsonSchema.JsonSchema

/** The field in which the parameters of a wrapped tool stand. */
export const field = "input"

const isNode = (value: unknown): value is Node => Predicate.isObject(value)

const nodes = (value: unknown): ReadonlyArray<Node> => (Array.isArray(value) ? value.filter(isNode) : [])

// `Schema.Struct({})` takes anything but null and undefined, and its JSON Schema says so. Nothing is asked for, so an object without fields
// is what to ask for.
const isEmptyStruct = ({ not }: Node): boolean => isNode(not) && not.type === "null" && Object.keys(not).length === 1

/** Whether the parameters are an object without fields, however the schema says so. */
export const isEmpty = (schema: Node): boolean => {
  const root = resolved(schema)
  if (isEmptyStruct(root)) return true
  const { properties } = root
  return (
    root.type === "object" &&
    root.additionalProperties === false &&
    (properties === undefined || (isNode(properties) && Object.keys(properties).length === 0))
  )
}

/** The parameters of a tool that takes none. */
export const empty: Node = { type: "object", properties: {}, required: [], additionalProperties: false }

const named = (ref: unknown): string | undefined =>
  typeof ref === "string" && ref.startsWith("#/$defs/")
    ? ref.slice("#/$defs/".length).replaceAll("~1", "/").replaceAll("~0", "~")
    : undefined

const definitionsOf = (root: Node): Readonly<Record<string, Node>> => {
  const { $defs } = root
  return isNode($defs) ? ($defs as Readonly<Record<string, Node>>) : {}
}

const target = (node: Node, root: Node): Node | undefined => {
  const name = named(node.$ref)
  return name === undefined ? undefined : definitionsOf(root)[name]
}

/** The root itself, where a schema only refers to it. */
const resolved = (schema: Node): Node => {
  let root = schema
  for (let hops = 0; hops < 16; hops++) {
    const next = target(root, schema)
    if (next === undefined) break
    root = next
  }
  return root === schema ? schema : { ...root, ...("$defs" in schema ? { $defs: schema.$defs } : {}) }
}

const unions = ["anyOf", "oneOf", "allOf", "enum", "not"] as const

/** Whether the parameters with this schema are given in a field of their own, for they are no object. */
export const isWrapped = (schema: Node): boolean => {
  const root = resolved(schema)
  if (isEmptyStruct(root)) return false
  return root.type !== "object" || (root.properties === undefined && unions.some((key) => key in root))
}

const wrapped = (schema: Node): Node => {
  const { $defs, ...inner } = schema
  return {
    type: "object",
    properties: { [field]: inner },
    required: [field],
    additionalProperties: false,
    ...($defs === undefined ? {} : { $defs })
  }
}

/** Applies `change` to every node, inner ones first. */
const walk = (node: Node, change: (node: Node) => Node): Node => {
  const out: Node = {}
  for (const [key, value] of Object.entries(node)) {
    if (key === "properties" || key === "$defs" || key === "patternProperties") {
      out[key] = isNode(value)
        ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, isNode(one) ? walk(one, change) : one]))
        : value
    } else if (key === "enum" || key === "const" || key === "default" || key === "examples") {
      out[key] = value
    } else if (Array.isArray(value)) {
      out[key] = value.map((one: unknown) => (isNode(one) ? walk(one, change) : one))
    } else {
      out[key] = isNode(value) ? walk(value, change) : value
    }
  }
  return change(out)
}

// Arrays must say what is in them, as an object.
const withItems = (node: Node): Node => {
  if (node.type === "array" && !isNode(node.items)) return { ...node, items: {} }
  if (!isEmptyStruct(node)) return node
  const { not: _, ...rest } = node
  return { ...rest, type: "object" }
}

/**
 * The parameters of a tool that is not strict: an object at the root. A union of its own there is left out, which the tool's schema checks
 * when a call comes.
 */
export const plain = (schema: Node): Node => {
  const root = resolved(schema)
  if (isEmpty(schema)) return empty
  if (isWrapped(schema)) return walk(wrapped(schema), withItems)
  const own: Node = { ...root, properties: root.properties ?? {} }
  for (const key of unions) delete own[key]
  return walk(own, withItems)
}

// Looking around and back, which no engine of theirs does.
const lookaround = /\(\?<?[=!]|\\[1-9]|\\k<|\\[bB]/

const described = (node: Node, more: string): Node => ({
  ...node,
  description: typeof node.description === "string" ? `${node.description}; ${more}` : more
})

/** A conjunction as one schema, where its members do not say of one thing two things. */
const merged = (node: Node, root: Node, within: ReadonlySet<string>): Node => {
  const { allOf, ...own } = node
  const out: Node = { ...own }
  for (const member of nodes(allOf)) {
    const name = named(member.$ref)
    const at = name === undefined ? undefined : definitionsOf(root)[name]
    if (name !== undefined && (at === undefined || within.has(name))) return node
    const given = name === undefined || at === undefined ? member : tamed(at, root, new Set([...within, name]))
    for (const [key, value] of Object.entries(given)) {
      if (key === "description" && typeof out.description === "string") out.description = `${out.description}; ${value}`
      else if (key in out && JSON.stringify(out[key]) !== JSON.stringify(value)) return node
      else out[key] = value
    }
  }
  return out
}

const tamed = (from: Node, root: Node, within: ReadonlySet<string>): Node =>
  walk(from, (given) => {
    const node = "allOf" in given ? merged(given, root, within) : given
    const name = named(node.$ref)
    if (name !== undefined && Object.keys(node).some((key) => key !== "$ref" && key !== "$defs")) {
      const { $ref, ...beside } = node
      const at = definitionsOf(root)[name]
      // What refers to itself cannot be written out: there the description goes.
      if (at === undefined || within.has(name)) return { $ref, ...("$defs" in node ? { $defs: node.$defs } : {}) }
      return { ...tamed(at, root, new Set([...within, name])), ...beside }
    }
    if (typeof node.pattern === "string" && lookaround.test(node.pattern)) {
      const { pattern, ...rest } = node
      return described(rest, `it matches ${pattern}`)
    }
    return node
  })

/**
 * A schema of a strict mode without what that refuses and another form says: references with a description beside them, patterns that look
 * around. What is left out is still checked when an answer comes.
 */
export const tame = (schema: Node): Node => tamed(schema, schema, new Set())

/** What a strict mode takes at most. */
export interface Limits {
  /** Fields of all objects together. */
  readonly fields?: number | undefined
  /** How deep objects stand in objects. */
  readonly depth?: number | undefined
  /** Values of all enumerations together. */
  readonly values?: number | undefined
  /** Characters of all names and values together. */
  readonly characters?: number | undefined
}

/** The strict mode of OpenAI. */
export const openAi: Limits = { fields: 5_000, depth: 10, values: 1_000, characters: 120_000 }

/** Why a schema is beyond a strict mode, if it is. */
export const beyond = (schema: Node, limits: Limits = {}): string | undefined => {
  let fields = 0
  let values = 0
  let characters = 0
  let why: string | undefined
  const visit = (node: Node, name: string, depth: number): void => {
    if (why !== undefined) return
    if (depth > (limits.depth ?? Number.POSITIVE_INFINITY)) why = `${name} is deeper than ${limits.depth} objects`
    else if (!("type" in node || "$ref" in node || "anyOf" in node || "enum" in node)) why = `${name} has no type`
    if (Array.isArray(node.enum)) {
      values += node.enum.length
      for (const value of node.enum) characters += String(value).length
    }
    const properties = isNode(node.properties) ? Object.entries(node.properties) : []
    if (node.type === "object" && node.additionalProperties !== false) why ??= `${name} is open to other fields`
    fields += properties.length
    for (const [key, value] of properties) {
      characters += key.length
      if (isNode(value)) visit(value, `the field ${key}`, depth + 1)
    }
    if (node.type === "array") {
      if (isNode(node.items)) visit(node.items, `what is in ${name}`, depth + 1)
      else why ??= `${name} does not say what is in it`
    }
    for (const one of nodes(node.anyOf)) visit(one, name, depth)
  }
  visit(schema, "the root", 0)
  for (const [name, node] of Object.entries(definitionsOf(schema))) visit(node, name, 1)
  if (why !== undefined) return why
  const over = (count: number, most: number | undefined, what: string) =>
    most !== undefined && count > most ? `it has ${count} ${what}, and ${most} is the most` : undefined
  return (
    over(fields, limits.fields, "fields") ??
    over(values, limits.values, "values of enumerations") ??
    over(characters, limits.characters, "characters of names and values")
  )
}

/** Parameters as a wrapped tool has them on the wire. */
export const wrap = (params: unknown): object => ({ [field]: params })

/** What a model gave for a wrapped tool, without its field where it used it. */
export const unwrap = (given: unknown): unknown =>
  Predicate.isObject(given) && field in given && Object.keys(given).length === 1 ? given[field] : given

/** How many unions there are in a schema. */
export const unionsIn = (schema: Node): number => {
  let count = 0
  walk(schema, (node) => {
    if ("anyOf" in node || "oneOf" in node || Array.isArray(node.type)) count++
    return node
  })
  return count
}

/** What the APIs take of JSON Schema. */
import { type Fields, fieldsIn, isFields, type Json } from "./rule.ts"

const combinations = ["oneOf", "anyOf", "allOf", "enum", "not"] as const

/** Parameters that are not strict, as OpenAI takes them. */
export const openAiLoose = (name: string, schema: Json | undefined): string | undefined => {
  if (schema === undefined) return undefined
  if (!isFields(schema) || schema["type"] !== "object") {
    const type = isFields(schema) ? JSON.stringify(schema["type"] ?? "None") : "None"
    return `Invalid schema for function '${name}': schema must be a JSON Schema of 'type: "object"', got 'type: ${type}'.`
  }
  if (combinations.some((key) => key in schema)) {
    return `Invalid schema for function '${name}': schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.`
  }
  if (!isFields(schema["properties"])) {
    return `Invalid schema for function '${name}': In context=(), object schema missing properties.`
  }
  const bad = arrayWithoutItems(schema)
  return bad === undefined
    ? undefined
    : `Invalid schema for function '${name}': In context=${bad}, array schema missing items.`
}

const arrayWithoutItems = (node: Json, path = "()"): string | undefined => {
  if (Array.isArray(node)) {
    for (const one of node as ReadonlyArray<Json>) {
      const found = arrayWithoutItems(one, path)
      if (found !== undefined) return found
    }
    return undefined
  }
  if (!isFields(node)) return undefined
  if (node["type"] === "array" && !isFields(node["items"])) return path
  for (const [key, value] of Object.entries(node)) {
    if (key === "enum" || key === "const" || key === "default" || key === "examples") continue
    const found = arrayWithoutItems(value, `${path}.${key}`)
    if (found !== undefined) return found
  }
  return undefined
}

interface Subset {
  readonly keywords: ReadonlySet<string>
  readonly formats: ReadonlySet<string>
  readonly recursion: boolean
  /** Whether every field must be required. */
  readonly allRequired: boolean
  /** Whether keywords may stand beside a reference. */
  readonly besideRef: boolean
  readonly rootUnion: boolean
  readonly depth: number
  readonly fields: number
  readonly values: number
  readonly characters: number
}

const formats = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"]
const common = [
  "$ref",
  "$defs",
  "type",
  "title",
  "description",
  "enum",
  "anyOf",
  "properties",
  "required",
  "additionalProperties",
  "items",
  "pattern",
  "format"
]

/** https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas */
export const openAiStrict: Subset = {
  keywords: new Set([
    ...common,
    "multipleOf",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "const"
  ]),
  formats: new Set(formats),
  recursion: true,
  allRequired: true,
  besideRef: false,
  rootUnion: false,
  depth: 10,
  fields: 5_000,
  values: 1_000,
  characters: 120_000
}

/** https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations */
export const anthropicStrict: Subset = {
  keywords: new Set([...common, "const", "allOf", "default", "minItems"]),
  formats: new Set([...formats, "uri"]),
  recursion: false,
  allRequired: false,
  besideRef: true,
  rootUnion: true,
  depth: Number.POSITIVE_INFINITY,
  fields: Number.POSITIVE_INFINITY,
  values: Number.POSITIVE_INFINITY,
  characters: Number.POSITIVE_INFINITY
}

// No engine that constrains an answer looks around or back.
const lookaround = /\(\?<?[=!]|\\[1-9]|\\k<|\\[bB]/

const refName = (ref: Json | undefined): string | undefined =>
  typeof ref === "string" ? ref.replace("#/$defs/", "").replaceAll("~1", "/").replaceAll("~0", "~") : undefined

class Reader {
  readonly #subset: Subset
  readonly #defs: Fields
  #fields = 0
  #values = 0
  #characters = 0
  found: string | undefined

  constructor(subset: Subset, root: Fields) {
    this.#subset = subset
    this.#defs = isFields(root["$defs"]) ? root["$defs"] : {}
  }

  read(root: Fields): string | undefined {
    if (root["type"] !== "object" && !(this.#subset.rootUnion && ("anyOf" in root || "$ref" in root))) {
      return "the root must be of type 'object'"
    }
    if (!this.#subset.rootUnion && "anyOf" in root) return "the root must not use 'anyOf'"
    this.#node(root, "()", 0, [])
    for (const [name, node] of Object.entries(this.#defs)) {
      if (isFields(node)) this.#node(node, `('$defs', '${name}')`, 1, [name])
    }
    const { characters, fields, values } = this.#subset
    if (this.#fields > fields) this.#fail(`${this.#fields} object properties exceed the limit of ${fields}`)
    if (this.#values > values) this.#fail(`${this.#values} enum values exceed the limit of ${values}`)
    if (this.#characters > characters)
      this.#fail(`${this.#characters} characters of names and values exceed the limit of ${characters}`)
    return this.found
  }

  #fail(message: string): void {
    this.found ??= message
  }

  #node(node: Fields, at: string, depth: number, within: ReadonlyArray<string>): void {
    if (this.found !== undefined) return
    if (depth > this.#subset.depth) this.#fail(`levels of nesting exceed the limit of ${this.#subset.depth}`)
    for (const key of Object.keys(node)) {
      if (!this.#subset.keywords.has(key)) this.#fail(`In context=${at}, '${key}' is not permitted`)
    }
    if ("$ref" in node) return this.#reference(node, at, depth, within)
    if (!["type", "anyOf", "allOf", "enum", "const"].some((key) => key in node))
      this.#fail(`In context=${at}, schema must have a 'type' key`)
    if (typeof node["format"] === "string" && !this.#subset.formats.has(node["format"]))
      this.#fail(`In context=${at}, format '${node["format"]}' is not supported`)
    if (typeof node["pattern"] === "string" && lookaround.test(node["pattern"]))
      this.#fail(`In context=${at}, the pattern uses lookaround or backreferences, which are not supported`)
    if (Array.isArray(node["enum"])) this.#values += node["enum"].length
    if (node["type"] === "object") this.#object(node, at, depth, within)
    if (node["type"] === "array") {
      if (isFields(node["items"])) this.#node(node["items"], `${at}, 'items'`, depth, within)
      else this.#fail(`In context=${at}, array schema missing items`)
    }
    if (fieldsIn(node["allOf"]).some((one) => "$ref" in one))
      this.#fail(`In context=${at}, 'allOf' with '$ref' is not supported`)
    for (const one of [...fieldsIn(node["anyOf"]), ...fieldsIn(node["allOf"])])
      this.#node(one, `${at}, 'anyOf'`, depth, within)
  }

  #reference(node: Fields, at: string, depth: number, within: ReadonlyArray<string>): void {
    const beside = Object.keys(node).filter((key) => key !== "$ref" && key !== "$defs")
    if (!this.#subset.besideRef && beside.length > 0)
      this.#fail(`In context=${at}, $ref cannot have keywords {${beside.map((key) => `'${key}'`).join(", ")}}`)
    const name = refName(node["$ref"])
    const target = name === undefined ? undefined : this.#defs[name]
    if (name === undefined || !isFields(target))
      return this.#fail(`In context=${at}, the reference ${String(node["$ref"])} is not defined`)
    if (this.#subset.recursion) return
    if (within.includes(name)) return this.#fail(`In context=${at}, recursive schemas are not supported`)
    this.#node(target, at, depth, [...within, name])
  }

  #object(node: Fields, at: string, depth: number, within: ReadonlyArray<string>): void {
    if (node["additionalProperties"] !== false)
      this.#fail(`In context=${at}, 'additionalProperties' is required to be supplied and to be false`)
    const properties = isFields(node["properties"]) ? Object.entries(node["properties"]) : []
    const required: ReadonlyArray<Json> = Array.isArray(node["required"])
      ? (node["required"] as ReadonlyArray<Json>)
      : []
    this.#fields += properties.length
    for (const [key, value] of properties) {
      this.#characters += key.length
      if (this.#subset.allRequired && !required.includes(key))
        this.#fail(
          `In context=${at}, 'required' is required to be supplied and to be an array including every key in properties. Missing '${key}'`
        )
      if (isFields(value)) this.#node(value, `${at}, 'properties', '${key}'`, depth + 1, within)
    }
    for (const key of required) {
      if (!properties.some(([name]) => name === key))
        this.#fail(`In context=${at}, 'required' names '${String(key)}', which is no property`)
    }
  }
}

/** Why a schema is not in a subset. */
export const outside = (subset: Subset, schema: Json | undefined): string | undefined =>
  isFields(schema) ? new Reader(subset, schema).read(schema) : "the schema is no object"

/** How many fields are optional, and how many are unions, in all of a schema. */
export const sizeOf = (node: Json): { readonly optional: number; readonly unions: number } => {
  let optional = 0
  let unions = 0
  const visit = (value: Json): void => {
    if (Array.isArray(value)) return (value as ReadonlyArray<Json>).forEach(visit)
    if (!isFields(value)) return
    if ("anyOf" in value || Array.isArray(value["type"])) unions++
    if (isFields(value["properties"])) {
      const required: ReadonlyArray<Json> = Array.isArray(value["required"])
        ? (value["required"] as ReadonlyArray<Json>)
        : []
      optional += Object.keys(value["properties"]).filter((key) => !required.includes(key)).length
    }
    Object.values(value).forEach(visit)
  }
  visit(node)
  return { optional, unions }
}

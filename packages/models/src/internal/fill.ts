/**
 * Filling: a value that fits a JSON schema, made of what a lookup finds for each leaf and of the plainest value that
 * fits where it finds nothing. Bounded in depth and in work, so recursive schemas end.
 */
import * as Predicate from "effect/Predicate"
import { stems } from "./words.ts"

/** A JSON schema as read: any object. */
export type Json = Readonly<Record<string, unknown>>

/** A leaf of a schema. */
export interface Leaf {
  readonly name: string
  readonly words: ReadonlyArray<string>
  readonly path: ReadonlyArray<string>
  readonly description: string
  readonly format: string | undefined
  readonly type: "string" | "number" | "integer" | "boolean"
  readonly schema: Json
}

/** An answer to a leaf; `weight` 1 is evidence, less is a guess. */
export interface Answer {
  readonly value: unknown
  readonly weight: number
}

/** What fills a schema. */
export interface Source {
  readonly leaf: (leaf: Leaf) => Answer | undefined
  readonly member: (leaf: Omit<Leaf, "type">, members: ReadonlyArray<unknown>) => Answer | undefined
  /** The elements for an array; each a source of its own, or a ready value. */
  readonly items: (leaf: Omit<Leaf, "type">, items: Json) => ReadonlyArray<Source | Answer> | undefined
  /** Called with each filled object: may correct it. */
  readonly object?: ((value: Record<string, unknown>, schema: Json) => Record<string, unknown>) | undefined
}

/** A value that fits, how much of it rests on evidence, and the required leaves that rest on none. */
export interface Filled {
  readonly value: unknown
  readonly weight: number
  readonly missing: ReadonlyArray<string>
}

/** Source that finds nothing: the plainest value that fits. */
export const nothing: Source = { leaf: () => undefined, member: () => undefined, items: () => undefined }

const maxDepth = 10
const maxWork = 20_000
const maxItems = 50

const asJson = (value: unknown): Json | undefined =>
  Predicate.isObject(value) && !Array.isArray(value) ? (value as Json) : undefined

const numberOf = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined)
const listOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

/** Merges `allOf` and resolves references, so that one object holds all that is asked of a value. */
const resolve = (schema: Json, root: Json, depth = 0): Json => {
  let out: Json = schema
  if (typeof out.$ref === "string" && depth < 32) {
    const path = out.$ref
      .replace(/^#\/?/, "")
      .split("/")
      .filter((step) => step.length > 0)
    let target: unknown = root
    for (const step of path) {
      const key = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~")
      target = Predicate.isObject(target) ? (target as Json)[key] : undefined
    }
    const { $ref: _, ...rest } = out
    out = { ...resolve(asJson(target) ?? {}, root, depth + 1), ...rest }
  }
  const parts = listOf(out.allOf)
  if (parts.length === 0 || depth >= 32) return out
  const { allOf: _, ...rest } = out
  let merged: Record<string, unknown> = { ...rest }
  for (const part of parts) {
    const next = resolve(asJson(part) ?? {}, root, depth + 1)
    for (const [key, value] of Object.entries(next)) {
      const before = merged[key]
      if (before === undefined) merged[key] = value
      else if (key === "properties") merged[key] = { ...asJson(before), ...asJson(value) }
      else if (key === "required") merged[key] = [...new Set([...listOf(before), ...listOf(value)])]
      else if (/^(minimum|exclusiveMinimum|min[A-Z].*)$/.test(key))
        merged[key] = Math.max(Number(before), Number(value))
      else if (/^(maximum|exclusiveMaximum|max[A-Z].*)$/.test(key))
        merged[key] = Math.min(Number(before), Number(value))
      else if (key === "type" && before === "number" && value === "integer") merged = { ...merged, type: "integer" }
    }
  }
  return merged
}

const bounds = (schema: Json): { readonly low: number; readonly high: number; readonly step: number } => {
  const integer = schema.type === "integer"
  const step = numberOf(schema.multipleOf) ?? (integer ? 1 : 0)
  const nudge = step > 0 ? step : 1e-6
  let low = numberOf(schema.minimum) ?? -Infinity
  let high = numberOf(schema.maximum) ?? Infinity
  const above = numberOf(schema.exclusiveMinimum)
  const under = numberOf(schema.exclusiveMaximum)
  if (above !== undefined && above >= low)
    low = step > 0 ? above + nudge : above + Math.max(nudge, Math.abs(above) * 1e-9)
  if (under !== undefined && under <= high)
    high = step > 0 ? under - nudge : under - Math.max(nudge, Math.abs(under) * 1e-9)
  return { low, high, step }
}

/** The number nearest to a wish that a schema allows. */
export const clamp = (wish: number, schema: Json): number => {
  const { high, low, step } = bounds(schema)
  let value = Math.min(Math.max(wish, low), Math.max(low, high))
  if (step > 0) {
    value = Math.round(value / step) * step
    if (value < low) value = Math.ceil(low / step) * step
    if (value > high) value = Math.floor(high / step) * step
  }
  if (value < low || value > high) value = Number.isFinite(low) && Number.isFinite(high) ? (low + high) / 2 : value
  return Object.is(value, -0) ? 0 : value
}

const formats: Readonly<Record<string, string>> = {
  "date-time": "1970-01-01T00:00:00Z",
  date: "1970-01-01",
  time: "00:00:00Z",
  email: "unknown@example.invalid",
  uri: "https://example.invalid",
  uuid: "00000000-0000-4000-8000-000000000000",
  ipv4: "0.0.0.0",
  ipv6: "::",
  hostname: "example.invalid",
  duration: "PT0S"
}

/** A text cut or padded to the lengths that a schema allows. */
const fitText = (text: string, schema: Json): string => {
  const high = numberOf(schema.maxLength) ?? 10_000
  const low = numberOf(schema.minLength) ?? 0
  return text.slice(0, high).padEnd(Math.min(low, 100_000), ".")
}

const matches = (text: string, schema: Json): boolean => {
  if (typeof schema.pattern !== "string") return true
  try {
    return new RegExp(schema.pattern, "u").test(text)
  } catch {
    return true
  }
}

const plainText = (schema: Json): string => {
  const start = typeof schema.format === "string" ? (formats[schema.format] ?? "unknown") : "unknown"
  const candidates = [start, "0", "1", "a", "A", "A1", "a-0", "1970-01-01", "1970-01-01T00:00:00Z", ""]
  return candidates.map((text) => fitText(text, schema)).find((text) => matches(text, schema)) ?? fitText(start, schema)
}

const isRecursive = (schema: Json): boolean => JSON.stringify(schema).includes("$ref")

/** Fills a schema from a source; `undefined` if no value fits within the bounds of depth and work. */
export const fill = (root: Json, source: Source): Filled | undefined => {
  let work = 0

  const visit = (raw: Json, path: ReadonlyArray<string>, from: Source, required: boolean): Filled | undefined => {
    if (path.length > maxDepth * 2 || work++ > maxWork) return undefined
    const schema = resolve(raw, root)
    const name = path.findLast((step) => !/^\d+$/.test(step)) ?? ""
    const leaf = {
      name,
      words: stems(name),
      path,
      description: typeof schema.description === "string" ? schema.description : "",
      format: typeof schema.format === "string" ? schema.format : undefined,
      schema
    }
    const found = (answer: Answer): Filled => ({ value: answer.value, weight: answer.weight, missing: [] })
    const without = (value: unknown): Filled => ({ value, weight: 0, missing: required ? [path.join(".")] : [] })

    if ("const" in schema) return { value: schema.const, weight: 0, missing: [] }
    if (Array.isArray(schema.enum)) {
      if (schema.enum.length === 0) return undefined
      if (schema.enum.length === 1) return { value: schema.enum[0], weight: 0, missing: [] }
      const answer = from.member(leaf, schema.enum)
      if (answer !== undefined) return found(answer)
      return "default" in schema ? found({ value: schema.default, weight: 0 }) : without(schema.enum[0])
    }
    const union = listOf(schema.anyOf ?? schema.oneOf)
    if (union.length > 0) return visitUnion(schema, union, path, from, required, leaf)
    const types = listOf(schema.type)
    if (types.length > 0) {
      return visitUnion(
        schema,
        types.map((type) => ({ ...schema, type })),
        path,
        from,
        required,
        leaf
      )
    }
    switch (schema.type) {
      case "null":
        return { value: null, weight: 0, missing: [] }
      case "boolean": {
        const answer = from.leaf({ ...leaf, type: "boolean" })
        return answer !== undefined && typeof answer.value === "boolean"
          ? found(answer)
          : { value: typeof schema.default === "boolean" ? schema.default : false, weight: 0, missing: [] }
      }
      case "number":
      case "integer": {
        const answer = from.leaf({ ...leaf, type: schema.type })
        if (answer !== undefined && typeof answer.value === "number") {
          return found({ value: clamp(answer.value, schema), weight: answer.weight })
        }
        if (typeof schema.default === "number") return { value: schema.default, weight: 0, missing: [] }
        return without(clamp(0, schema))
      }
      case "string": {
        const answer = from.leaf({ ...leaf, type: "string" })
        if (answer !== undefined && answer.value !== null) {
          const text = fitText(String(answer.value), schema)
          if (matches(text, schema)) return found({ value: text, weight: answer.weight })
        }
        if (typeof schema.default === "string") return { value: schema.default, weight: 0, missing: [] }
        return without(plainText(schema))
      }
      case "array":
        return visitArray(schema, path, from, required, leaf)
      case "object":
        return visitObject(schema, path, from)
    }
    if (asJson(schema.properties) !== undefined) return visitObject(schema, path, from)
    if (schema.items !== undefined || schema.prefixItems !== undefined)
      return visitArray(schema, path, from, required, leaf)
    if (asJson(schema.not) !== undefined && Object.keys(asJson(schema.not)!).length === 0) return undefined
    return without(schema.default ?? (asJson(schema.not)?.type === "null" ? "unknown" : null))
  }

  const visitUnion = (
    schema: Json,
    options: ReadonlyArray<unknown>,
    path: ReadonlyArray<string>,
    from: Source,
    required: boolean,
    leaf: Omit<Leaf, "type">
  ): Filled | undefined => {
    const { anyOf: _a, oneOf: _o, type: _t, ...shared } = schema
    const choices = options
      .map((option) => ({ ...shared, ...asJson(option) }) as Json)
      .filter((option) => path.length < maxDepth || !isRecursive(option))
    const literals = choices.flatMap((choice) =>
      "const" in choice ? [choice.const] : Array.isArray(choice.enum) && choice.enum.length === 1 ? choice.enum : []
    )
    if (literals.length === choices.length && literals.length > 1) {
      const answer = from.member(leaf, literals)
      if (answer !== undefined) return { value: answer.value, weight: answer.weight, missing: [] }
      return { value: literals[0], weight: 0, missing: required ? [path.join(".")] : [] }
    }
    let best: Filled | undefined
    for (const choice of choices) {
      const next = visit(choice, path, from, required)
      if (next === undefined) continue
      const tag = tagOf(choice, root)
      const spoken = tag === undefined ? undefined : from.member(leaf, [tag])
      const weighed = spoken === undefined ? next : { ...next, weight: next.weight + 0.5 }
      if (
        best === undefined ||
        weighed.weight > best.weight ||
        (weighed.weight === best.weight && best.weight === 0 && weighed.value === null)
      ) {
        best = weighed
      }
    }
    // Below the depth at which unions may recurse the plain ones had no fit: the last resort is any of them.
    return best
  }

  const visitArray = (
    schema: Json,
    path: ReadonlyArray<string>,
    from: Source,
    required: boolean,
    leaf: Omit<Leaf, "type">
  ): Filled | undefined => {
    const prefix = listOf(schema.prefixItems)
    const low = numberOf(schema.minItems) ?? 0
    const high = Math.min(numberOf(schema.maxItems) ?? maxItems, Math.max(maxItems, low))
    const value: Array<unknown> = []
    const missing: Array<string> = []
    let weight = 0
    for (const [index, item] of prefix.entries()) {
      if (index >= Math.max(low, 0) && index > 0 && low < prefix.length && index >= low) break
      const next = visit(asJson(item) ?? {}, [...path, String(index)], from, required)
      if (next === undefined) return undefined
      value.push(next.value)
      weight += next.weight
      missing.push(...next.missing)
    }
    const items = schema.items === false ? undefined : (asJson(schema.items) ?? (prefix.length > 0 ? undefined : {}))
    const seen = new Set(value.map((entry) => JSON.stringify(entry)))
    const push = (entry: unknown): boolean => {
      const text = JSON.stringify(entry)
      if (schema.uniqueItems === true && seen.has(text)) return false
      seen.add(text)
      value.push(entry)
      return true
    }
    if (items !== undefined && path.length < maxDepth) {
      for (const item of from.items(leaf, resolve(items, root)) ?? []) {
        if (value.length >= high) break
        const itemSource: Source =
          "weight" in item
            ? {
                ...nothing,
                leaf: () => item,
                member: (_, members) => (members.includes(item.value) ? item : undefined)
              }
            : item
        const next = visit(items, [...path, String(value.length)], itemSource, false)
        if (next !== undefined && push(next.value))
          weight += Math.max(next.weight, "weight" in item ? item.weight : 0.5)
      }
    }
    if (value.length === 0 && low > 0 && required) missing.push(path.join("."))
    for (let attempt = 0; value.length < low && attempt < low + 100; attempt++) {
      const next: Filled | undefined = visit(
        items ?? {},
        [...path, String(value.length)],
        attempt === 0 ? from : nothing,
        false
      )
      if (next === undefined) return undefined
      if (!push(next.value)) push(vary(next.value, attempt))
    }
    return { value, weight, missing }
  }

  const visitObject = (schema: Json, path: ReadonlyArray<string>, from: Source): Filled | undefined => {
    const properties = asJson(schema.properties) ?? {}
    const required = new Set(listOf(schema.required).filter((name): name is string => typeof name === "string"))
    const value: Record<string, unknown> = {}
    const missing: Array<string> = []
    let weight = 0
    for (const [name, property] of Object.entries(properties)) {
      const needed = required.has(name)
      // A deep optional property is left out before it is looked at: that is what ends a recursion.
      if (!needed && path.length >= maxDepth / 2) continue
      const next = visit(asJson(property) ?? {}, [...path, name], from, needed)
      if (next === undefined) {
        if (needed) return undefined
        continue
      }
      if (!needed && next.weight < 0.7) continue
      Object.defineProperty(value, name, { value: next.value, enumerable: true, writable: true, configurable: true })
      weight += next.weight
      if (needed) missing.push(...next.missing)
    }
    const low = numberOf(schema.minProperties) ?? 0
    const additional = asJson(schema.additionalProperties) ?? {}
    for (const name of required) {
      if (Object.hasOwn(value, name)) continue
      const next = visit(additional, [...path, name], from, true)
      if (next === undefined) return undefined
      value[name] = next.value
      missing.push(...next.missing)
    }
    for (let index = 0; Object.keys(value).length < low && index < 100; index++) {
      const next = visit(additional, [...path, `key${index}`], nothing, false)
      if (next === undefined) return undefined
      value[`key${index}`] = next.value
    }
    return { value: from.object === undefined ? value : from.object(value, schema), weight, missing }
  }

  return visit(root, [], source, true)
}

const vary = (value: unknown, attempt: number): unknown =>
  typeof value === "number" ? value + attempt + 1 : typeof value === "string" ? `${value}${attempt}` : value

const tagOf = (schema: Json, root: Json): string | undefined => {
  const properties = asJson(resolve(schema, root).properties) ?? {}
  for (const property of Object.values(properties)) {
    const own = asJson(property)
    const literal = own?.const ?? (Array.isArray(own?.enum) && own.enum.length === 1 ? own.enum[0] : undefined)
    if (typeof literal === "string") return literal
  }
  return undefined
}

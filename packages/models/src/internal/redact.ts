/**
 * Redaction: takes secrets out of data before it is written: values that look like keys, values of fields that are named
 * like secrets, and the secrets that the caller names.
 */
import * as Predicate from "effect/Predicate"
import type { Part } from "../Middleware.ts"

/** What stands in the place of a secret. */
export const placeholder = "[secret]"

/** Texts that are secrets by their form. */
export const patterns: ReadonlyArray<RegExp> = [
  /\bsk-[A-Za-z0-9_-]{16,}/g,
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g,
  /\bgh[pousr]_[A-Za-z0-9]{30,}/g,
  /\bgithub_pat_[A-Za-z0-9_]{40,}/g,
  /\bgl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_-]{16,}(?:\.[A-Za-z0-9_-]+)*/g,
  /\b[rs]k_(?:live|test)_[A-Za-z0-9]{10,}/g,
  /\bxox[abeprs]-[A-Za-z0-9-]{10,}/g,
  /\bAIza[0-9A-Za-z_-]{35}/g,
  /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}/g,
  /\bBearer\s+[A-Za-z0-9._~+/=-]{8,}/gi,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g,
  // The password of an address with one.
  /(?<=\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@]+:)[^\s:/@]+(?=@)/gi
]

// ---- Names

// The ends of names, in words that `_` divides.
const secretName =
  /(?:^(?:(?:proxy_)?authorization|(?:set_)?cookie)|passwords?|passwd|secrets?|(?:api|private|access|secret)_?keys?|token)$/

/** A place among pages, which a tool that runs again needs, or a count. */
const plainToken = /(?:^|_)(?:page|next|previous|prev|continuation|sync|resume|max|min|per)_token$/

/** Whether a field's name says that its value is a secret. */
const isSecretName = (name: string): boolean => {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/[^A-Za-z0-9]+/g, "_")
    .toLowerCase()
  return secretName.test(words) && !plainToken.test(words)
}

/** The beginning of a field of JSON: up to the quote of its text, or with its number. */
const field = /"([\w.-]{1,64})"\s*:\s*("|-?\d[\d.eE+-]*)/g

/** Where the text of JSON that begins here ends: at its quote, or where it is cut. */
const endOfText = (json: string, start: number): number => {
  let at = start
  while (at < json.length && json[at] !== '"') at += json[at] === "\\" ? 2 : 1
  return Math.min(at, json.length)
}

/** Also in JSON that stands among words or is cut, which no parser reads. */
const withoutFields = (text: string): string => {
  let out = ""
  let done = 0
  for (const { 0: all, 1: name, 2: value, index } of text.matchAll(field)) {
    if (index < done || !isSecretName(name!)) continue
    const start = index + all.length
    // Not by an expression: one that repeats over escapes overflows the stack in a long text.
    const end = value === '"' ? endOfText(text, start) : start
    if (value === '"' && end === start) continue
    out += `${text.slice(done, start - value!.length)}"${placeholder}${value === '"' ? "" : '"'}`
    done = end
  }
  return out + text.slice(done)
}

/** A parameter of an address. */
const parameter = /([?&;#]([\w.-]{1,64})=)[^\s&#"'`<>()\\]+/g

const withoutNamed = (text: string): string =>
  withoutFields(text).replace(parameter, (all, before: string, name: string) =>
    isSecretName(name) ? before + placeholder : all
  )

const isSecretValue = (value: unknown): boolean =>
  typeof value === "string" || typeof value === "number" || (typeof value === "object" && value !== null)

// ---- JSON schemas

const schemaTypes = new Set(["string", "number", "integer", "boolean", "array", "object", "null"])
const namesOfSchemas = new Set(["properties", "$defs", "definitions"])
const valuesOfSchemas = new Set(["const", "default", "enum", "example", "examples", "value"])

/** Whether a value says what a field is like, and is not its value. */
const isSchema = (value: unknown): value is object =>
  Predicate.isObject(value) &&
  ((Predicate.hasProperty(value, "type") && schemaTypes.has(String(value.type))) ||
    ["$ref", "anyOf", "oneOf", "allOf", "enum", "const"].some((name) => Object.hasOwn(value, name)))

const withoutValues = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(withoutValues)
  if (!Predicate.isObject(schema)) return schema
  return Object.fromEntries(
    Object.entries(schema).map(([name, own]) => [name, valuesOfSchemas.has(name) ? placeholder : withoutValues(own)])
  )
}

// ---- Redactors

/** Takes secrets out of texts and data. */
export interface Redactor {
  /** By form, and by the names in addresses and in JSON that the text holds. */
  readonly text: (text: string) => string
  /** Also all that is in it, where the text as a whole is JSON. */
  readonly string: (text: string) => string
  /** By form and by name, also in its strings. What is clean already stays as it is. */
  readonly data: (value: unknown) => unknown
}

/** The text of a JSON object or list with what is in it changed; as it was written where nothing changes. */
const withinJson = (text: string, change: (value: unknown) => unknown): string => {
  if (!/^\s*[[{]/.test(text)) return text
  try {
    const value: unknown = JSON.parse(text)
    const changed = JSON.stringify(change(value))
    return changed === JSON.stringify(value) ? text : changed
  } catch {
    // Not JSON, or deeper than the stack: it is still cleaned as a text.
    return text
  }
}

/** A redactor for secrets by form and by name. */
export const make = (secrets: ReadonlyArray<string>, more: ReadonlyArray<RegExp>): Redactor => {
  // The longest first, so that a secret that holds another goes as a whole; very short ones would take words apart.
  const known = secrets.filter((secret) => secret.length >= 4).sort((left, right) => right.length - left.length)
  const all = [...patterns, ...more.map((pattern) => new RegExp(pattern.source, `${pattern.flags.replace("g", "")}g`))]
  const text = (value: string): string => {
    let out = value
    for (const secret of known) out = out.replaceAll(secret, placeholder)
    for (const pattern of all) out = out.replace(pattern, placeholder)
    return withoutNamed(out)
  }
  const named = (name: string, value: unknown, within: string): unknown => {
    if (!isSecretName(name) || !isSecretValue(value)) return clean(value, name)
    return namesOfSchemas.has(within) && isSchema(value) ? clean(withoutValues(value), name) : placeholder
  }
  const clean = (value: unknown, within: string): unknown => {
    if (typeof value === "string") return string(value)
    if (Array.isArray(value)) return value.map((own) => clean(own, ""))
    if (!Predicate.isObject(value)) return value
    return Object.fromEntries(Object.entries(value).map(([name, own]) => [text(name), named(name, own, within)]))
  }
  const string = (value: string): string => text(withinJson(value, (json) => clean(json, "")))
  return { text, string, data: (value) => clean(value, "") }
}

// ---- Streams

/**
 * The block that each part is a piece of. An id that is begun anew, as when a stream is restarted, is another block: the two
 * together would not be JSON.
 */
const blocksOf = (all: ReadonlyArray<Part>): ReadonlyArray<string | undefined> => {
  const begun = new Map<string, number>()
  return all.map((part) => {
    const [, kind, event] = /^(text|reasoning|tool-params)-(start|delta)$/.exec(part.type) ?? []
    if (kind === undefined || !("id" in part)) return undefined
    const block = `${kind} ${part.id}`
    if (event === "start") begun.set(block, (begun.get(block) ?? 0) + 1)
    return event === "delta" ? `${begun.get(block) ?? 0} ${block}` : undefined
  })
}

/** The parts of a stream without secrets, also where a secret, or the field that names it, was divided among pieces. */
export const parts = (redactor: Redactor, all: ReadonlyArray<Part>): ReadonlyArray<Part> => {
  const blocks = blocksOf(all)
  const whole = new Map<string, string>()
  for (const [index, part] of all.entries()) {
    const block = blocks[index]
    if (block !== undefined && "delta" in part) whole.set(block, (whole.get(block) ?? "") + part.delta)
  }
  const cleaned = new Map([...whole].map(([block, text]) => [block, redactor.string(text)]))
  const said = new Set<string>()
  return all.flatMap((part, index): ReadonlyArray<Part> => {
    const block = blocks[index]
    if (block === undefined || !("delta" in part)) return [redactor.data(part) as Part]
    const text = cleaned.get(block)!
    if (text === whole.get(block)) return [part]
    if (said.has(block)) return []
    said.add(block)
    return [{ ...part, delta: text }]
  })
}

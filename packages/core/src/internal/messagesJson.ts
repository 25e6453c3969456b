// The messages that make up nearly all of a conversation as JSON and back, as the schema of `Prompt` does it and at a
// fraction of its cost. What is not of the plain form is `undefined`: it is for the schema. That a call's arguments and
// a result are JSON is not looked into here.
import * as Prompt from "effect/ai/Prompt"
import * as Predicate from "effect/Predicate"

type Fields = Readonly<Record<string, unknown>>

/** The fields of a part besides its type and options, in the schema's order. */
const partFields: Readonly<
  Record<string, ReadonlyArray<readonly [name: string, type: "string" | "boolean" | "json"]>>
> = {
  text: [["text", "string"]],
  reasoning: [["text", "string"]],
  "tool-call": [
    ["id", "string"],
    ["name", "string"],
    ["params", "json"],
    ["providerExecuted", "boolean"]
  ],
  "tool-result": [
    ["id", "string"],
    ["name", "string"],
    ["isFailure", "boolean"],
    ["result", "json"],
    ["providerExecuted", "boolean"]
  ]
}

const roleParts: Readonly<Record<string, ReadonlyArray<string>>> = {
  user: ["text"],
  assistant: ["text", "reasoning", "tool-call", "tool-result"],
  tool: ["tool-result"]
}

const brandOf = (value: object): Fields =>
  Object.fromEntries(Object.entries(value).filter(([key]) => key.startsWith("~effect/")))
const sample = Prompt.textPart({ text: "" })
const partBrand = brandOf(sample)
const messageBrand = brandOf(Prompt.assistantMessage({ content: [sample] }))

const isPlainObject = (u: unknown): u is Fields => {
  if (!Predicate.isObject(u)) return false
  const prototype: unknown = Object.getPrototypeOf(u)
  return prototype === Object.prototype || prototype === null
}

// A value has its brand and nothing else that its JSON has not; what has more or less is not plain.
const hasOnly = (fields: Fields, brand: Fields | undefined, count: number): boolean => {
  if (Object.keys(fields).length !== count + (brand === undefined ? 0 : 1)) return false
  for (const key in brand) if (fields[key] !== brand[key]) return false
  return true
}

const convertPart = (
  part: unknown,
  types: ReadonlyArray<string>,
  from: Fields | undefined,
  to: Fields | undefined
): Fields | undefined => {
  if (!isPlainObject(part)) return undefined
  const { options, type } = part
  if (!Predicate.isString(type) || !types.includes(type) || !isPlainObject(options)) return undefined
  const fields = partFields[type]!
  if (!hasOnly(part, from, fields.length + 2)) return undefined
  const converted: Record<string, unknown> = { ...to, options, type }
  for (const [name, expected] of fields) {
    const value = part[name]
    if (expected === "json" ? value === undefined : typeof value !== expected) return undefined
    converted[name] = value
  }
  return converted
}

const convertParts = (
  parts: unknown,
  types: ReadonlyArray<string>,
  from: Fields | undefined,
  to: Fields | undefined
): Array<Fields> | undefined => {
  if (!Array.isArray(parts)) return undefined
  const converted: Array<Fields> = []
  for (const part of parts) {
    const one = convertPart(part, types, from, to)
    if (one === undefined) return undefined
    converted.push(one)
  }
  return converted
}

const convertMessages = (
  messages: unknown,
  brand: Fields | undefined,
  convert: (message: Fields, types: ReadonlyArray<string>) => Fields | undefined
): Array<Fields> | undefined => {
  if (!Array.isArray(messages)) return undefined
  const converted: Array<Fields> = []
  for (const message of messages) {
    if (!isPlainObject(message) || !isPlainObject(message["options"]) || !hasOnly(message, brand, 3)) return undefined
    const { role } = message
    const types = Predicate.isString(role) && Object.hasOwn(roleParts, role) ? roleParts[role] : undefined
    const one = types === undefined ? undefined : convert(message, types)
    if (one === undefined) return undefined
    converted.push(one)
  }
  return converted
}

// One text without options is its text, except for tools, who have none.
const encodeContent = (parts: ReadonlyArray<Fields>): unknown => {
  const [only] = parts
  return parts.length === 1 && only!["type"] === "text" && Object.keys(only!["options"] as object).length === 0
    ? only!["text"]
    : parts
}

/** A prompt as JSON. */
export const encode = ({ content }: Prompt.Prompt): Fields | undefined => {
  const messages = convertMessages(content, messageBrand, ({ content, options, role }, types) => {
    const parts = convertParts(content, types, partBrand, undefined)
    return parts === undefined ? undefined : { options, role, content: encodeContent(parts) }
  })
  return messages === undefined ? undefined : { content: messages }
}

/** A prompt from JSON. */
export const decode = (json: unknown): Prompt.Prompt | undefined => {
  if (!isPlainObject(json) || !hasOnly(json, undefined, 1)) return undefined
  const messages = convertMessages(json["content"], undefined, ({ content, options, role }, types) => {
    const parts = Predicate.isString(content)
      ? types.includes("text")
        ? [{ ...partBrand, options: {}, type: "text", text: content }]
        : undefined
      : convertParts(content, types, undefined, partBrand)
    return parts === undefined ? undefined : { ...messageBrand, options, role, content: parts }
  })
  // Checked field by field above.
  return messages === undefined ? undefined : Prompt.fromMessages(messages as unknown as ReadonlyArray<Prompt.Message>)
}

// JSON and texts that are told to a model, within bounds.
import type * as Schema from "effect/Schema"
import type { ToolOutcome } from "../ToolOutcome.ts"

const maxText = 2000

// Half of a character is no text, and providers refuse it.
const isHalf = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff

/** A text within bounds; what was left out is said. */
export const shorten = (text: string): string => {
  if (text.length <= maxText) return text
  const kept = isHalf(text.charCodeAt(maxText - 1)) ? maxText - 1 : maxText
  return `${text.slice(0, kept)}… (${text.length - kept} more characters)`
}

/** What a model gave, as JSON; a value that is none (it can only come from a program) becomes its text. */
export const toJson = (value: unknown): Schema.Json => {
  try {
    const text = JSON.stringify(value)
    return text === undefined ? null : (JSON.parse(text) as Schema.Json)
  } catch {
    return String(value)
  }
}

/** What a failure says of itself, for the model. */
export const describe = (error: unknown, failure: Schema.Json): string => {
  if (error instanceof Error && error.message !== "") return error.message
  if (typeof failure === "string") return failure
  if (failure !== null) return JSON.stringify(failure)
  return typeof error === "string" ? error : JSON.stringify(toJson(error))
}

const utf8Length = (text: string): number => {
  let bytes = 0
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return bytes
}

/** Bytes of JSON that a model is given for an outcome. Binary content counts by its length. */
export const sizeOf = ({ modelOutput, result }: ToolOutcome): number => {
  if (modelOutput === undefined) return utf8Length(JSON.stringify(result))
  return modelOutput.reduce((sum, part) => {
    if (part.type === "text") return sum + utf8Length(part.text)
    return sum + (part.data instanceof Uint8Array ? part.data.byteLength : String(part.data).length)
  }, 0)
}

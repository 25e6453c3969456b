/**
 * Tokens where a model does not say how many it took: too many rather than too few, so that a limit holds.
 */
import * as Predicate from "effect/Predicate"

// Texts of Latin letters have three to five bytes a token, others about three.
const bytesPerToken = 3

// Bytes of files are no text: an image takes about this many.
const tokensOfFile = 1_600

const bytesOfText = (text: string): number => {
  let bytes = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : 3
  }
  return bytes
}

const bytesOf = (value: unknown): number => {
  if (typeof value === "string") return bytesOfText(value)
  if (Array.isArray(value)) return value.reduce((sum: number, one) => sum + bytesOf(one), 0)
  if (value instanceof Uint8Array) return tokensOfFile * bytesPerToken
  if (!Predicate.isObject(value)) return 1
  if ("type" in value && value.type === "file") return tokensOfFile * bytesPerToken
  return Object.entries(value).reduce(
    (sum, [name, one]) => sum + (passed.has(name) ? 0 : name.length + bytesOf(one)),
    0
  )
}

// What is said of a part is no part of it.
const passed: ReadonlySet<string> = new Set(["type", "options", "metadata", "usage", "response"])

/** The tokens that messages, or parts of an answer, take. */
export const tokens = (value: unknown): number => Math.ceil(bytesOf(value) / bytesPerToken)

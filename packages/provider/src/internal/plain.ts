/**
 * Parts of answers that are usual, decoded by hand: one pass over a part in place of one over the schema of all parts, which takes
 * most of the time in which an answer is decoded. What is unusual in a part, or wrong, is left to the schema and its errors.
 */
import * as Response from "effect/ai/Response"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

type Fields = Record<string, unknown>

/** What a part of one kind has of its own. */
type Make = (part: Fields) => Fields | undefined

const isPlain = (value: unknown): value is Fields => {
  if (!Predicate.isObject(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** How deep JSON is looked into by hand. */
const deepest = 32

const isJson = (value: unknown, depth = 0): boolean => {
  if (value === null || typeof value === "string" || typeof value === "boolean") return true
  if (typeof value === "number") return Number.isFinite(value)
  if (depth === deepest) return false
  if (!Array.isArray(value)) return isPlain(value) && Object.values(value).every((one) => isJson(one, depth + 1))
  // A hole is no JSON.
  for (let index = 0; index < value.length; index++) if (!isJson(value[index], depth + 1)) return false
  return true
}

const copied = (record: Fields): Fields => Object.fromEntries(Object.entries(record))

const texts: Make = ({ text }) => (typeof text === "string" ? { text } : undefined)

const decodeTimestamp = Schema.decodeUnknownExit(Schema.DateTimeUtcFromString)

const responseMetadata: Make = (part) => {
  const found: Fields = {}
  for (const key of ["id", "modelId", "timestamp"]) {
    // A key that is there and says nothing stays there, as the schema has it.
    if (!(key in part)) continue
    if (part[key] !== undefined && typeof part[key] !== "string") return undefined
    found[key] = part[key]
  }
  if (found["timestamp"] === undefined) return found
  const timestamp = decodeTimestamp(found["timestamp"])
  return Exit.isSuccess(timestamp) ? { ...found, timestamp: timestamp.value } : undefined
}

const http = (value: unknown): Fields | undefined =>
  isPlain(value) &&
  Number.isSafeInteger(value["status"]) &&
  isPlain(value["headers"]) &&
  Object.values(value["headers"]).every(Predicate.isString)
    ? { status: value["status"], headers: copied(value["headers"]) }
    : undefined

const reasons: ReadonlySet<unknown> = new Set(Response.FinishReason.literals)

const decodeUsage = Schema.decodeUnknownExit(Response.Usage)

const finish: Make = (part) => {
  const { reason } = part
  const usage = decodeUsage(part["usage"])
  if (!reasons.has(reason) || Exit.isFailure(usage)) return undefined
  const fields = { reason, usage: usage.value }
  if (!("response" in part)) return fields
  const response = http(part["response"])
  return response === undefined && part["response"] !== undefined ? undefined : { ...fields, response }
}

const makers: ReadonlyMap<unknown, Make> = new Map([
  ["text", texts],
  ["reasoning", texts],
  ["response-metadata", responseMetadata],
  ["finish", finish]
])

/** The part that a value encodes, `undefined` where only the schema can tell. */
export const plainly = (value: unknown): Response.Part<{}> | undefined => {
  if (!isPlain(value) || Response.isPart(value)) return undefined
  const { metadata = {}, type } = value
  if (!isPlain(metadata) || !isJson(metadata)) return undefined
  const own = makers.get(type)?.(value)
  if (own === undefined) return undefined
  // In the order in which the schema has it. That its fields are those of its type was found above.
  const part = { "~effect/ai/Response/Part": "~effect/ai/Response/Part", metadata: copied(metadata), type, ...own }
  return part as unknown as Response.Part<{}>
}

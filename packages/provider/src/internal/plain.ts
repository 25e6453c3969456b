/**
 * Parts of answers that are usual, decoded by hand: one pass over a part in place of one over the schema of all parts, which takes
 * most of the time in which an answer is decoded. What is unusual in a part, or wrong, is left to the schema and its errors.
 */
import * as Response from "effect/ai/Response"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

type Fields = Record<string, unknown>
type Metadata = typeof Response.ProviderMetadata.Type
type Make = (part: Fields, metadata: Metadata) => Response.Part<{}> | undefined

const isPlain = (value: unknown): value is Fields => {
  if (!Predicate.isObject(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const isJson = (value: unknown): boolean =>
  value === null ||
  typeof value === "string" ||
  typeof value === "boolean" ||
  (typeof value === "number" && Number.isFinite(value)) ||
  (Array.isArray(value) ? value.every(isJson) : isPlain(value) && Object.values(value).every(isJson))

// A key that is there and says nothing stays there, as the schema has it.
const picked = (from: Fields, keys: ReadonlyArray<string>, fits: (value: unknown) => boolean): Fields | undefined => {
  const found: Fields = {}
  for (const key of keys) {
    if (!(key in from)) continue
    const value = from[key]
    if (value !== undefined && !fits(value)) return undefined
    found[key] = value
  }
  return found
}

const texts =
  (type: "text" | "reasoning"): Make =>
  (part, metadata) =>
    typeof part["text"] === "string" ? Response.makePart(type, { text: part["text"], metadata }) : undefined

const decodeTimestamp = Schema.decodeUnknownExit(Schema.DateTimeUtcFromString)

const responseMetadata: Make = (part, metadata) => {
  const names = picked(part, ["id", "modelId"], Predicate.isString)
  if (names === undefined) return undefined
  if (part["timestamp"] === undefined) {
    return Response.makePart("response-metadata", { ...names, ...picked(part, ["timestamp"], () => false), metadata })
  }
  const timestamp = decodeTimestamp(part["timestamp"])
  return Exit.isSuccess(timestamp)
    ? Response.makePart("response-metadata", { ...names, timestamp: timestamp.value, metadata })
    : undefined
}

const reasons: ReadonlySet<unknown> = new Set(Response.FinishReason.literals)
const isReason = (value: unknown): value is Response.FinishReason => reasons.has(value)

const decodeUsage = Schema.decodeUnknownExit(Response.Usage)

const isHttp = (value: unknown): value is typeof Response.HttpResponseDetails.Type =>
  isPlain(value) &&
  Number.isSafeInteger(value["status"]) &&
  isPlain(value["headers"]) &&
  Object.values(value["headers"]).every(Predicate.isString)

const finish: Make = (part, metadata) => {
  const { reason, response } = part
  if (!isReason(reason) || (response !== undefined && !isHttp(response))) return undefined
  const usage = decodeUsage(part["usage"])
  if (Exit.isFailure(usage)) return undefined
  const http =
    response === undefined
      ? picked(part, ["response"], () => false)
      : { response: { status: response.status, headers: { ...response.headers } } }
  return Response.makePart("finish", { reason, usage: usage.value, ...http, metadata })
}

const makers: ReadonlyMap<unknown, Make> = new Map([
  ["text", texts("text")],
  ["reasoning", texts("reasoning")],
  ["response-metadata", responseMetadata],
  ["finish", finish]
])

// What marks parts that were decoded already.
const PartTypeId = "~effect/ai/Response/Part"

/** The part that a value encodes, `undefined` where only the schema can tell. */
export const plainly = (value: unknown): Response.Part<{}> | undefined => {
  if (!isPlain(value) || PartTypeId in value) return undefined
  const { metadata } = value
  if (metadata !== undefined && !(isPlain(metadata) && isJson(metadata))) return undefined
  return makers.get(value["type"])?.(value, (metadata ?? {}) as Metadata)
}

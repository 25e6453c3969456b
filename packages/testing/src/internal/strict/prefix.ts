/** What stands before a block in a conversation, as the API compares it: without cache breakpoints, turns or no turns. */
import { createHash } from "node:crypto"
import { type Fields, fieldsIn, isFields, type Json } from "./rule.ts"

const without = (value: Json): Json => {
  if (Array.isArray(value)) return (value as ReadonlyArray<Json>).map(without)
  if (!isFields(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, one]) => (key === "cache_control" ? [] : [[key, without(one)]]))
  )
}

/** A mark of a request's system text, tools and messages. */
export const mark = (body: Fields): string => {
  const hash = createHash("sha256")
  hash.update(JSON.stringify(without([body["system"] ?? null, body["tools"] ?? null])))
  for (const { content, role } of fieldsIn(body["messages"])) {
    const blocks = typeof content === "string" ? [{ type: "text", text: content }] : fieldsIn(content)
    for (const block of blocks) hash.update(`\n${String(role)} ${JSON.stringify(without(block))}`)
  }
  return hash.digest("base64")
}

/**
 * The state of a thread as its graph gives it, as JSON.
 *
 * What the journal holds as JSON is taken from there, as the schemas of the program wrote it. Only what the journal
 * does not hold is made from the typed state: results of a channel's own reducer, and initial values.
 *
 * @since 0.1.0
 */
import * as Prompt from "effect/ai/Prompt"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { Folded } from "./StateFold.ts"

const encodePrompt = Schema.encodeSync(Schema.toCodecJson(Prompt.Prompt))

// JSON.stringify throws on a bigint, and drops what a Map, a Set or a Prompt holds.
const toJson = (_: string, value: unknown): unknown => {
  if (typeof value === "bigint") return String(value)
  if (Prompt.isPrompt(value)) return encodePrompt(value)
  if (value instanceof Map || value instanceof Set) return Array.from(value)
  return value
}

/** The typed state with the journal's own JSON where there is one. */
export const merge = (typed: unknown, folded: Folded): unknown => {
  if (!Predicate.isObject(typed)) return folded.state
  const state: Record<string, unknown> = {}
  for (const [channel, value] of Object.entries(typed)) {
    const journaled = folded.unfolded.includes(channel) ? undefined : folded.state[channel]
    const text = journaled === undefined ? JSON.stringify(value, toJson) : undefined
    if (journaled !== undefined) state[channel] = journaled
    else if (text !== undefined) state[channel] = JSON.parse(text)
  }
  return state
}

/**
 * Decision: which tools to call next. First everything that only reads, is to the point and can be filled; then the
 * actions that are asked for; nothing twice; nothing without end.
 */
import type * as Tool from "effect/ai/Tool"
import * as Predicate from "effect/Predicate"
import { canonicalText } from "./canonical.ts"
import type { Conversation, Observation } from "./conversation.ts"
import * as Extract from "./extract.ts"
import { collect } from "./facts.ts"
import { fill, type Filled, type Json, nothing } from "./fill.ts"
import { obstacles } from "./grounds.ts"
import { corrected } from "./hints.ts"
import * as Knowledge from "./knowledge.ts"
import { unusableBy } from "./select.ts"
import { isAsked, type Known, know, relevance } from "./tools.ts"
import { affirmedStems, contentStems, stems } from "./words.ts"

/** A call to make. */
export interface Call {
  readonly tool: Tool.Any
  readonly name: string
  readonly params: unknown
}

/** What may be called. */
export interface Choice {
  readonly tools: ReadonlyArray<Tool.Any>
  readonly required: boolean
  /** The one tool that must be called. */
  readonly only: string | undefined
}

/** The calls to make, in groups: the first group of which a call proves valid is made. */
export interface Decision {
  readonly groups: ReadonlyArray<ReadonlyArray<Call>>
  readonly notes: ReadonlyArray<string>
}

/** The most tool calls that one request may lead to. */
export const maxCalls = 32
const maxPerTool = 8
const maxTargets = 8

const asJson = (value: unknown): Json => (Predicate.isObject(value) && !Array.isArray(value) ? (value as Json) : {})

const speaksOf = (observation: Observation, value: string): boolean =>
  canonicalText(observation.params).includes(JSON.stringify(value)) ||
  canonicalText(observation.result).includes(JSON.stringify(value))

/** The things that a request names for a tool's identifying parameter, if it names more than one. */
const targetsOf = (known: Known, text: string): ReadonlyArray<{ readonly name: string; readonly value: string }> => {
  const properties = asJson(known.schema.properties)
  const required = Array.isArray(known.schema.required) ? known.schema.required : []
  for (const [name, property] of Object.entries(properties)) {
    const own = asJson(property)
    if (!required.includes(name) || own.type !== "string" || Array.isArray(own.enum)) continue
    const words = stems(name)
    const wanted = {
      name,
      words: Knowledge.isGeneric(words) ? [...known.nouns, ...words] : words,
      description: typeof own.description === "string" ? own.description : "",
      format: undefined
    }
    if (!Extract.wantsIdentifier(wanted)) continue
    const values = Extract.identifiers(wanted, text).filter((found) => found.certainty === "stated")
    if (values.length > 0) return values.slice(0, maxTargets).map((found) => ({ name, value: String(found.value) }))
  }
  return []
}

/** Decides what to call next. */
export const decide = (conversation: Conversation, choice: Choice, now: number): Decision => {
  const notes: Array<string> = []
  const since = conversation.observations.slice(conversation.observations.length - conversation.callsSinceRequest)
  if (choice.tools.length === 0) return { groups: [], notes }
  if (since.length >= maxCalls) return { groups: [], notes: [`stopped after ${maxCalls} tool calls for one request`] }

  const made = new Set(
    conversation.observations.map((observation) => `${observation.tool}${canonicalText(observation.params)}`)
  )
  const said = contentStems(`${conversation.said}\n${conversation.instructions}`)
  // What the words forbid is not what they are about.
  const affirmed = affirmedStems(`${conversation.said}\n${conversation.instructions}`)
  const request = conversation.request
  const knownTools = choice.tools
    .filter((tool) => choice.only === undefined || tool.name === choice.only)
    .map(know)
    .filter(Predicate.isNotUndefined)

  interface Attempt {
    readonly target: { readonly name: string; readonly value: string } | undefined
    readonly filled: Filled | undefined
    readonly observations: ReadonlyArray<Observation>
  }

  const attempts = (known: Known): ReadonlyArray<Attempt> => {
    const targets = targetsOf(known, request.length > 0 ? request : conversation.said)
    const several = targets.length > 1 ? targets : [targets[0]]
    return several.map((target) => {
      const speaking =
        target === undefined
          ? []
          : conversation.observations.filter((observation) => speaksOf(observation, target.value))
      const observations = speaking.length > 0 ? speaking : conversation.observations
      const facts = collect(conversation, observations)
      const purpose = { words: known.words, nouns: known.nouns, action: !known.readonly, target }
      return {
        target,
        observations,
        filled: fill(known.schema, Knowledge.forTool({ conversation, facts, now }, purpose))
      }
    })
  }

  const fresh = (known: Known, params: unknown): boolean => {
    const key = `${known.name}${canonicalText(params)}`
    return !made.has(key) && since.filter((observation) => observation.tool === known.name).length < maxPerTool
  }

  const unique = (calls: ReadonlyArray<Call>): ReadonlyArray<Call> => {
    const seen = new Set<string>()
    return calls.filter((call) => {
      const key = `${call.name}${canonicalText(call.params)}`
      return seen.has(key) ? false : (seen.add(key), true)
    })
  }

  const fillable = (known: Known): ReadonlyArray<Call> =>
    attempts(known).flatMap(({ filled }) =>
      filled !== undefined && filled.missing.length === 0 && fresh(known, filled.value)
        ? [{ tool: known.tool, name: known.name, params: filled.value }]
        : []
    )

  const isRelevant = (known: Known): boolean => {
    const score = relevance(known, said)
    const parameters = Object.keys(asJson(known.schema.properties))
    return score >= 2 || (parameters.length > 0 && (score > 0 || targetsOf(known, request).length > 0))
  }

  const readers = knownTools.filter((known) => known.readonly)
  const reading = unique(readers.filter(isRelevant).flatMap(fillable))

  const acting = knownTools
    .filter((known) => !known.readonly)
    .flatMap((known): ReadonlyArray<ReadonlyArray<Call>> => {
      if (choice.only === undefined && !isAsked(known, request, conversation.instructions)) return []
      const calls = attempts(known).flatMap(({ filled, observations, target }): ReadonlyArray<Call> => {
        const earlier = since.filter(
          (observation) =>
            observation.tool === known.name && (target === undefined || speaksOf(observation, target.value))
        )
        const before = earlier.at(-1)
        if (before !== undefined) {
          const within = earlier.every(({ status }) => status === "failed") ? corrected(earlier) : undefined
          if (within !== undefined && fresh(known, within)) {
            return [{ tool: known.tool, name: known.name, params: within }]
          }
          if (before.status === "denied") notes.push(`${known.name} was denied and is not tried again`)
          if (before.status === "failed") notes.push(`${known.name} failed, and its error says nothing to try instead`)
          if (before.status === "pending") notes.push(`${known.name} waits for its result or its approval`)
          return []
        }
        const holding = observations
          .filter(({ status }) => status === "done")
          .map(({ result, tool }) => ({ tool, mark: unusableBy(asJson(result), affirmed) }))
          .find(({ mark }) => mark !== undefined)
        const subject = target === undefined ? "" : ` for ${target.value}`
        if (holding !== undefined) {
          notes.push(`${known.name}${subject} was not called: ${holding.tool} says ${holding.mark}`)
          return []
        }
        if (filled === undefined || filled.missing.length > 0) {
          const against = obstacles(observations, collect(conversation, observations).choices, affirmed).slice(0, 2)
          const missing = `nothing was found for ${filled?.missing.join(", ") ?? "its parameters"}`
          notes.push(
            `${known.name}${subject} was not called: ${against.length > 0 ? `${against.join(", ")}; ` : ""}${missing}`
          )
          return []
        }
        return fresh(known, filled.value) ? [{ tool: known.tool, name: known.name, params: filled.value }] : []
      })
      return calls.length > 0 ? [unique(calls)] : []
    })

  const groups: Array<ReadonlyArray<Call>> = []
  if (reading.length > 0) groups.push(reading.slice(0, maxCalls - since.length))
  groups.push(...acting.map((calls) => calls.slice(0, maxCalls - since.length)))
  if (choice.required) {
    // The caller insists on a call: what can be filled, then what reads, then the plainest arguments that fit.
    for (const known of [...readers, ...knownTools.filter((other) => !other.readonly)]) {
      const [call] = fillable(known)
      if (call !== undefined) groups.push([call])
    }
    for (const known of [...readers, ...knownTools.filter((other) => !other.readonly)]) {
      for (const filled of [attempts(known)[0]?.filled, fill(known.schema, nothing)]) {
        if (filled !== undefined && fresh(known, filled.value))
          groups.push([{ tool: known.tool, name: known.name, params: filled.value }])
      }
    }
  }
  return { groups, notes: [...new Set(notes)] }
}

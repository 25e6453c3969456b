/**
 * Facts: the named values that tool calls and their results hold, flat, with what surrounds each. Of a list only the
 * selected element's values are facts, so that all values speak of the same thing.
 */
import * as Predicate from "effect/Predicate"
import type { Conversation, Observation } from "./conversation.ts"
import { type JsonObject, type Scalar, select } from "./select.ts"
import { nounsOf } from "./tools.ts"
import { identifying, nameScore, stems } from "./words.ts"

/** A named scalar that was found. */
export interface Fact {
  readonly key: string
  readonly words: ReadonlyArray<string>
  /** Stems of the names around it: outer keys and the tool. */
  readonly context: ReadonlySet<string>
  readonly value: string | number | boolean
  /** The call it came from. */
  readonly call: number
  /** From the arguments of a call, not from its result. */
  readonly argument: boolean
}

/** A list that was found. */
export interface List {
  readonly words: ReadonlyArray<string>
  readonly context: ReadonlySet<string>
  readonly items: ReadonlyArray<unknown>
}

/** A choice among the elements of a list. */
export interface Choice {
  readonly call: number
  readonly tool: string
  readonly list: string
  readonly element: JsonObject | undefined
  readonly reason: string
}

/** Everything that was found. */
export interface Facts {
  readonly facts: ReadonlyArray<Fact>
  readonly lists: ReadonlyArray<List>
  readonly choices: ReadonlyArray<Choice>
}

const maxFacts = 2_000
const maxDepth = 8

const scalarsOf = (value: unknown, depth = 0): Array<Scalar> => {
  if (!Predicate.isObject(value) || Array.isArray(value) || depth > maxDepth) return []
  return Object.entries(value).flatMap(([key, entry]) =>
    typeof entry === "number" || typeof entry === "string"
      ? [{ words: stems(key), value: entry }]
      : scalarsOf(entry, depth + 1)
  )
}

/** Collects the facts of some observations; failed calls say nothing that can be relied on. */
export const collect = (conversation: Conversation, observations: ReadonlyArray<Observation>): Facts => {
  const facts: Array<Fact> = []
  const lists: Array<List> = []
  const choices: Array<Choice> = []
  const done = observations.filter((observation) => observation.status === "done")
  const scalars = done.flatMap((observation) => scalarsOf(observation.result))
  const visit = (
    value: unknown,
    key: string,
    context: ReadonlySet<string>,
    call: number,
    tool: string,
    argument: boolean,
    depth: number
  ): void => {
    if (depth > maxDepth || facts.length >= maxFacts) return
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
      facts.push({ key, words: stems(key), context, value, call, argument })
    } else if (Array.isArray(value)) {
      lists.push({ words: stems(key), context, items: value })
      if (!value.some((item) => Predicate.isObject(item))) return
      const request = conversation.request || conversation.said
      const subject = [...stems(key), ...nounsOf(tool)]
      const chosen = select(value, request, conversation.instructions, scalars, subject)
      if (!argument) {
        choices.push({
          call,
          tool,
          list: key,
          element: chosen?.element,
          reason: chosen?.reason ?? `none of ${value.length} can be used`
        })
      }
      if (chosen !== undefined) visit(chosen.element, key, context, call, tool, argument, depth + 1)
    } else if (Predicate.isObject(value)) {
      const inner = new Set([...context, ...stems(key)])
      for (const [name, entry] of Object.entries(value)) visit(entry, name, inner, call, tool, argument, depth + 1)
    }
  }
  for (const observation of done) {
    const call = conversation.observations.indexOf(observation)
    const context = new Set(stems(observation.tool))
    visit(observation.result, observation.tool, context, call, observation.tool, false, 0)
    visit(observation.params, observation.tool, context, call, observation.tool, true, 0)
  }
  return { facts, lists, choices }
}

const advice = new Set(stems("suggested recommended needed required proposed optimal reorder target missing shortfall"))
const circumstance = new Set(stems("minimum maximum min max hand current total reserved available previous last"))

/** Options of {@link find}. */
export interface FindOptions {
  /** Stems of the instructions and the request: a name that uses them is preferred. */
  readonly said: ReadonlySet<string>
  readonly accepts: (value: string | number | boolean) => boolean
  /** Calls whose arguments are worth more than any result: they were acted on. */
  readonly acted?: ReadonlySet<number> | undefined
}

const looksLikeIdentifier = (value: Fact["value"]): boolean =>
  typeof value === "number" ? Number.isInteger(value) : typeof value === "string" && /^[^\s]{1,64}$/.test(value)

/**
 * How well a fact answers a name by what it belongs to: of a list of slots the property `id` is what `slot` and `slotId`
 * ask for, and the property `slot` is what `slotId` asks for.
 */
const scoreOfChosen = (facts: Facts, fact: Fact, wanted: ReadonlyArray<string>): number => {
  const asksForId = wanted.length > 1 && identifying.has(wanted.at(-1)!)
  const [noun, ...others] = asksForId ? wanted.slice(0, -1) : wanted
  if (noun === undefined || others.length > 0 || fact.argument || !looksLikeIdentifier(fact.value)) return 0
  const chosen = facts.choices.some(({ call, list }) => call === fact.call && stems(list).includes(noun))
  if (!chosen) return 0
  const last = fact.words.at(-1)
  const own = fact.words.slice(0, -1)
  if (last === undefined || own.some((word) => word !== noun)) return 0
  const bare = own.length === 0
  if (identifying.has(last)) return (bare ? fact.context.has(noun) : !asksForId) ? 0.9 : 0
  return asksForId && bare && last === noun ? 0.9 : 0
}

/** The fact that answers a name best, if any does. */
export const find = (facts: Facts, wanted: ReadonlyArray<string>, options: FindOptions): Fact | undefined => {
  let best: { readonly fact: Fact; readonly score: number } | undefined
  for (const fact of facts.facts) {
    if (!options.accepts(fact.value)) continue
    let score = Math.max(nameScore(wanted, fact.words, fact.context), scoreOfChosen(facts, fact, wanted))
    if (score < 0.55) continue
    for (const word of fact.words) {
      if (wanted.includes(word)) continue
      if (advice.has(word)) score += 0.1
      if (circumstance.has(word)) score -= 0.2
      if (options.said.has(word)) score += 0.04
    }
    if (fact.argument) score += options.acted?.has(fact.call) === true ? 1 : -0.05
    if (best === undefined || score >= best.score) best = { fact, score }
  }
  return best === undefined || best.score < 0.5 ? undefined : best.fact
}

/** The list that answers a name best, if any does. */
export const findList = (facts: Facts, wanted: ReadonlyArray<string>): List | undefined => {
  let best: { readonly list: List; readonly score: number } | undefined
  for (const list of facts.lists) {
    const score = nameScore(wanted, list.words, list.context)
    if (score >= 0.55 && (best === undefined || score >= best.score)) best = { list, score }
  }
  return best?.list
}

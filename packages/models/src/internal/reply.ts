/**
 * Replies: the sentences that answer a question out of what the tools gave, and one that says so where they gave nothing of it.
 */
import * as Predicate from "effect/Predicate"
import type { Conversation } from "./conversation.ts"
import type { Choice, Fact, Facts } from "./facts.ts"
import { brief, cut } from "./report.ts"
import type { JsonObject } from "./select.ts"
import { isQuestion } from "./tools.ts"
import { contentStems, likeness, splitWords, stem, stems } from "./words.ts"

/** What people ask for, and the names under which results have it; the first that is there answers. */
const topics: ReadonlyArray<readonly [asked: RegExp, names: ReadonlyArray<string>]> = [
  [
    /\b(?:discontinued|phased out|still (?:sold|available|made|sell)|no longer|end of life|orderable)\b/i,
    ["discontinu"]
  ],
  [/\b(?:on order|incoming|ordered already|already ordered)\b/i, ["order"]],
  [
    /\b(?:stock|inventory|on hand|how many|how much (?:is|are) (?:left|there)|left|do we have|have we got|run out)\b/i,
    ["stock", "inventory", "hand", "quantity"]
  ],
  [/\b(?:price|prices|priced|cost|costs|how much (?:is|are|does|do)|expensive|pay)\b/i, ["price", "cost", "fee"]],
  [/\b(?:reorder level|reorder point|threshold)\b/i, ["level"]],
  [/\b(?:how long|lead time|deliver\w*|arrive\w*)\b/i, ["lead", "delivery", "eta"]]
].map(([asked, names]) => [asked as RegExp, (names as ReadonlyArray<string>).map((name) => stem(name))] as const)

const price = stem("price")

const superlative =
  /\b(?:cheapest|lowest|smallest|least|fewest|fastest|quickest|shortest|soonest|earliest|oldest|nearest|closest|highest|largest|biggest|greatest|most|priciest|latest|newest|best|top)\b/i

const shown = (key: string, value: unknown): string =>
  typeof value === "number" && splitWords(key).at(-1) === "cents"
    ? `${key} ${value} (${(value / 100).toFixed(2)})`
    : `${key} ${brief(value)}`

const naming = new Set(["id", "name", "title", "code"])

/** What an element is called, by its names that the request does not say already. */
const called = (element: JsonObject, request: string): string => {
  const names = Object.entries(element)
    .filter(([key, value]) => typeof value === "string" && naming.has(splitWords(key).at(-1) ?? ""))
    .map(([, value]) => String(value))
  const own = names.filter((name) => !request.includes(name))
  return cut((own.length > 0 ? own : names).slice(0, 2).join(" "), 120)
}

const ofChoice = ({ element, list, reason }: Choice, request: string): string | undefined => {
  if (element === undefined) return `None of the ${list}: ${reason}`
  const [key, value] = Object.entries(element).find(([name]) => reason.includes(name)) ?? []
  const name = called(element, request)
  const because = reason.replace(/\b(\w*[Cc]ents) (\d+)\b/, (_, cents: string, value: string) =>
    shown(cents, Number(value))
  )
  return `${name === "" ? cut(brief(element), 120) : name}: ${because}${
    key === undefined || reason.includes(String(value)) ? "" : `, ${shown(key, value)}`
  }`
}

/** The lowest and the highest of a number that the elements of a list have. */
const range = (facts: Facts, names: ReadonlyArray<string>, request: string): string | undefined => {
  for (const { items } of facts.lists) {
    const elements = items.filter((item): item is JsonObject => Predicate.isObject(item) && !Array.isArray(item))
    const key = elements
      .flatMap((element) => Object.keys(element))
      .find((name) => stems(name).some((word) => names.includes(word)) && !/min|max|effective/i.test(name))
    if (key === undefined) continue
    const sorted = elements
      .filter((element) => typeof element[key] === "number")
      .sort((left, right) => Number(left[key]) - Number(right[key]))
    const [low] = sorted
    const high = sorted.at(-1)
    if (low === undefined || high === undefined) continue
    const text = (element: JsonObject) => `${shown(key, element[key])} ${called(element, request)}`.trim()
    return sorted.length === 1 ? text(low) : `from ${text(low)} to ${text(high)}`
  }
  return undefined
}

const ofFact = ({ key, value }: Fact): string =>
  typeof value === "boolean" ? `${value ? "Yes" : "No"}: ${key} is ${value}` : shown(key, value)

/** The fact of a result whose name says one of some words: the shortest such name. */
const named = (facts: Facts, names: ReadonlyArray<string>): Fact | undefined =>
  names
    .flatMap((name) =>
      facts.facts
        .filter((fact) => !fact.argument && fact.words.some((word) => word === name || word.startsWith(`${name}`)))
        .sort((left, right) => left.words.length - right.words.length)
        .slice(0, 1)
    )
    .at(0)

/** A question without the names and values that results hold, and without what stands in brackets. */
const bare = (request: string, facts: Facts): string => {
  let out = request.replace(/\([^)]*\)/g, " ")
  for (const { value } of facts.facts.slice(0, 500)) {
    if (typeof value === "string" && value.length > 2 && value.length < 200) out = out.replaceAll(value, " ")
  }
  return out
}

const unknown = "I cannot know that: no tool here says anything of it, and this model has no knowledge of its own."

/** The sentences that answer a question; none for a request that asks nothing. */
export const replies = (conversation: Conversation, facts: Facts): ReadonlyArray<string> => {
  const request = conversation.request.trim()
  if (!isQuestion(request.replace(/\s*\([^)]*\)\s*$/, ""))) return []
  const asked = bare(request, facts)
  const found: Array<string> = []
  if (superlative.test(asked)) {
    const chosen = facts.choices.findLast(({ element, reason }) => element === undefined || superlative.test(reason))
    const sentence = chosen === undefined ? undefined : ofChoice(chosen, request)
    if (sentence !== undefined) found.push(sentence)
  }
  for (const [words, names] of topics) {
    if (!words.test(asked) || (found.length > 0 && names.includes(price))) continue
    const sentence = names.includes(price) || names.includes("lead") ? range(facts, names, request) : undefined
    const fact = sentence === undefined ? named(facts, names) : undefined
    if (sentence !== undefined) found.push(sentence)
    else if (fact !== undefined) found.push(ofFact(fact))
  }
  if (found.length === 0) {
    // Anything else that is asked for by the name that a result gives it.
    for (const word of contentStems(asked)) {
      const fact = facts.facts.find((other) => !other.argument && other.words.some((own) => likeness(own, word) === 1))
      if (fact !== undefined && found.length < 3) found.push(ofFact(fact))
    }
  }
  return found.length > 0 ? [...new Set(found)] : [unknown]
}

/**
 * Selection: which element of a list the request means. Elements that the request names come first, then what is
 * marked unusable or misses a stated bound goes, then a superlative decides, then the order of the list.
 */
import * as Predicate from "effect/Predicate"
import { bestLikeness, contentStems, likeness, splitWords, stem, stems } from "./words.ts"

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>

/** An element that was chosen and the rule that chose it. */
export interface Selection {
  readonly element: JsonObject
  readonly reason: string
}

/** A number found outside of a list, against which elements can be measured. */
export interface Scalar {
  readonly words: ReadonlyArray<string>
  readonly value: number | string
}

interface Superlative {
  readonly direction: 1 | -1
  /** The stems that a property's name must hold; empty when the words after the superlative say it. */
  readonly about: ReadonlyArray<string>
}

const price = ["price", "cost", "fee", "fare", "cent", "charge"].map(stem)
const duration = [
  "lead",
  "time",
  "day",
  "hour",
  "minute",
  "duration",
  "eta",
  "delivery",
  "arrival",
  "arrive",
  "wait"
].map(stem)
const moment = ["date", "time", "created", "updated", "at", "day", "start", "published", "year"].map(stem)
const distance = ["distance", "km", "mile", "meter"].map(stem)
const rating = ["rating", "score", "stars", "rank", "relevance"].map(stem)

const superlatives: Readonly<Record<string, Superlative>> = {
  cheapest: { direction: 1, about: price },
  lowest: { direction: 1, about: [] },
  smallest: { direction: 1, about: [] },
  least: { direction: 1, about: [] },
  fewest: { direction: 1, about: [] },
  fastest: { direction: 1, about: duration },
  quickest: { direction: 1, about: duration },
  shortest: { direction: 1, about: duration },
  soonest: { direction: 1, about: [...moment, ...duration] },
  earliest: { direction: 1, about: moment },
  oldest: { direction: 1, about: moment },
  first: { direction: 1, about: moment },
  nearest: { direction: 1, about: distance },
  closest: { direction: 1, about: distance },
  highest: { direction: -1, about: [] },
  largest: { direction: -1, about: [] },
  biggest: { direction: -1, about: [] },
  greatest: { direction: -1, about: [] },
  most: { direction: -1, about: [] },
  priciest: { direction: -1, about: price },
  latest: { direction: -1, about: moment },
  newest: { direction: -1, about: moment },
  best: { direction: -1, about: rating },
  top: { direction: -1, about: rating }
}

const adjectives: Readonly<Record<string, ReadonlyArray<string>>> = {
  expensive: price,
  recent: moment,
  relevant: rating,
  urgent: ["priority", "urgency", "severity"].map(stem)
}

const unusable = new Set(
  "discontinued inactive blocked closed cancelled canceled deleted unavailable suspended disabled archived expired lost".split(
    " "
  )
)
const usable = new Set("available active stock enabled valid open free".split(" "))
const remaining = new Set(
  "until left remaining cover coverage out stockout supply runway deadline empty last depletion runout exhaustion"
    .split(" ")
    .map(stem)
)
const timeUnits = new Set("day hour minute week month date time".split(" ").map(stem))

const comparable = (value: unknown): number | undefined => {
  if (typeof value === "number" && Number.isFinite(value)) return value
  if (typeof value === "string" && /^\d{4}-\d{2}-\d{2}/.test(value)) {
    const time = Date.parse(value)
    return Number.isNaN(time) ? undefined : time
  }
  return undefined
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** Whether a text names a value as a word of its own. */
export const mentions = (text: string, value: string): boolean =>
  value.length > 1 &&
  value.length < 200 &&
  new RegExp(`(?<![\\p{L}\\p{N}-])${escape(value)}(?![\\p{L}\\p{N}-])`, "iu").test(text)

const mentionCount = (element: JsonObject, text: string): number => {
  let count = 0
  for (const value of Object.values(element)) {
    if (typeof value === "string" && mentions(text, value)) count++
  }
  return count
}

/** What an object says about itself that means it cannot be used, as its name and value. */
export const unusableBy = (element: JsonObject, words: Iterable<string>): string | undefined => {
  const said = new Set(words)
  for (const [key, value] of Object.entries(element)) {
    const names = splitWords(key)
    if (typeof value === "boolean") {
      if (value && names.some((name) => unusable.has(name) && !said.has(stem(name)))) return `${key} true`
      if (!value && names.some((name) => usable.has(name))) return `${key} false`
    } else if (typeof value === "string" && names.at(-1) === "status") {
      if (unusable.has(value.toLowerCase()) && !said.has(stem(value.toLowerCase()))) return `${key} ${value}`
    }
  }
  return undefined
}

/** Whether an object says about itself that it cannot be used. */
export const isUnusable = (element: JsonObject, words: Iterable<string>): boolean =>
  unusableBy(element, words) !== undefined

const propertyFor = (elements: ReadonlyArray<JsonObject>, about: ReadonlyArray<string>): string | undefined => {
  let best: { readonly key: string; readonly score: number } | undefined
  const keys = new Set(elements.flatMap((element) => Object.keys(element)))
  for (const key of keys) {
    if (!elements.some((element) => comparable(element[key]) !== undefined)) continue
    const names = stems(key)
    let score = 0
    for (const name of names) {
      for (const [index, word] of about.entries()) {
        score = Math.max(score, likeness(name, word) - index * 0.01)
      }
    }
    if (score > 0 && (best === undefined || score > best.score)) best = { key, score }
  }
  return best?.key
}

const isSuperlative = (word: string): boolean => Object.hasOwn(superlatives, word)

/** The values that a text names and that hold a superlative in their own name (`First aid kit`), taken out of it. */
const withoutNames = (text: string, names: Iterable<string>): string => {
  let out = text
  for (const name of names) {
    if (name.length > 200 || !/\s/.test(name) || !splitWords(name).some(isSuperlative)) continue
    out = out.replace(new RegExp(`(?<![\\p{L}\\p{N}])${escape(name)}(?![\\p{L}\\p{N}])`, "giu"), ",")
  }
  // A capital within a sentence is a name's: `Best Western`.
  return out.replace(/(?<=[\p{L}\p{N},]\s+)\p{Lu}\p{Ll}+/gu, (word) => (isSuperlative(word.toLowerCase()) ? "," : word))
}

const determiners = new Set("the a an my our your their its his her this that very".split(" "))
const listed = new Set("one available possible free open option choice date time".split(" ").map(stem))
const relative = new Set("that which who to in".split(" "))

/** Whether `first` counts things rather than steps (`first check …`) or parts of a name (`first aid`). */
const isOrdinal = (words: ReadonlyArray<string>, index: number, subject: ReadonlyArray<string>): boolean => {
  const next = words.slice(index + 1, index + 3)
  const determined = determiners.has(words[index - 1] ?? "")
  if (determined && (next.length === 0 || relative.has(next[0]!))) return true
  return next.some((word) => listed.has(stem(word)) || bestLikeness(stem(word), subject) > 0)
}

const superlativeIn = (
  text: string,
  elements: ReadonlyArray<JsonObject>,
  names: Iterable<string>,
  subject: ReadonlyArray<string>
): { readonly key: string; readonly direction: 1 | -1; readonly word: string } | undefined => {
  const words = splitWords(withoutNames(text, names))
  for (const [index, word] of words.entries()) {
    const rule = isSuperlative(word) ? superlatives[word] : undefined
    if (rule === undefined || (word === "first" && !isOrdinal(words, index, subject))) continue
    const next = words[index + 1] ?? ""
    const about =
      rule.about.length > 0
        ? rule.about
        : Object.hasOwn(adjectives, next)
          ? adjectives[next]!
          : words.slice(index + 1, index + 4).map(stem)
    const key = propertyFor(elements, about)
    if (key !== undefined) return { key, direction: rule.direction, word }
  }
  return undefined
}

const bound =
  /\b(under|below|at most|no more than|less than|within|up to|cheaper than|over|above|at least|more than)\s+[$€£]?\s?(\d+(?:\.\d+)?)\s*([\p{L}]+)?/giu

const withinBounds = (
  elements: ReadonlyArray<JsonObject>,
  text: string
): { readonly left: ReadonlyArray<JsonObject>; readonly reason: string | undefined } => {
  let left = elements
  let reason: string | undefined
  for (const match of text.matchAll(bound)) {
    const atLeast = /over|above|least|more than$/i.test(match[1]!) && !/no more/i.test(match[1]!)
    const limit = Number(match[2])
    const word = match[3]?.toLowerCase() ?? ""
    const about =
      /[$€£]/.test(match[0]) || /^(usd|eur|dollar|euro|cent)s?$/.test(word) ? price : word === "" ? [] : [stem(word)]
    const key = about.length === 0 ? undefined : propertyFor(left, about)
    if (key === undefined) continue
    const fitting = left.filter((element) => {
      const value = comparable(element[key])
      return value !== undefined && (atLeast ? value >= limit : value <= limit)
    })
    if (fitting.length > 0) {
      left = fitting
      reason = `${key} ${atLeast ? "at least" : "at most"} ${limit}`
    }
  }
  return { left, reason }
}

const inTime = (
  elements: ReadonlyArray<JsonObject>,
  text: string,
  scalars: ReadonlyArray<Scalar>
): { readonly left: ReadonlyArray<JsonObject>; readonly reason: string | undefined } => {
  if (!/\b(before|in time|within|until|by the time|no later|not later)\b/i.test(text))
    return { left: elements, reason: undefined }
  for (const scalar of scalars) {
    const limit = comparable(scalar.value)
    if (limit === undefined || !scalar.words.some((word) => remaining.has(word))) continue
    const shared = scalar.words.filter((word) => timeUnits.has(word))
    const key = shared.length === 0 ? undefined : propertyFor(elements, shared)
    // A moment and a number of days cannot be compared.
    if (key === undefined || !elements.some((element) => typeof element[key] === typeof scalar.value)) continue
    const timed = elements.filter((element) => comparable(element[key]) !== undefined)
    const fitting = timed.filter((element) => comparable(element[key])! <= limit)
    if (fitting.length > 0) return { left: fitting, reason: `${key} within ${scalar.words.join(" ")} ${scalar.value}` }
    if (timed.length > 0) {
      const soonest = timed.reduce((best, element) =>
        comparable(element[key])! < comparable(best[key])! ? element : best
      )
      return {
        left: [soonest],
        reason: `none has ${key} within ${scalar.words.join(" ")} ${scalar.value}, the soonest`
      }
    }
  }
  return { left: elements, reason: undefined }
}

/**
 * Chooses the element that the request means; `undefined` when every element says about itself that it cannot be
 * used. `subject` is what the list is of, as stems.
 */
export const select = (
  list: ReadonlyArray<unknown>,
  request: string,
  instructions: string,
  scalars: ReadonlyArray<Scalar>,
  subject: ReadonlyArray<string> = []
): Selection | undefined => {
  const elements = list.filter((element): element is JsonObject => Predicate.isObject(element))
  if (elements.length === 0) return undefined
  const text = `${request}\n${instructions}`
  const words = contentStems(text)
  const all = elements.length
  const reasons: Array<string> = []
  const counts = elements.map((element) => mentionCount(element, request))
  const most = Math.max(...counts)
  let left: ReadonlyArray<JsonObject> = elements
  if (most > 0 && counts.some((count) => count < most)) {
    left = elements.filter((_, index) => counts[index] === most)
    reasons.push("named in the request")
  }
  const sound = left.filter((element) => !isUnusable(element, words))
  if (sound.length === 0) return undefined
  if (sound.length < left.length) reasons.push("usable")
  left = sound
  // What has no value in the property that decides is no candidate, so the rule looks at the property first.
  const values = [...scalars.map((scalar) => scalar.value), ...elements.flatMap((element) => Object.values(element))]
  const names = new Set(values.filter((value) => typeof value === "string"))
  const known = [...subject, ...elements.flatMap((element) => Object.keys(element)).flatMap(stems)]
  const rule = superlativeIn(request, left, names, known) ?? superlativeIn(instructions, left, names, known)
  if (rule !== undefined) left = left.filter((element) => comparable(element[rule.key]) !== undefined)
  // Bounds in standing instructions are mostly about approval and the like, so only the request's count.
  const bounded = withinBounds(left, request)
  const timed = inTime(bounded.left, text, scalars)
  left = timed.left
  for (const narrowed of [bounded.reason, timed.reason]) if (narrowed !== undefined) reasons.push(narrowed)
  let element = left[0]!
  if (rule !== undefined) {
    for (const other of left) {
      if (rule.direction * comparable(other[rule.key])! < rule.direction * comparable(element[rule.key])!)
        element = other
    }
    reasons.push(`${rule.word} ${rule.key} ${String(element[rule.key])}`)
  }
  if (reasons.length === 0) reasons.push(all === 1 ? "the only one" : "the first")
  return { element, reason: `${reasons.join(", ")}, of ${all}` }
}

/**
 * Hints: what the error of a tool says of the arguments that it would take (at least, at most, packs of, use, did you mean),
 * and arguments within that.
 */
import * as Predicate from "effect/Predicate"
import type { Observation } from "./conversation.ts"
import { bestLikeness, likeness, splitWords, stem, stems } from "./words.ts"

type JsonObject = Readonly<Record<string, unknown>>

const asObject = (value: unknown): JsonObject | undefined =>
  Predicate.isObject(value) && !Array.isArray(value) ? (value as JsonObject) : undefined

/** What a number must be. */
interface Limits {
  readonly least: number
  readonly most: number
  readonly multiple: number
  /** A number that the error proposes. */
  readonly proposed: number | undefined
}

const open: Limits = { least: -Infinity, most: Infinity, multiple: 0, proposed: undefined }

// A number of its own: no part of a name (`SUP-01`), no amount of money, no count of tries or seconds.
const amount = String.raw`(?<![\p{L}\p{N}_.,$€£-])(\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)(?![\p{L}\p{N}_]|[.,]\d|-\p{L}|\s*(?:[$€£%]|(?:usd|eur|cents?|dollars?|euros?|ms|milli\w*|seconds?|minutes?|hours?|attempts?|tries|retries|times|requests?|tokens?|characters?|bytes?)\b))`
const between = String.raw`[^\d;.!?\n]{0,40}?`
const pattern = (text: string) => new RegExp(text.replaceAll("N", amount).replaceAll("~", between), "giu")

const leastPattern = pattern(
  String.raw`\b(?:at least|no fewer than|not fewer than|no less than|not less than|minimum|min\.?|moq|greater than or equal to|from)\b~N|>=\s*N`
)
const mostPattern = pattern(
  String.raw`\b(?:at most|no more than|not more than|maximum|max\.?|up to|less than or equal to)\b~N|\bonly\s+N|<=\s*N|\bfrom\s+\S+\s+to\s+N|\bbetween\s+\S+\s+and\s+N`
)
const multiplePattern = pattern(
  String.raw`\b(?:packs?|packages?|multiples?|cases?|cartons?|lots?|batch(?:es)?|box(?:es)?|bundles?|steps?|increments?|size)\b(?:\s+(?:of|is|size|in))*:?\s*N`
)
const proposedPattern = pattern(
  String.raw`\b(?:order|use|try|take|choose|set|request|buy|book)\s+(?:it\s+to\s+|exactly\s+|instead\s+|rather\s+)?N`
)

const numbers = (text: string, of: RegExp): ReadonlyArray<number> =>
  [...text.matchAll(of)].map((match) =>
    Number(
      match
        .slice(1)
        .find((group) => group !== undefined)!
        .replaceAll(",", "")
    )
  )

const strings = (value: unknown, depth = 0): ReadonlyArray<string> => {
  if (typeof value === "string") return [value.slice(0, 2_000)]
  if (!Predicate.isObject(value) || depth > 4) return []
  return Object.values(value)
    .slice(0, 50)
    .flatMap((entry) => strings(entry, depth + 1))
}

const lowest = new Set(["minimum", "min", "moq", "least"])
const highest = new Set(["maximum", "max", "limit", "most", "available"])
const packing = new Set("pack multiple step increment batch lot case carton".split(" ").map(stem))
const quantity = stem("quantity")

/** What the names of an error's fields say: `minimumUnits`, `max`, `packSize`. */
const limitsOfFields = (value: unknown, parameter: ReadonlyArray<string>): Limits => {
  let limits = open
  for (const [key, entry] of Object.entries(asObject(value) ?? {})) {
    if (typeof entry !== "number" || !Number.isFinite(entry)) continue
    const names = splitWords(key)
    const low = names.some((name) => lowest.has(name))
    const high = names.some((name) => highest.has(name))
    const rest = names.filter((name) => !lowest.has(name) && !highest.has(name)).map(stem)
    if (names.some((name) => packing.has(stem(name))) && entry > 0) limits = { ...limits, multiple: entry }
    else if (low !== high && rest.every((word) => word === "order" || bestLikeness(word, parameter) > 0)) {
      limits = low
        ? { ...limits, least: Math.max(limits.least, entry) }
        : { ...limits, most: Math.min(limits.most, entry) }
    }
  }
  return limits
}

const limitsOfText = (text: string): Limits => ({
  least: Math.max(-Infinity, ...numbers(text, leastPattern)),
  most: Math.min(Infinity, ...numbers(text, mostPattern)),
  multiple: numbers(text, multiplePattern).find((step) => step > 0) ?? 0,
  proposed: numbers(text, proposedPattern).at(-1)
})

const both = (left: Limits, right: Limits): Limits => ({
  least: Math.max(left.least, right.least),
  most: Math.min(left.most, right.most),
  multiple: right.multiple > 0 ? right.multiple : left.multiple,
  proposed: right.proposed ?? left.proposed
})

/** The number nearest to a wish that is within limits; none if there is none. */
const within = (wish: number, { least, most, multiple, proposed }: Limits): number | undefined => {
  const round = (value: number) => (multiple > 0 ? Math.ceil(value / multiple - 1e-9) * multiple : value)
  const fits = (value: number) => value >= least && value <= most && round(value) === value
  if (proposed !== undefined && fits(proposed)) return proposed
  const raised = round(Math.max(wish, least))
  if (fits(raised)) return raised
  const lowered = multiple > 0 ? Math.floor(most / multiple) * multiple : most
  return fits(lowered) && lowered > 0 ? lowered : undefined
}

/** The number among some arguments that an error is about: the only one, the one that it names, or a quantity. */
const numberMeant = (params: JsonObject, failures: ReadonlyArray<unknown>): string | undefined => {
  const names = Object.keys(params).filter((name) => typeof params[name] === "number")
  if (names.length <= 1) return names[0]
  const said = new Set(
    failures.flatMap((failure) => [...strings(failure), ...Object.keys(asObject(failure) ?? {})].flatMap(stems))
  )
  const named = names.filter((name) => stems(name).every((word) => said.has(word)))
  if (named.length === 1) return named[0]
  return names.find((name) => likeness(stems(name).at(-1) ?? "", quantity) > 0)
}

const meant =
  /\b(?:did you mean|use|try)\s+(?:["'“]([^"'”\n]{1,100})["'”]|([\p{L}\p{N}_-]*[\p{L}\p{N}]))(?:\s+instead\b|\s*\?)/iu

/** Arguments with the text that an error proposes in place of the one that it names. */
const renamed = (params: JsonObject, texts: ReadonlyArray<string>): JsonObject | undefined => {
  for (const text of texts) {
    const found = meant.exec(text)
    const proposed = found?.[1] ?? found?.[2]
    if (proposed === undefined) continue
    const wrong = Object.keys(params).find((name) => {
      const value = params[name]
      return typeof value === "string" && value !== proposed && value.length > 0 && text.includes(value)
    })
    if (wrong !== undefined) return { ...params, [wrong]: proposed }
  }
  return undefined
}

/** The most times that a call is corrected. */
export const maxCorrections = 3

/**
 * The arguments to try next after calls of a tool failed, within all that their errors say; none if they say nothing that
 * the last arguments do not keep.
 */
export const corrected = (failed: ReadonlyArray<Observation>): JsonObject | undefined => {
  const last = failed.at(-1)
  const params = asObject(last?.params)
  if (last === undefined || params === undefined || failed.length > maxCorrections) return undefined
  const texts = failed.map(({ result }) => strings(result).join("\n"))
  const other = renamed(params, texts.slice(-1))
  if (other !== undefined) return other
  const name = numberMeant(
    params,
    failed.map(({ result }) => result)
  )
  if (name === undefined) return undefined
  const words = stems(name)
  const limits = failed
    .map(({ result }, index) => both(limitsOfFields(result, words), limitsOfText(texts[index]!)))
    .reduce(both, open)
  const before = Number(params[name])
  const value = within(before, limits)
  return value === undefined || value === before ? undefined : { ...params, [name]: value }
}

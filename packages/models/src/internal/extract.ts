/**
 * Extraction: a value for a name out of plain text. Every finding says how sure it is: `stated` (the text names it),
 * `shaped` (its form fits) or `guessed`.
 */
import * as DateTime from "effect/DateTime"
import { bestLikeness, contentStems, isMeasure, splitWords, stem, stems } from "./words.ts"

/** How sure a finding is. */
export type Certainty = "stated" | "shaped" | "guessed"

/** A value that was found in a text. */
export interface Found {
  readonly value: string | number | boolean
  readonly certainty: Certainty
}

/** What is looked for. */
export interface Wanted {
  readonly name: string
  readonly words: ReadonlyArray<string>
  readonly description: string
  readonly format: string | undefined
  /** Stems of the action the value is for: a number right after one of them is its quantity (`order 40`). */
  readonly verbs?: ReadonlyArray<string> | undefined
}

const identifier =
  /(?<![\p{L}\p{N}_./-])(?:#\d+|(?=[\p{L}\p{N}_-]*\d)[\p{L}\p{N}]*[\p{L}][\p{L}\p{N}]*(?:[-_][\p{L}\p{N}]+)*|[\p{L}]+-\d[\p{L}\p{N}-]*)(?![\p{L}\p{N}_])/gu
const quoted = /"([^"\n]{1,500})"|“([^”\n]{1,500})”|(?<![\p{L}\p{N}])'([^'\n]{1,500})'(?![\p{L}\p{N}])/gu
const email = /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g
const url = /https?:\/\/[^\s"'<>)]+/g
const uuid = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi
const isoDate = /\b\d{4}-\d{2}-\d{2}\b/g
const isoDateTime = /\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?/g
const clock = /\b(?:[01]?\d|2[0-3]):[0-5]\d\b/g
const proper = /(?<![\p{L}\p{N}-])\p{Lu}[\p{L}'’]+(?:\s+(?:(?:of|the|de|van|von|le|la)\s+)?\p{Lu}[\p{L}'’]+)*/gu
const numeral = /(?<![\p{L}\p{N}_.#:-])[$€£]?(-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?)(?![\p{L}\p{N}_:-]|\.\d)/gu

const all = (pattern: RegExp, text: string): Array<string> =>
  [...text.matchAll(pattern)].map((match) => match.slice(1).find((group) => group !== undefined) ?? match[0])

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** `name: value`, `name = value`, `"name": "value"`. */
const labelled = (wanted: Wanted, text: string): string | undefined => {
  const name = splitWords(wanted.name).map(escape).join("[\\s_-]*")
  if (name.length === 0) return undefined
  const match = new RegExp(
    `(?<![\\p{L}\\p{N}])["']?${name}["']?\\s*(?:[:=]|\\bis\\b|\\bnamed\\b|\\bcalled\\b)\\s*(?:"([^"\\n]*)"|'([^'\\n]*)'|([^\\s,;"'{}\\[\\]]+))`,
    "iu"
  ).exec(text)
  return match === null ? undefined : (match[1] ?? match[2] ?? match[3]?.replace(/[.?!]+$/, ""))
}

const idNouns = new Set(stems("id identifier sku code key number isbn reference ref ticket serial barcode"))

const codeNouns = new Set(stems("sku code key isbn reference ref serial barcode"))

/** Whether a name or its description speaks of an identifier. */
export const wantsIdentifier = (wanted: Wanted): boolean =>
  (wanted.words.length > 0 && idNouns.has(wanted.words[wanted.words.length - 1]!)) ||
  stems(wanted.description).some((word) => idNouns.has(word) && word !== "number")

const isIdentifier = (token: string): boolean =>
  !/^\d{4}-\d{2}-\d{2}/.test(token) &&
  !/^\d+(?:st|nd|rd|th|am|pm|h|d|w|kg|g|km|m|cm|x|k|%)$/i.test(token) &&
  !/^v?\d+$/.test(token)

/** All identifiers of a text that fit a name, those first whose prefix says so. */
export const identifiers = (wanted: Wanted, text: string): ReadonlyArray<Found> => {
  const nouns = wanted.words.filter((word) => word !== "id" && word !== "identifi" && word !== "number")
  const stated = new Set<string>()
  const label = labelled(wanted, text)
  if (label !== undefined && label.length > 0) stated.add(label)
  const tokens = [...new Set(all(identifier, text))].filter((token) => token.startsWith("#") || isIdentifier(token))
  const others: Array<string> = []
  for (const token of tokens) {
    const prefix = stem(/^\p{L}*/u.exec(token)![0].toLowerCase())
    if (nouns.some((noun) => prefix === noun || (prefix.length >= 2 && noun.startsWith(prefix)))) stated.add(token)
    else others.push(token.replace(/^#/, ""))
  }
  for (const noun of new Set(nouns)) {
    const after = new RegExp(
      `(?<![\\p{L}\\p{N}])${escape(noun)}\\p{L}{0,3}\\s+(?:no\\.?|number|id|#)?\\s*#?([\\p{L}\\p{N}_-]*\\d[\\p{L}\\p{N}_-]*)`,
      "giu"
    )
    for (const match of text.matchAll(after)) stated.add(match[1]!)
  }
  const found: Array<Found> = [...stated].map((value) => ({ value, certainty: "stated" as const }))
  if (found.length > 0) return found
  // An identifier with a foreign prefix (`SKU-1` for a supplier) is some other thing's; a code may have any prefix.
  const anyPrefix = nouns.every((noun) => codeNouns.has(noun))
  const open = others.filter((token) => anyPrefix || !/^\p{L}{2,}[-_]/u.test(token))
  // `ADH-001` looks more like a code than `M10` does.
  const separated = (token: string) => (/[-_]/.test(token) ? 0 : 1)
  return open
    .sort((left, right) => separated(left) - separated(right))
    .map((value) => ({ value, certainty: "shaped" as const }))
}

const comparing =
  /(?:above|over|below|under|more than|less than|at least|at most|no more than|up to|exceed(?:s|ing)?|within|every)\s*$/i

/** A number that stands at a matching word. */
export const number = (wanted: Wanted, text: string): Found | undefined => {
  const label = labelled(wanted, text)
  if (label !== undefined && /^-?\d+(\.\d+)?$/.test(label)) return { value: Number(label), certainty: "stated" }
  const bounding = wanted.words.some((word) =>
    ["min", "max", "minimum", "maximum", "limit", "threshold", "budget", "top"].includes(word)
  )
  const dateless = text.replace(isoDateTime, " ").replace(isoDate, " ").replace(clock, " ")
  const loose: Array<number> = []
  for (const match of dateless.matchAll(numeral)) {
    const value = Number(match[1]!.replaceAll(",", ""))
    const before = dateless.slice(Math.max(0, match.index - 30), match.index)
    if (comparing.test(before) && !bounding) continue
    const next = splitWords(dateless.slice(match.index + match[0].length).split(/[.,;:!?\n]/)[0] ?? "")
      .slice(0, 2)
      .map(stem)
    const previous = splitWords(before.split(/[.,;!?\n]/).at(-1) ?? "")
      .slice(-2)
      .map(stem)
    const close = Math.max(
      ...wanted.words.map((word) => Math.max(bestLikeness(word, next), bestLikeness(word, previous) * 0.95)),
      0
    )
    const commanded =
      wanted.verbs !== undefined &&
      previous.length > 0 &&
      bestLikeness("quantity", wanted.words.slice(-1)) > 0 &&
      bestLikeness(previous.at(-1)!, wanted.verbs) > 0
    if (close >= 0.65 || commanded) return { value, certainty: "stated" }
    const measured = next[0] !== undefined && isMeasure(next[0])
    if (!measured || bounding) loose.push(value)
  }
  return loose.length === 1 ? { value: loose[0]!, certainty: "guessed" } : undefined
}

/** A yes or no for a name: denied, asked for, or not spoken of. */
export const flag = (wanted: Wanted, text: string): Found | undefined => {
  const label = labelled(wanted, text)?.toLowerCase()
  if (label !== undefined && /^(true|yes|on|false|no|off)$/.test(label)) {
    return { value: /^(true|yes|on)$/.test(label), certainty: "stated" }
  }
  const words = splitWords(text)
  const index = words.findLastIndex((word) => wanted.words.includes(stem(word)))
  if (index < 0 || !wanted.words.every((word) => words.some((other) => stem(other) === word))) return undefined
  const negated = words
    .slice(Math.max(0, index - 3), index)
    .some((word) => /^(no|not|without|never|don|dont)$/.test(word))
  return { value: !negated, certainty: "stated" }
}

/** A member of an enumeration that the text speaks of; the last one said wins. */
export const member = (members: ReadonlyArray<unknown>, text: string): unknown => {
  let best: { readonly value: unknown; readonly index: number } | undefined
  const words = splitWords(text).map(stem)
  for (const value of members) {
    if (typeof value !== "string" || value.length === 0) continue
    const own = splitWords(value).map(stem)
    if (own.length === 0) continue
    for (let index = words.length - own.length; index >= 0; index--) {
      if (own.every((word, offset) => words[index + offset] === word)) {
        if (best === undefined || index > best.index) best = { value, index }
        break
      }
    }
  }
  return best?.value
}

const day = (now: number, offset: number): string =>
  DateTime.formatIsoDateUtc(DateTime.makeUnsafe(now + offset * 86_400_000))

const dates = (text: string, now: number): Array<string> => {
  const found: Array<{ readonly at: number; readonly value: string }> = []
  for (const match of text.matchAll(isoDate)) found.push({ at: match.index, value: match[0] })
  for (const [word, offset] of [
    ["today", 0],
    ["tomorrow", 1],
    ["yesterday", -1]
  ] as const) {
    const at = text.toLowerCase().search(new RegExp(`\\b${word}\\b`))
    if (at >= 0) found.push({ at, value: day(now, offset) })
  }
  return found.sort((left, right) => left.at - right.at).map((entry) => entry.value)
}

const times = (text: string): Array<string> => {
  const found: Array<string> = all(clock, text).map((time) => time.padStart(5, "0"))
  for (const match of text.matchAll(/\b(1[0-2]|[1-9])\s?(am|pm)\b/gi)) {
    const hour = (Number(match[1]) % 12) + (match[2]!.toLowerCase() === "pm" ? 12 : 0)
    found.push(`${String(hour).padStart(2, "0")}:00`)
  }
  return found
}

const isEnd = (wanted: Wanted): boolean =>
  wanted.words.some((word) => ["end", "until", "to", "due", "finish", "return"].includes(word))

const temporal = (wanted: Wanted, text: string, now: number): string | undefined => {
  const names = splitWords(wanted.name)
  const about = (...words: ReadonlyArray<string>) => names.some((name) => words.includes(name))
  const instant =
    wanted.format === "date-time" || about("datetime", "timestamp") || /date-?time|ISO 8601/i.test(wanted.description)
  const stated = dates(text, now)
  const hours = times(text)
  const pick = (list: ReadonlyArray<string>) => (isEnd(wanted) && list.length > 1 ? list[1] : list[0])
  const full = all(isoDateTime, text)
  if (wanted.format === "time" || (about("time", "hour") && !instant)) return pick(hours) ?? pick(full)
  if (instant || about("start", "end", "at", "when")) {
    if (full.length > 0) return pick(full)
    const date = pick(stated)
    if (date === undefined) return undefined
    const time = pick(hours)
    return time === undefined ? (instant ? `${date}T00:00:00Z` : date) : `${date}T${time}:00Z`
  }
  if (wanted.format === "date" || about("date", "day", "due", "deadline", "from", "until")) return pick(stated)
  return undefined
}

const notNames = new Set(
  "i the a an what when where who how why which please can could would should do does is are tell find show check list choose place create book cancel delete answer use give then restock order if on in at for monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november december".split(
    " "
  )
)

/** Names in a text: capitalised words that do not merely begin a sentence. */
export const properNames = (text: string): Array<string> => {
  const found: Array<string> = []
  for (const match of text.matchAll(proper)) {
    const words = match[0].split(/\s+/)
    while (words.length > 0 && notNames.has(words[0]!.toLowerCase())) words.shift()
    const begins = match.index === 0 || /[.!?\n:]\s*$/.test(text.slice(0, match.index))
    if (words.length === 0 || (begins && words.length === 1 && match[0] === words[0])) continue
    found.push(words.join(" ").replace(/['’]s$/, ""))
  }
  return [...new Set(found)]
}

const cue = (words: ReadonlyArray<string>): RegExp | undefined => {
  const has = (...names: ReadonlyArray<string>) => words.some((word) => names.includes(word))
  if (has("origin", "from", "departure")) return /\bfrom\s+$/i
  if (has("destination", "to", "recipient")) return /\bto\s+$/i
  if (has("author", "writer", "artist")) return /\b(?:by|from)\s+$/i
  if (has("city", "location", "plac", "place", "town", "country", "region")) return /\b(?:in|at|near|for|to)\s+$/i
  if (has("user", "member", "person", "customer", "assigne", "assignee", "attendee", "attende", "patron", "borrower"))
    return /\b(?:to|for|with|by|of)\s+$/i
  return undefined
}

const nameNouns = new Set(
  stems(
    "name title city location place town country region author artist person user member customer patron borrower assignee attendee recipient origin destination from to company"
  )
)
const freeNouns = new Set(
  stems(
    "query question text prompt message search topic subject title summary description body content note comment reason term keyword input q request name"
  )
)

const wantsEmail = (wanted: Wanted): boolean =>
  wanted.format === "email" || wanted.words.includes("email") || /\be-?mail\b/i.test(wanted.description)

/** A piece of text for a name. */
export const text = (wanted: Wanted, source: string, now: number): Found | undefined => {
  const label = labelled(wanted, source)
  if (label !== undefined && label.length > 0) return { value: label, certainty: "stated" }
  const head = wanted.words[wanted.words.length - 1] ?? ""
  const patterned = wantsEmail(wanted)
    ? all(email, source)
    : wanted.format === "uri" || head === "url" || head === "uri" || head === "link"
      ? all(url, source)
      : wanted.format === "uuid" || head === "uuid"
        ? all(uuid, source)
        : undefined
  if (patterned !== undefined)
    return patterned[0] === undefined ? undefined : { value: patterned[0], certainty: "stated" }
  const moment = temporal(wanted, source, now)
  if (moment !== undefined) return { value: moment, certainty: "stated" }
  if (wantsIdentifier(wanted)) return identifiers(wanted, source)[0]
  const quotes = all(quoted, source)
  const named = wanted.words.some((word) => nameNouns.has(word))
  const free = freeNouns.has(head)
  if ((free || named) && quotes[0] !== undefined) return { value: quotes[0], certainty: "shaped" }
  if (named) {
    const names = properNames(source)
    const lead = cue(wanted.words)
    const cued = lead === undefined ? undefined : names.find((name) => lead.test(source.slice(0, source.indexOf(name))))
    if (cued !== undefined) return { value: cued, certainty: "stated" }
    if (names[0] !== undefined) return { value: names[0], certainty: "shaped" }
  }
  if (!free || source.trim().length === 0) return undefined
  const names = properNames(source)
  if (/^(query|search|term|keyword|q|topic)$/.test(head) || head === stem("query")) {
    const words = [...contentStems(source)]
    const plain = splitWords(source).filter((word) => words.includes(stem(word)))
    const value = names.length > 0 ? names.join(" ") : [...new Set(plain)].join(" ")
    return value.length === 0 ? undefined : { value, certainty: "guessed" }
  }
  return { value: names[0] !== undefined && head === "name" ? names[0] : source.trim(), certainty: "guessed" }
}

/** Every value of a list: all mail addresses, all quotations, all names. */
export const many = (wanted: Wanted, source: string): ReadonlyArray<string> => {
  if (wantsEmail(wanted)) return all(email, source)
  if (wantsIdentifier(wanted)) return identifiers(wanted, source).map((found) => String(found.value))
  if (!wanted.words.some((word) => nameNouns.has(word))) return []
  const quotes = all(quoted, source)
  return quotes.length > 0 ? quotes : properNames(source)
}

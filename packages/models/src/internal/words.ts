/**
 * Words: how the offline model compares names and sentences. Names are split at case and punctuation, words are
 * reduced to a crude stem, and a few groups of near synonyms count as almost equal.
 */

const stopWords = new Set(
  (
    "a an and any are as at be been but by can could did do does for from had has have he her him his how i if in into is it its " +
    "may me might must my no not of on or our out shall she should so some than that the their them then there these they this " +
    "those to too us was we were what when where which who whom why will with would you your please also just only all each every " +
    "use using used tool return returns given give get"
  ).split(" ")
)

const groups: ReadonlyArray<ReadonlyArray<string>> = [
  ["quantity", "qty", "unit", "count", "amount", "piece"],
  ["price", "cost", "fee", "fare", "charge"],
  ["id", "identifier", "key"],
  ["person", "user", "member", "patron", "customer", "attendee", "assignee", "borrower"],
  ["city", "location", "place", "town"],
  ["title", "name", "subject"],
  ["due", "deadline"],
  ["start", "begin", "from"],
  ["end", "until", "finish"],
  ["create", "add", "schedule", "book", "open", "file", "new", "register", "plan"],
  ["delete", "remove", "cancel", "drop", "erase"],
  ["update", "change", "edit", "modify", "set", "move"],
  ["send", "email", "notify", "post"],
  ["lend", "borrow", "checkout", "loan"],
  ["buy", "order", "purchase", "restock", "reorder"]
]

const undouble = (word: string): string => (/([b-df-hj-np-tv-z])\1$/.test(word) ? word.slice(0, -1) : word)

/** Reduces an English word to a stem that its common endings share; not a linguist, only deterministic. */
export const stem = (word: string): string => {
  let out = word
  if (out.length > 4 && out.endsWith("ies")) out = `${out.slice(0, -3)}y`
  else if (out.length > 4 && /(x|ch|sh|ss)es$/.test(out)) out = out.slice(0, -2)
  else if (out.length > 3 && /[^su]s$/.test(out) && !out.endsWith("is")) out = out.slice(0, -1)
  if (out.length > 5 && out.endsWith("ing")) out = undouble(out.slice(0, -3))
  else if (out.length > 4 && out.endsWith("ed")) out = undouble(out.slice(0, -2))
  return out.length > 3 && out.endsWith("e") ? out.slice(0, -1) : out
}

const groupOf = new Map<string, Set<number>>()
for (const [index, group] of groups.entries()) {
  for (const word of group) {
    const key = stem(word)
    groupOf.set(key, new Set([...(groupOf.get(key) ?? []), index]))
  }
}

/** The lower case words of a name or a sentence, split at case changes and punctuation. */
export const splitWords = (text: string): Array<string> =>
  text
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word.length > 0)

/** The stems of a name. */
export const stems = (text: string): Array<string> => splitWords(text).map(stem)

/** The stems of a sentence that carry meaning. */
export const contentStems = (text: string): Set<string> =>
  new Set(
    splitWords(text)
      .filter((word) => !stopWords.has(word) && word.length > 1)
      .map(stem)
  )

/** How alike two stems are: 1 equal, 0.7 near synonyms, 0 otherwise. */
export const likeness = (left: string, right: string): number => {
  if (left === right) return 1
  const a = groupOf.get(left)
  const b = groupOf.get(right)
  if (a !== undefined && b !== undefined) for (const group of a) if (b.has(group)) return 0.7
  return 0
}

/** Whether two stems speak of the same thing, also as a part of one another (`restock`, `stock`). */
export const related = (left: string, right: string): boolean =>
  likeness(left, right) > 0 ||
  (Math.min(left.length, right.length) >= 5 && (left.endsWith(right) || right.endsWith(left)))

/** The best likeness of a stem to any of some. */
export const bestLikeness = (word: string, others: Iterable<string>): number => {
  let best = 0
  for (const other of others) best = Math.max(best, likeness(word, other))
  return best
}

const measures = new Set(
  "cent usd eur dollar euro day hour minut second ms km percent pct celsius fahrenheit kg week month".split(" ")
)

/** Whether a stem is a unit of measure, which names carry as a suffix (`unitPriceCents`). */
export const isMeasure = (word: string): boolean => measures.has(word)

/** Stems that name an identifier of the thing before them (`slotId`). */
export const identifying: ReadonlySet<string> = new Set(stems("id identifier key code number"))

/**
 * How well a key found in the conversation answers a wanted name, between 0 and 1. The last word of a name is its
 * noun and must fit; what qualifies it may also come from the key's surroundings.
 */
export const nameScore = (
  wanted: ReadonlyArray<string>,
  key: ReadonlyArray<string>,
  context: Iterable<string>
): number => {
  if (wanted.length === 0 || key.length === 0) return 0
  if (wanted.length === key.length && wanted.every((word, index) => word === key[index])) return 1
  const wantedHead = wanted[wanted.length - 1]!
  let end = key.length
  while (end > 1 && isMeasure(key[end - 1]!) && likeness(wantedHead, key[end - 1]!) === 0) end--
  const head = likeness(wantedHead, key[end - 1]!)
  if (head === 0) return 0
  // The identifier of one thing is never another thing's, whatever stands around it: a doctor's is not a slot's.
  const qualifiers = wanted.slice(0, -1)
  if (
    identifying.has(wantedHead) &&
    qualifiers.length > 0 &&
    key.length > 1 &&
    !qualifiers.some((word) => bestLikeness(word, key.slice(0, -1)) > 0)
  )
    return 0
  const around = [...context]
  let matched = head
  for (const word of wanted.slice(0, -1)) {
    const own = Math.max(bestLikeness(word, key), bestLikeness(word, around) * 0.8)
    if (own === 0 && wanted.length === 2) return 0
    matched += own
  }
  return (matched / wanted.length) * 0.7 + Math.min(1, matched / key.length) * 0.3 - 0.01
}

/** The sentences of a text; a dot inside a number or a name does not end one. */
export const sentences = (text: string): Array<string> =>
  text
    .split(/(?<=[.!?;])\s+|\n+/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence.length > 0)

const negators = new Set([
  "not",
  "never",
  "without",
  "no",
  "don",
  "dont",
  "avoid",
  "nor",
  "isn",
  "shouldn",
  "cannot",
  "neither"
])

/** Whether the word at an index is denied by one of the three words before it. */
export const isNegated = (words: ReadonlyArray<string>, index: number): boolean =>
  words.slice(Math.max(0, index - 4), index).some((word) => negators.has(word))

/** The stems of a text that carry meaning, without those that it denies (`do not order a discontinued product`). */
export const affirmedStems = (text: string): Set<string> =>
  new Set(
    sentences(text).flatMap((sentence) => {
      const words = splitWords(sentence)
      return words.filter((word, index) => !stopWords.has(word) && !isNegated(words, index)).map(stem)
    })
  )

/** A short, stable hash (FNV-1a) for identifiers that must be the same in every run. */
export const hash = (text: string): string => {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return (value >>> 0).toString(36)
}

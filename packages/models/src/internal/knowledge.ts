/**
 * Knowledge: answers for the leaves of a schema out of the conversation's text and facts.
 */
import * as Predicate from "effect/Predicate"
import type { Conversation } from "./conversation.ts"
import * as Extract from "./extract.ts"
import { type Fact, type Facts, find, findList } from "./facts.ts"
import { type Answer, type Leaf, type Source } from "./fill.ts"
import { grounds as groundsOf } from "./grounds.ts"
import { replies } from "./reply.ts"
import { findings } from "./report.ts"
import { bestLikeness, contentStems, likeness, nameScore, related, splitWords, stem, stems } from "./words.ts"

/** What a source is made of. */
export interface Knowledge {
  readonly conversation: Conversation
  readonly facts: Facts
  /** Milliseconds since the epoch: what `today` means. */
  readonly now: number
}

/** The tool that arguments are wanted for. */
export interface Purpose {
  readonly words: ReadonlyArray<string>
  readonly nouns: ReadonlyArray<string>
  readonly action: boolean
  /** One of several things that the request names. */
  readonly target?: { readonly name: string; readonly value: string } | undefined
}

const generic = new Set(stems("id name key number code identifier title"))

/** Whether a name says nothing without the thing it belongs to (`id`, `name`). */
export const isGeneric = (words: ReadonlyArray<string>): boolean =>
  words.length > 0 && words.every((word) => generic.has(word))

const quantities = stems("quantity")
const minimum = new Set(["minimum", "min", "moq", "least"])
const maximum = new Set(["maximum", "max", "limit", "most"])

const wantedOf = (leaf: Omit<Leaf, "type">, purpose?: Purpose): Extract.Wanted => {
  const own = isGeneric(leaf.words)
  const outer = leaf.path.filter((step) => step !== leaf.name && !/^\d+$/.test(step)).flatMap(stems)
  return {
    name: leaf.name,
    words: own && purpose !== undefined ? [...(outer.length > 0 ? outer : purpose.nouns), ...leaf.words] : leaf.words,
    description: leaf.description,
    format: leaf.format,
    verbs: purpose?.action === true ? purpose.words : undefined
  }
}

const weights: Readonly<Record<Extract.Certainty, number>> = { stated: 1, shaped: 0.6, guessed: 0.4 }

const accepts =
  (type: Leaf["type"]) =>
  (value: Fact["value"]): boolean =>
    type === "string"
      ? typeof value !== "boolean"
      : type === "boolean"
        ? typeof value === "boolean"
        : typeof value === "number" && (type === "number" || Number.isInteger(value))

const fromText = (leaf: Leaf, wanted: Extract.Wanted, text: string, now: number): Extract.Found | undefined => {
  switch (leaf.type) {
    case "boolean":
      return Extract.flag(wanted, text)
    case "string":
      return Extract.text(wanted, text, now)
    default: {
      const found =
        Extract.number(wanted, text) ??
        (Extract.wantsIdentifier(wanted)
          ? Extract.identifiers(wanted, text).find((id) => /^\d+$/.test(String(id.value)))
          : undefined)
      if (found === undefined) return undefined
      const value = Number(found.value)
      return leaf.type === "integer" && !Number.isInteger(value) ? undefined : { ...found, value }
    }
  }
}

const said = (conversation: Conversation): ReadonlySet<string> =>
  contentStems(`${conversation.said}\n${conversation.instructions}`)

/** Raises and lowers a number to the minimum and maximum that were found for it. */
const withinFound = (value: number, words: ReadonlyArray<string>, facts: Facts): number => {
  let out = value
  for (const fact of facts.facts) {
    if (typeof fact.value !== "number" || fact.argument) continue
    const names = splitWords(fact.key)
    const least = names.some((name) => minimum.has(name))
    const most = names.some((name) => maximum.has(name))
    if (least === most) continue
    const rest = names.filter((name) => !minimum.has(name) && !maximum.has(name)).map(stem)
    if (rest.length > 0 && !rest.every((word) => bestLikeness(word, words) > 0)) continue
    if (rest.length === 0 && !names.includes("moq")) continue
    out = least ? Math.max(out, fact.value) : Math.min(out, fact.value)
  }
  return out
}

const factMember = (
  facts: Facts,
  words: ReadonlyArray<string>,
  members: ReadonlyArray<unknown>,
  known: ReadonlySet<string>
): unknown => {
  const fitting = (value: Fact["value"]) =>
    members.some(
      (member) =>
        member === value || (typeof member === "string" && member.toLowerCase() === String(value).toLowerCase())
    )
  const fact = find(facts, words, { said: known, accepts: fitting })
  return fact === undefined
    ? undefined
    : members.find((member) => String(member).toLowerCase() === String(fact.value).toLowerCase())
}

const soleMember = (members: ReadonlyArray<unknown>, text: string): unknown => {
  const spoken = members.filter((member) => Extract.member([member], text) !== undefined)
  return spoken.length === 1 ? spoken[0] : undefined
}

const within = (element: Readonly<Record<string, unknown>>, outer: Source): Source => {
  const lookup = (words: ReadonlyArray<string>, fits: (value: unknown) => boolean): Answer | undefined => {
    let best: { readonly value: unknown; readonly score: number } | undefined
    for (const [key, value] of Object.entries(element)) {
      const score = fits(value) ? nameScore(words, stems(key), []) : 0
      if (score >= 0.5 && (best === undefined || score > best.score)) best = { value, score }
    }
    return best === undefined ? undefined : { value: best.value, weight: 1 }
  }
  const fitsType = (leaf: Leaf) => (value: unknown) =>
    (Predicate.isString(value) || Predicate.isNumber(value) || Predicate.isBoolean(value)) && accepts(leaf.type)(value)
  return {
    leaf: (leaf) => lookup(leaf.words, fitsType(leaf)),
    member: (leaf, members) => lookup(leaf.words, (value) => members.includes(value)),
    items: (leaf) => {
      const list = lookup(leaf.words, Array.isArray)?.value
      return Array.isArray(list) ? itemsFrom(list, outer) : undefined
    }
  }
}

const itemsFrom = (list: ReadonlyArray<unknown>, outer: Source): ReadonlyArray<Source | Answer> =>
  list.map((item) =>
    Predicate.isObject(item) && !Array.isArray(item)
      ? within(item as Readonly<Record<string, unknown>>, outer)
      : { value: item, weight: 1 }
  )

/** Answers for the arguments of a tool. */
export const forTool = ({ conversation, facts, now }: Knowledge, purpose: Purpose): Source => {
  const known = said(conversation)
  const source: Source = {
    leaf: (leaf) => {
      if (purpose.target?.name === leaf.name) return { value: purpose.target.value, weight: 1 }
      const wanted = wantedOf(leaf, purpose)
      const bounded = (answer: Answer | undefined): Answer | undefined => {
        if (answer === undefined || typeof answer.value !== "number" || !purpose.action) return answer
        const head = wanted.words.at(-1) ?? ""
        // Nothing to move is no reason to act.
        if (likeness(head, quantities[0]!) > 0 && answer.value <= 0) return undefined
        return { ...answer, value: withinFound(answer.value, [...wanted.words, ...purpose.words], facts) }
      }
      const stated = fromText(leaf, wanted, conversation.said, now)
      const chosen = facts.choices.findLast((choice) => choice.element !== undefined)
      if (
        stated?.certainty !== "stated" &&
        leaf.type === "string" &&
        grounds.has(wanted.words.at(-1) ?? "") &&
        chosen !== undefined
      ) {
        return { value: `${chosen.list}: ${chosen.reason}`, weight: 0.6 }
      }
      if (stated?.certainty === "stated") return bounded({ value: stated.value, weight: 1 })
      const fact = find(facts, wanted.words, { said: known, accepts: accepts(leaf.type) })
      // What only reads is not narrowed by what was read before, unless it cannot do without.
      if (fact !== undefined) return bounded({ value: fact.value, weight: purpose.action ? 1 : 0.6 })
      if (stated !== undefined) return bounded({ value: stated.value, weight: weights[stated.certainty] })
      const standing = fromText(leaf, wanted, conversation.instructions, now)
      return standing?.certainty === "stated" && leaf.type !== "boolean"
        ? bounded({ value: standing.value, weight: 0.6 })
        : undefined
    },
    member: (leaf, members) => {
      const wanted = wantedOf(leaf, purpose)
      const spoken = Extract.member(members, conversation.said)
      if (spoken !== undefined) return { value: spoken, weight: 1 }
      const fact = factMember(facts, wanted.words, members, known)
      if (fact !== undefined) return { value: fact, weight: purpose.action ? 1 : 0.6 }
      const standing = soleMember(members, conversation.instructions)
      return standing === undefined ? undefined : { value: standing, weight: 0.6 }
    },
    items: (leaf, items) => {
      const wanted = wantedOf(leaf, purpose)
      const list = findList(facts, wanted.words)
      if (items.type === "string" || items.type === undefined) {
        const values = Extract.many(wanted, conversation.said)
        if (values.length > 0) return values.map((value) => ({ value, weight: 1 }))
      }
      return list === undefined ? undefined : itemsFrom(list.items, source)
    }
  }
  return source
}

const prose = new Set(
  stems(
    "summary answer text explanation reason rationale message description report conclusion note response result comment justification why evidence finding detail step reasoning thought content body"
  )
)
const grounds = new Set(stems("reason rationale justification why explanation"))
/** Fields that ask what decided a matter. */
const deciding = new Set([...grounds, ...stems("reasoning note")])
const outcomes: ReadonlyArray<readonly [status: string, words: ReadonlyArray<string>]> = [
  ["done", stems("done success succeeded completed approved accepted yes ok")],
  ["denied", stems("denied rejected declined refused")],
  ["failed", stems("failed error failure")],
  ["pending", stems("pending waiting open")],
  ["none", stems("skipped skip none hold unchanged nothing no ignored")]
]

/** What a structured output is made of. */
export interface OutputKnowledge extends Knowledge {
  /** Why actions that were asked for were not taken. */
  readonly notes: ReadonlyArray<string>
  /** Whether a tool only reads. */
  readonly reads: (tool: string) => boolean
}

/** Answers for the fields of a structured output. */
export const forOutput = ({ conversation, facts, notes, now, reads }: OutputKnowledge): Source => {
  const known = said(conversation)
  const actions = conversation.observations
    .map((observation, index) => ({ observation, index, words: stems(observation.tool) }))
    .filter(({ observation }) => !reads(observation.tool))
  const latest = actions.at(-1)
  const acted = new Set(actions.filter(({ observation }) => observation.status === "done").map(({ index }) => index))
  const sentences = (head: string) =>
    deciding.has(head)
      ? groundsOf(conversation, facts, notes, reads)
      : [...replies(conversation, facts), ...findings(conversation, facts)]

  const isAction = (words: ReadonlyArray<string>) =>
    actions.filter((action) => words.some((word) => action.words.some((other) => related(word, other))))

  const source: Source = {
    leaf: (leaf) => {
      const wanted = wantedOf(leaf)
      if (leaf.type === "boolean") {
        const matching = isAction(wanted.words)
        if (matching.length > 0) {
          return { value: matching.some(({ observation }) => observation.status === "done"), weight: 1 }
        }
      }
      const fact = find(facts, wanted.words, { said: known, accepts: accepts(leaf.type), acted })
      if (fact !== undefined) return { value: fact.value, weight: 1 }
      const head = wanted.words.at(-1) ?? ""
      if (leaf.type === "string" && prose.has(head)) {
        const lines = sentences(head)
        return { value: lines.length > 0 ? lines.join(". ") : conversation.said.trim(), weight: 0.5 }
      }
      const found = fromText(leaf, wanted, conversation.said, now)
      // Once there are results, what merely looks right in the text is more likely something else.
      const gathered = conversation.observations.length > 0
      if (found === undefined || (gathered && (leaf.type === "boolean" || found.certainty !== "stated")))
        return undefined
      return { value: found.value, weight: weights[found.certainty] }
    },
    member: (leaf, members) => {
      const fact = factMember(facts, leaf.words, members, known)
      if (fact !== undefined) return { value: fact, weight: 1 }
      const named = latest?.observation.status === "done" ? latest.words : []
      const byAction = members.find((member) => stems(String(member)).some((word) => named.includes(word)))
      if (byAction !== undefined) return { value: byAction, weight: 1 }
      const status = latest?.observation.status ?? "none"
      const words = outcomes.find(([name]) => name === status)?.[1] ?? []
      const byStatus = members.find((member) => stems(String(member)).some((word) => words.includes(word)))
      if (byStatus !== undefined && members.length > 1) return { value: byStatus, weight: 0.6 }
      const spoken = Extract.member(members, conversation.said)
      return spoken === undefined ? undefined : { value: spoken, weight: 0.8 }
    },
    items: (leaf, items) => {
      const list = findList(facts, leaf.words)
      if (list !== undefined) return itemsFrom(list.items, source)
      if (items.type !== undefined && items.type !== "string") return undefined
      const head = leaf.words.at(-1) ?? ""
      if (prose.has(head)) return sentences(head).map((value) => ({ value, weight: 0.8 }))
      const values = Extract.many(wantedOf(leaf), conversation.said)
      return values.length > 0 ? values.map((value) => ({ value, weight: 0.8 })) : undefined
    },
    // A decision against acting says so in all its fields: no supplier, no units.
    object: (value, schema) => {
      const properties = Predicate.isObject(schema.properties)
        ? (schema.properties as Readonly<Record<string, unknown>>)
        : {}
      const refused = Object.entries(value).some(([name, entry]) => {
        if (entry !== false) return false
        const words = stems(name)
        const matching = isAction(words)
        if (matching.length > 0) return matching.every(({ observation }) => observation.status !== "done")
        const fact = find(facts, words, { said: known, accepts: accepts("boolean") })
        return fact === undefined && words.length > 0 && words.every((word) => bestLikeness(word, known) > 0)
      })
      if (!refused) return value
      const quiet: Record<string, unknown> = { ...value }
      for (const [name, property] of Object.entries(properties)) {
        if (!Predicate.isObject(property) || !(name in quiet)) continue
        const own = property as Readonly<Record<string, unknown>>
        const choices = Array.isArray(own.anyOf) ? own.anyOf : Array.isArray(own.type) ? own.type : []
        const nullable = choices.some(
          (choice) => choice === "null" || (Predicate.hasProperty(choice, "type") && choice.type === "null")
        )
        if (nullable) quiet[name] = null
        else if (typeof quiet[name] === "number" && bestLikeness(stems(name).at(-1) ?? "", quantities) > 0) {
          const least = typeof own.minimum === "number" ? own.minimum : 0
          if (least <= 0 && typeof own.exclusiveMinimum !== "number") quiet[name] = 0
        }
      }
      return quiet
    }
  }
  return source
}

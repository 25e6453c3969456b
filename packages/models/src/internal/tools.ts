/**
 * Tools: what the offline model knows of a tool: its words, its schema, whether it only reads, and whether a text asks
 * for it.
 */
import * as Tool from "effect/ai/Tool"
import * as Context from "effect/Context"
import type { Json } from "./fill.ts"
import { contentStems, isNegated, likeness, related, sentences, splitWords, stem, stems } from "./words.ts"

/** A tool, read. */
export interface Known {
  readonly tool: Tool.Any
  readonly name: string
  readonly description: string
  readonly words: ReadonlyArray<string>
  /** The words of the name without its verb. */
  readonly nouns: ReadonlyArray<string>
  readonly described: ReadonlySet<string>
  readonly schema: Json
  readonly readonly: boolean
}

const readingVerbs = new Set(
  stems(
    "get list search find check read fetch lookup look show query count forecast calculate compute estimate describe view inspect load browse preview compare validate verify track"
  )
)
const lightVerbs = new Set(stems("place make create do perform submit set add run execute new issue file put"))

/** Whether a name says that the tool only reads. */
export const readsByName = (name: string): boolean => {
  const first = stems(name)[0]
  return first !== undefined && readingVerbs.has(first)
}

/** The nouns of a tool's name. */
export const nounsOf = (name: string): ReadonlyArray<string> => {
  const words = stems(name)
  return words.length > 1 ? words.slice(1) : words
}

const annotated = (tool: Tool.Any, key: string): boolean => tool.annotations.mapUnsafe.has(key)

/** Reads a tool; tools that a provider runs itself are unknown here. */
export const know = (tool: Tool.Any): Known | undefined => {
  if (Tool.isProviderDefined(tool)) return undefined
  const description = Tool.getDescription(tool) ?? ""
  let schema: Json
  try {
    schema = Tool.getJsonSchema(tool)
  } catch {
    // A schema that has no JSON form cannot be filled from text; the tool is as good as absent.
    return undefined
  }
  const declared = annotated(tool, Tool.Readonly.key) || annotated(tool, Tool.Destructive.key)
  return {
    tool,
    name: tool.name,
    description,
    words: stems(tool.name),
    nouns: nounsOf(tool.name),
    described: contentStems(description),
    schema,
    readonly: declared
      ? Context.get(tool.annotations, Tool.Readonly) ||
        (!Context.get(tool.annotations, Tool.Destructive) && readsByName(tool.name))
      : readsByName(tool.name)
  }
}

/** Tells of a name whether its tool only reads: by the tool if it is one of these, else by the name. */
export const readsOf = (tools: ReadonlyArray<Tool.Any>): ((name: string) => boolean) => {
  const known = new Map(tools.map((tool) => [tool.name, know(tool)?.readonly]))
  return (name) => known.get(name) ?? readsByName(name)
}

const before = new Set([
  "|",
  "please",
  "and",
  "then",
  "to",
  "you",
  "must",
  "should",
  "also",
  "or",
  "now",
  "just",
  "finally",
  "lets",
  "let",
  "me",
  "us"
])
const invited = new Set(["can", "could", "would", "will"])

/** The words of a sentence as stems, with a bar where punctuation parts it. */
const tokens = (sentence: string): Array<string> =>
  sentence
    .split(/(?:[,:;()]|\s[-–—]\s)+/)
    .flatMap((clause, index) => (index === 0 ? splitWords(clause) : ["|", ...splitWords(clause)]))

interface Asked {
  readonly asked: boolean
  readonly denied: boolean
}

const askedIn = (known: Known, text: string): Asked => {
  let asked = false
  let denied = false
  const verb = known.words[0]
  if (verb === undefined) return { asked, denied }
  for (const sentence of sentences(text)) {
    const raw = tokens(sentence)
    const words = raw.map((word) => (word === "|" ? word : stem(word)))
    const joined = words.map((word, index) => (index + 1 < raw.length ? `${raw[index]}${raw[index + 1]}` : word))
    const at = (wanted: string) =>
      words.findIndex((word, index) => likeness(word, wanted) > 0 || joined[index] === wanted)
    const commands = (wanted: string, exact: boolean): number =>
      words.findIndex((word, index) => {
        if (!(exact ? word === wanted || joined[index] === wanted : likeness(word, wanted) > 0)) return false
        const previous = raw[index - 1]
        return (
          previous === undefined ||
          before.has(previous) ||
          (invited.has(raw[index - 2] ?? "") && previous === "you") ||
          isNegated(raw, index)
        )
      })
    const hits = known.words.map(at)
    const described = words.some(
      (word) =>
        word !== verb && word !== "|" && word.length > 2 && known.described.has(word) && likeness(word, verb) === 0
    )
    const noun = known.nouns.at(-1)!
    const nounHit = known.words.length > 1 && at(noun) >= 0
    const light = lightVerbs.has(verb)
    const full = hits.every((index) => index >= 0) && known.words.length > 1 ? Math.max(...hits) : -1
    const exact = light ? -1 : commands(verb, true)
    const alike = commands(verb, false)
    const nounCommand = light && known.words.length > 1 ? commands(noun, false) : -1
    // A whole name in a sentence is an order only where its verb could be one: `what orders did we place` is none.
    const whole = full >= 0 && (alike >= 0 || commands(noun, false) >= 0) ? full : -1
    const index =
      whole >= 0
        ? Math.min(...hits)
        : exact >= 0
          ? exact
          : nounCommand >= 0
            ? nounCommand
            : alike >= 0 && (nounHit || described)
              ? alike
              : -1
    if (index < 0) continue
    if (isNegated(raw, index) || (whole >= 0 && isNegated(raw, whole))) denied = true
    else asked = true
  }
  return { asked, denied }
}

const questionWords =
  /^(what|which|who|whom|whose|when|where|why|how|is|are|was|were|do|does|did|has|have|should|shall|may|am)\b/i
const politely = /\b(can|could|would|will) you\b|\bplease\b/i

/** Whether a request only wants to know something. */
export const isQuestion = (request: string): boolean => {
  const all = sentences(request)
  return (
    all.length > 0 &&
    all.every((sentence) => (sentence.endsWith("?") || questionWords.test(sentence)) && !politely.test(sentence))
  )
}

const onRequestOnly = /\b(only|unless|asks?|asked|requests?|requested|wants?)\b/i

/** Whether the request asks for a tool's action, or the instructions do and the request does not object. */
export const isAsked = (known: Known, request: string, instructions: string): boolean => {
  const wish = askedIn(known, request)
  if (wish.denied) return false
  if (wish.asked) return !isQuestion(request) || politely.test(request)
  if (isQuestion(request)) return false
  const standing = sentences(instructions).filter((sentence) => !onRequestOnly.test(sentence))
  const rule = askedIn(known, standing.join("\n"))
  return rule.asked && !askedIn(known, instructions).denied
}

/** How much a text has to do with a tool. */
export const relevance = (known: Known, said: ReadonlySet<string>): number => {
  const words = [...said]
  const own = known.words.filter((word) => !readingVerbs.has(word) || known.words.length === 1)
  const named = own.filter((word) => words.some((other) => related(word, other))).length
  const described = [...known.described].filter((word) => !readingVerbs.has(word) && said.has(word)).length
  return named * 2 + described
}

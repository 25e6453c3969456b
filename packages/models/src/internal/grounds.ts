/**
 * Grounds: why a matter ended as it did, what decided it first: an action that was denied or failed, then why an action
 * was not taken, then what was chosen, then what was done, then what was read.
 */
import * as Predicate from "effect/Predicate"
import type { Conversation, Observation } from "./conversation.ts"
import type { Choice, Facts } from "./facts.ts"
import { brief, call, cut } from "./report.ts"
import { type JsonObject, unusableBy } from "./select.ts"
import { splitWords, stem, stems } from "./words.ts"

const asObject = (value: unknown): JsonObject | undefined =>
  Predicate.isObject(value) && !Array.isArray(value) ? (value as JsonObject) : undefined

const advice = new Set(stems("suggested recommended needed required proposed optimal missing shortfall"))
const denials = new Set(["denied", "rejected", "declined", "refused", "forbidden"])

/** What results say against acting, the plainest first: a mark, nothing to choose from, nothing needed, no value. */
export const obstacles = (
  observations: ReadonlyArray<Observation>,
  choices: ReadonlyArray<Choice>,
  said: Iterable<string>
): ReadonlyArray<string> => {
  const known = new Set(said)
  const done = observations.filter(({ status }) => status === "done")
  const marks = done.flatMap(({ result, tool }) => {
    const mark = unusableBy(asObject(result) ?? {}, known)
    return mark === undefined ? [] : [`${tool} says ${mark}`]
  })
  const empty = done.flatMap(({ result, tool }) =>
    Array.isArray(result)
      ? result.length === 0
        ? [`${tool} found nothing`]
        : []
      : Object.entries(asObject(result) ?? {}).flatMap(([key, value]) =>
          Array.isArray(value) && value.length === 0 ? [`${tool} found no ${key}`] : []
        )
  )
  const useless = choices
    .filter(({ element }) => element === undefined)
    .map(({ list, reason, tool }) => `${list === tool ? tool : `${tool}, ${list}`}: ${reason}`)
  const values = (wanted: (key: string, value: unknown) => boolean) =>
    done.flatMap(({ result, tool }) =>
      Object.entries(asObject(result) ?? {}).flatMap(([key, value]) =>
        wanted(key, value) ? [`${tool} says ${key} ${value === null ? "unknown" : String(value)}`] : []
      )
    )
  const unneeded = values(
    (key, value) => typeof value === "number" && value <= 0 && stems(key).some((word) => advice.has(word))
  )
  const unknown = values((_, value) => value === null)
  return [...new Set([...marks, ...empty, ...useless, ...unneeded, ...unknown])]
}

/** The sentence in which a failure says what is wrong, found by the names that such sentences have. */
const complaint = (value: unknown, depth = 0): string | undefined => {
  if (typeof value === "string") return value
  const object = asObject(value)
  if (object === undefined || depth > 3) return undefined
  for (const key of ["reason", "message", "error", "description", "cause"]) {
    const found = complaint(object[key], depth + 1)
    // Some failures carry what was said by whoever refused inside a longer sentence.
    if (found !== undefined && found.length > 0) return /\b[Rr]eason: (.+?)\.?(?=\s[A-Z]|$)/u.exec(found)?.[1] ?? found
  }
  return undefined
}

const isDenied = ({ result, status }: Observation): boolean =>
  status === "denied" ||
  Object.values(asObject(result) ?? {}).some(
    (value) =>
      typeof value === "string" && splitWords(value).length < 4 && splitWords(value).some((word) => denials.has(word))
  )

const unfinished = (observation: Observation): string => {
  if (observation.status === "pending") return `${observation.tool} has no result yet`
  // A runner of tools may have put `… failed:` before what the tool said.
  const said = (complaint(observation.result) ?? brief(observation.result)).replace(/^.{0,80}?\bfailed: /, "")
  return `${observation.tool} ${isDenied(observation) ? "was denied" : "failed"}: ${cut(said.replace(/\s+/g, " "), 200)}`
}

const naming = new Set(["id", "name", "title", "key", "code", "number"].map(stem))

/** What an element is called: what its names and identifiers say that the calls did not say already. */
const called = (element: JsonObject, conversation: Conversation): string => {
  const given = new Set(conversation.observations.flatMap(({ params }) => Object.values(asObject(params) ?? {})))
  const names = Object.entries(element).filter(
    ([key, value]) => (typeof value === "string" || typeof value === "number") && naming.has(stems(key).at(-1) ?? "")
  )
  const own = names.filter(([, value]) => !given.has(value))
  const first = names.filter(([, value]) => given.has(value))
  const picked = [...first, ...own].slice(0, 2).map(([, value]) => cut(String(value), 60))
  return picked.length > 0 ? picked.join(" ") : cut(brief(element), 80)
}

const chose = (choice: Choice, conversation: Conversation): string =>
  choice.element === undefined
    ? `Chose nothing from ${choice.list}: ${choice.reason}`
    : `Chose ${called(choice.element, conversation)} from ${choice.list}: ${choice.reason}`

/** What a call brought, without what its arguments say already. */
const brought = (observation: Observation): string => {
  const given = Object.entries(asObject(observation.params) ?? {})
  const result = asObject(observation.result)
  const fresh =
    result === undefined
      ? observation.result
      : Object.fromEntries(
          Object.entries(result).filter(
            ([key, value]) => value !== null && !given.some(([name, own]) => name === key && own === value)
          )
        )
  return `${call(observation)}: ${cut(brief(fresh), 120)}`
}

/** The texts among some arguments: what a call was about. */
const namesOf = (params: unknown): string =>
  JSON.stringify(Object.values(asObject(params) ?? {}).filter((value) => typeof value === "string"))

/**
 * Short sentences on what decided the matter. `notes` say why actions that were asked for were not taken, `reads` whether
 * a tool only reads.
 */
export const grounds = (
  conversation: Conversation,
  facts: Facts,
  notes: ReadonlyArray<string>,
  reads: (tool: string) => boolean
): ReadonlyArray<string> => {
  const { observations } = conversation
  // A failure after which the same was tried with other numbers decided nothing.
  const isCorrected = ({ params, status, tool }: Observation, index: number) =>
    status === "failed" &&
    observations.slice(index + 1).some((later) => later.tool === tool && namesOf(later.params) === namesOf(params))
  const actions = observations.filter(
    (observation, index) => !reads(observation.tool) && !isCorrected(observation, index)
  )
  const reading = observations.filter(({ tool }) => reads(tool))
  const isDone = ({ status }: Observation) => status === "done"
  const used = new Set(actions.flatMap(({ params }) => Object.values(asObject(params) ?? {})))
  const isUsed = ({ element }: Choice) =>
    Object.values(element ?? {}).some((value) => typeof value === "string" && used.has(value))
  // What an action was made with decided more than what was merely looked at.
  const choices = [...facts.choices.filter(isUsed), ...facts.choices.filter((choice) => !isUsed(choice))]
  return [
    ...actions.filter((action) => !isDone(action)).map(unfinished),
    ...(actions.length === 0 ? notes : []),
    ...reading.filter((read) => !isDone(read)).map(unfinished),
    ...choices.map((choice) => chose(choice, conversation)),
    ...actions.filter(isDone).map(brought),
    ...reading.filter(isDone).map(brought)
  ]
}

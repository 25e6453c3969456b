/**
 * Reports: what was gathered, chosen, done and not done, as sentences.
 */
import * as Predicate from "effect/Predicate"
import type { Conversation, Observation } from "./conversation.ts"
import type { Facts } from "./facts.ts"

/** A text of at most that length. */
export const cut = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text

/** A value in a few words. */
export const brief = (value: unknown): string => {
  if (value === null || value === undefined) return "nothing"
  if (typeof value === "string") return cut(value, 200)
  if (Array.isArray(value)) {
    if (value.length === 0) return "none"
    const scalars = value.every((item) => !Predicate.isObject(item))
    return scalars && value.length <= 10 ? cut(value.map(brief).join(", "), 200) : `${value.length} entries`
  }
  if (Predicate.isObject(value)) {
    const entries = Object.entries(value).slice(0, 8)
    return entries
      .map(
        ([key, entry]) => `${key} ${Predicate.isObject(entry) && !Array.isArray(entry) ? "{…}" : cut(brief(entry), 80)}`
      )
      .join(", ")
  }
  return String(value)
}

/** A call as it was made. */
export const call = (observation: Observation): string =>
  `${observation.tool}(${cut(brief(observation.params), 120).replace(/^nothing$/, "")})`

/** One sentence on a call. */
export const describe = (observation: Observation): string => {
  switch (observation.status) {
    case "done":
      return `${call(observation)}: ${brief(observation.result)}`
    case "failed":
      return `${call(observation)} failed: ${brief(observation.result)}`
    case "denied":
      return `${call(observation)} was denied: ${brief(observation.result)}`
    case "pending":
      return `${call(observation)} has no result yet`
  }
}

/** One sentence on each call and each choice, in the order of the conversation. */
export const findings = (conversation: Conversation, facts: Facts): ReadonlyArray<string> =>
  conversation.observations.flatMap((observation, index) => [
    describe(observation),
    ...facts.choices
      .filter((choice) => choice.call === index)
      .map((choice) =>
        choice.element === undefined
          ? `Nothing chosen from ${choice.list}: ${choice.reason}`
          : `Chose from ${choice.list}: ${choice.reason} (${cut(brief(choice.element), 160)})`
      )
  ])

/** What every text answer of the offline model begins with. */
export const banner =
  "Offline model (no intelligence, no cost): this answer is made by matching words, not by understanding."

/** The text answer: `replies` answer the question, if there is one. */
export const answer = (
  conversation: Conversation,
  facts: Facts,
  notes: ReadonlyArray<string>,
  replies: ReadonlyArray<string>
): string => {
  const lines = findings(conversation, facts)
  const gathered =
    lines.length > 0
      ? ["What was gathered:", ...lines.map((line) => `- ${line}`)]
      : ["No tool fitted the request, so nothing was gathered."]
  const open = notes.length > 0 ? ["Not done:", ...notes.map((note) => `- ${note}`)] : []
  const request = conversation.request.trim()
  return [
    banner,
    ...(request.length > 0 ? [`Request: ${cut(request.replace(/\s+/g, " "), 300)}`] : []),
    ...(replies.length > 0 ? [`Answer: ${replies.join("; ")}`] : []),
    ...gathered,
    ...open
  ].join("\n")
}

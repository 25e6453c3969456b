/** Calls and their results: which belongs to which, and both as a wire takes them. */
import * as Prompt from "effect/ai/Prompt"
import * as Predicate from "effect/Predicate"
import type { Wire } from "../../History.ts"
import * as Names from "../../Names.ts"
import * as Text from "../../Text.ts"

/** What stands for the result of a call that has none. */
export const interrupted =
  "The call was interrupted and its outcome is unknown: it may have taken effect. Find out before you repeat it."

/** A call as the wire takes it, with its result. */
export interface Call {
  readonly part: Prompt.ToolCallPart
  readonly result: Prompt.ToolResultPart
}

/** The calls of a conversation that the application runs, and the results that answer them. */
export interface Calls {
  /** Those of the message with this index, in order. */
  readonly at: (index: number) => ReadonlyArray<Call>
  readonly answers: ReadonlySet<Prompt.ToolResultPart>
}

const noCalls: ReadonlyArray<Call> = []
const none: Calls = { at: () => noCalls, answers: new Set() }

/** Most of what a model wrote as arguments that is told again. */
const maxTold = 2_000

interface Found {
  readonly part: Prompt.ToolCallPart
  /** The message that makes the call, and the next one that makes one of the same id. */
  readonly from: number
  until: number
}

const ownCalls = (message: Prompt.Message): ReadonlyArray<Prompt.ToolCallPart> =>
  message.role === "assistant"
    ? message.content.filter((part): part is Prompt.ToolCallPart => part.type === "tool-call" && !part.providerExecuted)
    : []

const found = (messages: ReadonlyArray<Prompt.Message>): ReadonlyArray<Found> => {
  const all: Array<Found> = []
  const last = new Map<string, Array<Found>>()
  messages.forEach((message, from) => {
    const own = ownCalls(message)
    for (const { id } of own) {
      for (const before of last.get(id) ?? []) if (before.from < from) before.until = from
      last.delete(id)
    }
    for (const part of own) {
      const one = { part, from, until: messages.length }
      all.push(one)
      const known = last.get(part.id)
      if (known === undefined) last.set(part.id, [one])
      else known.push(one)
    }
  })
  return all
}

interface Given {
  readonly part: Prompt.ToolResultPart
  readonly at: number
}

const given = (messages: ReadonlyArray<Prompt.Message>): ReadonlyMap<string, Array<Given>> => {
  const all = new Map<string, Array<Given>>()
  messages.forEach((message, at) => {
    if (message.role !== "tool" && message.role !== "assistant") return
    for (const part of message.content) {
      if (part.type !== "tool-result" || (message.role === "assistant" && part.providerExecuted)) continue
      const known = all.get(part.id)
      if (known === undefined) all.set(part.id, [{ part, at }])
      else known.push({ part, at })
    }
  })
  return all
}

/** A value as text, also one that JSON has no form for. */
export const written = (value: unknown): string => {
  try {
    return Text.wellFormedJson(JSON.stringify(value) ?? String(value))
  } catch {
    return String(value)
  }
}

/** The parameters as an object, and what was there in its place. */
const objectOf = (params: unknown): { readonly params: object; readonly wrote?: string } => {
  if (Predicate.isObject(params)) return { params }
  if (params === undefined || params === null) return { params: {} }
  if (typeof params !== "string") return { params: {}, wrote: written(params) }
  if (params.trim() === "") return { params: {} }
  try {
    const parsed: unknown = JSON.parse(params)
    return Predicate.isObject(parsed) ? { params: parsed } : { params: {}, wrote: params }
  } catch {
    return { params: {}, wrote: params }
  }
}

const telling = (part: Prompt.ToolResultPart, wrote: string): Prompt.ToolResultPart => {
  const told = Text.cut(wrote, maxTold)
  const text = `The arguments of the call were: ${told}`
  if (part.modelOutput !== undefined) {
    return Prompt.toolResultPart({ ...part, modelOutput: [...part.modelOutput, Prompt.textPart({ text })] })
  }
  const { result } = part
  const more = Predicate.isObject(result)
    ? { ...result, arguments: told }
    : typeof result === "string"
      ? `${result}\n${text}`
      : { result, arguments: told }
  return Prompt.toolResultPart({ ...part, result: more })
}

const unanswered = (part: Prompt.ToolCallPart): Prompt.ToolResultPart =>
  Prompt.toolResultPart({
    id: part.id,
    name: part.name,
    isFailure: true,
    result: interrupted,
    providerExecuted: false
  })

// A failure that says nothing is content of nothing, which is refused.
const speaking = (part: Prompt.ToolResultPart): Prompt.ToolResultPart => {
  if (!part.isFailure) return part
  const isEmpty =
    part.modelOutput === undefined
      ? part.result === undefined || (typeof part.result === "string" && part.result.trim() === "")
      : part.modelOutput.every((one) => one.type === "text" && one.text.trim() === "")
  return isEmpty
    ? Prompt.toolResultPart({ ...part, modelOutput: undefined, result: "The tool failed and did not say why." })
    : part
}

/** The calls of a conversation, each with its result. */
export const callsOf = (messages: ReadonlyArray<Prompt.Message>, wire: Wire): Calls => {
  const all = found(messages)
  if (all.length === 0) return none
  const results = given(messages)
  const ids = Names.make(wire.ids ?? { longest: Number.POSITIVE_INFINITY })
  const again = new Map<string, number>()
  const at = new Map<number, Array<Call>>()
  const used = new Set<Given>()
  for (const { from, part, until } of all) {
    const times = again.get(part.id) ?? 0
    again.set(part.id, times + 1)
    const id = ids.toWire(times === 0 ? part.id : `${part.id}\n${times + 1}`)
    const name = wire.names?.toWire(part.name) ?? part.name
    const { params, wrote } = objectOf(wire.params === undefined ? part.params : wire.params(part.name, part.params))
    const answer = results.get(part.id)?.find((one) => one.at >= from && one.at < until && !used.has(one))
    if (answer !== undefined) used.add(answer)
    const spoken = speaking(answer?.part ?? unanswered(part))
    const told = wrote === undefined ? spoken : telling(spoken, wrote)
    const sameResult = told.id === id && told.name === name
    const call = {
      part:
        part.id === id && part.name === name && part.params === params
          ? part
          : Prompt.toolCallPart({ ...part, id, name, params }),
      result: sameResult ? told : Prompt.toolResultPart({ ...told, id, name })
    }
    const beside = at.get(from)
    if (beside === undefined) at.set(from, [call])
    else beside.push(call)
  }
  return { at: (index) => at.get(index) ?? noCalls, answers: new Set([...used].map(({ part }) => part)) }
}

/** What a message of the assistant's says, as the wire takes it. */
export const assistantContent = (
  message: Prompt.AssistantMessage,
  calls: ReadonlyArray<Call>,
  { isContent, pauses, takes }: Wire
): ReadonlyArray<Prompt.AssistantMessagePart> => {
  const parts: Array<Prompt.AssistantMessagePart> = []
  let made = 0
  // Reasoning that led to nothing is refused.
  let kept = 0
  for (const part of message.content) {
    switch (part.type) {
      case "text":
        if (part.text.trim() === "") continue
        break
      case "reasoning":
        if (pauses?.(part) === true || takes?.(part) === false) continue
        if (isContent?.(part) === true) break
        parts.push(part)
        continue
      case "tool-result":
        if (!part.providerExecuted || takes?.(part) === false) continue
        break
      case "tool-approval-request":
        continue
      case "tool-call": {
        if (part.providerExecuted) {
          if (takes?.(part) === false) continue
          break
        }
        parts.push(calls[made++]!.part)
        kept = parts.length
        continue
      }
      case "file":
        break
    }
    parts.push(part)
    kept = parts.length
  }
  parts.length = kept
  return parts
}

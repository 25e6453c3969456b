/**
 * Segments: where a prompt may be cut. What belongs together stays together: a tool call and its result, an approval and
 * its request, and all that stands between them; the messages of a system are not cut at all.
 */
import type * as Prompt from "effect/ai/Prompt"

/** Indexes of messages that go together or not at all. */
export type Unit = ReadonlyArray<number>

/** A request of a person and what came of it, up to the next request. */
export interface Exchange {
  /** The request: user messages in a row. Empty before the first one. */
  readonly head: Unit
  readonly units: ReadonlyArray<Unit>
}

interface Open {
  readonly index: number
}

/** For each message, whether no cut may be made right before it. */
const joints = (messages: ReadonlyArray<Prompt.Message>): ReadonlyArray<boolean> => {
  const joined = messages.map(() => false)
  const calls = new Map<string, Array<Open>>()
  const requests = new Map<string, { readonly index: number; readonly call: string }>()
  const join = (from: number, to: number) => {
    for (let index = from + 1; index <= to; index++) joined[index] = true
  }
  for (const [index, message] of messages.entries()) {
    if (message.role !== "assistant" && message.role !== "tool") continue
    for (const part of message.content) {
      switch (part.type) {
        case "tool-call": {
          const open = calls.get(part.id)
          if (open === undefined) calls.set(part.id, [{ index }])
          else open.push({ index })
          break
        }
        case "tool-result": {
          // Providers use the same id again in later turns: a result belongs to the nearest call before it.
          const call = calls.get(part.id)?.at(-1)
          if (call !== undefined) join(call.index, index)
          break
        }
        case "tool-approval-request": {
          requests.set(part.approvalId, { index, call: part.toolCallId })
          const call = calls.get(part.toolCallId)?.at(-1)
          if (call !== undefined) join(call.index, index)
          break
        }
        case "tool-approval-response": {
          const request = requests.get(part.approvalId)
          if (request !== undefined) join(request.index, index)
          break
        }
      }
    }
  }
  return joined
}

/** The exchanges of a conversation, oldest first, without its system messages. */
export const exchanges = (messages: ReadonlyArray<Prompt.Message>): ReadonlyArray<Exchange> => {
  const joined = joints(messages)
  const units: Array<Array<number>> = []
  for (const [index, message] of messages.entries()) {
    if (message.role === "system") continue
    const last = units.at(-1)
    if (last !== undefined && joined[index] === true) last.push(index)
    else units.push([index])
  }
  const out: Array<{ head: Array<number>; units: Array<Unit> }> = []
  for (const unit of units) {
    const asks = unit.length === 1 && messages[unit[0]!]!.role === "user"
    const current = out.at(-1)
    if (asks && (current === undefined || current.units.length > 0)) out.push({ head: [...unit], units: [] })
    else if (asks) current!.head.push(...unit)
    else if (current === undefined) out.push({ head: [], units: [unit] })
    else current.units.push(unit)
  }
  return out
}

/**
 * What may be cut, in the order in which it goes: whole exchanges but the last, then the oldest units of the last one.
 * The last request stays, wherever it stands, and so does the last unit.
 */
export const cuttable = (
  messages: ReadonlyArray<Prompt.Message>
): { readonly exchanges: number; readonly steps: ReadonlyArray<Unit> } => {
  const all = exchanges(messages)
  const last = all.at(-1)
  if (last === undefined) return { exchanges: 0, steps: [] }
  const request = messages.findLastIndex((message) => message.role === "user")
  const former = all.slice(0, -1).map((exchange) => [...exchange.head, ...exchange.units.flat()])
  const within = last.units.slice(0, -1).filter((unit) => !unit.includes(request))
  return { exchanges: former.length, steps: [...former, ...within] }
}

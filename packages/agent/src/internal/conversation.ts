import * as Dispatcher from "@selvage/tools/Dispatcher"
import type * as Prompt from "effect/ai/Prompt"
import * as Schema from "effect/Schema"

/** A tool call of a model that has no result yet, as the dispatcher takes it. */
export class PendingCall {
  readonly id: string
  readonly name: string
  readonly params: unknown
  /** The name of the call in the journal: models and gateways give several calls of one turn the same id. */
  readonly as: string
  // Out of sight of who prints or encodes a call: it is there for tools that decide by it whether they need approval.
  readonly #messages: ReadonlyArray<Prompt.Message>

  constructor({ id, name, params }: Prompt.ToolCallPart, as: string, messages: ReadonlyArray<Prompt.Message>) {
    this.as = as
    this.id = id
    this.name = name
    this.params = params
    this.#messages = messages
  }
  /** The conversation before the message that makes the call. */
  get leading(): ReadonlyArray<Prompt.Message> {
    return this.#messages.slice(0, -1)
  }
}

/** Calls are made of the state and never encoded. */
export const Pending = Schema.declare((u): u is PendingCall => u instanceof PendingCall)

/** The tool calls that the last message of the assistant makes and that have no result yet. */
export const pendingCalls = ({ content }: Prompt.Prompt): ReadonlyArray<PendingCall> => {
  const last = content.at(-1)
  if (last?.role !== "assistant") return []
  const answered = new Set<string>()
  const made: Array<Prompt.ToolCallPart> = []
  for (const part of last.content) {
    if (part.type === "tool-result") answered.add(part.id)
    else if (part.type === "tool-call" && !part.providerExecuted) made.push(part)
  }
  const names = Dispatcher.distinct(made.map(({ id }) => id))
  const calls = made.map((part, index) => new PendingCall(part, names[index] ?? part.id, content))
  return answered.size === 0 ? calls : calls.filter(({ id }) => !answered.has(id))
}

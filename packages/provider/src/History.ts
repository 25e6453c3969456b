/**
 * Histories made whole: a conversation as a provider takes it, made of one that aborts, limits, fallbacks and cuts left as it is.
 *
 * A durable thread sends what it holds with every request, so one message that a provider refuses would stop it for good. What is repaired,
 * the same for every wire:
 *
 * - **Calls and results** stand together, in the order of the calls. A call without a result gets a failed one ({@link interrupted}), a
 *   result without a call becomes text of the user's. Ids that come again, or that the wire does not take, are replaced.
 * - **Arguments** are JSON objects. What a model wrote instead becomes `{}`, and the result of the call says what it wrote.
 * - **Reasoning** stays where something that it led to follows in the same message, and where the wire takes it at all.
 * - **Nothing is empty**: blank texts and messages without content go.
 * - **Turns**: the assistant does not speak twice without a word between ({@link proceed}), and a request does not end with it, except after
 *   a pause, where the provider goes on with what it said.
 *
 * System messages stay in their place, but not between a call and its result. What comes out of the beginning of a conversation does not
 * depend on its end, except for the last call's results: a conversation that grows is sent as it was before, and more.
 *
 * **Example**
 *
 * ```ts
 * import * as History from "@selvage/provider/History"
 * import * as Prompt from "effect/ai/Prompt"
 *
 * const call = Prompt.toolCallPart({ id: "1", name: "stock", params: {}, providerExecuted: false })
 * const asked = Prompt.concat(Prompt.make("How many?"), Prompt.fromMessages([Prompt.assistantMessage({ content: [call] })]))
 * const { content } = History.whole(Prompt.concat(asked, "Never mind."), {})
 *
 * console.log(content.map(({ role }) => role)) // ["user", "assistant", "tool", "user"]
 * ```
 */
import * as Prompt from "effect/ai/Prompt"
import { assistantContent, type Calls, callsOf, written } from "./internal/history/calls.ts"
import type * as Names from "./Names.ts"

/** What a wire takes. Everything may be left out, and is then as lenient as can be. */
export interface Wire {
  /** Ids of calls. */
  readonly ids?: Names.Rule | undefined
  /** The names of tools. */
  readonly names?: Names.Names | undefined
  /** The parameters of a call as the wire has them, where they are not those of the tool's schema. */
  readonly params?: ((name: string, params: unknown) => unknown) | undefined
  /** Whether the wire takes back this reasoning, or this call or result of what a provider ran itself; yes if not given. */
  readonly takes?: ((part: Prompt.ReasoningPart | Prompt.ToolCallPart | Prompt.ToolResultPart) => boolean) | undefined
  /** Whether this reasoning is content of another kind, which may stand alone; no if not given. */
  readonly isContent?: ((part: Prompt.ReasoningPart) => boolean) | undefined
  /** Whether this stands for no reasoning, but says that the provider paused after what is before it; no if not given. */
  readonly pauses?: ((part: Prompt.ReasoningPart) => boolean) | undefined
  /** The provider has the beginning of the conversation: results at the start answer calls that are there. */
  readonly continues?: boolean | undefined
  /** Lets a request end with the assistant, for the model to continue its text. */
  readonly prefill?: boolean | undefined
}

export { interrupted } from "./internal/history/calls.ts"

/** What the user says where a model is to speak again without having been answered. */
export const proceed = "Continue."

const said = (text: string): Prompt.UserMessage => Prompt.userMessage({ content: [Prompt.textPart({ text })] })

const isBlank = (part: { readonly type: string; readonly text?: string }): boolean =>
  part.type === "text" && (part.text ?? "").trim() === ""

/** Whether the provider goes on from here by itself, as after a tool of its own that took long. */
const isPaused = (message: Prompt.AssistantMessage, { isContent, pauses, takes }: Wire): boolean => {
  const last = message.content.findLast((part) => {
    if (part.type === "tool-approval-request") return false
    if (part.type === "text" || part.type === "file") return true
    if (part.type === "reasoning") return pauses?.(part) === true || takes?.(part) !== false
    return !part.providerExecuted || takes?.(part) !== false
  })
  if (last?.type === "tool-call" || last?.type === "tool-result") return last.providerExecuted
  return last?.type === "reasoning" && (isContent?.(last) === true || pauses?.(last) === true)
}

/** The messages so far, and where the assistant spoke last if nobody has since. */
class Conversation {
  readonly messages: Array<Prompt.Message> = []
  #open: number | undefined

  system(message: Prompt.SystemMessage): void {
    if (message.content.trim() !== "") this.messages.push(message)
  }

  user(message: Prompt.UserMessage): void {
    const { content } = message
    const left = content.some(isBlank) ? content.filter((part) => !isBlank(part)) : content
    if (left.length === 0) return
    this.#open = undefined
    this.messages.push(left === content ? message : Prompt.userMessage({ content: left, options: message.options }))
  }

  assistant(message: Prompt.AssistantMessage, results: ReadonlyArray<Prompt.ToolResultPart>, isPaused: boolean): void {
    if (message.content.length === 0) return
    this.answered()
    this.messages.push(message)
    this.#open = isPaused ? undefined : this.messages.length
    if (results.length === 0) return
    this.#open = undefined
    this.messages.push(Prompt.toolMessage({ content: results }))
  }

  tool({ options }: Prompt.ToolMessage, content: ReadonlyArray<Prompt.ToolMessagePart>): void {
    this.#open = undefined
    this.messages.push(Prompt.toolMessage({ content, options }))
  }

  /** Sees to it that somebody spoke after the assistant, ahead of system messages that came since. */
  answered(): void {
    if (this.#open !== undefined) this.messages.splice(this.#open, 0, said(proceed))
    this.#open = undefined
  }
}

const orphan = ({ name, result }: Prompt.ToolResultPart): Prompt.UserMessage => {
  const text = typeof result === "string" ? result : written(result)
  return said(`The result of an earlier call of ${name}: ${text}`)
}

const add = (conversation: Conversation, message: Prompt.Message, index: number, calls: Calls, wire: Wire): void => {
  switch (message.role) {
    case "system":
      return conversation.system(message)
    case "user":
      return conversation.user(message)
    case "assistant": {
      const own = calls.at(index)
      const content = assistantContent(message, own, wire)
      const same =
        content.length === message.content.length && content.every((part, index) => part === message.content[index])
      return conversation.assistant(
        same ? message : Prompt.assistantMessage({ content, options: message.options }),
        own.map(({ result }) => result),
        isPaused(message, wire)
      )
    }
    case "tool": {
      const left = message.content.filter((part) => part.type === "tool-result" && !calls.answers.has(part))
      if (left.length === 0) return
      if (wire.continues === true) return conversation.tool(message, left)
      for (const part of left) if (part.type === "tool-result") conversation.user(orphan(part))
    }
  }
}

/** The conversation as a wire takes it. */
export const whole = (prompt: Prompt.Prompt, wire: Wire): Prompt.Prompt => {
  const calls = callsOf(prompt.content, wire)
  const conversation = new Conversation()
  prompt.content.forEach((message, index) => add(conversation, message, index, calls, wire))
  if (wire.prefill !== true) conversation.answered()
  return Prompt.fromMessages(conversation.messages)
}

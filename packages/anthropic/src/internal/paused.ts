/**
 * What of a history goes back of the tools that Anthropic ran, and of thinking.
 *
 * The API takes the call of such a tool with its result, or as the last thing said: then it goes on, as after a pause or when code that it
 * runs waits for a tool of ours: https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons#pause-turn. Elsewhere a call
 * without a result is refused, as is a result without its call.
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Predicate from "effect/Predicate"

type Part = Prompt.ReasoningPart | Prompt.ToolCallPart | Prompt.ToolResultPart

const optionsOf = (part: { readonly options: Prompt.ProviderOptions }): Readonly<Record<string, unknown>> => {
  const own: unknown = part.options["anthropic"]
  return Predicate.isObject(own) ? own : {}
}

/** Whether a part that looks like reasoning is a block of another kind, kept only to go back. */
export const isContent = (part: Prompt.ReasoningPart): boolean => Boolean(optionsOf(part)["block"])

/** Whether it is the mark of a pause. */
export const pauses = (part: Prompt.ReasoningPart): boolean => optionsOf(part)["paused"] === true

interface Server {
  readonly kind: "call" | "result"
  readonly id: string
}

/** What a part is of a tool that Anthropic ran; nothing for one that another provider ran, or for thinking. */
const serverOf = (part: Prompt.AssistantMessagePart): Server | undefined => {
  if (part.type === "reasoning") {
    const { block } = optionsOf(part)
    if (!Predicate.isObject(block)) return undefined
    if (typeof block["tool_use_id"] === "string") return { kind: "result", id: block["tool_use_id"] }
    return typeof block["id"] === "string" ? { kind: "call", id: block["id"] } : undefined
  }
  if (part.type !== "tool-call" && part.type !== "tool-result") return undefined
  if (!part.providerExecuted) return undefined
  const { block, resultType, serverTool } = optionsOf(part)
  const own = part.type === "tool-call" ? serverTool : resultType
  return block || own ? { kind: part.type === "tool-call" ? "call" : "result", id: part.id } : undefined
}

/** The calls that code of Anthropic's made of our tools, by the call that runs the code. */
const callersIn = (content: ReadonlyArray<Prompt.AssistantMessagePart>): ReadonlySet<unknown> =>
  new Set(
    content.flatMap((part) => {
      const { caller } = part.type === "tool-call" ? optionsOf(part) : {}
      return Predicate.isObject(caller) ? [caller["toolId"]] : []
    })
  )

const isBlank = (part: Prompt.UserMessagePart | Prompt.AssistantMessagePart): boolean =>
  part.type === "text" ? part.text.trim() === "" : part.type === "reasoning" && !isContent(part)

/** Whether a message comes to anything, and is not the system's. */
const says = (message: Prompt.Message): boolean => {
  switch (message.role) {
    case "system":
      return false
    case "tool":
      return message.content.length > 0
    case "user":
      return !message.content.every(isBlank)
    case "assistant":
      return !message.content.every(isBlank)
  }
}

const isThinking = (part: Prompt.ReasoningPart): boolean => {
  const { redactedData, signature } = optionsOf(part)
  return Boolean(signature) || Boolean(redactedData)
}

// What another provider thought or ran is not there for this one.
const pausesOrGoesBack = (part: Prompt.AssistantMessagePart): boolean => {
  if (part.type === "reasoning") return pauses(part) || isContent(part) || isThinking(part)
  const ran = (part.type === "tool-call" || part.type === "tool-result") && part.providerExecuted
  return ran ? serverOf(part) !== undefined : part.type !== "tool-approval-request"
}

const unpaired = (messages: ReadonlyArray<Prompt.Message>): ReadonlySet<string> => {
  const calls = new Map<string, number>()
  const results = new Set<string>()
  messages.forEach((message, index) => {
    if (message.role !== "assistant") return
    for (const part of message.content) {
      const server = serverOf(part)
      if (server?.kind === "call") calls.set(server.id, index)
      if (server?.kind === "result") results.add(server.id)
    }
  })
  const alone = new Set<string>()
  for (const id of results) if (!calls.has(id)) alone.add(id)
  for (const [id, index] of calls) {
    if (results.has(id)) continue
    const said = messages.slice(index + 1).filter(says)
    const message = messages[index]
    const content = message?.role === "assistant" ? message.content : []
    const last = content.findLast((part) => pausesOrGoesBack(part))
    const isPaused = last !== undefined && (serverOf(last) !== undefined || (last.type === "reasoning" && pauses(last)))
    const waits = callersIn(content).has(id)
    // The results of our own tools come after it.
    const isAnswered = content.some((part) => part.type === "tool-call" && !part.providerExecuted)
    const goesOn =
      said.length === 0 ? (isPaused && !isAnswered) || waits : waits && said.every(({ role }) => role === "tool")
    if (!goesOn) alone.add(id)
  }
  return alone
}

/** What goes back. */
export const taking = (prompt: Prompt.Prompt): ((part: Part) => boolean) => {
  let alone: ReadonlySet<string> | undefined
  return (part) => {
    const server = serverOf(part)
    if (server !== undefined) {
      alone ??= unpaired(prompt.content)
      return !alone.has(server.id)
    }
    if (part.type !== "reasoning") return false
    // Without a signature it is another provider's thinking, which this one refuses; a mark of a pause is none.
    return !pauses(part) && (isThinking(part) || isContent(part))
  }
}

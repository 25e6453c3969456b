/**
 * Conversation: what the offline model reads out of a prompt: who asked for what, which tools were called, and what
 * they said.
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Predicate from "effect/Predicate"

/** A tool call of the conversation and what became of it. */
export interface Observation {
  readonly id: string
  readonly tool: string
  readonly params: unknown
  readonly status: "done" | "failed" | "denied" | "pending"
  readonly result: unknown
}

/** A prompt, read. */
export interface Conversation {
  /** The text of the system messages. */
  readonly instructions: string
  /** The text of the last user message. */
  readonly request: string
  /** The text of all user messages, the last one first. */
  readonly said: string
  readonly observations: ReadonlyArray<Observation>
  /** Tool calls after the last user message. */
  readonly callsSinceRequest: number
}

/** The largest text that is looked at, in characters: what follows is not read. */
const maxText = 100_000

const readJson = (value: unknown): unknown => {
  if (typeof value === "string") {
    const text = value.trim()
    if (text.length > maxText || !/^[[{]/.test(text)) return value
    try {
      return JSON.parse(text)
    } catch {
      return value
    }
  }
  // A result that never was on a wire may hold dates and maps: what counts is what JSON says about it.
  try {
    return value === undefined ? null : JSON.parse(JSON.stringify(value))
  } catch {
    return null
  }
}

const isDenial = (result: unknown): boolean =>
  Predicate.hasProperty(result, "type") && result.type === "execution-denied"

/** Reads a prompt. */
export const read = (prompt: Prompt.Prompt): Conversation => {
  const system: Array<string> = []
  const user: Array<string> = []
  const observations: Array<Observation> = []
  let callsSinceRequest = 0
  const settle = (part: Prompt.ToolResultPart) => {
    const index = observations.findLastIndex((call) => call.id === part.id && call.status === "pending")
    const result = readJson(part.result)
    const status = !part.isFailure ? "done" : isDenial(result) ? "denied" : "failed"
    if (index >= 0) observations[index] = { ...observations[index]!, status, result }
    else observations.push({ id: part.id, tool: part.name, params: {}, status, result })
  }
  for (const message of prompt.content) {
    switch (message.role) {
      case "system": {
        system.push(message.content)
        break
      }
      case "user": {
        const text = message.content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n")
        if (text.trim().length > 0) user.unshift(text.slice(0, maxText))
        callsSinceRequest = 0
        break
      }
      case "assistant": {
        for (const part of message.content) {
          if (part.type === "tool-call") {
            callsSinceRequest++
            observations.push({
              id: part.id,
              tool: part.name,
              params: readJson(part.params),
              status: "pending",
              result: null
            })
          } else if (part.type === "tool-result") settle(part)
        }
        break
      }
      case "tool": {
        for (const part of message.content) {
          if (part.type === "tool-result") settle(part)
          else if (!part.approved) {
            const request = prompt.content
              .flatMap((other) => (other.role === "assistant" ? other.content : []))
              .find((other) => other.type === "tool-approval-request" && other.approvalId === part.approvalId)
            const index =
              request?.type === "tool-approval-request"
                ? observations.findLastIndex((call) => call.id === request.toolCallId && call.status === "pending")
                : -1
            if (index >= 0) {
              observations[index] = {
                ...observations[index]!,
                status: "denied",
                result: { reason: part.reason ?? "denied" }
              }
            }
          }
        }
        break
      }
    }
  }
  return {
    instructions: system.join("\n").slice(0, maxText),
    request: user[0] ?? "",
    said: user.join("\n").slice(0, maxText),
    observations,
    callsSinceRequest
  }
}

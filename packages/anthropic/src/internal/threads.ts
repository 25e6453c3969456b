/**
 * Which conversations the API holds, and with which tools it holds them.
 *
 * The API keeps a conversation's system prompt and tools from its first call and takes no others. `ResponseIdTracker` sees to it that the
 * messages are the same; the tools are compared here, so that a call with other tools starts anew instead of running with the old ones.
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import type * as Tool from "effect/ai/Tool"

/** How many answers are remembered; the oldest goes first, and a conversation forgotten is sent in full. */
const capacity = 1_000

/** The beta feature that the API knows this by. */
export const beta = "message-threads-2026-08-12"

export type ThreadParam =
  | { readonly type: "create" }
  | { readonly type: "continue"; readonly previous_message_id: string }

export interface Threads {
  /** What to send: only what is new, when the API holds the rest. */
  readonly plan: (options: LanguageModel.ProviderOptions) => {
    readonly thread: ThreadParam
    readonly prompt: Prompt.Prompt
  }
  /** Remembers the tools that an answer came from. */
  readonly remember: (messageId: string, tools: ReadonlyArray<Tool.Any>) => void
}

export const make = (): Threads => {
  const toolsOf = new Map<string, ReadonlyArray<Tool.Any>>()
  const same = (before: ReadonlyArray<Tool.Any> | undefined, now: ReadonlyArray<Tool.Any>): boolean =>
    before !== undefined && before.length === now.length && before.every((tool, index) => tool === now[index])
  return {
    plan: ({ incrementalPrompt, previousResponseId, prompt, tools }) =>
      incrementalPrompt !== undefined &&
      previousResponseId !== undefined &&
      same(toolsOf.get(previousResponseId), tools)
        ? { thread: { type: "continue", previous_message_id: previousResponseId }, prompt: incrementalPrompt }
        : { thread: { type: "create" }, prompt },
    remember: (messageId, tools) => {
      toolsOf.set(messageId, tools)
      if (toolsOf.size <= capacity) return
      for (const oldest of toolsOf.keys()) {
        toolsOf.delete(oldest)
        break
      }
    }
  }
}

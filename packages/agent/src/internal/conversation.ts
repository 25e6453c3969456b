import type * as Prompt from "effect/ai/Prompt"
import * as Schema from "effect/Schema"

/** A tool call of a model, as the dispatcher takes it. */
export const ToolCall = Schema.Struct({ id: Schema.String, name: Schema.String, params: Schema.Unknown })

/** The tool calls that the last message of the assistant makes and that have no result yet. */
export const pendingCalls = ({ content }: Prompt.Prompt): ReadonlyArray<typeof ToolCall.Type> => {
  const last = content.at(-1)
  if (last?.role !== "assistant") return []
  const answered = new Set(last.content.flatMap((part) => (part.type === "tool-result" ? [part.id] : [])))
  return last.content.flatMap((part) =>
    part.type === "tool-call" && !part.providerExecuted && !answered.has(part.id)
      ? [{ id: part.id, name: part.name, params: part.params }]
      : []
  )
}

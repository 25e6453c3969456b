/** What of a message is counted in tokens: its text, and an estimate of its files. */
import type * as Prompt from "effect/ai/Prompt"
import { canonicalText } from "./canonical.ts"

const imageTokens = 1_600

const fileTokens = (part: Prompt.FilePart): number => {
  if (part.mediaType.startsWith("image/")) return imageTokens
  if (part.data instanceof URL) return imageTokens
  const bytes = typeof part.data === "string" ? part.data.length * 0.75 : part.data.length
  return Math.ceil(bytes / 20)
}

/** The text of a message, and the tokens of its files. */
export const textOf = (message: Prompt.Message): { readonly text: string; readonly files: number } => {
  if (message.role === "system") return { text: message.content, files: 0 }
  let files = 0
  const texts: Array<string> = []
  const output = (part: Prompt.TextPart | Prompt.FilePart) => {
    if (part.type === "text") texts.push(part.text)
    else files += fileTokens(part)
  }
  for (const part of message.content) {
    switch (part.type) {
      case "text":
      case "reasoning":
        texts.push(part.text)
        break
      case "file":
        files += fileTokens(part)
        break
      case "tool-call":
        texts.push(part.id, part.name, canonicalText(part.params))
        break
      case "tool-result": {
        texts.push(part.id, part.name)
        if (part.modelOutput !== undefined) part.modelOutput.forEach(output)
        else texts.push(typeof part.result === "string" ? part.result : canonicalText(part.result))
        break
      }
      default:
        texts.push(part.approvalId)
    }
  }
  return { text: texts.join("\n"), files }
}

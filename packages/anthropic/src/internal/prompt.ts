/**
 * A prompt as the Messages API wants it: system text apart, strictly alternating turns, tool results first in the turn that answers
 * a tool call.
 */
import type Anthropic from "@anthropic-ai/sdk"
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

type Reason = AiError.AiErrorReason
type FileBlock = Anthropic.ImageBlockParam | Anthropic.DocumentBlockParam

/** What `reasoning` parts carry under the key `anthropic`, so that thinking can go back the way it came. */
export const ReasoningOptions = Schema.Struct({
  signature: Schema.optional(Schema.NullOr(Schema.String)),
  redactedData: Schema.optional(Schema.NullOr(Schema.String))
})

// The API accepts ids of this alphabet only; a thread may hold ids that another provider made.
const callId = (id: string): string => id.replaceAll(/[^a-zA-Z0-9_-]/g, "_") || "_"

const imageTypes = ["image/jpeg", "image/png", "image/gif", "image/webp"] as const
const isImageType = Schema.is(Schema.Literals(imageTypes))

const unsupported = (part: Prompt.FilePart, why: string): Reason =>
  new AiError.InvalidUserInputError({
    description:
      `the file${part.fileName === undefined ? "" : ` ${JSON.stringify(part.fileName)}`} of type ${JSON.stringify(part.mediaType)} ` +
      `cannot be sent to Anthropic: ${why}`
  })

type Source = { readonly url: string } | { readonly base64: string }

const source = (data: Prompt.FilePart["data"]): Source => {
  if (data instanceof Uint8Array) return { base64: Base64.encode(data) }
  const text = data instanceof URL ? data.href : data
  const inline = /^data:[^,]*;base64,/.exec(text)
  if (inline !== null) return { base64: text.slice(inline[0].length) }
  return /^https?:\/\//.test(text) ? { url: text } : { base64: text }
}

const file = (part: Prompt.FilePart): Effect.Effect<FileBlock, Reason> => {
  const from = source(part.data)
  const title = part.fileName === undefined ? undefined : { title: part.fileName }
  // `image/*` says that the kind is unknown, which is fine for a URL: the server looks at what it fetches.
  if (part.mediaType.startsWith("image/") && "url" in from) {
    return Effect.succeed({ type: "image", source: { type: "url", url: from.url } })
  }
  if (part.mediaType === "application/pdf") {
    return Effect.succeed({
      type: "document",
      source:
        "url" in from
          ? { type: "url", url: from.url }
          : { type: "base64", media_type: "application/pdf", data: from.base64 },
      ...title
    })
  }
  if ("url" in from)
    return Effect.fail(unsupported(part, "by URL it takes images and PDF; fetch it and pass its bytes"))
  if (isImageType(part.mediaType)) {
    return Effect.succeed({
      type: "image",
      source: { type: "base64", media_type: part.mediaType, data: from.base64 }
    })
  }
  if (part.mediaType.startsWith("text/") || part.mediaType === "application/json") {
    return Result.match(Base64.decodeString(from.base64), {
      onFailure: () => Effect.fail(unsupported(part, "its data is not base64")),
      onSuccess: (data) =>
        Effect.succeed<FileBlock>({
          type: "document",
          source: { type: "text", media_type: "text/plain", data },
          ...title
        })
    })
  }
  return Effect.fail(
    unsupported(part, `supported are ${imageTypes.join(", ")}, application/pdf, application/json and text/*`)
  )
}

// The API rejects empty text blocks.
const text = (value: string): ReadonlyArray<Anthropic.TextBlockParam> =>
  value.trim() === "" ? [] : [{ type: "text", text: value }]

const content = (
  parts: ReadonlyArray<Prompt.TextPart | Prompt.FilePart>
): Effect.Effect<ReadonlyArray<Anthropic.TextBlockParam | FileBlock>, Reason> =>
  Effect.map(
    Effect.forEach(parts, (part) =>
      part.type === "text"
        ? Effect.succeed<ReadonlyArray<Anthropic.TextBlockParam | FileBlock>>(text(part.text))
        : Effect.map(file(part), (block) => [block])
    ),
    (blocks) => blocks.flat()
  )

const toolResult = Effect.fnUntraced(function* (
  part: Prompt.ToolResultPart
): Effect.fn.Return<Anthropic.ToolResultBlockParam, Reason> {
  const blocks =
    part.modelOutput === undefined
      ? yield* Effect.try({
          try: () => (typeof part.result === "string" ? part.result : (JSON.stringify(part.result) ?? "")),
          catch: () =>
            new AiError.ToolResultEncodingError({
              toolName: part.name,
              // The value itself is what cannot be written down.
              toolResult: null,
              description: "the result is not JSON; give the tool a success schema that encodes to JSON"
            })
        })
      : [...(yield* content(part.modelOutput))]
  return {
    type: "tool_result",
    tool_use_id: callId(part.id),
    ...(blocks.length === 0 ? undefined : { content: blocks }),
    ...(part.isFailure ? { is_error: true } : undefined)
  }
})

const reasoning = (part: Prompt.ReasoningPart): ReadonlyArray<Anthropic.ContentBlockParam> => {
  const own = Option.getOrUndefined(Schema.decodeUnknownOption(ReasoningOptions)(part.options["anthropic"]))
  if (typeof own?.redactedData === "string") return [{ type: "redacted_thinking", data: own.redactedData }]
  if (typeof own?.signature === "string" && own.signature !== "") {
    return [{ type: "thinking", thinking: part.text, signature: own.signature }]
  }
  // Without a signature it is another provider's thinking, which this one refuses.
  return []
}

const assistant = Effect.fnUntraced(function* (
  message: Prompt.AssistantMessage
): Effect.fn.Return<ReadonlyArray<Anthropic.ContentBlockParam>, Reason> {
  const blocks: Array<Anthropic.ContentBlockParam> = []
  for (const part of message.content) {
    switch (part.type) {
      case "text":
        blocks.push(...text(part.text))
        break
      case "reasoning":
        blocks.push(...reasoning(part))
        break
      case "tool-call":
        // What a provider ran on its own side means nothing to another one.
        if (!part.providerExecuted) {
          blocks.push({ type: "tool_use", id: callId(part.id), name: part.name, input: part.params ?? {} })
        }
        break
      case "file":
        return yield* unsupported(part, "an assistant message takes text only; put files into user messages")
      case "tool-result":
      case "tool-approval-request":
        break
    }
  }
  return blocks
})

const isToolResult = (block: Anthropic.ContentBlockParam): boolean => block.type === "tool_result"

/** The request's `system` and `messages`. */
export const toWire = Effect.fnUntraced(function* (
  prompt: Prompt.Prompt
): Effect.fn.Return<
  { readonly system?: Array<Anthropic.TextBlockParam>; readonly messages: Array<Anthropic.MessageParam> },
  Reason
> {
  const system: Array<Anthropic.TextBlockParam> = []
  const turns: Array<{ readonly role: "user" | "assistant"; content: Array<Anthropic.ContentBlockParam> }> = []
  const add = (role: "user" | "assistant", blocks: ReadonlyArray<Anthropic.ContentBlockParam>) => {
    if (blocks.length === 0) return
    const last = turns.at(-1)
    if (last === undefined || last.role !== role) {
      turns.push({ role, content: [...blocks] })
    } else {
      const merged = [...last.content, ...blocks]
      last.content = [...merged.filter(isToolResult), ...merged.filter((block) => !isToolResult(block))]
    }
  }

  for (const message of prompt.content) {
    switch (message.role) {
      case "system":
        system.push(...text(message.content))
        break
      case "user":
        add("user", yield* content(message.content))
        break
      case "assistant":
        add("assistant", yield* assistant(message))
        break
      case "tool":
        add(
          "user",
          yield* Effect.forEach(
            message.content.filter((part) => part.type === "tool-result"),
            toolResult
          )
        )
        break
    }
  }

  if (turns.length === 0) {
    return yield* new AiError.InvalidUserInputError({
      description: "the prompt has no user or assistant content; add a user message"
    })
  }
  // A last assistant turn is one for the model to continue, and the API refuses white space at its end.
  const last = turns.at(-1)?.role === "assistant" ? turns.at(-1)?.content.at(-1) : undefined
  if (last?.type === "text") last.text = last.text.trimEnd()

  return { ...(system.length === 0 ? undefined : { system }), messages: turns }
})

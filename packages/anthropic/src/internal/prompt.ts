/**
 * A prompt as the Messages API wants it: system text apart, strictly alternating turns, tool results first in the turn that answers
 * a tool call.
 */
import type Anthropic from "@anthropic-ai/sdk"
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import type { CacheControl, Citation, OpaqueBlock, ToolCaller } from "../AnthropicOptions.ts"
import * as Files from "./files.ts"
import * as Options from "./options.ts"
import * as ServerTools from "./serverTools.ts"

type Reason = AiError.AiErrorReason
type Block = Anthropic.ContentBlockParam

// The API accepts ids of this alphabet only; a thread may hold ids that another provider made.
const callId = (id: string): string => id.replaceAll(/[^a-zA-Z0-9_-]/g, "_") || "_"

const caching = (cacheControl: CacheControl | null | undefined) =>
  cacheControl ? { cache_control: cacheControl } : undefined

// A message's breakpoint stands on the last of its blocks that takes one and has none of its own; thinking takes none.
const marked = <B extends Block>(
  blocks: ReadonlyArray<B>,
  cacheControl: CacheControl | null | undefined
): ReadonlyArray<B> => {
  const last = blocks.findLastIndex((block) => block.type !== "thinking" && block.type !== "redacted_thinking")
  const own = last === -1 ? undefined : blocks[last]
  if (!cacheControl || own === undefined || "cache_control" in own) return blocks
  return blocks.with(last, { ...own, cache_control: cacheControl })
}

// The API names the file that a citation is of, and takes the citation back without it. The other fields are the same.
const citation = (value: Citation): Anthropic.TextCitationParam => {
  if (!("file_id" in value)) return value as Anthropic.TextCitationParam
  const { file_id: _, ...rest } = value
  return rest
}

const text = Effect.fnUntracedEager(function* (
  part: Prompt.TextPart
): Effect.fn.Return<ReadonlyArray<Anthropic.TextBlockParam>, Reason> {
  // The API rejects empty text blocks.
  if (part.text.trim() === "") return []
  const options = yield* Options.read(Options.TextOptions, part, "a text part")
  const citations = options.citations ?? []
  return [
    {
      type: "text",
      text: part.text,
      ...(citations.length === 0 ? undefined : { citations: citations.map(citation) }),
      ...caching(options.cacheControl)
    }
  ]
})

const content = Effect.fnUntracedEager(function* (
  parts: ReadonlyArray<Prompt.TextPart | Prompt.FilePart>
): Effect.fn.Return<ReadonlyArray<Anthropic.TextBlockParam | Files.FileBlock>, Reason> {
  const blocks: Array<Anthropic.TextBlockParam | Files.FileBlock> = []
  for (const part of parts) {
    if (part.type === "text") blocks.push(...(yield* text(part)))
    else blocks.push(yield* Files.toWire(part))
  }
  return blocks
})

const resultContent = Effect.fnUntracedEager(function* (part: Prompt.ToolResultPart) {
  if (part.modelOutput === undefined) {
    return yield* Effect.try({
      try: () => (typeof part.result === "string" ? part.result : (JSON.stringify(part.result) ?? "")),
      catch: () =>
        new AiError.ToolResultEncodingError({
          toolName: part.name,
          // The value itself is what cannot be written down.
          toolResult: null,
          description: "the result is not JSON; give the tool a success schema that encodes to JSON"
        })
    })
  }
  const blocks: Array<Anthropic.TextBlockParam | Anthropic.ImageBlockParam | Anthropic.DocumentBlockParam> = []
  for (const block of yield* content(part.modelOutput)) {
    if (block.type === "container_upload") {
      return yield* new AiError.InvalidUserInputError({
        description: `the result of the tool ${part.name} cannot put a file into a container; put it into a user message`
      })
    }
    blocks.push(block)
  }
  return blocks
})

const toolResult = Effect.fnUntracedEager(function* (
  part: Prompt.ToolResultPart
): Effect.fn.Return<Anthropic.ToolResultBlockParam, Reason> {
  const options = yield* Options.read(Options.ToolResultOptions, part, "a tool result")
  const blocks = yield* resultContent(part)
  return {
    type: "tool_result",
    tool_use_id: callId(part.id),
    ...(blocks.length === 0 ? undefined : { content: blocks }),
    ...(part.isFailure ? { is_error: true } : undefined),
    ...caching(options.cacheControl)
  }
})

// What came from the API goes back in the shape it came in; the SDK has a second type for that.
const asItCame = (
  block:
    | OpaqueBlock
    | { readonly type: string; readonly id: string; readonly name: string; readonly input: unknown }
    | { readonly type: string; readonly tool_use_id: string; readonly content: unknown }
): Block => block as Block

const reasoning = Effect.fnUntracedEager(function* (
  part: Prompt.ReasoningPart
): Effect.fn.Return<ReadonlyArray<Block>, Reason> {
  const options = yield* Options.read(Options.ReasoningOptions, part, "a reasoning part")
  if (options.block) return [asItCame(options.block)]
  if (typeof options.redactedData === "string") return [{ type: "redacted_thinking", data: options.redactedData }]
  if (options.signature) return [{ type: "thinking", thinking: part.text, signature: options.signature }]
  // Without a signature it is another provider's thinking, which this one refuses.
  return []
})

const wireCaller = (caller: ToolCaller | null | undefined) =>
  caller ? { caller: { type: caller.type, ...(caller.toolId ? { tool_id: caller.toolId } : undefined) } } : undefined

const toolCall = Effect.fnUntracedEager(function* (
  part: Prompt.ToolCallPart,
  names: ServerTools.Names
): Effect.fn.Return<ReadonlyArray<Block>, Reason> {
  const options = yield* Options.read(Options.ToolCallOptions, part, "a tool call")
  const common = { ...wireCaller(options.caller), ...caching(options.cacheControl) }
  if (part.providerExecuted) {
    // What another provider ran on its own side means nothing to this one.
    if (options.block) return [asItCame(options.block)]
    if (!options.serverTool) return []
    const input = ServerTools.inputOf(options.serverTool, part.params)
    return [asItCame({ type: "server_tool_use", id: callId(part.id), name: options.serverTool, input, ...common })]
  }
  const name = names.getProviderName(part.name)
  return [asItCame({ type: "tool_use", id: callId(part.id), name, input: part.params ?? {}, ...common })]
})

const serverResult = Effect.fnUntracedEager(function* (
  part: Prompt.ToolResultPart
): Effect.fn.Return<ReadonlyArray<Block>, Reason> {
  const options = yield* Options.read(Options.ToolResultOptions, part, "a tool result")
  if (!part.providerExecuted) return []
  if (options.block) return [asItCame(options.block)]
  if (!options.resultType) return []
  const common = { ...wireCaller(options.caller), ...caching(options.cacheControl) }
  return [asItCame({ type: options.resultType, tool_use_id: callId(part.id), content: part.result, ...common })]
})

const assistant = Effect.fnUntracedEager(function* (
  message: Prompt.AssistantMessage,
  names: ServerTools.Names
): Effect.fn.Return<ReadonlyArray<Block>, Reason> {
  const blocks: Array<Block> = []
  for (const part of message.content) {
    switch (part.type) {
      case "text":
        blocks.push(...(yield* text(part)))
        break
      case "reasoning":
        blocks.push(...(yield* reasoning(part)))
        break
      case "tool-call":
        blocks.push(...(yield* toolCall(part, names)))
        break
      case "tool-result":
        blocks.push(...(yield* serverResult(part)))
        break
      case "file":
        return yield* Files.unsupported(part, "an assistant message takes text only; put files into user messages")
      case "tool-approval-request":
        break
    }
  }
  return blocks
})

const isToolResult = (block: Block): boolean => block.type === "tool_result"

const blocksOf = (
  message: Exclude<Prompt.Message, Prompt.SystemMessage>,
  names: ServerTools.Names
): Effect.Effect<ReadonlyArray<Block>, Reason> => {
  switch (message.role) {
    case "user":
      return content(message.content)
    case "assistant":
      return assistant(message, names)
    case "tool":
      return Effect.forEach(
        message.content.filter((part) => part.type === "tool-result"),
        toolResult
      )
  }
}

/** The request's `system` and `messages`. */
export const toWire = Effect.fnUntracedEager(function* (
  prompt: Prompt.Prompt,
  names: ServerTools.Names
): Effect.fn.Return<
  { readonly system?: Array<Anthropic.TextBlockParam>; readonly messages: Array<Anthropic.MessageParam> },
  Reason
> {
  const system: Array<Anthropic.TextBlockParam> = []
  const turns: Array<{ readonly role: "user" | "assistant"; content: Array<Block> }> = []
  const add = (role: "user" | "assistant", blocks: ReadonlyArray<Block>) => {
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
    const { cacheControl } = yield* Options.read(Options.MessageOptions, message, `a ${message.role} message`)
    if (message.role === "system") {
      if (message.content.trim() === "") continue
      system.push({ type: "text", text: message.content, ...caching(cacheControl) })
    } else {
      add(message.role === "assistant" ? "assistant" : "user", marked(yield* blocksOf(message, names), cacheControl))
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

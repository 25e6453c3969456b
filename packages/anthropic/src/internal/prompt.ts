/** A prompt in the blocks of the Messages API. */
import type Anthropic from "@anthropic-ai/sdk"
import * as History from "@selvage/provider/History"
import * as Text from "@selvage/provider/Text"
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import type { CacheControl, Citation, OpaqueBlock, ToolCaller } from "../AnthropicOptions.ts"
import type * as AnthropicModels from "../AnthropicModels.ts"
import type { Config } from "./config.ts"
import * as Files from "./files.ts"
import * as OwnOptions from "./options.ts"
import * as Paused from "./paused.ts"
import * as ServerTools from "./serverTools.ts"
import * as Tools from "./tools.ts"
import * as Turns from "./turns.ts"

type Reason = AiError.AiErrorReason
type Block = Anthropic.ContentBlockParam

// https://platform.claude.com/docs/en/api/messages: `tool_use.id` matches ^[a-zA-Z0-9_-]+$.
const ids = { other: /[^a-zA-Z0-9_-]/g, longest: 64 }

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
  const options = yield* OwnOptions.read(OwnOptions.TextOptions, part, "a text part")
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
      try: () =>
        typeof part.result === "string" ? part.result : Text.wellFormedJson(JSON.stringify(part.result) ?? ""),
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
  const options = yield* OwnOptions.read(OwnOptions.ToolResultOptions, part, "a tool result")
  const blocks = yield* resultContent(part)
  return {
    type: "tool_result",
    tool_use_id: part.id,
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
  const options = yield* OwnOptions.read(OwnOptions.ReasoningOptions, part, "a reasoning part")
  if (options.block) return [asItCame(options.block)]
  const { prefix, redactedData, signature } = options
  if (typeof redactedData === "string") return [Turns.bound({ type: "redacted_thinking", data: redactedData }, prefix)]
  if (signature) return [Turns.bound({ type: "thinking", thinking: part.text, signature }, prefix)]
  // Without a signature it is another provider's thinking, which this one refuses.
  return []
})

const wireCaller = (caller: ToolCaller | null | undefined) =>
  caller ? { caller: { type: caller.type, ...(caller.toolId ? { tool_id: caller.toolId } : undefined) } } : undefined

const checked = new WeakSet<object>()

// A conversation is sent again and again, and what was JSON stays so.
const encodable = (params: unknown): void => {
  if (typeof params !== "object" || params === null || checked.has(params)) return
  JSON.stringify(params)
  checked.add(params)
}

const toolCall = Effect.fnUntracedEager(function* (
  part: Prompt.ToolCallPart
): Effect.fn.Return<ReadonlyArray<Block>, Reason> {
  const options = yield* OwnOptions.read(OwnOptions.ToolCallOptions, part, "a tool call")
  const common = { ...wireCaller(options.caller), ...caching(options.cacheControl) }
  if (part.providerExecuted) {
    // What another provider ran on its own side means nothing to this one.
    if (options.block) return [asItCame(options.block)]
    if (!options.serverTool) return []
    const input = ServerTools.inputOf(options.serverTool, part.params)
    return [asItCame({ type: "server_tool_use", id: part.id, name: options.serverTool, input, ...common })]
  }
  yield* Effect.try({
    try: () => encodable(part.params),
    catch: () =>
      new AiError.InvalidUserInputError({
        description: `the parameters of the call ${part.id} of ${part.name} in the prompt are not JSON; keep them as the model gave them`
      })
  })
  return [asItCame({ type: "tool_use", id: part.id, name: part.name, input: part.params, ...common })]
})

const serverResult = Effect.fnUntracedEager(function* (
  part: Prompt.ToolResultPart
): Effect.fn.Return<ReadonlyArray<Block>, Reason> {
  const options = yield* OwnOptions.read(OwnOptions.ToolResultOptions, part, "a tool result")
  if (!part.providerExecuted) return []
  if (options.block) return [asItCame(options.block)]
  if (!options.resultType) return []
  const common = { ...wireCaller(options.caller), ...caching(options.cacheControl) }
  return [asItCame({ type: options.resultType, tool_use_id: part.id, content: part.result, ...common })]
})

const assistant = Effect.fnUntracedEager(function* (
  message: Prompt.AssistantMessage
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
        blocks.push(...(yield* toolCall(part)))
        break
      case "tool-result":
        blocks.push(...(yield* serverResult(part)))
        break
      case "file":
        blocks.push({ type: "text", text: Files.omitted(part) })
        break
      case "tool-approval-request":
        break
    }
  }
  return blocks
})

const blocksOf = (
  message: Exclude<Prompt.Message, Prompt.SystemMessage>
): Effect.Effect<ReadonlyArray<Block>, Reason> => {
  switch (message.role) {
    case "user":
      return content(message.content)
    case "assistant":
      return assistant(message)
    case "tool":
      return Effect.forEach(
        message.content.filter((part) => part.type === "tool-result"),
        toolResult
      )
  }
}

/** What a prompt is written with. */
export interface Options {
  readonly prepared: Tools.Prepared
  readonly takes: AnthropicModels.Traits | undefined
  readonly config: Config
  /** The API has the beginning of the conversation. */
  readonly continues?: boolean | undefined
  /** An object is asked for: beside its schema the API takes no text to go on with. */
  readonly asksObject?: boolean | undefined
}

/** The request's `system` and `messages`. */
export interface Written {
  readonly system?: Array<Anthropic.TextBlockParam>
  readonly messages: Array<Anthropic.MessageParam>
  /** The mark of all that is sent, for the thinking that comes. Not there for models whose thinking is free. */
  readonly mark: (() => string) | undefined
}

const wholePrompt = (
  prompt: Prompt.Prompt,
  { asksObject, config, continues, prepared, takes }: Options
): Prompt.Prompt =>
  History.whole(prompt, {
    ids,
    names: prepared.names,
    params: Tools.wireParams(prepared),
    takes: Paused.taking(prompt),
    isContent: Paused.isContent,
    // Without its mark a pause is seen by the call of a tool of Anthropic's that it left.
    pauses: asksObject === true ? undefined : Paused.pauses,
    continues,
    prefill: config.prefill === true && takes?.prefill !== false && asksObject !== true
  })

const systemBlock = Effect.fnUntracedEager(function* (
  message: Prompt.SystemMessage
): Effect.fn.Return<Anthropic.TextBlockParam, Reason> {
  const { cacheControl } = yield* OwnOptions.read(OwnOptions.MessageOptions, message, "a system message")
  return { type: "text", text: message.content, ...caching(cacheControl) }
})

/** The request's `system` and `messages`, as the model takes them. */
export const toWire = Effect.fnUntracedEager(function* (
  prompt: Prompt.Prompt,
  options: Options,
  tools: unknown
): Effect.fn.Return<Written, Reason> {
  const system: Array<Anthropic.TextBlockParam> = []
  const pieces = new Turns.Pieces(options.takes?.systemInPlace === true)
  for (const message of wholePrompt(prompt, options).content) {
    if (message.role === "system") {
      const block = yield* systemBlock(message)
      if (!pieces.system(block)) system.push(block)
      continue
    }
    const { cacheControl } = yield* OwnOptions.read(OwnOptions.MessageOptions, message, `a ${message.role} message`)
    pieces.add(message.role === "assistant" ? "assistant" : "user", marked(yield* blocksOf(message), cacheControl))
  }
  pieces.end()
  if (pieces.isEmpty) {
    return yield* new AiError.InvalidUserInputError({
      description: "the prompt has no user or assistant content; add a user message that is not blank"
    })
  }
  const binds = options.takes?.boundThinking === true
  const before = { system, tools }
  const { thinking } = options.config
  const isLeft = thinking !== undefined && "prefixMismatch" in thinking && thinking.prefixMismatch !== undefined
  const messages = pieces.turns(binds && !isLeft ? before : undefined, options.continues === true)
  let mark: string | undefined
  return {
    ...(system.length === 0 ? undefined : { system }),
    messages,
    mark: binds ? () => (mark ??= pieces.mark(before)) : undefined
  }
})

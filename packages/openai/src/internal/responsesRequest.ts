/**
 * From a prompt to the body of a Responses API request.
 */
import type { OpenAI } from "openai"
import * as MediaType from "@selvage/provider/MediaType"
import type * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Apis from "./apis.ts"
import * as Content from "./content.ts"
import * as Errors from "./errors.ts"
import * as History from "./history.ts"
import * as Hosted from "./hosted.ts"
import * as Models from "./models.ts"
import * as Options from "./options.ts"
import { compact, compactOrNone, type Config } from "./config.ts"
import * as Tools from "./tools.ts"

type Body = Omit<OpenAI.Responses.ResponseCreateParamsNonStreaming, "stream">
type InputItem = OpenAI.Responses.ResponseInputItem

/** What of a request goes into its body. */
export type Request = Pick<
  LanguageModel.ProviderOptions,
  "prompt" | "toolChoice" | "responseFormat" | "previousResponseId" | "incrementalPrompt"
>

const inputPart = (
  part: Prompt.TextPart | Prompt.FilePart
): Effect.Effect<OpenAI.Responses.ResponseInputContent, AiError.AiErrorReason> => {
  const mark = Content.breakpoint(part)
  if (part.type === "text") return Effect.succeed({ type: "input_text", text: part.text, ...mark })
  const id = Content.fileId(part)
  const file = Content.fileUrl(part)
  if (Content.isImage(part)) {
    const flaw = id === undefined ? Content.imageFlaw(part) : undefined
    if (flaw !== undefined) return Effect.fail(flaw)
    return Effect.succeed({
      type: "input_image",
      ...(id === undefined ? { image_url: file.url } : { file_id: id }),
      detail: Options.fileOptions(part).imageDetail ?? "auto",
      ...mark
    })
  }
  if (id !== undefined) return Effect.succeed({ type: "input_file", file_id: id, ...mark })
  if (!file.inline) return Effect.succeed({ type: "input_file", file_url: file.url, ...mark })
  // The kind of a file is read from its name: https://developers.openai.com/api/docs/guides/file-inputs.
  const filename = Content.fileName(part)
  return filename === undefined || /^(audio|video)\//.test(MediaType.normalize(part.mediaType))
    ? Effect.fail(
        Content.unsupported(part, "it takes images, PDF, text and office documents, by media type or extension")
      )
    : Effect.succeed({ type: "input_file", filename, file_data: file.url, ...mark })
}

const outputPart = (
  part: Prompt.ToolModelOutputPart
): Effect.Effect<OpenAI.Responses.ResponseFunctionCallOutputItem, AiError.AiErrorReason> =>
  Effect.mapEager(inputPart(part), (input) =>
    input.type === "input_image" || input.type === "input_file"
      ? input
      : { type: "input_text", text: part.type === "text" ? part.text : "", ...Content.breakpoint(part) }
  )

/** What this API takes back of reasoning and of what providers ran themselves: what is its own, and what it can still read. */
const taking = (model: string, config: Config): History.Options["takes"] => {
  const reasons = Models.reasons(model, config)
  const taken = new Set<string>()
  return (part) => {
    if (part.type === "tool-result") return taken.has(part.id)
    if (part.type === "tool-call") {
      const isTaken = Hosted.isItem(Options.toolCallOptions(part).item)
      if (isTaken) taken.add(part.id)
      return isTaken
    }
    const { encryptedContent, isContent, itemId } = Options.reasoningOptions(part)
    return Boolean(itemId) && reasons && (Boolean(encryptedContent) || config.store === true || isContent === true)
  }
}

const reasoningItem = (part: Prompt.ReasoningPart): InputItem => {
  const { itemId, encryptedContent, summaries, isContent } = Options.reasoningOptions(part)
  const texts = summaries ?? (part.text === "" || isContent === true ? [] : [part.text])
  return {
    type: "reasoning",
    id: itemId ?? "",
    summary: texts.map((text) => ({ type: "summary_text", text })),
    ...(isContent === true ? { content: [{ type: "reasoning_text", text: part.text }] } : undefined),
    ...(encryptedContent ? { encrypted_content: encryptedContent } : undefined)
  }
}

const assistantItems = Effect.fnUntracedEager(function* (
  message: Prompt.AssistantMessage
): Effect.fn.Return<ReadonlyArray<InputItem>, AiError.AiErrorReason> {
  const items: Array<InputItem> = []
  const results = new Map(message.content.flatMap((part) => (part.type === "tool-result" ? [[part.id, part]] : [])))
  for (const part of message.content) {
    switch (part.type) {
      case "text": {
        const { phase } = Options.textOptions(part)
        items.push({
          role: "assistant",
          content: part.text,
          ...(phase === "commentary" || phase === "final_answer" ? { phase } : undefined)
        })
        break
      }
      case "file":
        items.push({ role: "assistant", content: Content.omitted(part) })
        break
      case "reasoning":
        items.push(reasoningItem(part))
        break
      case "tool-call": {
        if (part.providerExecuted) {
          const item = Hosted.inputItem(part, Options.toolCallOptions(part).item, results)
          if (item !== undefined) items.push(item)
          break
        }
        const args = yield* Content.callArguments(part)
        items.push({ type: "function_call", call_id: part.id, name: part.name, arguments: args })
        break
      }
      // The item of a provider-executed call holds its result; approvals live in effect/ai's history.
      case "tool-result":
      case "tool-approval-request":
        break
    }
  }
  return items
})

const outputItem = Effect.fnUntracedEager(function* (
  part: Prompt.ToolResultPart
): Effect.fn.Return<InputItem, AiError.AiErrorReason> {
  const mark = Content.breakpoint(part)
  const output: OpenAI.Responses.ResponseFunctionCallOutputItemList = []
  if (part.modelOutput !== undefined) {
    for (const one of part.modelOutput) output.push(yield* outputPart(one))
    return { type: "function_call_output", call_id: part.id, output }
  }
  const text = yield* Content.resultText(part)
  return {
    type: "function_call_output",
    call_id: part.id,
    output: mark.prompt_cache_breakpoint === undefined ? text : [{ type: "input_text", text, ...mark }]
  }
})

const systemItem = (message: Prompt.SystemMessage): InputItem => {
  const mark = Content.breakpoint(message)
  return {
    role: "system",
    content:
      mark.prompt_cache_breakpoint === undefined
        ? message.content
        : [{ type: "input_text", text: message.content, ...mark }]
  }
}

const inputItems = Effect.fnUntracedEager(function* (
  prompt: Prompt.Prompt
): Effect.fn.Return<Array<InputItem>, AiError.AiErrorReason> {
  const items: Array<InputItem> = []
  for (const message of prompt.content) {
    switch (message.role) {
      case "system":
        items.push(systemItem(message))
        break
      case "user": {
        const content: Array<OpenAI.Responses.ResponseInputContent> = []
        for (const part of message.content) content.push(yield* inputPart(part))
        items.push({ role: "user", content })
        break
      }
      case "assistant":
        items.push(...(yield* assistantItems(message)))
        break
      case "tool":
        for (const part of message.content) if (part.type === "tool-result") items.push(yield* outputItem(part))
    }
  }
  return items
})

const toolChoice = (request: Request, tools: Tools.Prepared): NonNullable<Body["tool_choice"]> => {
  const choice = Tools.choice(request.toolChoice)
  if (typeof choice === "string") return choice
  const hosted = tools.hosted.find((tool) => tool.name === choice.tool)?.wire
  if (hosted === undefined) return { type: "function", name: tools.names.toWire(choice.tool) }
  switch (hosted.type) {
    case "mcp":
      return { type: "mcp", server_label: hosted.server_label }
    case "web_search_preview":
    case "file_search":
    case "code_interpreter":
    case "image_generation":
      return { type: hosted.type }
    // Web search has no choice of its own.
    default:
      return { type: "allowed_tools", mode: "required", tools: [{ type: hosted.type }] }
  }
}

const wireTools = (tools: Tools.Prepared): Array<OpenAI.Responses.Tool> => [
  ...[...tools.functions.values()].map((tool) => ({
    type: "function" as const,
    name: tools.names.toWire(tool.name),
    parameters: tool.parameters,
    strict: tool.strict,
    ...compact({ description: tool.description })
  })),
  ...tools.hosted.map((tool) => tool.wire)
]

const bodyOf = Effect.fnUntracedEager(function* (
  model: string,
  config: Config,
  request: Request,
  tools: Tools.Prepared,
  context: Errors.RequestContext
): Effect.fn.Return<Body, AiError.AiError> {
  const format =
    request.responseFormat.type === "json"
      ? {
          type: "json_schema" as const,
          ...(yield* Tools.responseSchema(request.responseFormat, context))
        }
      : undefined
  const stored = config.store === true
  // Only a stored response can be continued by its id.
  const tracked = stored && config.previousResponseId === undefined ? request.previousResponseId : undefined
  const continues =
    tracked !== undefined || config.previousResponseId !== undefined || config.conversation !== undefined
  const prompt = yield* History.whole(
    tracked === undefined ? request.prompt : (request.incrementalPrompt ?? request.prompt),
    { api: "responses", tools, takes: taking(model, config), continues },
    context
  )
  const cache = config.promptCache
  const include = [
    ...(!stored && Models.reasons(model, config) ? ["reasoning.encrypted_content" as const] : []),
    ...new Set(tools.hosted.flatMap((tool) => tool.include))
  ]
  return {
    model,
    input: yield* Effect.mapErrorEager(inputItems(prompt), (reason) => Errors.make(context, reason)),
    store: stored,
    ...compact({
      previous_response_id: config.previousResponseId ?? tracked,
      conversation: config.conversation,
      temperature: config.temperature,
      top_p: config.topP,
      max_output_tokens: config.maxOutputTokens,
      max_tool_calls: config.maxToolCalls,
      service_tier: config.serviceTier,
      safety_identifier: config.safetyIdentifier,
      user: config.user,
      metadata: config.metadata,
      prompt_cache_key: cache?.key,
      prompt_cache_options: compactOrNone({ mode: cache?.mode, ttl: cache?.ttl }),
      prompt_cache_retention: cache?.retention,
      reasoning: compactOrNone({
        effort: config.reasoningEffort,
        summary: config.reasoningSummary,
        context: config.reasoningContext
      }),
      text: compactOrNone({ format, verbosity: config.verbosity }),
      include: include.length === 0 ? undefined : include
    }),
    ...(tools.functions.size === 0 && tools.hosted.length === 0
      ? undefined
      : {
          tools: wireTools(tools),
          tool_choice: toolChoice(request, tools),
          ...compact({ parallel_tool_calls: config.parallelToolCalls })
        })
  }
})

/** The body of a request, without `stream`. */
export const make = (
  model: string,
  config: Config,
  request: Request,
  tools: Tools.Prepared,
  context: Errors.RequestContext
): Effect.Effect<Body, AiError.AiError> =>
  Effect.flatMapEager(Apis.refuseForeign("responses", config, context), () =>
    Effect.flatMapEager(Models.refuse("responses", model, config, context), () =>
      bodyOf(model, config, request, tools, context)
    )
  )

/** The body of a request that only counts. Options that do not change the count are left out, whichever API they are for. */
export const makeCount = Effect.fnUntracedEager(function* (
  model: string,
  config: Config,
  request: Request,
  tools: Tools.Prepared,
  context: Errors.RequestContext
): Effect.fn.Return<OpenAI.Responses.InputTokenCountParams, AiError.AiError> {
  const body = yield* bodyOf(model, config, request, tools, context)
  return compact({
    model,
    input: body.input,
    previous_response_id: body.previous_response_id,
    conversation: body.conversation,
    reasoning: body.reasoning,
    text: body.text,
    tools: body.tools,
    tool_choice: body.tool_choice,
    parallel_tool_calls: body.parallel_tool_calls
  })
})

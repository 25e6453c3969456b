/**
 * From a prompt to the body of a Responses API request.
 */
import type { OpenAI } from "openai"
import type * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Apis from "./apis.ts"
import * as Content from "./content.ts"
import type { RequestContext } from "./errors.ts"
import * as Hosted from "./hosted.ts"
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

// Other models reject a request for encrypted reasoning, so it is asked for only where there is some.
const reasons = (model: string, config: Config): boolean =>
  config.reasoningEffort !== undefined ||
  config.reasoningSummary !== undefined ||
  (/^(o\d|gpt-[5-9]|codex)/.test(model) && !model.includes("chat"))

const inputPart = (part: Prompt.TextPart | Prompt.FilePart): OpenAI.Responses.ResponseInputContent => {
  const mark = Content.breakpoint(part)
  if (part.type === "text") return { type: "input_text", text: part.text, ...mark }
  const id = Content.fileId(part)
  const file = Content.fileUrl(part)
  if (part.mediaType.startsWith("image/")) {
    return {
      type: "input_image",
      ...(id === undefined ? { image_url: file.url } : { file_id: id }),
      detail: Options.fileOptions(part).imageDetail ?? "auto",
      ...mark
    }
  }
  if (id !== undefined) return { type: "input_file", file_id: id, ...mark }
  return file.inline
    ? { type: "input_file", filename: Content.fileName(part), file_data: file.url, ...mark }
    : { type: "input_file", file_url: file.url, ...mark }
}

const outputPart = (part: Prompt.ToolModelOutputPart): OpenAI.Responses.ResponseFunctionCallOutputItem => {
  const input = inputPart(part)
  return input.type === "input_image" || input.type === "input_file"
    ? input
    : { type: "input_text", text: part.type === "text" ? part.text : "", ...Content.breakpoint(part) }
}

const reasoningItem = (part: Prompt.ReasoningPart, config: Config): InputItem | undefined => {
  const { itemId, encryptedContent, summaries, isContent } = Options.reasoningOptions(part)
  // Reasoning of another provider, or one that OpenAI can no longer read, is not for this API.
  if (!itemId) return undefined
  if (!encryptedContent && config.store !== true && isContent !== true) return undefined
  const texts = summaries ?? (part.text === "" || isContent === true ? [] : [part.text])
  return {
    type: "reasoning",
    id: itemId,
    summary: texts.map((text) => ({ type: "summary_text", text })),
    ...(isContent === true ? { content: [{ type: "reasoning_text", text: part.text }] } : undefined),
    ...(encryptedContent ? { encrypted_content: encryptedContent } : undefined)
  }
}

const assistantItems = (message: Prompt.AssistantMessage, config: Config): ReadonlyArray<InputItem> => {
  const results = new Map(message.content.flatMap((part) => (part.type === "tool-result" ? [[part.id, part]] : [])))
  return message.content.flatMap((part): ReadonlyArray<InputItem> => {
    switch (part.type) {
      case "text": {
        const { phase } = Options.textOptions(part)
        return [
          {
            role: "assistant",
            content: part.text,
            ...(phase === "commentary" || phase === "final_answer" ? { phase } : undefined)
          }
        ]
      }
      case "file":
        return [{ role: "assistant", content: Content.omitted(part) }]
      case "reasoning": {
        const item = reasoningItem(part, config)
        return item === undefined ? [] : [item]
      }
      case "tool-call": {
        if (part.providerExecuted) {
          const item = Hosted.inputItem(part, Options.toolCallOptions(part).item, results)
          return item === undefined ? [] : [item]
        }
        return [
          {
            type: "function_call",
            call_id: part.id,
            name: part.name,
            arguments: Content.callArguments(part)
          }
        ]
      }
      // The item of a provider-executed call holds its result; approvals live in effect/ai's history.
      case "tool-result":
      case "tool-approval-request":
        return []
    }
  })
}

const inputItems = (prompt: Prompt.Prompt, config: Config): Array<InputItem> =>
  prompt.content.flatMap((message): ReadonlyArray<InputItem> => {
    switch (message.role) {
      case "system": {
        const mark = Content.breakpoint(message)
        return [
          {
            role: "system",
            content:
              mark.prompt_cache_breakpoint === undefined
                ? message.content
                : [{ type: "input_text", text: message.content, ...mark }]
          }
        ]
      }
      case "user":
        return [{ role: "user", content: message.content.map(inputPart) }]
      case "assistant":
        return assistantItems(message, config)
      case "tool":
        return message.content.flatMap((part): ReadonlyArray<InputItem> => {
          if (part.type !== "tool-result") return []
          const mark = Content.breakpoint(part)
          const text = Content.resultText(part)
          return [
            {
              type: "function_call_output",
              call_id: part.id,
              output:
                part.modelOutput !== undefined
                  ? part.modelOutput.map(outputPart)
                  : mark.prompt_cache_breakpoint === undefined
                    ? text
                    : [{ type: "input_text", text, ...mark }]
            }
          ]
        })
    }
  })

const toolChoice = (request: Request, tools: Tools.Prepared): NonNullable<Body["tool_choice"]> => {
  const choice = Tools.choice(request.toolChoice)
  if (typeof choice === "string") return choice
  const hosted = tools.hosted.find((tool) => tool.name === choice.tool)?.wire
  if (hosted === undefined) return { type: "function", name: choice.tool }
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
    name: tool.name,
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
  context: RequestContext
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
  const prompt = tracked === undefined ? request.prompt : (request.incrementalPrompt ?? request.prompt)
  const cache = config.promptCache
  const include = [
    ...(!stored && reasons(model, config) ? ["reasoning.encrypted_content" as const] : []),
    ...new Set(tools.hosted.flatMap((tool) => tool.include))
  ]
  return {
    model,
    input: inputItems(prompt, config),
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
  context: RequestContext
): Effect.Effect<Body, AiError.AiError> =>
  Effect.flatMapEager(Apis.refuseForeign("responses", config, context), () =>
    bodyOf(model, config, request, tools, context)
  )

/** The body of a request that only counts. Options that do not change the count are left out, whichever API they are for. */
export const makeCount = Effect.fnUntracedEager(function* (
  model: string,
  config: Config,
  request: Request,
  tools: Tools.Prepared,
  context: RequestContext
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

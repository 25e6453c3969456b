/**
 * From a prompt to the body of a Chat Completions request.
 */
import type { OpenAI } from "openai"
import * as MediaType from "@selvage/provider/MediaType"
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Apis from "./apis.ts"
import * as Content from "./content.ts"
import * as Errors from "./errors.ts"
import * as History from "./history.ts"
import * as Models from "./models.ts"
import * as Options from "./options.ts"
import { type Compatibility, compact, compactOrNone, type Config } from "./config.ts"
import * as Tools from "./tools.ts"

type Body = Omit<OpenAI.Chat.ChatCompletionCreateParamsNonStreaming, "stream">
type Message = OpenAI.Chat.ChatCompletionMessageParam
type ContentPart = OpenAI.Chat.ChatCompletionContentPart

const audioFormats: Record<string, "wav" | "mp3"> = { "audio/wav": "wav", "audio/mpeg": "mp3" }

const contentPart = (part: Prompt.UserMessagePart): Effect.Effect<ContentPart, AiError.AiErrorReason> => {
  const mark = Content.breakpoint(part)
  if (part.type === "text") return Effect.succeed({ type: "text", text: part.text, ...mark })
  const id = Content.fileId(part)
  if (id !== undefined) return Effect.succeed({ type: "file", file: { file_id: id }, ...mark })
  const file = Content.fileUrl(part)
  if (Content.isImage(part)) {
    const flaw = Content.imageFlaw(part)
    if (flaw !== undefined) return Effect.fail(flaw)
    const { imageDetail } = Options.fileOptions(part)
    return Effect.succeed({
      type: "image_url",
      image_url: {
        url: file.url,
        ...(imageDetail === "low" || imageDetail === "high" ? { detail: imageDetail } : undefined)
      },
      ...mark
    })
  }
  const mediaType = MediaType.normalize(part.mediaType)
  if (!file.inline) {
    return Effect.fail(
      new AiError.InvalidUserInputError({
        description: `Chat Completions takes a ${part.mediaType} file by value, not by URL; pass its bytes or use the Responses API`
      })
    )
  }
  const format = audioFormats[mediaType]
  if (format !== undefined) {
    return Effect.succeed({
      type: "input_audio",
      input_audio: { data: file.url.slice(file.url.indexOf(",") + 1), format },
      ...mark
    })
  }
  if (mediaType === "application/pdf") {
    return Effect.succeed({
      type: "file",
      file: { filename: Content.fileName(part) ?? "file.pdf", file_data: file.url },
      ...mark
    })
  }
  // PDF is the one kind of document there is: https://developers.openai.com/api/docs/guides/pdf-files.
  const text = Content.textOf(part)
  return text === undefined
    ? Effect.fail(Content.unsupported(part, "Chat Completions takes images, PDF, WAV, MP3 and text"))
    : Effect.succeed({ type: "text", text, ...mark })
}

const assistantMessage = Effect.fnUntracedEager(function* (
  message: Prompt.AssistantMessage,
  compatibility: Compatibility,
  compatible: boolean
): Effect.fn.Return<ReadonlyArray<Message>, AiError.AiErrorReason> {
  const text: Array<string> = []
  const reasoning: Array<string> = []
  const calls: Array<OpenAI.Chat.ChatCompletionMessageFunctionToolCall> = []
  for (const part of message.content) {
    if (part.type === "text") text.push(part.text)
    if (part.type === "reasoning") reasoning.push(part.text)
    if (part.type === "file") text.push(Content.omitted(part))
    if (part.type === "tool-call" && !part.providerExecuted) {
      const args = yield* Content.callArguments(part)
      // What a server gave with a call, such as a signature of thoughts, goes back to one of its kind: OpenAI's own knows none.
      const extra = compatible ? part.options.openai?.extraContent : undefined
      const call = { id: part.id, type: "function", function: { name: part.name, arguments: args } } as const
      calls.push(extra === undefined || extra === null ? call : Object.assign(call, { extra_content: extra }))
    }
  }
  if (text.length === 0 && calls.length === 0) return []
  return [
    {
      role: "assistant",
      content: text.length === 0 ? null : text.join(""),
      ...(calls.length === 0 ? undefined : { tool_calls: calls }),
      ...(compatibility.reasoning === undefined || reasoning.length === 0
        ? undefined
        : { [compatibility.reasoning]: reasoning.join("\n\n") })
    }
  ]
})

const textContent = <Marked extends Prompt.SystemMessage | Prompt.ToolResultPart>(bearer: Marked, text: string) => {
  const mark = Content.breakpoint(bearer)
  // Compatible servers know the plain form better.
  return mark.prompt_cache_breakpoint === undefined ? text : [{ type: "text" as const, text, ...mark }]
}

const toolMessages = Effect.fnUntracedEager(function* (
  message: Prompt.ToolMessage
): Effect.fn.Return<ReadonlyArray<Message>, AiError.AiErrorReason> {
  const all: Array<Message> = []
  for (const part of message.content) {
    if (part.type !== "tool-result") continue
    const text =
      part.modelOutput === undefined ? yield* Content.resultText(part) : Prompt.toolModelOutputToText(part.modelOutput)
    all.push({ role: "tool", tool_call_id: part.id, content: textContent(part, text) })
  }
  return all
})

const userContent = Effect.fnUntracedEager(function* ({
  content
}: Prompt.UserMessage): Effect.fn.Return<string | Array<ContentPart>, AiError.AiErrorReason> {
  const [first] = content
  if (
    content.length === 1 &&
    first?.type === "text" &&
    Content.breakpoint(first).prompt_cache_breakpoint === undefined
  ) {
    return first.text
  }
  const parts: Array<ContentPart> = []
  for (const part of content) parts.push(yield* contentPart(part))
  return parts
})

const messages = Effect.fnUntracedEager(function* (
  prompt: Prompt.Prompt,
  compatibility: Compatibility,
  compatible: boolean
): Effect.fn.Return<Array<Message>, AiError.AiErrorReason> {
  const all: Array<Message> = []
  for (const message of prompt.content) {
    if (message.role === "system") {
      all.push({ role: "system", content: textContent(message, message.content) })
    } else if (message.role === "user") {
      all.push({ role: "user", content: yield* userContent(message) })
    } else if (message.role === "assistant") {
      all.push(...(yield* assistantMessage(message, compatibility, compatible)))
    } else {
      all.push(...(yield* toolMessages(message)))
    }
  }
  return all
})

/** What of a request goes into its body. */
export type Request = Pick<LanguageModel.ProviderOptions, "prompt" | "toolChoice" | "responseFormat">

type SearchOptions = OpenAI.Chat.ChatCompletionCreateParams.WebSearchOptions

/** The options of the one provider-executed tool this API has. */
const webSearch = (
  tools: Tools.Prepared,
  context: Errors.RequestContext
): Effect.Effect<SearchOptions | undefined, AiError.AiError> => {
  const other = tools.hosted.find((tool) => tool.item !== "web_search_call")
  if (other !== undefined) {
    return Effect.fail(
      Errors.make(
        context,
        new AiError.ToolConfigurationError({
          toolName: other.name,
          description: "Chat Completions has no such tool; use the Responses API"
        })
      )
    )
  }
  const wire = tools.hosted[0]?.wire
  if (wire?.type !== "web_search" && wire?.type !== "web_search_preview") return Effect.succeed(undefined)
  const { city, country, region, timezone } = wire.user_location ?? {}
  const place = compactOrNone({
    city: city ?? undefined,
    country: country ?? undefined,
    region: region ?? undefined,
    timezone: timezone ?? undefined
  })
  return Effect.succeed({
    ...compact({ search_context_size: wire.search_context_size }),
    ...(place === undefined ? undefined : { user_location: { type: "approximate", approximate: place } })
  })
}

const functions = (
  tools: Tools.Prepared,
  config: Config,
  request: Request,
  strict: boolean
): Pick<Body, "tools" | "tool_choice" | "parallel_tool_calls"> | undefined => {
  if (tools.functions.size === 0) return undefined
  const choice = Tools.choice(request.toolChoice)
  return {
    tools: [...tools.functions.values()].map((tool) => ({
      type: "function" as const,
      function: {
        name: tools.names.toWire(tool.name),
        parameters: tool.parameters,
        ...compact({ strict: strict ? tool.strict : undefined, description: tool.description })
      }
    })),
    tool_choice:
      typeof choice === "string"
        ? choice
        : { type: "function" as const, function: { name: tools.names.toWire(choice.tool) } },
    ...compact({ parallel_tool_calls: config.parallelToolCalls })
  }
}

/** The body of a request, without `stream`. */
export const make = Effect.fnUntracedEager(function* (
  model: string,
  config: Config,
  compatibility: Compatibility,
  request: Request,
  tools: Tools.Prepared,
  context: Errors.RequestContext
): Effect.fn.Return<Body, AiError.AiError> {
  yield* Apis.refuseForeign("chat", config, context)
  yield* Models.refuse("chat", model, config, context)
  const strict = compatibility.strict !== false
  let format: Body["response_format"]
  if (request.responseFormat.type === "json") {
    const { strict: asked, ...schema } = yield* Tools.responseSchema(request.responseFormat, context)
    format = { type: "json_schema", json_schema: strict ? { ...schema, strict: asked } : schema }
  }
  const cache = config.promptCache
  if (cache?.ttl === "12h") {
    return yield* Errors.make(
      context,
      new AiError.InvalidUserInputError({
        description: "Chat Completions caches for 30m only; set promptCache.ttl to 30m or use the Responses API"
      })
    )
  }
  const prompt = yield* History.whole(
    request.prompt,
    // Reasoning goes where there is a field for it, and nothing that a provider ran.
    { api: "chat", tools, takes: ({ type }) => type === "reasoning" && compatibility.reasoning !== undefined },
    context
  )
  return {
    model,
    messages: yield* Effect.mapErrorEager(
      messages(prompt, compatibility, !context.url.startsWith("https://api.openai.com/")),
      (reason) => Errors.make(context, reason)
    ),
    ...compact({
      response_format: format,
      temperature: config.temperature,
      top_p: config.topP,
      [compatibility.maxTokens ?? "max_completion_tokens"]: config.maxOutputTokens,
      reasoning_effort: config.reasoningEffort,
      verbosity: config.verbosity,
      service_tier: config.serviceTier,
      safety_identifier: config.safetyIdentifier,
      user: config.user,
      metadata: config.metadata,
      // Compatible servers reject what they do not know, so the default is not spelled out.
      store: config.store,
      seed: config.seed,
      stop: config.stop === undefined ? undefined : [...config.stop],
      frequency_penalty: config.frequencyPenalty,
      presence_penalty: config.presencePenalty,
      prompt_cache_key: cache?.key,
      prompt_cache_options: compactOrNone({ mode: cache?.mode, ttl: cache?.ttl }),
      prompt_cache_retention: cache?.retention,
      web_search_options: yield* webSearch(tools, context)
    }),
    ...functions(tools, config, request, strict)
  }
})

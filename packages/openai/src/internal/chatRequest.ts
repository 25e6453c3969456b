/**
 * From a prompt to the body of a Chat Completions request.
 */
import type { OpenAI } from "openai"
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Content from "./content.ts"
import * as Errors from "./errors.ts"
import { compact, type Settings } from "./settings.ts"
import * as Tools from "./tools.ts"

type Body = Omit<OpenAI.Chat.ChatCompletionCreateParamsNonStreaming, "stream">
type Message = OpenAI.Chat.ChatCompletionMessageParam
type ContentPart = OpenAI.Chat.ChatCompletionContentPart

const audioFormats: Record<string, "wav" | "mp3"> = {
  "audio/wav": "wav",
  "audio/mpeg": "mp3",
  "audio/mp3": "mp3"
}

const contentPart = (
  part: Prompt.UserMessagePart,
  context: Errors.RequestContext
): Effect.Effect<ContentPart, AiError.AiError> => {
  if (part.type === "text") return Effect.succeed({ type: "text", text: part.text })
  const file = Content.fileUrl(part)
  if (part.mediaType.startsWith("image/")) {
    const detail = Content.openaiOptions(part.options)["imageDetail"]
    return Effect.succeed({
      type: "image_url",
      image_url: {
        url: file.url,
        ...(detail === "low" || detail === "high" ? { detail } : undefined)
      }
    })
  }
  const format = audioFormats[part.mediaType]
  if (file.inline && format !== undefined) {
    return Effect.succeed({
      type: "input_audio",
      input_audio: { data: file.url.slice(file.url.indexOf(",") + 1), format }
    })
  }
  if (file.inline) {
    return Effect.succeed({
      type: "file",
      file: { filename: Content.fileName(part), file_data: file.url }
    })
  }
  return Effect.fail(
    Errors.make(
      context,
      new AiError.InvalidUserInputError({
        description: `Chat Completions takes a ${part.mediaType} file by value, not by URL; pass its bytes or use the Responses API`
      })
    )
  )
}

const assistantMessage = (message: Prompt.AssistantMessage): ReadonlyArray<Message> => {
  const text: Array<string> = []
  const calls: Array<OpenAI.Chat.ChatCompletionMessageFunctionToolCall> = []
  for (const part of message.content) {
    if (part.type === "text") text.push(part.text)
    if (part.type === "file") text.push(Content.omitted(part))
    if (part.type === "tool-call" && !part.providerExecuted) {
      calls.push({
        id: part.id,
        type: "function",
        function: { name: part.name, arguments: Content.callArguments(part) }
      })
    }
  }
  if (text.length === 0 && calls.length === 0) return []
  return [
    {
      role: "assistant",
      content: text.length === 0 ? null : text.join(""),
      ...(calls.length === 0 ? undefined : { tool_calls: calls })
    }
  ]
}

const messages = (
  prompt: Prompt.Prompt,
  context: Errors.RequestContext
): Effect.Effect<Array<Message>, AiError.AiError> =>
  Effect.map(
    Effect.forEach(prompt.content, (message): Effect.Effect<ReadonlyArray<Message>, AiError.AiError> => {
      switch (message.role) {
        case "system":
          return Effect.succeed([{ role: "system", content: message.content }])
        case "user": {
          const [first] = message.content
          // Compatible servers know the plain form better.
          if (message.content.length === 1 && first?.type === "text") {
            return Effect.succeed([{ role: "user", content: first.text }])
          }
          return Effect.map(
            Effect.forEach(message.content, (part) => contentPart(part, context)),
            (content) => [{ role: "user", content }]
          )
        }
        case "assistant":
          return Effect.succeed(assistantMessage(message))
        case "tool":
          return Effect.succeed(
            message.content.flatMap((part): ReadonlyArray<Message> =>
              part.type === "tool-result"
                ? [
                    {
                      role: "tool",
                      tool_call_id: part.id,
                      content:
                        part.modelOutput === undefined
                          ? Content.resultText(part)
                          : Prompt.toolModelOutputToText(part.modelOutput)
                    }
                  ]
                : []
            )
          )
      }
    }),
    (groups) => groups.flat()
  )

/** The body of a request, without `stream`. */
export const make = Effect.fnUntraced(function* (
  model: string,
  settings: Settings,
  options: LanguageModel.ProviderOptions,
  tools: ReadonlyMap<string, Tools.WireTool>,
  context: Errors.RequestContext
): Effect.fn.Return<Body, AiError.AiError> {
  const format =
    options.responseFormat.type === "json"
      ? {
          type: "json_schema" as const,
          json_schema: yield* Tools.responseSchema(options.responseFormat, context)
        }
      : undefined
  const choice = Tools.choice(options.toolChoice)
  return {
    model,
    messages: yield* messages(options.prompt, context),
    ...compact({
      response_format: format,
      temperature: settings.temperature,
      top_p: settings.topP,
      max_completion_tokens: settings.maxOutputTokens,
      reasoning_effort: settings.reasoningEffort,
      verbosity: settings.verbosity,
      service_tier: settings.serviceTier,
      safety_identifier: settings.safetyIdentifier,
      metadata: settings.metadata,
      // Compatible servers reject what they do not know, so the default is not spelled out.
      store: settings.store,
      seed: settings.seed,
      stop: settings.stop === undefined ? undefined : [...settings.stop]
    }),
    ...(tools.size === 0
      ? undefined
      : {
          tools: [...tools.values()].map((tool) => ({
            type: "function" as const,
            function: {
              name: tool.name,
              parameters: tool.parameters,
              strict: tool.strict,
              ...compact({ description: tool.description })
            }
          })),
          tool_choice:
            typeof choice === "string" ? choice : { type: "function" as const, function: { name: choice.tool } },
          ...compact({ parallel_tool_calls: settings.parallelToolCalls })
        })
  }
})

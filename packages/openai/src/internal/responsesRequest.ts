/**
 * From a prompt to the body of a Responses API request.
 */
import type { OpenAI } from "openai"
import type * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Content from "./content.ts"
import type { RequestContext } from "./errors.ts"
import { compact, type Settings } from "./settings.ts"
import * as Tools from "./tools.ts"

type Body = Omit<OpenAI.Responses.ResponseCreateParamsNonStreaming, "stream">
type InputItem = OpenAI.Responses.ResponseInputItem

// Other models reject a request for encrypted reasoning, so it is asked for only where there is some.
const reasons = (model: string, settings: Settings): boolean =>
  settings.reasoningEffort !== undefined ||
  settings.reasoningSummary !== undefined ||
  (/^(o\d|gpt-[5-9]|codex)/.test(model) && !model.includes("chat"))

const inputPart = (part: Prompt.TextPart | Prompt.FilePart): OpenAI.Responses.ResponseInputContent => {
  if (part.type === "text") return { type: "input_text", text: part.text }
  const file = Content.fileUrl(part)
  if (part.mediaType.startsWith("image/")) {
    const detail = Content.openaiOptions(part.options)["imageDetail"]
    return {
      type: "input_image",
      image_url: file.url,
      detail: detail === "low" || detail === "high" ? detail : "auto"
    }
  }
  return file.inline
    ? { type: "input_file", filename: Content.fileName(part), file_data: file.url }
    : { type: "input_file", file_url: file.url }
}

const outputPart = (part: Prompt.ToolModelOutputPart): OpenAI.Responses.ResponseFunctionCallOutputItem => {
  const input = inputPart(part)
  return input.type === "input_image" || input.type === "input_file"
    ? input
    : { type: "input_text", text: part.type === "text" ? part.text : "" }
}

const reasoningItem = (part: Prompt.ReasoningPart, settings: Settings): InputItem | undefined => {
  const { itemId, encryptedContent } = Content.openaiOptions(part.options)
  // Reasoning of another provider, or one that OpenAI can no longer read, is not for this API.
  if (typeof itemId !== "string") return undefined
  if (typeof encryptedContent !== "string" && settings.store !== true) return undefined
  return {
    type: "reasoning",
    id: itemId,
    summary: part.text === "" ? [] : [{ type: "summary_text", text: part.text }],
    ...(typeof encryptedContent === "string" ? { encrypted_content: encryptedContent } : undefined)
  }
}

const assistantItems = (message: Prompt.AssistantMessage, settings: Settings): ReadonlyArray<InputItem> =>
  message.content.flatMap((part): ReadonlyArray<InputItem> => {
    switch (part.type) {
      case "text": {
        const phase = Content.openaiOptions(part.options)["phase"]
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
        const item = reasoningItem(part, settings)
        return item === undefined ? [] : [item]
      }
      case "tool-call":
        return part.providerExecuted
          ? []
          : [
              {
                type: "function_call",
                call_id: part.id,
                name: part.name,
                arguments: Content.callArguments(part)
              }
            ]
      // Provider-executed results and approvals live in effect/ai's history, not on this wire.
      case "tool-result":
      case "tool-approval-request":
        return []
    }
  })

const inputItems = (prompt: Prompt.Prompt, settings: Settings): Array<InputItem> =>
  prompt.content.flatMap((message): ReadonlyArray<InputItem> => {
    switch (message.role) {
      case "system":
        return [{ role: "system", content: message.content }]
      case "user":
        return [{ role: "user", content: message.content.map(inputPart) }]
      case "assistant":
        return assistantItems(message, settings)
      case "tool":
        return message.content.flatMap((part): ReadonlyArray<InputItem> =>
          part.type === "tool-result"
            ? [
                {
                  type: "function_call_output",
                  call_id: part.id,
                  output: part.modelOutput === undefined ? Content.resultText(part) : part.modelOutput.map(outputPart)
                }
              ]
            : []
        )
    }
  })

/** The body of a request, without `stream`. */
export const make = Effect.fnUntraced(function* (
  model: string,
  settings: Settings,
  options: LanguageModel.ProviderOptions,
  tools: ReadonlyMap<string, Tools.WireTool>,
  context: RequestContext
): Effect.fn.Return<Body, AiError.AiError> {
  const format =
    options.responseFormat.type === "json"
      ? {
          type: "json_schema" as const,
          ...(yield* Tools.responseSchema(options.responseFormat, context))
        }
      : undefined
  const choice = Tools.choice(options.toolChoice)
  // Only a stored response can be continued by its id.
  const continues = settings.store === true && options.previousResponseId !== undefined
  const prompt = continues ? (options.incrementalPrompt ?? options.prompt) : options.prompt
  const reasoning = compact({
    effort: settings.reasoningEffort,
    summary: settings.reasoningSummary
  })
  const text = compact({ format, verbosity: settings.verbosity })
  const stored = settings.store === true
  return {
    model,
    input: inputItems(prompt, settings),
    store: stored,
    ...compact({
      previous_response_id: continues ? options.previousResponseId : undefined,
      temperature: settings.temperature,
      top_p: settings.topP,
      max_output_tokens: settings.maxOutputTokens,
      service_tier: settings.serviceTier,
      safety_identifier: settings.safetyIdentifier,
      metadata: settings.metadata,
      reasoning: Object.keys(reasoning).length === 0 ? undefined : reasoning,
      text: Object.keys(text).length === 0 ? undefined : text
    }),
    ...(!stored && reasons(model, settings) ? { include: ["reasoning.encrypted_content" as const] } : undefined),
    ...(tools.size === 0
      ? undefined
      : {
          tools: [...tools.values()].map((tool) => ({
            type: "function" as const,
            name: tool.name,
            parameters: tool.parameters,
            strict: tool.strict,
            ...compact({ description: tool.description })
          })),
          tool_choice: typeof choice === "string" ? choice : { type: "function" as const, name: choice.tool },
          ...compact({ parallel_tool_calls: settings.parallelToolCalls })
        })
  }
})

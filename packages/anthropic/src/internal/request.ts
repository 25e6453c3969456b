/** A call as a request of the Messages API. */
import type Anthropic from "@anthropic-ai/sdk"
import * as ToolSchema from "@selvage/provider/ToolSchema"
import * as AiError from "effect/ai/AiError"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as AnthropicModels from "../AnthropicModels.ts"
import * as Config from "./config.ts"
import * as PromptWire from "./prompt.ts"
import * as Threads from "./threads.ts"
import * as Tools from "./tools.ts"

type Reason = AiError.AiErrorReason

// The SDK's types are those of an API version without the sampling parameters, and of the Messages API without its beta features.
type Base = Omit<Anthropic.MessageCreateParamsNonStreaming, "stream" | "user_profile_id" | "workspace_id">

export interface Body extends Base {
  readonly temperature?: number
  readonly top_p?: number
  readonly top_k?: number
  readonly thread?: Threads.ThreadParam
}

/** A request before it is sent. */
export interface Request {
  readonly body: Body
  readonly headers: Record<string, string>
  /** Its tools, and what they are called on the wire. */
  readonly prepared: Tools.Prepared
  /** The mark of what is sent, for models that bind thinking to it. */
  readonly mark: (() => string) | undefined
}

/** The part of a call that a request is made of. */
export type Call = Pick<LanguageModel.ProviderOptions, "prompt" | "tools" | "toolChoice" | "responseFormat">

const set = <const Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } =>
  value === undefined ? {} : ({ [key]: value } as { [K in Key]?: Value })

const shown = ({ display, prefixMismatch }: Extract<Config.Thinking, { readonly type: "enabled" | "adaptive" }>) => ({
  ...set("display", display),
  ...set("block_binding", prefixMismatch && { prefix_mismatch_behavior: prefixMismatch })
})

const thinking = (config: Config.Thinking | undefined): Anthropic.ThinkingConfigParam | undefined => {
  switch (config?.type) {
    case "enabled":
      return { type: "enabled", budget_tokens: config.budgetTokens, ...shown(config) }
    case "adaptive":
      return { type: "adaptive", ...shown(config) }
    default:
      return config
  }
}

const container = (config: Config.Config["container"]): Base["container"] | undefined =>
  config === undefined || typeof config === "string"
    ? config
    : {
        ...set("id", config.id),
        ...set(
          "skills",
          config.skills?.map((skill) => ({
            type: skill.type,
            skill_id: skill.skillId,
            ...set("version", skill.version)
          }))
        )
      }

const outputConfig = (
  { responseFormat }: Call,
  effort: Config.Config["effort"]
): Effect.Effect<Anthropic.OutputConfig | undefined, Reason> => {
  if (responseFormat.type === "text") return Effect.succeed(effort === undefined ? undefined : { effort })
  return Effect.try({
    try: () => ({
      ...set("effort", effort),
      format: {
        type: "json_schema" as const,
        schema: ToolSchema.tame(toCodecAnthropic(responseFormat.schema).jsonSchema)
      }
    }),
    catch: (error) =>
      new AiError.UnsupportedSchemaError({
        description: `${responseFormat.objectName}: ${error instanceof Error ? error.message : String(error)}`
      })
  })
}

/** The beta feature that says what is to be done about thinking whose prefix changed. */
const bindingBeta = "thinking-binding-controls-2026-08-01"

const samplingVersion = "2023-06-01"

const headers = (config: Config.Config): Record<string, string> => {
  const samples = config.temperature !== undefined || config.topP !== undefined || config.topK !== undefined
  const binding = config.thinking !== undefined && "prefixMismatch" in config.thinking && config.thinking.prefixMismatch
  const betas = [
    ...(config.betas ?? []),
    ...(config.thread === true ? [Threads.beta] : []),
    ...(binding ? [bindingBeta] : [])
  ]
  return {
    ...(samples ? { "anthropic-version": samplingVersion } : undefined),
    ...(betas.length === 0 ? undefined : { "anthropic-beta": [...new Set(betas)].join(",") }),
    ...set("anthropic-user-profile-id", config.userProfileId),
    ...set("anthropic-workspace-id", config.workspaceId)
  }
}

const flawOf = (model: string, config: Config.Config, { toolChoice, tools }: Call): Reason | undefined => {
  const flaws = [...AnthropicModels.impossible(model, config)]
  const takes = AnthropicModels.traitsOf(model)
  const isForced = tools.length > 0 && Tools.isForced(toolChoice)
  if (isForced && takes?.forcedTools === false) {
    flaws.push({
      what: `${model} cannot be made to call a tool`,
      fix: 'leave toolChoice at "auto" and say in the prompt which tool to call, or ask for an object'
    })
  }
  if (isForced && config.thinking?.type === "enabled") {
    flaws.push({
      what: `${model} cannot be made to call a tool while it thinks`,
      fix: 'leave toolChoice at "auto", or remove thinking'
    })
  }
  return flaws.length === 0
    ? undefined
    : new AiError.InvalidUserInputError({ description: flaws.map(({ fix, what }) => `${what}; ${fix}`).join(". ") })
}

// What a budget takes is not for the answer.
const maxTokens = ({ maxTokens, thinking }: Config.Config): number =>
  maxTokens ?? Config.defaultMaxTokens + (thinking?.type === "enabled" ? thinking.budgetTokens : 0)

/** The request of a call, with the configuration that holds for it. */
export const make = Effect.fnUntracedEager(function* (
  call: Call & { readonly continues?: boolean },
  ownModel: string,
  config: Config.Config
): Effect.fn.Return<Request, Reason> {
  const model = config.model ?? ownModel
  const flaw = flawOf(model, config, call)
  if (flaw !== undefined) return yield* Effect.fail(flaw)
  const prepared = yield* Tools.prepareAll(call.tools)
  const tools = yield* Tools.toWire(call, config.parallelToolCalls, prepared)
  const { mark, messages, system } = yield* PromptWire.toWire(
    call.prompt,
    {
      prepared,
      config,
      takes: AnthropicModels.traitsOf(model),
      continues: call.continues,
      asksObject: call.responseFormat.type === "json"
    },
    tools.tools
  )
  const body: Body = {
    model,
    max_tokens: maxTokens(config),
    messages,
    ...set("system", system),
    ...tools,
    ...set("output_config", yield* outputConfig(call, config.effort)),
    ...set("thinking", thinking(config.thinking)),
    ...set("stop_sequences", config.stopSequences && [...config.stopSequences]),
    ...set("cache_control", config.cacheControl),
    ...set(
      "diagnostics",
      config.cacheDiagnostics && { previous_message_id: config.cacheDiagnostics.previousMessageId }
    ),
    ...set("container", container(config.container)),
    ...set("service_tier", config.serviceTier),
    ...set("speed", config.speed),
    ...set("inference_geo", config.inferenceGeo),
    ...set("metadata", config.userId === undefined ? undefined : { user_id: config.userId }),
    ...set("temperature", config.temperature),
    ...set("top_p", config.topP),
    ...set("top_k", config.topK)
  }
  return { body, headers: headers(config), prepared, mark }
})

/** The request of a call that may be one of a conversation that the API holds. */
export const makeThreaded = Effect.fnUntracedEager(function* (
  options: LanguageModel.ProviderOptions,
  model: string,
  config: Config.Config,
  threads: Threads.Threads
): Effect.fn.Return<Request, Reason> {
  if (config.thread !== true) return yield* make(options, model, config)
  const { prompt, thread } = threads.plan(options)
  const continues = thread.type === "continue"
  const request = yield* make({ ...options, prompt, continues }, model, config)
  const { body } = request
  if (!continues) return { ...request, body: { ...body, thread } }
  // The API has these from the first call, and rejects a request that repeats them.
  const { system: _, tools: __, ...rest } = body
  return { ...request, body: { ...rest, thread } }
})

/** The request that counts the tokens of another. */
export const counting = ({
  body,
  headers
}: Pick<Request, "body" | "headers">): {
  readonly body: Anthropic.MessageCountTokensParams
  readonly headers: Record<string, string>
} => ({
  body: {
    model: body.model,
    messages: body.messages,
    ...set("system", body.system),
    ...set("tools", body.tools),
    ...set("tool_choice", body.tool_choice),
    ...set("output_config", body.output_config),
    ...set("thinking", body.thinking),
    ...set("cache_control", body.cache_control),
    ...set("speed", body.speed)
  },
  headers
})

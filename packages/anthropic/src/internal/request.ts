/** A call as a request of the Messages API. */
import type Anthropic from "@anthropic-ai/sdk"
import * as AiError from "effect/ai/AiError"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Config from "./config.ts"
import * as PromptWire from "./prompt.ts"
import * as ServerTools from "./serverTools.ts"
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
}

/** The part of a call that a request is made of. */
export type Call = Pick<LanguageModel.ProviderOptions, "prompt" | "tools" | "toolChoice" | "responseFormat">

const set = <const Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } =>
  value === undefined ? {} : ({ [key]: value } as { [K in Key]?: Value })

const thinking = (config: Config.Thinking | undefined): Anthropic.ThinkingConfigParam | undefined => {
  switch (config?.type) {
    case "enabled":
      return { type: "enabled", budget_tokens: config.budgetTokens, ...set("display", config.display) }
    case "adaptive":
      return { type: "adaptive", ...set("display", config.display) }
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
      format: { type: "json_schema" as const, schema: toCodecAnthropic(responseFormat.schema).jsonSchema }
    }),
    catch: (error) =>
      new AiError.UnsupportedSchemaError({
        description: `${responseFormat.objectName}: ${error instanceof Error ? error.message : String(error)}`
      })
  })
}

const samplingVersion = "2023-06-01"

const headers = (config: Config.Config): Record<string, string> => {
  const samples = config.temperature !== undefined || config.topP !== undefined || config.topK !== undefined
  const betas = [...(config.betas ?? []), ...(config.thread === true ? [Threads.beta] : [])]
  return {
    ...(samples ? { "anthropic-version": samplingVersion } : undefined),
    ...(betas.length === 0 ? undefined : { "anthropic-beta": [...new Set(betas)].join(",") }),
    ...set("anthropic-user-profile-id", config.userProfileId),
    ...set("anthropic-workspace-id", config.workspaceId)
  }
}

/** The request of a call, with the configuration that holds for it. */
export const make = Effect.fnUntracedEager(function* (
  call: Call,
  model: string,
  config: Config.Config
): Effect.fn.Return<Request, Reason> {
  const names = ServerTools.namesOf(call.tools)
  const { messages, system } = yield* PromptWire.toWire(call.prompt, names)
  const body: Body = {
    model: config.model ?? model,
    max_tokens: config.maxTokens ?? Config.defaultMaxTokens,
    messages,
    ...set("system", system),
    ...(yield* Tools.toWire(call, config.parallelToolCalls, names)),
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
  return { body, headers: headers(config) }
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
  const { body, headers } = yield* make({ ...options, prompt }, model, config)
  if (thread.type === "create") return { body: { ...body, thread }, headers }
  // The API has these from the first call, and rejects a request that repeats them.
  const { system: _, tools: __, ...rest } = body
  return { body: { ...rest, thread }, headers }
})

/** The request that counts the tokens of another. */
export const counting = ({
  body,
  headers
}: Request): {
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

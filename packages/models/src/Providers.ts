/**
 * Providers: sources of models as values. A third party adds one by giving its name and how to make a layer of a model's
 * name and options; see `Models.layerWith`.
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as ModelConfig from "./ModelConfig.ts"
import * as Offline from "./Offline.ts"

/** One thing that is wrong with the configuration: what, where, and what to do. */
export interface Finding {
  readonly what: string
  /** The variable, or the file and the path in it. */
  readonly where: string
  readonly fix: string
}

/** A source of models. */
export interface Provider {
  /** The word before the colon in `provider:model`; lower case. */
  readonly name: string
  /**
   * Makes a model. The name is empty for a provider that `takesNoModel`. `own` are the options under the provider's name,
   * as {@link options} decodes them.
   */
  readonly layer: (
    model: string,
    portable: ModelConfig.Portable,
    own: unknown
  ) => Layer.Layer<LanguageModel.LanguageModel, Config.ConfigError>
  /** The options that only this provider's models have. Without it they have none. */
  readonly options?: Schema.ConstraintCodec<unknown, unknown, never, unknown> | undefined
  /** What in the portable options its models cannot do. */
  readonly impossible?:
    | ((model: string, portable: ModelConfig.Portable) => ReadonlyArray<Pick<Finding, "what" | "fix">>)
    | undefined
  /** The provider is one model: it is chosen by its name alone. */
  readonly takesNoModel?: boolean | undefined
  /** Its models run in this process: options and policies for what is remote do not apply. */
  readonly local?: boolean | undefined
  /** The variable that must be set for the provider to work. Without any configuration a set one chooses the provider. */
  readonly keyVariable?: string | undefined
  /** The model that is used when only the key is configured. */
  readonly defaultModel?: string | undefined
  /** What else is wrong with its configuration. */
  readonly check?: Effect.Effect<ReadonlyArray<Finding>, Config.ConfigError> | undefined
  /** Added to the name where a person reads what a role resolved to. */
  readonly remark?: string | undefined
}

/** A provider whose models have options of their own. */
export const withOptions = <Own, Encoded, EncodingServices>(
  options: Schema.ConstraintCodec<Own, Encoded, never, EncodingServices>,
  provider: Omit<Provider, "layer" | "options"> & {
    readonly layer: (
      model: string,
      portable: ModelConfig.Portable,
      own: Partial<Own>
    ) => Layer.Layer<LanguageModel.LanguageModel, Config.ConfigError>
  }
): Provider => ({
  ...provider,
  options: options as unknown as NonNullable<Provider["options"]>,
  // Decoded with `options` by whoever calls it, or absent.
  layer: (model, portable, own) => provider.layer(model, portable, (own ?? {}) as Partial<Own>)
})

/** The offline model: no key, no network, no cost, no intelligence. */
export const offline: Provider = {
  name: "offline",
  takesNoModel: true,
  local: true,
  remark: "no intelligence, no cost",
  layer: () => Offline.layer
}

const Tokens = Schema.Int.check(Schema.isGreaterThan(0))
const text = Schema.optionalKey(Schema.String)

/** What only Anthropic's models have; see `AnthropicLanguageModel.Config`. */
export const AnthropicOptions = Schema.Struct({
  topK: Schema.optionalKey(Tokens),
  stopSequences: Schema.optionalKey(Schema.Array(Schema.String)),
  effort: Schema.optionalKey(Schema.Literals(["low", "medium", "high", "xhigh", "max"])),
  thinking: Schema.optionalKey(
    Schema.Union([
      Schema.Struct({ type: Schema.Literal("adaptive") }),
      Schema.Struct({ type: Schema.Literal("enabled"), budgetTokens: Tokens }),
      Schema.Struct({ type: Schema.Literal("disabled") })
    ])
  ),
  cacheControl: Schema.optionalKey(
    Schema.Struct({ type: Schema.Literal("ephemeral"), ttl: Schema.optionalKey(Schema.Literals(["5m", "1h"])) })
  ),
  serviceTier: Schema.optionalKey(Schema.Literals(["auto", "standard_only"])),
  speed: Schema.optionalKey(Schema.Literals(["standard", "fast"])),
  inferenceGeo: text,
  userId: text,
  betas: Schema.optionalKey(Schema.Array(Schema.String))
})

/** Anthropic, by its official SDK, which is loaded when a model is made. `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`. */
export const anthropic: Provider = withOptions(AnthropicOptions, {
  name: "anthropic",
  keyVariable: "ANTHROPIC_API_KEY",
  defaultModel: "claude-sonnet-5-5",
  impossible: (model, { temperature }) =>
    temperature !== undefined && temperature > 1
      ? [
          {
            what: `the temperature ${temperature} is beyond what "${model}" of Anthropic knows, 0 to 1`,
            fix: "set it to 1 or less, or only for the models of another provider"
          }
        ]
      : [],
  layer: (model, { maxOutputTokens, ...portable }, own) =>
    Layer.unwrap(
      Effect.map(
        Effect.promise(() =>
          Promise.all([
            import("@selvage/anthropic/AnthropicClient"),
            import("@selvage/anthropic/AnthropicLanguageModel")
          ])
        ),
        ([AnthropicClient, AnthropicLanguageModel]) =>
          Layer.provide(
            AnthropicLanguageModel.layer({ model, config: { ...portable, maxTokens: maxOutputTokens, ...own } }),
            AnthropicClient.layerConfig()
          )
      )
    )
})

const api = Config.String("SELVAGE_OPENAI_API").pipe(Config.option)

/** What only OpenAI's models have; see `OpenAiLanguageModel.Settings`. `api` is over `SELVAGE_OPENAI_API`. */
export const OpenAiOptions = Schema.Struct({
  api: Schema.optionalKey(Schema.Literals(["responses", "chat"])),
  reasoningEffort: Schema.optionalKey(Schema.Literals(["none", "minimal", "low", "medium", "high", "xhigh", "max"])),
  reasoningSummary: Schema.optionalKey(Schema.Literals(["auto", "concise", "detailed"])),
  verbosity: Schema.optionalKey(Schema.Literals(["low", "medium", "high"])),
  maxToolCalls: Schema.optionalKey(Tokens),
  serviceTier: Schema.optionalKey(Schema.Literals(["auto", "default", "flex", "scale", "priority", "fast"])),
  store: Schema.optionalKey(Schema.Boolean),
  safetyIdentifier: text,
  user: text,
  metadata: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  seed: Schema.optionalKey(Schema.Int),
  stop: Schema.optionalKey(Schema.Array(Schema.String))
})

/**
 * OpenAI and servers that speak its protocol, by its official SDK, which is loaded when a model is made.
 * `OPENAI_API_KEY`, `OPENAI_BASE_URL`, and `SELVAGE_OPENAI_API`: `responses` (default) or `chat`.
 */
export const openai: Provider = withOptions(OpenAiOptions, {
  name: "openai",
  keyVariable: "OPENAI_API_KEY",
  defaultModel: "gpt-5.4",
  check: Effect.map(Effect.all({ api: api, base: Config.String("OPENAI_BASE_URL").pipe(Config.option) }), (set) => [
    ...(Option.isSome(set.api) && set.api.value !== "responses" && set.api.value !== "chat"
      ? [
          {
            what: `there is no OpenAI API called "${set.api.value}"`,
            where: "SELVAGE_OPENAI_API",
            fix: "set it to responses or chat, or unset it for responses"
          }
        ]
      : []),
    ...(Option.isSome(set.base) && !/^https?:\/\/\S+$/.test(set.base.value)
      ? [
          {
            what: "the base address is no http or https URL",
            where: "OPENAI_BASE_URL",
            fix: "give the whole address with its version, such as http://localhost:11434/v1, or unset it"
          }
        ]
      : [])
  ]),
  layer: (model, { effort, ...portable }, { api: named, ...own }) =>
    Layer.unwrap(
      Effect.gen(function* () {
        const chosen = named ?? (Option.getOrElse(yield* api, () => "responses") === "chat" ? "chat" : "responses")
        const [OpenAiClient, OpenAiLanguageModel] = yield* Effect.promise(() =>
          Promise.all([import("@selvage/openai/OpenAiClient"), import("@selvage/openai/OpenAiLanguageModel")])
        )
        const config = { ...portable, reasoningEffort: effort, ...own }
        return Layer.provide(OpenAiLanguageModel.layer({ model, api: chosen, config }), OpenAiClient.layerConfig())
      })
    )
})

/** The providers of this package, in the order in which a set key chooses one. */
export const all: ReadonlyArray<Provider> = [anthropic, openai, offline]

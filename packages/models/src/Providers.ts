/**
 * Providers: sources of models as values. A third party adds one by giving its name and how to make a layer of a model's
 * name and options; see `Models.layerWith`.
 */
import * as AnthropicModels from "@selvage/anthropic/AnthropicModels"
import * as OpenAiModels from "@selvage/openai/OpenAiModels"
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
  /** What in the options its models cannot do, by the portable ones and their own together. */
  readonly impossible?:
    | ((model: string, portable: ModelConfig.Portable, own: unknown) => ReadonlyArray<Pick<Finding, "what" | "fix">>)
    | undefined
  /** The provider is one model: it is chosen by its name alone. */
  readonly takesNoModel?: boolean | undefined
  /** Its models run in this process: options and policies for what is remote do not apply. */
  readonly local?: boolean | undefined
  /** The variable that must be set for the provider to work. Without any configuration a set one chooses the provider. */
  readonly keyVariable?: string | undefined
  /** The variable of the key that a model with these options needs, if it needs one. Default: {@link keyVariable}. */
  readonly keyOf?: ((own: unknown) => Effect.Effect<string | undefined, Config.ConfigError>) | undefined
  /** Where a model with these options is asked, if they say so: models of other addresses have other circuits and limits. */
  readonly address?: ((own: unknown) => string | undefined) | undefined
  /** The model that is used when only the key is configured. */
  readonly defaultModel?: string | undefined
  /** What else is wrong with its configuration, for a model with these options: by variable, or as `options.…` of the role. */
  readonly check?: ((own: unknown) => Effect.Effect<ReadonlyArray<Finding>, Config.ConfigError>) | undefined
  /** Added to the name where a person reads what a role resolved to. */
  readonly remark?: string | undefined
}

/** A provider whose models have options of their own. */
export const withOptions = <Own, Encoded, EncodingServices>(
  options: Schema.ConstraintCodec<Own, Encoded, never, EncodingServices>,
  provider: Omit<Provider, "layer" | "options" | "impossible" | "keyOf" | "address" | "check"> & {
    readonly layer: (
      model: string,
      portable: ModelConfig.Portable,
      own: Partial<Own>
    ) => Layer.Layer<LanguageModel.LanguageModel, Config.ConfigError>
    readonly impossible?: (
      model: string,
      portable: ModelConfig.Portable,
      own: Partial<Own>
    ) => ReadonlyArray<Pick<Finding, "what" | "fix">>
    readonly keyOf?: (own: Partial<Own>) => Effect.Effect<string | undefined, Config.ConfigError>
    readonly address?: (own: Partial<Own>) => string | undefined
    readonly check?: (own: Partial<Own>) => Effect.Effect<ReadonlyArray<Finding>, Config.ConfigError>
  }
): Provider => {
  const { address, check, impossible, keyOf, layer, ...rest } = provider
  // Decoded with `options` by whoever calls these, or absent.
  const typed = (own: unknown) => (own ?? {}) as Partial<Own>
  return {
    ...rest,
    options: options as unknown as NonNullable<Provider["options"]>,
    layer: (model, portable, own) => layer(model, portable, typed(own)),
    ...(impossible === undefined
      ? {}
      : { impossible: (model, portable, own) => impossible(model, portable, typed(own)) }),
    ...(keyOf === undefined ? {} : { keyOf: (own) => keyOf(typed(own)) }),
    ...(address === undefined ? {} : { address: (own) => address(typed(own)) }),
    ...(check === undefined ? {} : { check: (own) => check(typed(own)) })
  }
}

/**
 * A provider of any `effect/ai` model layer: how a model of a name is made, and the client that it needs. Exported from a
 * module that `SELVAGE_PROVIDERS` names, it is there by configuration.
 *
 * ```ts
 * import * as Providers from "@selvage/models/Providers"
 * import * as Offline from "@selvage/models/Offline"
 *
 * export const acme = Providers.fromLayers({
 *   name: "acme",
 *   keyVariable: "ACME_API_KEY",
 *   defaultModel: "acme-1",
 *   model: (_name) => Offline.layer // AcmeLanguageModel.layer({ model: name }), with client: AcmeClient.layerConfig({ … })
 * })
 * ```
 */
export const fromLayers = <Client = never>({
  client,
  model,
  ...provider
}: Omit<Provider, "layer" | "options" | "impossible" | "keyOf" | "address" | "check"> & {
  readonly model: (
    name: string,
    portable: ModelConfig.Portable
  ) => Layer.Layer<LanguageModel.LanguageModel, Config.ConfigError, Client>
} & ([Client] extends [never]
    ? { readonly client?: undefined }
    : { readonly client: Layer.Layer<Client, Config.ConfigError> })): Provider => ({
  ...provider,
  layer: (name, portable) =>
    Layer.provide(model(name, portable), (client ?? Layer.empty) as Layer.Layer<Client, Config.ConfigError>)
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
const isAddress = (address: string): boolean => /^https?:\/\/\S+$/.test(address)
const Address = Schema.String.check(
  Schema.makeFilter(isAddress, { expected: "an http or https URL, such as http://localhost:11434/v1" })
)

/** Which server is asked, and with which key: what every provider behind HTTP has. */
const server = {
  /** Over the provider's variable for it. */
  baseUrl: Schema.optionalKey(Address),
  /** The variable that holds the key, in place of the provider's. */
  keyVariable: Schema.optionalKey(Schema.NonEmptyString)
}

// Without what may be secret in it: it is part of names that errors show.
const hostOf = ({ baseUrl }: { readonly baseUrl?: string | undefined }): string | undefined =>
  baseUrl !== undefined && URL.canParse(baseUrl) ? new URL(baseUrl).host : undefined

const addressVariable = (variable: string, example: string) =>
  Effect.map(Config.String(variable).pipe(Config.option), (set): ReadonlyArray<Finding> =>
    Option.isSome(set) && set.value.trim() !== "" && !isAddress(set.value.trim())
      ? [
          {
            what: "the base address is no http or https URL",
            where: variable,
            fix: `give the whole address, such as ${example}, or unset it`
          }
        ]
      : []
  )

const shown = {
  display: Schema.optionalKey(Schema.Literals(["summarized", "omitted"])),
  prefixMismatch: Schema.optionalKey(Schema.Literals(["error", "drop_block"]))
}

/** What only Anthropic's models have; see `AnthropicLanguageModel.Config`. `baseUrl` is over `ANTHROPIC_BASE_URL`. */
export const AnthropicOptions = Schema.Struct({
  ...server,
  topK: Schema.optionalKey(Tokens),
  stopSequences: Schema.optionalKey(Schema.Array(Schema.String)),
  prefill: Schema.optionalKey(Schema.Boolean),
  effort: Schema.optionalKey(Schema.Literals(["low", "medium", "high", "xhigh", "max"])),
  thinking: Schema.optionalKey(
    Schema.Union([
      Schema.Struct({ type: Schema.Literal("adaptive"), ...shown }),
      Schema.Struct({
        type: Schema.Literal("enabled"),
        budgetTokens: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1024)),
        ...shown
      }),
      Schema.Struct({ type: Schema.Literal("between_tools") }),
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
  impossible: (model, { maxOutputTokens, ...portable }, own) =>
    AnthropicModels.impossible(model, { ...portable, maxTokens: maxOutputTokens, ...own }),
  keyOf: ({ keyVariable = "ANTHROPIC_API_KEY" }) => Effect.succeed(keyVariable),
  address: hostOf,
  check: () => addressVariable("ANTHROPIC_BASE_URL", "https://gateway.example.com"),
  layer: (model, { maxOutputTokens, ...portable }, { baseUrl, keyVariable, ...own }) =>
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
            AnthropicClient.layerConfig({
              ...(baseUrl === undefined ? {} : { baseUrl: Config.succeed(baseUrl) }),
              ...(keyVariable === undefined ? {} : { apiKey: Config.Redacted(keyVariable) })
            })
          )
      )
    )
})

const Api = Schema.Literals(["responses", "chat"])
const Auth = Schema.Literals(["bearer", "api-key", "none"])

/** A variable with one of some words; a word that is none of them is a finding, and counts as unset. */
const wordOf = <Word extends string>(variable: string, words: ReadonlyArray<Word>) => ({
  value: Config.String(variable).pipe(
    Config.option,
    Config.map((set) => words.find((word) => Option.contains(set, word)))
  ),
  check: Effect.map(Config.String(variable).pipe(Config.option), (set): ReadonlyArray<Finding> =>
    Option.isNone(set) || set.value === "" || words.some((word) => word === set.value)
      ? []
      : [
          {
            what: `"${set.value}" is none of ${words.join(", ")}`,
            where: variable,
            fix: `set it to ${words.join(" or ")}, or unset it for ${words[0]}`
          }
        ]
  )
})

const api = wordOf("SELVAGE_OPENAI_API", Api.literals)
const auth = wordOf("SELVAGE_OPENAI_AUTH", Auth.literals)

/**
 * What only OpenAI's models have, and how a compatible server is asked; see `OpenAiLanguageModel.Config`, `Compatibility`
 * and `OpenAiClient.Options`. `api`, `auth` and `baseUrl` are over the variables.
 */
export const OpenAiOptions = Schema.Struct({
  ...server,
  api: Schema.optionalKey(Api),
  auth: Schema.optionalKey(Auth),
  query: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  compatibility: Schema.optionalKey(
    Schema.Struct({
      maxTokens: Schema.optionalKey(Schema.Literals(["max_completion_tokens", "max_tokens"])),
      strict: Schema.optionalKey(Schema.Boolean),
      streamUsage: Schema.optionalKey(Schema.Boolean),
      reasoning: Schema.optionalKey(Schema.Literals(["reasoning_content", "reasoning"]))
    })
  ),
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

const onlyOf = {
  chat: ["compatibility", "seed", "stop"],
  responses: ["reasoningSummary", "maxToolCalls"]
} as const satisfies Record<typeof Api.Type, ReadonlyArray<keyof typeof OpenAiOptions.Type>>

// A call with them would be refused.
const foreignTo = (speaks: typeof Api.Type, own: typeof OpenAiOptions.Type): ReadonlyArray<Finding> => {
  const other = speaks === "chat" ? "responses" : "chat"
  return onlyOf[other].flatMap((name) =>
    own[name] === undefined
      ? []
      : [
          {
            what: `${name} is not there in ${speaks === "chat" ? "Chat Completions" : "the Responses API"}`,
            where: `options.openai.${name}`,
            fix: `set api to "${other}", or remove it`
          }
        ]
  )
}

/**
 * OpenAI and servers that speak its protocol, by its official SDK, which is loaded when a model is made.
 * `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `SELVAGE_OPENAI_API` (`responses`, the default, or `chat`), and
 * `SELVAGE_OPENAI_AUTH`: how the key travels, `bearer`, `api-key` (Azure), or `none` for a server without keys.
 */
export const openai: Provider = withOptions(OpenAiOptions, {
  name: "openai",
  keyVariable: "OPENAI_API_KEY",
  defaultModel: "gpt-6.2-sol",
  keyOf: ({ auth: named, keyVariable = "OPENAI_API_KEY" }) =>
    Effect.map(auth.value, (set) => ((named ?? set) === "none" ? undefined : keyVariable)),
  address: hostOf,
  impossible: (model, { effort, ...portable }, own) =>
    OpenAiModels.impossible(model, own.api ?? "responses", { ...portable, reasoningEffort: effort, ...own }),
  check: (own) =>
    Effect.gen(function* () {
      const speaks = own.api ?? (yield* api.value) ?? "responses"
      const sends = own.auth ?? (yield* auth.value)
      const address =
        own.baseUrl ?? Option.getOrUndefined(yield* Config.option(Config.NonEmptyString("OPENAI_BASE_URL")))
      return [
        ...(yield* api.check),
        ...(yield* auth.check),
        ...(yield* addressVariable("OPENAI_BASE_URL", "http://localhost:11434/v1, with its version")),
        ...foreignTo(speaks, own),
        ...(sends === "api-key" && address === undefined
          ? [
              {
                what: 'auth "api-key" is how Azure takes its key, and the key would go to OpenAI',
                where: own.auth === undefined ? "SELVAGE_OPENAI_AUTH" : "options.openai.auth",
                fix: "set OPENAI_BASE_URL or baseUrl to the address of the resource, or remove it"
              }
            ]
          : [])
      ]
    }),
  layer: (model, { effort, ...portable }, own) =>
    Layer.unwrap(
      Effect.gen(function* () {
        const { api: spoken, auth: sent, baseUrl, compatibility, keyVariable, query, ...settings } = own
        const [OpenAiClient, OpenAiLanguageModel] = yield* Effect.promise(() =>
          Promise.all([import("@selvage/openai/OpenAiClient"), import("@selvage/openai/OpenAiLanguageModel")])
        )
        return Layer.provide(
          OpenAiLanguageModel.layer({
            model,
            api: spoken ?? (yield* api.value),
            config: { ...portable, reasoningEffort: effort, ...settings },
            compatibility
          }),
          OpenAiClient.layerConfig({
            auth: sent ?? (yield* auth.value),
            query,
            ...(baseUrl === undefined ? {} : { baseUrl: Config.succeed(baseUrl) }),
            ...(keyVariable === undefined ? {} : { apiKey: Config.Redacted(keyVariable) })
          })
        )
      })
    )
})

/** The providers of this package, in the order in which a set key chooses one. */
export const all: ReadonlyArray<Provider> = [anthropic, openai, offline]

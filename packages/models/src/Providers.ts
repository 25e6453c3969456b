/**
 * Providers: sources of models as values. A third party adds one by giving its name and how to make a layer of a model's
 * name; see `Models.layerWith`.
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Offline from "./Offline.ts"

/** One thing that is wrong with the configuration: what, where, and what to do. */
export interface Finding {
  readonly what: string
  /** The variable. */
  readonly where: string
  readonly fix: string
}

/** A source of models. */
export interface Provider {
  /** The word before the colon in `provider:model`; lower case. */
  readonly name: string
  /** Makes a model. The name is empty for a provider that `takesNoModel`. */
  readonly layer: (model: string) => Layer.Layer<LanguageModel.LanguageModel, Config.ConfigError>
  /** The provider is one model: it is chosen by its name alone. */
  readonly takesNoModel?: boolean | undefined
  /** The variable that must be set for the provider to work. Without any configuration a set one chooses the provider. */
  readonly keyVariable?: string | undefined
  /** The model that is used when only the key is configured. */
  readonly defaultModel?: string | undefined
  /** What else is wrong with its configuration. */
  readonly check?: Effect.Effect<ReadonlyArray<Finding>, Config.ConfigError> | undefined
  /** Added to the name where a person reads what a role resolved to. */
  readonly remark?: string | undefined
}

/** The offline model: no key, no network, no cost, no intelligence. */
export const offline: Provider = {
  name: "offline",
  takesNoModel: true,
  remark: "no intelligence, no cost",
  layer: () => Offline.layer
}

/** Anthropic, by its official SDK, which is loaded when a model is made. `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`. */
export const anthropic: Provider = {
  name: "anthropic",
  keyVariable: "ANTHROPIC_API_KEY",
  defaultModel: "claude-sonnet-5-5",
  layer: (model) =>
    Layer.unwrap(
      Effect.map(
        Effect.promise(() =>
          Promise.all([
            import("@selvage/anthropic/AnthropicClient"),
            import("@selvage/anthropic/AnthropicLanguageModel")
          ])
        ),
        ([AnthropicClient, AnthropicLanguageModel]) =>
          Layer.provide(AnthropicLanguageModel.layer({ model }), AnthropicClient.layerConfig())
      )
    )
}

const api = Config.String("SELVAGE_OPENAI_API").pipe(Config.option)

/**
 * OpenAI and servers that speak its protocol, by its official SDK, which is loaded when a model is made.
 * `OPENAI_API_KEY`, `OPENAI_BASE_URL`, and `SELVAGE_OPENAI_API`: `responses` (default) or `chat`.
 */
export const openai: Provider = {
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
  layer: (model) =>
    Layer.unwrap(
      Effect.gen(function* () {
        const chosen = yield* api
        const [OpenAiClient, OpenAiLanguageModel] = yield* Effect.promise(() =>
          Promise.all([import("@selvage/openai/OpenAiClient"), import("@selvage/openai/OpenAiLanguageModel")])
        )
        const name = Option.getOrElse(chosen, () => "responses") === "chat" ? "chat" : "responses"
        return Layer.provide(OpenAiLanguageModel.layer({ model, api: name }), OpenAiClient.layerConfig())
      })
    )
}

/** The providers of this package, in the order in which a set key chooses one. */
export const all: ReadonlyArray<Provider> = [anthropic, openai, offline]

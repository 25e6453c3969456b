/**
 * Models: the roles of an application (`fast`, `smart`, `judge`, or its own) resolved from configuration.
 *
 * `SELVAGE_MODEL_<ROLE>` names a model as `provider:model`, or several, divided by `|`, of which the next is asked when the
 * former fails:
 *
 * ```sh
 * SELVAGE_MODEL_SMART="anthropic:claude-sonnet-5-5 | openai:gpt-5.4 | offline"
 * ```
 *
 * - A role that is not configured is what `smart` is. Without any configuration `smart` is Anthropic's or OpenAI's default
 *   model if `ANTHROPIC_API_KEY` or `OPENAI_API_KEY` is set, in this order, else the offline model.
 * - `SELVAGE_OPENAI_API=chat` and `OPENAI_BASE_URL` address a server that is compatible with OpenAI.
 * - All that is wrong with the declared roles is reported at once, when the layer is built.
 *
 * **Gotchas**
 *
 * - An empty variable counts as unset.
 * - The next model is not asked once a tool has run or a stream has emitted content.
 * - A provider's SDK is loaded when the first of its models is made, not before.
 */
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Cache from "effect/Cache"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { fallback, type Named } from "./internal/fallback.ts"
import * as Providers from "./Providers.ts"

/** The configuration names no usable models. Lists everything that is wrong, not only the first thing. */
export class ModelConfigInvalid extends Schema.TaggedError<ModelConfigInvalid>()("ModelConfigInvalid", {
  findings: Schema.Array(Schema.Struct({ what: Schema.String, where: Schema.String, fix: Schema.String }))
}) {
  override get message(): string {
    const lines = this.findings.map(({ fix, what, where }) => `- ${where}: ${what}; ${fix}`)
    return `The model configuration is not usable:\n${lines.join("\n")}`
  }
}

/** What a role resolved to. */
export interface Resolution {
  readonly role: string
  readonly model: LanguageModel.LanguageModel
  /** The models in the order in which they are asked, as `provider:model` or `offline`. */
  readonly models: ReadonlyArray<string>
  /** Why these: the variable that names them, or what was taken for lack of one. */
  readonly origin: string
  /** For a person: `offline (no intelligence, no cost)`, `anthropic:claude-… | offline (…)`. */
  readonly description: string
}

/** The roles of an application. */
export interface Service {
  /** What a role resolved to. Fails only for a role that was not declared and whose variable is wrong. */
  readonly resolve: (role: string) => Effect.Effect<Resolution, ModelConfigInvalid>
  /** The model of a role. */
  readonly model: (role: string) => Effect.Effect<LanguageModel.LanguageModel, ModelConfigInvalid>
  /** What a role resolved to, for a person. */
  readonly description: (role: string) => Effect.Effect<string, ModelConfigInvalid>
}

/** The roles of an application, resolved. */
export class Models extends Context.Service<Models, Service>()("selvage/models/Models") {}

/** The role that others fall back to. */
export const defaultRole = "smart"

/** The roles that are checked when the layer is built unless others are declared. */
export const defaultRoles: ReadonlyArray<string> = [defaultRole, "fast", "judge"]

/** Options of {@link layerWith}. */
export interface Options {
  /** Where models come from; a later provider takes the place of a former one of the same name. Default: `Providers.all`. */
  readonly providers?: ReadonlyArray<Providers.Provider> | undefined
  /** Roles to check when the layer is built, besides `smart`. Others are resolved when they are asked for. */
  readonly roles?: ReadonlyArray<string> | undefined
}

/** The variable that configures a role. */
export const variableOf = (role: string): string =>
  `SELVAGE_MODEL_${role
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/[^A-Za-z0-9]+/g, "_")
    .toUpperCase()}`

interface Choice {
  readonly provider: Providers.Provider
  readonly model: string
}

const nameOf = ({ model, provider }: Choice): string =>
  provider.takesNoModel === true ? provider.name : `${provider.name}:${model}`

const describe = (choice: Choice): string =>
  choice.provider.remark === undefined ? nameOf(choice) : `${nameOf(choice)} (${choice.provider.remark})`

type Parsed = { readonly choice: Choice } | { readonly finding: Providers.Finding }

const parse = (
  text: string,
  where: string,
  providers: ReadonlyMap<string, Providers.Provider>
): ReadonlyArray<Parsed> => {
  const known = [...providers.values()]
  const forms = known
    .map((provider) => (provider.takesNoModel === true ? provider.name : `${provider.name}:MODEL`))
    .join(", ")
  return text.split("|").map((part): Parsed => {
    const entry = part.trim()
    const wrong = (what: string, fix: string): Parsed => ({ finding: { what, where, fix } })
    if (entry.length === 0)
      return wrong("a model is missing between the bars", `name one of ${forms}, or remove the bar`)
    const colon = entry.indexOf(":")
    const name = (colon < 0 ? entry : entry.slice(0, colon)).trim()
    const model = colon < 0 ? "" : entry.slice(colon + 1).trim()
    const provider = providers.get(name)
    if (provider === undefined) {
      return colon < 0
        ? wrong(`unknown model "${entry}"`, `name it with its provider: one of ${forms}`)
        : wrong(`unknown provider "${name}" in "${entry}"`, `use one of ${forms}`)
    }
    if (provider.takesNoModel === true) {
      return colon < 0
        ? { choice: { provider, model: "" } }
        : wrong(`"${name}" takes no model name`, `write ${name} alone`)
    }
    if (model.length === 0) {
      return wrong(
        `the provider "${name}" needs a model`,
        `write ${name}:MODEL${provider.defaultModel === undefined ? "" : `, for example ${name}:${provider.defaultModel}`}`
      )
    }
    if (/\s/.test(model))
      return wrong(`the model name "${model}" has a space in it`, "divide models by |, and write each without spaces")
    return { choice: { provider, model } }
  })
}

const read = (name: string) =>
  Config.String(name).pipe(Config.option, Config.map(Option.filter((value) => value.trim().length > 0)))

const unreadable = (where: string) => (error: Config.ConfigError) =>
  Effect.fail(
    new ModelConfigInvalid({ findings: [{ what: error.message, where, fix: "correct the value, or unset it" }] })
  )

const isSet = (name: string): Effect.Effect<boolean, Config.ConfigError> => Effect.map(read(name), Option.isSome)

interface Plan {
  readonly choices: ReadonlyArray<Choice>
  readonly findings: ReadonlyArray<Providers.Finding>
  readonly origin: string
}

const distinct = (findings: ReadonlyArray<Providers.Finding>): ReadonlyArray<Providers.Finding> => [
  ...new Map(findings.map((finding) => [`${finding.where} ${finding.what}`, finding])).values()
]

/** Models of given providers for given roles, and the model of the role `smart`. */
export const layerWith = (
  options: Options = {}
): Layer.Layer<Models | LanguageModel.LanguageModel, ModelConfigInvalid> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const providers = new Map((options.providers ?? Providers.all).map((provider) => [provider.name, provider]))
      const scope = yield* Effect.scope
      const config = yield* ConfigProvider.ConfigProvider

      const checkProvider = Effect.fnUntraced(function* (provider: Providers.Provider) {
        const findings: Array<Providers.Finding> = []
        if (provider.keyVariable !== undefined && !(yield* isSet(provider.keyVariable))) {
          findings.push({
            what: `the key for the provider "${provider.name}" is missing`,
            where: provider.keyVariable,
            fix: `set it, or choose another model${providers.has("offline") ? " (offline needs no key)" : ""}`
          })
        }
        if (provider.check !== undefined) findings.push(...(yield* provider.check))
        return findings
      })

      const unconfigured = Effect.gen(function* () {
        for (const provider of providers.values()) {
          if (provider.keyVariable === undefined || provider.defaultModel === undefined) continue
          if (yield* isSet(provider.keyVariable)) {
            return { choice: { provider, model: provider.defaultModel }, origin: `${provider.keyVariable} is set` }
          }
        }
        const provider = [...providers.values()].find((candidate) => candidate.takesNoModel === true)
        return provider === undefined ? undefined : { choice: { provider, model: "" }, origin: "nothing is configured" }
      })

      const plan = Effect.fnUntraced(function* (role: string) {
        let where = variableOf(role)
        let text = yield* read(where)
        let origin = where
        if (Option.isNone(text) && role !== defaultRole) {
          where = variableOf(defaultRole)
          text = yield* read(where)
          origin = `${variableOf(role)} is not set, so as ${defaultRole}: ${where}`
        }
        if (Option.isNone(text)) {
          const found = yield* unconfigured
          if (found === undefined) {
            const fix = "set it to a model of a provider, as provider:model"
            return {
              choices: [],
              findings: [{ what: "no model is configured", where, fix }],
              origin: where
            } satisfies Plan
          }
          const findings = yield* checkProvider(found.choice.provider)
          return { choices: [found.choice], findings, origin: found.origin } satisfies Plan
        }
        const parsed = parse(text.value, where, providers)
        const choices = parsed.flatMap((entry) => ("choice" in entry ? [entry.choice] : []))
        const findings = parsed.flatMap((entry) => ("finding" in entry ? [entry.finding] : []))
        for (const provider of new Set(choices.map((choice) => choice.provider)))
          findings.push(...(yield* checkProvider(provider)))
        return { choices, findings, origin } satisfies Plan
      })

      const built = yield* Cache.make({
        capacity: 64,
        lookup: (name: string) =>
          Effect.suspend(() => {
            const colon = name.indexOf(":")
            const provider = providers.get(colon < 0 ? name : name.slice(0, colon))!
            return Layer.buildWithScope(provider.layer(colon < 0 ? "" : name.slice(colon + 1)), scope)
          }).pipe(Effect.map((context) => Context.get(context, LanguageModel.LanguageModel)))
      })

      const realize = Effect.fnUntraced(function* (role: string, { choices, origin }: Plan) {
        const named = yield* Effect.forEach(choices, (choice) =>
          Effect.map(Cache.get(built, nameOf(choice)), (model): Named => ({ name: nameOf(choice), model }))
        )
        const [first, ...rest] = named
        if (first === undefined)
          return yield* Effect.die(new globalThis.Error(`role ${role} has no models and no findings`))
        return {
          role,
          model: fallback([first, ...rest]),
          models: named.map(({ name }) => name),
          origin,
          description: choices.map(describe).join(" | ")
        } satisfies Resolution
      })

      const declared = [...new Set([defaultRole, ...(options.roles ?? defaultRoles)])]
      const plans = yield* Effect.forEach(declared, (role) => Effect.map(plan(role), (own) => [role, own] as const))
      const findings = distinct(plans.flatMap(([, own]) => own.findings))
      if (findings.length > 0) return yield* new ModelConfigInvalid({ findings })
      const resolved = new Map<string, Resolution>()
      for (const [role, own] of plans) resolved.set(role, yield* realize(role, own))

      const late = yield* Cache.make({
        capacity: 64,
        lookup: Effect.fnUntraced(function* (role: string) {
          const own = yield* plan(role)
          if (own.findings.length > 0) return yield* new ModelConfigInvalid({ findings: distinct(own.findings) })
          return yield* realize(role, own)
        })
      })
      const resolve = (role: string): Effect.Effect<Resolution, ModelConfigInvalid> => {
        const known = resolved.get(role)
        if (known !== undefined) return Effect.succeed(known)
        return Cache.get(late, role).pipe(
          Effect.catchTag("ConfigError", unreadable(variableOf(role))),
          Effect.provideService(ConfigProvider.ConfigProvider, config)
        )
      }
      const service = Models.of({
        resolve,
        model: (role) => Effect.map(resolve(role), (resolution) => resolution.model),
        description: (role) => Effect.map(resolve(role), (resolution) => resolution.description)
      })
      return Context.make(Models, service).pipe(
        Context.add(LanguageModel.LanguageModel, resolved.get(defaultRole)!.model)
      )
    }).pipe(Effect.catchTag("ConfigError", unreadable("configuration")))
  )

/** The roles `smart`, `fast` and `judge` from configuration, and the model of the role `smart`. */
export const layerConfig: Layer.Layer<Models | LanguageModel.LanguageModel, ModelConfigInvalid> = layerWith()

/** The model of one role as the `LanguageModel` of what is below. */
export const layerRole = (role: string): Layer.Layer<LanguageModel.LanguageModel, ModelConfigInvalid, Models> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.flatMap(Models, (models) => models.model(role))
  )

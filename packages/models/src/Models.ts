/**
 * Models: the roles of an application (`fast`, `smart`, `judge`, or its own) resolved from configuration.
 *
 * `SELVAGE_MODEL_<ROLE>` names a model as `provider:model`, or several, divided by `|`, of which the next is asked when the
 * former fails:
 *
 * ```sh
 * SELVAGE_MODEL_SMART="anthropic:claude-sonnet-5-5 | openai:gpt-6.2-sol | offline"
 * ```
 *
 * - What is around the models, their options and a role's budget stand in a file that `SELVAGE_MODELS_FILE` names, in code,
 *   or in the variable as JSON: see `ModelConfig`. The variable is over the file, the file over the code, key by key. To
 *   change the provider is to change configuration only.
 * - A role that is not configured is what `smart` is. Without any configuration `smart` is Anthropic's or OpenAI's default
 *   model if `ANTHROPIC_API_KEY` or `OPENAI_API_KEY` is set, in this order, else the offline model, with one line in the log
 *   at the level `Warn`. `NODE_ENV=production` or `SELVAGE_OFFLINE=forbid` makes that an error; `SELVAGE_OFFLINE=allow`, or
 *   a role that names `offline`, says that it is meant.
 * - A variable that begins with `SELVAGE_` and that nothing reads is a line in the log, with the known one most like it.
 * - Each model behind a network has `ModelPolicy.standard` around it unless its policy says otherwise; `Fallback` goes from
 *   one to the next; the role's budget and then its deadline are around all of it.
 * - `SELVAGE_PROVIDERS` names modules, divided by commas, whose exported `Provider`s are known too: packages, or files as
 *   `./FILE` from where the program runs. `Providers.fromLayers` makes one of any `effect/ai` provider.
 * - `OPENAI_BASE_URL`, `SELVAGE_OPENAI_API=chat` and `SELVAGE_OPENAI_AUTH=none` address a server that is compatible with
 *   OpenAI and takes no key; `options.openai` does so for one model (see `Providers.OpenAiOptions`).
 * - All that is wrong with the declared roles is reported at once, when the layer is built.
 *
 * Circuits, rate limits and budgets are kept in the stores of the context the layer is built in
 * (`CircuitBreaker.CircuitBreakerStore`, `RateLimiter.RateLimiterStore`, `BudgetLedger.Ledger`), else in memory.
 *
 * **Gotchas**
 *
 * - An empty variable counts as unset.
 * - The next model is not asked once a stream has given content, unless `onPartial` says so, and never once a tool was
 *   called in it.
 * - Roles that ask one model at one address under the same limits share its circuit and its rate limits; others have their
 *   own.
 * - A provider's SDK is loaded when the first of its models is made, not before.
 */
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Cache from "effect/Cache"
import type * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Budget from "./Budget.ts"
import * as BudgetLedger from "./BudgetLedger.ts"
import * as BudgetStore from "./BudgetStore.ts"
import * as Fallback from "./Fallback.ts"
import * as ProviderModules from "./internal/providerModules.ts"
import { circles, type Choice, nameOf, type Plan, plan as planOf, type Written } from "./internal/rolePlan.ts"
import * as RoleSources from "./internal/roleSources.ts"
import * as Unasked from "./internal/unasked.ts"
import * as Variables from "./internal/variables.ts"
import * as Middleware from "./Middleware.ts"
import * as ModelConfig from "./ModelConfig.ts"
import * as ModelPolicy from "./ModelPolicy.ts"
import * as Prices from "./Prices.ts"
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
  /** The models of the role, each with its own policy around it: for a `Fallback.plan` or a `Routing` of your own. */
  readonly members: Fallback.Several<LanguageModel.LanguageModel>
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
  /**
   * Roles to check when the layer is built, besides `smart`: their names, or what they are unless the environment or the file
   * says otherwise. Other roles are resolved when they are asked for.
   */
  readonly roles?: ReadonlyArray<string> | Readonly<Record<string, ModelConfig.RoleInput>> | undefined
  /** The policy of roles that have none. Default: `standard`. */
  readonly policy?: ModelConfig.Policy | undefined
}

/** The variable that configures a role. */
export const variableOf: (role: string) => string = Variables.variableOf

/** The variable that names a file of roles. */
export const fileVariable = RoleSources.fileVariable

const describe = (choice: Choice): string =>
  choice.provider.remark === undefined ? nameOf(choice) : `${nameOf(choice)} (${choice.provider.remark})`

const unreadable = (where: string) => (error: Config.ConfigError) =>
  Effect.fail(
    new ModelConfigInvalid({ findings: [{ what: error.message, where, fix: "correct the value, or unset it" }] })
  )

const isSet = (name: string): Effect.Effect<boolean, Config.ConfigError> =>
  Effect.map(RoleSources.read(name), Option.isSome)

const distinct = (findings: ReadonlyArray<Providers.Finding>): ReadonlyArray<Providers.Finding> => [
  ...new Map(findings.map((finding) => [`${finding.where} ${finding.what}`, finding])).values()
]

type Known = ReadonlyMap<string, Providers.Provider>

const checkChoice = Effect.fnUntraced(function* ({ own, provider }: Choice, providers: Known) {
  const findings: Array<Providers.Finding> = []
  const keyVariable = provider.keyOf === undefined ? provider.keyVariable : yield* provider.keyOf(own)
  if (keyVariable !== undefined && !(yield* isSet(keyVariable))) {
    findings.push({
      what: `the key for the provider "${provider.name}" is missing`,
      where: keyVariable,
      fix: `set it, or choose another model${providers.has("offline") ? " (offline needs no key)" : ""}`
    })
  }
  if (provider.check !== undefined) findings.push(...(yield* provider.check(own)))
  return findings
})

/** What is taken when nothing is configured. */
const unconfigured = Effect.fnUntraced(function* (providers: Known) {
  for (const provider of providers.values()) {
    if (provider.keyVariable === undefined || provider.defaultModel === undefined) continue
    if (yield* isSet(provider.keyVariable)) {
      const model = nameOf({ provider, model: provider.defaultModel })
      return { model, origin: `${provider.keyVariable} is set`, unasked: undefined }
    }
  }
  const provider = [...providers.values()].find((candidate) => candidate.takesNoModel === true)
  return provider === undefined
    ? undefined
    : { model: provider.name, origin: "nothing is configured", unasked: provider.name }
})

interface Sources {
  readonly providers: Known
  readonly code: ReadonlyMap<string, Written>
  readonly file: ReadonlyMap<string, Written>
}

const writtenOf = Effect.fnUntraced(function* (role: string, { code, file }: Sources) {
  const name = variableOf(role)
  const own = yield* RoleSources.read(name)
  return [
    code.get(role),
    file.get(role),
    Option.isSome(own) ? RoleSources.variable(name, own.value) : undefined
  ].filter((written) => written !== undefined)
})

const unpriced = (plan: Plan, role: string, prices: Prices.Table): ReadonlyArray<Providers.Finding> =>
  plan.budget?.dollars === undefined
    ? []
    : plan.choices
        .filter((choice) => choice.provider.local !== true && Option.isNone(Prices.find(nameOf(choice), prices)))
        .map((choice) => ({
          what: `the role has a budget in dollars, and the price of "${nameOf(choice)}" is not known`,
          where: `budget of the role ${role}`,
          fix: `add the price (${Prices.variable}, with Prices.layerConfig below the roles), set the budget in tokens, or choose another model`
        }))

const planRole = Effect.fnUntraced(function* (role: string, sources: Sources) {
  const { providers } = sources
  let owner = role
  let unasked: string | undefined
  let written = yield* writtenOf(role, sources)
  if (written.length === 0) {
    owner = defaultRole
    written = yield* writtenOf(defaultRole, sources)
  }
  if (written.length === 0) {
    const found = yield* unconfigured(providers)
    const where = variableOf(defaultRole)
    if (found === undefined) {
      const fix = "set it to a model of a provider, as provider:model"
      return {
        ...planOf(role, [], providers),
        findings: [{ what: "no model is configured", where, fix }],
        origin: where
      }
    }
    unasked = found.unasked
    written = [{ role: { model: found.model }, at: () => found.origin }]
  }
  const plan = planOf(owner, written, providers)
  const findings = [...plan.findings, ...unpriced(plan, owner, yield* Prices.Prices)]
  for (const choice of plan.choices) {
    for (const found of yield* checkChoice(choice, providers)) {
      findings.push(found.where.startsWith("options.") ? { ...found, where: `${owner}: ${found.where}` } : found)
    }
  }
  const inherits = owner !== role && plan.origin.startsWith("SELVAGE_")
  const origin = inherits ? `${variableOf(role)} is not set, so as ${defaultRole}: ${plan.origin}` : plan.origin
  const budget = plan.budget === undefined ? undefined : { ...plan.budget, name: plan.budget.name ?? `role:${owner}` }
  return { ...plan, findings, origin, budget, unasked } satisfies Plan
})

/** The stores of the context, else stores in memory. */
const storesOf = Effect.gen(function* () {
  const memory = yield* Layer.build(
    Layer.merge(ModelPolicy.layerStoresMemory, BudgetLedger.layer().pipe(Layer.provide(BudgetStore.layerMemory())))
  )
  const circuits = yield* Effect.serviceOption(CircuitBreaker.CircuitBreakerStore)
  const limits = yield* Effect.serviceOption(RateLimiter.RateLimiterStore)
  const ledger = yield* Effect.serviceOption(BudgetLedger.Ledger)
  return memory.pipe(
    Option.isSome(circuits) ? Context.add(CircuitBreaker.CircuitBreakerStore, circuits.value) : (own) => own,
    Option.isSome(limits) ? Context.add(RateLimiter.RateLimiterStore, limits.value) : (own) => own,
    Option.isSome(ledger) ? Context.add(BudgetLedger.Ledger, ledger.value) : (own) => own
  )
})

interface Realized {
  readonly scope: Scope.Scope
  readonly stores: Context.Context<ModelPolicy.Stores | BudgetLedger.Ledger>
  readonly standard: ModelConfig.Policy | undefined
  readonly prices: Prices.Table
  /** Models by name, options and policy: roles that ask the same share it. As many as configuration names. */
  readonly models: Map<string, LanguageModel.LanguageModel>
}

const settingsOf = ({ own, portable }: Choice): ReadonlyArray<unknown> =>
  Object.keys(portable).length === 0 && own === undefined ? [] : [{ ...portable, own }]

/** A policy whose circuit and limits are those of one address. */
const at = (policy: ModelPolicy.Policy, address: string | undefined): ModelPolicy.Policy => {
  const variantOf = (own: string | undefined) => [address, own].filter(Predicate.isNotUndefined).join(", ")
  return address === undefined
    ? policy
    : {
        ...policy,
        breaker: policy.breaker && { ...policy.breaker, variant: variantOf(policy.breaker.variant) },
        rateLimit: policy.rateLimit && { ...policy.rateLimit, variant: variantOf(policy.rateLimit.variant) }
      }
}

/** A model with its own policy around it: all but the deadline, which is that of the call. */
const modelOf = Effect.fnUntraced(function* (choice: Choice, { models, scope, standard, stores }: Realized) {
  const name = nameOf(choice)
  const written = ModelConfig.mergePolicy(standard, choice.policy)
  const key = JSON.stringify([name, choice.portable, choice.own, written])
  const known = models.get(key)
  if (known !== undefined) return known
  const built = yield* Layer.buildWithScope(choice.provider.layer(choice.model, choice.portable, choice.own), scope)
  const placed = at(ModelConfig.toPolicy(written), choice.provider.address?.(choice.own))
  const policy =
    choice.provider.local === true
      ? Middleware.none
      : yield* ModelPolicy.middleware({ ...placed, deadline: undefined }).pipe(
          Scope.provide(scope),
          Effect.provide(stores)
        )
  const model = yield* Middleware.apply(
    Context.get(built, LanguageModel.LanguageModel),
    policy,
    Middleware.named({ models: [name], settings: settingsOf(choice) })
  )
  models.set(key, model)
  return model
})

// The budgets of roles count by the prices that they were checked with.
const withPrices =
  (prices: Prices.Table): Middleware.Middleware =>
  (next) => ({
    ...next,
    generate: (call) => Effect.provideService(next.generate(call), Prices.Prices, prices),
    stream: (call) => Stream.provideService(next.stream(call), Prices.Prices, prices)
  })

/** The middleware of a whole role, around its models: the budget, and the deadline around that. */
const aroundRole = Effect.fnUntraced(function* (
  role: string,
  plan: Plan,
  stepDown: LanguageModel.LanguageModel | undefined,
  { prices, standard, stores }: Realized
) {
  const { deadline } = ModelConfig.toPolicy(ModelConfig.mergePolicy(standard, plan.policy))
  const around = [
    Middleware.named({ role }),
    Middleware.mapCall((call) =>
      Effect.sync(() => {
        call.span.attribute("selvage.model.role", role)
        return call
      })
    ),
    ...(deadline === undefined ? [] : [ModelPolicy.deadline(deadline)])
  ]
  if (plan.budget === undefined) return Middleware.compose(...around)
  const { name = `role:${role}`, stepDown: _, ...account } = plan.budget
  const budget = Budget.middleware({
    accounts: [{ ...account, name }],
    ...(plan.maxOutputTokens === undefined ? {} : { outputTokens: plan.maxOutputTokens }),
    ...(stepDown === undefined ? {} : { stepDown })
  })
  return Middleware.compose(...around, withPrices(prices), yield* Effect.provide(budget, stores))
})

/** Says once, when the layer is built, what a person should know and what is no error. */
const warn = Effect.fnUntraced(function* (
  { warning }: Unasked.Verdict,
  plans: ReadonlyMap<string, Plan>,
  { providers }: Sources
) {
  const keys = [
    ...[...providers.values()].map(({ keyVariable }) => keyVariable),
    ...[...plans.values()].flatMap(({ choices }) =>
      choices.map(({ own }) => (Predicate.hasProperty(own, "keyVariable") ? own.keyVariable : undefined))
    )
  ].filter(Predicate.isString)
  const lines = yield* Variables.unread([...plans.keys()].map(variableOf), keys)
  for (const line of [...(warning === undefined ? [] : [warning]), ...lines]) yield* Effect.logWarning(line)
})

/** Models of given providers for given roles, and the model of the role `smart`. */
export const layerWith = (
  options: Options = {}
): Layer.Layer<Models | LanguageModel.LanguageModel, ModelConfigInvalid> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const config = yield* ConfigProvider.ConfigProvider
      const prices = yield* Prices.Prices
      const realized: Realized = {
        scope: yield* Effect.scope,
        stores: yield* storesOf,
        standard: options.policy,
        prices,
        models: new Map()
      }
      const isList = (roles: Options["roles"]): roles is ReadonlyArray<string> | undefined =>
        roles === undefined || Array.isArray(roles)
      const file = yield* RoleSources.file
      const modules = yield* ProviderModules.loaded
      const providers = [...(options.providers ?? Providers.all), ...modules.providers]
      const sources: Sources = {
        providers: new Map(providers.map((provider) => [provider.name, provider])),
        code: isList(options.roles) ? new Map() : RoleSources.code(options.roles),
        file: file.roles
      }
      const names = isList(options.roles) ? (options.roles ?? defaultRoles) : Object.keys(options.roles)
      const declared = new Set([defaultRole, ...names, ...file.roles.keys()])
      const plans = new Map<string, Plan>()
      for (const role of declared) plans.set(role, yield* planRole(role, sources))
      // A role to step down to is checked with the one that does, declared or not.
      for (const { budget } of plans.values()) {
        const down = budget?.stepDown
        if (down !== undefined && !plans.has(down)) plans.set(down, yield* planRole(down, sources))
      }
      // A role that nobody declared is what smart is, so what is said of smart is said of all.
      const unasked = yield* Unasked.judge({
        model: plans.get(defaultRole)?.unasked,
        variable: variableOf(defaultRole),
        keys: [...sources.providers.values()].flatMap(({ keyVariable }) => keyVariable ?? [])
      })
      const findings = distinct([
        ...file.findings,
        ...modules.findings,
        ...[...plans.values()].flatMap((plan) => plan.findings),
        ...unasked.findings,
        ...circles(plans)
      ])
      if (findings.length > 0) return yield* new ModelConfigInvalid({ findings })
      yield* warn(unasked, plans, sources)

      const built = new Map<string, Resolution>()
      const realize = Effect.fnUntraced(function* (
        role: string,
        plan: Plan
      ): Effect.fn.Return<Resolution, Config.ConfigError> {
        const known = built.get(role)
        if (known !== undefined) return known
        const models = yield* Effect.forEach(plan.choices, (choice) => modelOf(choice, realized))
        const [first, ...rest] = models
        if (first === undefined)
          return yield* Effect.die(new globalThis.Error(`role ${role} has no models and no findings`))
        const down = plan.budget?.stepDown
        const lower = down === undefined ? undefined : yield* realize(down, plans.get(down)!)
        const { onPartial } = ModelConfig.toPolicy(ModelConfig.mergePolicy(realized.standard, plan.policy))
        const one = yield* Fallback.make([first, ...rest], { onPartial })
        const model = yield* Middleware.apply(one, yield* aroundRole(role, plan, lower?.model, realized))
        const resolution: Resolution = {
          role,
          model,
          members: [first, ...rest],
          models: plan.choices.map(nameOf),
          origin: plan.origin,
          description: plan.choices.map(describe).join(" | ")
        }
        if (plans.has(role)) built.set(role, resolution)
        return resolution
      })
      for (const [role, plan] of plans) yield* realize(role, plan)

      // Roles that nobody declared: at most 64 are kept, and are resolved anew when they are asked for again.
      const late = yield* Cache.make({
        capacity: 64,
        lookup: Effect.fnUntraced(function* (role: string) {
          const plan = yield* planRole(role, sources)
          const wrong = distinct([...plan.findings, ...circles(new Map([...plans, [role, plan]]))])
          if (wrong.length > 0) return yield* new ModelConfigInvalid({ findings: wrong })
          return yield* realize(role, plan)
        })
      })
      const resolve = (role: string): Effect.Effect<Resolution, ModelConfigInvalid> => {
        const known = plans.has(role) ? built.get(role) : undefined
        if (known !== undefined) return Effect.succeed(known)
        return Cache.get(late, role).pipe(
          Effect.catchTag("ConfigError", unreadable(variableOf(role))),
          Effect.provideService(ConfigProvider.ConfigProvider, config),
          Effect.provideService(Prices.Prices, prices)
        )
      }
      const service = Models.of({
        resolve,
        model: (role) => Effect.map(resolve(role), (resolution) => resolution.model),
        description: (role) => Effect.map(resolve(role), (resolution) => resolution.description)
      })
      return Context.make(Models, service).pipe(Context.add(LanguageModel.LanguageModel, built.get(defaultRole)!.model))
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

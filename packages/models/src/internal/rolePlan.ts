/** What is written of a role, in code, a file and the environment, as a plan: which models, how, and what is wrong. Pure. */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as ModelConfig from "../ModelConfig.ts"
import type { Finding, Provider } from "../Providers.ts"
import { variableOf } from "./variables.ts"

/** A role as it is written in one place. */
export interface Written {
  readonly role: Readonly<Record<string, unknown>>
  /** What to call a place in it, for a person. */
  readonly at: (path: string) => string
  /** What is wrong with the place itself. */
  readonly findings?: ReadonlyArray<Finding> | undefined
}

/** A model to ask, and how. */
export interface Choice {
  readonly provider: Provider
  readonly model: string
  readonly portable: ModelConfig.Portable
  readonly own: unknown
  readonly policy: ModelConfig.Policy | undefined
}

/** What is to be done for a role. */
export interface Plan {
  /** The role that is meant: another one for a role that is not configured. */
  readonly owner: string
  readonly choices: ReadonlyArray<Choice>
  readonly findings: ReadonlyArray<Finding>
  readonly origin: string
  readonly policy: ModelConfig.Policy | undefined
  readonly budget: ModelConfig.RoleBudget | undefined
  readonly maxOutputTokens: number | undefined
  /** The model that was taken because none is configured. */
  readonly unasked?: string | undefined
}

/** How a person writes a choice. */
export const nameOf = ({ model, provider }: Pick<Choice, "model" | "provider">): string =>
  provider.takesNoModel === true ? provider.name : `${provider.name}:${model}`

type Providers = ReadonlyMap<string, Provider>
type Parsed = { readonly provider: Provider; readonly model: string } | { readonly finding: Finding }

const parse = (text: string, where: string, providers: Providers): Parsed => {
  const entry = text.trim()
  const forms = [...providers.values()]
    .map((provider) => (provider.takesNoModel === true ? provider.name : `${provider.name}:MODEL`))
    .join(", ")
  const wrong = (what: string, fix: string): Parsed => ({ finding: { what, where, fix } })
  if (entry.length === 0) return wrong("a model is missing between the bars", `name one of ${forms}, or remove the bar`)
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
    return colon < 0 ? { provider, model: "" } : wrong(`"${name}" takes no model name`, `write ${name} alone`)
  }
  if (model.length === 0) {
    return wrong(
      `the provider "${name}" needs a model`,
      `write ${name}:MODEL${provider.defaultModel === undefined ? "" : `, for example ${name}:${provider.defaultModel}`}`
    )
  }
  if (/\s/.test(model)) {
    return wrong(`the model name "${model}" has a space in it`, "divide models by |, and write each without spaces")
  }
  return { provider, model }
}

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

const pathText = (path: ReadonlyArray<unknown>): string =>
  path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : index === 0 ? String(part) : `.${String(part)}`))
    .join("")

/** Decodes strictly: all errors, and a key that is not known is one. */
const decode = <A>(
  schema: Schema.ConstraintCodec<A, unknown, never, unknown>,
  input: unknown,
  where: (path: ReadonlyArray<unknown>) => string
): Result.Result<A, ReadonlyArray<Finding>> =>
  Result.mapError(
    Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })(input),
    ({ issue }): ReadonlyArray<Finding> =>
      formatIssues(issue).issues.map((found) => ({
        what: /excess property/i.test(found.message)
          ? "there is no such key"
          : found.message.charAt(0).toLowerCase() + found.message.slice(1),
        where: where((found.path ?? []).map((part) => (typeof part === "object" ? part.key : part))),
        fix: "correct it; the keys and their forms are those of ModelConfig"
      }))
  )

const split = (
  options: ModelConfig.Options
): { readonly portable: ModelConfig.Portable; readonly rest: Readonly<Record<string, unknown>> } => {
  const portable: Record<string, unknown> = {}
  const rest: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(options)) {
    if (Object.hasOwn(ModelConfig.Portable.fields, key)) portable[key] = value
    else rest[key] = value
  }
  return { portable, rest }
}

const unknownOptions = (
  options: ModelConfig.Options | undefined,
  at: string,
  where: (path: string) => string,
  providers: Providers
): ReadonlyArray<Finding> =>
  Object.keys(split(options ?? {}).rest)
    .filter((key) => providers.get(key)?.options === undefined)
    .map((key) => ({
      what: `there is no option "${key}", nor a provider of this name that has options`,
      where: where(`${at}.${key}`),
      fix: `use ${Object.keys(ModelConfig.Portable.fields).join(", ")}, or options under the name of a provider`
    }))

interface Draft {
  readonly options: ModelConfig.Options | undefined
  readonly policy: ModelConfig.Policy | undefined
  readonly where: (path: string) => string
  readonly providers: Providers
}

// What of options that are wrong can be read: it says, for example, which key the model needs.
const readable = (provider: Provider, own: unknown): unknown => {
  if (provider.options === undefined || !Predicate.isObject(own)) return undefined
  const read = Schema.decodeUnknownOption(provider.options, { onExcessProperty: "error" })
  const right = Object.entries(own).filter(([name, value]) => Option.isSome(read({ [name]: value })))
  return Option.getOrUndefined(read(Object.fromEntries(right)))
}

const choose = (
  entry: ModelConfig.Model,
  at: string,
  { options, policy, providers, where }: Draft
): { readonly choices: ReadonlyArray<Choice>; readonly findings: ReadonlyArray<Finding> } => {
  const written = typeof entry === "string" ? { model: entry } : entry
  const findings: Array<Finding> = [
    ...unknownOptions(written.options, `${at}.options`, where, providers),
    ...ModelConfig.contradictions(written.policy).map(({ fix, path, what }) => ({
      what,
      where: where(`${at}.policy.${path}`),
      fix
    }))
  ]
  const choices: Array<Choice> = []
  for (const text of written.model.split("|")) {
    const parsed = parse(text, where(at), providers)
    if ("finding" in parsed) {
      findings.push(parsed.finding)
      continue
    }
    const { provider } = parsed
    const { portable, rest } = split({ ...options, ...written.options })
    const applied = provider.local === true ? {} : portable
    const own = rest[provider.name]
    const holder = Object.hasOwn(written.options ?? {}, provider.name) ? `${at}.options` : "options"
    const decoded =
      own === undefined || provider.options === undefined
        ? Result.succeed(undefined)
        : decode(provider.options, own, (path) => where(pathText([holder, provider.name, ...path])))
    if (Result.isFailure(decoded)) findings.push(...decoded.failure)
    const known = Result.getOrElse(decoded, () => undefined)
    for (const found of provider.impossible?.(parsed.model, applied, known) ?? []) {
      findings.push({ ...found, where: where(written.options === undefined ? "options" : `${at}.options`) })
    }
    choices.push({
      ...parsed,
      portable: applied,
      own: Result.isSuccess(decoded) ? decoded.success : readable(provider, own),
      policy: ModelConfig.mergePolicy(policy, written.policy)
    })
  }
  return { choices, findings }
}

const checkBudget = (
  role: string,
  budget: ModelConfig.RoleBudget | undefined,
  where: (path: string) => string
): ReadonlyArray<Finding> => {
  if (budget === undefined) return []
  const steps = budget.onExhausted === "step-down"
  if (steps && budget.stepDown === undefined) {
    return [{ what: "it is to step down, but not to whom", where: where("budget"), fix: "set stepDown to a role" }]
  }
  if (!steps && budget.stepDown !== undefined) {
    return [
      {
        what: "stepDown has no effect",
        where: where("budget.stepDown"),
        fix: 'set onExhausted to "step-down", or remove it'
      }
    ]
  }
  if (budget.stepDown === role) {
    return [{ what: "a role cannot step down to itself", where: where("budget.stepDown"), fix: "name another role" }]
  }
  return []
}

// Key by key, so that one that is wrong does not hide what is wrong with the others.
const decodeRole = (merged: Readonly<Record<string, unknown>>, where: (path: string) => string) => {
  const findings: Array<Finding> = []
  const part = <A>(
    name: keyof ModelConfig.Role,
    schema: Schema.ConstraintCodec<A, unknown, never, unknown>
  ): A | undefined => {
    if (merged[name] === undefined) return undefined
    const decoded = decode(schema, merged[name], (path) => where(pathText([name, ...path])))
    if (Result.isSuccess(decoded)) return decoded.success
    findings.push(...decoded.failure)
    return undefined
  }
  const role = {
    model: part("model", ModelConfig.Model),
    fallbacks: part("fallbacks", Schema.Array(ModelConfig.Model)) ?? [],
    options: part("options", ModelConfig.Options),
    policy: part("policy", ModelConfig.Policy),
    budget: part("budget", ModelConfig.RoleBudget)
  }
  const keys = Object.keys(ModelConfig.Role.fields)
  for (const key of Object.keys(merged)) {
    if (!keys.includes(key)) {
      findings.push({ what: `there is no key "${key}"`, where: where(key), fix: `use ${keys.join(", ")}` })
    }
  }
  if (merged["model"] === undefined) {
    findings.push({ what: "it names no model", where: where("model"), fix: "set model to provider:model" })
  }
  return { role, findings }
}

/** The plan of a role that is written in these places, the later over the former. */
export const plan = (role: string, written: ReadonlyArray<Written>, providers: Providers): Plan => {
  const merged: Record<string, unknown> = {}
  const places = new Map<string, Written>()
  for (const place of written) {
    for (const [key, value] of Object.entries(place.role)) {
      merged[key] = value
      places.set(key, place)
    }
  }
  const last = written.at(-1)
  const where = (path: string): string =>
    ((path === "" ? undefined : places.get(/^[^.[]*/.exec(path)![0])) ?? last)?.at(path) ?? role
  const origin = where("model")
  const { findings, role: read } = decodeRole(merged, where)
  const { budget, fallbacks, model, options, policy } = read
  const draft: Draft = { options, policy, where, providers }
  const parts = [
    ...(model === undefined ? [] : [choose(model, "model", draft)]),
    ...fallbacks.map((entry, index) => choose(entry, `fallbacks[${index}]`, draft))
  ]
  return {
    owner: role,
    choices: parts.flatMap((part) => part.choices),
    findings: [
      ...written.flatMap((place) => place.findings ?? []),
      ...findings,
      ...parts.flatMap((part) => part.findings),
      ...unknownOptions(options, "options", where, providers),
      ...ModelConfig.contradictions(policy).map(({ fix, path, what }) => ({
        what,
        where: where(`policy.${path}`),
        fix
      })),
      ...checkBudget(role, budget, where)
    ],
    origin,
    policy,
    budget,
    maxOutputTokens: options?.maxOutputTokens
  }
}

/** Roles whose budgets step down to nobody, or to each other so that nobody is at the end. */
export const circles = (plans: ReadonlyMap<string, Plan>): ReadonlyArray<Finding> => {
  const findings: Array<Finding> = []
  for (const [role, { budget, owner }] of plans) {
    if (owner !== role) continue
    const seen = [role]
    let at = budget?.stepDown
    while (at !== undefined) {
      const next = plans.get(at)
      const wrong = (what: string, fix: string) => findings.push({ what, where: `budget of the role ${role}`, fix })
      if (next === undefined || next.owner !== at) {
        wrong(
          `it steps down to "${at}", which is not configured`,
          `configure ${at} (${variableOf(at)}), or name another role`
        )
        break
      }
      if (seen.includes(at)) {
        wrong(`it steps down in a circle: ${[...seen, at].join(", ")}`, "let one of them fail or wait")
        break
      }
      seen.push(at)
      at = next.budget?.stepDown
    }
  }
  return findings
}

/**
 * What configuration says of a role: its models in order, their options, the policy around them and the role's budget.
 *
 * The same form stands in code (`Models.layerWith({ roles })`), in the file that `SELVAGE_MODELS_FILE` names (`.json` or
 * `.toml`), and as JSON in the variable of a role. Keys that are not known are errors. Durations are texts such as
 * `30 seconds`.
 *
 * ```toml
 * [roles.smart]
 * model = "anthropic:claude-sonnet-5-5"
 * fallbacks = ["openai:gpt-6.2-sol", "offline"]
 * options = { maxOutputTokens = 4000, effort = "low", anthropic = { speed = "fast" } }
 *
 * [roles.smart.policy]
 * deadline = "2 minutes"
 * retry = { times = 3, base = "200 millis", max = "10 seconds" }
 * timeout = { firstToken = "15 seconds" }
 * breaker = { failures = 5, open = "30 seconds" }
 * rateLimit = { requestsPerMinute = 500, tokensPerMinute = 200000, maxWait = "20 seconds" }
 *
 * [roles.smart.budget]
 * dollars = 20
 * window = { every = "day", zone = "Europe/Zurich" }
 * onExhausted = "step-down"
 * stepDown = "fast"
 *
 * [roles.fast]
 * model = "anthropic:claude-haiku-4-5"
 * ```
 *
 * - `policy` is `standard` with what is written over it; `off` switches a part off, and `policy = "none"` all of it. It is
 *   that of each model of the role but for its `deadline`, which is that of the whole call. Models that need no network
 *   have only the deadline.
 * - `options` are those of each model of the role; under the name of a provider stand options that only its models have.
 * - A model may be written as `{ model, options, policy }`, over those of the role.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Budget from "./Budget.ts"
import * as ModelPolicy from "./ModelPolicy.ts"

const Positive = Schema.Int.check(Schema.isGreaterThan(0))
const Time = Schema.DurationFromString.check(
  Schema.makeFilter((time) => Duration.toMillis(time) >= 1, { expected: "a duration of at least a millisecond" })
)
const Off = Schema.Literal("off")
const orOff = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.Union([schema, Off]))

/** Options that every provider knows; what a provider calls them is its own business. */
export const Portable = Schema.Struct({
  temperature: Schema.optionalKey(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 2 }))),
  topP: Schema.optionalKey(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
  /** The most tokens of an answer, reasoning included. */
  maxOutputTokens: Schema.optionalKey(Positive),
  /** How much a reasoning model thinks. */
  effort: Schema.optionalKey(Schema.Literals(["low", "medium", "high"])),
  /** Whether the model may call several tools in one turn. */
  parallelToolCalls: Schema.optionalKey(Schema.Boolean)
})

/** Options that every provider knows. */
export type Portable = typeof Portable.Type

/** Options of a model: the portable ones, and those of providers under their names. */
export const Options = Schema.StructWithRest(Portable, [Schema.Record(Schema.String, Schema.Unknown)])

/** Options of a model. */
export type Options = typeof Options.Type

/**
 * When to try again: exponential from `base`, jittered, at most `max` apart, at least what the error asks for. One that asks for
 * more than `maxWait` (1 minute) is not waited for.
 */
export const Retry = Schema.Struct({
  times: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })),
  base: Schema.optionalKey(Time),
  max: Schema.optionalKey(Time),
  maxWait: Schema.optionalKey(Time)
})

/** What is written over `ModelPolicy.standard`. */
export const PolicyOptions = Schema.Struct({
  deadline: orOff(Time),
  retry: orOff(Retry),
  timeout: orOff(
    Schema.Struct({
      attempt: Schema.optionalKey(Time),
      firstToken: Schema.optionalKey(Time),
      nextToken: Schema.optionalKey(Time)
    })
  ),
  breaker: orOff(Schema.Struct({ failures: Positive, open: Time })),
  rateLimit: orOff(
    Schema.Struct({
      requestsPerMinute: Schema.optionalKey(Positive),
      tokensPerMinute: Schema.optionalKey(Positive),
      maxWait: Schema.optionalKey(Time)
    })
  ),
  hedge: orOff(Time),
  onPartial: Schema.optionalKey(Schema.Literals(["fail", "restart"]))
})

/** The policy of a role or a model. */
export const Policy = Schema.Union([Schema.Literals(["standard", "none"]), PolicyOptions])

/** The policy of a role or a model. */
export type Policy = typeof Policy.Type

/** One model, as `provider:name` or with what is its own. */
export const Model = Schema.Union([
  Schema.String,
  Schema.Struct({
    model: Schema.String,
    options: Schema.optionalKey(Options),
    policy: Schema.optionalKey(Policy)
  })
])

/** One model. */
export type Model = typeof Model.Type

const { name: _, ...account } = Budget.Account.fields

/** The budget of a role: an account of all its calls, as `Budget.Account`. */
export const RoleBudget = Schema.Struct({
  ...account,
  /** Roles with one name share one account; default `role:` and the role. */
  name: Schema.optionalKey(Schema.NonEmptyString),
  /** The role that is asked when the account has no room and `onExhausted` is `step-down`. */
  stepDown: Schema.optionalKey(Schema.NonEmptyString)
})

/** The budget of a role. */
export type RoleBudget = typeof RoleBudget.Type

/** A role. */
export const Role = Schema.Struct({
  model: Model,
  fallbacks: Schema.optionalKey(Schema.Array(Model)),
  options: Schema.optionalKey(Options),
  policy: Schema.optionalKey(Policy),
  budget: Schema.optionalKey(RoleBudget)
})

/** A role. */
export type Role = typeof Role.Type

/** A role as it is written. */
export type RoleInput = typeof Role.Encoded

/** What a file holds. */
export const File = Schema.Struct({ roles: Schema.Record(Schema.String, Schema.Unknown) })

const schedule = ({ base, max, maxWait, times }: typeof Retry.Type) => {
  const longest = max ?? Duration.seconds(30)
  return ModelPolicy.retryable(
    Schedule.exponential(base ?? Duration.millis(200)).pipe(
      Schedule.jittered,
      Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, longest))),
      Schedule.upTo({ times })
    ),
    { maxWait }
  )
}

const over = <A, B>(written: A | "off" | undefined, standard: B | undefined, make: (written: A) => B): B | undefined =>
  written === undefined ? standard : written === "off" ? undefined : make(written)

/** What a policy says, over the standard one. */
export const toPolicy = (policy: Policy | undefined): ModelPolicy.Policy => {
  if (policy === "none") return ModelPolicy.none
  if (policy === undefined || policy === "standard") return ModelPolicy.standard
  const { standard } = ModelPolicy
  return {
    deadline: over(policy.deadline, standard.deadline, (time) => time),
    retry: over(policy.retry, standard.retry, schedule),
    timeout: over(policy.timeout, standard.timeout, (timeouts) => ({ ...standard.timeout, ...timeouts })),
    breaker: over(policy.breaker, standard.breaker, ({ failures, open }) => ({
      tripPolicy: CircuitBreaker.consecutive(failures),
      openDuration: open,
      variant: `${failures} failures, ${Duration.format(open)}`
    })),
    rateLimit: over(policy.rateLimit, standard.rateLimit, (limits) => ({
      ...limits,
      variant: `${limits.requestsPerMinute ?? "any"} requests, ${limits.tokensPerMinute ?? "any"} tokens`
    })),
    hedge: over(policy.hedge, standard.hedge, (time) => time),
    onPartial: policy.onPartial ?? standard.onPartial
  }
}

/** A part of one policy over another: a model's over its role's. */
export const mergePolicy = (role: Policy | undefined, model: Policy | undefined): Policy | undefined =>
  typeof role === "object" && typeof model === "object" ? { ...role, ...model } : (model ?? role)

const shorter = (inner: Duration.Input | undefined, outer: Duration.Input | undefined): inner is Duration.Input & {} =>
  inner !== undefined &&
  outer !== undefined &&
  Duration.toMillis(Duration.fromInputUnsafe(inner)) > Duration.toMillis(Duration.fromInputUnsafe(outer))

/** What in a policy contradicts itself: each with the path of its cause and what to do. */
export const contradictions = (
  policy: Policy | undefined
): ReadonlyArray<{ readonly path: string; readonly what: string; readonly fix: string }> => {
  if (typeof policy !== "object") return []
  const { deadline, hedge, rateLimit, timeout } = toPolicy(policy)
  const found: Array<{ path: string; what: string; fix: string }> = []
  // A bound that nobody wrote gives way to one that somebody did.
  const wrote = (part: "attempt" | "firstToken" | "nextToken") =>
    typeof policy.timeout === "object" && policy.timeout[part] !== undefined
  const beyond = (path: string, of: string) =>
    found.push({
      path,
      what: `is longer than ${of}, so it never applies`,
      fix: `make it shorter, or ${of} longer`
    })
  for (const part of ["attempt", "firstToken", "nextToken"] as const) {
    if (wrote(part) && shorter(timeout?.[part], deadline)) beyond(`timeout.${part}`, "deadline")
    if (part !== "attempt" && wrote(part) && shorter(timeout?.[part], timeout?.attempt)) {
      beyond(`timeout.${part}`, "timeout.attempt")
    }
  }
  if (shorter(hedge, deadline)) beyond("hedge", "deadline")
  else if (shorter(hedge, timeout?.attempt)) beyond("hedge", "timeout.attempt")
  if (rateLimit?.maxWait !== undefined && shorter(rateLimit.maxWait, deadline)) beyond("rateLimit.maxWait", "deadline")
  if (
    rateLimit?.maxWait !== undefined &&
    rateLimit.requestsPerMinute === undefined &&
    rateLimit.tokensPerMinute === undefined
  ) {
    found.push({
      path: "rateLimit",
      what: "limits neither requests nor tokens",
      fix: "set requestsPerMinute or tokensPerMinute, or leave maxWait out to heed only what the provider says"
    })
  }
  return found
}

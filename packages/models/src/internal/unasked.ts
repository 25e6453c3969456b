/** The offline model where nobody asked for it: warned of, allowed or forbidden. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Finding } from "../Providers.ts"
import { offlineVariable } from "./variables.ts"

const words = ["allow", "forbid"]

const set = (name: string) =>
  Config.String(name).pipe(
    Config.option,
    Config.map(Option.map((value) => value.trim().toLowerCase())),
    Config.map(Option.filter((value) => value !== ""))
  )

/** What is to be said of it: an error, a warning, or nothing. */
export interface Verdict {
  readonly findings: ReadonlyArray<Finding>
  readonly warning: string | undefined
}

const silent: Verdict = { findings: [], warning: undefined }

/** Options of {@link judge}. */
export interface Options {
  /** The model that was taken because no other is configured; `undefined` if that did not happen. */
  readonly model: string | undefined
  /** The variable that would configure one, and the variables of keys that would. */
  readonly variable: string
  readonly keys: ReadonlyArray<string>
}

/** Whether a model that nobody asked for may be used. */
export const judge = Effect.fnUntraced(function* ({ keys, model, variable }: Options) {
  const wish = Option.getOrUndefined(yield* set(offlineVariable))
  if (wish !== undefined && !words.includes(wish)) {
    const fix = `set it to allow or forbid, or unset it for a warning`
    return {
      ...silent,
      findings: [{ what: `"${wish}" is none of ${words.join(", ")}`, where: offlineVariable, fix }]
    } satisfies Verdict
  }
  if (model === undefined || wish === "allow") return silent
  const production = Option.contains(yield* set("NODE_ENV"), "production")
  const key = keys.length === 0 ? "" : `, or a key (${keys.join(" or ")})`
  if (wish === "forbid" || production) {
    const why = wish === "forbid" ? `${offlineVariable} is forbid` : "NODE_ENV is production"
    const what = `no model is configured, and the ${model} model must not stand in for one: ${why}`
    const fix = `set it to a model such as anthropic:MODEL${key}; to use the ${model} model on purpose set it to ${model}${
      wish === "forbid" ? "" : `, or ${offlineVariable}=allow`
    }`
    return { ...silent, findings: [{ what, where: variable, fix }] } satisfies Verdict
  }
  return {
    ...silent,
    warning: `NO MODEL IS CONFIGURED: the ${model} model answers, which matches words and understands nothing. Set ${variable}${key}; ${offlineVariable}=allow or ${variable}=${model} says that this is meant.`
  } satisfies Verdict
})

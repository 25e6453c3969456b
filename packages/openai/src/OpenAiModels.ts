/**
 * What OpenAI's models take, by family: as data, for adapters that refuse a call before the API does, and for configuration that is checked
 * when a program starts. A model of another name (a compatible server's, a deployment's) has no rules here.
 *
 * Sources: https://developers.openai.com/api/docs/guides/reasoning, https://developers.openai.com/api/docs/guides/latest-model, the model
 * pages below https://developers.openai.com/api/docs/models, and the field docs of the `openai` package.
 *
 * ```ts
 * import { OpenAiModels } from "@selvage/openai"
 *
 * export const wrong = OpenAiModels.impossible("gpt-5", "chat", { temperature: 0.2 }) // [{ what: "gpt-5 takes no temperature", … }]
 * ```
 */
import type { Config } from "./internal/config.ts"

/** What is wrong with a configuration, and what to do. */
export interface Flaw {
  readonly what: string
  readonly fix: string
}

/** How hard a model can be asked to think. */
export type Effort = NonNullable<Config["reasoningEffort"]>

/** What a model takes. */
export interface Traits {
  readonly reasons: boolean
  /** `temperature`, `topP`: always, with the effort `none` alone, or never. */
  readonly sampling: "always" | "without reasoning" | "never"
  readonly efforts: ReadonlyArray<Effort>
  /** `stop`, `frequencyPenalty`, `presencePenalty`. */
  readonly stops: boolean
  readonly parallelToolCalls: boolean
  readonly verbosity: boolean
  /** The options `mode` and `ttl` of a prompt cache, and breakpoints. */
  readonly cacheOptions: boolean
}

const chat: Traits = {
  reasons: false,
  sampling: "always",
  efforts: [],
  stops: true,
  parallelToolCalls: true,
  verbosity: false,
  cacheOptions: false
}

const o: Traits = {
  reasons: true,
  sampling: "never",
  efforts: ["low", "medium", "high"],
  stops: false,
  parallelToolCalls: false,
  verbosity: false,
  cacheOptions: false
}

const effortsOf = (version: number): ReadonlyArray<Effort> => {
  if (version < 5.1) return ["minimal", "low", "medium", "high"]
  if (version < 5.2) return ["none", "low", "medium", "high"]
  return version < 5.6
    ? ["none", "low", "medium", "high", "xhigh"]
    : ["none", "minimal", "low", "medium", "high", "xhigh", "max"]
}

const gpt = (version: number, rest: string): Traits => {
  if (version < 5 || rest.includes("chat")) return { ...chat, verbosity: version >= 5 }
  // `pro` models think at their own rate, and `codex-max` was the first with more than `high`.
  const efforts = rest.includes("codex-max") ? effortsOf(5.2) : effortsOf(version)
  return {
    reasons: true,
    sampling: version < 5.1 ? "never" : "without reasoning",
    efforts: rest.includes("pro") ? efforts.filter((effort) => effort !== "none" && effort !== "minimal") : efforts,
    stops: false,
    parallelToolCalls: true,
    verbosity: true,
    cacheOptions: version >= 5.6
  }
}

/** What a model takes, by its name; `undefined` for a model that is not known. */
export const traitsOf = (model: string): Traits | undefined => {
  const name = model.replace(/^ft:/, "")
  if (/^o\d/.test(name)) return o
  if (name.startsWith("chatgpt-")) return chat
  if (name.startsWith("codex-mini")) return { ...o, parallelToolCalls: true }
  const found = /^gpt-(\d+(?:\.\d+)?)(.*)$/.exec(name)
  return found === null ? undefined : gpt(Number(found[1]), found[2] ?? "")
}

const list = (words: ReadonlyArray<string>): string => words.join(", ")

const byModel = (model: string, traits: Traits, config: Config): ReadonlyArray<Flaw> => {
  const flaws: Array<Flaw> = []
  const given = (names: ReadonlyArray<keyof Config>) => names.filter((name) => config[name] !== undefined)
  const refuse = (names: ReadonlyArray<keyof Config>, fix: string, when = "") => {
    if (names.length > 0) flaws.push({ what: `${model} takes no ${list(names)}${when}`, fix })
  }
  const effort = config.reasoningEffort
  const sampling = given(["temperature", "topP"])
  if (traits.sampling === "never") refuse(sampling, "remove it, and use reasoningEffort")
  if (traits.sampling === "without reasoning" && effort !== undefined && effort !== "none") {
    refuse(sampling, `remove it, or set reasoningEffort to "none"`, " when it reasons")
  }
  if (!traits.stops) refuse(given(["stop", "frequencyPenalty", "presencePenalty"]), "remove it")
  if (!traits.parallelToolCalls && config.parallelToolCalls !== undefined) refuse(["parallelToolCalls"], "remove it")
  if (!traits.verbosity && config.verbosity !== undefined && config.verbosity !== "medium") {
    refuse(["verbosity"], "remove it")
  }
  if (effort !== undefined && !traits.efforts.includes(effort)) {
    const fix = traits.efforts.length === 0 ? "remove it" : `use one of ${list(traits.efforts)}`
    flaws.push({ what: `${model} takes no reasoningEffort "${effort}"`, fix })
  }
  if (!traits.reasons)
    refuse(given(["reasoningSummary", "reasoningContext"]), "remove it, or choose a model that reasons")
  const { mode, ttl } = config.promptCache ?? {}
  if (!traits.cacheOptions && (mode !== undefined || ttl !== undefined)) {
    flaws.push({ what: `${model} takes no mode and no ttl of a prompt cache`, fix: "remove them, or use retention" })
  }
  return flaws
}

const between = (name: string, value: number | undefined, low: number, high: number): ReadonlyArray<Flaw> =>
  value === undefined || (value >= low && value <= high)
    ? []
    : [{ what: `${name} is ${value}, which is not between ${low} and ${high}`, fix: "correct it" }]

const metadata = (config: Config, api: "responses" | "chat"): ReadonlyArray<Flaw> => {
  if (config.metadata === undefined) return []
  const pairs = Object.entries(config.metadata)
  const flaws: Array<Flaw> = []
  if (api === "chat" && config.store !== true) {
    flaws.push({
      what: "Chat Completions takes metadata only where the answer is stored",
      fix: "set store to true, or remove metadata"
    })
  }
  if (pairs.length > 16 || pairs.some(([key, value]) => key.length > 64 || value.length > 512)) {
    flaws.push({
      what: "metadata has at most 16 pairs, with keys of 64 and values of 512 characters",
      fix: "shorten it"
    })
  }
  return flaws
}

const byApi = (config: Config, api: "responses" | "chat"): ReadonlyArray<Flaw> => [
  ...between("temperature", config.temperature, 0, 2),
  ...between("topP", config.topP, 0, 1),
  ...between("frequencyPenalty", config.frequencyPenalty, -2, 2),
  ...between("presencePenalty", config.presencePenalty, -2, 2),
  ...between("maxOutputTokens", config.maxOutputTokens, api === "responses" ? 16 : 1, Number.MAX_SAFE_INTEGER),
  ...between("the number of texts in stop", config.stop?.length, 0, 4),
  ...metadata(config, api),
  ...(config.previousResponseId !== undefined && config.conversation !== undefined
    ? [{ what: "previousResponseId and conversation both say where to go on", fix: "set one of them" }]
    : [])
]

/** What of a configuration a model cannot do over an API of OpenAI's. Empty for a model that is not known. */
export const impossible = (model: string, api: "responses" | "chat", config: Config): ReadonlyArray<Flaw> => {
  const traits = traitsOf(model)
  return traits === undefined ? [] : [...byModel(model, traits, config), ...byApi(config, api)]
}

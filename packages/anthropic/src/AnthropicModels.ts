/**
 * What Claude models take, by family and version: as data, for the adapter that refuses a call before the API does, and for configuration
 * that is checked when a program starts. A model of another name has no rules here.
 *
 * Sources: https://platform.claude.com/docs/en/build-with-claude/thinking#configuring-thinking (thinking by model),
 * https://platform.claude.com/docs/en/models/sonnet-5-5/whats-new-sonnet-5-5 and the same pages of the other models (forced tool use,
 * `between_tools`), https://platform.claude.com/docs/en/build-with-claude/effort, https://platform.claude.com/docs/en/api/errors#prefill-not-supported,
 * https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages,
 * https://platform.claude.com/docs/en/build-with-claude/preserved-thinking/prefix-checks (thinking that is bound to its prefix).
 *
 * ```ts
 * import { AnthropicModels } from "@selvage/anthropic"
 *
 * export const wrong = AnthropicModels.impossible("claude-sonnet-5-5", { temperature: 0.2 }) // [{ what: "claude-sonnet-5-5 takes no temperature", … }]
 * ```
 */
import { type Config, defaultMaxTokens, type Thinking } from "./internal/config.ts"

/** What is wrong with a configuration, and what to do. */
export interface Flaw {
  readonly what: string
  readonly fix: string
}

/** How much work a model can be asked to put into an answer. */
export type Effort = NonNullable<Config["effort"]>

/** What a model takes. */
export interface Traits {
  /** A choice of tools that makes it call one. */
  readonly forcedTools: boolean
  /** `temperature`, `topP`, `topK`. */
  readonly sampling: boolean
  /** Whether `temperature` and `topP` exclude each other. */
  readonly samplesOneWay: boolean
  readonly thinking: ReadonlyArray<Thinking["type"]>
  /** Whether thinking can be disabled with any effort, or with `high` and below alone. */
  readonly disabledAtMost: Effort | undefined
  readonly effort: ReadonlyArray<Effort>
  /** A last turn of the assistant's, for the model to continue. */
  readonly prefill: boolean
  /** System messages among the messages. */
  readonly systemInPlace: boolean
  /** Thinking goes back only after the very same system text, tools and messages. */
  readonly boundThinking: boolean
  readonly inferenceGeo: boolean
}

const families = ["fable", "mythos", "opus", "sonnet", "haiku"] as const
type Family = (typeof families)[number]

const all: ReadonlyArray<Effort> = ["low", "medium", "high", "xhigh", "max"]

const effortsOf = (family: Family, version: number): ReadonlyArray<Effort> => {
  if (version >= 4.7) return all
  if (version >= 4.6) return ["low", "medium", "high", "max"]
  return family === "opus" && version >= 4.5 ? ["low", "medium", "high"] : []
}

const thinkingOf = (family: Family, version: number): ReadonlyArray<Thinking["type"]> => {
  if (version < 4.6) return ["enabled", "disabled"]
  if (version < 4.7) return ["adaptive", "enabled", "disabled"]
  if (family === "fable" || family === "mythos") return ["adaptive"]
  if (family === "opus") return version < 5.5 ? ["adaptive", "disabled"] : ["adaptive"]
  if (family === "sonnet" && version >= 5.5) return ["adaptive", "between_tools"]
  return ["adaptive", "disabled"]
}

// The generation of 5.5, and Fable and Mythos from 5.1 on.
const isBound = (family: Family, version: number): boolean =>
  version >= (family === "fable" || family === "mythos" ? 5.1 : 5.5)

const systemInPlace = (family: Family, version: number): boolean =>
  family === "opus" ? version >= 4.8 : family === "sonnet" || family === "haiku" ? version >= 5.5 : version >= 5

const traits = (family: Family, version: number): Traits => ({
  forcedTools: !isBound(family, version),
  sampling: version < 4.7,
  samplesOneWay: version >= 4.5,
  thinking: thinkingOf(family, version),
  disabledAtMost: version >= 5 && family !== "sonnet" ? "high" : undefined,
  effort: effortsOf(family, version),
  prefill: version < 4.6,
  systemInPlace: systemInPlace(family, version),
  boundThinking: isBound(family, version),
  inferenceGeo: version >= 4.6
})

const known = new Map<string, Traits | undefined>()

const read = (model: string): Traits | undefined => {
  // The second number is the minor version, unless it is a date; a platform's prefix and suffix stand around it.
  const found = /claude-(fable|mythos|opus|sonnet|haiku)-(\d)(?:[-.](\d{1,2})(?!\d))?/.exec(model)
  const family = families.find((name) => name === found?.[1])
  return family === undefined ? undefined : traits(family, Number(`${found?.[2]}.${found?.[3] ?? 0}`))
}

/** What a model takes, by its name; `undefined` for a model that is not known. */
export const traitsOf = (model: string): Traits | undefined => {
  if (known.has(model)) return known.get(model)
  const found = read(model)
  if (known.size < 1_000) known.set(model, found)
  return found
}

// What no model takes is wrong for one of another name too.
const lenient: Traits = {
  forcedTools: true,
  sampling: true,
  samplesOneWay: false,
  thinking: ["adaptive", "enabled", "between_tools", "disabled"],
  disabledAtMost: undefined,
  effort: all,
  prefill: true,
  systemInPlace: false,
  boundThinking: false,
  inferenceGeo: true
}

const rank = (effort: Effort): number => all.indexOf(effort)

const sampling = (model: string, takes: Traits, config: Config): ReadonlyArray<Flaw> => {
  const { temperature, thinking, topK, topP } = config
  const given = Object.entries({ temperature, topP, topK }).flatMap(([name, value]) =>
    value === undefined ? [] : [name]
  )
  if (given.length === 0) return []
  if (!takes.sampling)
    return [{ what: `${model} takes no ${given.join(", ")}`, fix: "remove it; effort is what there is" }]
  const flaws: Array<Flaw> = []
  for (const [name, value] of Object.entries({ temperature, topP })) {
    if (value !== undefined && !(value >= 0 && value <= 1)) {
      flaws.push({ what: `${name} is ${value}, which is not between 0 and 1`, fix: "correct it" })
    }
  }
  if (thinking?.type === "enabled" && (topK !== undefined || (temperature !== undefined && temperature !== 1))) {
    flaws.push({
      what: `with thinking ${model} takes no topK and no temperature but 1`,
      fix: "remove them, or thinking"
    })
  }
  if (temperature !== undefined && topP !== undefined && takes.samplesOneWay) {
    flaws.push({ what: `${model} takes temperature or topP, not both`, fix: "remove one of them" })
  }
  return flaws
}

const thinkingFlaws = (model: string, takes: Traits, config: Config): ReadonlyArray<Flaw> => {
  const { effort, maxTokens, thinking } = config
  if (thinking === undefined) return []
  if (!takes.thinking.includes(thinking.type)) {
    return [
      {
        what: `${model} takes no thinking of type "${thinking.type}"`,
        fix: `use ${takes.thinking.join(" or ")}, or remove it`
      }
    ]
  }
  if (thinking.type === "enabled" && thinking.budgetTokens < 1024) {
    return [
      { what: `thinking has a budget of ${thinking.budgetTokens} tokens, and 1024 is the least`, fix: "raise it" }
    ]
  }
  if (thinking.type === "enabled" && maxTokens !== undefined && thinking.budgetTokens >= maxTokens) {
    return [
      {
        what: `thinking may take ${thinking.budgetTokens} tokens, and with the answer no more than ${maxTokens}`,
        fix: "set maxTokens above budgetTokens"
      }
    ]
  }
  const most = takes.disabledAtMost
  return thinking.type === "disabled" && effort !== undefined && most !== undefined && rank(effort) > rank(most)
    ? [
        {
          what: `${model} cannot go without thinking at effort "${effort}"`,
          fix: `lower the effort to ${most}, or remove thinking`
        }
      ]
    : []
}

const others = (model: string, takes: Traits, config: Config): ReadonlyArray<Flaw> => {
  const flaws: Array<Flaw> = []
  if (config.effort !== undefined && !takes.effort.includes(config.effort)) {
    const fix = takes.effort.length === 0 ? "remove it" : `use one of ${takes.effort.join(", ")}`
    flaws.push({ what: `${model} takes no effort "${config.effort}"`, fix })
  }
  if (config.prefill === true && !takes.prefill) {
    flaws.push({
      what: `${model} does not continue a message of the assistant's`,
      fix: "remove prefill, or ask for an object"
    })
  }
  if (config.inferenceGeo !== undefined && !takes.inferenceGeo) {
    flaws.push({ what: `${model} takes no inferenceGeo`, fix: "remove it" })
  }
  if (config.maxTokens !== undefined && config.maxTokens < 0) {
    flaws.push({
      what: `maxTokens is ${config.maxTokens}`,
      fix: `set it above 0, or leave the default of ${defaultMaxTokens}`
    })
  }
  if (config.stopSequences?.some((text) => text.trim() === "") === true) {
    flaws.push({ what: "a stop sequence is blank", fix: "remove it" })
  }
  return flaws
}

/** What of a configuration a model cannot do. Of a model that is not known, what none can. */
export const impossible = (model: string, config: Config): ReadonlyArray<Flaw> => {
  const takes = traitsOf(model) ?? lenient
  return [...sampling(model, takes, config), ...thinkingFlaws(model, takes, config), ...others(model, takes, config)]
}

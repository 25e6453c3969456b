/**
 * Prices: what models cost, as a table with a source and a date for every row.
 *
 * A model that is not in the table has no known cost: {@link cost} answers `None`, never zero. The offline model is known
 * to cost nothing. Prices change; a caller's rows go over these:
 *
 * ```ts
 * import * as Prices from "@selvage/models/Prices"
 *
 * export const mine: Prices.Table = {
 *   ...Prices.table,
 *   "gpt-5.1": { input: 1.1, cachedInput: 0.11, output: 9, source: "our contract", asOf: "2026-01-01" }
 * }
 * ```
 *
 * **Gotchas**
 *
 * These are standard list prices: no batch discount, no priority tier, no surcharge for long contexts or regions, no
 * charges for hosted tools. Cache writes are those of the five minute cache.
 */
import type * as Response from "effect/ai/Response"
import * as Option from "effect/Option"

/** US dollars for a million tokens. */
export interface Price {
  /** Input that was not read from a cache. */
  readonly input: number
  /** Input read from the provider's cache. */
  readonly cachedInput: number
  /** Input written to the provider's cache; as `input` where it costs nothing extra. */
  readonly cacheWrite?: number | undefined
  /** Output, reasoning included. */
  readonly output: number
  /** Where the figures are from. */
  readonly source: string
  /** The day for which the figures were looked up, as `YYYY-MM-DD`. */
  readonly asOf: string
}

/** Prices by model name. */
export type Table = Readonly<Record<string, Price>>

const openai = (input: number, cachedInput: number, output: number): Price => ({
  input,
  cachedInput,
  output,
  source: "https://developers.openai.com/api/docs/pricing",
  asOf: "2026-11-05"
})

// Anthropic states cache prices as factors of the input price: writes for five minutes are 1.25 of it.
const anthropic = (input: number, output: number, cacheRead = 0.1): Price => ({
  input,
  cachedInput: input * cacheRead,
  cacheWrite: input * 1.25,
  output,
  source: "https://platform.claude.com/docs/en/about-claude/pricing",
  asOf: "2026-10-24"
})

/**
 * The prices this package knows: standard processing, prompts below the provider's long-context tier. Collected from
 * copies of the providers' pages; check them before you bill by them. A model whose price depends on the length of the
 * prompt (`claude-haiku-5-5`) is left unknown.
 */
export const table: Table = {
  "gpt-5.4": openai(2.5, 0.25, 15),
  "gpt-5.4-mini": openai(0.75, 0.075, 4.5),
  "gpt-5.4-nano": openai(0.2, 0.02, 1.25),
  "gpt-5.2": openai(1.75, 0.175, 14),
  "gpt-5.1": openai(1.25, 0.125, 10),
  "gpt-5": openai(1.25, 0.125, 10),
  "gpt-5-mini": openai(0.25, 0.025, 2),
  "gpt-5-nano": openai(0.05, 0.005, 0.4),
  "gpt-4.1": openai(2, 0.5, 8),
  "gpt-4.1-mini": openai(0.4, 0.1, 1.6),
  "gpt-4.1-nano": openai(0.1, 0.025, 0.4),
  "gpt-4o-mini": openai(0.15, 0.075, 0.6),
  "claude-opus-5-5": anthropic(4, 20, 0.05),
  "claude-opus-5": anthropic(5, 25),
  "claude-opus-4-8": anthropic(5, 25),
  "claude-opus-4-7": anthropic(5, 25),
  "claude-opus-4-6": anthropic(5, 25),
  "claude-opus-4-5": anthropic(5, 25),
  "claude-sonnet-5-5": anthropic(2, 10, 0.05),
  "claude-sonnet-5": anthropic(2, 10),
  "claude-sonnet-4-6": anthropic(3, 15),
  "claude-sonnet-4-5": anthropic(3, 15),
  "claude-haiku-4-5": anthropic(1, 5)
}

const free: Price = { input: 0, cachedInput: 0, output: 0, source: "runs in this process", asOf: "2026-01-01" }

/**
 * The price of a model, given by its name, by `provider:name`, or by the name of a dated snapshot, which costs what the
 * model costs.
 */
export const find = (model: string, prices: Table = table): Option.Option<Price> => {
  const bare = model.includes(":") ? model.slice(model.indexOf(":") + 1) : model
  const undated = bare.replace(/-(?:\d{8}|\d{4}-\d{2}-\d{2})$/, "")
  for (const name of [model, bare, undated]) {
    const price = Object.hasOwn(prices, name) ? prices[name] : undefined
    if (price !== undefined) return Option.some(price)
  }
  return model === "offline" ? Option.some(free) : Option.none()
}

/**
 * What a request cost in US dollars; none if the model's price is unknown or the usage does not say how many tokens it
 * was.
 */
export const cost = (
  model: string,
  usage: Pick<Response.Usage, "inputTokens" | "outputTokens">,
  prices: Table = table
): Option.Option<number> =>
  Option.flatMap(find(model, prices), (price) => {
    if (price === free) return Option.some(0)
    const { cacheRead = 0, cacheWrite = 0, total, uncached } = usage.inputTokens
    const plain = uncached ?? (total === undefined ? undefined : Math.max(0, total - cacheRead - cacheWrite))
    const { reasoning, text } = usage.outputTokens
    const output =
      usage.outputTokens.total ??
      (text === undefined && reasoning === undefined ? undefined : (text ?? 0) + (reasoning ?? 0))
    if (plain === undefined || output === undefined) return Option.none()
    const dollars =
      plain * price.input +
      cacheRead * price.cachedInput +
      cacheWrite * (price.cacheWrite ?? price.input) +
      output * price.output
    return Option.some(dollars / 1_000_000)
  })

/**
 * Prices: what models cost, as a table with a source and a date for every row.
 *
 * A model that is not in the table has no known cost: {@link cost} answers `None`, never zero. The offline model is known
 * to cost nothing. Input that was read from a cache, input that was written to one, reasoning and text are priced apart.
 *
 * Prices change. Rows of your own go over these, in code or by configuration: {@link layerConfig} reads `SELVAGE_PRICES`, a
 * JSON object of rows, and what stands around a model (`Budget`) goes by {@link Prices}:
 *
 * ```sh
 * SELVAGE_PRICES='{"my-model": {"input": 1.1, "cachedInput": 0.11, "output": 9, "source": "our contract", "asOf": "2026-01-01"}}'
 * ```
 *
 * ```ts
 * import * as Prices from "@selvage/models/Prices"
 *
 * export const mine: Prices.Table = {
 *   ...Prices.table,
 *   "gpt-5.1": { input: 1.1, cachedInput: 0.11, output: 9, source: "our contract", asOf: "2026-01-01" }
 * }
 * export const layer = Prices.layer(mine)
 * ```
 *
 * **Gotchas**
 *
 * These are standard list prices: no batch discount, no priority tier, no surcharge for regions, no charges for hosted
 * tools. Cache writes are those of the cache that lives shortest.
 */
import type * as Response from "effect/ai/Response"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as PriceTable from "./internal/priceTable.ts"

const Dollars = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

/** The schema of a {@link Price}, for prices that come from outside. */
export const Price = Schema.Struct({
  input: Dollars,
  cachedInput: Dollars,
  cacheWrite: Schema.optional(Dollars),
  output: Dollars,
  reasoning: Schema.optional(Dollars),
  beyond: Schema.optional(
    Schema.Struct({
      tokens: Schema.Int.check(Schema.isGreaterThan(0)),
      input: Dollars,
      cachedInput: Dollars,
      cacheWrite: Schema.optional(Dollars),
      output: Dollars
    })
  ),
  source: Schema.NonEmptyString,
  asOf: Schema.String.check(Schema.isPattern(/^\d{4}-\d{2}-\d{2}$/, { expected: "a day as YYYY-MM-DD" }))
})

/** US dollars for a million tokens. */
export interface Price {
  /** Input that was not read from a cache. */
  readonly input: number
  /** Input read from the provider's cache. */
  readonly cachedInput: number
  /** Input written to the provider's cache; as `input` where it costs nothing extra. */
  readonly cacheWrite?: number | undefined
  /** Output; reasoning too, unless it has a price of its own. */
  readonly output: number
  /** Output that is reasoning; as `output` where it has no price of its own. */
  readonly reasoning?: number | undefined
  /** What all of a request costs whose input, cached or not, is of more than so many tokens. */
  readonly beyond?:
    | {
        readonly tokens: number
        readonly input: number
        readonly cachedInput: number
        readonly cacheWrite?: number | undefined
        readonly output: number
      }
    | undefined
  /** Where the figures are from. */
  readonly source: string
  /** The day for which the figures were looked up, as `YYYY-MM-DD`. */
  readonly asOf: string
}

/** Prices by model name. */
export type Table = Readonly<Record<string, Price>>

/** The schema of a {@link Table}. */
export const Table = Schema.Record(Schema.NonEmptyString, Price)

/**
 * The prices this package knows: standard processing. Collected from copies of the providers' pages; check them before you
 * bill by them. {@link unknown} lists the others of the models that the providers' SDKs name.
 */
export const table: Table = PriceTable.table

/** The models that the providers' SDKs name and whose price is not known here, and why not. */
export const unknown: ReadonlyMap<string, string> = PriceTable.unknown

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
    if (unknown.has(name)) break
  }
  return model === "offline" ? Option.some(free) : Option.none()
}

/** How many tokens of each price a request took. */
export interface Tokens {
  readonly input: number
  readonly cachedInput: number
  readonly cacheWrite: number
  readonly output: number
  readonly reasoning: number
}

/** What a provider says of the tokens of a request. */
export interface Usage {
  readonly inputTokens: Partial<Response.Usage["inputTokens"]>
  readonly outputTokens: Partial<Response.Usage["outputTokens"]>
}

const atLeastZero = (tokens: number | undefined): number => Math.max(0, tokens ?? 0)

/** Usage by what is priced apart; none if it does not say how many tokens the input or the output had. */
export const tokens = ({ inputTokens, outputTokens }: Usage): Option.Option<Tokens> => {
  const cachedInput = atLeastZero(inputTokens.cacheRead)
  const cacheWrite = atLeastZero(inputTokens.cacheWrite)
  const input =
    inputTokens.uncached ?? (inputTokens.total === undefined ? undefined : inputTokens.total - cachedInput - cacheWrite)
  const reasoning = atLeastZero(outputTokens.reasoning)
  const output = outputTokens.total === undefined ? outputTokens.text : outputTokens.total - reasoning
  if (input === undefined || (output === undefined && outputTokens.reasoning === undefined)) return Option.none()
  return Option.some({
    input: atLeastZero(input),
    cachedInput,
    cacheWrite,
    output: atLeastZero(output),
    reasoning
  })
}

// A dollar for a million tokens is a million picodollars for each: whole, as long as prices have six decimals at most.
const picodollars = (list: Price, own: Tokens): number | bigint => {
  const long = list.beyond !== undefined && own.input + own.cachedInput + own.cacheWrite > list.beyond.tokens
  const price = long ? { ...list.beyond, reasoning: undefined } : list
  const counts = [own.input, own.cachedInput, own.cacheWrite, own.output, own.reasoning].map(Math.round)
  const each = [
    price.input,
    price.cachedInput,
    price.cacheWrite ?? price.input,
    price.output,
    price.reasoning ?? price.output
  ].map((dollars) => Math.round(dollars * 1_000_000))
  const sum = counts.reduce((sum, count, index) => sum + count * each[index]!, 0)
  return Number.isSafeInteger(sum)
    ? sum
    : counts.reduce((sum, count, index) => sum + BigInt(count) * BigInt(each[index]!), 0n)
}

/** What tokens cost at a price, in micro-dollars: a whole number, rounded up, so that what is spent is never less. */
export const microsAt = (price: Price, own: Tokens): number => {
  const sum = picodollars(price, own)
  if (typeof sum === "bigint") return Number((sum + 999_999n) / 1_000_000n)
  const over = sum % 1_000_000
  return (sum - over) / 1_000_000 + (over > 0 ? 1 : 0)
}

const priced = <A>(model: string, usage: Usage, prices: Table, f: (price: Price, own: Tokens) => A, none: A) =>
  Option.flatMap(find(model, prices), (price) =>
    price === free ? Option.some(none) : Option.map(tokens(usage), (own) => f(price, own))
  )

/**
 * What a request cost in US dollars; none if the model's price is unknown or the usage does not say how many tokens it
 * was.
 */
export const cost = (model: string, usage: Usage, prices: Table = table): Option.Option<number> =>
  priced(model, usage, prices, (price, own) => Number(picodollars(price, own)) / 1e12, 0)

/** {@link cost} in micro-dollars (millionths of a dollar), rounded up: for accounts, which must not drift. */
export const micros = (model: string, usage: Usage, prices: Table = table): Option.Option<number> =>
  priced(model, usage, prices, microsAt, 0)

/** The prices by which money is counted. Default: {@link table}. */
export const Prices = Context.Reference<Table>("selvage/models/Prices", { defaultValue: () => table })

/** Other prices, in place of {@link table}. */
export const layer = (prices: Table): Layer.Layer<never> => Layer.succeed(Prices, prices)

/** The variable that {@link layerConfig} reads. */
export const variable = "SELVAGE_PRICES"

/** {@link table} with the rows that `SELVAGE_PRICES` has over it, as JSON: an object of prices by model name. */
export const layerConfig: Layer.Layer<never, Config.ConfigError> = Layer.effect(
  Prices,
  Config.schema(Schema.fromJsonString(Table), variable).pipe(Config.withDefault({}), (config) =>
    Effect.map(config, (own): Table => ({ ...table, ...own }))
  )
)

/** What a call of a model will take and has taken, in tokens and money. */
import type * as AiError from "effect/ai/AiError"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Amount } from "../BudgetStore.ts"
import * as ContextWindow from "../ContextWindow.ts"
import type { Call } from "../Middleware.ts"
import * as Prices from "../Prices.ts"
import * as Definitions from "./definitions.ts"

/** A model that may be asked, and its price if that is known. */
export interface Quote {
  readonly model: string
  readonly price: Option.Option<Prices.Price>
}

/** The models that may be asked, with their prices. A model that nobody named has no known price. */
export const quotes = (
  models: ReadonlyArray<string>,
  table: Prices.Table,
  unknown: Prices.Price | undefined
): ReadonlyArray<Quote> =>
  (models.length === 0 ? ["a model without name"] : models).map((model) => ({
    model,
    price: Option.orElse(Prices.find(model, table), () => Option.fromUndefinedOr(unknown))
  }))

const definitionTokens = (call: Call, counter: ContextWindow.Counter): Effect.Effect<number, AiError.AiError> => {
  const definitions = call.tools.map(Definitions.ofTool)
  if (call.object !== undefined) definitions.push(Definitions.ofSchema(call.object.schema))
  if (definitions.length === 0) return Effect.succeed(0)
  const text = JSON.stringify(definitions) ?? ""
  return counter.message(Prompt.userMessage({ content: [Prompt.textPart({ text })] }))
}

/** The tokens that a call takes at most, as far as can be told: the counted prompt with the counter's error, and the answer. */
export const estimate = Effect.fnUntracedEager(function* (call: Call, counter: ContextWindow.Counter, output: number) {
  const prompt = yield* ContextWindow.count(call.prompt, counter)
  const input = Math.ceil((prompt + (yield* definitionTokens(call, counter))) * (1 + counter.error))
  return { input, cachedInput: 0, cacheWrite: 0, output, reasoning: 0 } satisfies Prices.Tokens
})

/** All tokens together. */
export const total = (tokens: Prices.Tokens): number =>
  tokens.input + tokens.cachedInput + tokens.cacheWrite + tokens.output + tokens.reasoning

const dearestInput = ({
  cacheWrite = 0,
  cachedInput,
  input
}: Pick<Prices.Price, "input" | "cachedInput" | "cacheWrite">) => Math.max(input, cachedInput, cacheWrite)

/** The most that tokens can cost: input as if it were written to the cache, output as if it were reasoning, if that is more. */
const dearest = (price: Prices.Price): Prices.Price => ({
  ...price,
  input: dearestInput(price),
  output: Math.max(price.output, price.reasoning ?? 0),
  beyond: price.beyond && { ...price.beyond, input: dearestInput(price.beyond) }
})

const known = (own: ReadonlyArray<Quote>): ReadonlyArray<Prices.Price> =>
  own.flatMap(({ price }) => Option.toArray(price))

/** What to reserve: the dearest of the models that may be asked. */
export const reserved = (tokens: Prices.Tokens, own: ReadonlyArray<Quote>): Amount => ({
  tokens: total(tokens),
  micros: Math.max(0, ...known(own).map((price) => Prices.microsAt(dearest(price), tokens)))
})

const bare = (model: string): string => model.slice(model.indexOf(":") + 1).replace(/-(?:\d{8}|\d{4}-\d{2}-\d{2})$/, "")

/** What was used: at the price of the model that answered, or if that is not clear of the dearest that may have. */
export const used = (tokens: Prices.Tokens, own: ReadonlyArray<Quote>, answered: string | undefined): Amount => {
  const one = answered === undefined ? undefined : own.find(({ model }) => bare(model) === bare(answered))
  const prices = known(one === undefined ? own : [one])
  return { tokens: total(tokens), micros: Math.max(0, ...prices.map((price) => Prices.microsAt(price, tokens))) }
}

/** How a call ended: what it used, that it used nothing, or why that is not known. */
export type Result =
  | { readonly _tag: "Used"; readonly tokens: Prices.Tokens }
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Unknown"; readonly why: string }

// The model has answered, whatever became of the answer.
const answeredReasons: ReadonlySet<AiError.AiErrorReason["_tag"]> = new Set([
  "InvalidOutputError",
  "StructuredOutputError",
  "InvalidResponseError",
  "ToolNotFoundError",
  "ToolParameterValidationError",
  "ToolConfigurationError"
])

const ofFailure = (error: AiError.AiError): Result => {
  const { reason } = error
  const usage = "usage" in reason ? reason.usage : undefined
  if (usage?.promptTokens !== undefined && usage.completionTokens !== undefined) {
    const { completionTokens: output, promptTokens: input } = usage
    return { _tag: "Used", tokens: { input, cachedInput: 0, cacheWrite: 0, output, reasoning: 0 } }
  }
  return answeredReasons.has(reason._tag)
    ? { _tag: "Unknown", why: `the model answered, and the answer was refused (${reason._tag})` }
    : { _tag: "Nothing" }
}

/** What a call used, by how it ended. A call that failed before its model answered used nothing. */
export const result = (
  exit: Exit.Exit<unknown, AiError.AiError>,
  finish: Response.FinishPartEncoded | undefined,
  content: boolean
): Result => {
  if (finish !== undefined) {
    return Option.match(Prices.tokens(finish.usage), {
      onNone: (): Result => ({ _tag: "Unknown", why: "the provider did not say how many tokens it was" }),
      onSome: (tokens): Result => ({ _tag: "Used", tokens })
    })
  }
  if (Exit.isSuccess(exit)) return { _tag: "Unknown", why: "the answer was left or cut before its end" }
  if (Cause.hasInterrupts(exit.cause)) return { _tag: "Unknown", why: "the call was interrupted" }
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  if (failure === undefined) return { _tag: "Unknown", why: "the call died" }
  const own = ofFailure(failure.error)
  return own._tag === "Nothing" && content ? { _tag: "Unknown", why: "the answer broke off" } : own
}

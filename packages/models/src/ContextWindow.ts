/**
 * Context windows: a prompt that is made to fit, or refused, before a provider refuses it.
 *
 * - **Counting** is a {@link Counter}: {@link fromTokenizer} where an `effect/ai` `Tokenizer` is known, {@link fromEncode}
 *   over any tokenizer library, else an estimate whose error is stated ({@link estimateO200k}, {@link estimateCareful}).
 *   A limit is lowered by the counter's error, so that what fits the estimate also fits the window.
 * - **Cutting** is a {@link Policy}: {@link dropOldest}, {@link keepLast}, {@link summarize}, {@link refuse}, or one of your
 *   own.
 * - **What was cut** is a {@link Cut}: it goes to the {@link OnCut} of the fiber, and its numbers into the current span and, as
 *   `selvage.context.cut`, to who listens to the run.
 *
 * What no policy can do, because {@link fit} checks what it returns: drop a system message, separate a tool call from its
 * result or an approval from its request, change the order, or return more than fits. The last request and the last unit
 * of work (a message, or tool calls with their results) stay too. Old exchanges go as a whole, from a request of the user
 * up to the next; only within the last exchange are single units cut.
 *
 * ```ts
 * import * as ContextWindow from "@selvage/models/ContextWindow"
 * import * as Prompt from "effect/ai/Prompt"
 * import * as Effect from "effect/Effect"
 *
 * const prompt = Prompt.make([
 *   { role: "system", content: "Answer in one sentence." },
 *   { role: "user", content: [{ type: "text", text: "Tell me a long story. ".repeat(500) }] },
 *   { role: "assistant", content: [{ type: "text", text: "Once upon a time." }] },
 *   { role: "user", content: [{ type: "text", text: "And how does it end?" }] }
 * ])
 *
 * export const fitted = ContextWindow.fit(prompt, { limit: 200, policy: ContextWindow.dropOldest }).pipe(
 *   Effect.map(({ prompt }) => prompt.content.length) // 2: the system message and the last question
 * )
 * ```
 *
 * **Gotchas**
 *
 * - An estimate cannot know a vocabulary. Measured on prose in nine languages, code, JSON and identifiers (16 samples of
 *   36 to 1,100 tokens), {@link estimateO200k} was between 9 % below and 13 % above `o200k_base`; {@link estimateCareful} was
 *   never more than 21 % below the largest of `o200k_base`, `cl100k_base` and Anthropic's published tokenizer, and for
 *   scripts other than Latin up to four times above the smallest.
 * - Images count 1,600 tokens and other files one for twenty bytes, whatever the provider makes of them.
 * - A `LanguageModel` can fail with an `AiError` only: {@link layer} fails with an `InvalidRequestError` that carries the
 *   `ContextTruncated`; `Refusal.catchRefusal(ContextTruncated, …)` gets it back.
 * - A message is counted once: one that is changed afterwards keeps its first count.
 * - A policy runs only when a prompt does not fit, so what providers cache of a conversation stays as it is until then.
 */
import * as Event from "@selvage/core/Event"
import type * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tokenizer from "effect/ai/Tokenizer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { canonicalText } from "./internal/canonical.ts"
import { textOf } from "./internal/countable.ts"
import * as Definitions from "./internal/definitions.ts"
import { cuttable, type Unit } from "./internal/segments.ts"
import * as Summary from "./internal/summary.ts"
import * as Tokens from "./internal/tokens.ts"
import * as Middleware from "./Middleware.ts"
import * as Refusal from "./Refusal.ts"

// ---- Model

/** A prompt does not fit its window, and cutting is not allowed or does not suffice. */
export class ContextTruncated extends Schema.TaggedError<ContextTruncated>()("ContextTruncated", {
  /** What the prompt would take, and what there is for it. */
  tokens: Schema.Finite,
  limit: Schema.Finite,
  policy: Schema.String,
  reason: Schema.Literals(["not allowed", "does not fit", "broken by policy"]),
  /** What was found broken, for `broken by policy`. */
  detail: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const what = `The prompt takes ${this.tokens} tokens of ${this.limit}`
    switch (this.reason) {
      case "not allowed":
        return `${what}, and the policy "${this.policy}" allows no cut; shorten it, or choose a policy that cuts or a model with a larger window.`
      case "does not fit":
        return `${what} even when all that the policy "${this.policy}" may cut is cut; shorten the system messages, the last request or the last tool results, or choose a model with a larger window.`
      case "broken by policy":
        return `The policy "${this.policy}" returned a prompt that may not be sent: ${this.detail ?? ""}; correct the policy.`
    }
  }
}

/** How many tokens a message takes. */
export interface Counter {
  readonly name: string
  /** How much the real count may be above this one, as a part of it: 0 for an exact counter. */
  readonly error: number
  readonly message: (message: Prompt.Message) => Effect.Effect<number, AiError.AiError>
}

/** What a policy is asked: cut this until it fits. */
export interface Request {
  readonly messages: ReadonlyArray<Prompt.Message>
  /** Tokens of each message. */
  readonly tokens: ReadonlyArray<number>
  readonly total: number
  readonly limit: number
  /** How many of `steps` are whole exchanges; the others are units of the last one. */
  readonly exchanges: number
  /** Indexes of messages that may go, each group together or not at all, oldest first. */
  readonly steps: ReadonlyArray<ReadonlyArray<number>>
  readonly count: (text: string) => Effect.Effect<number, AiError.AiError>
}

/** What a policy answers: the messages to remove, and what takes the place of the first of them. */
export interface Decision {
  readonly remove: ReadonlyArray<number>
  readonly instead?: Prompt.Message | undefined
}

/** How a prompt is cut that does not fit. */
export interface Policy {
  readonly name: string
  readonly decide: (request: Request) => Effect.Effect<Decision, ContextTruncated | AiError.AiError>
}

/** What was cut from a prompt. */
export interface Cut {
  readonly policy: string
  readonly counter: string
  readonly tokensBefore: number
  readonly tokensAfter: number
  readonly limit: number
  /** The messages that went. */
  readonly messages: ReadonlyArray<Prompt.Message>
  /** The message that took their place. */
  readonly instead: Prompt.Message | undefined
}

/** A prompt that fits. */
export interface Fitted {
  readonly prompt: Prompt.Prompt
  readonly tokens: number
  readonly cut: Cut | undefined
}

/** Options of {@link fit}. */
export interface Options {
  /** Tokens that there are for the prompt. */
  readonly limit: number
  /** Default: {@link dropOldest}. */
  readonly policy?: Policy | undefined
  /** Default: {@link estimateCareful}. */
  readonly counter?: Counter | undefined
}

/** What hears of each cut. Default: nothing; the span of the call is annotated in any case. */
export const OnCut = Context.Reference<(cut: Cut) => Effect.Effect<void>>("selvage/models/ContextWindow/OnCut", {
  defaultValue: () => () => Effect.void
})

// ---- Counting

/** Tokens that the framing of a message and of a whole prompt take, at most, in the protocols that we know. */
const framing = 4

/** Counts each message once: a conversation grows by its end, and its messages are the same objects from turn to turn. */
const remembering = (
  name: string,
  error: number,
  tokensOf: (message: Prompt.Message) => Effect.Effect<number, AiError.AiError>,
  least = 0
): Counter => {
  const known = new WeakMap<Prompt.Message, number>()
  return {
    name,
    error,
    message: Effect.fnUntracedEager(function* (message) {
      const before = known.get(message)
      if (before !== undefined) return before
      const tokens = (yield* tokensOf(message)) + framing
      if (tokens >= least) known.set(message, tokens)
      return tokens
    })
  }
}

const counterOf = (name: string, error: number, count: (text: string) => number, least?: number): Counter =>
  remembering(
    name,
    error,
    (message) => {
      const { files, text } = textOf(message)
      return Effect.succeed(count(text) + files)
    },
    least
  )

// Below this many tokens it takes longer to remember an estimate, and to forget it, than to make it again.
const worthKnowing = 1024

/** An estimate of OpenAI's `o200k_base`: no more than 15 % off on what it was measured on. */
export const estimateO200k: Counter = counterOf(
  "estimate-o200k",
  0.15,
  (text) => Tokens.estimate(text, Tokens.o200k),
  worthKnowing
)

/** An estimate for any model: rather too many than too few. */
export const estimateCareful: Counter = counterOf(
  "estimate-careful",
  0.25,
  (text) => Tokens.estimate(text, Tokens.careful),
  worthKnowing
)

/** Counts with a tokenizer library: `fromEncode("o200k", encode)` with the `encode` of `gpt-tokenizer` or `js-tiktoken`. */
export const fromEncode = (name: string, encode: (text: string) => { readonly length: number }): Counter =>
  counterOf(name, 0, (text) => encode(text).length)

/** Counts with a tokenizer of `effect/ai`, one message at a time. */
export const fromTokenizer = (tokenizer: Tokenizer.Service, name = "tokenizer"): Counter =>
  remembering(name, 0, (message) =>
    Effect.map(tokenizer.tokenize(Prompt.fromMessages([message])), (tokens) => tokens.length)
  )

/** The tokens of a prompt. */
export const count: (prompt: Prompt.RawInput, counter: Counter) => Effect.Effect<number, AiError.AiError> =
  Effect.fnUntracedEager(function* (prompt, counter) {
    let tokens = framing
    for (const message of Prompt.make(prompt).content) tokens += yield* counter.message(message)
    return tokens
  })

// ---- Policies

const sumOf = (unit: Unit, tokens: ReadonlyArray<number>): number =>
  unit.reduce((sum, index) => sum + tokens[index]!, 0)

const doesNotFit = (request: Request, policy: string, tokens: number) =>
  new ContextTruncated({ tokens, limit: request.limit, policy, reason: "does not fit" })

/** The first steps whose removal leaves no more than a limit; all of them if it takes more. */
const enough = (
  request: Request,
  limit: number,
  atLeast: number
): { readonly steps: number; readonly left: number } => {
  let left = request.total
  let steps = 0
  while (steps < request.steps.length && (left > limit || steps < atLeast)) {
    left -= sumOf(request.steps[steps]!, request.tokens)
    steps++
  }
  return { steps, left }
}

const dropping = (name: string, atLeast: (request: Request) => number): Policy => ({
  name,
  decide: (request) =>
    Effect.suspend(() => {
      const { left, steps } = enough(request, request.limit, atLeast(request))
      return left > request.limit
        ? Effect.fail(doesNotFit(request, name, left))
        : Effect.succeed({ remove: request.steps.slice(0, steps).flat() })
    })
})

/** Drops as little of the oldest as it takes. */
export const dropOldest: Policy = dropping("drop-oldest", () => 0)

/** Keeps the system messages and the last `exchanges` exchanges; fewer where those do not fit. */
export const keepLast = (exchanges: number): Policy =>
  dropping(`keep-last-${exchanges}`, (request) => Math.max(0, request.exchanges + 1 - Math.max(1, exchanges)))

/** Cuts nothing: a prompt that does not fit is a `ContextTruncated`. */
export const refuse: Policy = {
  name: "refuse",
  decide: (request) =>
    Effect.fail(
      new ContextTruncated({ tokens: request.total, limit: request.limit, policy: "refuse", reason: "not allowed" })
    )
}

/** Options of {@link summarize}. */
export interface SummarizeOptions {
  /** The model that writes the summary. */
  readonly model: LanguageModel.LanguageModel
  /** Exchanges that are kept as they are. Default: 2. */
  readonly keep?: number | undefined
  /** Tokens that a summary may take. Default: a tenth of the limit. */
  readonly tokens?: number | undefined
  /** What the summary is to hold. Default: facts, decisions, open questions, names and numbers. */
  readonly instructions?: string | undefined
  /** Tokens that one request for a summary may take; what is longer is summarized piece by piece. Default: the limit. */
  readonly window?: number | undefined
}

/**
 * Puts a summary in the place of what is older than the last exchanges. A longer conversation is summarized on from the
 * summary of its beginning: of the last 64 summaries, kept by what they stand for. Fails as the model fails.
 */
export const summarize = (options: SummarizeOptions): Effect.Effect<Policy> =>
  Effect.map(Summary.make(options.model, options.instructions), (write): Policy => {
    const name = "summarize"
    const keep = Math.max(1, options.keep ?? 2)
    return {
      name,
      decide: Effect.fnUntraced(function* (request) {
        const allowance = Math.floor(options.tokens ?? request.limit / 10)
        const { left, steps } = enough(
          request,
          request.limit - allowance - framing,
          Math.max(0, request.exchanges + 1 - keep)
        )
        if (steps === 0 || left > request.limit - allowance - framing)
          return yield* doesNotFit(request, name, left + allowance + framing)
        const remove = request.steps.slice(0, steps).flat()
        const text = yield* write({
          messages: remove.map((index) => request.messages[index]!),
          tokens: remove.map((index) => request.tokens[index]!),
          window: options.window ?? request.limit,
          allowance,
          count: request.count
        })
        return { remove, instead: Prompt.userMessage({ content: [Prompt.textPart({ text })] }) }
      })
    }
  })

// ---- Fitting

/** What is wrong with a decision; nothing that is wrong may reach a provider. */
const flaw = (request: Request, decision: Decision): string | undefined => {
  const removed = new Set(decision.remove)
  for (const step of request.steps) {
    const gone = step.filter((index) => removed.has(index)).length
    if (gone > 0 && gone < step.length) return "messages that belong together were separated"
    if (gone > 0) for (const index of step) removed.delete(index)
  }
  return removed.size > 0 ? "a message was removed that must stay" : undefined
}

/** Makes a prompt fit. One that fits is returned as it is. */
export const fit: (
  prompt: Prompt.RawInput,
  options: Options
) => Effect.Effect<Fitted, ContextTruncated | AiError.AiError> = Effect.fnUntraced(function* (input, options) {
  const prompt = Prompt.make(input)
  const policy = options.policy ?? dropOldest
  const counter = options.counter ?? estimateCareful
  const limit = Math.floor(options.limit / (1 + counter.error))
  const messages = prompt.content
  const tokens = yield* Effect.forEach(messages, counter.message)
  const total = tokens.reduce((sum, own) => sum + own, 0) + framing
  if (total <= limit) return { prompt, tokens: total, cut: undefined }
  const asText = (text: string) => Prompt.userMessage({ content: [Prompt.textPart({ text })] })
  const request: Request = {
    ...cuttable(messages),
    messages,
    tokens,
    total,
    limit,
    count: (text) => counter.message(asText(text))
  }
  const decision = yield* policy.decide(request)
  const detail = flaw(request, decision)
  if (detail !== undefined)
    return yield* new ContextTruncated({
      tokens: total,
      limit,
      policy: policy.name,
      reason: "broken by policy",
      detail
    })
  const removed = new Set(decision.remove)
  const first = Math.min(...decision.remove)
  const kept = messages.flatMap((message, index) => {
    if (index === first && decision.instead !== undefined) return [decision.instead]
    return removed.has(index) ? [] : [message]
  })
  const added = decision.instead === undefined ? 0 : yield* counter.message(decision.instead)
  const after = total - sumOf(decision.remove, tokens) + added
  if (after > limit || removed.size === 0)
    return yield* new ContextTruncated({ tokens: after, limit, policy: policy.name, reason: "does not fit" })
  const cut: Cut = {
    policy: policy.name,
    counter: counter.name,
    tokensBefore: total,
    tokensAfter: after,
    limit,
    messages: messages.filter((_, index) => removed.has(index)),
    instead: decision.instead
  }
  yield* Effect.annotateCurrentSpan({
    "selvage.context.policy": cut.policy,
    "selvage.context.limit": limit,
    "selvage.context.tokens_before": total,
    "selvage.context.tokens_after": after,
    "selvage.context.messages_cut": cut.messages.length
  })
  const hear = yield* OnCut
  yield* hear(cut)
  const { instead, messages: gone, ...numbers } = cut
  yield* Event.emit("selvage.context.cut", { ...numbers, messages: gone.length, summarized: instead !== undefined })
  return { prompt: Prompt.fromMessages(kept), tokens: after, cut }
})

// ---- Around a model

/** Options of {@link layer}. */
export interface WindowOptions {
  /** Tokens that the model takes in all, prompt and answer. */
  readonly window: number
  /** Tokens that are kept free for the answer. Default: a quarter of the window, no more than 4,096. */
  readonly reserve?: number | undefined
  /** Default: {@link dropOldest}. */
  readonly policy?: Policy | undefined
  /** Default: the `Tokenizer` that is there when the layer is built, else {@link estimateCareful}. */
  readonly counter?: Counter | undefined
}

const asAiError = (method: string) => (error: ContextTruncated) =>
  Effect.fail(Refusal.make(ContextTruncated, error, { as: "InvalidRequestError", method }))

/** Makes every prompt fit, after what the definitions of tools and of the output take of the window. */
export const middleware = (options: WindowOptions & { readonly counter: Counter }): Middleware.Middleware => {
  const { counter, window } = options
  const reserve = options.reserve ?? Math.min(4_096, Math.floor(window / 4))
  const definitions = new WeakMap<object, number>()
  const tokensOf = Effect.fnUntraced(function* (key: object, definition: () => unknown) {
    const known = definitions.get(key)
    if (known !== undefined) return known
    const text = canonicalText(definition())
    const tokens = yield* counter.message(Prompt.userMessage({ content: [Prompt.textPart({ text })] }))
    definitions.set(key, tokens)
    return tokens
  })
  return Middleware.mapCall((call) =>
    Effect.gen(function* () {
      let taken = 0
      for (const tool of call.tools) taken += yield* tokensOf(tool, () => Definitions.ofTool(tool))
      const schema = call.object?.schema
      if (schema !== undefined) taken += yield* tokensOf(schema, () => Definitions.ofSchema(schema))
      const limit = window - reserve - Math.ceil(taken * (1 + counter.error))
      const { prompt } = yield* fit(call.prompt, { limit, policy: options.policy, counter })
      return prompt === call.prompt ? call : { ...call, prompt }
    }).pipe(Effect.catchTag("ContextTruncated", asAiError(call.method)), Effect.withParentSpan(call.span))
  )
}

/** Puts a context window around the `LanguageModel` below. */
export const layer = (
  options: WindowOptions
): Layer.Layer<LanguageModel.LanguageModel, never, LanguageModel.LanguageModel> =>
  Middleware.layer(
    Effect.map(Effect.serviceOption(Tokenizer.Tokenizer), (tokenizer) => {
      const known = Option.map(tokenizer, (service) => fromTokenizer(service))
      return middleware({ ...options, counter: options.counter ?? Option.getOrElse(known, () => estimateCareful) })
    })
  )

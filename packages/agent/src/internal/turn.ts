import * as Bound from "@selvage/core/Bound"
import * as Event from "@selvage/core/Event"
import * as Limit from "@selvage/core/Limit"
import * as Task from "@selvage/core/Task"
import * as Dispatcher from "@selvage/tools/Dispatcher"
import type { RegistryInvalid } from "@selvage/tools/Errors"
import type * as Registry from "@selvage/tools/Registry"
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Response from "effect/ai/Response"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Estimate from "./estimate.ts"

/**
 * What a turn cost in US dollars, by the model's name and its usage; none where the price is not known. Give it
 * `Prices.cost` of `@selvage/models`.
 */
export const Pricing = Context.Reference<(model: string, usage: Response.Usage) => Option.Option<number>>(
  "selvage/agent/Pricing",
  { defaultValue: () => () => Option.none() }
)

/** What a turn needs of the state. */
interface TurnState {
  readonly messages: Prompt.Prompt
  readonly turns: ReadonlyArray<Limit.Turn>
  readonly turnsBefore: number
  readonly text: string
  readonly finishReason: Response.FinishReason
}

interface TurnOptions<R> {
  readonly system: Prompt.SystemMessage
  readonly limit: Limit.Limit
  readonly registry: Effect.Effect<Registry.Registry, RegistryInvalid, R>
}

/** What was in a response, whether it came whole or as a stream. */
interface Answer {
  readonly parts: ReadonlyArray<Response.AnyPart>
  readonly text: string
}

/** One turn: the limit, the model, and what the turn cost. `update` makes an update of it. */
const turn = <A extends Answer, E, R, Update>(
  { limit, system }: Pick<TurnOptions<never>, "limit" | "system">,
  { messages, turns, turnsBefore }: TurnState,
  call: (prompt: Prompt.Prompt) => Effect.Effect<A, E, R>,
  update: (answer: A, finish: Response.FinishPart | undefined) => Update
) =>
  Effect.andThen(
    Limit.check(limit, turnsBefore === 0 ? turns : turns.slice(turnsBefore)),
    Effect.contextWith((context: Context.Context<never>) => {
      const clock = Context.get(context, Clock.Clock)
      const startedAt = clock.currentTimeMillisUnsafe()
      const waited = Context.get(context, Task.Current)?.waited(startedAt) ?? 0
      return Effect.map(call(instructed(system, messages)), (answer) => {
        const finish = answer.parts.findLast((part) => part.type === "finish")
        const endedAt = clock.currentTimeMillisUnsafe()
        const turn = costOf(Context.get(context, Pricing), messages, answer.parts, finish?.usage)
        return {
          ...update(answer, finish),
          turns: [{ startedAt, endedAt, ...turn, ...(waited === 0 ? {} : { waited }) }]
        }
      })
    })
  )

/** The conversation after the instructions. System messages that were given with it stay where they stand. */
const instructed = (system: Prompt.SystemMessage, { content }: Prompt.Prompt): Prompt.Prompt =>
  Prompt.fromMessages([system, ...content])

const costOf = (
  price: (model: string, usage: Response.Usage) => Option.Option<number>,
  prompt: Prompt.Prompt,
  parts: ReadonlyArray<Response.AnyPart>,
  told: Response.Usage | undefined
): Omit<Limit.Turn, "startedAt" | "endedAt"> => {
  const model = parts.findLast((part) => part.type === "response-metadata")?.modelId
  const input = told?.inputTokens.total
  const output = told?.outputTokens.total
  const estimated = input === undefined || output === undefined
  const inputTokens = input ?? Estimate.tokens(prompt.content)
  const outputTokens = output ?? Estimate.tokens(parts)
  const usage =
    !estimated && told !== undefined
      ? told
      : new Response.Usage({
          inputTokens: {
            uncached: inputTokens,
            cacheRead: undefined,
            cacheWrite: undefined,
            ...told?.inputTokens,
            total: inputTokens
          },
          outputTokens: { text: outputTokens, reasoning: undefined, ...told?.outputTokens, total: outputTokens }
        })
  const usd = model === undefined ? Option.none<number>() : price(model, usage)
  return {
    inputTokens,
    outputTokens,
    ...(estimated ? { estimated } : {}),
    ...(Option.isSome(usd) ? { usd: usd.value } : {})
  }
}

/** A turn in which the model may call tools. Streams its text to who listens. */
export const modelTurn = <R>(options: TurnOptions<R>, state: TurnState) =>
  Effect.flatMap(options.registry, (registry) =>
    turn(
      options,
      state,
      (prompt) => {
        const { toolkit } = registry
        const request = { prompt, toolkit, disableToolCallResolution: true, toolCallValidation: "deferred" } as const
        return Effect.flatMap(
          Event.isListening,
          (listening): Effect.Effect<Answer, AiError.AiError, LanguageModel.LanguageModel> =>
            listening
              ? told(LanguageModel.streamText(request))
              : Effect.map(LanguageModel.generateText(request), ({ content, text }) => ({ parts: content, text }))
        )
      },
      ({ parts, text }, finish) => {
        const finishReason = finish?.reason ?? "unknown"
        // What follows a pause belongs to the answer that was paused.
        const whole = state.finishReason === "pause" ? state.text + text : text
        return {
          messages: Prompt.fromResponseParts(parts.map((part) => kept(registry, part))),
          // What stays as it is need not be journaled.
          ...(whole === state.text ? {} : { text: whole }),
          ...(finishReason === state.finishReason ? {} : { finishReason })
        }
      }
    )
  )

/** A part as it is kept: what a model makes up is bounded before it is journaled. */
const kept = (registry: Registry.Registry, part: Response.AnyPart): Response.AnyPart => {
  if (part.type === "tool-call" && !part.providerExecuted) return Dispatcher.withinBounds(registry, part)
  // What a provider ran itself is only kept.
  if (part.type === "tool-call") {
    const beyond = Bound.issueOf(part.params)
    return beyond === undefined ? part : { ...part, params: leftOut(beyond) }
  }
  if (part.type !== "tool-result") return part
  const beyond = Bound.issueOf(part.encodedResult)
  return beyond === undefined ? part : { ...part, result: leftOut(beyond), encodedResult: leftOut(beyond) }
}

const leftOut = (issue: string) => `It was left out: ${issue}.`

/** A model that was asked again in mid-stream (`ModelPolicy` of `@selvage/models`) says so: what came before is void. */
const isRestart = (part: Response.AnyPart): boolean =>
  part.type === "response-metadata" &&
  Predicate.hasProperty(part.metadata, "selvage") &&
  Predicate.hasProperty(part.metadata.selvage, "restarted")

/** A response as it comes, its text told to who listens. */
const told = <E, R>(stream: Stream.Stream<Response.AnyPart, E, R>): Effect.Effect<Answer, E, R> =>
  Effect.suspend(() => {
    const parts: Array<Response.AnyPart> = []
    let text = ""
    const taken = Stream.runForEachArray(stream, (chunk) => {
      const deltas: Array<string> = []
      let restarted = false
      for (const part of chunk) {
        if (isRestart(part)) {
          parts.length = 0
          text = ""
          deltas.length = 0
          restarted = true
        }
        parts.push(part)
        if (part.type === "text-delta") deltas.push(part.delta)
      }
      text += deltas.join("")
      return restarted ? Effect.andThen(Event.restarted, Event.tokens(deltas)) : Event.tokens(deltas)
    })
    return Effect.map(taken, () => ({ parts, text }))
  })

/** The last turn: the answer as a value. The tools are shown, because some providers want those that were called. */
export const answerTurn = <Output, R>(
  options: TurnOptions<R>,
  name: string,
  schema: Schema.Codec<Output, Record<string, unknown>>,
  state: TurnState
) =>
  Effect.flatMap(options.registry, ({ toolkit }) =>
    turn(
      options,
      state,
      (prompt) =>
        Effect.map(
          LanguageModel.generateObject({
            prompt,
            toolkit,
            toolChoice: "none",
            disableToolCallResolution: true,
            schema,
            objectName: name
          }),
          ({ content, text, value }) => ({ parts: content, text, value })
        ),
      ({ parts, value }) => ({ messages: Prompt.fromResponseParts(parts), output: value })
    )
  )

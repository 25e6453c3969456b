import type { LimitReached } from "@selvage/core/Errors"
import * as Event from "@selvage/core/Event"
import * as Limit from "@selvage/core/Limit"
import type { RegistryInvalid } from "@selvage/tools/Errors"
import type * as Registry from "@selvage/tools/Registry"
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

/**
 * What a turn cost in US dollars, by the model's name and its usage; none where the price is not known. Give it
 * `Prices.cost` of `@selvage/models`.
 */
export const Pricing = Context.Reference<(model: string, usage: Response.Usage) => Option.Option<number>>(
  "selvage/agent/Pricing",
  { defaultValue: () => () => Option.none() }
)

interface TurnState {
  readonly messages: Prompt.Prompt
  readonly turns: ReadonlyArray<Limit.Turn>
  readonly turnsBefore: number
}

interface TurnOptions<R> {
  readonly instructions: string
  readonly limit: Limit.Limit
  readonly registry: Effect.Effect<Registry.Registry, RegistryInvalid, R>
}

/** What was in a response, whether it came whole or as a stream. */
interface Answer {
  readonly parts: ReadonlyArray<Response.AnyPart>
  readonly text: string
}

/** One turn: the limit, the model, and what the turn cost. */
const turn = Effect.fnUntraced(function* <A extends Answer, R>(
  { instructions, limit }: Pick<TurnOptions<never>, "instructions" | "limit">,
  { messages, turns, turnsBefore }: TurnState,
  call: (prompt: Prompt.Prompt) => Effect.Effect<A, AiError.AiError, R>
): Effect.fn.Return<{ readonly answer: A; readonly turn: Limit.Turn }, AiError.AiError | LimitReached, R> {
  yield* Limit.check(limit, turns.slice(turnsBefore))
  const startedAt = yield* Clock.currentTimeMillis
  const answer = yield* call(Prompt.setSystem(messages, instructions))
  const endedAt = yield* Clock.currentTimeMillis
  const price = yield* Pricing
  const usage = answer.parts.find((part) => part.type === "finish")?.usage
  const model = answer.parts.findLast((part) => part.type === "response-metadata")?.modelId
  const usd = usage === undefined || model === undefined ? Option.none<number>() : price(model, usage)
  return {
    answer,
    turn: {
      startedAt,
      endedAt,
      inputTokens: usage?.inputTokens.total ?? 0,
      outputTokens: usage?.outputTokens.total ?? 0,
      ...(Option.isSome(usd) ? { usd: usd.value } : {})
    }
  }
})

/** A turn in which the model may call tools. Streams its text to who listens. */
export const modelTurn = Effect.fnUntraced(function* <R>(options: TurnOptions<R>, state: TurnState) {
  const { toolkit } = yield* options.registry
  const { answer, turn: cost } = yield* turn(options, state, (prompt) => {
    const request = { prompt, toolkit, disableToolCallResolution: true, toolCallValidation: "deferred" } as const
    return Effect.flatMap(Event.isListening, (listening) =>
      listening
        ? Stream.runFoldEffect(
            LanguageModel.streamText(request),
            (): { readonly parts: Array<Response.AnyPart>; text: string } => ({ parts: [], text: "" }),
            (answer, part) => {
              answer.parts.push(part)
              if (part.type !== "text-delta") return Effect.succeed(answer)
              answer.text += part.delta
              return Effect.as(Event.token(part.delta), answer)
            }
          )
        : Effect.map(LanguageModel.generateText(request), ({ content, text }) => ({ parts: content, text }))
    )
  })
  return { messages: Prompt.fromResponseParts(answer.parts), text: answer.text, turns: [cost] }
})

/** The last turn: the answer as a value. The tools are shown, because some providers want those that were called. */
export const answerTurn = Effect.fnUntraced(function* <Output, R>(
  options: TurnOptions<R>,
  name: string,
  schema: Schema.Codec<Output, Record<string, unknown>>,
  state: TurnState
) {
  const { toolkit } = yield* options.registry
  const { answer, turn: cost } = yield* turn(options, state, (prompt) =>
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
    )
  )
  return { messages: Prompt.fromResponseParts(answer.parts), output: answer.value, turns: [cost] }
})

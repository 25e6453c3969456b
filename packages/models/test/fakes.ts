import * as Provider from "@selvage/provider/Provider"
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import { runs } from "../../testing/test/measures.ts"

/** One thing that a fake provider does when it is asked. */
export type Step =
  | ReadonlyArray<Response.PartEncoded>
  | AiError.AiError
  | Effect.Effect<ReadonlyArray<Response.PartEncoded>, AiError.AiError>

export const finish = (reason: Response.FinishPartEncoded["reason"] = "stop", input = 100, output = 20) =>
  ({
    type: "finish",
    reason,
    usage: { inputTokens: { uncached: input, total: input }, outputTokens: { total: output, text: output } }
  }) satisfies Response.FinishPartEncoded

export const text = (text: string): ReadonlyArray<Response.PartEncoded> => [{ type: "text", text }, finish()]

export const call = (name: string, params: unknown, id = "call-1"): ReadonlyArray<Response.PartEncoded> => [
  { type: "tool-call", id, name, params },
  finish("tool-calls")
]

const fail = (reason: AiError.AiErrorReason) => AiError.make({ module: "Fake", method: "generateText", reason })

/** Worth a retry. */
export const unavailable = fail(new AiError.InternalProviderError({ description: "out of order" }))

/** Not worth a retry. */
export const forbidden = fail(new AiError.AuthenticationError({ kind: "InvalidKey" }))

const streamed = (parts: ReadonlyArray<Response.PartEncoded>): ReadonlyArray<Response.StreamPartEncoded> =>
  parts.flatMap((part, index): ReadonlyArray<Response.StreamPartEncoded> => {
    if (part.type === "text") {
      const id = `t${index}`
      return [
        { type: "text-start", id },
        ...part.text.split(/(?<= )/).map((delta) => ({ type: "text-delta" as const, id, delta })),
        { type: "text-end", id }
      ]
    }
    return part.type === "reasoning" ? [] : [part]
  })

const run = (step: Step | undefined): Effect.Effect<ReadonlyArray<Response.PartEncoded>, AiError.AiError> =>
  step === undefined
    ? Effect.die(new Error("the fake was asked more often than it has steps"))
    : AiError.isAiError(step)
      ? Effect.fail(step)
      : Effect.isEffect(step)
        ? step
        : Effect.succeed(step)

/** A model that does one step per request, the last one for ever, and keeps what it was asked. */
export const fake = (
  steps: ReadonlyArray<Step>,
  options: {
    readonly codecTransformer?: LanguageModel.CodecTransformer
    readonly streams?: ReadonlyArray<Stream.Stream<Response.StreamPartEncoded, AiError.AiError>>
  } = {}
) => {
  const asked: Array<LanguageModel.ProviderOptions> = []
  const next = <A>(list: ReadonlyArray<A>): A | undefined => list[Math.min(asked.length, list.length) - 1]
  const model = Effect.runSync(
    Provider.make({
      codecTransformer: options.codecTransformer,
      generateText: (request) =>
        Effect.suspend(() => {
          asked.push(request)
          return Effect.map(run(next(steps)), (parts) => [...parts])
        }),
      streamText: (request) =>
        Stream.suspend(() => {
          asked.push(request)
          return options.streams === undefined
            ? Stream.unwrap(Effect.map(run(next(steps)), (parts) => Stream.fromIterable(streamed(parts))))
            : next(options.streams)!
        })
    })
  )
  return { model, asked }
}

/** A law over effects, each with a test clock of its own. */
export const holds = <A>(
  arbitrary: fc.Arbitrary<A>,
  law: (value: A) => Effect.Effect<void, unknown, Scope.Scope>,
  often = 30
): Promise<void> =>
  fc.assert(
    fc.asyncProperty(arbitrary, (value) =>
      Effect.runPromise(
        law(value).pipe(
          Effect.scoped,
          Effect.provideService(References.MinimumLogLevel, "None"),
          Effect.provide(TestClock.layer())
        )
      )
    ),
    { numRuns: runs(often) }
  )

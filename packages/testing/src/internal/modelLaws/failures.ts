/** Laws of failures and of interruption. */
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import {
  type Capability,
  type Draft,
  equal,
  failure,
  gathered,
  holds,
  law,
  type Played,
  textOf,
  Turn,
  using
} from "./stage.ts"

const prompt = "What is a selvage?"
const whole = (played: Played) => Effect.asVoid(using(played, LanguageModel.generateText({ prompt })))
const streamed = (played: Played) => using(played, Stream.runDrain(LanguageModel.streamText({ prompt })))
const both = (played: Played) => [whole(played), streamed(played)]

const status = (code: number, retryable: boolean, ...reasons: ReadonlyArray<AiError.AiErrorReason["_tag"]>): Draft =>
  law(`status ${code} is ${reasons.join(" or ")}${retryable ? ", worth another try" : ""}`, ["statuses"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Failure({ status: code }))
      for (const ask of both(played)) {
        const error = yield* failure("the call", ask, ...reasons)
        yield* equal("worth another try", error.isRetryable, retryable)
      }
    })
  )

const breaks = (name: string, needs: Capability, turn: Turn, reason: AiError.AiErrorReason["_tag"]) =>
  law(name, [needs], (play) =>
    Effect.gen(function* () {
      const played = yield* play(turn)
      yield* failure("the answer", whole(played), reason)
      const { error, parts } = yield* using(played, gathered(LanguageModel.streamText({ prompt })))
      yield* holds("the stream", error?.reason._tag === reason, String(error))
      yield* equal("what came before", textOf(parts), "A selvage")
      yield* equal(
        "its end",
        parts.some((part) => part.type === "finish"),
        false
      )
    })
  )

const interrupted = (name: string, ask: (played: Played) => Effect.Effect<void, AiError.AiError>) =>
  law(name, ["stalls"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Stall({ text: "A selvage" }))
      const fiber = yield* Effect.forkChild(ask(played))
      yield* played.arrived
      yield* Fiber.interrupt(fiber)
      yield* played.released
    })
  )

export const failures: ReadonlyArray<Draft> = [
  status(400, false, "InvalidRequestError"),
  status(401, false, "AuthenticationError"),
  status(403, false, "AuthenticationError"),
  status(404, false, "InvalidRequestError"),
  status(429, true, "RateLimitError"),
  status(500, true, "InternalProviderError"),
  status(503, true, "InternalProviderError"),
  law("a provider that says when to come back is heard", ["statuses", "retry-after"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Failure({ status: 429, retryAfter: 7 }))
      for (const ask of both(played)) {
        const { retryAfter } = yield* failure("the call", ask, "RateLimitError")
        yield* equal("the wait", retryAfter === undefined ? undefined : Duration.toSeconds(retryAfter), 7)
      }
    })
  ),
  law("a provider that does not say when to come back is not made to", ["statuses"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Failure({ status: 500 }))
      const error = yield* failure("the call", whole(played), "InternalProviderError")
      yield* equal("the wait", error.retryAfter, undefined)
    })
  ),
  law("a failed call is one request: to ask again is for others to decide", ["statuses", "bodies"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Failure({ status: 503 }))
      for (const ask of both(played)) yield* failure("the call", ask, "InternalProviderError")
      yield* equal("the requests", (yield* played.received).length, 2)
    })
  ),
  law("a call after a failure is as any other", ["statuses"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Failure({ status: 500 }), Turn.Answer({ text: "Well again." }))
      yield* failure("the first", whole(played), "InternalProviderError")
      yield* equal("the second", (yield* using(played, LanguageModel.generateText({ prompt }))).text, "Well again.")
    })
  ),
  breaks(
    "an answer that was cut is an error, never a short answer",
    "cuts",
    Turn.Cut({ text: "A selvage" }),
    "NetworkError"
  ),
  breaks(
    "an answer that is not JSON is an error, not a defect",
    "malformed",
    Turn.Malformed({ text: "A selvage" }),
    "InvalidResponseError"
  ),
  interrupted("interrupting a call closes its request", whole),
  interrupted("interrupting a stream closes its request", streamed),
  law("leaving a stream closes its request", ["stalls"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Stall({ text: "A selvage" }))
      yield* using(played, LanguageModel.streamText({ prompt }).pipe(Stream.take(1), Stream.runDrain))
      yield* played.released
    })
  )
]

/** What the laws of models are written with: turns as data, the stage that plays them, and small checks. */
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { LawBroken } from "../laws/law.ts"

export { equal, LawBroken } from "../laws/law.ts"

/** What a model thought, and the proof of it that the provider wants back. */
export interface Thought {
  readonly text: string
  readonly signature: string
}

/** A tool call as a model makes it. */
export interface Call {
  readonly id: string
  readonly name: string
  /** JSON, or what a model takes for it. */
  readonly arguments: string
}

/** Tokens as a provider counts them. */
export interface Usage {
  /** All input, cached or not. */
  readonly input: number
  /** Of the input, what came from a cache. */
  readonly cached: number
  /** All output, reasoning included. */
  readonly output: number
}

/** What a provider does with one request. A stage puts it into the provider's wire. */
export type Turn = Data.TaggedEnum<{
  /** It answers, in this order: thought, text, calls. `length` is an answer that met its limit of tokens. */
  Answer: {
    readonly thought?: Thought | undefined
    readonly text?: string | undefined
    readonly calls?: ReadonlyArray<Call> | undefined
    readonly stop?: "length" | undefined
    readonly usage?: Usage | undefined
  }
  /** It answers that it will not. */
  Refusal: { readonly text: string }
  /** It answers with an error; `retryAfter` in seconds. */
  Failure: { readonly status: number; readonly retryAfter?: number | undefined }
  /** It begins an answer with this text, and the connection breaks. */
  Cut: { readonly text: string }
  /** It begins an answer with this text, then is silent. A whole answer is silent after its headers. */
  Stall: { readonly text: string }
  /** It answers with what is not JSON, in a stream after this text. */
  Malformed: { readonly text: string }
}>
export const Turn = Data.taggedEnum<Turn>()

/** A model whose provider plays turns. */
export interface Played {
  readonly model: LanguageModel.LanguageModel
  /** The bodies of the requests so far. */
  readonly received: Effect.Effect<ReadonlyArray<Schema.Json>>
  /** Waits until a request has arrived. */
  readonly arrived: Effect.Effect<void>
  /** Waits until no request is under way and no connection of an aborted one is open. */
  readonly released: Effect.Effect<void>
}

/** Plays a provider: a server on loopback, for one. */
export class Stage extends Context.Service<
  Stage,
  {
    /** A provider that plays the turns in order, one for each request, the last for ever. */
    readonly play: (...turns: ReadonlyArray<Turn>) => Effect.Effect<Played, never, Scope.Scope>
  }
>()("selvage/testing/LanguageModelLaws/Stage") {}

/** What not every provider, or not every stage, can do. */
export type Capability =
  | "tools"
  | "objects"
  | "reasoning"
  /** Takes back what it thought, with its signature. */
  | "reasoning-back"
  | "images"
  | "image-urls"
  | "files"
  | "refusals"
  /** Says that an answer met its limit. */
  | "length"
  /** Reports the usage it is told to. */
  | "usage"
  | "cached-usage"
  /** Fails with statuses of HTTP. */
  | "statuses"
  /** Says when to come back. */
  | "retry-after"
  | "cuts"
  | "stalls"
  | "malformed"
  /** Calls with arguments that are not JSON. */
  | "malformed-arguments"
  /** Keeps the bodies of requests. */
  | "bodies"
  /** Keeps the schemas of objects in them. */
  | "schemas"
  /** Refuses what the real API refuses. */
  | "strict"

/** A sentence about models, and an effect that fails where it does not hold. */
export interface Law {
  readonly name: string
  /** Why the law does not concern this provider, if it was declared so. */
  readonly excluded: string | undefined
  readonly check: Effect.Effect<void, unknown, Stage>
}

/** A law before the capabilities of a provider are known. */
export interface Draft {
  readonly name: string
  readonly needs: ReadonlyArray<Capability>
  readonly check: Effect.Effect<void, unknown, Stage>
}

type Play = (...turns: ReadonlyArray<Turn>) => Effect.Effect<Played, never, Scope.Scope>

export const law = (
  name: string,
  needs: ReadonlyArray<Capability>,
  check: (play: Play) => Effect.Effect<void, unknown, Scope.Scope>
): Draft => ({ name, needs, check: Effect.scoped(Effect.flatMap(Stage, ({ play }) => check(play))) })

/** Asks the model of a played provider. */
export const using = <A, E, R>(
  { model }: Played,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, LanguageModel.LanguageModel>> =>
  Effect.provideService(effect, LanguageModel.LanguageModel, model)

export const holds = (what: string, condition: boolean, actual: unknown): Effect.Effect<void, LawBroken> =>
  condition
    ? Effect.void
    : Effect.fail(new LawBroken({ what, expected: "true of it", actual: JSON.stringify(actual) ?? "undefined" }))

/** What an effect fails with, which must be an `AiError` of one of the reasons. */
export const failure = <A, E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>,
  ...reasons: ReadonlyArray<AiError.AiErrorReason["_tag"]>
): Effect.Effect<AiError.AiError, LawBroken, R> =>
  Effect.matchEffect(Effect.sandbox(effect), {
    onSuccess: (value) =>
      Effect.fail(new LawBroken({ what, expected: reasons.join(" or "), actual: JSON.stringify(value) ?? "success" })),
    onFailure: (cause) => {
      const [reason] = cause.reasons
      const error = reason?._tag === "Fail" ? reason.error : undefined
      return AiError.isAiError(error) && reasons.includes(error.reason._tag)
        ? Effect.succeed(error)
        : Effect.fail(new LawBroken({ what, expected: reasons.join(" or "), actual: String(error ?? cause) }))
    }
  })

/** What a stream gave before it ended or failed, and what it failed with. */
export const gathered = <A, E, R>(
  stream: Stream.Stream<A, E, R>
): Effect.Effect<{ readonly parts: ReadonlyArray<A>; readonly error: E | undefined }, never, R> =>
  Effect.suspend(() => {
    const parts: Array<A> = []
    return Effect.match(
      Stream.runForEach(stream, (part) => Effect.sync(() => void parts.push(part))),
      { onSuccess: () => ({ parts, error: undefined }), onFailure: (error) => ({ parts, error }) }
    )
  })

/** All text of a whole answer or of a stream. */
export const textOf = (parts: ReadonlyArray<Response.AnyPart>): string =>
  parts.map((part) => (part.type === "text" ? part.text : part.type === "text-delta" ? part.delta : "")).join("")

/** All reasoning of a whole answer or of a stream. */
export const thoughtOf = (parts: ReadonlyArray<Response.AnyPart>): string =>
  parts
    .map((part) => (part.type === "reasoning" ? part.text : part.type === "reasoning-delta" ? part.delta : ""))
    .join("")

/** The calls of a whole answer or of a stream. */
export const callsOf = (parts: ReadonlyArray<Response.AnyPart>) =>
  parts.flatMap((part) => (part.type === "tool-call" ? [{ id: part.id, name: part.name, params: part.params }] : []))

/** The end of a whole answer or of a stream. */
export const finishOf = (parts: ReadonlyArray<Response.AnyPart>) => {
  const found = parts.find((part) => part.type === "finish")
  return found === undefined
    ? undefined
    : { reason: found.reason, input: found.usage.inputTokens, output: found.usage.outputTokens }
}

/**
 * Middleware: what is put around a `LanguageModel`, any `LanguageModel`, also one that is not ours.
 *
 * A {@link Middleware} is a function from {@link Next} to {@link Next}: it sees one {@link Call} of a model (prompt, tools,
 * object schema) and what is below, as an answer or as a stream of parts. It may change the call, refuse it, repeat it,
 * replay an old answer or observe the usage.
 *
 * A middleware stands *below* the tools. {@link apply} asks the model with `disableToolCallResolution`, gives it the tools
 * without their handlers, and lets `LanguageModel.make` resolve the tool calls above all middleware, once, with the
 * handlers of the caller. So a retry repeats the request and nothing else, and no schedule of failures runs a tool twice.
 *
 * - Parts are in their encoded form, which is data: it can be stored, compared and replayed.
 * - A structured answer is one text part: JSON of the asked schema (`Schema.toCodecJson`), whatever the provider's form was.
 * - Applied to a model that has middleware already, a middleware joins it: parts are decoded once, not once per layer.
 *
 * **Gotchas**
 *
 * - Above all middleware stands one span `LanguageModel.*`, below it one for each time the model is asked.
 * - A model that ignores `disableToolCallResolution` and runs tools itself fails with `ToolConfigurationError`: it is not
 *   safe to stand around it.
 * - Malformed arguments of a tool call reach the toolkit, which answers as its `failureMode` says.
 * - An object that was asked for together with tools must be in the answer that calls them, else the call fails before a
 *   tool runs.
 *
 * **Example**
 *
 * ```ts
 * import * as Middleware from "@selvage/models/Middleware"
 * import * as Offline from "@selvage/models/Offline"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const counted = Middleware.around({
 *   before: () => Effect.void,
 *   after: (_, { usage }) => Effect.logDebug(`used ${usage?.outputTokens.total ?? "an unknown number of"} tokens`)
 * })
 *
 * export const program = LanguageModel.generateText({ prompt: "What is a selvage?" }).pipe(
 *   Effect.provide(Middleware.layer(counted).pipe(Layer.provide(Offline.layer)))
 * )
 * ```
 */
import * as Provider from "@selvage/provider/Provider"
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Model from "effect/ai/Model"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import type * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Span } from "effect/Tracer"
import { bottom, jsonCodec } from "./internal/bottom.ts"

/** One request to a model. */
export interface Call {
  readonly method: "generateText" | "generateObject" | "streamText"
  readonly prompt: Prompt.Prompt
  /** What the tools are; their handlers are out of reach. */
  readonly tools: ReadonlyArray<Tool.Any>
  readonly toolChoice: LanguageModel.ToolChoice<string>
  /** The object that was asked for, if one was. */
  readonly object: { readonly name: string; readonly schema: Schema.Top } | undefined
  /** `deferred`: calls of tools that do not exist are part of the answer. */
  readonly toolCallValidation: "strict" | "deferred"
  /** The span of the whole call, above all middleware. */
  readonly span: Span
}

/** A whole answer. */
export type Answer = Array<Response.PartEncoded>

/** A part of a streamed answer. */
export type Part = Response.StreamPartEncoded

/** What is known of the models below. */
export interface Subject {
  readonly role: string | undefined
  /** As `provider:model`, in the order in which they are asked; empty for a model that nobody named. */
  readonly models: ReadonlyArray<string>
  /** What they were made with, as far as it shapes an answer and is known: data, such as a temperature. */
  readonly settings?: ReadonlyArray<unknown> | undefined
}

/** What is known of several models together. */
export const together = (subjects: ReadonlyArray<Subject>): Omit<Subject, "role"> => {
  const settings = subjects.flatMap((subject) => subject.settings ?? [])
  return {
    models: subjects.flatMap((subject) => subject.models),
    ...(settings.length === 0 ? {} : { settings })
  }
}

/** What is below a middleware. */
export interface Next {
  readonly subject: Subject
  readonly supportsSystemMessagesInHistory: Effect.Effect<boolean> | undefined
  readonly generate: (call: Call) => Effect.Effect<Answer, AiError.AiError>
  /** A stream that ends without a `finish` part was cut; the stream's scope is the request's. */
  readonly stream: (call: Call) => Stream.Stream<Part, AiError.AiError>
}

/** What is put around a model. */
export type Middleware = (next: Next) => Next

/** How a call ended. */
export interface Outcome {
  /** Success also for a stream that its reader left before its end; see `finish`. */
  readonly exit: Exit.Exit<unknown, AiError.AiError>
  /** What the provider said at the end; `undefined` for a call that failed, was interrupted or was left. */
  readonly finish: Response.FinishPartEncoded | undefined
  /** The usage of `finish`. */
  readonly usage: Response.FinishPartEncoded["usage"] | undefined
  /** Whether content was given before the end: a call with `content` and without `usage` was billed all the same. */
  readonly content: boolean
}

/** Whether a part is content, rather than an announcement of a response. */
export const isContent = (part: { readonly type: string }): boolean => part.type !== "response-metadata"

/** A middleware that does nothing. */
export const none: Middleware = (next) => next

/** Several as one, the first outermost. */
export const compose =
  (...middlewares: ReadonlyArray<Middleware>): Middleware =>
  (next) =>
    middlewares.reduceRight((below, middleware) => middleware(below), next)

/** Changes or refuses calls on their way down. */
export const mapCall =
  (f: (call: Call, subject: Subject) => Effect.Effect<Call, AiError.AiError>): Middleware =>
  (next) => ({
    ...next,
    generate: (call) => Effect.flatMap(f(call, next.subject), next.generate),
    stream: (call) => Stream.unwrap(Effect.map(f(call, next.subject), next.stream))
  })

/**
 * Does something before a call and after it, once each, for whole answers and streams alike. `after` runs whatever
 * happens: success, failure, interruption, a reader that left. `before` is not interruptible but where it says so
 * (`Effect.interruptible`), and a call that it refuses has no `after`.
 */
export const around =
  <Held>(options: {
    readonly before: (call: Call, subject: Subject) => Effect.Effect<Held, AiError.AiError>
    readonly after: (held: Held, outcome: Outcome, call: Call) => Effect.Effect<void>
  }): Middleware =>
  (next) => ({
    ...next,
    generate: (call) =>
      Effect.acquireUseRelease(
        options.before(call, next.subject),
        () => next.generate(call),
        (held, exit) => {
          const answer = exit._tag === "Success" ? exit.value : []
          const finish = answer.find((part) => part.type === "finish")
          return options.after(
            held,
            { exit, finish, usage: finish?.usage, content: answer.some((part) => isContent(part) && part !== finish) },
            call
          )
        }
      ),
    stream: (call) =>
      Stream.suspend(() => {
        let finish: Response.FinishPartEncoded | undefined
        let content = false
        return Stream.unwrap(
          Effect.as(
            Effect.acquireRelease(options.before(call, next.subject), (held, exit) =>
              options.after(
                held,
                { exit: exit as Exit.Exit<unknown, AiError.AiError>, finish, usage: finish?.usage, content },
                call
              )
            ),
            Stream.mapArray(next.stream(call), (parts) => {
              for (const part of parts) {
                if (part.type === "finish") finish = part
                else if (!content) content = isContent(part)
              }
              return parts
            })
          )
        )
      })
  })

const known = new WeakMap<LanguageModel.LanguageModel, Next>()

/** A model as what is below a middleware: one turn, with no tool run. */
export const toNext = (model: LanguageModel.LanguageModel): Next => known.get(model) ?? bottom(model)

/** What is known of a model. */
export const subjectOf = (model: LanguageModel.LanguageModel): Subject => toNext(model).subject

const callOf = (options: LanguageModel.ProviderOptions, streaming: boolean): Call => {
  const format = options.responseFormat
  return {
    method: format.type === "json" ? "generateObject" : streaming ? "streamText" : "generateText",
    prompt: options.prompt,
    tools: options.tools,
    toolChoice: options.toolChoice,
    object: format.type === "json" ? { name: format.objectName, schema: format.schema } : undefined,
    toolCallValidation: options.toolCallValidation ?? "strict",
    span: options.span
  }
}

/** A model whose answers are given by what is below: tools are resolved here, once. */
export const fromNext = (next: Next): Effect.Effect<LanguageModel.LanguageModel> =>
  Effect.map(
    Provider.make({
      codecTransformer: jsonCodec,
      supportsSystemMessagesInHistory: next.supportsSystemMessagesInHistory,
      generateText: (options) => next.generate(callOf(options, false)),
      streamText: (options) => next.stream(callOf(options, true))
    }),
    (model) => {
      known.set(model, next)
      return model
    }
  )

/** A model with middleware around it, the first outermost. */
export const apply = (
  model: LanguageModel.LanguageModel,
  ...middlewares: ReadonlyArray<Middleware>
): Effect.Effect<LanguageModel.LanguageModel> => Effect.suspend(() => fromNext(compose(...middlewares)(toNext(model))))

/** Says what a model is, for what is around it: prices, breakers and limits go by the name. Settings are added to those that are known. */
export const named =
  (subject: Partial<Subject>): Middleware =>
  (next) => {
    const { settings = [] } = next.subject
    const all = [...settings, ...(subject.settings ?? [])]
    return { ...next, subject: { ...next.subject, ...subject, ...(all.length === 0 ? {} : { settings: all }) } }
  }

// The names that `effect/ai/Model` puts beside a model.
const nameFromContext = Effect.gen(function* () {
  const provider = yield* Effect.serviceOption(Model.ProviderName)
  const model = yield* Effect.serviceOption(Model.ModelName)
  return Option.isSome(provider) && Option.isSome(model) ? [`${provider.value}:${model.value}`] : []
})

/** Puts middleware around the `LanguageModel` below; compose with `Layer.provide`. */
export const layer = <E = never, R = never>(
  middleware: Middleware | Effect.Effect<Middleware, E, R>
): Layer.Layer<LanguageModel.LanguageModel, E, Exclude<R, Scope.Scope> | LanguageModel.LanguageModel> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.gen(function* () {
      const model = yield* LanguageModel.LanguageModel
      const made = Effect.isEffect(middleware) ? yield* middleware : middleware
      const models = toNext(model).subject.models
      return yield* apply(model, made, named({ models: models.length > 0 ? models : yield* nameFromContext }))
    })
  )

/**
 * Fallback: several models as one. The next is asked when the former fails with an `AiError`, but never once a tool has
 * run or a stream has emitted content: what has had an effect is not done over by another model.
 */
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"

/** A model and the name to speak of it. */
export interface Named {
  readonly name: string
  readonly model: LanguageModel.LanguageModel
}

type Request = LanguageModel.GenerateObjectOptions<never, never>
type Handled = Toolkit.WithHandler<never>
type Part = { readonly type: string }

/** A request whose tools report that they were started. */
const watch = (options: Request): { readonly options: Request; readonly acted: () => boolean } => {
  let started = false
  const toolkit: unknown = options.toolkit
  if (toolkit === undefined) return { options, acted: () => false }
  const wrap = (inner: Handled): Handled => ({
    ...inner,
    handle: (...parameters) => {
      started = true
      return inner.handle(...parameters)
    }
  })
  const watched = Effect.isEffect(toolkit)
    ? Effect.map(toolkit as Effect.Effect<Handled>, wrap)
    : wrap(toolkit as Handled)
  return { options: { ...options, toolkit: watched as Request["toolkit"] }, acted: () => started }
}

const isAiError = (error: unknown): error is AiError.AiError => Predicate.isTagged(error, "AiError")

const note = (from: Named, to: Named, error: AiError.AiError) =>
  Effect.logWarning(`model ${from.name} failed, asking ${to.name}: ${error.message}`)

type Ask<A> = (model: LanguageModel.LanguageModel, options: Request) => Effect.Effect<A, unknown>

const attempt = <A>(
  models: ReadonlyArray<Named>,
  options: Request,
  ask: Ask<A>,
  index = 0
): Effect.Effect<A, unknown> =>
  Effect.suspend(() => {
    const current = models[index]!
    const next = models[index + 1]
    if (next === undefined) return ask(current.model, options)
    const watched = watch(options)
    return Effect.catchIf(
      ask(current.model, watched.options),
      (error): error is AiError.AiError => isAiError(error) && !watched.acted(),
      (error) => Effect.andThen(note(current, next, error), attempt(models, options, ask, index + 1))
    )
  })

const attemptStream = (models: ReadonlyArray<Named>, options: Request, index = 0): Stream.Stream<Part, unknown> =>
  Stream.suspend(() => {
    const current = models[index]!
    const next = models[index + 1]
    const ask = (request: Request) => current.model.streamText(request as never) as Stream.Stream<Part, unknown>
    if (next === undefined) return ask(options)
    const watched = watch(options)
    // What announces the response is held back until there is content, so that a model that fails before leaves no trace.
    let held: Array<Part> | undefined = []
    const release = (): ReadonlyArray<Part> => {
      const parts = held ?? []
      held = undefined
      return parts
    }
    return ask(watched.options).pipe(
      Stream.flatMap((part) => {
        if (held === undefined) return Stream.succeed(part)
        if (part.type === "response-metadata") {
          held.push(part)
          return Stream.empty
        }
        return Stream.fromIterable([...release(), part])
      }),
      Stream.concat(Stream.suspend(() => Stream.fromIterable(release()))),
      Stream.catchIf(
        (error): error is AiError.AiError => isAiError(error) && held !== undefined && !watched.acted(),
        (error) =>
          Stream.concat(
            Stream.drain(Stream.fromEffect(note(current, next, error))),
            attemptStream(models, options, index + 1)
          )
      )
    )
  })

/** One model out of several, asked in order. */
export const fallback = (models: readonly [Named, ...ReadonlyArray<Named>]): LanguageModel.LanguageModel => {
  if (models.length === 1) return models[0].model
  const ordered: ReadonlyArray<Named> = models
  // The public signatures depend on the options by conditional types, which no generic code can produce; the parts that
  // come back are those of a model with the same signatures.
  const service = {
    [LanguageModel.TypeId]: LanguageModel.TypeId,
    supportsSystemMessagesInHistory: Effect.map(
      Effect.forEach(ordered, ({ model }) => model.supportsSystemMessagesInHistory ?? Effect.succeed(false)),
      (answers) => answers.every((answer) => answer)
    ),
    generateText: (options: Request) =>
      attempt(
        ordered,
        options,
        (model, request) => model.generateText(request as never) as Effect.Effect<unknown, unknown>
      ),
    generateObject: (options: Request) =>
      attempt(
        ordered,
        options,
        (model, request) => model.generateObject(request as never) as unknown as Effect.Effect<unknown, unknown>
      ),
    streamText: (options: Request) => attemptStream(ordered, options)
  }
  return service as unknown as LanguageModel.LanguageModel
}

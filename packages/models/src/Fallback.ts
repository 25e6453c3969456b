/**
 * Fallback: several models as one. The next is asked when the former has failed, its retries included, or when its circuit
 * is open; what it gives is as if it had been asked alone.
 *
 * It runs an `ExecutionPlan`, one step per model. {@link plan} gives the same models as a plan for whole programs:
 * `Effect.withExecutionPlan` then repeats all of the program, tools included.
 *
 * - The tools of a call run above all models, once: they never make a model fail, nor run twice for a second model.
 * - A stream that gave content is not begun again by another model, unless `onPartial` is `restart`; then the parts have a
 *   mark, see `ModelPolicy`. A stream that called a tool never is.
 * - Each change of model is a warning in the log and an event `selvage.model.fallback` of the call's span.
 *
 * **Gotchas**
 *
 * - By default every failure leads to the next model, also one that the next will have too, for another may know better: a
 *   longer context, another policy. `when` decides otherwise.
 * - A deadline belongs around the fallback, a breaker and retries inside, one for each model.
 *
 * **Example**
 *
 * ```ts
 * import * as Fallback from "@selvage/models/Fallback"
 * import * as ModelPolicy from "@selvage/models/ModelPolicy"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 * import * as Effect from "effect/Effect"
 * import type * as Layer from "effect/Layer"
 *
 * export const either = Effect.fnUntraced(function* (
 *   first: Layer.Layer<LanguageModel.LanguageModel>,
 *   second: Layer.Layer<LanguageModel.LanguageModel>
 * ) {
 *   const one = yield* Effect.provide(LanguageModel.LanguageModel, first)
 *   const two = yield* Effect.provide(LanguageModel.LanguageModel, second)
 *   return yield* Fallback.make([one, two], { when: ModelPolicy.isFault })
 * })
 * ```
 */
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ExecutionPlan from "effect/ExecutionPlan"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { nothing, noting, open } from "./internal/partial.ts"
import { type OnPartial, report, restarting } from "./internal/retrying.ts"
import * as Middleware from "./Middleware.ts"

/** Options of a fallback. */
export interface Options {
  /** Whether the next model is asked after this error; default always. */
  readonly when?: ((error: AiError.AiError) => boolean) | undefined
  /** What to do when a stream fails after it gave content; default `fail`. */
  readonly onPartial?: OnPartial | undefined
}

/** At least one. */
export type Several<A> = readonly [A, ...ReadonlyArray<A>]

class Target extends Context.Service<Target, { readonly next: Middleware.Next; readonly index: number }>()(
  "selvage/models/Fallback/Target"
) {}

type Ask<A, R> = Effect.Effect<A, AiError.AiError, R>

type Plan = ExecutionPlan.ExecutionPlan<{
  provides: Target
  input: AiError.AiError
  error: never
  requirements: never
}>

const nameOf = (next: Middleware.Next): string => next.subject.models.join("|") || "an unnamed model"

const always = () => true

/** Several things below a middleware as one. */
export const next = (several: Several<Middleware.Next>, options: Options = {}): Middleware.Next => {
  if (several.length === 1) return several[0]
  const when = options.when ?? always
  const steps = several.map((below, index) => Target.context({ next: below, index }))

  /** The steps from one on: its first model is asked whatever failed before. */
  const planFrom = (start: number): Plan =>
    ExecutionPlan.make<Several<ExecutionPlan.make.Step>>(
      { provide: steps[start]! },
      ...steps.slice(start + 1).map((provide) => ({ provide, while: when }))
    ) as unknown as Plan
  const plans = steps.map((_, start) => planFrom(start))

  const note = (call: Middleware.Call, index: number, error: AiError.AiError) => {
    const from = nameOf(several[index]!)
    const to = nameOf(several[index + 1]!)
    return Effect.andThen(
      Effect.logWarning(`${from} failed, asking ${to}: ${error.message}`),
      report(call, "selvage.model.fallback", {
        "selvage.model.from": from,
        "selvage.model.to": to,
        "error.message": error.message
      })
    )
  }

  const follow = <A, R>(call: Middleware.Call, start: number, ask: (target: Target["Service"]) => Ask<A, R>) =>
    Effect.withExecutionPlan(Effect.flatMap(Target, ask), plans[start]!, {
      onEvent: (event) => {
        if (event._tag !== "AttemptFailure") return Effect.void
        const index = start + event.stepIndex
        const error = Option.getOrUndefined(Cause.findErrorOption(event.cause))
        return error === undefined || index + 1 === several.length || !when(error)
          ? Effect.void
          : note(call, index, error)
      }
    })

  const openFrom = (
    call: Middleware.Call,
    start: number
  ): Ask<Stream.Stream<Middleware.Part, AiError.AiError>, Scope.Scope> =>
    Effect.map(
      follow(call, start, ({ index, next: below }) =>
        Effect.map(open(below.stream(call)), (opened) => ({ ...opened, index }))
      ),
      ({ close, index, stream }) => {
        if (options.onPartial !== "restart" || index + 1 === several.length) return stream
        const progress = nothing()
        return Stream.catch(noting(stream, progress), (error) => {
          if (progress.called || !when(error)) return Stream.fail(error)
          const again = close.pipe(Effect.andThen(note(call, index, error)), Effect.andThen(openFrom(call, index + 1)))
          const from = nameOf(several[index]!)
          return Stream.unwrap(Effect.map(again, (parts) => restarting(call, from, error, parts)))
        })
      }
    )

  return {
    subject: { role: several[0].subject.role, ...Middleware.together(several.map(({ subject }) => subject)) },
    supportsSystemMessagesInHistory: Effect.map(
      Effect.forEach(several, (below) => below.supportsSystemMessagesInHistory ?? Effect.succeed(false)),
      (answers) => answers.every((answer) => answer)
    ),
    generate: (call) => follow(call, 0, (target) => target.next.generate(call)),
    stream: (call) => Stream.unwrap(openFrom(call, 0))
  }
}

/** Several models as one. */
export const make = (
  models: Several<LanguageModel.LanguageModel>,
  options: Options = {}
): Effect.Effect<LanguageModel.LanguageModel> => {
  const [first, ...rest] = models
  return Effect.suspend(() =>
    Middleware.fromNext(next([Middleware.toNext(first), ...rest.map(Middleware.toNext)], options))
  )
}

/** The models as a plan, for `Effect.withExecutionPlan` around a program of your own. */
export const plan = (
  models: Several<LanguageModel.LanguageModel>
): ExecutionPlan.ExecutionPlan<{
  provides: LanguageModel.LanguageModel
  input: unknown
  error: never
  requirements: never
}> => {
  const [first, ...rest] = models.map((model) => ({ provide: LanguageModel.LanguageModel.context(model) }))
  return ExecutionPlan.make(first!, ...rest) as never
}

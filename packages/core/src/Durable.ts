/**
 * Pieces of a task that must not be made twice. A node whose process dies runs again from its beginning; what stands
 * in the journal is not repeated.
 *
 * - {@link once}: the result of a piece is journaled; a resumed task takes it from there.
 * - {@link call}: for calls that change the world. The *intent* is journaled before the call. If the process dies
 *   between intent and result, nobody knows whether the call was made: it is never repeated in silence. The caller
 *   says how to find out (`reconcile`), or a person is asked ({@link Uncertain}).
 *
 * **Gotchas**
 *
 * A call that failed with an error, timed out or was interrupted leaves an intent without a result too: the error does not say
 * that nothing was done. A retry of the task looks into it (`reconcile`, or a person). Where an error is proof that the call
 * was not made, return it as a value of the schema, so that it is recorded, or let `reconcile` give `None`.
 *
 * Without a thread (`Graph.run`) both simply run the effect.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Ask from "./Ask.ts"
import { encodeBounded, jsonIssue } from "./internal/bounded.ts"
import { NodeContractViolated } from "./Errors.ts"
import * as Task from "./Task.ts"

/**
 * What a person is asked about a call whose outcome nobody knows: `repeat` it, or take it as `made` with a `result`.
 */
export const Uncertain = Ask.make("uncertain", {
  kind: "uncertain",
  question: Schema.Struct({ key: Schema.String, detail: Schema.Json }),
  answer: Schema.Union([
    Schema.Struct({ decision: Schema.Literal("repeat") }),
    Schema.Struct({ decision: Schema.Literal("made"), result: Schema.Json })
  ])
})

/** What an ask or a journaled piece adds to the errors of an effect. */
export type Failure = Task.JournalFailure | NodeContractViolated

const codec = <A, I>(task: Task.Task, key: string, schema: Schema.Codec<A, I>) => {
  const json = Schema.toCodecJson(schema)
  const violated = ({ message }: { readonly message: string }) =>
    new NodeContractViolated({ node: task.node, part: `the durable piece "${key}"`, issue: message })
  return {
    bounded: (value: unknown) => {
      const message = jsonIssue(value)
      return message === undefined ? Effect.void : Effect.fail(violated({ message }))
    },
    encode: (value: A) => Effect.mapError(encodeBounded(json, value), violated),
    decode: (value: Schema.Json) => Effect.mapError(Schema.decodeEffect(json)(value), violated)
  }
}

/** Runs the effect once per task: its result is journaled under `key`, and a resumed task does not repeat it. */
export const once = Effect.fnUntraced(function* <A, I, E, R>(
  key: string,
  schema: Schema.Codec<A, I>,
  effect: Effect.Effect<A, E, R>
): Effect.fn.Return<A, E | Failure, R> {
  const task = yield* Task.Current
  if (task?.thread === undefined) return yield* effect
  const { decode, encode } = codec(task, key, schema)
  const recorded = task.recorded(key)
  if (recorded !== undefined) return yield* decode(recorded)
  const value = yield* effect
  yield* task.record(key, yield* encode(value))
  return value
})

/** What the journal holds of a piece of the current task; `None` where it was not made. */
export const recorded = Effect.fnUntraced(function* <A, I>(
  key: string,
  schema: Schema.Codec<A, I>
): Effect.fn.Return<Option.Option<A>, NodeContractViolated> {
  const task = yield* Task.Current
  const json = task?.recorded(key)
  return task === undefined || json === undefined
    ? Option.none()
    : yield* Effect.asSome(codec(task, key, schema).decode(json))
})

/** What is asked about an uncertain call: as it was asked before, also where the program words it differently now. */
export const uncertainQuestion = (
  task: Task.Task,
  name: string,
  key: string,
  detail: Schema.Json
): typeof Uncertain.question.Type =>
  task
    .asked(name)
    .find((asked): asked is { readonly key: string; readonly detail: Schema.Json } => isAbout(asked, key)) ?? {
    key,
    detail
  }

const isAbout = (question: Schema.Json, key: string): boolean =>
  typeof question === "object" && question !== null && "key" in question && question.key === key && "detail" in question

/**
 * What a `reconcile` finds of an intended call, once it can be believed. What was sent may still arrive, so `None` is asked
 * for again after the time of a lease (`Lease.Ttl`) has passed since the attempt ended.
 */
export const settled = Effect.fnUntraced(function* <A, E, R>(
  key: string,
  reconcile: Effect.Effect<Option.Option<A>, E, R>
): Effect.fn.Return<Option.Option<A>, E, R> {
  const found = yield* reconcile
  const task = yield* Task.Current
  const millis = task === undefined || Option.isSome(found) ? 0 : yield* task.unsettled(key)
  if (millis <= 0) return found
  yield* Effect.sleep(millis)
  return yield* reconcile
})

/**
 * Makes a call that must never be repeated in silence.
 *
 * With a journaled result it gives that result. With an intent but no result (the process died, or the call failed, timed out
 * or was interrupted), `reconcile` finds out whether the call was made (`Some` its result, `None` it was not and is made now);
 * without `reconcile` a person is asked.
 *
 * Of two runs of a thread one makes the call. The other fails with `JournalConflict` while the first is at work; if that one
 * is gone, it waits until its lease has expired (`Lease.Ttl`, 10 seconds), and only then finds out. `None` is believed when that
 * time has passed since the attempt ended.
 */
export const call = Effect.fnUntraced(function* <A, I, E, R, E2 = never, R2 = never>(options: {
  readonly key: string
  /** What a person needs to see to decide. */
  readonly detail: Schema.Json
  readonly schema: Schema.Codec<A, I>
  readonly call: Effect.Effect<A, E, R>
  readonly reconcile?: Effect.Effect<Option.Option<A>, E2, R2> | undefined
  /** Whether `None` of `reconcile` is believed `"at once"`, as of one that asks a person, or once {@link settled} (default). */
  readonly believe?: "settled" | "at once" | undefined
}): Effect.fn.Return<A, E | E2 | Failure | Task.Suspended, R | R2> {
  const task = yield* Task.Current
  if (task?.thread === undefined) return yield* options.call
  const { bounded, decode, encode } = codec(task, options.key, options.schema)
  const recorded = task.recorded(options.key)
  if (recorded !== undefined) return yield* decode(recorded)
  if (task.intended(options.key)) {
    yield* task.takeOver(options.key)
    const found =
      options.reconcile === undefined
        ? yield* askWhatHappened(task, options.key, options.detail).pipe(
            Effect.flatMap((result) =>
              Option.isNone(result) ? Effect.succeedNone : Effect.asSome(decode(result.value))
            )
          )
        : options.believe === "at once"
          ? yield* options.reconcile
          : yield* settled(options.key, options.reconcile)
    if (Option.isSome(found)) {
      yield* task.record(options.key, yield* encode(found.value))
      return found.value
    }
  }
  yield* bounded(options.detail)
  yield* task.intend(options.key, options.detail)
  // From here to the record an interruption would lose what the call did, so only the call itself can be interrupted.
  return yield* Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(task.calling(options.key, options.call)), (value) =>
      Effect.as(
        Effect.flatMap(encode(value), (json) => task.record(options.key, json)),
        value
      )
    )
  )
})

const askWhatHappened = (task: Task.Task, key: string, detail: Schema.Json) =>
  Effect.map(Ask.ask(Uncertain, uncertainQuestion(task, Uncertain.name, key, detail)), (answer) =>
    answer.decision === "made" ? Option.some(answer.result) : Option.none<Schema.Json>()
  )

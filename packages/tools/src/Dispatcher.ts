/**
 * Runs the tool calls of a model.
 *
 * A call goes through: look-up, arguments by the tool's schema, approval where the tool needs it, then the handler under
 * its policy. Whatever goes wrong on that way is the outcome of the call, for the model to read, never a failure of the
 * caller. What remains in the error channel belongs to the runtime: a task that waits for an answer, a journal that is
 * not there, a broken contract.
 *
 * - `Readonly` and `Idempotent` tools run directly, with the retries of their policy; a restarted task runs them again.
 * - Other tools are never repeated in silence (`Durable.call`): intent and outcome are journaled, retries do not apply,
 *   and after a crash between the two, or a timeout, the plugin's `reconcile` finds out what happened, or a person is asked.
 *
 * **Gotchas**
 *
 * - A handler's defect is a bug in the program and stays a defect.
 * - What was decided about a call is journaled and not decided again: its outcome, that it was begun, that it was asked
 *   about, what the answer was, that it needed no approval. A rule, a tool or a schema that changed meanwhile counts for
 *   later calls. A call that was begun, whose tool is gone or takes other arguments, is a person's question.
 * - Two calls of one task with one id, one name and one set of arguments are one call. Those of a turn of a model are told
 *   apart by {@link distinct}.
 * - Interrupting `dispatch` interrupts the handler. The intent of a call that changes the world stays in the journal.
 *
 * @since 0.1.0
 */
import * as Ask from "@selvage/core/Ask"
import * as Durable from "@selvage/core/Durable"
import type { NodeContractViolated } from "@selvage/core/Errors"
import * as Event from "@selvage/core/Event"
import * as Policy from "@selvage/core/Policy"
import * as Task from "@selvage/core/Task"
import type * as Prompt from "effect/ai/Prompt"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Approval from "./Approval.ts"
import {
  ToolArgumentsInvalid,
  ToolDenied,
  ToolFailed,
  ToolNotFound,
  ToolResultTooLarge,
  ToolTimedOut
} from "./Errors.ts"
import { describe, shorten, sizeOf, toJson } from "./internal/json.ts"
import { abbreviate, maxCallName, within } from "./internal/names.ts"
import { type Output, ResultInvalid } from "./internal/running.ts"
import type { RegisteredTool, Registry } from "./Registry.ts"
import { failed, ToolOutcome } from "./ToolOutcome.ts"
import * as Uncertain from "./Uncertain.ts"

/** A tool call as a model made it; a tool call part of a response is one. */
export interface Call {
  /** The model's id, which comes back in the outcome. */
  readonly id: string
  readonly name: string
  /** As the model gave them; a string where the model's JSON was malformed. */
  readonly params: unknown
  /**
   * The name of the call in the journal, in asks and in keys, unique in its task and its turn: see {@link distinct}. If it is
   * not given, the id; calls of one task with one id and other arguments get a count.
   */
  readonly as?: string | undefined
}

/** How calls are run. */
export interface Options {
  /** The conversation so far, for tools that decide from it whether they need approval. */
  readonly messages?: ReadonlyArray<Prompt.Message> | undefined
  /** The most a result may have, in bytes of JSON; a larger one is reported, not cut. 64 KiB by default. */
  readonly maxResultBytes?: number | undefined
}

/** What a dispatch can fail with: never a model's or a tool's mistake. */
export type Failure = Task.Suspended | Task.JournalFailure | NodeContractViolated

/** The most a result may have by default, in bytes of JSON. */
export const defaultMaxResultBytes = 64 * 1024

export { distinct } from "./internal/names.ts"

/**
 * A call of a model as it can be kept, in a conversation and in a journal: a name that it made up has at most 64 characters, an
 * id 65,536, and arguments with more than 1,048,576 characters of JSON are left out, which the model is told when the call is
 * dispatched.
 */
export const withinBounds = <C extends Pick<Call, "id" | "name" | "params">>(registry: Registry, call: C): C =>
  within(call, (name) => registry.toolkit.tools[name] !== undefined || registry.tools.has(name))

/** Runs one tool call of a model. */
export const dispatch = (registry: Registry, call: Call, options: Options = {}): Effect.Effect<ToolOutcome, Failure> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const task = Context.get(context, Task.Current)
    const named = { ...withinBounds(registry, call), as: nameOf(call, task) }
    const outcome = decide({ registry, call: named, options, task })
    if (task?.emit === undefined) return outcome
    return Effect.tap(outcome, ({ isFailure, name, result }) =>
      Event.toolFinished({ call: named.as, tool: name, isFailure, result })
    )
  })

/** The names that the calls of an attempt of a task have, by what they are. */
interface Names {
  readonly byContent: Map<string, string>
  readonly used: Set<string>
}

// An attempt that starts again makes its calls in the same order, so they get the same names.
const namesIn = new WeakMap<Task.Task, Names>()

/** What a call is called in the journal. */
const nameOf = ({ as, id, name, params }: Call, task: Task.Task | undefined): string => {
  const own = abbreviate(as ?? id, maxCallName)
  if (as !== undefined || task === undefined) return own
  let names = namesIn.get(task)
  if (names === undefined) {
    names = { byContent: new Map(), used: new Set() }
    namesIn.set(task, names)
  }
  const content = JSON.stringify([id, name, toJson(params)])
  const known = names.byContent.get(content)
  if (known !== undefined) return known
  let free = own
  for (let count = 2; names.used.has(free); count++) free = `${own}#${count}`
  names.byContent.set(content, free)
  names.used.add(free)
  return free
}

/** A call with its name in the journal. */
interface Named extends Call {
  readonly as: string
}

/** A call to dispatch, and where. */
interface Given {
  readonly registry: Registry
  readonly call: Named
  readonly options: Options
  readonly task: Task.Task | undefined
}

// What was decided stands in the journal, and is decided only where it does not: tools, schemas and rules may have changed.
const decide = (given: Given): Effect.Effect<ToolOutcome, Failure> => {
  const { call, task } = given
  if (task === undefined) return decideAnew(given)
  if (task.recorded(outcomeKey(call)) !== undefined) {
    return Effect.flatMap(
      Durable.recorded(outcomeKey(call), ToolOutcome),
      Option.match({ onNone: () => decideAnew(given), onSome: (outcome) => Effect.succeed(outcome) })
    )
  }
  if (task.intended(outcomeKey(call))) return goOn(given)
  const question = task.asked(Approval.ask(call.as).name).find((asked) => isOf(call, asked))
  return question === undefined ? decideAnew(given) : asAnswered(given, question)
}

/** Whether a journaled question is about this call, and not about another of its name. */
const isOf = (call: Named, question: Schema.Json): question is Approval.Question =>
  isQuestion(question) && question.tool === call.name && Equal.equals(question.params, toJson(call.params))

const isQuestion = Schema.is(Approval.Question)

const decisionKey = ({ as }: Named) => `approval:${as}`

const outcomeKey = ({ as }: Named) => `tool:${as}`

const decideAnew = (given: Given): Effect.Effect<ToolOutcome, Failure> =>
  Effect.matchEffect(lookedUp(given), {
    onFailure: (error) => Effect.succeed(failed(given.call, error)),
    onSuccess: (cleared) => {
      const { call, params, registered } = cleared
      const decision = decisionKey(call)
      if (given.task?.recorded(decision) !== undefined) return perform(cleared)
      const messages = given.options.messages ?? []
      return Effect.flatMap(registered.needsApproval(params, { toolCallId: call.id, messages }), (needed) => {
        if (needed)
          return asAnswered(given, {
            plugin: registered.plugin.name,
            tool: call.name,
            params: toJson(call.params),
            call: call.as
          })
        // A call that is not repeated in silence has an intent, which says as much.
        return given.task === undefined || !registered.repeatable || typeof registered.tool.needsApproval !== "function"
          ? perform(cleared)
          : Effect.andThen(given.task.record(decision, "not needed"), perform(cleared))
      })
    }
  })

/** The tool of a call and its arguments as they are today. */
const lookedUp = ({
  call,
  options,
  registry,
  task
}: Given): Effect.Effect<Cleared, ToolNotFound | ToolArgumentsInvalid> => {
  const registered = registry.tools.get(call.name)
  if (registered === undefined) {
    return Effect.fail(new ToolNotFound({ tool: call.name, known: Array.from(registry.tools.keys()) }))
  }
  const invalid = (issue: string) => Effect.fail(new ToolArgumentsInvalid({ tool: call.name, issue }))
  // Also for a tool whose arguments only the plugin checks.
  if (typeof call.params === "string") {
    return invalid(`they are no JSON object but the text ${JSON.stringify(shorten(call.params))}`)
  }
  return Effect.matchEffect(registered.decode(call.params), {
    onFailure: (error) => invalid(shorten(error.message)),
    onSuccess: (params) => {
      const key = task === undefined ? call.as : `${task.key}${call.as}`
      const limit = options.maxResultBytes ?? defaultMaxResultBytes
      return Effect.succeed({ registered, call, params, key, limit, listening: task?.emit !== undefined })
    }
  })
}

/** A call that a person decides about, or has. */
const asAnswered = Effect.fnUntraced(function* (
  given: Given,
  question: Approval.Question
): Effect.fn.Return<ToolOutcome, Failure> {
  const { call } = given
  const { approved, reason } = yield* Ask.ask(Approval.ask(call.as), question)
  if (!approved) {
    return failed(
      call,
      new ToolDenied({ tool: call.name, ...(reason === undefined ? {} : { reason: shorten(reason) }) })
    )
  }
  const cleared = yield* Effect.result(lookedUp(given))
  if (Result.isFailure(cleared)) return failed(call, cleared.failure)
  // Says also when the waiting was over and the work began; of any other call its intent does.
  const decision = decisionKey(call)
  if (cleared.success.registered.repeatable && given.task?.recorded(decision) === undefined) {
    yield* given.task?.record(decision, "approved") ?? Effect.void
  }
  return yield* perform(cleared.success)
})

/** A call that was begun, and may have been made: what became of it is found out before anything else. */
const goOn = Effect.fnUntraced(function* (given: Given): Effect.fn.Return<ToolOutcome, Failure> {
  const { call, options } = given
  const cleared = yield* Effect.result(lookedUp(given))
  if (Result.isSuccess(cleared)) return yield* performOnce(cleared.success)
  // The tool is not there any more, or takes other arguments: only a person knows, and it cannot be called again.
  const key = outcomeKey(call)
  const detail = { plugin: "", tool: call.name, params: toJson(call.params), call: call.as }
  const limit = options.maxResultBytes ?? defaultMaxResultBytes
  return yield* Durable.call({
    key,
    detail,
    schema: ToolOutcome,
    call: Effect.succeed(failed(call, cleared.failure)),
    reconcile: askWhatHappened({ call, limit }, key, detail),
    believe: "at once"
  })
})

/** A call and how large its result may be. */
interface Bounded {
  readonly call: Named
  readonly limit: number
}

/** A call that may be made: known, with decoded arguments, approved. */
interface Cleared extends Bounded {
  readonly registered: RegisteredTool
  readonly params: unknown
  readonly key: string
  /** Whether anyone hears of it. */
  readonly listening: boolean
}

const perform = (cleared: Cleared): Effect.Effect<ToolOutcome, Failure> =>
  cleared.registered.repeatable ? made(cleared) : performOnce(cleared)

const made = (cleared: Cleared): Effect.Effect<ToolOutcome, Failure> => {
  const { call, listening, registered } = cleared
  if (!listening) return attempt(cleared)
  return Effect.andThen(
    Event.toolStarted({ call: call.as, tool: call.name, plugin: registered.plugin.name }),
    attempt(cleared)
  )
}

/** A call that is never repeated in silence. */
const performOnce = (cleared: Cleared): Effect.Effect<ToolOutcome, Failure> => {
  const { call } = cleared
  const key = outcomeKey(call)
  const detail = detailOf(cleared)
  const ask = askWhatHappened(cleared, key, detail)
  return Durable.call({
    key,
    detail,
    schema: ToolOutcome,
    call: made(cleared),
    reconcile: Effect.flatMap(Effect.service(Task.Current), (task) => {
      // A person who was asked is the one who says that it was not made.
      const isAsked = task !== undefined && task.asked(Uncertain.ask(call.as).name).length > 0
      const found = isAsked ? lookUp(cleared) : Durable.settled(key, lookUp(cleared))
      return Effect.matchCauseEffect(found, {
        onFailure: (cause) => (Cause.hasFails(cause) ? ask : Effect.failCause(cause as Cause.Cause<never>)),
        onSuccess: (found) => (isAsked && Option.isNone(found) ? ask : Effect.succeed(found))
      })
    }),
    believe: "at once"
  })
}

const detailOf = ({ call, registered }: Cleared): Schema.Json => ({
  plugin: registered.plugin.name,
  tool: call.name,
  params: toJson(call.params),
  call: call.as
})

const attempt = (cleared: Cleared): Effect.Effect<ToolOutcome, Failure> => {
  const { call, key, params, registered } = cleared
  const { policy, repeatable } = registered
  const handled = registered.run(params, { id: call.id, key })
  const guarded =
    policy === undefined ? handled : Policy.apply(handled, repeatable ? policy : { ...policy, retry: undefined })
  return Effect.matchEffect(guarded, {
    onSuccess: (output) => Effect.succeed(succeeded(cleared, output)),
    onFailure: (error) => explain(cleared, error)
  })
}

const succeeded = ({ call, limit }: Bounded, { modelOutput, result }: Output): ToolOutcome =>
  bounded(
    {
      id: call.id,
      name: call.name,
      isFailure: false,
      result,
      ...(modelOutput === undefined ? {} : { modelOutput })
    },
    limit
  )

const explain = Effect.fnUntraced(function* (cleared: Cleared, error: unknown): Effect.fn.Return<ToolOutcome, Failure> {
  const { call, limit, registered } = cleared
  const tool = call.name
  if (error instanceof Policy.AttemptTimedOut) {
    // An idempotent call does no harm when it is repeated; that does not say that it did nothing.
    const effect = registered.readonly ? "none" : "unknown"
    const timedOut = failed(call, new ToolTimedOut({ tool, millis: error.millis, effect }))
    if (registered.repeatable) return timedOut
    const found = yield* Effect.result(lookUp(cleared))
    if (found._tag === "Success" && Option.isSome(found.success)) return found.success.value
    // The request may still arrive: as after a crash a person decides, and without a thread there is nobody to ask.
    const task = yield* Task.Current
    if (task?.thread === undefined) return timedOut
    const answer = yield* askWhatHappened(cleared, outcomeKey(call), detailOf(cleared))
    return Option.getOrElse(answer, () => timedOut)
  }
  if (error instanceof ResultInvalid) {
    const issue = `it ran, but its result does not fit its own schema (${shorten(error.issue)}). Do not repeat the call.`
    return failed(call, new ToolFailed({ tool, issue, failure: null }))
  }
  const failure = yield* registered.encodeFailure(error)
  return bounded(failed(call, new ToolFailed({ tool, issue: shorten(describe(error, failure)), failure })), limit)
})

const bounded = (outcome: ToolOutcome, limit: number): ToolOutcome => {
  const bytes = sizeOf(outcome)
  return bytes <= limit
    ? outcome
    : failed(outcome, new ToolResultTooLarge({ tool: outcome.name, bytes, limit, failed: outcome.isFailure }))
}

/** Asks the plugin whether the call was made; fails if it cannot tell. */
const lookUp = (cleared: Cleared): Effect.Effect<Option.Option<ToolOutcome>, unknown> => {
  const { key, params, registered } = cleared
  if (registered.reconcile === undefined) return Effect.fail("no reconcile")
  return Effect.map(
    registered.reconcile(params, { key }),
    Option.map((output) => succeeded(cleared, output))
  )
}

// Not Durable.Uncertain itself: asked under a name per call, and answered with the tool's result, not with an outcome.
const askWhatHappened = Effect.fnUntraced(function* (given: Bounded, key: string, detail: Schema.Json) {
  const ask = Uncertain.ask(given.call.as)
  const task = yield* Task.Current
  const question = task === undefined ? { key, detail } : Durable.uncertainQuestion(task, ask.name, key, detail)
  const answer = yield* Ask.ask(ask, question)
  return answer.decision === "repeat"
    ? Option.none()
    : Option.some(succeeded(given, { result: answer.result, modelOutput: undefined }))
})

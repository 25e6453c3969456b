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
 *   and after a crash between the two the plugin's `reconcile` finds out what happened, or a person is asked.
 *
 * **Gotchas**
 *
 * - A handler's defect is a bug in the program and stays a defect.
 * - Call ids must be unique within a task: key and journaled outcome go by them.
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
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
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
import { type Output, ResultInvalid } from "./internal/running.ts"
import type { RegisteredTool, Registry } from "./Registry.ts"
import { failed, ToolOutcome } from "./ToolOutcome.ts"
import * as Uncertain from "./Uncertain.ts"

/** A tool call as a model made it; a tool call part of a response is one. */
export interface Call {
  readonly id: string
  readonly name: string
  /** As the model gave them; a string where the model's JSON was malformed. */
  readonly params: unknown
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

/** Runs one tool call of a model. */
export const dispatch = (registry: Registry, call: Call, options: Options = {}): Effect.Effect<ToolOutcome, Failure> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const task = Context.get(context, Task.Current)
    const outcome = decide(registry, call, options, task)
    if (task?.emit === undefined) return outcome
    return Effect.tap(outcome, ({ id, isFailure, name, result }) =>
      Event.toolFinished({ call: id, tool: name, isFailure, result })
    )
  })

const decide = (
  registry: Registry,
  call: Call,
  options: Options,
  task: Task.Task | undefined
): Effect.Effect<ToolOutcome, Failure> => {
  const registered = registry.tools.get(call.name)
  if (registered === undefined) {
    const known = Array.from(registry.tools.keys())
    return Effect.succeed(failed(call, new ToolNotFound({ tool: shorten(call.name), known })))
  }
  return Effect.matchEffect(registered.decode(call.params), {
    onFailure: (error) => {
      const issue =
        typeof call.params === "string"
          ? `they are no JSON object but the text ${JSON.stringify(shorten(call.params))}`
          : shorten(error.message)
      return Effect.succeed(failed(call, new ToolArgumentsInvalid({ tool: call.name, issue })))
    },
    onSuccess: (params) => {
      const key = task === undefined ? call.id : `${task.key}${call.id}`
      const limit = options.maxResultBytes ?? defaultMaxResultBytes
      const cleared: Cleared = { registered, call, params, key, limit, listening: task?.emit !== undefined }
      return Effect.flatMap(
        registered.needsApproval(params, { toolCallId: call.id, messages: options.messages ?? [] }),
        (needed) => (needed ? approve(cleared) : perform(cleared))
      )
    }
  })
}

const approve = Effect.fnUntraced(function* (cleared: Cleared): Effect.fn.Return<ToolOutcome, Failure> {
  const { call, registered } = cleared
  const { approved, reason } = yield* Ask.ask(Approval.ask(call.id), {
    plugin: registered.plugin.name,
    tool: call.name,
    params: toJson(call.params),
    call: call.id
  })
  if (approved) return yield* perform(cleared)
  return failed(call, new ToolDenied({ tool: call.name, ...(reason === undefined ? {} : { reason }) }))
})

/** A call that may be made: known, with decoded arguments, approved. */
interface Cleared {
  readonly registered: RegisteredTool
  readonly call: Call
  readonly params: unknown
  readonly key: string
  readonly limit: number
  /** Whether anyone hears of it. */
  readonly listening: boolean
}

const perform = (cleared: Cleared): Effect.Effect<ToolOutcome, Failure> => {
  const { call, listening, registered } = cleared
  const once = listening
    ? Effect.andThen(
        Event.toolStarted({ call: call.id, tool: call.name, plugin: registered.plugin.name }),
        attempt(cleared)
      )
    : attempt(cleared)
  if (registered.repeatable) return once
  const key = `tool:${call.id}`
  const detail = { plugin: registered.plugin.name, tool: call.name, params: toJson(call.params), call: call.id }
  return Durable.call({
    key,
    detail,
    schema: ToolOutcome,
    call: once,
    reconcile: Effect.catchCause(lookUp(cleared), (cause) =>
      Cause.hasFails(cause) ? askWhatHappened(cleared, key, detail) : Effect.failCause(cause as Cause.Cause<never>)
    )
  })
}

const attempt = (cleared: Cleared): Effect.Effect<ToolOutcome> => {
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

const succeeded = ({ call, limit }: Cleared, { modelOutput, result }: Output): ToolOutcome =>
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

const explain = Effect.fnUntraced(function* (cleared: Cleared, error: unknown) {
  const { call, limit, registered } = cleared
  const tool = call.name
  if (error instanceof Policy.AttemptTimedOut) {
    if (registered.repeatable) {
      // An idempotent call does no harm when it is repeated; that does not say that it did nothing.
      const effect = registered.readonly ? "none" : "unknown"
      return failed(call, new ToolTimedOut({ tool, millis: error.millis, effect }))
    }
    const found = yield* Effect.result(lookUp(cleared))
    if (found._tag === "Success" && Option.isSome(found.success)) return found.success.value
    const effect = found._tag === "Success" ? "none" : "unknown"
    return failed(call, new ToolTimedOut({ tool, millis: error.millis, effect }))
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
const askWhatHappened = Effect.fnUntraced(function* (cleared: Cleared, key: string, detail: Schema.Json) {
  const answer = yield* Ask.ask(Uncertain.ask(cleared.call.id), { key, detail })
  return answer.decision === "repeat"
    ? Option.none()
    : Option.some(succeeded(cleared, { result: answer.result, modelOutput: undefined }))
})

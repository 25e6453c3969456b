// The tools of a plugin with their handlers: what a live plugin holds, behind one shape for all tools.
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Bound from "@selvage/core/Bound"
import type * as Policy from "@selvage/core/Policy"
import * as ToolCall from "../ToolCall.ts"

/** What a handler gave, as JSON and as the content a tool may give the model in its place. */
export interface Output {
  readonly result: Schema.Json
  readonly modelOutput: ReadonlyArray<Prompt.ToolModelOutputPart> | undefined
}

/** The handler gave something that does not fit the tool's schema of results. */
export class ResultInvalid {
  readonly _tag = "ResultInvalid"
  readonly issue: string
  constructor(issue: string) {
    this.issue = issue
  }
}

export interface RunningTool {
  readonly name: string
  readonly plugin: { readonly name: string; readonly version: string }
  readonly tool: Tool.Any
  readonly policy: Policy.Policy<unknown> | undefined
  /** A call changes nothing. */
  readonly readonly: boolean
  /** Read-only or idempotent: a repeated call does no harm. */
  readonly repeatable: boolean
  readonly decode: (params: unknown) => Effect.Effect<unknown, Schema.SchemaError>
  readonly needsApproval: (params: unknown, context: Tool.NeedsApprovalContext) => Effect.Effect<boolean>
  /** One attempt. Fails with the handler's own failure. */
  readonly run: (params: unknown, call: ToolCall.ToolCall) => Effect.Effect<Output, unknown>
  /** A failure of the handler as JSON; `null` if the tool's schema has none for it. */
  readonly encodeFailure: (failure: unknown) => Effect.Effect<Schema.Json>
  readonly reconcile:
    | ((params: unknown, call: { readonly key: string }) => Effect.Effect<Option.Option<Output>, unknown>)
    | undefined
}

export interface Running {
  readonly name: string
  readonly version: string
  readonly tools: ReadonlyArray<RunningTool>
  /** All tools, those too that a provider runs and that have no handler here. */
  readonly definitions: ReadonlyArray<Tool.Any>
  readonly handlers: Context.Context<never>
  readonly findings: ReadonlyArray<string>
}

type Reconcile = (
  params: unknown,
  call: { readonly key: string }
) => Effect.Effect<Option.Option<unknown>, unknown, unknown>

export interface Definition {
  readonly name: string
  readonly version: string
  readonly toolkit: Toolkit.Any
  readonly handlers: Context.Context<never>
  readonly context: Context.Context<never>
  readonly policies: Readonly<Record<string, Policy.Policy<unknown> | undefined>>
  readonly reconcile: Readonly<Record<string, Reconcile | undefined>>
}

export const run = (definition: Definition): Running => {
  const definitions = Object.values(definition.toolkit.tools)
  const findings: Array<string> = []
  for (const [part, entries] of [
    ["policy", definition.policies],
    ["reconcile", definition.reconcile]
  ] as const) {
    for (const name of Object.keys(entries)) {
      if (!Object.hasOwn(definition.toolkit.tools, name)) {
        findings.push(`plugin "${definition.name}" has a ${part} for "${name}", which is not one of its tools`)
      }
    }
  }
  const tools: Array<RunningTool> = []
  for (const tool of definitions) {
    const handler = definition.handlers.mapUnsafe.get(tool.id) as Tool.Handler<string> | undefined
    if (handler !== undefined) tools.push(runTool(definition, tool, handler))
    else if (!Tool.isProviderDefined(tool) || tool.requiresHandler) {
      findings.push(`plugin "${definition.name}" has no handler for its tool "${tool.name}"`)
    }
  }
  return {
    name: definition.name,
    version: definition.version,
    tools,
    definitions,
    handlers: definition.handlers,
    findings
  }
}

const bounded = (value: unknown) => {
  const message = Bound.issueOf(value)
  return message === undefined ? Effect.void : Effect.fail({ message })
}

const isJson = Schema.is(Schema.Json)

/** The same for what a schema made of a value: a schema of anything lets pass what is no JSON. */
const boundedJson = (value: unknown) =>
  Effect.andThen(
    bounded(value),
    Effect.suspend(() =>
      value === undefined || isJson(value)
        ? Effect.void
        : Effect.fail({ message: "it is no JSON; give the tool a schema that encodes it, as Schema.Json" })
    )
  )

const runTool = (definition: Definition, tool: Tool.Any, handler: Tool.Handler<string>): RunningTool => {
  // A call sees what it is made in (the task, the call) before what the layer was built in, as effect/ai does it.
  const built = Context.merge(definition.context, handler.context)
  // What is done already needs no services; most schemas and many handlers are, and putting contexts together is dear.
  const within = <A, E>(effect: Effect.Effect<A, E, unknown>, call?: ToolCall.ToolCall): Effect.Effect<A, E> =>
    Exit.isExit(effect)
      ? (effect as Exit.Exit<A, E>)
      : Effect.updateContext(effect as Effect.Effect<A, E>, (current: Context.Context<never>) => {
          const merged = Context.merge(built, current)
          return call === undefined ? merged : Context.add(merged, ToolCall.Current, call)
        })
  const decode = Schema.isSchema(tool.parametersSchema)
    ? Schema.decodeUnknownEffect(tool.parametersSchema)
    : (params: unknown) => Effect.succeed(params)
  const encodeSuccess = Schema.encodeUnknownEffect(Schema.toCodecJson(tool.successSchema))
  const encodeFailure = Schema.encodeUnknownEffect(Schema.toCodecJson(tool.failureSchema))
  const output = (value: unknown): Effect.Effect<Output, ResultInvalid> =>
    Effect.matchEffect(Effect.andThen(bounded(value), Effect.tap(within(encodeSuccess(value)), boundedJson)), {
      onFailure: (error) => Effect.fail(new ResultInvalid(error.message)),
      onSuccess: (json) => Effect.sync(() => ({ result: json ?? null, modelOutput: tool.toModelOutput?.(value) }))
    })
  const reconcile = definition.reconcile[tool.name]
  const readonly = Context.get(tool.annotations, Tool.Readonly)
  return {
    name: tool.name,
    plugin: { name: definition.name, version: definition.version },
    tool,
    policy: definition.policies[tool.name],
    readonly,
    repeatable: readonly || Context.get(tool.annotations, Tool.Idempotent),
    decode: (params) => within(decode(params)),
    needsApproval: (params, context) =>
      Effect.suspend(() => {
        const needed =
          typeof tool.needsApproval === "function" ? tool.needsApproval(params, context) : (tool.needsApproval ?? false)
        return Effect.isEffect(needed) ? within(needed) : Effect.succeed(needed)
      }),
    run: (params, call) =>
      Effect.matchEffect(
        Effect.suspend(() =>
          // Only the final result counts, so preliminary ones are dropped where they are made and never buffered.
          within(handler.handler(params, { toolCallId: call.id, preliminary: () => Effect.void }), call)
        ),
        {
          onFailure: (error) =>
            Effect.fail(
              AiError.isAiErrorReason(error)
                ? AiError.make({ module: definition.name, method: tool.name, reason: error })
                : error
            ),
          onSuccess: output
        }
      ),
    encodeFailure: (failure) =>
      within(
        Effect.map(
          Effect.option(Effect.andThen(bounded(failure), Effect.tap(encodeFailure(failure), boundedJson))),
          (json) => (Option.isSome(json) ? (json.value ?? null) : null)
        )
      ),
    reconcile:
      reconcile === undefined
        ? undefined
        : (params, call) =>
            within(
              Effect.flatMap(
                Effect.suspend(() => reconcile(params, call)),
                (found) => (Option.isNone(found) ? Effect.succeedNone : Effect.asSome(output(found.value)))
              )
            )
  }
}

/**
 * Tools on their way out (definitions and choice) and tool arguments on their way in.
 */
import type Anthropic from "@anthropic-ai/sdk"
import * as Names from "@selvage/provider/Names"
import * as ToolSchema from "@selvage/provider/ToolSchema"
import * as AiError from "effect/ai/AiError"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as JsonSchema from "effect/JsonSchema"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as AnthropicTool from "../AnthropicTool.ts"
import * as ServerTools from "./serverTools.ts"
import type * as Wire from "./wire.ts"

type Reason = AiError.AiErrorReason

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

// What every kind of tool may say of itself.
const common = (tool: Tool.Any, strict: boolean) => {
  const options = Context.get(tool.annotations, AnthropicTool.Options)
  return {
    ...(strict ? { strict: true } : undefined),
    ...(options.cacheControl ? { cache_control: options.cacheControl } : undefined),
    ...(options.deferLoading === undefined ? undefined : { defer_loading: options.deferLoading }),
    ...(options.allowedCallers ? { allowed_callers: [...options.allowedCallers] } : undefined),
    ...(options.inputExamples
      ? { input_examples: options.inputExamples.map((example) => ({ ...example })) }
      : undefined)
  }
}

// `failureMode` stands among a tool's arguments, but is for `effect/ai`.
const own = ([key, value]: readonly [string, unknown]): boolean => value !== undefined && key !== "failureMode"

const snakeCase = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(snakeCase)
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(own)
      .map(([key, inner]) => [key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), snakeCase(inner)])
  )
}

// The API knows these by type; their arguments were typed where the tool was made.
const providerDefined = (tool: Tool.AnyProviderDefined): Anthropic.ToolUnion => {
  const args: unknown = snakeCase(tool.args)
  return {
    ...(Predicate.isObject(args) ? args : undefined),
    type: tool.id.slice("anthropic.".length),
    name: tool.providerName,
    ...common(tool, Tool.getStrictMode(tool) === true)
  } as Anthropic.ToolUnion
}

/** How a tool of the application's is on the wire. */
interface Form {
  readonly schema: JsonSchema.JsonSchema
  readonly strict: boolean
  /** Whether its parameters stand in a field of their own. */
  readonly wrapped: boolean
  /** From what the model gave to what the tool's schema encodes. */
  readonly decode: (params: unknown) => Effect.Effect<unknown, Schema.SchemaError>
}

const forms = new WeakMap<Tool.Any, { plain?: Form; strict?: Form | "none" }>()

const formsOf = (tool: Tool.Any) => {
  const before = forms.get(tool)
  if (before !== undefined) return before
  const made = {}
  forms.set(tool, made)
  return made
}

const plainForm = (tool: Tool.Any): Form => {
  const made: { plain?: Form } = formsOf(tool)
  if (made.plain !== undefined) return made.plain
  const schema = Tool.getJsonSchema(tool)
  const wrapped = ToolSchema.isWrapped(schema)
  return (made.plain = {
    schema: ToolSchema.plain(schema),
    strict: false,
    wrapped,
    decode: (params) => Effect.succeed(wrapped ? ToolSchema.unwrap(params) : params)
  })
}

const makeStrict = (tool: Tool.Any): Form | "none" => {
  const own = Tool.getJsonSchema(tool)
  if (ToolSchema.isEmpty(own)) return { ...plainForm(tool), strict: true }
  const wrapped = ToolSchema.isWrapped(own)
  const sent: Schema.Top = wrapped
    ? Schema.Struct({ [ToolSchema.field]: tool.parametersSchema })
    : tool.parametersSchema
  try {
    const { codec, jsonSchema } = toCodecAnthropic(sent)
    const schema = ToolSchema.tame(jsonSchema)
    if (ToolSchema.beyond(schema) !== undefined) return "none"
    return {
      schema,
      strict: true,
      wrapped,
      // A tool's schemas may need services; `LanguageModel` asks the caller for them and they are in the context this runs in.
      decode: (params) =>
        Schema.decodeUnknownEffect(codec)(params).pipe(
          Effect.flatMap(Schema.encodeUnknownEffect(sent)),
          Effect.map((encoded) => (wrapped ? ToolSchema.unwrap(encoded) : encoded))
        ) as Effect.Effect<unknown, Schema.SchemaError>
    }
  } catch {
    return "none"
  }
}

/** A tool held to the API's subset of JSON Schema, where it asks for that and has such a form. A dynamic tool with a schema of its own has none. */
const strictForm = (tool: Tool.Any): Form | undefined => {
  if (Tool.getStrictMode(tool) !== true || (Tool.isDynamic(tool) && tool.jsonSchema !== undefined)) return undefined
  const made: { strict?: Form | "none" } = formsOf(tool)
  made.strict ??= makeStrict(tool)
  return made.strict === "none" ? undefined : made.strict
}

/**
 * What the strict tools of one request may have together; the next is sent as one that is not strict, and its arguments are checked when they
 * come: https://platform.claude.com/docs/en/build-with-claude/structured-outputs#schema-complexity-limits.
 */
const mostStrict = { tools: 20, unions: 16 }

/** The tools of a request, and what they are called on the wire. */
export interface Prepared {
  readonly forms: ReadonlyMap<string, Form>
  readonly names: Names.Names
  /** The provider's own tools, by their names in the toolkit. */
  readonly server: ServerTools.Names
}

const formOf = (tool: Tool.Any, used: { tools: number; unions: number }): Effect.Effect<Form, Reason> =>
  Effect.try({
    try: () => {
      const strict = strictForm(tool)
      if (strict === undefined) return plainForm(tool)
      const unions = used.unions + ToolSchema.unionsIn(strict.schema)
      if (used.tools + 1 > mostStrict.tools || unions > mostStrict.unions) return plainForm(tool)
      used.tools++
      used.unions = unions
      return strict
    },
    catch: (error) =>
      new AiError.ToolConfigurationError({
        toolName: tool.name,
        description: `its parameters have no JSON Schema: ${messageOf(error)}`
      })
  })

/** Prepares the tools of a request. */
export const prepareAll = Effect.fnUntracedEager(function* (
  tools: ReadonlyArray<Tool.Any>
): Effect.fn.Return<Prepared, Reason> {
  const all = new Map<string, Form>()
  const used = { tools: 0, unions: 0 }
  for (const tool of tools) if (!Tool.isProviderDefined(tool)) all.set(tool.name, yield* formOf(tool, used))
  const server = ServerTools.namesOf(tools)
  const own = tools.filter(ServerTools.isAnthropic)
  const mapped = Names.make(
    Names.tools,
    all.keys(),
    own.map(({ providerName }) => providerName)
  )
  const customs = new Set(own.map(({ name }) => name))
  return {
    forms: all,
    server,
    names: {
      toWire: (name) => (customs.has(name) ? server.getProviderName(name) : mapped.toWire(name)),
      fromWire: (name) => server.getCustomName(mapped.fromWire(name))
    }
  }
})

/** The parameters of an earlier call as its tool has them on the wire. */
export const wireParams =
  ({ forms }: Prepared) =>
  (name: string, params: unknown): unknown =>
    forms.get(name)?.wrapped === true ? ToolSchema.wrap(params) : params

const definition = (tool: Tool.Any, { forms, names }: Prepared): Effect.Effect<Anthropic.ToolUnion, Reason> => {
  const form = forms.get(tool.name)
  if (form !== undefined) {
    const description = Tool.getDescription(tool)
    const eager = Context.get(tool.annotations, AnthropicTool.Options).eagerInputStreaming
    return Effect.succeed({
      name: names.toWire(tool.name),
      ...(description === undefined ? undefined : { description }),
      input_schema: { ...form.schema, type: "object" as const },
      ...(eager === undefined ? undefined : { eager_input_streaming: eager }),
      ...common(tool, form.strict)
    })
  }
  if (ServerTools.isAnthropic(tool)) return Effect.succeed(providerDefined(tool))
  return Effect.fail(
    new AiError.ToolConfigurationError({
      toolName: tool.name,
      description: `${Tool.isProviderDefined(tool) ? tool.id : tool.name} is another provider's tool; take one of AnthropicTool, or write it with Tool.make and a handler`
    })
  )
}

const choice = (
  toolChoice: LanguageModel.ToolChoice<string>,
  parallel: boolean | undefined,
  names: Names.Names
): Anthropic.ToolChoice => {
  const serial = parallel === false ? { disable_parallel_tool_use: true } : undefined
  if (toolChoice === "none") return { type: "none" }
  if (toolChoice === "auto") return { type: "auto", ...serial }
  if (toolChoice === "required") return { type: "any", ...serial }
  if ("tool" in toolChoice) return { type: "tool", name: names.toWire(toolChoice.tool), ...serial }
  // `LanguageModel` has narrowed the tools to `oneOf` already.
  return { type: toolChoice.mode === "required" ? "any" : "auto", ...serial }
}

/** Whether a choice makes the model call a tool. */
export const isForced = (toolChoice: LanguageModel.ToolChoice<string>): boolean =>
  typeof toolChoice === "string" ? toolChoice === "required" : "tool" in toolChoice || toolChoice.mode === "required"

/** The request's `tools` and `tool_choice`; nothing when there are no tools. */
export const toWire = Effect.fnUntracedEager(function* (
  options: Pick<LanguageModel.ProviderOptions, "tools" | "toolChoice">,
  parallel: boolean | undefined,
  prepared: Prepared
) {
  if (options.tools.length === 0) return {}
  return {
    tools: yield* Effect.forEach(options.tools, (tool) => definition(tool, prepared)),
    tool_choice: choice(options.toolChoice, parallel, prepared.names)
  }
})

/**
 * Brings a call's arguments back to the encoded shape of the tool's own parameters, and rejects a tool that was not offered.
 *
 * With deferred validation everything passes as the model sent it, for the caller to judge.
 */
const fromWire = (
  options: LanguageModel.ProviderOptions,
  { forms }: Prepared,
  name: string,
  params: unknown
): Effect.Effect<unknown, Reason> => {
  const deferred = options.toolCallValidation === "deferred"
  const tool = options.tools.find((tool) => tool.name === name)
  if (tool === undefined && !deferred) {
    const availableTools = options.tools.map((tool) => tool.name)
    return Effect.fail(new AiError.ToolNotFoundError({ toolName: name, availableTools }))
  }
  const form = forms.get(name)
  if (form === undefined) return Effect.succeed(params)
  return Effect.catch(form.decode(params), (error) =>
    deferred
      ? Effect.succeed(params)
      : Effect.fail(new AiError.ToolParameterValidationError({ toolName: name, description: error.message }))
  )
}

/** A call for the application to run, as a part. */
export const call = Effect.fnUntracedEager(function* (
  options: LanguageModel.ProviderOptions,
  prepared: Prepared,
  block: {
    readonly id: string
    readonly name: string
    readonly input: unknown
    readonly caller?: Wire.Caller | null
  }
): Effect.fn.Return<Response.ToolCallPartEncoded, Reason> {
  const name = prepared.names.fromWire(block.name)
  const caller = ServerTools.callerOf(block.caller)
  return {
    type: "tool-call",
    id: block.id,
    name,
    params: yield* fromWire(options, prepared, name, block.input),
    providerExecuted: false,
    ...("caller" in caller ? { metadata: { anthropic: caller } } : undefined)
  }
})

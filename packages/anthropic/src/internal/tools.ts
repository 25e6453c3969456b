/**
 * Tools on their way out (definitions and choice) and tool arguments on their way in.
 */
import type Anthropic from "@anthropic-ai/sdk"
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

// A strict tool is held to a schema subset, so its arguments come in the shape of that subset and go back through the codec. A dynamic
// tool that carries its own JSON Schema has no codec to go back through.
const usesCodec = (tool: Tool.Any): boolean =>
  Tool.getStrictMode(tool) === true &&
  !Tool.isProviderDefined(tool) &&
  !(Tool.isDynamic(tool) && tool.jsonSchema !== undefined)

// A named schema is a reference at its top level, which the API rejects: it wants `type: "object"` there.
const resolveTopLevel = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema => {
  if (typeof schema.$ref !== "string" || !schema.$ref.startsWith("#/$defs/")) return schema
  const definitions: unknown = schema.$defs
  if (typeof definitions !== "object" || definitions === null) return schema
  const name = schema.$ref.slice("#/$defs/".length).replaceAll("~1", "/").replaceAll("~0", "~")
  const target: unknown = Object.entries(definitions).find(([key]) => key === name)?.[1]
  return typeof target === "object" && target !== null ? { ...target, $defs: definitions } : schema
}

// What every kind of tool may say of itself.
const common = (tool: Tool.Any) => {
  const options = Context.get(tool.annotations, AnthropicTool.Options)
  return {
    ...(Tool.getStrictMode(tool) === true ? { strict: true } : undefined),
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
    ...common(tool)
  } as Anthropic.ToolUnion
}

const userDefined = (tool: Tool.Any): Effect.Effect<Anthropic.Tool, Reason> =>
  Effect.try({
    try: () =>
      resolveTopLevel(Tool.getJsonSchema(tool, usesCodec(tool) ? { transformer: toCodecAnthropic } : undefined)),
    catch: (error) =>
      new AiError.ToolConfigurationError({
        toolName: tool.name,
        description: `its parameters have no JSON Schema: ${messageOf(error)}`
      })
  }).pipe(
    Effect.flatMap((schema) => {
      if (schema.type !== "object") {
        return Effect.fail(
          new AiError.ToolConfigurationError({
            toolName: tool.name,
            description: "its parameters must be an object schema, such as Schema.Struct; wrap them in one"
          })
        )
      }
      const description = Tool.getDescription(tool)
      const eager = Context.get(tool.annotations, AnthropicTool.Options).eagerInputStreaming
      return Effect.succeed({
        name: tool.name,
        ...(description === undefined ? undefined : { description }),
        input_schema: { ...schema, type: "object" as const },
        ...(eager === undefined ? undefined : { eager_input_streaming: eager }),
        ...common(tool)
      })
    })
  )

const definition = (tool: Tool.Any): Effect.Effect<Anthropic.ToolUnion, Reason> => {
  if (!Tool.isProviderDefined(tool)) return userDefined(tool)
  if (ServerTools.isAnthropic(tool)) return Effect.succeed(providerDefined(tool))
  return Effect.fail(
    new AiError.ToolConfigurationError({
      toolName: tool.name,
      description: `${tool.id} is another provider's tool; take one of AnthropicTool, or write it with Tool.make and a handler`
    })
  )
}

const choice = (
  toolChoice: LanguageModel.ToolChoice<string>,
  parallel: boolean | undefined,
  names: ServerTools.Names
): Anthropic.ToolChoice => {
  const serial = parallel === false ? { disable_parallel_tool_use: true } : undefined
  if (toolChoice === "none") return { type: "none" }
  if (toolChoice === "auto") return { type: "auto", ...serial }
  if (toolChoice === "required") return { type: "any", ...serial }
  if ("tool" in toolChoice) return { type: "tool", name: names.getProviderName(toolChoice.tool), ...serial }
  // `LanguageModel` has narrowed the tools to `oneOf` already.
  return { type: toolChoice.mode === "required" ? "any" : "auto", ...serial }
}

/** The request's `tools` and `tool_choice`; nothing when there are no tools. */
export const toWire = Effect.fnUntracedEager(function* (
  options: Pick<LanguageModel.ProviderOptions, "tools" | "toolChoice">,
  parallel: boolean | undefined,
  names: ServerTools.Names
) {
  if (options.tools.length === 0) return {}
  return {
    tools: yield* Effect.forEach(options.tools, definition),
    tool_choice: choice(options.toolChoice, parallel, names)
  }
})

/**
 * Brings a call's arguments back to the encoded shape of the tool's own parameters, and rejects a tool that was not offered.
 *
 * With deferred validation everything passes as the model sent it, for the caller to judge.
 */
const fromWire = (
  options: LanguageModel.ProviderOptions,
  name: string,
  params: unknown
): Effect.Effect<unknown, Reason> => {
  const tool = options.tools.find((tool) => tool.name === name)
  if (tool === undefined) {
    return options.toolCallValidation === "deferred"
      ? Effect.succeed(params)
      : Effect.fail(
          new AiError.ToolNotFoundError({
            toolName: name,
            availableTools: options.tools.map((tool) => tool.name)
          })
        )
  }
  if (!usesCodec(tool)) return Effect.succeed(params)
  const { codec } = toCodecAnthropic(tool.parametersSchema)
  // A tool's schemas may need services; `LanguageModel` asks the caller for them and they are in the context this runs in.
  const restored = Schema.decodeUnknownEffect(codec)(params).pipe(
    Effect.flatMap(Schema.encodeUnknownEffect(tool.parametersSchema))
  ) as Effect.Effect<unknown, Schema.SchemaError>
  return restored.pipe(
    Effect.catch((error) =>
      options.toolCallValidation === "deferred"
        ? Effect.succeed(params)
        : Effect.fail(new AiError.ToolParameterValidationError({ toolName: name, description: error.message }))
    )
  )
}

/** The toolkit's name for a tool that the API calls by its own. */
export const customName = (options: Pick<LanguageModel.ProviderOptions, "tools">, name: string): string =>
  ServerTools.namesOf(options.tools).getCustomName(name)

/** A call for the application to run, as a part. */
export const call = Effect.fnUntracedEager(function* (
  options: LanguageModel.ProviderOptions,
  block: {
    readonly id: string
    readonly name: string
    readonly input: unknown
    readonly caller?: Wire.Caller | null
  }
): Effect.fn.Return<Response.ToolCallPartEncoded, Reason> {
  const name = customName(options, block.name)
  const caller = ServerTools.callerOf(block.caller)
  return {
    type: "tool-call",
    id: block.id,
    name,
    params: yield* fromWire(options, name, block.input),
    providerExecuted: false,
    ...("caller" in caller ? { metadata: { anthropic: caller } } : undefined)
  }
})

/**
 * Tools on their way out (definitions and choice) and tool arguments on their way in.
 */
import type Anthropic from "@anthropic-ai/sdk"
import * as AiError from "effect/ai/AiError"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import type * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"

type Reason = AiError.AiErrorReason

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

// A strict tool is held to a schema subset, so its arguments come in the shape of that subset and go back through the codec. A dynamic
// tool that carries its own JSON Schema has no codec to go back through.
const usesCodec = (tool: Tool.Any): boolean =>
  Tool.getStrictMode(tool) === true && !(Tool.isDynamic(tool) && tool.jsonSchema !== undefined)

// A named schema is a reference at its top level, which the API rejects: it wants `type: "object"` there.
const resolveTopLevel = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema => {
  if (typeof schema.$ref !== "string" || !schema.$ref.startsWith("#/$defs/")) return schema
  const definitions: unknown = schema.$defs
  if (typeof definitions !== "object" || definitions === null) return schema
  const name = schema.$ref.slice("#/$defs/".length).replaceAll("~1", "/").replaceAll("~0", "~")
  const target: unknown = Object.entries(definitions).find(([key]) => key === name)?.[1]
  return typeof target === "object" && target !== null ? { ...target, $defs: definitions } : schema
}

const definition = (tool: Tool.Any): Effect.Effect<Anthropic.Tool, Reason> => {
  const fail = (description: string) =>
    Effect.fail(new AiError.ToolConfigurationError({ toolName: tool.name, description }))
  if (Tool.isProviderDefined(tool)) {
    return fail(
      "provider-defined tools are not supported by @selvage/anthropic; define it with Tool.make and a handler"
    )
  }
  return Effect.try({
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
        return fail("its parameters must be an object schema, such as Schema.Struct; wrap them in one")
      }
      const description = Tool.getDescription(tool)
      return Effect.succeed({
        name: tool.name,
        ...(description === undefined ? undefined : { description }),
        input_schema: { ...schema, type: "object" as const },
        ...(Tool.getStrictMode(tool) === true ? { strict: true } : undefined)
      })
    })
  )
}

const choice = (toolChoice: LanguageModel.ToolChoice<string>, parallel: boolean | undefined): Anthropic.ToolChoice => {
  const serial = parallel === false ? { disable_parallel_tool_use: true } : undefined
  if (toolChoice === "none") return { type: "none" }
  if (toolChoice === "auto") return { type: "auto", ...serial }
  if (toolChoice === "required") return { type: "any", ...serial }
  if ("tool" in toolChoice) return { type: "tool", name: toolChoice.tool, ...serial }
  // `LanguageModel` has narrowed the tools to `oneOf` already.
  return { type: toolChoice.mode === "required" ? "any" : "auto", ...serial }
}

/** The request's `tools` and `tool_choice`; nothing when there are no tools. */
export const toWire = Effect.fnUntraced(function* (
  options: LanguageModel.ProviderOptions,
  parallel: boolean | undefined
) {
  if (options.tools.length === 0) return {}
  return {
    tools: yield* Effect.forEach(options.tools, definition),
    tool_choice: choice(options.toolChoice, parallel)
  }
})

/**
 * Brings a call's arguments back to the encoded shape of the tool's own parameters, and rejects a tool that was not offered.
 *
 * With deferred validation everything passes as the model sent it, for the caller to judge.
 */
export const fromWire = (
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

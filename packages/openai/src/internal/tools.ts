/**
 * Tools on the wire: their JSON schemas out, their arguments back in.
 */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import * as Tool from "effect/ai/Tool"
import * as Names from "@selvage/provider/Names"
import * as ToolSchema from "@selvage/provider/ToolSchema"
import * as Effect from "effect/Effect"
import type * as JsonSchema from "effect/JsonSchema"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Errors from "./errors.ts"
import * as Hosted from "./hosted.ts"

/** A tool as either API wants it. */
export interface WireTool {
  /** Its name in the toolkit. */
  readonly name: string
  readonly description: string | undefined
  readonly parameters: Record<string, unknown>
  readonly strict: boolean
  /** From what the model wrote to what the tool's schema encodes; none when it is not of the promised shape. */
  readonly decode: (params: unknown) => Option.Option<unknown>
  /** Whether its parameters stand in a field of their own. */
  readonly wrapped: boolean
}

// Tools are immutable and their schemas cost much more to convert than a request does to send.
const prepared = new WeakMap<Tool.Any, WireTool>()
const preparedPlain = new WeakMap<Tool.Any, WireTool>()

const described = (tool: Tool.Any) => ({ name: tool.name, description: Tool.getDescription(tool) })

const plain = (tool: Tool.Any, schema: JsonSchema.JsonSchema): WireTool => {
  const wrapped = ToolSchema.isWrapped(schema)
  return {
    ...described(tool),
    parameters: ToolSchema.plain(schema),
    strict: false,
    decode: wrapped ? (params) => Option.some(ToolSchema.unwrap(params)) : Option.some,
    wrapped
  }
}

/** The tool in strict mode; none where its schema is beyond that. */
const strict = (tool: Tool.Any, schema: JsonSchema.JsonSchema): WireTool | undefined => {
  if (ToolSchema.isEmpty(schema)) {
    return { ...described(tool), parameters: ToolSchema.empty, strict: true, decode: Option.some, wrapped: false }
  }
  const wrapped = ToolSchema.isWrapped(schema)
  const own = tool.parametersSchema
  try {
    const sent = wrapped ? Schema.Struct({ [ToolSchema.field]: own }) : own
    const parameters = ToolSchema.tame(toCodecOpenAI(sent).jsonSchema)
    if (ToolSchema.beyond(parameters, ToolSchema.openAi) !== undefined) return undefined
    // The encoded side only: optional properties travel as required nullable ones, tuples and records in other shapes.
    // Checks are left to whoever decodes the call, which knows the tool's failure mode.
    const decode = Schema.decodeUnknownOption(toCodecOpenAI(Schema.toEncoded(sent)).codec)
    return {
      ...described(tool),
      parameters,
      strict: true,
      decode: wrapped ? (params) => Option.map(decode(params), ToolSchema.unwrap) : decode,
      wrapped
    }
  } catch {
    return undefined
  }
}

const describe = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

const prepare = (
  tool: Tool.Any,
  context: Errors.RequestContext,
  allowStrict: boolean
): Effect.Effect<WireTool, AiError.AiError> => {
  const cache = allowStrict ? prepared : preparedPlain
  const known = cache.get(tool)
  if (known !== undefined) return Effect.succeed(known)
  return Effect.try({
    try: () => {
      const schema = Tool.getJsonSchema(tool)
      const own = Tool.isDynamic(tool) && tool.jsonSchema !== undefined
      const isStrict = allowStrict && !own && Tool.getStrictMode(tool) !== false
      // Not every schema has a strict form: such a tool is still a usable tool, and its arguments are checked when they come.
      const wire = (isStrict ? strict(tool, schema) : undefined) ?? plain(tool, schema)
      cache.set(tool, wire)
      return wire
    },
    catch: (thrown) =>
      Errors.make(
        context,
        new AiError.UnsupportedSchemaError({ description: `parameters of tool '${tool.name}': ${describe(thrown)}` })
      )
  })
}

/** The tools of a request. */
export interface Prepared {
  /** Those the caller executes, by name. */
  readonly functions: ReadonlyMap<string, WireTool>
  /** Those OpenAI executes. */
  readonly hosted: ReadonlyArray<Hosted.HostedTool>
  /** What tools are called on the wire. */
  readonly names: Names.Names
}

/** Prepares what of a request concerns tools. `strict: false` is for servers that know no strict schemas. */
export const prepareAll = Effect.fnUntracedEager(function* (
  tools: ReadonlyArray<Tool.Any>,
  context: Errors.RequestContext,
  strict: boolean
): Effect.fn.Return<Prepared, AiError.AiError> {
  const functions = new Map<string, WireTool>()
  const hosted: Array<Hosted.HostedTool> = []
  for (const tool of tools) {
    if (Tool.isProviderDefined(tool)) hosted.push(yield* Hosted.prepare(tool, context))
    else functions.set(tool.name, yield* prepare(tool, context, strict))
  }
  return { functions, hosted, names: Names.make(Names.tools, functions.keys()) }
})

/** The parameters of an earlier call as its tool has them on the wire. */
export const wireParams =
  ({ functions }: Prepared) =>
  (name: string, params: unknown): unknown =>
    functions.get(name)?.wrapped === true ? ToolSchema.wrap(params) : params

/** The tool choice without its shape, which differs between the APIs. A `oneOf` has already narrowed the tools. */
export const choice = (
  toolChoice: LanguageModel.ToolChoice<string>
): "auto" | "none" | "required" | { readonly tool: string } =>
  typeof toolChoice === "string"
    ? toolChoice
    : "tool" in toolChoice
      ? { tool: toolChoice.tool }
      : (toolChoice.mode ?? "auto")

/** Whether a call's arguments are whole. */
export const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/**
 * The parameters of a call from its JSON text. Malformed JSON and a tool that was not offered are errors, unless the caller
 * validates calls itself: then it gets the text as it came, and can answer the model.
 */
export const parseParameters = (
  name: string,
  text: string,
  tools: Prepared,
  options: Pick<LanguageModel.ProviderOptions, "toolCallValidation">,
  context: Errors.RequestContext
): Effect.Effect<unknown, AiError.AiError> => {
  const deferred = options.toolCallValidation === "deferred"
  if (!deferred && !tools.functions.has(name)) {
    const availableTools = [...tools.functions.keys()]
    return Effect.fail(Errors.make(context, new AiError.ToolNotFoundError({ toolName: name, availableTools })))
  }
  const parsed = Effect.try({
    // Servers send an empty text for a call without parameters.
    try: () => Tool.unsafeSecureJsonParse(text.trim() === "" ? "{}" : text),
    catch: (thrown) =>
      Errors.make(
        context,
        new AiError.ToolParameterValidationError({
          toolName: name,
          description: `the model wrote malformed JSON: ${describe(thrown)}`
        })
      )
  })
  const decoded = Effect.map(parsed, (params) =>
    Option.getOrElse(tools.functions.get(name)?.decode(params) ?? Option.none(), () => params)
  )
  return deferred ? Effect.orElseSucceed(decoded, () => text) : decoded
}

/** The JSON schema of a structured answer: strict where it can be. */
export const responseSchema = (
  format: { readonly objectName: string; readonly schema: Schema.Top },
  context: Errors.RequestContext
): Effect.Effect<{ name: string; schema: Record<string, unknown>; strict: boolean }, AiError.AiError> =>
  Effect.try({
    try: () => {
      const schema = ToolSchema.tame(toCodecOpenAI(format.schema).jsonSchema)
      return {
        // The API allows only these characters, and 64 of them.
        name: format.objectName.replaceAll(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64) || "answer",
        schema,
        strict: ToolSchema.beyond(schema, ToolSchema.openAi) === undefined
      }
    },
    catch: (thrown) => Errors.make(context, new AiError.UnsupportedSchemaError({ description: describe(thrown) }))
  })

/**
 * Tools on the wire: their JSON schemas out, their arguments back in.
 */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Errors from "./errors.ts"
import * as Hosted from "./hosted.ts"

/** A tool as either API wants it. */
export interface WireTool {
  readonly name: string
  readonly description: string | undefined
  readonly parameters: Record<string, unknown>
  readonly strict: boolean
  /** From what the model wrote to what the tool's schema encodes; none when it is not of the promised shape. */
  readonly decode: (params: unknown) => Option.Option<unknown>
}

// Tools are immutable and their schemas cost much more to convert than a request does to send.
const prepared = new WeakMap<Tool.Any, WireTool>()
const preparedPlain = new WeakMap<Tool.Any, WireTool>()

const plain = (tool: Tool.Any): WireTool => ({
  name: tool.name,
  description: Tool.getDescription(tool),
  parameters: Tool.getJsonSchema(tool),
  strict: false,
  decode: Option.some
})

const strict = (tool: Tool.Any): WireTool => ({
  name: tool.name,
  description: Tool.getDescription(tool),
  parameters: toCodecOpenAI(tool.parametersSchema).jsonSchema,
  strict: true,
  // The encoded side only: optional properties travel as required nullable ones, tuples and records in other shapes.
  // Checks are left to whoever decodes the call, which knows the tool's failure mode.
  decode: Schema.decodeUnknownOption(toCodecOpenAI(Schema.toEncoded(tool.parametersSchema)).codec)
})

const describe = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

const prepare = (
  tool: Tool.Any,
  context: Errors.RequestContext,
  allowStrict: boolean
): Effect.Effect<WireTool, AiError.AiError> => {
  const cache = allowStrict ? prepared : preparedPlain
  const known = cache.get(tool)
  if (known !== undefined) return Effect.succeed(known)
  return Effect.suspend(() => {
    const asked = Tool.getStrictMode(tool)
    const own = Tool.isDynamic(tool) && tool.jsonSchema !== undefined
    const unsupported = (thrown: unknown) =>
      Errors.make(
        context,
        new AiError.UnsupportedSchemaError({
          description: `parameters of tool '${tool.name}': ${describe(thrown)}`
        })
      )
    const convert = (make: (tool: Tool.Any) => WireTool) => Effect.try({ try: () => make(tool), catch: unsupported })
    const made =
      asked === false || own || !allowStrict
        ? convert(plain)
        : asked === true
          ? convert(strict)
          : // Strict is the default, but not every schema has a strict form: such a tool is still a usable tool.
            Effect.catch(convert(strict), () => convert(plain))
    return Effect.tap(made, (wire) => Effect.sync(() => cache.set(tool, wire)))
  })
}

/** The tools of a request. */
export interface Prepared {
  /** Those the caller executes, by name. */
  readonly functions: ReadonlyMap<string, WireTool>
  /** Those OpenAI executes. */
  readonly hosted: ReadonlyArray<Hosted.HostedTool>
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
  return { functions, hosted }
})

/** The tool choice without its shape, which differs between the APIs. A `oneOf` has already narrowed the tools. */
export const choice = (toolChoice: LanguageModel.ToolChoice<string>): "auto" | "none" | "required" | { tool: string } =>
  typeof toolChoice === "string"
    ? toolChoice
    : "tool" in toolChoice
      ? { tool: toolChoice.tool }
      : (toolChoice.mode ?? "auto")

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

/** The strict JSON schema of a structured answer. */
export const responseSchema = (
  format: { readonly objectName: string; readonly schema: Schema.Top },
  context: Errors.RequestContext
): Effect.Effect<{ name: string; schema: Record<string, unknown>; strict: true }, AiError.AiError> =>
  Effect.try({
    try: () => ({
      // The API allows only these characters, and 64 of them.
      name: format.objectName.replaceAll(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64) || "answer",
      schema: toCodecOpenAI(format.schema).jsonSchema,
      strict: true as const
    }),
    catch: (thrown) => Errors.make(context, new AiError.UnsupportedSchemaError({ description: describe(thrown) }))
  })

/**
 * The tools that Anthropic runs on its own side: their calls and results as parts, and as parts' parameters back.
 *
 * A call or a result becomes a part when the toolkit declares the tool and its schemas take what came. What else there is (a tool that
 * another tool brings along, a shape of a later date) must still go back in the next request, so it becomes an empty reasoning part that
 * carries the block: an answer never fails because of what Anthropic did on its own side.
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { ToolCaller } from "../AnthropicOptions.ts"
import type * as Wire from "./wire.ts"

/** How tools of this provider's are called by the toolkit, and by the API. */
export type Names = Tool.NameMapper<ReadonlyArray<Tool.Any>>

/** The tools among these that this provider defines. */
export const isAnthropic = (tool: Tool.Any): tool is Tool.AnyProviderDefined & { readonly id: `anthropic.${string}` } =>
  Tool.isProviderDefined(tool) && tool.id.startsWith("anthropic.")

/** The mapping of names for the tools of a request. */
export const namesOf = (tools: ReadonlyArray<Tool.Any>): Names => new Tool.NameMapper(tools.filter(isAnthropic))

// The code execution tool calls itself by what it does; one tool in the toolkit stands for all three.
const codeExecution = ["code_execution", "bash_code_execution", "text_editor_code_execution"]
const isCodeExecution = (name: string): boolean => codeExecution.includes(name)

const toolOfCall = (name: string): string => (isCodeExecution(name) ? "code_execution" : name)

const toolOfResult: Record<Wire.ServerToolResult["type"], string> = {
  web_search_tool_result: "web_search",
  web_fetch_tool_result: "web_fetch",
  code_execution_tool_result: "code_execution",
  bash_code_execution_tool_result: "code_execution",
  text_editor_code_execution_tool_result: "code_execution",
  // One of two tools; the prefix finds the one that is there.
  tool_search_tool_result: "tool_search_tool"
}

const declared = (tools: ReadonlyArray<Tool.Any>, name: string): Tool.AnyProviderDefined | undefined =>
  tools.find(
    (tool): tool is Tool.AnyProviderDefined =>
      isAnthropic(tool) &&
      (tool.providerName === name || (name === "tool_search_tool" && tool.providerName.startsWith(name)))
  )

/** What the parts of one answer have in common: the calls whose tools were declared, by id. */
export type Calls = Map<string, Tool.AnyProviderDefined | undefined>

const accepts = (
  schema: Schema.Constraint,
  value: unknown,
  onExcessProperty: "ignore" | "error"
): Effect.Effect<boolean> =>
  Effect.isSuccess(
    // Schemas of provider-defined tools need no services.
    Schema.decodeUnknownEffect(schema, { onExcessProperty })(value) as Effect.Effect<unknown, Schema.SchemaError>
  )

/** How a schema takes a value: with all it holds, without some of it, or not at all. */
const fit = Effect.fnUntraced(function* (schema: Schema.Constraint, value: unknown) {
  if (yield* accepts(schema, value, "error")) return "whole"
  return (yield* accepts(schema, value, "ignore")) ? "partly" : "not"
})

/** The parameters of a call as its tool's schema has them: for code execution with the kind as `type`. */
const paramsOf = (name: string, input: unknown): unknown =>
  isCodeExecution(name) && Predicate.isObject(input) ? { type: name, ...input } : input

/** The other way around: what the API takes back. */
export const inputOf = (name: string, params: unknown): unknown => {
  if (!isCodeExecution(name) || !Predicate.isObject(params) || !("type" in params)) return params ?? {}
  const { type: _, ...input } = params
  return input
}

/** A caller in our spelling. */
export const callerOf = (caller: Wire.Caller | null | undefined): { readonly caller?: ToolCaller } =>
  caller ? { caller: { type: caller.type, ...(caller.tool_id ? { toolId: caller.tool_id } : undefined) } } : {}

/** The declared tool that a call is of. */
export const toolOf = (
  options: LanguageModel.ProviderOptions,
  block: Wire.ServerToolUse
): Tool.AnyProviderDefined | undefined => declared(options.tools, toolOfCall(block.name))

/** A call as a part, or as nothing when it can only go back. */
export const call = Effect.fnUntraced(function* (
  options: LanguageModel.ProviderOptions,
  block: Wire.ServerToolUse,
  calls: Calls
): Effect.fn.Return<Response.ToolCallPartEncoded | undefined> {
  const tool = toolOf(options, block)
  const params = paramsOf(block.name, block.input)
  const fits = tool === undefined ? "not" : yield* fit(tool.parametersSchema, params)
  const shown = fits === "not" ? undefined : tool
  calls.set(block.id, shown)
  return shown === undefined
    ? undefined
    : {
        type: "tool-call",
        id: block.id,
        name: shown.name,
        params,
        providerExecuted: true,
        metadata: {
          anthropic: {
            serverTool: block.name,
            ...callerOf(block.caller),
            // The part will hold what its schema knows; the rest must go back too.
            ...(fits === "partly" ? { block } : undefined)
          }
        }
      }
})

const isError = (content: Schema.Json): boolean =>
  Predicate.isObject(content) &&
  "type" in content &&
  typeof content["type"] === "string" &&
  content["type"].endsWith("_error")

/** A result as a part, or as nothing when it can only go back. */
export const result = Effect.fnUntraced(function* (
  options: LanguageModel.ProviderOptions,
  block: Wire.ServerToolResult,
  calls: Calls
): Effect.fn.Return<Response.ToolResultPartEncoded | undefined> {
  // The call of a result may stand in an earlier, paused answer.
  const tool = calls.has(block.tool_use_id)
    ? calls.get(block.tool_use_id)
    : declared(options.tools, toolOfResult[block.type])
  const isFailure = isError(block.content)
  if (tool === undefined) return undefined
  const fits = yield* fit(isFailure ? tool.failureSchema : tool.successSchema, block.content)
  if (fits === "not") return undefined
  return {
    type: "tool-result",
    id: block.tool_use_id,
    name: tool.name,
    isFailure,
    result: block.content,
    providerExecuted: true,
    metadata: {
      anthropic: {
        resultType: block.type,
        ...callerOf(block.caller),
        ...(fits === "partly" ? { block } : undefined)
      }
    }
  }
})

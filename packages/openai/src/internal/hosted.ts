/**
 * Tools that OpenAI executes: out as entries of `tools`, back as items that become a call and its result.
 */
import type { OpenAI } from "openai"
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import type * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as OpenAiTool from "../OpenAiTool.ts"
import * as Errors from "./errors.ts"
import { compact } from "./config.ts"
import { nullish } from "./wire.ts"

type Wire = OpenAI.Responses.Tool
type Include = OpenAI.Responses.ResponseIncludable

/** The types of the items that these tools leave. */
export const itemTypes = [
  "web_search_call",
  "code_interpreter_call",
  "file_search_call",
  "image_generation_call",
  "mcp_call"
] as const

type ItemType = (typeof itemTypes)[number]

/** An item with everything in it, so that it can go back as it came. */
export const Item = Schema.StructWithRest(
  Schema.Struct({
    type: Schema.Literals(itemTypes),
    id: Schema.String,
    status: Schema.optionalKey(Schema.NullOr(Schema.String))
  }),
  [Schema.Record(Schema.String, Schema.Json)]
)

export type Item = typeof Item.Type

/** A tool of a request that OpenAI executes. */
export interface HostedTool {
  /** Its name in the toolkit. */
  readonly name: string
  readonly wire: Wire
  readonly item: ItemType
  /** What must be asked for to get its results. */
  readonly include: ReadonlyArray<Include>
}

interface Kind {
  readonly item: ItemType
  readonly include: ReadonlyArray<Include>
  readonly wire: (args: unknown) => Option.Option<Wire>
}

const kind = <Args>(
  item: ItemType,
  args: Schema.Codec<Args, unknown>,
  wire: (args: Args) => Wire,
  include: ReadonlyArray<Include> = []
): Kind => {
  const decode = Schema.decodeUnknownOption(args)
  return { item, include, wire: (args) => Option.map(decode(args), wire) }
}

const sources = ["web_search_call.action.sources"] as const

const kinds: ReadonlyMap<string, Kind> = new Map([
  [
    "openai.web_search",
    kind("web_search_call", OpenAiTool.WebSearch({}).argsSchema, (args) => ({ type: "web_search", ...args }), sources)
  ],
  [
    "openai.web_search_preview",
    kind("web_search_call", OpenAiTool.WebSearchPreview({}).argsSchema, (args) => ({
      type: "web_search_preview",
      ...args
    }))
  ],
  [
    "openai.code_interpreter",
    kind(
      "code_interpreter_call",
      OpenAiTool.CodeInterpreter({ container: "" }).argsSchema,
      (args) => ({ type: "code_interpreter", ...args }),
      ["code_interpreter_call.outputs"]
    )
  ],
  [
    "openai.file_search",
    kind(
      "file_search_call",
      OpenAiTool.FileSearch({ vector_store_ids: [] }).argsSchema,
      (args) => ({ type: "file_search", ...args }),
      ["file_search_call.results"]
    )
  ],
  [
    "openai.image_generation",
    kind("image_generation_call", OpenAiTool.ImageGeneration({}).argsSchema, (args) => ({
      type: "image_generation",
      ...args
    }))
  ],
  [
    "openai.mcp",
    kind("mcp_call", OpenAiTool.Mcp({ server_label: "", require_approval: "never" }).argsSchema, (args) => ({
      type: "mcp",
      ...args
    }))
  ]
])

/** A provider-defined tool as the Responses API wants it. */
export const prepare = (
  tool: Tool.AnyProviderDefined,
  context: Errors.RequestContext
): Effect.Effect<HostedTool, AiError.AiError> => {
  const fail = (description: string) =>
    Effect.fail(Errors.make(context, new AiError.ToolConfigurationError({ toolName: tool.name, description })))
  const known = kinds.get(tool.id)
  if (known === undefined) {
    return fail(`OpenAI has no provider-defined tool '${tool.id}'; take one of OpenAiTool, or define it with Tool.make`)
  }
  return Option.match(known.wire(tool.args), {
    onNone: () => fail(`the arguments do not fit '${tool.id}'; see OpenAiTool for what it takes`),
    onSome: (wire) => Effect.succeed({ name: tool.name, wire, item: known.item, include: known.include })
  })
}

interface Outcome {
  readonly params: unknown
  readonly result: unknown
  readonly failure?: string | undefined
}

const outcome = <A>(schema: Schema.Codec<A, unknown>, make: (item: A) => Outcome) => {
  const decode = Schema.decodeUnknownOption(schema)
  return (item: Item): Option.Option<Outcome> => Option.map(decode(item), make)
}

const status = { status: nullish(Schema.String) }

const known = <A>(schema: Schema.Codec<A, unknown>): ((values: ReadonlyArray<unknown>) => ReadonlyArray<A>) => {
  const decode = Schema.decodeUnknownOption(schema)
  return (values) => values.flatMap((value) => Option.toArray(decode(value)))
}

const action = Schema.decodeUnknownOption(OpenAiTool.WebSearchAction)
const codeOutputs = known(OpenAiTool.CodeOutput)
const fileResults = known(OpenAiTool.FileSearchResult)

// New kinds of actions and outputs are left out, not errors: the item itself keeps them.
const outcomes: Record<ItemType, (item: Item) => Option.Option<Outcome>> = {
  web_search_call: outcome(Schema.Struct({ ...status, action: Schema.optional(Schema.Unknown) }), (item) => {
    const done = compact({ action: Option.getOrUndefined(action(item.action)) })
    return { params: done, result: { status: item.status ?? "completed", ...done } }
  }),
  code_interpreter_call: outcome(
    Schema.Struct({
      ...status,
      container_id: Schema.String,
      code: nullish(Schema.String),
      outputs: nullish(Schema.Array(Schema.Unknown))
    }),
    (item) => ({
      params: { container_id: item.container_id, code: item.code ?? null },
      result: { status: item.status ?? "completed", outputs: item.outputs ? codeOutputs(item.outputs) : null }
    })
  ),
  file_search_call: outcome(
    Schema.Struct({
      ...status,
      queries: Schema.Array(Schema.String),
      results: nullish(Schema.Array(Schema.Unknown))
    }),
    (item) => ({
      params: { queries: item.queries },
      result: { status: item.status ?? "completed", results: item.results ? fileResults(item.results) : null }
    })
  ),
  image_generation_call: outcome(
    Schema.Struct({
      ...status,
      result: nullish(Schema.String),
      output_format: nullish(Schema.String),
      revised_prompt: nullish(Schema.String),
      error: nullish(Schema.Struct({ message: nullish(Schema.String) }))
    }),
    (item) => ({
      params: {},
      result: {
        status: item.status ?? "completed",
        result: item.result ?? null,
        ...compact({
          output_format: item.output_format ?? undefined,
          revised_prompt: item.revised_prompt ?? undefined
        })
      },
      failure: item.error?.message ?? undefined
    })
  ),
  mcp_call: outcome(
    Schema.Struct({
      ...status,
      server_label: Schema.String,
      name: Schema.String,
      arguments: Schema.String,
      output: nullish(Schema.String),
      error: nullish(Schema.Unknown)
    }),
    (item) => ({
      params: { server_label: item.server_label, name: item.name, arguments: item.arguments },
      result: { status: item.status ?? "completed", output: item.output ?? null },
      failure:
        item.error === null || item.error === undefined
          ? undefined
          : typeof item.error === "string"
            ? item.error
            : JSON.stringify(item.error)
    })
  )
}

/** The two parts an item becomes. */
export interface Executed {
  readonly call: Response.ToolCallPartEncoded
  readonly result: Response.ToolResultPartEncoded
}

/** The call and its result; none for a tool that was not asked for. */
export const executed = (item: Item, hosted: ReadonlyArray<HostedTool>): Executed | undefined => {
  const tool = hosted.find((tool) => tool.item === item.type)
  const found = Option.getOrUndefined(outcomes[item.type](item))
  if (tool === undefined || found === undefined) return undefined
  const failed = found.failure !== undefined || item.status === "failed" || item.status === "incomplete"
  // The image is in the result already, and may be large.
  const { result: image, ...rest } = item
  const kept = item.type === "image_generation_call" ? rest : { ...rest, ...compact({ result: image }) }
  return {
    call: {
      type: "tool-call",
      id: item.id,
      name: tool.name,
      params: found.params,
      providerExecuted: true,
      metadata: { openai: { item: kept } }
    },
    result: {
      type: "tool-result",
      id: item.id,
      name: tool.name,
      isFailure: failed,
      result: failed
        ? { type: "execution-interrupted", reason: found.failure ?? `the call ended as ${item.status ?? "failed"}` }
        : found.result,
      providerExecuted: true
    }
  }
}

const image = Schema.decodeUnknownOption(Schema.Struct({ result: Schema.String }))

type Kept = { readonly type: string; readonly [key: string]: Schema.Json }

/** Whether this is an item of a tool that OpenAI executed. */
export const isItem = (item: Kept | null | undefined): item is Kept =>
  item !== null && item !== undefined && itemTypes.some((type) => type === item.type)

/** The item as it came, for a call in an earlier turn; none where it was not kept. */
export const inputItem = (
  call: Prompt.ToolCallPart,
  item: Kept | null | undefined,
  results: ReadonlyMap<string, Prompt.ToolResultPart>
): OpenAI.Responses.ResponseInputItem | undefined => {
  if (!isItem(item)) return undefined
  const drawn =
    item.type === "image_generation_call"
      ? Option.match(image(results.get(call.id)?.result), { onNone: () => ({}), onSome: ({ result }) => ({ result }) })
      : {}
  // It is what this API sent, and only the API knows all its fields.
  return { ...item, ...drawn } as unknown as OpenAI.Responses.ResponseInputItem
}

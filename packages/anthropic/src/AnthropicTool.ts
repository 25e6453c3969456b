/**
 * The tools that Anthropic defines, by version, and what any tool may tell Anthropic about itself.
 *
 * Web search, web fetch, code execution and tool search run on Anthropic's side: they need no handler, and the call and its result come in
 * the same answer, `providerExecuted`. Bash, the text editor and memory are known to the model by name alone; they are yours to implement,
 * like any tool.
 *
 * ```ts
 * import * as LanguageModel from "effect/ai/LanguageModel"
 * import * as Toolkit from "effect/ai/Toolkit"
 * import * as Effect from "effect/Effect"
 * import { AnthropicTool } from "@selvage/anthropic"
 *
 * const tools = Toolkit.make(AnthropicTool.WebSearch_20250305({ maxUses: 3, blockedDomains: ["example.com"] }))
 *
 * export const search = LanguageModel.generateText({ prompt: "What is new in Effect?", toolkit: tools }).pipe(
 *   Effect.map((response) =>
 *     response.toolResults.flatMap((part) => (part.isFailure ? [part.result.type] : part.result.map(({ url }) => url)))
 *   )
 * )
 * ```
 *
 * **Gotchas**
 *
 * - A long turn may be paused: the answer finishes with `"pause"`. Send it back as it is to go on.
 * - The versions of 2026 run searches from inside code execution. The calls of a tool that the toolkit does not have are kept, unseen, and
 *   go back with the next request.
 * - Any other tool that the API defines can be declared with `Tool.providerDefined`: its `id` is `anthropic.` and the API's type, its
 *   arguments are sent in snake case.
 */
import * as Tool from "effect/ai/Tool"
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"
import type { CacheControl } from "./AnthropicOptions.ts"
import * as ToolSchema from "./AnthropicToolSchema.ts"

const callers = ["direct", "code_execution_20250825", "code_execution_20260120", "code_execution_20260521"] as const

/** What a tool tells Anthropic about itself. */
export interface ToolOptions {
  /** Caches the definitions up to this tool. */
  readonly cacheControl?: CacheControl | undefined
  /** Leaves the tool out of the prompt until a tool search finds it. */
  readonly deferLoading?: boolean | undefined
  /** Streams arguments as they are written, before they are known to be valid JSON. */
  readonly eagerInputStreaming?: boolean | undefined
  /** Arguments that show how the tool is used. */
  readonly inputExamples?: ReadonlyArray<Readonly<Record<string, Schema.Json>>> | undefined
  /** Who may call it: the model, or code that the model runs. */
  readonly allowedCallers?: ReadonlyArray<(typeof callers)[number]> | undefined
}

/**
 * An annotation for one's own tools: `tool.annotate(AnthropicTool.Options, { cacheControl: { type: "ephemeral" } })`. The tools below take
 * what applies to them among their arguments.
 */
export const Options = Context.Reference<ToolOptions>("selvage/anthropic/AnthropicTool/Options", {
  defaultValue: () => ({})
})

// What every tool of Anthropic's takes.
const shared = {
  cacheControl: Schema.optionalKey(
    Schema.Struct({ type: Schema.Literal("ephemeral"), ttl: Schema.optionalKey(Schema.Literals(["5m", "1h"])) })
  ),
  deferLoading: Schema.optionalKey(Schema.Boolean),
  allowedCallers: Schema.optionalKey(Schema.Array(Schema.Literals(callers)))
}

const domains = {
  ...shared,
  /** How often the tool may be used in one request. */
  maxUses: Schema.optionalKey(Schema.Int),
  /** Only these; not together with `blockedDomains`. */
  allowedDomains: Schema.optionalKey(Schema.Array(Schema.String)),
  blockedDomains: Schema.optionalKey(Schema.Array(Schema.String))
}
// Whether a completed code execution's own searches and fetches come back in full, or not at all.
const responseInclusion = Schema.optionalKey(Schema.Literals(["full", "excluded"]))

const search = {
  ...domains,
  userLocation: Schema.optionalKey(
    Schema.Struct({
      type: Schema.Literal("approximate"),
      city: Schema.optionalKey(Schema.String),
      region: Schema.optionalKey(Schema.String),
      /** ISO 3166-1 alpha-2. */
      country: Schema.optionalKey(Schema.String),
      /** IANA. */
      timezone: Schema.optionalKey(Schema.String)
    })
  )
}

const webSearch = <const Version extends string, Args extends Schema.Constraint>(version: Version, args: Args) =>
  Tool.providerDefined({
    id: `anthropic.web_search_${version}` as const,
    customName: "AnthropicWebSearch",
    providerName: "web_search",
    args,
    parameters: ToolSchema.WebSearchParameters,
    success: Schema.Array(ToolSchema.WebSearchResult),
    failure: ToolSchema.WebSearchFailure
  })

/** Searches the web. */
export const WebSearch_20250305 = webSearch("20250305", Schema.Struct(search))

/** Searches the web, and filters what it found by code. */
export const WebSearch_20260209 = webSearch("20260209", Schema.Struct(search))

/** As before, and can leave out of the answer what only its code has read. */
export const WebSearch_20260318 = webSearch("20260318", Schema.Struct({ ...search, responseInclusion }))

const toolSource = Schema.Union([
  Schema.Struct({ type: Schema.Literals(["all", "none"]) }),
  Schema.Struct({
    type: Schema.Literals(["only", "except"]),
    tools: Schema.Array(Schema.Struct({ type: Schema.Literal("tool_reference"), name: Schema.String }))
  })
])

const fetching = {
  ...domains,
  citations: Schema.optionalKey(Schema.Struct({ enabled: Schema.Boolean })),
  /** How many tokens of a page's text may enter the context, approximately. */
  maxContentTokens: Schema.optionalKey(Schema.Int),
  /** Where a URL must come from to be fetched; from anywhere in the conversation when absent. */
  urlSources: Schema.optionalKey(
    Schema.Struct({
      userInput: Schema.optionalKey(Schema.Struct({ type: Schema.Literals(["all", "none"]) })),
      clientToolResults: Schema.optionalKey(toolSource),
      serverToolResults: Schema.optionalKey(toolSource)
    })
  )
}
const useCache = Schema.optionalKey(Schema.Boolean)

const webFetch = <const Version extends string, Args extends Schema.Constraint>(version: Version, args: Args) =>
  Tool.providerDefined({
    id: `anthropic.web_fetch_${version}` as const,
    customName: "AnthropicWebFetch",
    providerName: "web_fetch",
    args,
    parameters: ToolSchema.WebFetchParameters,
    success: ToolSchema.WebFetchResult,
    failure: ToolSchema.WebFetchFailure
  })

/** Fetches pages and PDFs whose URL is in the conversation. */
export const WebFetch_20250910 = webFetch("20250910", Schema.Struct(fetching))

/** Fetches, and filters what it fetched by code. */
export const WebFetch_20260209 = webFetch("20260209", Schema.Struct(fetching))

/** As before, and can pass the cache by. */
export const WebFetch_20260309 = webFetch("20260309", Schema.Struct({ ...fetching, useCache }))

/** As before, and can leave out of the answer what only its code has read. */
export const WebFetch_20260318 = webFetch("20260318", Schema.Struct({ ...fetching, useCache, responseInclusion }))

const codeExecution = <const Version extends string>(version: Version) =>
  Tool.providerDefined({
    id: `anthropic.code_execution_${version}` as const,
    customName: "AnthropicCodeExecution",
    providerName: "code_execution",
    args: Schema.Struct(shared),
    parameters: ToolSchema.CodeExecutionParameters,
    success: ToolSchema.CodeExecutionResult,
    failure: ToolSchema.CodeExecutionFailure
  })

/** Runs Python. */
export const CodeExecution_20250522 = codeExecution("20250522")

/** Runs shell commands and edits files. */
export const CodeExecution_20250825 = codeExecution("20250825")

/** As before; Python keeps its state in a reused container. */
export const CodeExecution_20260120 = codeExecution("20260120")

/** As before, in its latest form. */
export const CodeExecution_20260521 = codeExecution("20260521")

/** Finds deferred tools by a regular expression. */
export const ToolSearchRegex_20251119 = Tool.providerDefined({
  id: "anthropic.tool_search_tool_regex_20251119",
  customName: "AnthropicToolSearchRegex",
  providerName: "tool_search_tool_regex",
  args: Schema.Struct(shared),
  parameters: ToolSchema.ToolSearchParameters,
  success: ToolSchema.ToolSearchResult,
  failure: ToolSchema.ToolSearchFailure
})

/** Finds deferred tools by words. */
export const ToolSearchBM25_20251119 = Tool.providerDefined({
  id: "anthropic.tool_search_tool_bm25_20251119",
  customName: "AnthropicToolSearchBM25",
  providerName: "tool_search_tool_bm25",
  args: Schema.Struct(shared),
  parameters: ToolSchema.ToolSearchParameters,
  success: ToolSchema.ToolSearchResult,
  failure: ToolSchema.ToolSearchFailure
})

/** A shell; the handler runs it. */
export const Bash_20250124 = Tool.providerDefined({
  id: "anthropic.bash_20250124",
  customName: "AnthropicBash",
  providerName: "bash",
  requiresHandler: true,
  args: Schema.Struct(shared),
  parameters: ToolSchema.BashParameters,
  success: Schema.String
})

/** A text editor; the handler edits. */
export const TextEditor_20250728 = Tool.providerDefined({
  id: "anthropic.text_editor_20250728",
  customName: "AnthropicTextEditor",
  providerName: "str_replace_based_edit_tool",
  requiresHandler: true,
  args: Schema.Struct({
    ...shared,
    /** How much of a file a view shows. */
    maxCharacters: Schema.optionalKey(Schema.Int)
  }),
  parameters: ToolSchema.TextEditorParameters,
  success: Schema.String
})

/** A directory of memories; the handler keeps it. */
export const Memory_20250818 = Tool.providerDefined({
  id: "anthropic.memory_20250818",
  customName: "AnthropicMemory",
  providerName: "memory",
  requiresHandler: true,
  args: Schema.Struct(shared),
  parameters: ToolSchema.MemoryParameters,
  success: Schema.String
})

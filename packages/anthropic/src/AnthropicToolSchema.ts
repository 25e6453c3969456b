/**
 * What the tools that Anthropic defines take and give, in the API's own names: results go back to the API as they came.
 *
 * A tool's version fixes these shapes; error codes are open, because new ones come without a new version.
 *
 * ```ts
 * import type { AnthropicToolSchema } from "@selvage/anthropic"
 *
 * export const titles = (results: ReadonlyArray<AnthropicToolSchema.WebSearchResult>) => results.map(({ title, url }) => `${title} ${url}`)
 * ```
 */
import * as Schema from "effect/Schema"

const textOrNull = Schema.NullOr(Schema.String)
const maybeText = Schema.optionalKey(textOrNull)
const maybeInt = Schema.optionalKey(Schema.NullOr(Schema.Int))

const failure = <const Type extends string>(type: Type) =>
  Schema.Struct({ type: Schema.Literal(type), error_code: Schema.String, error_message: maybeText })

/** What the model searches the web for. */
export const WebSearchParameters = Schema.Struct({ query: Schema.String })

/** One page found. Its text is encrypted: the model reads it, we pass it back. */
export const WebSearchResult = Schema.Struct({
  type: Schema.Literal("web_search_result"),
  url: Schema.String,
  title: Schema.String,
  encrypted_content: Schema.String,
  page_age: maybeText
})
export type WebSearchResult = typeof WebSearchResult.Type

export const WebSearchFailure = failure("web_search_tool_result_error")
export type WebSearchFailure = typeof WebSearchFailure.Type

/** The page that the model fetches. */
export const WebFetchParameters = Schema.Struct({ url: Schema.String, use_cache: Schema.optionalKey(Schema.Boolean) })

/** A page fetched: its text, or a PDF in base64. */
export const WebFetchResult = Schema.Struct({
  type: Schema.Literal("web_fetch_result"),
  url: Schema.String,
  retrieved_at: maybeText,
  content: Schema.Struct({
    type: Schema.Literal("document"),
    source: Schema.Struct({
      type: Schema.Literals(["text", "base64"]),
      media_type: Schema.String,
      data: Schema.String
    }),
    title: maybeText,
    citations: Schema.optionalKey(Schema.NullOr(Schema.Struct({ enabled: Schema.optionalKey(Schema.Boolean) })))
  })
})
export type WebFetchResult = typeof WebFetchResult.Type

export const WebFetchFailure = failure("web_fetch_tool_result_error")
export type WebFetchFailure = typeof WebFetchFailure.Type

/** Code that the model runs: Python, a shell command, or an edit of a file. `type` says which. */
export const CodeExecutionParameters = Schema.Union([
  Schema.Struct({ type: Schema.Literal("code_execution"), code: Schema.String }),
  Schema.Struct({
    type: Schema.Literal("bash_code_execution"),
    command: Schema.String,
    restart: Schema.optionalKey(Schema.Boolean)
  }),
  Schema.Struct({
    type: Schema.Literal("text_editor_code_execution"),
    command: Schema.String,
    path: Schema.String,
    file_text: maybeText,
    old_str: maybeText,
    new_str: maybeText,
    insert_line: maybeInt,
    insert_text: maybeText,
    view_range: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.Int)))
  })
])
export type CodeExecutionParameters = typeof CodeExecutionParameters.Type

const output = <const Type extends string>(type: Type) =>
  Schema.Array(Schema.Struct({ type: Schema.Literal(type), file_id: Schema.String }))

const ran = { return_code: Schema.Int, stdout: Schema.String, stderr: Schema.String }

/** What running it gave. The files it wrote are named by their ids of the Files API. */
export const CodeExecutionResult = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("code_execution_result"),
    ...ran,
    content: output("code_execution_output")
  }),
  Schema.Struct({
    type: Schema.Literal("encrypted_code_execution_result"),
    return_code: Schema.Int,
    stderr: Schema.String,
    encrypted_stdout: Schema.String,
    content: output("code_execution_output")
  }),
  Schema.Struct({
    type: Schema.Literal("bash_code_execution_result"),
    ...ran,
    content: output("bash_code_execution_output")
  }),
  Schema.Struct({
    type: Schema.Literal("text_editor_code_execution_view_result"),
    file_type: Schema.String,
    content: Schema.String,
    num_lines: maybeInt,
    start_line: maybeInt,
    total_lines: maybeInt
  }),
  Schema.Struct({
    type: Schema.Literal("text_editor_code_execution_create_result"),
    is_file_update: Schema.Boolean
  }),
  Schema.Struct({
    type: Schema.Literal("text_editor_code_execution_str_replace_result"),
    old_start: maybeInt,
    old_lines: maybeInt,
    new_start: maybeInt,
    new_lines: maybeInt,
    lines: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.String)))
  })
])
export type CodeExecutionResult = typeof CodeExecutionResult.Type

export const CodeExecutionFailure = Schema.Union([
  failure("code_execution_tool_result_error"),
  failure("bash_code_execution_tool_result_error"),
  failure("text_editor_code_execution_tool_result_error")
])
export type CodeExecutionFailure = typeof CodeExecutionFailure.Type

/** What the model looks for among tools whose loading is deferred: a regular expression of Python, or words. */
export const ToolSearchParameters = Schema.Struct({
  query: Schema.optionalKey(Schema.String),
  pattern: Schema.optionalKey(Schema.String),
  limit: Schema.optionalKey(Schema.Int)
})

/** The tools found, by name. */
export const ToolSearchResult = Schema.Struct({
  type: Schema.Literal("tool_search_tool_search_result"),
  tool_references: Schema.Array(Schema.Struct({ type: Schema.Literal("tool_reference"), tool_name: Schema.String }))
})
export type ToolSearchResult = typeof ToolSearchResult.Type

export const ToolSearchFailure = failure("tool_search_tool_result_error")
export type ToolSearchFailure = typeof ToolSearchFailure.Type

/** A command for the shell that your handler keeps, or the wish to restart it. */
export const BashParameters = Schema.Struct({
  command: Schema.optionalKey(Schema.String),
  restart: Schema.optionalKey(Schema.Boolean)
})

const viewRange = Schema.optionalKey(Schema.Tuple([Schema.Int, Schema.Int]))

/** A command for the text editor that your handler implements. */
export const TextEditorParameters = Schema.Union([
  Schema.Struct({ command: Schema.Literal("view"), path: Schema.String, view_range: viewRange }),
  Schema.Struct({ command: Schema.Literal("create"), path: Schema.String, file_text: Schema.String }),
  Schema.Struct({
    command: Schema.Literal("str_replace"),
    path: Schema.String,
    old_str: Schema.String,
    new_str: Schema.optionalKey(Schema.String)
  }),
  Schema.Struct({
    command: Schema.Literal("insert"),
    path: Schema.String,
    insert_line: Schema.Int,
    insert_text: Schema.String
  })
])
export type TextEditorParameters = typeof TextEditorParameters.Type

/** A command for the directory of memories that your handler keeps. */
export const MemoryParameters = Schema.Union([
  ...TextEditorParameters.members,
  Schema.Struct({ command: Schema.Literal("delete"), path: Schema.String }),
  Schema.Struct({ command: Schema.Literal("rename"), old_path: Schema.String, new_path: Schema.String })
])
export type MemoryParameters = typeof MemoryParameters.Type

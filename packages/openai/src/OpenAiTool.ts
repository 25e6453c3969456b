/**
 * Tools that OpenAI executes itself: put them into a toolkit beside your own, and they need no handler. A call comes as a
 * `tool-call` part with `providerExecuted`, followed by its `tool-result`; what the model cites comes as `source` parts.
 * When the conversation is sent back, so are these calls.
 *
 * They are for the Responses API. Chat Completions knows only `WebSearch`, with the models made for it.
 *
 * ```ts
 * import { OpenAiTool } from "@selvage/openai"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 * import * as Toolkit from "effect/ai/Toolkit"
 * import * as Effect from "effect/Effect"
 *
 * const Hosted = Toolkit.make(
 *   OpenAiTool.WebSearch({ search_context_size: "low" }),
 *   OpenAiTool.CodeInterpreter({ container: { type: "auto" } })
 * )
 *
 * export const answer = Effect.gen(function* () {
 *   const response = yield* LanguageModel.generateText({
 *     prompt: "What did copper cost last month, and what is its yearly trend?",
 *     toolkit: yield* Hosted
 *   })
 *   const sources = response.content.filter((part) => part.type === "source")
 *   return { text: response.text, sources }
 * })
 * ```
 *
 * **Gotchas**
 *
 * - A call that failed at OpenAI is a result with `isFailure`, as with any tool; the model has already seen it.
 * - `Mcp` runs without approvals (`require_approval: "never"`): give the server only tools that may run unasked.
 * - Field names are those of the API, whose guides say what they mean.
 */
import * as Tool from "effect/ai/Tool"
import * as Schema from "effect/Schema"

const UserLocation = Schema.Struct({
  type: Schema.Literal("approximate"),
  city: Schema.optionalKey(Schema.String),
  country: Schema.optionalKey(Schema.String),
  region: Schema.optionalKey(Schema.String),
  timezone: Schema.optionalKey(Schema.String)
})

const ContextSize = Schema.Literals(["low", "medium", "high"])

/** A page that a search found. */
export const WebSource = Schema.Struct({ type: Schema.Literal("url"), url: Schema.String })

/** What the model did on the web: searched, opened a page, or looked for a text in a page. */
export const WebSearchAction = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("search"),
    query: Schema.optional(Schema.String),
    queries: Schema.optional(Schema.Array(Schema.String)),
    sources: Schema.optional(Schema.Array(WebSource))
  }),
  Schema.Struct({ type: Schema.Literal("open_page"), url: Schema.optional(Schema.NullOr(Schema.String)) }),
  Schema.Struct({ type: Schema.Literal("find_in_page"), url: Schema.String, pattern: Schema.String })
])

const webSearch = {
  // Not every server says what was done, and new kinds of action are not known here.
  parameters: Schema.Struct({ action: Schema.optional(WebSearchAction) }),
  success: Schema.Struct({ status: Schema.String, action: Schema.optional(WebSearchAction) })
}

/** Searches the web. https://developers.openai.com/api/docs/guides/tools-web-search */
export const WebSearch = Tool.providerDefined({
  id: "openai.web_search",
  customName: "OpenAiWebSearch",
  providerName: "web_search",
  args: Schema.Struct({
    search_context_size: Schema.optionalKey(ContextSize),
    user_location: Schema.optionalKey(UserLocation),
    filters: Schema.optionalKey(
      Schema.Struct({ allowed_domains: Schema.optionalKey(Schema.mutable(Schema.Array(Schema.String))) })
    )
  }),
  ...webSearch
})

/** The first version of web search, for models and servers that know no other. */
export const WebSearchPreview = Tool.providerDefined({
  id: "openai.web_search_preview",
  customName: "OpenAiWebSearchPreview",
  providerName: "web_search_preview",
  args: Schema.Struct({
    search_context_size: Schema.optionalKey(ContextSize),
    user_location: Schema.optionalKey(UserLocation)
  }),
  ...webSearch
})

/** What running code gave: printed text, or an image at an address that expires. */
export const CodeOutput = Schema.Union([
  Schema.Struct({ type: Schema.Literal("logs"), logs: Schema.String }),
  Schema.Struct({ type: Schema.Literal("image"), url: Schema.String })
])

/** Writes Python and runs it in a container. https://developers.openai.com/api/docs/guides/tools-code-interpreter */
export const CodeInterpreter = Tool.providerDefined({
  id: "openai.code_interpreter",
  customName: "OpenAiCodeInterpreter",
  providerName: "code_interpreter",
  args: Schema.Struct({
    container: Schema.Union([
      Schema.String,
      Schema.Struct({
        type: Schema.Literal("auto"),
        file_ids: Schema.optionalKey(Schema.mutable(Schema.Array(Schema.String))),
        memory_limit: Schema.optionalKey(Schema.Literals(["1g", "4g", "16g", "64g"]))
      })
    ])
  }),
  parameters: Schema.Struct({ container_id: Schema.String, code: Schema.NullOr(Schema.String) }),
  success: Schema.Struct({ status: Schema.String, outputs: Schema.NullOr(Schema.Array(CodeOutput)) })
})

/** A part of a file that a search found. */
export const FileSearchResult = Schema.Struct({
  file_id: Schema.optional(Schema.String),
  filename: Schema.optional(Schema.String),
  score: Schema.optional(Schema.Finite),
  text: Schema.optional(Schema.String),
  attributes: Schema.optional(
    Schema.NullOr(Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])))
  )
})

/** A condition on a file's attributes. */
export const FileFilter = Schema.Struct({
  type: Schema.Literals(["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]),
  key: Schema.String,
  value: Schema.Union([
    Schema.String,
    Schema.Finite,
    Schema.Boolean,
    Schema.mutable(Schema.Array(Schema.Union([Schema.String, Schema.Finite])))
  ])
})

/** Searches vector stores. https://developers.openai.com/api/docs/guides/tools-file-search */
export const FileSearch = Tool.providerDefined({
  id: "openai.file_search",
  customName: "OpenAiFileSearch",
  providerName: "file_search",
  args: Schema.Struct({
    vector_store_ids: Schema.mutable(Schema.Array(Schema.String)),
    max_num_results: Schema.optionalKey(Schema.Int),
    filters: Schema.optionalKey(
      Schema.Union([
        FileFilter,
        Schema.Struct({ type: Schema.Literals(["and", "or"]), filters: Schema.mutable(Schema.Array(FileFilter)) })
      ])
    ),
    ranking_options: Schema.optionalKey(
      Schema.Struct({
        ranker: Schema.optionalKey(Schema.Literals(["auto", "default-2024-11-15"])),
        score_threshold: Schema.optionalKey(Schema.Finite)
      })
    )
  }),
  parameters: Schema.Struct({ queries: Schema.Array(Schema.String) }),
  success: Schema.Struct({ status: Schema.String, results: Schema.NullOr(Schema.Array(FileSearchResult)) })
})

/** Draws. The result is the image in base64. https://developers.openai.com/api/docs/guides/tools-image-generation */
export const ImageGeneration = Tool.providerDefined({
  id: "openai.image_generation",
  customName: "OpenAiImageGeneration",
  providerName: "image_generation",
  args: Schema.Struct({
    model: Schema.optionalKey(Schema.String),
    action: Schema.optionalKey(Schema.Literals(["generate", "edit", "auto"])),
    background: Schema.optionalKey(Schema.Literals(["transparent", "opaque", "auto"])),
    input_fidelity: Schema.optionalKey(Schema.Literals(["high", "low"])),
    moderation: Schema.optionalKey(Schema.Literals(["auto", "low"])),
    output_compression: Schema.optionalKey(Schema.Int),
    output_format: Schema.optionalKey(Schema.Literals(["png", "webp", "jpeg"])),
    quality: Schema.optionalKey(Schema.Literals(["low", "medium", "high", "auto"])),
    size: Schema.optionalKey(Schema.String)
  }),
  parameters: Schema.Struct({}),
  success: Schema.Struct({
    status: Schema.String,
    result: Schema.NullOr(Schema.String),
    output_format: Schema.optional(Schema.String),
    revised_prompt: Schema.optional(Schema.String)
  })
})

/** Calls the tools of a remote MCP server. https://developers.openai.com/api/docs/guides/tools-connectors-mcp */
export const Mcp = Tool.providerDefined({
  id: "openai.mcp",
  customName: "OpenAiMcp",
  providerName: "mcp",
  args: Schema.Struct({
    server_label: Schema.String,
    server_url: Schema.optionalKey(Schema.String),
    server_description: Schema.optionalKey(Schema.String),
    authorization: Schema.optionalKey(Schema.String),
    headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
    allowed_tools: Schema.optionalKey(Schema.mutable(Schema.Array(Schema.String))),
    require_approval: Schema.Literal("never")
  }),
  parameters: Schema.Struct({ server_label: Schema.String, name: Schema.String, arguments: Schema.String }),
  success: Schema.Struct({ status: Schema.String, output: Schema.NullOr(Schema.String) })
})

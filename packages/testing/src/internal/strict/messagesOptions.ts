/** The rules of Anthropic's Messages API for tools and options. */
import {
  among,
  type Fields,
  fieldsIn,
  first,
  hasLoneSurrogate,
  isFields,
  listOf,
  repeated,
  type Rule,
  type Seen,
  textOf
} from "./rule.ts"
import { anthropicStrict, outside, sizeOf } from "./schemas.ts"

const docs = "https://platform.claude.com/docs/en"
const api = `${docs}/api/messages`
const thinking = `${docs}/build-with-claude/thinking#configuring-thinking`
const structured = `${docs}/build-with-claude/structured-outputs`
const tools = `${docs}/agents-and-tools/tool-use/define-tools`
const effort = `${docs}/build-with-claude/effort`

const rule = (what: string, source: string, check: Rule["check"], models?: RegExp): Rule => ({
  id: `messages/${what}`,
  wire: "messages",
  source,
  check,
  models
})

const fields = new Set(
  "model max_tokens messages system tools tool_choice output_config thinking stop_sequences stream cache_control diagnostics container service_tier speed inference_geo metadata temperature top_p top_k thread context_management mcp_servers fallbacks".split(
    " "
  )
)

const toolsOf = ({ body }: Seen): ReadonlyArray<Fields> => fieldsIn(body["tools"])
const thinkingType = ({ body }: Seen): string => (isFields(body["thinking"]) ? textOf(body["thinking"]["type"]) : "")
const effortOf = ({ body }: Seen): string =>
  isFields(body["output_config"]) ? textOf(body["output_config"]["effort"]) : ""
const choiceOf = ({ body }: Seen): string => (isFields(body["tool_choice"]) ? textOf(body["tool_choice"]["type"]) : "")
const isForced = (seen: Seen): boolean => choiceOf(seen) === "any" || choiceOf(seen) === "tool"
const strictOf = (seen: Seen) => toolsOf(seen).filter(({ strict }) => strict === true)

const refusedThinking =
  (...types: ReadonlyArray<string>) =>
  (seen: Seen): string | undefined =>
    types.includes(thinkingType(seen))
      ? `"thinking.type.${thinkingType(seen)}" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.`
      : undefined

const sampling = ["temperature", "top_p", "top_k"]

const strictLimits = (seen: Seen): string | undefined => {
  const strict = strictOf(seen)
  const sizes = strict.map(({ input_schema }) => sizeOf(input_schema ?? null))
  const optional = sizes.reduce((sum, size) => sum + size.optional, 0)
  const unions = sizes.reduce((sum, size) => sum + size.unions, 0)
  return first(
    strict.length > 20 &&
      `tools: Too many strict tools (${strict.length}). The maximum number of strict tools supported is 20.`,
    optional > 24 &&
      `tools: Schemas contain too many optional parameters (${optional}), which would make grammar compilation inefficient. Reduce the number of optional parameters in your tool schemas (limit: 24).`,
    unions > 16 && `tools: Schemas contain too many parameters with union types (${unions}). Reduce them (limit: 16).`
  )
}

export const options: ReadonlyArray<Rule> = [
  {
    ...rule("key", `${docs}/api/errors`, ({ headers }) =>
      (headers["x-api-key"] ?? headers["authorization"] ?? "") === "" ? "x-api-key header is required" : undefined
    ),
    status: 401
  },
  rule("version", `${docs}/api/versioning`, ({ headers }) =>
    headers["anthropic-version"] === undefined ? "anthropic-version: header is required" : undefined
  ),
  rule("surrogates", "https://github.com/anthropics/claude-code/issues/1709", ({ text }) =>
    hasLoneSurrogate(text) ? "The request body is not valid JSON: no low surrogate in string" : undefined
  ),
  rule("fields", api, ({ body }) =>
    among(Object.keys(body), (key) => !fields.has(key) && `${key}: Extra inputs are not permitted`)
  ),
  rule("model", api, ({ model }) => (model === "" ? "model: Field required" : undefined)),
  rule("max-tokens", api, ({ body }) => {
    const most = body["max_tokens"]
    return typeof most !== "number" || !Number.isInteger(most) || most < 1
      ? "max_tokens: Input should be greater than or equal to 1"
      : undefined
  }),
  rule("tool-name", tools, (seen) =>
    among(
      toolsOf(seen),
      ({ name, type }, index) =>
        (type === undefined || type === "custom") &&
        !/^[a-zA-Z0-9_-]{1,128}$/.test(textOf(name)) &&
        `tools.${index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'`
    )
  ),
  rule("tool-names-unique", tools, (seen) =>
    repeated(toolsOf(seen).map(({ name }) => textOf(name))).length > 0 ? "tools: Tool names must be unique." : undefined
  ),
  rule("tool-schema", tools, (seen) =>
    among(toolsOf(seen), ({ input_schema: schema, type }, index) => {
      if (type !== undefined && type !== "custom") return undefined
      const at = `tools.${index}.custom.input_schema`
      if (!isFields(schema)) return `${at}: Field required`
      if (schema["type"] !== "object") return `${at}.type: Input should be 'object'`
      return (
        ["oneOf", "allOf", "anyOf"].some((key) => key in schema) &&
        `${at}: input_schema does not support oneOf, allOf, or anyOf at the top level`
      )
    })
  ),
  rule("strict-schema", structured, (seen) =>
    among(strictOf(seen), ({ input_schema, name, type }) => {
      if (type !== undefined && type !== "custom") return undefined
      const why = outside(anthropicStrict, input_schema)
      return why !== undefined && `tools.${textOf(name)}.input_schema: For strict tools, ${why}`
    })
  ),
  rule("strict-limits", `${structured}#schema-complexity-limits`, strictLimits),
  rule("output-schema", structured, ({ body }) => {
    const format = isFields(body["output_config"]) ? body["output_config"]["format"] : undefined
    if (!isFields(format)) return undefined
    const why = outside(anthropicStrict, format["schema"])
    return why === undefined ? undefined : `output_config.format.schema: ${why}`
  }),
  rule("choice-without-tools", tools, (seen) =>
    choiceOf(seen) !== "" && toolsOf(seen).length === 0
      ? "tool_choice: may only be specified while providing tools"
      : undefined
  ),
  rule("choice-unknown", tools, (seen) => {
    const name = isFields(seen.body["tool_choice"]) ? seen.body["tool_choice"]["name"] : undefined
    return choiceOf(seen) === "tool" && !toolsOf(seen).some((tool) => tool["name"] === name)
      ? `Tool '${String(name)}' not found in provided tools`
      : undefined
  }),
  rule(
    "forced-tool",
    `${docs}/models/sonnet-5-5/whats-new-sonnet-5-5#forced-tool-use-is-not-supported`,
    (seen) =>
      isForced(seen) ? `tool_choice: type "${choiceOf(seen)}" is not supported for this model. Use "auto".` : undefined,
    /claude-(opus|sonnet)-5-[5-9]|claude-(fable|mythos)-5-[1-9]/
  ),
  rule("forced-tool-thinking", thinking, (seen) =>
    isForced(seen) && thinkingType(seen) === "enabled"
      ? "Thinking may not be enabled when tool_choice forces tool use."
      : undefined
  ),
  rule(
    "sampling",
    `${docs}/api/errors`,
    ({ body }) => among(sampling, (name) => name in body && `\`${name}\` is not supported for this model.`),
    /claude-opus-4-[78]|claude-(fable|mythos|opus|sonnet|haiku)-[5-9]/
  ),
  rule("sampling-version", `${docs}/api/versioning`, ({ body, headers }) =>
    among(
      sampling,
      (name) =>
        name in body && (headers["anthropic-version"] ?? "") > "2026-10" && `${name}: Extra inputs are not permitted`
    )
  ),
  rule("sampling-range", api, ({ body }) =>
    among(["temperature", "top_p"], (name) => {
      const value = body[name]
      return typeof value === "number" && (value < 0 || value > 1) && `${name}: range: 0..1`
    })
  ),
  rule(
    "sampling-both",
    `${docs}/about-claude/models/migration-guide`,
    ({ body }) =>
      "temperature" in body && "top_p" in body
        ? "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        : undefined,
    /claude-(opus|sonnet|haiku)-4-[5-9]/
  ),
  rule("sampling-thinking", thinking, (seen) => {
    const { temperature, top_k } = seen.body
    return thinkingType(seen) === "enabled" && ((temperature !== undefined && temperature !== 1) || top_k !== undefined)
      ? "`temperature` may only be set to 1 when thinking is enabled."
      : undefined
  }),
  rule(
    "thinking-adaptive-only",
    thinking,
    refusedThinking("enabled", "disabled", "between_tools"),
    /claude-opus-5-[5-9]|claude-(fable|mythos)-[5-9]/
  ),
  rule(
    "thinking-sonnet-5-5",
    `${docs}/models/sonnet-5-5/whats-new-sonnet-5-5#turn-off-up-front-thinking`,
    refusedThinking("enabled", "disabled"),
    /claude-sonnet-5-[5-9]/
  ),
  rule(
    "thinking-without-budget",
    thinking,
    refusedThinking("enabled", "between_tools"),
    /claude-opus-4-[78]|claude-(opus|sonnet)-5(?!-[5-9])|claude-haiku-5-[5-9]/
  ),
  rule("thinking-4-6", thinking, refusedThinking("between_tools"), /claude-(opus|sonnet)-4-6/),
  rule(
    "thinking-before-4-6",
    thinking,
    refusedThinking("adaptive", "between_tools"),
    /claude-(opus|sonnet|haiku)-4-[0-5]/
  ),
  rule(
    "thinking-disabled-effort",
    effort,
    (seen) =>
      thinkingType(seen) === "disabled" && ["xhigh", "max"].includes(effortOf(seen))
        ? `thinking cannot be disabled at effort '${effortOf(seen)}'`
        : undefined,
    /claude-opus-5(?!-[5-9])|claude-haiku-5-[5-9]/
  ),
  rule("thinking-budget", thinking, ({ body }) => {
    const { budget_tokens: budget, type } = isFields(body["thinking"]) ? body["thinking"] : {}
    if (type !== "enabled") return undefined
    if (typeof budget !== "number" || budget < 1024)
      return "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    return typeof body["max_tokens"] === "number" && budget >= body["max_tokens"]
      ? "`max_tokens` must be greater than `thinking.budget_tokens`."
      : undefined
  }),
  rule("thinking-binding-beta", `${docs}/build-with-claude/preserved-thinking/prefix-checks`, ({ body, headers }) => {
    const binds = isFields(body["thinking"]) && "block_binding" in body["thinking"]
    return binds && !(headers["anthropic-beta"] ?? "").includes("thinking-binding-controls")
      ? "thinking.adaptive.block_binding: Extra inputs are not permitted"
      : undefined
  }),
  rule(
    "effort-none",
    effort,
    (seen) => (effortOf(seen) === "" ? undefined : "This model does not support the effort parameter."),
    /claude-(sonnet|haiku)-4-[0-5]|claude-opus-4-[0-4]/
  ),
  rule(
    "effort-4-5",
    effort,
    (seen) =>
      ["xhigh", "max"].includes(effortOf(seen))
        ? `This model does not support effort level '${effortOf(seen)}'. Supported levels: high, low, medium.`
        : undefined,
    /claude-opus-4-5/
  ),
  rule(
    "effort-4-6",
    effort,
    (seen) =>
      effortOf(seen) === "xhigh"
        ? "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium."
        : undefined,
    /claude-(opus|sonnet)-4-6/
  ),
  rule("stop-sequences", api, ({ body }) =>
    among(
      listOf(body["stop_sequences"]),
      (text, index) =>
        textOf(text).trim() === "" && `stop_sequences.${index}: each stop sequence must contain non-whitespace`
    )
  )
]

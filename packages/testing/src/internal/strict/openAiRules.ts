/** The rules that both of OpenAI's APIs have, for tools and options. */
import {
  among,
  type Fields,
  fieldsIn,
  first,
  hasLoneSurrogate,
  isFields,
  listOf,
  type Rule,
  type Seen,
  textOf,
  type Wire
} from "./rule.ts"
import { openAiLoose, openAiStrict, outside } from "./schemas.ts"

export const docs = "https://developers.openai.com/api/docs"
const structured = `${docs}/guides/structured-outputs#supported-schemas`
const reasoning = `${docs}/guides/reasoning`
const latest = `${docs}/guides/latest-model`
const functions = `${docs}/guides/function-calling`

/** Models that reason: the o series, and GPT from 5 on. */
const reasons = /^o\d|^gpt-[5-9](?!.*chat)|codex/
const name = /^[a-zA-Z0-9_-]{1,64}$/

/** A function that is offered, wherever the API has it. */
interface Offered {
  readonly name: string
  readonly parameters: Fields | undefined
  readonly strict: boolean
}

const offered = ({ body, wire }: Seen): ReadonlyArray<Offered> =>
  fieldsIn(body["tools"]).flatMap((tool) => {
    const own = wire === "chat" ? tool["function"] : tool
    if (tool["type"] !== "function" || !isFields(own)) return []
    const parameters = own["parameters"]
    return [
      {
        name: textOf(own["name"]),
        parameters: isFields(parameters) ? parameters : undefined,
        strict: own["strict"] === true
      }
    ]
  })

const effortOf = ({ body, wire }: Seen): string => {
  if (wire === "chat") return textOf(body["reasoning_effort"])
  return isFields(body["reasoning"]) ? textOf(body["reasoning"]["effort"]) : ""
}

const verbosityOf = ({ body, wire }: Seen): string =>
  wire === "chat" ? textOf(body["verbosity"]) : isFields(body["text"]) ? textOf(body["text"]["verbosity"]) : ""

interface Format {
  readonly name: string
  readonly schema: Fields | undefined
  readonly strict: boolean
}

const formatOf = ({ body, wire }: Seen): Format | undefined => {
  const given = wire === "chat" ? body["response_format"] : isFields(body["text"]) ? body["text"]["format"] : undefined
  if (!isFields(given) || given["type"] !== "json_schema") return undefined
  const own = wire === "chat" ? given["json_schema"] : given
  if (!isFields(own)) return undefined
  return {
    name: textOf(own["name"]),
    schema: isFields(own["schema"]) ? own["schema"] : undefined,
    strict: own["strict"] === true
  }
}

const range = (seen: Seen, key: string, low: number, high: number): string | undefined => {
  const value = seen.body[key]
  if (typeof value !== "number" || (value >= low && value <= high)) return undefined
  return `Invalid '${key}': expected a value between ${low} and ${high}, but got ${value} instead.`
}

const unsupported = (key: string): string => `Unsupported parameter: '${key}' is not supported with this model.`

const effortValue =
  (...refused: ReadonlyArray<string>) =>
  (seen: Seen): string | undefined =>
    refused.includes(effortOf(seen))
      ? `Unsupported value: 'reasoning.effort' does not support '${effortOf(seen)}' with this model.`
      : undefined

const choiceName = ({ body, wire }: Seen): string | undefined => {
  const choice = body["tool_choice"]
  if (!isFields(choice) || choice["type"] !== "function") return undefined
  const own = wire === "chat" ? choice["function"] : choice
  return isFields(own) ? textOf(own["name"]) : ""
}

const toolRules = (
  rule: (what: string, source: string, check: Rule["check"], models?: RegExp) => Rule
): ReadonlyArray<Rule> => [
  rule("tool-name", functions, (seen) =>
    among(
      offered(seen),
      (tool, index) =>
        !name.test(tool.name) &&
        `Invalid 'tools[${index}].name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$' of at most 64 characters.`
    )
  ),
  rule("tool-schema", functions, (seen) => among(offered(seen), (tool) => openAiLoose(tool.name, tool.parameters))),
  rule("strict-schema", structured, (seen) =>
    among(offered(seen), (tool) => {
      const why = tool.strict ? outside(openAiStrict, tool.parameters) : undefined
      return why !== undefined && `Invalid schema for function '${tool.name}': ${why}.`
    })
  ),
  rule("output-schema", structured, (seen) => {
    const format = formatOf(seen)
    if (format === undefined) return undefined
    if (!name.test(format.name)) return `Invalid 'name' of the response format: '${format.name}'`
    if (format.schema?.["type"] !== "object")
      return `Invalid schema for response_format '${format.name}': schema must be a JSON Schema of 'type: "object"'.`
    const why = format.strict ? outside(openAiStrict, format.schema) : undefined
    return why === undefined ? undefined : `Invalid schema for response_format '${format.name}': ${why}.`
  }),
  rule("choice-without-tools", functions, ({ body }) =>
    "tool_choice" in body && listOf(body["tools"]).length === 0
      ? "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
      : undefined
  ),
  rule("parallel-without-tools", functions, ({ body }) =>
    "parallel_tool_calls" in body && listOf(body["tools"]).length === 0
      ? "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified."
      : undefined
  ),
  rule("choice-unknown", functions, (seen) => {
    const chosen = choiceName(seen)
    return chosen !== undefined && !offered(seen).some((tool) => tool.name === chosen)
      ? `Tool choice '${chosen}' not found in 'tools' parameter.`
      : undefined
  }),
  rule("empty-tools", functions, ({ body }) =>
    Array.isArray(body["tools"]) && body["tools"].length === 0
      ? "Invalid 'tools': empty array. Expected an array with minimum length 1."
      : undefined
  )
]

const modelRules = (
  rule: (what: string, source: string, check: Rule["check"], models?: RegExp) => Rule
): ReadonlyArray<Rule> => [
  rule(
    "sampling-never",
    reasoning,
    ({ body }) => among(["temperature", "top_p"], (key) => key in body && unsupported(key)),
    /^o\d|^gpt-5(?!\.\d)(?!.*chat)/
  ),
  rule(
    "sampling-reasoning",
    latest,
    (seen) =>
      !["", "none"].includes(effortOf(seen))
        ? among(["temperature", "top_p"], (key) => key in seen.body && unsupported(key))
        : undefined,
    /^gpt-(5\.\d|[6-9])(?!.*chat)/
  ),
  rule(
    "sampling-stop",
    reasoning,
    ({ body }) => among(["stop", "presence_penalty", "frequency_penalty"], (key) => key in body && unsupported(key)),
    reasons
  ),
  rule(
    "max-tokens-name",
    reasoning,
    ({ body }) =>
      "max_tokens" in body ? `${unsupported("max_tokens")} Use 'max_completion_tokens' instead.` : undefined,
    reasons
  ),
  rule(
    "parallel-tool-calls",
    reasoning,
    ({ body }) => ("parallel_tool_calls" in body ? unsupported("parallel_tool_calls") : undefined),
    /^o\d/
  ),
  rule(
    "effort-none",
    reasoning,
    (seen) => (effortOf(seen) === "" ? undefined : unsupported("reasoning.effort")),
    /^gpt-[34]|^chatgpt|^gpt-5.*chat/
  ),
  rule("effort-o", reasoning, effortValue("none", "minimal", "xhigh", "max"), /^o\d/),
  rule("effort-5", reasoning, effortValue("none", "xhigh", "max"), /^gpt-5(?!\.\d)(?!.*chat)/),
  rule("effort-5.1", reasoning, effortValue("minimal", "max"), /^gpt-5\.1(?!\d)(?!.*chat)/),
  rule("effort-5.2", reasoning, effortValue("minimal", "max"), /^gpt-5\.[2-5](?!.*chat)/),
  rule(
    "verbosity",
    latest,
    (seen) =>
      ["", "medium"].includes(verbosityOf(seen))
        ? undefined
        : `Unsupported value: 'verbosity' does not support '${verbosityOf(seen)}' with this model.`,
    /^gpt-[34]|^chatgpt|^o\d/
  ),
  rule(
    "cache-options",
    `${docs}/guides/prompt-caching`,
    ({ body }) => ("prompt_cache_options" in body ? unsupported("prompt_cache_options") : undefined),
    /^o\d|^gpt-[34]|^gpt-5(\.[0-5])?(?![.\d])/
  )
]

const optionRules = (
  rule: (what: string, source: string, check: Rule["check"], models?: RegExp) => Rule
): ReadonlyArray<Rule> => [
  {
    ...rule("key", `${docs}/guides/error-codes`, ({ headers }) =>
      /^Bearer .+/.test(headers["authorization"] ?? "") || "api-key" in headers
        ? undefined
        : "You didn't provide an API key."
    ),
    status: 401
  },
  rule("surrogates", `${docs}/guides/error-codes`, ({ text }) =>
    hasLoneSurrogate(text)
      ? "We could not parse the JSON body of your request: lone surrogates are no Unicode."
      : undefined
  ),
  rule("model", `${docs}/guides/error-codes`, ({ model }) =>
    model === "" ? "you must provide a model parameter" : undefined
  ),
  rule("ranges", `${docs}/api-reference`, (seen) =>
    first(
      range(seen, "temperature", 0, 2),
      range(seen, "top_p", 0, 1),
      range(seen, "presence_penalty", -2, 2),
      range(seen, "frequency_penalty", -2, 2)
    )
  ),
  rule("metadata", `${docs}/api-reference`, ({ body }) => {
    if (!isFields(body["metadata"])) return undefined
    const pairs = Object.entries(body["metadata"])
    const isFit = pairs.length <= 16 && pairs.every(([key, value]) => key.length <= 64 && textOf(value).length <= 512)
    return isFit ? undefined : "Invalid 'metadata': at most 16 pairs, with keys of 64 and values of 512 characters."
  })
]

/** The rules that both APIs have. */
export const openAi = (wire: Extract<Wire, "chat" | "responses">): ReadonlyArray<Rule> => {
  const rule = (what: string, source: string, check: Rule["check"], models?: RegExp): Rule => ({
    id: `${wire}/${what}`,
    wire,
    source,
    check,
    models
  })
  return [...optionRules(rule), ...toolRules(rule), ...modelRules(rule)]
}

/** A name of a function as both APIs take it in a history. */
export const isName = (text: string): boolean => name.test(text)
export { reasons }

const imageTypes = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]*={0,2}$/

/** What is wrong with the address of an image. */
export const flawOfImage = (url: string): string | undefined =>
  /^https?:\/\//.test(url) || imageTypes.test(url)
    ? undefined
    : "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp']."

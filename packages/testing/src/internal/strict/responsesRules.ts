/** The rules of OpenAI's Responses API. */
import { docs, flawOfImage, isName, openAi, reasons } from "./openAiRules.ts"
import {
  among,
  type Fields,
  fieldsIn,
  isFields,
  isObjectText,
  listOf,
  repeated,
  type Rule,
  type Seen,
  textOf
} from "./rule.ts"

const api = `${docs}/api-reference/responses/create`
const functions = `${docs}/guides/function-calling`
const reasoning = `${docs}/guides/reasoning#keeping-reasoning-items-in-context`

const rule = (what: string, source: string, check: Rule["check"], models?: RegExp): Rule => ({
  id: `responses/${what}`,
  wire: "responses",
  source,
  check,
  models
})

const fields = new Set(
  "model input store previous_response_id conversation temperature top_p max_output_tokens max_tool_calls service_tier safety_identifier user metadata prompt_cache_key prompt_cache_options prompt_cache_retention reasoning text include tools tool_choice parallel_tool_calls stream stream_options background instructions prompt truncation top_logprobs context_management moderation".split(
    " "
  )
)

const itemsOf = ({ body }: Seen): ReadonlyArray<Fields> => fieldsIn(body["input"])
const typeOf = (item: Fields): string => textOf(item["type"]) || (typeof item["role"] === "string" ? "message" : "")
const continues = ({ body }: Seen): boolean => "previous_response_id" in body || "conversation" in body

const idsOf = (seen: Seen, type: string): ReadonlyArray<string> =>
  itemsOf(seen).flatMap((item) => (typeOf(item) === type ? [textOf(item["call_id"])] : []))

const calls = (seen: Seen, check: (item: Fields, at: string) => string | undefined | false): string | undefined =>
  among(itemsOf(seen), (item, index) => typeOf(item) === "function_call" && check(item, `input[${index}]`))

const unanswered = (seen: Seen): string | undefined => {
  const results = idsOf(seen, "function_call_output")
  const missing = idsOf(seen, "function_call").find((id) => !results.includes(id))
  return missing === undefined ? undefined : `No tool output found for function call ${missing}.`
}

const uncalled = (seen: Seen): string | undefined => {
  if (continues(seen)) return undefined
  const called = new Set<string>()
  return among(itemsOf(seen), (item) => {
    if (typeOf(item) === "function_call") called.add(textOf(item["call_id"]))
    return (
      typeOf(item) === "function_call_output" &&
      !called.has(textOf(item["call_id"])) &&
      `No tool call found for function call output with call_id ${textOf(item["call_id"])}.`
    )
  })
}

// Output of the assistant's, which reasoning leads to.
const follows = (item: Fields | undefined): boolean =>
  item !== undefined && (typeOf(item) === "reasoning" || item["role"] === "assistant" || typeOf(item).endsWith("_call"))

const lonely = (seen: Seen): string | undefined => {
  const items = itemsOf(seen)
  return among(items, (item, index) => {
    if (typeOf(item) !== "reasoning") return undefined
    const next = items.slice(index + 1).find((one) => typeOf(one) !== "reasoning")
    return (
      !follows(next) &&
      `Item '${textOf(item["id"])}' of type 'reasoning' was provided without its required following item.`
    )
  })
}

const extensions =
  /\.(pdf|txt|md|csv|tsv|json|xml|html?|ya?ml|docx?|xlsx?|pptx?|rtf|odt|c|cpp|css|go|java|js|php|py|rb|sh|tex|ts|log)$/i

const flawOfPart = (part: Fields): string | undefined => {
  switch (part["type"]) {
    case "input_image":
      return typeof part["file_id"] === "string" ? undefined : flawOfImage(textOf(part["image_url"]))
    case "input_file": {
      if (typeof part["file_id"] === "string" || typeof part["file_url"] === "string") return undefined
      const name = textOf(part["filename"])
      if (name === "") return "Missing required parameter: 'filename'."
      if (!extensions.test(name))
        return `Invalid input: Expected context stuffing file type to be a supported format, but got '${name}'.`
      return /^data:[^;,]+;base64,/.test(textOf(part["file_data"]))
        ? undefined
        : "Invalid 'file_data': expected a base64-encoded data URL."
    }
    case "input_text":
    case "output_text":
    case "refusal":
    case "summary_text":
      return undefined
    default:
      return `Invalid value: '${textOf(part["type"])}'. Supported values are: 'input_text', 'input_image', 'output_text', 'refusal', and 'input_file'.`
  }
}

const contentOf = (item: Fields): ReadonlyArray<Fields> => [...fieldsIn(item["content"]), ...fieldsIn(item["output"])]

export const responsesRules: ReadonlyArray<Rule> = [
  ...openAi("responses"),
  rule("fields", api, ({ body }) =>
    among(Object.keys(body), (key) => !fields.has(key) && `Unknown parameter: '${key}'.`)
  ),
  rule("no-input", api, (seen) =>
    itemsOf(seen).length === 0 && textOf(seen.body["input"]) === ""
      ? "Invalid 'input': empty array. Expected an array with minimum length 1."
      : undefined
  ),
  rule("items", api, (seen) =>
    among(itemsOf(seen), (item, index) => typeOf(item) === "" && `Missing required parameter: 'input[${index}].type'.`)
  ),
  rule("content", api, (seen) =>
    among(itemsOf(seen), (item, index) => {
      if (typeOf(item) !== "message") return undefined
      const { content } = item
      return (
        typeof content !== "string" &&
        listOf(content).length === 0 &&
        `Invalid 'input[${index}].content': empty array. Expected an array with minimum length 1.`
      )
    })
  ),
  rule("parts", `${docs}/guides/file-inputs`, (seen) =>
    among(
      itemsOf(seen),
      (item) =>
        (typeOf(item) === "message" || typeOf(item) === "function_call_output") && among(contentOf(item), flawOfPart)
    )
  ),
  rule("unanswered-call", functions, unanswered),
  rule("uncalled-result", functions, uncalled),
  rule("call-ids-unique", functions, (seen) =>
    repeated(idsOf(seen, "function_call")).length > 0 ? "Duplicate function call ids in 'input'." : undefined
  ),
  rule("one-result", functions, (seen) =>
    repeated(idsOf(seen, "function_call_output")).length > 0 ? "Duplicate function call outputs in 'input'." : undefined
  ),
  rule("call-id", "https://github.com/vercel/ai/issues/5171", (seen) =>
    calls(
      seen,
      ({ call_id: id }, at) =>
        (textOf(id) === "" || textOf(id).length > 64) &&
        `Invalid '${at}.call_id': string too long. Expected a string with maximum length 64, but got a string with length ${textOf(id).length} instead.`
    )
  ),
  rule("call-name", functions, (seen) =>
    calls(
      seen,
      ({ name }, at) =>
        !isName(textOf(name)) &&
        `Invalid '${at}.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.`
    )
  ),
  rule("call-arguments", functions, (seen) =>
    calls(
      seen,
      (item, at) => !isObjectText(textOf(item["arguments"])) && `Invalid '${at}.arguments': expected a JSON object.`
    )
  ),
  rule("reasoning-follower", reasoning, lonely),
  rule(
    "reasoning-model",
    reasoning,
    (seen) =>
      !reasons.test(seen.model) && itemsOf(seen).some((item) => typeOf(item) === "reasoning")
        ? "Reasoning input items can only be provided to a reasoning or computer use model."
        : undefined,
    /^gpt-[34]|^chatgpt/
  ),
  rule("reasoning-stored", reasoning, (seen) =>
    among(
      itemsOf(seen),
      (item) =>
        typeOf(item) === "reasoning" &&
        typeof item["encrypted_content"] !== "string" &&
        fieldsIn(item["content"]).length === 0 &&
        seen.body["store"] !== true &&
        `Item with id '${textOf(item["id"])}' not found. Items are not persisted when \`store\` is set to false.`
    )
  ),
  rule("item-ids-unique", api, (seen) => {
    const again = repeated(itemsOf(seen).flatMap(({ id }) => (typeof id === "string" ? [id] : [])))[0]
    return again === undefined
      ? undefined
      : `Duplicate item found with id ${again}. Remove duplicate items from your input and try again.`
  }),
  rule(
    "include-reasoning",
    reasoning,
    ({ body }) =>
      listOf(body["include"]).includes("reasoning.encrypted_content")
        ? "Encrypted content is not supported with this model."
        : undefined,
    /^gpt-[34]|^chatgpt|^gpt-5.*chat/
  ),
  rule("continue-twice", api, ({ body }) =>
    "previous_response_id" in body && "conversation" in body
      ? "Mutually exclusive parameters: 'previous_response_id' and 'conversation'."
      : undefined
  ),
  rule("max-tokens", api, ({ body }) => {
    const most = body["max_output_tokens"]
    return typeof most === "number" && most < 16
      ? `Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got ${most} instead.`
      : undefined
  }),
  rule("text", api, ({ body }) =>
    "text" in body && !isFields(body["text"]) ? "Invalid 'text': expected an object." : undefined
  )
]

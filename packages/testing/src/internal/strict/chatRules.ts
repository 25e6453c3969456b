/** The rules of OpenAI's Chat Completions. */
import { docs, flawOfImage, isName, openAi } from "./openAiRules.ts"
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

const api = `${docs}/api-reference/chat/create`
const functions = `${docs}/guides/function-calling`

const rule = (what: string, source: string, check: Rule["check"], models?: RegExp): Rule => ({
  id: `chat/${what}`,
  wire: "chat",
  source,
  check,
  models
})

const fields = new Set(
  "model messages tools tool_choice parallel_tool_calls response_format temperature top_p max_tokens max_completion_tokens reasoning_effort verbosity service_tier safety_identifier user metadata store seed stop frequency_penalty presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention web_search_options stream stream_options n logprobs top_logprobs logit_bias modalities audio prediction".split(
    " "
  )
)

const messagesOf = ({ body }: Seen): ReadonlyArray<Fields> => fieldsIn(body["messages"])
const callsOf = (message: Fields | undefined): ReadonlyArray<Fields> => fieldsIn(message?.["tool_calls"])
const idsOf = (message: Fields | undefined): ReadonlyArray<string> => callsOf(message).map(({ id }) => textOf(id))
const functionOf = (call: Fields): Fields => (isFields(call["function"]) ? call["function"] : {})

const byCall = (seen: Seen, check: (call: Fields, at: string) => string | undefined | false): string | undefined =>
  among(messagesOf(seen), (message, index) =>
    among(callsOf(message), (call, position) => check(call, `messages[${index}].tool_calls[${position}]`))
  )

/** The tool messages directly after a message. */
const answersAfter = (messages: ReadonlyArray<Fields>, index: number): ReadonlyArray<string> => {
  const ids: Array<string> = []
  for (const message of messages.slice(index + 1)) {
    if (message["role"] !== "tool") break
    ids.push(textOf(message["tool_call_id"]))
  }
  return ids
}

const unanswered = (seen: Seen): string | undefined => {
  const messages = messagesOf(seen)
  return among(messages, (message, index) => {
    const answers = answersAfter(messages, index)
    const missing = idsOf(message).filter((id) => !answers.includes(id))
    return (
      missing.length > 0 &&
      `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: ${missing.join(", ")}`
    )
  })
}

const uncalled = (seen: Seen): string | undefined => {
  const messages = messagesOf(seen)
  return among(messages, (message, index) => {
    if (message["role"] !== "tool") return undefined
    const before = messages.slice(0, index).findLast(({ role }) => role !== "tool")
    return (
      !idsOf(before).includes(textOf(message["tool_call_id"])) &&
      `Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.`
    )
  })
}

const content = (message: Fields, index: number): string | undefined => {
  const value = message["content"]
  const isEmptyList = Array.isArray(value) && value.length === 0
  if (isEmptyList)
    return `Invalid 'messages[${index}].content': empty array. Expected an array with minimum length 1, but got an empty array instead.`
  if (typeof value === "string" || Array.isArray(value)) return undefined
  const calls = message["role"] === "assistant" && callsOf(message).length > 0
  return calls ? undefined : `Invalid value for 'content': expected a string, got null. (messages[${index}])`
}

const flawOfPart = (part: Fields): string | undefined => {
  switch (part["type"]) {
    case "image_url":
      return flawOfImage(isFields(part["image_url"]) ? textOf(part["image_url"]["url"]) : "")
    case "input_audio": {
      const audio = isFields(part["input_audio"]) ? part["input_audio"] : {}
      return ["wav", "mp3"].includes(textOf(audio["format"]))
        ? undefined
        : "Invalid value: 'input_audio.format'. Supported values are: 'wav' and 'mp3'."
    }
    case "file": {
      const file = isFields(part["file"]) ? part["file"] : {}
      if (typeof file["file_id"] === "string") return undefined
      if (!textOf(file["file_data"]).startsWith("data:application/pdf;base64,"))
        return "Invalid file data: 'file.file_data'. Expected a base64-encoded data URL with an application/pdf MIME type."
      return textOf(file["filename"]) === "" ? "Missing required parameter: 'file.filename'." : undefined
    }
    case "text":
    case "refusal":
      return undefined
    default:
      return `Invalid value: '${textOf(part["type"])}'. Supported values are: 'text', 'image_url', 'input_audio', 'refusal', and 'file'.`
  }
}

export const chatRules: ReadonlyArray<Rule> = [
  ...openAi("chat"),
  rule("fields", api, ({ body }) =>
    among(Object.keys(body), (key) => !fields.has(key) && `Unrecognized request argument supplied: ${key}`)
  ),
  rule("no-messages", api, (seen) =>
    messagesOf(seen).length === 0
      ? "Invalid 'messages': empty array. Expected an array with minimum length 1."
      : undefined
  ),
  rule("roles", api, (seen) =>
    among(
      messagesOf(seen),
      ({ role }, index) =>
        !["system", "developer", "user", "assistant", "tool"].includes(textOf(role)) &&
        `Invalid value: '${textOf(role)}'. (messages[${index}].role)`
    )
  ),
  rule("content", api, (seen) => among(messagesOf(seen), content)),
  rule("parts", `${docs}/guides/pdf-files`, (seen) =>
    among(messagesOf(seen), ({ content: parts }) => among(fieldsIn(parts), flawOfPart))
  ),
  rule("unanswered-call", functions, unanswered),
  rule("uncalled-result", functions, uncalled),
  rule("call-ids-unique", functions, (seen) =>
    among(
      messagesOf(seen),
      (message, index) =>
        repeated(idsOf(message)).length > 0 && `Duplicate value for 'tool_call_id' in messages[${index}]`
    )
  ),
  rule("one-result", functions, (seen) => {
    const messages = messagesOf(seen)
    return among(
      messages,
      (message, index) =>
        callsOf(message).length > 0 &&
        repeated(answersAfter(messages, index)).length > 0 &&
        `Duplicate tool message for one 'tool_call_id' after messages[${index}]`
    )
  }),
  rule("call-id", "https://github.com/vllm-project/vllm/issues/22966", (seen) =>
    byCall(
      seen,
      ({ id }, at) =>
        (textOf(id) === "" || textOf(id).length > 40) &&
        `Invalid '${at}.id': string too long. Expected a string with maximum length 40, but got a string with length ${textOf(id).length} instead.`
    )
  ),
  rule("call-name", functions, (seen) =>
    byCall(
      seen,
      (call, at) =>
        !isName(textOf(functionOf(call)["name"])) &&
        `Invalid '${at}.function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.`
    )
  ),
  rule("call-arguments", functions, (seen) =>
    byCall(
      seen,
      (call, at) =>
        !isObjectText(textOf(functionOf(call)["arguments"])) &&
        `Invalid '${at}.function.arguments': expected a JSON object.`
    )
  ),
  rule("empty-calls", api, (seen) =>
    among(
      messagesOf(seen),
      (message, index) =>
        Array.isArray(message["tool_calls"]) &&
        message["tool_calls"].length === 0 &&
        `Invalid 'messages[${index}].tool_calls': empty array. Expected an array with minimum length 1.`
    )
  ),
  rule(
    "metadata-stored",
    "https://community.openai.com/t/the-metadata-parameter-is-only-allowed-when-store-is-enabled/1025432",
    ({ body }) =>
      "metadata" in body && body["store"] !== true
        ? "The 'metadata' parameter is only allowed when 'store' is enabled."
        : undefined
  ),
  rule("stop", api, ({ body }) =>
    listOf(body["stop"]).length > 4
      ? "Invalid 'stop': array too long. Expected an array with maximum length 4."
      : undefined
  ),
  rule("max-tokens", api, ({ body }) => {
    const most = body["max_completion_tokens"]
    return typeof most === "number" && most < 1
      ? "Invalid 'max_completion_tokens': integer below minimum value. Expected a value >= 1."
      : undefined
  })
]

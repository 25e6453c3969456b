/** The rules of Anthropic's Messages API for a conversation. */
import { mark } from "./prefix.ts"
import {
  among,
  type Fields,
  fieldsIn,
  first,
  isBase64,
  isFields,
  type Json,
  listOf,
  repeated,
  type Rule,
  type Seen,
  textOf
} from "./rule.ts"

const docs = "https://platform.claude.com/docs/en"
const api = `${docs}/api/messages`
const errors = `${docs}/api/errors`
const toolUse = `${docs}/agents-and-tools/tool-use/handle-tool-calls`

/** Models from 4.6 on. */
const noPrefill = /claude-(opus|sonnet)-4-[678]|claude-(fable|mythos|opus|sonnet|haiku)-[5-9]/
/** Models that take system messages in place. */
const systemInPlace = /claude-opus-4-8|claude-opus-[5-9]|claude-(fable|mythos)-[5-9]|claude-(sonnet|haiku)-5-[5-9]/
/** Models that bind thinking to its prefix. */
const bound = /claude-(opus|sonnet|haiku)-5-[5-9]|claude-(fable|mythos)-5-[1-9]/

const messagesOf = ({ body }: Seen): ReadonlyArray<Fields> => fieldsIn(body["messages"])

/** The blocks of a message, a text as one block. */
export const blocksOf = (message: Fields | undefined): ReadonlyArray<Fields> => {
  const content = message?.["content"]
  return typeof content === "string" ? [{ type: "text", text: content }] : fieldsIn(content)
}

const isServerCall = (block: Fields): boolean => block["type"] === "server_tool_use"
const isServerResult = (block: Fields): boolean =>
  typeof block["tool_use_id"] === "string" && block["type"] !== "tool_result"

const byBlock = (
  seen: Seen,
  check: (block: Fields, at: string, message: Fields) => string | undefined | false
): string | undefined =>
  among(messagesOf(seen), (message, index) =>
    among(blocksOf(message), (block, position) => check(block, `messages.${index}.content.${position}`, message))
  )

const nested = (block: Fields): ReadonlyArray<Fields> => [block, ...fieldsIn(block["content"])]

const flawOfSource = (block: Fields, at: string): string | undefined => {
  const source = block["source"]
  if (!isFields(source)) return `${at}.source: Field required`
  const mediaType = textOf(source["media_type"])
  if (source["type"] === "base64" && !isBase64(textOf(source["data"])))
    return `${at}.source.base64: invalid base64 data`
  if (
    block["type"] === "image" &&
    source["type"] === "base64" &&
    !["image/jpeg", "image/png", "image/gif", "image/webp"].includes(mediaType)
  ) {
    return `${at}.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'`
  }
  if (block["type"] === "document" && source["type"] === "base64" && mediaType !== "application/pdf") {
    return `${at}.source.base64.media_type: Input should be 'application/pdf'`
  }
  return block["type"] === "document" && source["type"] === "text" && mediaType !== "text/plain"
    ? `${at}.source.text.media_type: Input should be 'text/plain'`
    : undefined
}

const callIds = (message: Fields | undefined): ReadonlyArray<string> =>
  message?.["role"] === "assistant"
    ? blocksOf(message).flatMap((block) => (block["type"] === "tool_use" ? [textOf(block["id"])] : []))
    : []

/** The next message that is not a system message. */
const nextOf = (messages: ReadonlyArray<Fields>, index: number): Fields | undefined =>
  messages.slice(index + 1).find(({ role }) => role !== "system")

const resultIds = (message: Fields | undefined): ReadonlyArray<string> =>
  blocksOf(message).flatMap((block) => (block["type"] === "tool_result" ? [textOf(block["tool_use_id"])] : []))

const unanswered = (seen: Seen): string | undefined => {
  const messages = messagesOf(seen)
  return among(messages, (message, index) => {
    const results = resultIds(nextOf(messages, index))
    const missing = callIds(message).filter((id) => !results.includes(id))
    return (
      missing.length > 0 &&
      `messages.${index}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${missing.join(", ")}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message.`
    )
  })
}

const uncalled = (seen: Seen): string | undefined => {
  if (isFields(seen.body["thread"]) && seen.body["thread"]["type"] === "continue") return undefined
  const messages = messagesOf(seen)
  return among(messages, (message, index) => {
    const before = messages.slice(0, index).findLast(({ role }) => role !== "system")
    const calls = callIds(before)
    const alone = resultIds(message).filter((id) => !calls.includes(id))
    return (
      alone.length > 0 &&
      `messages.${index}.content.0: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${alone.join(", ")}. Each \`tool_result\` block must have a corresponding \`tool_use\` block in the previous message.`
    )
  })
}

/** A call of a tool of Anthropic's without a result is for the end, or waits for tools of ours. */
const serverPairs = (seen: Seen): string | undefined => {
  const messages = messagesOf(seen)
  const calls = new Map<string, number>()
  const results = new Set<string>()
  messages.forEach((message, index) => {
    for (const block of blocksOf(message)) {
      if (isServerCall(block)) calls.set(textOf(block["id"]), index)
      if (isServerResult(block)) results.add(textOf(block["tool_use_id"]))
    }
  })
  const uncalled = [...results].find((id) => !calls.has(id))
  if (uncalled !== undefined)
    return `messages: a tool result for \`${uncalled}\` was found without its \`server_tool_use\` block`
  return among([...calls], ([id, index]) => {
    if (results.has(id)) return undefined
    const later = messages.slice(index + 1).filter(({ role }) => role !== "system")
    const waits = blocksOf(messages[index]).some(({ caller }) => isFields(caller) && caller["tool_id"] === id)
    const isLast =
      later.length === 0 || (waits && later.length === 1 && resultIds(later[0]).length === blocksOf(later[0]).length)
    return (
      !isLast &&
      `messages.${index}: \`server_tool_use\` with id \`${id}\` was found without a corresponding tool result block`
    )
  })
}

const systemPlace = (seen: Seen): string | undefined => {
  const messages = messagesOf(seen)
  return among(messages, ({ role }, index) => {
    if (role !== "system") return undefined
    if (!systemInPlace.test(seen.model)) return "role 'system' is not supported on this model"
    const before = messages[index - 1]
    const after = messages[index + 1]
    if (before === undefined) return "messages.0: use the top-level 'system' parameter for the initial system prompt"
    const last = blocksOf(before).at(-1)
    const follows =
      before["role"] !== "assistant" || (last !== undefined && (isServerCall(last) || isServerResult(last)))
    if (!follows) return `messages.${index}: a system message must follow a user message`
    return (
      after?.["role"] === "user" &&
      `messages.${index}: a system message must be the last message or be followed by an assistant message`
    )
  })
}

const prefix = (seen: Seen): string | undefined => {
  const thinking = seen.body["thinking"]
  if (
    isFields(thinking) &&
    isFields(thinking["block_binding"]) &&
    thinking["block_binding"]["prefix_mismatch_behavior"] === "drop_block"
  )
    return undefined
  const messages = messagesOf(seen)
  return among(messages, (message, index) =>
    among(blocksOf(message), (block, position) => {
      if (block["type"] !== "thinking") return undefined
      const known = seen.signatures.get(textOf(block["signature"]))
      if (known === undefined || known.size === 0) return undefined
      const shown = [...messages.slice(0, index), { ...message, content: blocksOf(message).slice(0, position) }]
      return (
        !known.has(mark({ ...seen.body, messages: shown })) &&
        `messages.${index}.content.${position}: Invalid \`signature\` in \`thinking\` block. The block is bound to a different conversation. Remove the block, or set \`thinking.block_binding.prefix_mismatch_behavior\` to "drop_block".`
      )
    })
  )
}

const prefill = (seen: Seen): string | undefined => {
  const last = messagesOf(seen).at(-1)
  if (last?.["role"] !== "assistant") return undefined
  const block = blocksOf(last).at(-1)
  if (block !== undefined && (isServerCall(block) || isServerResult(block))) return undefined
  const output = seen.body["output_config"]
  if (isFields(output) && isFields(output["format"]))
    return "Prefilling assistant messages is not supported with `output_config.format`."
  if (noPrefill.test(seen.model))
    return "This model does not support assistant message prefill. The conversation must end with a user message."
  return /\s$/.test(textOf(block?.["text"]))
    ? "messages: final assistant content cannot end with trailing whitespace"
    : undefined
}

const marksIn = (value: Json): number => {
  if (Array.isArray(value)) return (value as ReadonlyArray<Json>).reduce<number>((sum, one) => sum + marksIn(one), 0)
  if (!isFields(value)) return 0
  const own = isFields(value["cache_control"]) ? 1 : 0
  return Object.entries(value).reduce((sum, [key, one]) => (key === "cache_control" ? sum : sum + marksIn(one)), own)
}

const rule = (what: string, source: string, check: Rule["check"], models?: RegExp): Rule => ({
  id: `messages/${what}`,
  wire: "messages",
  source,
  check,
  models
})

export const conversation: ReadonlyArray<Rule> = [
  rule("no-messages", api, (seen) =>
    messagesOf(seen).length === 0 ? "messages: at least one message is required" : undefined
  ),
  rule("roles", api, (seen) =>
    among(
      messagesOf(seen),
      ({ role }, index) =>
        !["user", "assistant", "system"].includes(textOf(role)) &&
        `messages.${index}.role: Input should be 'user', 'assistant' or 'system'`
    )
  ),
  rule("first-user", errors, (seen) =>
    messagesOf(seen)[0]?.["role"] === "assistant" && !isFields(seen.body["thread"])
      ? 'messages: first message must use the "user" role'
      : undefined
  ),
  rule("system-in-place", `${docs}/build-with-claude/mid-conversation-system-messages`, systemPlace),
  rule("empty-message", api, (seen) =>
    among(
      messagesOf(seen),
      (message, index) =>
        blocksOf(message).length === 0 &&
        `messages.${index}: all messages must have non-empty content except for the optional final assistant message`
    )
  ),
  rule("empty-text", api, (seen) =>
    first(
      among(
        fieldsIn(seen.body["system"]),
        ({ text }, index) =>
          textOf(text).trim() === "" && `system.${index}: text content blocks must contain non-whitespace text`
      ),
      byBlock(seen, (block, at) =>
        among(
          nested(block),
          ({ text, type }) =>
            type === "text" &&
            textOf(text).trim() === "" &&
            `${at}: text content blocks must contain non-whitespace text`
        )
      )
    )
  ),
  rule("unanswered-call", toolUse, unanswered),
  rule("uncalled-result", toolUse, uncalled),
  rule("results-first", toolUse, (seen) =>
    among(messagesOf(seen), (message, index) => {
      const types = blocksOf(message).map(({ type }) => type === "tool_result")
      return (
        types.lastIndexOf(true) >= types.filter(Boolean).length &&
        `messages.${index}: \`tool_result\` blocks must come first in the content`
      )
    })
  ),
  rule("call-ids-unique", toolUse, (seen) =>
    repeated(messagesOf(seen).flatMap(callIds)).length > 0 ? "messages: `tool_use` ids must be unique" : undefined
  ),
  rule("one-result", toolUse, (seen) =>
    among(
      messagesOf(seen),
      (message, index) =>
        repeated(resultIds(message)).length > 0 && `messages.${index}: each tool_use must have a single result`
    )
  ),
  rule("call-id", api, (seen) =>
    byBlock(seen, ({ id, tool_use_id, type }, at) => {
      const own =
        type === "tool_use" || type === "server_tool_use" ? id : type === "tool_result" ? tool_use_id : undefined
      return (
        own !== undefined &&
        !/^[a-zA-Z0-9_-]+$/.test(textOf(own)) &&
        `${at}.id: String should match pattern '^[a-zA-Z0-9_-]+$'`
      )
    })
  ),
  rule("call-name", api, (seen) =>
    byBlock(
      seen,
      ({ name, type }, at) =>
        type === "tool_use" &&
        !/^[a-zA-Z0-9_-]{1,128}$/.test(textOf(name)) &&
        `${at}.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'`
    )
  ),
  rule("call-input", "https://github.com/anthropics/claude-code/issues/6695", (seen) =>
    byBlock(
      seen,
      ({ input, type }, at) =>
        type === "tool_use" && !isFields(input) && `${at}.tool_use.input: Input should be a valid dictionary`
    )
  ),
  rule("error-without-content", toolUse, (seen) =>
    byBlock(seen, ({ content, is_error, type }, at) => {
      const isEmpty = content === undefined || content === "" || (Array.isArray(content) && content.length === 0)
      return (
        type === "tool_result" &&
        is_error === true &&
        isEmpty &&
        `${at}.tool_result: content cannot be empty if \`is_error\` is true`
      )
    })
  ),
  rule("last-thinking", `${docs}/build-with-claude/thinking`, (seen) =>
    among(messagesOf(seen), (message, index) => {
      const last = textOf(blocksOf(message).at(-1)?.["type"])
      return (
        /^(redacted_)?thinking$/.test(last) &&
        `messages.${index}: The final block in an assistant message cannot be \`thinking\`.`
      )
    })
  ),
  rule("thinking-signature", `${docs}/build-with-claude/thinking`, (seen) =>
    byBlock(
      seen,
      ({ signature, type }, at) =>
        type === "thinking" && textOf(signature) === "" && `${at}: Invalid \`signature\` in \`thinking\` block`
    )
  ),
  rule("thinking-prefix", `${docs}/build-with-claude/preserved-thinking/prefix-checks`, prefix, bound),
  rule("thinking-role", api, (seen) =>
    byBlock(
      seen,
      ({ type }, at, { role }) =>
        type === "thinking" && role !== "assistant" && `${at}: \`thinking\` blocks may only be in assistant messages`
    )
  ),
  rule("assistant-blocks", api, (seen) =>
    byBlock(
      seen,
      ({ type }, at, { role }) =>
        role === "assistant" &&
        ["image", "document", "tool_result"].includes(textOf(type)) &&
        `${at}: \`${textOf(type)}\` blocks may not be in assistant messages`
    )
  ),
  rule("server-tool-pairs", `${docs}/build-with-claude/handling-stop-reasons#pause-turn`, serverPairs),
  rule("prefill", `${errors}#prefill-not-supported`, prefill),
  rule("sources", `${docs}/build-with-claude/vision`, (seen) =>
    byBlock(seen, (block, at) =>
      among(nested(block), (one) => (one["type"] === "image" || one["type"] === "document") && flawOfSource(one, at))
    )
  ),
  rule("cache-breakpoints", `${docs}/build-with-claude/prompt-caching`, ({ body }) => {
    const marks = marksIn(body)
    return marks > 4 ? `A maximum of 4 blocks with cache_control may be provided. Found ${marks}.` : undefined
  }),
  rule("cache-on-thinking", `${docs}/build-with-claude/prompt-caching`, (seen) =>
    byBlock(
      seen,
      (block, at) =>
        textOf(block["type"]).endsWith("thinking") &&
        "cache_control" in block &&
        `${at}.cache_control: Extra inputs are not permitted`
    )
  ),
  rule("content", api, (seen) =>
    among(
      messagesOf(seen),
      ({ content }, index) =>
        typeof content !== "string" &&
        listOf(content).length !== fieldsIn(content).length &&
        `messages.${index}.content: Input should be a valid list of blocks`
    )
  )
]

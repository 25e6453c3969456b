/** The three wires that the adapters speak, as the providers document them: what a turn is in each. */
import type { Call, Thought, Turn, Usage } from "../modelLaws/stage.ts"

export type Answer = Omit<Extract<Turn, { readonly _tag: "Answer" }>, "_tag">
export type Said = Extract<Turn, { readonly _tag: "Answer" | "Refusal" }>

/** An event of a stream; a text is sent as it stands. */
export type Event = object | string

/** How a turn is written; `n` counts the answers of a server, whose parts have ids of their own. */
export interface Encoding {
  readonly path: string
  /** The whole answer. */
  readonly whole: (said: Said, n?: number) => object
  /** The same as a stream. */
  readonly events: (said: Said, n?: number) => ReadonlyArray<Event>
  /** How a stream begins that says this first. */
  readonly begin: (text: string) => ReadonlyArray<Event>
  /** The body of an error. */
  readonly error: (status: number, message: string, code?: string) => object
}

const halves = (text: string): ReadonlyArray<string> => {
  // By code point: each piece is text on its own.
  const points = Array.from(text)
  const size = Math.max(1, Math.ceil(points.length / 4))
  const pieces: Array<string> = []
  for (let at = 0; at < points.length; at += size) pieces.push(points.slice(at, at + size).join(""))
  return pieces
}

const usageOf = (said: Said): Usage =>
  (said._tag === "Answer" ? said.usage : undefined) ?? { input: 12, cached: 0, output: 7 }

// ---- the Responses API

const item = {
  reasoning: ({ signature, text }: Thought, n: number) => ({
    type: "reasoning",
    id: `rs_${n}`,
    summary: [{ type: "summary_text", text }],
    encrypted_content: signature
  }),
  message: (text: string, n = 1) => ({
    type: "message",
    id: `msg_${n}`,
    status: "completed",
    role: "assistant",
    content: [{ type: "output_text", text, annotations: [] }]
  }),
  refusal: (refusal: string, n: number) => ({
    type: "message",
    id: `msg_${n}`,
    status: "completed",
    role: "assistant",
    content: [{ type: "refusal", refusal }]
  }),
  call: (call: Call) => ({
    type: "function_call",
    id: `fc_${call.id}`,
    call_id: call.id,
    name: call.name,
    arguments: call.arguments,
    status: "completed"
  })
}

const itemsOf = (said: Said, n: number): ReadonlyArray<{ readonly type: string }> =>
  said._tag === "Refusal"
    ? [item.refusal(said.text, n)]
    : [
        ...(said.thought === undefined ? [] : [item.reasoning(said.thought, n)]),
        ...(said.text === undefined ? [] : [item.message(said.text, n)]),
        ...(said.calls ?? []).map(item.call)
      ]

const response = (said: Said, output: ReadonlyArray<object>, n: number) => {
  const { cached, input, output: out } = usageOf(said)
  const cut = said._tag === "Answer" && said.stop === "length"
  return {
    id: `resp_${n}`,
    object: "response",
    created_at: 1_763_700_000,
    model: "gpt-5.1",
    status: cut ? "incomplete" : "completed",
    incomplete_details: cut ? { reason: "max_output_tokens" } : null,
    error: null,
    output,
    usage: {
      input_tokens: input,
      input_tokens_details: { cached_tokens: cached },
      output_tokens: out,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: input + out
    }
  }
}

const created = {
  type: "response.created",
  response: {
    id: "resp_1",
    object: "response",
    created_at: 1_763_700_000,
    model: "gpt-5.1",
    status: "in_progress",
    output: []
  }
}

const itemEvents = (said: Said, n: number): ReadonlyArray<Event> => {
  const items = itemsOf(said, n)
  return items.flatMap((one, output_index) => {
    const added = { type: "response.output_item.added", output_index, item: one }
    const done = { type: "response.output_item.done", output_index, item: one }
    const deltas = (type: string, text: string) =>
      halves(text).map((delta) => ({ type, output_index, content_index: 0, summary_index: 0, delta }))
    if (said._tag === "Refusal") return [added, ...deltas("response.refusal.delta", said.text), done]
    if (one.type === "reasoning") {
      return [added, ...deltas("response.reasoning_summary_text.delta", said.thought?.text ?? ""), done]
    }
    if (one.type === "message") {
      const begun = { ...added, item: { ...one, status: "in_progress", content: [] } }
      return [begun, ...deltas("response.output_text.delta", said.text ?? ""), done]
    }
    const call = said.calls?.[output_index - (items.length - said.calls.length)]
    const begun = { ...added, item: { ...one, arguments: "", status: "in_progress" } }
    return [begun, ...deltas("response.function_call_arguments.delta", call?.arguments ?? ""), done]
  })
}

const openAiError = (status: number, message: string, code?: string) => ({
  error: { message, type: status >= 500 ? "server_error" : "invalid_request_error", param: null, code: code ?? null }
})

export const responses: Encoding = {
  path: "/v1/responses",
  whole: (said, n = 1) => response(said, itemsOf(said, n), n),
  events: (said, n = 1) => {
    const whole = response(said, itemsOf(said, n), n)
    return [created, ...itemEvents(said, n), { type: `response.${whole.status}`, response: whole }]
  },
  begin: (text) => [
    created,
    { type: "response.output_item.added", output_index: 0, item: { ...item.message(""), content: [] } },
    { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: text }
  ],
  error: openAiError
}

// ---- Chat Completions

const chunk = (delta: object, finish_reason: string | null = null) => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1_763_700_000,
  model: "gpt-5.1",
  choices: [{ index: 0, delta, finish_reason }]
})

const chatUsage = (said: Said) => {
  const { cached, input, output } = usageOf(said)
  return {
    prompt_tokens: input,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens: output,
    completion_tokens_details: { reasoning_tokens: 0 },
    total_tokens: input + output
  }
}

const chatReason = (said: Said): string => {
  if (said._tag === "Refusal") return "stop"
  if (said.stop === "length") return "length"
  return said.calls === undefined ? "stop" : "tool_calls"
}

const chatCall = ({ id, name, arguments: args }: Call) => ({
  id,
  type: "function",
  function: { name, arguments: args }
})

export const chat: Encoding = {
  path: "/v1/chat/completions",
  whole: (said) => ({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1_763_700_000,
    model: "gpt-5.1",
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          ...(said._tag === "Refusal"
            ? { content: null, refusal: said.text }
            : {
                content: said.text ?? null,
                refusal: null,
                ...(said.thought === undefined ? undefined : { reasoning_content: said.thought.text }),
                ...(said.calls === undefined ? undefined : { tool_calls: said.calls.map(chatCall) })
              })
        },
        finish_reason: chatReason(said)
      }
    ],
    usage: chatUsage(said)
  }),
  events: (said) => [
    chunk({ role: "assistant", content: "" }),
    ...(said._tag === "Refusal"
      ? halves(said.text).map((refusal) => chunk({ refusal }))
      : [
          ...halves(said.thought?.text ?? "").map((reasoning_content) => chunk({ reasoning_content })),
          ...halves(said.text ?? "").map((content) => chunk({ content })),
          ...(said.calls ?? []).flatMap((call, index) => [
            chunk({ tool_calls: [{ ...chatCall({ ...call, arguments: "" }), index }] }),
            ...halves(call.arguments).map((args) => chunk({ tool_calls: [{ index, function: { arguments: args } }] }))
          ])
        ]),
    chunk({}, chatReason(said)),
    { ...chunk({}), choices: [], usage: chatUsage(said) },
    "[DONE]"
  ],
  begin: (text) => [chunk({ role: "assistant", content: "" }), chunk({ content: text })],
  error: openAiError
}

// ---- the Messages API

interface Block {
  readonly type: string
  readonly text?: string
  readonly thinking?: string
  readonly signature?: string
}

const blocksOf = (said: Said): ReadonlyArray<Block> =>
  said._tag === "Refusal"
    ? [{ type: "text", text: said.text } as const]
    : [
        ...(said.thought === undefined
          ? []
          : [{ type: "thinking", thinking: said.thought.text, signature: said.thought.signature }]),
        ...(said.text === undefined ? [] : [{ type: "text", text: said.text }]),
        ...(said.calls ?? []).map((call) => ({ type: "tool_use", id: call.id, name: call.name, input: inputOf(call) }))
      ]

const inputOf = (call: Call): unknown => {
  try {
    return JSON.parse(call.arguments)
  } catch {
    // The API gives objects, so arguments that are no JSON exist in its streams alone.
    return call.arguments
  }
}

const stopOf = (said: Said) => {
  if (said._tag === "Refusal") {
    return { stop_reason: "refusal", stop_details: { type: "refusal", category: null, explanation: said.text } }
  }
  return { stop_reason: said.stop === "length" ? "max_tokens" : said.calls === undefined ? "end_turn" : "tool_use" }
}

const messageUsage = (said: Said) => {
  const { cached, input, output } = usageOf(said)
  return {
    input_tokens: input - cached,
    cache_read_input_tokens: cached,
    cache_creation_input_tokens: 0,
    output_tokens: output
  }
}

const message = (content: ReadonlyArray<object>) => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude-sonnet-5-5",
  content,
  stop_reason: null,
  stop_sequence: null
})

const started = (said: Said) => ({
  type: "message_start",
  message: { ...message([]), usage: { ...messageUsage(said), output_tokens: 1 } }
})

const blockEvents = (said: Said): ReadonlyArray<Event> =>
  blocksOf(said).flatMap((block, index) => {
    const events = (begun: object, deltas: ReadonlyArray<object>) => [
      { type: "content_block_start", index, content_block: begun },
      ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
      { type: "content_block_stop", index }
    ]
    if (block.thinking !== undefined) {
      const deltas = halves(block.thinking).map((thinking) => ({ type: "thinking_delta", thinking }))
      return events({ type: "thinking", thinking: "", signature: "" }, [
        ...deltas,
        { type: "signature_delta", signature: block.signature }
      ])
    }
    if (block.text !== undefined) {
      return events(
        { type: "text", text: "" },
        halves(block.text).map((text) => ({ type: "text_delta", text }))
      )
    }
    const calls = said._tag === "Answer" ? (said.calls ?? []) : []
    const call = calls[index - (blocksOf(said).length - calls.length)]
    const deltas = halves(call?.arguments ?? "").map((partial_json) => ({ type: "input_json_delta", partial_json }))
    return events({ ...block, input: {} }, deltas)
  })

export const messages: Encoding = {
  path: "/v1/messages",
  whole: (said) => ({ ...message(blocksOf(said)), ...stopOf(said), usage: messageUsage(said) }),
  events: (said) => [
    started(said),
    { type: "ping" },
    ...blockEvents(said),
    { type: "message_delta", delta: { stop_sequence: null, ...stopOf(said) }, usage: messageUsage(said) },
    { type: "message_stop" }
  ],
  begin: (text) => [
    started({ _tag: "Answer" }),
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }
  ],
  error: (status, text, code) => {
    const types: Readonly<Record<number, string>> = {
      400: "invalid_request_error",
      401: "authentication_error",
      403: "permission_error",
      404: "not_found_error",
      429: "rate_limit_error"
    }
    return { type: "error", error: { type: code ?? types[status] ?? "api_error", message: text } }
  }
}

/** Events as they are sent. */
export const sse = (events: ReadonlyArray<Event>): string =>
  events
    .map((event) => {
      if (typeof event === "string") return `data: ${event}\n\n`
      return `${"type" in event ? `event: ${String(event.type)}\n` : ""}data: ${JSON.stringify(event)}\n\n`
    })
    .join("")

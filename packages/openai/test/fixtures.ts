/** Answers as the documented protocols send them. */
import type { OpenAiLanguageModel } from "../src/index.ts"

export const usage = {
  responses: {
    input_tokens: 100,
    input_tokens_details: { cached_tokens: 60 },
    output_tokens: 50,
    output_tokens_details: { reasoning_tokens: 30 },
    total_tokens: 150
  },
  chat: {
    prompt_tokens: 100,
    prompt_tokens_details: { cached_tokens: 60 },
    completion_tokens: 50,
    completion_tokens_details: { reasoning_tokens: 30 },
    total_tokens: 150
  }
}

export const message = (text: string, type: "output_text" | "refusal" = "output_text") => ({
  type: "message",
  id: "msg_1",
  status: "completed",
  role: "assistant",
  content: [type === "refusal" ? { type, refusal: text } : { type, text, annotations: [] }]
})

export const response = (output: ReadonlyArray<unknown>, more: object = {}) => ({
  id: "resp_1",
  object: "response",
  created_at: 1_700_000_000,
  model: "gpt-5.1",
  status: "completed",
  output,
  usage: usage.responses,
  ...more
})

export const completion = (message: object, finish_reason = "stop") => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "gpt-5.1",
  choices: [{ index: 0, message: { role: "assistant", content: null, ...message }, finish_reason }],
  usage: usage.chat
})

export const chunk = (delta: object, finish_reason: string | null = null) => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1_700_000_000,
  model: "gpt-5.1",
  choices: [{ index: 0, delta, finish_reason }]
})

export const text = (api: OpenAiLanguageModel.Api, value: string): object =>
  api === "chat" ? completion({ content: value }) : response([message(value)])

export const call = (api: OpenAiLanguageModel.Api, args: string): object =>
  api === "chat"
    ? completion(
        {
          tool_calls: [{ id: "call_1", type: "function", function: { name: "get_weather", arguments: args } }]
        },
        "tool_calls"
      )
    : response([
        {
          type: "function_call",
          id: "fc_1",
          call_id: "call_1",
          name: "get_weather",
          arguments: args
        }
      ])

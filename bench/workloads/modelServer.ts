/** A model server that answers at once, in the wire of OpenAI's two APIs and of Anthropic's; one event at a time. */
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { answer, tokens } from "./models.ts"

const usage = { input_tokens: 20, output_tokens: 80, total_tokens: 100 }
const chatUsage = { prompt_tokens: 20, completion_tokens: 80, total_tokens: 100 }
const item = (text: string) => ({
  type: "message",
  id: "msg_1",
  status: "completed",
  role: "assistant",
  content: [{ type: "output_text", text, annotations: [] }]
})
const response = (status: string, output: ReadonlyArray<object>) => ({
  id: "resp_1",
  object: "response",
  created_at: 1_763_700_000,
  model: "gpt-5.1",
  status,
  error: null,
  incomplete_details: null,
  output,
  usage: status === "completed" ? usage : null
})
const message = { id: "msg_1", type: "message", role: "assistant", model: "claude-sonnet-5-5", stop_sequence: null }
const chunk = (delta: object, finish_reason: string | null = null) => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1_763_700_000,
  model: "gpt-5.1",
  choices: [{ index: 0, delta, finish_reason }]
})

const words = Array.from({ length: tokens }, (_, n) => `word${n} `)
const said = words.join("")

interface Wire {
  readonly whole: object
  readonly events: ReadonlyArray<{ readonly type?: string }>
  readonly last?: string
}

const wires: Readonly<Record<string, Wire>> = {
  "/v1/responses": {
    whole: response("completed", [item(answer)]),
    events: [
      { type: "response.created", response: response("in_progress", []) },
      {
        type: "response.output_item.added",
        output_index: 0,
        item: { ...item(""), status: "in_progress", content: [] }
      },
      {
        type: "response.content_part.added",
        item_id: "msg_1",
        output_index: 0,
        content_index: 0,
        part: { type: "output_text", text: "", annotations: [] }
      },
      ...words.map((delta) => ({
        type: "response.output_text.delta",
        item_id: "msg_1",
        output_index: 0,
        content_index: 0,
        delta
      })),
      { type: "response.output_text.done", item_id: "msg_1", output_index: 0, content_index: 0, text: said },
      { type: "response.output_item.done", output_index: 0, item: item(said) },
      { type: "response.completed", response: response("completed", [item(said)]) }
    ].map((event, sequence_number) => ({ ...event, sequence_number }))
  },
  "/v1/chat/completions": {
    whole: {
      ...chunk({}),
      object: "chat.completion",
      choices: [{ index: 0, message: { role: "assistant", content: answer, refusal: null }, finish_reason: "stop" }],
      usage: chatUsage
    },
    events: [
      chunk({ role: "assistant", content: "" }),
      ...words.map((content) => chunk({ content })),
      chunk({}, "stop"),
      { ...chunk({}), choices: [], usage: chatUsage }
    ],
    last: "data: [DONE]\n\n"
  },
  "/v1/messages": {
    whole: { ...message, content: [{ type: "text", text: answer }], stop_reason: "end_turn", usage },
    events: [
      { type: "message_start", message: { ...message, content: [], stop_reason: null, usage } },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      ...words.map((text) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })),
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 80 } },
      { type: "message_stop" }
    ]
  }
}

const ready = new Map(
  Object.entries(wires).map(([path, { events, last, whole }]) => [
    path,
    {
      whole: JSON.stringify(whole),
      events: [
        ...events.map(
          (event) => `${event.type === undefined ? "" : `event: ${event.type}\n`}data: ${JSON.stringify(event)}\n\n`
        ),
        ...(last === undefined ? [] : [last])
      ]
    }
  ])
)

const stream = (reply: ServerResponse, events: ReadonlyArray<string>) => {
  reply.writeHead(200, { "content-type": "text/event-stream" })
  let next = 0
  const send = () => {
    const event = events[next++]
    if (event === undefined) return reply.end()
    reply.write(event)
    setImmediate(send)
  }
  send()
}

const server = createServer((request, reply) => {
  let body = ""
  request.on("data", (chunk) => (body += chunk))
  request.on("end", () => {
    const wire = ready.get(request.url ?? "")
    if (wire === undefined) return reply.writeHead(404).end()
    if (/"stream":\s*true/.test(body)) return stream(reply, wire.events)
    reply.writeHead(200, { "content-type": "application/json" }).end(wire.whole)
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port))
process.once("disconnect", () => process.exit())

/** The servers the tests talk to, all on loopback: aimock, and a bare one for what aimock does not do. */
import { LLMock } from "@copilotkit/aimock"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { AnthropicClient, AnthropicLanguageModel } from "../src/index.ts"

export const key = "sk-ant-test-0123456789"
export const modelName = "claude-sonnet-5-5"

/** The model under test, talking to a base URL. */
export const modelAt = (
  baseUrl: string,
  config?: AnthropicLanguageModel.Config
): Layer.Layer<LanguageModel.LanguageModel> =>
  AnthropicLanguageModel.layer({ model: modelName, config }).pipe(
    Layer.provide(AnthropicClient.layer({ apiKey: Redacted.make(key), baseUrl }))
  )

export const mock = Effect.acquireRelease(
  Effect.promise(() => LLMock.create({ port: 0, logLevel: "silent", chunkSize: 5 })),
  (mock) => Effect.promise(() => mock.stop())
)

export interface Received {
  readonly headers: IncomingHttpHeaders
  readonly path: string
  readonly body: any
}

const readBody = async (request: IncomingMessage) => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk)
  return JSON.parse(Buffer.concat(chunks).toString("utf8"))
}

/** A server that records requests and lets the handler answer. */
export const serve = (
  handler: (
    response: ServerResponse,
    request: IncomingMessage,
    received: { readonly body: any; readonly count: number }
  ) => void
) =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<{ url: string; received: Array<Received>; close: () => Promise<void> }>((resolve) => {
          const received: Array<Received> = []
          const server = createServer((request, response) => {
            void readBody(request).then((body) => {
              received.push({ headers: request.headers, path: request.url ?? "", body })
              handler(response, request, { body, count: received.length })
            })
          })
          server.listen(0, "127.0.0.1", () => {
            resolve({
              url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
              received,
              close: () =>
                new Promise((closed) => {
                  server.close(() => closed())
                  server.closeAllConnections()
                })
            })
          })
        })
    ),
    ({ close }) => Effect.promise(close)
  )

/** A server with one JSON answer. */
export const serveJson = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  serve((response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers })
    response.end(typeof body === "string" ? body : JSON.stringify(body))
  })

export const sse = (events: ReadonlyArray<{ readonly type: string }>): string =>
  events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("")

/** A server with one event stream. */
export const serveSse = (text: string) =>
  serve((response) => {
    response.writeHead(200, { "content-type": "text/event-stream", "request-id": "req_1" })
    response.end(text)
  })

export const message = (over: Record<string, unknown>) => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: modelName,
  content: [{ type: "text", text: "Hello." }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 10, output_tokens: 5 },
  ...over
})

export const started = {
  type: "message_start",
  message: { ...message({ content: [], stop_reason: null }), usage: { input_tokens: 10, output_tokens: 1 } }
}
export const textBlock = (text: string, index = 0) => [
  { type: "content_block_start", index, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index, delta: { type: "text_delta", text } },
  { type: "content_block_stop", index }
]
export const stopped = (stop_reason: string, over: Record<string, unknown> = {}) => [
  { type: "message_delta", delta: { stop_reason, stop_sequence: null, ...over }, usage: { output_tokens: 9 } },
  { type: "message_stop" }
]

/** Runs an effect against a model at a base URL. */
export const against =
  (baseUrl: string, config?: AnthropicLanguageModel.Config) =>
  <A, E, R>(effect: Effect.Effect<A, E, R | LanguageModel.LanguageModel>) =>
    Effect.provide(effect, modelAt(baseUrl, config))

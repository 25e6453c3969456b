import { type Fixture, LLMock } from "@copilotkit/aimock"
import { readFile } from "node:fs/promises"
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { OpenAiClient, OpenAiLanguageModel } from "../src/index.ts"

export const key = "sk-test-4f1c0ffee"

export const apis: ReadonlyArray<OpenAiLanguageModel.Api> = ["responses", "chat"]

/** The model over a client that talks to `baseUrl`. */
export const modelAt = (
  baseUrl: string,
  options: Partial<OpenAiLanguageModel.Options> = {},
  apiKey: string = key
): Layer.Layer<LanguageModel.LanguageModel> =>
  OpenAiLanguageModel.layer({ model: "gpt-4o", ...options }).pipe(
    Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make(apiKey), baseUrl }))
  )

/** A mock server by a third party, for the life of the scope. */
export const aimock = (fixtures: Array<Fixture>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const mock = new LLMock({ port: 0, logLevel: "silent" })
      mock.addFixtures(fixtures)
      await mock.start()
      return mock
    }),
    (mock) => Effect.promise(() => mock.stop())
  )

/** The body of the last request a mock got. */
export const lastBody = (mock: LLMock): Record<string, unknown> =>
  Schema.decodeUnknownSync(Schema.Record(Schema.String, Schema.Unknown))(mock.getLastRequest()?.body)

/** A loopback server with a handler, for the life of the scope. */
export const serve = (handler: (request: IncomingMessage, response: ServerResponse, body: string) => void) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(
        () =>
          new Promise<ReturnType<typeof createServer>>((resolve) => {
            const server = createServer((request, response) => {
              let body = ""
              request.on("data", (chunk) => (body += String(chunk)))
              request.on("end", () => handler(request, response, body))
            })
            server.listen(0, "127.0.0.1", () => resolve(server))
          })
      ),
      (server) =>
        Effect.promise(
          () =>
            new Promise<void>((resolve) => {
              server.closeAllConnections()
              server.close(() => resolve())
            })
        )
    ),
    (server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  )

/** A server that gives one JSON answer. */
export const answering = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  serve((_, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers })
    response.end(typeof body === "string" ? body : JSON.stringify(body))
  })

/** Server-sent events as text. */
export const sse = (events: ReadonlyArray<object | string>): string =>
  events
    .map((event) => {
      const name = typeof event === "object" && "type" in event ? `event: ${String(event.type)}\n` : ""
      return `${name}data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`
    })
    .join("")

/** A server that streams events and then ends, or cuts the connection. */
export const streaming = (events: ReadonlyArray<object | string>, end: "end" | "cut" = "end") =>
  serve((_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    response.write(sse(events), () => (end === "end" ? response.end() : response.destroy()))
  })

const Fixture = Schema.Struct({
  source: Schema.String,
  status: Schema.optional(Schema.Int),
  body: Schema.optional(Schema.Record(Schema.String, Schema.Unknown)),
  events: Schema.optional(Schema.Array(Schema.Union([Schema.String, Schema.Record(Schema.String, Schema.Unknown)])))
})

/** Wire recorded from a provider's documentation, or from an issue; each file names its source. */
export const fixture = (name: string) =>
  Effect.flatMap(
    Effect.promise(() => readFile(new URL(`fixtures/${name}.json`, import.meta.url), "utf8")),
    Schema.decodeEffect(Schema.fromJsonString(Fixture))
  )

/** A server that plays a fixture. */
export const playing = (name: string) =>
  Effect.flatMap(fixture(name), ({ body, events, status }) =>
    events === undefined ? answering(body, status) : streaming(events)
  )

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Record<string, unknown>
}

const decodeRequest = Schema.decodeSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

/** A server that keeps what it gets, and gives the answers in turn, the last one again and again. */
export const receiving = (...answers: ReadonlyArray<unknown>) =>
  Effect.gen(function* () {
    const received: Array<Received> = []
    const url = yield* serve((request, response, body) => {
      const answer = answers[Math.min(received.length, answers.length - 1)]
      received.push({ path: request.url ?? "", headers: request.headers, body: decodeRequest(body) })
      response.writeHead(200, { "content-type": "application/json" })
      response.end(JSON.stringify(answer))
    })
    return { url, received }
  })

export const Weather = Tool.make("get_weather", {
  description: "The weather in a city",
  parameters: Schema.Struct({
    city: Schema.String,
    unit: Schema.optional(Schema.Literals(["C", "F"]))
  }),
  success: Schema.Struct({ degrees: Schema.Finite })
})

export const Tools = Toolkit.make(Weather)

export const ToolsLive = Tools.toLayer({
  get_weather: ({ city, unit }) => Effect.succeed({ degrees: city === "Oslo" ? 3 : unit === "F" ? 70 : 21 })
})

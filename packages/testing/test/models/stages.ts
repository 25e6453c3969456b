/** Stages that play turns: our wires over HTTP, and aimock, which others wrote. */
import { type FixtureResponse, LLMock } from "@copilotkit/aimock"
import { LanguageModelLaws, ScriptedModel } from "@selvage/testing"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as AiError from "effect/ai/AiError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { sse, type Wire } from "./wires.ts"

type Turn = LanguageModelLaws.Turn

const decodeJson = Schema.decodeSync(Schema.fromJsonString(Schema.Json))
const isStreaming = (body: Schema.Json): boolean =>
  typeof body === "object" && body !== null && "stream" in body && body.stream === true

/** Someone who waits until something holds. */
const waiting = () => {
  const waiters = new Set<() => void>()
  return {
    changed: () => {
      for (const look of waiters) look()
    },
    until: (holds: () => boolean): Effect.Effect<void> =>
      Effect.callback<void>((resume) => {
        const look = () => {
          if (!holds()) return
          waiters.delete(look)
          resume(Effect.void)
        }
        waiters.add(look)
        look()
        return Effect.sync(() => void waiters.delete(look))
      })
  }
}

/** A server on loopback for the life of the scope, with its sockets. */
export const listen = (
  handler: (response: ServerResponse, body: string, headers: Readonly<Record<string, unknown>>) => void,
  options: { readonly keepAliveMillis?: number } = {}
) =>
  Effect.gen(function* () {
    const sockets = new Set<Socket>()
    // A client's pool may hold a connection that it opened for a request that was aborted before it was sent.
    const serverOptions =
      options.keepAliveMillis === undefined
        ? {}
        : {
            headersTimeout: options.keepAliveMillis,
            connectionsCheckingInterval: 500,
            keepAliveTimeout: options.keepAliveMillis
          }
    const underWay = new Set<ServerResponse>()
    const { changed, until } = waiting()
    const server = yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = createServer(serverOptions, (request, response) => {
          underWay.add(response)
          response.once("close", () => {
            underWay.delete(response)
            changed()
          })
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => handler(response, Buffer.concat(chunks).toString("utf8"), request.headers))
        })
        server.on("connection", (socket) => {
          sockets.add(socket)
          socket.once("close", () => {
            sockets.delete(socket)
            changed()
          })
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.closeAllConnections()
          server.close(() => resume(Effect.void))
        })
    )
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      sockets,
      underWay,
      until,
      changed
    }
  })

const headersOf = (turn: Extract<Turn, { readonly _tag: "Failure" }>) => ({
  "content-type": "application/json",
  ...(turn.retryAfter === undefined ? undefined : { "retry-after": String(turn.retryAfter) })
})

// In the last event's own name, for there are clients that read no others.
const malformed = (wire: Wire): string =>
  sse(wire.begin(""))
    .split("\n\n")
    .at(-2)
    ?.replace(/data: .*/, "data: {oops") + "\n\n"

/** Does what a turn says in the wire of a provider. */
export const perform = (wire: Wire, turn: Turn, response: ServerResponse, streaming: boolean): void => {
  const open = (type: string) => response.writeHead(200, { "content-type": type })
  const begin = (text: string) => {
    open(streaming ? "text/event-stream" : "application/json")
    return streaming ? sse(wire.begin(text)) : '{"id":'
  }
  switch (turn._tag) {
    case "Answer":
    case "Refusal":
      open(streaming ? "text/event-stream" : "application/json")
      response.end(streaming ? sse(wire.events(turn)) : JSON.stringify(wire.whole(turn)))
      return
    case "Failure":
      response.writeHead(turn.status, headersOf(turn))
      response.end(JSON.stringify(wire.error(turn.status, "as the test wants it")))
      return
    case "Cut":
      response.write(begin(turn.text), () => setImmediate(() => response.destroy()))
      return
    case "Stall":
      response.write(begin(turn.text))
      return
    case "Malformed":
      response.end(streaming ? `${begin(turn.text)}${malformed(wire)}` : `${begin("")} oops`)
  }
}

const modelOf = (layer: Layer.Layer<LanguageModel.LanguageModel>) =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, LanguageModel.LanguageModel))

/** A stage that speaks a wire over HTTP. */
export const overHttp = (wire: Wire): Layer.Layer<LanguageModelLaws.Stage> =>
  Layer.succeed(LanguageModelLaws.Stage, {
    play: (...turns) =>
      Effect.gen(function* () {
        const received: Array<Schema.Json> = []
        const { changed, underWay, until, url } = yield* listen((response, text) => {
          const body = decodeJson(text)
          const turn = turns[Math.min(received.length, turns.length - 1)]
          received.push(body)
          if (turn !== undefined) perform(wire, turn, response, isStreaming(body))
          changed()
        })
        return {
          model: yield* modelOf(wire.model(url)),
          received: Effect.sync(() => received.slice()),
          arrived: until(() => received.length > 0),
          released: until(() => underWay.size === 0)
        }
      })
  })

const aimockUsage = (wire: Wire, { cached, input, output }: LanguageModelLaws.Usage) =>
  wire.name === "OpenAI Chat"
    ? { prompt_tokens: input, completion_tokens: output, prompt_tokens_details: { cached_tokens: cached } }
    : { input_tokens: input, output_tokens: output }

const aimockResponse = (wire: Wire, turn: Turn): FixtureResponse => {
  switch (turn._tag) {
    case "Answer": {
      const more = {
        ...(turn.thought === undefined
          ? undefined
          : { reasoning: turn.thought.text, reasoningSignature: turn.thought.signature }),
        ...(turn.usage === undefined ? undefined : { usage: aimockUsage(wire, turn.usage) }),
        ...(turn.stop === undefined ? undefined : { finishReason: turn.stop })
      }
      const toolCalls = (turn.calls ?? []).map((call) => ({ ...call }))
      if (toolCalls.length === 0) return { content: turn.text ?? "", ...more }
      return turn.text === undefined ? { toolCalls, ...more } : { content: turn.text, toolCalls, ...more }
    }
    case "Failure": {
      const { error } = wire.error(turn.status, "as the test wants it") as { error: { message: string; type: string } }
      return {
        error: { message: error.message, type: error.type },
        status: turn.status,
        ...(turn.retryAfter === undefined ? undefined : { retryAfter: turn.retryAfter })
      }
    }
    case "Refusal":
    case "Cut":
    case "Stall":
    case "Malformed":
      throw new Error(`aimock was not to play ${turn._tag}`)
  }
}

/** What aimock cannot play. The stage over HTTP can. */
export const aimockCannot: LanguageModelLaws.Cannot = {
  refusals: "aimock plays no refusals",
  cuts: "aimock cuts streams only",
  stalls: "aimock does not show its sockets",
  malformed: "aimock has nothing before what is malformed",
  "cached-usage": "aimock counts no cached tokens"
}

/** What aimock keeps is in the form of Chat Completions, with what that knows. */
export const aimockKeeps: LanguageModelLaws.Cannot = {
  images: "aimock keeps no images of this wire",
  "image-urls": "aimock keeps no images of this wire",
  files: "aimock keeps no files of this wire",
  "reasoning-back": "aimock keeps no reasoning of this wire",
  schemas: "aimock keeps no schemas of this wire"
}

/** A stage that aimock plays. */
export const overAimock = (wire: Wire): Layer.Layer<LanguageModelLaws.Stage> =>
  Layer.succeed(LanguageModelLaws.Stage, {
    play: (...turns) =>
      Effect.gen(function* () {
        const mock = yield* Effect.acquireRelease(
          Effect.promise(async () => {
            const mock = new LLMock({ port: 0, logLevel: "silent", chunkSize: 5 })
            let served = 0
            for (const [index, turn] of turns.entries()) {
              mock.addFixture({
                match: { predicate: () => Math.min(served, turns.length - 1) === index },
                response: () => {
                  served++
                  return aimockResponse(wire, turn)
                }
              })
            }
            await mock.start()
            return mock
          }),
          (mock) => Effect.promise(() => mock.stop())
        )
        const received = () => mock.getRequests().map(({ body }) => decodeJson(JSON.stringify(body)))
        return {
          model: yield* modelOf(wire.model(mock.url)),
          received: Effect.sync(received),
          arrived: Effect.die("aimock was not to be waited for"),
          released: Effect.die("aimock was not to be waited for")
        }
      })
  })

/** What a script cannot do. */
export const scriptCannot: LanguageModelLaws.Cannot = {
  reasoning: "a script does not think",
  refusals: "a script does not refuse",
  length: "a script has no limit",
  "cached-usage": "a script caches nothing",
  usage: "a script has one usage for all turns",
  "retry-after": "a script fails with any error, not with a status",
  statuses: "a script fails with any error, not with a status",
  cuts: "a script has no connection",
  stalls: "a script has no connection",
  malformed: "a script has no wire",
  bodies: "a script keeps requests, not bodies"
}

const scripted = (turn: Turn): ScriptedModel.Turn => {
  if (turn._tag !== "Answer") throw new Error(`a script was not to play ${turn._tag}`)
  const { calls, text } = turn
  if (calls === undefined) {
    return ScriptedModel.respond((request) =>
      request.object === undefined ? ScriptedModel.text(text ?? "") : objectOf(text ?? "")
    )
  }
  return ScriptedModel.calls(
    calls.map(({ id, name, arguments: args }) => ({ id, name, params: paramsOf(args) })),
    { text }
  )
}

const paramsOf = (args: string): Schema.Json => {
  try {
    return decodeJson(args)
  } catch {
    return args
  }
}

// A script gives values; a text that is no JSON is a value that fits no schema.
const objectOf = (text: string): ScriptedModel.Turn => ScriptedModel.object(paramsOf(text))

/** A stage that a script plays. */
export const overScript: Layer.Layer<LanguageModelLaws.Stage> = Layer.succeed(LanguageModelLaws.Stage, {
  play: (...turns) => {
    const last = turns.at(-1)
    const endless = Array.from({ length: 40 }, (_, n) => turns[n] ?? last).flatMap((turn) => turn ?? [])
    return Effect.map(ScriptedModel.make(endless.map(scripted)), ({ model, requests }) => ({
      model,
      received: Effect.succeed([]),
      arrived: Effect.asVoid(Effect.repeat(requests, { until: (all) => all.length > 0 })),
      released: Effect.void
    }))
  }
})

/** The error of an effect, as a table shows it. */
export const shown = (error: AiError.AiError) => ({
  reason: error.reason._tag,
  retryable: error.isRetryable,
  retryAfter: error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter)
})

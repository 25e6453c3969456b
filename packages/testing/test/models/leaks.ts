/** What the process keeps of calls of models, by every way in which they can end. */
import { AnthropicClient, AnthropicLanguageModel } from "@selvage/anthropic"
import { OpenAiClient, OpenAiLanguageModel } from "@selvage/openai"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { setImmediate as immediate } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** The wires. */
export const wires = ["OpenAI Responses", "OpenAI Chat", "Anthropic"] as const
export type Wire = (typeof wires)[number]

interface Script {
  /** A stream, piece by piece: what begins it, a call of a tool that there is not, the error of its protocol, and what ends it. */
  readonly begin: ReadonlyArray<unknown>
  readonly strange: ReadonlyArray<unknown>
  readonly error: unknown
  readonly end: ReadonlyArray<unknown>
}

const body = (status: string, output: ReadonlyArray<unknown> = []) => ({ id: "resp_1", model: "m", status, output })
const chunk = (delta: object, finish_reason: string | null = null) => ({
  id: "c",
  model: "m",
  choices: [{ index: 0, delta, finish_reason }]
})

const strange = { type: "function_call", id: "fc", call_id: "call_1", name: "nowhere", arguments: "{}" }

const scripts: Record<Wire, Script> = {
  "OpenAI Responses": {
    begin: [
      { type: "response.created", response: body("in_progress") },
      { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "Hi" }
    ],
    strange: [{ type: "response.output_item.done", output_index: 1, item: strange }],
    error: { type: "error", code: "server_error", message: "Overloaded" },
    end: [{ type: "response.completed", response: body("completed") }]
  },
  "OpenAI Chat": {
    begin: [chunk({ content: "Hi" })],
    strange: [
      chunk({ tool_calls: [{ index: 0, id: "call_1", function: { name: "nowhere", arguments: "{}" } }] }, "tool_calls")
    ],
    error: { error: { message: "Overloaded", type: "server_error" } },
    end: [chunk({}, "stop"), "[DONE]"]
  },
  Anthropic: {
    begin: [
      {
        type: "message_start",
        message: { id: "m", type: "message", role: "assistant", model: "c", content: [], usage: { input_tokens: 1 } }
      },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hi" } },
      { type: "content_block_stop", index: 0 }
    ],
    strange: [
      {
        type: "content_block_start",
        index: 1,
        content_block: { type: "tool_use", id: "call_1", name: "nowhere", input: {} }
      },
      { type: "content_block_stop", index: 1 }
    ],
    error: { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
    end: [
      { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 1 } },
      { type: "message_stop" }
    ]
  }
}

const sse = (events: ReadonlyArray<unknown>): string =>
  events
    .map((event) => {
      const named =
        typeof event === "object" && event !== null && "type" in event ? `event: ${String(event.type)}\n` : ""
      return `${named}data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`
    })
    .join("")

/** What a server does. */
const acts = {
  completes: ({ begin, end }: Script, reply: ServerResponse) => reply.end(sse([...begin, ...end])),
  "completes and does not hang up": ({ begin, end }: Script, reply: ServerResponse) =>
    reply.write(sse([...begin, ...end])),
  "reports an error": ({ begin, error }: Script, reply: ServerResponse) => reply.end(sse([...begin, error])),
  "calls a tool that there is not": ({ begin, end, strange }: Script, reply: ServerResponse) =>
    reply.end(sse([...begin, ...strange, ...end])),
  "sends what is no JSON": ({ begin }: Script, reply: ServerResponse) => reply.end(`${sse(begin)}data: {"a\n\n`),
  "ends too early": ({ begin }: Script, reply: ServerResponse) => reply.end(sse(begin)),
  "cuts the connection": ({ begin }: Script, reply: ServerResponse) =>
    void reply.write(sse(begin), () => reply.destroy()),
  "goes on for ever": ({ begin }: Script, reply: ServerResponse) => reply.write(sse(begin)),
  "does not answer": () => {}
} as const

/** How a call can end: what the server does, and what the caller does. */
export const ways = [
  ...(Object.keys(acts) as ReadonlyArray<keyof typeof acts>)
    .filter((act) => act !== "goes on for ever" && act !== "does not answer")
    .map((act) => ({ name: `the server ${act}`, act, caller: "waits" as const })),
  { name: "the server answers 500", act: 500 as const, caller: "waits" as const },
  { name: "the server answers without a stream", act: 200 as const, caller: "waits" as const },
  { name: "the caller leaves the stream", act: "goes on for ever" as const, caller: "leaves" as const },
  { name: "the caller is interrupted in the stream", act: "goes on for ever" as const, caller: "interrupts" as const },
  {
    name: "the caller is interrupted before the headers",
    act: "does not answer" as const,
    caller: "interrupts" as const
  },
  { name: "the server is silent in the stream", act: "goes on for ever" as const, caller: "times out" as const },
  { name: "the server is silent before the headers", act: "does not answer" as const, caller: "times out" as const },
  { name: "a whole answer is an error", act: 500 as const, caller: "asks for the whole" as const },
  { name: "a whole answer is no answer", act: 200 as const, caller: "asks for the whole" as const }
]
export type Way = (typeof ways)[number]

/** A server that does what a way has it do, which it reads from the path, and tells when it was asked. */
const serve = (wire: Wire, onAsked: () => void) =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer((request, reply) => {
            request.resume()
            request.on("end", () => {
              const way = ways[Number(request.url?.split("/")[1])]!
              onAsked()
              if (typeof way.act === "number") {
                reply.writeHead(way.act, { "content-type": "application/json" })
                return void reply.end(JSON.stringify({ error: { type: "api_error", message: "no" } }))
              }
              if (way.act !== "does not answer") reply.writeHead(200, { "content-type": "text/event-stream" })
              acts[way.act](scripts[wire], reply)
            })
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
  )

const model = (wire: Wire, url: string, timeout: number): Layer.Layer<LanguageModel.LanguageModel> =>
  wire === "Anthropic"
    ? AnthropicLanguageModel.layer({ model: "claude-sonnet-5-5" }).pipe(
        Layer.provide(AnthropicClient.layer({ apiKey: Redacted.make("k"), baseUrl: url, timeout }))
      )
    : OpenAiLanguageModel.layer({ model: "gpt-4o", api: wire === "OpenAI Chat" ? "chat" : "responses" }).pipe(
        Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("k"), baseUrl: `${url}/v1`, timeout }))
      )

setFlagsFromString("--expose-gc")
const gc: unknown = runInNewContext("gc")

/** Bytes on the heap that somebody holds. */
const held = Effect.promise(async () => {
  for (let round = 0; round < 4; round++) {
    if (typeof gc === "function") gc()
    // Finalizers run between turns of the loop, and what they let go is collected by the next round.
    await immediate()
  }
  return process.memoryUsage().heapUsed
})

let count = 0

/** One call with a prompt of so many characters. */
const once = (
  asked: Deferred.Deferred<void>,
  { caller }: Way,
  size: number
): Effect.Effect<unknown, never, LanguageModel.LanguageModel> => {
  // A string of its own each time: what is kept of it is kept for this call.
  const prompt = `${count++} ${"x".repeat(size)}`
  if (caller === "asks for the whole") return Effect.exit(LanguageModel.generateText({ prompt }))
  const stream = LanguageModel.streamText({ prompt })
  if (caller === "leaves") return Effect.exit(Stream.runDrain(Stream.take(stream, 1)))
  if (caller === "interrupts") {
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Stream.runDrain(stream))
      yield* Deferred.await(asked)
      yield* Effect.promise(() => immediate())
      return yield* Effect.exit(Fiber.interrupt(fiber))
    })
  }
  return Effect.exit(Stream.runDrain(stream))
}

/** Bytes that are kept of `calls` calls of each of these ways, each with a prompt of `size` characters. */
export const kept = (
  wire: Wire,
  own: ReadonlyArray<Way>,
  { calls, size }: { readonly calls: number; readonly size: number }
): Effect.Effect<number> =>
  Effect.scoped(
    Effect.gen(function* () {
      let asked = Deferred.makeUnsafe<void>()
      const server = yield* serve(wire, () => Deferred.doneUnsafe(asked, Effect.void))
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const models = own.map((way) =>
        Layer.build(model(wire, `${url}/${ways.indexOf(way)}`, way.caller === "times out" ? 30 : 60_000))
      )
      const contexts = yield* Effect.all(models)
      const round = (calls: number) =>
        Effect.forEach(
          Array.from({ length: calls * own.length }, (_, index) => index % own.length),
          (index) =>
            Effect.suspend(() => {
              if (own[index]!.caller === "interrupts") asked = Deferred.makeUnsafe<void>()
              // In a fiber of its own, as a program has it: a stack that somebody keeps keeps its fiber, with how it ended.
              const call = Effect.provide(once(asked, own[index]!, size), contexts[index]!)
              return Effect.flatMap(Effect.forkChild(call), Fiber.await)
            }),
          // One after another where the server says whom it was asked by.
          { concurrency: 1, discard: true }
        )
      yield* round(1)
      const before = yield* held
      yield* round(calls)
      return (yield* held) - before
    })
  )

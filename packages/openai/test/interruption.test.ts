import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { apis, modelAt, serve, sse } from "./support.ts"

type Stall = "before the headers" | "inside the body"

/** A server that stalls; `arrived` and `closed` tell what its socket sees. */
const stalling = (stall: Stall, first: string) =>
  Effect.gen(function* () {
    const arrived = yield* Deferred.make<void>()
    const closed = yield* Deferred.make<void>()
    const url = yield* serve((request, response) => {
      request.socket.once("close", () => Deferred.doneUnsafe(closed, Effect.void))
      if (stall === "inside the body") {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(first)
      }
      Deferred.doneUnsafe(arrived, Effect.void)
    })
    return { url, arrived: Deferred.await(arrived), closed: Deferred.await(closed) }
  })

const firstEvent = {
  responses: sse([
    { type: "response.created", response: { id: "r", status: "in_progress", output: [] } },
    { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "Once" }
  ]),
  chat: sse([{ id: "c", choices: [{ index: 0, delta: { content: "Once" }, finish_reason: null }] }])
}

for (const api of apis) {
  describe(`interruption over ${api}`, () => {
    for (const stall of ["before the headers", "inside the body"] as const) {
      it.effect(`closes the socket of a request that stalls ${stall}`, () =>
        Effect.gen(function* () {
          const server = yield* stalling(stall, '{"id":')
          const fiber = yield* Effect.forkChild(
            LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(modelAt(server.url, { api })))
          )
          yield* server.arrived
          yield* Fiber.interrupt(fiber)
          yield* server.closed
        })
      )

      it.effect(`closes the socket of a stream that stalls ${stall}`, () =>
        Effect.gen(function* () {
          const server = yield* stalling(stall, firstEvent[api])
          const started = yield* Deferred.make<void>()
          const fiber = yield* Effect.forkChild(
            LanguageModel.streamText({ prompt: "hello" }).pipe(
              Stream.runForEach(() => Deferred.succeed(started, undefined)),
              Effect.provide(modelAt(server.url, { api }))
            )
          )
          yield* stall === "inside the body" ? Deferred.await(started) : server.arrived
          yield* Fiber.interrupt(fiber)
          yield* server.closed
        })
      )
    }

    it.effect("closes the socket when the consumer has had enough", () =>
      Effect.gen(function* () {
        const server = yield* stalling("inside the body", firstEvent[api])
        const parts = yield* LanguageModel.streamText({ prompt: "hello" }).pipe(
          Stream.take(3),
          Stream.runCollect,
          Effect.provide(modelAt(server.url, { api }))
        )
        assert.deepStrictEqual(
          parts.map((part) => part.type),
          ["response-metadata", "text-start", "text-delta"]
        )
        yield* server.closed
      })
    )
  })
}

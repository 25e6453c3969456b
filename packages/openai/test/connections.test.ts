import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { setImmediate as immediate } from "node:timers/promises"
import { chunk, message, response } from "./fixtures.ts"
import { apis, modelAt, serve, sse } from "./support.ts"

const whole = {
  responses: sse([{ type: "response.completed", response: response([message("Hi")]) }]),
  chat: sse([chunk({ content: "Hi" }), chunk({}, "stop"), "[DONE]"])
}

for (const api of apis) {
  describe(`connections over ${api}`, () => {
    const drain = (url: string) =>
      LanguageModel.streamText({ prompt: "hello" }).pipe(Stream.runDrain, Effect.provide(modelAt(url, { api })))

    it.effect("are used again after a stream, also when its end comes a little later", () =>
      Effect.gen(function* () {
        const sockets = new Set<Socket>()
        const replies: Array<ServerResponse> = []
        const url = yield* serve((request, reply) => {
          sockets.add(request.socket)
          replies.push(reply)
          reply.writeHead(200, { "content-type": "text/event-stream" })
          reply.write(whole[api])
        })
        for (let n = 0; n < 5; n++) {
          yield* drain(url)
          // The consumer has its answer; only now does the server hang up, and the client hears of it.
          const reply = replies[n]
          yield* Effect.promise(() => new Promise<void>((resolve) => reply?.end(resolve)))
          yield* Effect.promise(() => immediate().then(immediate).then(immediate))
        }
        assert.strictEqual(sockets.size, 1)
      })
    )

    it.effect("are closed where a server says all and then does not hang up", () =>
      Effect.gen(function* () {
        const closed = yield* Deferred.make<void>()
        const url = yield* serve((request, reply) => {
          request.socket.once("close", () => Deferred.doneUnsafe(closed, Effect.void))
          reply.writeHead(200, { "content-type": "text/event-stream" })
          reply.write(whole[api])
        })
        yield* drain(url)
        yield* TestClock.adjust("1 seconds")
        yield* Deferred.await(closed)
      })
    )
  })
}

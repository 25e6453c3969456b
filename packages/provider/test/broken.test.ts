/** Bodies that break, are left, or come in a form that nobody expects: nothing hangs, nothing stays open. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { OutgoingHttpHeaders, ServerResponse } from "node:http"
import { once } from "node:events"
import * as Fetch from "../src/Fetch.ts"
import { serve, type Server } from "./servers.ts"

const begun = (reply: ServerResponse, headers: OutgoingHttpHeaders = {}) => {
  reply.writeHead(200, headers)
  reply.write("begun")
}

const allClosed = async ({ sockets }: Server) => {
  for (const socket of sockets) if (!socket.closed) await once(socket, "close")
}

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no rejection",
    (thrown: unknown) => thrown
  )

const drained = async (pieces: Fetch.Pieces): Promise<string> => {
  const decoder = new TextDecoder()
  let text = ""
  for (let piece = await pieces.next(); piece !== undefined; piece = await pieces.next()) text += decoder.decode(piece)
  return text
}

const fetches = { ours: Fetch.fetch, "the global one": globalThis.fetch }

for (const [name, fetch] of Object.entries(fetches)) {
  describe(`bodies of ${name}`, () => {
    it.effect("that broke before anybody read them reject, and do not hang", () =>
      Effect.gen(function* () {
        const server = yield* serve((reply) => begun(reply))
        const error = yield* Effect.promise(async () => {
          const response = await fetch(server.url)
          for (const socket of server.sockets) socket.destroy()
          await allClosed(server)
          await new Promise((resolve) => setImmediate(resolve))
          return rejection(drained(Fetch.pieces(response)))
        })
        assert.instanceOf(error, TypeError)
      }).pipe(Effect.scoped)
    )

    it.effect("that are left close their connection: unread, halved, read in part", () =>
      Effect.gen(function* () {
        const server = yield* serve((reply) => begun(reply))
        yield* Effect.promise(async () => {
          await (await fetch(server.url)).body?.cancel()
          const whole = await fetch(server.url)
          const half = whole.clone()
          await Promise.all([whole.body?.cancel(), half.body?.cancel()])
          const pieces = Fetch.pieces(await fetch(server.url))
          await pieces.next()
          await pieces.cancel()
          await allClosed(server)
        })
      }).pipe(Effect.scoped)
    )

    it.effect("in a coding that nobody knows are given as they are", () =>
      Effect.gen(function* () {
        const server = yield* serve((reply) => {
          begun(reply, { "content-encoding": "constructor" })
          reply.end()
        })
        const text = yield* Effect.promise(async () => (await fetch(server.url)).text())
        assert.strictEqual(text, "begun")
      }).pipe(Effect.scoped)
    )
  })
}

/** Bodies that break, are left, or come in a form that nobody expects: nothing hangs, nothing stays open. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { once } from "node:events"
import * as Fetch from "../src/Fetch.ts"

interface Server {
  readonly url: string
  /** Responses that are not over. */
  readonly open: Set<Http.ServerResponse>
}

const serve = (answer: (request: Http.IncomingMessage, reply: Http.ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const open = new Set<Http.ServerResponse>()
      const server = Http.createServer((request, reply) => {
        open.add(reply)
        reply.once("close", () => open.delete(reply))
        answer(request, reply)
      })
      server.listen(0, "127.0.0.1")
      await once(server, "listening")
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
      return { url, open, server }
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )

const begun = (reply: Http.ServerResponse, headers: Http.OutgoingHttpHeaders = {}) => {
  reply.writeHead(200, headers)
  reply.write("begun")
}

const allClosed = async ({ open }: Server) => {
  while (open.size > 0) await Promise.all(Array.from(open, (reply) => once(reply, "close")))
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
    it.live("that broke before anybody read them reject, and do not hang", () =>
      Effect.gen(function* () {
        const server = yield* serve((_, reply) => begun(reply))
        const error = yield* Effect.promise(async () => {
          const response = await fetch(server.url)
          for (const reply of server.open) reply.destroy()
          await allClosed(server)
          await new Promise((resolve) => setImmediate(resolve))
          return rejection(drained(Fetch.pieces(response)))
        })
        assert.instanceOf(error, TypeError)
      }).pipe(Effect.scoped)
    )

    it.live("that were aborted before or while they were read reject with the signal's reason", () =>
      Effect.gen(function* () {
        const server = yield* serve((_, reply) => begun(reply))
        for (const reason of [new Error("mine"), "a word", undefined]) {
          const [late, amid] = yield* Effect.promise(async () => {
            const before = new AbortController()
            const unread = await fetch(server.url, { signal: before.signal })
            before.abort(reason)
            const late = await rejection(drained(Fetch.pieces(unread)))
            const during = new AbortController()
            const reading = Fetch.pieces(await fetch(server.url, { signal: during.signal }))
            await reading.next()
            const next = rejection(reading.next())
            during.abort(reason)
            return [late, await next]
          })
          if (reason === undefined) {
            assert.deepInclude(late, { name: "AbortError" })
            assert.deepInclude(amid, { name: "AbortError" })
          } else assert.deepStrictEqual([late, amid], [reason, reason])
        }
        yield* Effect.promise(() => allClosed(server))
      }).pipe(Effect.scoped)
    )

    it.live("that are left close their connection: unread, halved, read in part", () =>
      Effect.gen(function* () {
        const server = yield* serve((_, reply) => begun(reply))
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

    it.live("in a coding that nobody knows are given as they are", () =>
      Effect.gen(function* () {
        const server = yield* serve((_, reply) => {
          begun(reply, { "content-encoding": "constructor" })
          reply.end()
        })
        const text = yield* Effect.promise(async () => (await fetch(server.url)).text())
        assert.strictEqual(text, "begun")
      }).pipe(Effect.scoped)
    )

    it.live("are read once: the second time is a rejection", () =>
      Effect.gen(function* () {
        const server = yield* serve((_, reply) => void reply.end("{}"))
        const error = yield* Effect.promise(async () => {
          const response = await fetch(server.url)
          await response.json()
          return rejection(response.text())
        })
        assert.instanceOf(error, TypeError)
      }).pipe(Effect.scoped)
    )
  })
}

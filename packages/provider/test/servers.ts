import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http"
import { type AddressInfo, createServer as createListener, type Socket } from "node:net"

/** A request as it arrived, whole. */
export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Server {
  readonly url: string
  /** What arrived, in order. */
  readonly received: ReadonlyArray<Received>
  /** Every connection that there was. */
  readonly sockets: ReadonlySet<Socket>
}

type Answering = (reply: ServerResponse, received: Received, request: IncomingMessage) => void

/** A loopback server for the life of the scope, which answers once it has the body. */
export const serve = (answer: Answering) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const received: Array<Received> = []
        const sockets = new Set<Socket>()
        const server = createServer((request, reply) => {
          const chunks: Array<Buffer> = []
          request.on("error", () => {})
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            const { headers, method = "", url: path = "" } = request
            const one = { method, path, headers, body: Buffer.concat(chunks) }
            received.push(one)
            answer(reply, one, request)
          })
        })
        server.on("connection", (socket) => sockets.add(socket))
        server.listen(0, "127.0.0.1")
        await once(server, "listening")
        return { server, received, sockets }
      }),
      ({ server }) =>
        Effect.promise(async () => {
          const closed = once(server, "close")
          server.close()
          server.closeAllConnections()
          await closed
        })
    ),
    ({ received, server, sockets }): Server => ({
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      received,
      sockets
    })
  )

/** A server that stalls before the headers or in the body; `arrived` and `closed` tell what its socket sees. */
export const stalling = (where: "before the headers" | "in the body", headers: Record<string, string> = {}) =>
  Effect.gen(function* () {
    const arrived = yield* Deferred.make<void>()
    const closed = yield* Deferred.make<void>()
    const { url } = yield* serve((reply, _, request) => {
      request.socket.once("close", () => Deferred.doneUnsafe(closed, Effect.void))
      if (where === "in the body") {
        reply.writeHead(200, headers)
        reply.write("begun")
      }
      Deferred.doneUnsafe(arrived, Effect.void)
    })
    return { url, arrived: Deferred.await(arrived), closed: Deferred.await(closed) }
  })

/** An address where nobody listens. */
export const nobody = Effect.promise(async () => {
  const server = createListener().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  await once(server.close(), "close")
  return `http://127.0.0.1:${port}`
})

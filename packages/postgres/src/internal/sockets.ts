/** The sockets of a client, so that closing it does not wait for a server that is silent. */
import * as Effect from "effect/Effect"
import type { Socket } from "node:net"
import { connect } from "node:net"
import type { Address } from "./address.ts"

export interface Sockets {
  /** Opens one; for `PgClientConfig.stream`. */
  readonly open: () => Socket
  /** Runs what is asked before the journal has limits of its own: when it takes longer, all sockets are destroyed and it fails. */
  readonly answering: <A, E, R>(self: Effect.Effect<A, E, R>, millis: number) => Effect.Effect<A, E, R>
  /** The client begins to close: what is open after a while is destroyed, and all that waits for it fails. */
  readonly closing: () => void
  /** The client has closed: what it has said goodbye to does not keep the process alive. */
  readonly closed: () => void
}

/** How long the server has to answer what closing says to it, and then to hang up. */
const closeMillis = 2_000
const lingerMillis = 500

export const make = ({ host, path, port }: Address): Sockets => {
  const sockets = new Set<Socket>()
  const destroyIn = (millis: number, why?: string) =>
    // oxlint-disable-next-line no-restricted-globals -- sockets keep real time
    setTimeout(() => {
      for (const socket of sockets) socket.destroy(why === undefined ? undefined : new Error(why))
    }, millis)
  return {
    open: () => {
      const socket =
        path === undefined
          ? connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 10_000 })
          : connect({ path })
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
      return socket
    },
    answering: (self, millis) =>
      Effect.suspend(() => {
        const timer = destroyIn(millis, `the server gave no answer within ${millis} ms`)
        return Effect.ensuring(
          self,
          Effect.sync(() => clearTimeout(timer))
        )
      }),
    closing: () => {
      destroyIn(closeMillis).unref()
    },
    closed: () => {
      for (const socket of sockets) {
        // Nobody else listens any more.
        socket.on("error", () => {})
        socket.unref()
      }
      destroyIn(lingerMillis).unref()
    }
  }
}

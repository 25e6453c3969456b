/**
 * A proxy in front of a store (PostgreSQL, Redis, any server on TCP) that delays, freezes, cuts or garbles at any message, to
 * see what a program makes of it.
 *
 * A *message* is what one side sent at once, as TCP delivers it: for a client that waits for its answers, a request or an
 * answer. Messages of all connections are counted together, from the moment the fault is set.
 *
 * - `delay`: every message from the nth on waits; their order stays.
 * - `freeze`: every message from the nth on is held, and new connections are accepted and not answered. {@link Proxy.heal} lets
 *   what was held go on, as a server does that wakes up.
 * - `cut`: the nth message is not delivered, and its connection ends. Later connections are as they should be.
 * - `garble`: the bytes of the nth message are others, of the same length.
 *
 * ```ts
 * import { PostgresJournal } from "@selvage/postgres"
 * import { StoreProxy } from "@selvage/testing"
 * import { Thread } from "@selvage/core"
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 *
 * export const test = Effect.scoped(
 *   Effect.gen(function* () {
 *     const proxy = yield* StoreProxy.make({ port: 5432 })
 *     const url = Redacted.make(`postgres://postgres@127.0.0.1:${proxy.port}/test`)
 *     yield* proxy.set({ kind: "freeze", direction: "down", at: 20 })
 *     return yield* Effect.exit(
 *       Effect.provide(Thread.asks({ thread: "t-1" }), PostgresJournal.layer({ url, statementTimeout: "1 second" }))
 *     )
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 */
/// <reference types="node" />
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"

/** Which way a message goes: `up` to the store, `down` from it. */
export type Direction = "up" | "down"

/** What happens to messages. */
export interface Fault {
  readonly kind: "delay" | "freeze" | "cut" | "garble"
  /** Only messages of this direction; default: of both. */
  readonly direction?: Direction | undefined
  /** The first message that it concerns, counted from 1 since it was set. Default 1. */
  readonly at?: number | undefined
  /** For `delay`, in milliseconds. Default 50. */
  readonly millis?: number | undefined
}

/** A proxy that runs. */
export interface Proxy {
  /** The port on 127.0.0.1 to connect to. */
  readonly port: number
  /** Sets the fault, in place of one that was set before. Counts from now on. */
  readonly set: (fault: Fault) => Effect.Effect<void>
  /** Takes the fault away, and delivers what it held. */
  readonly heal: Effect.Effect<void>
  /** Ends all connections. */
  readonly cut: Effect.Effect<void>
  /** Messages since the fault was set, or taken away, by direction. */
  readonly messages: Effect.Effect<Readonly<Record<Direction, number>>>
  /** Whether the fault has concerned a message since it was set. */
  readonly struck: Effect.Effect<boolean>
  /** Connections that are open. */
  readonly connections: Effect.Effect<number>
}

interface Armed extends Fault {
  counted: number
  struck: boolean
}

/** Delivers in order, whatever is delayed or held. */
interface Lane {
  readonly push: (chunk: Buffer, millis: number) => void
  held: Array<Buffer> | undefined
  readonly release: () => void
}

const lane = (to: Socket): Lane => {
  let due = 0
  const deliver = (chunk: Buffer) => {
    if (!to.destroyed && to.writable) to.write(chunk)
  }
  const self: Lane = {
    held: undefined,
    push: (chunk, millis) => {
      const now = performance.now()
      due = Math.max(due, now + millis)
      // What comes after a delayed message waits for it.
      if (due <= now) deliver(chunk)
      else {
        // oxlint-disable-next-line no-restricted-globals -- a network keeps real time
        setTimeout(() => deliver(chunk), due - now)
      }
    },
    release: () => {
      const held = self.held ?? []
      self.held = undefined
      for (const chunk of held) deliver(chunk)
    }
  }
  return self
}

const garbled = (chunk: Buffer): Buffer => Buffer.from(chunk.map((byte) => byte ^ 0x5a))

const listening = (server: Server) =>
  Effect.promise(async () => {
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    return (server.address() as AddressInfo).port
  })

/** Starts a proxy in front of `host:port` (default host 127.0.0.1) for the life of the scope. */
export const make = Effect.fnUntraced(function* (store: {
  readonly host?: string | undefined
  readonly port: number
}): Effect.fn.Return<Proxy, never, Scope.Scope> {
  let fault: Armed | undefined
  const counts = { up: 0, down: 0 }
  const lanes = new Set<Lane>()
  const pairs = new Map<Socket, Socket>()

  /** What becomes of one message. */
  const meet = (direction: Direction, chunk: Buffer, lane: Lane, end: () => void) => {
    counts[direction]++
    const concerns = fault !== undefined && (fault.direction ?? direction) === direction ? fault : undefined
    const nth = concerns === undefined ? 0 : ++concerns.counted
    const at = concerns?.at ?? 1
    const lasting = concerns?.kind === "delay" || concerns?.kind === "freeze"
    if (concerns === undefined || nth < at || (nth > at && !lasting)) {
      if (lane.held === undefined) lane.push(chunk, 0)
      else lane.held.push(chunk)
      return
    }
    concerns.struck = true
    if (concerns.kind === "cut") end()
    else if (concerns.kind === "garble") lane.push(garbled(chunk), 0)
    else if (concerns.kind === "delay") lane.push(chunk, concerns.millis ?? 50)
    else (lane.held ??= []).push(chunk)
  }

  const server = createServer({ allowHalfOpen: false, noDelay: true }, (client) => {
    const upstream = connect({ host: store.host ?? "127.0.0.1", port: store.port, noDelay: true })
    pairs.set(client, upstream)
    const [up, down] = [lane(upstream), lane(client)]
    lanes.add(up).add(down)
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    const over = () => {
      // A frozen server does not hang up either.
      if (up.held === undefined && down.held === undefined) end()
    }
    client.on("data", (chunk) => meet("up", chunk, up, end))
    upstream.on("data", (chunk) => meet("down", chunk, down, end))
    for (const socket of [client, upstream]) {
      socket.on("error", () => {})
      socket.on("close", over)
    }
    client.on("close", () => {
      pairs.delete(client)
      lanes.delete(up)
      lanes.delete(down)
      upstream.destroy()
    })
  })
  server.on("error", () => {})

  const cut = Effect.sync(() => {
    for (const [client, upstream] of pairs) {
      client.destroy()
      upstream.destroy()
    }
  })
  const disarm = () => {
    fault = undefined
    counts.up = 0
    counts.down = 0
    for (const lane of lanes) lane.release()
  }
  const port = yield* Effect.acquireRelease(listening(server), () =>
    Effect.andThen(
      cut,
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
      })
    )
  )
  return {
    port,
    set: (next) =>
      Effect.sync(() => {
        disarm()
        fault = { ...next, counted: 0, struck: false }
      }),
    heal: Effect.sync(disarm),
    cut,
    messages: Effect.sync(() => ({ ...counts })),
    struck: Effect.sync(() => fault?.struck ?? false),
    connections: Effect.sync(() => pairs.size)
  }
})

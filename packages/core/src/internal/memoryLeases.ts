// Leases in the memory of this process.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Lease, Leases } from "../Lease.ts"

const hour = 3_600_000

/** Leases of their own, and how those of a thread that is gone are dropped. */
export const make = (): { readonly leases: Leases; readonly drop: (thread: string) => void } => {
  const held = new Map<string, Lease>()
  const leases: Leases = {
    acquire: ({ owner, thread, ttl }) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        // The first in the map was acquired first.
        for (const [old, lease] of held) {
          if (lease.at + lease.ttl + hour >= at) break
          held.delete(old)
        }
        held.set(owner, { owner, thread, beat: 0, at, ttl })
      }),
    renew: (owners) =>
      Effect.map(Clock.currentTimeMillis, (at) =>
        owners.filter((owner) => {
          const lease = held.get(owner)
          if (lease === undefined) return false
          held.set(owner, { ...lease, beat: lease.beat + 1, at })
          return true
        })
      ),
    read: (owner) => Effect.sync(() => Option.fromUndefinedOr(held.get(owner))),
    end: (owner, options) =>
      Effect.sync(() => {
        const beat = held.get(owner)?.beat
        if (options?.beat === undefined || options.beat === beat) held.delete(owner)
        return !held.has(owner)
      })
  }
  return {
    leases,
    drop: (thread) => {
      for (const [owner, lease] of held) if (lease.thread === thread) held.delete(owner)
    }
  }
}

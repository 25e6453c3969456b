/** The leases of runs in `selvage_leases`. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Leases } from "../../Lease.ts"
import { type Database, unavailable } from "./rows.ts"

const hour = 3_600_000
const removedAtOnce = 256

export const make = ({ dialect, query }: Database): Leases => {
  const { text } = dialect
  const insert = text("INSERT INTO selvage_leases (owner, thread, beat, at, ttl) VALUES (?, ?, 0, ?, ?)")
  const renew = text(
    `UPDATE selvage_leases SET beat = beat + 1, at = ? WHERE owner IN ${dialect.stringsOf} RETURNING owner`
  )
  const select = text("SELECT thread, beat, at, ttl FROM selvage_leases WHERE owner = ?")
  const end = text("DELETE FROM selvage_leases WHERE owner = ?")
  const endAt = text("DELETE FROM selvage_leases WHERE owner = ? AND beat = ?")
  const clean = text(`DELETE FROM selvage_leases
    WHERE owner IN (SELECT owner FROM selvage_leases WHERE at + ttl < ? LIMIT ${removedAtOnce})`)
  let cleanedAt = -Infinity

  const asked = (params: ReadonlyArray<unknown>, statement: string) =>
    Effect.mapError(query(statement, params), unavailable("keep a lease"))

  return {
    acquire: Effect.fnUntraced(function* ({ owner, thread, ttl }) {
      const now = yield* Clock.currentTimeMillis
      if (now - cleanedAt > hour / 6) {
        cleanedAt = now
        yield* asked([now - hour], clean)
      }
      yield* asked([owner, thread, now, ttl], insert)
    }),
    renew: Effect.fnUntraced(function* (owners) {
      const now = yield* Clock.currentTimeMillis
      return (yield* asked([now, JSON.stringify(owners)], renew)).map(([owner]) => String(owner))
    }),
    read: (owner) =>
      Effect.map(asked([owner], select), ([row]) =>
        row === undefined
          ? Option.none()
          : Option.some({
              owner,
              thread: String(row[0]),
              beat: Number(row[1]),
              at: Number(row[2]),
              ttl: Number(row[3])
            })
      ),
    end: Effect.fnUntraced(function* (owner, options) {
      if (options?.beat === undefined) yield* asked([owner], end)
      else yield* asked([owner, options.beat], endAt)
      return (yield* asked([owner], select)).length === 0
    })
  }
}

/** The integrity of a thread: gaps, the hash chain, entries that cannot be read, and the thread's own row. */
import * as Effect from "effect/Effect"
import type { JournalUnavailable, ThreadNotFound } from "../../Errors.ts"
import type { Finding } from "../../Journal.ts"
import { pause } from "../turns.ts"
import * as Chain from "./chain.ts"
import type { Reader } from "./reader.ts"
import { type Database, toEntry, unavailable, valuesOf } from "./rows.ts"

const page = 512

export interface Options {
  readonly maxFindings: number
  /** Whether snapshots have hashes. */
  readonly sealed: boolean
}

export const make = (database: Database, reader: Reader, { maxFindings, sealed }: Options) => {
  const select = database.dialect.text(`SELECT e.seq, e.at, e.hash, e.entry FROM selvage_entries e
    WHERE e.thread = ? AND e.seq > ? ORDER BY e.seq LIMIT ${page}`)

  const selectSnapshot = database.dialect.text(`SELECT s.seq, s.value, s.hash, e.hash FROM selvage_snapshots s
    LEFT JOIN selvage_entries e ON e.thread = s.thread AND e.seq = s.seq WHERE s.thread = ?`)

  return Effect.fnUntraced(function* (
    thread: string
  ): Effect.fn.Return<ReadonlyArray<Finding>, JournalUnavailable | ThreadNotFound> {
    const before = yield* reader.known(thread)
    const findings: Array<Finding> = []
    let after = 0
    let hash = Chain.start
    while (findings.length < maxFindings) {
      yield* pause
      const rows = yield* Effect.mapError(database.query(select, [thread, after]), unavailable("check a thread"))
      const values = yield* Effect.mapError(
        valuesOf(
          database,
          rows.map((row) => row[3])
        ),
        unavailable("check a thread")
      )
      for (const [seq, at, stored, text] of rows) {
        const gap = Number(seq) !== after + 1
        if (gap) findings.push({ seq: after + 1, kind: "gap", issue: missing(after + 1, Number(seq) - 1) })
        after = Number(seq)
        // After a gap the hash before is unknown: the entry's own is believed, and the chain goes on from it.
        if (!gap && Chain.link(hash, after, Number(at), String(text)) !== stored) {
          const issue = `entry ${after} does not have the hash of its text, time and place`
          findings.push({ seq: after, kind: "chain", issue })
        }
        hash = String(stored)
        const decoded = toEntry(text, values)
        if (decoded._tag === "Failure") {
          findings.push({ seq: after, kind: "undecodable", issue: `entry ${after}: ${decoded.failure}` })
        }
        if (findings.length >= maxFindings) return findings.slice(0, maxFindings)
      }
      if (rows.length < page) break
    }
    const snapshots = sealed ? database.query(selectSnapshot, [thread]) : Effect.succeed([])
    const [kept] = yield* Effect.mapError(snapshots, unavailable("check a thread"))
    if (kept !== undefined && Chain.seal(String(kept[3]), Number(kept[0]), String(kept[1])) !== kept[2]) {
      const issue = "the snapshot is not what was kept of the entries up to here; it is not used"
      findings.push({ seq: Number(kept[0]), kind: "snapshot", issue })
    }
    const { info, ...row } = yield* reader.known(thread)
    // What was appended meanwhile is not wrong; another thread of that name is another check's.
    if (info.id !== before.info.id || info.head !== before.info.head) return findings
    if (after < info.head) findings.push({ seq: after + 1, kind: "gap", issue: missing(after + 1, info.head) })
    else if (after > info.head) {
      findings.push({ seq: info.head, kind: "head", issue: `the thread ends at ${info.head}, its entries at ${after}` })
    } else if (row.hash !== hash) {
      findings.push({ seq: after, kind: "head", issue: "the thread's hash is not that of its last entry" })
    }
    return findings
  })
}

const missing = (from: number, to: number) =>
  from === to ? `entry ${from} is missing` : `entries ${from} to ${to} are missing`

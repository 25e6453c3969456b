/**
 * One append on its way: what it was asked, what it means for the row of its thread, and how its caller learns the end.
 * Pure but for the ids of new threads.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Entry } from "../../Entry.ts"
import { JournalConflict, type JournalUnavailable } from "../../Errors.ts"
import type { Appended } from "../../Journal.ts"
import { graphOf, isSnapshotDue, place, type Policy, statusAfter } from "../journalFold.ts"
import * as Chain from "./chain.ts"
import type { EntryRow, Move, ValueRow } from "./dialect.ts"
import { uniqueId } from "./digest.ts"
import type { Known } from "./rows.ts"
import * as Values from "./values.ts"

/**
 * Where an append may stand: right after `expected`, behind what was posted after that (`past`), or wherever its thread
 * stands (`post`).
 */
export type Place = "after" | "past" | "post"

/** An append that waits for its transaction. */
export interface Request {
  readonly thread: string
  readonly place: Place
  readonly expected: number
  readonly id: string | undefined
  /** The hash of entry `expected`, where the caller knows it. */
  readonly hash: string | undefined
  readonly at: number
  readonly entries: ReadonlyArray<Entry>
  readonly stored: ReadonlyArray<Values.Shrunk>
  /** Characters of its entries and their values. */
  readonly size: number
  resume: (end: Effect.Effect<Appended, JournalConflict | JournalUnavailable>) => void
}

/** Throws what is no entry. */
export const encodeEntry = Schema.encodeUnknownSync(Entry)

/** Throws what is no entry. */
export const makeRequest = (
  thread: string,
  expected: number,
  entries: ReadonlyArray<Entry>,
  id: string | undefined,
  at: number,
  where: Place = "after",
  hash?: string | undefined
): Request => {
  const stored = entries.map((entry) => Values.shrink(encodeEntry(entry)))
  let size = 0
  for (const { text, values } of stored) {
    size += text.length
    for (const value of values.values()) size += value.length
  }
  return { thread, place: where, expected, id, hash, at, entries, stored, size, resume: () => {} }
}

/** What an append does to the tables if it wins. */
export interface Plan {
  readonly request: Request
  readonly known: Known | undefined
  readonly after: Known
  readonly move: Move
  readonly rows: ReadonlyArray<EntryRow>
}

/** Tells where the thread stands; 0: there is none. */
export const conflict = ({ expected, place, thread }: Request, known: Known | undefined): JournalConflict => {
  const actual = known?.info.head ?? 0
  return new JournalConflict({ thread, expected: place === "post" ? actual : expected, actual })
}

/** Whether the thread stands where the request wants it; what lies between is another matter. */
export const fits = ({ expected, hash, id, place }: Request, known: Known | undefined): boolean => {
  if (id !== undefined && id !== known?.info.id) return false
  if (place === "post") return known !== undefined
  const head = known?.info.head ?? 0
  // A database that was set back, and written again, may end at the same number with other entries.
  if (hash !== undefined && head === expected && hash !== known?.hash) return false
  return place === "past" ? head >= expected : head === expected
}

const hourMillis = 3_600_000

export const plan = (request: Request, known: Known | undefined): Plan => {
  const { at, entries, size, stored, thread } = request
  const expected = request.place === "after" ? request.expected : (known?.info.head ?? 0)
  const previous = known?.hash ?? Chain.start
  let hash = previous
  const rows = stored.map(({ text }, index): EntryRow => {
    const seq = expected + index + 1
    hash = Chain.link(hash, seq, at, text)
    return { thread, seq, at, hash, entry: text }
  })
  const info = {
    thread,
    id: known?.info.id ?? uniqueId(),
    hash,
    graph: graphOf(entries) ?? known?.info.graph ?? "",
    status: statusAfter(known?.info.status ?? "unfinished", entries),
    head: expected + entries.length,
    createdAt: known?.info.createdAt ?? at,
    updatedAt: at
  }
  const hour = Math.floor(at / hourMillis)
  const bytes = (known?.bytes ?? 0) + size
  const { graph, head, id, status } = info
  return {
    request,
    known,
    rows,
    after: { info, hash, bytes, hour, snapshot: known?.snapshot ?? { seq: 0, bytes: 0, size: 0 } },
    move: {
      thread,
      id,
      graph,
      status,
      head,
      hash,
      bytes,
      createdAt: info.createdAt,
      at,
      hour,
      before: { head: expected, hash: previous, hour: known?.hour ?? -1 }
    }
  }
}

export const valueRows = ({ move, request }: Plan): ReadonlyArray<ValueRow> =>
  request.stored.flatMap(({ values }, index) =>
    Array.from(values, ([hash, value]) => ({
      thread: request.thread,
      seq: move.before.head + index + 1,
      hash,
      value
    }))
  )

export const appended = (
  { after: { bytes, hash, info, snapshot }, move, request }: Plan,
  policy: Policy
): Effect.Effect<Appended> =>
  Effect.succeed({
    written: place(request.entries, move.before.head, request.at),
    snapshotDue: isSnapshotDue(policy, {
      entries: info.head - snapshot.seq,
      bytes: bytes - snapshot.bytes,
      snapshot: snapshot.size
    }),
    id: info.id,
    hash
  })

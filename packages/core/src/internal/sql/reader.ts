/** What is read of the tables: threads and their entries. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Sequenced } from "../../Entry.ts"
import { JournalCorrupt, type JournalUnavailable, type ReadFailure, ThreadNotFound } from "../../Errors.ts"
import type { ThreadFilter, ThreadInfo } from "../../Journal.ts"
import * as Chain from "./chain.ts"
import {
  type Database,
  decodeKnown,
  isNameable,
  type Known,
  selectKnown,
  toEntry,
  unavailable,
  valuesOf
} from "./rows.ts"

/** Some entries of a thread, as of one instant. */
export interface Page {
  readonly id: string
  readonly entries: ReadonlyArray<Sequenced>
}

export interface Range {
  readonly after: number
  readonly until: number | undefined
  /** At most as many entries. */
  readonly limit: number | undefined
  /** The hash of entry `after`, where it is known. */
  readonly hash?: string | undefined
}

const everything = Number.MAX_SAFE_INTEGER
const threadsPage = 256

export const make = (database: Database) => {
  const { dialect, query } = database
  const selectThread = dialect.text(`${selectKnown} WHERE t.thread = ?`)
  // One statement, so that a thread that is deleted meanwhile never looks like one with entries missing.
  const selectEntries = dialect.text(`SELECT t.id, t.head, e.seq, e.at, e.entry, e.hash, t.hash
    FROM selvage_threads t
    LEFT JOIN selvage_entries e ON e.thread = t.thread AND e.seq >= CAST(? AS BIGINT) AND e.seq <= CAST(? AS BIGINT)
    WHERE t.thread = ? ORDER BY e.seq LIMIT ?`)
  const selectThreads = dialect.text(`${selectKnown}
    WHERE t.changed_hour <= ? AND t.updated_at <= ? AND (t.updated_at < ? OR t.thread > ?)
      AND (CAST(? AS TEXT) IS NULL OR t.status = ?) AND (CAST(? AS TEXT) IS NULL OR t.graph = ?)
    ORDER BY t.changed_hour DESC, t.updated_at DESC, t.thread LIMIT ${threadsPage}`)

  const find = (thread: string): Effect.Effect<Known | undefined, JournalUnavailable> =>
    isNameable(thread)
      ? query(selectThread, [thread]).pipe(
          Effect.flatMap(decodeKnown),
          Effect.mapBoth({ onFailure: unavailable("look up a thread"), onSuccess: ([row]) => row })
        )
      : Effect.undefined

  const known = (thread: string): Effect.Effect<Known, JournalUnavailable | ThreadNotFound> =>
    Effect.filterOrFail(
      find(thread),
      (found) => found !== undefined,
      () => new ThreadNotFound({ thread })
    )

  const page = Effect.fnUntraced(function* (
    thread: string,
    { after, hash: known, limit, until }: Range
  ): Effect.fn.Return<Page, ReadFailure> {
    if (!isNameable(thread)) return yield* new ThreadNotFound({ thread })
    const rows = yield* query(selectEntries, [after, until ?? everything, thread, (limit ?? everything - 1) + 1]).pipe(
      Effect.mapError(unavailable("read a thread"))
    )
    const [first, ...others] = rows
    if (first === undefined) return yield* new ThreadNotFound({ thread })
    // The entry before, for its hash: every entry is verified as it is read.
    const before = first[2] !== null && Number(first[2]) === after ? first : undefined
    const wanted = (before === undefined ? rows : others).slice(0, limit ?? everything)
    if (known !== undefined && before !== undefined && before[5] !== known) return yield* unlinked(thread, after)
    let hash = before === undefined ? (after === 0 ? Chain.start : undefined) : String(before[5])
    const values = yield* Effect.mapError(
      valuesOf(
        database,
        wanted.map((row) => row[4])
      ),
      unavailable("read a thread")
    )
    const entries: Array<Sequenced> = []
    for (const [, , seq, at, text, stored] of wanted) {
      if (seq === null) break
      const expected = after + entries.length + 1
      if (Number(seq) !== expected) return yield* missing(thread, expected)
      if (hash !== undefined && Chain.link(hash, expected, Number(at), String(text)) !== stored) {
        return yield* unlinked(thread, expected)
      }
      hash = String(stored)
      const decoded = toEntry(text, values)
      if (decoded._tag === "Failure")
        return yield* new JournalCorrupt({ thread, seq: expected, issue: decoded.failure })
      entries.push({ seq: expected, at: Number(at), entry: decoded.success })
    }
    const last = after + entries.length
    if (last < Math.min(Number(first[1]), until ?? everything, after + (limit ?? everything))) {
      return yield* missing(thread, last + 1)
    }
    if (last === Number(first[1]) && entries.length > 0 && hash !== first[6]) return yield* unlinked(thread, last)
    return { id: String(first[0]), entries }
  })

  const threads = (filter: ThreadFilter | undefined): Stream.Stream<ThreadInfo, JournalUnavailable> => {
    const start = { before: filter?.updatedBefore === undefined ? everything : filter.updatedBefore - 1, name: "" }
    return Stream.paginate({ ...start, first: true }, ({ before, first, name }) => {
      const status = filter?.status ?? null
      const graph = filter?.graph ?? null
      const hour = Math.min(Math.floor(before / 3_600_000), 2_147_483_647)
      const params = [hour, before, first ? before + 1 : before, name, status, status, graph, graph]
      return query(selectThreads, params).pipe(
        Effect.flatMap(decodeKnown),
        Effect.mapError(unavailable("list the threads")),
        Effect.map((rows) => {
          const infos = rows.map(({ info }) => info)
          const last = infos.at(-1)
          const more = last !== undefined && infos.length === threadsPage
          return [
            infos,
            more ? Option.some({ before: last.updatedAt, name: last.thread, first: false }) : Option.none()
          ] as const
        })
      )
    })
  }

  return { find, known, page, threads }
}

export type Reader = ReturnType<typeof make>

const unlinked = (thread: string, seq: number) =>
  new JournalCorrupt({ thread, seq, issue: "it does not have the hash of its text, time and place" })

const missing = (thread: string, seq: number) => new JournalCorrupt({ thread, seq, issue: "the entry is missing" })

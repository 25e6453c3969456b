/** What all journals compute alike: status, graph, places, when a snapshot is due. Pure. */
import * as Effect from "effect/Effect"
import { type Entry, isPosted, postedTags, type Sequenced, statusOf } from "../Entry.ts"
import type { Patch, SnapshotPolicy, Status, ThreadFilter, ThreadInfo } from "../Journal.ts"

/** The status of a thread after more entries. */
export const statusAfter = <S extends Status | undefined>(status: S, entries: ReadonlyArray<Entry>): Status | S => {
  let result: Status | S = status
  for (const entry of entries) result = statusOf(entry, result) ?? result
  return result
}

/** The name of the graph that the last run of a list of entries starts, if one starts. */
export const graphOf = (entries: ReadonlyArray<Entry>): string | undefined => {
  for (let index = entries.length - 1; index >= 0; index--) {
    const entry = entries[index]
    if (entry?._tag === "RunStarted" && entry.graph !== undefined) return entry.graph.name
  }
  return undefined
}

// What every store can hold as a sequence number.
const lastSeq = 2_147_483_647

/** A bound of a range as a sequence number; one that is no number is as one that is not given. */
const bound = (given: number | undefined, otherwise: number): number =>
  given === undefined || Number.isNaN(given) ? otherwise : Math.min(Math.max(Math.floor(given), 0), lastSeq)

/** A range of entries as every journal reads it: whole numbers of 0 or more; all entries where none are given. */
export const rangeOf = (range: { readonly after?: number | undefined; readonly until?: number | undefined } = {}) => ({
  after: bound(range.after, 0),
  until: bound(range.until, lastSeq)
})

/** Whether a thread of so many entries has one of this number. */
export const hasEntry = (head: number, seq: number): boolean => Number.isInteger(seq) && seq >= 1 && seq <= head

/** Entries in their places after `head`. */
export const place = (entries: ReadonlyArray<Entry>, head: number, at: number): ReadonlyArray<Sequenced> =>
  entries.map((entry, index) => ({ seq: head + index + 1, at, entry }))

/** Only what comes from outside may be appended without knowing where a thread stands; anything else is a bug. */
export const onlyPosted = (entries: ReadonlyArray<Entry>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const other = entries.find((entry) => !isPosted(entry))
    return other === undefined
      ? Effect.void
      : Effect.die(new TypeError(`${other._tag} cannot be posted; only ${postedTags.join(", ")} can. Append it.`))
  })

/** The entries that a fork begins with after its prefix. */
export const forked = (from: string, at: number, patch: Patch | undefined): readonly [Entry, ...Array<Entry>] => {
  const origin: Entry = { _tag: "Forked", from, at }
  if (patch === undefined) return [origin]
  const { graph, ...patched } = patch
  return [
    origin,
    ...(graph === undefined ? [] : [{ _tag: "Migrated" as const, graph }]),
    { _tag: "Patched", ...patched }
  ]
}

/** Why entries cannot be a thread, if they cannot. */
export const restoreIssue = (
  entries: ReadonlyArray<Sequenced>
): { readonly seq: number; readonly issue: string } | undefined => {
  if (entries.length === 0) return { seq: 1, issue: "there are no entries" }
  for (const [index, { seq }] of entries.entries()) {
    if (seq !== index + 1) return { seq: index + 1, issue: `entry ${index + 1} is missing; ${seq} stands in its place` }
  }
  return undefined
}

/** A policy with its defaults filled in. */
export type Policy = "never" | { readonly entries: number; readonly bytes: number }

/** The defaults: 1,024 entries or 256 KiB. */
export const policyOf = (policy: SnapshotPolicy | undefined): Policy =>
  policy === "never" ? policy : { entries: policy?.entries ?? 1024, bytes: policy?.bytes ?? 256 * 1024 }

/** What was written since the last snapshot, and what that one took. */
export interface Since {
  readonly entries: number
  readonly bytes: number
  readonly snapshot: number
}

/** Never before as many bytes were written as the last one took: all snapshots together cost no more than the entries. */
export const isSnapshotDue = (policy: Policy, since: Since): boolean =>
  policy !== "never" &&
  (since.entries >= policy.entries || since.bytes >= policy.bytes) &&
  since.bytes >= since.snapshot

export const matches = (filter: ThreadFilter | undefined, info: ThreadInfo): boolean =>
  (filter?.status === undefined || filter.status === info.status) &&
  (filter?.graph === undefined || filter.graph === info.graph) &&
  (filter?.updatedBefore === undefined || info.updatedAt < filter.updatedBefore)

/** Newest change first; of the same instant, by name as SQLite and the "C" collation order it. */
export const newestFirst = (a: ThreadInfo, b: ThreadInfo): number =>
  b.updatedAt - a.updatedAt || (a.thread < b.thread ? -1 : 1)

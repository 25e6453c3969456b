// The names of a thread's runs, and how each ended.
import * as Effect from "effect/Effect"
import type { Entry, Sequenced } from "../Entry.ts"
import type { ReadFailure } from "../Errors.ts"
import type { Journal } from "../Journal.ts"
import { pause } from "./turns.ts"

/** How a run ended: `seq` is the entry that says so. One that was `replaced` never came to its own end. */
export type RunEnd =
  | { readonly outcome: "done"; readonly seq: number }
  | {
      readonly outcome: "failed"
      readonly seq: number
      readonly error: { readonly tag: string; readonly message: string }
    }
  | { readonly outcome: "replaced"; readonly seq: number }

/** `unknown`: known from a snapshot of a time when ends were not kept. */
export type Ends = Map<string, RunEnd | "unfinished" | "unknown">

/** Of how many runs a thread knows the names: the last ones. */
export const maxRuns = 1024

// What is kept of a message in memory and in snapshots, for each name.
const maxMessage = 1000

/** The name of a run that began. */
export const remember = (ends: Ends, run: string): void => {
  ends.delete(run)
  ends.set(run, "unfinished")
  if (ends.size <= maxRuns) return
  const [oldest] = ends.keys()
  ends.delete(oldest!)
}

/** What an entry says of the run under way, `run`, and of the one that it starts. */
export const note = (ends: Ends, run: string | undefined, { entry, seq }: Sequenced): void => {
  if (entry._tag === "RunStarted") {
    if (run !== undefined && ends.get(run) === "unfinished") ends.set(run, { outcome: "replaced", seq })
    if (entry.run !== undefined) remember(ends, entry.run)
  } else if (entry._tag === "RunFinished" && run !== undefined && ends.has(run)) {
    if (entry.outcome !== "waiting") ends.set(run, endOf(entry, entry.outcome, seq))
  } else if (entry._tag === "Patched" && entry.node !== undefined && run !== undefined && ends.has(run)) {
    // It goes on after that node.
    ends.set(run, "unfinished")
  }
}

const endOf = (
  { error }: Extract<Entry, { readonly _tag: "RunFinished" }>,
  outcome: "done" | "failed",
  seq: number
) => {
  if (outcome === "done") return { outcome, seq }
  const { message, tag } = error ?? { tag: "Defect", message: "the journal does not say why" }
  const kept = message.length <= maxMessage ? message : `${message.slice(0, maxMessage)}…`
  return { outcome, seq, error: { tag, message: kept } }
}

// How many entries are read at once.
const page = 256

/** Reads how a run ended from the entries 1 to `until`; `undefined`: no such run came to an end. */
export const find = Effect.fnUntraced(function* (
  journal: Journal["Service"],
  thread: string,
  name: string,
  until: number
): Effect.fn.Return<RunEnd | undefined, ReadFailure> {
  const ends: Ends = new Map()
  let run: string | undefined
  for (let after = 0; after < until; after += page) {
    yield* pause
    for (const sequenced of yield* journal.read(thread, { after, until: Math.min(until, after + page) })) {
      const { entry } = sequenced
      if (entry._tag !== "RunStarted") {
        if (run === name) note(ends, run, sequenced)
        continue
      }
      if (run === name || entry.run === name) note(ends, run, sequenced)
      run = entry.run
      if (run !== name && run !== undefined) ends.delete(run)
    }
  }
  const end = ends.get(name)
  return typeof end === "object" ? end : undefined
})

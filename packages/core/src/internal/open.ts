// Opening a thread: from what this process still holds of it, else from its snapshot, else from its first entry.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { ReadFailure } from "../Errors.ts"
import type { Journal } from "../Journal.ts"
import type { Compiled } from "./compile.ts"
import { restore, type Run } from "./frame.ts"
import { emptyReplay, type Replay, replay } from "./replay.ts"
import * as Snapshot from "./snapshot.ts"
import { pause } from "./turns.ts"

/** A thread as it stands. */
export interface Opened {
  /** The journal's id of the thread; `undefined` before its first entry. */
  id: string | undefined
  /** The hash of the log's last entry, where it is known. */
  hash?: string | undefined
  readonly log: Replay
  /** Whether another may fold into the log too: it is only to be looked at. */
  readonly shared?: boolean
}

/** How many threads a process holds on to after a run, so that the next one need not read them again. */
export const WarmThreads = Context.Reference<number>("selvage/core/Thread/WarmThreads", { defaultValue: () => 256 })

interface Warm extends Opened {
  readonly graph: Compiled
}

// Held by the journal, and gone with it. The one that was used last comes last.
const held = new WeakMap<Journal["Service"], Map<string, Warm>>()

const takeWarm = (journal: Journal["Service"], thread: string, graph: Compiled | undefined): Warm | undefined => {
  const threads = held.get(journal)
  const warm = threads?.get(thread)
  if (warm === undefined || (graph !== undefined && warm.graph !== graph)) return undefined
  // Two runs must not fold into one replay.
  threads!.delete(thread)
  return warm
}

/** Holds on to a thread; the one that was used longest ago makes room. */
export const keepWarm = (
  journal: Journal["Service"],
  thread: string,
  graph: Compiled,
  opened: Opened
): Effect.Effect<void> =>
  Effect.map(Effect.service(WarmThreads), (bound) => {
    const { hash, id, log } = opened
    if (id === undefined || bound < 1) return
    let threads = held.get(journal)
    if (threads === undefined) {
      threads = new Map()
      held.set(journal, threads)
    }
    threads.delete(thread)
    threads.set(thread, { id, hash, log, graph })
    if (threads.size > bound) {
      const [oldest] = threads.keys()
      threads.delete(oldest!)
    }
  })

// A thread as short as this is read as fast as its snapshot would be.
const shortest = 16

/** Opens a thread for a graph; without one, only what is asked in it. */
export const open = Effect.fnUntraced(function* (
  journal: Journal["Service"],
  thread: string,
  graph: Compiled | undefined
): Effect.fn.Return<Opened, ReadFailure> {
  const { hash, head, id } = yield* journal.info(thread)
  const warm = takeWarm(journal, thread, graph)
  if (warm !== undefined && warm.id === id && (yield* catchesUp(journal, thread, warm, { head, hash }))) {
    // Only looked at: the next run finds it where it was.
    if (graph !== undefined) return warm
    yield* keepWarm(journal, thread, warm.graph, warm)
    return { id, hash: warm.hash, log: warm.log, shared: true }
  }
  return { id, hash, log: yield* fold(journal, thread, graph, head) }
})

/** Whether what is held is what stands, as far as it goes, and then all of it: a database may have been set back meanwhile. */
const catchesUp = (
  journal: Journal["Service"],
  thread: string,
  warm: Warm,
  { hash, head }: { readonly head: number; readonly hash: string | undefined }
): Effect.Effect<boolean, ReadFailure> => {
  const { log } = warm
  if (log.head > head) return Effect.succeed(false)
  if (log.head === head) {
    const same = warm.hash === undefined || warm.hash === hash
    warm.hash = hash
    return Effect.succeed(same)
  }
  return readOn(journal, thread, log, warm.graph, head, warm.hash).pipe(
    Effect.map(() => {
      warm.hash = log.head === head ? hash : undefined
      return true
    }),
    Effect.catchTag("JournalCorrupt", () => Effect.succeed(false))
  )
}

/** The fold of the entries 1 to `until`. */
export const fold = Effect.fnUntraced(function* (
  journal: Journal["Service"],
  thread: string,
  graph: Compiled | undefined,
  until: number
): Effect.fn.Return<Replay, ReadFailure> {
  const log = (until > shortest ? yield* cutBefore(journal, thread, graph, until) : undefined) ?? emptyReplay()
  yield* readOn(journal, thread, log, graph, until)
  return log
})

/** What the snapshot stands for. One that cannot be read, also because it is nested too deep for that, counts as none. */
const cutBefore = (journal: Journal["Service"], thread: string, graph: Compiled | undefined, until: number) =>
  Effect.map(journal.snapshot(thread), (snapshot) =>
    Option.isSome(snapshot) && snapshot.value.seq <= until ? Snapshot.open(snapshot.value, graph) : undefined
  ).pipe(Effect.catchDefect(() => Effect.undefined))

// How many entries are read and folded between two looks at the time.
const page = 512

/** Folds the entries up to `until` into a replay, a page after the other; gives way in between. */
const readOn = Effect.fnUntraced(function* (
  journal: Journal["Service"],
  thread: string,
  log: Replay,
  graph: Compiled | undefined,
  until: number,
  hash?: string | undefined
): Effect.fn.Return<void, ReadFailure> {
  let known = hash
  while (log.head < until) {
    const range = { after: log.head, until: Math.min(until, log.head + page), hash: known }
    const entries = yield* journal.read(thread, range)
    known = undefined
    if (entries.length === 0) return
    replay(log, entries, graph)
    if (log.head < until) {
      if (graph !== undefined) condense(graph, log)
      yield* pause
    }
  }
})

const nobody: Run = { journal: undefined, emit: undefined, committed: undefined, traced: false }

/** The state stands for the changes before it, so that a long thread is folded page by page. What does not fit stays. */
const condense = (graph: Compiled, log: Replay): void => {
  const frame = log.frames.get("")
  if (frame === undefined || frame.changes.length === 0) return
  const restored = restore(nobody, graph, "", frame, true)
  if (Result.isFailure(restored)) return
  const { arrived, finished, state, step } = restored.success
  frame.base = { state, step, finished, arrived }
  frame.changes.length = 0
}

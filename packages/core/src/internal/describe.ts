// What can be told of a thread without running it.
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Sequenced } from "../Entry.ts"
import { EntryNotFound, GraphChanged, type ReadFailure, StateUnreadable } from "../Errors.ts"
import type { Any } from "../Graph.ts"
import { Journal } from "../Journal.ts"
import type { Compiled } from "./compile.ts"
import { restore } from "./frame.ts"
import { hasEntry } from "./journalFold.ts"
import { fold } from "./open.ts"
import { emptyFrame, type Replay, toOpenAsk } from "./replay.ts"
import * as Shapes from "./shapes.ts"
import { pause } from "./turns.ts"
import { type Summary, SummaryFold } from "./summary.ts"

// How many entries are read at once.
const page = 256

/** Where the thread's own graph stands. */
export const standing = (thread: string, graph: Compiled, log: Replay) =>
  Effect.suspend(() => {
    const run = { journal: undefined, emit: undefined, committed: undefined, traced: false }
    return Effect.fromResult(restore(run, graph, "", log.frames.get("") ?? emptyFrame(), true))
  }).pipe(Effect.mapError(({ differences, graph }) => new GraphChanged({ thread, graph, differences })))

/** Reads the entries 1 to `until`; `next` folds one in, and gives the error of one that cannot be. */
const foldEntries = Effect.fnUntraced(function* <E>(
  journal: Journal["Service"],
  thread: string,
  until: number,
  next: (entry: Sequenced) => E | undefined
): Effect.fn.Return<void, E | ReadFailure> {
  for (let after = 0; after < until; after += page) {
    yield* pause
    for (const entry of yield* journal.read(thread, { after, until: Math.min(until, after + page) })) {
      const error = next(entry)
      if (error !== undefined) return yield* Effect.fail(error)
    }
  }
})

/** The entry to look at: the last one, or `at` if the thread has it. */
export const entryAt = (thread: string, head: number, at: number | undefined) =>
  at === undefined || hasEntry(head, at) ? Effect.succeed(at ?? head) : new EntryNotFound({ thread, seq: at, head })

/**
 * The state of a thread as JSON, now or as of a sequence number, for a program that does not have its graph: the fold of
 * {@link state} over the kinds of channels that the journal names. What only the graph knows is told in `unfolded` and
 * `unwritten`; with the graph there is nothing of that.
 */
export const stateJson = (options: {
  readonly thread: string
  readonly at?: number | undefined
  readonly graph?: Any | undefined
}): Effect.Effect<Shapes.StateJson, ReadFailure | EntryNotFound | StateUnreadable | GraphChanged, Journal> =>
  Effect.gen(function* () {
    const { graph, thread } = options
    const journal = yield* Journal
    const { head } = yield* journal.info(thread)
    const at = yield* entryAt(thread, head, options.at)
    if (graph !== undefined) {
      const log = yield* fold(journal, thread, graph.compiled, at)
      const { state } = yield* standing(thread, graph.compiled, log)
      return { state: Shapes.stateOf(graph.compiled, state), unfolded: [], unwritten: [] }
    }
    const folding = new Shapes.ShapeFold()
    yield* foldEntries(journal, thread, at, (entry) => {
      const folded = folding.next(entry)
      return Result.isSuccess(folded)
        ? undefined
        : new StateUnreadable({ thread, seq: entry.seq, issues: folded.failure })
    })
    return folding.result()
  })

/** What a thread has done so far: its runs, steps and tasks, its open questions and its last failure. Needs no graph. */
export const summary = (options: { readonly thread: string }): Effect.Effect<Summary, ReadFailure, Journal> =>
  Effect.gen(function* () {
    const { thread } = options
    const journal = yield* Journal
    const { head } = yield* journal.info(thread)
    const folding = new SummaryFold()
    yield* foldEntries<never>(journal, thread, head, (entry) => {
      folding.next(entry)
      return undefined
    })
    return folding.result(Array.from(folding.log.asks.values(), toOpenAsk))
  })

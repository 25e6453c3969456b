// The runs that are under way in this process, by their journal and thread.
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { RunReplaced } from "../Errors.ts"
import type { Journal } from "../Journal.ts"

export interface Running {
  readonly run: string | undefined
  readonly replaced: Deferred.Deferred<never, RunReplaced>
  readonly ended: Deferred.Deferred<void>
}

const running = new WeakMap<Journal["Service"], Map<string, Set<Running>>>()

/** The runs of a thread. */
export const of = (journal: Journal["Service"], thread: string): ReadonlyArray<Running> =>
  Array.from(running.get(journal)?.get(thread) ?? [])

/** Registers a run; it is under way until `ended` was run, which must be sure to happen. */
export const register = (
  journal: Journal["Service"],
  thread: string,
  name: string | undefined
): { readonly run: Running; readonly ended: Effect.Effect<void> } => {
  const run: Running = { run: name, replaced: Deferred.makeUnsafe(), ended: Deferred.makeUnsafe() }
  const threads = running.get(journal) ?? new Map<string, Set<Running>>()
  running.set(journal, threads)
  const runs = threads.get(thread) ?? new Set()
  threads.set(thread, runs)
  runs.add(run)
  const ended = Effect.suspend(() => {
    runs.delete(run)
    if (runs.size === 0) threads.delete(thread)
    return Effect.asVoid(Deferred.succeed(run.ended, undefined))
  })
  return { run, ended }
}

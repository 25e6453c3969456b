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

const enter = (
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

/**
 * A run, registered while it is under way, so that another can replace it. One that `waits` does not begin while one of its
 * name is under way: its tasks do not run twice.
 */
export const register = <A, E, R>(
  journal: Journal["Service"],
  options: { readonly thread: string; readonly name: string | undefined; readonly waits: boolean },
  run: Effect.Effect<A, E, R>
): Effect.Effect<A, E | RunReplaced, R> =>
  // Looked for, registered and sure to be taken out in one operation: a fiber can be interrupted between any two.
  Effect.uninterruptibleMask((restore) => {
    const { name, thread, waits } = options
    const before = waits ? of(journal, thread).filter((running) => running.run === name) : []
    if (before.length > 0) {
      const ended = Effect.forEach(before, ({ ended }) => Deferred.await(ended), { discard: true })
      return restore(Effect.andThen(ended, register(journal, options, run)))
    }
    const entered = enter(journal, thread, name)
    return Effect.ensuring(restore(Effect.raceFirst(run, Deferred.await(entered.run.replaced))), entered.ended)
  })

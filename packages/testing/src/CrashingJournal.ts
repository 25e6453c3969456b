/**
 * A journal that fails at the nth append (or post), and at all after it, as if the process had lost its disk or had died there.
 *
 * The journal under it is not harmed: run the thread again on that one to see what a restart makes of it. The leases of the
 * run that died are expired then, so that nothing has to be waited for.
 *
 * **Example**
 *
 * ```ts
 * import { Journal } from "@selvage/core"
 * import { CrashingJournal } from "@selvage/testing"
 * import * as Effect from "effect/Effect"
 *
 * export const survives = <A, E, R>(run: Effect.Effect<A, E, R | Journal.Journal>) =>
 *   run.pipe(
 *     Effect.provide(CrashingJournal.layer({ at: 3 })), // dies at the third append
 *     Effect.exit,
 *     Effect.andThen(run), // and starts again on the same journal
 *     Effect.provide(Journal.layerMemory)
 *   )
 * ```
 *
 * @since 0.1.0
 */
import { JournalUnavailable } from "@selvage/core/Errors"
import { Journal } from "@selvage/core/Journal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** Where the journal fails. */
export interface Options {
  /** The append that fails first, counted from 1. */
  readonly at: number
  /**
   * `lost` (default): what that append was to write is not there. `written`: it is there, but the writer does not learn
   * of it. Appends after it write nothing in either case.
   */
  readonly append?: "lost" | "written" | undefined
}

/** Wraps a journal. Appends are counted from here. */
export const make = (journal: Journal["Service"], options: Options): Effect.Effect<Journal["Service"]> =>
  Effect.sync(() => {
    let appends = 0
    const owners = new Set<string>()
    // Whoever runs the thread again is taken to come once the leases of the dead have expired.
    const expire = Effect.suspend(() =>
      Effect.forEach(owners, (owner) => Effect.ignore(journal.leases.end(owner)), { discard: true })
    )
    const crashing = <A, E>(append: Effect.Effect<A, E>) =>
      Effect.suspend(() => {
        const count = ++appends
        if (count < options.at) return append
        const error = new JournalUnavailable({
          operation: "append",
          cause: new Error(`crash injected at append ${count}`)
        })
        const crash = Effect.andThen(expire, Effect.fail(error))
        return count === options.at && options.append === "written" ? Effect.andThen(append, crash) : crash
      })
    return Journal.of({
      ...journal,
      append: (...args) => crashing(journal.append(...args)),
      post: (...args) => crashing(journal.post(...args)),
      leases: {
        ...journal.leases,
        acquire: (lease) => Effect.suspend(() => (owners.add(lease.owner), journal.leases.acquire(lease)))
      }
    })
  })

/** Wraps the journal of the context. */
export const layer = (options: Options): Layer.Layer<Journal, never, Journal> =>
  Layer.effect(
    Journal,
    Effect.flatMap(Journal, (journal) => make(journal, options))
  )

// Declarations of an application that has no dependency on core find these names here.
export type { Journal } from "@selvage/core/Journal"

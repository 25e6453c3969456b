/**
 * The entries of a thread, read in pages: a long thread is never in memory as a whole.
 *
 * @since 0.1.0
 */
import type { Sequenced } from "@selvage/core/Entry"
import { EntryNotFound, type ReadFailure } from "@selvage/core/Errors"
import { Journal } from "@selvage/core/Journal"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

const pageSize = 512

/**
 * The entries with `after < seq <= until`. Those before one that cannot be read come first, then the failure.
 */
export const read = (
  thread: string,
  range: { readonly after: number; readonly until: number }
): Stream.Stream<Sequenced, ReadFailure, Journal> =>
  Stream.unwrap(
    Effect.map(Journal, (journal) =>
      Stream.paginate(range.after, (after) => {
        const until = Math.min(after + pageSize, range.until)
        const rest = until < range.until ? Option.some(until) : Option.none()
        if (after >= until) return Effect.succeed([[], Option.none<number>()] as const)
        return Effect.map(journal.read(thread, { after, until }), (entries) => [entries, rest] as const).pipe(
          Effect.catchTag("JournalCorrupt", (corrupt) =>
            corrupt.seq > after + 1
              ? Effect.map(
                  journal.read(thread, { after, until: corrupt.seq - 1 }),
                  (entries) => [entries, Option.some(corrupt.seq - 1)] as const
                )
              : Effect.fail(corrupt)
          )
        )
      })
    )
  )

/** The sequence number to look at: the head, or `at` if the thread has such an entry. */
export const position = Effect.fnUntraced(function* (thread: string, at: number | undefined) {
  const journal = yield* Journal
  const { head } = yield* journal.info(thread)
  if (at === undefined) return head
  return at < 1 || at > head ? yield* new EntryNotFound({ thread, seq: at, head }) : at
})

/** Laws of what comes from outside: it is appended wherever the thread stands, and does not hold up the run. */
import type { Entry, Posted } from "@selvage/core/Entry"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { equal, extend, failsWith, type Law, law, LawBroken, patched, range, seqs } from "./law.ts"

const answer = (n: number): Posted => ({ _tag: "AskAnswered", ask: `ask ${n}`, value: n })

const graph = { name: "g", channels: {}, nodes: [] }

const queued = (n: number): Posted => ({ _tag: "InputQueued", graph, input: { n } })

const queuedPatch = (n: number): Posted => ({ _tag: "PatchQueued", graph, updates: { n } })

const isAnswer = ({ entry }: { readonly entry: Entry }) => entry._tag === "AskAnswered"

export const posting: ReadonlyArray<Law> = [
  law("what is posted stands behind the last entry, wherever that is, and in order", (journal) =>
    Effect.gen(function* () {
      const { id } = yield* extend(journal, "t", 0, 3)
      const first = yield* journal.post("t", [answer(1), queued(2), queuedPatch(3)])
      yield* equal("the numbers of the first post", seqs(first.written), [4, 5, 6])
      yield* extend(journal, "t", 6, 1)
      const second = yield* journal.post("t", [answer(2)], { id })
      yield* equal("the numbers of the second post", seqs(second.written), [8])
      yield* equal("the id", second.id, id)
      const entries = (yield* journal.read("t")).map(({ entry }) => entry)
      const stand = [patched(1), patched(2), patched(3), answer(1), queued(2), queuedPatch(3), patched(7), answer(2)]
      yield* equal("the thread", entries, stand)
    })
  ),
  law("a post to a thread that is not there, or is another than its id says, stands nowhere", (journal) =>
    Effect.gen(function* () {
      yield* failsWith("ThreadNotFound", "a post to nobody", journal.post("nobody", [answer(1)]))
      yield* failsWith("ThreadNotFound", "info after it", journal.info("nobody"))
      const old = yield* extend(journal, "t", 0, 2)
      yield* journal.remove("t")
      yield* failsWith("ThreadNotFound", "a post to a removed one", journal.post("t", [answer(1)], { id: old.id }))
      yield* extend(journal, "t", 0, 2)
      yield* failsWith("JournalConflict", "a post to the one before", journal.post("t", [answer(1)], { id: old.id }))
      yield* equal("the thread", seqs(yield* journal.read("t")), [1, 2])
    })
  ),
  law("only what is from outside can be posted", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 2)
      // The compiler refuses it too.
      const entries: readonly [Posted, Posted] = [answer(1), patched(3) as unknown as Posted]
      const exit = yield* Effect.exit(journal.post("t", entries))
      if (Exit.isSuccess(exit) || !Cause.hasDies(exit.cause)) {
        return yield* new LawBroken({ what: "posting a patch", expected: "a defect", actual: exit._tag })
      }
      yield* equal("the thread", seqs(yield* journal.read("t")), [1, 2])
    })
  ),
  law("an append may pass what was posted in between, and nothing else", (journal) =>
    Effect.gen(function* () {
      const { id } = yield* extend(journal, "t", 0, 2)
      yield* journal.post("t", [answer(1), queued(2)])
      yield* failsWith("JournalConflict", "an append that does not pass", extend(journal, "t", 2, 1))
      const passed = yield* journal.append("t", 2, [patched(5), patched(6)], { id, past: "posted" })
      yield* equal("its numbers", seqs(passed.written), [5, 6])
      const same = yield* journal.append("t", 6, [patched(7)], { past: "posted" })
      yield* equal("the numbers of one with nothing to pass", seqs(same.written), [7])
      yield* journal.post("t", [queuedPatch(8)])
      for (const expected of [2, 4, 6, 9]) {
        const append = journal.append("t", expected, [patched(0)], { past: "posted" })
        const { actual } = yield* failsWith("JournalConflict", `past more than was posted, after ${expected}`, append)
        yield* equal("its head", actual, 8)
      }
      yield* failsWith(
        "JournalConflict",
        "of another thread",
        journal.append("t", 7, [patched(9)], { id: "another", past: "posted" })
      )
      yield* equal("the thread", seqs(yield* journal.read("t")), range(1, 8))
    })
  ),
  law("a run that works and an outside that posts both make progress, and no entry is lost or moved", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 1)
      let head = 1
      let appends = 0
      const work = Effect.gen(function* () {
        for (const n of range(1, 40)) {
          const append = (past?: "posted") =>
            Effect.suspend(() => {
              appends++
              return journal.append("t", head, [patched(n)], past === undefined ? {} : { past })
            })
          const { written } = yield* Effect.catchTag(append(), "JournalConflict", () => append("posted"))
          head = written[0]!.seq
          yield* Effect.yieldNow
        }
      })
      const posts = Effect.forEach(range(1, 40), (n) => Effect.andThen(Effect.yieldNow, journal.post("t", [answer(n)])))
      yield* Effect.all([work, posts, posts], { concurrency: "unbounded", discard: true })
      const entries = yield* journal.read("t")
      yield* equal("the numbers", seqs(entries), range(1, 121))
      yield* equal("what was posted", entries.filter(isAnswer).length, 80)
      const worked = entries.filter((entry) => !isAnswer(entry)).slice(1)
      yield* equal(
        "what was appended",
        worked.map(({ entry }) => entry),
        range(1, 40).map(patched)
      )
      yield* equal("more appends than two for each entry", appends > 80, false)
    })
  )
]

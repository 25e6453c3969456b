/** Laws of appending and reading. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Thread from "@selvage/core/Thread"
import { equal, extend, failsWith, type Law, law, patched, patches, range, seqs } from "./law.ts"

export const appending: ReadonlyArray<Law> = [
  law("entries are numbered from 1 without a gap, and read as they were appended", (journal) =>
    Effect.gen(function* () {
      const first = yield* extend(journal, "t", 0, 3)
      yield* equal("the numbers of the first append", seqs(first.written), [1, 2, 3])
      const second = yield* extend(journal, "t", 3, 2)
      yield* equal("the numbers of the second append", seqs(second.written), [4, 5])
      yield* equal("the thread", yield* journal.read("t"), [...first.written, ...second.written])
      yield* equal("the head", (yield* journal.info("t")).head, 5)
    })
  ),
  law("a read gives the entries after one and up to another", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 9)
      const read = (after?: number, until?: number) => Effect.map(journal.read("t", { after, until }), seqs)
      yield* equal("all", yield* read(), range(1, 9))
      yield* equal("after 6", yield* read(6), [7, 8, 9])
      yield* equal("until 2", yield* read(undefined, 2), [1, 2])
      yield* equal("after 3 until 5", yield* read(3, 5), [4, 5])
      yield* equal("after the head", yield* read(9), [])
      yield* equal("until beyond the head", yield* read(7, 99), [8, 9])
      yield* equal("far beyond", yield* read(1e12, 2e12), [])
    })
  ),
  law("a read of any two numbers gives the entries between them", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 9)
      const odd = [-Infinity, -1e12, -3, -0.5, -0, 0.5, 4.5, 9.5, 1e12, 1e308, Infinity, NaN]
      const pairs = [...odd.map((after) => [after, 6]), ...odd.map((until) => [3, until]), [6, 2], [NaN, NaN], [-5, -2]]
      for (const [after = 0, until = 0] of pairs) {
        const within = range(1, 9).filter(
          (seq) => (Number.isNaN(after) || seq > after) && (Number.isNaN(until) || seq <= until)
        )
        yield* equal(`after ${after} until ${until}`, seqs(yield* journal.read("t", { after, until })), within)
      }
      const events = [-Infinity, -3, -0.5, 4.5, NaN, undefined]
      for (const after of events) {
        const first = after === undefined || Number.isNaN(after) || after < 0 ? 1 : 5
        yield* equal(
          `the events after ${after}`,
          seqs(yield* Stream.runCollect(Thread.events({ thread: "t", after }))),
          range(first, 9)
        )
        const tail = Stream.take(journal.tail("t", after ?? 0), 5)
        yield* equal(`the tail after ${after}`, seqs(yield* Stream.runCollect(tail)), range(first, first + 4))
      }
      for (const at of [NaN, -1, 0, 0.5, 4.5, 10, 1e12, Infinity]) {
        yield* failsWith("EntryNotFound", `a fork at ${at}`, journal.fork("t", at, "t-2"))
      }
    })
  ),
  law("a thread that is not there is ThreadNotFound", (journal) =>
    Effect.gen(function* () {
      yield* failsWith("ThreadNotFound", "read", journal.read("nobody"))
      yield* failsWith("ThreadNotFound", "info", journal.info("nobody"))
      yield* failsWith("ThreadNotFound", "remove", journal.remove("nobody"))
      yield* failsWith("ThreadNotFound", "fork", journal.fork("nobody", 1, "somebody"))
      yield* failsWith("ThreadNotFound", "check", journal.check("nobody"))
      yield* equal("the snapshot", (yield* journal.snapshot("nobody"))._tag, "None")
      yield* journal.keepSnapshot("nobody", 1, {})
      yield* failsWith("ThreadNotFound", "info after all", journal.info("nobody"))
    })
  ),
  law(
    "an append where the thread does not stand is a conflict that tells where it stands, and changes nothing",
    (journal) =>
      Effect.gen(function* () {
        const missing = yield* failsWith("JournalConflict", "after 2 of no thread", extend(journal, "t", 2, 1))
        yield* equal("its head", missing.actual, 0)
        yield* extend(journal, "t", 0, 4)
        for (const expected of [0, 3, 5]) {
          const conflict = yield* failsWith(
            "JournalConflict",
            `after ${expected} of 4`,
            extend(journal, "t", expected, 2)
          )
          yield* equal("the conflict", [conflict.thread, conflict.expected, conflict.actual], ["t", expected, 4])
        }
        yield* equal("the thread", seqs(yield* journal.read("t")), range(1, 4))
      })
  ),
  law("of 50 that append at once after the same entry one wins, and all others learn of it", (journal) =>
    Effect.gen(function* () {
      for (const head of [0, 2]) {
        const exits = yield* Effect.forEach(
          range(1, 50),
          (n) => Effect.exit(journal.append("t", head, [patched(n), patched(-n)])),
          { concurrency: "unbounded" }
        )
        const won = exits.flatMap((exit, index) => (Exit.isSuccess(exit) ? [index + 1] : []))
        yield* equal("winners", won.length, 1)
        const conflicts = exits.filter(
          (exit) =>
            Exit.isFailure(exit) &&
            exit.cause.reasons.some(
              (reason) =>
                reason._tag === "Fail" && reason.error._tag === "JournalConflict" && reason.error.actual === head + 2
            )
        )
        yield* equal("losers that know the head", conflicts.length, 49)
        const entries = (yield* journal.read("t", { after: head })).map(({ entry }) => entry)
        yield* equal("what stands", entries, [patched(won[0] ?? 0), patched(-(won[0] ?? 0))])
      }
    })
  ),
  law("a reader sees all entries of an append, or none", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 5)
      const writer = yield* Effect.forkChild(
        Effect.forEach(range(1, 40), (n) => Effect.andThen(Effect.yieldNow, extend(journal, "t", n * 5, 5)))
      )
      while (writer.pollUnsafe() === undefined) {
        const [entries, info] = yield* Effect.all([journal.read("t"), journal.info("t")])
        yield* equal("entries of part of an append", entries.length % 5, 0)
        yield* equal("a head inside an append", info.head % 5, 0)
        yield* Effect.yieldNow
      }
      yield* Fiber.join(writer)
      yield* equal("the thread", seqs(yield* journal.read("t")), range(1, 205))
    })
  ),
  law("1,000 threads that append at once get their own entries and no others", (journal) =>
    Effect.gen(function* () {
      const threads = range(1, 1000)
      yield* Effect.forEach(
        threads,
        (n) =>
          Effect.gen(function* () {
            const { id } = yield* journal.append(`t-${n}`, 0, [patched(n)])
            yield* journal.append(`t-${n}`, 1, [patched(n + 1000), patched(n + 2000)], { id })
          }),
        { concurrency: "unbounded" }
      )
      for (const n of threads.filter((n) => n % 97 === 0)) {
        const entries = (yield* journal.read(`t-${n}`)).map(({ entry }) => entry)
        yield* equal(`thread ${n}`, entries, [patched(n), patched(n + 1000), patched(n + 2000)])
      }
    })
  ),
  law("an append that is interrupted stands or does not, and harms no other", (journal) =>
    Effect.gen(function* () {
      const fibers = yield* Effect.forEach(range(1, 60), (n) =>
        Effect.forkChild(journal.append(`t-${n}`, 0, patches(1, 3)))
      )
      yield* Effect.yieldNow
      for (const fiber of fibers.filter((_, index) => index % 2 === 0)) yield* Fiber.interrupt(fiber)
      for (const fiber of fibers.filter((_, index) => index % 2 === 1)) yield* Fiber.join(fiber)
      for (const n of range(1, 60)) {
        const exit = yield* Effect.exit(journal.read(`t-${n}`))
        if (Exit.isSuccess(exit)) yield* equal(`thread ${n}`, seqs(exit.value), [1, 2, 3])
        else yield* equal(`thread ${n}, which was not interrupted`, n % 2, 1)
      }
      yield* extend(journal, "after", 0, 1)
    })
  ),
  law("a name is used again after its thread was removed, but not by a writer of the old one", (journal) =>
    Effect.gen(function* () {
      const old = yield* extend(journal, "t", 0, 3)
      yield* equal("the id", (yield* journal.info("t")).id, old.id)
      yield* journal.keepSnapshot("t", 3, "old", { id: old.id })
      yield* journal.remove("t")
      const fresh = yield* extend(journal, "t", 0, 3)
      yield* equal("whether the id is the same", fresh.id === old.id, false)
      yield* failsWith("JournalConflict", "an old writer", journal.append("t", 3, [patched(4)], { id: old.id }))
      yield* journal.keepSnapshot("t", 3, "old", { id: old.id })
      yield* equal("the snapshot", (yield* journal.snapshot("t"))._tag, "None")
      const next = yield* journal.append("t", 3, [patched(4)], { id: fresh.id })
      yield* equal("the id after", next.id, fresh.id)
    })
  )
]

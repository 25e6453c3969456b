/** Laws of tails. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { equal, extend, failsWith, type Law, law, range, type Service, seqs } from "./law.ts"

/** The next `count` entries of a tail. */
const take = (journal: Service, thread: string, after: number, count: number) =>
  Effect.map(Stream.runCollect(Stream.take(journal.tail(thread, after), count)), seqs)

export const tailing: ReadonlyArray<Law> = [
  law("a tail gives what is there, then what comes", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 3)
      const seen = yield* Deferred.make<void>()
      const tail = journal.tail("t", 0).pipe(
        Stream.tap(({ seq }) => (seq === 3 ? Deferred.succeed(seen, undefined) : Effect.void)),
        Stream.take(5),
        Stream.runCollect
      )
      const fiber = yield* Effect.forkChild(tail)
      yield* Deferred.await(seen)
      yield* extend(journal, "t", 3, 1)
      yield* extend(journal, "t", 4, 1)
      const entries = yield* Fiber.join(fiber)
      yield* equal("the numbers", seqs(entries), range(1, 5))
      yield* equal("the entries", entries, yield* journal.read("t"))
    })
  ),
  law("tails from the beginning, the middle, the end and beyond it have no gap and no duplicate", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 50)
      const starts = [0, 1, 25, 50, 60]
      const tails = yield* Effect.forEach(starts, (after) => Effect.forkChild(take(journal, "t", after, 700 - after)))
      const writing = Effect.gen(function* () {
        for (let head = 50; head < 700; head += 13) {
          yield* extend(journal, "t", head, Math.min(13, 700 - head))
          if (head % 2 === 0) yield* Effect.yieldNow
        }
      })
      yield* writing
      for (const [index, fiber] of tails.entries()) {
        const after = starts[index] ?? 0
        yield* equal(`the tail after ${after}`, yield* Fiber.join(fiber), range(after + 1, 700))
      }
    })
  ),
  law("tails of many threads give each its own entries", (journal) =>
    Effect.gen(function* () {
      const threads = range(1, 30).map((n) => `t-${n}`)
      for (const thread of threads) yield* extend(journal, thread, 0, 1)
      const tails = yield* Effect.forEach(threads, (thread) => Effect.forkChild(take(journal, thread, 0, 11)))
      yield* Effect.forEach(
        threads,
        (thread) => Effect.forEach(range(1, 10), (head) => extend(journal, thread, head, 1)),
        { concurrency: "unbounded" }
      )
      for (const fiber of tails) yield* equal("a tail", yield* Fiber.join(fiber), range(1, 11))
    })
  ),
  law("a tail ends with ThreadNotFound when its thread is removed, also if another takes its name", (journal) =>
    Effect.gen(function* () {
      yield* failsWith("ThreadNotFound", "of no thread", Stream.runDrain(journal.tail("t", 0)))
      yield* extend(journal, "t", 0, 2)
      const seen = yield* Deferred.make<void>()
      const tail = yield* journal.tail("t", 0).pipe(
        Stream.tap(({ seq }) => (seq === 2 ? Deferred.succeed(seen, undefined) : Effect.void)),
        Stream.runDrain,
        Effect.forkChild
      )
      yield* Deferred.await(seen)
      yield* journal.remove("t")
      yield* extend(journal, "t", 0, 5)
      yield* failsWith("ThreadNotFound", "the tail", Fiber.join(tail))
    })
  ),
  law("a tail that is not read does not hold up the thread, and loses nothing", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 1)
      const gate = yield* Deferred.make<void>()
      const slow = journal.tail("t", 0).pipe(
        Stream.tap(() => Deferred.await(gate)),
        Stream.take(1501),
        Stream.runCollect
      )
      const fiber = yield* Effect.forkChild(slow)
      yield* Effect.yieldNow
      for (let head = 1; head < 1501; head += 100) yield* extend(journal, "t", head, 100)
      yield* Deferred.succeed(gate, undefined)
      yield* equal("the tail", seqs(yield* Fiber.join(fiber)), range(1, 1501))
    })
  )
]

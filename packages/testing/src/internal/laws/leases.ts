/** Laws of leases: they stand until they are ended, and one that was taken from its owner is not renewed. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { equal, extend, type Law, law } from "./law.ts"

export const leases: ReadonlyArray<Law> = [
  law("a lease stands as it was taken, and each renewal is told apart", (journal) =>
    Effect.gen(function* () {
      const { leases } = journal
      yield* extend(journal, "t", 0, 1)
      yield* equal("a lease that nobody took", (yield* leases.read("a"))._tag, "None")
      yield* leases.acquire({ owner: "a", thread: "t", ttl: 1000 })
      yield* leases.acquire({ owner: "b", thread: "t", ttl: 2000 })
      const first = Option.getOrThrow(yield* leases.read("a"))
      yield* equal("the lease", [first.owner, first.thread, first.ttl], ["a", "t", 1000])
      yield* equal("the renewed", yield* leases.renew(["a", "nobody"]), ["a"])
      const second = Option.getOrThrow(yield* leases.read("a"))
      yield* equal("whether it was renewed", second.beat > first.beat, true)
      yield* equal("the other", Option.getOrThrow(yield* leases.read("b")).beat, first.beat)
    })
  ),
  law("a lease is taken from its owner only if it was not renewed since, and then it is gone for good", (journal) =>
    Effect.gen(function* () {
      const { leases } = journal
      yield* extend(journal, "t", 0, 1)
      yield* leases.acquire({ owner: "a", thread: "t", ttl: 1000 })
      const { beat } = Option.getOrThrow(yield* leases.read("a"))
      yield* leases.renew(["a"])
      yield* equal("one that was renewed", yield* leases.end("a", { beat }), false)
      yield* equal("one as it stands", yield* leases.end("a", { beat: beat + 1 }), true)
      yield* equal("what is left", (yield* leases.read("a"))._tag, "None")
      yield* equal("a renewal of it", yield* leases.renew(["a"]), [])
      yield* equal("one that is gone", yield* leases.end("a", { beat }), true)
      yield* leases.acquire({ owner: "b", thread: "t", ttl: 1000 })
      yield* equal("one that its owner gives back", yield* leases.end("b"), true)
    })
  ),
  law("removing a thread removes its leases, and no other", (journal) =>
    Effect.gen(function* () {
      const { leases } = journal
      for (const thread of ["t", "u"]) {
        yield* extend(journal, thread, 0, 1)
        yield* leases.acquire({ owner: `of ${thread}`, thread, ttl: 1000 })
      }
      yield* journal.remove("t")
      yield* equal("that of the thread", yield* leases.renew(["of t"]), [])
      yield* equal("that of another", yield* leases.renew(["of u"]), ["of u"])
    })
  )
]

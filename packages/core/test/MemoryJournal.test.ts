// The journals in memory keep the laws of every journal, and some that only they have.
import { assert, describe, it } from "@effect/vitest"
import { type Entry, Journal } from "@selvage/core"
import { JournalLaws } from "@selvage/testing"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

const patched = (n: number): Entry.Entry => ({ _tag: "Patched", updates: { n } })

const journals = [
  { name: "memory", layer: Journal.layerMemory, keeps: "all" },
  { name: "ephemeral", layer: Journal.layerEphemeral, keeps: "unfinished" }
] as const

for (const { keeps, layer, name } of journals) {
  describe(`the laws of journals on ${name}`, () => {
    for (const law of JournalLaws.all({ keeps })) it.live(law.name, () => Effect.provide(law.check, layer))
  })
}

describe("a journal in memory", () => {
  it.effect("gives a fork the snapshot of the thread only where the fork has what it stands for", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      yield* journal.append("t", 0, [patched(1), patched(2), patched(3), patched(4)])
      yield* journal.keepSnapshot("t", 3, { n: 3 })
      yield* journal.fork("t", 2, "before")
      yield* journal.fork("t", 3, "at")
      assert.isTrue(Option.isNone(yield* journal.snapshot("before")))
      assert.deepStrictEqual(yield* journal.snapshot("at"), Option.some({ seq: 3, value: { n: 3 } }))
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("asks for no snapshot before as much was written as the last one took", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      yield* journal.append("t", 0, [patched(1)])
      yield* journal.keepSnapshot("t", 1, "x".repeat(1_000))
      assert.isFalse((yield* journal.append("t", 1, [patched(2)])).snapshotDue)
      const large: Entry.Entry = { _tag: "Patched", updates: { text: "y".repeat(1_000) } }
      assert.isTrue((yield* journal.append("t", 2, [large])).snapshotDue)
    }).pipe(Effect.provide(Journal.layerMemoryWith({ snapshots: { entries: 1, bytes: 1 } })))
  )

  it.effect("keeps the newer of two snapshots", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      yield* journal.append("t", 0, [patched(1), patched(2)])
      yield* journal.keepSnapshot("t", 2, "second")
      yield* journal.keepSnapshot("t", 1, "first")
      assert.deepStrictEqual(yield* journal.snapshot("t"), Option.some({ seq: 2, value: "second" }))
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("lists what changed before a time, and not at it", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      yield* TestClock.setTime(1_000)
      yield* journal.append("t", 0, [patched(1)])
      const before = (updatedBefore: number) =>
        Effect.map(Stream.runCollect(journal.threads({ updatedBefore })), (all) => all.length)
      assert.strictEqual(yield* before(1_000), 0)
      assert.strictEqual(yield* before(1_001), 1)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("that forgets threads keeps one whose run is over while inputs queue behind it", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      const graph = { name: "g", nodes: {}, channels: {} } as never
      yield* journal.append("t", 0, [
        { _tag: "RunStarted", graph, input: {} },
        { _tag: "InputQueued", graph, input: {} },
        { _tag: "RunFinished", outcome: "done" }
      ])
      assert.strictEqual((yield* journal.info("t")).head, 3)
      yield* journal.append("t", 3, [
        { _tag: "RunStarted", input: {}, queued: 2 },
        { _tag: "RunFinished", outcome: "done" }
      ])
      assert.strictEqual((yield* Effect.flip(journal.info("t")))._tag, "ThreadNotFound")
    }).pipe(Effect.provide(Journal.layerEphemeral))
  )
})

import * as Channel from "@selvage/core/Channel"
import * as Durable from "@selvage/core/Durable"
import * as Graph from "@selvage/core/Graph"
import * as Journal from "@selvage/core/Journal"
import * as Thread from "@selvage/core/Thread"
import { CrashingJournal } from "@selvage/testing"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"

const counting = (made: Array<string>) =>
  Graph.make("counting", {
    state: { n: Channel.sum },
    nodes: {
      count: () =>
        Effect.map(
          Durable.once(
            "one",
            Schema.Int,
            Effect.sync(() => (made.push("one"), 1))
          ),
          (n) => ({ n })
        )
    },
    edges: { start: "count", count: "end" }
  })

for (const append of ["lost", "written"] as const) {
  it.effect(`a thread comes to the same end wherever the journal crashes (the append is ${append})`, () =>
    Effect.gen(function* () {
      let crashes = 0
      for (let at = 1; at <= 10; at++) {
        const made: Array<string> = []
        const run = Thread.run(counting(made), { thread: `t-${at}`, run: "only", input: {} })
        const crashed = yield* Effect.exit(Effect.provide(run, CrashingJournal.layer({ at, append })))
        if (Exit.isSuccess(crashed)) break
        crashes++
        const ended = yield* run
        assert.deepStrictEqual([ended._tag, ended.state.n], ["Done", 1])
        assert.isAtMost(made.length, append === "written" ? 1 : 2)
      }
      assert.isAtLeast(crashes, 3)
      assert.isBelow(crashes, 10)
    }).pipe(Effect.provide(Journal.layerMemory))
  )
}

it.effect("the crash is a JournalUnavailable that says at which append, and nothing is written after it", () =>
  Effect.gen(function* () {
    const journal = yield* CrashingJournal.make(yield* Journal.Journal, { at: 2 })
    const append = (expected: number) => journal.append("t", expected, [{ _tag: "Patched", updates: {} }])
    yield* append(0)
    const first = yield* Effect.flip(append(1))
    assert.strictEqual(first._tag, "JournalUnavailable")
    assert.include(first.message, "append 2")
    yield* Effect.flip(append(1))
    assert.lengthOf(yield* journal.read("t"), 1)
  }).pipe(Effect.provide(Journal.layerMemory))
)

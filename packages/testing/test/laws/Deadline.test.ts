// Law 11, of the deadline of a run: it is counted from the journaled start of the run, so a crash does not reset it.
import { Channel, Durable, Graph, Journal, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { holds, live, makeProcess, mortal, stores } from "./worlds.ts"

const deadline = 1000

for (const store of stores("selvage_law_deadline_test")) {
  describe.skipIf(store.skip)(`Law 11 on ${store.name}: the deadline of a run survives its process`, () => {
    it.live("whenever processes die, and however long none lives", () =>
      holds(
        fc.record({
          /** How long each step takes, in milliseconds. */
          steps: fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }),
          /** At which append each process dies, and how long it takes until the next one starts. */
          deaths: fc.array(
            fc.record({
              at: fc.integer({ min: 1, max: 4 }),
              when: fc.constantFrom("before" as const, "after" as const),
              down: fc.nat(500)
            }),
            { maxLength: 4 }
          )
        }),
        store,
        { memory: 150, other: 12 },
        Effect.fnUntraced(function* ({ deaths, steps }, thread) {
          const journal = yield* Journal.Journal
          let entered = 0
          const graph = Graph.make("timed", {
            state: { n: Channel.sum },
            nodes: {
              work: ({ n }) =>
                Effect.gen(function* () {
                  entered++
                  const took = steps[n] ?? 0
                  yield* Effect.sleep(took)
                  yield* Durable.once("took", Schema.Int, Effect.succeed(took))
                  return { n: 1 }
                })
            },
            edges: { start: "work", work: ({ n }) => (n < steps.length ? "work" : "end") },
            deadline
          })
          const left = [...deaths]
          while (true) {
            const death = left.shift()
            const process = makeProcess()
            const before = entered
            const began = yield* Clock.currentTimeMillis
            const life = Thread.run(graph, { thread, run: "only", input: {} })
            const exit = yield* live(
              process,
              Effect.provideService(life, Journal.Journal, mortal(journal, process, death))
            )
            const now = yield* Clock.currentTimeMillis
            process.dead = true
            const entries = yield* Effect.orElseSucceed(journal.read(thread), () => [])
            const startedAt = entries.find(({ entry }) => entry._tag === "RunStarted")?.at
            if (exit === undefined) {
              yield* Effect.sleep(death!.down)
              continue
            }
            assert.isDefined(startedAt)
            const until = startedAt! + deadline
            if (Exit.isSuccess(exit)) {
              // A process may come when the run is done already.
              assert.isAtMost(entries.at(-1)!.at, until)
            } else {
              assert.propertyVal(Cause.squash(exit.cause), "_tag", "DeadlineExceeded")
              // To the millisecond when it passes; a process that comes later runs nothing.
              assert.isAtLeast(now, until)
              if (store.name === "memory") assert.strictEqual(now, Math.max(until, began))
              if (began >= until) assert.strictEqual(entered, before, "a task began after the deadline")
            }
            return
          }
        })
      ).pipe(Effect.provide(store.layer))
    )
  })
}

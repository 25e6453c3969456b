// Law 9. Interrupting a run stops its tasks, releases their resources, and leaves the thread resumable.
import { Journal } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fc from "fast-check"
import { build, type World } from "../../src/internal/simulation/plan.ts"
import { chance } from "../../src/internal/simulation/seeded.ts"
import { plans } from "./plans.ts"
import { drive, entriesOf, factsOf, holds, Ledger, stores, worldOf } from "./worlds.ts"

for (const store of stores("selvage_law_interruptible_test")) {
  const memory = store.name === "memory"

  describe.skipIf(store.skip)(`Law 9 on ${store.name}: an interrupted run leaves nothing behind but its thread`, () => {
    it.live("interrupted at any moment, any number of times", () => {
      let interrupted = 0
      return holds(
        fc.tuple(plans({ stages: 2, policies: memory }), fc.array(fc.nat(60), { minLength: 1, maxLength: 6 })),
        store,
        { memory: 80, other: 6 },
        Effect.fnUntraced(function* ([plan, moments], thread, seed) {
          const random = chance(seed)
          const journal = yield* Journal.Journal
          const ledger = new Ledger()
          let ticks = 0
          // A resource that is held, and something that goes on, as long as a task runs.
          const busy = Effect.acquireUseRelease(
            Effect.sync(() => ledger.running++),
            () =>
              Effect.whileLoop({
                while: () => random.happens(0.8),
                body: () => Effect.sleep(1 + random.below(4)),
                step: () => {
                  ticks++
                }
              }),
            () =>
              Effect.andThen(
                Effect.sleep(1),
                Effect.sync(() => ledger.running--)
              )
          )
          const world: World = worldOf(ledger, { enter: () => busy, after: busy })
          const graph = build(plan, world)
          for (const moment of moments) {
            const run = yield* Effect.forkChild(drive(graph, thread, ledger))
            yield* Effect.sleep(moment)
            yield* Fiber.interrupt(run)
            if (ledger.running > 0) assert.fail(`${ledger.running} tasks were not released`)
            const before = ticks
            const entries = yield* entriesOf(journal, thread)
            yield* Effect.sleep(1000)
            assert.strictEqual(ticks, before, "a task runs on")
            assert.deepStrictEqual(yield* entriesOf(journal, thread), entries, "a run writes on")
            if (entries.at(-1)?._tag !== "RunFinished") interrupted++
          }
          const state = yield* drive(graph, thread, ledger)
          assert.strictEqual(ledger.running, 0)
          const calm = new Ledger()
          const calmGraph = build(plan, worldOf(calm))
          assert.deepStrictEqual(state, yield* drive(calmGraph, `${thread} calm`, calm))
          assert.deepStrictEqual(
            Array.from(factsOf(yield* entriesOf(journal, thread)).committed).sort(),
            Array.from(factsOf(yield* entriesOf(journal, `${thread} calm`)).committed).sort()
          )
          assert.deepStrictEqual(yield* journal.check(thread), [])
        })
      ).pipe(
        Effect.tap(() => Effect.sync(() => store.name === "memory" && assert.isAbove(interrupted, 0))),
        Effect.provide(store.layer)
      )
    })
  })
}

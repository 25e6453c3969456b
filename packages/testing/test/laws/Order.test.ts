// Law 6. Results do not depend on the order in which parallel tasks finish.
import { Journal, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { build, type GraphPlan } from "../../src/internal/simulation/plan.ts"
import { chance } from "../../src/internal/simulation/seeded.ts"
import { plans } from "./plans.ts"
import { drive, entriesOf, factsOf, holds, Ledger, stores, worldOf } from "./worlds.ts"

/** Runs a graph whose tasks take as long as chance says. */
const runWith = Effect.fnUntraced(function* (plan: GraphPlan, thread: string, seed: number) {
  const journal = yield* Journal.Journal
  const random = chance(seed)
  const ledger = new Ledger()
  const order: Array<string> = []
  const world = worldOf(ledger, {
    enter: (place) =>
      Effect.suspend(() =>
        Effect.andThen(
          Effect.sleep(random.below(30)),
          Effect.sync(() => order.push(place))
        )
      )
  })
  const graph = build(plan, world)
  const state = JSON.stringify(yield* drive(graph, thread, ledger))
  const results = Array.from(factsOf(yield* entriesOf(journal, thread)).committed).sort()
  const read = JSON.stringify(yield* Thread.state(graph, { thread }))
  return { order: order.join(), state, read, results }
})

for (const store of stores("selvage_law_order_test")) {
  const memory = store.name === "memory"

  describe.skipIf(store.skip)(`Law 6 on ${store.name}: results do not depend on who finishes first`, () => {
    it.live("the same state and the same results, however long each task takes", () => {
      let orders = 0
      return holds(
        plans({ policies: memory }),
        store,
        { memory: 60, other: 5 },
        Effect.fnUntraced(function* (plan, thread, seed) {
          const first = yield* runWith(plan, `${thread} first`, seed)
          assert.strictEqual(first.read, first.state)
          for (let other = 1; other <= 3; other++) {
            const again = yield* runWith(plan, `${thread} ${other}`, seed + other)
            assert.strictEqual(again.state, first.state)
            assert.deepStrictEqual(again.results, first.results)
            if (again.order !== first.order) orders++
          }
        })
      ).pipe(
        // One order alone says nothing.
        Effect.tap(() => Effect.sync(() => store.name === "memory" && assert.isAbove(orders, 0))),
        Effect.provide(store.layer)
      )
    })
  })
}

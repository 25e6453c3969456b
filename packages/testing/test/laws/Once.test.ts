// Law 3. A task whose completion is committed never runs again: not on resume, not because a sibling failed.
import { Journal } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "fast-check"
import { build, Transient } from "../../src/internal/simulation/plan.ts"
import { chance } from "../../src/internal/simulation/seeded.ts"
import { plans } from "./plans.ts"
import {
  type Death,
  drive,
  entriesOf,
  factsOf,
  holds,
  Ledger,
  live,
  makeProcess,
  mortal,
  type Service,
  stores,
  worldOf
} from "./worlds.ts"

/** What happens to a process: it dies at an append, or a task of it fails. */
type Mishap = ({ readonly _tag: "Death" } & Death) | { readonly _tag: "Failure"; readonly at: number }

const mishaps: fc.Arbitrary<ReadonlyArray<Mishap>> = fc.array(
  fc.oneof(
    fc.record({
      _tag: fc.constant("Death" as const),
      at: fc.integer({ min: 1, max: 12 }),
      when: fc.constantFrom("before" as const, "after" as const)
    }),
    fc.record({ _tag: fc.constant("Failure" as const), at: fc.integer({ min: 1, max: 8 }) })
  ),
  { maxLength: 8 }
)

/** Takes note of what stands in the journal. */
const noting = (journal: Service, note: (entries: Parameters<Service["append"]>[2]) => void): Service =>
  Journal.Journal.of({
    ...journal,
    append: (thread, expected, entries, options) =>
      Effect.tap(journal.append(thread, expected, entries, options), () => Effect.sync(() => note(entries)))
  })

for (const store of stores("selvage_law_once_test")) {
  const memory = store.name === "memory"

  describe.skipIf(store.skip)(`Law 3 on ${store.name}: what is committed is not run again`, () => {
    it.live("whoever dies, and whatever fails beside it", () =>
      holds(
        fc.tuple(plans({ policies: memory }), mishaps),
        store,
        { memory: 120, other: 8 },
        Effect.fnUntraced(function* ([plan, mishaps], thread, seed) {
          const random = chance(seed)
          const journal = yield* Journal.Journal
          const ledger = new Ledger()
          const committed = new Set<string>()
          const recorded = new Set<string>()
          const violations: Array<string> = []
          const noted = noting(journal, (entries) => {
            const facts = factsOf(entries)
            for (const place of facts.committed.keys()) committed.add(place)
            for (const place of facts.recorded) recorded.add(place)
          })
          const left = [...mishaps]
          while (true) {
            const mishap = left.shift()
            const process = makeProcess()
            let tasks = 0
            const world = worldOf(ledger, {
              process,
              enter: (place) =>
                Effect.gen(function* () {
                  if (!process.dead && committed.has(place)) violations.push(`task ${place} runs again`)
                  yield* Effect.sleep(random.below(5))
                  // Again and again, so that a retry does not help.
                  if (mishap?._tag === "Failure" && ++tasks >= mishap.at) return yield* new Transient({ of: place })
                }),
              piece: (place) =>
                Effect.sync(() => {
                  if (!process.dead && recorded.has(place)) violations.push(`the piece of ${place} is made again`)
                })
            })
            const death = mishap?._tag === "Death" ? mishap : undefined
            const life = drive(build(plan, world), thread, ledger)
            const exit = yield* live(
              process,
              Effect.provideService(life, Journal.Journal, mortal(noted, process, death))
            )
            process.dead = true
            assert.deepStrictEqual(violations, [])
            if (exit === undefined) continue
            if (Exit.isSuccess(exit)) break
            assert.instanceOf(Cause.squash(exit.cause), Transient)
          }
          // Each task of the finished thread ran, and stands once.
          const facts = factsOf(yield* entriesOf(journal, thread))
          assert.deepStrictEqual(Array.from(facts.committed.keys()).sort(), Array.from(committed).sort())
        })
      ).pipe(Effect.provide(store.layer))
    )
  })
}

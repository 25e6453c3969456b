// Law 2. A step commits in one append. Of two processes that run one thread one wins; the loser fails with JournalConflict
// and changes nothing. A reader sees whole appends only.
import { Journal, Thread } from "@selvage/core"
import type { Sequenced } from "@selvage/core/Entry"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as fc from "fast-check"
import { build } from "../../src/internal/simulation/plan.ts"
import { chance } from "../../src/internal/simulation/seeded.ts"
import { plans } from "./plans.ts"
import {
  answerAll,
  drive,
  entriesOf,
  factsOf,
  holds,
  input,
  Ledger,
  rounds,
  type Service,
  stores,
  worldOf
} from "./worlds.ts"

/** What all processes appended. */
interface Appends {
  /** The entries by their number, as their writer was told that they stand. */
  readonly acknowledged: Map<number, string>
  /** Where the thread stood after each append. */
  readonly heads: Set<number>
  lost: number
}

/** What stands is acknowledged: all of it, in one piece, and to one writer. */
const acknowledge = (appends: Appends, written: ReadonlyArray<Sequenced>, count: number) => {
  const first = written[0]!.seq
  assert.deepStrictEqual(
    written.map(({ seq }) => seq),
    Array.from({ length: count }, (_, index) => first + index)
  )
  for (const { entry, seq } of written) {
    assert.isFalse(appends.acknowledged.has(seq), `entry ${seq} was won twice`)
    appends.acknowledged.set(seq, JSON.stringify(entry))
  }
  appends.heads.add(first + count - 1)
}

/** The journal as one of the processes reaches it. */
const observed = (journal: Service, appends: Appends): Service =>
  Journal.Journal.of({
    ...journal,
    append: (thread, expected, entries, options) =>
      journal.append(thread, expected, entries, options).pipe(
        Effect.tap(({ written }) =>
          Effect.sync(() => {
            // What came from outside may stand before it, and nothing else.
            if (options?.past === undefined) assert.strictEqual(written[0]?.seq, expected + 1)
            acknowledge(appends, written, entries.length)
          })
        ),
        Effect.tapError(() => Effect.sync(() => appends.lost++))
      ),
    post: (thread, entries, options) =>
      Effect.tap(journal.post(thread, entries, options), ({ written }) =>
        Effect.sync(() => acknowledge(appends, written, entries.length))
      )
  })

for (const store of stores("selvage_law_atomic_test")) {
  describe.skipIf(store.skip)(`Law 2 on ${store.name}: a step is committed whole, by one of those who try`, () => {
    it.live("whatever the interleaving of the processes that run a thread", () => {
      let lost = 0
      return holds(
        fc.tuple(plans({ stages: 2, depth: 1 }), fc.integer({ min: 2, max: 3 })),
        store,
        { memory: 60, other: 6 },
        Effect.fnUntraced(function* ([plan, processes], thread, seed) {
          const random = chance(seed)
          const journal = yield* Journal.Journal
          const appends: Appends = { acknowledged: new Map(), heads: new Set(), lost: 0 }
          const done = yield* Deferred.make<void>()
          // Calls of a process that lost would be made again by the one that won: here what counts is the journal.
          const ledger = new Ledger()
          const pause = Effect.suspend(() => Effect.sleep(random.below(4)))
          const process = Effect.gen(function* () {
            const graph = build(plan, worldOf(ledger, { enter: () => pause, after: pause }))
            for (let round = 0; round < rounds; round++) {
              yield* pause
              const exit = yield* Effect.exit(
                Effect.tap(Thread.run(graph, { thread, run: "only", input }), ({ _tag }) =>
                  _tag === "Waiting"
                    ? Effect.catchTag(answerAll(thread, ledger), "AskNotOpen", () => Effect.void)
                    : Effect.void
                )
              )
              if (Exit.isFailure(exit)) {
                const error = Cause.squash(exit.cause)
                assert.propertyVal(error, "_tag", "JournalConflict")
                assert.propertyVal(error, "thread", thread)
              } else if (exit.value._tag === "Done") return exit.value.state
            }
            return yield* Effect.die(new Error(`${thread} does not come to an end`))
          }).pipe((life) =>
            // Each process has the journal as a service of its own, so that none waits for the run of another.
            Effect.suspend(() => Effect.provideService(life, Journal.Journal, observed(journal, appends)))
          )
          const reader = Effect.gen(function* () {
            while (!(yield* Deferred.isDone(done))) {
              const { length } = yield* entriesOf(journal, thread)
              // Its writer may not know of it yet.
              if (length > 0) seen.add(length)
              yield* pause
            }
          })
          const seen = new Set<number>()
          const reading = yield* Effect.forkChild(reader)
          const all = yield* Effect.forEach(Array.from({ length: processes }), () => Effect.forkChild(process))
          const states = yield* Effect.forEach(all, (one) => Fiber.join(one))
          yield* Deferred.succeed(done, undefined)
          yield* Fiber.join(reading)
          const entries = yield* entriesOf(journal, thread)
          // Nothing stands but what was acknowledged, and all of that stands.
          assert.deepStrictEqual(
            entries.map((entry) => JSON.stringify(entry)),
            entries.map((_, index) => appends.acknowledged.get(index + 1))
          )
          assert.strictEqual(appends.acknowledged.size, entries.length)
          assert.deepStrictEqual(
            Array.from(seen).filter((head) => !appends.heads.has(head)),
            [],
            "a reader saw a part of an append"
          )
          const results = entries.flatMap((entry) =>
            entry._tag === "TaskCompleted" ? [entry.result] : entry._tag === "StepCommitted" ? entry.results : []
          )
          assert.strictEqual(factsOf(entries).committed.size, results.length, "a task is committed twice")
          const alone = new Ledger()
          const expected = yield* drive(build(plan, worldOf(alone)), `${thread} alone`, alone)
          for (const state of states) assert.deepStrictEqual(state, expected)
          lost += appends.lost
        })
      ).pipe(
        // A run in which no one lost says nothing.
        Effect.tap(() => Effect.sync(() => store.name === "memory" && assert.isAbove(lost, 0))),
        Effect.provide(store.layer)
      )
    })
  })
}

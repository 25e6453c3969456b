// Law 7. An event stream resumed from a sequence number has no gap and no duplicate.
import { Journal, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { build, type Generated } from "../../src/internal/simulation/plan.ts"
import { chance } from "../../src/internal/simulation/seeded.ts"
import { plans } from "./plans.ts"
import { answerAll, drive, holds, input, Ledger, rounds, stores, worldOf } from "./worlds.ts"

/** A journaled event as text. */
const lineOf = ({ entry, seq }: { readonly seq: number; readonly entry: unknown }) => `${seq} ${JSON.stringify(entry)}`

const lines = Effect.fnUntraced(function* (thread: string, after = 0) {
  const journal = yield* Journal.Journal
  return (yield* journal.read(thread, { after })).map(lineOf)
})

/** The journaled events of a run, until as many were taken. */
const listen = (graph: Generated, thread: string, after: number, take: number) =>
  Thread.stream(graph, { thread, run: "only", input, after }).pipe(
    Stream.filter((event) => event._tag === "Journaled"),
    Stream.take(take),
    Stream.runCollect
  )

for (const store of stores("selvage_law_tail_test")) {
  const memory = store.name === "memory"

  describe.skipIf(store.skip)(`Law 7 on ${store.name}: no gap and no duplicate`, () => {
    it.live("for a listener that leaves the run and comes back, again and again", () =>
      holds(
        fc.tuple(plans({ stages: 2 }), fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 10 })),
        store,
        { memory: 60, other: 5 },
        Effect.fnUntraced(function* ([plan, visits], thread, seed) {
          const random = chance(seed)
          const ledger = new Ledger()
          const graph = build(
            plan,
            worldOf(ledger, { enter: () => Effect.suspend(() => Effect.sleep(random.below(5))) })
          )
          const heard: Array<string> = []
          let after = 0
          for (let round = 0; round < rounds; round++) {
            const taken = yield* listen(graph, thread, after, visits[round] ?? Number.POSITIVE_INFINITY)
            for (const event of taken) {
              if (event._tag !== "Journaled") continue
              heard.push(lineOf(event))
              after = event.seq
            }
            yield* answerAll(thread, ledger)
            const { status } = yield* (yield* Journal.Journal).info(thread)
            // Who has left does not hear the end.
            if (status === "done" && round >= visits.length) break
          }
          assert.deepStrictEqual(heard, yield* lines(thread))
        })
      ).pipe(Effect.provide(store.layer))
    )

    it.live("after any entry, when the run is over and while it goes on", () =>
      holds(
        fc.tuple(plans({ stages: 2, depth: 1 }), fc.array(fc.tuple(fc.nat(40), fc.nat(60)), { maxLength: 6 })),
        store,
        { memory: 40, other: 4 },
        Effect.fnUntraced(function* ([plan, tails], thread, seed) {
          const random = chance(seed)
          const journal = yield* Journal.Journal
          const ledger = new Ledger()
          const slow = worldOf(ledger, { enter: () => Effect.suspend(() => Effect.sleep(random.below(10))) })
          const graph = build(plan, slow)
          const running = yield* Effect.forkChild(drive(graph, thread, ledger))
          const ended = { head: Number.POSITIVE_INFINITY, is: false }
          // They come when there is a thread to listen to, at any entry and at any time.
          const tailed = yield* Effect.forEach(tails, ([after, at]) =>
            Effect.forkChild(
              Effect.gen(function* () {
                yield* Effect.sleep(at)
                while ((yield* Effect.exit(journal.info(thread)))._tag === "Failure") yield* Effect.sleep(1)
                const heard: Array<string> = []
                yield* Thread.events({ thread, after, follow: true }).pipe(
                  Stream.runForEachWhile((event) =>
                    Effect.sync(() => {
                      heard.push(lineOf(event))
                      return event.entry._tag !== "RunFinished" || event.entry.outcome !== "done"
                    })
                  ),
                  // Nothing comes after the end; and what came must be heard soon.
                  Effect.raceFirst(silence(ended, after))
                )
                assert.deepStrictEqual(heard, yield* lines(thread, after), `a tail after ${after}`)
              })
            )
          )
          yield* Fiber.join(running)
          const { head } = yield* journal.info(thread)
          Object.assign(ended, { head, is: true })
          yield* Effect.forEach(tailed, (tail) => Fiber.join(tail), { discard: true })
          const stride = memory ? 1 : 3
          for (let after = 0; after <= head; after += stride) {
            const rest = yield* lines(thread, after)
            const events = yield* Stream.runCollect(Thread.events({ thread, after }))
            assert.deepStrictEqual(events.map(lineOf), rest, `events after ${after}`)
            const streamed = yield* listen(graph, thread, after, Number.POSITIVE_INFINITY)
            assert.deepStrictEqual(
              streamed.flatMap((event) => (event._tag === "Journaled" ? [lineOf(event)] : [])),
              rest,
              `a stream after ${after}`
            )
          }
        })
      ).pipe(Effect.provide(store.layer))
    )

    /** Ends when nothing more can be heard after an entry, or when what could be was not heard for long. */
    const silence = (ended: { readonly head: number; readonly is: boolean }, after: number): Effect.Effect<void> => {
      let left = 5000
      return Effect.whileLoop({
        while: () => !ended.is || (after < ended.head && left-- > 0),
        body: () => Effect.sleep(5),
        step: () => {}
      })
    }
  })
}

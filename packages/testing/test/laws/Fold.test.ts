// Law 1. A thread's state is a pure fold of its journal through the reducers; replaying gives the same state, byte for byte.
import { Ask, Channel, Graph, Journal, Thread } from "@selvage/core"
import type { Entry, TaskResult } from "@selvage/core/Entry"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { build } from "../../src/internal/simulation/plan.ts"
import { plans } from "./plans.ts"
import { bytesOf, foldOf, readUpdate, scripted, scripts, stepsOf, type Written } from "./values.ts"
import { drive, entriesOf, holds, Ledger, live, makeProcess, mortal, type Service, stores, worldOf } from "./worlds.ts"

/** Another process: it holds nothing of any thread. */
const elsewhere = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, Thread.WarmThreads, 0)

/** A journal that asks for a snapshot after every step, and tells when a thread was read from its first entry. */
const eager = (journal: Service) => {
  const seen = { whole: 0 }
  const service = Journal.Journal.of({
    ...journal,
    append: (...args) => Effect.map(journal.append(...args), (appended) => ({ ...appended, snapshotDue: true })),
    read: (thread, range) => {
      if ((range?.after ?? 0) === 0) seen.whole++
      return journal.read(thread, range)
    }
  })
  return { seen, service }
}

/** The fold of a journal by the definition of its entries. */
const foldOfEntries = (entries: ReadonlyArray<Entry>) => {
  const steps: Array<ReadonlyArray<Readonly<Record<string, unknown>>>> = []
  const done = new Map<string, TaskResult>()
  for (const entry of entries) {
    if (entry._tag === "TaskCompleted") done.set(entry.result.task, entry.result)
    if (entry._tag !== "StepCommitted") continue
    for (const result of entry.results) done.set(result.task, result)
    steps.push(entry.tasks.map((task) => readUpdate(done.get(task)?.update ?? {})))
    done.clear()
  }
  return foldOf(steps)
}

for (const store of stores("selvage_law_fold_test")) {
  describe.skipIf(store.skip)(`Law 1 on ${store.name}: a state is the fold of its journal`, () => {
    it.live("live, by definition, after a restart, from a snapshot, and from a fork, to the byte", () =>
      holds(
        fc.tuple(scripts({ maxLength: 6 }), fc.boolean()),
        store,
        { memory: 12, other: 3 },
        Effect.fnUntraced(function* ([script, snapshots], thread) {
          const plain = yield* Journal.Journal
          const journal = snapshots ? eager(plain).service : plain
          const graph = scripted(script)
          const { state } = yield* Effect.provideService(
            Thread.run(graph, { thread, input: {} }),
            Journal.Journal,
            journal
          )
          const lived = bytesOf(state)
          assert.strictEqual(bytesOf(foldOf(stepsOf(script))), lived, "the fold of what was written")
          const entries = yield* entriesOf(plain, thread)
          assert.strictEqual(bytesOf(foldOfEntries(entries)), lived, "the fold of what was journaled")
          const again = yield* elsewhere(Thread.run(graph, { thread }))
          assert.strictEqual(bytesOf(again.state), lived, "after a restart")
          const stride = store.name === "memory" ? 1 : Math.ceil(entries.length / 6)
          for (let at = 1; at <= entries.length; at += stride) {
            const then = bytesOf(yield* Thread.state(graph, { thread, at }))
            assert.strictEqual(then, bytesOf(foldOfEntries(entries.slice(0, at))), `as of ${at}`)
            const fork = `${thread} from ${at}`
            yield* Thread.fork(graph, { thread, at, as: fork })
            assert.strictEqual(bytesOf(yield* Thread.state(graph, { thread: fork })), then, fork)
            const ended = yield* elsewhere(Thread.run(graph, { thread: fork }))
            assert.strictEqual(bytesOf(ended.state), lived, `${fork}, to its end`)
          }
        })
      ).pipe(Effect.provide(store.layer))
    )

    it.live("from a snapshot of every step, when each run has a process of its own, and one that died before it", () =>
      holds(
        fc.array(
          fc.record({
            script: scripts({ minLength: 1, maxLength: 4 }),
            death: fc.record({
              at: fc.integer({ min: 1, max: 12 }),
              when: fc.constantFrom("before" as const, "after" as const)
            })
          }),
          { minLength: 3, maxLength: 4 }
        ),
        store,
        { memory: 12, other: 2 },
        Effect.fnUntraced(function* (turns, thread) {
          const { seen, service } = eager(yield* Journal.Journal)
          const script = turns.flatMap((turn) => turn.script)
          const talkless = script.map((updates) =>
            updates.map((update): Written =>
              Object.fromEntries(Object.entries(update).filter(([name]) => name !== "talk"))
            )
          )
          let played = 0
          for (const { death, script: turn } of turns) {
            played += turn.length
            const graph = scripted(talkless.slice(0, played))
            const process = makeProcess()
            const run = Thread.run(graph, { thread, run: `${played}`, input: {} })
            // It may die on the way.
            yield* live(
              process,
              Effect.provideService(elsewhere(run), Journal.Journal, mortal(service, process, death))
            )
            process.dead = true
            const { state } = yield* Effect.provideService(elsewhere(run), Journal.Journal, service)
            assert.strictEqual(bytesOf(state), bytesOf(foldOf(stepsOf(talkless.slice(0, played)))))
            yield* Thread.run(graph, { thread: `${thread} calm`, run: `${played}`, input: {} })
          }
          // Tasks have the same names as where no one died: asks and keys are made of them.
          const steps = (entries: ReadonlyArray<Entry>) =>
            entries.flatMap((entry) => (entry._tag === "StepCommitted" ? [`${entry.step} ${entry.tasks.join()}`] : []))
          assert.deepStrictEqual(
            steps(yield* entriesOf(service, thread)),
            steps(yield* entriesOf(service, `${thread} calm`))
          )
          const { head } = yield* service.info(thread)
          // A thread that is shorter is read from its first entry.
          const before = seen.whole
          const state = yield* elsewhere(
            Effect.provideService(Thread.state(scripted(talkless), { thread }), Journal.Journal, service)
          )
          assert.strictEqual(bytesOf(state), bytesOf(foldOf(stepsOf(talkless))))
          if (head > 16) assert.strictEqual(seen.whole, before, "the snapshot is used")
        })
      ).pipe(Effect.provide(store.layer))
    )

    it.live("of generated graphs, and a fork at any entry comes to the same end", () =>
      holds(
        plans({ stages: 2 }),
        store,
        { memory: 12, other: 3 },
        Effect.fnUntraced(function* (plan, thread) {
          const journal = yield* Journal.Journal
          const ledger = new Ledger()
          const graph = build(plan, worldOf(ledger))
          const lived = JSON.stringify(yield* drive(graph, thread, ledger))
          const { head } = yield* journal.info(thread)
          assert.strictEqual(JSON.stringify(yield* Thread.state(graph, { thread })), lived)
          assert.strictEqual(JSON.stringify((yield* elsewhere(Thread.run(graph, { thread }))).state), lived)
          const stride = store.name === "memory" ? 1 : Math.ceil(head / 6)
          for (let at = 1; at <= head; at += stride) {
            const then = JSON.stringify(yield* Thread.state(graph, { thread, at }))
            const fork = `${thread} from ${at}`
            yield* Thread.fork(graph, { thread, at, as: fork })
            assert.strictEqual(JSON.stringify(yield* Thread.state(graph, { thread: fork })), then, fork)
            const ended = yield* elsewhere(drive(graph, fork, ledger))
            assert.strictEqual(JSON.stringify(ended), lived, `${fork}, to its end`)
          }
        })
      ).pipe(Effect.provide(store.layer))
    )

    it.live(
      "without the graph as with it, but for what only the graph knows, at every entry",
      () =>
        holds(
          scripts({ maxLength: 6 }),
          store,
          { memory: 15, other: 2 },
          Effect.fnUntraced(function* (script, thread) {
            const graph = scripted(script)
            yield* Thread.run(graph, { thread, input: {} })
            yield* Thread.patch(graph, { thread, update: { total: 1, warnings: ["patched"] } })
            yield* Thread.run(graph, { thread, run: "again", input: { total: 1 } })
            const { head } = yield* Effect.flatMap(Journal.Journal, (journal) => journal.info(thread))
            for (let at = 1; at <= head; at += store.name === "memory" ? 1 : Math.ceil(head / 6)) {
              const { state: typed } = yield* Thread.stateJson({ thread, at, graph })
              const { state, unfolded, unwritten } = yield* Thread.stateJson({ thread, at })
              assert.deepStrictEqual(unfolded.toSorted(), ["product", "tags", "widths"])
              const unknown = new Set([...unfolded, ...unwritten])
              for (const channel of new Set([...Object.keys(typed), ...Object.keys(state)])) {
                if (!unknown.has(channel)) assert.deepStrictEqual(state[channel], typed[channel], `${channel} at ${at}`)
              }
            }
          })
        ).pipe(Effect.provide(store.layer)),
      60_000
    )

    it.live("the summary of a thread has the asks that are open, and counts what was done", () =>
      Effect.gen(function* () {
        const Sure = Ask.make("sure", { question: Schema.String, answer: Schema.Boolean })
        const Inner = Graph.make("inner", {
          state: { go: Channel.last(Schema.Boolean), ok: Channel.optional(Schema.Boolean) },
          nodes: { one: ({ go }) => Effect.map(go ? Ask.ask(Sure, "sure?") : Effect.succeed(false), (ok) => ({ ok })) },
          edges: { start: "one", one: "end" }
        })
        const graph = Graph.make("outer", {
          state: { go: Channel.last(Schema.Boolean), ok: Channel.optional(Schema.Boolean) },
          nodes: {
            in: Graph.node(Inner, {
              input: ({ go }: { readonly go: boolean }) => ({ go }),
              update: ({ ok }) => ({ ok })
            })
          },
          edges: { start: "in", in: "end" }
        })
        const summary = Thread.summary({ thread: "asks" })
        const run = (go: boolean) => Thread.run(graph, { thread: "asks", input: { go }, whenBusy: "replace" })
        const agree = Effect.gen(function* () {
          assert.deepStrictEqual((yield* summary).asks, yield* Thread.asks({ thread: "asks" }))
        })
        yield* run(true)
        assert.lengthOf((yield* summary).asks, 1)
        yield* agree
        // Replaced, patched, answered, and a step that is committed: each closes what was asked.
        yield* run(false)
        assert.lengthOf((yield* summary).asks, 0)
        yield* agree
        yield* run(true)
        yield* Thread.patch(graph, { thread: "asks", update: { ok: true } })
        assert.lengthOf((yield* summary).asks, 0)
        yield* agree
        yield* Thread.run(graph, { thread: "asks" })
        yield* Thread.answer(Sure, { thread: "asks", value: true })
        yield* agree
        assert.strictEqual((yield* Thread.run(graph, { thread: "asks" }))._tag, "Done")
        const { asks, innerSteps, runs, steps, tasks } = yield* summary
        assert.deepStrictEqual([asks, runs, steps, innerSteps], [[], 3, 2, 2])
        assert.deepStrictEqual(tasks, { "in/one": { done: 2, failed: 0 }, in: { done: 2, failed: 0 } })
      }).pipe(Effect.provide(store.layer))
    )

    it.live("a -0 is folded as the 0 that will be read", () =>
      Effect.gen(function* () {
        const graph = Graph.make("zero", {
          state: {
            sign: Channel.reduce({
              schema: Schema.String,
              update: Schema.Number,
              initial: "",
              reducer: (sign, n) => sign + (Object.is(n, -0) ? "-" : "+")
            })
          },
          nodes: { write: () => Effect.succeed({ sign: -0 }) },
          edges: { start: "write", write: "end" }
        })
        const { state } = yield* Thread.run(graph, { thread: "zero", input: {} })
        assert.deepStrictEqual(yield* Thread.state(graph, { thread: "zero" }), state)
      }).pipe(Effect.provide(store.layer))
    )
  })
}

// What comes from outside while a run works: answers, queued inputs, patches.
import { Ask, Channel, Durable, Graph, Journal, Thread } from "@selvage/core"
import { JournalUnavailable } from "@selvage/core/Errors"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { stores } from "../../../sqlite/test/stores.ts"
import { cold, eager, elsewhere, entriesOf, infoOf, makeGate, onJournal, tagsOf } from "./support.ts"

const Sure = Ask.make("sure", { question: Schema.String, answer: Schema.String })

/** Three steps; `middle` does what a test says. */
const steps = (middle: Effect.Effect<void>) =>
  Graph.make("steps", {
    state: { n: Channel.sum, seen: Channel.append(Schema.Finite) },
    nodes: {
      first: ({ n }) => Effect.succeed({ seen: [n] }),
      middle: ({ n }) => Effect.as(middle, { seen: [n] }),
      last: ({ n }) => Effect.succeed({ seen: [n] })
    },
    edges: { start: "first", first: "middle", middle: "last", last: "end" }
  })

const Asking = Graph.make("asking", {
  state: { n: Channel.sum, said: Channel.append(Schema.String) },
  nodes: { ask: ({ n }) => Effect.map(Ask.ask(Sure, `${n}?`), (said) => ({ said: [said] })) },
  edges: { start: "ask", ask: "end" }
})

const tally = () => {
  const count = { appends: 0, posts: 0, reads: 0 }
  const counted = onJournal((journal) => ({
    append: (...args) => Effect.suspend(() => (count.appends++, journal.append(...args))),
    post: (...args) => Effect.suspend(() => (count.posts++, journal.post(...args))),
    read: (...args) => Effect.suspend(() => (count.reads++, journal.read(...args)))
  }))
  return { count, counted }
}

/** So many look at the thread before one of them posts. */
const postTogether = (count: number) => {
  const all = Deferred.makeUnsafe<void>()
  let arrived = 0
  const pass = Effect.suspend(() => {
    if (++arrived === count) Deferred.doneUnsafe(all, Effect.void)
    return Deferred.await(all)
  })
  return onJournal((journal) => ({ post: (...args) => Effect.andThen(pass, journal.post(...args)) }))
}

for (const store of stores("selvage_mailbox_test")) {
  describe.skipIf(store.skip)(`Mailbox (${store.name})`, { timeout: 60_000 }, () => {
    it.effect("an answer beside a task that journals steadily is one post, and the run takes it in", () =>
      Effect.gen(function* () {
        const busy = Graph.make("busy", {
          state: { said: Channel.append(Schema.String), pieces: Channel.sum },
          nodes: {
            ask: () => Effect.map(Ask.ask(Sure, "?"), (said) => ({ said: [said] })),
            work: Effect.fnUntraced(function* () {
              for (let piece = 0; piece < 400; piece++) {
                yield* Durable.once(`${piece}`, Schema.Int, Effect.as(Effect.yieldNow, piece))
              }
              return { pieces: 400 }
            })
          },
          edges: { start: ["ask", "work"], ask: "end", work: "end" }
        })
        const run = yield* Effect.forkChild(Thread.run(busy, { thread: "t", input: {} }))
        while (
          (yield* Effect.orElseSucceed(
            Effect.map(infoOf("t"), ({ head }) => head),
            () => 0
          )) < 50
        ) {
          yield* Effect.yieldNow
        }
        const { count, counted } = tally()
        yield* counted(Thread.answer(Sure, { thread: "t", value: "yes" }))
        assert.deepStrictEqual([count.appends, count.posts], [0, 1])
        assert.isAtMost(count.reads, 3)
        const done = yield* Fiber.join(run)
        assert.deepStrictEqual(done.state, { said: ["yes"], pieces: 400 })
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("of several answers at once the first counts, and the others are AskNotOpen", () =>
      Effect.gen(function* () {
        yield* Thread.run(Asking, { thread: "t", input: {} })
        const together = postTogether(3)
        const exits = yield* Effect.forEach(
          ["a", "b", "c"],
          (value) => Effect.exit(elsewhere(together(Thread.answer(Sure, { thread: "t", value })))),
          { concurrency: "unbounded" }
        )
        const won = exits.flatMap((exit, index) => (Exit.isSuccess(exit) ? ["abc".charAt(index)] : []))
        assert.lengthOf(won, 1)
        for (const exit of exits) if (Exit.isFailure(exit)) assert.include(String(exit.cause), "AskNotOpen")
        const done = yield* cold(Thread.run(Asking, { thread: "t" }))
        assert.deepStrictEqual([done._tag, done.state.said], ["Done", won])
        // What came too late does not start a thread that is done.
        yield* (yield* Journal.Journal).post("t", [{ _tag: "AskAnswered", ask: "ask@1/sure", value: "late" }])
        assert.strictEqual((yield* infoOf("t")).status, "done")
        assert.deepStrictEqual((yield* cold(Thread.run(Asking, { thread: "t" }))).state.said, won)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("an answer with a key counts once, however often it is sent; another after it is AskNotOpen", () =>
      Effect.gen(function* () {
        yield* Thread.run(Asking, { thread: "t", input: {} })
        const send = (key: string, value: string) => elsewhere(Thread.answer(Sure, { thread: "t", value, key }))
        const lost = yield* send("m-1", "yes").pipe(
          onJournal((journal) => ({
            post: (...args) =>
              Effect.andThen(
                journal.post(...args),
                Effect.fail(new JournalUnavailable({ operation: "append", cause: new Error("no acknowledgement") }))
              )
          })),
          Effect.flip
        )
        assert.strictEqual(lost._tag, "JournalUnavailable")
        yield* send("m-1", "yes")
        assert.strictEqual((yield* Effect.flip(send("m-2", "no")))._tag, "AskNotOpen")
        assert.deepStrictEqual((yield* Thread.run(Asking, { thread: "t" })).state.said, ["yes"])
        yield* send("m-1", "yes")
        assert.lengthOf(
          (yield* tagsOf("t")).filter((tag) => tag === "AskAnswered"),
          1
        )
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("an input of one name that is queued from several places at once is run once", () =>
      Effect.gen(function* () {
        yield* Thread.run(Asking, { thread: "t", input: {} })
        const queue = postTogether(3)(
          Thread.run(Asking, { thread: "t", input: { n: 1 }, run: "second", whenBusy: "queue" })
        )
        const outcomes = yield* Effect.forEach([1, 2, 3], () => elsewhere(queue), { concurrency: "unbounded" })
        const seqs = outcomes.map((outcome) => (outcome._tag === "Queued" ? outcome.seq : 0))
        assert.strictEqual(new Set(seqs).size, 1)
        yield* Thread.answer(Sure, { thread: "t", value: "one" })
        const waiting = yield* cold(Thread.run(Asking, { thread: "t" }))
        assert.deepStrictEqual([waiting._tag, waiting.state.n], ["Waiting", 1])
        yield* Thread.answer(Sure, { thread: "t", value: "two" })
        const done = yield* Thread.run(Asking, { thread: "t" })
        assert.deepStrictEqual([done._tag, done.state.said], ["Done", ["one", "two"]])
        assert.lengthOf(
          (yield* tagsOf("t")).filter((tag) => tag === "RunStarted"),
          2
        )
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a patch of a thread whose run is under way waits, and is applied between two steps", () =>
      Effect.gen(function* () {
        const gate = yield* makeGate
        const graph = steps(gate.pass)
        const run = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: { n: 1 } }))
        yield* gate.reached
        const patch = elsewhere(Thread.patch(graph, { thread: "t", update: { n: 10 }, key: "p-1" }))
        const queued = yield* patch
        assert.strictEqual(queued._tag, "Queued")
        assert.deepStrictEqual(yield* patch, queued)
        yield* gate.open
        const done = yield* Fiber.join(run)
        assert.deepStrictEqual(done.state, { n: 11, seen: [1, 1, 11] })
        assert.deepStrictEqual((yield* entriesOf("t")).slice(2), [
          { _tag: "PatchQueued", graph: graph.compiled.shape, updates: { n: 10 }, key: "p-1" },
          ...(yield* entriesOf("t")).slice(3, 4),
          { _tag: "Patched", updates: { n: 10 }, queued: queued.seq, key: "p-1" },
          ...(yield* entriesOf("t")).slice(5)
        ])
        assert.deepStrictEqual(yield* cold(Thread.state(graph, { thread: "t" })), done.state)
        // Sent again it counts once, also when it is done.
        assert.deepStrictEqual(yield* patch, { _tag: "Patched", seq: queued.seq })
        assert.strictEqual((yield* Thread.state(graph, { thread: "t" })).n, 11)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a patch of a thread that was killed is applied by the next run, after the step under way", () =>
      Effect.gen(function* () {
        const gate = yield* makeGate
        const piece = Durable.once("piece", Schema.Int, Effect.succeed(1))
        const graph = steps(Effect.andThen(Effect.orDie(piece), gate.pass))
        const run = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: { n: 1 } }))
        yield* gate.reached
        yield* Fiber.interrupt(run)
        const patch = (n: number) => Thread.patch(graph, { thread: "t", update: { n } })
        assert.strictEqual((yield* elsewhere(patch(10)))._tag, "Queued")
        assert.strictEqual((yield* patch(100))._tag, "Queued")
        yield* gate.open
        const done = yield* eager(Thread.run(graph, { thread: "t" }))
        assert.deepStrictEqual(done.state, { n: 111, seen: [1, 1, 111] })
        assert.deepStrictEqual(yield* elsewhere(Thread.state(graph, { thread: "t" })), done.state)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("queued patches keep their order, go on as of a node, and one that does not fit holds nothing up", () =>
      Effect.gen(function* () {
        const gate = yield* makeGate
        const graph = steps(gate.pass)
        const run = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: { n: 1 } }))
        yield* gate.reached
        const journal = yield* Journal.Journal
        // As a newer program would.
        yield* journal.post("t", [{ _tag: "PatchQueued", graph: graph.compiled.shape, updates: { more: "x" } }])
        yield* Thread.patch(graph, { thread: "t", update: { seen: [-1] } })
        yield* Thread.patch(graph, { thread: "t", update: { seen: [-2] }, node: "last" })
        yield* gate.open
        const done = yield* Fiber.join(run)
        assert.deepStrictEqual(done.state, { n: 1, seen: [1, 1, -1, -2] })
        const tags = yield* tagsOf("t")
        assert.deepStrictEqual(tags.slice(-4), ["PatchRefused", "Patched", "Patched", "RunFinished"])
        assert.strictEqual((yield* infoOf("t")).status, "done")
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a patch that comes as a run ends is applied, whoever of the two sees the other", () =>
      Effect.gen(function* () {
        for (const when of ["before", "after"] as const) {
          const graph = steps(Effect.void)
          let patched: string | undefined
          const run = Thread.run(graph, { thread: when, input: { n: 1 } }).pipe(
            onJournal((journal) => ({
              append: (thread, expected, entries, options) =>
                Effect.gen(function* () {
                  const patch = Effect.provideService(
                    Thread.patch(graph, { thread, update: { n: 10 } }),
                    Journal.Journal,
                    Journal.Journal.of({ ...journal })
                  ).pipe(
                    Effect.map(({ _tag }) => {
                      patched = _tag
                    }),
                    Effect.orDie
                  )
                  const ends = entries.some(({ _tag }) => _tag === "RunFinished") && patched === undefined
                  if (ends && when === "before") yield* patch
                  const appended = yield* journal.append(thread, expected, entries, options)
                  if (ends && when === "after") yield* patch
                  return appended
                })
            }))
          )
          const { state } = yield* run
          assert.deepStrictEqual(state.seen, [1, 1, 1])
          assert.strictEqual(patched, when === "before" ? "Queued" : "Patched")
          assert.strictEqual((yield* cold(Thread.state(graph, { thread: when }))).n, 11)
          assert.strictEqual((yield* infoOf(when)).status, "done")
        }
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a run that comes to wait applies the patches that came, and asks anew", () =>
      Effect.gen(function* () {
        const gate = yield* makeGate
        const graph = Graph.make("asking", {
          state: { n: Channel.sum, said: Channel.append(Schema.String) },
          nodes: {
            ask: ({ n }) => Effect.map(Ask.ask(Sure, `${n}?`), (said) => ({ said: [said] })),
            beside: () => Effect.as(gate.pass, {})
          },
          edges: { start: ["ask", "beside"], ask: "end", beside: "end" }
        })
        const run = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
        yield* gate.reached
        assert.strictEqual((yield* elsewhere(Thread.patch(graph, { thread: "t", update: { n: 5 } })))._tag, "Queued")
        yield* gate.open
        const waiting = yield* Fiber.join(run)
        assert.ok(waiting._tag === "Waiting")
        assert.deepStrictEqual(
          waiting.asks.map(({ question }) => question),
          ["5?"]
        )
        // At rest it is applied at once.
        assert.strictEqual((yield* Thread.patch(graph, { thread: "t", update: { n: 1 } }))._tag, "Patched")
        assert.strictEqual((yield* Thread.state(graph, { thread: "t" })).n, 6)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a mailbox takes 1,024 inputs and patches", () =>
      Effect.gen(function* () {
        const gate = yield* makeGate
        const graph = steps(gate.pass)
        const run = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: { n: 1 } }))
        yield* gate.reached
        const journal = yield* Journal.Journal
        const one = { _tag: "PatchQueued", graph: graph.compiled.shape, updates: { n: 1 } } as const
        yield* journal.post("t", [one, ...Array.from({ length: 1022 }, () => one)])
        const patch = Thread.patch(graph, { thread: "t", update: { n: 1 } })
        assert.strictEqual((yield* patch)._tag, "Queued")
        const full = yield* Effect.flip(patch)
        assert.ok(full._tag === "ThreadBusy" && full.queued === 1024)
        const queue = Thread.run(graph, { thread: "t", input: { n: 2 }, whenBusy: "queue" })
        const also = yield* Effect.flip(elsewhere(queue))
        assert.ok(also._tag === "ThreadBusy" && also.queued === 1024)
        // One that is in spite of it, because two looked at once, counts as not there.
        yield* journal.post("t", [one])
        yield* gate.open
        assert.strictEqual((yield* Fiber.join(run)).state.n, 1025)
        assert.strictEqual((yield* patch)._tag, "Patched")
      }).pipe(Effect.provide(store.layer))
    )
  })
}

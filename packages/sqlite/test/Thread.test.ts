import { Ask, Channel, Durable, type Event, Graph, Journal, Node, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { stores } from "./stores.ts"

class Flaky extends Schema.TaggedError<Flaky>()("Flaky", { item: Schema.String }) {}

const Approve = Ask.make("approve", {
  question: Schema.Struct({ total: Schema.Number }),
  answer: Schema.Struct({ approved: Schema.Boolean })
})

/** Splits words, measures each, sums; counts how often each word was measured, and fails on those in `failing`. */
const makeMeasure = (failing: Set<string> = new Set()) => {
  const measured: Array<string> = []
  const graph = Graph.make("measure", {
    state: {
      text: Channel.last(Schema.String),
      lengths: Channel.append(Schema.Number),
      when: Channel.optional(Schema.Date)
    },
    nodes: {
      measure: Node.make(Schema.String, (word) =>
        Effect.suspend(() => {
          measured.push(word)
          return failing.has(word) ? Effect.fail(new Flaky({ item: word })) : Effect.succeed({ lengths: [word.length] })
        })
      ),
      stamp: () => Effect.succeed({ when: new Date(0) })
    },
    edges: {
      start: { each: "measure", of: ({ text }) => text.split(" "), keys: ({ text }) => text.split(" ") },
      measure: "stamp",
      stamp: "end"
    }
  })
  return { graph, measured, failing }
}

const Order = Graph.make("order", {
  state: {
    total: Channel.last(Schema.Number),
    approved: Channel.last(Schema.Boolean, { initial: false }),
    log: Channel.append(Schema.String)
  },
  nodes: {
    approve: Ask.node(Approve, {
      question: ({ total }: { readonly total: number }) => ({ total }),
      update: ({ approved }) => ({ approved, log: [approved ? "approved" : "denied"] })
    }),
    other: () => Effect.succeed({ log: ["other"] })
  },
  edges: { start: ["approve", "other"], approve: "end", other: "end" }
})

for (const store of stores("selvage_thread_test")) {
  describe.skipIf(store.skip)(`Thread on ${store.name}`, () => {
    it.effect("runs to the end and keeps state, events and values as their schemas say", () =>
      Effect.gen(function* () {
        const { graph } = makeMeasure()
        const outcome = yield* Thread.run(graph, { thread: "t", input: { text: "a bbb cc" } })
        assert.strictEqual(outcome._tag, "Done")
        assert.deepStrictEqual(outcome.state.lengths, [1, 3, 2])
        assert.deepStrictEqual(yield* Thread.state(graph, { thread: "t" }), outcome.state)
        assert.deepStrictEqual((yield* Thread.state(graph, { thread: "t" })).when, new Date(0))
        const events = yield* Stream.runCollect(Thread.events({ thread: "t" }))
        assert.deepStrictEqual(
          events.map(({ seq }) => seq),
          events.map((_, index) => index + 1)
        )
        assert.strictEqual(events.at(-1)?.entry._tag, "RunFinished")
        const { status, head } = yield* Effect.flatMap(Journal.Journal, (journal) => journal.info("t"))
        assert.deepStrictEqual([status, head], ["done", events.length])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("resuming a finished thread with no input changes nothing and returns its state", () =>
      Effect.gen(function* () {
        const { graph, measured } = makeMeasure()
        yield* Thread.run(graph, { thread: "t", input: { text: "a b" } })
        const before = yield* Stream.runCollect(Thread.events({ thread: "t" }))
        const again = yield* Thread.run(graph, { thread: "t" })
        assert.deepStrictEqual(again.state.lengths, [1, 1])
        assert.strictEqual(measured.length, 2)
        assert.strictEqual((yield* Stream.runCollect(Thread.events({ thread: "t" }))).length, before.length)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a run of a name is started once", () =>
      Effect.gen(function* () {
        const { graph, measured } = makeMeasure()
        yield* Thread.run(graph, { thread: "t", input: { text: "a b" }, run: "today" })
        yield* Thread.run(graph, { thread: "t", input: { text: "a b" }, run: "today" })
        assert.strictEqual(measured.length, 2)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("after a failure only the failed task runs again", () =>
      Effect.gen(function* () {
        const { failing, graph, measured } = makeMeasure(new Set(["bb"]))
        const error = yield* Effect.flip(Thread.run(graph, { thread: "t", input: { text: "a bb ccc" } }))
        assert.strictEqual(error._tag, "Flaky")
        failing.clear()
        const outcome = yield* Thread.run(graph, { thread: "t" })
        assert.deepStrictEqual(outcome.state.lengths, [1, 2, 3])
        assert.deepStrictEqual(measured, ["a", "bb", "ccc", "bb"])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("an interrupted run stops its tasks and leaves the thread resumable", () =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<void>()
        const released = yield* Deferred.make<void>()
        let block = true
        const graph = Graph.make("slow", {
          state: { done: Channel.append(Schema.String) },
          nodes: {
            fast: () => Effect.succeed({ done: ["fast"] }),
            slow: () =>
              block
                ? Deferred.succeed(started, undefined).pipe(
                    Effect.andThen(Effect.never),
                    Effect.onInterrupt(() => Deferred.succeed(released, undefined))
                  )
                : Effect.succeed({ done: ["slow"] })
          },
          edges: { start: ["fast", "slow"], fast: "end", slow: "end" }
        })
        const fiber = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        yield* Deferred.await(released)
        block = false
        const outcome = yield* Thread.run(graph, { thread: "t" })
        assert.deepStrictEqual(outcome.state.done, ["fast", "slow"])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("an ask suspends the thread, keeps its siblings' work, and goes on with its answer", () =>
      Effect.gen(function* () {
        const waiting = yield* Thread.run(Order, { thread: "t", input: { total: 7 } })
        assert.ok(waiting._tag === "Waiting")
        assert.deepStrictEqual(waiting.asks[0]?.question, { total: 7 })
        assert.strictEqual((yield* Effect.flatMap(Journal.Journal, (journal) => journal.info("t"))).status, "waiting")
        // Asking again changes nothing.
        yield* Thread.run(Order, { thread: "t" })
        yield* Thread.answer(Approve, { thread: "t", value: { approved: true } })
        const done = yield* Thread.run(Order, { thread: "t" })
        assert.strictEqual(done._tag, "Done")
        assert.deepStrictEqual(done.state, { total: 7, approved: true, log: ["approved", "other"] })
        const twice = yield* Effect.flip(Thread.answer(Approve, { thread: "t", value: { approved: true } }))
        assert.strictEqual(twice._tag, "AskNotOpen")
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a thread that waits refuses another input, and takes the same as its own", () =>
      Effect.gen(function* () {
        yield* Thread.run(Order, { thread: "t", input: { total: 7 } })
        const busy = yield* Effect.flip(Thread.run(Order, { thread: "t", input: { total: 8 } }))
        assert.strictEqual(busy._tag, "ThreadBusy")
        assert.strictEqual((yield* Thread.run(Order, { thread: "t", input: { total: 7 } }))._tag, "Waiting")
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a fork does not disturb the original, asks again, and takes a patch through the reducers", () =>
      Effect.gen(function* () {
        yield* Thread.run(Order, { thread: "t", input: { total: 7 } })
        yield* Thread.fork(Order, { thread: "t", at: 1, as: "f", update: { total: 9, log: ["patched"] } })
        const forked = yield* Thread.run(Order, { thread: "f" })
        assert.ok(forked._tag === "Waiting")
        assert.deepStrictEqual(forked.asks[0]?.question, { total: 9 })
        yield* Thread.answer(Approve, { thread: "f", value: { approved: false } })
        const done = yield* Thread.run(Order, { thread: "f" })
        assert.deepStrictEqual(done.state.log, ["patched", "denied", "other"])
        assert.strictEqual((yield* Thread.asks({ thread: "t" })).length, 1)
        const exists = yield* Effect.flip(Thread.fork(Order, { thread: "t", at: 1, as: "f" }))
        assert.strictEqual(exists._tag, "ThreadExists")
        const beyond = yield* Effect.flip(Thread.fork(Order, { thread: "t", at: 99, as: "g" }))
        assert.strictEqual(beyond._tag, "EntryNotFound")
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("two runs of one thread: the loser fails with JournalConflict and changes nothing", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const entered = yield* Deferred.make<void>()
        let first = true
        const graph = Graph.make("race", {
          state: { n: Channel.sum },
          nodes: {
            add: () =>
              Effect.suspend(() => {
                if (!first) return Effect.succeed({ n: 1 })
                first = false
                return Deferred.succeed(entered, undefined).pipe(
                  Effect.andThen(Deferred.await(gate)),
                  Effect.as({ n: 1 })
                )
              })
          },
          edges: { start: "add", add: "end" }
        })
        const loser = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
        yield* Deferred.await(entered)
        const winner = yield* Thread.run(graph, { thread: "t" })
        assert.strictEqual(winner.state.n, 1)
        yield* Deferred.succeed(gate, undefined)
        const error = yield* Effect.flip(Fiber.join(loser))
        assert.strictEqual(error._tag, "JournalConflict")
        assert.strictEqual((yield* Thread.state(graph, { thread: "t" })).n, 1)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a call whose outcome nobody knows is not repeated in silence", () =>
      Effect.gen(function* () {
        let calls = 0
        let die = true
        const graph = Graph.make("call", {
          state: { result: Channel.optional(Schema.String) },
          nodes: {
            pay: () =>
              Effect.map(
                Durable.call({
                  key: "pay",
                  detail: { usd: 5 },
                  schema: Schema.String,
                  call: Effect.suspend(() => {
                    calls++
                    return die ? Effect.die("killed between intent and result") : Effect.succeed("paid")
                  })
                }),
                (result) => ({ result })
              )
          },
          edges: { start: "pay", pay: "end" }
        })
        assert.ok(Exit.isFailure(yield* Effect.exit(Thread.run(graph, { thread: "t", input: {} }))))
        die = false
        const waiting = yield* Thread.run(graph, { thread: "t" })
        assert.ok(waiting._tag === "Waiting")
        assert.strictEqual(waiting.asks[0]?.kind, "uncertain")
        assert.strictEqual(calls, 1)
        yield* Thread.answer(Durable.Uncertain, { thread: "t", value: { decision: "made", result: "by hand" } })
        const done = yield* Thread.run(graph, { thread: "t" })
        assert.deepStrictEqual([done.state.result, calls], ["by hand", 1])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a call that can be looked up is reconciled, and a piece made once is not made again", () =>
      Effect.gen(function* () {
        const ledger: Array<string> = []
        let looked = 0
        let die = true
        const graph = Graph.make("reconcile", {
          state: { out: Channel.append(Schema.String) },
          nodes: {
            pay: () =>
              Effect.gen(function* () {
                const seen = yield* Durable.once(
                  "look",
                  Schema.String,
                  Effect.sync(() => `look ${++looked}`)
                )
                const paid = yield* Durable.call({
                  key: "pay",
                  detail: null,
                  schema: Schema.String,
                  call: Effect.suspend(() => {
                    ledger.push("paid")
                    return die ? Effect.die("killed") : Effect.succeed("paid")
                  }),
                  reconcile: Effect.sync(() => (ledger.length > 0 ? Option.some("found") : Option.none()))
                })
                return { out: [seen, paid] }
              })
          },
          edges: { start: "pay", pay: "end" }
        })
        yield* Effect.exit(Thread.run(graph, { thread: "t", input: {} }))
        die = false
        const done = yield* Thread.run(graph, { thread: "t" })
        assert.deepStrictEqual(done.state.out, ["look 1", "found"])
        assert.deepStrictEqual(ledger, ["paid"])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a graph inside a graph keeps its own state, asks with its path, and is not run again", () =>
      Effect.gen(function* () {
        let inner = 0
        const Inner = Graph.make("inner", {
          state: { total: Channel.last(Schema.Number), steps: Channel.append(Schema.String) },
          nodes: {
            before: () => Effect.sync(() => ({ steps: [`before ${++inner}`] })),
            approve: Ask.node(Approve, {
              question: ({ total }: { readonly total: number }) => ({ total }),
              update: ({ approved }) => ({ steps: [String(approved)] })
            })
          },
          edges: { start: "before", before: "approve", approve: "end" }
        })
        const Outer = Graph.make("outer", {
          state: { totals: Channel.append(Schema.Number), all: Channel.append(Schema.String) },
          nodes: {
            decide: Node.withInput(
              Schema.Number,
              Graph.node(Inner, {
                input: (total: number) => ({ total }),
                update: ({ steps, total }) => ({ all: [`${total}: ${steps.join(", ")}`] })
              })
            )
          },
          edges: { start: { each: "decide", of: ({ totals }) => totals }, decide: "end" }
        })
        const waiting = yield* Thread.run(Outer, { thread: "t", input: { totals: [1, 2] } })
        assert.ok(waiting._tag === "Waiting")
        assert.deepStrictEqual(waiting.asks.map(({ path }) => path).sort(), ["decide[0]@1/", "decide[1]@1/"])
        for (const { ask, path } of waiting.asks) {
          yield* Thread.answer(Approve, { thread: "t", ask, value: { approved: path.includes("0") } })
        }
        const done = yield* Thread.run(Outer, { thread: "t" })
        assert.strictEqual(inner, 2)
        assert.deepStrictEqual(
          done.state.all.map((line) => line.replace(/before \d/, "before")),
          ["1: before, true", "2: before, false"]
        )
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a stream gives every journaled event once, also when it is resumed in the middle", () =>
      Effect.gen(function* () {
        const { graph } = makeMeasure()
        const seqs = (events: ReadonlyArray<Event.Event>) =>
          events.flatMap((event) => (event._tag === "Journaled" ? [event.seq] : []))
        const first = yield* Stream.runCollect(
          Stream.take(Thread.stream(graph, { thread: "t", input: { text: "a b c" }, after: 0 }), 4)
        )
        const rest = yield* Stream.runCollect(Thread.stream(graph, { thread: "t", after: Math.max(...seqs(first)) }))
        const all = yield* Stream.runCollect(Thread.events({ thread: "t" }))
        assert.deepStrictEqual(
          [...seqs(first), ...seqs(rest)],
          all.map(({ seq }) => seq)
        )
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a second input goes on from the state of the first run", () =>
      Effect.gen(function* () {
        const { graph } = makeMeasure()
        yield* Thread.run(graph, { thread: "t", input: { text: "a" } })
        const second = yield* Thread.run(graph, { thread: "t", input: { text: "bb ccc" } })
        assert.deepStrictEqual(second.state.lengths, [1, 2, 3])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a thread that no longer fits its graph fails saying what differs", () =>
      Effect.gen(function* () {
        yield* Thread.run(Order, { thread: "t", input: { total: 7 } })
        const Changed = Graph.make("order", {
          state: { total: Channel.last(Schema.Number), log: Channel.append(Schema.String) },
          nodes: { only: () => Effect.succeed({ log: ["x"] }) },
          edges: { start: "only", only: "end" }
        })
        const error = yield* Effect.flip(Thread.run(Changed, { thread: "t" }))
        assert.ok(error._tag === "GraphChanged")
        assert.match(error.message, /other/)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("an unknown thread, a deleted thread and another thread are three different things", () =>
      Effect.gen(function* () {
        const { graph } = makeMeasure()
        const journal = yield* Journal.Journal
        assert.strictEqual((yield* Effect.flip(Thread.run(graph, { thread: "nope" })))._tag, "ThreadNotFound")
        yield* Thread.run(graph, { thread: "a", input: { text: "a" } })
        yield* Thread.run(graph, { thread: "b", input: { text: "b" } })
        yield* journal.remove("a")
        assert.strictEqual((yield* Effect.flip(Thread.state(graph, { thread: "a" })))._tag, "ThreadNotFound")
        assert.deepStrictEqual(
          (yield* Stream.runCollect(journal.threads())).map(({ thread }) => thread),
          ["b"]
        )
      }).pipe(Effect.provide(store.layer))
    )
  })
}

// Lines 31 to 38 of the acceptance list: asks, graphs inside, history, forks, patches, retention, events, cost.
import { Ask, Channel, Event, Graph, Journal, Node, Thread } from "@selvage/core"
import { SqliteJournal } from "@selvage/sqlite"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { sqliteFile } from "../../../sqlite/test/databases.ts"
import { stores } from "../../../sqlite/test/stores.ts"
import { eager, elsewhere, entriesOf, forced, infoOf, makeGate, settle } from "./support.ts"
import { cpuMillis, runs } from "../measures.ts"

const Approve = Ask.make("approve", {
  question: Schema.Struct({ item: Schema.String, due: Schema.Date }),
  answer: Schema.Struct({ approved: Schema.Boolean, at: Schema.Date })
})

const due = new Date(1000)
const at = new Date(2000)

/** Asks once per item, and once more in a node that asks twice. */
const Asking = Graph.make("asking", {
  state: { items: Channel.last(Schema.Array(Schema.String)), out: Channel.append(Schema.String) },
  nodes: {
    ask: Node.make(Schema.String, (item) =>
      Effect.map(Ask.ask(Approve, { item, due }), ({ approved, at }) => ({
        out: [`${item} ${approved} ${at instanceof Date}`]
      }))
    ),
    done: () => Effect.succeed({ out: ["done"] })
  },
  edges: {
    start: { each: "ask", of: ({ items }) => items, keys: ({ items }) => items },
    ask: "done",
    done: "end"
  }
})

/** A loop of `rounds` steps that writes one line each. */
const Rounds = Graph.make("rounds", {
  state: { rounds: Channel.last(Schema.Int), n: Channel.sum, out: Channel.append(Schema.String) },
  nodes: { work: ({ n }) => Effect.as(Effect.yieldNow, { n: 1, out: [`line ${n}`] }) },
  edges: { start: "work", work: ({ n, rounds }) => (n < rounds ? "work" : "end") }
})

for (const store of stores("selvage_behaviours_history")) {
  describe.skipIf(store.skip)(`History on ${store.name}`, () => {
    it.effect(
      "31. Ask surfaces its payload; several at once have ids and are answered one by one in any order; an answer is decoded by its schema, and a bad one is refused while the ask stays open. An answer to an unknown or answered ask is an error",
      () =>
        Effect.gen(function* () {
          const waiting = yield* Thread.run(Asking, { thread: "t", input: { items: ["a", "b", "c"] } })
          assert.ok(waiting._tag === "Waiting")
          assert.deepStrictEqual(
            waiting.asks.map(({ kind, name, path, question, task }) => ({ kind, name, path, question, task })),
            ["a", "b", "c"].map((item) => ({
              kind: "question" as const,
              name: "approve",
              path: "",
              question: { item, due: "1970-01-01T00:00:01.000Z" },
              task: `ask[${item}]`
            }))
          )
          assert.deepStrictEqual(yield* Thread.asks({ thread: "t" }), waiting.asks)
          const ids = waiting.asks.map(({ ask }) => ask)
          assert.strictEqual(new Set(ids).size, 3)
          const answer = (ask: string | undefined, approved: unknown) =>
            Thread.answer(Approve, { thread: "t", ask, value: forced({ approved, at }) })
          // Which of the three is not said.
          assert.strictEqual((yield* Effect.flip(answer(undefined, true)))._tag, "AskNotOpen")
          yield* answer(ids[2], false)
          const { head } = yield* infoOf("t")
          const bad = yield* Effect.flip(answer(ids[0], "perhaps"))
          assert.ok(bad._tag === "AnswerInvalid")
          assert.include(bad.message, "approved")
          for (const ask of ["nobody asked", ids[2]]) {
            assert.strictEqual((yield* Effect.flip(elsewhere(answer(ask, true))))._tag, "AskNotOpen")
          }
          assert.strictEqual((yield* infoOf("t")).head, head)
          const still = yield* elsewhere(Thread.run(Asking, { thread: "t" }))
          assert.ok(still._tag === "Waiting")
          assert.deepStrictEqual(
            still.asks.map(({ ask }) => ask),
            [ids[0], ids[1]]
          )
          yield* answer(ids[0], true)
          yield* elsewhere(answer(undefined, true))
          const done = yield* elsewhere(Thread.run(Asking, { thread: "t" }))
          assert.strictEqual(done._tag, "Done")
          assert.deepStrictEqual(done.state.out, ["a true true", "b true true", "c false true", "done"])
          assert.strictEqual((yield* Effect.flip(answer(ids[0], true)))._tag, "AskNotOpen")
        }).pipe(Effect.provide(store.layer))
    )

    it.effect("32. Waiting for an ask costs nothing while it waits, and outlives a restart", () =>
      Effect.gen(function* () {
        let ran = 0
        const graph = Graph.make("patient", {
          state: { out: Channel.append(Schema.String) },
          nodes: {
            before: () => Effect.sync(() => ({ out: [`before ${++ran}`] })),
            ask: () => Effect.map(Ask.ask(Approve, { item: "a", due }), ({ approved }) => ({ out: [`${approved}`] }))
          },
          edges: { start: "before", before: "ask", ask: "end" }
        })
        // The run is over: nothing of it is left that could cost anything.
        const waiting = yield* Thread.run(graph, { thread: "t", input: {} })
        assert.strictEqual(waiting._tag, "Waiting")
        const before = yield* infoOf("t")
        yield* TestClock.adjust("1 hour")
        yield* settle
        assert.deepStrictEqual(yield* infoOf("t"), before)
        assert.strictEqual(before.status, "waiting")
        // Looking again writes nothing.
        yield* elsewhere(Thread.run(graph, { thread: "t" }))
        assert.deepStrictEqual(yield* infoOf("t"), before)
        yield* elsewhere(Thread.answer(Approve, { thread: "t", value: { approved: true, at } }))
        const done = yield* elsewhere(Thread.run(graph, { thread: "t" }))
        assert.deepStrictEqual(done.state.out, ["before 1", "true"])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "33. A subgraph keeps its own state under the parent's task; asks and events inside it carry their path; three levels deep",
      () =>
        Effect.gen(function* () {
          const level = (name: string) => ({
            n: Channel.last(Schema.Int),
            out: Channel.append(Schema.String),
            name: Channel.last(Schema.String, { initial: name })
          })
          const Three = Graph.make("three", {
            state: level("three"),
            nodes: {
              say: ({ n }) => Effect.as(Event.emit("deep", n), { out: [`three ${n}`] }),
              ask: ({ n }) =>
                Effect.map(Ask.ask(Approve, { item: `${n}`, due }), ({ approved }) => ({ out: [`${approved} ${n}`] }))
            },
            edges: { start: "say", say: "ask", ask: "end" }
          })
          const Two = Graph.make("two", {
            state: level("two"),
            nodes: {
              three: Graph.node(Three, {
                input: ({ n }: { readonly n: number }) => ({ n: n * 10 }),
                update: ({ name, out }) => ({ out: [...out, name] })
              })
            },
            edges: { start: "three", three: "end" }
          })
          const One = Graph.make("one", {
            state: { out: Channel.append(Schema.String) },
            nodes: {
              two: Node.withInput(
                Schema.Int,
                Graph.node(Two, { input: (n: number) => ({ n }), update: ({ name, out }) => ({ out: [...out, name] }) })
              )
            },
            edges: { start: { each: "two", of: () => [1, 2] }, two: "end" }
          })
          const events = yield* Stream.runCollect(Thread.stream(One, { thread: "t", input: {} }))
          const deep = ["two[0]@1/three@1/", "two[1]@1/three@1/"]
          assert.sameMembers(
            events.flatMap((event) => (event._tag === "Custom" ? [`${event.path} ${String(event.data)}`] : [])),
            [`${deep[0]} 10`, `${deep[1]} 20`]
          )
          const asks = yield* Thread.asks({ thread: "t" })
          assert.sameMembers(
            asks.map(({ path }) => path),
            deep
          )
          assert.deepStrictEqual(yield* Thread.state(One, { thread: "t" }), { out: [] })
          for (const { ask, path } of asks) {
            yield* elsewhere(Thread.answer(Approve, { thread: "t", ask, value: { approved: path === deep[0], at } }))
          }
          const done = yield* elsewhere(Thread.run(One, { thread: "t" }))
          assert.deepStrictEqual(done.state.out, [
            "three 10",
            "true 10",
            "three",
            "two",
            "three 20",
            "false 20",
            "three",
            "two"
          ])
          const entries = yield* entriesOf("t")
          assert.strictEqual(entries.filter(({ _tag }) => _tag === "FrameStarted").length, 4)
        }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "34. State is readable at any sequence number; forks from one do not disturb the original; forks of forks work; a fork before an ask asks again",
      () =>
        Effect.gen(function* () {
          const seen: Array<unknown> = []
          yield* Stream.runForEach(Thread.stream(Rounds, { thread: "t", input: { rounds: 4 } }), (event) =>
            event._tag === "Journaled"
              ? Effect.map(Thread.state(Rounds, { thread: "t", at: event.seq }), (state) => seen.push(state))
              : Effect.void
          )
          const { head } = yield* infoOf("t")
          const states = yield* Effect.forEach(
            Array.from({ length: head }, (_, index) => index + 1),
            (seq) => elsewhere(Thread.state(Rounds, { thread: "t", at: seq }))
          )
          assert.deepStrictEqual(seen, states)
          assert.deepStrictEqual(
            states.map(({ n }) => n),
            [0, 1, 2, 3, 4, 4]
          )
          for (const out of [0, head + 1]) {
            const error = yield* Effect.flip(Thread.state(Rounds, { thread: "t", at: out }))
            assert.strictEqual(error._tag, "EntryNotFound")
          }
          const before = yield* entriesOf("t")
          yield* Thread.fork(Rounds, { thread: "t", at: 3, as: "f", update: { rounds: 3, out: ["forked"] } })
          const fork = yield* Thread.run(Rounds, { thread: "f" })
          assert.deepStrictEqual(fork.state.out, ["line 0", "line 1", "forked", "line 2"])
          yield* Thread.fork(Rounds, { thread: "f", at: 5, as: "ff", update: { out: ["again"] } })
          const second = yield* elsewhere(Thread.run(Rounds, { thread: "ff" }))
          assert.deepStrictEqual(second.state.out, ["line 0", "line 1", "forked", "again", "line 2"])
          assert.deepStrictEqual(yield* entriesOf("t"), before)
          assert.deepStrictEqual((yield* Thread.state(Rounds, { thread: "f" })).out, fork.state.out)
          const waiting = yield* Thread.run(Asking, { thread: "asks", input: { items: ["a"] } })
          yield* Thread.answer(Approve, { thread: "asks", value: { approved: true, at } })
          yield* Thread.run(Asking, { thread: "asks" })
          yield* Thread.fork(Asking, { thread: "asks", at: 1, as: "asks anew" })
          const anew = yield* Thread.run(Asking, { thread: "asks anew" })
          assert.ok(anew._tag === "Waiting" && waiting._tag === "Waiting")
          assert.deepStrictEqual(
            anew.asks.map(({ question }) => question),
            waiting.asks.map(({ question }) => question)
          )
          yield* Thread.answer(Approve, { thread: "asks anew", value: { approved: false, at } })
          assert.deepStrictEqual((yield* Thread.run(Asking, { thread: "asks anew" })).state.out, [
            "a false true",
            "done"
          ])
          assert.deepStrictEqual((yield* Thread.state(Asking, { thread: "asks" })).out, ["a true true", "done"])
        }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "35. A patch to state goes through the reducers and the schemas, as of a named node, and is itself an entry",
      () =>
        Effect.gen(function* () {
          const graph = Graph.make("patched", {
            state: { n: Channel.sum, when: Channel.optional(Schema.Date), out: Channel.append(Schema.String) },
            nodes: {
              first: () => Effect.succeed({ n: 1, out: ["first"] }),
              ask: () => Effect.map(Ask.ask(Approve, { item: "a", due }), () => ({ out: ["answered"] })),
              last: ({ n }) => Effect.succeed({ out: [`last ${n}`] })
            },
            edges: { start: "first", first: "ask", ask: "last", last: "end" }
          })
          yield* Thread.run(graph, { thread: "t", input: {} })
          yield* elsewhere(Thread.patch(graph, { thread: "t", update: { n: 10, when: at, out: ["patched"] } }))
          assert.deepStrictEqual((yield* entriesOf("t")).at(-1), {
            _tag: "Patched",
            updates: { n: 10, when: "1970-01-01T00:00:02.000Z", out: ["patched"] }
          })
          assert.deepStrictEqual(yield* Thread.state(graph, { thread: "t" }), {
            n: 11,
            when: at,
            out: ["first", "patched"]
          })
          for (const update of [{ n: "many" }, { nothing: 1 }]) {
            const error = yield* Effect.flip(Thread.patch(graph, { thread: "t", update: forced(update) }))
            assert.strictEqual(error._tag, "NodeContractViolated")
          }
          const unknown = yield* Effect.flip(Thread.patch(graph, { thread: "t", update: {}, node: "nobody" }))
          assert.strictEqual(unknown._tag, "UnknownRoute")
          // The step under way is planned anew: it asks again.
          assert.strictEqual((yield* Thread.run(graph, { thread: "t" }))._tag, "Waiting")
          yield* Thread.patch(graph, { thread: "t", update: { out: ["as of ask"] }, node: "ask" })
          assert.deepStrictEqual(yield* Thread.asks({ thread: "t" }), [])
          const done = yield* elsewhere(Thread.run(graph, { thread: "t" }))
          assert.strictEqual(done._tag, "Done")
          assert.deepStrictEqual(done.state.out, ["first", "patched", "as of ask", "last 11"])
          // A finished thread goes on after the node.
          yield* Thread.patch(graph, { thread: "t", update: { n: 1 }, node: "ask" })
          const more = yield* Thread.run(graph, { thread: "t" })
          assert.deepStrictEqual(more.state.out.at(-1), "last 12")
        }).pipe(Effect.provide(store.layer))
    )

    it.effect("36. Deleting a thread deletes all of it, and only it; a retention rule can do so by age", () =>
      Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const run = (thread: string) => eager(Thread.run(Rounds, { thread, input: { rounds: 20 } }))
        yield* run("a")
        yield* run("b")
        yield* Thread.fork(Rounds, { thread: "a", at: 22, as: "c" })
        const b = yield* entriesOf("b")
        const c = yield* entriesOf("c")
        yield* journal.remove("a")
        assert.strictEqual((yield* Effect.flip(journal.read("a")))._tag, "ThreadNotFound")
        assert.strictEqual((yield* Effect.flip(Thread.run(Rounds, { thread: "a" })))._tag, "ThreadNotFound")
        assert.strictEqual((yield* journal.snapshot("a"))._tag, "None")
        assert.deepStrictEqual([yield* entriesOf("b"), yield* entriesOf("c")], [b, c])
        // A new thread of the name knows nothing of the old one.
        assert.strictEqual((yield* Thread.run(Rounds, { thread: "a", input: { rounds: 1 } })).state.n, 1)
        yield* TestClock.adjust("10 days")
        yield* run("young")
        yield* Thread.run(Asking, { thread: "waits", input: { items: ["x"] } })
        yield* TestClock.adjust("5 days")
        assert.strictEqual(yield* Journal.retain({ olderThan: "7 days" }), 3)
        const left = (yield* Stream.runCollect(journal.threads())).map(({ thread }) => thread)
        assert.sameMembers(left, ["young", "waits"])
        assert.strictEqual(yield* Journal.retain({ olderThan: "1 day", status: ["waiting"] }), 1)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "37. Events resumed after a sequence number have no gap and no duplicate, while the thread runs and after it ended",
      () =>
        Effect.gen(function* () {
          const gate = yield* makeGate
          const graph = Graph.make("told", {
            state: { n: Channel.sum, items: Channel.last(Schema.Array(Schema.Int)) },
            nodes: {
              work: Node.make(Schema.Int, (n) => Effect.as(Effect.yieldNow, { n })),
              wait: () => Effect.as(gate.pass, { n: 1 }),
              more: ({ n }) => Effect.as(Effect.yieldNow, { n: n > 0 ? 1 : 0 })
            },
            edges: {
              start: { each: "work", of: ({ items }) => items },
              work: "wait",
              wait: "more",
              more: ({ n }) => (n < 12 ? "more" : "end")
            }
          })
          const follow = (after: number) =>
            Thread.events({ thread: "t", after, follow: true }).pipe(
              Stream.takeUntil(({ entry }) => entry._tag === "RunFinished"),
              Stream.map(({ seq }) => seq),
              Stream.runCollect
            )
          const streamed = yield* Effect.forkChild(
            Stream.runCollect(Thread.stream(graph, { thread: "t", input: { items: [1, 2, 3] }, after: 0 }))
          )
          yield* gate.reached
          const middle = (yield* infoOf("t")).head
          const followers = yield* Effect.forEach(
            Array.from({ length: middle + 1 }, (_, after) => after),
            (after) => Effect.forkChild(follow(after))
          )
          yield* gate.open
          const events = yield* Fiber.join(streamed)
          const { head } = yield* infoOf("t")
          const from = (after: number) => Array.from({ length: head - after }, (_, index) => after + 1 + index)
          const seqs = events.flatMap((event) => (event._tag === "Journaled" ? [event.seq] : []))
          assert.deepStrictEqual(seqs, from(0))
          for (const [after, follower] of followers.entries()) {
            assert.deepStrictEqual(yield* Fiber.join(follower), from(after))
          }
          for (let after = 0; after <= head; after++) {
            const resumed = yield* Stream.runCollect(elsewhereStream(Thread.stream(graph, { thread: "t", after })))
            assert.deepStrictEqual(
              resumed.flatMap((event) => (event._tag === "Journaled" ? [event.seq] : [])),
              from(after)
            )
            const read = yield* Stream.runCollect(Thread.events({ thread: "t", after }))
            assert.deepStrictEqual(
              read.map(({ seq }) => seq),
              from(after)
            )
          }
        }).pipe(Effect.provide(store.layer))
    )
  })
}

/** As `elsewhere`, of a stream. */
const elsewhereStream = <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E, R | Journal.Journal> =>
  Stream.unwrap(
    Effect.map(Journal.Journal, (journal) =>
      Stream.provideService(stream, Journal.Journal, Journal.Journal.of({ ...journal }))
    )
  )

// Each turn is a run of its own: it takes an input, calls a node, and adds two lines to the conversation.
const Chat = Graph.make("chat", {
  state: { said: Channel.last(Schema.String), turns: Channel.sum, lines: Channel.append(Schema.String) },
  nodes: {
    hear: ({ said }) => Effect.succeed({ lines: [`user: ${said}`] }),
    reply: () => Effect.succeed({ lines: ["assistant: I see."], turns: 1 })
  },
  edges: { start: "hear", hear: "reply", reply: "end" }
})

/** 15,000 in the long form: what grows with the history shows in 1,500 as well, which is 15 times 100. */
const turns = runs(1500)

describe("History", () => {
  for (const [name, layer] of [
    ["memory", Effect.succeed(Journal.layerMemory)],
    [
      "SQLite",
      Effect.map(sqliteFile, (filename) => Layer.orDie(SqliteJournal.layer({ filename, durability: "normal" })))
    ]
  ] as const) {
    it.live(
      `38. Turn ${turns} of a thread costs what turn 100 cost, in time and in bytes (${name})`,
      () =>
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const turn = Thread.run(Chat, { thread: "t", input: { said: "what now?" } })
          const take = (count: number) => cpuMillis(Effect.repeat(turn, { times: count - 1 }))
          yield* take(100)
          const early = yield* take(500)
          yield* take(turns - 1100)
          const late = yield* take(500)
          const entries = yield* journal.read("t")
          const starts = entries.flatMap(({ entry, seq }) => (entry._tag === "RunStarted" ? [seq] : []))
          assert.strictEqual(starts.length, turns)
          // The number of a step has a digit more; all else must be the same to the byte.
          const jsonOf = (turn: number) =>
            JSON.stringify(
              entries
                .slice(starts[turn - 1]! - 1, (starts[turn] ?? entries.length + 1) - 1)
                .map(({ entry }) => ("step" in entry ? { ...entry, step: 0 } : entry))
            )
          assert.strictEqual(jsonOf(turns), jsonOf(100))
          assert.strictEqual(jsonOf(turns).match(/StepCommitted/g)?.length, 2)
          assert.isBelow(late / early, 4, `${early} ms, then ${late} ms`)
        }).pipe(Effect.provide(Layer.unwrap(layer))),
      { retry: 2 }
    )
  }
})

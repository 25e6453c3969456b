// What the acceptance list does not name, on every journal: queues, replacement, deadlines, expiry, ephemeral channels, warm threads.
import { Ask, Channel, Durable, Graph, Journal, Messages, Node, Policy, Task, Thread } from "@selvage/core"
import { CrashingJournal } from "@selvage/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { stores } from "../../../sqlite/test/stores.ts"
import { cold, eager, elsewhere, entriesOf, infoOf, makeGate, onJournal, settle, tagsOf } from "./support.ts"

class Boom extends Schema.TaggedError<Boom>()("Boom", { what: Schema.String }) {
  readonly isRetryable = true
}

const Approve = Ask.make("approve", { question: Schema.String, answer: Schema.Boolean })

/** Works on one item per run: `ask…` asks first, `bad…` fails. */
const Items = Graph.make("items", {
  state: { item: Channel.last(Schema.String), out: Channel.append(Schema.String) },
  nodes: {
    begin: ({ item }) => Effect.succeed({ out: [`begin ${item}`] }),
    work: ({ item }) =>
      Effect.gen(function* () {
        if (item.startsWith("ask")) yield* Ask.ask(Approve, item)
        if (item.startsWith("bad")) return yield* new Boom({ what: item })
        return { out: [`done ${item}`] }
      })
  },
  edges: { start: "begin", begin: "work", work: "end" }
})

const queue = (thread: string, item: string) =>
  Thread.run(Items, { thread, input: { item }, run: item, whenBusy: "queue" })

const minute = 60_000

for (const store of stores("selvage_behaviours_new")) {
  describe.skipIf(store.skip)(`New on ${store.name}`, () => {
    it.effect(
      "a join in a loop in a graph inside, with an ask and a failing sibling, goes on where each of them stood",
      () =>
        Effect.gen(function* () {
          const ran: Array<string> = []
          const tell = (name: string) => Effect.sync(() => (ran.push(name), { out: [name] }))
          let broken = true
          const Inner = Graph.make("inner", {
            state: { round: Channel.sum, out: Channel.append(Schema.String) },
            nodes: {
              fork: () => Effect.as(tell("fork"), { round: 1, out: [] }),
              ask: ({ round }) => Effect.flatMap(Ask.ask(Approve, `round ${round}`), (ok) => tell(`${ok} ${round}`)),
              long: () => Effect.andThen(Effect.yieldNow, tell("long")),
              longer: () => tell("longer"),
              meet: ({ round }) => tell(`meet ${round}`)
            },
            edges: {
              start: "fork",
              fork: ["ask", "long"],
              ask: "meet",
              long: "longer",
              longer: "meet",
              meet: ({ round }) => (round < 2 ? "fork" : "end")
            },
            joins: { meet: ["ask", "longer"] }
          })
          const graph = Graph.make("outer", {
            state: { out: Channel.append(Schema.String) },
            nodes: {
              inner: Graph.node(Inner, { input: () => ({}), update: ({ out }) => ({ out }) }),
              flaky: () => (broken ? new Boom({ what: "flaky" }) : tell("flaky")),
              last: () => tell("last")
            },
            edges: { start: ["inner", "flaky"], inner: "last", flaky: "last", last: "end" },
            joins: { last: ["inner", "flaky"] }
          })
          const run = elsewhere(Thread.run(graph, { thread: "t", run: "only", input: {} }))
          assert.strictEqual((yield* Effect.flip(run))._tag, "Boom")
          assert.lengthOf(yield* Thread.asks({ thread: "t" }), 1)
          yield* elsewhere(Thread.answer(Approve, { thread: "t", value: true }))
          assert.strictEqual((yield* Effect.flip(run))._tag, "Boom")
          broken = false
          assert.strictEqual((yield* run)._tag, "Waiting")
          yield* elsewhere(Thread.answer(Approve, { thread: "t", value: false }))
          const done = yield* run
          const round = (n: number, answer: boolean) => [`${answer} ${n}`, "long", "longer", `meet ${n}`]
          assert.deepStrictEqual(done.state.out, [...round(1, true), ...round(2, false), "flaky", "last"])
          assert.sameMembers(ran, ["fork", "fork", ...done.state.out])
        }).pipe(Effect.provide(store.layer))
    )

    it.effect("inputs that queue while a thread waits are run in order, also after one that failed", () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* queue("t", "ask"))._tag, "Waiting")
        for (const item of ["q1", "bad", "q2"]) assert.strictEqual((yield* elsewhere(queue("t", item)))._tag, "Queued")
        assert.strictEqual((yield* Thread.run(Items, { thread: "t" }))._tag, "Waiting")
        yield* elsewhere(Thread.answer(Approve, { thread: "t", value: true }))
        // Who ran them all is told of the one that failed.
        const error = yield* Effect.flip(elsewhere(Thread.run(Items, { thread: "t" })))
        assert.ok(error._tag === "Boom" && error.what === "bad")
        const { out } = yield* Thread.state(Items, { thread: "t" })
        const lines = ["begin ask", "done ask", "begin q1", "done q1", "begin bad", "begin q2", "done q2"]
        assert.deepStrictEqual(out, lines)
        assert.deepStrictEqual(
          (yield* entriesOf("t")).flatMap((entry) => (entry._tag === "RunStarted" ? [entry.run] : [])),
          ["ask", "q1", "bad", "q2"]
        )
        assert.strictEqual((yield* infoOf("t")).status, "done")
        // A run that is known by its name is not queued anew.
        assert.strictEqual((yield* elsewhere(queue("t", "q1")))._tag, "Done")
        assert.deepStrictEqual((yield* Thread.state(Items, { thread: "t" })).out, lines)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("queued inputs are run once each and in order, wherever the process that runs them dies", () =>
      Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const prepare = Effect.fnUntraced(function* (thread: string) {
          yield* queue(thread, "ask")
          for (const item of ["q1", "bad", "q2"]) yield* elsewhere(queue(thread, item))
          yield* elsewhere(Thread.answer(Approve, { thread, value: true }))
        })
        for (const append of ["lost", "written"] as const) {
          for (let at = 1; at <= 9; at += store.name === "PostgreSQL" ? 2 : 1) {
            const thread = `${append} ${at}`
            yield* prepare(thread)
            const crashing = yield* CrashingJournal.make(journal, { at, append })
            const run = Effect.exit(Thread.run(Items, { thread }))
            yield* Effect.provideService(run, Journal.Journal, crashing)
            for (let again = 0; again < 3; again++) yield* elsewhere(run)
            const { out } = yield* Thread.state(Items, { thread })
            const lines = ["begin ask", "done ask", "begin q1", "done q1", "begin bad", "begin q2", "done q2"]
            assert.deepStrictEqual(out, lines, thread)
          }
        }
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a fork of a thread with queued inputs runs them too, and the original's stay its own", () =>
      Effect.gen(function* () {
        yield* queue("t", "ask")
        yield* elsewhere(queue("t", "q1"))
        const { head } = yield* infoOf("t")
        yield* Thread.fork(Items, { thread: "t", at: head, as: "f" })
        yield* Thread.fork(Items, { thread: "t", at: head - 1, as: "before" })
        for (const thread of ["f", "t", "before"]) {
          yield* elsewhere(Thread.answer(Approve, { thread, value: true }))
          const done = yield* elsewhere(Thread.run(Items, { thread }))
          const first = ["begin ask", "done ask"]
          assert.deepStrictEqual(done.state.out, thread === "before" ? first : [...first, "begin q1", "done q1"])
        }
      }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "a call that must not be repeated and was in flight when its run was replaced is not lost in silence",
      () =>
        Effect.gen(function* () {
          const gate = yield* makeGate
          const graph = Graph.make("paying", {
            state: { item: Channel.last(Schema.String), out: Channel.append(Schema.String) },
            nodes: {
              pay: ({ item }) =>
                item === "new"
                  ? Effect.succeed({ out: ["new"] })
                  : Effect.map(
                      Durable.call({
                        key: "payment-1",
                        detail: item,
                        schema: Schema.String,
                        call: Effect.as(gate.pass, "paid")
                      }),
                      (paid) => ({ out: [paid] })
                    )
            },
            edges: { start: "pay", pay: "end" }
          })
          const first = yield* Effect.forkChild(Effect.exit(Thread.run(graph, { thread: "t", input: { item: "old" } })))
          yield* gate.reached
          yield* Thread.run(graph, { thread: "t", input: { item: "new" }, whenBusy: "replace" })
          yield* Fiber.join(first)
          // Somewhere after the intent it must stand that nobody knows what became of the call.
          const entries = yield* entriesOf("t")
          const intent = entries.findIndex(({ _tag }) => _tag === "Intent")
          assert.isAtLeast(intent, 0)
          assert.include(JSON.stringify(entries.slice(intent + 1)), "payment-1")
        }).pipe(Effect.provide(store.layer))
    )

    it.effect("the time that a thread waits for answers does not count for its deadline, restarts do", () =>
      Effect.gen(function* () {
        const make = (after: number) =>
          Graph.make("timely", {
            state: { out: Channel.append(Schema.String) },
            nodes: {
              before: ({ out }) =>
                out.includes("queued") ? Effect.void : Effect.as(TestClock.adjust("40 seconds"), { out: ["before"] }),
              ask: ({ out }) =>
                out.includes("queued") ? Effect.void : Effect.map(Ask.ask(Approve, "?"), () => ({ out: ["answered"] })),
              after: ({ out }) =>
                out.includes("queued") ? Effect.void : Effect.as(TestClock.adjust(after), { out: ["after"] })
            },
            edges: { start: "before", before: "ask", ask: "after", after: "end" },
            deadline: "1 minute"
          })
        for (const after of [10_000, 30_000]) {
          const graph = make(after)
          const thread = `t${after}`
          assert.strictEqual((yield* Thread.run(graph, { thread, input: {} }))._tag, "Waiting")
          yield* TestClock.adjust("5 minutes")
          // Looking at it, and queueing behind it, changes nothing.
          assert.strictEqual((yield* elsewhere(Thread.run(graph, { thread })))._tag, "Waiting")
          const behind = { thread, input: { out: ["queued"] }, whenBusy: "queue" } as const
          assert.strictEqual((yield* elsewhere(Thread.run(graph, behind)))._tag, "Queued")
          yield* TestClock.adjust("5 minutes")
          yield* elsewhere(Thread.answer(Approve, { thread, value: true }))
          yield* TestClock.adjust("5 minutes")
          const exit = yield* Effect.exit(elsewhere(Thread.run(graph, { thread })))
          if (after < 20_000) {
            assert.ok(Exit.isSuccess(exit))
            continue
          }
          assert.ok(Exit.isFailure(exit))
          const error: unknown = Cause.squash(exit.cause)
          assert.deepInclude(error, { _tag: "DeadlineExceeded", graph: "timely", path: "", millis: minute })
          // What was queued behind it has a time of its own.
          assert.deepStrictEqual((yield* Thread.state(graph, { thread })).out, ["before", "answered", "queued"])
        }
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("the time that a graph inside waits for answers does not count for its own deadline either", () =>
      Effect.gen(function* () {
        const Inner = Graph.make("inner", {
          state: { ok: Channel.optional(Schema.Boolean) },
          nodes: { ask: Ask.node(Approve, { question: () => "?", update: (ok) => ({ ok }) }) },
          edges: { start: "ask", ask: "end" },
          deadline: "1 minute"
        })
        const graph = Graph.make("outer", {
          state: { ok: Channel.optional(Schema.Boolean) },
          nodes: { inner: Graph.node(Inner, { input: () => ({}), update: ({ ok }) => ({ ok }) }) },
          edges: { start: "inner", inner: "end" }
        })
        assert.strictEqual((yield* Thread.run(graph, { thread: "t", input: {} }))._tag, "Waiting")
        yield* TestClock.adjust("10 minutes")
        yield* Thread.answer(Approve, { thread: "t", value: true })
        const exit = yield* Effect.exit(elsewhere(Thread.run(graph, { thread: "t" })))
        assert.ok(Exit.isSuccess(exit), String(exit))
        assert.strictEqual(exit.value.state.ok, true)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("time spent waiting before a graph inside began is not given to it, nor does a snapshot forget it", () =>
      Effect.gen(function* () {
        const Inner = Graph.make("inner", {
          state: { n: Channel.sum },
          nodes: {
            ask: () => Effect.map(Ask.ask(Approve, "inside?"), () => ({})),
            work: () => Effect.as(TestClock.adjust("2 minutes"), {})
          },
          edges: { start: "ask", ask: "work", work: "end" },
          deadline: "1 minute"
        })
        const graph = Graph.make("outer", {
          state: { n: Channel.sum },
          nodes: {
            ask: () => Effect.map(Ask.ask(Approve, "?"), () => ({})),
            // Enough entries that the thread is opened from its snapshot.
            count: () => Effect.succeed({ n: 1 }),
            again: () => Effect.map(Ask.ask(Approve, "again?"), () => ({})),
            inner: Graph.node(Inner, { input: () => ({}), update: () => ({}) }),
            late: ({ n }) => Effect.succeed({ n: -n })
          },
          edges: {
            start: "ask",
            ask: "count",
            count: ({ n }) => (n < 20 ? "count" : "again"),
            again: "inner",
            inner: "end",
            late: "end"
          },
          onError: { DeadlineExceeded: "late" },
          deadline: "5 minutes"
        })
        const run = eager(Thread.run(graph, { thread: "t", run: "only", input: {} }))
        for (const name of ["first", "second", "inside"]) {
          assert.strictEqual((yield* run)._tag, "Waiting", name)
          yield* TestClock.adjust("1 hour")
          yield* Thread.answer(Approve, { thread: "t", value: true })
        }
        assert.strictEqual((yield* run).state.n, 0)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("an answer that comes while siblings still work is taken in by the run under way", () =>
      Effect.gen(function* () {
        const gate = yield* makeGate
        const graph = Graph.make("meanwhile", {
          state: { out: Channel.append(Schema.String) },
          nodes: {
            ask: () => Effect.map(Ask.ask(Approve, "?"), (ok) => ({ out: [`${ok}`] })),
            work: () => Effect.as(gate.pass, { out: ["worked"] })
          },
          edges: { start: ["ask", "work"], ask: "end", work: "end" }
        })
        const run = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
        yield* gate.reached
        const asked = Thread.events({ thread: "t", follow: true }).pipe(
          Stream.takeUntil(({ entry }) => entry._tag === "AskOpened")
        )
        yield* Stream.runDrain(asked)
        yield* elsewhere(Thread.answer(Approve, { thread: "t", value: true }))
        yield* gate.open
        const done = yield* Fiber.join(run)
        assert.deepStrictEqual([done._tag, done.state.out], ["Done", ["true", "worked"]])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("the names of a step that was given up do not come back, in a live process and after a restart", () =>
      Effect.gen(function* () {
        const keys: Array<string> = []
        const graph = Graph.make("names", {
          state: { item: Channel.last(Schema.String) },
          nodes: {
            work: ({ item }) =>
              Effect.gen(function* () {
                keys.push((yield* Task.Current)?.key ?? "")
                return yield* item === "last" ? Effect.succeed({}) : new Boom({ what: item })
              })
          },
          edges: { start: "work", work: "end" }
        })
        for (const [index, process] of [cold, cold, elsewhere, elsewhere].entries()) {
          const item = index === 3 ? "last" : `${index}`
          yield* Effect.exit(process(Thread.run(graph, { thread: "t", input: { item } })))
        }
        assert.lengthOf(keys, 4)
        assert.strictEqual(new Set(keys).size, 4, keys.join())
        // The same run has the same key.
        yield* Effect.exit(Thread.run(graph, { thread: "u", input: { item: "x" } }))
        yield* Effect.exit(elsewhere(Thread.run(graph, { thread: "u" })))
        assert.strictEqual(keys[4], keys[5])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a patched thread that waits goes on waiting at no cost to its deadline", () =>
      Effect.gen(function* () {
        const graph = Graph.make("patient", {
          state: { n: Channel.sum, ok: Channel.optional(Schema.Boolean) },
          nodes: {
            ask: Ask.node(Approve, { question: ({ n }: { readonly n: number }) => `${n}`, update: (ok) => ({ ok }) })
          },
          edges: { start: "ask", ask: "end" },
          deadline: "1 minute"
        })
        yield* Thread.run(graph, { thread: "t", input: {} })
        yield* elsewhere(Thread.patch(graph, { thread: "t", update: { n: 1 } }))
        assert.strictEqual((yield* infoOf("t")).status, "waiting")
        yield* TestClock.adjust("10 minutes")
        const waiting = yield* Effect.exit(elsewhere(Thread.run(graph, { thread: "t" })))
        assert.ok(Exit.isSuccess(waiting), String(waiting))
        assert.ok(waiting.value._tag === "Waiting")
        assert.deepStrictEqual(
          waiting.value.asks.map(({ question }) => question),
          ["1"]
        )
      }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "an ask with a deadline takes `otherwise` once it passed, or fails with AskExpired, which onError routes",
      () =>
        Effect.gen(function* () {
          const options = { question: Schema.String, answer: Schema.Boolean, deadline: "10 minutes" } as const
          const Strict = Ask.make("strict", options)
          const Lenient = Ask.make("lenient", { ...options, otherwise: () => false })
          const state = { out: Channel.append(Schema.String) }
          const lenient = Graph.make("lenient", {
            state,
            nodes: { ask: () => Effect.map(Ask.ask(Lenient, "?"), (ok) => ({ out: [`${ok}`] })) },
            edges: { start: "ask", ask: "end" }
          })
          const strict = Graph.make("strict", {
            state,
            nodes: { ask: () => Effect.map(Ask.ask(Strict, "?"), (ok) => ({ out: [`${ok}`] })) },
            edges: { start: "ask", ask: "end" }
          })
          const routed = Graph.make("routed", {
            state,
            nodes: {
              ask: () => Effect.map(Ask.ask(Strict, "?"), (ok) => ({ out: [`${ok}`] })),
              late: () => Effect.succeed({ out: ["too late"] })
            },
            edges: { start: "ask", ask: "end", late: "end" },
            onError: { AskExpired: "late" }
          })
          const opened = yield* Thread.run(lenient, { thread: "lenient", input: {} })
          assert.ok(opened._tag === "Waiting")
          const now = (yield* infoOf("lenient")).updatedAt
          assert.strictEqual(opened.asks[0]?.deadline, now + 10 * minute)
          yield* Thread.run(strict, { thread: "strict", input: {} })
          yield* Thread.run(routed, { thread: "routed", input: {} })
          yield* Thread.run(lenient, { thread: "in time", input: {} })
          yield* TestClock.adjust("9 minutes")
          yield* Thread.answer(Lenient, { thread: "in time", value: true })
          assert.strictEqual((yield* elsewhere(Thread.run(lenient, { thread: "lenient" })))._tag, "Waiting")
          yield* TestClock.adjust("1 minute")
          const late = yield* Effect.flip(Thread.answer(Lenient, { thread: "lenient", value: true }))
          assert.strictEqual(late._tag, "AskNotOpen")
          const inTime = yield* elsewhere(Thread.run(lenient, { thread: "in time" }))
          assert.deepStrictEqual(inTime.state.out, ["true"])
          const otherwise = yield* elsewhere(Thread.run(lenient, { thread: "lenient" }))
          assert.deepStrictEqual(otherwise.state.out, ["false"])
          const tooLate = yield* elsewhere(Thread.run(routed, { thread: "routed" }))
          assert.deepStrictEqual(tooLate.state.out, ["too late"])
          const expired = yield* Effect.flip(elsewhere(Thread.run(strict, { thread: "strict" })))
          assert.ok(expired._tag === "AskExpired" && expired.asked === "strict")
          assert.strictEqual(
            (yield* Effect.flip(elsewhere(Thread.run(strict, { thread: "strict" }))))._tag,
            "AskExpired"
          )
          assert.strictEqual((yield* tagsOf("strict")).filter((tag) => tag === "AskExpired").length, 1)
          assert.deepStrictEqual(yield* Thread.asks({ thread: "strict" }), [])
        }).pipe(Effect.provide(store.layer))
    )

    it.effect("a node that asks and is retried asks once and keeps its answer, whoever the policy belongs to", () =>
      Effect.gen(function* () {
        let attempts = 0
        const node = () =>
          Effect.gen(function* () {
            attempts++
            const first = yield* Ask.ask(Approve, "first")
            const second = yield* Ask.ask(Approve, "second")
            if (attempts % 3 !== 0) return yield* new Boom({ what: "after the answers" })
            return { out: [`${first} ${second}`] }
          })
        const state = { out: Channel.append(Schema.String) }
        const policy = Policy.make({ retry: Policy.retryable(Schedule.recurs(5)) })
        for (const [thread, graph] of [
          [
            "of the graph",
            Graph.make("a", {
              state,
              nodes: { node },
              edges: { start: "node", node: "end" },
              policies: { node: policy }
            })
          ],
          [
            "of the node",
            Graph.make("b", {
              state,
              nodes: { node: Node.withPolicy(node, policy) },
              edges: { start: "node", node: "end" }
            })
          ]
        ] as const) {
          attempts = -2
          assert.strictEqual((yield* Thread.run(graph, { thread, input: {} }))._tag, "Waiting")
          yield* Thread.answer(Approve, { thread, value: true })
          assert.strictEqual((yield* elsewhere(Thread.run(graph, { thread })))._tag, "Waiting")
          yield* Thread.answer(Approve, { thread, value: false })
          const done = yield* elsewhere(Thread.run(graph, { thread }))
          assert.deepStrictEqual([done.state.out, attempts], [["true false"], 3])
          assert.strictEqual((yield* tagsOf(thread)).filter((tag) => tag === "AskOpened").length, 2)
        }
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("an ephemeral channel is seen by the next step and no later, across restarts and from snapshots", () =>
      Effect.gen(function* () {
        const graph = Graph.make("fleeting", {
          state: {
            n: Channel.sum,
            notes: Channel.ephemeral(Channel.append(Schema.String)),
            seen: Channel.append(Schema.String)
          },
          nodes: {
            look: ({ n, notes }) =>
              Effect.succeed({ n: 1, seen: [notes.join()], ...(n % 3 === 0 ? { notes: [`note ${n}`] } : {}) }),
            ask: ({ notes }) =>
              Effect.map(Ask.ask(Approve, notes.join()), () => ({ seen: [`asked with ${notes.join()}`] })),
            last: ({ notes }) => Effect.succeed({ seen: [`last with ${notes.join()}`] })
          },
          edges: {
            start: "look",
            look: ({ n, notes }) => (n === 19 && notes.length === 1 ? "ask" : "look"),
            ask: "last",
            last: "end"
          }
        })
        for (const process of [elsewhere, eager]) {
          const thread = process === eager ? "from a snapshot" : "from entries"
          const waiting = yield* process(Thread.run(graph, { thread, input: { notes: ["input"] } }))
          assert.ok(waiting._tag === "Waiting")
          assert.deepStrictEqual(waiting.state.notes, ["note 18"])
          assert.deepStrictEqual(waiting.state.seen.slice(0, 5), ["input", "note 0", "", "", "note 3"])
          yield* elsewhere(Thread.answer(Approve, { thread, value: true }))
          const done = yield* elsewhere(Thread.run(graph, { thread }))
          assert.deepStrictEqual(done.state.seen.slice(-2), ["asked with note 18", "last with "])
          assert.deepStrictEqual(done.state.notes, [])
          assert.deepStrictEqual(yield* elsewhere(Thread.state(graph, { thread })), done.state)
        }
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a thread killed while a join waits goes on from a snapshot taken there", () =>
      Effect.gen(function* () {
        const graph = Graph.make("joined", {
          state: { round: Channel.sum, out: Channel.append(Schema.String) },
          nodes: {
            fork: () => Effect.succeed({ round: 1 }),
            short: () => Effect.succeed({ out: ["short"] }),
            long1: () => Effect.succeed({ out: ["1"] }),
            long2: () => Effect.succeed({ out: ["2"] }),
            long3: () => Effect.succeed({ out: ["3"] }),
            meet: ({ round }) => Effect.succeed({ out: [`meet ${round}`] })
          },
          edges: {
            start: "fork",
            fork: ["short", "long1"],
            short: "meet",
            long1: "long2",
            long2: "long3",
            long3: "meet",
            meet: ({ round }) => (round < 6 ? "fork" : "end")
          },
          joins: { meet: ["short", "long3"] }
        })
        const journal = yield* Journal.Journal
        const expected = Array.from({ length: 6 }, (_, n) => ["short", "1", "2", "3", `meet ${n + 1}`]).flat()
        const run = (thread: string) => Thread.run(graph, { thread, run: "only", input: {} })
        let waitingJoins = 0
        for (let at = 18; at <= 31; at += store.name === "PostgreSQL" ? 3 : 1) {
          const thread = `t${at}`
          const crashing = yield* CrashingJournal.make(journal, { at })
          const exit = yield* Effect.exit(Effect.provideService(eager(run(thread)), Journal.Journal, crashing))
          assert.ok(Exit.isFailure(exit), thread)
          const snapshot = yield* journal.snapshot(thread)
          if (JSON.stringify(Option.getOrThrow(snapshot).value).includes('"arrived":{"meet"')) waitingJoins++
          assert.deepStrictEqual((yield* elsewhere(run(thread))).state.out, expected, thread)
        }
        assert.isAtLeast(waitingJoins, 2)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("what a process holds of a thread is never older than the thread, and never of another of its name", () =>
      Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const item = (name: string) => ({ thread: "t", input: { item: name } })
        yield* Thread.run(Items, item("mine"))
        yield* elsewhere(Thread.run(Items, item("theirs")))
        const both = yield* Thread.run(Items, item("mine again"))
        assert.deepStrictEqual(
          both.state.out.filter((line) => line.startsWith("done")),
          ["done mine", "done theirs", "done mine again"]
        )
        // Removed, and made anew elsewhere as long as it was.
        yield* journal.remove("t")
        for (const name of ["x", "y", "ask z"]) yield* elsewhere(Thread.run(Items, item(name)))
        const waiting = yield* Thread.run(Items, { thread: "t" })
        assert.ok(waiting._tag === "Waiting")
        assert.deepStrictEqual(waiting.state.out, ["begin x", "done x", "begin y", "done y", "begin ask z"])
        // Answered elsewhere, patched elsewhere.
        yield* elsewhere(Thread.answer(Approve, { thread: "t", value: true }))
        yield* elsewhere(Thread.patch(Items, { thread: "t", update: { out: ["patched"] } }))
        assert.strictEqual((yield* Thread.run(Items, { thread: "t" }))._tag, "Waiting")
        yield* Thread.answer(Approve, { thread: "t", value: true })
        assert.deepStrictEqual((yield* Thread.run(Items, { thread: "t" })).state.out.slice(-2), [
          "patched",
          "done ask z"
        ])
        // A process that holds nothing comes to the same.
        const held = yield* cold(Thread.run(Items, item("cold")))
        assert.deepStrictEqual(yield* elsewhere(Thread.state(Items, { thread: "t" })), held.state)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("what tasks write while an append is under way goes into the next as one", () =>
      Effect.gen(function* () {
        let appends = 0
        const graph = Graph.make("wide", {
          state: { out: Channel.append(Schema.Int) },
          nodes: { work: Node.make(Schema.Int, (n) => Effect.as(Effect.yieldNow, { out: [n] })) },
          edges: { start: { each: "work", of: () => Array.from({ length: 200 }, (_, n) => n) }, work: "end" }
        })
        const done = yield* onJournal((journal) => ({
          // Each append takes as long as the others need to come.
          append: (...args) =>
            Effect.andThen(
              settle,
              Effect.suspend(() => (appends++, journal.append(...args)))
            )
        }))(Thread.run(graph, { thread: "t", input: {} }))
        assert.deepStrictEqual(done.state.out.length, 200)
        assert.strictEqual((yield* tagsOf("t")).filter((tag) => tag === "TaskCompleted").length, 199)
        assert.isAtMost(appends, 10)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("edits of a conversation by id survive a restart; one that cannot be made fails the node", () =>
      Effect.gen(function* () {
        const user = (id: string, text: string) =>
          Messages.withId(Prompt.userMessage({ content: [Prompt.textPart({ text })] }), id)
        const graph = Graph.make("talk", {
          state: { talk: Channel.messages, bad: Channel.last(Schema.Boolean, { initial: false }) },
          nodes: {
            say: () =>
              Effect.succeed({ talk: Messages.append(user("a", "one"), user("b", "two"), user("c", "three")) }),
            ask: () => Effect.map(Ask.ask(Approve, "?"), () => ({})),
            edit: ({ bad }) =>
              Effect.succeed({
                talk: [...Messages.remove([bad ? "nobody" : "b"]), ...Messages.replace("a", user("x", "uno"))]
              })
          },
          edges: { start: "say", say: "ask", ask: "edit", edit: "end" }
        })
        const texts = ({ content }: Prompt.Prompt) =>
          content.map((message) => [
            Messages.idOf(message),
            JSON.stringify(message.content).match(/"text":"(\w+)"/)?.[1]
          ])
        yield* Thread.run(graph, { thread: "t", input: {} })
        yield* Thread.answer(Approve, { thread: "t", value: true })
        yield* Thread.fork(graph, { thread: "t", at: (yield* infoOf("t")).head, as: "bad", update: { bad: true } })
        const done = yield* elsewhere(Thread.run(graph, { thread: "t" }))
        assert.deepStrictEqual(texts(done.state.talk), [
          ["a", "uno"],
          ["c", "three"]
        ])
        assert.deepStrictEqual(
          texts((yield* elsewhere(Thread.state(graph, { thread: "t" }))).talk),
          texts(done.state.talk)
        )
        assert.strictEqual((yield* Thread.run(graph, { thread: "bad" }))._tag, "Waiting")
        yield* Thread.answer(Approve, { thread: "bad", value: true })
        const refused = yield* Effect.flip(elsewhere(Thread.run(graph, { thread: "bad" })))
        assert.ok(refused._tag === "NodeContractViolated")
        assert.deepStrictEqual([refused.node, refused.part], ["edit", `the reducer of channel "talk"`])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "a stream whose input replaces a run tells every entry, also those that came while it took its place",
      () =>
        Effect.gen(function* () {
          yield* Thread.run(Items, { thread: "t", input: { item: "ask" } })
          const journal = yield* Journal.Journal
          let meddled = false
          const events = yield* Stream.runCollect(
            Thread.stream(Items, { thread: "t", input: { item: "new" }, whenBusy: "replace", after: 0 })
          ).pipe(
            // Between the look at the thread and the first append, another process moves it.
            onJournal(() => ({
              append: (...args) =>
                Effect.suspend(() => {
                  if (meddled) return journal.append(...args)
                  meddled = true
                  return Effect.andThen(
                    Effect.orDie(
                      Effect.provideService(
                        Thread.patch(Items, { thread: "t", update: { out: ["patched"] } }),
                        Journal.Journal,
                        journal
                      )
                    ),
                    journal.append(...args)
                  )
                })
            }))
          )
          const { head } = yield* infoOf("t")
          assert.deepStrictEqual(
            events.flatMap((event) => (event._tag === "Journaled" ? [event.seq] : [])),
            Array.from({ length: head }, (_, index) => index + 1)
          )
        }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "an input that cannot be folded in is refused, and one that could not when its turn came harms no other",
      () =>
        Effect.gen(function* () {
          const line = (id: string) => Prompt.fromMessages([Messages.withId(Prompt.userMessage({ content: [] }), id)])
          const graph = Graph.make("talk", {
            state: { talk: Channel.messages, runs: Channel.sum },
            nodes: {
              ask: ({ talk }) =>
                talk.content.length === 1 ? Effect.map(Ask.ask(Approve, "?"), () => ({})) : Effect.void,
              count: () => Effect.succeed({ runs: 1 })
            },
            edges: { start: "ask", ask: "count", count: "end" }
          })
          const input = (id: string, run: string) => ({ thread: "t", input: { talk: line(id) }, run })
          const ids = Effect.map(elsewhere(Thread.state(graph, { thread: "t" })), ({ talk }) =>
            talk.content.map(Messages.idOf)
          )
          yield* Thread.run(graph, input("a", "first"))
          // Two of the same id: the second does not know yet that the first will be there.
          for (const [id, run] of [
            ["b", "second"],
            ["b", "third"],
            ["c", "fourth"]
          ] as const) {
            const queued = yield* elsewhere(Thread.run(graph, { ...input(id, run), whenBusy: "queue" }))
            assert.strictEqual(queued._tag, "Queued")
          }
          yield* Thread.answer(Approve, { thread: "t", value: true })
          const error = yield* Effect.flip(elsewhere(Thread.run(graph, { thread: "t" })))
          assert.strictEqual(error._tag, "NodeContractViolated")
          yield* Effect.exit(elsewhere(Thread.run(graph, { thread: "t" })))
          assert.deepStrictEqual(yield* ids, ["a", "b", "c"])
          // Outside of a queue it is refused at once, and nothing is written.
          const { head } = yield* infoOf("t")
          const refused = yield* Effect.flip(elsewhere(Thread.run(graph, input("a", "fifth"))))
          assert.strictEqual(refused._tag, "NodeContractViolated")
          assert.strictEqual((yield* infoOf("t")).head, head)
          const done = yield* elsewhere(Thread.run(graph, input("d", "sixth")))
          assert.deepStrictEqual(done.state.talk.content.map(Messages.idOf), ["a", "b", "c", "d"])
          // A patch is an update like any other.
          yield* Thread.patch(graph, { thread: "t", update: { talk: Messages.remove(["a", "c"]) } })
          assert.deepStrictEqual(yield* ids, ["b", "d"])
          const unknown = yield* Effect.flip(
            Thread.patch(graph, { thread: "t", update: { talk: Messages.remove(["a"]) } })
          )
          assert.strictEqual(unknown._tag, "NodeContractViolated")
        }).pipe(Effect.provide(store.layer))
    )

    it.effect("a thread that died between a run and what is queued behind it is not taken for finished", () =>
      Effect.gen(function* () {
        const journal = yield* Journal.Journal
        for (const first of ["ask", "ask and bad"]) {
          const item = first === "ask" ? "q0" : "bad"
          for (let at = 1; at <= 6; at++) {
            const thread = `${first} ${at}`
            yield* queue(thread, "ask")
            for (const next of [item, "q1"]) yield* elsewhere(queue(thread, next))
            yield* Thread.answer(Approve, { thread, value: true })
            const crashing = yield* CrashingJournal.make(journal, { at, append: "written" })
            yield* Effect.provideService(Effect.exit(Thread.run(Items, { thread })), Journal.Journal, crashing)
            const { out } = yield* Thread.state(Items, { thread })
            // Who looks for threads to go on with, or to delete, must see that there is work left.
            const { status } = yield* infoOf(thread)
            assert.strictEqual(status, out.includes("done q1") ? "done" : "unfinished", `${thread}: ${out.join()}`)
          }
        }
      }).pipe(Effect.provide(store.layer))
    )
  })
}

// What must not go wrong when runs fail, asks are answered and threads are forked; each found once as a bug.
import { Ask, Channel, Durable, Edge, Errors, Graph, Journal, Node, Policy, Task, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { stores } from "./stores.ts"

const Approve = Ask.make("approve", {
  question: Schema.Struct({ total: Schema.Finite }),
  answer: Schema.Struct({ approved: Schema.Boolean })
})

class Boom extends Schema.TaggedError<Boom>()("Boom", { item: Schema.String }) {}

for (const store of stores("selvage_recovery_test")) {
  describe.skipIf(store.skip)(`Recovery on ${store.name}`, () => {
    it.effect("the answer to an uncertain call is used for that call only, and once", () =>
      Effect.gen(function* () {
        const made: Array<string> = []
        let dying: string | undefined = "k1"
        const call = (key: string) =>
          Durable.call({
            key,
            detail: key,
            schema: Schema.String,
            call: Effect.suspend(() => {
              made.push(key)
              return dying === key ? Effect.die("killed") : Effect.succeed(`result of ${key}`)
            })
          })
        const graph = Graph.make("calls", {
          state: { results: Channel.append(Schema.String) },
          nodes: { both: () => Effect.map(Effect.all([call("k1"), call("k2")]), (results) => ({ results })) },
          edges: { start: "both", both: "end" }
        })
        const repeat = { thread: "t", value: { decision: "repeat" } } as const
        yield* Effect.exit(Thread.run(graph, { thread: "t", input: {} }))
        yield* Thread.run(graph, { thread: "t" })
        yield* Thread.answer(Durable.Uncertain, repeat)
        // Repeated, and killed again: it must be asked again.
        yield* Effect.exit(Thread.run(graph, { thread: "t" }))
        assert.deepStrictEqual(made, ["k1", "k1"])
        assert.strictEqual((yield* Thread.run(graph, { thread: "t" }))._tag, "Waiting")
        yield* Thread.answer(Durable.Uncertain, { thread: "t", value: { decision: "made", result: "found" } })
        dying = "k2"
        yield* Effect.exit(Thread.run(graph, { thread: "t" }))
        const second = yield* Thread.run(graph, { thread: "t" })
        assert.ok(second._tag === "Waiting")
        assert.deepStrictEqual(
          second.asks.map(({ question }) => question),
          [{ key: "k2", detail: "k2" }]
        )
        yield* Thread.answer(Durable.Uncertain, { thread: "t", value: { decision: "made", result: "k2 by hand" } })
        const done = yield* Thread.run(graph, { thread: "t" })
        assert.deepStrictEqual(done.state.results, ["found", "k2 by hand"])
        assert.deepStrictEqual(made, ["k1", "k1", "k2"])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("an answer belongs to its question, also when an earlier ask is not made again", () =>
      Effect.gen(function* () {
        const Answers = Schema.Struct({ approved: Schema.Boolean })
        const graph = Graph.make("asks", {
          state: { answers: Channel.append(Schema.Boolean) },
          nodes: {
            ask: () =>
              Effect.gen(function* () {
                const first = yield* Durable.once("first", Answers, Ask.ask(Approve, { total: 1 }))
                const second = yield* Ask.ask(Approve, { total: 2 })
                return { answers: [first.approved, second.approved] }
              })
          },
          edges: { start: "ask", ask: "end" }
        })
        yield* Thread.run(graph, { thread: "t", input: {} })
        yield* Thread.answer(Approve, { thread: "t", value: { approved: true } })
        for (let again = 0; again < 2; again++) {
          const waiting = yield* Thread.run(graph, { thread: "t" })
          assert.ok(waiting._tag === "Waiting")
          assert.deepStrictEqual(
            waiting.asks.map(({ question }) => question),
            [{ total: 2 }]
          )
        }
        yield* Thread.answer(Approve, { thread: "t", value: { approved: false } })
        assert.deepStrictEqual((yield* Thread.run(graph, { thread: "t" })).state.answers, [true, false])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a run after a failed one asks anew and has keys of its own", () =>
      Effect.gen(function* () {
        const keys: Array<string> = []
        let fail = true
        const graph = Graph.make("again", {
          state: { total: Channel.last(Schema.Finite), ok: Channel.optional(Schema.Boolean) },
          nodes: {
            ask: ({ total }) =>
              Effect.gen(function* () {
                keys.push((yield* Task.Current)?.key ?? "")
                const { approved } = yield* Ask.ask(Approve, { total })
                return fail ? yield* new Boom({ item: "after the answer" }) : { ok: approved }
              })
          },
          edges: { start: "ask", ask: "end" }
        })
        yield* Thread.run(graph, { thread: "t", input: { total: 1 } })
        yield* Thread.answer(Approve, { thread: "t", value: { approved: true } })
        assert.strictEqual((yield* Effect.flip(Thread.run(graph, { thread: "t" })))._tag, "Boom")
        fail = false
        const next = yield* Thread.run(graph, { thread: "t", input: { total: 1_000_000 } })
        assert.ok(next._tag === "Waiting")
        assert.deepStrictEqual(
          next.asks.map(({ question }) => question),
          [{ total: 1_000_000 }]
        )
        assert.notStrictEqual(keys.at(-1), keys[0])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("fan-outs into one node in one step lose no item, whatever their keys", () =>
      Effect.gen(function* () {
        const out = { state: { out: Channel.append(Schema.String) } }
        const work = Node.make(Schema.String, (item) => Effect.succeed({ out: [item] }))
        const three = Graph.make("three", {
          ...out,
          nodes: { a: () => Effect.succeed({}), b: () => Effect.succeed({}), c: () => Effect.succeed({}), work },
          edges: {
            start: ["a", "b", "c"],
            a: () => Edge.fanOut("work", ["a"]),
            b: () => Edge.fanOut("work", ["b"]),
            c: () => Edge.fanOut("work", ["c"]),
            work: "end"
          }
        })
        assert.deepStrictEqual((yield* Thread.run(three, { thread: "t", input: {} })).state.out, ["a", "b", "c"])
        const keyed = Graph.make("keyed", {
          ...out,
          nodes: { work },
          edges: {
            start: () => Edge.fanOut("work", ["0", "1", "2"], { keys: ["x#2", "x", "x"] }),
            work: "end"
          }
        })
        assert.deepStrictEqual((yield* Thread.run(keyed, { thread: "k", input: {} })).state.out, ["0", "1", "2"])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("every error that is routed reaches its node", () =>
      Effect.gen(function* () {
        const graph = Graph.make("errors", {
          state: { rescued: Channel.append(Schema.String) },
          nodes: {
            work: Node.make(Schema.String, (item) => Effect.fail(new Boom({ item }))),
            rescue: Node.make(Boom, ({ item }) => Effect.succeed({ rescued: [item] }))
          },
          edges: { start: () => Edge.fanOut("work", ["1", "2"]), work: "end", rescue: "end" },
          onError: { Boom: "rescue" }
        })
        assert.deepStrictEqual((yield* Thread.run(graph, { thread: "t", input: {} })).state.rescued, ["1", "2"])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a named run is never taken for another of the same input", () =>
      Effect.gen(function* () {
        let fail = true
        const graph = Graph.make("days", {
          state: { days: Channel.sum },
          nodes: {
            work: () => Effect.suspend(() => (fail ? Effect.fail(new Boom({ item: "" })) : Effect.succeed({ days: 1 })))
          },
          edges: { start: "work", work: "end" }
        })
        yield* Effect.flip(Thread.run(graph, { thread: "t", input: {}, run: "monday" }))
        fail = false
        yield* Thread.run(graph, { thread: "t", input: {}, run: "tuesday" })
        const entries = yield* Stream.runCollect(Thread.events({ thread: "t" }))
        assert.deepStrictEqual(
          entries.flatMap(({ entry }) => (entry._tag === "RunStarted" ? [entry.run] : [])),
          ["monday", "tuesday"]
        )
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a graph that asks and runs on its own inside a node fails instead of waiting for nobody", () =>
      Effect.gen(function* () {
        const Asking = Graph.make("asking", {
          state: { ok: Channel.optional(Schema.Boolean) },
          nodes: {
            ask: Ask.node(Approve, { question: () => ({ total: 1 }), update: ({ approved }) => ({ ok: approved }) })
          },
          edges: { start: "ask", ask: "end" }
        })
        const graph = Graph.make("outer", {
          state: { done: Channel.sum },
          nodes: { inner: () => Effect.as(Graph.run(Asking, {}), { done: 1 }) },
          edges: { start: "inner", inner: "end" }
        })
        const error = yield* Effect.flip(Thread.run(graph, { thread: "t", input: {} }))
        assert.ok(error._tag === "NodeContractViolated")
        assert.include(error.message, "Graph.node")
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a finished thread can be forked and go on with another input; its last node may be gone by then", () =>
      Effect.gen(function* () {
        const graph = (node: "old" | "new") =>
          Graph.make("renamed", {
            state: { n: Channel.last(Schema.Finite), seen: Channel.append(Schema.Finite) },
            nodes: {
              [node]: ({ n }: { readonly n: number }) => Effect.succeed({ seen: [n] })
            },
            edges: { start: node, [node]: "end" } as never
          })
        yield* Thread.run(graph("old"), { thread: "t", input: { n: 1 } })
        const { head } = yield* Effect.flatMap(Journal.Journal, (journal) => journal.info("t"))
        yield* Thread.fork(graph("old"), { thread: "t", at: head, as: "f" })
        assert.strictEqual((yield* Effect.flatMap(Journal.Journal, (journal) => journal.info("f"))).status, "done")
        const forked = yield* Thread.run(graph("new"), { thread: "f", input: { n: 2 } })
        assert.deepStrictEqual(forked.state.seen, [1, 2])
        assert.deepStrictEqual((yield* Thread.state(graph("new"), { thread: "f" })).seen, [1, 2])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("a patch plans the step under way anew", () =>
      Effect.gen(function* () {
        const graph = Graph.make("patched", {
          state: { items: Channel.last(Schema.Array(Schema.String)), out: Channel.append(Schema.String) },
          nodes: { work: Node.make(Schema.String, (item) => Effect.as(Effect.yieldNow, { out: [item] })) },
          edges: { start: { each: "work", of: ({ items }) => items }, work: "end" }
        })
        yield* Thread.run(graph, { thread: "t", input: { items: ["a", "b"] } })
        yield* Thread.fork(graph, { thread: "t", at: 2, as: "f", update: { items: ["P", "Q"] } })
        assert.deepStrictEqual((yield* Thread.run(graph, { thread: "f" })).state.out, ["P", "Q"])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("what is folded is what a restart reads", () =>
      Effect.gen(function* () {
        const held: Array<number> = [1]
        const graph = Graph.make("faithful", {
          state: { o: Channel.optional(Schema.Struct({ a: Schema.Finite })), list: Channel.append(Schema.Finite) },
          nodes: {
            write: () => {
              const wide: { readonly a: number } = JSON.parse(`{"a":1,"extra":2}`)
              return Effect.succeed({ o: wide, list: held })
            },
            mutate: () => Effect.sync(() => void held.push(99))
          },
          edges: { start: "write", write: "mutate", mutate: "end" }
        })
        const { state } = yield* Thread.run(graph, { thread: "t", input: {} })
        assert.deepStrictEqual(state, { o: { a: 1 }, list: [1] })
        assert.deepStrictEqual(yield* Thread.state(graph, { thread: "t" }), state)
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("two graphs inside one task keep apart", () =>
      Effect.gen(function* () {
        const Double = Graph.make("double", {
          state: { n: Channel.last(Schema.Finite) },
          nodes: { double: ({ n }) => Effect.succeed({ n: n * 2 }) },
          edges: { start: "double", double: "end" }
        })
        const double = (n: number) =>
          Graph.node(Double, { input: () => ({ n }), update: (state) => state.n }).run(undefined)
        const graph = Graph.make("twice", {
          state: { out: Channel.append(Schema.Finite) },
          nodes: { both: () => Effect.map(Effect.all([double(5), double(10)]), (out) => ({ out })) },
          edges: { start: "both", both: "end" }
        })
        assert.deepStrictEqual((yield* Thread.run(graph, { thread: "t", input: {} })).state.out, [10, 20])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("no policy retries an ask, and an ask that its task gave up is closed with the step", () =>
      Effect.gen(function* () {
        let runs = 0
        const graph = Graph.make("policy", {
          state: { out: Channel.append(Schema.String) },
          nodes: {
            ask: () =>
              Effect.suspend(() => {
                runs++
                return Ask.ask(Approve, { total: 1 })
              }).pipe(
                Effect.map(() => ({ out: ["answered"] })),
                Effect.catchTag("Suspended", (suspended) =>
                  runs > 1 ? Effect.succeed({ out: ["gave up"] }) : Effect.fail(suspended)
                )
              )
          },
          edges: { start: "ask", ask: "end" },
          policies: { ask: Policy.make({ retry: Schedule.recurs(3) }) }
        })
        assert.strictEqual((yield* Thread.run(graph, { thread: "t", input: {} }))._tag, "Waiting")
        assert.strictEqual(runs, 1)
        assert.deepStrictEqual((yield* Thread.run(graph, { thread: "t" })).state.out, ["gave up"])
        assert.deepStrictEqual(yield* Thread.asks({ thread: "t" }), [])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect("names of Object's prototype are names like any other", () =>
      Effect.gen(function* () {
        const graph = Graph.make("names", {
          state: { n: Channel.sum },
          nodes: { work: () => Effect.succeed(JSON.parse(`{"constructor":1}`)) },
          edges: { start: "work", work: "end" }
        })
        const error = yield* Effect.flip(Thread.run(graph, { thread: "t", input: {} }))
        assert.ok(error instanceof Errors.NodeContractViolated)
        assert.strictEqual(error.part, `channel "constructor"`)
      }).pipe(Effect.provide(store.layer))
    )
  })
}

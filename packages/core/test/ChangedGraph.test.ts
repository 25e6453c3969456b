// A thread meets a graph whose channels need what the thread does not have.
import { assert, describe, it } from "@effect/vitest"
import { Ask, Channel, Graph, Journal, Node, Thread } from "@selvage/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const Ok = Ask.make("ok", { question: Schema.String, answer: Schema.Boolean })
const ask = () => Effect.map(Ask.ask(Ok, "?"), () => ({ n: 1 }))
const edges = { start: "ask", ask: "last", last: "end" } as const

const Before = Graph.make("g", {
  state: { n: Channel.sum, mode: Channel.last(Schema.String, { initial: "slow" }) },
  nodes: { ask, last: () => Effect.succeed({ n: 1 }) },
  edges
})
const Grown = Graph.make("g", {
  state: { n: Channel.sum, mode: Channel.last(Schema.String), tenant: Channel.last(Schema.String) },
  nodes: { ask, last: ({ mode, tenant }) => Effect.succeed({ n: mode.length + tenant.length }) },
  edges
})

const cold = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provideService(self, Thread.WarmThreads, 0)
const waiting = Thread.run(Before, { thread: "t", input: {} })

describe("a channel that has no value and no initial one", () => {
  const test = (name: string, body: Effect.Effect<void, unknown, Journal.Journal>) =>
    it.effect(name, () => cold(body).pipe(Effect.provide(Journal.layerMemory)))

  test(
    "is GraphChanged that names it and says what to do, and a patch gives it one",
    Effect.gen(function* () {
      yield* waiting
      yield* Thread.answer(Ok, { thread: "t", value: true })
      const changed = yield* Effect.flip(Thread.run(Grown, { thread: "t" }))
      assert.strictEqual(changed._tag, "GraphChanged")
      for (const part of [`channel "tenant"`, `channel "mode"`, "initial value", "Thread.patch"]) {
        assert.include(changed.message, part)
      }
      assert.strictEqual((yield* Effect.flip(Thread.state(Grown, { thread: "t" })))._tag, "GraphChanged")
      yield* Thread.patch(Grown, { thread: "t", update: { tenant: "acme", mode: "fast" } })
      // A patch plans the step anew, so it asks again.
      assert.strictEqual((yield* Thread.run(Grown, { thread: "t" }))._tag, "Waiting")
      yield* Thread.answer(Ok, { thread: "t", value: true })
      const { state } = yield* Thread.run(Grown, { thread: "t" })
      assert.deepStrictEqual(state, { n: 9, tenant: "acme", mode: "fast" })
    })
  )

  test(
    "is given by the input of the next run of a thread that is done; until then its state is GraphChanged",
    Effect.gen(function* () {
      yield* waiting
      yield* Thread.answer(Ok, { thread: "t", value: true })
      yield* Thread.run(Before, { thread: "t" })
      assert.strictEqual((yield* Effect.flip(Thread.state(Grown, { thread: "t" })))._tag, "GraphChanged")
      assert.strictEqual((yield* Effect.flip(Thread.run(Grown, { thread: "t" })))._tag, "GraphChanged")
      const outcome = yield* Thread.run(Grown, { thread: "t", input: { tenant: "acme", mode: "fast" } })
      assert.strictEqual(outcome._tag, "Waiting")
      assert.strictEqual((yield* Thread.state(Grown, { thread: "t" })).tenant, "acme")
    })
  )

  test(
    "is a NodeContractViolated of an input that leaves it out, and of one that was queued before",
    Effect.gen(function* () {
      const left = yield* Effect.flip(Thread.run(Grown, { thread: "new", input: { mode: "x" } as never }))
      assert.strictEqual(left._tag, "NodeContractViolated")
      assert.include(left.message, `channel "tenant"`)
      assert.strictEqual((yield* Effect.flip(Graph.run(Grown, {} as never)))._tag, "NodeContractViolated")
      const journal = yield* Journal.Journal
      assert.strictEqual((yield* Effect.flip(journal.info("new")))._tag, "ThreadNotFound")

      yield* waiting
      yield* Thread.run(Before, { thread: "t", input: { mode: "queued" }, whenBusy: "queue" })
      yield* Thread.answer(Ok, { thread: "t", value: true })
      yield* Thread.patch(Grown, { thread: "t", update: { mode: "fast", tenant: "acme" } })
      const { state } = yield* Thread.run(Grown, { thread: "t" })
      assert.strictEqual(state.tenant, "acme", "what the thread has stands for queued inputs too")
    })
  )

  test(
    "of a graph inside is GraphChanged too",
    Effect.gen(function* () {
      const outer = <S, E>(inner: Graph.Graph<"g", S, E, never, {}>) =>
        Graph.make("outer", {
          state: { n: Channel.sum },
          nodes: { inside: Graph.node(inner, { input: () => ({}), update: () => ({ n: 1 }) }) },
          edges: { start: "inside", inside: "end" }
        })
      yield* Thread.run(outer(Before), { thread: "t", input: {} })
      yield* Thread.answer(Ok, { thread: "t", value: true })
      const changed = yield* Effect.flip(Thread.run(outer(Grown as never), { thread: "t" }))
      assert.strictEqual((changed as { readonly _tag: string })._tag, "GraphChanged")
    })
  )

  test(
    "may be undefined where its schema says so",
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        state: { maybe: Channel.last(Schema.UndefinedOr(Schema.String)) },
        nodes: { one: () => Effect.succeed({}) },
        edges: { start: "one", one: "end" }
      })
      assert.strictEqual((yield* Thread.run(graph, { thread: "t", input: { maybe: undefined } }))._tag, "Done")
    })
  )
})

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

it.effect("an error that is not routed any more, and a join that is gone, are GraphChanged", () =>
  Effect.gen(function* () {
    const make = (routed: boolean, joined: boolean) =>
      Graph.make("g", {
        state: { n: Channel.sum },
        nodes: {
          fails: () => Effect.fail(new Down()),
          short: () => Effect.succeed({ n: 1 }),
          ask,
          rescue: Node.make(Down, () => Effect.map(Ask.ask(Ok, "?"), () => ({ n: 1 }))),
          ...(joined ? { meet: () => Effect.succeed({ n: 10 }) } : {})
        },
        edges: {
          start: ["fails", "short"],
          fails: "end",
          short: joined ? "meet" : "end",
          ask: joined ? "meet" : "end",
          rescue: "ask",
          ...(joined ? { meet: "end" } : {})
        },
        onError: routed ? { Down: "rescue" } : {},
        joins: joined ? { meet: ["short", "ask"] } : {}
      } as never) as unknown as Graph.Graph<"g", { readonly n: number }, never, never, {}>
    yield* Thread.run(make(true, true), { thread: "t", input: {} })
    const unrouted = yield* Effect.flip(
      Thread.run(
        // Another way to `rescue`, so that the graph stands without the route.
        Graph.make("g", {
          state: { n: Channel.sum },
          nodes: {
            fails: () => Effect.succeed({}),
            short: () => Effect.succeed({ n: 1 }),
            ask,
            rescue: () => Effect.succeed({}),
            meet: () => Effect.succeed({ n: 10 })
          },
          edges: { start: ["fails", "short"], fails: "rescue", short: "meet", ask: "meet", rescue: "ask", meet: "end" },
          joins: { meet: ["short", "ask"] }
        }),
        { thread: "t" }
      )
    )
    assert.include(unrouted.message, "failed with Down, which the graph does not route any more")
    yield* Thread.answer(Ok, { thread: "t", value: true })
    yield* Thread.run(make(true, true), { thread: "t" })
    const unjoined = yield* Effect.flip(Thread.run(make(true, false), { thread: "t" }))
    assert.include(unjoined.message, `join "meet", which the graph does not have`)
  }).pipe(cold, Effect.provide(Journal.layerMemory))
)

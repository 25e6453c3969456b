import { Channel, Edge, Errors, Graph, Journal, Node, Policy, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"

class Flaky extends Schema.TaggedError<Flaky>()("Flaky", {
  isRetryable: Schema.Boolean,
  retryAfter: Schema.optionalKey(Schema.DurationFromMillis)
}) {}
class Broken extends Schema.TaggedError<Broken>()("Broken", { why: Schema.String }) {}

class Search extends Node.Service<Search>()("test/Search", {
  input: Schema.String,
  output: Schema.Struct({ notes: Schema.Array(Schema.String) }),
  error: Broken
}) {}

const Research = Graph.make("research", {
  state: { topics: Channel.append(Schema.String), notes: Channel.append(Schema.String) },
  nodes: { search: Search, done: ({ notes }) => Effect.succeed({ notes: [`${notes.length} notes`] }) },
  edges: { start: { each: "search", of: ({ topics }) => topics }, search: "done", done: "end" }
})

describe("Graph", () => {
  it.effect("loops by a route until the route says end", () =>
    Effect.gen(function* () {
      const Count = Graph.make("count", {
        state: { n: Channel.last(Schema.Int) },
        nodes: { increment: ({ n }) => Effect.succeed({ n: n + 1 }) },
        edges: { start: "increment", increment: ({ n }) => (n < 10 ? "increment" : "end") }
      })
      assert.deepStrictEqual(yield* Graph.run(Count, { n: 0 }), { n: 10 })
    })
  )

  it.effect("folds a fan-out in item order, whatever order its tasks finish in, and joins once", () =>
    Effect.gen(function* () {
      const layer = Search.toLayer((topic) =>
        Effect.as(Effect.sleep(Duration.seconds(10 - topic.length)), { notes: [topic] })
      )
      const fiber = yield* Effect.forkChild(
        Graph.run(Research, { topics: ["a", "bbb", "cc"] }).pipe(Effect.provide(layer))
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* Fiber.join(fiber)).notes, ["a", "bbb", "cc", "3 notes"])
    })
  )

  it.effect("a fan-out of no items goes on to the next node", () =>
    Effect.gen(function* () {
      const layer = Search.toLayer(() => Effect.die("not called"))
      assert.deepStrictEqual((yield* Graph.run(Research, {}).pipe(Effect.provide(layer))).notes, ["0 notes"])
    })
  )

  it.effect("never runs more tasks of a fan-out at once than its concurrency", () =>
    Effect.gen(function* () {
      let running = 0
      let most = 0
      const graph = Graph.make("bounded", {
        state: { out: Channel.append(Schema.Int) },
        nodes: {
          work: Node.make(Schema.Int, (n) =>
            Effect.gen(function* () {
              most = Math.max(most, ++running)
              yield* Effect.sleep("1 second")
              running--
              return { out: [n] }
            })
          )
        },
        edges: { start: () => Edge.fanOut("work", [1, 2, 3, 4, 5], { concurrency: 2 }), work: "end" }
      })
      const fiber = yield* Effect.forkChild(Graph.run(graph, {}))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* Fiber.join(fiber)).out, [1, 2, 3, 4, 5])
      assert.strictEqual(most, 2)
    })
  )

  it.effect("two tasks that write one last-value channel in one step fail naming channel and tasks", () =>
    Effect.gen(function* () {
      const graph = Graph.make("both", {
        state: { n: Channel.last(Schema.Int, { initial: 0 }) },
        nodes: { a: () => Effect.succeed({ n: 1 }), b: () => Effect.succeed({ n: 2 }) },
        edges: { start: ["a", "b"], a: "end", b: "end" }
      })
      const error = yield* Effect.flip(Graph.run(graph, {}))
      assert.deepStrictEqual(error, new Errors.ConcurrentUpdate({ channel: "n", tasks: ["a", "b"] }))
    })
  )

  it.effect("an error with a route runs that node once, with the error as its input where it takes one", () =>
    Effect.gen(function* () {
      const graph = Graph.make("routed", {
        state: { log: Channel.append(Schema.String) },
        nodes: {
          fail: () => Effect.fail(new Broken({ why: "no network" })),
          recover: Node.make(Broken, ({ why }) => Effect.succeed({ log: [why] }))
        },
        edges: { start: "fail", fail: "end", recover: "end" },
        onError: { Broken: "recover" }
      })
      assert.deepStrictEqual((yield* Graph.run(graph, {})).log, ["no network"])
    })
  )

  it.effect("falsy values are values", () =>
    Effect.gen(function* () {
      const graph = Graph.make("falsy", {
        state: {
          n: Channel.last(Schema.Int, { initial: 1 }),
          s: Channel.last(Schema.String, { initial: "x" }),
          b: Channel.last(Schema.Boolean, { initial: true }),
          z: Channel.last(Schema.NullOr(Schema.Int), { initial: 1 })
        },
        nodes: { clear: () => Effect.succeed({ n: 0, s: "", b: false, z: null }) },
        edges: { start: "clear", clear: "end" }
      })
      assert.deepStrictEqual(yield* Graph.run(graph, {}), { n: 0, s: "", b: false, z: null })
    })
  )

  it.effect("an update or an input that does not fit fails naming node and channel", () =>
    Effect.gen(function* () {
      const graph = Graph.make("contract", {
        state: { n: Channel.last(Schema.Int.check(Schema.isGreaterThan(0))) },
        nodes: { zero: () => Effect.succeed({ n: 0 }) },
        edges: { start: "zero", zero: "end" }
      })
      const update = yield* Effect.flip(Graph.run(graph, { n: 1 }))
      assert.ok(update._tag === "NodeContractViolated")
      assert.deepStrictEqual([update.node, update.part], ["zero", `channel "n"`])
      const input = yield* Effect.flip(Graph.run(graph, { n: -1 }))
      assert.ok(input._tag === "NodeContractViolated" && input.node === "start")
    })
  )

  it.effect("a node service that breaks its contract, and a reducer that throws, are named", () =>
    Effect.gen(function* () {
      const wrong = Search.toLayer(() => Effect.succeed(JSON.parse(`{"notes":[1]}`)))
      const error = yield* Effect.flip(Graph.run(Research, { topics: ["a"] }).pipe(Effect.provide(wrong)))
      assert.ok(error._tag === "NodeContractViolated" && error.node === "test/Search")
      const graph = Graph.make("reducer", {
        state: {
          n: Channel.reduce({
            schema: Schema.Int,
            update: Schema.Int,
            initial: 0,
            reducer: () => {
              throw new Error("no")
            }
          })
        },
        nodes: { one: () => Effect.succeed({ n: 1 }) },
        edges: { start: "one", one: "end" }
      })
      const thrown = yield* Effect.flip(Graph.run(graph, {}))
      assert.ok(thrown._tag === "NodeContractViolated" && thrown.part.includes(`"n"`))
    })
  )

  it.effect("a route forced past the compiler to nowhere is an UnknownRoute", () =>
    Effect.gen(function* () {
      const graph = Graph.make("nowhere", {
        state: { n: Channel.sum },
        nodes: { one: () => Effect.succeed({ n: 1 }) },
        edges: { start: "one", one: () => JSON.parse(`"nowhere"`) }
      })
      const error = yield* Effect.flip(Graph.run(graph, {}))
      assert.ok(error._tag === "UnknownRoute" && error.target === "nowhere")
    })
  )

  it("all that is wrong with a graph is found when it is built, at once", () => {
    try {
      Graph.make("bad", {
        state: { n: Channel.sum },
        nodes: {
          stuck: () => Effect.succeed({ n: 1 }),
          lost: () => Effect.succeed({ n: 1 })
        },
        edges: { start: "stuck", stuck: "stuck", lost: "end" }
      })
      assert.fail("built")
    } catch (error) {
      assert.ok(error instanceof Errors.GraphInvalid)
      assert.deepStrictEqual(error.findings, [
        `no path leads from node "stuck" to the end`,
        `no edge leads to node "lost"`
      ])
    }
  })

  it.effect(
    "retries wait at least what the error asks for, stop at what cannot be retried, and time each attempt anew",
    () =>
      Effect.gen(function* () {
        const tries: Array<number> = []
        const graph = Graph.make("policy", {
          state: { n: Channel.sum },
          nodes: {
            call: () =>
              Effect.gen(function* () {
                tries.push(yield* Clock.currentTimeMillis)
                if (tries.length === 1) return yield* new Flaky({ isRetryable: true, retryAfter: Duration.seconds(5) })
                if (tries.length === 2) return yield* Effect.never
                return { n: 1 }
              })
          },
          edges: { start: "call", call: "end" },
          policies: { call: Policy.make({ retry: Policy.retryable(Schedule.recurs(5)), timeout: "10 seconds" }) }
        })
        const fiber = yield* Effect.forkChild(Graph.run(graph, {}))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Fiber.join(fiber), { n: 1 })
        assert.deepStrictEqual(tries, [0, 5_000, 15_000])

        let calls = 0
        const final = Effect.suspend(() => {
          calls++
          return Effect.fail(new Flaky({ isRetryable: false }))
        })
        yield* Effect.flip(Policy.apply(final, Policy.transient))
        assert.strictEqual(calls, 1)
      })
  )

  it.effect("siblings of a failed task finish; interrupting the run interrupts every task", () =>
    Effect.gen(function* () {
      let finished = false
      const siblings = Graph.make("siblings", {
        state: { n: Channel.sum },
        nodes: {
          bad: () => Effect.fail(new Broken({ why: "at once" })),
          slow: () =>
            Effect.map(Effect.sleep("1 second"), () => {
              finished = true
              return { n: 1 }
            })
        },
        edges: { start: ["bad", "slow"], bad: "end", slow: "end" }
      })
      const failing = yield* Effect.forkChild(Effect.flip(Graph.run(siblings, {})))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(failing))._tag, "Broken")
      assert.ok(finished)

      const released = yield* Deferred.make<void>()
      const started = yield* Deferred.make<void>()
      const endless = Graph.make("endless", {
        state: { n: Channel.sum },
        nodes: {
          wait: () =>
            Deferred.succeed(started, undefined).pipe(
              Effect.andThen(Effect.never),
              Effect.onInterrupt(() => Deferred.succeed(released, undefined))
            )
        },
        edges: { start: "wait", wait: "end" }
      })
      const running = yield* Effect.forkChild(Graph.run(endless, {}))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(running)
      yield* Deferred.await(released)
    })
  )

  it("draws every node, edge, route, error route and graph inside", () => {
    const Inner = Graph.make("inner", {
      state: { n: Channel.sum },
      nodes: { one: () => Effect.succeed({ n: 1 }) },
      edges: { start: "one", one: "end" }
    })
    const Outer = Graph.make("outer", {
      state: { n: Channel.sum, items: Channel.append(Schema.Int) },
      nodes: {
        split: () => Effect.fail(new Broken({ why: "" })),
        each: Node.withInput(Schema.Int, Graph.node(Inner, { input: () => ({}), update: ({ n }) => ({ n }) })),
        rescue: () => Effect.succeed({ n: 0 })
      },
      edges: {
        start: "split",
        split: { each: "each", of: ({ items }) => items },
        each: { to: ["rescue", "end"], choose: ({ n }) => (n > 1 ? "end" : "rescue") },
        rescue: "end"
      },
      onError: { Broken: "rescue" }
    })
    const drawing = Graph.toMermaid(Outer)
    for (const line of [
      `start_ --> split_`,
      `split_ ==>|each| each_`,
      `each_ -.-> rescue_`,
      `each_ -.-> end_`,
      `subgraph each_["each: inner"]`,
      `each_one_["one"]`,
      `error_Broken_>"Broken"] -.->|error| rescue_`
    ]) {
      assert.include(drawing, line)
    }
  })
})

describe("an error route out of a fan-out", () => {
  const digest = (skipped: "write" | "end") => {
    const written: Array<string> = []
    const graph = Graph.make("digest", {
      state: {
        hosts: Channel.last(Schema.Array(Schema.String)),
        notes: Channel.append(Schema.String),
        missing: Channel.append(Schema.String),
        answer: Channel.optional(Schema.String)
      },
      nodes: {
        read: Node.make(Schema.String, (host) =>
          host.startsWith("bad") ? Effect.fail(new Broken({ why: host })) : Effect.succeed({ notes: [host] })
        ),
        skip: Node.make(Broken, ({ why }) => Effect.succeed({ missing: [why], answer: `sorry, ${why}` })),
        write: ({ missing, notes }) => {
          written.push(notes.join())
          return Effect.succeed({ answer: `${notes.join()} without ${missing.join()}` })
        }
      },
      edges: { start: { each: "read", of: ({ hosts }) => hosts }, read: "write", skip: skipped, write: "end" },
      onError: { Broken: "skip" }
    })
    return { graph, written }
  }
  const answers = (skipped: "write" | "end", hosts: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const { graph, written } = digest(skipped)
      const { answer } = yield* Graph.run(graph, { hosts })
      const durable = yield* Thread.run(graph, { thread: `${skipped} ${hosts}`, input: { hosts } })
      assert.strictEqual(durable.state.answer, answer)
      assert.isAtMost(written.length, 2, "write runs once in each of the two")
      return answer
    })

  it.effect("takes the place of the edge after it, whatever they write, and that of the last error stays", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* answers("end", ["a", "b"]), "a,b without ")
      assert.strictEqual(yield* answers("end", ["a", "bad1"]), "sorry, bad1")
      assert.strictEqual(yield* answers("end", ["bad1", "a", "bad2"]), "sorry, bad2")
      assert.strictEqual(yield* answers("write", ["bad1", "a", "bad2"]), "a without bad1,bad2")
      assert.strictEqual(yield* answers("write", ["bad1", "bad2"]), " without bad1,bad2")
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("to the end leaves the failed items out", () =>
    Effect.gen(function* () {
      const graph = Graph.make("left out", {
        state: { out: Channel.append(Schema.String) },
        nodes: {
          read: Node.make(Schema.String, (host) =>
            host === "bad" ? Effect.fail(new Broken({ why: host })) : Effect.succeed({ out: [host] })
          ),
          write: () => Effect.succeed({ out: ["written"] })
        },
        edges: {
          start: { each: "read", of: ({ out }) => (out.length === 0 ? ["a", "bad", "b"] : []) },
          read: "write",
          write: "end"
        },
        onError: { Broken: "end" }
      })
      assert.deepStrictEqual((yield* Graph.run(graph, {})).out, ["a", "b", "written"])
    })
  )
})

// Lines 1 to 12 of the acceptance list: steps, channels, fan-out and fan-in.
import { Ask, Channel, Edge, Errors, Graph, Journal, Node, Policy, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { stores } from "../../../sqlite/test/stores.ts"
import { eager, elsewhere, forced, infoOf, tagsOf } from "./support.ts"

const Go = Ask.make("go", { question: Schema.Struct({}), answer: Schema.Boolean })

class Money extends Schema.Class<Money>("Money")({ cents: Schema.Int }) {
  get dollars() {
    return this.cents / 100
  }
}

class Boom extends Schema.TaggedError<Boom>()("Boom", {}) {}

/** A short and a long branch that meet in a join, three rounds of it. */
const Rounds = Graph.make("rounds", {
  state: { round: Channel.sum, log: Channel.append(Schema.String) },
  nodes: {
    fork: () => Effect.succeed({ round: 1 }),
    short: () => Effect.succeed({ log: ["short"] }),
    long: () => Effect.as(Effect.yieldNow, { log: ["long"] }),
    longer: () => Effect.succeed({ log: ["longer"] }),
    join: ({ round }) => Effect.succeed({ log: [`join ${round}`] })
  },
  edges: {
    start: "fork",
    fork: ["short", "long"],
    short: "join",
    long: "longer",
    longer: "join",
    join: ({ round }) => (round < 3 ? "fork" : "end")
  },
  joins: { join: ["short", "longer"] }
})

const round = (n: number) => ["short", "long", "longer", `join ${n}`]

for (const store of stores("selvage_behaviours_steps")) {
  describe.skipIf(store.skip)(`Steps on ${store.name}`, () => {
    it.effect(
      "1. Two tasks that write one last-value channel in one step: ConcurrentUpdate naming channel and nodes; nothing of the step commits",
      () =>
        Effect.gen(function* () {
          for (const [thread, wait] of [
            ["at once", Effect.void],
            ["later", Effect.yieldNow]
          ] as const) {
            const graph = Graph.make("both", {
              state: { winner: Channel.last(Schema.String, { initial: "nobody" }), n: Channel.sum },
              nodes: {
                a: () => Effect.as(wait, { winner: "a", n: 1 }),
                b: () => Effect.as(wait, { winner: "b", n: 1 }),
                c: () => Effect.succeed({ n: 1 })
              },
              edges: { start: ["a", "b", "c"], a: "end", b: "end", c: "end" }
            })
            const error = yield* Effect.flip(Thread.run(graph, { thread, input: {} }))
            assert.ok(error._tag === "ConcurrentUpdate")
            assert.deepStrictEqual([error.channel, error.tasks], ["winner", ["a", "b"]])
            assert.notInclude(yield* tagsOf(thread), "StepCommitted")
            assert.deepStrictEqual(yield* Thread.state(graph, { thread }), { winner: "nobody", n: 0 })
            assert.strictEqual((yield* infoOf(thread)).status, "failed")
          }
        }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "2. After a fan-out, the join runs once, also when branches differ in length, also inside a loop (it re-arms)",
      () =>
        Effect.gen(function* () {
          const done = yield* Thread.run(Rounds, { thread: "t", input: {} })
          assert.deepStrictEqual(done.state.log, [...round(1), ...round(2), ...round(3)])
          const Items = Graph.make("items", {
            state: { items: Channel.last(Schema.Array(Schema.Int)), log: Channel.append(Schema.String) },
            nodes: {
              one: Node.make(Schema.Int, (n) => Effect.as(Effect.yieldNow, { log: [`one ${n}`] })),
              two: () => Effect.succeed({ log: ["two"] }),
              slow: () => Effect.succeed({ log: ["slow"] }),
              slower: () => Effect.succeed({ log: ["slower"] }),
              join: ({ log }) => Effect.succeed({ log: [`join after ${log.length}`] })
            },
            edges: {
              start: ["two", "slow"],
              two: { each: "one", of: ({ items }) => items },
              one: "join",
              slow: "slower",
              slower: () => "join",
              join: "end"
            },
            joins: { join: ["one", "slower"] }
          })
          const items = yield* Thread.run(Items, { thread: "items", input: { items: [1, 2, 3] } })
          assert.deepStrictEqual(items.state.log, ["two", "slow", "one 1", "one 2", "one 3", "slower", "join after 6"])
        }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "3. A fan-out over n items folds n results in item order, whatever order they finished in; n = 0 goes on to the next node",
      () =>
        Effect.gen(function* () {
          const orders = [[], [0], [0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]]
          for (const [index, order] of orders.entries()) {
            const gates = yield* Effect.forEach(order, () => Deferred.make<void>())
            const finished: Array<number> = []
            const open = (place: number) =>
              place < order.length ? Deferred.succeed(gates[order[place]!]!, undefined) : Effect.void
            const graph = Graph.make("fan", {
              state: { out: Channel.append(Schema.Int), after: Channel.sum },
              nodes: {
                work: Node.make(Schema.Int, (n) =>
                  Effect.gen(function* () {
                    yield* Deferred.await(gates[n]!)
                    finished.push(n)
                    yield* open(order.indexOf(n) + 1)
                    return { out: [n] }
                  })
                ),
                after: () => Effect.succeed({ after: 1 })
              },
              edges: {
                start: { each: "work", of: () => order.map((_, n) => n) },
                work: "after",
                after: "end"
              }
            })
            yield* open(0)
            const thread = `t${index}`
            const done = yield* Thread.run(graph, { thread, input: {} })
            assert.deepStrictEqual(finished, order)
            assert.deepStrictEqual(done.state, { out: order.map((_, n) => n), after: 1 })
            assert.deepStrictEqual(yield* elsewhere(Thread.state(graph, { thread })), done.state)
          }
        }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "4. A route that names no node of the graph, forced past the compiler, fails with UnknownRoute, never a silent end",
      () =>
        Effect.gen(function* () {
          let ran = 0
          const make = (choice: unknown) =>
            Graph.make("lost", {
              state: { n: Channel.sum },
              nodes: {
                a: () => Effect.sync(() => ({ n: ++ran })),
                b: () => Effect.succeed({ n: 10 })
              },
              edges: { start: "a", a: () => forced(choice), b: "end" }
            })
          const choices = ["nowhere", ["b", "nowhere"], Edge.fanOut("nowhere", [1]), undefined, null, {}, 7]
          for (const [index, choice] of choices.entries()) {
            const thread = `t${index}`
            ran = 0
            const error = yield* Effect.flip(Thread.run(make(choice), { thread, input: {} }))
            assert.ok(error._tag === "UnknownRoute", String(choice))
            assert.strictEqual(error.node, "a")
            assert.include(error.message, "a, b, end")
            if (index < 3) assert.strictEqual(error.target, "nowhere")
            assert.strictEqual((yield* infoOf(thread)).status, "failed")
            // Once the route is mended the thread goes on from where it stood; what was done is not done again.
            const mended = yield* Thread.run(make("b"), { thread })
            assert.deepStrictEqual([mended.state.n, ran], [11, 1])
          }
        }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "5. An update with an unknown channel, forced past the compiler, fails naming node and channel. Nothing is ever dropped",
      () =>
        Effect.gen(function* () {
          const graph = (update: unknown) =>
            Graph.make("typo", {
              state: { notes: Channel.append(Schema.String) },
              nodes: { write: () => Effect.succeed(forced(update)) },
              edges: { start: "write", write: "end" }
            })
          const good = graph({ notes: ["a"] })
          for (const channel of ["note", "constructor", "__proto__"]) {
            const update: unknown = JSON.parse(`{"notes":["a"],"${channel}":["b"]}`)
            const error = yield* Effect.flip(Thread.run(graph(update), { thread: channel, input: {} }))
            assert.ok(error._tag === "NodeContractViolated")
            assert.deepStrictEqual([error.node, error.part], ["write", `channel "${channel}"`])
            assert.notInclude(yield* tagsOf(channel), "StepCommitted")
            const input = yield* Effect.flip(Thread.run(good, { thread: `${channel} input`, input: forced(update) }))
            assert.ok(input._tag === "NodeContractViolated")
            assert.deepStrictEqual([input.node, input.part], ["start", `channel "${channel}"`])
          }
          yield* Thread.run(good, { thread: "t", input: {} })
          const patched = yield* Effect.flip(Thread.patch(good, { thread: "t", update: forced({ note: ["b"] }) }))
          assert.strictEqual(patched._tag, "NodeContractViolated")
          assert.notInclude(yield* tagsOf("t"), "Patched")
        }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "6. A reducer that throws, and a node whose output does not fit its schema, fail naming node and channel",
      () =>
        Effect.gen(function* () {
          class Count extends Node.Service<Count>()("behaviours/Count", {
            input: Schema.Struct({ n: Schema.Int }),
            output: Schema.Struct({ n: Schema.Int })
          }) {}
          const state = {
            n: Channel.last(Schema.Int, { initial: 0 }),
            picky: Channel.reduce({
              schema: Schema.Int,
              update: Schema.Int,
              initial: 0,
              reducer: (value, update) => {
                if (update > 9) throw new Error("too much")
                return value + update
              }
            })
          }
          const graph = (update: unknown) =>
            Graph.make("picky", {
              state,
              nodes: { fine: () => Effect.succeed({ picky: 1 }), bad: () => Effect.succeed(forced(update)) },
              edges: { start: ["fine", "bad"], fine: "end", bad: "end" }
            })
          const threw = yield* Effect.flip(Thread.run(graph({ picky: 10 }), { thread: "threw", input: {} }))
          assert.ok(threw._tag === "NodeContractViolated")
          assert.strictEqual(threw.node, "bad")
          assert.include(threw.part, `"picky"`)
          assert.include(threw.issue, "too much")
          const unfit = yield* Effect.flip(Thread.run(graph({ n: "one" }), { thread: "unfit", input: {} }))
          assert.ok(unfit._tag === "NodeContractViolated")
          assert.deepStrictEqual([unfit.node, unfit.part], ["bad", `channel "n"`])
          for (const thread of ["threw", "unfit"]) assert.notInclude(yield* tagsOf(thread), "StepCommitted")
          const service = Graph.make("service", {
            state,
            nodes: { count: Count },
            edges: { start: "count", count: "end" }
          })
          const broken = yield* Effect.flip(Thread.run(service, { thread: "service", input: {} })).pipe(
            Effect.provide(Count.toLayer(() => Effect.succeed(forced({ n: 1.5 }))))
          )
          assert.ok(broken._tag === "NodeContractViolated")
          assert.deepStrictEqual([broken.node, broken.part], ["behaviours/Count", "its output"])
        }).pipe(Effect.provide(store.layer))
    )

    it.effect('7. Falsy values (0, "", false, null) are values', () =>
      Effect.gen(function* () {
        const Falsy = Schema.NullOr(Schema.Union([Schema.Int, Schema.String, Schema.Boolean]))
        const graph = Graph.make("falsy", {
          state: {
            zero: Channel.last(Schema.Int, { initial: 1 }),
            empty: Channel.last(Schema.String, { initial: "x" }),
            no: Channel.last(Schema.Boolean, { initial: true }),
            nothing: Channel.last(Schema.NullOr(Schema.Int), { initial: 1 }),
            some: Channel.optional(Schema.Int),
            map: Channel.map(Falsy),
            items: Channel.append(Falsy),
            answer: Channel.last(Schema.Boolean, { initial: true })
          },
          nodes: {
            write: () =>
              Effect.succeed({
                zero: 0,
                empty: "",
                no: false,
                nothing: null,
                some: 0,
                map: { a: null, b: "", c: 0, d: false }
              }),
            item: Node.make(Falsy, (item) => Effect.succeed({ items: [item] })),
            ask: Ask.node(Go, { question: () => ({}), update: (answer) => ({ answer }) }),
            unset: () => Effect.succeed({ some: undefined })
          },
          edges: {
            start: "write",
            write: { each: "item", of: () => [0, "", false, null] },
            item: "ask",
            ask: "unset",
            unset: "end"
          }
        })
        const waiting = yield* Thread.run(graph, { thread: "t", input: {} })
        assert.ok(waiting._tag === "Waiting")
        assert.strictEqual(waiting.state.some, 0)
        yield* elsewhere(Thread.answer(Go, { thread: "t", value: false }))
        const { state } = yield* elsewhere(Thread.run(graph, { thread: "t" }))
        assert.deepStrictEqual(state, {
          zero: 0,
          empty: "",
          no: false,
          nothing: null,
          some: undefined,
          map: { a: null, b: "", c: 0, d: false },
          items: [0, "", false, null],
          answer: false
        })
      }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "8. Values survive a restart exactly as their schemas say: dates, bigints, bytes, options, class instances, NaN",
      () =>
        Effect.gen(function* () {
          const values = {
            date: new Date(8.64e15),
            time: DateTime.makeUnsafe("2026-11-21T10:00:00Z"),
            big: 2n ** 80n,
            bytes: new Uint8Array([0, 255]),
            some: Option.some(Option.none<number>()),
            money: new Money({ cents: 150 }),
            nan: Number.NaN,
            infinite: -Infinity
          }
          const graph = Graph.make("exact", {
            state: {
              date: Channel.optional(Schema.Date),
              time: Channel.optional(Schema.DateTimeUtc),
              big: Channel.optional(Schema.BigInt),
              bytes: Channel.optional(Schema.Uint8Array),
              some: Channel.optional(Schema.Option(Schema.Option(Schema.Number))),
              money: Channel.optional(Money),
              nan: Channel.optional(Schema.Number),
              infinite: Channel.optional(Schema.Number),
              prices: Channel.map(Money),
              n: Channel.sum
            },
            nodes: {
              // Enough entries that the thread is opened from its snapshot.
              write: ({ n }) => Effect.succeed({ ...values, prices: { [`p${n % 2}`]: values.money }, n: 1 }),
              check: ({ money, prices }) =>
                money instanceof Money && prices.p1?.dollars === 1.5
                  ? Effect.map(Ask.ask(Go, {}), () => ({}))
                  : Effect.die("not an instance")
            },
            edges: { start: "write", write: ({ n }) => (n < 20 ? "write" : "check"), check: "end" }
          })
          const expected = { ...values, prices: { p0: values.money, p1: values.money }, n: 20 }
          for (const process of [elsewhere, eager]) {
            const thread = process === eager ? "from a snapshot" : "from entries"
            const before = yield* process(Thread.run(graph, { thread, input: {} }))
            assert.deepStrictEqual(before.state, expected)
            const kept = yield* Effect.flatMap(Journal.Journal, (journal) => journal.snapshot(thread))
            assert.strictEqual(Option.isSome(kept), process === eager)
            assert.deepStrictEqual(yield* elsewhere(Thread.state(graph, { thread })), expected)
            yield* elsewhere(Thread.answer(Go, { thread, value: true }))
            const after = yield* elsewhere(Thread.run(graph, { thread }))
            assert.strictEqual(after._tag, "Done")
            assert.deepStrictEqual(after.state, expected)
          }
        }).pipe(Effect.provide(store.layer))
    )
  })
}

describe("Steps", () => {
  it("8. A value without a faithful encoding fails when the graph is built, not when it is resumed", () => {
    const of = (schema: Schema.Codec<unknown, unknown>) =>
      Graph.make("unfaithful", {
        state: { fine: Channel.sum, bad: Channel.optional(schema) },
        nodes: { only: () => Effect.succeed({ fine: 1 }) },
        edges: { start: "only", only: "end" }
      })
    const unfaithful: ReadonlyArray<Schema.Codec<unknown, unknown>> = [
      Schema.Unknown,
      Schema.Struct({ deep: Schema.Array(Schema.Unknown) }),
      Schema.instanceOf(URLSearchParams),
      Schema.NullOr(Schema.String)
    ]
    for (const schema of unfaithful) assert.throws(() => of(schema), Errors.GraphInvalid, /channel "bad"/)
    assert.strictEqual(of(Schema.Date).name, "unfaithful")
  })

  it.effect("9. concurrency: k on a fan-out is never exceeded; a limit over the whole process is a service", () =>
    Effect.gen(function* () {
      class WorkSlots extends Policy.Slots<WorkSlots>()("behaviours/WorkSlots") {}
      let now = 0
      let most = 0
      const busy = Effect.gen(function* () {
        most = Math.max(most, ++now)
        for (let turn = 0; turn < 5; turn++) yield* Effect.yieldNow
        now--
        return { done: 1 }
      })
      const state = { done: Channel.sum }
      const items = Array.from({ length: 20 }, (_, n) => n)
      const work = Node.make(Schema.Int, () => busy)
      const each = Graph.make("each", {
        state,
        nodes: { work },
        edges: { start: { each: "work", of: () => items, concurrency: 3 }, work: "end" }
      })
      const route = Graph.make("route", {
        state,
        nodes: { work },
        edges: { start: () => Edge.fanOut("work", items, { concurrency: 3 }), work: "end" }
      })
      const whole = Graph.make("whole", {
        state,
        nodes: { work, other: () => busy },
        edges: { start: "other", other: () => Edge.fanOut("work", items), work: "end" },
        concurrency: 3
      })
      for (const [graph, tasks] of [
        [each, 20],
        [route, 20],
        [whole, 21]
      ] as const) {
        most = 0
        for (const { done } of [
          yield* Graph.run(graph, {}),
          (yield* Thread.run(graph, { thread: graph.name, input: {} })).state
        ]) {
          assert.deepStrictEqual([done, most], [tasks, 3])
        }
      }
      const limited = (name: string) =>
        Graph.make(name, {
          state,
          nodes: { work },
          edges: { start: { each: "work", of: () => items }, work: "end" },
          policies: { work: Policy.make({ slots: WorkSlots }) }
        })
      most = 0
      const both = yield* Effect.all([Graph.run(limited("a"), {}), Graph.run(limited("b"), {})], {
        concurrency: 2
      }).pipe(Effect.provide(WorkSlots.layer(4)))
      assert.deepStrictEqual([both.map(({ done }) => done), most], [[20, 20], 4])
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it("10. Unreachable nodes, nodes that cannot reach the end, and duplicate names fail when the graph is built, with all findings at once", () => {
    const none = () => Effect.succeed({})
    const findings = (nodes: Readonly<Record<string, typeof none>>, rest: object) => {
      try {
        Graph.make("bad", forced({ state: { n: Channel.sum }, nodes, ...rest }))
      } catch (error) {
        assert.ok(error instanceof Errors.GraphInvalid)
        for (const finding of error.findings) assert.include(error.message, finding)
        return error.findings.join("\n")
      }
      throw new Error("the graph was built")
    }
    const whole = findings(
      { a: none, island: none, loop: none, knot: none },
      { edges: { start: ["a", "loop"], a: "end", island: "end", loop: "knot", knot: "loop" } }
    )
    for (const node of ["island", "loop", "knot"]) assert.include(whole, `"${node}"`)
    const all = findings(
      { a: none, end: none, island: none, open: none },
      {
        edges: { start: ["a", "open"], a: "nowhere", end: "end", island: "end", ghost: "end" },
        onError: { Boom: "nobody" },
        joins: { a: ["island", "phantom"], b: ["a"] },
        concurrency: 0
      }
    )
    for (const part of [
      `"end" cannot be the name`,
      `"nowhere"`,
      `"nobody"`,
      `"ghost"`,
      `"phantom"`,
      `the join "b"`,
      `after "open"`,
      "concurrency"
    ]) {
      assert.include(all, part)
    }
    // What the whole shows is told beside what a part shows.
    assert.include(all, `no edge leads to node "island"`)
  })

  it.effect("11. A slow branch holds back its own join only where the graph says so (join)", () =>
    Effect.gen(function* () {
      const graph = (joins: { readonly meet?: ReadonlyArray<"short" | "longer"> }) =>
        Graph.make("branches", {
          state: { log: Channel.append(Schema.String) },
          nodes: {
            short: () => Effect.succeed({ log: ["short"] }),
            long: () => Effect.succeed({ log: ["long"] }),
            longer: () => Effect.succeed({ log: ["longer"] }),
            other: () => Effect.succeed({ log: ["other"] }),
            after: () => Effect.succeed({ log: ["after other"] }),
            meet: () => Effect.succeed({ log: ["meet"] })
          },
          edges: {
            start: ["short", "long", "other"],
            short: "meet",
            long: "longer",
            longer: "meet",
            other: "after",
            after: "end",
            meet: "end"
          },
          joins
        })
      const free = yield* Graph.run(graph({}), {})
      assert.deepStrictEqual(free.log, ["short", "long", "other", "meet", "longer", "after other", "meet"])
      const joined = yield* Graph.run(graph({ meet: ["short", "longer"] }), {})
      assert.deepStrictEqual(joined.log, ["short", "long", "other", "longer", "after other", "meet"])
    })
  )

  it("12. Graph.toMermaid draws every node, edge, route, error route and subgraph", () => {
    class Look extends Node.Service<Look>()("behaviours/Look", {
      input: Schema.Struct({ n: Schema.Int }),
      output: Schema.Struct({ n: Schema.Int })
    }) {}
    const Inner = Graph.make("inner", {
      state: { n: Channel.sum },
      nodes: { deep: () => Effect.succeed({ n: 1 }) },
      edges: { start: "deep", deep: "end" }
    })
    const text = Graph.toMermaid(
      Graph.make("drawn", {
        state: { n: Channel.last(Schema.Int) },
        nodes: {
          look: Look,
          ask: Ask.node(Go, { question: () => ({}), update: () => ({}) }),
          sub: Graph.node(Inner, { input: () => ({}), update: () => ({}) }),
          item: Node.make(Schema.Int, () => new Boom()),
          rescue: () => Effect.void,
          meet: () => Effect.void
        },
        edges: {
          start: ["look", "ask"],
          look: { each: "item", of: () => [1] },
          item: "meet",
          ask: { to: ["sub", "end"], choose: () => "end" },
          sub: "meet",
          rescue: "end",
          meet: "end"
        },
        onError: { Boom: "rescue" },
        joins: { meet: ["item", "sub"] }
      })
    )
    for (const line of [
      `look_[/"look"/]`,
      `ask_{{"ask"}}`,
      `subgraph sub_["sub: inner"]`,
      `sub_deep_["deep"]`,
      "sub_start_ --> sub_deep_",
      "sub_deep_ --> sub_end_",
      `item_["item"]`,
      `rescue_["rescue"]`,
      `meet_["meet"]`,
      "start_ --> look_",
      "start_ --> ask_",
      "look_ ==>|each| item_",
      "item_ -->|join| meet_",
      "sub_ -->|join| meet_",
      "ask_ -.-> sub_",
      "ask_ -.-> end_",
      "rescue_ --> end_",
      "meet_ --> end_",
      `error_Boom_>"Boom"] -.->|error| rescue_`
    ]) {
      assert.include(text, line)
    }
  })
})

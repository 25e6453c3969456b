// What the acceptance list does not name and no store has a part in: deadlines under way, joins at their edges, views, spans.
import { Ask, Channel, Event, Graph, Journal, Node, Policy, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { TestClock } from "effect/testing"
import { cold, eager, elsewhere, infoOf, settle } from "./support.ts"

class Boom extends Schema.TaggedError<Boom>()("Boom", { what: Schema.String }) {
  readonly isRetryable = true
}

const Approve = Ask.make("approve", { question: Schema.String, answer: Schema.Boolean })

const minute = 60_000

describe("New in memory", () => {
  const state = { out: Channel.append(Schema.String) }
  const say = (line: string) => () => Effect.succeed({ out: [line] })

  it.effect("a run that passes its deadline is interrupted, and a new input has a time of its own", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const graph = Graph.make("late", {
        state: { item: Channel.last(Schema.String), out: Channel.append(Schema.String) },
        nodes: {
          work: ({ item }) =>
            item === "slow"
              ? Effect.as(
                  Effect.onInterrupt(Effect.sleep("1 hour"), () => Effect.sync(() => interrupted++)),
                  {}
                )
              : Effect.map(Policy.Deadline, (deadline) => ({ out: [`until ${deadline}`] }))
        },
        edges: { start: "work", work: "end" },
        deadline: "1 minute"
      })
      const fiber = yield* Effect.forkChild(Effect.flip(Thread.run(graph, { thread: "t", input: { item: "slow" } })))
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(interrupted, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "DeadlineExceeded")
      assert.strictEqual(interrupted, 1)
      assert.strictEqual((yield* Effect.flip(elsewhere(Thread.run(graph, { thread: "t" }))))._tag, "DeadlineExceeded")
      const done = yield* elsewhere(Thread.run(graph, { thread: "t", input: { item: "quick" } }))
      assert.deepStrictEqual(done.state.out, [`until ${2 * minute}`])
      // A killed run does not get its time anew.
      const killed = yield* Effect.forkChild(Thread.run(graph, { thread: "k", input: { item: "slow" } }))
      yield* TestClock.adjust("40 seconds")
      yield* Fiber.interrupt(killed)
      const resumed = yield* Effect.forkChild(Effect.flip(elsewhere(Thread.run(graph, { thread: "k" }))))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* Fiber.join(resumed))._tag, "DeadlineExceeded")
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("the deadline of a graph inside ends that graph, and its error can be routed outside", () =>
    Effect.gen(function* () {
      const Slow = Graph.make("slow", {
        state,
        nodes: { sleep: () => Effect.as(Effect.sleep("1 hour"), {}) },
        edges: { start: "sleep", sleep: "end" },
        deadline: "1 minute"
      })
      const graph = Graph.make("outer", {
        state,
        nodes: {
          slow: Graph.node(Slow, { input: () => ({}), update: ({ out }) => ({ out }) }),
          beside: say("beside"),
          instead: say("instead")
        },
        edges: { start: ["slow", "beside"], slow: "end", beside: "end", instead: "end" },
        onError: { DeadlineExceeded: "instead" },
        deadline: "10 minutes"
      })
      const fiber = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual((yield* Fiber.join(fiber)).state.out, ["beside", "instead"])
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a graph inside has no more time than what is around it", () =>
    Effect.gen(function* () {
      const Inner = Graph.make("inner", {
        state: { until: Channel.sum },
        nodes: { look: () => Effect.map(Policy.Deadline, (until) => ({ until: until ?? 0 })) },
        edges: { start: "look", look: "end" },
        deadline: "1 hour"
      })
      const graph = Graph.make("outer", {
        state: { until: Channel.sum },
        nodes: { inner: Graph.node(Inner, { input: () => ({}), update: ({ until }) => ({ until }) }) },
        edges: { start: "inner", inner: "end" },
        deadline: "1 minute"
      })
      assert.strictEqual((yield* Graph.run(graph, {})).until, minute)
    })
  )

  it.effect("a node that several lead to, or one that is named twice, runs once", () =>
    Effect.gen(function* () {
      const graph = Graph.make("twice", {
        state,
        nodes: { a: say("a"), b: say("b"), c: say("c") },
        edges: { start: () => ["a", "b", "a"], a: ["c", "c"], b: () => ["c", "end", "c"], c: "end" }
      })
      assert.deepStrictEqual((yield* Graph.run(graph, {})).out, ["a", "b", "c"])
    })
  )

  it.effect(
    "a join takes a fan-out of no items, an error route and a branch that went elsewhere for what they are",
    () =>
      Effect.gen(function* () {
        const graph = (items: ReadonlyArray<string>, away: boolean) =>
          Graph.make("edges", {
            state,
            nodes: {
              item: Node.make(Schema.String, (item) =>
                item === "bad" ? Effect.fail(new Boom({ what: item })) : Effect.succeed({ out: [item] })
              ),
              long: say("long"),
              longer: say("longer"),
              aside: say("aside"),
              meet: say("meet")
            },
            edges: {
              start: ["long", "aside"],
              aside: { each: "item", of: () => items },
              item: "meet",
              long: "longer",
              longer: () => (away ? "end" : "meet"),
              meet: "end"
            },
            onError: { Boom: "meet" },
            joins: { meet: ["item", "longer"] }
          })
        const outs = Effect.fnUntraced(function* (items: ReadonlyArray<string>, away = false) {
          const { out } = yield* Graph.run(graph(items, away), {})
          const thread = `${items.join()} ${away}`
          assert.deepStrictEqual((yield* cold(Thread.run(graph(items, away), { thread, input: {} }))).state.out, out)
          return out
        })
        assert.deepStrictEqual(yield* outs([]), ["long", "aside", "longer", "meet"])
        assert.deepStrictEqual(yield* outs(["x", "bad"]), ["long", "aside", "longer", "x", "meet"])
        assert.deepStrictEqual(yield* outs(["bad"]), ["long", "aside", "longer", "meet"])
        assert.deepStrictEqual(yield* outs(["x"], true), ["long", "aside", "longer", "x", "meet"])
      }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a fan-out of 10,000 items folds them all, and a loop of 100,000 steps comes to its end", () =>
    Effect.gen(function* () {
      const items = Array.from({ length: 10_000 }, (_, n) => n)
      for (const wait of [Effect.void, Effect.yieldNow]) {
        const wide = Graph.make("wide", {
          state: { out: Channel.append(Schema.Int), n: Channel.sum },
          nodes: { work: Node.make(Schema.Int, (n) => Effect.as(wait, { out: [n], n: 1 })) },
          edges: { start: { each: "work", of: () => items }, work: "end" }
        })
        const thread = wait === Effect.void ? "at once" : "later"
        const done = yield* Thread.run(wide, { thread, input: {} })
        assert.deepStrictEqual(done.state, { out: items, n: 10_000 })
        assert.deepStrictEqual(yield* Thread.state(wide, { thread }), done.state)
      }
      const long = Graph.make("long", {
        state: { n: Channel.sum },
        nodes: { work: () => Effect.succeed({ n: 1 }), later: () => Effect.as(Effect.yieldNow, { n: 1 }) },
        edges: {
          start: "work",
          work: ({ n }) => (n < 99_000 ? "work" : "later"),
          later: ({ n }) => (n < 100_000 ? "later" : "end")
        }
      })
      assert.strictEqual((yield* Graph.run(long, {})).n, 100_000)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a thousand questions at once are asked, answered and done", () =>
    Effect.gen(function* () {
      const graph = Graph.make("census", {
        state: { items: Channel.last(Schema.Array(Schema.String)), yes: Channel.sum },
        nodes: {
          ask: Node.make(Schema.String, (item) => Effect.map(Ask.ask(Approve, item), (ok) => ({ yes: ok ? 1 : 0 })))
        },
        edges: { start: { each: "ask", of: ({ items }) => items }, ask: "end" }
      })
      const items = Array.from({ length: 1000 }, (_, n) => `item ${n}`)
      const waiting = yield* Thread.run(graph, { thread: "t", input: { items } })
      assert.ok(waiting._tag === "Waiting")
      assert.lengthOf(waiting.asks, 1000)
      // Half of them now, the rest later.
      const answer = ({ ask }: Thread.OpenAsk) => Thread.answer(Approve, { thread: "t", ask, value: true })
      yield* Effect.forEach(waiting.asks.slice(0, 500), answer, { discard: true })
      const half = yield* Thread.run(graph, { thread: "t" })
      assert.ok(half._tag === "Waiting")
      yield* Effect.forEach(half.asks, answer, { discard: true })
      assert.strictEqual((yield* elsewhere(Thread.run(graph, { thread: "t" }))).state.yes, 1000)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a detached run whose listener left with its buffer full goes on to its end", () =>
    Effect.gen(function* () {
      const graph = Graph.make("loud", {
        state,
        nodes: {
          shout: () =>
            Effect.as(
              Effect.forEach(Array.from({ length: 2000 }), () => Event.token("!")),
              { out: ["done"] }
            )
        },
        edges: { start: "shout", shout: "end" }
      })
      const scope = yield* Scope.make()
      yield* Stream.runDrain(Stream.take(Thread.stream(graph, { thread: "t", input: {}, detach: scope }), 3))
      yield* settle
      assert.strictEqual((yield* infoOf("t")).status, "done")
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("values, updates and messages are views of one run", () =>
    Effect.gen(function* () {
      const message = Prompt.userMessage({ content: [Prompt.textPart({ text: "hello" })] })
      const graph = Graph.make("viewed", {
        state: { n: Channel.sum, talk: Channel.messages },
        nodes: {
          one: () => Effect.as(Event.token("hel"), { n: 1 }),
          two: Node.make(Schema.Int, (n) => Effect.as(Effect.yieldNow, { n })),
          three: () => Effect.succeed({ talk: Prompt.fromMessages([message]) })
        },
        edges: { start: "one", one: { each: "two", of: () => [10, 100] }, two: "three", three: "end" }
      })
      const values = yield* Stream.runCollect(Thread.values(graph, { thread: "values", input: { n: 1000 } }))
      assert.deepStrictEqual(
        values.map(({ n, talk }) => [n, talk.content.length]),
        [
          [1000, 0],
          [1001, 0],
          [1111, 0],
          [1111, 1]
        ]
      )
      const updates = yield* Stream.runCollect(Thread.updates(graph, { thread: "updates", input: {} }))
      assert.deepStrictEqual(
        updates.map(({ node, step, task, update }) => [step, node, task, update.n]),
        [
          [1, "one", "one", 1],
          [2, "two", "two[0]", 10],
          [2, "two", "two[1]", 100],
          [3, "three", "three", undefined]
        ]
      )
      const messages = yield* Stream.runCollect(Thread.messages(graph, { thread: "messages", input: {} }))
      assert.deepStrictEqual(
        messages.map((item) =>
          item._tag === "Delta" ? item.text : item._tag === "Message" ? item.message.role : item._tag
        ),
        ["hel", "user"]
      )
      // Of a run that stands already, with `after`: what was journaled.
      const again = yield* Stream.runCollect(Thread.updates(graph, { thread: "updates", after: 0 }))
      assert.deepStrictEqual(again, updates)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect(
    "a graph's policy is for what does the work: not for asks, graphs inside, and nodes with one of their own",
    () =>
      Effect.gen(function* () {
        const tries: Record<string, number> = {}
        const fail = (name: string) => () => {
          tries[name] = (tries[name] ?? 0) + 1
          return new Boom({ what: name })
        }
        const retry = (times: number) => Policy.make({ retry: Schedule.recurs(times) })
        const Inner = Graph.make("inner", {
          state,
          nodes: { deep: fail("deep") },
          edges: { start: "deep", deep: "end" }
        })
        const graph = Graph.make("policies", {
          state,
          nodes: {
            plain: fail("plain"),
            own: fail("own"),
            inner: Graph.node(Inner, { input: () => ({}), update: () => ({}) })
          },
          edges: { start: ["plain", "own", "inner"], plain: "end", own: "end", inner: "end" },
          policies: { own: retry(1) },
          policy: retry(3)
        })
        yield* Effect.flip(Graph.run(graph, {}))
        assert.deepStrictEqual(tries, { plain: 4, own: 2, deep: 1 })
      })
  )

  it.effect("a fallback takes a node's own error, and lets an ask wait", () =>
    Effect.gen(function* () {
      let broken = true
      const graph = Graph.make("fallback", {
        state,
        nodes: {
          work: Node.orElse(
            () =>
              Effect.flatMap(Ask.ask(Approve, "?"), (ok) =>
                broken ? Effect.fail(new Boom({ what: `${ok}` })) : Effect.succeed({ out: ["fine"] })
              ),
            () => Effect.succeed({ out: ["instead"] })
          )
        },
        edges: { start: "work", work: "end" }
      })
      for (const [thread, out] of [
        ["broken", "instead"],
        ["fine", "fine"]
      ] as const) {
        broken = thread === "broken"
        assert.strictEqual((yield* Thread.run(graph, { thread, input: {} }))._tag, "Waiting")
        yield* Thread.answer(Approve, { thread, value: true })
        assert.deepStrictEqual((yield* elsewhere(Thread.run(graph, { thread }))).state.out, [out])
      }
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("spans are made where a tracer is present, one within the other, and nowhere else", () =>
    Effect.gen(function* () {
      const spans: Array<string> = []
      const tracer = Tracer.make({
        span: (options) => {
          const parent = Option.match(options.parent, {
            onNone: () => "",
            onSome: (span) => (span._tag === "Span" ? `${span.name} > ` : "")
          })
          spans.push(`${parent}${options.name}`)
          return new Tracer.NativeSpan(options)
        }
      })
      const Inner = Graph.make("inner", { state, nodes: { deep: say("deep") }, edges: { start: "deep", deep: "end" } })
      const graph = Graph.make("traced", {
        state,
        nodes: { inner: Graph.node(Inner, { input: () => ({}), update: ({ out }) => ({ out }) }) },
        edges: { start: "inner", inner: "end" }
      })
      yield* Thread.run(graph, { thread: "t", input: {} })
      assert.deepStrictEqual(spans, [])
      yield* Effect.withTracer(Thread.run(graph, { thread: "u", input: {} }), tracer)
      assert.deepStrictEqual(spans, [
        "thread.run",
        "thread.run > graph.run",
        "graph.run > graph.step",
        "graph.step > graph.task",
        "graph.task > graph.run",
        "graph.run > graph.step",
        "graph.step > graph.task"
      ])
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a thread with snapshots of an older graph is read by its migration", () =>
    Effect.gen(function* () {
      const make = <const C extends string>(channel: C, migrate: boolean) =>
        Graph.make("counted", {
          state: { n: Channel.sum, [channel]: Channel.append(Schema.Int) } as { n: typeof Channel.sum },
          nodes: { work: ({ n }) => Effect.succeed({ n: 1, [channel]: [n] } as { n: number }) },
          edges: { start: "work", work: ({ n }) => (n % 20 === 0 ? "end" : "work") },
          ...(migrate ? { migrate: () => ({ channels: { old: "new" } }) } : {})
        })
      const run = (graph: ReturnType<typeof make>) => eager(Thread.run(graph, { thread: "t", input: {} }))
      yield* run(make("old", false))
      assert.strictEqual((yield* Effect.flip(run(make("new", false))))._tag, "GraphChanged")
      const migrated = make("new", true)
      const items = (count: number) => ({ n: count, new: Array.from({ length: count }, (_, n) => n) })
      assert.deepStrictEqual<unknown>(yield* Thread.state(migrated, { thread: "t" }), items(20))
      assert.deepStrictEqual<unknown>((yield* run(migrated)).state, items(40))
      assert.deepStrictEqual<unknown>((yield* elsewhere(run(migrated))).state, items(60))
    }).pipe(Effect.provide(Journal.layerMemory))
  )
})

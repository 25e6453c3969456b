// Findings of a review: what a thread keeps from one run to the next. Each test says what should hold.
import { Ask, Channel, Durable, Errors, Graph, Journal, Node, Task, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { entriesOf, makeGate, onJournal, settle } from "../behaviours/support.ts"
import { assertInProportion } from "../measures.ts"

const Approve = Ask.make("approve", { question: Schema.String, answer: Schema.Boolean })
const Name = Ask.make("name", { question: Schema.String, answer: Schema.String })

describe("at rest", () => {
  it.effect("what the last step of a run wrote into an ephemeral channel is not seen by the next run", () =>
    Effect.gen(function* () {
      const seen: Array<ReadonlyArray<string>> = []
      const graph = Graph.make("forget", {
        state: { warnings: Channel.ephemeral(Channel.append(Schema.String)) },
        nodes: {
          a: ({ warnings }) => {
            seen.push(warnings)
            return Effect.succeed({ warnings: ["of the last run"] })
          }
        },
        edges: { start: "a", a: "end" }
      })
      yield* Thread.run(graph, { thread: "t", input: {} })
      yield* Thread.run(graph, { thread: "t", input: { warnings: ["given"] } })
      assert.deepStrictEqual(seen, [[], ["given"]])
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a thread that is made anew under an old name has idempotency keys of its own", () =>
    Effect.gen(function* () {
      const keys: Array<string | undefined> = []
      const graph = Graph.make("keys", {
        state: { out: Channel.optional(Schema.String) },
        nodes: {
          a: () =>
            Effect.map(Task.Current, (task) => {
              keys.push(task?.key)
              return {}
            })
        },
        edges: { start: "a", a: "end" }
      })
      const journal = yield* Journal.Journal
      yield* Thread.run(graph, { thread: "t", input: {} })
      yield* journal.remove("t")
      yield* Thread.run(graph, { thread: "t", input: {} })
      assert.notStrictEqual(keys[0], keys[1])
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect(
    "a finished thread whose process died before it took up the queue takes it up with the next queued input",
    () =>
      Effect.gen(function* () {
        const gate = yield* makeGate
        const runs: Array<string> = []
        const graph = Graph.make("queue", {
          state: { what: Channel.last(Schema.String) },
          nodes: {
            a: ({ what }) =>
              Effect.gen(function* () {
                runs.push(what)
                yield* gate.pass
                return {}
              })
          },
          edges: { start: "a", a: "end" }
        })
        const first = yield* Effect.forkChild(
          Thread.run(graph, { thread: "t", input: { what: "a" } }).pipe(
            onJournal((journal) => ({
              append: (thread, expected, entries, options) =>
                entries[0]._tag === "RunStarted" && expected > 0
                  ? Effect.fail(new Errors.JournalUnavailable({ operation: "append", cause: "killed" }))
                  : journal.append(thread, expected, entries, options)
            }))
          )
        )
        yield* gate.reached
        yield* Thread.run(graph, { thread: "t", input: { what: "b" }, whenBusy: "queue" })
        yield* gate.open
        yield* Fiber.await(first)
        yield* Thread.run(graph, { thread: "t", input: { what: "c" }, whenBusy: "queue" })
        assert.deepStrictEqual(runs, ["a", "b", "c"])
      }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a failed thread takes a new input although a task of its last step is of a node that is gone", () =>
    Effect.gen(function* () {
      const Old = Graph.make("gone", {
        state: { out: Channel.append(Schema.String) },
        nodes: {
          a: () => Effect.succeed({ out: ["a"] }),
          b: () => Effect.die("down") as Effect.Effect<{ out: Array<string> }>
        },
        edges: { start: ["a", "b"], a: "end", b: "end" }
      })
      const New = Graph.make("gone", {
        state: { out: Channel.append(Schema.String) },
        nodes: { b: () => Effect.succeed({ out: ["b"] }) },
        edges: { start: "b", b: "end" }
      })
      yield* Effect.exit(Thread.run(Old, { thread: "t", input: {} }))
      const exit = yield* Effect.exit(Thread.run(New, { thread: "t", input: { out: ["new"] } }))
      assert.isTrue(Exit.isSuccess(exit), String(exit))
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("two questions that a node asks at once both stand, also on a slow journal", () =>
    Effect.gen(function* () {
      const graph = Graph.make("two-asks", {
        state: { out: Channel.optional(Schema.String) },
        nodes: {
          both: () =>
            Effect.map(
              Effect.all([Ask.ask(Approve, "ok?"), Ask.ask(Name, "who?")], { concurrency: "unbounded" }),
              ([ok, name]) => ({ out: `${name} ${ok}` })
            )
        },
        edges: { start: "both", both: "end" }
      })
      const slow = onJournal((journal) => ({
        append: (...args) => Effect.andThen(Effect.sleep("10 millis"), journal.append(...args))
      }))
      const fiber = yield* Effect.forkChild(slow(Thread.run(graph, { thread: "t", input: {} })))
      yield* TestClock.adjust("1 second")
      const waiting = yield* Fiber.join(fiber)
      assert.strictEqual(waiting._tag, "Waiting")
      yield* Thread.answer(Approve, { thread: "t", value: true })
      yield* Effect.exit(Thread.run(graph, { thread: "t" }))
      yield* Thread.answer(Name, { thread: "t", value: "Ada" })
      const done = yield* Thread.run(graph, { thread: "t" })
      assert.strictEqual(done.state.out, "Ada true")
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("the failure of a run is told also when its end cannot be journaled", () =>
    Effect.gen(function* () {
      class Boom extends Schema.TaggedError<Boom>()("Boom", {}) {}
      const graph = Graph.make("boom", {
        state: { out: Channel.optional(Schema.String) },
        nodes: { a: () => Effect.andThen(Effect.yieldNow, Effect.fail(new Boom())) },
        edges: { start: "a", a: "end" }
      })
      const exit = yield* Thread.run(graph, { thread: "t", input: {} }).pipe(
        onJournal((journal) => ({
          append: (thread, expected, entries, options) =>
            entries.some(({ _tag }) => _tag === "RunFinished" || _tag === "TaskFailed")
              ? Effect.fail(new Errors.JournalUnavailable({ operation: "append", cause: "down" }))
              : journal.append(thread, expected, entries, options)
        })),
        Effect.exit
      )
      assert.include(String(exit), "Boom")
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("an interrupted run of a listener that takes nothing ends at once", () =>
    Effect.gen(function* () {
      const graph = Graph.make("many", {
        state: { n: Channel.sum },
        nodes: { a: () => Effect.succeed({ n: 1 }) },
        edges: { start: "a", a: ({ n }) => (n < 2000 ? "a" : "end") }
      })
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(Thread.stream(graph, { thread: "t", input: {} }), () => Effect.never)
      )
      yield* settle
      const done = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* settle
      assert.isDefined(done.pollUnsafe())
      const journal = yield* Journal.Journal
      const { head } = yield* journal.info("t")
      assert.isBelow(head, 600)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.live(
    "a fan-out over items with one key costs in proportion to their number",
    () =>
      Effect.gen(function* () {
        const graph = Graph.make("keys", {
          state: { items: Channel.last(Schema.Array(Schema.Int)), out: Channel.append(Schema.Int) },
          nodes: { work: Node.make(Schema.Int, (n) => Effect.succeed({ out: [n] })) },
          edges: {
            start: { each: "work", of: ({ items }) => items, keys: ({ items }) => items.map(() => "same") },
            work: "end"
          }
        })
        const run = (count: number) => Graph.run(graph, { items: Array.from({ length: count }, (_, index) => index) })
        yield* run(250)
        yield* assertInProportion(() => run(500), run(4000))
      }),
    { retry: 3 }
  )

  it.effect("a fork in the middle of a graph inside has the time that that graph gives a run", () =>
    Effect.gen(function* () {
      const inner = Graph.make("inner", {
        state: { ok: Channel.optional(Schema.Boolean) },
        nodes: { ask: () => Effect.map(Ask.ask(Approve, "ok?"), (ok) => ({ ok })) },
        edges: { start: "ask", ask: "end" },
        deadline: "1 minute"
      })
      const outer = Graph.make("outer", {
        state: { ok: Channel.optional(Schema.Boolean) },
        nodes: {
          first: () => Effect.map(Ask.ask(Approve, "begin?"), () => ({})),
          inner: Graph.node(inner, { input: () => ({}), update: ({ ok }) => ({ ok }) })
        },
        edges: { start: "first", first: "inner", inner: "end" }
      })
      yield* Thread.run(outer, { thread: "t", input: {} })
      yield* TestClock.adjust("1 hour")
      yield* Thread.answer(Approve, { thread: "t", value: true })
      yield* Thread.run(outer, { thread: "t" })
      const journal = yield* Journal.Journal
      const { head } = yield* journal.info("t")
      yield* TestClock.adjust("1 day")
      yield* Thread.fork(outer, { thread: "t", at: head, as: "t2" })
      yield* Thread.answer(Approve, { thread: "t2", value: true })
      const exit = yield* Effect.exit(Thread.run(outer, { thread: "t2" }))
      assert.isTrue(Exit.isSuccess(exit), String(exit))
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a patched fork does not forget that a call was in flight inside a graph inside", () =>
    Effect.gen(function* () {
      const gate = yield* makeGate
      const calls: Array<string> = []
      const inner = Graph.make("pay", {
        state: { out: Channel.optional(Schema.String) },
        nodes: {
          pay: () =>
            Effect.map(
              Durable.call({
                key: "pay",
                detail: "pay",
                schema: Schema.String,
                call: Effect.suspend(() => {
                  calls.push("pay")
                  return Effect.as(calls.length < 2 ? gate.pass : Effect.void, "sent")
                })
              }),
              (out) => ({ out })
            )
        },
        edges: { start: "pay", pay: "end" }
      })
      const outer = Graph.make("outer", {
        state: { out: Channel.optional(Schema.String) },
        nodes: { inner: Graph.node(inner, { input: () => ({}), update: ({ out }) => ({ out }) }) },
        edges: { start: "inner", inner: "end" }
      })
      const fiber = yield* Effect.forkChild(Thread.run(outer, { thread: "t", input: {} }))
      yield* gate.reached
      yield* Fiber.interrupt(fiber)
      const journal = yield* Journal.Journal
      const { head } = yield* journal.info("t")
      yield* Effect.exit(Thread.fork(outer, { thread: "t", at: head, as: "t2", update: { out: "patched" } }))
      yield* Effect.exit(Thread.run(outer, { thread: "t2" }))
      assert.deepStrictEqual(calls, ["pay"])
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a named run that is asked for again while it is under way here does not run its tasks twice", () =>
    Effect.gen(function* () {
      const gate = yield* makeGate
      let runs = 0
      const graph = Graph.make("once", {
        state: { out: Channel.optional(Schema.String) },
        nodes: {
          a: () =>
            Effect.suspend(() => {
              runs++
              return Effect.as(gate.pass, {})
            })
        },
        edges: { start: "a", a: "end" }
      })
      const options = { thread: "t", input: {}, run: "1" }
      const first = yield* Effect.forkChild(Thread.run(graph, options))
      yield* gate.reached
      const second = yield* Effect.forkChild(Effect.exit(Thread.run(graph, options)))
      yield* settle
      assert.strictEqual(runs, 1)
      yield* gate.open
      yield* Fiber.await(first)
      yield* Fiber.await(second)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("many queued inputs of which one does not fit: the others run, in order", () =>
    Effect.gen(function* () {
      const gate = yield* makeGate
      const seen: Array<number> = []
      const graph = Graph.make("stock", {
        state: {
          stock: Channel.reduce({
            schema: Schema.Int,
            update: Schema.Int,
            initial: 10,
            reducer: (value, update: number) => {
              if (value + update < 0) throw new Error(`only ${value} left`)
              return value + update
            }
          })
        },
        nodes: {
          a: ({ stock }) => {
            seen.push(stock)
            return Effect.as(gate.pass, {})
          }
        },
        edges: { start: "a", a: "end" }
      })
      const first = yield* Effect.forkChild(Effect.exit(Thread.run(graph, { thread: "t", input: { stock: -5 } })))
      yield* gate.reached
      for (const stock of [-2, -4, -9, -3]) {
        yield* Thread.run(graph, { thread: "t", input: { stock }, whenBusy: "queue" })
      }
      yield* gate.open
      yield* Fiber.await(first)
      assert.deepStrictEqual(seen, [5, 3, 0])
      assert.strictEqual((yield* Thread.state(graph, { thread: "t" })).stock, 0)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("an input that queues is queued once, also if another process takes up the queue at that moment", () =>
    Effect.gen(function* () {
      const gate = yield* makeGate
      const graph = Graph.make("queue", {
        state: { what: Channel.last(Schema.String) },
        nodes: { a: () => Effect.as(gate.pass, {}) },
        edges: { start: "a", a: "end" }
      })
      // Its process dies before it takes up what is queued.
      const first = yield* Effect.forkChild(
        Thread.run(graph, { thread: "t", input: { what: "a" } }).pipe(
          onJournal((journal) => ({
            append: (thread, expected, entries, options) =>
              entries[0]._tag === "RunStarted" && expected > 0
                ? Effect.fail(new Errors.JournalUnavailable({ operation: "append", cause: "killed" }))
                : journal.append(thread, expected, entries, options)
          }))
        )
      )
      yield* gate.reached
      yield* Thread.run(graph, { thread: "t", input: { what: "b" }, whenBusy: "queue" })
      yield* gate.open
      yield* Fiber.await(first)
      // Another process takes it up just before this one would.
      let taken = false
      yield* Thread.run(graph, { thread: "t", input: { what: "c" }, whenBusy: "queue" }).pipe(
        onJournal((journal) => ({
          append: (thread, expected, entries, options) =>
            Effect.gen(function* () {
              const [entry] = entries
              if (entry._tag === "RunStarted" && !taken) {
                taken = true
                yield* Effect.orDie(journal.append(thread, expected, [entry]))
              }
              return yield* journal.append(thread, expected, entries, options)
            })
        })),
        Effect.exit
      )
      assert.isTrue(taken)
      const queued = (yield* entriesOf("t")).flatMap((entry) =>
        entry._tag === "InputQueued" ? [entry.input["what"]] : []
      )
      assert.deepStrictEqual(queued, ["b", "c"])
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("an input that queues in the moment in which the run before it fails is taken up", () =>
    Effect.gen(function* () {
      const runs: Array<string> = []
      const graph = Graph.make("last-moment", {
        state: { what: Channel.last(Schema.String) },
        nodes: {
          a: ({ what }) =>
            Effect.suspend(() => {
              runs.push(what)
              return what === "bad" ? Effect.die("down") : Effect.succeed({})
            })
        },
        edges: { start: "a", a: "end" }
      })
      let queued = false
      yield* Thread.run(graph, { thread: "t", input: { what: "bad" } }).pipe(
        onJournal((journal) => ({
          append: (thread, expected, entries, options) =>
            Effect.gen(function* () {
              if (entries.some(({ _tag }) => _tag === "RunFinished") && !queued) {
                queued = true
                const [first] = yield* Effect.orDie(journal.read(thread))
                if (first?.entry._tag !== "RunStarted" || first.entry.graph === undefined) return yield* Effect.die("?")
                const input = { what: "good" }
                yield* journal.append(thread, expected, [{ _tag: "InputQueued", graph: first.entry.graph, input }])
              }
              return yield* journal.append(thread, expected, entries, options)
            })
        })),
        Effect.exit
      )
      assert.isTrue(queued)
      assert.deepStrictEqual(runs, ["bad", "good"])
    }).pipe(Effect.provide(Journal.layerMemory))
  )
})

// Findings of a review: inputs, patches, routes, joins, streams. Each test says what should hold.
import { Channel, Graph, Journal, Messages, Node, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { makeGate, onJournal, settle } from "../behaviours/support.ts"
import { assertInProportion } from "../measures.ts"

const stock = Channel.reduce({
  schema: Schema.Int,
  update: Schema.Int,
  initial: 10,
  reducer: (value, update: number) => {
    if (value + update < 0) throw new Error(`only ${value} left`)
    return value + update
  }
})

describe("threads", () => {
  const gated = Effect.gen(function* () {
    const gate = yield* makeGate
    const runs: Array<string> = []
    const graph = Graph.make("gated", {
      state: { what: Channel.last(Schema.NonEmptyString), out: Channel.append(Schema.String) },
      nodes: {
        work: ({ what }) =>
          Effect.gen(function* () {
            runs.push(what)
            yield* gate.pass
            return { out: [what] }
          })
      },
      edges: { start: "work", work: "end" }
    })
    return { gate, runs, graph }
  })

  it.effect("a run that is queued twice under one name is queued once, and disturbs nobody", () =>
    Effect.gen(function* () {
      const { gate, graph, runs } = yield* gated
      const first = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: { what: "a" }, run: "1" }))
      yield* gate.reached
      const options = { thread: "t", input: { what: "b" }, run: "2", whenBusy: "queue" } as const
      yield* Thread.run(graph, options)
      const again = yield* Effect.forkChild(Effect.exit(Thread.run(graph, options)))
      yield* settle
      yield* gate.open
      const exit = yield* Fiber.await(first)
      yield* Fiber.join(again)
      assert.isTrue(Exit.isSuccess(exit), String(exit))
      assert.deepStrictEqual(runs, ["a", "b"])
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("an input that queues and is equal to that of the run under way does not run it a second time", () =>
    Effect.gen(function* () {
      const { gate, graph, runs } = yield* gated
      const options = { thread: "t", input: { what: "a" }, whenBusy: "queue" } as const
      const first = yield* Effect.forkChild(Thread.run(graph, options))
      yield* gate.reached
      const again = yield* Effect.forkChild(Effect.exit(Thread.run(graph, options)))
      yield* settle
      assert.deepStrictEqual(runs, ["a"])
      yield* gate.open
      const exit = yield* Fiber.await(first)
      yield* Fiber.join(again)
      assert.isTrue(Exit.isSuccess(exit), String(exit))
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("an input that does not fit replaces nothing", () =>
    Effect.gen(function* () {
      const { gate, graph } = yield* gated
      const first = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: { what: "a" } }))
      yield* gate.reached
      const refused = yield* Effect.flip(Thread.run(graph, { thread: "t", input: { what: "" }, whenBusy: "replace" }))
      assert.strictEqual(refused._tag, "NodeContractViolated")
      yield* gate.open
      const exit = yield* Fiber.await(first)
      assert.isTrue(Exit.isSuccess(exit), String(exit))
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a named run that was done long ago replaces nothing when it is asked for again", () =>
    Effect.gen(function* () {
      const { gate, graph } = yield* gated
      yield* gate.open
      yield* Thread.run(graph, { thread: "t", input: { what: "a" }, run: "1", whenBusy: "replace" })
      const never = Graph.make("gated", {
        state: { what: Channel.last(Schema.NonEmptyString), out: Channel.append(Schema.String) },
        nodes: { work: () => Effect.never as Effect.Effect<{ out: Array<string> }> },
        edges: { start: "work", work: "end" }
      })
      const second = yield* Effect.forkChild(
        Thread.run(never, { thread: "t", input: { what: "b" }, run: "2", whenBusy: "replace" })
      )
      yield* settle
      const again = yield* Effect.forkChild(
        Thread.run(graph, { thread: "t", input: { what: "a" }, run: "1", whenBusy: "replace" })
      )
      yield* settle
      const exit = second.pollUnsafe()
      assert.isUndefined(exit, String(exit))
      yield* Fiber.interrupt(again)
      yield* Fiber.interrupt(second)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  const stocked = Graph.make("stock", {
    state: { stock, take: Channel.last(Schema.Int, { initial: 0 }) },
    nodes: { take: ({ take }) => Effect.succeed({ stock: -take }) },
    edges: { start: "take", take: "end" }
  })

  it.effect("a patch that the reducer refuses is refused, and the thread goes on", () =>
    Effect.gen(function* () {
      yield* Thread.run(stocked, { thread: "t", input: { take: 9 } })
      const exit = yield* Effect.exit(Thread.patch(stocked, { thread: "t", update: { stock: -5 } }))
      const state = yield* Effect.exit(Thread.state(stocked, { thread: "t" }))
      assert.isTrue(Exit.isSuccess(state), String(state))
      assert.isTrue(Exit.isFailure(exit))
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a fork whose patch the reducer refuses leaves nothing behind", () =>
    Effect.gen(function* () {
      yield* Thread.run(stocked, { thread: "t", input: { take: 9 } })
      const exit = yield* Effect.exit(Thread.fork(stocked, { thread: "t", at: 2, as: "t2", update: { stock: -5 } }))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual((yield* Effect.flip(Thread.state(stocked, { thread: "t2" })))._tag, "ThreadNotFound")
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a patch that the reducer takes is taken, also where the initial value would refuse it", () =>
    Effect.gen(function* () {
      yield* Thread.run(stocked, { thread: "t", input: { stock: 90 } })
      yield* Thread.patch(stocked, { thread: "t", update: { stock: -50 } })
      assert.strictEqual((yield* Thread.state(stocked, { thread: "t" })).stock, 50)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a message of a conversation can be taken out by a patch", () =>
    Effect.gen(function* () {
      const graph = Graph.make("chat", {
        state: { chat: Channel.messages },
        nodes: { say: () => Effect.succeed({}) },
        edges: { start: "say", say: "end" }
      })
      const message = Messages.withId(Prompt.userMessage({ content: [Prompt.textPart({ text: "secret" })] }), "m1")
      yield* Thread.run(graph, { thread: "t", input: { chat: Prompt.fromMessages([message]) } })
      yield* Thread.patch(graph, { thread: "t", update: { chat: Messages.remove(["m1"]) } })
      assert.strictEqual((yield* Thread.state(graph, { thread: "t" })).chat.content.length, 0)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a queued input that the reducer refuses fails its own run, and the thread goes on", () =>
    Effect.gen(function* () {
      const gate = yield* makeGate
      const graph = Graph.make("stock", {
        state: { stock },
        nodes: { take: () => Effect.as(gate.pass, { stock: -5 }) },
        edges: { start: "take", take: "end" }
      })
      const first = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: { stock: -1 } }))
      yield* gate.reached
      yield* Thread.run(graph, { thread: "t", input: { stock: -6 }, whenBusy: "queue" })
      yield* gate.open
      yield* Fiber.await(first)
      const state = yield* Effect.exit(Thread.state(graph, { thread: "t" }))
      assert.isTrue(Exit.isSuccess(state), String(state))
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a route that throws does not lose the step before it", () =>
    Effect.gen(function* () {
      let runs = 0
      let broken = true
      const graph = Graph.make("route", {
        state: { out: Channel.append(Schema.String) },
        nodes: {
          a: () =>
            Effect.sync(() => {
              runs++
              return { out: ["a"] }
            })
        },
        edges: {
          start: "a",
          a: ({ out }) => {
            if (broken && out.length > 0) throw new Error("bad route")
            return "end"
          }
        }
      })
      yield* Effect.exit(Thread.run(graph, { thread: "t", input: {} }))
      broken = false
      yield* Thread.run(graph, { thread: "t" })
      assert.strictEqual(runs, 1)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a join that waits for another join runs once, also when that one is let go early", () =>
    Effect.gen(function* () {
      const graph = Graph.make("joins", {
        state: { out: Channel.append(Schema.String) },
        nodes: {
          a: () => Effect.succeed({ out: ["a"] }),
          b: () => Effect.succeed({ out: ["b"] }),
          c: () => Effect.succeed({ out: ["c"] }),
          inner: () => Effect.succeed({ out: ["inner"] }),
          outer: () => Effect.succeed({ out: ["outer"] })
        },
        edges: {
          start: ["a", "b", "c"],
          a: "inner",
          b: (state) => (state.out.length > 100 ? "inner" : "end"),
          c: "outer",
          inner: "outer",
          outer: "end"
        },
        joins: { inner: ["a", "b"], outer: ["inner", "c"] }
      })
      const { out } = yield* Graph.run(graph, {})
      assert.deepStrictEqual(out, ["a", "b", "c", "inner", "outer"])
    })
  )

  it.effect(`a node may be called "constructor"`, () =>
    Effect.gen(function* () {
      const graph = Graph.make("names", {
        state: { out: Channel.append(Schema.String) },
        nodes: {
          constructor: () => Effect.succeed({ out: ["c"] }),
          b: () => Effect.succeed({ out: ["b"] })
        },
        edges: { start: ["constructor", "b"], constructor: "end", b: "end" }
      })
      const exit = yield* Effect.exit(Graph.run(graph, {}))
      assert.isTrue(Exit.isSuccess(exit), String(exit))
    })
  )

  it.effect("a stream has no gap where something came in between as its run began", () =>
    Effect.gen(function* () {
      const graph = Graph.make("gap", {
        state: { out: Channel.append(Schema.String) },
        nodes: { a: () => Effect.succeed({ out: ["a"] }) },
        edges: { start: "a", a: "end" }
      })
      yield* Thread.run(graph, { thread: "t", input: {} })
      let patched = false
      const events = yield* Thread.stream(graph, {
        thread: "t",
        input: { out: ["again"] },
        whenBusy: "replace",
        after: 0
      }).pipe(
        Stream.runCollect,
        onJournal((journal) => ({
          append: (thread, expected, entries, options) =>
            Effect.gen(function* () {
              if (!patched) {
                patched = true
                yield* journal.append(thread, expected, [{ _tag: "Patched", updates: { out: ["p"] } }])
              }
              return yield* journal.append(thread, expected, entries, options)
            })
        }))
      )
      const seqs = events.flatMap((event) => (event._tag === "Journaled" ? [event.seq] : []))
      assert.deepStrictEqual(
        seqs,
        seqs.map((_, index) => index + 1)
      )
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a stream ends when the scope that its run was left to closes", () =>
    Effect.gen(function* () {
      const { gate, graph } = yield* gated
      const scope = yield* Scope.make()
      const stream = Thread.stream(graph, { thread: "t", input: { what: "a" }, detach: scope })
      const listener = yield* Effect.forkChild(Effect.exit(Stream.runDrain(stream)))
      yield* gate.reached
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.isDefined(listener.pollUnsafe())
      yield* Fiber.interrupt(listener)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("what queues behind a run without a journal runs", () =>
    Effect.gen(function* () {
      const { gate, graph, runs } = yield* gated
      const first = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: { what: "a" } }))
      yield* gate.reached
      yield* Thread.run(graph, { thread: "t", input: { what: "b" }, whenBusy: "queue" })
      yield* gate.open
      const exit = yield* Fiber.await(first)
      assert.isTrue(Exit.isSuccess(exit), String(exit))
      assert.deepStrictEqual(runs, ["a", "b"])
    }).pipe(Effect.provide(Journal.layerEphemeral))
  )

  it.effect("what is read of a thread for its listener is read in pages", () =>
    Effect.gen(function* () {
      const graph = Graph.make("long", {
        state: { count: Channel.sum },
        nodes: { a: () => Effect.succeed({ count: 1 }) },
        edges: { start: "a", a: ({ count }) => (count < 3000 ? "a" : "end") }
      })
      yield* Thread.run(graph, { thread: "t", input: {} })
      let largest = 0
      const reads: Array<string> = []
      yield* Thread.stream(graph, { thread: "t", after: 0 }).pipe(
        Stream.runDrain,
        onJournal((journal) => ({
          read: (...args) =>
            Effect.tap(journal.read(...args), (entries) => {
              largest = Math.max(largest, entries.length)
              reads.push(`${args[1]?.after}+${entries.length}`)
              return Effect.void
            })
        }))
      )
      assert.isAtMost(largest, 512, reads.join(" "))
    }).pipe(Effect.provide(Journal.layerMemoryWith({ snapshots: { entries: 128 } })))
  )

  it.effect("a snapshot does not grow with the number of runs for ever", () =>
    Effect.gen(function* () {
      const graph = Graph.make("named", {
        state: { count: Channel.sum },
        nodes: { a: () => Effect.succeed({ count: 1 }) },
        edges: { start: "a", a: "end" }
      })
      const size = Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const snapshot = yield* journal.snapshot("t")
        return JSON.stringify(snapshot).length
      })
      const turns = (from: number, to: number) =>
        Effect.forEach(
          Array.from({ length: to - from }, (_, index) => from + index),
          (turn) => Thread.run(graph, { thread: "t", input: {}, run: `turn-${turn}` }),
          { discard: true }
        )
      yield* turns(0, 1200)
      const early = yield* size
      yield* turns(1200, 2400)
      assert.isAtMost(yield* size, 1.2 * early)
    }).pipe(Effect.provide(Journal.layerMemoryWith({ snapshots: { entries: 50, bytes: 1 } })))
  )

  it.effect("a thread is held in memory after its first run too", () =>
    Effect.gen(function* () {
      const graph = Graph.make("warm", {
        state: { n: Channel.sum },
        nodes: { a: () => Effect.succeed({ n: 1 }) },
        edges: { start: "a", a: "end" }
      })
      let entries = 0
      yield* Effect.gen(function* () {
        yield* Thread.run(graph, { thread: "t", input: {} })
        entries = 0
        yield* Thread.run(graph, { thread: "t", input: { n: 1 } })
      }).pipe(
        onJournal((journal) => ({
          read: (...args) =>
            Effect.map(journal.read(...args), (read) => {
              entries += read.length
              return read
            })
        }))
      )
      assert.strictEqual(entries, 0)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("what came in between as a run began is taken in once, also if that happens twice", () =>
    Effect.gen(function* () {
      const graph = Graph.make("between", {
        state: { n: Channel.sum },
        nodes: { a: () => Effect.succeed({}) },
        edges: { start: "a", a: "end" }
      })
      yield* Thread.run(graph, { thread: "t", input: {} })
      let patches = 0
      const done = yield* Thread.run(graph, { thread: "t", input: {}, whenBusy: "replace" }).pipe(
        onJournal((journal) => ({
          append: (thread, expected, entries, options) =>
            Effect.gen(function* () {
              if (options?.past === undefined && patches++ < 3)
                yield* journal.append(thread, expected, [{ _tag: "Patched", updates: { n: 1 } }])
              return yield* journal.append(thread, expected, entries, options)
            })
        }))
      )
      assert.strictEqual(done.state.n, 3)
      assert.strictEqual((yield* Thread.state(graph, { thread: "t" })).n, 3)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("a named run that is done and asked for again does not go on with another run", () =>
    Effect.gen(function* () {
      let runs = 0
      const graph = Graph.make("again", {
        state: { fail: Channel.last(Schema.Boolean) },
        nodes: {
          a: ({ fail }) =>
            Effect.suspend(() => {
              runs++
              return fail ? Effect.die("down") : Effect.succeed({})
            })
        },
        edges: { start: "a", a: "end" }
      })
      yield* Thread.run(graph, { thread: "t", input: { fail: false }, run: "1" })
      yield* Effect.exit(Thread.run(graph, { thread: "t", input: { fail: true }, run: "2" }))
      yield* Effect.exit(Thread.run(graph, { thread: "t", input: { fail: false }, run: "1" }))
      assert.strictEqual(runs, 2)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect(
    "a wide step whose ends wait for their append is interrupted in time in proportion to its width",
    () =>
      Effect.gen(function* () {
        const interrupted = Effect.fnUntraced(function* (thread: string, width: number) {
          const graph = Graph.make("wide", {
            state: { out: Channel.append(Schema.Int) },
            nodes: { work: Node.make(Schema.Int, (n) => Effect.as(Effect.sleep("1 second"), { out: [n] })) },
            edges: {
              start: { each: "work", of: ({ out }) => Array.from({ length: width - out.length }, (_, index) => index) },
              work: "end"
            }
          })
          const fiber = yield* Effect.forkChild(
            Thread.run(graph, { thread, input: {} }).pipe(
              onJournal((journal) => ({
                append: (...args) =>
                  Effect.andThen(args[1] === 0 ? Effect.void : Effect.sleep("10 seconds"), journal.append(...args))
              }))
            )
          )
          yield* TestClock.adjust("2 seconds")
          const done = yield* Effect.forkChild(Fiber.interrupt(fiber))
          yield* TestClock.adjust("1 minute")
          yield* Fiber.join(done)
        })
        yield* interrupted("warm-up", 500)
        yield* assertInProportion((index) => interrupted(`small ${index}`, 1000), interrupted("large", 8000))
      }).pipe(Effect.provide(Journal.layerMemory)),
    { retry: 3 }
  )
})

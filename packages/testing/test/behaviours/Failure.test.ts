// Lines 13 to 22 of the acceptance list: failure, retry, timeout, interruption.
import { createServer } from "node:http"
import { Ask, Channel, Durable, Event, Graph, Journal, Node, Policy, Task, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { stores } from "../../../sqlite/test/stores.ts"
import { elsewhere, entriesOf, infoOf, makeGate, makeLog, settle, tagsOf } from "./support.ts"

class Boom extends Schema.TaggedError<Boom>()("Boom", { what: Schema.String, at: Schema.optionalKey(Schema.Date) }) {}
class Worse extends Schema.TaggedError<Worse>()("Worse", { after: Schema.String }) {}

const Approve = Ask.make("approve", { question: Schema.String, answer: Schema.Boolean })

for (const store of stores("selvage_behaviours_failure")) {
  describe.skipIf(store.skip)(`Failure on ${store.name}`, () => {
    for (const siblings of ["finish", "interrupt"] as const) {
      it.effect(
        `13. A task fails while siblings run: running siblings ${
          siblings === "finish" ? "finish and their results are kept" : "are interrupted (policy)"
        }; on resume only ${siblings === "finish" ? "the failed task runs" : "what has no result runs"}`,
        () =>
          Effect.gen(function* () {
            const gate = yield* makeGate
            const log = yield* makeLog
            let broken = true
            const graph = Graph.make("beside", {
              state: { out: Channel.append(Schema.String) },
              nodes: {
                quick: () => Effect.as(log.add("quick"), { out: ["quick"] }),
                fails: () =>
                  Effect.gen(function* () {
                    yield* log.add("fails")
                    if (broken) {
                      yield* gate.reached
                      return yield* new Boom({ what: "fails" })
                    }
                    return { out: ["mended"] }
                  }),
                slow: () =>
                  Effect.gen(function* () {
                    yield* log.add("slow")
                    if (broken) yield* gate.pass
                    return { out: ["slow"] }
                  }).pipe(Effect.onInterrupt(() => log.add("slow interrupted")))
              },
              edges: { start: ["quick", "fails", "slow"], quick: "end", fails: "end", slow: "end" },
              siblings
            })
            const fiber = yield* Effect.forkChild(Effect.exit(Thread.run(graph, { thread: "t", input: {} })))
            if (siblings === "finish") {
              yield* gate.reached
              yield* settle
              assert.notStrictEqual((yield* infoOf("t")).status, "failed")
              yield* gate.open
            }
            const exit = yield* Fiber.join(fiber)
            assert.ok(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof Boom)
            const before = ["quick", "fails", "slow"]
            assert.deepStrictEqual(yield* log.take, siblings === "finish" ? before : [...before, "slow interrupted"])
            assert.deepStrictEqual(
              (yield* entriesOf("t")).flatMap((entry) => (entry._tag === "TaskCompleted" ? [entry.result.task] : [])),
              siblings === "finish" ? ["quick", "slow"] : ["quick"]
            )
            broken = false
            const done = yield* elsewhere(Thread.run(graph, { thread: "t" }))
            assert.deepStrictEqual(done.state.out, ["quick", "mended", "slow"])
            assert.deepStrictEqual(yield* log.get, siblings === "finish" ? ["fails"] : ["fails", "slow"])
          }).pipe(Effect.provide(store.layer))
      )
    }

    it.effect(
      "16. An error with a route in onError runs that node once with the error as input; an error in that node fails the run",
      () =>
        Effect.gen(function* () {
          const taken: Array<Boom> = []
          const at = new Date(7)
          let mended = false
          const graph = Graph.make("rescued", {
            state: { items: Channel.last(Schema.Array(Schema.String)), out: Channel.append(Schema.String) },
            nodes: {
              work: Node.make(Schema.String, (what) =>
                what.startsWith("bad") ? Effect.fail(new Boom({ what, at })) : Effect.succeed({ out: [what] })
              ),
              rescue: Node.make(Boom, (error) => {
                taken.push(error)
                return mended
                  ? Effect.succeed({ out: [`rescued ${error.what}`] })
                  : Effect.fail(new Worse({ after: error.what }))
              })
            },
            edges: { start: { each: "work", of: ({ items }) => items }, work: "end", rescue: "end" },
            onError: { Boom: "rescue" }
          })
          const input = { items: ["good", "bad 1", "bad 2"] }
          const failed = yield* Effect.flip(Thread.run(graph, { thread: "t", input }))
          assert.ok(failed._tag === "Worse" && failed.after === "bad 1")
          assert.strictEqual((yield* infoOf("t")).status, "failed")
          mended = true
          // The error itself outlives the restart, class and date.
          taken.length = 0
          const done = yield* elsewhere(Thread.run(graph, { thread: "t" }))
          assert.deepStrictEqual(done.state.out, ["good", "rescued bad 1", "rescued bad 2"])
          assert.deepStrictEqual(
            taken.map(({ what }) => what),
            ["bad 1", "bad 2"]
          )
          for (const error of taken) assert.ok(error instanceof Boom && error.at?.getTime() === at.getTime())
        }).pipe(Effect.provide(store.layer))
    )

    it.effect("17. Failure beside an Ask: both are kept; answering resumes without repeating finished work", () =>
      Effect.gen(function* () {
        const log = yield* makeLog
        let broken = true
        const graph = Graph.make("both", {
          state: { out: Channel.append(Schema.String) },
          nodes: {
            done: () => Effect.as(log.add("done"), { out: ["done"] }),
            fails: () =>
              Effect.andThen(
                log.add("fails"),
                broken ? Effect.fail(new Boom({ what: "fails" })) : Effect.succeed({ out: ["mended"] })
              ),
            asks: () => Effect.map(Effect.andThen(log.add("asks"), Ask.ask(Approve, "?")), (ok) => ({ out: [`${ok}`] }))
          },
          edges: { start: ["done", "fails", "asks"], done: "end", fails: "end", asks: "end" }
        })
        const error = yield* Effect.flip(Thread.run(graph, { thread: "t", input: {} }))
        assert.strictEqual(error._tag, "Boom")
        const [open] = yield* elsewhere(Thread.asks({ thread: "t" }))
        assert.strictEqual(open?.name, "approve")
        assert.include(yield* tagsOf("t"), "TaskFailed")
        yield* elsewhere(Thread.answer(Approve, { thread: "t", ask: open?.ask, value: true }))
        yield* log.take
        // Still broken: the answered task is done now, and the failed one fails again.
        assert.strictEqual((yield* Effect.flip(elsewhere(Thread.run(graph, { thread: "t" }))))._tag, "Boom")
        assert.sameMembers([...(yield* log.take)], ["fails", "asks"])
        broken = false
        const { state } = yield* elsewhere(Thread.run(graph, { thread: "t" }))
        assert.deepStrictEqual(state.out, ["done", "mended", "true"])
        assert.deepStrictEqual(yield* log.get, ["fails"])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "18. Interrupting a run interrupts every running task, aborts its HTTP request, waits for its finalizers, and commits nothing half",
      () =>
        Effect.gen(function* () {
          const requested = yield* Queue.unbounded<void>()
          const aborted = yield* Queue.unbounded<void>()
          const answering = { now: false }
          const server = createServer((request, response) => {
            if (answering.now) return void response.end("answered")
            Queue.offerUnsafe(requested, undefined)
            request.socket.on("close", () => Queue.offerUnsafe(aborted, undefined))
          })
          const port = yield* Effect.acquireRelease(
            Effect.callback<number>((resume) => {
              server.listen(0, "127.0.0.1", () => {
                const address = server.address()
                resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
              })
            }),
            () =>
              Effect.callback<void>((resume) => {
                server.closeAllConnections()
                server.close(() => resume(Effect.void))
              })
          )
          const log = yield* makeLog
          const fetch = Effect.flatMap(HttpClient.get(`http://127.0.0.1:${port}/`), ({ text }) => text)
          const graph = Graph.make("http", {
            state: { out: Channel.append(Schema.String) },
            nodes: {
              get: Node.make(Schema.String, (name) =>
                Effect.map(fetch, (text) => ({ out: [`${name} ${text}`] })).pipe(
                  // A finalizer that takes its time is waited for.
                  Effect.onInterrupt(() => Effect.andThen(settle, log.add(name)))
                )
              )
            },
            edges: { start: { each: "get", of: () => ["a", "b"] }, get: "end" }
          })
          const fiber = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
          yield* Queue.takeN(requested, 2)
          const before = yield* tagsOf("t")
          yield* Fiber.interrupt(fiber)
          assert.sameMembers([...(yield* log.get)], ["a", "b"])
          yield* Queue.takeN(aborted, 2)
          assert.deepStrictEqual(yield* tagsOf("t"), before)
          assert.deepStrictEqual(before, ["RunStarted"])
          answering.now = true
          const done = yield* elsewhere(Thread.run(graph, { thread: "t" }))
          assert.deepStrictEqual(done.state.out, ["a answered", "b answered"])
        }).pipe(Effect.scoped, Effect.provide([store.layer, FetchHttpClient.layer]))
    )

    it.effect(
      "19. Leaving a stream early stops the run (or detaches from it, when asked to); nothing runs on unseen",
      () =>
        Effect.gen(function* () {
          const stopped = yield* makeLog
          const gate = yield* makeGate
          const graph = Graph.make("watched", {
            state: { n: Channel.sum },
            nodes: {
              first: () => Effect.as(Event.emit("first", 1), { n: 1 }),
              second: () =>
                Effect.as(
                  Effect.onInterrupt(gate.pass, () => stopped.add("second")),
                  { n: 1 }
                )
            },
            edges: { start: "first", first: "second", second: "end" }
          })
          const leave = (thread: string, detach?: Scope.Scope) =>
            Thread.stream(graph, { thread, input: {}, detach }).pipe(
              Stream.filter((event) => event._tag === "TaskStarted" && event.node === "second"),
              Stream.take(1),
              Stream.runDrain
            )
          yield* leave("left")
          assert.deepStrictEqual(yield* stopped.take, ["second"])
          const { head } = yield* infoOf("left")
          yield* settle
          assert.strictEqual((yield* infoOf("left")).head, head)
          const scope = yield* Scope.make()
          yield* leave("closed", scope)
          yield* settle
          assert.deepStrictEqual(yield* stopped.get, [])
          yield* Scope.close(scope, Exit.void)
          assert.deepStrictEqual(yield* stopped.take, ["second"])
          assert.strictEqual((yield* infoOf("closed")).status, "unfinished")
          const kept = yield* Scope.make()
          yield* leave("detached", kept)
          yield* gate.open
          yield* Stream.runDrain(
            Stream.takeUntil(
              Thread.events({ thread: "detached", follow: true }),
              ({ entry }) => entry._tag === "RunFinished"
            )
          )
          assert.strictEqual((yield* infoOf("detached")).status, "done")
          yield* Scope.close(kept, Exit.void)
        }).pipe(Effect.provide(store.layer))
    )
  })
}

describe("Failure", () => {
  class Busy extends Schema.TaggedError<Busy>()("Busy", { isRetryable: Schema.Boolean, seconds: Schema.Finite }) {
    get retryAfter() {
      return Duration.seconds(this.seconds)
    }
  }

  it.effect(
    "14. Retries wait what the schedule says, at least the error's retryAfter; only retryable errors are retried; a bug is not",
    () =>
      Effect.gen(function* () {
        const attempts: Array<number> = []
        const script: Array<Effect.Effect<{ readonly n: number }, Busy>> = []
        const graph = Graph.make("retried", {
          state: { n: Channel.sum },
          nodes: {
            work: () =>
              Effect.flatMap(Clock.currentTimeMillis, (now) => {
                attempts.push(now)
                return script.shift() ?? Effect.succeed({ n: 1 })
              })
          },
          edges: { start: "work", work: "end" },
          policies: { work: Policy.make({ retry: Policy.retryable(Schedule.exponential("100 millis")) }) }
        })
        const run = Effect.fnUntraced(function* (thread: string, ...outcomes: typeof script) {
          attempts.length = 0
          script.splice(0, script.length, ...outcomes)
          const start = yield* Clock.currentTimeMillis
          const fiber = yield* Effect.forkChild(Effect.exit(Thread.run(graph, { thread, input: {} })))
          yield* TestClock.adjust("1 hour")
          const exit = yield* Fiber.join(fiber)
          return { exit, after: attempts.map((at) => at - start) }
        })
        const busy = (seconds: number) => Effect.fail(new Busy({ isRetryable: true, seconds }))
        const waited = yield* run("t1", busy(0), busy(0), busy(5), busy(0.5))
        assert.ok(Exit.isSuccess(waited.exit))
        // 100 ms, 200 ms, then 5 s for 400 ms, then 800 ms for 500 ms.
        assert.deepStrictEqual(waited.after, [0, 100, 300, 5300, 6100])
        const hopeless = yield* run("t2", Effect.fail(new Busy({ isRetryable: false, seconds: 0 })))
        assert.ok(Exit.isFailure(hopeless.exit))
        assert.deepStrictEqual(hopeless.after, [0])
        const bug = yield* run("t3", Effect.die(new Busy({ isRetryable: true, seconds: 0 })))
        assert.ok(Exit.isFailure(bug.exit))
        assert.deepStrictEqual(bug.after, [0])
      }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect(
    "15. The timer of a timeout starts anew with each attempt; an attempt that timed out leaves no write behind",
    () =>
      Effect.gen(function* () {
        let attempt = 0
        const graph = Graph.make("timed", {
          state: { out: Channel.append(Schema.String) },
          nodes: {
            work: () =>
              Effect.gen(function* () {
                const name = `attempt ${++attempt}`
                // Three attempts of 900 ms each would not fit one timer of a second.
                yield* Effect.sleep(attempt < 3 ? "1 minute" : "900 millis")
                yield* Durable.once(name, Schema.String, Effect.succeed(name))
                return { out: [name] }
              })
          },
          edges: { start: "work", work: "end" },
          policies: { work: Policy.make({ timeout: "1 second", retry: Policy.retryable(Schedule.recurs(5)) }) }
        })
        const fiber = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
        yield* TestClock.adjust("2 hours")
        const done = yield* Fiber.join(fiber)
        assert.deepStrictEqual(done.state.out, ["attempt 3"])
        assert.deepStrictEqual(
          (yield* entriesOf("t")).flatMap((entry) => (entry._tag === "Recorded" ? [entry.key] : [])),
          ["attempt 3"]
        )
      }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect(
    "16. An error in the node that a route leads to fails the run, also when it has the routed tag itself",
    () =>
      Effect.gen(function* () {
        let rescues = 0
        const graph = Graph.make("again", {
          state: { out: Channel.append(Schema.String) },
          nodes: {
            work: () => new Boom({ what: "work" }),
            // Gives up, so that a run that routes to it for ever comes to an end.
            rescue: Node.make(Boom, () =>
              ++rescues < 5 ? Effect.fail(new Boom({ what: "rescue" })) : Effect.succeed({ out: ["at last"] })
            )
          },
          edges: { start: "work", work: "end", rescue: "end" },
          onError: { Boom: "rescue" }
        })
        const exit = yield* Effect.exit(Thread.run(graph, { thread: "t", input: {} }))
        assert.ok(Exit.isFailure(exit))
        assert.strictEqual(rescues, 1)
      }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("20. A slow consumer slows a stream's producer; no buffer grows without bound", () =>
    Effect.gen(function* () {
      let emitted = 0
      const total = 5000
      const graph = Graph.make("chatty", {
        state: { n: Channel.sum },
        nodes: {
          talk: () =>
            Effect.as(
              Effect.forEach(Array.from({ length: total }), () =>
                Effect.tap(Event.token("word"), () => Effect.sync(() => emitted++))
              ),
              { n: 1 }
            )
        },
        edges: { start: "talk", talk: "end" }
      })
      let taken = 0
      let ahead = 0
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(Thread.stream(graph, { thread: "t", input: {} }), () =>
          Effect.andThen(
            taken % 500 === 0 ? settle : Effect.void,
            Effect.sync(() => {
              taken++
              ahead = Math.max(ahead, emitted - taken)
            })
          )
        )
      )
      yield* Fiber.join(fiber)
      assert.isAtLeast(taken, total)
      // What the consumer has in hand, what is in the buffer, and what waits for room in it.
      assert.isAtLeast(ahead, 256)
      assert.isAtMost(ahead, 2 * 256 + 1)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("21. An error tells node, thread, step and attempt", () =>
    Effect.gen(function* () {
      const Inner = Graph.make("inner", {
        state: { n: Channel.sum },
        nodes: {
          before: () => Effect.succeed({ n: 1 }),
          fails: Node.make(Schema.String, (item) =>
            item === "b" ? new Boom({ what: item }) : Effect.succeed({ n: 1 })
          )
        },
        edges: {
          start: "before",
          before: { each: "fails", of: () => ["a", "b"], keys: () => ["a", "b"] },
          fails: "end"
        },
        policies: { fails: Policy.make({ retry: Schedule.recurs(2) }) }
      })
      const graph = Graph.make("outer", {
        state: { n: Channel.sum },
        nodes: {
          first: () => Effect.succeed({ n: 1 }),
          inside: Graph.node(Inner, { input: () => ({}), update: () => ({}) })
        },
        edges: { start: "first", first: "inside", inside: "end" }
      })
      const place = {
        graph: "inner",
        path: "inside@2/",
        step: 2,
        node: "fails",
        task: "fails[b]",
        attempt: 3
      }
      const durable = yield* Effect.exit(Thread.run(graph, { thread: "t", input: {} }))
      assert.ok(Exit.isFailure(durable))
      assert.deepStrictEqual(Task.placeOf(durable.cause), { thread: "t", ...place })
      const streamed = yield* Effect.exit(Stream.runDrain(Thread.stream(graph, { thread: "s", input: {} })))
      assert.ok(Exit.isFailure(streamed))
      assert.deepStrictEqual(Task.placeOf(streamed.cause), { thread: "s", ...place })
      const ephemeral = yield* Effect.exit(Graph.run(graph, {}))
      assert.ok(Exit.isFailure(ephemeral))
      assert.deepStrictEqual(Task.placeOf(ephemeral.cause), { thread: undefined, ...place })
      const failed = (yield* entriesOf("t")).flatMap((entry) => (entry._tag === "TaskFailed" ? [entry] : []))
      assert.deepStrictEqual(
        failed.map(({ attempt, path, step, tag, task }) => ({ attempt, path, step, tag, task })),
        [
          { attempt: 3, path: "inside@2/", step: 2, tag: "Boom", task: "fails[b]" },
          { attempt: 1, path: "", step: 2, tag: "Boom", task: "inside" }
        ]
      )
    }).pipe(Effect.provide(Journal.layerMemory))
  )
})

// A run of a name keeps its outcome, whatever runs follow it.
import { assert, describe, it } from "@effect/vitest"
import { Ask, Channel, Graph, Journal, Thread } from "@selvage/core"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
const Ok = Ask.make("ok", { question: Schema.String, answer: Schema.Boolean })

/** Handles messages: "bad" fails while it is down, "ask" asks. */
const handling = () => {
  const here = { down: true }
  const graph = Graph.make("handling", {
    state: { message: Channel.last(Schema.String), handled: Channel.append(Schema.String) },
    nodes: {
      handle: Effect.fnUntraced(function* ({ message }: { readonly message: string }) {
        yield* Effect.yieldNow
        if (message.startsWith("bad") && here.down) return yield* new Down()
        if (message.startsWith("ask")) yield* Ask.ask(Ok, message)
        return { handled: [message] }
      })
    },
    edges: { start: "handle", handle: "end" }
  })
  const send = (run: string, whenBusy: "reject" | "replace" = "reject") =>
    Thread.run(graph, { thread: "t", run, input: { message: run }, whenBusy })
  const queue = (run: string) => Thread.run(graph, { thread: "t", run, input: { message: run }, whenBusy: "queue" })
  return { here, graph, send, queue }
}

// A new process: nothing is kept in memory.
const cold = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provideService(self, Thread.WarmThreads, 0)

for (const snapshots of ["never", { entries: 1, bytes: 1 }] as const) {
  describe(`a named run that is asked for again, ${snapshots === "never" ? "without" : "with"} snapshots`, () => {
    const test = (name: string, body: Effect.Effect<void, unknown, Journal.Journal>) =>
      it.effect(name, () => Effect.provide(cold(body), Journal.layerMemoryWith({ snapshots })))

    test(
      "fails if it had failed and another followed, and says so",
      Effect.gen(function* () {
        const { here, send } = handling()
        assert.strictEqual((yield* Effect.flip(send("bad")))._tag, "Down")
        yield* send("good")
        here.down = false
        const again = yield* Effect.flip(send("bad"))
        assert.deepInclude(again, { _tag: "RunFailed", thread: "t", run: "bad" })
        assert.match(again.message, /"bad" of thread "t" failed with Down .* Start it under another name/)
        assert.deepStrictEqual((yield* send("good")).state.handled, ["good"])
      })
    )

    test(
      "gives the state as of its end, also where later ones are done, failed or wait",
      Effect.gen(function* () {
        const { send } = handling()
        yield* send("a")
        yield* send("b")
        const first = { _tag: "Done", state: { message: "a", handled: ["a"] } } as const
        assert.deepStrictEqual(yield* send("a"), first)
        yield* Effect.flip(send("bad"))
        assert.deepStrictEqual(yield* send("a"), first)
        assert.strictEqual((yield* send("ask"))._tag, "Waiting")
        assert.deepStrictEqual(yield* send("a"), first)
        assert.strictEqual((yield* Effect.flip(send("bad")))._tag, "RunFailed")
        assert.strictEqual((yield* send("ask"))._tag, "Waiting")
      })
    )

    test(
      "goes on if it failed or waits and none followed",
      Effect.gen(function* () {
        const { here, send } = handling()
        yield* Effect.flip(send("bad"))
        here.down = false
        assert.deepStrictEqual((yield* send("bad")).state.handled, ["bad"])
        yield* send("ask")
        yield* Thread.answer(Ok, { thread: "t", value: true })
        assert.deepStrictEqual((yield* send("ask")).state.handled, ["bad", "ask"])
        yield* send("last")
        assert.deepStrictEqual((yield* send("bad")).state.handled, ["bad"])
      })
    )

    test(
      "was replaced, if another took its place before its end",
      Effect.gen(function* () {
        const { send } = handling()
        yield* send("ask")
        yield* send("other", "replace")
        assert.strictEqual((yield* Effect.flip(send("ask")))._tag, "RunReplaced")
        assert.strictEqual((yield* Effect.flip(send("ask", "replace")))._tag, "RunReplaced")
      })
    )

    test(
      "has its own outcome also where those queued behind it have others",
      Effect.gen(function* () {
        const { queue, send } = handling()
        const first = yield* Effect.forkChild(Effect.exit(send("a")), { startImmediately: true })
        for (const run of ["bad", "c", "ask"]) {
          assert.strictEqual((yield* queue(run))._tag, "Queued")
        }
        const exit = yield* Fiber.join(first)
        assert.deepStrictEqual(exit._tag === "Success" ? exit.value : exit, {
          _tag: "Done",
          state: { message: "a", handled: ["a"] }
        })
        assert.strictEqual((yield* Effect.flip(queue("bad")))._tag, "RunFailed")
        assert.deepInclude(yield* queue("c"), { state: { message: "c", handled: ["a", "c"] } })
        assert.strictEqual((yield* queue("ask"))._tag, "Waiting")
      })
    )
  })
}

it.effect("of a name that an older snapshot knows without its end, the end is found in the entries", () =>
  Effect.gen(function* () {
    const { graph, here, send } = handling()
    yield* Effect.flip(send("bad"))
    here.down = false
    for (let count = 0; count < 20; count++) yield* send(`m${count}`)
    const journal = yield* Journal.Journal
    const older = Journal.Journal.of({
      ...journal,
      snapshot: (thread) =>
        Effect.map(
          journal.snapshot(thread),
          Option.map(({ seq, value }) => {
            const { ends, ...rest } = value as { readonly ends: Schema.Json; readonly [key: string]: Schema.Json }
            assert.isArray(ends)
            return { seq, value: rest }
          })
        )
    })
    const again = (run: string) =>
      Effect.provideService(Thread.run(graph, { thread: "t", run, input: { message: run } }), Journal.Journal, older)
    assert.deepInclude(yield* Effect.flip(again("bad")), { _tag: "RunFailed" })
    assert.deepInclude(yield* again("m1"), { _tag: "Done" })
  }).pipe(cold, Effect.provide(Journal.layerMemoryWith({ snapshots: { entries: 1, bytes: 1 } })))
)

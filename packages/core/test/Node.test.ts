import { Ask, Channel, Errors, Graph, Journal, Node, Policy, Task, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"

class Down extends Schema.TaggedError<Down>()("Down", { isRetryable: Schema.Boolean }) {}

class Search extends Node.Service<Search>()("test/Node/Search", {
  input: Schema.String,
  output: Schema.Struct({ notes: Schema.Array(Schema.String) }),
  error: Down
}) {}

const down = Search.toLayer(() => Effect.fail(new Down({ isRetryable: true })))
const up = Search.toLayer((topic) => Effect.succeed({ notes: [`found ${topic}`] }))

const Approve = Ask.make("approve", { question: Schema.String, answer: Schema.Boolean })

describe("Node.orElse", () => {
  const search = Node.orElse(Search, (topic) => Effect.succeed({ notes: [`guessed ${topic}`] }))

  it.effect("runs the other with the same input when the node fails with an error of its own", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* search.run("a").pipe(Effect.provide(down)), { notes: ["guessed a"] })
      assert.deepStrictEqual(yield* search.run("a").pipe(Effect.provide(up)), { notes: ["found a"] })
    })
  )

  it.effect("keeps being the target of a fan-out", () =>
    Effect.gen(function* () {
      const graph = Graph.make("research", {
        state: { topics: Channel.append(Schema.String), notes: Channel.append(Schema.String) },
        nodes: { search },
        edges: { start: { each: "search", of: ({ topics }) => topics }, search: "end" }
      })
      const { notes } = yield* Graph.run(graph, { topics: ["a", "b"] }).pipe(Effect.provide(down))
      assert.deepStrictEqual(notes, ["guessed a", "guessed b"])
    })
  )

  it.effect("the other's own error is the node's, and can have a fallback in its turn", () =>
    Effect.gen(function* () {
      const first = (n: number) => Effect.fail(n > 0 ? "first" : "first of zero")
      const second = (n: number) => (n > 1 ? Effect.succeed("second") : Effect.fail("second"))
      const both = Node.orElse(first, second)
      assert.strictEqual(yield* both.run(2), "second")
      assert.strictEqual(yield* Effect.flip(both.run(1)), "second")
      assert.strictEqual(yield* Node.orElse(both, () => Effect.succeed("third")).run(1), "third")
    })
  )

  it.effect("never runs on a bug, an interruption, an ask that waits, a failing journal or a breach of contract", () =>
    Effect.gen(function* () {
      let other = 0
      const causes: ReadonlyArray<Cause.Cause<unknown>> = [
        Cause.die("bug"),
        Cause.combine(Cause.fail(new Down({ isRetryable: false })), Cause.die("bug")),
        Cause.interrupt(1),
        Cause.fail(new Task.Suspended({ asks: ["a"] })),
        Cause.fail(new Errors.JournalUnavailable({ operation: "append", cause: "down" })),
        Cause.fail(new Errors.JournalConflict({ thread: "t", expected: 1, actual: 2 })),
        Cause.fail(new Errors.NodeContractViolated({ node: "n", part: "its output", issue: "no" })),
        Cause.fail(new Errors.ConcurrentUpdate({ channel: "c", tasks: ["a", "b"] })),
        Cause.fail(new Errors.UnknownRoute({ node: "n", target: "t", known: [] }))
      ]
      for (const cause of causes) {
        const node = Node.orElse(
          () => Effect.failCause(cause),
          () => Effect.sync(() => void other++)
        )
        const exit: Exit.Exit<unknown, unknown> = yield* Effect.exit(node.run({}))
        assert.deepStrictEqual(exit, Exit.failCause(cause))
      }
      assert.strictEqual(other, 0)
    })
  )

  it.effect("works on asks and graphs", () =>
    Effect.gen(function* () {
      const inner = Graph.make("inner", {
        state: { n: Channel.sum },
        nodes: { fail: () => Effect.fail(new Down({ isRetryable: false })) },
        edges: { start: "fail", fail: "end" }
      })
      const graph = Graph.make("outer", {
        state: { n: Channel.sum, ok: Channel.optional(Schema.Boolean) },
        nodes: {
          inner: Node.orElse(
            Graph.node(inner, { input: ({ n }: { readonly n: number }) => ({ n }), update: ({ n }) => ({ n }) }),
            () => Effect.succeed({ n: 7 })
          ),
          ask: Node.orElse(
            Ask.node(Approve, { question: ({ n }: { readonly n: number }) => `${n}?`, update: (ok) => ({ ok }) }),
            () => Effect.succeed({ ok: false })
          )
        },
        edges: { start: "inner", inner: "ask", ask: "end" }
      })
      assert.strictEqual((yield* Effect.flip(Graph.run(graph, {})))._tag, "Suspended")
      assert.include(Graph.toMermaid(graph), "inner: inner")
    })
  )
})

describe("Node.withPolicy", () => {
  it.effect("is part of the node: the fallback comes after the retries", () =>
    Effect.gen(function* () {
      let tried = 0
      const layer = Search.toLayer(() => Effect.suspend(() => (tried++, Effect.fail(new Down({ isRetryable: true })))))
      const policy = Policy.make({ retry: Policy.retryable(Schedule.recurs(2)) })
      const search = Node.orElse(Node.withPolicy(Search, policy), () => Effect.succeed({ notes: [] }))
      yield* search.run("a").pipe(Effect.provide(layer))
      assert.strictEqual(tried, 3)
      const swapped = Node.withPolicy(
        Node.orElse(Search, () => Effect.succeed({ notes: [] })),
        policy
      )
      yield* swapped.run("a").pipe(Effect.provide(layer))
      assert.strictEqual(tried, 4)
    })
  )

  it.effect("gives a plain function a timeout", () =>
    Effect.gen(function* () {
      const node = Node.withPolicy(() => Effect.never, Policy.make({ timeout: "1 second" }))
      const fiber = yield* Effect.forkChild(Effect.flip(node.run({})))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "AttemptTimedOut")
    })
  )

  it.effect("an attempt after an answered ask finds the answer", () =>
    Effect.gen(function* () {
      const attempts: Array<number> = []
      const graph = Graph.make("order", {
        state: { ok: Channel.optional(Schema.Boolean) },
        nodes: {
          buy: Node.withPolicy(
            () =>
              Effect.gen(function* () {
                const ok = yield* Ask.ask(Approve, "buy?")
                attempts.push((yield* Task.Current)!.attempt)
                return attempts.length < 3 ? yield* new Down({ isRetryable: true }) : { ok }
              }),
            Policy.make({ retry: Policy.retryable(Schedule.recurs(5)) })
          )
        },
        edges: { start: "buy", buy: "end" }
      })
      yield* Thread.run(graph, { thread: "t", input: {} })
      yield* Thread.answer(Approve, { thread: "t", value: true })
      const done = yield* Thread.run(graph, { thread: "t" })
      assert.deepStrictEqual([done._tag, done.state.ok], ["Done", true])
      assert.deepStrictEqual(attempts, [1, 2, 3])
    }).pipe(Effect.provide(Journal.layerMemory))
  )
})

describe("Node.adapt", () => {
  it.effect("fits a contract to another state", () =>
    Effect.gen(function* () {
      const graph = Graph.make("adapted", {
        state: { question: Channel.last(Schema.String), answer: Channel.optional(Schema.String) },
        nodes: {
          look: Node.adapt(Search, {
            input: ({ question }: { readonly question: string }) => question.toUpperCase(),
            update: ({ notes }, { question }) => ({ answer: `${question}: ${notes.join()}` })
          })
        },
        edges: { start: "look", look: "end" }
      })
      const { answer } = yield* Graph.run(graph, { question: "why" }).pipe(Effect.provide(up))
      assert.strictEqual(answer, "why: found WHY")
    })
  )
})

// Whatever a model, a tool or a caller says, however deep and however large: it ends in a typed outcome, and the thread goes on.
import { Ask, Bound, Channel, Durable, Errors, Graph, Journal, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { stores } from "./worlds.ts"

const nested = (depth: number): Schema.Json => {
  let value: Schema.Json = 1
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}
const cyclic: Array<unknown> = []
cyclic.push(cyclic)
const throwing = Object.defineProperty({}, "secret", {
  enumerable: true,
  get: () => {
    throw new Error("no")
  }
})

/** What is refused, and what is not. */
const refused: Readonly<Record<string, unknown>> = {
  "one level too deep": nested(Bound.maxDepth + 1),
  "very deep": nested(100_000),
  "in itself": cyclic,
  "a getter that throws": throwing,
  "too long": "x".repeat(5_000_000),
  "a bigint": { n: 1n }
}
const taken: Readonly<Record<string, Schema.Json>> = {
  "as deep as may be": nested(Bound.maxDepth),
  "with the key __proto__": JSON.parse('{"__proto__":{"admin":true},"constructor":1}') as Schema.Json,
  "with half of a surrogate pair": { "\ud800": "\udc00" },
  "of a megabyte": "x".repeat(1_000_000)
}

const Say = Graph.make("say", {
  state: { said: Channel.last(Schema.Json), echo: Channel.last(Schema.Json, { initial: null }) },
  nodes: { echo: ({ said }) => Effect.succeed({ echo: said }) },
  edges: { start: "echo", echo: "end" }
})
const Question = Ask.make("q", { question: Schema.Json, answer: Schema.Json })

const nodeOf = (run: () => Effect.Effect<object, unknown>) =>
  Graph.make("node", {
    state: { go: Channel.last(Schema.Boolean), out: Channel.last(Schema.Json, { initial: null }) },
    nodes: { node: ({ go }: { readonly go: boolean }) => (go ? run() : Effect.succeed({ out: "ok" })) },
    edges: { start: "node", node: "end" }
  } as never) as unknown as Graph.Graph<string, { readonly out: unknown }, never, never, { readonly go: boolean }>

const tagOf = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  assert.isFalse(Cause.hasDies(exit.cause), Cause.pretty(exit.cause).slice(0, 500))
  const error: unknown = Cause.squash(exit.cause)
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : "?"
}

for (const store of stores("selvage_bounds_test")) {
  describe.skipIf(store.skip)(`what enters a thread on ${store.name} is bounded`, () => {
    it.live(
      "an input, an update, a piece, a question, an answer and a patch beyond the bounds are refused by their own errors",
      () =>
        Effect.gen(function* () {
          yield* Thread.run(Say, { thread: "patched", input: { said: 1 } })
          for (const [name, value] of Object.entries(refused)) {
            const json = value as Schema.Json
            const fails = (thread: string, run: () => Effect.Effect<object, unknown>) =>
              Effect.gen(function* () {
                const graph = nodeOf(run)
                const exit = yield* Effect.exit(Thread.run(graph, { thread: `${thread} ${name}`, input: { go: true } }))
                assert.strictEqual(tagOf(exit), "NodeContractViolated", `${thread}: ${name}`)
                // Nothing of it stands in the way of the next input.
                const next = yield* Thread.run(graph, { thread: `${thread} ${name}`, input: { go: false } })
                assert.strictEqual(next.state.out, "ok", `${thread}: ${name}`)
              })
            const input = yield* Effect.exit(Thread.run(Say, { thread: `input ${name}`, input: { said: json } }))
            assert.strictEqual(tagOf(input), "NodeContractViolated", `input: ${name}`)
            assert.strictEqual(tagOf(yield* Effect.exit(Graph.run(Say, { said: json }))), "NodeContractViolated", name)
            yield* fails("update", () => Effect.succeed({ out: value }))
            yield* fails("piece", () => Effect.as(Durable.once("k", Schema.Json, Effect.succeed(json)), {}))
            yield* fails("detail", () =>
              Effect.as(Durable.call({ key: "k", detail: json, schema: Schema.Json, call: Effect.succeed(1) }), {})
            )
            yield* fails("result", () =>
              Effect.as(
                Durable.call({
                  key: "k",
                  detail: 1,
                  schema: Schema.Json,
                  call: Effect.succeed(json),
                  reconcile: Effect.succeed(Option.some(json))
                }),
                {}
              )
            )
            yield* fails("question", () => Effect.as(Ask.ask(Question, json), {}))

            const thread = `ask ${name}`
            const asking = nodeOf(() => Effect.map(Ask.ask(Question, "?"), (out) => ({ out })))
            yield* Thread.run(asking, { thread, input: { go: true } })
            const answered = yield* Effect.exit(Thread.answer(Question, { thread, value: json }))
            assert.strictEqual(tagOf(answered), "AnswerInvalid", name)
            const patched = yield* Effect.exit(Thread.patch(Say, { thread: "patched", update: { echo: json } }))
            assert.strictEqual(tagOf(patched), "NodeContractViolated", name)
            yield* Thread.answer(Question, { thread, value: "yes" })
            assert.strictEqual((yield* Thread.run(asking, { thread })).state.out, "yes")
          }
        }).pipe(Effect.provide(store.layer))
    )

    it.live("what is within the bounds comes back as it was, also after a restart", () =>
      Effect.gen(function* () {
        for (const [name, value] of Object.entries(taken)) {
          yield* Thread.run(Say, { thread: name, input: { said: value } })
          const { echo } = yield* Thread.state(Say, { thread: name })
          assert.strictEqual(JSON.stringify(echo), JSON.stringify(value), name)
          const lines = Journal.exportThread(name)
          yield* Journal.importThread(lines, { as: `${name} again` })
          assert.strictEqual(
            JSON.stringify((yield* Thread.state(Say, { thread: `${name} again` })).echo),
            JSON.stringify(value)
          )
        }
      }).pipe(Effect.provideService(Thread.WarmThreads, 0), Effect.provide(store.layer))
    )
  })
}

const Deeper = Graph.make("deeper", {
  state: {
    n: Channel.last(Schema.Int),
    deep: Channel.reduce({
      schema: Schema.Json,
      update: Schema.Int,
      initial: null,
      reducer: (before: Schema.Json, levels: number) => {
        let value = before
        for (let level = 0; level < levels; level++) value = [value]
        return value
      }
    })
  },
  nodes: { step: ({ n }) => Effect.succeed({ n: n - 1, deep: 200 }) },
  edges: { start: "step", step: ({ n }) => (n > 0 ? "step" : "end") }
})

for (const store of stores("selvage_deep_state_test", { entries: 16 })) {
  it.live.skipIf(store.skip)(
    `a state that a reducer nests too deep for a snapshot keeps no thread on ${store.name} from going on`,
    () =>
      Effect.gen(function* () {
        for (let count = 1; count <= 4; count++) {
          const { state } = yield* Thread.run(Deeper, { thread: "t", input: { n: 20 } })
          let depth = 0
          for (let value = state.deep; Array.isArray(value); value = (value as Array<Schema.Json>)[0]!) depth++
          assert.strictEqual(depth, count * 4000)
        }
      }).pipe(Effect.provideService(Thread.WarmThreads, 0), Effect.provide(store.layer))
  )
}

it.effect(
  "the name of a run and the key of an answer or a patch have a bound, and what is too long changes nothing",
  () =>
    Effect.gen(function* () {
      const long = "k".repeat(Bound.maxName + 1)
      const thread = "named"
      assert.strictEqual(
        tagOf(yield* Effect.exit(Thread.run(Say, { thread, run: long, input: { said: 1 } }))),
        "NodeContractViolated"
      )
      const { state } = yield* Thread.run(Say, { thread, run: long.slice(1), input: { said: 2 } })
      assert.strictEqual(state.echo, 2)
      assert.strictEqual(
        tagOf(yield* Effect.exit(Thread.patch(Say, { thread, update: { said: 3 }, key: long }))),
        "NodeContractViolated"
      )
      assert.strictEqual(
        tagOf(yield* Effect.exit(Thread.answer(Question, { thread, value: 1, key: long }))),
        "AnswerInvalid"
      )
      assert.strictEqual((yield* Thread.state(Say, { thread })).said, 2)
    }).pipe(Effect.provide(Journal.layerMemory))
)

it.effect("the name of an error is cut in the journal as its message is", () =>
  Effect.gen(function* () {
    const error = { _tag: "T".repeat(1_000_000), message: "no" }
    yield* Effect.exit(
      Thread.run(
        nodeOf(() => Effect.fail(error)),
        { thread: "t", input: { go: true } }
      )
    )
    const journal = yield* Journal.Journal
    for (const { entry } of yield* journal.read("t")) assert.isBelow(JSON.stringify(entry).length, 20_000)
  }).pipe(Effect.provide(Journal.layerMemory))
)

it.effect("an imported line that is nested too deep is an ImportInvalid with its number", () =>
  Effect.gen(function* () {
    yield* Thread.run(Say, { thread: "t", input: { said: "DEEP" } })
    const lines = yield* Stream.runCollect(Journal.exportThread("t"))
    const deep = lines.map((line) => line.replace('"DEEP"', "[".repeat(100_000) + "]".repeat(100_000)))
    const error = yield* Effect.flip(Journal.importThread(Stream.fromIterable(deep), { as: "deep" }))
    assert.instanceOf(error, Errors.ImportInvalid)
    assert.deepInclude(error, { line: 2 })
  }).pipe(Effect.provide(Journal.layerMemory))
)

it.effect("the length of a value is the application's to raise", () =>
  Effect.gen(function* () {
    const input = { said: "x".repeat(5_000_000) }
    const outcome = yield* Effect.provideService(
      Thread.run(Say, { thread: "t", input }),
      Bound.MaxLength,
      8 * 1024 * 1024
    )
    assert.strictEqual(outcome._tag, "Done")
  }).pipe(Effect.provide(Journal.layerMemory))
)

class Box extends Schema.Class<Box>("Box")({ content: Schema.Json }) {}
class Trunk extends Schema.Class<Trunk>("Trunk")({ tree: Schema.Unknown }) {}

// What looks harmless until its schema makes JSON of it, or what is no JSON.
const encoded: Readonly<Record<string, readonly [Schema.Codec<unknown, unknown>, unknown]>> = {
  "a class with deep content": [
    Box as never,
    Object.assign(Object.create(Box.prototype), { content: nested(100_000) })
  ],
  "a map with deep content": [
    Schema.ReadonlyMap(Schema.String, Schema.Json) as never,
    new Map([["k", nested(Bound.maxDepth + 1)]])
  ],
  "a class in itself": [
    Trunk as never,
    (() => {
      const trunk = Object.create(Trunk.prototype) as { tree: unknown }
      trunk.tree = trunk
      return trunk
    })()
  ],
  "a function of a schema of anything": [Schema.Any, () => 1],
  "a date of a schema of anything": [Schema.Any, new Date(0)]
}

it.effect("what becomes too deep, or no JSON, when it is encoded is refused as what is given so", () =>
  Effect.gen(function* () {
    for (const [name, [schema, value]] of Object.entries(encoded)) {
      const Typed = Ask.make("typed", { question: schema, answer: schema })
      const parts: Readonly<Record<string, () => Effect.Effect<object, unknown>>> = {
        question: () => Effect.as(Ask.ask(Typed, value), {}),
        piece: () => Effect.as(Durable.once("k", schema, Effect.succeed(value)), {}),
        result: () =>
          Effect.as(
            Durable.call({ key: "k", detail: 1, schema, call: Effect.succeed(value), reconcile: Effect.succeedNone }),
            {}
          )
      }
      for (const [part, run] of Object.entries(parts)) {
        const graph = nodeOf(run)
        const thread = `${part} ${name}`
        const exit = yield* Effect.exit(Thread.run(graph, { thread, input: { go: true } }))
        assert.strictEqual(tagOf(exit), "NodeContractViolated", thread)
        assert.strictEqual((yield* Thread.run(graph, { thread, input: { go: false } })).state.out, "ok", thread)
      }
      const AnsweredWith = Ask.make("answered", { question: Schema.Null, answer: schema })
      const asking = nodeOf(() => Effect.as(Ask.ask(AnsweredWith, null), {}))
      yield* Thread.run(asking, { thread: name, input: { go: true } })
      const answered = yield* Effect.exit(Thread.answer(AnsweredWith, { thread: name, value }))
      assert.strictEqual(tagOf(answered), "AnswerInvalid", name)
    }
  }).pipe(Effect.provide(Journal.layerMemory))
)

import * as Graph from "@selvage/core/Graph"
import * as Journal from "@selvage/core/Journal"
import * as Thread from "@selvage/core/Thread"
import { Approval, Dispatcher, Registry, ToolCall, Uncertain } from "@selvage/tools"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Busy, dispatching, Warehouse } from "./warehouse.ts"

const order = (id: string) => ({ id, name: "place_order", params: { sku: "SKU-1", units: 10 } })
const refund = (id: string, usd: number) => ({ id, name: "refund", params: { usd } })

const run = Effect.fnUntraced(function* (calls: ReadonlyArray<Dispatcher.Call>) {
  const graph = dispatching(yield* Registry.make([Warehouse]), calls)
  return yield* Thread.run(graph, { thread: "t", input: {} })
})

const outcomes = Effect.fnUntraced(function* (calls: ReadonlyArray<Dispatcher.Call>) {
  const ended = yield* run(calls)
  assert.strictEqual(ended._tag, "Done")
  return ended.state.outcomes
})

const asks = Effect.fnUntraced(function* (calls: ReadonlyArray<Dispatcher.Call>) {
  const ended = yield* run(calls)
  assert.strictEqual(ended._tag, "Waiting")
  return ended._tag === "Waiting" ? ended.asks : []
})

describe("approval", () => {
  const paid: Array<number> = []
  const fake = Warehouse.fake({
    refund: ({ usd }) => Effect.sync(() => (paid.push(usd), `paid ${usd}`))
  })

  it.effect("waits for a person where the tool says so, and each call for an answer of its own", () =>
    Effect.gen(function* () {
      paid.length = 0
      const calls = [refund("a", 50), refund("b", 500), refund("c", 900)]
      const [first] = yield* asks(calls)
      assert.deepStrictEqual(first?.question, {
        plugin: "warehouse",
        tool: "refund",
        params: { usd: 500 },
        call: "b"
      })
      assert.isDefined(Approval.of(first!))
      yield* Thread.answer(Approval.ask("b"), { thread: "t", value: { approved: true } })
      const [second] = yield* asks(calls)
      yield* Thread.answer(Approval.of(second!)!, { thread: "t", value: { approved: false, reason: "too much" } })
      const [a, b, c] = yield* outcomes(calls)
      assert.deepStrictEqual([a?.result, b?.result], ["paid 50", "paid 500"])
      assert.strictEqual(c?.category, "ToolDenied")
      assert.include(JSON.stringify(c?.result), "too much")
      assert.deepStrictEqual(paid, [50, 500])
    }).pipe(Effect.provide([fake, Journal.layerMemory]))
  )

  it.effect("cannot be given without a thread: the dispatch is suspended and nothing is done", () =>
    Effect.gen(function* () {
      paid.length = 0
      const registry = yield* Registry.make([Warehouse])
      const error = yield* Effect.flip(Dispatcher.dispatch(registry, refund("a", 500)))
      assert.strictEqual(error._tag, "Suspended")
      assert.deepStrictEqual(paid, [])
    }).pipe(Effect.provide(fake))
  )
})

/** The key of a call: the thread, its journal's id of it, the task and its step. */
const keyOf = (call: string) =>
  Effect.flatMap(Journal.Journal, (journal) => Effect.map(journal.info("t"), ({ id }) => `t:${id}:act@1/${call}`))

describe("a call that changes the world", () => {
  it.effect("has its intent and its outcome journaled, also when it failed", () =>
    Effect.gen(function* () {
      yield* outcomes([order("a"), order("b")])
      const journal = yield* Journal.Journal
      const facts = (yield* journal.read("t")).flatMap(({ entry }) =>
        entry._tag === "Intent" || entry._tag === "Recorded" ? [`${entry._tag} ${entry.key}`] : []
      )
      assert.deepStrictEqual(facts, ["Intent tool:a", "Recorded tool:a", "Intent tool:b", "Recorded tool:b"])
    }).pipe(
      Effect.provide([Warehouse.fake({ place_order: () => new Busy({ isRetryable: true }) }), Journal.layerMemory])
    )
  )

  it.effect("is not made again by a task that starts again, and sees one key", () => {
    const keys: Array<string | undefined> = []
    let crash = true
    const fake = Warehouse.fake({
      place_order: () => Effect.map(Effect.service(ToolCall.Current), (call) => (keys.push(call?.key), { order: "1" })),
      check_stock: () => (crash ? Effect.die("killed") : Effect.succeed({ units: 1 }))
    })
    return Effect.gen(function* () {
      const calls = [order("a"), { id: "b", name: "check_stock", params: { sku: "SKU-1" } }]
      assert.isTrue(Exit.isFailure(yield* Effect.exit(run(calls))))
      crash = false
      const [first] = yield* outcomes(calls)
      assert.deepStrictEqual(first?.result, { order: "1" })
      assert.deepStrictEqual(keys, [yield* keyOf("a")])
    }).pipe(Effect.provide([fake, Journal.layerMemory]))
  })

  const crashing = (
    reconcile?: (
      params: unknown,
      call: { readonly key: string }
    ) => Effect.Effect<Option.Option<{ readonly order: string }>, string>
  ) => {
    const made: Array<string> = []
    const fake = Warehouse.fake(
      {
        place_order: () =>
          Effect.suspend(() => {
            made.push("order")
            return made.length === 1 ? Effect.die("killed") : Effect.succeed({ order: "again" })
          })
      },
      { reconcile: reconcile === undefined ? {} : { place_order: reconcile } }
    )
    return { made, fake }
  }

  it.effect("whose result was lost is never repeated in silence: a person says what happened", () => {
    const { fake, made } = crashing()
    return Effect.gen(function* () {
      yield* Effect.exit(run([order("a")]))
      const [open] = yield* asks([order("a")])
      assert.strictEqual(open?.kind, "uncertain")
      assert.isDefined(Uncertain.of(open!))
      yield* Thread.answer(Uncertain.ask("a"), { thread: "t", value: { decision: "made", result: { order: "lost" } } })
      const [outcome] = yield* outcomes([order("a")])
      assert.deepStrictEqual([outcome?.isFailure, outcome?.result], [false, { order: "lost" }])
      assert.lengthOf(made, 1)
    }).pipe(Effect.provide([fake, Journal.layerMemory]))
  })

  it.effect("is repeated where the person says so", () => {
    const { fake, made } = crashing()
    return Effect.gen(function* () {
      yield* Effect.exit(run([order("a")]))
      yield* asks([order("a")])
      yield* Thread.answer(Uncertain.ask("a"), { thread: "t", value: { decision: "repeat" } })
      const [outcome] = yield* outcomes([order("a")])
      assert.deepStrictEqual(outcome?.result, { order: "again" })
      assert.lengthOf(made, 2)
    }).pipe(Effect.provide([fake, Journal.layerMemory]))
  })

  it.effect("is looked up by the plugin's reconcile, with the key the handler saw", () => {
    const keys: Array<string> = []
    const { fake, made } = crashing((_, { key }) =>
      Effect.sync(() => (keys.push(key), Option.some({ order: "found" })))
    )
    return Effect.gen(function* () {
      yield* Effect.exit(run([order("a")]))
      const [outcome] = yield* outcomes([order("a")])
      assert.deepStrictEqual(outcome?.result, { order: "found" })
      assert.deepStrictEqual([made.length, keys], [1, [yield* keyOf("a")]])
    }).pipe(Effect.provide([fake, Journal.layerMemory]))
  })

  it.effect("is made if reconcile finds that it was not", () => {
    const { fake, made } = crashing(() => Effect.succeedNone)
    return Effect.gen(function* () {
      yield* Effect.exit(run([order("a")]))
      // Its request may still be on its way.
      const again = yield* Effect.forkChild(outcomes([order("a")]))
      yield* TestClock.adjust("9 seconds")
      assert.lengthOf(made, 1)
      yield* TestClock.adjust("1 second")
      const [outcome] = yield* Fiber.join(again)
      assert.deepStrictEqual([made.length, outcome?.result], [2, { order: "again" }])
    }).pipe(Effect.provide([fake, Journal.layerMemory]))
  })

  it.effect("is a person's question if reconcile fails", () => {
    const { fake } = crashing(() => Effect.fail("no answer"))
    return Effect.gen(function* () {
      yield* Effect.exit(run([order("a")]))
      const [open] = yield* asks([order("a")])
      assert.strictEqual(open?.name, "uncertain:a")
    }).pipe(Effect.provide([fake, Journal.layerMemory]))
  })
})

it.effect("who listens hears of each call when it starts and when it ends; without a journal too", () =>
  Effect.gen(function* () {
    const graph = dispatching(yield* Registry.make([Warehouse]), [order("a"), { id: "b", name: "nothing", params: {} }])
    const events = yield* Stream.runCollect(Thread.stream(graph, { thread: "t", input: {} }))
    const told = events.flatMap((event) => {
      if (event._tag === "ToolStarted") return [`started ${event.tool}`]
      return event._tag === "ToolFinished" ? [`finished ${event.tool}`] : []
    })
    assert.deepStrictEqual(told, ["started place_order", "finished place_order", "finished nothing"])
    const { outcomes } = yield* Graph.run(graph, {})
    assert.lengthOf(outcomes, 2)
  }).pipe(Effect.provide([Warehouse.fake({ place_order: () => Effect.succeed({ order: "1" }) }), Journal.layerMemory]))
)

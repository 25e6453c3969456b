import * as Policy from "@selvage/core/Policy"
import { Dispatcher, Plugin, Registry, ToolCall, ToolOutcome } from "@selvage/tools"
import { assert, describe, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { Busy, Warehouse } from "./warehouse.ts"

const call = (name: string, params: unknown, id = "call_1") => ({ id, name, params })

const message = (outcome: ToolOutcome.ToolOutcome) => (outcome.result as { readonly message: string }).message

const registry = Registry.make([Warehouse])

describe("a call that works", () => {
  it.effect("gives the result as JSON by the tool's schema", () =>
    Effect.gen(function* () {
      const outcome = yield* Dispatcher.dispatch(yield* registry, call("check_stock", { sku: "SKU-1" }))
      const expected = { units: 2, since: "2024-01-01T00:00:00.000Z" }
      assert.deepStrictEqual(outcome, { id: "call_1", name: "check_stock", isFailure: false, result: expected })
      const part = ToolOutcome.toPart(outcome)
      assert.deepStrictEqual(
        [part.type, part.id, part.isFailure, part.result],
        ["tool-result", "call_1", false, expected]
      )
    }).pipe(
      Effect.provide(
        Warehouse.fake({
          check_stock: () => Effect.succeed({ units: 2, since: DateTime.makeUnsafe("2024-01-01T00:00:00Z") })
        })
      )
    )
  )

  it.effect("keeps the final result of a handler that streams, and null of one that returns nothing", () =>
    Effect.gen(function* () {
      const live = yield* registry
      const stock = yield* Dispatcher.dispatch(live, call("check_stock", { sku: "SKU-1" }))
      assert.deepStrictEqual(stock.result, { units: 3 })
      const reserved = yield* Dispatcher.dispatch(live, call("reserve", { sku: "SKU-1", units: 1 }))
      assert.deepStrictEqual([reserved.isFailure, reserved.result], [false, null])
    }).pipe(
      Effect.provide(
        Warehouse.fake({
          check_stock: (_, { preliminary }) =>
            Effect.as(Effect.andThen(preliminary({ units: 1 }), preliminary({ units: 2 })), { units: 3 }),
          reserve: () => Effect.void
        })
      )
    )
  )

  it.effect("gives the model the content a tool makes of its result", () => {
    const Draw = Tool.make("draw", {
      success: Schema.Struct({ path: Schema.String }),
      toModelOutput: ({ path }) => [Prompt.makePart("text", { text: `drawn to ${path}` })]
    })
    const Studio = Plugin.make("studio", { version: "1", toolkit: Toolkit.make(Draw) })
    return Effect.gen(function* () {
      const outcome = yield* Dispatcher.dispatch(yield* Registry.make([Studio]), call("draw", {}))
      const codec = Schema.toCodecJson(ToolOutcome.ToolOutcome)
      const restored = yield* Schema.decodeEffect(codec)(yield* Schema.encodeEffect(codec)(outcome))
      const part = ToolOutcome.toPart(restored).modelOutput?.[0]
      assert.strictEqual(part?.type === "text" ? part.text : "", "drawn to a.png")
    }).pipe(Effect.provide(Studio.fake({ draw: () => Effect.succeed({ path: "a.png" }) })))
  })

  it.effect("takes what its handler needs from the layer", () => {
    class Db extends Context.Service<Db, { readonly units: number }>()("test/Db") {}
    const live = Warehouse.toLayer(
      Effect.gen(function* () {
        const { units } = yield* Db
        return {
          check_stock: () => Effect.succeed({ units }),
          reserve: () => Effect.void,
          place_order: () => Effect.succeed({ order: "1" }),
          refund: () => Effect.succeed("ok")
        }
      })
    )
    return Effect.gen(function* () {
      const outcome = yield* Dispatcher.dispatch(yield* registry, call("check_stock", { sku: "SKU-1" }))
      assert.deepStrictEqual(outcome.result, { units: 7 })
    }).pipe(Effect.provide(live), Effect.provideService(Db, { units: 7 }))
  })
})

describe("a model's mistake is told to the model", () => {
  it.effect("a tool that does not exist, with the tools that do", () =>
    Effect.gen(function* () {
      const outcome = yield* Dispatcher.dispatch(yield* registry, call("burn_warehouse", {}))
      assert.strictEqual(outcome.category, "ToolNotFound")
      assert.isTrue(outcome.isFailure)
      assert.include(message(outcome), "check_stock, reserve, place_order, refund")
    }).pipe(Effect.provide(Warehouse.fake({})))
  )

  it.effect("a name that every object has is no tool", () =>
    Effect.gen(function* () {
      const outcome = yield* Dispatcher.dispatch(yield* registry, call("constructor", {}))
      assert.strictEqual(outcome.category, "ToolNotFound")
    }).pipe(Effect.provide(Warehouse.fake({})))
  )

  it.effect("arguments that do not fit, with what is wrong; the tool does not run", () =>
    Effect.gen(function* () {
      const outcome = yield* Dispatcher.dispatch(yield* registry, call("place_order", { sku: "SKU-1", units: "ten" }))
      assert.strictEqual(outcome.category, "ToolArgumentsInvalid")
      assert.include(message(outcome), "units")
    }).pipe(Effect.provide(Warehouse.fake({})))
  )

  it.effect("arguments that are malformed JSON, quoted and shortened", () =>
    Effect.gen(function* () {
      const outcome = yield* Dispatcher.dispatch(yield* registry, call("check_stock", `{"sku": ${"x".repeat(5000)}`))
      assert.strictEqual(outcome.category, "ToolArgumentsInvalid")
      assert.include(message(outcome), "no JSON object")
      assert.isBelow(message(outcome).length, 2500)
    }).pipe(Effect.provide(Warehouse.fake({})))
  )
})

describe("a tool's failure is told to the model", () => {
  it.effect("by its message and its encoded failure, whatever the tool's failure mode", () =>
    Effect.gen(function* () {
      const live = yield* registry
      for (const name of ["check_stock", "reserve", "place_order"]) {
        const outcome = yield* Dispatcher.dispatch(live, call(name, { sku: "SKU-1", units: 1 }))
        assert.deepStrictEqual(outcome.result, {
          category: "ToolFailed",
          message: `Tool "${name}" failed: The warehouse is busy.`,
          failure: { _tag: "Busy", isRetryable: false }
        })
      }
    }).pipe(
      Effect.provide(
        Warehouse.fake({
          check_stock: () => new Busy({ isRetryable: false }),
          reserve: () => new Busy({ isRetryable: false }),
          place_order: () => new Busy({ isRetryable: false })
        })
      )
    )
  )

  it.effect("an AiError reason of a handler too", () =>
    Effect.gen(function* () {
      const outcome = yield* Dispatcher.dispatch(yield* registry, call("check_stock", { sku: "SKU-1" }))
      assert.strictEqual(outcome.category, "ToolFailed")
      assert.include(message(outcome), "out of paper")
    }).pipe(
      Effect.provide(
        Warehouse.fake({ check_stock: () => Effect.fail(new AiError.UnknownError({ description: "out of paper" })) })
      )
    )
  )

  it.effect("a result that does not fit the tool's schema", () =>
    Effect.gen(function* () {
      const outcome = yield* Dispatcher.dispatch(yield* registry, call("check_stock", { sku: "SKU-1" }))
      assert.strictEqual(outcome.category, "ToolFailed")
      assert.include(message(outcome), "does not fit its own schema")
    }).pipe(Effect.provide(Warehouse.fake({ check_stock: () => Effect.succeed({ units: 1.5 }) })))
  )

  it.effect("a result that is too large, with its size", () =>
    Effect.gen(function* () {
      const big = { id: "call_1", name: "refund", params: { usd: 1 } }
      const outcome = yield* Dispatcher.dispatch(yield* registry, big, { maxResultBytes: 100 })
      assert.strictEqual(outcome.category, "ToolResultTooLarge")
      assert.include(message(outcome), "succeeded, but its result has 202 bytes, more than the 100")
      const whole = yield* Dispatcher.dispatch(yield* registry, big)
      assert.isFalse(whole.isFailure)
    }).pipe(Effect.provide(Warehouse.fake({ refund: () => Effect.succeed("é".repeat(100)) })))
  )

  it.effect("but a defect of a handler stays a defect", () =>
    Effect.gen(function* () {
      const live = yield* registry
      const bug = yield* Effect.exit(Dispatcher.dispatch(live, call("check_stock", { sku: "SKU-1" })))
      assert.isTrue(Exit.isFailure(bug) && Cause.hasDies(bug.cause))
      const unfaked = yield* Effect.exit(Dispatcher.dispatch(live, call("refund", { usd: 1 })))
      assert.isTrue(Exit.isFailure(unfaked))
      if (Exit.isFailure(unfaked)) assert.include(Cause.pretty(unfaked.cause), `fake of plugin "warehouse"`)
    }).pipe(Effect.provide(Warehouse.fake({ check_stock: () => Effect.die(new Error("bug")) })))
  )
})

describe("policies", () => {
  const thrice = Policy.make({ retry: Policy.retryable(Schedule.recurs(2)) })

  it.effect("retries read-only and idempotent tools, with one key for all attempts, and no others", () => {
    const seen: Record<string, Array<string | undefined>> = { check_stock: [], reserve: [], place_order: [] }
    const busy = (name: string) => () =>
      Effect.flatMap(Effect.service(ToolCall.Current), (current) => {
        seen[name]!.push(current?.key)
        return Effect.fail(new Busy({ isRetryable: true }))
      })
    const fake = Warehouse.fake(
      { check_stock: busy("check_stock"), reserve: busy("reserve"), place_order: busy("place_order") },
      { policies: { check_stock: thrice, reserve: thrice, place_order: thrice } }
    )
    return Effect.gen(function* () {
      const live = yield* registry
      for (const name of Object.keys(seen)) {
        const outcome = yield* Dispatcher.dispatch(live, call(name, { sku: "SKU-1", units: 1 }))
        assert.strictEqual(outcome.category, "ToolFailed")
      }
      assert.deepStrictEqual(seen, {
        check_stock: ["call_1", "call_1", "call_1"],
        reserve: ["call_1", "call_1", "call_1"],
        place_order: ["call_1"]
      })
    }).pipe(Effect.provide(fake))
  })

  const slow = (reconcile?: () => Effect.Effect<Option.Option<{ readonly order: string }>>) => {
    const policy = Policy.make({ timeout: "2 seconds" })
    return Warehouse.fake(
      { check_stock: () => Effect.never, reserve: () => Effect.never, place_order: () => Effect.never },
      {
        policies: { check_stock: policy, reserve: policy, place_order: policy },
        reconcile: reconcile === undefined ? {} : { place_order: reconcile }
      }
    )
  }
  const timedOut = (name: string) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(
        Dispatcher.dispatch(yield* registry, call(name, { sku: "SKU-1", units: 1 }))
      )
      yield* TestClock.adjust("2 seconds")
      return yield* Fiber.join(fiber)
    })

  it.effect("time out every tool, and say whether the call may have taken effect", () =>
    Effect.gen(function* () {
      const read = yield* timedOut("check_stock")
      assert.strictEqual(read.category, "ToolTimedOut")
      assert.include(message(read), "Nothing was changed")
      // One that only reads changed nothing; an idempotent one that writes may have.
      for (const name of ["reserve", "place_order"]) {
        const order = yield* timedOut(name)
        assert.strictEqual(order.category, "ToolTimedOut")
        assert.include(message(order), "not known whether it took effect")
        assert.notInclude(message(order), "Nothing was changed")
      }
    }).pipe(Effect.provide(slow()))
  )

  it.effect("find out with services that the layer requires", () => {
    class Ledger extends Context.Service<Ledger, { readonly last: string }>()("test/Ledger") {}
    const live = Warehouse.fake(
      { place_order: () => Effect.never },
      {
        policies: { place_order: Policy.make({ timeout: "2 seconds" }) },
        reconcile: {
          place_order: ({ sku }) => Effect.map(Ledger, ({ last }) => Option.some({ order: `${last} of ${sku}` }))
        }
      }
    )
    const test: Effect.Effect<void, unknown, Ledger> = Effect.gen(function* () {
      assert.deepStrictEqual((yield* timedOut("place_order")).result, { order: "17 of SKU-1" })
    }).pipe(Effect.provide(live))
    return Effect.provideService(test, Ledger, { last: "17" })
  })

  it.effect("find out about a timed out call where the plugin can", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* timedOut("place_order")).result, { order: "17" })
    }).pipe(Effect.provide(slow(() => Effect.succeedSome({ order: "17" }))))
  )
})

it.effect("interrupting a dispatch interrupts the handler", () =>
  Effect.gen(function* () {
    const started = yield* Deferred.make<void>()
    const interrupted = yield* Deferred.make<void>()
    const fake = Warehouse.fake({
      place_order: () =>
        Deferred.succeed(started, undefined).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
    })
    const live = yield* Effect.provide(registry, fake)
    const fiber = yield* Effect.forkChild(Dispatcher.dispatch(live, call("place_order", { sku: "SKU-1", units: 1 })))
    yield* Deferred.await(started)
    yield* Fiber.interrupt(fiber)
    assert.isTrue(yield* Deferred.isDone(interrupted))
  })
)

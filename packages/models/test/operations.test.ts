/**
 * What stands around a model costs CPU by the operations that Effect's loop takes for it, and these can be counted on any machine. Limits are what was counted when they were set, and a few more.
 */
import { assert, describe, it } from "@effect/vitest"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Scheduler from "effect/Scheduler"
import * as Budget from "../src/Budget.ts"
import * as BudgetLedger from "../src/BudgetLedger.ts"
import * as BudgetStore from "../src/BudgetStore.ts"
import * as Middleware from "../src/Middleware.ts"
import * as ModelPolicy from "../src/ModelPolicy.ts"
import { fake, text } from "./fakes.ts"

/** The operations of one call, when others have been made before it. An answer takes a turn of the event loop. */
const operationsOf = (model: LanguageModel.LanguageModel) =>
  Effect.gen(function* () {
    let operations = 0
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: () => {
        operations++
        return false
      },
      makeDispatcher: new Scheduler.MixedScheduler("async").makeDispatcher
    }
    const call = Effect.provideService(
      model.generateText({ prompt: "What is a selvage?" }),
      Scheduler.Scheduler,
      scheduler
    )
    yield* Effect.repeat(call, { times: 2 })
    operations = 0
    yield* call
    return operations
  })

const { model } = fake([Effect.as(Effect.yieldNow, text("an edge"))])
const named = Middleware.named({ models: ["openai:gpt-5.1"] })
const around = (...middlewares: ReadonlyArray<Middleware.Middleware>) =>
  Effect.flatMap(Middleware.apply(model, ...middlewares, named), operationsOf)

describe("the operations of a call", () => {
  it.live("are few more with a policy and a budget around it", () =>
    Effect.gen(function* () {
      const policy = yield* ModelPolicy.middleware(ModelPolicy.standard)
      const budget = yield* Budget.middleware({ accounts: [{ name: "tenant", tokens: 1_000_000 }] })
      const bare = yield* operationsOf(model)
      const alone = yield* around()
      assert.isAtMost(alone - bare, 14)
      // Six of them bound the time that the store of the circuit may take.
      assert.isAtMost((yield* around(policy)) - alone, 54)
      assert.isAtMost((yield* around(budget)) - alone, 37)
    }).pipe(
      Effect.provide([
        ModelPolicy.layerStoresMemory,
        BudgetLedger.layer().pipe(Layer.provide(BudgetStore.layerMemory()))
      ])
    )
  )

  it.live("are fewer through a policy's circuit than through Effect's breaker", () =>
    Effect.gen(function* () {
      const rules = { tripPolicy: CircuitBreaker.consecutive(10), openDuration: "30 seconds" } as const
      const own = yield* around(yield* ModelPolicy.middleware({ breaker: rules }))
      const theirs = yield* around(ModelPolicy.breaker(yield* CircuitBreaker.make(rules)))
      // Five of them bound the time that the store may take, which theirs has not.
      assert.isAtMost(own, theirs - 5)
    }).pipe(Effect.scoped, Effect.provide(ModelPolicy.layerStoresMemory))
  )
})

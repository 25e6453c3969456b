// What a call of a model holds is given back, between whichever two of its operations it is interrupted.
import { assert, it } from "@effect/vitest"
import { Interruption } from "@selvage/testing"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { BudgetLedger, BudgetStore, Middleware, ResponseCache } from "../src/index.ts"
import { fake, text } from "./fakes.ts"

it.effect("an account has its whole room again after a caller that reserved, or waited for room, was interrupted", () =>
  Effect.gen(function* () {
    const ledger = yield* BudgetLedger.Ledger
    const account = { name: "user", tokens: 10, onExhausted: "wait" } as const
    const nothing = { tokens: 0, micros: 0 }
    const held = Effect.acquireUseRelease(
      ledger.reserve([account], { tokens: 10, micros: 0 }),
      () => Effect.yieldNow,
      (reservation) => Effect.orDie(ledger.settle(reservation, nothing))
    )
    const times = yield* Interruption.everyStep({
      every: 3,
      subject: () => Effect.all([held, held, held], { concurrency: 3 }),
      sound: (step) =>
        Effect.gen(function* () {
          const next = yield* Effect.forkChild(held)
          // Longer than a caller waits before it looks again, and much shorter than a reservation holds.
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(next.pollUnsafe()?._tag, "Success", `after step ${step}`)
        })
    })
    assert.isAbove(times, 20)
  }).pipe(Effect.provide(BudgetLedger.layer().pipe(Layer.provide(BudgetStore.layerMemory()))))
)

it.effect("nobody waits for the answer of a caller that was interrupted", () =>
  Effect.gen(function* () {
    const { model } = fake([Effect.as(Effect.yieldNow, text("hello"))])
    const below = Layer.effect(
      LanguageModel.LanguageModel,
      Middleware.apply(model, Middleware.named({ models: ["fake:fake-1"] }))
    )
    const context = yield* Layer.build(
      ResponseCache.layer.pipe(Layer.provideMerge(ResponseCache.layerMemory()), Layer.provide(below))
    )
    const ask = (prompt: string) => Effect.provide(LanguageModel.generateText({ prompt }), context)
    const stream = (prompt: string) => Effect.provide(Stream.runDrain(LanguageModel.streamText({ prompt })), context)
    for (const call of [ask, stream]) {
      const times = yield* Interruption.everyStep({
        every: 7,
        subject: (step) => Effect.all([call(`${step}`), call(`${step}`)], { concurrency: 2 }),
        sound: (step) => Effect.asVoid(Interruption.ends(`the answer to ${step}`, ask(`${step}`)))
      })
      assert.isAbove(times, 20)
    }
  })
)

// A call that must not be repeated times out while its request is on the way: the model is not told to make it again.
import { assert, it } from "@effect/vitest"
import { Journal, Policy, Thread } from "@selvage/core"
import { ScriptedModel } from "@selvage/testing"
import { Plugin, ToolCall, Uncertain } from "@selvage/tools"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import { Agent } from "../src/index.ts"

const Pay = Tool.make("pay", { success: Schema.String }).annotate(Tool.Destructive, true)
const Payments = Plugin.make("payments", { version: "1.0.0", toolkit: Toolkit.make(Pay) })
const Clerk = Agent.make("clerk", { instructions: "You pay.", tools: [Payments] })

it.effect("a payment that arrives after its call timed out is a person's question, and made once", () =>
  Effect.gen(function* () {
    const paid: Array<string> = []
    const live = Payments.toLayer(
      {
        pay: () =>
          Effect.flatMap(ToolCall.Current, (call) => {
            const arrival = Effect.sync(() => paid.push(call?.key ?? ""))
            return Effect.andThen(Effect.forkDetach(Effect.delay(arrival, "600 millis")), Effect.never)
          })
      },
      {
        policies: { pay: Policy.make({ timeout: "300 millis" }) },
        reconcile: {
          pay: (_, { key }) => Effect.sync(() => (paid.includes(key) ? Option.some("receipt") : Option.none()))
        }
      }
    )
    const turn = ScriptedModel.respond(({ prompt }) =>
      JSON.stringify(prompt).includes("receipt") ? ScriptedModel.text("Paid.") : ScriptedModel.call("pay", {})
    )
    const model = ScriptedModel.layer([turn, turn])
    const pay = Effect.provide(Thread.run(Clerk, { thread: "t", input: { prompt: "Pay." } }), [live, model])
    const run = yield* Effect.forkChild(pay)
    yield* TestClock.adjust("400 millis")
    const waiting = yield* Fiber.join(run)
    assert.ok(waiting._tag === "Waiting")
    // The model is told nothing: a person is asked.
    assert.deepStrictEqual(
      waiting.asks.map(({ kind }) => kind),
      ["uncertain"]
    )
    assert.notInclude(JSON.stringify(waiting.state.messages), "tool-result")
    yield* TestClock.adjust("1 second")
    const value = { decision: "made", result: "receipt" } as const
    yield* Thread.answer(Uncertain.of(waiting.asks[0]!)!, { thread: "t", value })
    const { state } = yield* Thread.run(Clerk, { thread: "t" }).pipe(Effect.provide([live, model]))
    assert.strictEqual(state.text, "Paid.")
    assert.lengthOf(paid, 1)
  }).pipe(Effect.provide(Journal.layerMemory))
)

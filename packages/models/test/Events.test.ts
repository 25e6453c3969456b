// What happens around a model reaches who listens to the run that asks it.
import { assert, describe, it } from "@effect/vitest"
import { Channel, Graph, Journal, Thread } from "@selvage/core"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import {
  Budget,
  BudgetLedger,
  BudgetStore,
  ContextWindow,
  Fallback,
  Middleware,
  ModelPolicy,
  Prices
} from "../src/index.ts"
import { fake, finish, unavailable } from "./fakes.ts"

const piece = (id: string, delta: string): ReadonlyArray<Response.StreamPartEncoded> => [
  { type: "text-start", id },
  { type: "text-delta", id, delta },
  { type: "text-end", id }
]
const breaks = Stream.concat(Stream.fromIterable(piece("1", "void")), Stream.fail(unavailable))
const answers = Stream.fromIterable([...piece("1", "fine"), finish()])

const prompt = [
  { role: "user" as const, content: "a long story ".repeat(200) },
  { role: "assistant" as const, content: "I see." },
  { role: "user" as const, content: "And then?" }
]

const Ask = Graph.make("ask", {
  state: { answer: Channel.optional(Schema.String) },
  nodes: {
    ask: () =>
      LanguageModel.streamText({ prompt }).pipe(
        Stream.runCollect,
        Effect.map((parts) => ({
          answer: ModelPolicy.afterRestart(parts)
            .map((part) => (part.type === "text-delta" ? part.delta : ""))
            .join("")
        })),
        Budget.withAccounts([{ name: "run", tokens: 10_000, alerts: [0.01] }])
      )
  },
  edges: { start: "ask", ask: "end" }
})

const Model = Layer.effect(
  LanguageModel.LanguageModel,
  Effect.gen(function* () {
    const first = fake([], { streams: [breaks] }).model
    const second = fake([], { streams: [answers] }).model
    const retried = yield* Middleware.apply(
      first,
      ModelPolicy.retry(Schedule.recurs(1), { onPartial: "restart" }),
      Middleware.named({ models: ["test:first"] })
    )
    const both = yield* Fallback.make([retried, second], { onPartial: "restart" })
    return yield* Middleware.apply(
      both,
      ContextWindow.middleware({ window: 150, reserve: 20, counter: ContextWindow.estimateCareful }),
      yield* Budget.middleware({ outputTokens: 20 })
    )
  })
).pipe(Layer.provide([BudgetLedger.layer().pipe(Layer.provide(BudgetStore.layerMemory())), Prices.layer({})]))

describe("what happens around a model", () => {
  it.effect("is told to who listens to the run, and changes nothing for a run that nobody listens to", () =>
    Effect.gen(function* () {
      const events = yield* Stream.runCollect(Thread.stream(Ask, { thread: "t-1", input: {} }))
      const told = events.flatMap((event) => (event._tag === "Custom" ? [event] : []))
      assert.deepStrictEqual(
        told.map(({ name }) => name).filter((name) => name !== "selvage.budget"),
        [
          "selvage.context.cut",
          "selvage.model.failed",
          "selvage.model.restarted",
          "selvage.model.failed",
          "selvage.model.fallback",
          "selvage.model.restarted"
        ]
      )
      const cut = told.find(({ name }) => name === "selvage.context.cut")?.data
      assert.deepInclude(cut, { policy: "drop-oldest", messages: 2, summarized: false })
      assert.includeMembers(
        told.flatMap(({ data, name }) => (name === "selvage.budget" ? [(data as BudgetLedger.BudgetEvent)._tag] : [])),
        ["EstimateCharged", "ThresholdReached"]
      )
      assert.strictEqual((yield* Thread.run(Ask, { thread: "t-2", input: {} })).state.answer, "fine")
    }).pipe(Effect.provide([Model, Journal.layerMemory]))
  )
})

/** Calls of a model through what stands around it in an application: budget, deadline, breaker, retry, timeouts, adapter. */
import { AnthropicClient, AnthropicLanguageModel } from "@selvage/anthropic"
import { Budget, BudgetLedger, BudgetStore, Middleware, ModelPolicy } from "@selvage/models"
import { OpenAiClient, OpenAiLanguageModel } from "@selvage/openai"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { expect, type Workload } from "../../measure.ts"
import { answer, calls, concurrency, cpuOf, model, prompt, streams, tokens } from "../models.ts"

type Adapter = (url: string) => Layer.Layer<LanguageModel.LanguageModel>

const openai =
  (api: OpenAiLanguageModel.Api): Adapter =>
  (url) =>
    OpenAiLanguageModel.layer({ model: model.openai, api }).pipe(
      Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sk-test"), baseUrl: `${url}/v1` }))
    )

const anthropic: Adapter = (url) =>
  AnthropicLanguageModel.layer({ model: model.anthropic }).pipe(
    Layer.provide(AnthropicClient.layer({ apiKey: Redacted.make("sk-ant-test"), baseUrl: url }))
  )

const stack =
  (adapter: Adapter): Adapter =>
  (url) =>
    Layer.effect(
      LanguageModel.LanguageModel,
      Effect.gen(function* () {
        const budget = yield* Budget.middleware({ accounts: [{ name: "tenant", tokens: 1_000_000_000 }] })
        const policy = yield* ModelPolicy.middleware(ModelPolicy.standard)
        const named = Middleware.named({ models: ["openai:gpt-5.1"] })
        return yield* Middleware.apply(yield* LanguageModel.LanguageModel, budget, policy, named)
      })
    ).pipe(
      Layer.provide([
        adapter(url),
        ModelPolicy.layerStoresMemory,
        BudgetLedger.layer().pipe(Layer.provide(BudgetStore.layerMemory()))
      ])
    )

const repeated = (count: number, task: Effect.Effect<void, unknown, LanguageModel.LanguageModel>, layer: Adapter) =>
  cpuOf(async (url) => {
    const runtime = ManagedRuntime.make(layer(url))
    const all = Effect.forEach(Array.from({ length: count }), () => task, { concurrency, discard: true })
    return { once: () => runtime.runPromise(all), close: () => runtime.dispose() }
  })

const call = Effect.map(LanguageModel.generateText({ prompt }), ({ text, usage }) => {
  expect("the answer", text, answer)
  expect("the tokens", usage.inputTokens.total, 20)
})

const stream = Effect.gen(function* () {
  let heard = 0
  yield* Stream.runForEachArray(LanguageModel.streamText({ prompt }), (parts) =>
    Effect.sync(() => {
      for (const part of parts) if (part.type === "text-delta") heard++
    })
  )
  expect("the tokens", heard, tokens)
})

export const workloads: Readonly<Record<string, Workload>> = {
  "calls, OpenAI": repeated(calls, call, stack(openai("responses"))),
  "calls, Anthropic": repeated(calls, call, stack(anthropic)),
  "calls, OpenAI, adapter alone": repeated(calls, call, openai("responses")),
  "calls, Anthropic, adapter alone": repeated(calls, call, anthropic),
  "tokens, OpenAI": repeated(streams, stream, stack(openai("responses"))),
  "tokens, OpenAI Chat": repeated(streams, stream, stack(openai("chat"))),
  "tokens, Anthropic": repeated(streams, stream, stack(anthropic)),
  "tokens, OpenAI, adapter alone": repeated(streams, stream, openai("responses")),
  "tokens, OpenAI Chat, adapter alone": repeated(streams, stream, openai("chat")),
  "tokens, Anthropic, adapter alone": repeated(streams, stream, anthropic)
}

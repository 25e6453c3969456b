/** The agent as one writes it with `effect/ai` alone: a toolkit and a loop. And its stream, as it comes. */
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { expect, firstAndWarm, time, type Workload } from "../../measure.ts"
import { answer, instructions, long, many, prompt, tokens } from "../agents.ts"
import { layer, lookUp, LookUpToolkit } from "./model.ts"

const agent = Effect.gen(function* () {
  let messages = Prompt.setSystem(Prompt.make(prompt), instructions)
  for (let turns = 0; turns < 16; turns++) {
    const response = yield* LanguageModel.generateText({ prompt: messages, toolkit: LookUpToolkit })
    if (response.toolCalls.length === 0) return response.text
    messages = Prompt.concat(messages, Prompt.fromResponseParts(response.content))
  }
  return undefined
})

const checked = Effect.map(agent, (text) => expect("the answer", text, answer))

const listen = LanguageModel.streamText({ prompt: Prompt.setSystem(Prompt.make(prompt), instructions) }).pipe(
  Stream.runFold(
    () => 0,
    (heard, part) => (part.type === "text-delta" ? heard + 1 : heard)
  ),
  Effect.map((heard) => expect("the number of tokens", heard, tokens))
)

const runtimeOf = (options: Parameters<typeof layer>[0]) =>
  ManagedRuntime.make(Layer.merge(layer(options), LookUpToolkit.toLayer(lookUp)))

export const workloads: Readonly<Record<string, Workload>> = {
  "agent of 10 calls": async () => {
    const runtime = runtimeOf({ calls: long.calls })
    await runtime.runPromise(Effect.void)
    return firstAndWarm(async () => {
      for (let run = 0; run < long.runs; run++) await runtime.runPromise(checked)
    }, 5)
  },
  "1000 agents at once": async () => {
    const runtime = runtimeOf({ calls: many.calls, latency: many.latency })
    await runtime.runPromise(Effect.void)
    const all = Effect.all(
      Array.from({ length: many.runs }, () => checked),
      { concurrency: "unbounded", discard: true }
    )
    return { ms: await time(() => runtime.runPromise(all)) }
  },
  "answer of 10000 tokens": async () => {
    const runtime = runtimeOf({ calls: 0 })
    await runtime.runPromise(Effect.void)
    return firstAndWarm(() => runtime.runPromise(listen), 5)
  }
}

/** The workloads of agents in Selvage. */
import { Agent } from "@selvage/agent"
import { Graph, Journal, Thread } from "@selvage/core"
import { Plugin } from "@selvage/tools"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { expect, firstAndWarm, time, type Workload } from "../../measure.ts"
import { answer, instructions, long, many, prompt, tokens } from "../agents.ts"
import { layer, lookUp, LookUpToolkit } from "../effect-ai/model.ts"

const Numbers = Plugin.make("numbers", { version: "1.0.0", toolkit: LookUpToolkit })

const Finder = Agent.make("finder", { instructions, tools: [Numbers] })

const Speaker = Agent.make("speaker", { instructions })

const runtimeOf = async (options: Parameters<typeof layer>[0]) => {
  const runtime = ManagedRuntime.make(Layer.mergeAll(layer(options), Numbers.toLayer(lookUp), Journal.layerMemory))
  await runtime.runPromise(Effect.void)
  return runtime
}

const checked = Effect.map(Graph.run(Finder, { prompt }), ({ text }) => expect("the answer", text, answer))

const durable = (thread: string) =>
  Effect.map(Thread.run(Finder, { thread, input: { prompt } }), ({ state }) => expect("the answer", state.text, answer))

const listen = (thread: string) =>
  Thread.stream(Speaker, { thread, input: { prompt } }).pipe(
    Stream.runFold(
      () => 0,
      (heard, event) => (event._tag === "Token" ? heard + 1 : heard)
    ),
    Effect.map((heard) => expect("the number of tokens", heard, tokens))
  )

export const workloads: Readonly<Record<string, Workload>> = {
  "agent of 10 calls": async () => {
    const runtime = await runtimeOf({ calls: long.calls })
    return firstAndWarm(async () => {
      for (let run = 0; run < long.runs; run++) await runtime.runPromise(checked)
    }, 5)
  },
  "agent of 10 calls, memory": async () => {
    const runtime = await runtimeOf({ calls: long.calls })
    let thread = 0
    return firstAndWarm(async () => {
      for (let run = 0; run < long.runs; run++) await runtime.runPromise(durable(`t${thread++}`))
    }, 5)
  },
  "1000 agents at once": async () => {
    const runtime = await runtimeOf({ calls: many.calls, latency: many.latency })
    const all = Effect.all(
      Array.from({ length: many.runs }, () => checked),
      { concurrency: "unbounded", discard: true }
    )
    return { ms: await time(() => runtime.runPromise(all)) }
  },
  "answer of 10000 tokens": async () => {
    const runtime = await runtimeOf({ calls: 0 })
    let thread = 0
    return firstAndWarm(() => runtime.runPromise(listen(`t${thread++}`)), 5)
  }
}

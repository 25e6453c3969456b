/** The workloads of agents in the AI SDK, with its own mock model. */
import { generateText, isStepCount, jsonSchema, streamText, tool } from "ai"
import { MockLanguageModelV4 } from "ai/test"
import { setTimeout } from "node:timers/promises"
import { expect, firstAndWarm, time, type Workload } from "../../measure.ts"
import { answer, instructions, long, many, prompt, tokens, usage } from "../agents.ts"

const spent = {
  inputTokens: { total: usage.input, noCache: usage.input, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: usage.output, text: usage.output, reasoning: 0 }
}

// The mock keeps every request it got, which no real model does: a model per run keeps that small.
const modelOf = (calls: number, latency?: number) =>
  new MockLanguageModelV4({
    doGenerate: async ({ prompt }) => {
      if (latency !== undefined) await setTimeout(latency)
      const key = prompt.reduce((count, { role }) => (role === "assistant" ? count + 1 : count), 0)
      return key < calls
        ? {
            content: [
              { type: "tool-call", toolCallId: `call_${key}`, toolName: "look_up", input: JSON.stringify({ key }) }
            ],
            finishReason: { unified: "tool-calls", raw: undefined },
            usage: spent,
            warnings: []
          }
        : {
            content: [{ type: "text", text: answer }],
            finishReason: { unified: "stop", raw: undefined },
            usage: spent,
            warnings: []
          }
    }
  })

const look_up = tool({
  description: "Looks a number up",
  inputSchema: jsonSchema<{ key: number }>({
    type: "object",
    properties: { key: { type: "integer" } },
    required: ["key"],
    additionalProperties: false
  }),
  execute: async ({ key }) => ({ number: key + 1 })
})

const agent = async (calls: number, latency?: number) => {
  const { text } = await generateText({
    model: modelOf(calls, latency),
    instructions,
    prompt,
    tools: { look_up },
    stopWhen: isStepCount(16)
  })
  expect("the answer", text, answer)
}

const speaker = new MockLanguageModelV4({
  doStream: async () => ({
    stream: new ReadableStream({
      start(controller) {
        controller.enqueue({ type: "text-start", id: "text" })
        for (let token = 0; token < tokens; token++) {
          controller.enqueue({ type: "text-delta", id: "text", delta: "word " })
        }
        controller.enqueue({ type: "text-end", id: "text" })
        controller.enqueue({ type: "finish", finishReason: { unified: "stop", raw: undefined }, usage: spent })
        controller.close()
      }
    })
  })
})

export const workloads: Readonly<Record<string, Workload>> = {
  "agent of 10 calls": () =>
    firstAndWarm(async () => {
      for (let run = 0; run < long.runs; run++) await agent(long.calls)
    }, 5),
  "1000 agents at once": async () => ({
    ms: await time(() => Promise.all(Array.from({ length: many.runs }, () => agent(many.calls, many.latency))))
  }),
  "answer of 10000 tokens": () =>
    firstAndWarm(async () => {
      let heard = 0
      const { textStream } = streamText({ model: speaker, instructions, prompt })
      for await (const delta of textStream) if (delta === "word ") heard++
      expect("the number of tokens", heard, tokens)
    }, 5)
}

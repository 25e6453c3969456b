/** The agent in OpenAI's Agents SDK, with a fake model and without tracing. */
import { Agent, type Model, type ModelResponse, run, setTracingDisabled, tool, Usage } from "@openai/agents"
import { z } from "zod"
import { expect, firstAndWarm, type Workload } from "../../measure.ts"
import { answer, instructions, long, prompt, usage } from "../agents.ts"

setTracingDisabled(true)

const model: Model = {
  async getResponse({ input }): Promise<ModelResponse> {
    const key =
      typeof input === "string"
        ? 0
        : input.reduce((count, { type }) => (type === "function_call_result" ? count + 1 : count), 0)
    return {
      usage: new Usage({
        inputTokens: usage.input,
        outputTokens: usage.output,
        totalTokens: usage.input + usage.output,
        requests: 1
      }),
      output: [
        key < long.calls
          ? {
              type: "function_call",
              id: `fc_${key}`,
              callId: `call_${key}`,
              name: "look_up",
              status: "completed",
              arguments: JSON.stringify({ key })
            }
          : {
              type: "message",
              id: "msg",
              role: "assistant",
              status: "completed",
              content: [{ type: "output_text", text: answer }]
            }
      ]
    }
  },
  // eslint-disable-next-line require-yield
  async *getStreamedResponse() {
    throw new Error("this workload does not stream")
  }
}

const look_up = tool({
  name: "look_up",
  description: "Looks a number up",
  parameters: z.object({ key: z.number().int() }),
  execute: async ({ key }) => ({ number: key + 1 })
})

const finder = new Agent({ name: "finder", instructions, model, tools: [look_up] })

export const workloads: Readonly<Record<string, Workload>> = {
  "agent of 10 calls": () =>
    firstAndWarm(async () => {
      for (let index = 0; index < long.runs; index++) {
        const { finalOutput } = await run(finder, prompt, { maxTurns: 16 })
        expect("the answer", finalOutput, answer)
      }
    }, 5)
}

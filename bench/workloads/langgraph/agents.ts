/** The agent in LangChain, which runs on LangGraph. */
import { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage, type BaseMessage } from "@langchain/core/messages"
import type { ChatResult } from "@langchain/core/outputs"
import { createAgent, tool } from "langchain"
import { setTimeout } from "node:timers/promises"
import { z } from "zod"
import { expect, firstAndWarm, time, type Workload } from "../../measure.ts"
import { answer, instructions, long, many, prompt } from "../agents.ts"

class Model extends BaseChatModel {
  readonly calls: number
  readonly latency: number | undefined
  constructor(calls: number, latency?: number) {
    super({})
    this.calls = calls
    this.latency = latency
  }
  _llmType() {
    return "fake"
  }
  override bindTools() {
    return this
  }
  async _generate(messages: Array<BaseMessage>): Promise<ChatResult> {
    if (this.latency !== undefined) await setTimeout(this.latency)
    const key = messages.reduce((count, message) => (message.type === "ai" ? count + 1 : count), 0)
    const message =
      key < this.calls
        ? new AIMessage({
            content: "",
            tool_calls: [{ type: "tool_call", id: `call_${key}`, name: "look_up", args: { key } }]
          })
        : new AIMessage({ content: answer })
    return { generations: [{ text: message.text, message }] }
  }
}

const look_up = tool(({ key }) => ({ number: key + 1 }), {
  name: "look_up",
  description: "Looks a number up",
  schema: z.object({ key: z.number().int() })
})

const agentOf = (calls: number, latency?: number) => {
  const agent = createAgent({ model: new Model(calls, latency), tools: [look_up], systemPrompt: instructions })
  return async () => {
    const { messages } = await agent.invoke({ messages: [{ role: "user", content: prompt }] }, { recursionLimit: 64 })
    expect("the answer", messages.at(-1)?.text, answer)
  }
}

export const workloads: Readonly<Record<string, Workload>> = {
  "agent of 10 calls": () => {
    const agent = agentOf(long.calls)
    return firstAndWarm(async () => {
      for (let run = 0; run < long.runs; run++) await agent()
    }, 5)
  },
  "1000 agents at once": async () => {
    const agent = agentOf(many.calls, many.latency)
    return { ms: await time(() => Promise.all(Array.from({ length: many.runs }, () => agent()))) }
  }
}

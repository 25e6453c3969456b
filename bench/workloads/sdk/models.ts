/** The providers' own SDKs, asked directly. */
import Anthropic from "@anthropic-ai/sdk"
import OpenAI from "openai"
import { expect, type Workload } from "../../measure.ts"
import { answer, calls, cpuOf, model, prompt, streams, times, tokens } from "../models.ts"

const openai = (url: string) => new OpenAI({ apiKey: "sk-test", baseURL: `${url}/v1`, maxRetries: 0 })
const anthropic = (url: string) => new Anthropic({ apiKey: "sk-ant-test", baseURL: url, maxRetries: 0 })
const messages = [{ role: "user" as const, content: prompt }]

export const workloads: Readonly<Record<string, Workload>> = {
  "calls, OpenAI": cpuOf(async (url) => {
    const client = openai(url)
    const once = () =>
      times(calls, async () => {
        const { output_text, usage } = await client.responses.create({
          model: model.openai,
          input: prompt,
          store: false
        })
        expect("the answer", output_text, answer)
        expect("the tokens", usage?.total_tokens, 100)
      })
    return { once }
  }),
  "calls, Anthropic": cpuOf(async (url) => {
    const client = anthropic(url)
    const once = () =>
      times(calls, async () => {
        const { content, usage } = await client.messages.create({ model: model.anthropic, max_tokens: 1000, messages })
        expect("the answer", content[0]?.type === "text" ? content[0].text : "", answer)
        expect("the tokens", usage.input_tokens, 20)
      })
    return { once }
  }),
  "tokens, OpenAI": cpuOf(async (url) => {
    const client = openai(url)
    const once = () =>
      times(streams, async () => {
        let heard = 0
        const stream = await client.responses.create({ model: model.openai, input: prompt, store: false, stream: true })
        for await (const event of stream) if (event.type === "response.output_text.delta") heard++
        expect("the tokens", heard, tokens)
      })
    return { once }
  }),
  "tokens, OpenAI Chat": cpuOf(async (url) => {
    const client = openai(url)
    const once = () =>
      times(streams, async () => {
        let heard = 0
        const stream = await client.chat.completions.create({ model: model.openai, messages, stream: true })
        for await (const chunk of stream) if (chunk.choices[0]?.delta.content) heard++
        expect("the tokens", heard, tokens)
      })
    return { once }
  }),
  "tokens, Anthropic": cpuOf(async (url) => {
    const client = anthropic(url)
    const once = () =>
      times(streams, async () => {
        let heard = 0
        const stream = await client.messages.create({
          model: model.anthropic,
          max_tokens: 1000,
          messages,
          stream: true
        })
        for await (const event of stream) if (event.type === "content_block_delta") heard++
        expect("the tokens", heard, tokens)
      })
    return { once }
  })
}

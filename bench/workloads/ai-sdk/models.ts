/** Calls of a model in the AI SDK, over its OpenAI provider. */
import { createOpenAI } from "@ai-sdk/openai"
import { generateText, streamText } from "ai"
import { expect, type Workload } from "../../measure.ts"
import { answer, calls, cpuOf, model, prompt, streams, times, tokens } from "../models.ts"

const provider = (url: string) => createOpenAI({ apiKey: "sk-test", baseURL: `${url}/v1` })

export const workloads: Readonly<Record<string, Workload>> = {
  "calls, OpenAI": cpuOf(async (url) => {
    const openai = provider(url)
    const once = () =>
      times(calls, async () => {
        const { text, usage } = await generateText({ model: openai(model.openai), prompt, maxRetries: 0 })
        expect("the answer", text, answer)
        expect("the tokens", usage.totalTokens, 100)
      })
    return { once }
  }),
  "tokens, OpenAI": cpuOf(async (url) => {
    const openai = provider(url)
    const once = () =>
      times(streams, async () => {
        let heard = 0
        const { textStream } = streamText({ model: openai(model.openai), prompt, maxRetries: 0 })
        for await (const _ of textStream) heard++
        expect("the tokens", heard, tokens)
      })
    return { once }
  }),
  "tokens, OpenAI Chat": cpuOf(async (url) => {
    const openai = provider(url)
    const once = () =>
      times(streams, async () => {
        let heard = 0
        const { textStream } = streamText({ model: openai.chat(model.openai), prompt, maxRetries: 0 })
        for await (const _ of textStream) heard++
        expect("the tokens", heard, tokens)
      })
    return { once }
  })
}

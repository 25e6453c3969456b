import { generateText } from "ai"
import { MockLanguageModelV4 } from "ai/test"

const model = new MockLanguageModelV4({
  doGenerate: async () => ({
    content: [{ type: "text", text: "Hello, Ada" }],
    finishReason: { unified: "stop", raw: undefined },
    usage: {
      inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: 1, text: 1, reasoning: 0 }
    },
    warnings: []
  })
})

console.log((await generateText({ model, prompt: "Say hello to Ada" })).text)

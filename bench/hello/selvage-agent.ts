import { Agent } from "@selvage/agent"
import { Graph } from "@selvage/core"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

const Greeter = Agent.make("greeter", { instructions: "You greet." })

const model = LanguageModel.make({
  generateText: () =>
    Effect.succeed([
      { type: "text", text: "Hello, Ada" },
      {
        type: "finish",
        reason: "stop",
        usage: {
          inputTokens: { uncached: 1, total: 1, cacheRead: 0, cacheWrite: 0 },
          outputTokens: { total: 1, text: 1, reasoning: 0 }
        }
      }
    ]),
  streamText: () => Stream.empty
})

const program = Graph.run(Greeter, { prompt: "Say hello to Ada" }).pipe(
  Effect.provideServiceEffect(LanguageModel.LanguageModel, model)
)

console.log((await Effect.runPromise(program)).text)

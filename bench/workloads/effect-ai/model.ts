/** A language model of `effect/ai` that calls a tool some times and then answers; the fake of Selvage and of the loop. */
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { answer, tokens, usage } from "../agents.ts"

const LookUp = Tool.make("look_up", {
  description: "Looks a number up",
  parameters: Schema.Struct({ key: Schema.Int }),
  success: Schema.Struct({ number: Schema.Int })
}).annotate(Tool.Readonly, true)

export const LookUpToolkit = Toolkit.make(LookUp)

export const lookUp = { look_up: ({ key }: { readonly key: number }) => Effect.succeed({ number: key + 1 }) }

const finish = (reason: Response.FinishReason): Response.FinishPartEncoded => ({
  type: "finish",
  reason,
  usage: {
    inputTokens: { uncached: usage.input, total: usage.input, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: usage.output, text: usage.output, reasoning: 0 }
  }
})

const turn = ({ prompt }: LanguageModel.ProviderOptions, calls: number): Array<Response.PartEncoded> => {
  const key = prompt.content.reduce((count, { role }) => (role === "assistant" ? count + 1 : count), 0)
  return key < calls
    ? [{ type: "tool-call", id: `call_${key}`, name: "look_up", params: { key } }, finish("tool-calls")]
    : [{ type: "text", text: answer }, finish("stop")]
}

const streamed: ReadonlyArray<Response.StreamPartEncoded> = [
  { type: "text-start", id: "text" },
  ...Array.from({ length: tokens }, () => ({ type: "text-delta" as const, id: "text", delta: "word " })),
  { type: "text-end", id: "text" },
  finish("stop")
]

export const layer = (options: {
  readonly calls: number
  readonly latency?: number | undefined
}): Layer.Layer<LanguageModel.LanguageModel> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: (provider) => {
        const answered = Effect.sync(() => turn(provider, options.calls))
        return options.latency === undefined ? answered : Effect.delay(answered, options.latency)
      },
      streamText: () => Stream.fromIterable(streamed)
    })
  )

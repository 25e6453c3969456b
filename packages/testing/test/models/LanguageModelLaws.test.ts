// Every law on every provider: over HTTP in each wire, by aimock, and on the models that need no network.
import { Offline } from "@selvage/models"
import { LanguageModelLaws } from "@selvage/testing"
import { describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { aimockCannot, aimockKeeps, overAimock, overHttp, overScript, scriptCannot } from "./stages.ts"
import { type Wire, wires } from "./wires.ts"

const keeps = (name: string, stage: Layer.Layer<LanguageModelLaws.Stage>, cannot: LanguageModelLaws.Cannot) =>
  describe(`Model laws on ${name}`, { timeout: 20_000 }, () => {
    for (const { check, excluded, name } of LanguageModelLaws.all(cannot)) {
      const shown = excluded === undefined ? name : `${name} (${excluded})`
      it.effect.skipIf(excluded !== undefined)(shown, () => Effect.provide(check, stage))
    }
  })

const reasoningBack = { "reasoning-back": "Chat Completions takes no reasoning back" }

const cannot: Readonly<Record<Wire["name"], LanguageModelLaws.Cannot>> = {
  "OpenAI Responses": {},
  "OpenAI Chat": reasoningBack,
  Anthropic: {}
}

const aimock: Readonly<Record<Wire["name"], LanguageModelLaws.Cannot>> = {
  "OpenAI Responses": { ...aimockCannot, ...aimockKeeps, length: "aimock does not say why a response is incomplete" },
  "OpenAI Chat": { ...aimockCannot, ...reasoningBack },
  Anthropic: { ...aimockCannot, ...aimockKeeps }
}

for (const wire of wires) {
  keeps(`${wire.name} over HTTP`, overHttp(wire), cannot[wire.name])
  keeps(`${wire.name} by aimock`, overAimock(wire), aimock[wire.name])
}
keeps("the scripted model", overScript, scriptCannot)

const toolkit = Toolkit.make(
  Tool.make("check_stock", {
    description: "How many units of a product there are",
    parameters: Schema.Struct({ sku: Schema.String }),
    success: Schema.Int
  }).annotate(Tool.Readonly, true)
)
const asked = { prompt: "How many units of SKU-1 are there?", toolkit, disableToolCallResolution: true } as const

describe("Model laws on the offline model", () => {
  for (const [name, laws] of [
    [
      "without tools",
      LanguageModelLaws.wellFormed({
        whole: LanguageModel.generateText({ prompt: "What is a selvage?" }),
        streamed: LanguageModel.streamText({ prompt: "What is a selvage?" }),
        tools: []
      })
    ],
    [
      "with tools",
      LanguageModelLaws.wellFormed({
        whole: LanguageModel.generateText(asked),
        streamed: LanguageModel.streamText(asked),
        tools: ["check_stock"]
      })
    ]
  ] as const) {
    for (const law of laws) it.effect(`${law.name}, ${name}`, () => Effect.provide(law.check, Offline.layer))
  }
})

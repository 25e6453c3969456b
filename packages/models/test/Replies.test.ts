import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Prompt from "effect/ai/Prompt"
import { Offline } from "../src/index.ts"

const offers = [
  {
    sku: "HND-001",
    supplierId: "SUP-05",
    supplierName: "Kanto Tools",
    unitPriceCents: 766,
    packSize: 6,
    leadTimeDays: 21
  },
  { sku: "HND-001", supplierId: "SUP-01", supplierName: "Nordwerk", unitPriceCents: 1200, packSize: 1, leadTimeDays: 4 }
]

/** What the offline model answers once the tools of the demo have given this. */
const answer = (question: string, calls: Readonly<Record<string, unknown>>) =>
  Effect.gen(function* () {
    const entries = Object.entries(calls)
    const prompt = Prompt.make([
      { role: "system", content: "You answer questions about one product of a warehouse." },
      { role: "user", content: [{ type: "text", text: question }] },
      ...(entries.length === 0
        ? []
        : ([
            {
              role: "assistant",
              content: entries.map(([name]) => ({
                type: "tool-call",
                id: name,
                name,
                params: { sku: "HND-001" },
                providerExecuted: false
              }))
            },
            {
              role: "tool",
              content: entries.map(([name, result]) => ({
                type: "tool-result",
                id: name,
                name,
                result,
                isFailure: false
              }))
            }
          ] as const))
    ] as Array<Prompt.MessageEncoded>)
    const { text } = yield* LanguageModel.generateText({ prompt }).pipe(Effect.provide(Offline.layer))
    return /^Answer: (.*)$/m.exec(text)?.[1]
  })

const warehouse = {
  check_stock: { sku: "HND-001", unit: "piece", stock: 12, reorderLevel: 40, onOrder: 5, discontinued: false },
  list_offers: { offers }
}

describe("a question to the offline model", () => {
  for (const [question, pattern] of [
    [
      "Who sells this hammer cheapest? (product HND-001, Claw hammer 450 g)",
      /^SUP-05 Kanto Tools: cheapest unitPriceCents 766/
    ],
    ["Which supplier is the fastest?", /^SUP-01 Nordwerk: fastest leadTimeDays 4/],
    ["How many are in stock?", /^stock 12$/],
    ["How many do we have left?", /^stock 12$/],
    ["Is it discontinued?", /^No: discontinued is false$/],
    [
      "What does it cost?",
      /^from unitPriceCents 766 \(7\.66\) SUP-05 Kanto Tools to unitPriceCents 1200 \(12\.00\) SUP-01 Nordwerk$/
    ],
    ["What is the reorder level?", /^reorderLevel 40$/],
    ["What is the capital of France? (product HND-001, Claw hammer 450 g)", /^I cannot know that/]
  ] as const) {
    it.effect(`is answered: ${question}`, () =>
      Effect.gen(function* () {
        assert.match((yield* answer(question, warehouse)) ?? "", pattern)
      })
    )
  }

  it.effect("without any tool says that it cannot know", () =>
    Effect.gen(function* () {
      assert.match((yield* answer("What is the capital of France?", {})) ?? "", /^I cannot know that/)
    })
  )

  it.effect("that is none gets no answer", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* answer("Restock HND-001. Place an order if it is needed.", warehouse))
    })
  )
})

// Every law on every provider: over HTTP in each wire, by aimock, and on the models that need no network.
import { Offline } from "@selvage/models"
import { LanguageModelLaws, StrictProvider } from "@selvage/testing"
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { aimockCannot, aimockKeeps, overAimock, overHttp, overScript, scriptCannot } from "./stages.ts"
import { type Answer, anthropic, responses, type Said, type Wire, wires } from "./wires.ts"

const keeps = (name: string, stage: Layer.Layer<LanguageModelLaws.Stage>, cannot: LanguageModelLaws.Cannot) =>
  describe(`Model laws on ${name}`, () => {
    for (const { check, excluded, name } of LanguageModelLaws.all(cannot, { cases: 40 })) {
      const shown = excluded === undefined ? name : `${name} (${excluded})`
      it.effect.skipIf(excluded !== undefined)(shown, () => Effect.provide(check, stage))
    }
  })

// A request is one that the API takes: what that is, a stage must know.
const lenient = { strict: "this stage takes what it gets" }

const reasoningBack = { "reasoning-back": "Chat Completions takes no reasoning back" }

const cannot: Readonly<Record<Wire["name"], LanguageModelLaws.Cannot>> = {
  "OpenAI Responses": {},
  "OpenAI Chat": reasoningBack,
  Anthropic: {}
}

const aimock: Readonly<Record<Wire["name"], LanguageModelLaws.Cannot>> = {
  "OpenAI Responses": {
    ...lenient,
    ...aimockCannot,
    ...aimockKeeps,
    length: "aimock does not say why a response is incomplete"
  },
  "OpenAI Chat": { ...lenient, ...aimockCannot, ...reasoningBack },
  Anthropic: { ...lenient, ...aimockCannot, ...aimockKeeps }
}

for (const wire of wires) {
  const strict = StrictProvider.stage(({ url }) => wire.model(url))
  keeps(`${wire.name} on a strict provider`, strict, cannot[wire.name])
  keeps(`${wire.name} by aimock`, overAimock(wire), aimock[wire.name])
}
keeps("the scripted model", overScript, { ...lenient, ...scriptCannot })

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

const changing = (wire: Wire, change: (answer: Answer) => Answer): Partial<Wire> => {
  const changed = (said: Said): Said => (said._tag === "Answer" ? { _tag: "Answer", ...change(said) } : said)
  return { whole: (said) => wire.whole(changed(said)), events: (said) => wire.events(changed(said)) }
}

/** Providers that are wrong in one way each. */
const mutants: Readonly<Record<string, (wire: Wire) => Partial<Wire>>> = {
  "streams another text than it answers": (wire) => ({
    events: changing(wire, (answer) => ({ ...answer, text: `${answer.text ?? ""}!` })).events ?? wire.events
  }),
  "forgets all calls but one": (wire) => changing(wire, (answer) => ({ ...answer, calls: answer.calls?.slice(0, 1) })),
  "gives all calls one id": (wire) =>
    changing(wire, (answer) => ({ ...answer, calls: answer.calls?.map((call) => ({ ...call, id: "call_1" })) })),
  "loses the signature of a thought": (wire) =>
    changing(wire, ({ thought, ...answer }) => ({
      ...answer,
      thought: thought === undefined ? undefined : { ...thought, signature: "lost" }
    })),
  "counts the cache twice": (wire) =>
    changing(wire, ({ usage, ...answer }) => ({
      ...answer,
      usage: usage === undefined ? undefined : { ...usage, input: usage.input + usage.cached }
    })),
  "does not say that an answer met its limit": (wire) => changing(wire, (answer) => ({ ...answer, stop: undefined })),
  "answers where it refuses": (wire) => ({
    whole: (said) => wire.whole({ ...said, _tag: "Answer" }),
    events: (said) => wire.events({ ...said, _tag: "Answer" })
  }),
  "ends a stream before its end": (wire) => ({ events: (said) => wire.events(said).slice(0, -2) }),
  "begins a stream with nothing": () => ({ begin: () => [] })
}

describe("a provider breaks a law that", () => {
  for (const [name, mutant] of Object.entries(mutants)) {
    it.effect(name, () =>
      Effect.gen(function* () {
        for (const wire of [responses, anthropic]) {
          const stage = overHttp({ ...wire, ...mutant(wire) })
          // What waits for a first text that never comes would wait for ever.
          const laws = LanguageModelLaws.all({ ...lenient, stalls: "not asked here" }).filter(
            ({ excluded }) => excluded === undefined
          )
          const exits = yield* Effect.forEach(laws, ({ check }) => Effect.exit(Effect.provide(check, stage)))
          const broken = laws.filter((_, index) => Exit.isFailure(exits[index] ?? Exit.void))
          assert.isAbove(broken.length, 0, wire.name)
          assert.isBelow(broken.length, laws.length, wire.name)
        }
      })
    )
  }
})

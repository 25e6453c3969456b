import { assert, describe, it } from "@effect/vitest"
import { addGenAIAnnotations } from "effect/ai/Telemetry"
import * as Effect from "effect/Effect"
import type { Span } from "effect/Tracer"
import * as Annotations from "../src/Annotations.ts"

const attributes = (annotate: (span: Span) => void) =>
  Effect.useSpan("call", (span) =>
    Effect.sync(() => {
      annotate(span)
      return span._tag === "Span" ? Object.fromEntries(span.attributes) : {}
    })
  )

describe("Annotations", () => {
  it.effect("are those of effect/ai", () =>
    Effect.gen(function* () {
      const settings = { model: "acme-1", maxTokens: 5, temperature: 0, topP: 0.9, topK: 3, stopSequences: ["stop"] }
      for (const request of [settings, { model: "acme-1", temperature: null, topP: undefined }]) {
        assert.deepStrictEqual(
          yield* attributes((span) => Annotations.request(span, { provider: "acme", output: "json", ...request })),
          yield* attributes((span) =>
            addGenAIAnnotations(span, {
              provider: { name: "acme" },
              operation: { name: "chat" },
              output: { type: "json" },
              request
            })
          )
        )
      }
      const usage = { inputTokens: { total: 20 }, outputTokens: { total: undefined } }
      assert.deepStrictEqual(
        yield* attributes((span) => {
          Annotations.part(span, { type: "response-metadata", id: "r", modelId: "acme-1-0" })
          Annotations.part(span, { type: "text", text: "nothing to say of this" })
          Annotations.part(span, { type: "finish", reason: "stop", usage })
        }),
        yield* attributes((span) =>
          addGenAIAnnotations(span, {
            response: { id: "r", model: "acme-1-0", finishReasons: ["stop"] },
            usage: { inputTokens: 20, outputTokens: undefined }
          })
        )
      )
    })
  )
})

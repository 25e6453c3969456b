import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { OpenAiClient, OpenAiLanguageModel } from "../src/index.ts"
import { chunk, message, response } from "./fixtures.ts"
import { apis, key, sse, Tools } from "./support.ts"
import { runs } from "../../testing/test/measures.ts"

const said = "Grüße, 漢字 and 😀"
const call = '{"city":"Tromsø","unit":null}'

const wire = {
  responses: sse([
    { type: "response.created", response: response([], { status: "in_progress" }) },
    { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: said },
    { type: "response.output_item.done", output_index: 0, item: message(said) },
    {
      type: "response.output_item.done",
      output_index: 1,
      item: { type: "function_call", call_id: "c", name: "get_weather", arguments: call }
    },
    { type: "response.completed", response: response([]) }
  ]),
  chat: sse([
    chunk({ content: said }),
    chunk({ tool_calls: [{ index: 0, id: "c", function: { name: "get_weather", arguments: call } }] }),
    chunk({}, "tool_calls"),
    "[DONE]"
  ])
}

/** A fetch whose answer comes in the given pieces. */
const inPieces =
  (pieces: ReadonlyArray<Uint8Array<ArrayBuffer>>): typeof globalThis.fetch =>
  async () =>
    new Response(
      new ReadableStream({
        start: (controller) => {
          for (const piece of pieces) controller.enqueue(piece)
          controller.close()
        }
      }),
      { headers: { "content-type": "text/event-stream" } }
    )

const split = (bytes: Uint8Array<ArrayBuffer>, cuts: ReadonlyArray<number>) => {
  const at = [0, ...cuts.map((cut) => cut % bytes.length).toSorted((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, index) => bytes.slice(at[index], end))
}

for (const api of apis) {
  describe(`a stream over ${api}`, () => {
    const collect = (pieces: ReadonlyArray<Uint8Array<ArrayBuffer>>) =>
      LanguageModel.streamText({ prompt: "hello", toolkit: Tools, disableToolCallResolution: true }).pipe(
        Stream.runCollect,
        Effect.provide(
          OpenAiLanguageModel.layer({ model: "m", api }).pipe(
            Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make(key), fetch: inPieces(pieces) }))
          )
        )
      )

    it("gives the same parts however the network cuts its bytes, and whatever ends its lines", () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.nat(5000), { maxLength: 40 }),
          fc.constantFrom("\n", "\r\n", "\r"),
          (cuts, newline) =>
            Effect.runPromise(
              Effect.gen(function* () {
                const encoder = new TextEncoder()
                const whole = yield* collect([encoder.encode(wire[api])])
                const parts = yield* collect(split(encoder.encode(wire[api].replaceAll("\n", newline)), cuts))
                assert.deepStrictEqual(JSON.stringify(parts), JSON.stringify(whole))
                assert.strictEqual(
                  parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : [])).join(""),
                  said
                )
              })
            )
        ),
        { numRuns: runs(8) }
      ))

    it("is an error wherever the network ends it before its last event, never a short answer", () =>
      fc.assert(
        fc.asyncProperty(fc.nat(5000), (cut) =>
          Effect.runPromise(
            Effect.gen(function* () {
              const bytes = new TextEncoder().encode(wire[api])
              // The last event over chat only says that the stream is over.
              const needed = wire[api].lastIndexOf(api === "chat" ? "data: [DONE]" : "\n\n")
              const length = cut % (new TextEncoder().encode(wire[api].slice(0, needed)).length - 2)
              const error = yield* Effect.flip(collect([bytes.slice(0, length)]))
              assert.strictEqual(error.reason._tag, "NetworkError")
              assert.isTrue(error.isRetryable)
            })
          )
        ),
        { numRuns: runs(12) }
      ))
  })
}

/** Middleware stands on the provider where it can reach it, and on the whole model elsewhere: nobody above may tell which. */
import * as Provider from "@selvage/provider/Provider"
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Middleware, ModelPolicy } from "../src/index.ts"
import { finish } from "./fakes.ts"

const bad: ReadonlyArray<readonly [what: string, part: unknown]> = [
  ["a source that is no address", { type: "source", sourceType: "url", id: "s", url: "no address", title: "t" }],
  ["an end without usage", { type: "finish", reason: "stop" }],
  ["a file that is not base64", { type: "file", mediaType: "text/plain", data: "?" }],
  ["a time that is none", { type: "response-metadata", timestamp: "soon" }],
  ["an unknown part", { type: "hologram" }]
]

const good: ReadonlyArray<Response.StreamPartEncoded> = [
  { type: "text-start", id: "t" },
  { type: "text-delta", id: "t", delta: "good" },
  { type: "text-end", id: "t" },
  finish()
]

const waysOf = { "the provider": Provider.make, "the whole model": LanguageModel.make }

for (const [name, make] of Object.entries(waysOf)) {
  describe(`Middleware on ${name}`, () => {
    for (const [what, part] of bad) {
      it.effect(`asks again for ${what}, whole and streamed`, () =>
        Effect.gen(function* () {
          let asked = 0
          // What a provider gives in spite of its types.
          const wrong = [part as never]
          const model = yield* make({
            generateText: () =>
              Effect.sync(() => (++asked % 2 === 1 ? [...wrong] : [{ type: "text", text: "good" }, finish()])),
            streamText: () => Stream.suspend(() => Stream.fromIterable(++asked % 2 === 1 ? wrong : good))
          })
          const outcomes: Array<boolean> = []
          const seen = Middleware.around({
            before: () => Effect.void,
            after: (_, { exit }) => Effect.sync(() => void outcomes.push(Exit.isSuccess(exit)))
          })
          const patient = yield* Middleware.apply(model, ModelPolicy.retry(Schedule.recurs(1)), seen)
          const { text } = yield* patient.generateText({ prompt: "hi" })
          assert.strictEqual(text, "good")
          yield* Stream.runDrain(patient.streamText({ prompt: "hi" }))
          assert.strictEqual(asked, 4)
          assert.deepStrictEqual(outcomes, [false, true, false, true])
        })
      )
    }

    it.effect("shows a provider the tools that a middleware leaves", () =>
      Effect.gen(function* () {
        const shown: Array<ReadonlyArray<string>> = []
        const model = yield* make({
          generateText: ({ tools }) =>
            Effect.sync(() => {
              shown.push(tools.map((tool) => tool.name))
              return [{ type: "text", text: "none needed" }, finish()]
            }),
          streamText: () => Stream.empty
        })
        const Two = Toolkit.make(
          Tool.make("a", { parameters: Schema.Struct({}), success: Schema.String }),
          Tool.make("b", { parameters: Schema.Struct({}), success: Schema.String })
        )
        const only = Middleware.mapCall((call) =>
          Effect.succeed({ ...call, toolChoice: { mode: "required" as const, oneOf: ["a"] } })
        )
        const narrowed = yield* Middleware.apply(model, only)
        yield* narrowed
          .generateText({ prompt: "hi", toolkit: Two })
          .pipe(Effect.provide(Two.toLayer({ a: () => Effect.succeed("a"), b: () => Effect.succeed("b") })))
        assert.deepStrictEqual(shown, [["a"]])
      })
    )

    it.effect("says of a call without tools what the model says", () =>
      Effect.gen(function* () {
        const choices: Array<unknown> = []
        const model = yield* make({
          generateText: ({ span }) =>
            Effect.sync(() => {
              if (span._tag === "Span") choices.push(span.attributes.get("effect.ai.tool_choice"))
              return [{ type: "text", text: "yes" }, finish()]
            }),
          streamText: () => Stream.empty
        })
        yield* (yield* Middleware.apply(model, Middleware.none)).generateText({ prompt: "hi" })
        yield* model.generateText({ prompt: "hi" })
        assert.deepStrictEqual(choices, ["auto", "auto"])
      })
    )
  })
}

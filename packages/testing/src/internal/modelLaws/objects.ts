/** Laws of structured output, images and files. */
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Schema from "effect/Schema"
import { type Draft, equal, failure, holds, law, Turn, using } from "./stage.ts"

const Order = Schema.Struct({
  sku: Schema.String,
  units: Schema.Int,
  note: Schema.NullOr(Schema.String),
  lines: Schema.Array(Schema.Struct({ shelf: Schema.String, urgent: Schema.Boolean }))
})
const order = { sku: "SKU-1", units: 40, note: null, lines: [{ shelf: 'A "1"', urgent: true }] }

const ask = LanguageModel.generateObject({ prompt: "What do we order?", schema: Order, objectName: "order" })

const bytes = Uint8Array.from({ length: 256 }, (_, n) => n)
const base64 = Base64.encode(bytes)
const address = Schema.decodeSync(Schema.URLFromString)("https://example.com/label.png")

const withFile = (file: Prompt.FilePart) =>
  LanguageModel.generateText({
    prompt: Prompt.fromMessages([
      Prompt.userMessage({ content: [Prompt.textPart({ text: "What is on this?" }), file] })
    ])
  })

const sends = (name: string, file: Prompt.FilePart, sent: string, needs: "images" | "image-urls" | "files"): Draft =>
  law(name, [needs, "bodies"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Answer({ text: "A label." }))
      yield* equal("the answer", (yield* using(played, withFile(file))).text, "A label.")
      const body = JSON.stringify(yield* played.received)
      yield* holds(`${sent.slice(0, 40)} in the request`, body.includes(sent), body.slice(0, 400))
    })
  )

export const objects: ReadonlyArray<Draft> = [
  law("an object that was asked for arrives decoded", ["objects"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Answer({ text: JSON.stringify(order) }))
      yield* equal("the object", (yield* using(played, ask)).value, order)
    })
  ),
  law("the schema of an object is sent", ["objects", "bodies", "schemas"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Answer({ text: JSON.stringify(order) }))
      yield* using(played, ask)
      const body = JSON.stringify(yield* played.received)
      for (const field of ["units", "urgent"]) yield* holds(`${field} in the request`, body.includes(field), body)
    })
  ),
  law("a text that is no such object is an error that is worth another try", ["objects"], (play) =>
    Effect.gen(function* () {
      for (const text of ["Forty, I think.", '{"sku":"SKU-1"}', '{"sku":"SKU-1","uni']) {
        const played = yield* play(Turn.Answer({ text }))
        const error = yield* failure(text, using(played, ask), "StructuredOutputError", "InvalidOutputError")
        yield* equal("worth another try", error.isRetryable, true)
      }
    })
  ),
  law("a refusal to give an object is an error that is not worth another try", ["objects", "refusals"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Refusal({ text: "I will not." }))
      const error = yield* failure("the refusal", using(played, ask), "ContentPolicyError")
      yield* equal("worth another try", error.isRetryable, false)
    })
  ),
  sends("an image is sent as its bytes", Prompt.filePart({ mediaType: "image/png", data: bytes }), base64, "images"),
  sends(
    "an image may be an address",
    Prompt.filePart({ mediaType: "image/png", data: address }),
    address.href,
    "image-urls"
  ),
  sends(
    "a file is sent as its bytes",
    Prompt.filePart({ mediaType: "application/pdf", fileName: "label.pdf", data: bytes }),
    base64,
    "files"
  )
]

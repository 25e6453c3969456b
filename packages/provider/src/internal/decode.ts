/** Decoders of answers without tools: the schemas that `LanguageModel.make` makes for each call, made once. */
import * as Response from "effect/ai/Response"
import * as Toolkit from "effect/ai/Toolkit"
import * as Schema from "effect/Schema"

// What `toolCallValidation: "deferred"` lets through: calls of tools that nobody declared.
const undeclared = Response.ToolCallPart("", Schema.Unknown).mapFields((fields) => ({ ...fields, name: Schema.String }))

const part = Response.Part(Toolkit.empty)
const streamed = Response.StreamPart(Toolkit.empty)

const strict = {
  answer: Schema.decodeUnknownEffect(Schema.mutable(Schema.Array(part))),
  chunk: Schema.decodeUnknownEffect(Schema.NonEmptyArray(streamed))
}

type Decoders = typeof strict

// They give more kinds of parts, for which there is no type without a toolkit: `LanguageModel.make` says the same of them.
const deferred = {
  answer: Schema.decodeUnknownEffect(Schema.mutable(Schema.Array(Schema.Union([part, undeclared])))),
  chunk: Schema.decodeUnknownEffect(Schema.NonEmptyArray(Schema.Union([streamed, undeclared])))
} as unknown as Decoders

export const decodersOf = (validation: "strict" | "deferred"): Decoders => (validation === "strict" ? strict : deferred)

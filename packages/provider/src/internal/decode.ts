/** Decoders of answers without tools: the schemas that `LanguageModel.make` makes for each call, made once. */
import * as Response from "effect/ai/Response"
import * as Toolkit from "effect/ai/Toolkit"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { plainly } from "./plain.ts"

// What `toolCallValidation: "deferred"` lets through: calls of tools that nobody declared.
const undeclared = Response.ToolCallPart("", Schema.Unknown).mapFields((fields) => ({ ...fields, name: Schema.String }))

const part = Response.Part(Toolkit.empty)
const streamed = Response.StreamPart(Toolkit.empty)

const byStrict = {
  answer: Schema.decodeUnknownEffect(Schema.mutable(Schema.Array(part))),
  chunk: Schema.decodeUnknownEffect(Schema.NonEmptyArray(streamed))
}

type Decoders = typeof byStrict

// They give more kinds of parts, for which there is no type without a toolkit: `LanguageModel.make` says the same of them.
const byDeferred = {
  answer: Schema.decodeUnknownEffect(Schema.mutable(Schema.Array(Schema.Union([part, undeclared])))),
  chunk: Schema.decodeUnknownEffect(Schema.NonEmptyArray(Schema.Union([streamed, undeclared])))
} as unknown as Decoders

type Delta = Response.TextDeltaPart | Response.ReasoningDeltaPart

const isDelta = (one: unknown): one is { readonly type: Delta["type"]; readonly id: string; readonly delta: string } =>
  Predicate.isObject(one) &&
  (one["type"] === "text-delta" || one["type"] === "reasoning-delta") &&
  typeof one["id"] === "string" &&
  typeof one["delta"] === "string" &&
  one["metadata"] === undefined

// There is one for every token, and nothing in it that a schema would find out; all others go through theirs.
const deltas = (parts: unknown): readonly [Delta, ...Array<Delta>] | undefined => {
  if (!Array.isArray(parts) || !parts.every(isDelta)) return undefined
  const made = parts.map(({ delta, id, type }): Delta => Response.makePart(type, { id, delta }))
  return Arr.isReadonlyArrayNonEmpty(made) ? made : undefined
}

const byHand = (parts: ReadonlyArray<unknown>): Array<Response.Part<{}>> | undefined => {
  const made: Array<Response.Part<{}>> = []
  for (const part of parts) {
    const one = plainly(part)
    if (one === undefined) return undefined
    made.push(one)
  }
  return made
}

const quick = ({ answer, chunk }: Decoders): Decoders => ({
  answer: (parts, options) => {
    const made = Array.isArray(parts) ? byHand(parts) : undefined
    return made === undefined ? answer(parts, options) : Effect.succeed(made)
  },
  chunk: (parts, options) => {
    const made = deltas(parts)
    return made === undefined ? chunk(parts, options) : Effect.succeed(made)
  }
})

const strict = quick(byStrict)
const deferred = quick(byDeferred)

export const decodersOf = (validation: "strict" | "deferred"): Decoders => (validation === "strict" ? strict : deferred)

// What the model gives of a tool is checked by the tool's schema, which is known above.
const isOfTool = ({ type }: { readonly type: string }): boolean => type === "tool-call" || type === "tool-result"

/** The parts as they came, if they are as the protocol says. */
export const checkedAnswer = (
  parts: Array<Response.PartEncoded>
): Effect.Effect<Array<Response.PartEncoded>, Schema.SchemaError> =>
  Effect.mapEager(strict.answer(parts.filter((one) => !isOfTool(one))), () => parts)

/** The same for a chunk of a stream. */
export const checkedChunk = (
  parts: Arr.NonEmptyReadonlyArray<Response.StreamPartEncoded>
): Effect.Effect<Arr.NonEmptyReadonlyArray<Response.StreamPartEncoded>, Schema.SchemaError> => {
  if (parts.every(isDelta)) return Effect.succeed(parts)
  const plain = parts.filter((one) => !isOfTool(one))
  return plain.length === 0 ? Effect.succeed(parts) : Effect.mapEager(byStrict.chunk(plain), () => parts)
}

/**
 * Reading the options under `openai`, which may come from storage and so be anything.
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { nullish } from "./wire.ts"

const cache = { cacheBreakpoint: nullish(Schema.Boolean) }

const Cache = Schema.Struct(cache)

const Text = Schema.Struct({ ...cache, phase: nullish(Schema.String), refusal: nullish(Schema.Boolean) })

const File = Schema.Struct({ ...cache, imageDetail: nullish(Schema.Literals(["auto", "low", "high", "original"])) })

const Reasoning = Schema.Struct({
  itemId: nullish(Schema.String),
  encryptedContent: nullish(Schema.String),
  summaries: nullish(Schema.Array(Schema.String)),
  isContent: nullish(Schema.Boolean)
})

const Item = Schema.Struct({
  item: nullish(
    Schema.StructWithRest(Schema.Struct({ type: Schema.String }), [Schema.Record(Schema.String, Schema.Json)])
  )
})

/** A part or message that has options. */
interface Bearer {
  readonly options: Prompt.ProviderOptions
}

const reader = <A extends object>(schema: Schema.Codec<A, unknown>): ((part: Bearer) => Partial<A>) => {
  const decode = Schema.decodeUnknownOption(schema)
  // Options that do not fit are another version's: the part is sent as if it had none.
  return (part) => (part.options["openai"] ? Option.getOrElse(decode(part.options["openai"]), () => ({})) : {})
}

/** Of a message, or of a tool's result. */
export const cacheOptions = reader(Cache)

/** Of a text. */
export const textOptions = reader(Text)

/** Of a file. */
export const fileOptions = reader(File)

/** Of reasoning. */
export const reasoningOptions = reader(Reasoning)

/** Of a tool call. */
export const toolCallOptions = reader(Item)

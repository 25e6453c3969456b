/**
 * The options of a prompt's messages and parts, read through schemas: their types say what may stand there, but a thread may come out of a
 * store.
 */
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Options from "../AnthropicOptions.ts"
import * as Wire from "./wire.ts"

const maybe = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const CacheControl: Schema.Codec<Options.CacheControl> = Schema.Struct({
  type: Schema.Literal("ephemeral"),
  ttl: Schema.optionalKey(Schema.Literals(["5m", "1h"]))
})

const cached = { cacheControl: maybe(CacheControl) }
const caller = maybe(Schema.Struct({ type: Schema.String, toolId: maybe(Schema.String) }))

export const MessageOptions = Schema.Struct(cached)

export const TextOptions = Schema.Struct({ ...cached, citations: maybe(Schema.Array(Wire.Citation)) })

export const FileOptions = Schema.Struct({
  ...cached,
  citations: maybe(Schema.Struct({ enabled: Schema.Boolean })),
  documentTitle: maybe(Schema.String),
  documentContext: maybe(Schema.String),
  oversizedImage: maybe(Schema.Literals(["downsize", "error"])),
  containerUpload: maybe(Schema.Boolean)
})
export type FileOptions = typeof FileOptions.Type

export const ReasoningOptions = Schema.Struct({
  signature: maybe(Schema.String),
  redactedData: maybe(Schema.String),
  prefix: maybe(Schema.String),
  paused: maybe(Schema.Boolean),
  block: maybe(Schema.Union([Wire.ServerToolUse, Wire.ServerToolResult, Wire.ContainerUpload]))
})

export const ToolCallOptions = Schema.Struct({
  ...cached,
  caller,
  serverTool: maybe(Schema.String),
  block: maybe(Wire.ServerToolUse)
})

export const ToolResultOptions = Schema.Struct({
  ...cached,
  caller,
  resultType: maybe(Schema.String),
  block: maybe(Wire.ServerToolResult)
})

/** The options that something of a prompt has for Anthropic; none when it has none. */
export const read = <A>(
  schema: Schema.Codec<A>,
  owner: { readonly options: Prompt.ProviderOptions },
  what: string
): Effect.Effect<A, AiError.AiErrorReason> =>
  Effect.mapErrorEager(
    Schema.decodeUnknownEffect(schema)(owner.options["anthropic"] ?? {}),
    (error) =>
      new AiError.InvalidUserInputError({
        description: `the options of ${what} under "anthropic" are not what AnthropicOptions says: ${error.message}`
      })
  )

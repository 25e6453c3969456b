/**
 * A language model as what is below a middleware: asked for one turn, with tools that it can see and not run, and its parts
 * as data again.
 */
import * as Provider from "@selvage/provider/Provider"
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Answer, Call, Next, Part } from "../Middleware.ts"

type Request = LanguageModel.GenerateObjectOptions<never, never>

const failure = (method: string, reason: AiError.AiErrorReason): AiError.AiError =>
  AiError.make({ module: "Middleware", method, reason })

const definitions = (call: Call): Toolkit.WithHandler<Record<string, Tool.Any>> => ({
  tools: Object.fromEntries(call.tools.map((tool) => [tool.name, tool])),
  handle: (name) =>
    Effect.fail(
      failure(
        call.method,
        new AiError.ToolConfigurationError({
          toolName: name,
          description:
            "the model tried to run the tool itself, though it was asked not to (disableToolCallResolution); use it without middleware"
        })
      )
    )
})

// The public signatures depend on their options by conditional types, which no generic code can produce.
const requestOf = (call: Call): Request => {
  const request = {
    prompt: call.prompt,
    disableToolCallResolution: true,
    toolCallValidation: "deferred",
    ...(call.tools.length === 0 ? {} : { toolkit: definitions(call), toolChoice: call.toolChoice }),
    ...(call.object === undefined ? {} : { schema: call.object.schema, objectName: call.object.name })
  }
  return request as unknown as Request
}

const requestTo = ({ prompt, toolChoice, tools }: Call): Provider.Request => ({
  prompt,
  tools:
    typeof toolChoice === "object" && "oneOf" in toolChoice
      ? tools.filter((tool) => toolChoice.oneOf.includes(tool.name))
      : tools,
  toolChoice: tools.length === 0 ? "none" : toolChoice,
  toolCallValidation: "deferred"
})

const PartTypeId = "~effect/ai/Response/Part"

const isEmpty = (metadata: object): boolean => {
  for (const _ in metadata) return false
  return true
}

const bare = (part: object): object => {
  const { [PartTypeId]: _, ...rest } = part as Record<string, unknown>
  const { metadata } = rest
  if (typeof metadata === "object" && metadata !== null && isEmpty(metadata)) delete rest["metadata"]
  return rest
}

/** A part as data. By hand, because it is done for every token: schemas of a union are slow where the kind is known. */
export const encodePart = (part: Response.AnyPart): Response.AnyPartEncoded => {
  const { type } = part
  if (type === "text-delta" || type === "reasoning-delta" || type === "tool-params-delta") {
    const { delta, id, metadata } = part
    return isEmpty(metadata) ? { type, id, delta } : { type, id, delta, metadata }
  }
  const encoded = bare(part)
  switch (type) {
    case "tool-result": {
      const { encodedResult, ...rest } = encoded as typeof part
      return { ...rest, result: encodedResult } as Response.ToolResultPartEncoded
    }
    case "file":
      return { ...encoded, data: Base64.encode(part.data) } as Response.FilePartEncoded
    case "source":
      return (part.sourceType === "url" ? { ...encoded, url: part.url.href } : encoded) as Response.AnyPartEncoded
    case "response-metadata":
      return (
        part.timestamp === undefined ? encoded : { ...encoded, timestamp: DateTime.formatIso(part.timestamp) }
      ) as Response.ResponseMetadataPartEncoded
    case "finish":
      return {
        ...encoded,
        usage: { inputTokens: { ...part.usage.inputTokens }, outputTokens: { ...part.usage.outputTokens } }
      } as Response.FinishPartEncoded
    default:
      return encoded as Response.AnyPartEncoded
  }
}

const undeclared = (call: Call, parts: ReadonlyArray<Response.AnyPartEncoded>): AiError.AiError | undefined => {
  if (call.toolCallValidation === "deferred") return undefined
  for (const part of parts) {
    if (part.type !== "tool-call" || part.providerExecuted === true) continue
    if (call.tools.some((tool) => tool.name === part.name)) continue
    const availableTools = call.tools.map((tool) => tool.name)
    return failure(call.method, new AiError.ToolNotFoundError({ toolName: part.name, availableTools }))
  }
  return undefined
}

const codecs = new WeakMap<object, Schema.Top>()

const codecOf = (schema: Schema.Constraint): Schema.Top => {
  let codec = codecs.get(schema)
  if (codec === undefined) {
    codec = Schema.toCodecJson(schema as Schema.Top) as Schema.Top
    codecs.set(schema, codec)
  }
  return codec
}

/** Objects above the bottom are JSON of the asked schema. */
export const jsonCodec = ((schema: Schema.Constraint) => ({
  codec: codecOf(schema),
  jsonSchema: {}
})) as unknown as LanguageModel.CodecTransformer

// The text is in the form that the provider's own codec gave it, which nobody above knows: it is written anew. A schema
// that can only decode keeps the text as it came.
const rewritten = (answer: Answer, schema: Schema.Top, value: unknown): Effect.Effect<Answer> => {
  const encode = Schema.encodeUnknownEffect(codecOf(schema))(value) as Effect.Effect<unknown>
  return Effect.flatMap(Effect.exit(encode), (exit) => {
    if (Exit.hasInterrupts(exit)) return Effect.interrupt
    if (Exit.isFailure(exit)) return Effect.succeed(answer)
    const at = answer.findIndex((part) => part.type === "text")
    const text: Response.TextPartEncoded = { type: "text", text: JSON.stringify(exit.value) }
    return Effect.succeed(
      answer.flatMap((part, index): Answer => (index === at ? [text] : part.type === "text" ? [] : [part]))
    )
  })
}

const checked = <Parts extends ReadonlyArray<Response.AnyPartEncoded>>(
  call: Call,
  parts: Parts
): Effect.Effect<Parts, AiError.AiError> => {
  const error = undeclared(call, parts)
  return error === undefined ? Effect.succeed(parts) : Effect.fail(error)
}

type Chunk = readonly [Part, ...Array<Part>]
type Whole = { readonly content: ReadonlyArray<Response.AnyPart>; readonly value?: unknown }

const around = (model: LanguageModel.LanguageModel): Next => ({
  subject: { role: undefined, models: [] },
  supportsSystemMessagesInHistory: model.supportsSystemMessagesInHistory,
  generate: (call) => {
    const request = requestOf(call)
    const { object } = call
    const asked = (object === undefined
      ? model.generateText(request as never)
      : model.generateObject(request as never)) as unknown as Effect.Effect<Whole, AiError.AiError>
    return Effect.flatMap(asked, (response) => {
      const answer = response.content.map(encodePart) as Answer
      return object === undefined
        ? checked(call, answer)
        : Effect.flatMap(rewritten(answer, object.schema, response.value), (canonical) => checked(call, canonical))
    })
  },
  stream: (call) => {
    const parts = model.streamText(requestOf(call) as never) as unknown as Stream.Stream<
      Response.AnyPart,
      AiError.AiError
    >
    return Stream.transformPull(parts, (pull) =>
      Effect.succeed(Effect.flatMap(pull, (chunk) => checked(call, chunk.map(encodePart) as unknown as Chunk)))
    )
  }
})

/** What is below the innermost middleware: the provider itself where its adapter lets it be reached, else the whole model. */
export const bottom = (model: LanguageModel.LanguageModel): Next => {
  const whole = around(model)
  const direct = Provider.directOf(model)
  if (direct === undefined) return whole
  // An object is in a form that the model's codec knows, and what a provider's own tool gave in one that the tool knows.
  const goes = (call: Call, context: Context.Context<never>): boolean =>
    call.object === undefined && !call.tools.some(Tool.isProviderDefined) && direct.isOpen(context)
  const { settings } = direct
  return {
    ...whole,
    subject: { ...whole.subject, ...(settings === undefined ? {} : { settings: [settings] }) },
    generate: (call) =>
      Effect.contextWith((context: Context.Context<never>) =>
        goes(call, context)
          ? Effect.flatMap(direct.generateText(requestTo(call)), (answer) => checked(call, answer))
          : whole.generate(call)
      ),
    stream: (call) =>
      Stream.unwrap(
        Effect.contextWith((context: Context.Context<never>) => {
          if (!goes(call, context)) return Effect.succeed(whole.stream(call))
          const parts = direct.streamText(requestTo(call))
          return Effect.succeed(
            call.toolCallValidation === "deferred"
              ? parts
              : Stream.mapArrayEffect(parts, (chunk) => checked(call, chunk))
          )
        })
      )
  }
}

/**
 * A language model that plays a script, turn by turn, and keeps the requests it got.
 *
 * It says when a test asks for something else than the script has: the request then fails with an `AiError` that names
 * the turn and what was asked. A tool that was not offered may be called (models do), and arguments may be anything.
 *
 * **Example**
 *
 * ```ts
 * import { ScriptedModel } from "@selvage/testing"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 * import * as Effect from "effect/Effect"
 *
 * export const program = LanguageModel.generateText({ prompt: "Hello?" }).pipe(
 *   Effect.map((response) => response.text), // "Hello!"
 *   Effect.provide(ScriptedModel.layer([ScriptedModel.text("Hello!")]))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

/** What the model was asked. */
export interface Request {
  /** Counts from 1. */
  readonly turn: number
  readonly method: "generateText" | "streamText" | "generateObject"
  readonly prompt: Prompt.Prompt
  /** The names of the tools that were offered. */
  readonly tools: ReadonlyArray<string>
  readonly toolChoice: LanguageModel.ToolChoice<string>
  /** The name of the object that was asked for; `undefined` if text was. */
  readonly object: string | undefined
}

/** A tool call in a script. */
export interface Call {
  readonly name: string
  /** As a model would send them; a string stands for malformed JSON. */
  readonly params: unknown
  /** `call_<turn>_<n>` by default, both counted from 1. */
  readonly id?: string | undefined
}

/** One turn of a script. */
export type Turn = Data.TaggedEnum<{
  Text: { readonly text: string }
  Calls: { readonly calls: ReadonlyArray<Call>; readonly text: string | undefined }
  Object: { readonly value: Schema.Json }
  Fail: { readonly error: AiError.AiError }
  Respond: { readonly respond: (request: Request) => Turn | Effect.Effect<Turn, AiError.AiError> }
}>
const Turn = Data.taggedEnum<Turn>()

/** The model answers with text. Streamed, it comes word by word. */
export const text = (text: string): Turn => Turn.Text({ text })

/** The model calls one tool. */
export const call = (name: string, params: unknown, options?: { readonly id?: string | undefined }): Turn =>
  calls([{ name, params, id: options?.id }])

/** The model calls several tools in one turn, with or without text before them. */
export const calls = (calls: ReadonlyArray<Call>, options?: { readonly text?: string | undefined }): Turn =>
  Turn.Calls({ calls, text: options?.text })

/** The model answers with an object: the JSON that the asked schema decodes. */
export const object = (value: Schema.Json): Turn => Turn.Object({ value })

/** The request fails. */
export const fail = (error: AiError.AiError): Turn => Turn.Fail({ error })

/** The turn depends on what was asked. */
export const respond = (respond: (request: Request) => Turn | Effect.Effect<Turn, AiError.AiError>): Turn =>
  Turn.Respond({ respond })

/** What is the same in all turns. */
export interface Options {
  /** The tokens each turn reports; 100 in and 20 out by default. */
  readonly usage?: { readonly input: number; readonly output: number } | undefined
  /** The name that the model gives itself, by which its price is found; none by default. */
  readonly model?: string | undefined
}

/** A model that plays a script. */
export interface Scripted {
  readonly model: LanguageModel.LanguageModel
  /** The requests so far, in order. */
  readonly requests: Effect.Effect<ReadonlyArray<Request>>
  /** How many turns of the script are left. */
  readonly remaining: Effect.Effect<number>
}

/** The script that the model in the context plays. */
export class Script extends Context.Service<Script, Scripted>()("selvage/testing/ScriptedModel/Script") {}

/** Makes a model that plays the turns in order. Concurrent requests take turns in the order in which they come. */
export const make = Effect.fnUntraced(function* (
  turns: ReadonlyArray<Turn>,
  options: Options = {}
): Effect.fn.Return<Scripted> {
  const usage = options.usage ?? { input: 100, output: 20 }
  const requests: Array<Request> = []
  const next = Effect.fnUntraced(function* (
    provider: LanguageModel.ProviderOptions,
    streamed: boolean
  ): Effect.fn.Return<Played, AiError.AiError> {
    const format = provider.responseFormat
    const request: Request = {
      turn: requests.length + 1,
      method: format.type === "json" ? "generateObject" : streamed ? "streamText" : "generateText",
      prompt: provider.prompt,
      tools: provider.tools.map((tool) => tool.name),
      toolChoice: provider.toolChoice,
      object: format.type === "json" ? format.objectName : undefined
    }
    requests.push(request)
    const turn = turns[request.turn - 1]
    if (turn !== undefined) return yield* play(turn, request)
    return yield* unfit(
      request,
      `the script has only ${turns.length} turns. Add one, or find out why the model is asked again.`
    )
  })
  const finish = (reason: Response.FinishReason): Response.FinishPartEncoded => ({
    type: "finish",
    reason,
    usage: {
      inputTokens: { uncached: usage.input, total: usage.input, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: usage.output, text: usage.output, reasoning: 0 }
    }
  })
  const named: ReadonlyArray<Response.ResponseMetadataPartEncoded> =
    options.model === undefined ? [] : [{ type: "response-metadata", modelId: options.model }]
  const model = yield* LanguageModel.make({
    codecTransformer,
    generateText: (provider) =>
      Effect.map(next(provider, false), (played) => [...named, ...whole(played), finish(reasonOf(played))]),
    streamText: (provider) =>
      Stream.unwrap(
        Effect.map(next(provider, true), (played) =>
          Stream.fromIterable([...named, ...pieces(played), finish(reasonOf(played))])
        )
      )
  })
  return {
    model,
    requests: Effect.sync(() => requests.slice()),
    remaining: Effect.sync(() => Math.max(0, turns.length - requests.length))
  }
})

/** The model and its script as services. Each build of the layer plays the script from its beginning. */
export const layer = (
  turns: ReadonlyArray<Turn>,
  options?: Options
): Layer.Layer<LanguageModel.LanguageModel | Script> =>
  Layer.effectContext(
    Effect.map(make(turns, options), (script) =>
      Context.make(LanguageModel.LanguageModel, script.model).pipe(Context.add(Script, script))
    )
  )

// As the providers do it: objects come as JSON, whatever their schema makes of it.
const codecTransformer: LanguageModel.CodecTransformer = (schema) => ({
  codec: Schema.toCodecJson(schema),
  jsonSchema: Schema.toJsonSchemaDocument(schema).schema
})

interface Played {
  readonly text: string | undefined
  readonly calls: ReadonlyArray<Required<Call> & { readonly id: string }>
}

const play = Effect.fnUntraced(function* (turn: Turn, request: Request): Effect.fn.Return<Played, AiError.AiError> {
  switch (turn._tag) {
    case "Text":
      if (request.object !== undefined) return yield* unfit(request, "the script has a text here.")
      return { text: turn.text, calls: [] }
    case "Object":
      if (request.object === undefined) return yield* unfit(request, "the script has an object here.")
      return { text: JSON.stringify(turn.value), calls: [] }
    case "Calls": {
      const names = turn.calls.map(({ name }) => name).join(", ")
      if (request.object !== undefined) return yield* unfit(request, `the script has a call of ${names} here.`)
      if (request.tools.length === 0) {
        return yield* unfit(request, `the script has a call of ${names} here, but no tools were offered.`)
      }
      return {
        text: turn.text,
        calls: turn.calls.map(({ id, name, params }, index) => ({
          name,
          params,
          id: id ?? `call_${request.turn}_${index + 1}`
        }))
      }
    }
    case "Fail":
      return yield* turn.error
    case "Respond": {
      const made = turn.respond(request)
      return yield* play(Effect.isEffect(made) ? yield* made : made, request)
    }
  }
})

const unfit = (request: Request, but: string) =>
  AiError.make({
    module: "ScriptedModel",
    method: request.method,
    reason: new AiError.UnknownError({
      description:
        `Turn ${request.turn}: ` +
        (request.object === undefined ? "text was asked for" : `the object "${request.object}" was asked for`) +
        (request.tools.length === 0 ? "" : ` with the tools ${request.tools.join(", ")}`) +
        `, but ${but}`
    })
  })

const reasonOf = ({ calls }: Played): Response.FinishReason => (calls.length > 0 ? "tool-calls" : "stop")

const whole = ({ calls, text }: Played): Array<Response.PartEncoded> => [
  ...(text === undefined ? [] : [{ type: "text" as const, text }]),
  ...calls.map(callPart)
]

const callPart = ({ id, name, params }: Played["calls"][number]) => ({ type: "tool-call" as const, id, name, params })

const pieces = ({ calls, text }: Played): Array<Response.StreamPartEncoded> => {
  const parts: Array<Response.StreamPartEncoded> = []
  if (text !== undefined) {
    parts.push({ type: "text-start", id: "text" })
    for (const [delta] of text.matchAll(/\S+\s*|\s+/g)) parts.push({ type: "text-delta", id: "text", delta })
    parts.push({ type: "text-end", id: "text" })
  }
  for (const made of calls) {
    const delta = typeof made.params === "string" ? made.params : JSON.stringify(made.params)
    parts.push(
      { type: "tool-params-start", id: made.id, name: made.name },
      { type: "tool-params-delta", id: made.id, delta },
      { type: "tool-params-end", id: made.id },
      callPart(made)
    )
  }
  return parts
}

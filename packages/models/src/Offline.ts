/**
 * The offline model: a deterministic `LanguageModel` that needs no key, no network and no script.
 *
 * It has no intelligence. It matches the words of the request and the instructions against names, descriptions and
 * schemas, and follows these rules for any toolkit and any output schema:
 *
 * - Tools that only read come first: each that has to do with the request and whose parameters can be filled.
 *   A tool that carries neither `Readonly` nor `Destructive` counts as reading if its name begins with a reading verb.
 * - Any other tool is called only if the request or the instructions ask for its action and every required parameter
 *   was found. A request that only asks a question sets off no action.
 * - Of a list, the element that the request names is used, else the one a superlative picks (`cheapest`, `earliest`,
 *   `highest …`) among those that are usable and within stated bounds, else the first. A superlative in a name
 *   (`First aid kit`) picks nothing.
 * - No call is made twice, and at most 32 for one request. An action that failed is tried again, three times at most, where
 *   its error says what it would take: a minimum, a maximum, packs, a number or a name to use instead. Others and those that
 *   were denied are not.
 * - Then it answers: what a question asks for (stock, price, discontinued, the cheapest, or the name of a value) as the tools
 *   gave it, or that it cannot know; then a text that sums up, or a value that fits the schema.
 *
 * **Gotchas**
 *
 * - Asked for structured output with tools at hand, it returns the value it could give now together with the calls it
 *   would make, because `generateObject` fails on a response without text.
 * - `toolChoice: "required"` is not met once every call it could make has been made: it answers instead of repeating.
 * - A value that fits cannot be given for a schema that no value fits, or whose checks neither its JSON schema nor a
 *   generated value satisfies: the request then fails with an `AiError`.
 * - Usage is an estimate: one token for every four characters, rounded up.
 */
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { canonicalText } from "./internal/canonical.ts"
import { type Conversation, read } from "./internal/conversation.ts"
import { type Call, type Choice, decide } from "./internal/decide.ts"
import { collect } from "./internal/facts.ts"
import { fill, nothing } from "./internal/fill.ts"
import * as Knowledge from "./internal/knowledge.ts"
import { repair } from "./internal/repair.ts"
import { replies } from "./internal/reply.ts"
import * as Report from "./internal/report.ts"
import { readsOf } from "./internal/tools.ts"
import { hash } from "./internal/words.ts"

/** The name under which the model appears in response metadata. */
export const modelId = "offline"

/** The estimate of tokens for a text: one for every four characters, rounded up. */
export const estimateTokens = (text: string): number => Math.ceil(text.length / 4)

const codecTransformer: LanguageModel.CodecTransformer = (schema) => {
  const document = Schema.toJsonSchemaDocument(schema)
  const definitions = Object.keys(document.definitions).length > 0 ? { $defs: document.definitions } : {}
  return { codec: Schema.toCodecJson(schema), jsonSchema: { ...document.schema, ...definitions } }
}

const promptText = (prompt: Prompt.Prompt): string =>
  prompt.content
    .flatMap((message): ReadonlyArray<string> => {
      if (message.role === "system") return [message.content]
      return message.content.map((part) => {
        switch (part.type) {
          case "text":
          case "reasoning":
            return part.text
          case "tool-call":
            return part.name + canonicalText(part.params)
          case "tool-result":
            return part.name + canonicalText(part.result)
          default:
            return ""
        }
      })
    })
    .join("\n")

const choiceOf = (options: LanguageModel.ProviderOptions): Choice => {
  const { toolChoice: wish, tools } = options
  if (wish === "none") return { tools: [], required: false, only: undefined }
  if (wish === "auto" || wish === "required") return { tools, required: wish === "required", only: undefined }
  if ("tool" in wish) return { tools, required: true, only: String(wish.tool) }
  return {
    tools: tools.filter((tool) => wish.oneOf.includes(tool.name)),
    required: wish.mode === "required",
    only: undefined
  }
}

const isJson = (value: unknown): boolean => {
  if (value === null || typeof value === "string" || typeof value === "boolean") return true
  if (typeof value === "number") return Number.isFinite(value)
  if (Array.isArray(value)) return value.every(isJson)
  if (typeof value !== "object") return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return (prototype === Object.prototype || prototype === null) && Object.values(value).every((entry) => isJson(entry))
}

/** The calls of a group whose arguments their tools accept, that fit through a wire, and that were not made before. */
const validCalls = Effect.fnUntraced(function* (group: ReadonlyArray<Call>, conversation: Conversation) {
  const made = new Set(conversation.observations.map((call) => call.tool + canonicalText(call.params)))
  const valid: Array<Call> = []
  for (const call of group) {
    const schema: unknown = call.tool.parametersSchema
    const params = Schema.isSchema(schema) ? yield* repair(schema, call.params) : Option.some(call.params)
    if (Option.isNone(params) || !isJson(params.value)) continue
    const key = call.name + canonicalText(params.value)
    if (made.has(key)) continue
    made.add(key)
    valid.push({ ...call, params: params.value })
  }
  return valid
})

const structured = Effect.fnUntraced(function* (
  schema: Schema.Top,
  tools: LanguageModel.ProviderOptions["tools"],
  conversation: Conversation,
  now: number
) {
  const { codec, jsonSchema } = yield* Effect.try({
    try: () => codecTransformer(schema),
    catch: (cause) =>
      AiError.make({
        module: "Offline",
        method: "generateObject",
        reason: new AiError.UnsupportedSchemaError({
          description: `the output schema has no JSON form: ${String(cause)}`
        })
      })
  })
  const facts = collect(conversation, conversation.observations)
  // Whatever may be called now, the value tells why what was asked for was not called before.
  const { notes } = decide(conversation, { tools, required: false, only: undefined }, now)
  const informed = fill(jsonSchema, Knowledge.forOutput({ conversation, facts, now, notes, reads: readsOf(tools) }))
  const plain = fill(jsonSchema, nothing)
  for (const candidate of [informed, plain]) {
    const value = yield* repair(codec, candidate?.value ?? null)
    if (Option.isSome(value)) return JSON.stringify(value.value)
  }
  return yield* AiError.make({
    module: "Offline",
    method: "generateObject",
    reason: new AiError.UnsupportedSchemaError({
      description:
        "the offline model found no value that fits the output schema; loosen its custom checks or use another model"
    })
  })
})

const spoken = (conversation: Conversation, notes: ReadonlyArray<string>): string => {
  const facts = collect(conversation, conversation.observations)
  return Report.answer(conversation, facts, notes, replies(conversation, facts))
}

interface Turn {
  readonly id: string
  readonly text: string
  readonly calls: ReadonlyArray<Response.ToolCallPartEncoded>
  readonly finish: Response.FinishPartEncoded
}

const turn = Effect.fnUntraced(function* (options: LanguageModel.ProviderOptions) {
  const conversation = read(options.prompt)
  const now = yield* Clock.currentTimeMillis
  const decision = decide(conversation, choiceOf(options), now)
  let calls: ReadonlyArray<Call> = []
  for (const group of decision.groups) {
    calls = yield* validCalls(group, conversation)
    if (calls.length > 0) break
  }
  const first = conversation.observations.length
  const parts = calls.map((call, index): Response.ToolCallPartEncoded => {
    const id = `offline_${first + index + 1}_${hash(call.name + canonicalText(call.params))}`
    return { type: "tool-call", id, name: call.name, params: call.params }
  })
  const text =
    options.responseFormat.type === "json"
      ? yield* structured(options.responseFormat.schema, options.tools, conversation, now)
      : parts.length > 0
        ? ""
        : spoken(conversation, decision.notes)
  const input = promptText(options.prompt)
  const inputTokens = estimateTokens(input)
  const textTokens = estimateTokens(text)
  const outputTokens = estimateTokens(text + parts.map((part) => part.name + canonicalText(part.params)).join(""))
  const finish: Response.FinishPartEncoded = {
    type: "finish",
    reason: parts.length > 0 ? "tool-calls" : "stop",
    usage: {
      inputTokens: { uncached: inputTokens, total: inputTokens, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: outputTokens, text: textTokens, reasoning: 0 }
    }
  }
  return { id: `offline_${hash(input)}`, text, calls: parts, finish } satisfies Turn
})

/** The pieces of a text that a stream yields: lines, and lines in pieces of some words. */
const pieces = (text: string): ReadonlyArray<string> => text.match(/\s*(?:\S+\s*){1,6}/g) ?? [text]

/** The offline model as a service value. */
export const make: Effect.Effect<LanguageModel.LanguageModel> = LanguageModel.make({
  codecTransformer,
  supportsSystemMessagesInHistory: Effect.succeed(true),
  generateText: (options) =>
    Effect.map(turn(options), ({ calls, finish, id, text }) => [
      { type: "response-metadata", id, modelId },
      ...(text.length > 0 ? [{ type: "text" as const, text }] : []),
      ...calls,
      finish
    ]),
  streamText: (options) =>
    Stream.unwrap(
      Effect.map(turn(options), ({ calls, finish, id, text }) => {
        const textParts: ReadonlyArray<Response.StreamPartEncoded> =
          text.length === 0
            ? []
            : [
                { type: "text-start", id },
                ...pieces(text).map((delta) => ({ type: "text-delta" as const, id, delta })),
                { type: "text-end", id }
              ]
        const parts: ReadonlyArray<Response.StreamPartEncoded> = [
          { type: "response-metadata", id, modelId },
          ...textParts,
          ...calls,
          finish
        ]
        return Stream.fromIterable(parts)
      })
    )
})

/** Provides the offline model: no key, no network, no cost. */
export const layer: Layer.Layer<LanguageModel.LanguageModel> = Layer.effect(LanguageModel.LanguageModel, make)

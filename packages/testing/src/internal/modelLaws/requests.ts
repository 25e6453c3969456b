/** The law of requests: what is sent is what the API takes. */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import type * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { LawBroken } from "../laws/law.ts"
import { disturbed, history } from "../requests/histories.ts"
import { objects, tools } from "../requests/tools.ts"
import { type Chance, chance } from "../simulation/seeded.ts"
import { type Draft, type Played, Stage, Turn } from "./stage.ts"

/** How much of the law is checked. */
export interface RequestCases {
  /** Histories that are sent; 60 if not given. */
  readonly cases?: number | undefined
  /** What they are made from; 1 if not given. */
  readonly seed?: number | undefined
}

/** One request as a program makes it. */
interface Asked {
  readonly prompt: Prompt.Prompt
  readonly tools: ReadonlyArray<Tool.Any>
  readonly toolChoice: LanguageModel.ToolChoice<string>
  readonly object: Schema.Codec<unknown, Record<string, unknown>> | undefined
  readonly streamed: boolean
}

const choiceOf = (random: Chance, offered: ReadonlyArray<Tool.Any>): LanguageModel.ToolChoice<string> => {
  const [one, ...rest] = offered.map(({ name }) => name)
  if (one === undefined || random.happens(0.7)) return "auto"
  const named = random.pick([one, ...rest])
  return random.pick<LanguageModel.ToolChoice<string>>(["none", "required", { tool: named }, { oneOf: [named] }])
}

const asking = (random: Chance, prompt: Prompt.Prompt): Asked => {
  const offered = random.happens(0.4) ? [] : tools.filter(() => random.happens(0.15))
  return {
    prompt,
    tools: offered,
    toolChoice: choiceOf(random, offered),
    object: random.happens(0.2) ? objects[random.below(objects.length)] : undefined,
    streamed: random.happens(0.5)
  }
}

/** Asks, and gives the parts of the answer. */
const ask = (
  model: LanguageModel.LanguageModel,
  asked: Asked
): Effect.Effect<ReadonlyArray<Response.AnyPart>, unknown> => {
  const { object, prompt, streamed, toolChoice } = asked
  const common = {
    prompt,
    ...(asked.tools.length === 0 ? {} : { toolkit: Toolkit.make(...asked.tools), toolChoice }),
    disableToolCallResolution: true,
    toolCallValidation: "deferred"
  }
  // The types of these methods depend on the tools, which chance decides.
  const { generateObject, generateText, streamText } = model as unknown as {
    readonly generateText: (options: object) => Effect.Effect<LanguageModel.GenerateTextResponse<{}>, unknown>
    readonly generateObject: (options: object) => Effect.Effect<LanguageModel.GenerateTextResponse<{}>, unknown>
    readonly streamText: (options: object) => Stream.Stream<Response.AnyPart, unknown>
  }
  if (object === undefined && streamed) return Stream.runCollect(streamText(common))
  const asks =
    object === undefined ? generateText(common) : generateObject({ ...common, schema: object, objectName: "an object" })
  return Effect.map(asks, ({ content }) => content)
}

/** What a call fails with that was not sent. */
const before: ReadonlySet<AiError.AiErrorReason["_tag"]> = new Set([
  "InvalidUserInputError",
  "ToolConfigurationError",
  "UnsupportedSchemaError",
  "ToolResultEncodingError"
])

/** What a server says that refuses. */
const refused: ReadonlySet<AiError.AiErrorReason["_tag"]> = new Set(["InvalidRequestError", "AuthenticationError"])

const shown = (value: unknown): string =>
  JSON.stringify(value, (key, inner: unknown) =>
    key.startsWith("~effect") ? undefined : typeof inner === "bigint" ? `${inner}n` : inner
  ).slice(0, 4_000)

/** Asks once; the parts of the answer, or none where the call was refused before it was sent, as it may be. */
const holds = (
  where: string,
  asked: Asked,
  { model, received }: Played
): Effect.Effect<ReadonlyArray<Response.AnyPart>, LawBroken> =>
  Effect.gen(function* () {
    const sent = (yield* received).length
    const exit = yield* Effect.exit(ask(model, asked))
    if (exit._tag === "Success") return exit.value
    const wasSent = (yield* received).length > sent
    const [reason] = exit.cause.reasons
    const error = reason?._tag === "Fail" ? reason.error : undefined
    const tag = AiError.isAiError(error) ? error.reason._tag : undefined
    const isFine = tag !== undefined && (wasSent ? !refused.has(tag) : before.has(tag) && String(error).length > 40)
    if (isFine) return []
    return yield* new LawBroken({
      what: `${where}, ${shown({ ...asked, tools: asked.tools.map(({ name }) => name), object: asked.object !== undefined })}`,
      expected: "a request that the API takes, or an error before it is sent that says what to change",
      actual: `${wasSent ? "sent" : "not sent"}: ${String(error ?? exit.cause)}`
    })
  })

const turns = (random: Chance): ReadonlyArray<Turn> =>
  Array.from({ length: 6 }, (_, n) => {
    const calls = random.happens(0.5)
      ? Array.from({ length: 1 + random.below(2) }, (_, k) => ({
          id: `${random.pick(["call", "functions.plain"])}:${n}${k}`,
          name: "plain",
          arguments: random.pick(['{"sku":"A"}', "{}", '{"sku'])
        }))
      : undefined
    return Turn.Answer({
      ...(random.happens(0.6) ? { thought: { text: "Hm.", signature: `signature ${n}` } } : {}),
      ...(calls === undefined || random.happens(0.4) ? { text: `Answer ${n}.` } : {}),
      ...(calls === undefined ? {} : { calls }),
      ...(random.happens(0.1) ? { stop: "length" } : {})
    })
  })

const results = (random: Chance, parts: ReadonlyArray<Response.AnyPart>): Prompt.Prompt =>
  Prompt.fromMessages(
    parts.flatMap((part) =>
      part.type === "tool-call" && random.happens(0.8)
        ? [
            Prompt.toolMessage({
              content: [
                Prompt.toolResultPart({
                  id: part.id,
                  name: part.name,
                  isFailure: random.happens(0.2),
                  result: random.pick(["three", ""]),
                  providerExecuted: false
                })
              ]
            })
          ]
        : []
    )
  )

/** A conversation that is really held, and disturbed between its turns. */
const converse = (where: string, random: Chance, played: Played): Effect.Effect<void, LawBroken> =>
  Effect.gen(function* () {
    const [plain] = tools
    const offered = plain === undefined ? [] : [plain, ...tools.slice(1, 3)]
    let prompt = Prompt.make([
      { role: "system", content: "You buy." },
      { role: "user", content: [{ type: "text", text: "How many?" }] }
    ])
    for (let turn = 0; turn < 5; turn++) {
      const isNarrow = random.happens(0.2)
      const asked: Asked = {
        prompt,
        tools: offered,
        toolChoice: isNarrow ? { oneOf: ["plain"] } : "auto",
        object: random.happens(0.1) ? objects[0] : undefined,
        streamed: random.happens(0.5)
      }
      const parts = yield* holds(`${where}, turn ${turn + 1}`, asked, played)
      prompt = Prompt.concat(Prompt.concat(prompt, Prompt.fromResponseParts(parts)), results(random, parts))
      if (random.happens(0.5)) prompt = disturbed(random, prompt)
      if (random.happens(0.5)) prompt = Prompt.concat(prompt, random.pick(["Go on.", " "]))
    }
  })

/** One of every so many cases is a conversation that is held. */
const conversations = 6

type Check = Effect.Effect<void, unknown, Stage | Scope.Scope>

const check = ({ cases = 60, seed = 1 }: RequestCases): Check =>
  Effect.gen(function* () {
    const { play } = yield* Stage
    const played = yield* play(Turn.Answer({ text: "ok" }))
    for (let index = 0; index < cases; index++) {
      const where = `case ${index} of seed ${seed}`
      const random = chance(seed * 1_000_003 + index)
      if (index % conversations === 0) {
        yield* Effect.scoped(Effect.flatMap(play(...turns(random)), (held) => converse(where, random, held)))
      } else {
        yield* holds(where, asking(random, history(random)), played)
      }
    }
  })

/** The law, for so many cases. */
export const requests = (cases: RequestCases): Draft => ({
  name: "whatever prompt, toolkit, schema and history, a request is one that the API takes, or the call fails before it is sent and says what to change",
  needs: ["strict"],
  check: Effect.scoped(check(cases))
})

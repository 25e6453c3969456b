// The laws of any answer, on the wire as the providers' documentation and issues show it: whole, and as the stream of it.
import { LanguageModelLaws } from "@selvage/testing"
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { asEvents, fixture as anthropicFixture } from "../../../anthropic/test/fixtures.ts"
import { listen } from "./stages.ts"
import { anthropic, chat, type Event, responses, sse, type Wire } from "./wires.ts"

const Event = Schema.Union([Schema.String, Schema.Record(Schema.String, Schema.Unknown)])
const Item = Schema.StructWithRest(Schema.Struct({ type: Schema.String }), [
  Schema.Record(Schema.String, Schema.Unknown)
])
const Response = Schema.StructWithRest(Schema.Struct({ output: Schema.Array(Item) }), [
  Schema.Record(Schema.String, Schema.Unknown)
])
const Completion = Schema.StructWithRest(
  Schema.Struct({
    choices: Schema.Tuple([
      Schema.Struct({
        message: Schema.Record(Schema.String, Schema.Unknown),
        finish_reason: Schema.String
      })
    ])
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)
const Recorded = Schema.Struct({
  source: Schema.String,
  status: Schema.optional(Schema.Int),
  body: Schema.optional(Schema.Record(Schema.String, Schema.Unknown)),
  events: Schema.optional(Schema.Array(Event))
})

interface Answer {
  readonly name: string
  readonly wire: Wire
  /** `undefined`: only the stream was recorded, and what it says cannot be told whole. */
  readonly whole: object | undefined
  readonly events: ReadonlyArray<Event>
}

const directory = (name: string) => join(import.meta.dirname, `../../../${name}/test/fixtures`)

const responseEvents = (body: typeof Response.Type): ReadonlyArray<Event> => [
  { type: "response.created", response: { ...body, status: "in_progress", output: [] } },
  ...body.output.flatMap((item, output_index) => [
    { type: "response.output_item.added", output_index, item },
    { type: "response.output_item.done", output_index, item }
  ]),
  { type: "response.completed", response: body }
]

const chunks = ({ choices: [{ finish_reason, message }], ...rest }: typeof Completion.Type): ReadonlyArray<Event> => {
  const { usage, ...head } = rest
  return [
    { ...head, choices: [{ index: 0, delta: message, finish_reason: null }] },
    { ...head, choices: [{ index: 0, delta: {}, finish_reason }] },
    { ...head, choices: [], usage },
    "[DONE]"
  ]
}

const openAi: ReadonlyArray<Answer> = readdirSync(directory("openai")).flatMap((file): ReadonlyArray<Answer> => {
  const text = readFileSync(join(directory("openai"), file), "utf8")
  const { body, events, status } = Schema.decodeSync(Schema.fromJsonString(Recorded))(text)
  const name = file.replace(".json", "")
  // What is no answer of a model: an error, numbers.
  if ((status ?? 200) !== 200 || name === "embeddings") return []
  if (Schema.is(Response)(body)) return [{ name, wire: responses, whole: body, events: responseEvents(body) }]
  if (Schema.is(Completion)(body)) return [{ name, wire: chat, whole: body, events: chunks(body) }]
  const done = events?.find((event) => typeof event === "object" && event["type"] === "response.completed")
  const told = typeof done === "object" ? done["response"] : undefined
  if (events !== undefined && Schema.is(Response)(told)) return [{ name, wire: responses, whole: told, events }]
  // Of some streams only the beginning was recorded.
  return events === undefined || !/"finish_reason":\s*"/.test(text)
    ? []
    : [{ name, wire: chat, whole: undefined, events }]
})

const claude: ReadonlyArray<Answer> = readdirSync(directory("anthropic")).flatMap((file): ReadonlyArray<Answer> => {
  const name = file.replace(".json", "")
  const { events, message } = anthropicFixture(name)
  if (message !== undefined) return [{ name, wire: anthropic, whole: message, events: asEvents(message) }]
  return events === undefined ? [] : [{ name, wire: anthropic, whole: undefined, events }]
})

const asked = {
  prompt: "As recorded.",
  disableToolCallResolution: true,
  toolCallValidation: "deferred"
} as const

const over = <A, E>({ events, whole, wire }: Answer, effect: Effect.Effect<A, E, LanguageModel.LanguageModel>) =>
  Effect.gen(function* () {
    const { url } = yield* listen((response, text) => {
      const streaming = /"stream":\s*true/.test(text)
      response.writeHead(200, { "content-type": streaming ? "text/event-stream" : "application/json" })
      response.end(streaming ? sse(events) : JSON.stringify(whole))
    })
    return yield* Effect.provide(effect, wire.model(url))
  }).pipe(Effect.scoped)

it("there are recorded answers of each wire", () => {
  const names = [...openAi, ...claude].map(({ wire }) => wire.name)
  for (const name of ["OpenAI Responses", "OpenAI Chat", "Anthropic"] as const) assert.include(names, name)
  assert.isAbove(names.length, 20)
})

for (const answer of [...openAi, ...claude]) {
  const streamed = LanguageModel.streamText(asked)
  const laws = LanguageModelLaws.wellFormed({
    whole:
      answer.whole === undefined
        ? Effect.map(Stream.runCollect(streamed), (content) => ({ content }))
        : LanguageModel.generateText(asked),
    streamed
  })
  describe(`${answer.name} of ${answer.wire.name}`, () => {
    for (const law of laws) it.effect(law.name, () => over(answer, law.check))
  })
}

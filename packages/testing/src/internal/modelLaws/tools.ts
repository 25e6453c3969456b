/** Laws of tool calls. */
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { callsOf, type Draft, equal, failure, finishOf, holds, law, type Played, textOf, Turn, using } from "./stage.ts"
import { wellFormed } from "./wellFormed.ts"

const CheckStock = Tool.make("check_stock", {
  description: "How many there are of a product",
  parameters: Schema.Struct({ sku: Schema.String, at: Schema.optional(Schema.String) }),
  success: Schema.Struct({ units: Schema.Int })
}).annotate(Tool.Readonly, true)
const ListShelves = Tool.make("list_shelves", { description: "All shelves", success: Schema.Array(Schema.String) })
const Warehouse = Toolkit.make(CheckStock, ListShelves)
const handlers = Warehouse.toLayer({
  check_stock: ({ sku }) => Effect.succeed({ units: sku.length }),
  list_shelves: () => Effect.succeed(["A", "B"])
})

const prompt = "How many are there of SKU-1 and of SKU-22?"
const asked = { prompt, toolkit: Warehouse, disableToolCallResolution: true } as const

const whole = (played: Played) => using(played, LanguageModel.generateText(asked))
const streamed = (played: Played) => using(played, Stream.runCollect(LanguageModel.streamText(asked)))

const one = { id: "call_1", name: "check_stock", arguments: '{"sku":"SKU-1"}' }
const two = { id: "call_2", name: "check_stock", arguments: '{"sku":"SKU-22","at":"Zürich \\"A\\""}' }
const none = { id: "call_3", name: "list_shelves", arguments: "{}" }
const decoded = [
  { id: "call_1", name: "check_stock", params: { sku: "SKU-1" } },
  { id: "call_2", name: "check_stock", params: { sku: "SKU-22", at: 'Zürich "A"' } },
  { id: "call_3", name: "list_shelves", params: {} }
]
const three = Turn.Answer({ calls: [one, two, none] })

const wellFormedCalls = wellFormed({
  whole: LanguageModel.generateText(asked),
  streamed: LanguageModel.streamText(asked),
  tools: ["check_stock", "list_shelves"]
})

const wrong = (call: string, name = "check_stock") => Turn.Answer({ calls: [{ id: "call_1", name, arguments: call }] })

export const tools: ReadonlyArray<Draft> = [
  law("calls of one turn arrive in order with their arguments, whole and streamed", ["tools"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(three)
      for (const parts of [(yield* whole(played)).content, yield* streamed(played)]) {
        yield* equal("the calls", callsOf(parts), decoded)
        yield* equal("the end", finishOf(parts)?.reason, "tool-calls")
      }
    })
  ),
  ...wellFormedCalls.map(({ check, name }) =>
    law(`${name}, with calls`, ["tools"], (play) =>
      Effect.flatMap(play(Turn.Answer({ text: "Let me look.", calls: [one, two] })), (played) => using(played, check))
    )
  ),
  law("text and calls of one turn both arrive", ["tools"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Answer({ text: "Let me look.", calls: [one] }))
      for (const parts of [(yield* whole(played)).content, yield* streamed(played)]) {
        yield* equal("the text", textOf(parts), "Let me look.")
        yield* equal("the calls", callsOf(parts), decoded.slice(0, 1))
      }
    })
  ),
  law("the arguments of a call are streamed before the call", ["tools"], (play) =>
    Effect.gen(function* () {
      const types = (yield* streamed(yield* play(wrong(one.arguments)))).map(({ type }) => type)
      const order = ["tool-params-start", "tool-params-delta", "tool-params-end", "tool-call"] as const
      const places = order.map((type) => types.indexOf(type))
      yield* holds("the order", !places.includes(-1), types)
      yield* equal(
        "the order",
        places,
        places.toSorted((a, b) => a - b)
      )
    })
  ),
  law("the tools of one turn run once each, and each call has its result, whole and streamed", ["tools"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(three)
      const expected = [
        ["call_1", { units: 5 }],
        ["call_2", { units: 6 }],
        ["call_3", ["A", "B"]]
      ]
      const { content } = yield* using(played, LanguageModel.generateText({ prompt, toolkit: Warehouse })).pipe(
        Effect.provide(handlers)
      )
      const parts = yield* using(
        played,
        Stream.runCollect(LanguageModel.streamText({ prompt, toolkit: Warehouse }))
      ).pipe(Effect.provide(handlers))
      for (const given of [content, parts]) {
        const results = given.flatMap((part) => (part.type === "tool-result" ? [[part.id, part.result]] : []))
        yield* equal("the results", results.toSorted(), expected)
      }
    })
  ),
  law("the results of calls go back with the calls, and the model goes on", ["tools", "bodies"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Answer({ calls: [one, two] }), Turn.Answer({ text: "Five and six." }))
      const first = yield* using(played, LanguageModel.generateText({ prompt, toolkit: Warehouse })).pipe(
        Effect.provide(handlers)
      )
      const more = Prompt.concat(Prompt.make(prompt), Prompt.fromResponseParts(first.content))
      const second = yield* using(played, LanguageModel.generateText({ ...asked, prompt: more }))
      yield* equal("the answer", second.text, "Five and six.")
      const body = JSON.stringify((yield* played.received)[1])
      for (const sent of ["call_1", "call_2", "SKU-22", "units"])
        yield* holds(`${sent} sent back`, body.includes(sent), body)
    })
  ),
  law(
    "a call whose arguments do not fit is an error that is worth another try, whole and streamed",
    ["tools"],
    (play) =>
      Effect.gen(function* () {
        const played = yield* play(wrong('{"sku":17}'))
        for (const ask of [Effect.asVoid(whole(played)), Effect.asVoid(streamed(played))]) {
          const error = yield* failure("the call", ask, "ToolParameterValidationError", "InvalidOutputError")
          yield* equal("worth another try", error.isRetryable, true)
        }
      })
  ),
  law(
    "a call whose arguments are not JSON is an error that is worth another try, whole and streamed",
    ["tools", "malformed-arguments"],
    (play) =>
      Effect.gen(function* () {
        const played = yield* play(wrong('{"sku":"SKU'))
        for (const ask of [Effect.asVoid(whole(played)), Effect.asVoid(streamed(played))]) {
          const error = yield* failure("the call", ask, "ToolParameterValidationError", "InvalidOutputError")
          yield* equal("worth another try", error.isRetryable, true)
        }
      })
  ),
  law("a call of no tool is an error, or a call for who asked to decide himself", ["tools"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(wrong("{}", "make_up"))
      for (const ask of [Effect.asVoid(whole(played)), Effect.asVoid(streamed(played))]) {
        yield* failure("the call", ask, "ToolNotFoundError", "InvalidOutputError")
      }
      const deferred = { ...asked, toolCallValidation: "deferred" } as const
      const { toolCalls } = yield* using(played, LanguageModel.generateText(deferred))
      yield* equal("the call", callsOf(toolCalls), [{ id: "call_1", name: "make_up", params: {} }])
      const parts = yield* using(played, Stream.runCollect(LanguageModel.streamText(deferred)))
      yield* equal("the streamed call", callsOf(parts), [{ id: "call_1", name: "make_up", params: {} }])
    })
  ),
  law("tools are offered by name, description and schema", ["tools", "bodies"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Answer({ text: "None." }))
      yield* whole(played)
      const body = JSON.stringify(yield* played.received)
      for (const sent of ["check_stock", "How many there are of a product", '"sku"', "list_shelves"]) {
        yield* holds(`${sent} in the request`, body.includes(sent), body)
      }
    })
  )
]

/** Laws of any answer, whatever it says. */
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { callsOf, equal, finishOf, holds, LawBroken, textOf, thoughtOf } from "./stage.ts"

/** One request, asked whole and streamed. */
export interface Asked<E, R> {
  readonly whole: Effect.Effect<{ readonly content: ReadonlyArray<Response.AnyPart> }, E, R>
  readonly streamed: Stream.Stream<Response.AnyPart, E, R>
  /** The names of the tools that were offered. Without it calls may be of any. */
  readonly tools?: ReadonlyArray<string> | undefined
}

/** A law of what one request gives. */
export interface AnswerLaw<E, R> {
  readonly name: string
  readonly check: Effect.Effect<void, E | LawBroken | Schema.SchemaError, R>
}

const ends = (what: string, parts: ReadonlyArray<Response.AnyPart>) =>
  Effect.andThen(
    equal(`${what}: ends`, parts.filter(({ type }) => type === "finish").length, 1),
    equal(`${what}: the last part`, parts.findLast((part) => part.type !== "tool-result")?.type, "finish")
  )

const blocks: ReadonlyArray<readonly [string, string, string]> = [
  ["text-start", "text-delta", "text-end"],
  ["reasoning-start", "reasoning-delta", "reasoning-end"],
  ["tool-params-start", "tool-params-delta", "tool-params-end"]
]

/** Every block of a stream is opened once, closed once, and everything of it comes in between. */
export const wellNested = Effect.fnUntraced(function* (
  parts: ReadonlyArray<Response.AnyPart>
): Effect.fn.Return<void, LawBroken> {
  for (const [start, delta, end] of blocks) {
    const open = new Set<string>()
    for (const part of parts) {
      if (!("id" in part) || typeof part.id !== "string") continue
      if (part.type === start) {
        yield* holds(`${start} ${part.id}, which is open already`, !open.has(part.id), part.id)
        open.add(part.id)
      }
      if (part.type === delta) yield* holds(`${delta} of ${part.id}, which is not open`, open.has(part.id), part.id)
      if (part.type === end) yield* holds(`${end} of ${part.id}, which is not open`, open.delete(part.id), part.id)
    }
    yield* equal(`${start} without ${end}`, Array.from(open), [])
  }
})

/** The arguments of each call that were streamed are the arguments of the call. */
export const streamedArguments = Effect.fnUntraced(function* (
  parts: ReadonlyArray<Response.AnyPart>
): Effect.fn.Return<void, LawBroken> {
  for (const [index, call] of parts.entries()) {
    if (call.type !== "tool-call" || call.providerExecuted) continue
    const before = parts.slice(0, index)
    const streamed = before.flatMap((part) =>
      part.type === "tool-params-delta" && part.id === call.id ? [part.delta] : []
    )
    if (!before.some((part) => part.type === "tool-params-start" && part.id === call.id)) continue
    const value: unknown = yield* Effect.try({
      try: () => JSON.parse(streamed.join("") || "{}"),
      catch: () =>
        new LawBroken({ what: `streamed arguments of ${call.name}`, expected: "JSON", actual: streamed.join("") })
    })
    yield* equal(`streamed arguments of ${call.name}`, value, call.params)
  }
})

/** The laws of what one request gives, whole and streamed. The provider must answer both alike. */
export const wellFormed = <E, R>({ streamed, tools, whole }: Asked<E, R>): ReadonlyArray<AnswerLaw<E, R>> => {
  const stream = Stream.runCollect(streamed)
  return [
    {
      name: "an answer ends once, and last",
      check: Effect.flatMap(whole, ({ content }) => ends("the answer", content))
    },
    {
      name: "a stream ends once and last, and opens and closes each of its blocks",
      check: Effect.gen(function* () {
        const parts = yield* stream
        yield* ends("the stream", parts)
        yield* wellNested(parts)
        yield* streamedArguments(parts)
      })
    },
    {
      name: "a stream says what the whole answer says",
      check: Effect.gen(function* () {
        const { content } = yield* whole
        const parts = yield* stream
        yield* equal("the text", textOf(parts), textOf(content))
        yield* equal("the reasoning", thoughtOf(parts), thoughtOf(content))
        yield* equal("the calls", callsOf(parts), callsOf(content))
        yield* equal("the end", finishOf(parts), finishOf(content))
      })
    },
    {
      name: "usage is whole numbers, and its parts are not more than the whole",
      check: Effect.gen(function* () {
        for (const parts of [(yield* whole).content, yield* stream]) {
          const { input, output } = finishOf(parts) ?? { input: {}, output: {} }
          for (const [name, count] of Object.entries({ ...input, out: output.total, text: output.text })) {
            yield* holds(name, count === undefined || (Number.isInteger(count) && count >= 0), count ?? null)
          }
          const spent = [input.cacheRead, input.cacheWrite, input.uncached].map((count) => count ?? 0)
          const sum = spent.reduce((one, other) => one + other, 0)
          yield* holds("the input", input.total === undefined || sum <= input.total, input)
          yield* holds("the reasoning", (output.reasoning ?? 0) <= (output.total ?? Infinity), output)
        }
      })
    },
    {
      name: "calls are of tools that were offered, and each has an id of its own",
      check: Effect.gen(function* () {
        for (const parts of [(yield* whole).content, yield* stream]) {
          const calls = callsOf(parts)
          for (const { name } of calls) {
            yield* holds(`a call of ${name}`, tools === undefined || tools.includes(name), tools ?? [])
          }
          yield* equal("different ids", new Set(calls.map(({ id }) => id)).size, calls.length)
        }
      })
    },
    {
      name: "what an answer says can be kept as JSON and be part of the next prompt",
      check: Effect.gen(function* () {
        for (const parts of [(yield* whole).content, yield* stream]) {
          const prompt = Prompt.fromResponseParts(parts)
          const json = yield* Schema.encodeEffect(Schema.fromJsonString(Prompt.Prompt))(prompt)
          const again = yield* Schema.decodeEffect(Schema.fromJsonString(Prompt.Prompt))(json)
          const said = again.content.flatMap((message) =>
            message.role !== "assistant" || typeof message.content === "string" ? [] : message.content
          )
          const text = said.map((part) => (part.type === "text" ? part.text : "")).join("")
          yield* equal("the text", text, textOf(parts))
          const calls = said.flatMap((part) => (part.type === "tool-call" ? [part.id] : []))
          yield* equal(
            "the calls",
            calls,
            callsOf(parts).map(({ id }) => id)
          )
        }
      })
    }
  ]
}

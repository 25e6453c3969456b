/** Laws of texts, ends, usage and reasoning. */
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  type Draft,
  equal,
  finishOf,
  gathered,
  holds,
  law,
  type Played,
  textOf,
  thoughtOf,
  Turn,
  using
} from "./stage.ts"
import { wellFormed } from "./wellFormed.ts"

const prompt = "What is a selvage?"
const text = "A selvage is the self-finished edge that keeps cloth from unravelling."

const whole = (played: Played) => using(played, LanguageModel.generateText({ prompt }))
const streamed = (played: Played) => using(played, Stream.runCollect(LanguageModel.streamText({ prompt })))

const scripts = 'Zürich · Ελλάδα · 日本語 · 👩‍🚀🇨🇭 "quoted" \\ back \t tab\nline \u2028 end'

const wellFormedText = wellFormed({
  whole: LanguageModel.generateText({ prompt }),
  streamed: LanguageModel.streamText({ prompt })
})

export const answers: ReadonlyArray<Draft> = [
  law("text arrives as it was said, and the answer stops", [], (play) =>
    Effect.gen(function* () {
      const { content, finishReason, text: said } = yield* whole(yield* play(Turn.Answer({ text })))
      yield* equal("the text", said, text)
      yield* equal("the end", finishReason, "stop")
      yield* equal("parts of text", content.filter((part) => part.type === "text").length, 1)
    })
  ),
  law("text of any script arrives unharmed, whole and streamed", [], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Answer({ text: scripts }))
      yield* equal("the text", (yield* whole(played)).text, scripts)
      yield* equal("the stream", textOf(yield* streamed(played)), scripts)
    })
  ),
  law("a long text arrives to its last character, whole and streamed", [], (play) =>
    Effect.gen(function* () {
      const long = Array.from({ length: 4000 }, (_, n) => `word ${n}`).join(" ")
      const played = yield* play(Turn.Answer({ text: long }))
      yield* equal("the text", (yield* whole(played)).text, long)
      yield* equal("the stream", textOf(yield* streamed(played)), long)
    })
  ),
  ...wellFormedText.map(({ check, name }) =>
    law(name, [], (play) => Effect.flatMap(play(Turn.Answer({ text })), (played) => using(played, check)))
  ),
  law("calls at once get an answer each", [], (play) =>
    Effect.gen(function* () {
      const texts = Array.from({ length: 20 }, (_, n) => `answer ${n}`)
      const played = yield* play(...texts.map((text) => Turn.Answer({ text })))
      const heard = yield* Effect.forEach(
        texts,
        (_, n) => (n % 2 === 0 ? Effect.map(whole(played), ({ text }) => text) : Effect.map(streamed(played), textOf)),
        { concurrency: "unbounded" }
      )
      yield* equal("the answers", heard.toSorted(), texts.toSorted())
    })
  ),
  law("an answer that met its limit says so", ["length"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Answer({ text: "A selvage is the", stop: "length" }))
      yield* equal("the end", (yield* whole(played)).finishReason, "length")
      const parts = yield* streamed(played)
      yield* equal("the end of the stream", finishOf(parts)?.reason, "length")
      yield* equal("what was said", textOf(parts), "A selvage is the")
    })
  ),
  law("a refusal is an answer whose end says so", ["refusals"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Refusal({ text: "I will not." }))
      yield* equal("the end", (yield* whole(played)).finishReason, "content-filter")
      yield* equal("the end of the stream", finishOf(yield* streamed(played))?.reason, "content-filter")
    })
  ),
  law("usage is what the provider counted", ["usage"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Answer({ text, usage: { input: 812, cached: 0, output: 91 } }))
      for (const parts of [(yield* whole(played)).content, yield* streamed(played)]) {
        const end = finishOf(parts)
        yield* equal("input and output", [end?.input.total, end?.output.total], [812, 91])
      }
    })
  ),
  law("cached input is counted apart, and once", ["usage", "cached-usage"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Answer({ text, usage: { input: 812, cached: 768, output: 91 } }))
      for (const parts of [(yield* whole(played)).content, yield* streamed(played)]) {
        const input = finishOf(parts)?.input
        yield* equal("the input", [input?.total, input?.cacheRead, input?.uncached], [812, 768, 44])
      }
    })
  ),
  law("what the model thought is apart from what it said, whole and streamed", ["reasoning"], (play) =>
    Effect.gen(function* () {
      const thought = { text: "An edge. Of cloth.", signature: "c2lnbmVk" }
      const played = yield* play(Turn.Answer({ thought, text }))
      for (const parts of [(yield* whole(played)).content, yield* streamed(played)]) {
        yield* equal("the thought", thoughtOf(parts), thought.text)
        yield* equal("the text", textOf(parts), text)
      }
    })
  ),
  law("a thought goes back with its signature, whole and streamed", ["reasoning", "reasoning-back", "bodies"], (play) =>
    Effect.gen(function* () {
      const thought = { text: "An edge. Of cloth.", signature: "c2lnbmVkLWJ5LXRoZS1wcm92aWRlcg==" }
      for (const ask of [(played: Played) => Effect.map(whole(played), ({ content }) => content), streamed]) {
        const played = yield* play(Turn.Answer({ thought, text }))
        const before = Prompt.concat(Prompt.make(prompt), Prompt.fromResponseParts(yield* ask(played)))
        yield* using(played, LanguageModel.generateText({ prompt: Prompt.concat(before, Prompt.make("Go on.")) }))
        const [, second] = yield* played.received
        yield* holds("the signature in the second request", JSON.stringify(second).includes(thought.signature), second)
      }
    })
  ),
  law("a stream gives text before its end", ["stalls"], (play) =>
    Effect.gen(function* () {
      const played = yield* play(Turn.Stall({ text: "A selvage" }))
      const first = yield* using(
        played,
        LanguageModel.streamText({ prompt }).pipe(
          Stream.filter((part) => part.type === "text-delta"),
          Stream.take(1),
          gathered
        )
      )
      yield* holds("the first text", first.error === undefined && first.parts.length === 1, first.parts)
      yield* played.released
    })
  )
]

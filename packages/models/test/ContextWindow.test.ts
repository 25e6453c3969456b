import { assert, describe, it } from "@effect/vitest"
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tokenizer from "effect/ai/Tokenizer"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as fc from "fast-check"
import { ContextWindow, Refusal } from "../src/index.ts"
import { careful, estimate, estimateByScript, o200k } from "../src/internal/tokens.ts"
import { counted } from "./fixtures/tokens.ts"
import { runs } from "../../testing/test/measures.ts"

const text = (value: string) => [{ type: "text" as const, text: value }]

/** One token per character, nothing for framing but what the module adds. */
const characters = ContextWindow.fromEncode("characters", (value) => [...value])

// ---- Prompts of any shape

/** What a prompt is made of: ids repeat on purpose, results may be far from their calls, approvals come in between. */
type Piece =
  | { readonly kind: "system"; readonly size: number }
  | { readonly kind: "user"; readonly size: number }
  | { readonly kind: "assistant"; readonly size: number }
  | {
      readonly kind: "work"
      readonly calls: number
      readonly apart: boolean
      readonly approval: boolean
      readonly size: number
    }
  | { readonly kind: "pending"; readonly size: number }

const piece: fc.Arbitrary<Piece> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("system" as const), size: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("user" as const), size: fc.integer({ min: 1, max: 60 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("assistant" as const), size: fc.integer({ min: 1, max: 60 }) })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("work" as const),
      calls: fc.integer({ min: 1, max: 3 }),
      apart: fc.boolean(),
      approval: fc.boolean(),
      size: fc.integer({ min: 1, max: 60 })
    })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pending" as const), size: fc.integer({ min: 1, max: 30 }) }) }
)

const render = (pieces: ReadonlyArray<Piece>): Prompt.Prompt => {
  const messages: Array<Prompt.MessageEncoded> = []
  for (const [index, own] of pieces.entries()) {
    const words = `${index} `.padEnd(own.size, "x")
    if (own.kind === "system") messages.push({ role: "system", content: words })
    else if (own.kind === "user") messages.push({ role: "user", content: text(words) })
    else if (own.kind === "assistant") messages.push({ role: "assistant", content: text(words) })
    else if (own.kind === "pending")
      messages.push({
        role: "assistant",
        content: [{ type: "tool-call", id: `p${index}`, name: "wait", params: words }]
      })
    else {
      const ids = Array.from({ length: own.calls }, (_, call) => `call_${call}`)
      messages.push({
        role: "assistant",
        content: [
          ...ids.map((id) => ({ type: "tool-call" as const, id, name: "look", params: { at: words } })),
          ...(own.approval
            ? [{ type: "tool-approval-request" as const, approvalId: `a${index}`, toolCallId: ids[0]! }]
            : [])
        ]
      })
      if (own.approval)
        messages.push({
          role: "tool",
          content: [{ type: "tool-approval-response", approvalId: `a${index}`, approved: true }]
        })
      const results = ids.map((id) => ({
        type: "tool-result" as const,
        id,
        name: "look",
        isFailure: false,
        result: `${index} ${id}`
      }))
      if (own.apart) {
        for (const result of results) {
          messages.push({ role: "user", content: text("meanwhile") })
          messages.push({ role: "tool", content: [result] })
        }
      } else messages.push({ role: "tool", content: results })
    }
  }
  return Prompt.make(messages)
}

const prompts = fc.array(piece, { maxLength: 14 }).map(render)

/** Each result with the message that called for it, as objects of the prompt. */
const pairs = (prompt: Prompt.Prompt): ReadonlyArray<readonly [Prompt.Message, Prompt.Message]> => {
  const out: Array<readonly [Prompt.Message, Prompt.Message]> = []
  const calls = new Map<string, Prompt.Message>()
  for (const message of prompt.content) {
    if (message.role === "system" || message.role === "user") continue
    for (const part of message.content) {
      if (part.type === "tool-call") calls.set(part.id, message)
      if (part.type === "tool-approval-request") calls.set(part.approvalId, message)
      if (part.type === "tool-result" && calls.has(part.id)) out.push([calls.get(part.id)!, message])
      if (part.type === "tool-approval-response" && calls.has(part.approvalId))
        out.push([calls.get(part.approvalId)!, message])
    }
  }
  return out
}

const summarizer: LanguageModel.LanguageModel = Effect.runSync(
  LanguageModel.make({
    generateText: () => Effect.succeed([{ type: "text", text: "They talked. ".repeat(40) }]),
    streamText: () => Stream.empty
  })
)

const policies: fc.Arbitrary<Effect.Effect<ContextWindow.Policy>> = fc.oneof(
  fc.constant(Effect.succeed(ContextWindow.dropOldest)),
  fc.integer({ min: 0, max: 4 }).map((last) => Effect.succeed(ContextWindow.keepLast(last))),
  fc.integer({ min: 1, max: 3 }).map((keep) => ContextWindow.summarize({ model: summarizer, keep, tokens: 130 }))
)

const property = (
  check: (
    prompt: Prompt.Prompt,
    fitted: ContextWindow.Fitted,
    limit: number,
    policy: ContextWindow.Policy
  ) => void | Effect.Effect<void, AiError.AiError | ContextWindow.ContextTruncated>
) =>
  Effect.promise(() =>
    fc.assert(
      fc.asyncProperty(prompts, fc.integer({ min: 20, max: 900 }), policies, (prompt, limit, making) =>
        Effect.gen(function* () {
          const policy = yield* making
          const fitted = yield* ContextWindow.fit(prompt, { limit, policy, counter: characters })
          const checked = check(prompt, fitted, limit, policy)
          if (Effect.isEffect(checked)) yield* checked
        }).pipe(
          // What cannot be cut enough is refused; the properties are about what is given.
          Effect.catchTag("ContextTruncated", (error) =>
            Effect.sync(() => assert.notStrictEqual(error.reason, "broken by policy"))
          ),
          Effect.runPromise
        )
      ),
      { numRuns: runs(60) }
    )
  )

describe("a cut prompt", () => {
  it.effect("never has a call without its result, a result without its call, or half an approval", () =>
    property((prompt, { prompt: out }) => {
      const kept = new Set(out.content)
      for (const [call, result] of pairs(prompt)) assert.strictEqual(kept.has(call), kept.has(result))
    })
  )

  it.effect("has every system message, the last request, and the order of what is left", () =>
    property((prompt, { cut, prompt: out }) => {
      const kept = new Set(out.content)
      for (const message of prompt.content) if (message.role === "system") assert.isTrue(kept.has(message))
      const last = prompt.content.findLast((message) => message.role === "user")
      if (last !== undefined) assert.isTrue(kept.has(last))
      assert.deepStrictEqual(
        out.content.filter((message) => message !== cut?.instead),
        prompt.content.filter((message) => kept.has(message))
      )
    })
  )

  it.effect("fits, and its count is the count of what it is", () =>
    property((_, { prompt: out, tokens }, limit) =>
      Effect.gen(function* () {
        assert.isAtMost(tokens, limit)
        assert.strictEqual(yield* ContextWindow.count(out, characters), tokens)
      })
    )
  )

  it.effect("can be counted otherwise where a tokenizer throws", () =>
    Effect.gen(function* () {
      const broken = ContextWindow.fromEncode("broken", () => {
        throw new Error("no such token")
      })
      const counting = broken.message(Prompt.userMessage({ content: [Prompt.textPart({ text: "hi" })] }))
      assert.strictEqual(yield* Effect.catchCause(counting, () => Effect.succeed(1)), 1)
    })
  )

  it.effect("is not cut again", () =>
    property((_, { prompt: out }, limit, policy) =>
      Effect.gen(function* () {
        const again = yield* ContextWindow.fit(out, { limit, policy, counter: characters })
        assert.strictEqual(again.prompt, out)
        assert.isUndefined(again.cut)
      })
    )
  )

  it.effect("says what was cut: what is left and what went are the whole", () =>
    property((prompt, { cut, prompt: out }) => {
      const gone = new Set(cut?.messages ?? [])
      assert.strictEqual(
        prompt.content.filter((message) => !gone.has(message)).length,
        out.content.filter((message) => message !== cut?.instead).length
      )
      if (cut !== undefined) assert.isAbove(gone.size, 0)
    })
  )
})

// ---- The policies

const conversation = Prompt.make([
  { role: "system", content: "S" },
  { role: "user", content: text("first question") },
  { role: "assistant", content: text("first answer") },
  { role: "user", content: text("second question") },
  { role: "assistant", content: text("second answer") },
  { role: "user", content: text("third question") }
])

const said = (prompt: Prompt.Prompt): ReadonlyArray<string> =>
  prompt.content.map((message) =>
    message.role === "system"
      ? message.content
      : message.content.map((part) => (part.type === "text" ? part.text : part.type)).join(" ")
  )

describe("dropOldest", () => {
  it.effect("drops one exchange where one is enough", () =>
    Effect.gen(function* () {
      const { prompt } = yield* ContextWindow.fit(conversation, { limit: 70, counter: characters })
      assert.deepStrictEqual(said(prompt), ["S", "second question", "second answer", "third question"])
    })
  )

  it.effect("drops the oldest work of a long last exchange, and keeps its request", () =>
    Effect.gen(function* () {
      const prompt = render([
        { kind: "user", size: 10 },
        ...Array.from({ length: 10 }, () => ({
          kind: "work" as const,
          calls: 1,
          apart: false,
          approval: false,
          size: 40
        }))
      ])
      const fitted = yield* ContextWindow.fit(prompt, { limit: 400, counter: characters })
      assert.strictEqual(fitted.prompt.content[0], prompt.content[0])
      assert.strictEqual(fitted.prompt.content.at(-1), prompt.content.at(-1))
      assert.isBelow(fitted.prompt.content.length, prompt.content.length)
    })
  )

  it.effect("fails where what must stay is too long", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(ContextWindow.fit("x".repeat(500), { limit: 100, counter: characters }))
      assert.isTrue(error._tag === "ContextTruncated" && error.reason === "does not fit")
      assert.include(error.message, "larger window")
    })
  )
})

describe("keepLast", () => {
  it.effect("keeps what fits, and the last exchanges once it does not", () =>
    Effect.gen(function* () {
      const options = { policy: ContextWindow.keepLast(1), counter: characters }
      const whole = yield* ContextWindow.fit(conversation, { ...options, limit: 500 })
      assert.strictEqual(whole.prompt, conversation)
      const cut = yield* ContextWindow.fit(conversation, { ...options, limit: 80 })
      assert.deepStrictEqual(said(cut.prompt), ["S", "third question"])
    })
  )
})

describe("refuse", () => {
  it.effect("fails with what is too long and what to do", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        ContextWindow.fit(conversation, { limit: 50, counter: characters, policy: ContextWindow.refuse })
      )
      assert.isTrue(error._tag === "ContextTruncated" && error.reason === "not allowed" && error.limit === 50)
    })
  )
})

describe("summarize", () => {
  const recording = (answer: (prompt: string) => string) => {
    const seen: Array<string> = []
    const model = Effect.runSync(
      LanguageModel.make({
        generateText: ({ prompt }) => {
          const own = said(prompt).at(-1)!
          seen.push(own)
          return Effect.succeed([{ type: "text", text: answer(own) }])
        },
        streamText: () => Stream.empty
      })
    )
    return { seen, model }
  }
  const long = (upTo: number) =>
    Prompt.make(
      Array.from({ length: upTo }, (_, index) => [
        { role: "user" as const, content: text(`question ${index} ${"q".repeat(50)}`) },
        { role: "assistant" as const, content: text(`answer ${index} ${"a".repeat(50)}`) }
      ]).flat()
    )

  it.effect("puts a summary where the old exchanges were", () =>
    Effect.gen(function* () {
      const { model, seen } = recording(() => "Ten questions were answered.")
      const policy = yield* ContextWindow.summarize({ model, keep: 2, tokens: 200, window: 10_000 })
      const { cut, prompt } = yield* ContextWindow.fit(long(12), { limit: 900, counter: characters, policy })
      assert.strictEqual(seen.length, 1)
      assert.include(seen[0]!, "question 9")
      assert.notInclude(seen[0]!, "question 10")
      assert.include(said(prompt)[0]!, "Ten questions were answered.")
      assert.include(said(prompt)[1]!, "question 10")
      assert.strictEqual(prompt.content[0], cut?.instead)
    })
  )

  it.effect("goes on from the summary of the beginning, and asks nothing for the same conversation again", () =>
    Effect.gen(function* () {
      const { model, seen } = recording(() => "So far.")
      const policy = yield* ContextWindow.summarize({ model, keep: 2, tokens: 200, window: 10_000 })
      const options = { limit: 900, counter: characters, policy }
      yield* ContextWindow.fit(long(12), options)
      yield* ContextWindow.fit(long(12), options)
      assert.strictEqual(seen.length, 1)
      yield* ContextWindow.fit(long(13), options)
      assert.strictEqual(seen.length, 2)
      assert.include(seen[1]!, "So far.")
      assert.include(seen[1]!, "question 10")
      assert.notInclude(seen[1]!, "question 9")
    })
  )

  it.effect("summarizes piece by piece what is longer than one request may be", () =>
    Effect.gen(function* () {
      const { model, seen } = recording((prompt) => `Until ${prompt.match(/question \d+/g)?.at(-1)}.`)
      const policy = yield* ContextWindow.summarize({ model, keep: 1, tokens: 150, window: 1_200 })
      const { prompt } = yield* ContextWindow.fit(long(20), { limit: 500, counter: characters, policy })
      assert.isAbove(seen.length, 1)
      for (const request of seen) assert.isBelow(request.length, 1_200)
      assert.include(said(prompt)[0]!, "Until question 18.")
    })
  )

  it.effect("fails as its model fails, and on an empty summary", () =>
    Effect.gen(function* () {
      const policy = yield* ContextWindow.summarize({ model: recording(() => "").model, keep: 1, tokens: 100 })
      const error = yield* Effect.flip(ContextWindow.fit(long(5), { limit: 400, counter: characters, policy }))
      assert.isTrue(error._tag === "AiError" && error.reason._tag === "InvalidOutputError")
    })
  )
})

describe("a policy of one's own", () => {
  it.effect("cannot drop a system message or separate a call from its result", () =>
    Effect.gen(function* () {
      const prompt = render([
        { kind: "system", size: 10 },
        { kind: "user", size: 50 },
        { kind: "work", calls: 1, apart: false, approval: false, size: 50 },
        { kind: "user", size: 50 },
        { kind: "assistant", size: 50 }
      ])
      for (const remove of [[0], [2], [1, 2], [4]]) {
        const policy: ContextWindow.Policy = { name: "wrong", decide: () => Effect.succeed({ remove }) }
        const error = yield* Effect.flip(ContextWindow.fit(prompt, { limit: 200, counter: characters, policy }))
        assert.isTrue(error._tag === "ContextTruncated" && error.reason === "broken by policy")
      }
    })
  )

  it.effect("that returns too much is refused", () =>
    Effect.gen(function* () {
      const policy: ContextWindow.Policy = { name: "idle", decide: () => Effect.succeed({ remove: [] }) }
      const error = yield* Effect.flip(ContextWindow.fit(conversation, { limit: 60, counter: characters, policy }))
      assert.isTrue(error._tag === "ContextTruncated" && error.reason === "does not fit")
    })
  )
})

// ---- Around a model

const Look = Tool.make("look", {
  description: "d".repeat(200),
  parameters: Schema.Struct({ at: Schema.String }),
  success: Schema.String
})
const Tools = Toolkit.make(Look)

const echo = () => {
  const asked: Array<Prompt.Prompt> = []
  const layer = Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: ({ prompt, responseFormat }) => {
        asked.push(prompt)
        return Effect.succeed([{ type: "text", text: responseFormat.type === "json" ? '{"a":"b"}' : "ok" }])
      },
      streamText: ({ prompt }) => {
        asked.push(prompt)
        return Stream.make(
          { type: "text-start", id: "1" },
          { type: "text-delta", id: "1", delta: "ok" },
          { type: "text-end", id: "1" }
        )
      }
    })
  )
  return { asked, layer }
}

describe("a window around a model", () => {
  it.effect("cuts, tells what was cut, and writes it into the span of the call", () =>
    Effect.gen(function* () {
      const { asked, layer } = echo()
      const cuts: Array<ContextWindow.Cut> = []
      const spans: Array<Tracer.Span> = []
      const tracer = Tracer.make({
        span(options) {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      yield* LanguageModel.generateText({ prompt: conversation }).pipe(
        Effect.provideService(ContextWindow.OnCut, (cut) => Effect.sync(() => void cuts.push(cut))),
        Effect.provide(
          ContextWindow.layer({ window: 90, reserve: 20, counter: characters }).pipe(Layer.provide(layer))
        ),
        Effect.withTracer(tracer)
      )
      assert.deepStrictEqual(said(asked[0]!), ["S", "second question", "second answer", "third question"])
      assert.deepStrictEqual(
        cuts.map(({ limit, messages, policy }) => ({ limit, messages: messages.length, policy })),
        [{ limit: 70, messages: 2, policy: "drop-oldest" }]
      )
      const outer = spans.find((span) => span.name === "LanguageModel.generateText")
      assert.strictEqual(outer?.attributes.get("selvage.context.messages_cut"), 2)
      assert.strictEqual(outer?.attributes.get("selvage.context.limit"), 70)
    })
  )

  it.effect("cuts the prompt of an object, and counts what its schema takes", () =>
    Effect.gen(function* () {
      const { asked, layer } = echo()
      const ask = (window: number) =>
        LanguageModel.generateObject({ prompt: conversation, schema: Schema.Struct({ a: Schema.String }) }).pipe(
          Effect.provide(ContextWindow.layer({ window, reserve: 0, counter: characters }).pipe(Layer.provide(layer)))
        )
      yield* ask(1_000)
      yield* ask(225)
      assert.deepStrictEqual(
        asked.map((prompt) => prompt.content.length),
        [6, 4]
      )
    })
  )

  it.effect("cuts a stream", () =>
    Effect.gen(function* () {
      const { asked, layer } = echo()
      yield* Stream.runDrain(LanguageModel.streamText({ prompt: conversation })).pipe(
        Effect.provide(ContextWindow.layer({ window: 90, reserve: 20, counter: characters }).pipe(Layer.provide(layer)))
      )
      assert.strictEqual(asked[0]!.content.length, 4)
    })
  )

  it.effect("counts what the definitions of tools take", () =>
    Effect.gen(function* () {
      const { asked, layer } = echo()
      const window = ContextWindow.layer({ window: 420, reserve: 0, counter: characters }).pipe(Layer.provide(layer))
      yield* LanguageModel.generateText({ prompt: conversation }).pipe(Effect.provide(window))
      yield* LanguageModel.generateText({ prompt: conversation, toolkit: Tools }).pipe(
        Effect.provide([Tools.toLayer({ look: () => Effect.succeed("") }), window])
      )
      assert.strictEqual(asked[0]!.content.length, 6)
      assert.isBelow(asked[1]!.content.length, 6)
    })
  )

  it.effect("refuses with an AiError that tells the ContextTruncated, and asks no model", () =>
    Effect.gen(function* () {
      const { asked, layer } = echo()
      const error = yield* Effect.flip(
        LanguageModel.generateText({ prompt: conversation }).pipe(
          Effect.provide(
            ContextWindow.layer({ window: 60, reserve: 10, counter: characters, policy: ContextWindow.refuse }).pipe(
              Layer.provide(layer)
            )
          )
        )
      )
      const truncated = Option.getOrThrow(Refusal.find(ContextWindow.ContextTruncated, error))
      assert.strictEqual(truncated.limit, 50)
      assert.strictEqual(truncated.reason, "not allowed")
      assert.isFalse(error.isRetryable)
      assert.strictEqual(asked.length, 0)
    })
  )

  it.effect("counts with the Tokenizer that is there", () =>
    Effect.gen(function* () {
      const { asked, layer } = echo()
      const tokenizer = Tokenizer.make({
        tokenize: (prompt) =>
          Effect.succeed(prompt.content.flatMap((message) => (message.role === "user" ? [1, 2] : [1])))
      })
      yield* LanguageModel.generateText({ prompt: conversation }).pipe(
        Effect.provide(
          // 6 messages with 9 tokens and 7 times 4 of framing.
          ContextWindow.layer({ window: 37, reserve: 0 }).pipe(
            Layer.provide(layer),
            Layer.provide(Layer.succeed(Tokenizer.Tokenizer, tokenizer))
          )
        )
      )
      assert.strictEqual(asked[0]!.content.length, 6)
    })
  )
})

// ---- The estimate

describe("the estimate of tokens", () => {
  it("is the same for text that is all ASCII, which is counted without looking for scripts", () => {
    const character = fc.constantFrom(
      "a",
      "B",
      "c",
      " ",
      "\n",
      "1",
      "2",
      ".",
      "-",
      "_",
      "é",
      "字",
      "\t",
      "\r",
      "\u007f",
      "\u0000"
    )
    const texts = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary-ascii", maxLength: 60 }),
      fc.string({ unit: character })
    )
    fc.assert(
      fc.property(texts, fc.constantFrom(o200k, careful), (sample, profile) => {
        assert.strictEqual(estimate(sample, profile), estimateByScript(sample, profile))
      }),
      { numRuns: runs(250) }
    )
  })

  it("is within its stated error of real counts", () => {
    for (const { cl100k, claude, name, text: sample, tokens } of counted) {
      const own = estimate(sample, o200k) / tokens
      assert.isAbove(own, 0.85, name)
      assert.isBelow(own, 1.15, name)
      const largest = Math.max(tokens, cl100k, claude)
      assert.isAtLeast(estimate(sample, careful) * (1 + ContextWindow.estimateCareful.error), largest * 0.98, name)
    }
  })

  it.effect("lowers the limit, so that the real prompt fits too", () =>
    Effect.gen(function* () {
      const sample = counted[0]!
      const tokens = yield* ContextWindow.count(sample.text, ContextWindow.estimateO200k)
      const fitting = { counter: ContextWindow.estimateO200k, limit: Math.ceil(tokens * 1.15) }
      assert.isUndefined((yield* ContextWindow.fit(sample.text, fitting)).cut)
      const tight = { counter: ContextWindow.estimateO200k, limit: Math.floor(tokens * 1.1) }
      assert.strictEqual((yield* Effect.flip(ContextWindow.fit(sample.text, tight)))._tag, "ContextTruncated")
    })
  )
})

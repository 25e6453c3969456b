import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { SqliteClient } from "@selvage/sqlite"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Persistence from "effect/persistence/Persistence"
import * as Redis from "effect/persistence/Redis"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import { Middleware, ModelPolicy, ResponseCache } from "../src/index.ts"
import { canonicalText } from "../src/internal/canonical.ts"
import { fake, text } from "./fakes.ts"
import { runs } from "../../testing/test/measures.ts"

const usage = { inputTokens: { uncached: 10, total: 10 }, outputTokens: { total: 5, text: 5 } }
const finish = (reason: Response.FinishPartEncoded["reason"] = "stop") => ({ type: "finish" as const, reason, usage })

type Reply = (prompt: string, asked: number) => Effect.Effect<Array<Response.PartEncoded>, AiError.AiError>

const words = (prompt: Prompt.Prompt): string =>
  prompt.content
    .map((message) =>
      message.role === "system"
        ? message.content
        : message.content.map((part) => (part.type === "text" ? part.text : part.type)).join(" ")
    )
    .join("|")

const streamed = (parts: ReadonlyArray<Response.PartEncoded>): ReadonlyArray<Response.StreamPartEncoded> =>
  parts.flatMap((part, index): ReadonlyArray<Response.StreamPartEncoded> =>
    part.type === "text"
      ? [
          { type: "text-start", id: `${index}` },
          ...part.text.split(/(?<= )/).map((delta) => ({ type: "text-delta" as const, id: `${index}`, delta })),
          { type: "text-end", id: `${index}` }
        ]
      : part.type === "reasoning"
        ? [
            { type: "reasoning-start", id: `${index}` },
            { type: "reasoning-delta", id: `${index}`, delta: part.text },
            { type: "reasoning-end", id: `${index}`, metadata: part.metadata ?? {} }
          ]
        : [part as Response.StreamPartEncoded]
  )

/** A model whose answer tells what it was asked, and how often it was asked anything. */
const model = (
  reply: Reply = (prompt, asked) =>
    Effect.succeed([
      { type: "response-metadata", id: `response_${asked}`, modelId: "fake-1" },
      { type: "text", text: `${prompt}, answer ${asked}` },
      finish()
    ])
) => {
  const asked: Array<string> = []
  const ask = (options: LanguageModel.ProviderOptions) =>
    Effect.suspend(() => {
      asked.push(words(options.prompt))
      return reply(words(options.prompt), asked.length)
    })
  const layer = Layer.effect(
    LanguageModel.LanguageModel,
    Effect.flatMap(
      LanguageModel.make({
        generateText: ask,
        streamText: (options) =>
          Stream.unwrap(Effect.map(ask(options), (parts) => Stream.fromIterable(streamed(parts))))
      }),
      (made) => Middleware.apply(made, Middleware.named({ models: ["fake:fake-1"] }))
    )
  )
  return { asked, layer }
}

const cachedBy = (options: ResponseCache.Options, below: Layer.Layer<LanguageModel.LanguageModel>) =>
  ResponseCache.layer.pipe(Layer.provideMerge(ResponseCache.layerMemory(options)), Layer.provide(below))

const ask = (prompt: Prompt.RawInput) => Effect.map(LanguageModel.generateText({ prompt }), ({ text }) => text)

const askStream = (prompt: Prompt.RawInput) =>
  Stream.runFold(
    LanguageModel.streamText({ prompt }),
    () => "",
    (text, part) => (part.type === "text-delta" ? text + part.delta : text)
  )

const unavailable = AiError.make({
  module: "Fake",
  method: "generateText",
  reason: new AiError.InternalProviderError({ description: "out of order" })
})

// ---- The key

const shuffled = (value: unknown, order: number): unknown => {
  if (Array.isArray(value)) return value.map((entry) => shuffled(entry, order))
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).map(([key, entry]) => [key, shuffled(entry, order)] as const)
  const turn = entries.length === 0 ? 0 : order % entries.length
  return Object.fromEntries([...entries.slice(turn), ...entries.slice(0, turn)].toReversed())
}

describe("the canonical text", () => {
  it("does not depend on the order of keys", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.nat(7), (value, order) =>
        assert.strictEqual(canonicalText(shuffled(value, order)), canonicalText(value))
      ),
      { numRuns: runs(60) }
    )
  })

  it("is different for different data, and for JSON it is JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 4 }), (left, right) => {
        const json = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown
        assert.deepStrictEqual(JSON.parse(canonicalText(left)), json(left))
        const equal = (() => {
          try {
            assert.deepStrictEqual(json(left), json(right))
            return true
          } catch {
            return false
          }
        })()
        assert.strictEqual(canonicalText(left) === canonicalText(right), equal)
      }),
      { numRuns: runs(60) }
    )
  })

  it("tells apart what JSON does not", () => {
    const values = [
      null,
      {},
      "AQI=",
      new Uint8Array([1, 2]),
      new Uint8Array([1]),
      [1, 2],
      new URL("https://a.example/"),
      new URL("https://b.example/"),
      "https://a.example/",
      new Date(0),
      0,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      1n,
      1,
      new Map([["a", 1]]),
      new Set(["a"]),
      '@bytes("AQI=")'
    ]
    assert.strictEqual(new Set(values.map(canonicalText)).size, values.length)
  })
})

// ---- Hits

describe("an equal call", () => {
  it.effect("is answered without the model, with no usage and no response id", () =>
    Effect.gen(function* () {
      const { asked, layer } = model()
      yield* Effect.gen(function* () {
        const first = yield* LanguageModel.generateText({ prompt: "a" })
        const second = yield* LanguageModel.generateText({ prompt: "a" })
        assert.strictEqual(second.text, first.text)
        assert.strictEqual(first.usage.inputTokens.total, 10)
        assert.strictEqual(second.usage.inputTokens.total, 0)
        const finished = second.content.find((part) => part.type === "finish")
        assert.deepStrictEqual(finished?.metadata["selvage"], { cache: "hit", usage })
        const metadata = second.content.find((part) => part.type === "response-metadata")
        assert.deepInclude(metadata, { modelId: "fake-1" })
        assert.isUndefined(metadata?.id)
        const cache = yield* ResponseCache.ResponseCache
        assert.deepStrictEqual(yield* cache.counts, { hits: 1, misses: 1, joined: 0, bypassed: 0 })
      }).pipe(Effect.provide(cachedBy({}, layer)))
      assert.deepStrictEqual(asked, ["a"])
    })
  )

  it.effect("may ask for a stream of what came whole, and for a whole of what came as a stream", () =>
    Effect.gen(function* () {
      const { asked, layer } = model()
      yield* Effect.gen(function* () {
        const whole = yield* ask("a few words to tell")
        assert.strictEqual(yield* askStream("a few words to tell"), whole)
        const stream = yield* askStream("more words")
        assert.strictEqual(yield* ask("more words"), stream)
        assert.strictEqual(yield* askStream("more words"), stream)
      }).pipe(Effect.provide(cachedBy({}, layer)))
      assert.strictEqual(asked.length, 2)
    })
  )

  it.effect("gets of a stream that was begun anew what counts of it, whole and streamed", () =>
    Effect.gen(function* () {
      const piece = (id: string, delta: string): ReadonlyArray<Response.StreamPartEncoded> => [
        { type: "text-start", id },
        { type: "text-delta", id, delta },
        { type: "text-end", id }
      ]
      const broken = Stream.concat(Stream.fromIterable(piece("0", "void")), Stream.fail(unavailable))
      const whole = Stream.fromIterable([...piece("0", "what counts"), finish()])
      const { asked, model: once } = fake([], { streams: [broken, whole] })
      const restarted = yield* Middleware.apply(
        once,
        ModelPolicy.retry(Schedule.recurs(1), { onPartial: "restart" }),
        Middleware.named({ models: ["fake:fake-1"] })
      )
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* askStream("a"), "voidwhat counts")
        assert.strictEqual(yield* askStream("a"), "what counts")
        assert.strictEqual(yield* ask("a"), "what counts")
      }).pipe(Effect.provide(cachedBy({}, Layer.succeed(LanguageModel.LanguageModel, restarted))))
      assert.strictEqual(asked.length, 2)
    })
  )

  it.effect("gets reasoning with its signature, whole and streamed", () =>
    Effect.gen(function* () {
      const metadata = { anthropic: { signature: "s1" } }
      const { asked, layer } = model(() =>
        Effect.succeed([{ type: "reasoning", text: "hm", metadata }, { type: "text", text: "yes" }, finish()])
      )
      yield* Effect.gen(function* () {
        const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "a" }))
        const again = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "a" }))
        const whole = yield* LanguageModel.generateText({ prompt: "a" })
        for (const content of [parts, again, whole.content]) {
          const reasoning = Prompt.fromResponseParts(content).content[0]!
          assert.isTrue(reasoning.role === "assistant")
          assert.deepInclude(reasoning.content[0], { type: "reasoning", text: "hm", options: metadata })
        }
      }).pipe(Effect.provide(cachedBy({}, layer)))
      assert.strictEqual(asked.length, 1)
    })
  )

  it.effect("is one whose schema, tools, messages and settings are the same, and only then", () =>
    Effect.gen(function* () {
      const { asked, layer } = model(() => Effect.succeed([{ type: "text", text: '{"a":"x","b":"y"}' }, finish()]))
      const tool = (name: string) => Tool.make(name, { parameters: Schema.Struct({ a: Schema.String }) })
      const Settings = Context.Reference<object>("other/OtherLanguageModel/Config", { defaultValue: () => ({}) })
      const calls: ReadonlyArray<Effect.Effect<unknown, AiError.AiError, LanguageModel.LanguageModel>> = [
        ask("a"),
        ask("b"),
        LanguageModel.generateText({
          prompt: [
            { role: "system", content: "s" },
            { role: "user", content: "a" }
          ]
        }),
        LanguageModel.generateObject({ prompt: "a", schema: Schema.Struct({ a: Schema.String }) }),
        LanguageModel.generateObject({ prompt: "a", schema: Schema.Struct({ b: Schema.String }) }),
        LanguageModel.generateText({
          prompt: "a",
          toolkit: Toolkit.make(tool("x"), tool("y")),
          disableToolCallResolution: true
        }),
        LanguageModel.generateText({
          prompt: "a",
          toolkit: Toolkit.make(tool("x")),
          disableToolCallResolution: true
        }),
        ask("a").pipe(Effect.provideService(Settings, { effort: "high" })),
        ask("a").pipe(ResponseCache.withTags("t"))
      ]
      yield* Effect.gen(function* () {
        for (const call of calls) yield* call
        assert.strictEqual(asked.length, calls.length)
        for (const call of calls) yield* call
        // The same tools in another order.
        yield* LanguageModel.generateText({
          prompt: "a",
          toolkit: Toolkit.make(tool("y"), tool("x")),
          disableToolCallResolution: true
        })
        assert.strictEqual(asked.length, calls.length)
      }).pipe(Effect.provide(cachedBy({}, layer)))
    })
  )

  it.effect("runs its tools each time: the cache stands below them", () =>
    Effect.gen(function* () {
      const Look = Tool.make("look", { parameters: Schema.Struct({ at: Schema.String }), success: Schema.String })
      const { asked, layer } = model(() =>
        Effect.succeed([{ type: "tool-call", id: "1", name: "look", params: { at: "x" } }, finish("tool-calls")])
      )
      let looks = 0
      const tools = Toolkit.make(Look)
      yield* Effect.gen(function* () {
        for (let round = 0; round < 3; round++) {
          const response = yield* LanguageModel.generateText({ prompt: "a", toolkit: tools })
          assert.strictEqual(response.toolResults[0]?.result, `look ${round + 1}`)
        }
      }).pipe(
        Effect.provide([tools.toLayer({ look: () => Effect.sync(() => `look ${++looks}`) }), cachedBy({}, layer)])
      )
      assert.strictEqual(asked.length, 1)
      assert.strictEqual(looks, 3)
    })
  )

  it.effect("changes nothing of what a model says that always says the same", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ prompt: fc.constantFrom("a", "b", "c d", "e"), stream: fc.boolean() }), {
            maxLength: 12
          }),
          fc.integer({ min: 1, max: 3 }),
          (calls, capacity) =>
            Effect.gen(function* () {
              const { asked, layer } = model((prompt) =>
                Effect.succeed([{ type: "text", text: `you said ${prompt}` }, finish()])
              )
              yield* Effect.gen(function* () {
                for (const { prompt, stream } of calls)
                  assert.strictEqual(yield* stream ? askStream(prompt) : ask(prompt), `you said ${prompt}`)
              }).pipe(Effect.provide(cachedBy({ capacity }, layer)))
              assert.isAtLeast(asked.length, new Set(calls.map(({ prompt }) => prompt)).size)
            }).pipe(Effect.runPromise)
        ),
        { numRuns: runs(15) }
      )
    )
  )
})

// ---- What is not cached

describe("not cached is", () => {
  const twice = (
    options: ResponseCache.Options,
    reply: Reply,
    call: Effect.Effect<unknown, unknown, LanguageModel.LanguageModel>
  ) =>
    Effect.gen(function* () {
      const { asked, layer } = model(reply)
      yield* Effect.provide(Effect.andThen(Effect.exit(call), Effect.exit(call)), cachedBy(options, layer))
      return asked.length
    })
  const said: Reply = () => Effect.succeed([{ type: "text", text: "ok" }, finish()])

  it.effect("an answer that did not come to its end, or a failure", () =>
    Effect.gen(function* () {
      for (const reason of ["length", "content-filter", "error", "pause", "other", "unknown"] as const)
        assert.strictEqual(
          yield* twice({}, () => Effect.succeed([{ type: "text", text: "x" }, finish(reason)]), ask("a")),
          2
        )
      assert.strictEqual(yield* twice({}, () => Effect.succeed([{ type: "text", text: "no finish" }]), ask("a")), 2)
      assert.strictEqual(
        yield* twice({}, () => Effect.succeed([{ type: "text", text: "no finish" }]), askStream("a")),
        2
      )
      assert.strictEqual(yield* twice({}, () => Effect.fail(unavailable), ask("a")), 2)
    })
  )

  it.effect("an answer that is too large, also as a stream", () =>
    Effect.gen(function* () {
      const long: Reply = () => Effect.succeed([{ type: "text", text: "word ".repeat(100) }, finish()])
      assert.strictEqual(yield* twice({ maxBytes: 300 }, long, ask("a")), 2)
      assert.strictEqual(yield* twice({ maxBytes: 300 }, long, askStream("a")), 2)
      assert.strictEqual(yield* twice({ maxBytes: 3_000 }, long, ask("a")), 1)
    })
  )

  it.effect("a call with a temperature, unless asked for", () =>
    Effect.gen(function* () {
      const Settings = Context.Reference<object>("selvage/x/XLanguageModel/CurrentSettings", {
        defaultValue: () => ({})
      })
      const warm = ask("a").pipe(Effect.provideService(Settings, { responses: { temperature: 0.7 } }))
      const cold = ask("a").pipe(Effect.provideService(Settings, { responses: { temperature: 0 } }))
      assert.strictEqual(yield* twice({}, said, warm), 2)
      assert.strictEqual(yield* twice({ sampled: true }, said, warm), 1)
      assert.strictEqual(yield* twice({}, said, cold), 1)
      assert.strictEqual(yield* twice({ settings: { temperature: 1 } }, said, ask("a")), 2)
    })
  )

  it.effect("what other settings of a model said: those that it was made with are part of a call", () =>
    Effect.gen(function* () {
      const { asked, model: made } = fake([text("one"), text("two"), text("three"), text("four")])
      const by = (settings: ReadonlyArray<unknown>) =>
        Effect.flatMap(
          Effect.flatMap(ResponseCache.ResponseCache, (cache) =>
            Middleware.apply(made, cache.middleware, Middleware.named({ models: ["fake:fake-1"], settings }))
          ),
          (own) => Effect.map(own.generateText({ prompt: "a" }), (answer) => answer.text)
        )
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* by([{ maxOutputTokens: 10 }]), "one")
        assert.strictEqual(yield* by([{ maxOutputTokens: 20 }]), "two")
        assert.strictEqual(yield* by([{ maxOutputTokens: 10 }]), "one")
        assert.strictEqual(yield* by([{ temperature: 1 }]), "three")
        assert.strictEqual(yield* by([{ temperature: 1 }]), "four")
      }).pipe(Effect.provide(ResponseCache.layerMemory()))
      assert.strictEqual(asked.length, 4)
    })
  )

  it.effect("a call whose tools the provider executes", () =>
    Effect.gen(function* () {
      const Search = Tool.providerDefined({
        id: "openai.web_search",
        customName: "Search",
        providerName: "web_search",
        args: Schema.Struct({}),
        success: Schema.Unknown
      })
      const call = LanguageModel.generateText({ prompt: "a", toolkit: Toolkit.make(Search({})) })
      assert.strictEqual(yield* twice({}, said, call), 2)
    })
  )

  it.effect("a call of a fiber that says so; one that refreshes is kept", () =>
    Effect.gen(function* () {
      const { asked, layer } = model()
      yield* Effect.gen(function* () {
        yield* ask("a").pipe(Effect.provideService(ResponseCache.Mode, "bypass"))
        yield* ask("a")
        const anew = yield* ask("a").pipe(Effect.provideService(ResponseCache.Mode, "refresh"))
        assert.strictEqual(asked.length, 3)
        assert.strictEqual(yield* ask("a"), anew)
        const streamedAnew = yield* askStream("a").pipe(Effect.provideService(ResponseCache.Mode, "refresh"))
        assert.strictEqual(yield* ask("a"), streamedAnew)
      }).pipe(Effect.provide(cachedBy({}, layer)))
      assert.strictEqual(asked.length, 4)
    })
  )
})

// ---- Bounds

describe("an answer is kept", () => {
  it.effect("for the time to live", () =>
    Effect.gen(function* () {
      const { asked, layer } = model()
      yield* Effect.gen(function* () {
        yield* ask("a")
        yield* TestClock.adjust("59 seconds")
        yield* ask("a")
        assert.strictEqual(asked.length, 1)
        yield* TestClock.adjust("2 seconds")
        yield* ask("a")
        assert.strictEqual(asked.length, 2)
      }).pipe(Effect.provide(cachedBy({ timeToLive: "1 minute" }, layer)))
    })
  )

  it.effect("until others that were used later need its place", () =>
    Effect.gen(function* () {
      const { asked, layer } = model()
      yield* Effect.gen(function* () {
        for (const prompt of ["a", "b", "a", "c", "a", "b"]) yield* ask(prompt)
      }).pipe(Effect.provide(cachedBy({ capacity: 2 }, layer)))
      assert.deepStrictEqual(asked, ["a", "b", "c", "b"])
    })
  )
})

// ---- Calls under way

describe("calls that are made at once", () => {
  it.effect("ask the model once, whole or streamed", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { asked, layer } = model(() =>
        Effect.as(Deferred.await(gate), [{ type: "text", text: "one answer" }, finish()])
      )
      yield* Effect.gen(function* () {
        const fibers = yield* Effect.forEach(Array.from({ length: 40 }), (_, index) =>
          Effect.forkChild(index % 3 === 0 ? askStream("a") : ask("a"), { startImmediately: true })
        )
        yield* Effect.yieldNow
        yield* Deferred.succeed(gate, undefined)
        const answers = yield* Effect.forEach(fibers, Fiber.join)
        assert.deepStrictEqual(new Set(answers), new Set(["one answer"]))
        const cache = yield* ResponseCache.ResponseCache
        const counts = yield* cache.counts
        assert.strictEqual(counts.misses, 1)
        assert.strictEqual(counts.joined + counts.hits, 39)
      }).pipe(Effect.provide(cachedBy({}, layer)))
      assert.strictEqual(asked.length, 1)
    })
  )

  it.effect("share a failure", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { asked, layer } = model(() => Effect.andThen(Deferred.await(gate), Effect.fail(unavailable)))
      yield* Effect.gen(function* () {
        const fibers = yield* Effect.forEach([ask("a"), ask("a"), askStream("a")], (call) =>
          Effect.forkChild(Effect.flip(call), { startImmediately: true })
        )
        yield* Deferred.succeed(gate, undefined)
        for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "InternalProviderError")
      }).pipe(Effect.provide(cachedBy({}, layer)))
      assert.strictEqual(asked.length, 1)
    })
  )

  for (const [name, first] of [
    ["a whole answer", ask("a")],
    ["a stream", askStream("a")]
  ] as const) {
    it.effect(`go on without the one that was interrupted: ${name}`, () =>
      Effect.gen(function* () {
        let stopped = 0
        const { asked, layer } = model((_, times) =>
          times === 1
            ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => void stopped++))
            : Effect.succeed([{ type: "text", text: `answer ${times}` }, finish()])
        )
        yield* Effect.gen(function* () {
          const leader = yield* Effect.forkChild(first, { startImmediately: true })
          yield* Effect.yieldNow
          const followers = yield* Effect.forEach([ask("a"), askStream("a"), ask("a")], (call) =>
            Effect.forkChild(call, { startImmediately: true })
          )
          yield* Effect.yieldNow
          assert.strictEqual(asked.length, 1)
          yield* Fiber.interrupt(leader)
          assert.strictEqual(stopped, 1)
          for (const fiber of followers) assert.strictEqual(yield* Fiber.join(fiber), "answer 2")
        }).pipe(Effect.provide(cachedBy({}, layer)))
        assert.strictEqual(asked.length, 2)
      })
    )
  }

  it.effect("wait no longer than they may", () =>
    Effect.gen(function* () {
      const { asked, layer } = model((_, times) =>
        times === 1 ? Effect.never : Effect.succeed([{ type: "text", text: `answer ${times}` }, finish()])
      )
      yield* Effect.gen(function* () {
        const leader = yield* Effect.forkChild(ask("a"), { startImmediately: true })
        yield* Effect.yieldNow
        const follower = yield* Effect.forkChild(ask("a"), { startImmediately: true })
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* Fiber.join(follower), "answer 2")
        yield* Fiber.interrupt(leader)
      }).pipe(Effect.provide(cachedBy({ maxWait: "5 seconds" }, layer)))
      assert.strictEqual(asked.length, 2)
    })
  )

  it.effect("do not wait for a stream that its reader left", () =>
    Effect.gen(function* () {
      const { asked, layer } = model()
      yield* Effect.gen(function* () {
        yield* Stream.runHead(LanguageModel.streamText({ prompt: "a b c" }))
        assert.strictEqual(yield* ask("a b c"), "a b c, answer 2")
      }).pipe(Effect.provide(cachedBy({}, layer)))
      assert.strictEqual(asked.length, 2)
    })
  )
})

// ---- Tags

describe("invalidating a tag", () => {
  it.effect("voids the answers of calls with the tag, and no others", () =>
    Effect.gen(function* () {
      const { asked, layer } = model()
      yield* Effect.gen(function* () {
        const cache = yield* ResponseCache.ResponseCache
        const tagged = (prompt: string, ...tags: ReadonlyArray<string>) =>
          ask(prompt).pipe(ResponseCache.withTags(...tags))
        const all = Effect.all([tagged("a", "x"), tagged("b", "x", "y"), tagged("c", "y"), ask("d")])
        yield* all
        yield* all
        assert.strictEqual(asked.length, 4)
        yield* cache.invalidate("x")
        yield* all
        assert.deepStrictEqual(asked.slice(4), ["a", "b"])
        yield* cache.clear
        yield* all
        assert.strictEqual(asked.length, 10)
      }).pipe(Effect.provide(cachedBy({}, layer)))
    })
  )

  it.effect("voids an answer that was under way", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { asked, layer } = model(() => Effect.as(Deferred.await(gate), [{ type: "text", text: "old" }, finish()]))
      yield* Effect.gen(function* () {
        const cache = yield* ResponseCache.ResponseCache
        const call = ask("a").pipe(ResponseCache.withTags("x"))
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* Effect.yieldNow
        yield* cache.invalidate("x")
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(fiber)
        yield* call
      }).pipe(Effect.provide(cachedBy({}, layer)))
      assert.strictEqual(asked.length, 2)
    })
  )
})

// ---- Persisted

const redisUrl = process.env.SELVAGE_TEST_REDIS_URL ?? "redis://127.0.0.1:6379"
const redisClient = NodeRedis.layer({ url: redisUrl })
const redisStands = await Effect.runPromise(
  Effect.flatMap(Redis.Redis, (client) => client.send("PING")).pipe(
    Effect.provide(redisClient),
    Effect.timeout("10 seconds"),
    Effect.as(true),
    Effect.catchCause(() => Effect.succeed(false))
  )
)
if (!redisStands && process.env.CI === "true") throw new Error(`Redis is not reachable at ${redisUrl}`)
if (!redisStands)
  console.log(`Redis is not reachable at ${redisUrl}, its tests are skipped. Start one: docker compose up -d`)

const storeId = "selvage-test-response-cache"

const redisStore = Layer.effectDiscard(
  Effect.gen(function* () {
    const client = yield* Redis.Redis
    const empty = Effect.gen(function* () {
      const keys = yield* client.send<Array<string>>("KEYS", `*${storeId}*`)
      if (keys.length > 0) yield* client.send("DEL", ...keys)
    })
    yield* empty
    yield* Effect.addFinalizer(() => Effect.orDie(empty))
  })
).pipe(Layer.provideMerge(Persistence.layerRedis), Layer.provide(redisClient), Layer.orDie)

const sqliteStore = Persistence.layerSql.pipe(Layer.provide(SqliteClient.layer({ filename: ":memory:" })), Layer.orDie)

const stores: ReadonlyArray<readonly [string, Layer.Layer<Persistence.Persistence>, boolean]> = [
  ["SQLite", sqliteStore, false],
  ["Redis", redisStore, !redisStands]
]

/** As many processes as wanted: caches of their own over one store. */
const process_ = (below: Layer.Layer<LanguageModel.LanguageModel>, options: ResponseCache.Options = {}) =>
  ResponseCache.layer.pipe(
    Layer.provideMerge(ResponseCache.layerPersisted({ storeId, ...options })),
    Layer.provide(below),
    Layer.fresh
  )

for (const [name, store, skip] of stores) {
  describe.skipIf(skip)(`a cache over ${name}`, () => {
    it.effect("gives another process the answer, whole and streamed", () =>
      Effect.gen(function* () {
        const { asked, layer } = model()
        const first = yield* ask("a b c").pipe(Effect.provide(process_(layer)))
        assert.strictEqual(yield* ask("a b c").pipe(Effect.provide(process_(layer))), first)
        assert.strictEqual(yield* askStream("a b c").pipe(Effect.provide(process_(layer))), first)
        assert.strictEqual(asked.length, 1)
      }).pipe(Effect.provide(store))
    )

    it.effect("voids a tag for every process, once their memory forgets", () =>
      Effect.gen(function* () {
        const { asked, layer } = model()
        const call = ask("a").pipe(ResponseCache.withTags("x"))
        const here = Context.get(yield* Layer.build(process_(layer)), LanguageModel.LanguageModel)
        const there = yield* Layer.build(process_(layer))
        yield* call.pipe(Effect.provideService(LanguageModel.LanguageModel, here))
        yield* call.pipe(Effect.provide(there))
        assert.strictEqual(asked.length, 1)
        yield* Context.get(there, ResponseCache.ResponseCache).invalidate("x")
        yield* call.pipe(Effect.provide(there))
        assert.strictEqual(asked.length, 2)
        yield* TestClock.adjust("31 seconds")
        assert.strictEqual(yield* call.pipe(Effect.provideService(LanguageModel.LanguageModel, here)), "a, answer 2")
        assert.strictEqual(asked.length, 2)
      }).pipe(Effect.scoped, Effect.provide(store))
    )

    it.effect("does not persist what an unnamed model says", () =>
      Effect.gen(function* () {
        const plain = Layer.effect(
          LanguageModel.LanguageModel,
          LanguageModel.make({
            generateText: () => Effect.succeed([{ type: "text", text: "unnamed" }, finish()]),
            streamText: () => Stream.empty
          })
        )
        const counts = Effect.gen(function* () {
          yield* ask("a")
          yield* ask("a")
          return yield* (yield* ResponseCache.ResponseCache).counts
        })
        for (let run = 0; run < 2; run++) {
          const { hits, misses } = yield* counts.pipe(Effect.provide(process_(plain)))
          assert.deepStrictEqual([hits, misses], [1, 1])
        }
      }).pipe(Effect.provide(store))
    )
  })
}

describe("a store that fails", () => {
  const failing = (answer: () => Effect.Effect<never, Persistence.PersistenceError>) =>
    Persistence.layer.pipe(
      Layer.provide(
        Layer.succeed(Persistence.BackingPersistence, {
          make: () =>
            Effect.succeed({
              get: answer,
              getMany: answer,
              set: answer,
              setMany: answer,
              remove: answer,
              clear: answer()
            })
        })
      )
    )
  const down = () => Effect.fail(new Persistence.PersistenceError({ message: "connection refused" }))

  it.effect("costs a call, not an error", () =>
    Effect.gen(function* () {
      const { asked, layer } = model()
      const call = ask("a").pipe(ResponseCache.withTags("x"))
      const twice = Effect.andThen(call, call)
      yield* twice.pipe(Effect.provide(Layer.provide(process_(layer), failing(down))))
      assert.strictEqual(asked.length, 1)
    })
  )

  it.effect("that hangs is left after a second", () =>
    Effect.gen(function* () {
      const { layer } = model()
      const fiber = yield* Effect.forkChild(
        ask("a").pipe(
          Effect.provide(
            Layer.provide(
              process_(layer),
              failing(() => Effect.never)
            )
          )
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
    })
  )

  it.effect("is told of where a tag cannot be voided", () =>
    Effect.gen(function* () {
      const { layer } = model()
      const error = yield* Effect.flatMap(ResponseCache.ResponseCache, (cache) =>
        Effect.flip(cache.invalidate("x"))
      ).pipe(Effect.provide(Layer.provide(process_(layer), failing(down))))
      assert.strictEqual(error._tag, "PersistenceError")
    })
  )
})

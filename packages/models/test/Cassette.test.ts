import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { Cassette, Middleware, ModelPolicy, Offline, Refusal } from "../src/index.ts"
import { parse } from "../src/internal/cassetteFile.ts"
import { runs } from "../../testing/test/measures.ts"

const usage = { inputTokens: { uncached: 10, total: 10 }, outputTokens: { total: 5, text: 5 } }
const finish: Response.FinishPartEncoded = { type: "finish", reason: "stop", usage }

const modelOf = (
  generate: (options: LanguageModel.ProviderOptions) => Effect.Effect<Array<Response.PartEncoded>, AiError.AiError>,
  stream: (options: LanguageModel.ProviderOptions) => Stream.Stream<Response.StreamPartEncoded, AiError.AiError> = () =>
    Stream.empty
) =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.flatMap(LanguageModel.make({ generateText: generate, streamText: stream }), (made) =>
      Middleware.apply(made, Middleware.named({ models: ["fake:fake-1"] }))
    )
  )

const saying = (...texts: ReadonlyArray<string>) => {
  let asked = 0
  return modelOf(() => Effect.sync(() => [{ type: "text", text: texts[asked++ % texts.length]! }, finish]))
}

const deltas = (...pieces: ReadonlyArray<string>): ReadonlyArray<Response.StreamPartEncoded> => [
  { type: "text-start", id: "1" },
  ...pieces.map((delta) => ({ type: "text-delta" as const, id: "1", delta })),
  { type: "text-end", id: "1" },
  finish
]

/** Runs with a path in a directory of its own. */
const withPath = <A, E>(use: (path: string) => Effect.Effect<A, E, FileSystem.FileSystem>) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    return yield* use(`${yield* fs.makeTempDirectoryScoped()}/deep/cassette.jsonl`)
  }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))

const recordedBy = (options: Cassette.Options, model: Layer.Layer<LanguageModel.LanguageModel>) =>
  Cassette.layerRecord(options).pipe(Layer.provide(model))

const ask = (prompt: Prompt.RawInput) => Effect.map(LanguageModel.generateText({ prompt }), ({ text }) => text)

const lines = (path: string) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    return (yield* fs.readFileString(path)).trimEnd().split("\n")
  })

const Look = Tool.make("look", {
  description: "Looks at a place.",
  parameters: Schema.Struct({ at: Schema.String }),
  success: Schema.String
})
const Tools = Toolkit.make(Look)

describe("a replay", () => {
  it.effect("gives what was recorded: text, objects, streams, tool calls and failures", () =>
    withPath((path) =>
      Effect.gen(function* () {
        const unavailable = AiError.make({
          module: "Fake",
          method: "generateText",
          reason: new AiError.RateLimitError({ retryAfter: Duration.seconds(7) })
        })
        const model = modelOf(
          ({ responseFormat, tools }) =>
            responseFormat.type === "json"
              ? Effect.succeed([{ type: "text", text: '{"n":"3"}' }, finish])
              : tools.length > 0
                ? Effect.succeed([
                    { type: "response-metadata", id: "r1", modelId: "m", timestamp: "2026-01-02T03:04:05.000Z" },
                    { type: "reasoning", text: "hm", metadata: { anthropic: { signature: "s" } } },
                    { type: "tool-call", id: "c1", name: "look", params: { at: "sea" } },
                    { ...finish, reason: "tool-calls" }
                  ])
                : Effect.fail(unavailable),
          () => Stream.fromIterable(deltas("a ", "b"))
        )
        let looks = 0
        const program = Effect.gen(function* () {
          const tooled = yield* LanguageModel.generateText({ prompt: "look", toolkit: Tools })
          const object = yield* LanguageModel.generateObject({
            prompt: "number",
            schema: Schema.Struct({ n: Schema.FiniteFromString })
          })
          const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "stream" }))
          const error = yield* Effect.flip(ask("fail"))
          return [tooled.content, object.value, parts, error.reason, error.retryAfter] as const
        }).pipe(Effect.provide(Tools.toLayer({ look: ({ at }) => Effect.sync(() => `${at} ${++looks}`) })))
        const [content, ...live] = yield* program.pipe(Effect.provide(recordedBy({ path }, model)))
        const [again, ...replayed] = yield* program.pipe(Effect.provide(Cassette.layerReplay({ path })))
        assert.deepStrictEqual(replayed, live)
        // The tool ran again.
        assert.deepStrictEqual(
          again.filter((part) => part.type !== "tool-result"),
          content.filter((part) => part.type !== "tool-result")
        )
        assert.strictEqual(looks, 2)
        assert.strictEqual((yield* lines(path)).length, 5)
      })
    )
  )

  it.effect("of a stream that was cut gives its parts and then the error", () =>
    withPath((path) =>
      Effect.gen(function* () {
        const cut = AiError.make({
          module: "Fake",
          method: "streamText",
          reason: new AiError.InternalProviderError({ description: "connection reset" })
        })
        const model = modelOf(
          () => Effect.succeed([]),
          () => Stream.concat(Stream.fromIterable(deltas("a ", "b").slice(0, 2)), Stream.fail(cut))
        )
        const program = Effect.gen(function* () {
          const parts: Array<string> = []
          const error = yield* LanguageModel.streamText({ prompt: "a" }).pipe(
            Stream.runForEach((part) => Effect.sync(() => parts.push(part.type))),
            Effect.flip
          )
          return { parts, reason: error.reason._tag }
        })
        const live = yield* program.pipe(Effect.provide(recordedBy({ path }, model)))
        assert.deepStrictEqual(yield* program.pipe(Effect.provide(Cassette.layerReplay({ path }))), live)
        assert.deepStrictEqual(live, { parts: ["text-start", "text-delta"], reason: "InternalProviderError" })
      })
    )
  )

  it.effect("gives equal requests their answers in the order in which they were asked", () =>
    withPath((path) =>
      Effect.gen(function* () {
        const gates = yield* Effect.forEach([0, 1, 2], () => Deferred.make<void>())
        let asked = 0
        const model = modelOf(() =>
          Effect.suspend(() => {
            const own = asked++
            return Effect.as(Deferred.await(gates[own]!), [{ type: "text", text: `answer ${own}` }, finish])
          })
        )
        yield* Effect.gen(function* () {
          const fibers = yield* Effect.forEach([0, 1, 2], () => Effect.forkChild(ask("a"), { startImmediately: true }))
          // They end in another order than they began.
          for (const index of [2, 0, 1]) {
            yield* Deferred.succeed(gates[index]!, undefined)
            yield* Fiber.join(fibers[index]!)
          }
        }).pipe(Effect.provide(recordedBy({ path }, model)))
        const replayed = yield* Effect.all([ask("a"), ask("a"), ask("a")]).pipe(
          Effect.provide(Cassette.layerReplay({ path }))
        )
        assert.deepStrictEqual(replayed, ["answer 0", "answer 1", "answer 2"])
      })
    )
  )

  it.effect("of any answers of the offline model is the same as the live run", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.array(fc.string({ unit: "grapheme", maxLength: 40 }), { maxLength: 5 }), (prompts) =>
          withPath((path) =>
            Effect.gen(function* () {
              const program = Effect.forEach(prompts, (prompt) =>
                Effect.gen(function* () {
                  const whole = yield* LanguageModel.generateText({ prompt })
                  const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt }))
                  return { whole: whole.content, parts }
                })
              )
              const live = yield* program.pipe(Effect.provide(recordedBy({ path }, Offline.layer)))
              assert.deepStrictEqual(yield* program.pipe(Effect.provide(Cassette.layerReplay({ path }))), live)
            })
          ).pipe(Effect.runPromise)
        ),
        { numRuns: runs(10) }
      )
    )
  )
})

describe("a miss", () => {
  const miss = (error: AiError.AiError) => Option.getOrThrow(Refusal.find(Cassette.CassetteMiss, error))

  it.effect("shows the nearest recorded request and how it differs", () =>
    withPath((path) =>
      Effect.gen(function* () {
        const prompt = (city: string) => [
          { role: "system" as const, content: "You are brief.\nYou answer in English." },
          { role: "user" as const, content: `What is the weather in ${city}?` }
        ]
        yield* Effect.all([ask("Something else altogether"), ask(prompt("Lisbon"))]).pipe(
          Effect.provide(recordedBy({ path }, saying("ok")))
        )
        const error = yield* Effect.flip(ask(prompt("Porto"))).pipe(Effect.provide(Cassette.layerReplay({ path })))
        const { difference, recorded, used } = miss(error)
        assert.deepStrictEqual([recorded, used], [2, 0])
        const changed = difference.split("\n").filter((line) => /^[-+](?![-+])/.test(line))
        assert.deepStrictEqual(changed, [
          "-    content: What is the weather in Lisbon?",
          "+    content: What is the weather in Porto?"
        ])
        assert.include(error.message, "The nearest recorded request differs so:")
        assert.isFalse(error.isRetryable)
      })
    )
  )

  it.effect("tells when a call was made more often than it was recorded", () =>
    withPath((path) =>
      Effect.gen(function* () {
        yield* ask("a").pipe(Effect.provide(recordedBy({ path }, saying("ok"))))
        const error = yield* Effect.flip(Effect.andThen(ask("a"), ask("a"))).pipe(
          Effect.provide(Cassette.layerReplay({ path }))
        )
        assert.strictEqual(miss(error).used, 1)
        assert.include(error.message, "replayed already")
      })
    )
  )

  it.effect("in a stream fails the stream", () =>
    withPath((path) =>
      Effect.gen(function* () {
        yield* ask("a").pipe(Effect.provide(recordedBy({ path }, saying("ok"))))
        const error = yield* LanguageModel.streamText({ prompt: "b" }).pipe(
          Stream.runDrain,
          Effect.flip,
          Effect.provide(Cassette.layerReplay({ path }))
        )
        assert.strictEqual(miss(error).recorded, 1)
      })
    )
  )
})

describe("matching", () => {
  const record = (path: string) =>
    LanguageModel.generateText({
      prompt: [
        { role: "user", content: "Look at  the sea\non 2026-01-02" },
        { role: "assistant", content: [{ type: "tool-call", id: "c1", name: "look", params: { id: "x" } }] },
        { role: "tool", content: [{ type: "tool-result", id: "c1", name: "look", isFailure: false, result: "wet" }] }
      ],
      toolkit: Tools,
      disableToolCallResolution: true
    }).pipe(Effect.provide(recordedBy({ path }, saying("ok"))))
  const asked = (text: string, call: string, param: string) =>
    LanguageModel.generateText({
      prompt: [
        { role: "user", content: text },
        { role: "assistant", content: [{ type: "tool-call", id: call, name: "look", params: { id: param } }] },
        { role: "tool", content: [{ type: "tool-result", id: call, name: "look", isFailure: false, result: "wet" }] }
      ],
      toolkit: Tools,
      disableToolCallResolution: true
    })
  const original = "Look at  the sea\non 2026-01-02"

  it.effect("exactly, takes a request that is the same and no other", () =>
    withPath((path) =>
      Effect.gen(function* () {
        yield* record(path)
        const replay = Cassette.layerReplay({ path })
        yield* Effect.flip(asked(original, "c2", "x")).pipe(Effect.provide(replay))
        yield* Effect.flip(asked("Look at the sea on 2026-01-02", "c1", "x")).pipe(Effect.provide(replay))
        yield* asked(original, "c1", "x").pipe(Effect.provide(replay))
      })
    )
  )

  it.effect("leniently, does not see ids and white space, but sees what tools were given", () =>
    withPath((path) =>
      Effect.gen(function* () {
        yield* record(path)
        const replay = Cassette.layerReplay({ path, matching: Cassette.lenient })
        yield* asked("Look at the sea on 2026-01-02", "other", "x").pipe(Effect.provide(replay))
        yield* Effect.flip(asked(original, "c1", "y")).pipe(Effect.provide(replay))
        yield* Effect.flip(asked("Look at the sea on 2026-01-03", "c1", "x")).pipe(Effect.provide(replay))
      })
    )
  )

  it.effect("without dates, does not see dates", () =>
    withPath((path) =>
      Effect.gen(function* () {
        yield* record(path)
        const matching = Cassette.without(Cassette.lenient, /\d{4}-\d{2}-\d{2}/)
        yield* asked("Look at the sea on 2027-12-31", "c9", "x").pipe(
          Effect.provide(Cassette.layerReplay({ path, matching }))
        )
      })
    )
  )

  it.effect("leniently, gives a stream of what was recorded whole", () =>
    withPath((path) =>
      Effect.gen(function* () {
        yield* ask("a").pipe(Effect.provide(recordedBy({ path }, saying("some words"))))
        const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "a" })).pipe(
          Effect.provide(Cassette.layerReplay({ path, matching: Cassette.lenient }))
        )
        assert.deepStrictEqual(
          parts.map((part) => part.type),
          ["text-start", "text-delta", "text-end", "finish"]
        )
      })
    )
  )
})

describe("a secret", () => {
  const key = `sk-ant-${"a1B2".repeat(8)}`
  const password = "correct-horse-battery"

  it.effect("is not in the file: by form, by name, by the caller's word, and in pieces of a stream", () =>
    withPath((path) =>
      Effect.gen(function* () {
        const options: Cassette.Options = { path, secrets: [Redacted.make(password)], patterns: [/ticket-\d+/] }
        const model = modelOf(
          () =>
            Effect.succeed([
              { type: "text", text: `use ${key}` },
              { ...finish, response: { status: 200, headers: { authorization: `Bearer ${key}` } } }
            ]),
          () => Stream.fromIterable(deltas("the password is correct-", "horse-bat", "tery, keep it"))
        )
        const prompt = [
          { role: "user" as const, content: `my key is ${key}, my password ${password}, ticket-42` },
          {
            role: "assistant" as const,
            content: [
              {
                type: "tool-call" as const,
                id: "1",
                name: "login",
                params: { api_key: "short", db: "postgres://u:hunter2@h/db" }
              }
            ]
          },
          {
            role: "tool" as const,
            content: [
              {
                type: "tool-result" as const,
                id: "1",
                name: "login",
                isFailure: false,
                result: "Authorization: Bearer abcdefgh12345"
              }
            ]
          }
        ]
        const program = Effect.gen(function* () {
          const whole = yield* ask(prompt)
          const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt }))
          return { whole, stream: parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : [])).join("") }
        })
        const live = yield* program.pipe(Effect.provide(recordedBy(options, model)))
        assert.include(live.whole, key)
        const text = (yield* lines(path)).join("\n")
        for (const secret of [key, password, "ticket-42", "short", "hunter2", "abcdefgh12345", "horse"])
          assert.notInclude(text, secret)
        // The same request finds its answer, because it is compared without its secrets too.
        const replayed = yield* program.pipe(Effect.provide(Cassette.layerReplay(options)))
        assert.deepStrictEqual(replayed, {
          whole: "use [secret]",
          stream: "the password is [secret], keep it"
        })
      })
    )
  )

  it.effect("is not in the file where only its field's name tells, and the next turn still finds its answer", () =>
    withPath((path) =>
      Effect.gen(function* () {
        const Login = Toolkit.make(
          Tool.make("login", { parameters: Schema.Struct({ password: Schema.String }), success: Schema.String })
        )
        const model = modelOf(
          () => Effect.succeed([{ type: "text", text: '{ "user": "u", "apiToken": "hunter1" }' }, finish]),
          () =>
            Stream.fromIterable<Response.StreamPartEncoded>([
              { type: "tool-params-start", id: "c1", name: "login" },
              { type: "tool-params-delta", id: "c1", delta: '{"pass' },
              { type: "tool-params-delta", id: "c1", delta: 'word":"hunter2"}' },
              { type: "tool-params-end", id: "c1" },
              { type: "tool-call", id: "c1", name: "login", params: { password: "hunter2" } },
              ...deltas('{"token":["hun', 'ter3"]}')
            ])
        )
        const program = Effect.gen(function* () {
          const { value } = yield* LanguageModel.generateObject({
            prompt: "who",
            schema: Schema.Struct({ user: Schema.String, apiToken: Schema.String })
          })
          const parts = yield* LanguageModel.streamText({
            prompt: [{ role: "assistant", content: JSON.stringify(value) }],
            toolkit: Login,
            disableToolCallResolution: true
          }).pipe(Stream.runCollect)
          const next = yield* ask([
            {
              role: "assistant",
              content: parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : [])).join("")
            }
          ])
          return { value, types: parts.map(({ type }) => type), next }
        }).pipe(Effect.provide(Login.toLayer({ login: () => Effect.succeed("in") })))
        const live = yield* program.pipe(Effect.provide(recordedBy({ path }, model)))
        assert.strictEqual(live.value.apiToken, "hunter1")
        const text = (yield* lines(path)).join("\n")
        for (const secret of ["hunter1", "hunter2", "hunter3", "hun"]) assert.notInclude(text, secret)
        assert.include(text, '"total":10')
        const replayed = yield* program.pipe(Effect.provide(Cassette.layerReplay({ path })))
        assert.deepStrictEqual(replayed.value, { user: "u", apiToken: "[secret]" })
        assert.deepStrictEqual([...new Set(replayed.types)], [...new Set(live.types)])
      })
    )
  )

  it.effect("is not in a recorded error", () =>
    withPath((path) =>
      Effect.gen(function* () {
        const failing = modelOf(() =>
          Effect.fail(
            AiError.make({
              module: "Fake",
              method: "generateText",
              reason: new AiError.InvalidRequestError({
                description: `bad key ${key}`,
                http: { response: { status: 400, headers: { "x-request": key } }, body: `you sent ${key}` }
              })
            })
          )
        )
        yield* Effect.flip(ask("a")).pipe(Effect.provide(recordedBy({ path }, failing)))
        assert.notInclude((yield* lines(path)).join("\n"), key)
        const error = yield* Effect.flip(ask("a")).pipe(Effect.provide(Cassette.layerReplay({ path })))
        assert.include(error.message, "bad key [secret]")
      })
    )
  )
})

describe("a file", () => {
  const unreadable = (text: string | undefined) =>
    withPath((path) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        if (text !== undefined) {
          yield* fs.makeDirectory(path.slice(0, path.lastIndexOf("/")), { recursive: true })
          yield* fs.writeFileString(path, text)
        }
        return yield* Effect.flip(ask("a").pipe(Effect.provide(Cassette.layerReplay({ path }))))
      })
    )
  const recordedText = withPath((path) =>
    Effect.gen(function* () {
      yield* Effect.all([ask("a"), ask("b")]).pipe(Effect.provide(recordedBy({ path }, saying("ok"))))
      const fs = yield* FileSystem.FileSystem
      return yield* fs.readFileString(path)
    })
  )

  it.effect("that is missing, empty, something else, of another version or malformed is a typed error", () =>
    Effect.gen(function* () {
      const reasons = yield* Effect.forEach(
        [
          undefined,
          "",
          "hello\n",
          '{"cassette":"selvage","version":2}\n',
          '{"cassette":"selvage","version":1}',
          '{"cassette":"selvage","version":1}\n{"index":0}\n'
        ],
        (text) =>
          Effect.map(unreadable(text), (error) => (error._tag === "CassetteUnreadable" ? error.reason : error._tag))
      )
      assert.deepStrictEqual(reasons, [
        "missing",
        "not a cassette",
        "not a cassette",
        "other version",
        "torn",
        "malformed"
      ])
    })
  )

  it.effect("that is torn anywhere but between lines is a typed error", () =>
    Effect.gen(function* () {
      const text = yield* recordedText
      for (let at = 0; at < text.length; at++) {
        const outcome = yield* Effect.result(parse("cut.jsonl", text.slice(0, at)))
        const whole = text.slice(0, at).split("\n").length - 1
        if (whole > 0 && text[at - 1] === "\n") {
          assert.strictEqual(Result.isSuccess(outcome) && outcome.success.length, whole - 1)
        } else {
          assert.isTrue(Result.isFailure(outcome))
          if (Result.isFailure(outcome) && whole > 0) assert.strictEqual(outcome.failure.reason, "torn")
        }
      }
    })
  )

  it.effect("that cannot be written is a typed error", () =>
    withPath((path) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        yield* fs.makeDirectory(path, { recursive: true })
        const error = yield* Effect.flip(ask("a").pipe(Effect.provide(recordedBy({ path }, saying("ok")))))
        assert.strictEqual(error._tag, "CassetteUnwritable")
      })
    )
  )

  it.effect("is written as calls end, whoever is interrupted", () =>
    withPath((path) =>
      Effect.gen(function* () {
        let stopped = 0
        const model = modelOf(({ prompt }) =>
          JSON.stringify(prompt.content).includes("wait")
            ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => void stopped++))
            : Effect.succeed([{ type: "text", text: "ok" }, finish])
        )
        yield* Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(ask("wait"), { startImmediately: true })
          yield* ask("a")
          yield* Fiber.interrupt(fiber)
          assert.strictEqual((yield* lines(path)).length, 2)
          yield* ask("b")
        }).pipe(Effect.provide(recordedBy({ path }, model)))
        assert.strictEqual(stopped, 1)
        yield* Effect.all([ask("b"), ask("a")]).pipe(Effect.provide(Cassette.layerReplay({ path })))
      })
    )
  )
})

describe("a recording", () => {
  it.effect("has no half a line, though who asked is interrupted while it is written", () =>
    withPath((path) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const begun = yield* Deferred.make<void>()
        const slow = FileSystem.FileSystem.of({
          ...fs,
          writeFileString: (file, data, options) =>
            options?.flag === "a"
              ? fs
                  .writeFileString(file, data.slice(0, 20), options)
                  .pipe(
                    Effect.andThen(Deferred.succeed(begun, undefined)),
                    Effect.andThen(Effect.yieldNow),
                    Effect.andThen(fs.writeFileString(file, data.slice(20), options))
                  )
              : fs.writeFileString(file, data, options)
        })
        yield* Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(ask("a"), { startImmediately: true })
          yield* Deferred.await(begun)
          yield* Fiber.interrupt(fiber)
          yield* ask("b")
        }).pipe(
          Effect.provide(recordedBy({ path }, saying("one", "two"))),
          Effect.provideService(FileSystem.FileSystem, slow)
        )
        assert.deepStrictEqual(
          yield* Effect.all([ask("a"), ask("b")]).pipe(Effect.provide(Cassette.layerReplay({ path }))),
          ["one", "two"]
        )
      })
    )
  )

  it.effect("of a stream that was begun anew is, as a whole, what counts of it", () =>
    withPath((path) =>
      Effect.gen(function* () {
        const failure = AiError.make({
          module: "Fake",
          method: "streamText",
          reason: new AiError.InternalProviderError({ description: "out of order" })
        })
        let asked = 0
        const model = modelOf(
          () => Effect.die("only streams"),
          () =>
            asked++ === 0
              ? Stream.concat(Stream.fromIterable(deltas("void").slice(0, 3)), Stream.fail(failure))
              : Stream.fromIterable(deltas("what counts"))
        )
        const restarted = ModelPolicy.layer({
          retry: Schedule.recurs(1),
          onPartial: "restart"
        }).pipe(Layer.provide([model, ModelPolicy.layerStoresMemory]))
        yield* Stream.runDrain(LanguageModel.streamText({ prompt: "a" })).pipe(
          Effect.provide(recordedBy({ path }, restarted))
        )
        assert.strictEqual(
          yield* ask("a").pipe(Effect.provide(Cassette.layerReplay({ path, matching: Cassette.lenient }))),
          "what counts"
        )
      })
    )
  )
})

describe("extending", () => {
  it.effect("replays what is there and records the rest", () =>
    withPath((path) =>
      Effect.gen(function* () {
        const extended = (model: Layer.Layer<LanguageModel.LanguageModel>) =>
          Cassette.layerExtend({ path }).pipe(Layer.provide(model))
        assert.strictEqual(yield* ask("a").pipe(Effect.provide(extended(saying("first")))), "first")
        const both = yield* Effect.all([ask("a"), ask("b")]).pipe(Effect.provide(extended(saying("second"))))
        assert.deepStrictEqual(both, ["first", "second"])
        const replayed = yield* Effect.all([ask("b"), ask("a")]).pipe(Effect.provide(Cassette.layerReplay({ path })))
        assert.deepStrictEqual(replayed, ["second", "first"])
      })
    )
  )
})

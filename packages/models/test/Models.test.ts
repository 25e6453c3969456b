import { assert, describe, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Models, Providers } from "../src/index.ts"

const environment = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

const down = AiError.make({
  module: "Fake",
  method: "generateText",
  reason: new AiError.InternalProviderError({ description: "out of order" })
})

const finish: Response.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: {}, outputTokens: {} }
}

/** A provider whose models answer with their name; `broken` fails, `torn` fails in the middle of a stream, `slow` never ends. */
const fake = (log: Array<string> = [], interrupted?: Deferred.Deferred<void>): Providers.Provider => ({
  name: "fake",
  layer: (model) =>
    Layer.effect(
      LanguageModel.LanguageModel,
      LanguageModel.make({
        generateText: (options) => {
          log.push(model)
          if (model === "broken") return Effect.fail(down)
          if (model === "slow") {
            return Effect.onInterrupt(Effect.never, () =>
              interrupted === undefined ? Effect.void : Deferred.succeed(interrupted, undefined)
            )
          }
          const calls: ReadonlyArray<Response.PartEncoded> =
            options.tools.length > 0 ? [{ type: "tool-call", id: `${model}-1`, name: "act", params: {} }] : []
          return Effect.succeed([
            { type: "text", text: model },
            ...calls,
            { ...finish, reason: calls.length > 0 ? "tool-calls" : "stop" }
          ])
        },
        streamText: () => {
          log.push(model)
          const metadata: Response.StreamPartEncoded = { type: "response-metadata", modelId: model }
          if (model === "broken") return Stream.concat(Stream.succeed(metadata), Stream.fail(down))
          const start: ReadonlyArray<Response.StreamPartEncoded> = [
            metadata,
            { type: "text-start", id: "1" },
            { type: "text-delta", id: "1", delta: model }
          ]
          if (model === "torn") return Stream.concat(Stream.fromIterable(start), Stream.fail(down))
          return Stream.fromIterable([...start, { type: "text-end" as const, id: "1" }, finish])
        }
      })
    )
})

const build = (env: Record<string, string>, options: Models.Options = {}) =>
  Layer.provideMerge(Models.layerWith(options), environment(env))

const describeRole = (role: string, env: Record<string, string>, options: Models.Options = {}) =>
  Effect.flatMap(Models.Models, (models) => models.description(role)).pipe(Effect.provide(build(env, options)))

const findingsOf = (env: Record<string, string>, options: Models.Options = {}) =>
  Effect.flip(describeRole("smart", env, options))

const withFake = (log?: Array<string>): Models.Options => ({
  providers: [...Providers.all, fake(log)],
  policy: "none"
})

describe("Models", () => {
  describe("roles", () => {
    it.effect("are offline without any configuration", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* describeRole("smart", {}), "offline (no intelligence, no cost)")
        assert.strictEqual(
          yield* describeRole("fast", { SELVAGE_MODEL_FAST: "" }),
          "offline (no intelligence, no cost)"
        )
      })
    )

    it.effect("take the provider whose key is set, Anthropic first", () =>
      Effect.gen(function* () {
        assert.match(yield* describeRole("smart", { OPENAI_API_KEY: "k" }), /^openai:gpt/)
        assert.match(yield* describeRole("smart", { OPENAI_API_KEY: "k", ANTHROPIC_API_KEY: "k" }), /^anthropic:claude/)
      })
    )

    it.effect("fall back to smart when they are not configured, also those an application makes up", () =>
      Effect.gen(function* () {
        const env = {
          SELVAGE_MODEL_SMART: "fake:big",
          SELVAGE_MODEL_FAST: "fake:small",
          SELVAGE_MODEL_CODE_REVIEWER: "offline"
        }
        assert.strictEqual(yield* describeRole("fast", env, withFake()), "fake:small")
        assert.strictEqual(yield* describeRole("judge", env, withFake()), "fake:big")
        assert.strictEqual(yield* describeRole("translator", env, withFake()), "fake:big")
        assert.strictEqual(yield* describeRole("codeReviewer", env, withFake()), "offline (no intelligence, no cost)")
      })
    )

    it.effect("provide the model of smart, and of another role by layerRole", () =>
      Effect.gen(function* () {
        const text = Effect.map(LanguageModel.generateText({ prompt: "hi" }), (response) => response.text)
        assert.strictEqual(yield* text, "big")
        assert.strictEqual(yield* Effect.provide(text, Models.layerRole("fast")), "small")
      }).pipe(Effect.provide(build({ SELVAGE_MODEL_SMART: "fake:big", SELVAGE_MODEL_FAST: "fake:small" }, withFake())))
    )

    it.effect("say why they are what they are", () =>
      Effect.gen(function* () {
        const models = yield* Models.Models
        const resolution = yield* models.resolve("fast")
        assert.deepStrictEqual(resolution.models, ["fake:big", "offline"])
        assert.strictEqual(resolution.origin, "SELVAGE_MODEL_FAST is not set, so as smart: SELVAGE_MODEL_SMART")
        assert.strictEqual(resolution.description, "fake:big | offline (no intelligence, no cost)")
      }).pipe(Effect.provide(build({ SELVAGE_MODEL_SMART: "fake:big | offline" }, withFake())))
    )

    it.effect("build the providers' own models from configuration", () =>
      Effect.gen(function* () {
        const description = yield* describeRole("smart", {
          SELVAGE_MODEL_SMART: "anthropic:claude-sonnet-4-6 | openai:llama3",
          ANTHROPIC_API_KEY: "k",
          OPENAI_API_KEY: "k",
          OPENAI_BASE_URL: "http://localhost:11434/v1",
          SELVAGE_OPENAI_API: "chat"
        })
        assert.strictEqual(description, "anthropic:claude-sonnet-4-6 | openai:llama3")
      })
    )
  })

  describe("bad configuration", () => {
    it.effect("is reported all at once, with what, where and what to do", () =>
      Effect.gen(function* () {
        const error = yield* findingsOf({
          SELVAGE_MODEL_SMART: "foo:bar | gpt-5.1 | openai: | | offline:x",
          SELVAGE_MODEL_FAST: "anthropic:claude-haiku-4-5",
          SELVAGE_MODEL_JUDGE: "openai:gpt 5",
          SELVAGE_OPENAI_API: "soap"
        })
        assert.strictEqual(error._tag, "ModelConfigInvalid")
        assert.deepStrictEqual(
          error.findings.map(({ what, where }) => [where, what]),
          [
            ["SELVAGE_MODEL_SMART", 'unknown provider "foo" in "foo:bar"'],
            ["SELVAGE_MODEL_SMART", 'unknown model "gpt-5.1"'],
            ["SELVAGE_MODEL_SMART", 'the provider "openai" needs a model'],
            ["SELVAGE_MODEL_SMART", "a model is missing between the bars"],
            ["SELVAGE_MODEL_SMART", '"offline" takes no model name'],
            ["ANTHROPIC_API_KEY", 'the key for the provider "anthropic" is missing'],
            ["SELVAGE_MODEL_JUDGE", 'the model name "gpt 5" has a space in it']
          ].filter(([where]) => where !== "")
        )
        for (const { fix, where } of error.findings) {
          assert.isAbove(fix.length, 10)
          assert.include(error.message, where)
          assert.include(error.message, fix)
        }
      })
    )

    it.effect("names an unknown API and a base address that is none", () =>
      Effect.gen(function* () {
        const error = yield* findingsOf({
          SELVAGE_MODEL_SMART: "openai:gpt-5.1",
          SELVAGE_OPENAI_API: "soap",
          OPENAI_BASE_URL: "localhost"
        })
        assert.deepStrictEqual(
          error.findings.map(({ where }) => where),
          ["OPENAI_API_KEY", "SELVAGE_OPENAI_API", "OPENAI_BASE_URL"]
        )
      })
    )

    it.effect("of a role that was not declared fails when the role is asked for", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(describeRole("planner", { SELVAGE_MODEL_PLANNER: "nonsense" }))
        assert.deepStrictEqual(
          error.findings.map(({ where }) => where),
          ["SELVAGE_MODEL_PLANNER"]
        )
      })
    )
  })

  describe("fallback", () => {
    const act = Tool.make("act", { parameters: Schema.Struct({}), success: Schema.String, failure: AiError.AiError })
    const Acting = Toolkit.make(act)

    it.effect("asks the next model when the former fails", () => {
      const log: Array<string> = []
      return Effect.gen(function* () {
        const response = yield* LanguageModel.generateText({ prompt: "hi" })
        assert.strictEqual(response.text, "good")
        assert.deepStrictEqual(log, ["broken", "good"])
      }).pipe(Effect.provide(build({ SELVAGE_MODEL_SMART: "fake:broken | fake:good" }, withFake(log))))
    })

    it.effect("fails with the last model's error when all fail", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(LanguageModel.generateText({ prompt: "hi" }))
        assert.strictEqual(error._tag, "AiError")
      }).pipe(Effect.provide(build({ SELVAGE_MODEL_SMART: "fake:broken|fake:broken" }, withFake())))
    )

    it.effect("gives structured output from the offline model when the first one is down", () =>
      Effect.gen(function* () {
        const schema = Schema.Struct({ answer: Schema.String })
        const response = yield* LanguageModel.generateObject({ prompt: "hi", schema })
        assert.isString(response.value.answer)
      }).pipe(Effect.provide(build({ SELVAGE_MODEL_SMART: "fake:broken | offline" }, withFake())))
    )

    it.effect("does not ask another model once a tool has run", () => {
      const log: Array<string> = []
      return Effect.gen(function* () {
        const toolkit = yield* Acting
        const error = yield* Effect.flip(LanguageModel.generateText({ prompt: "hi", toolkit }))
        assert.strictEqual(error._tag, "AiError")
        assert.deepStrictEqual(log, ["good"])
      }).pipe(
        Effect.provide([
          Acting.toLayer({ act: () => Effect.fail(down) }),
          build({ SELVAGE_MODEL_SMART: "fake:good | fake:other" }, withFake(log))
        ])
      )
    })

    it.effect("restarts a stream that emitted nothing, without a trace of the first", () =>
      Effect.gen(function* () {
        const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "hi" }))
        assert.deepStrictEqual(
          parts.flatMap((part) =>
            part.type === "response-metadata" ? [part.modelId] : part.type === "text-delta" ? [part.delta] : []
          ),
          ["good", "good"]
        )
      }).pipe(Effect.provide(build({ SELVAGE_MODEL_SMART: "fake:broken | fake:good" }, withFake())))
    )

    it.effect("does not restart a stream that emitted", () => {
      const log: Array<string> = []
      return Effect.gen(function* () {
        const seen: Array<string> = []
        const error = yield* LanguageModel.streamText({ prompt: "hi" }).pipe(
          Stream.runForEach((part) => Effect.sync(() => seen.push(part.type))),
          Effect.flip
        )
        assert.strictEqual(error._tag, "AiError")
        assert.deepStrictEqual(seen, ["response-metadata", "text-start", "text-delta"])
        assert.deepStrictEqual(log, ["torn"])
      }).pipe(Effect.provide(build({ SELVAGE_MODEL_SMART: "fake:torn | fake:good" }, withFake(log))))
    })

    it.effect("is interrupted with its request and asks nobody else", () =>
      Effect.gen(function* () {
        const interrupted = yield* Deferred.make<void>()
        const log: Array<string> = []
        const layer = build(
          { SELVAGE_MODEL_SMART: "fake:slow | fake:good" },
          { providers: [...Providers.all, fake(log, interrupted)] }
        )
        const fiber = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(
          Effect.provide(layer),
          Effect.forkChild({ startImmediately: true })
        )
        while (log.length === 0) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        yield* Deferred.await(interrupted)
        assert.deepStrictEqual(log, ["slow"])
      })
    )
  })
})

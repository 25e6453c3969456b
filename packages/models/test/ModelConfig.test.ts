import { assert, describe, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  Budget,
  BudgetLedger,
  BudgetStore,
  ModelConfig,
  ModelPolicy,
  Models,
  Prices,
  Providers,
  Refusal
} from "../src/index.ts"
import { fake, text, unavailable } from "./fakes.ts"

interface Made {
  readonly model: string
  readonly portable: ModelConfig.Portable
  readonly own: unknown
}

/** A provider whose models answer with their name, or fail if it is `down`. */
const acme = (made: Array<Made> = [], asked: Array<string> = []) =>
  Providers.withOptions(Schema.Struct({ flavour: Schema.optionalKey(Schema.Literals(["sweet", "salty"])) }), {
    name: "acme",
    keyVariable: "ACME_API_KEY",
    layer: (model, portable, own) => {
      made.push({ model, portable, own })
      const answer = Effect.suspend(() => {
        asked.push(model)
        return model === "down" ? Effect.fail(unavailable) : Effect.succeed(text(model))
      })
      return Layer.succeed(LanguageModel.LanguageModel, fake([answer]).model)
    }
  })

const files = (contents: Record<string, string>) =>
  FileSystem.layerNoop({
    readFileString: (path) => {
      const found = contents[path]
      return found === undefined ? Effect.die(new Error(`no ${path}`)) : Effect.succeed(found)
    }
  })

const key = { ACME_API_KEY: "k" }

const build = (
  env: Record<string, string>,
  options: Models.Options = {},
  contents: Record<string, string> = {}
): Layer.Layer<Models.Models | LanguageModel.LanguageModel, Models.ModelConfigInvalid> =>
  Models.layerWith({ providers: [...Providers.all, acme()], ...options }).pipe(
    Layer.provide([ConfigProvider.layer(ConfigProvider.fromEnv({ env })), files(contents)])
  )

const findings = (env: Record<string, string>, options: Models.Options = {}, contents: Record<string, string> = {}) =>
  Effect.map(Effect.flip(Effect.scoped(Layer.build(build(env, options, contents)))), (error) =>
    error.findings.map(({ what, where }) => `${where} :: ${what}`)
  )

const ask = Effect.map(LanguageModel.generateText({ prompt: "hi" }), (response) => response.text)

const toml = `
[roles.smart]
model = "acme:big"
fallbacks = [{ model = "acme:other", options = { temperature = 0.9 } }, "offline"]
options = { temperature = 0.2, maxOutputTokens = 500, acme = { flavour = "sweet" } }

[roles.smart.policy]
deadline = "20 seconds"
retry = { times = 1, base = "1 second" }

[roles.fast]
model = "acme:small"
policy = "none"
`

describe("configuration of roles", () => {
  for (const [kind, path, contents] of [
    ["TOML", "models.toml", toml],
    [
      "JSON",
      "models.json",
      JSON.stringify({
        roles: {
          smart: {
            model: "acme:big",
            fallbacks: [{ model: "acme:other", options: { temperature: 0.9 } }, "offline"],
            options: { temperature: 0.2, maxOutputTokens: 500, acme: { flavour: "sweet" } }
          },
          fast: { model: "acme:small" }
        }
      })
    ]
  ] as const) {
    it.effect(`is read from a file of ${kind}`, () =>
      Effect.gen(function* () {
        const made: Array<Made> = []
        const layer = build(
          { ...key, SELVAGE_MODELS_FILE: path },
          { providers: [acme(made), Providers.offline] },
          { [path]: contents }
        )
        const models = yield* Effect.provide(Models.Models, layer)
        const smart = yield* models.resolve("smart")
        assert.deepStrictEqual(smart.models, ["acme:big", "acme:other", "offline"])
        assert.strictEqual(smart.origin, `${path}: roles.smart.model`)
        assert.strictEqual(yield* models.description("fast"), "acme:small")
        assert.deepStrictEqual(made.slice(0, 2), [
          { model: "big", portable: { temperature: 0.2, maxOutputTokens: 500 }, own: { flavour: "sweet" } },
          { model: "other", portable: { temperature: 0.9, maxOutputTokens: 500 }, own: { flavour: "sweet" } }
        ])
      })
    )
  }

  it.effect("is read by Node where the program provides no file system", () =>
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "selvage-models-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true }))
      )
      const path = join(directory, "models.toml")
      writeFileSync(path, toml)
      const env = { ...key, SELVAGE_MODELS_FILE: path }
      const layer = Models.layerWith({ providers: [acme(), Providers.offline] }).pipe(
        Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))
      )
      assert.strictEqual(yield* Effect.provide(ask, layer), "big")
    })
  )

  it.effect("takes the environment over the file and the file over code, key by key", () =>
    Effect.gen(function* () {
      const made: Array<Made> = []
      const layer = build(
        { ...key, SELVAGE_MODELS_FILE: "m.toml", SELVAGE_MODEL_SMART: "acme:env" },
        {
          providers: [acme(made), Providers.offline],
          roles: {
            smart: { model: "acme:code", options: { temperature: 1 }, policy: "none" },
            judge: { model: "acme:code" }
          }
        },
        { "m.toml": '[roles.smart]\nmodel = "acme:file"\noptions = { temperature = 0.5 }' }
      )
      const models = yield* Effect.provide(Models.Models, layer)
      assert.deepStrictEqual((yield* models.resolve("smart")).models, ["acme:env"])
      assert.deepStrictEqual((yield* models.resolve("judge")).models, ["acme:code"])
      assert.deepStrictEqual(made[0]?.portable, { temperature: 0.5 })
    })
  )

  it.effect("may stand in a variable as JSON", () =>
    Effect.gen(function* () {
      const made: Array<Made> = []
      const layer = build(
        { ...key, SELVAGE_MODEL_SMART: '{ "model": "acme:one | offline", "options": { "effort": "low" } }' },
        { providers: [acme(made), Providers.offline] }
      )
      const models = yield* Effect.provide(Models.Models, layer)
      assert.deepStrictEqual((yield* models.resolve("smart")).models, ["acme:one", "offline"])
      assert.deepStrictEqual(made[0]?.portable, { effort: "low" })
    })
  )

  it.effect("gives the providers of this package their options", () =>
    Effect.gen(function* () {
      const env = { ANTHROPIC_API_KEY: "k", OPENAI_API_KEY: "k" }
      const roles = {
        smart: {
          model: "anthropic:claude-sonnet-5-5",
          fallbacks: ["openai:gpt-5.4"],
          options: {
            maxOutputTokens: 100,
            effort: "low" as const,
            anthropic: { speed: "fast" },
            openai: { api: "chat", verbosity: "low" }
          }
        }
      }
      assert.strictEqual(
        yield* Effect.flatMap(Models.Models, (models) => models.description("smart")).pipe(
          Effect.provide(build(env, { roles }))
        ),
        "anthropic:claude-sonnet-5-5 | openai:gpt-5.4"
      )
    })
  )

  for (const document of ["README.md", "src/ModelConfig.ts"]) {
    it.effect(`is valid as ${document} shows it`, () =>
      Effect.gen(function* () {
        const written = readFileSync(join(import.meta.dirname, "..", document), "utf8").replace(/^ \* ?/gm, "")
        const example = /^```toml\n([\s\S]*?)^```/m.exec(written)?.[1] ?? ""
        const keys = { ANTHROPIC_API_KEY: "k", OPENAI_API_KEY: "k", AZURE_OPENAI_API_KEY: "k" }
        const env = { ...keys, SELVAGE_MODELS_FILE: "m.toml" }
        const models = yield* Effect.provide(Models.Models, build(env, {}, { "m.toml": example }))
        const { origin } = yield* models.resolve("smart")
        assert.strictEqual(origin, "m.toml: roles.smart.model")
      })
    )
  }

  describe("that is wrong", () => {
    it.effect("is reported where a server is asked as it cannot be", () =>
      Effect.gen(function* () {
        const local = { api: "chat", auth: "none", baseUrl: "http://localhost:1/v1", compatibility: { strict: false } }
        const of = (openai: object, env: Record<string, string> = {}) =>
          findings({ SELVAGE_MODEL_SMART: JSON.stringify({ model: "openai:qwen3", options: { openai } }), ...env })
        yield* Effect.scoped(
          Layer.build(
            build({ SELVAGE_MODEL_SMART: JSON.stringify({ model: "openai:qwen3", options: { openai: local } }) })
          )
        )
        assert.deepStrictEqual(yield* of({ ...local, api: "responses" }), [
          "smart: options.openai.compatibility :: compatibility is not there in the Responses API"
        ])
        assert.deepStrictEqual(yield* of({ ...local, maxToolCalls: 3 }), [
          "smart: options.openai.maxToolCalls :: maxToolCalls is not there in Chat Completions"
        ])
        assert.deepStrictEqual(yield* of({ seed: 1, stop: ["."] }, { OPENAI_API_KEY: "k" }), [
          "smart: options.openai.seed :: seed is not there in the Responses API",
          "smart: options.openai.stop :: stop is not there in the Responses API"
        ])
        const azure = 'auth "api-key" is how Azure takes its key, and the key would go to OpenAI'
        assert.deepStrictEqual(yield* of({ auth: "api-key" }, { OPENAI_API_KEY: "k" }), [
          `smart: options.openai.auth :: ${azure}`
        ])
        assert.deepStrictEqual(yield* of({}, { OPENAI_API_KEY: "k", SELVAGE_OPENAI_AUTH: "api-key" }), [
          `SELVAGE_OPENAI_AUTH :: ${azure}`
        ])
        assert.deepStrictEqual(
          yield* findings({
            ANTHROPIC_API_KEY: "k",
            SELVAGE_MODEL_SMART: JSON.stringify({
              model: "anthropic:claude-haiku-4-5",
              options: {
                temperature: 0.5,
                maxOutputTokens: 2_000,
                anthropic: { thinking: { type: "enabled", budgetTokens: 10_000 } }
              }
            })
          }),
          [
            "SELVAGE_MODEL_SMART: options :: with thinking claude-haiku-4-5 takes no topK and no temperature but 1",
            "SELVAGE_MODEL_SMART: options :: thinking may take 10000 tokens, and with the answer no more than 2000"
          ]
        )
        assert.deepStrictEqual(yield* of({ ...local, baseUrl: "localhost:1" }), [
          "SELVAGE_MODEL_SMART: options.openai.baseUrl :: expected an http or https URL, such as http://localhost:11434/v1"
        ])
        assert.deepStrictEqual(yield* of({ ...local, auth: "bearer", keyVariable: "LOCAL_KEY" }), [
          'LOCAL_KEY :: the key for the provider "openai" is missing'
        ])
        assert.deepStrictEqual(yield* of({}, { SELVAGE_OPENAI_AUTH: "basic", OPENAI_API_KEY: "k" }), [
          'SELVAGE_OPENAI_AUTH :: "basic" is none of bearer, api-key, none'
        ])
      })
    )

    it.effect("is reported all at once, with the place in the file", () =>
      Effect.gen(function* () {
        const wrong = `
[roles.smart]
model = "acme:big"
modle = "acme:small"
fallbacks = ["nobody:x"]

[roles.fast]
fallbacks = []

[roles.judge]
model = "anthropic:claude-sonnet-5-5"
options = { temperature = 1.5, colour = "red", openai = { verbosity = "loud" } }

[roles.judge.policy]
deadline = "soon"

[roles.writer]
model = "openai:gpt-5.4"
options = { openai = { verbosity = "loud" } }

[roles.reader]
model = "acme:big"
policy = { deadline = "10 seconds", hedge = "1 minute", rateLimit = { maxWait = "1 second" } }
`
        const found = yield* findings({ SELVAGE_MODELS_FILE: "m.toml" }, {}, { "m.toml": wrong })
        const expected = [
          /m\.toml: roles\.smart\.modle :: there is no key "modle"/,
          /m\.toml: roles\.smart\.fallbacks\[0\] :: unknown provider "nobody"/,
          /m\.toml: roles\.fast\.model :: it names no model/,
          /m\.toml: roles\.judge\.policy\.deadline :: expected a valid Duration/,
          /m\.toml: roles\.judge\.options\.colour :: there is no option "colour"/,
          /m\.toml: roles\.judge\.options :: claude-sonnet-5-5 takes no temperature/,
          /ANTHROPIC_API_KEY :: the key/,
          /m\.toml: roles\.writer\.options\.openai\.verbosity :: expected "low"/,
          /OPENAI_API_KEY :: the key for the provider "openai" is missing/,
          /m\.toml: roles\.reader\.policy\.hedge :: is longer than deadline/,
          /m\.toml: roles\.reader\.policy\.rateLimit :: limits neither requests nor tokens/,
          /ACME_API_KEY :: the key for the provider "acme" is missing/
        ]
        for (const pattern of expected) {
          assert.isTrue(
            found.some((line) => pattern.test(line)),
            `${pattern} in\n${found.join("\n")}`
          )
        }
      })
    )

    it.effect("names options that nobody knows and those that a model cannot have", () =>
      Effect.gen(function* () {
        const found = yield* findings(
          { ANTHROPIC_API_KEY: "k" },
          {
            roles: {
              smart: {
                model: "anthropic:claude-sonnet-5-5",
                fallbacks: ["nobody:x"],
                options: { temperature: 1.5, colour: "red", offline: { x: 1 } }
              }
            }
          }
        )
        assert.deepStrictEqual(found, [
          "roles.smart.options of Models.layerWith :: claude-sonnet-5-5 takes no temperature",
          'roles.smart.fallbacks[0] of Models.layerWith :: unknown provider "nobody" in "nobody:x"',
          'roles.smart.options.colour of Models.layerWith :: there is no option "colour", nor a provider of this name that has options',
          'roles.smart.options.offline of Models.layerWith :: there is no option "offline", nor a provider of this name that has options'
        ])
      })
    )

    it.effect("is JSON that is none", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* findings({ SELVAGE_MODEL_SMART: '{ "model": ' }), [
          "SELVAGE_MODEL_SMART :: it begins like JSON and is none",
          "SELVAGE_MODEL_SMART: model :: it names no model"
        ])
      })
    )

    it.effect("is a file that is not there, or is none", () =>
      Effect.gen(function* () {
        const missing = Models.layerWith().pipe(
          Layer.provide(
            ConfigProvider.layer(ConfigProvider.fromEnv({ env: { SELVAGE_MODELS_FILE: "/nowhere/models.toml" } }))
          )
        )
        const error = yield* Effect.flip(Effect.scoped(Layer.build(missing)))
        assert.include(error.message, 'SELVAGE_MODELS_FILE: the file "/nowhere/models.toml" cannot be read')
        const env = { SELVAGE_MODELS_FILE: "m.toml" }
        assert.match((yield* findings(env, {}, { "m.toml": "roles = [" }))[0]!, /^m\.toml :: the file cannot be read/)
        assert.match((yield* findings(env, {}, { "m.toml": "rolls = 1" }))[0]!, /^m\.toml :: it must have roles/)
        assert.match(
          (yield* findings(env, {}, { "m.toml": "[roles]\nsmart = 1" }))[0]!,
          /roles\.smart :: a role must be a table/
        )
      })
    )

    it.effect("is a budget that steps down to nobody, to itself, in a circle, or counts money it cannot know", () =>
      Effect.gen(function* () {
        const role = (budget: ModelConfig.RoleInput["budget"]) => ({
          model: "acme:big",
          ...(budget === undefined ? {} : { budget })
        })
        const steps = (stepDown?: string) => ({
          tokens: 1,
          onExhausted: "step-down" as const,
          ...(stepDown === undefined ? {} : { stepDown })
        })
        const found = yield* findings(
          { ...key, SELVAGE_MODEL_OTHER: "acme:small" },
          {
            roles: {
              smart: role(steps("fast")),
              fast: role(steps("smart")),
              judge: role(steps("judge")),
              a: role(steps()),
              b: role(steps("nobody")),
              c: role({ tokens: 1, stepDown: "fast" }),
              e: role(steps("other")),
              d: role({ dollars: 1 })
            }
          }
        )
        assert.deepStrictEqual(
          found.map((line) => line.split(" :: ")[1]),
          [
            "a role cannot step down to itself",
            "it is to step down, but not to whom",
            "stepDown has no effect",
            'the role has a budget in dollars, and the price of "acme:big" is not known',
            "it steps down in a circle: smart, fast, smart",
            "it steps down in a circle: fast, smart, fast",
            "it steps down in a circle: judge, judge",
            'it steps down to "nobody", which is not configured',
            "it steps down in a circle: c, fast, smart, fast"
          ]
        )
      })
    )
  })

  describe("is around the models", () => {
    it.effect("with the policy: retries of one, then the next, all within the deadline", () =>
      Effect.gen(function* () {
        const asked: Array<string> = []
        const layer = build(key, {
          providers: [acme([], asked), Providers.offline],
          roles: {
            smart: { model: "acme:down", fallbacks: ["acme:up"], policy: { retry: { times: 2, base: "1 second" } } },
            short: { model: "acme:down", policy: { retry: { times: 20, base: "1 second" }, deadline: "5 seconds" } }
          }
        })
        const context = yield* Layer.build(layer)
        const fiber = yield* Effect.forkChild(Effect.provide(ask, context), { startImmediately: true })
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(yield* Fiber.join(fiber), "up")
        assert.deepStrictEqual(asked, ["down", "down", "down", "up"])
        const short = yield* Effect.forkChild(
          Effect.flip(Effect.provide(ask, Models.layerRole("short"))).pipe(Effect.provide(context)),
          { startImmediately: true }
        )
        yield* TestClock.adjust("5 seconds")
        // The retry after the next would begin too late.
        const error = yield* Fiber.join(short)
        assert.strictEqual(AiError.isAiError(error) && error.reason._tag, "InternalProviderError")
        assert.isAtLeast(asked.length, 6)
      })
    )

    it.effect("with circuits that roles of the same rules share, in the store of the program", () =>
      Effect.gen(function* () {
        const asked: Array<string> = []
        const policy = { retry: "off" as const, breaker: { failures: 2, open: "30 seconds" } }
        const layer = Models.layerWith({
          providers: [acme([], asked), Providers.offline],
          roles: {
            smart: { model: "acme:down", policy },
            fast: { model: "acme:down", options: { temperature: 0 }, policy },
            judge: { model: "acme:down", policy: { ...policy, breaker: { failures: 9, open: "30 seconds" } } }
          }
        }).pipe(
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: key }))),
          Layer.provideMerge(CircuitBreaker.layerStoreMemory())
        )
        const context = yield* Layer.build(layer)
        const fails = (role: string) =>
          Effect.flip(Effect.provide(ask, Models.layerRole(role))).pipe(Effect.provide(context))
        yield* fails("smart")
        yield* fails("smart")
        const refused = yield* fails("fast")
        assert.isTrue(Option.isSome(Refusal.find(ModelPolicy.CircuitOpen, refused)))
        assert.isTrue(Option.isNone(Refusal.find(ModelPolicy.CircuitOpen, yield* fails("judge"))))
        assert.strictEqual(asked.length, 3)
        const store = yield* Effect.provide(CircuitBreaker.CircuitBreakerStore, context)
        assert.strictEqual((yield* store.state("acme:down (2 failures, 30s)"))._tag, "Open")
      })
    )

    it.effect("with the budget of the role, which steps down to another", () =>
      Effect.gen(function* () {
        const price = (input: number, output: number): Prices.Price => ({
          input,
          cachedInput: input,
          output,
          source: "the test",
          asOf: "2026-01-01"
        })
        const role = (budget: ModelConfig.RoleInput["budget"]) => ({
          model: "acme:big",
          options: { maxOutputTokens: 50 },
          ...(budget === undefined ? {} : { budget })
        })
        const layer = Models.layerWith({
          providers: [acme(), Providers.offline],
          roles: {
            smart: role({ dollars: 0.006, onExhausted: "step-down", stepDown: "fast" }),
            fast: { model: "acme:small" },
            judge: role({ tokens: 150 })
          }
        }).pipe(
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: key }))),
          Layer.provideMerge(BudgetLedger.layer().pipe(Layer.provide(BudgetStore.layerMemory()))),
          Layer.provide(Prices.layer({ "acme:big": price(10, 100), "acme:small": price(0.1, 1) }))
        )
        const context = yield* Layer.build(layer)
        const asks = (role: string) => Effect.provide(ask, Models.layerRole(role)).pipe(Effect.provide(context))
        // 100 tokens in and 20 out cost 0.003 dollars; the estimate of a second call goes beyond 0.006.
        assert.deepStrictEqual([yield* asks("smart"), yield* asks("smart")], ["big", "small"])
        yield* asks("judge")
        const error = yield* Effect.flip(asks("judge"))
        assert.include(Option.getOrThrow(Budget.exceededIn(error)), { account: "role:judge", resource: "tokens" })
        const ledger = yield* Effect.provide(BudgetLedger.Ledger, context)
        const [balance] = yield* ledger.balances([{ name: "role:smart", dollars: 0.006 }])
        assert.strictEqual(balance?.spent.micros, 3000 + 30)
      })
    )

    it.effect("and streams go the same way", () =>
      Effect.gen(function* () {
        const layer = build(key, {
          roles: { smart: { model: "acme:down", fallbacks: ["acme:up"], policy: { retry: "off" } } }
        })
        const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "hi" })).pipe(Effect.provide(layer))
        assert.strictEqual(parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join(""), "up")
      })
    )
  })

  it("of a policy is the standard one with what is written over it", () => {
    assert.deepStrictEqual(ModelConfig.toPolicy(undefined), ModelPolicy.standard)
    assert.deepStrictEqual(ModelConfig.toPolicy("none"), {})
    const policy = ModelConfig.toPolicy({ timeout: { firstToken: Duration.seconds(1) }, breaker: "off" })
    assert.deepStrictEqual(policy.timeout, { ...ModelPolicy.standard.timeout, firstToken: Duration.seconds(1) })
    assert.isUndefined(policy.breaker)
    assert.strictEqual(policy.retry, ModelPolicy.standard.retry)
  })
})

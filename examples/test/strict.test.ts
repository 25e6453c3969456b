// Agents whose runs were cut, on providers that are as strict as the real ones, by configuration alone.
import { Agent } from "@selvage/agent"
import { Journal, Thread } from "@selvage/core"
import { Models } from "@selvage/models"
import { LanguageModelLaws, StrictProvider } from "@selvage/testing"
import { Plugin } from "@selvage/tools"
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const { Answer } = LanguageModelLaws.Turn

const environments: Readonly<Record<string, (url: string) => Record<string, string>>> = {
  "OpenAI Responses": (url) => ({ OPENAI_API_KEY: "sk-test", OPENAI_BASE_URL: `${url}/v1` }),
  "OpenAI Chat": (url) => ({ OPENAI_API_KEY: "sk-test", OPENAI_BASE_URL: `${url}/v1`, SELVAGE_OPENAI_API: "chat" }),
  Anthropic: (url) => ({ ANTHROPIC_API_KEY: "sk-ant-test", ANTHROPIC_BASE_URL: url })
}

const parameters = Schema.Struct({ n: Schema.optionalKey(Schema.Int) })
const Slow = Tool.make("tools.slow", { parameters, success: Schema.String }).annotate(Tool.Readonly, true)
const Boom = Tool.make("boom", { parameters, success: Schema.String }).annotate(Tool.Readonly, true)
const Pay = Tool.make("pay", { parameters, success: Schema.String, needsApproval: true })
const Tools = Plugin.make("tools", { version: "1", toolkit: Toolkit.make(Slow, Boom, Pay) })
const Helper = Agent.make("helper", { instructions: "Help.", tools: [Tools] })
const Critic = Agent.make("critic", { instructions: "Judge.", output: Schema.Struct({ score: Schema.Int }) })

/** Runs a program with the models that the environment names and a journal of its own; its provider refused nothing. */
const on = <A, E>(
  environment: (url: string) => Record<string, string>,
  turns: ReadonlyArray<LanguageModelLaws.Turn>,
  program: (provider: StrictProvider.Provider, started: Deferred.Deferred<void>) => Effect.Effect<A, E, any>
) =>
  Effect.gen(function* () {
    const provider = yield* StrictProvider.make(...turns)
    const started = yield* Deferred.make<void>()
    const live = Tools.toLayer({
      "tools.slow": () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never),
      boom: () => Effect.die(new Error("a bug")),
      pay: () => Effect.succeed("paid")
    })
    const models = Models.layerConfig.pipe(
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: environment(provider.url) })))
    )
    yield* program(provider, started).pipe(Effect.provide([live, models, Journal.layerMemory]))
    assert.deepStrictEqual(yield* provider.refusals, [])
  })

const calling = (name: string, args = '{"n":1}') =>
  Answer({ thought: { text: "hm", signature: "s1" }, calls: [{ id: "functions.call:0", name, arguments: args }] })
const first = { thread: "t", input: { prompt: "first" } }
const next = { thread: "t", input: { prompt: "never mind" }, whenBusy: "replace" } as const

for (const [name, environment] of Object.entries(environments)) {
  describe(`an agent on a strict ${name}`, () => {
    const ok = Answer({ text: "ok" })

    it.live("goes on after a run that was stopped in a tool, one with a bug, and one that waits for an approval", () =>
      Effect.gen(function* () {
        yield* on(environment, [calling("tools_slow"), ok], (_, started) =>
          Effect.gen(function* () {
            const fiber = yield* Effect.forkChild(Thread.run(Helper, first))
            yield* Deferred.await(started)
            yield* Fiber.interrupt(fiber)
            assert.strictEqual((yield* Thread.run(Helper, next))._tag, "Done")
          })
        )
        for (const tool of ["boom", "pay"]) {
          yield* on(environment, [calling(tool), ok], () =>
            Effect.gen(function* () {
              yield* Effect.exit(Thread.run(Helper, first))
              assert.strictEqual((yield* Thread.run(Helper, next))._tag, "Done")
            })
          )
        }
      })
    )

    it.live("answers arguments that are no JSON and calls of no tool, whole and streamed", () =>
      Effect.gen(function* () {
        for (const turn of [calling("boom", '{"n'), calling("multi_tool_use.parallel"), calling("s".repeat(200))]) {
          yield* on(environment, [turn, ok], () => Thread.run(Helper, first))
          yield* on(environment, [turn, ok], () => Stream.runDrain(Thread.messages(Helper, first)))
        }
      })
    )

    it.live("gives an answer by a schema, goes on with a blank message, and keeps system messages in their place", () =>
      Effect.gen(function* () {
        const thought = Answer({ thought: { text: "hm", signature: "s1" }, text: "It is vague." })
        yield* on(environment, [thought, Answer({ text: '{"score":3}' })], () =>
          Effect.gen(function* () {
            yield* Thread.run(Critic, first)
          })
        )
        yield* on(environment, [thought], (provider) =>
          Effect.gen(function* () {
            yield* Thread.run(Helper, first)
            yield* Thread.run(Helper, { thread: "t", input: { prompt: " \n" } })
            const messages = Prompt.make([
              { role: "user", content: [{ type: "text", text: "Hello." }] },
              { role: "system", content: "It is night." }
            ])
            yield* Thread.run(Helper, { thread: "u", input: { prompt: "Go on.", messages } })
            const body = JSON.stringify((yield* provider.received).at(-1))
            assert.match(body, /"role":"system","content":[^{}]*\{?[^{}]*It is night\./)
          })
        )
      })
    )
  })
}

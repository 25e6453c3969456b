import { assert, describe, it } from "@effect/vitest"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { AnthropicClient, AnthropicLanguageModel, AnthropicTokens, AnthropicTool } from "../src/index.ts"
import { fixture } from "./fixtures.ts"
import { key, modelName, serve, serveJson } from "./servers.ts"

const count = (baseUrl: string, options: AnthropicTokens.CountOptions, config?: AnthropicLanguageModel.Config) =>
  AnthropicTokens.AnthropicTokens.use((tokens) => tokens.count(options)).pipe(
    Effect.provide(
      AnthropicTokens.layer({ model: modelName, config }).pipe(
        Layer.provide(AnthropicClient.layer({ apiKey: Redacted.make(key), baseUrl }))
      )
    )
  )

describe("counting tokens", () => {
  it.effect("asks the API with everything that counts, and nothing that it refuses", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(fixture("count-tokens").count)
      const toolkit = Toolkit.make(
        Tool.make("check_stock", { parameters: Schema.Struct({ sku: Schema.String }) }),
        Tool.make("other"),
        AnthropicTool.WebSearch_20250305({})
      )
      const tokens = yield* count(
        server.url,
        {
          prompt: [
            { role: "system", content: "You buy." },
            { role: "user", content: "stock?" }
          ],
          toolkit,
          toolChoice: { oneOf: ["check_stock", "AnthropicWebSearch"] },
          schema: Schema.Struct({ units: Schema.Int })
        },
        {
          thinking: { type: "adaptive" },
          effort: "low",
          cacheControl: { type: "ephemeral" },
          maxTokens: 10,
          userId: "u",
          stopSequences: ["x"],
          betas: ["context-1m-2025-08-07"]
        }
      )
      assert.strictEqual(tokens, 403)
      const { body, headers, path } = server.received[0]!
      assert.strictEqual(path, "/v1/messages/count_tokens")
      assert.strictEqual(headers["anthropic-beta"], "context-1m-2025-08-07")
      assert.deepStrictEqual(Object.keys(body).sort(), [
        "cache_control",
        "messages",
        "model",
        "output_config",
        "system",
        "thinking",
        "tool_choice",
        "tools"
      ])
      assert.deepStrictEqual(
        body.tools.map((tool: any) => tool.name),
        ["check_stock", "web_search"]
      )
      assert.strictEqual(body.output_config.effort, "low")
      assert.strictEqual(body.output_config.format.type, "json_schema")
    })
  )

  it.effect("counts a prompt alone, with the scope's configuration", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(fixture("count-tokens").count)
      yield* count(server.url, { prompt: "hi" }).pipe(AnthropicLanguageModel.withConfig({ model: "claude-haiku-5-5" }))
      assert.deepStrictEqual(server.received[0]!.body, {
        model: "claude-haiku-5-5",
        messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }]
      })
    })
  )

  it.effect("interrupted lets its socket go", () =>
    Effect.gen(function* () {
      const arrived = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const server = yield* serve((_response, request) => {
        request.socket.once("close", () => Deferred.doneUnsafe(closed, Effect.void))
        Deferred.doneUnsafe(arrived, Effect.void)
      })
      const fiber = yield* Effect.forkChild(count(server.url, { prompt: "hi" }))
      yield* Deferred.await(arrived)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(closed)
      assert.strictEqual(server.received.length, 1)
    })
  )

  for (const [name, body, status, tag] of [
    ["a rate limit", { type: "error", error: { type: "rate_limit_error", message: "slow" } }, 429, "RateLimitError"],
    ["another shape", { tokens: 3 }, 200, "InvalidResponseError"]
  ] as const) {
    it.effect(`${name} is ${tag}`, () =>
      Effect.gen(function* () {
        const server = yield* serveJson(body, status)
        const error = yield* Effect.flip(count(server.url, { prompt: "hi" }))
        assert.strictEqual(error.reason._tag, tag)
        assert.strictEqual(error.module, "AnthropicTokens")
      })
    )
  }
})

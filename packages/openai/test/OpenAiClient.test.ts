import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { OpenAiClient, OpenAiLanguageModel } from "../src/index.ts"
import { aimock, answering, key, modelAt, serve } from "./support.ts"

const fromEnv = (env: Record<string, string>) =>
  Layer.provide(OpenAiClient.layerConfig(), ConfigProvider.layer(ConfigProvider.fromEnv({ env })))

describe("OpenAiClient", () => {
  it.effect("is made from OPENAI_API_KEY and OPENAI_BASE_URL", () =>
    Effect.gen(function* () {
      const mock = yield* aimock([{ match: { userMessage: "hello" }, response: { content: "Hi" } }])
      const model = OpenAiLanguageModel.layer({ model: "gpt-4o" }).pipe(
        Layer.provide(fromEnv({ OPENAI_API_KEY: key, OPENAI_BASE_URL: `${mock.url}/v1` }))
      )
      const response = yield* LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(model))
      assert.strictEqual(response.text, "Hi")
    })
  )

  it.effect("names the variable when the key is missing", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(OpenAiClient.OpenAiClient, fromEnv({})))
      assert.isTrue(error.message.includes("OPENAI_API_KEY"))
    })
  )

  it.effect("sends nothing with an empty key", () =>
    Effect.gen(function* () {
      let requests = 0
      const url = yield* serve((_, response) => {
        requests++
        response.end()
      })
      const error = yield* Effect.flip(
        LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(modelAt(url, {}, " ")))
      )
      assert.strictEqual(
        error.reason._tag === "AuthenticationError" ? error.reason.kind : error.reason._tag,
        "MissingKey"
      )
      assert.strictEqual(requests, 0)
    })
  )

  it("does not show the key when inspected", () => {
    const client = OpenAiClient.make({ apiKey: Redacted.make(key) })
    assert.isFalse(inspect(client, { depth: 10, showHidden: true }).includes(key))
    assert.isFalse(JSON.stringify(client.sdk.apiKey).includes(key))
  })

  it.effect("sends organization, project, own headers, and the real key", () =>
    Effect.gen(function* () {
      const seen: Array<Record<string, unknown>> = []
      const url = yield* serve((request, response) => {
        seen.push(request.headers)
        response.writeHead(200, { "content-type": "application/json" })
        response.end(JSON.stringify({ id: "r", status: "completed", output: [] }))
      })
      yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
        Effect.provide(
          OpenAiLanguageModel.layer({ model: "gpt-4o" }).pipe(
            Layer.provide(
              OpenAiClient.layer({
                apiKey: Redacted.make(key),
                baseUrl: url,
                organization: "org-1",
                project: "proj-1",
                headers: { "x-team": "warehouse" }
              })
            )
          )
        )
      )
      assert.strictEqual(seen[0]?.["authorization"], `Bearer ${key}`)
      assert.strictEqual(seen[0]?.["openai-organization"], "org-1")
      assert.strictEqual(seen[0]?.["openai-project"], "proj-1")
      assert.strictEqual(seen[0]?.["x-team"], "warehouse")
    })
  )

  it.effect("reports a server that is not there as a transport error", () =>
    Effect.gen(function* () {
      const url = yield* Effect.scoped(answering({}))
      const error = yield* Effect.flip(
        LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(modelAt(url)))
      )
      assert.strictEqual(error.reason._tag, "NetworkError")
      assert.isTrue(error.isRetryable)
      assert.isTrue(error.message.includes("ECONNREFUSED"))
    })
  )

  it.effect("reports a base URL that is none", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(modelAt("not a url")))
      )
      assert.strictEqual(error.reason._tag, "NetworkError")
      assert.isFalse(error.isRetryable)
    })
  )
})

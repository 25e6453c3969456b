import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { request } from "node:http"
import { inspect } from "node:util"
import { OpenAiClient, OpenAiLanguageModel } from "../src/index.ts"
import { response } from "./fixtures.ts"
import { aimock, answering, key, modelAt, receiving, serve } from "./support.ts"

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

  it.effect("sends no secret header on to another origin, whichever fetch is used", () =>
    Effect.gen(function* () {
      for (const fetch of [undefined, globalThis.fetch]) {
        const seen: Array<Record<string, unknown>> = []
        const other = yield* serve((request, response) => {
          seen.push(request.headers)
          response.end()
        })
        const url = yield* serve((_, response) => response.writeHead(307, { location: `${other}/v1` }).end())
        const headers = { "x-gateway": Redacted.make("t0ken"), "x-own": "1" }
        yield* Effect.exit(
          LanguageModel.generateText({ prompt: "hello" }).pipe(
            Effect.provide(
              OpenAiLanguageModel.layer({ model: "gpt-4o" }).pipe(
                Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl: url, headers, fetch }))
              )
            )
          )
        )
        assert.lengthOf(seen, 1)
        assert.propertyVal(seen[0], "x-own", "1")
        assert.notProperty(seen[0], "x-gateway")
        assert.notProperty(seen[0], "authorization")
      }
    })
  )

  it.effect("sends secret headers, and shows them neither in errors nor when inspected", () =>
    Effect.gen(function* () {
      const secret = "gateway-secret-0123"
      const received: Array<unknown> = []
      const url = yield* serve((request, response) => {
        received.push(request.headers["x-gateway-key"], request.headers["x-team"])
        response.writeHead(401, { "content-type": "application/json" })
        response.end(JSON.stringify({ error: { message: `the key ${secret} is not known` } }))
      })
      const client = OpenAiClient.make({
        apiKey: Redacted.make(key),
        baseUrl: url,
        headers: { "x-gateway-key": Redacted.make(secret), "x-team": "warehouse" }
      })
      const error = yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
        Effect.provide(OpenAiLanguageModel.layer({ model: "gpt-4o" })),
        Effect.provideService(OpenAiClient.OpenAiClient, client),
        Effect.flip
      )
      assert.deepStrictEqual(received, [secret, "warehouse"])
      assert.include(error.message, "the key <redacted> is not known")
      assert.notInclude(inspect([error, client], { depth: 10, showHidden: true }), secret)
    })
  )

  it.effect("shows no secret that was written with space around it, which is not sent", () =>
    Effect.gen(function* () {
      const received: Array<unknown> = []
      const url = yield* serve((request, response) => {
        received.push(request.headers["authorization"], request.headers["constructor"])
        response.writeHead(401, { "content-type": "application/json" })
        response.end(JSON.stringify({ error: { message: received.join(" and ") } }))
      })
      const client = OpenAiClient.make({
        apiKey: Redacted.make(` ${key}\n`),
        baseUrl: url,
        headers: { constructor: Redacted.make("\tgateway-secret ") }
      })
      const error = yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
        Effect.provide(OpenAiLanguageModel.layer({ model: "gpt-4o" })),
        Effect.provideService(OpenAiClient.OpenAiClient, client),
        Effect.flip
      )
      assert.deepStrictEqual(received, [`Bearer ${key}`, "gateway-secret"])
      assert.include(error.message, "Bearer <redacted> and <redacted>")
      assert.notInclude(inspect([error, client], { depth: 10, showHidden: true }), key)
    })
  )

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

  it.effect("takes nothing else from the environment, also not through the SDK's own withOptions", () =>
    Effect.gen(function* () {
      const server = yield* receiving(response([]))
      const names = ["OPENAI_CUSTOM_HEADERS", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_BASE_URL"] as const
      const before = names.map((name) => process.env[name])
      yield* Effect.acquireRelease(
        Effect.sync(() => names.forEach((name) => (process.env[name] = "x-behind-your-back: http://127.0.0.1:1"))),
        () =>
          Effect.sync(() =>
            names.forEach((name, index) => {
              const value = before[index]
              if (value === undefined) delete process.env[name]
              else process.env[name] = value
            })
          )
      )
      const client = OpenAiClient.make({
        apiKey: Redacted.make(key),
        baseUrl: server.url,
        headers: { "x-team": "warehouse" }
      })
      yield* Effect.promise(() => client.sdk.responses.create({ model: "m", input: "hello" }))
      yield* Effect.promise(() =>
        client.sdk.withOptions({ timeout: 1000 }).responses.create({ model: "m", input: "hello" })
      )
      assert.strictEqual(server.received.length, 2)
      for (const { headers } of server.received) {
        assert.strictEqual(headers["x-team"], "warehouse")
        assert.strictEqual(headers["authorization"], `Bearer ${key}`)
        assert.isUndefined(headers["x-behind-your-back"])
        assert.isUndefined(headers["openai-organization"])
      }
    })
  )

  it.effect("is made without a key for a server that needs none", () =>
    Effect.gen(function* () {
      const server = yield* receiving(response([]))
      const client = Layer.provide(
        OpenAiClient.layerConfig({ auth: "none", headers: Config.succeed({ authorization: "Basic own" }) }),
        ConfigProvider.layer(ConfigProvider.fromEnv({ env: { OPENAI_BASE_URL: server.url } }))
      )
      yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
        Effect.provide(OpenAiLanguageModel.layer({ model: "qwen3" }).pipe(Layer.provide(client)))
      )
      assert.strictEqual(server.received[0]?.headers["authorization"], "Basic own")
    })
  )

  it.effect("sends through whatever stands in for fetch, such as a proxy", () =>
    Effect.gen(function* () {
      const server = yield* receiving(response([]))
      const seen: Array<string> = []
      // A forward proxy gets the whole address in the request line.
      const proxy = yield* serve((request, reply) => {
        seen.push(request.url ?? "")
        reply.writeHead(200, { "content-type": "application/json" })
        reply.end(JSON.stringify(response([])))
      })
      const { port } = new URL(proxy)
      const throughProxy: typeof globalThis.fetch = (input, init) =>
        new Promise((resolve, reject) => {
          const outgoing = request(
            {
              host: "127.0.0.1",
              port,
              path: String(input),
              method: init?.method ?? "GET",
              ...(init?.signal ? { signal: init.signal } : undefined)
            },
            (incoming) => {
              const chunks: Array<Buffer> = []
              incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
              incoming.on("end", () =>
                resolve(new Response(Buffer.concat(chunks), { status: incoming.statusCode ?? 0 }))
              )
            }
          )
          outgoing.on("error", reject)
          outgoing.end(init?.body)
        })
      yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
        Effect.provide(
          OpenAiLanguageModel.layer({ model: "gpt-4o" }).pipe(
            Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl: server.url, fetch: throughProxy }))
          )
        )
      )
      assert.deepStrictEqual(seen, [`${server.url}/responses`])
      assert.strictEqual(server.received.length, 0)
    })
  )

  it.effect("shows no credentials of its address in errors", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        LanguageModel.generateText({ prompt: "hello" }).pipe(
          Effect.provide(modelAt("http://user:hidden@127.0.0.1:1/v1?sig=hidden"))
        )
      )
      assert.isFalse(`${error.message}${JSON.stringify(error)}`.includes("hidden"))
    })
  )
})

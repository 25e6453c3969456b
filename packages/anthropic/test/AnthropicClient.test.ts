import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import { AnthropicClient, AnthropicLanguageModel } from "../src/index.ts"
import { Agent, type Dispatcher } from "undici"
import { against, key, message, modelName, serve, serveJson, sse, started, textBlock } from "./servers.ts"

const ask = LanguageModel.generateText({ prompt: "hello" })

const through =
  (client: Layer.Layer<AnthropicClient.AnthropicClient, any>) =>
  <A, E>(effect: Effect.Effect<A, E, LanguageModel.LanguageModel>) =>
    Effect.provide(effect, AnthropicLanguageModel.layer({ model: modelName }).pipe(Layer.provide(client)))

const at = (baseUrl: string, options: Partial<AnthropicClient.Options> = {}) =>
  AnthropicClient.layer({ apiKey: Redacted.make(key), baseUrl, ...options })

const environment = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

describe("headers", () => {
  const variable = "ANTHROPIC_CUSTOM_HEADERS"
  beforeEach(() => vi.stubEnv(variable, "x-from-environment: yes\nanthropic-beta: sneaked-in"))
  afterEach(() => vi.unstubAllEnvs())

  it.effect("of the environment are not sent behind the user's back", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      yield* ask.pipe(against(server.url))
      yield* ask.pipe(through(at(server.url, { headers: { "x-own": "1" } })))
      for (const { headers } of server.received) {
        assert.notProperty(headers, "x-from-environment")
        assert.notProperty(headers, "anthropic-beta")
      }
      assert.strictEqual(server.received[1]!.headers["x-own"], "1")
    })
  )

  it.effect("of the environment are sent when asked for, through configuration", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      const client = AnthropicClient.layerConfig({ headers: AnthropicClient.customHeaders() }).pipe(
        Layer.provide(
          environment({
            ANTHROPIC_API_KEY: key,
            ANTHROPIC_BASE_URL: server.url,
            [variable]: "x-team: cloth: fine\nnonsense\n x-two : 2 "
          })
        )
      )
      yield* ask.pipe(through(client))
      assert.deepInclude(server.received[0]!.headers, { "x-team": "cloth: fine", "x-two": "2" })
      assert.notProperty(server.received[0]!.headers, "x-from-environment")
    })
  )

  it.effect("that are secret do not go on to another origin, whichever fetch is used", () =>
    Effect.gen(function* () {
      for (const fetch of [undefined, globalThis.fetch]) {
        const other = yield* serveJson(message({}))
        const server = yield* serve((response) => response.writeHead(307, { location: `${other.url}/v1` }).end())
        yield* ask.pipe(
          through(at(server.url, { headers: { "x-gateway": Redacted.make("t0ken"), "x-own": "1" }, fetch }))
        )
        assert.lengthOf(other.received, 1)
        const { headers } = other.received[0]!
        assert.propertyVal(headers, "x-own", "1")
        for (const secret of ["x-gateway", "x-api-key", "authorization"]) assert.notProperty(headers, secret)
      }
    })
  )

  it.effect("that are not configured are none", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      const client = AnthropicClient.layerConfig({ headers: AnthropicClient.customHeaders() }).pipe(
        Layer.provide(environment({ ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: server.url }))
      )
      yield* ask.pipe(through(client))
      assert.strictEqual(server.received.length, 1)
    })
  )

  it.effect("of our own win over the SDK's, and a secret one is in no error and no printed client", () =>
    Effect.gen(function* () {
      const secret = "gateway-secret-0123"
      const server = yield* serveJson(
        { type: "error", error: { type: "authentication_error", message: `bad ${secret}` } },
        401
      )
      const headers = { "x-gateway": Redacted.make(secret), "user-agent": "selvage" }
      const error = yield* ask.pipe(through(at(server.url, { headers })), Effect.flip)
      assert.deepInclude(server.received[0]!.headers, { "x-gateway": secret, "user-agent": "selvage" })
      assert.notInclude(inspect(error, { depth: 10, showHidden: true }), secret)
      const client = AnthropicClient.make({ apiKey: Redacted.make(key), headers })
      assert.notInclude(inspect(client, { depth: 10, showHidden: true }), secret)
    })
  )

  it.effect("that cannot be sent fail the call without being quoted", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      const headers = { "x-gateway": Redacted.make("two\nlines") }
      const error = yield* ask.pipe(through(at(server.url, { headers })), Effect.flip)
      assert.strictEqual(error.reason._tag, "InvalidRequestError")
      assert.include(error.message, "x-gateway")
      assert.notInclude(error.message, "two")
      assert.strictEqual(server.received.length, 0)
    })
  )
})

describe("the way to the API", () => {
  it.effect("can be a fetch of one's own", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      const urls: Array<string> = []
      const client = at("https://api.example.invalid", {
        fetch: (input, init) => {
          urls.push(String(input))
          return fetch(`${server.url}/v1/messages`, init)
        }
      })
      const { text } = yield* ask.pipe(through(client))
      assert.strictEqual(text, "Hello.")
      assert.deepStrictEqual(urls, ["https://api.example.invalid/v1/messages"])
    })
  )

  it.effect("can be a proxy: what fetch is told reaches it", () =>
    Effect.gen(function* () {
      const proxy = yield* serveJson(message({}))
      // What undici's ProxyAgent is to fetch: a dispatcher that sends every request to one place, whatever its origin.
      const direct = new Agent()
      const dispatcher: any = {
        dispatch: (options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler) =>
          direct.dispatch({ ...options, origin: proxy.url }, handler)
      }
      yield* ask.pipe(through(at("http://api.example.invalid", { fetchOptions: { dispatcher } })))
      assert.strictEqual(proxy.received.length, 1)
    })
  )

  it.effect("that does not resolve is a retryable network error, whole or streamed", () =>
    Effect.gen(function* () {
      const notFound = Object.assign(new Error("getaddrinfo ENOTFOUND api.example.invalid"), { code: "ENOTFOUND" })
      const client = at("https://api.example.invalid", {
        fetch: () => Promise.reject(new TypeError("fetch failed", { cause: notFound }))
      })
      for (const effect of [ask, Stream.runDrain(LanguageModel.streamText({ prompt: "hello" }))]) {
        const error = yield* Effect.flip(Effect.asVoid(effect).pipe(through(client)))
        assert.strictEqual(error.reason._tag, "NetworkError")
        assert.include(error.message, "ENOTFOUND")
        assert.isTrue(error.isRetryable)
      }
    })
  )

  it.effect("that is silent until the timeout is a retryable network error, whole or streamed", () =>
    Effect.gen(function* () {
      const server = yield* serve(() => {})
      for (const effect of [ask, Stream.runDrain(LanguageModel.streamText({ prompt: "hello" }))]) {
        const error = yield* Effect.flip(Effect.asVoid(effect).pipe(through(at(server.url, { timeout: "30 millis" }))))
        assert.strictEqual(error.reason._tag, "NetworkError")
        assert.include(error.message, "timeout")
        assert.isTrue(error.isRetryable)
      }
    })
  )
})

describe("a stream that falls silent", () => {
  it.effect(
    "is cut by the dispatcher's body timeout, which is a retryable network error after the parts that came",
    () =>
      Effect.gen(function* () {
        const server = yield* serve((response) => {
          response.writeHead(200, { "content-type": "text/event-stream" })
          response.write(sse([started, ...textBlock("Hel").slice(0, 2)]))
        })
        const dispatcher: any = new Agent({ bodyTimeout: 50 })
        const seen: Array<string> = []
        const error = yield* LanguageModel.streamText({ prompt: "hello" }).pipe(
          Stream.runForEach((part) => Effect.sync(() => seen.push(part.type))),
          through(at(server.url, { fetchOptions: { dispatcher } })),
          Effect.flip
        )
        assert.strictEqual(error.reason._tag, "NetworkError")
        assert.isTrue(error.isRetryable)
        assert.deepStrictEqual(seen, ["response-metadata", "text-start", "text-delta"])
        yield* Effect.promise(() => dispatcher.destroy())
      })
  )
})

describe("a server that falls silent after its headers", () => {
  it.live("is a retryable network error that says so, whole or streamed", () =>
    Effect.gen(function* () {
      const server = yield* serve((response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(": one moment\n\n")
      })
      for (const effect of [ask, Stream.runDrain(LanguageModel.streamText({ prompt: "hello" }))]) {
        const error = yield* Effect.flip(Effect.asVoid(effect).pipe(through(at(server.url, { timeout: "300 millis" }))))
        assert.strictEqual(error.reason._tag, "NetworkError")
        assert.include(error.message, "the server was silent for 300ms (the client's timeout)")
      }
    })
  )
})

describe("the console", () => {
  it.effect("stays silent, also where the SDK would warn of a model", () =>
    Effect.gen(function* () {
      const written = (["log", "info", "warn", "error", "debug"] as const).map((method) =>
        vi.spyOn(console, method).mockImplementation(() => {})
      )
      const server = yield* serveJson(message({}))
      const config = { model: "claude-opus-4-6", thinking: { type: "enabled", budgetTokens: 1024 } } as const
      yield* ask.pipe(against(server.url, config))
      const calls = written.flatMap((spy) => spy.mock.calls)
      for (const spy of written) spy.mockRestore()
      assert.deepStrictEqual(calls, [])
    })
  )
})

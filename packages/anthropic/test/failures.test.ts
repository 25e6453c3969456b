import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import { AnthropicClient, AnthropicLanguageModel } from "../src/index.ts"
import {
  against,
  key,
  message,
  mock,
  modelName,
  serve,
  serveJson,
  serveSse,
  sse,
  started,
  stopped,
  textBlock
} from "./servers.ts"

const ask = LanguageModel.generateText({ prompt: "hello" })
const askStreaming = Stream.runCollect(LanguageModel.streamText({ prompt: "hello" }))
const apiError = (type: string, text = "no") => ({ type: "error", error: { type, message: text } })

describe("statuses from aimock", () => {
  const statuses = [
    [401, "authentication_error", "AuthenticationError", false],
    [403, "permission_error", "AuthenticationError", false],
    [400, "invalid_request_error", "InvalidRequestError", false],
    [404, "not_found_error", "InvalidRequestError", false],
    [402, "billing_error", "QuotaExhaustedError", false],
    [429, "rate_limit_error", "RateLimitError", true],
    [500, "api_error", "InternalProviderError", true],
    [529, "overloaded_error", "InternalProviderError", true]
  ] as const
  for (const [status, type, tag, retryable] of statuses) {
    it.effect(`${status} is a ${retryable ? "retryable" : "final"} ${tag}, after one request`, () =>
      Effect.gen(function* () {
        const server = yield* mock
        server.onMessage("hello", { error: { type, message: "because" }, status })
        for (const effect of [Effect.asVoid(ask), Effect.asVoid(askStreaming)]) {
          const error = yield* effect.pipe(against(server.url), Effect.flip)
          assert.strictEqual(error._tag, "AiError")
          assert.strictEqual(error.reason._tag, tag)
          assert.strictEqual(error.isRetryable, retryable)
        }
        assert.strictEqual(server.getRequests().length, 2)
      })
    )
  }

  it.effect("429 carries how long to wait", () =>
    Effect.gen(function* () {
      const server = yield* mock
      server.onMessage("hello", { error: { type: "rate_limit_error", message: "slow" }, status: 429, retryAfter: 7 })
      const error = yield* ask.pipe(against(server.url), Effect.flip)
      assert.strictEqual(error.retryAfter && Duration.toSeconds(error.retryAfter), 7)
    })
  )

  it.effect("a connection dropped in mid-stream is a retryable error, not a short answer", () =>
    Effect.gen(function* () {
      const server = yield* mock
      server.onMessage("hello", { content: "a long enough answer" }, { truncateAfterChunks: 4 })
      const error = yield* askStreaming.pipe(against(server.url), Effect.flip)
      assert.strictEqual(error.reason._tag, "NetworkError")
      assert.isTrue(error.isRetryable)
    })
  )
})

describe("waits", () => {
  const waits = [
    ["retry-after-ms", { "retry-after-ms": "1500", "retry-after": "9" }, 429, 1500],
    ["a fraction of a second", { "retry-after": "0.5" }, 429, 500],
    [
      "a date, measured by the server's clock",
      { date: "Wed, 21 Oct 2026 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT" },
      429,
      30_000
    ],
    ["an overloaded server's wish", { "retry-after": "3" }, 529, 3000],
    ["a wish of years, as a day", { "retry-after": "99999999" }, 429, 86_400_000],
    ["nonsense, which is no wait", { "retry-after": "soon" }, 429, undefined]
  ] as const
  for (const [name, headers, status, millis] of waits) {
    it.effect(`reads ${name}`, () =>
      Effect.gen(function* () {
        const type = status === 429 ? "rate_limit_error" : "overloaded_error"
        const server = yield* serveJson(apiError(type), status, { ...headers, "request-id": "req_7" })
        const error = yield* ask.pipe(against(server.url), Effect.flip)
        assert.strictEqual(error.retryAfter && Duration.toMillis(error.retryAfter), millis)
        assert.isTrue(error.isRetryable)
        assert.deepInclude("metadata" in error.reason ? error.reason.metadata["anthropic"] : {}, {
          type,
          requestId: "req_7"
        })
      })
    )
  }
})

describe("broken answers", () => {
  const reasonOf = (effect: Effect.Effect<unknown, any, LanguageModel.LanguageModel>, url: string) =>
    effect.pipe(
      against(url),
      Effect.flip,
      Effect.map((error) => error.reason)
    )

  it.effect("a stream that ends politely but too early is an error", () =>
    Effect.gen(function* () {
      const server = yield* serveSse(sse([started, ...textBlock("Hel")]))
      const reason = yield* reasonOf(askStreaming, server.url)
      assert.strictEqual(reason._tag, "NetworkError")
      assert.include(reason.message, "before the answer was complete")
    })
  )

  it.effect("a socket that breaks in mid-stream is an error, after the parts that came", () =>
    Effect.gen(function* () {
      let breakOff = () => {}
      const server = yield* serve((response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(sse([started, ...textBlock("Hel").slice(0, 2)]))
        breakOff = () => response.destroy()
      })
      const seen: Array<string> = []
      const error = yield* LanguageModel.streamText({ prompt: "hello" }).pipe(
        Stream.runForEach((part) =>
          Effect.sync(() => {
            seen.push(part.type)
            if (part.type === "text-delta") breakOff()
          })
        ),
        against(server.url),
        Effect.flip
      )
      assert.strictEqual(error.reason._tag, "NetworkError")
      assert.deepStrictEqual(seen, ["response-metadata", "text-start", "text-delta"])
    })
  )

  it.effect("an error event in mid-stream keeps its kind", () =>
    Effect.gen(function* () {
      const server = yield* serveSse(
        sse([started, ...textBlock("Hel"), { ...apiError("overloaded_error", "Overloaded"), type: "error" }])
      )
      const reason = yield* reasonOf(askStreaming, server.url)
      assert.strictEqual(reason._tag, "InternalProviderError")
      assert.include(reason.message, "Overloaded")
    })
  )

  const broken = [
    ["JSON that is cut", 'event: message_start\ndata: {"type":"mess\n\n'],
    ["an event of the wrong shape", sse([{ type: "message_start" }])],
    ["a delta for a block that is not open", sse([started, textBlock("x")[1]!, ...stopped("end_turn")])]
  ] as const
  for (const [name, text] of broken) {
    it.effect(`${name} in a stream is an invalid response`, () =>
      Effect.gen(function* () {
        const server = yield* serveSse(text)
        assert.strictEqual((yield* reasonOf(askStreaming, server.url))._tag, "InvalidResponseError")
      })
    )
  }

  const bodies = [
    ["cut JSON", '{"id":"msg_1","type":"mess'],
    ["another shape", { choices: [] }],
    ["a known block of the wrong shape", message({ content: [{ type: "text" }] })]
  ] as const
  for (const [name, body] of bodies) {
    it.effect(`${name} in a body is an invalid response`, () =>
      Effect.gen(function* () {
        const server = yield* serveJson(body)
        assert.strictEqual((yield* reasonOf(ask, server.url))._tag, "InvalidResponseError")
      })
    )
  }

  const html = { "content-type": "text/html" }
  const json = { "content-type": "application/json" }
  const odd = [
    ["a page of HTML with status 200", 200, html, "<h1>Sign in</h1>", "InvalidResponseError", "InvalidResponseError"],
    ["an empty body", 200, json, "", "InvalidResponseError", "InvalidResponseError"],
    ["an empty body of no type", 200, {}, "", "InvalidResponseError", "InvalidResponseError"],
    ["no content", 204, {}, undefined, "InvalidResponseError", "InvalidResponseError"],
    ["an answer in JSON that is not one", 200, json, "[]", "InvalidResponseError", "InvalidResponseError"],
    ["a redirect to nowhere", 302, {}, "", "UnknownError", "UnknownError"],
    ["a page of HTML with status 503", 503, html, "<h1>Down</h1>", "InternalProviderError", "InternalProviderError"],
    ["an empty body with status 429", 429, {}, "", "RateLimitError", "RateLimitError"],
    ["an empty body with status 408", 408, {}, "", "InternalProviderError", "InternalProviderError"]
  ] as const
  for (const [name, status, headers, body, whole, streamed] of odd) {
    it.effect(`${name} is ${whole}, and in place of a stream ${streamed}`, () =>
      Effect.gen(function* () {
        const server = yield* serve((response) => response.writeHead(status, headers).end(body))
        assert.strictEqual((yield* reasonOf(ask, server.url))._tag, whole)
        assert.strictEqual((yield* reasonOf(askStreaming, server.url))._tag, streamed)
      })
    )
  }

  it.effect("events and deltas that nobody knows, and lines that are no events, are survived", () =>
    Effect.gen(function* () {
      const unknown = [
        ": a comment\n\n",
        "retry: 10\n\n",
        sse([{ type: "of_a_later_date" }]),
        "event: message_delta\n\n",
        `event: content_block_delta\ndata: ${JSON.stringify({
          type: "content_block_delta",
          index: 0,
          delta: { type: "of_a_later_date" }
        })}\n\n`
      ].join("")
      const [start, delta, stop] = textBlock("Hi")
      const server = yield* serveSse(sse([started, start!]) + unknown + sse([delta!, stop!, ...stopped("end_turn")]))
      const parts = yield* askStreaming.pipe(against(server.url))
      assert.deepStrictEqual(
        parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : [])),
        ["Hi"]
      )
    })
  )

  it.effect("a gateway's own failure is not the request's, whatever it says, and its page is cut", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(apiError("invalid_request_error", "x".repeat(50_000)), 502)
      for (const effect of [ask, askStreaming]) {
        const reason = yield* reasonOf(effect, server.url)
        assert.strictEqual(reason._tag, "InternalProviderError")
        assert.isBelow(reason.message.length, 5_000)
      }
    })
  )

  it.effect("a stream of events is one, whatever its content type says", () =>
    Effect.gen(function* () {
      const text = sse([started, ...textBlock("Hi"), ...stopped("end_turn")])
      const server = yield* serve((response) => response.writeHead(200, { "content-type": "text/plain" }).end(text))
      const parts = yield* askStreaming.pipe(against(server.url))
      assert.isTrue(parts.some((part) => part.type === "finish" && part.reason === "stop"))
    })
  )

  it.effect("a page of HTML from a proxy is reported by its status", () =>
    Effect.gen(function* () {
      const server = yield* serve((response) =>
        response.writeHead(502, { "content-type": "text/html" }).end("<h1>Bad</h1>")
      )
      assert.strictEqual((yield* reasonOf(ask, server.url))._tag, "InternalProviderError")
    })
  )

  it.effect("no server at all is a retryable network error that names the address", () =>
    Effect.gen(function* () {
      const server = yield* Effect.scoped(serveJson({}))
      const reason = yield* reasonOf(ask, server.url)
      assert.strictEqual(reason._tag, "NetworkError")
      assert.include(reason.message, `${server.url}/v1/messages`)
      assert.isTrue(reason.isRetryable)
    })
  )

  for (const url of ["not a url", "http://user:secret@127.0.0.1:1"]) {
    it.effect(`the base URL ${url} is rejected without quoting a password`, () =>
      Effect.gen(function* () {
        const reason = yield* reasonOf(ask, url)
        assert.isTrue(reason._tag === "NetworkError" && reason.reason === "InvalidUrlError")
        assert.notInclude(reason.message, "secret")
      })
    )
  }

  it.effect("an account without credit is not retried", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(
        apiError("invalid_request_error", "Your credit balance is too low to access the API"),
        400
      )
      assert.strictEqual((yield* reasonOf(ask, server.url))._tag, "QuotaExhaustedError")
    })
  )
})

describe("interruption", () => {
  // Answers with `head` and then nothing; `arrived` and `closed` tell what the server saw.
  const hanging = (head: string | undefined) =>
    Effect.gen(function* () {
      const arrived = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const server = yield* serve((response, request) => {
        request.socket.once("close", () => Deferred.doneUnsafe(closed, Effect.void))
        if (head !== undefined) response.writeHead(200, { "content-type": "text/event-stream" }).write(head)
        Deferred.doneUnsafe(arrived, Effect.void)
      })
      return { server, arrived, closed }
    })

  it.effect("aborts a request that waits for its answer: the socket closes", () =>
    Effect.gen(function* () {
      const { arrived, closed, server } = yield* hanging(undefined)
      const fiber = yield* ask.pipe(against(server.url), Effect.forkChild)
      yield* Deferred.await(arrived)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(closed)
    })
  )

  it.effect("aborts a stream in the middle: the socket closes", () =>
    Effect.gen(function* () {
      const { closed, server } = yield* hanging(sse([started, ...textBlock("Hel").slice(0, 2)]))
      const text = yield* Deferred.make<void>()
      const fiber = yield* LanguageModel.streamText({ prompt: "hello" }).pipe(
        Stream.runForEach((part) => (part.type === "text-delta" ? Deferred.succeed(text, undefined) : Effect.void)),
        against(server.url),
        Effect.forkChild
      )
      yield* Deferred.await(text)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(closed)
    })
  )

  it.effect("leaving a stream early closes the socket too", () =>
    Effect.gen(function* () {
      const { closed, server } = yield* hanging(sse([started, ...textBlock("Hel").slice(0, 2)]))
      const parts = yield* LanguageModel.streamText({ prompt: "hello" }).pipe(
        Stream.take(2),
        Stream.runCollect,
        against(server.url)
      )
      assert.strictEqual(parts.length, 2)
      yield* Deferred.await(closed)
    })
  )

  it.effect("whole streams leave their connections to later requests", () =>
    Effect.gen(function* () {
      const ports: Array<number | undefined> = []
      const server = yield* serve((response, request) => {
        ports.push(request.socket.remotePort)
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(sse([started, ...textBlock("Hi"), ...stopped("end_turn")]))
        setImmediate(() => setImmediate(() => response.end()))
      })
      yield* Effect.replicateEffect(askStreaming, 4).pipe(against(server.url))
      assert.strictEqual(ports.length, 4)
      // undici frees a connection a moment after its response ended, so the very next request may open a second one.
      assert.isAtMost(new Set(ports).size, 2)
    })
  )
})

describe("the key", () => {
  const modelWith = (client: Layer.Layer<AnthropicClient.AnthropicClient, any>) =>
    AnthropicLanguageModel.layer({ model: modelName }).pipe(Layer.provide(client))
  const environment = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

  it.effect("goes into one header and nowhere else", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      yield* ask.pipe(against(server.url))
      const { body, headers } = server.received[0]!
      assert.deepStrictEqual(
        Object.entries(headers).filter(([, value]) => String(value).includes(key)),
        [["authorization", `Bearer ${key}`]]
      )
      assert.notInclude(JSON.stringify(body), key)
      const client = AnthropicClient.make({ apiKey: Redacted.make(key) })
      assert.notInclude(inspect(client, { depth: 10, showHidden: true }), key)
    })
  )

  it.effect("is taken out of an error that echoes it", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(apiError("authentication_error", `invalid x-api-key ${key}`), 401, {
        "request-id": key
      })
      const error = yield* ask.pipe(against(server.url), Effect.flip)
      assert.strictEqual(error.reason._tag, "AuthenticationError")
      assert.notInclude(inspect(error, { depth: 10, showHidden: true }), key)
    })
  )

  it.effect("that cannot be a header fails without being quoted, and nothing is sent", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      for (const [bad, kind] of [
        [`${key}\n${key}`, "InvalidKey"],
        ["  ", "MissingKey"]
      ] as const) {
        const client = AnthropicClient.layer({ apiKey: Redacted.make(bad), baseUrl: server.url })
        const error = yield* ask.pipe(Effect.provide(modelWith(client)), Effect.flip)
        assert.isTrue(error.reason._tag === "AuthenticationError" && error.reason.kind === kind)
        assert.notInclude(inspect(error, { depth: 10 }), key)
      }
      assert.strictEqual(server.received.length, 0)
    })
  )

  it.effect("and the base URL come from configuration", () =>
    Effect.gen(function* () {
      const server = yield* serveJson(message({}))
      const client = AnthropicClient.layerConfig().pipe(
        Layer.provide(environment({ ANTHROPIC_API_KEY: ` ${key}\n`, ANTHROPIC_BASE_URL: server.url }))
      )
      const { text } = yield* ask.pipe(Effect.provide(modelWith(client)))
      assert.strictEqual(text, "Hello.")
      assert.strictEqual(server.received[0]!.headers["authorization"], `Bearer ${key}`)
    })
  )

  for (const [name, env] of [
    ["unset", {}],
    ["empty", { ANTHROPIC_API_KEY: " " }]
  ] as const) {
    it.effect(`${name} in the environment fails the layer and names the variable`, () =>
      Effect.gen(function* () {
        const client = AnthropicClient.layerConfig().pipe(Layer.provide(environment(env)))
        const error = yield* ask.pipe(Effect.provide(modelWith(client)), Effect.flip)
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, "ANTHROPIC_API_KEY")
      })
    )
  }
})

import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { OpenAiClient, OpenAiLanguageModel } from "../src/index.ts"
import { chunk, message, response, text } from "./fixtures.ts"
import { answering, apis, key, modelAt, serve, sse, streaming } from "./support.ts"

type Api = OpenAiLanguageModel.Api

const ask = (url: string, api: Api) =>
  LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(modelAt(url, { api })))

const drain = (url: string, api: Api) =>
  LanguageModel.streamText({ prompt: "hello" }).pipe(Stream.runDrain, Effect.provide(modelAt(url, { api })))

const first = {
  responses: [
    { type: "response.created", response: response([], { status: "in_progress" }) },
    { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "Once" }
  ],
  chat: [chunk({ content: "Once" })]
}

const rest = {
  responses: [{ type: "response.completed", response: response([message("Once")]) }],
  chat: [chunk({}, "stop")]
}

for (const api of apis) {
  describe(`failures over ${api}`, () => {
    const patient = (url: string) =>
      OpenAiLanguageModel.layer({ model: "gpt-4o", api }).pipe(
        Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl: url, timeout: "30 seconds" }))
      )

    /** A server that says something, then nothing; tells when it has, and when its socket closed. */
    const silent = (said: string | undefined) =>
      Effect.gen(function* () {
        const arrived = yield* Deferred.make<void>()
        const closed = yield* Deferred.make<void>()
        const url = yield* serve((request, reply) => {
          request.socket.once("close", () => Deferred.doneUnsafe(closed, Effect.void))
          if (said !== undefined) {
            reply.writeHead(200, { "content-type": "text/event-stream" })
            reply.write(said)
          }
          Deferred.doneUnsafe(arrived, Effect.void)
        })
        return { url, arrived: Deferred.await(arrived), closed: Deferred.await(closed) }
      })

    it.effect("a server that is silent from the start is left after the timeout", () =>
      Effect.gen(function* () {
        const server = yield* silent(undefined)
        const fiber = yield* Effect.forkChild(
          Effect.flip(LanguageModel.generateText({ prompt: "hello" }).pipe(Effect.provide(patient(server.url))))
        )
        yield* server.arrived
        yield* TestClock.adjust("29 seconds")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 seconds")
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error.reason._tag, "NetworkError")
        assert.isTrue(error.isRetryable)
        assert.isTrue(error.message.includes("silent for 30s"), error.message)
        yield* server.closed
      })
    )

    it.effect("a stream that stalls fails after the timeout; it is not a short answer", () =>
      Effect.gen(function* () {
        const server = yield* silent(sse(first[api]))
        const started = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(
          Effect.flip(
            LanguageModel.streamText({ prompt: "hello" }).pipe(
              Stream.runForEach((part) =>
                part.type === "text-delta" ? Deferred.succeed(started, undefined) : Effect.void
              ),
              Effect.provide(patient(server.url))
            )
          )
        )
        yield* Deferred.await(started)
        yield* TestClock.adjust("31 seconds")
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error.reason._tag, "NetworkError")
        assert.isTrue(error.message.includes("silent"))
        yield* server.closed
      })
    )

    it.effect("a stream that goes on slowly does not", () =>
      Effect.gen(function* () {
        const goOn = yield* Deferred.make<void>()
        const services = yield* Effect.context<never>()
        const url = yield* serve((_, reply) => {
          reply.writeHead(200, { "content-type": "text/event-stream" })
          reply.write(sse(first[api]))
          Effect.runForkWith(services)(
            Effect.andThen(
              Deferred.await(goOn),
              Effect.sync(() => reply.end(sse(rest[api])))
            )
          )
        })
        const started = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(
          LanguageModel.streamText({ prompt: "hello" }).pipe(
            Stream.tap((part) => (part.type === "text-delta" ? Deferred.succeed(started, undefined) : Effect.void)),
            Stream.runCollect,
            Effect.provide(patient(url))
          )
        )
        yield* Deferred.await(started)
        yield* TestClock.adjust("20 seconds")
        yield* Deferred.succeed(goOn, undefined)
        const parts = yield* Fiber.join(fiber)
        assert.strictEqual(parts.at(-1)?.type, "finish")
      })
    )

    it.effect("an answer that is no event stream is reported as what it is", () =>
      Effect.gen(function* () {
        const page = yield* answering("<html>login</html>", 200, { "content-type": "text/html" })
        const json = yield* answering(text(api, "whole"))
        for (const url of [page, json]) {
          const error = yield* Effect.flip(drain(url, api))
          assert.strictEqual(error.reason._tag, "InvalidResponseError")
          assert.isTrue(error.message.includes("not with an event stream"), error.message)
        }
      })
    )

    it.effect("an event stream without events was cut", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(drain(yield* streaming([]), api))
        assert.strictEqual(error.reason._tag, "NetworkError")
        assert.isTrue(error.isRetryable)
      })
    )

    it.effect("an error with status 200 keeps its meaning", () =>
      Effect.gen(function* () {
        const url = yield* answering({ error: { message: "upstream is busy", code: 429 } })
        const error = yield* Effect.flip(ask(url, api))
        assert.strictEqual(error.reason._tag, "RateLimitError")
        const inStream = yield* streaming([...first[api], { error: { message: "upstream failed", code: 502 } }])
        const failure = yield* Effect.flip(drain(inStream, api))
        assert.strictEqual(failure.reason._tag, "InternalProviderError")
        assert.isTrue(failure.message.includes("upstream failed"))
      })
    )

    it.effect("a long page of a gateway does not fill the error", () =>
      Effect.gen(function* () {
        const url = yield* answering("x".repeat(100_000), 502, { "content-type": "text/html" })
        const error = yield* Effect.flip(ask(url, api))
        assert.strictEqual(error.reason._tag, "InternalProviderError")
        assert.isBelow(error.message.length, 5000)
      })
    )

    const limits: ReadonlyArray<{
      readonly name: string
      readonly headers: Record<string, string>
      readonly wait: Duration.Input | undefined
    }> = [
      {
        name: "the later of the limits that are used up",
        headers: {
          "x-ratelimit-remaining-requests": "0",
          "x-ratelimit-reset-requests": "1m30.5s",
          "x-ratelimit-remaining-tokens": "0",
          "x-ratelimit-reset-tokens": "120ms"
        },
        wait: "90500 millis"
      },
      {
        name: "not one that is not",
        headers: { "x-ratelimit-remaining-tokens": "17", "x-ratelimit-reset-tokens": "6m0s" },
        wait: undefined
      },
      {
        name: "the server's own word before any",
        headers: { "retry-after": "2", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s" },
        wait: "2 seconds"
      },
      {
        name: "nothing that cannot be read",
        headers: { "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon" },
        wait: undefined
      }
    ]
    for (const { headers, name, wait } of limits) {
      it.effect(`a rate limit waits for ${name}`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(ask(yield* answering({ error: { message: "no" } }, 429, headers), api))
          assert.strictEqual(error.reason._tag, "RateLimitError")
          assert.deepStrictEqual(error.retryAfter, wait === undefined ? undefined : Duration.fromInputUnsafe(wait))
        })
      )
    }
  })
}

import { assert, describe, it } from "@effect/vitest"
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { OpenAiClient, OpenAiEmbeddingModel } from "../src/index.ts"
import { batches } from "../src/internal/batches.ts"
import { aimock, answering, key, playing, receiving, serve } from "./support.ts"

const embeddings = (baseUrl: string, options: Partial<OpenAiEmbeddingModel.Options> = {}) =>
  OpenAiEmbeddingModel.layer({ model: "text-embedding-3-small", ...options }).pipe(
    Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl }))
  )

const embedMany = (texts: ReadonlyArray<string>) =>
  Effect.flatMap(EmbeddingModel.EmbeddingModel, (model) => model.embedMany(texts))

const decodeBody = Schema.decodeSync(Schema.fromJsonString(Schema.Struct({ input: Schema.Array(Schema.String) })))

/** A vector that tells its text apart from others. */
const vectorOf = (text: string): ReadonlyArray<number> => [text.length, text.codePointAt(0) ?? 0]

/** A server that embeds, in an order of its own; it keeps the batches it gets. */
const embedder = Effect.gen(function* () {
  const batches: Array<ReadonlyArray<string>> = []
  const url = yield* serve((_, reply, body) => {
    const { input } = decodeBody(body)
    batches.push(input)
    const data = input.map((text, index) => ({ object: "embedding", index, embedding: vectorOf(text) }))
    reply.writeHead(200, { "content-type": "application/json" })
    reply.end(JSON.stringify({ data: data.toReversed(), usage: { prompt_tokens: input.length } }))
  })
  return { url, batches }
})

describe("OpenAiEmbeddingModel", () => {
  it.effect("reads the documented example", () =>
    Effect.gen(function* () {
      const answer = yield* embedMany(["The food was delicious and the waiter..."]).pipe(
        Effect.provide(embeddings(yield* playing("embeddings")))
      )
      assert.deepStrictEqual(answer.embeddings[0]?.vector, [0.0023064255, -0.009327292, -0.0028842222])
      assert.strictEqual(answer.usage.inputTokens, 8)
    })
  )

  it.effect("embeds against aimock, and knows its dimensions and names", () =>
    Effect.gen(function* () {
      const mock = yield* aimock([{ match: { inputText: "bolt" }, response: { embedding: [0.5, -0.25, 1] } }])
      const answer = yield* Effect.gen(function* () {
        const model = yield* EmbeddingModel.EmbeddingModel
        return { response: yield* model.embed("bolt"), dimensions: yield* EmbeddingModel.Dimensions }
      }).pipe(
        Effect.provide(
          OpenAiEmbeddingModel.model("text-embedding-3-small", { dimensions: 3 }).pipe(
            Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl: `${mock.url}/v1` }))
          )
        )
      )
      assert.deepStrictEqual(answer.response.vector, [0.5, -0.25, 1])
      assert.strictEqual(answer.dimensions, 3)
    })
  )

  it.effect("sends the model, the dimensions, the encoding and the user", () =>
    Effect.gen(function* () {
      const server = yield* receiving({ data: [{ index: 0, embedding: [1, 2] }] })
      yield* embedMany(["a"]).pipe(Effect.provide(embeddings(server.url, { dimensions: 2, user: "u-1" })))
      assert.deepStrictEqual(server.received[0]?.body, {
        model: "text-embedding-3-small",
        input: ["a"],
        encoding_format: "float",
        dimensions: 2,
        user: "u-1"
      })
    })
  )

  it("splits texts in order, each batch as large as its bounds allow", () => {
    const bounds = fc.record({ size: fc.integer({ min: 1, max: 9 }), bytes: fc.integer({ min: 1, max: 60 }) })
    const texts = fc.array(fc.string({ unit: fc.constantFrom("a", "é", "漢", "😀"), maxLength: 20 }), { maxLength: 15 })
    const bytesOf = (batch: ReadonlyArray<string>) => batch.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
    fc.assert(
      fc.property(texts, bounds, (texts, { bytes, size }) => {
        const split = batches(texts, size, bytes)
        assert.deepStrictEqual(split.flat(), texts)
        for (const [index, batch] of split.entries()) {
          assert.isTrue(batch.length >= 1 && batch.length <= size)
          assert.isTrue(batch.length === 1 || bytesOf(batch) <= bytes)
          const next = split[index + 1]?.[0]
          if (next !== undefined) assert.isTrue(batch.length === size || bytesOf([...batch, next]) > bytes)
        }
      })
    )
  })

  it.effect("keeps order over its batches, and adds up the usage", () =>
    Effect.gen(function* () {
      const server = yield* embedder
      const texts = Array.from({ length: 20 }, (_, index) => "x".repeat(20 - index))
      const answer = yield* embedMany(texts).pipe(Effect.provide(embeddings(server.url, { maxBatchSize: 3 })))
      assert.deepStrictEqual(
        answer.embeddings.map(({ vector }) => vector),
        texts.map(vectorOf)
      )
      assert.strictEqual(answer.usage.inputTokens, 20)
      assert.strictEqual(server.batches.length, 7)
    })
  )

  it.effect("never has more requests under way than allowed", () =>
    Effect.gen(function* () {
      let open = 0
      let most = 0
      const url = yield* serve((_, reply, body) => {
        most = Math.max(most, ++open)
        setImmediate(() => {
          open--
          reply.writeHead(200, { "content-type": "application/json" })
          reply.end(JSON.stringify({ data: decodeBody(body).input.map((text) => ({ embedding: vectorOf(text) })) }))
        })
      })
      yield* embedMany(Array.from({ length: 20 }, (_, index) => `text ${index}`)).pipe(
        Effect.provide(embeddings(url, { maxBatchSize: 1, concurrency: 3 }))
      )
      assert.isAtMost(most, 3)
      assert.isAbove(most, 1)
    })
  )

  it.effect("reads vectors in base64", () =>
    Effect.gen(function* () {
      const floats = new Float32Array([0.5, -1.25, 3])
      const server = yield* receiving({
        data: [{ index: 0, embedding: Buffer.from(floats.buffer).toString("base64") }]
      })
      const answer = yield* embedMany(["a"]).pipe(Effect.provide(embeddings(server.url, { encoding: "base64" })))
      assert.deepStrictEqual(answer.embeddings[0]?.vector, [0.5, -1.25, 3])
      assert.strictEqual(server.received[0]?.body["encoding_format"], "base64")
    })
  )

  it.effect("leaves the usage unknown where a server does not count (Ollama, LM Studio)", () =>
    Effect.gen(function* () {
      const url = yield* answering({ data: [{ index: 0, embedding: [1] }] })
      const answer = yield* embedMany(["a"]).pipe(Effect.provide(embeddings(url)))
      assert.isUndefined(answer.usage.inputTokens)
    })
  )

  it.effect("asks for nothing when there is nothing to embed", () =>
    Effect.gen(function* () {
      const server = yield* receiving({})
      const answer = yield* embedMany([]).pipe(Effect.provide(embeddings(server.url)))
      assert.deepStrictEqual(answer.embeddings, [])
      assert.strictEqual(server.received.length, 0)
    })
  )

  const wrong: ReadonlyArray<readonly [string, ReadonlyArray<object>, string]> = [
    ["too few vectors", [{ index: 0, embedding: [1, 2] }], "1 vectors came for 2 texts"],
    [
      "one index twice",
      [
        { index: 0, embedding: [1, 2] },
        { index: 0, embedding: [1, 2] }
      ],
      "came twice"
    ],
    [
      "an index that is no text's",
      [
        { index: 0, embedding: [1, 2] },
        { index: 5, embedding: [1, 2] }
      ],
      "index 5"
    ],
    [
      "other dimensions",
      [
        { index: 0, embedding: [1, 2] },
        { index: 1, embedding: [1, 2, 3] }
      ],
      "has 3 dimensions"
    ],
    [
      "bytes that are no floats",
      [
        { index: 0, embedding: [1, 2] },
        { index: 1, embedding: "AQID" }
      ],
      "finite numbers"
    ]
  ]
  for (const [name, data, says] of wrong) {
    it.effect(`reports ${name}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(
          embedMany(["a", "b"]).pipe(Effect.provide(embeddings(yield* answering({ data }), { dimensions: 2 })))
        )
        assert.strictEqual(error.reason._tag, "InvalidOutputError")
        assert.isTrue(error.message.includes(says), error.message)
      })
    )
  }

  it.effect("fails as a model does: with the reason, the delay, and no key", () =>
    Effect.gen(function* () {
      const url = yield* answering({ error: { message: `slow down, ${key}` } }, 429, { "retry-after": "3" })
      const error = yield* Effect.flip(embedMany(["a"]).pipe(Effect.provide(embeddings(url))))
      assert.strictEqual(error.reason._tag, "RateLimitError")
      assert.strictEqual(error.module, "OpenAiEmbeddingModel")
      assert.isTrue(error.isRetryable && error.retryAfter !== undefined)
      assert.isFalse(JSON.stringify(error).includes(key))
    })
  )

  it.effect("closes its sockets when interrupted", () =>
    Effect.gen(function* () {
      const arrived = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const url = yield* serve((request) => {
        request.socket.once("close", () => Deferred.doneUnsafe(closed, Effect.void))
        Deferred.doneUnsafe(arrived, Effect.void)
      })
      const fiber = yield* Effect.forkChild(embedMany(["a"]).pipe(Effect.provide(embeddings(url))))
      yield* Deferred.await(arrived)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(closed)
    })
  )
})

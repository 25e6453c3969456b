/**
 * OpenAI's embeddings, and those of compatible servers, as an `effect/ai` `EmbeddingModel`.
 *
 * - Many texts travel in batches, each within the API's bounds: 2,048 texts, and 300,000 tokens, which are never more than
 *   the texts have bytes. A longer single text travels alone, and the API says if it is too long.
 * - Vectors come back in the order of the texts, each checked for its length. A batch that fails fails the whole.
 * - `embedMany` reports the tokens of all batches. `embed` calls made at the same time share one request.
 *
 * ```ts
 * import { OpenAiClient, OpenAiEmbeddingModel } from "@selvage/openai"
 * import * as EmbeddingModel from "effect/ai/EmbeddingModel"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const Embeddings = OpenAiEmbeddingModel.model("text-embedding-3-small", { dimensions: 512 }).pipe(
 *   Layer.provide(OpenAiClient.layerConfig())
 * )
 *
 * export const vectors = Effect.gen(function* () {
 *   const model = yield* EmbeddingModel.EmbeddingModel
 *   const { embeddings, usage } = yield* model.embedMany(["M8 bolt", "M8 nut"])
 *   return { vectors: embeddings.map(({ vector }) => vector), tokens: usage.inputTokens }
 * }).pipe(Effect.provide(Embeddings))
 * ```
 */
import * as AiError from "effect/ai/AiError"
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as Model from "effect/ai/Model"
import { addGenAIAnnotations } from "effect/ai/Telemetry"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { batches } from "./internal/batches.ts"
import * as Errors from "./internal/errors.ts"
import { compact } from "./internal/config.ts"
import * as Transport from "./internal/transport.ts"
import { nullish } from "./internal/wire.ts"
import { OpenAiClient } from "./OpenAiClient.ts"

/** What a model is made from. */
export interface Options {
  /** The model's name at the provider, for example `text-embedding-3-small`. */
  readonly model: string
  /** Length of the vectors. Default: the model's own. Only `text-embedding-3` and later can shorten. */
  readonly dimensions?: number | undefined
  /** How vectors travel. `base64` is a quarter of the size; not every compatible server has it. Default: `float`. */
  readonly encoding?: "float" | "base64" | undefined
  /** Most texts in a request. Default: 2048, the API's bound. */
  readonly maxBatchSize?: number | undefined
  /** Most bytes of text in a request. Default: 300,000, so that the API's bound on tokens always holds. */
  readonly maxBatchBytes?: number | undefined
  /** Most requests at once. Default: 4. */
  readonly concurrency?: number | undefined
  /** The end user, for abuse detection. */
  readonly user?: string | undefined
}

const Body = Schema.Struct({
  data: Schema.Array(
    Schema.Struct({
      index: nullish(Schema.Int),
      embedding: Schema.Union([Schema.Array(Schema.Finite), Schema.String])
    })
  ),
  usage: nullish(Schema.Struct({ prompt_tokens: nullish(Schema.Finite) }))
})

/** Floats of four bytes each, the lowest byte first. */
const decodeVector = (text: string): Array<number> | undefined => {
  const bytes = Result.getOrUndefined(Base64.decode(text))
  if (bytes === undefined || bytes.byteLength % 4 !== 0) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Arr.makeBy(bytes.byteLength / 4, (index) => view.getFloat32(index * 4, true)).slice(0, bytes.byteLength / 4)
}

/** The vectors of a body in the order of their texts, or what is wrong with them. */
const vectorsOf = (
  body: typeof Body.Type,
  count: number,
  dimensions: number | undefined
): Array<Array<number>> | string => {
  if (body.data.length !== count) return `${body.data.length} vectors came for ${count} texts`
  const vectors: Array<Array<number>> = []
  for (const [position, { index, embedding }] of body.data.entries()) {
    const at = index ?? position
    const vector = typeof embedding === "string" ? decodeVector(embedding) : [...embedding]
    if (at < 0 || at >= count || vectors[at] !== undefined) return `the index ${at} is no text's, or came twice`
    if (vector === undefined || vector.length === 0 || !vector.every(Number.isFinite)) {
      return `the vector at ${at} is not one of finite numbers`
    }
    if (dimensions !== undefined && vector.length !== dimensions) {
      return `the vector at ${at} has ${vector.length} dimensions, not the ${dimensions} asked for; the model may not be able to shorten`
    }
    vectors[at] = vector
  }
  return vectors
}

/** Makes the service. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<EmbeddingModel.EmbeddingModel, never, OpenAiClient> {
  const client = yield* OpenAiClient
  const context: Errors.RequestContext = {
    module: "OpenAiEmbeddingModel",
    method: "embedMany",
    url: Errors.address(client.sdk.baseURL, "/embeddings"),
    redact: client.redact
  }

  const request = Effect.fnUntraced(function* (input: ReadonlyArray<string>) {
    const { body } = yield* Transport.request(client, context, Body, (fetchOptions) =>
      client.sdk.embeddings
        .create(
          {
            model: options.model,
            input: [...input],
            encoding_format: options.encoding ?? "float",
            ...compact({ dimensions: options.dimensions, user: options.user })
          },
          { fetchOptions }
        )
        .asResponse()
    )
    const vectors = vectorsOf(body, input.length, options.dimensions)
    if (typeof vectors === "string") {
      return yield* Errors.make(context, new AiError.InvalidOutputError({ description: vectors }))
    }
    return { vectors, tokens: body.usage?.prompt_tokens ?? undefined }
  })

  return yield* EmbeddingModel.make({
    embedMany: Effect.fnUntraced(function* ({ inputs }) {
      const answers = yield* Effect.forEach(
        batches(inputs, options.maxBatchSize ?? 2048, options.maxBatchBytes ?? 300_000),
        request,
        { concurrency: options.concurrency ?? 4 }
      )
      // One batch that was not counted leaves the sum unknown, not smaller.
      const inputTokens = answers.reduce<number | undefined>(
        (sum, { tokens }) => (sum === undefined || tokens === undefined ? undefined : sum + tokens),
        0
      )
      const span = yield* Effect.option(Effect.currentSpan)
      if (span._tag === "Some") {
        addGenAIAnnotations(span.value, {
          provider: { name: "openai" },
          operation: { name: "embeddings" },
          request: { model: options.model },
          usage: { inputTokens }
        })
      }
      return { results: answers.flatMap(({ vectors }) => vectors), usage: { inputTokens } }
    })
  })
})

/** An `EmbeddingModel` over the client. */
export const layer = (options: Options): Layer.Layer<EmbeddingModel.EmbeddingModel, never, OpenAiClient> =>
  Layer.effect(EmbeddingModel.EmbeddingModel, make(options))

/** The same as an `effect/ai` `Model`, which also provides its dimensions, its provider's and its own name. */
export const model = (
  name: string,
  options: Omit<Options, "model" | "dimensions"> & { readonly dimensions: number }
): Model.Model<"openai", EmbeddingModel.EmbeddingModel | EmbeddingModel.Dimensions, OpenAiClient> =>
  Model.make(
    "openai",
    name,
    Layer.merge(layer({ ...options, model: name }), Layer.succeed(EmbeddingModel.Dimensions, options.dimensions))
  )

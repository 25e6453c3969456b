/**
 * Offline embeddings: a deterministic `EmbeddingModel` that needs no key, no network and no model file. It is for tests
 * and for first use, not for quality.
 *
 * A text is counted by its words, its pairs of words and the groups of three letters within words (two for scripts that
 * are written without spaces), each hashed to a place and a sign of the vector. So texts that share words, or forms of
 * the same word, point in similar directions, in any language; texts that share none are nearly orthogonal.
 *
 * ```ts
 * import * as OfflineEmbeddings from "@selvage/models/OfflineEmbeddings"
 * import * as EmbeddingModel from "effect/ai/EmbeddingModel"
 * import * as Effect from "effect/Effect"
 *
 * export const program = Effect.gen(function* () {
 *   const model = yield* EmbeddingModel.EmbeddingModel
 *   const { embeddings } = yield* model.embedMany(["restock the shelves", "restocking a shelf", "la vie en rose"])
 *   const [first, second, third] = embeddings.map((embedding) => embedding.vector)
 *   return OfflineEmbeddings.similarity(first!, second!) > OfflineEmbeddings.similarity(first!, third!) // true
 * }).pipe(Effect.provide(OfflineEmbeddings.layer))
 * ```
 *
 * **Gotchas**
 *
 * - It knows no meaning: `car` and `automobile` are unrelated, `not good` and `good` are alike.
 * - What stands after the first 200,000 characters of a text is not read.
 * - A text without letters, digits or signs (the empty text) has a vector too, the same for all of them.
 * - Vectors are comparable only with vectors of the same number of dimensions.
 */
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { estimate, o200k } from "./internal/tokens.ts"

/** The number of dimensions unless another is asked for. */
export const defaultDimensions = 512

/** Options of {@link layerWith}. */
export interface Options {
  /** At least 16; fewer dimensions mean more chance likeness. Default: 512. */
  readonly dimensions?: number | undefined
}

const maxText = 200_000

const words = /[\p{L}\p{M}]+|\p{N}+|[^\s\p{L}\p{M}\p{N}]/gu
const unspaced = /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]/u
const letterOrDigit = /^[\p{L}\p{M}\p{N}]/u

/** FNV-1a with a last mix, so that near texts are far apart in both the place and the sign. */
const hash = (text: string): number => {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}

/** The features of a text and how often each is there, weighted by how much it tells. */
const features = (text: string): Map<string, number> => {
  const out = new Map<string, number>()
  const add = (feature: string, weight: number) => out.set(feature, (out.get(feature) ?? 0) + weight)
  const grams = (marked: string, size: number, weight: number) => {
    const characters = [...marked]
    for (let index = 0; index + size <= characters.length; index++)
      add(`g ${characters.slice(index, index + size).join("")}`, weight)
  }
  let before: string | undefined
  for (const [word] of text.slice(0, maxText).normalize("NFKC").toLowerCase().matchAll(words)) {
    if (!letterOrDigit.test(word)) {
      add(`s ${word}`, 0.1)
      continue
    }
    if (unspaced.test(word)) {
      for (const character of word) add(`c ${character}`, 0.5)
      grams(word, 2, 1)
      before = undefined
      continue
    }
    // Short words are mostly grammar, in most languages that have spaces.
    const weight = Math.min(1, word.length / 6)
    add(`w ${word}`, weight)
    if (before !== undefined) add(`p ${before} ${word}`, 0.3 * weight)
    grams(`<${word}>`, 3, 0.4 * weight)
    before = word
  }
  return out
}

/** The vector of a text: of length 1, the same for the same text. */
export const embed = (text: string, dimensions: number = defaultDimensions): Array<number> => {
  const size = Math.max(16, Math.floor(dimensions))
  const vector = Array.from({ length: size }, () => 0)
  for (const [feature, weight] of features(text)) {
    const own = hash(feature)
    const place = own % size
    vector[place] = vector[place]! + (own & 0x40000000 ? 1 : -1) * Math.sqrt(weight)
  }
  const length = Math.hypot(...vector)
  if (length === 0) return vector.map((_, index) => (index === 0 ? 1 : 0))
  return vector.map((value) => value / length)
}

/** The cosine of the angle between two vectors: 1 for the same direction, 0 for nothing in common. */
export const similarity = (left: ReadonlyArray<number>, right: ReadonlyArray<number>): number => {
  let product = 0
  let lengths = 0
  let others = 0
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const a = left[index] ?? 0
    const b = right[index] ?? 0
    product += a * b
    lengths += a * a
    others += b * b
  }
  return lengths === 0 || others === 0 ? 0 : product / Math.sqrt(lengths * others)
}

/** The offline embedding model as a service value. */
export const make = (options: Options = {}): Effect.Effect<EmbeddingModel.EmbeddingModel> =>
  EmbeddingModel.make({
    embedMany: ({ inputs }) =>
      Effect.sync(() => ({
        results: inputs.map((input) => embed(input, options.dimensions)),
        usage: { inputTokens: inputs.reduce((sum, input) => sum + estimate(input, o200k), 0) }
      }))
  })

/** Provides the offline embedding model with a chosen number of dimensions. */
export const layerWith = (
  options: Options = {}
): Layer.Layer<EmbeddingModel.EmbeddingModel | EmbeddingModel.Dimensions> =>
  Layer.effectContext(
    Effect.map(make(options), (model) =>
      Context.make(EmbeddingModel.EmbeddingModel, model).pipe(
        Context.add(EmbeddingModel.Dimensions, Math.max(16, Math.floor(options.dimensions ?? defaultDimensions)))
      )
    )
  )

/** Provides the offline embedding model: no key, no network, no cost. */
export const layer: Layer.Layer<EmbeddingModel.EmbeddingModel | EmbeddingModel.Dimensions> = layerWith()

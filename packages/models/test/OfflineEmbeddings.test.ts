import { assert, describe, it } from "@effect/vitest"
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { OfflineEmbeddings } from "../src/index.ts"
import { runs } from "../../testing/test/measures.ts"

const { embed, similarity } = OfflineEmbeddings

const anyText = fc.oneof(
  fc.string({ maxLength: 200 }),
  fc.string({ unit: "grapheme", maxLength: 100 }),
  fc.string({ unit: "binary", maxLength: 100 }),
  fc.lorem({ maxCount: 30 })
)

/** Sentences of many languages, and one that says nearly the same with other forms of the words. */
const kin: ReadonlyArray<readonly [string, string]> = [
  ["The warehouse in Lisbon ran out of screws on Monday.", "On Monday the Lisbon warehouse had run out of screws."],
  ["Please cancel my subscription to the newsletter.", "I want my newsletter subscription cancelled, please."],
  ["Die Lieferung der Schrauben verzögert sich um drei Tage.", "Die Schrauben werden drei Tage verzögert geliefert."],
  ["Le train pour Marseille part à huit heures du soir.", "À huit heures du soir, un train part pour Marseille."],
  ["Завтра в Москве ожидается сильный снегопад.", "Сильный снегопад ожидают завтра и в Москве."],
  ["東京の天気は明日も晴れるでしょう。", "明日の東京の天気は晴れです。"],
  ["我想预订两个人的晚餐位子。", "请帮我预订晚餐,两个人。"],
  ["درجة الحرارة في القاهرة مرتفعة اليوم.", "اليوم درجة الحرارة مرتفعة جدا في القاهرة."],
  ["O gato dorme em cima do sofá vermelho.", "Em cima do sofá vermelho dorme um gato."]
]

describe("an offline embedding", () => {
  it("has length 1 and the asked dimensions, whatever the text", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 16, max: 1_024 }), (text, dimensions) => {
        const vector = embed(text, dimensions)
        assert.strictEqual(vector.length, dimensions)
        assert.isTrue(vector.every(Number.isFinite))
        assert.closeTo(Math.hypot(...vector), 1, 1e-9)
      }),
      { numRuns: runs(60) }
    )
  })

  it("is the same for the same text, and blind to case and composition", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        assert.deepStrictEqual(embed(text), embed(text))
        assert.closeTo(similarity(embed(text), embed(text)), 1, 1e-9)
      })
    )
    assert.closeTo(similarity(embed("Größe ÉTÉ"), embed("größe e\u0301te\u0301")), 1, 1e-9)
  })

  it("is nearer to the same thing said otherwise than to anything else, in nine languages", () => {
    for (const [index, [left, right]] of kin.entries()) {
      const own = similarity(embed(left), embed(right))
      for (const [other, pair] of kin.entries()) {
        if (other === index) continue
        for (const text of pair) assert.isAbove(own, similarity(embed(left), embed(text)) + 0.1, `${left} | ${text}`)
      }
    }
  })

  it("is nearer to a text that shares words than to one that shares none", () => {
    const letters = (alphabet: string) => fc.string({ unit: fc.constantFrom(...alphabet), minLength: 4, maxLength: 9 })
    const sentence = (alphabet: string) => fc.uniqueArray(letters(alphabet), { minLength: 6, maxLength: 12 })
    fc.assert(
      fc.property(
        sentence("abcdefghijkl"),
        sentence("abcdefghijkl"),
        sentence("mnopqrstuvwxyz"),
        (base, more, strange) => {
          const text = base.join(" ")
          const alike = [...base.slice(0, Math.ceil((base.length * 2) / 3)).toReversed(), ...more.slice(0, 2)].join(" ")
          assert.isAbove(similarity(embed(text), embed(alike)), similarity(embed(text), embed(strange.join(" "))))
        }
      ),
      { numRuns: runs(40) }
    )
  })

  it("of unrelated texts is nearly orthogonal, to one side as often as to the other", () => {
    const unrelated = kin.map(([left]) => embed(left, 2_048))
    const all = unrelated.flatMap((left, index) => unrelated.slice(index + 1).map((right) => similarity(left, right)))
    for (const own of all) assert.isBelow(Math.abs(own), 0.25)
    assert.closeTo(all.reduce((sum, own) => sum + own, 0) / all.length, 0, 0.03)
  })
})

describe("the offline embedding model", () => {
  it.effect("answers one and many alike, and tells its dimensions and usage", () =>
    Effect.gen(function* () {
      const model = yield* EmbeddingModel.EmbeddingModel
      const dimensions = yield* EmbeddingModel.Dimensions
      const many = yield* model.embedMany(["one text", "another text"])
      const one = yield* model.embed("one text")
      assert.strictEqual(dimensions, 64)
      assert.deepStrictEqual(one.vector, many.embeddings[0]!.vector)
      assert.strictEqual(one.vector.length, 64)
      assert.strictEqual(many.usage.inputTokens, 4)
    }).pipe(Effect.provide(OfflineEmbeddings.layerWith({ dimensions: 64 })))
  )
})

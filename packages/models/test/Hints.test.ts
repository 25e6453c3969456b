import { assert, describe, it } from "@effect/vitest"
import { corrected, maxCorrections } from "../src/internal/hints.ts"

const failed = (params: unknown, result: unknown) => ({
  id: "1",
  tool: "place_order",
  params,
  status: "failed" as const,
  result
})

const units = (from: number, ...errors: ReadonlyArray<unknown>): unknown => {
  let params: Record<string, unknown> = { sku: "HND-007", supplierId: "SUP-01", units: from }
  const observations: Array<ReturnType<typeof failed>> = []
  for (const error of errors) {
    observations.push(failed(params, error))
    const next = corrected(observations)
    if (next === undefined) return undefined
    params = next
  }
  return params["units"]
}

describe("what a tool's error asks for", () => {
  it("is read from its text", () => {
    for (const [from, error, to] of [
      [3, '3 units of "HND-007" are below the minimum of supplier "SUP-01"; order at least 20.', 20],
      [45, '45 units of "HND-007" cannot be ordered: it comes in packs of 10; order 50.', 50],
      [45, "Only in multiples of 12", 48],
      [45, "pack size: 25", 50],
      [3, "The minimum order quantity is 1,200 units", 1200],
      [3, "units must be >= 7", 7],
      [90, "at most 40 units a day", 40],
      [90, "only 12 left", 12],
      [0, "order a whole number from 1 to 1000000", 1],
      [2_000_000, "order a whole number from 1 to 1000000", 1_000_000]
    ] as const) {
      assert.strictEqual(units(from, { error }), to, error)
      assert.strictEqual(units(from, error), to, error)
    }
  })

  it("is read from its fields", () => {
    assert.strictEqual(units(3, { _tag: "BelowMinimumOrder", units: 3, minimumUnits: 20 }), 20)
    assert.strictEqual(units(90, { maxUnits: 40 }), 40)
    assert.strictEqual(units(45, { packSize: 12 }), 48)
    assert.strictEqual(units(45, { minimumValue: 500 }), undefined)
  })

  it("adds up over several errors, and is not asked for without end", () => {
    assert.strictEqual(units(3, "order at least 20", "it comes in packs of 12"), 24)
    assert.strictEqual(units(45, "packs of 10", "at most 40"), 40)
    const errors = Array.from({ length: maxCorrections + 1 }, (_, index) => `order at least ${100 * (index + 1)}`)
    assert.strictEqual(units(3, ...errors.slice(0, -1)), 100 * maxCorrections)
    assert.strictEqual(units(3, ...errors), undefined)
  })

  it("is nothing where the error says nothing that can be kept", () => {
    for (const error of [
      "The network is down",
      "it was interrupted and its outcome is unknown",
      "no answer within 30 seconds, at most 3 attempts",
      'Supplier "SUP-16" names no price for "PWR-020"; choose an offer with a price.',
      "the order must be worth at least 50 EUR",
      "at least 100 and at most 50",
      null
    ]) {
      assert.strictEqual(units(45, error), undefined, String(error))
    }
  })

  it("is a name to use instead", () => {
    const error = 'There is no supplier "SUP-01". Did you mean "SUP-10"?'
    assert.deepStrictEqual(corrected([failed({ supplierId: "SUP-01", units: 3 }, { error })]), {
      supplierId: "SUP-10",
      units: 3
    })
  })

  it("is about the number that the error names, else about the quantity", () => {
    const params = { units: 3, days: 1 }
    assert.deepStrictEqual(corrected([failed(params, "days must be at least 2")]), { units: 3, days: 2 })
    assert.deepStrictEqual(corrected([failed(params, "at least 5")]), { units: 5, days: 1 })
  })
})

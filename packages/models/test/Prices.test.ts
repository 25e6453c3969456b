import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import { Prices, Providers } from "../src/index.ts"

const usage = {
  inputTokens: { uncached: 1_000_000, cacheRead: 2_000_000, cacheWrite: 1_000_000, total: 4_000_000 },
  outputTokens: { total: 500_000, text: 400_000, reasoning: 100_000 }
}

describe("Prices", () => {
  it("adds up input, cached input, cache writes and output", () => {
    assert.closeTo(Option.getOrThrow(Prices.cost("claude-sonnet-4-6", usage)), 3 + 2 * 0.3 + 3.75 + 7.5, 1e-9)
    assert.closeTo(Option.getOrThrow(Prices.cost("openai:gpt-5.1", usage)), 1.25 + 2 * 0.125 + 1.25 + 5, 1e-9)
  })

  it("prices a dated snapshot like its model", () => {
    assert.isTrue(Option.isSome(Prices.find("claude-haiku-4-5-20251001")))
    assert.isTrue(Option.isSome(Prices.find("gpt-5-mini-2025-08-07")))
  })

  it("does not know the cost of an unknown model or of an unknown number of tokens", () => {
    assert.isTrue(Option.isNone(Prices.cost("mystery-1", usage)))
    assert.isTrue(Option.isNone(Prices.cost("constructor", usage)))
    assert.isTrue(Option.isNone(Prices.cost("gpt-5.1", { inputTokens: {}, outputTokens: { total: 1 } } as never)))
  })

  it("knows that the offline model costs nothing", () => {
    assert.deepStrictEqual(Prices.cost("offline", { inputTokens: {}, outputTokens: {} } as never), Option.some(0))
  })

  it("lets a caller's rows go over its own", () => {
    const row = { input: 1, cachedInput: 1, output: 1, source: "contract", asOf: "2026-01-01" }
    assert.deepStrictEqual(Prices.cost("gpt-5.1", usage, { ...Prices.table, "gpt-5.1": row }), Option.some(4.5))
  })

  it("has a source and a day for every row, and a row for every default model", () => {
    for (const row of Object.values(Prices.table)) {
      assert.match(row.source, /^https:/)
      assert.match(row.asOf, /^\d{4}-\d{2}-\d{2}$/)
    }
    for (const { defaultModel } of Providers.all) {
      if (defaultModel !== undefined) assert.isTrue(Option.isSome(Prices.find(defaultModel)))
    }
  })
})

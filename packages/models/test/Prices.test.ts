import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as fc from "fast-check"
import { readFile } from "node:fs/promises"
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

  it("prices every model that the providers' SDKs name, or lists it as unknown and says why", async () => {
    const types = async (of: string, sdk: string, path: string, ...names: ReadonlyArray<string>) => {
      const text = await readFile(new URL(`../../${of}/node_modules/${sdk}/${path}`, import.meta.url), "utf8")
      return names.flatMap((name) => {
        const union = new RegExp(`export type ${name} = ([^;]+);`).exec(text)?.[1] ?? ""
        return [...union.matchAll(/'([^']+)'/g)].map(([, model]) => model!)
      })
    }
    const models = [
      ...(await types("openai", "openai", "resources/shared.d.ts", "ChatModel", "ResponsesModel")),
      ...(await types("anthropic", "@anthropic-ai/sdk", "resources/messages/messages.d.ts", "Model"))
    ]
    assert.isAbove(models.length, 100)
    const undated = (model: string) => model.replace(/-\d{4}-?\d{2}-?\d{2}$/, "")
    const isUnknown = (model: string) => Prices.unknown.has(model) || Prices.unknown.has(undated(model))
    for (const model of models) {
      const priced = Option.isSome(Prices.find(model))
      assert.strictEqual(
        priced,
        !isUnknown(model),
        `${model} is ${priced ? "priced and listed as unknown" : "neither"}`
      )
    }
    for (const model of Prices.unknown.keys()) assert.include([...models, ...models.map(undated)], model)
  })

  it("takes the price of long prompts for all of a request that has one", () => {
    const of = (model: string, uncached: number, cacheRead: number, cacheWrite: number, output: number) =>
      Option.getOrThrow(
        Prices.cost(model, {
          inputTokens: { uncached, cacheRead, cacheWrite, total: uncached + cacheRead + cacheWrite },
          outputTokens: { total: output, text: output, reasoning: 0 }
        })
      )
    assert.closeTo(of("gpt-6.2-sol", 72_000, 100_000, 100_000, 1e6), 0.144 + 0.01 + 0.25 + 10, 1e-9)
    assert.closeTo(of("gpt-6.2-sol", 72_001, 100_000, 100_000, 1e6), 0.288004 + 0.02 + 0.5 + 15, 1e-9)
    assert.closeTo(of("claude-haiku-5-5", 100_000, 0, 0, 1e6), 0.01 + 0.5, 1e-9)
    assert.closeTo(of("claude-haiku-5-5", 0, 50_000, 50_001, 1e6), 0.0025 + 0.031250625 + 2.5, 1e-9)
    assert.isTrue(Option.isNone(Prices.find("gpt-4o-2024-05-13")))
  })

  it("prices reasoning apart where it has a price of its own, else as output", () => {
    const row = { input: 1, cachedInput: 1, output: 10, source: "contract", asOf: "2026-01-01" }
    const costs = (own: Prices.Price) => Option.getOrThrow(Prices.cost("m", usage, { m: own }))
    assert.strictEqual(costs(row), 4 + 5)
    assert.strictEqual(costs({ ...row, reasoning: 20 }), 4 + 4 + 2)
  })

  it("takes what a provider reports: totals, or parts, or both", () => {
    const tokens = (inputTokens: Prices.Usage["inputTokens"], outputTokens: Prices.Usage["outputTokens"]) =>
      Option.getOrUndefined(Prices.tokens({ inputTokens, outputTokens }))
    const none = { cachedInput: 0, cacheWrite: 0, reasoning: 0 }
    assert.deepStrictEqual(tokens({ total: 10 }, { total: 5 }), { ...none, input: 10, output: 5 })
    assert.deepStrictEqual(tokens({ total: 10, cacheRead: 4 }, { text: 3, reasoning: 2 }), {
      ...none,
      input: 6,
      cachedInput: 4,
      output: 3,
      reasoning: 2
    })
    assert.deepStrictEqual(tokens({ uncached: 1 }, { reasoning: 2 }), { ...none, input: 1, output: 0, reasoning: 2 })
    assert.isUndefined(tokens({ total: 10 }, {}))
    assert.isUndefined(tokens({}, { total: 1 }))
    assert.isUndefined(tokens({ cacheRead: 10 }, { total: 1 }))
  })

  it("counts micro-dollars without drift: whole, not less than the cost, and less than one more", () => {
    const dollars = fc.nat(100_000_000).map((millionths) => millionths / 1_000_000)
    const price = fc.record({
      input: dollars,
      cachedInput: dollars,
      cacheWrite: dollars,
      output: dollars,
      reasoning: dollars
    })
    const count = fc.nat(10_000_000)
    const tokens = fc.record({ input: count, cachedInput: count, cacheWrite: count, output: count, reasoning: count })
    const kinds = ["input", "cachedInput", "cacheWrite", "output", "reasoning"] as const
    fc.assert(
      fc.property(price, tokens, (own, used) => {
        const micros = Prices.microsAt({ ...own, source: "test", asOf: "2026-01-01" }, used)
        // Millionths of micro-dollars, exactly.
        const exact = kinds.reduce(
          (sum, kind) => sum + BigInt(Math.round(own[kind] * 1_000_000)) * BigInt(used[kind]),
          0n
        )
        const above = BigInt(micros) * 1_000_000n - exact
        assert.isTrue(above >= 0n && above < 1_000_000n)
      })
    )
  })

  it.effect("are overridden by configuration, which is checked", () =>
    Effect.gen(function* () {
      const row = { input: 1, cachedInput: 0.5, output: 2, source: "contract", asOf: "2026-11-01" }
      const configured = (rows: unknown) =>
        Prices.Prices.pipe(
          Effect.provide(
            Layer.provide(
              Prices.layerConfig,
              ConfigProvider.layer(ConfigProvider.fromEnv({ env: { SELVAGE_PRICES: JSON.stringify(rows) } }))
            )
          )
        )
      const prices = yield* configured({ mine: row, "gpt-5.1": row })
      assert.deepStrictEqual([prices["mine"], prices["gpt-5.1"], prices["gpt-5"]], [row, row, Prices.table["gpt-5"]])
      for (const wrong of [
        { mine: { ...row, input: -1 } },
        { mine: { ...row, asOf: "May" } },
        { mine: { output: 1 } },
        7
      ]) {
        assert.match((yield* Effect.flip(configured(wrong))).message, /SELVAGE_PRICES/)
      }
      const unset = Prices.layerConfig.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: {} }))))
      assert.strictEqual(
        yield* Effect.provide(Effect.map(Prices.Prices, Object.keys), unset).pipe(Effect.map(String)),
        String(Object.keys(Prices.table))
      )
    })
  )
})

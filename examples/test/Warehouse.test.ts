import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { SqliteClient } from "@selvage/sqlite"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as SqlClient from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { fileURLToPath } from "node:url"
import { load, Warehouse } from "../restock/Warehouse.ts"

const data = fileURLToPath(new URL("../restock/data", import.meta.url))

const database = (filename: string) =>
  Warehouse.layer.pipe(Layer.provideMerge(SqliteClient.layer({ filename })), Layer.merge(NodeServices.layer))

const inMemory = database(":memory:")

/** The committed files, loaded into a database of its own. */
const loaded = Effect.provide(inMemory.pipe(Layer.tap((services) => Effect.provideContext(load(data), services))), {
  local: true
})

const header = {
  products: "sku,name,category,stock,reorder_level,unit,demand,discontinued",
  suppliers: "id,name,lead_time_days,minimum_order_cents,reliability",
  offers: "supplier_id,sku,unit_price_cents,minimum_units,pack_size"
}

const twelve = (week: string) => Array.from({ length: 12 }, () => week).join(";")

const small = {
  products: [
    `A,Bolt,Parts,5,20,box,${twelve("7")},no`,
    `B,Nut,Parts,,20,box,${twelve("")},no`,
    `C,Washer,Parts,1,20,box,${twelve("0")},yes`,
    `D,Pin,Parts,3,10,box,1;2;3;4;5;6;7;8;;;;,no`
  ],
  suppliers: ["S1,One,7,10000,0.95", "S2,Two,3,0,"],
  offers: ["S1,A,150,10,4", "S2,A,200,1,1", "S2,D,,1,1", "S1,C,10,1,1"]
}

/** A directory with the small data set, parts of it replaced. */
const directory = Effect.fnUntraced(function* (
  replaced: { readonly [File in keyof typeof small]?: ReadonlyArray<string> } = {},
  newline = "\n"
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = yield* fs.makeTempDirectoryScoped()
  for (const file of ["products", "suppliers", "offers"] as const) {
    const lines = [header[file], ...(replaced[file] ?? small[file]), ""]
    yield* fs.writeFileString(path.join(folder, `${file}.csv`), lines.join(newline))
  }
  return folder
})

describe("the committed data", () => {
  it.effect("loads as a whole, with what is missing as notes", () =>
    Effect.gen(function* () {
      const report = yield* load(data)
      assert.isTrue(report.loaded)
      assert.isAtLeast(report.products, 320)
      assert.isAtLeast(report.suppliers, 14)
      const noted = (expected: RegExp) => report.notes.filter((note) => expected.test(note.message)).length
      for (const expected of [
        /stock is missing/,
        /demand is missing for [1-9] of 12/,
        /demand is missing for 12 of 12/,
        /no supplier offers it/,
        /price is missing/,
        /no offer of this supplier has a price/,
        /reliability is missing/
      ]) {
        assert.isAbove(noted(expected), 0, String(expected))
      }
    }).pipe(Effect.provide(inMemory, { local: true }))
  )

  it.effect("has some seventy products below their level, among them awkward ones", () =>
    Effect.gen(function* () {
      const warehouse = yield* Warehouse
      const below = yield* warehouse.belowReorderLevel
      assert.isAtLeast(below.length, 65)
      assert.isAtMost(below.length, 80)
      for (const product of below) assert.isBelow(product.stock ?? Infinity, product.reorderLevel)
      const offers = yield* Effect.forEach(below, (product) => warehouse.offers(product.sku))
      const demands = yield* Effect.forEach(below, (product) => warehouse.demand(product.sku))
      assert.isTrue(below.some((product) => product.discontinued))
      assert.isTrue(below.some((product) => product.stock === 0))
      assert.isTrue(offers.some((found) => found.length === 0))
      assert.isTrue(offers.some((found) => found.length > 0 && found.every((offer) => offer.unitPriceCents === null)))
      assert.isTrue(offers.some((found) => found.length === 1 && (found[0]?.effectiveMinimumCents ?? 0) >= 5_000_000))
      assert.isTrue(demands.some((demand) => demand.averagePerWeek === 0))
      assert.isTrue(demands.some((demand) => demand.averagePerWeek === null))
    }).pipe(loaded)
  )

  it.effect("keeps quotes, commas and every script in names", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      for (const name of ['Screw set, "Pro", 1,200 pieces', "防護手袋 (cut-resistant gloves)"]) {
        assert.lengthOf(yield* sql`SELECT sku FROM products WHERE name = ${name}`, 1)
      }
    }).pipe(loaded)
  )
})

describe("load", () => {
  it.effect("does nothing the second time, keeps the orders and returns the same notes", () =>
    Effect.gen(function* () {
      const warehouse = yield* Warehouse
      const first = yield* load(yield* directory())
      yield* warehouse.placeOrder({ sku: "A", supplierId: "S2", units: 3 })
      const second = yield* load("/nowhere")
      assert.deepStrictEqual(second, { ...first, loaded: false })
      assert.lengthOf(yield* warehouse.orders, 1)
    }).pipe(Effect.provide(inMemory, { local: true }))
  )

  it.effect("keeps the orders in the file over a reopen", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const layer = database(path.join(yield* fs.makeTempDirectoryScoped(), "warehouse.db"))
      const folder = yield* directory()
      yield* Effect.gen(function* () {
        yield* load(folder)
        yield* (yield* Warehouse).placeOrder({ sku: "A", supplierId: "S2", units: 3 })
      }).pipe(Effect.provide(layer, { local: true }))
      const orders = yield* Effect.gen(function* () {
        yield* load(folder)
        return yield* (yield* Warehouse).orders
      }).pipe(Effect.provide(layer, { local: true }))
      assert.lengthOf(orders, 1)
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.effect("reads CRLF, blank lines, and line breaks and quotes within a cell", () =>
    Effect.gen(function* () {
      const products = [
        "",
        `A,"Bolt, ""hex""\r\nlong",Parts,5,20,box,${twelve("7")},no`,
        "",
        ...small.products.slice(1)
      ]
      yield* load(yield* directory({ products }, "\r\n"))
      const product = yield* (yield* Warehouse).product("A")
      assert.strictEqual(product.name, 'Bolt, "hex"\r\nlong')
    }).pipe(Effect.provide(inMemory, { local: true }))
  )

  const invalid = [
    [
      "a stock that is no number",
      { products: [`A,Bolt,Parts,abc,2,box,${twelve("1")},no`] },
      2,
      "stock",
      /"abc" is not a whole/
    ],
    ["a negative stock", { products: [`A,Bolt,Parts,-1,2,box,${twelve("1")},no`] }, 2, "stock", /"-1" is not a whole/],
    ["a column too few", { products: [...small.products, "E,Rod,Parts"] }, 6, null, /3 columns, the header 8/],
    [
      "a duplicate SKU",
      { products: [...small.products, small.products[0] ?? ""] },
      6,
      "sku",
      /"A" is already on line 2/
    ],
    ["eleven weeks", { products: ["A,Bolt,Parts,1,2,box,1;2;3;4;5;6;7;8;9;10;11,no"] }, 2, "demand", /not 12 whole/],
    ["an empty name", { products: [`A,,Parts,1,2,box,${twelve("1")},no`] }, 2, "name", /is empty/],
    [
      "discontinued perhaps",
      { products: [`A,Bolt,Parts,1,2,box,${twelve("1")},maybe`] },
      2,
      "discontinued",
      /neither yes nor no/
    ],
    ["a reliability above 1", { suppliers: ["S1,One,7,10000,1.5"] }, 2, "reliability", /not a share/],
    ["packs of none", { offers: ["S1,A,150,10,0"] }, 2, "pack_size", /from 1 to/],
    ["an unknown supplier", { offers: ["S9,A,150,10,4"] }, 2, "supplier_id", /"S9" is not in suppliers.csv/],
    ["an unknown product", { offers: ["S1,Z,150,10,4"] }, 2, "sku", /"Z" is not in products.csv/],
    ["a quote that is not closed", { offers: ['S1,"A,150,10,4'] }, 2, null, /Unterminated/],
    [
      "a wrong row after a line break in a cell",
      { products: [`A,"Bolt\nlong",Parts,1,2,box,${twelve("1")},no`, `B,Nut,Parts,x,2,box,${twelve("1")},no`] },
      4,
      "stock",
      /"x"/
    ]
  ] as const

  it.effect.each(invalid)("names file, line and column of %s and loads nothing", ([, replaced, line, column, reason]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(load(yield* directory(replaced)))
      if (error._tag !== "CsvRowInvalid") return assert.fail(error.message)
      assert.strictEqual(error.file, `${Object.keys(replaced)[0]}.csv`)
      assert.strictEqual(error.line, line)
      assert.strictEqual(error.column, column)
      assert.match(error.reason, reason)
      assert.include(error.message, "nothing was loaded")
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql`SELECT name FROM sqlite_schema`, [])
      assert.isTrue((yield* load(yield* directory())).loaded)
    }).pipe(Effect.provide(inMemory, { local: true }))
  )

  it.effect("says that the header is not the expected one", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* directory()
      yield* fs.writeFileString(`${folder}/products.csv`, "sku;name\n")
      const error = yield* Effect.flip(load(folder))
      assert.match(error.message, /products.csv line 1: the header is not "sku,name/)
    }).pipe(Effect.provide(inMemory, { local: true }))
  )

  it.effect("fails with the platform's error where a file is missing", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(load("/nowhere"))
      assert.strictEqual(error._tag, "PlatformError")
    }).pipe(Effect.provide(inMemory, { local: true }))
  )
})

describe("queries", () => {
  const withSmall = <A, E, R>(use: (warehouse: Warehouse["Service"]) => Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      yield* load(yield* directory())
      return yield* use(yield* Warehouse)
    }).pipe(Effect.provide(inMemory, { local: true }))

  it.effect("unknown stock is not below the level, a discontinued product is, flagged", () =>
    withSmall((warehouse) =>
      Effect.gen(function* () {
        const below = yield* warehouse.belowReorderLevel
        assert.deepStrictEqual(
          below.map((product) => [product.sku, product.discontinued]),
          [
            ["A", false],
            ["C", true],
            ["D", false]
          ]
        )
      })
    )
  )

  it.effect("an offer's effective minimum is whole packs worth the supplier's minimum order", () =>
    withSmall((warehouse) =>
      Effect.gen(function* () {
        const [first, second] = yield* warehouse.offers("A")
        // 10000 cents at 150 are 67 units, and packs hold 4.
        assert.strictEqual(first?.effectiveMinimumUnits, 68)
        assert.strictEqual(first?.effectiveMinimumCents, 10_200)
        assert.strictEqual(first?.leadTimeDays, 7)
        assert.strictEqual(second?.effectiveMinimumUnits, 1)
        const [unpriced] = yield* warehouse.offers("D")
        assert.isNull(unpriced?.effectiveMinimumUnits)
      })
    )
  )

  it.effect("demand averages the known weeks and suggests what covers the fastest lead time and two weeks", () =>
    withSmall((warehouse) =>
      Effect.gen(function* () {
        const bolt = yield* warehouse.demand("A")
        // 20 + 7 a week for 3 + 14 days - 5 in stock.
        assert.deepStrictEqual([bolt.averagePerWeek, bolt.coverDays, bolt.suggestedUnits], [7, 17, 32])
        const pin = yield* warehouse.demand("D")
        assert.deepStrictEqual([pin.knownWeeks, pin.averagePerWeek], [8, 4.5])
        assert.deepStrictEqual(pin.weeks, [1, 2, 3, 4, 5, 6, 7, 8, null, null, null, null])
        const nut = yield* warehouse.demand("B")
        assert.deepStrictEqual([nut.averagePerWeek, nut.suggestedUnits], [null, null])
        assert.strictEqual((yield* warehouse.demand("C")).suggestedUnits, 0)
      })
    )
  )

  it.effect("what is on order counts as stock and lowers the suggestion", () =>
    withSmall((warehouse) =>
      Effect.gen(function* () {
        yield* warehouse.placeOrder({ sku: "A", supplierId: "S2", units: 30 })
        assert.strictEqual((yield* warehouse.stock("A")).onOrder, 30)
        assert.strictEqual((yield* warehouse.demand("A")).suggestedUnits, 2)
      })
    )
  )

  it.effect("an order has its cost and dates, and placing it twice places two", () =>
    withSmall((warehouse) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(1_000)
        const request = { sku: "A", supplierId: "S1", units: 68, reason: "low", idempotencyKey: "k" }
        const order = yield* warehouse.placeOrder(request)
        assert.strictEqual(order.costCents, 10_200)
        assert.strictEqual(order.placedAt.epochMilliseconds, 1_000)
        assert.strictEqual(order.expectedAt.epochMilliseconds, 1_000 + 7 * 86_400_000)
        yield* warehouse.placeOrder(request)
        const orders = yield* warehouse.orders
        assert.deepStrictEqual(
          orders.map(({ id, idempotencyKey }) => [id, idempotencyKey]),
          [
            [1, "k"],
            [2, "k"]
          ]
        )
      })
    )
  )

  it.effect("refuses what cannot be ordered, with the reason, and places nothing", () =>
    withSmall((warehouse) =>
      Effect.gen(function* () {
        for (const [sku, supplierId, units, tag, message] of [
          ["Z", "S1", 1, "UnknownProduct", /No product has the SKU "Z"/],
          ["C", "S1", 2000, "Discontinued", /discontinued/],
          ["B", "S1", 1, "OfferNotFound", /does not offer "B"/],
          ["D", "S2", 1, "OfferWithoutPrice", /no price/],
          ["A", "S1", 64, "BelowMinimumOrder", /at least 68/],
          ["A", "S1", 70, "InvalidUnits", /packs of 4; order 72/],
          ["A", "S2", 0, "InvalidUnits", /from 1 to/],
          ["A", "S2", 1.5, "InvalidUnits", /from 1 to/],
          ["A", "S2", Number.NaN, "InvalidUnits", /from 1 to/],
          ["A", "S2", 1_000_001, "InvalidUnits", /from 1 to/]
        ] as const) {
          const error = yield* Effect.flip(warehouse.placeOrder({ sku, supplierId, units }))
          assert.strictEqual(error._tag, tag)
          assert.match(error.message, message)
        }
        assert.strictEqual((yield* Effect.flip(warehouse.demand("Z")))._tag, "UnknownProduct")
        assert.strictEqual((yield* Effect.flip(warehouse.offers("Z")))._tag, "UnknownProduct")
        assert.deepStrictEqual(yield* warehouse.orders, [])
      })
    )
  )
})

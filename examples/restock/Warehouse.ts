/**
 * The warehouse of the restock example: products, demand, offers and orders in a SQL database.
 *
 * Money is in integer cents, quantities in the product's own unit, demand in units per week.
 *
 * **Gotchas**
 *
 * - A product whose stock is unknown is not below its reorder level: nobody should order on a guess. The load report
 *   names it.
 * - A discontinued product can be below its reorder level; it is listed and flagged, and ordering it fails.
 * - `placeOrder` is not idempotent, as ordering by telephone is not: each call is an order. Its `idempotencyKey` is
 *   stored for whoever checks that a call was made once; it does not prevent a second one.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as SqlSchema from "effect/sql/SqlSchema"

export { CsvRowInvalid, load, LoadNote, type LoadReport } from "./WarehouseData.ts"

/** A product; `stock` is null where it is unknown. */
export const Product = Schema.Struct({
  sku: Schema.String,
  name: Schema.String,
  category: Schema.String,
  unit: Schema.String,
  stock: Schema.NullOr(Schema.Int),
  reorderLevel: Schema.Int,
  discontinued: Schema.Boolean
})
export interface Product extends Schema.Schema.Type<typeof Product> {}

/** What is there and what is on its way. */
export const Stock = Schema.Struct({
  sku: Schema.String,
  unit: Schema.String,
  stock: Schema.NullOr(Schema.Int),
  reorderLevel: Schema.Int,
  onOrder: Schema.Int,
  discontinued: Schema.Boolean
})
export interface Stock extends Schema.Schema.Type<typeof Stock> {}

/**
 * A supplier's offer. `unitPriceCents` is null where the price is missing, and then it cannot be ordered.
 * `effectiveMinimumUnits` is the smallest order the supplier takes: whole packs, at least its minimum of units and
 * its minimum order value; null without a price.
 */
export const Offer = Schema.Struct({
  sku: Schema.String,
  supplierId: Schema.String,
  supplierName: Schema.String,
  unitPriceCents: Schema.NullOr(Schema.Int),
  packSize: Schema.Int,
  minimumUnits: Schema.Int,
  minimumOrderCents: Schema.Int,
  effectiveMinimumUnits: Schema.NullOr(Schema.Int),
  effectiveMinimumCents: Schema.NullOr(Schema.Int),
  leadTimeDays: Schema.Int,
  reliability: Schema.NullOr(Schema.Finite)
})
export interface Offer extends Schema.Schema.Type<typeof Offer> {}

/**
 * Weekly demand, oldest week first, null where a week is missing. `averagePerWeek` is over the known weeks.
 * `suggestedUnits` brings stock and orders under way to the reorder level plus the demand of `coverDays`: the lead
 * time of the fastest priced offer and two weeks. It is null where the stock is unknown, 0 for a discontinued product.
 */
export const Demand = Schema.Struct({
  sku: Schema.String,
  weeks: Schema.Array(Schema.NullOr(Schema.Int)),
  knownWeeks: Schema.Int,
  averagePerWeek: Schema.NullOr(Schema.Finite),
  coverDays: Schema.Int,
  suggestedUnits: Schema.NullOr(Schema.Int)
})
export interface Demand extends Schema.Schema.Type<typeof Demand> {}

/** What to order, and why. */
export const OrderRequest = Schema.Struct({
  sku: Schema.String,
  supplierId: Schema.String,
  units: Schema.Int,
  reason: Schema.optionalKey(Schema.String),
  idempotencyKey: Schema.optionalKey(Schema.String)
})
export interface OrderRequest extends Schema.Schema.Type<typeof OrderRequest> {}

/** An order as placed. */
export const Order = Schema.Struct({
  id: Schema.Int,
  sku: Schema.String,
  supplierId: Schema.String,
  units: Schema.Int,
  unitPriceCents: Schema.Int,
  costCents: Schema.Int,
  reason: Schema.NullOr(Schema.String),
  idempotencyKey: Schema.NullOr(Schema.String),
  placedAt: Schema.DateTimeUtcFromMillis,
  expectedAt: Schema.DateTimeUtcFromMillis
})
export interface Order extends Schema.Schema.Type<typeof Order> {}

/** No product has this SKU. */
export class UnknownProduct extends Schema.TaggedError<UnknownProduct>()("UnknownProduct", { sku: Schema.String }) {
  override get message(): string {
    return `No product has the SKU "${this.sku}"; use a SKU as listed in products.csv.`
  }
}

/** The supplier does not offer the product. */
export class OfferNotFound extends Schema.TaggedError<OfferNotFound>()("OfferNotFound", {
  sku: Schema.String,
  supplierId: Schema.String
}) {
  override get message(): string {
    return `Supplier "${this.supplierId}" does not offer "${this.sku}"; choose a supplier from its offers.`
  }
}

/** The supplier offers the product but names no price. */
export class OfferWithoutPrice extends Schema.TaggedError<OfferWithoutPrice>()("OfferWithoutPrice", {
  sku: Schema.String,
  supplierId: Schema.String
}) {
  override get message(): string {
    return `Supplier "${this.supplierId}" names no price for "${this.sku}"; choose an offer with a price.`
  }
}

/** Fewer units than the supplier delivers at once, by count or by value. */
export class BelowMinimumOrder extends Schema.TaggedError<BelowMinimumOrder>()("BelowMinimumOrder", {
  sku: Schema.String,
  supplierId: Schema.String,
  units: Schema.Int,
  minimumUnits: Schema.Int
}) {
  override get message(): string {
    return `${this.units} units of "${this.sku}" are below the minimum of supplier "${this.supplierId}"; order at least ${this.minimumUnits}.`
  }
}

/** Not a number of units that can be delivered. */
export class InvalidUnits extends Schema.TaggedError<InvalidUnits>()("InvalidUnits", {
  sku: Schema.String,
  // Whatever was asked for, so that NaN is reported too.
  // @effect-diagnostics-next-line schemaNumber:off
  units: Schema.Number,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.units} units of "${this.sku}" cannot be ordered: ${this.reason}.`
  }
}

/** The product is no longer sold. */
export class Discontinued extends Schema.TaggedError<Discontinued>()("Discontinued", { sku: Schema.String }) {
  override get message(): string {
    return `"${this.sku}" is discontinued and is not ordered any more.`
  }
}

/** Why an order was not placed. */
export const OrderError = Schema.Union([
  UnknownProduct,
  Discontinued,
  OfferNotFound,
  OfferWithoutPrice,
  BelowMinimumOrder,
  InvalidUnits
])
export type OrderError = typeof OrderError.Type

/** The most units one order may hold. */
export const maximumUnits = 1_000_000

/** The queries of the example and its one write. */
export class Warehouse extends Context.Service<
  Warehouse,
  {
    /** Products below their reorder level by SKU, the discontinued included and flagged. */
    readonly belowReorderLevel: Effect.Effect<ReadonlyArray<Product>, SqlError>
    readonly product: (sku: string) => Effect.Effect<Product, UnknownProduct | SqlError>
    readonly stock: (sku: string) => Effect.Effect<Stock, UnknownProduct | SqlError>
    /** Offers by price, those without a price last. */
    readonly offers: (sku: string) => Effect.Effect<ReadonlyArray<Offer>, UnknownProduct | SqlError>
    readonly demand: (sku: string) => Effect.Effect<Demand, UnknownProduct | SqlError>
    /** Places an order. Not idempotent. */
    readonly placeOrder: (request: OrderRequest) => Effect.Effect<Order, OrderError | SqlError>
    /** All orders, oldest first. */
    readonly orders: Effect.Effect<ReadonlyArray<Order>, SqlError>
  }
>()("restock/Warehouse") {
  /** On a database that `load` filled. */
  static readonly layer: Layer.Layer<Warehouse, never, SqlClient.SqlClient> = Layer.effect(
    this,
    Effect.suspend(() => make)
  )
}

const safetyDays = 14

const ProductRecord = Schema.Struct({ ...Product.fields, discontinued: Schema.BooleanFromBit })
const StockRecord = Schema.Struct({ ...Stock.fields, discontinued: Schema.BooleanFromBit })
const OfferRecord = Schema.Struct({
  sku: Schema.String,
  supplierId: Schema.String,
  supplierName: Schema.String,
  unitPriceCents: Schema.NullOr(Schema.Int),
  packSize: Schema.Int,
  minimumUnits: Schema.Int,
  minimumOrderCents: Schema.Int,
  leadTimeDays: Schema.Int,
  reliability: Schema.NullOr(Schema.Finite)
})
const WeekRecord = Schema.Struct({ units: Schema.NullOr(Schema.Int) })

/** Rounded up to whole packs. */
const wholePacks = (units: number, packSize: number): number => Math.ceil(units / packSize) * packSize

const withMinimum = (offer: typeof OfferRecord.Type): Offer => {
  const price = offer.unitPriceCents
  if (price === null) return { ...offer, effectiveMinimumUnits: null, effectiveMinimumCents: null }
  const forValue = price === 0 ? 0 : Math.ceil(offer.minimumOrderCents / price)
  const units = wholePacks(Math.max(offer.minimumUnits, forValue), offer.packSize)
  return { ...offer, effectiveMinimumUnits: units, effectiveMinimumCents: units * price }
}

const demandOf = (stock: Stock, weeks: ReadonlyArray<number | null>, offers: ReadonlyArray<Offer>): Demand => {
  const known = weeks.filter((week) => week !== null)
  const average = known.length === 0 ? null : known.reduce((sum, week) => sum + week, 0) / known.length
  const leadTimes = offers.filter((offer) => offer.unitPriceCents !== null).map((offer) => offer.leadTimeDays)
  const coverDays = (leadTimes.length === 0 ? 0 : Math.min(...leadTimes)) + safetyDays
  const target = stock.reorderLevel + ((average ?? 0) * coverDays) / 7
  const missing = stock.stock === null ? null : Math.max(0, Math.ceil(target - stock.stock - stock.onOrder))
  return {
    sku: stock.sku,
    weeks,
    knownWeeks: known.length,
    averagePerWeek: average === null ? null : Math.round(average * 100) / 100,
    coverDays,
    suggestedUnits: stock.discontinued ? 0 : missing
  }
}

/** The tables are this module's own: a row that does not decode is a defect, not an error to handle. */
const ours = <A, E, R>(effect: Effect.Effect<A, E | Schema.SchemaError, R>) =>
  Effect.catchIf(effect, Schema.isSchemaError, Effect.die)

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bySku = { Request: Schema.String }

  const productColumns = sql.literal(`sku, name, category, unit, stock, reorder_level AS "reorderLevel", discontinued`)
  const orderColumns = sql.literal(
    `id, sku, supplier_id AS "supplierId", units, unit_price_cents AS "unitPriceCents", cost_cents AS "costCents",
     reason, idempotency_key AS "idempotencyKey", placed_at AS "placedAt", expected_at AS "expectedAt"`
  )

  const findBelow = SqlSchema.findAll({
    Request: Schema.Void,
    Result: ProductRecord,
    execute: () => sql`SELECT ${productColumns} FROM products WHERE stock < reorder_level ORDER BY sku`
  })
  const findProduct = SqlSchema.findOneOption({
    ...bySku,
    Result: ProductRecord,
    execute: (sku) => sql`SELECT ${productColumns} FROM products WHERE sku = ${sku}`
  })
  const findStock = SqlSchema.findOneOption({
    ...bySku,
    Result: StockRecord,
    execute: (sku) => sql`SELECT sku, unit, stock, reorder_level AS "reorderLevel", discontinued,
      (SELECT coalesce(sum(units), 0) FROM orders WHERE orders.sku = products.sku) AS "onOrder"
      FROM products WHERE sku = ${sku}`
  })
  const findOffers = SqlSchema.findAll({
    ...bySku,
    Result: OfferRecord,
    execute: (sku) => sql`SELECT offers.sku, offers.supplier_id AS "supplierId", suppliers.name AS "supplierName",
      offers.unit_price_cents AS "unitPriceCents", offers.pack_size AS "packSize",
      offers.minimum_units AS "minimumUnits", suppliers.minimum_order_cents AS "minimumOrderCents",
      suppliers.lead_time_days AS "leadTimeDays", suppliers.reliability
      FROM offers JOIN suppliers ON suppliers.id = offers.supplier_id WHERE offers.sku = ${sku}
      ORDER BY offers.unit_price_cents IS NULL, offers.unit_price_cents, offers.supplier_id`
  })
  const findWeeks = SqlSchema.findAll({
    ...bySku,
    Result: WeekRecord,
    execute: (sku) => sql`SELECT units FROM demand WHERE sku = ${sku} ORDER BY week`
  })
  const findOrders = SqlSchema.findAll({
    Request: Schema.Void,
    Result: Order,
    execute: () => sql`SELECT ${orderColumns} FROM orders ORDER BY id`
  })
  const insertOrder = SqlSchema.findOne({
    Request: Schema.Record(Schema.String, Schema.Unknown),
    Result: Order,
    execute: (order) => sql`INSERT INTO orders ${sql.insert(order)} RETURNING ${orderColumns}`
  })

  const known = <A>(sku: string, found: Effect.Effect<Option.Option<A>, SqlError | Schema.SchemaError>) =>
    Effect.flatMap(
      ours(found),
      Option.match({ onNone: () => Effect.fail(new UnknownProduct({ sku })), onSome: Effect.succeed })
    )

  const product = (sku: string) => known(sku, findProduct(sku))
  const stock = (sku: string) => known(sku, findStock(sku))
  const offers = Effect.fnUntraced(function* (sku: string) {
    yield* product(sku)
    const found = yield* ours(findOffers(sku))
    return found.map(withMinimum)
  })
  const demand = Effect.fnUntraced(function* (sku: string) {
    const weeks = yield* ours(findWeeks(sku))
    return demandOf(
      yield* stock(sku),
      weeks.map((week) => week.units),
      yield* offers(sku)
    )
  })

  const orderable = Effect.fnUntraced(function* ({ sku, supplierId, units }: OrderRequest) {
    if ((yield* product(sku)).discontinued) return yield* new Discontinued({ sku })
    const offer = (yield* offers(sku)).find((offer) => offer.supplierId === supplierId)
    if (offer === undefined) return yield* new OfferNotFound({ sku, supplierId })
    const { effectiveMinimumUnits: minimumUnits, packSize, unitPriceCents } = offer
    if (minimumUnits === null || unitPriceCents === null) return yield* new OfferWithoutPrice({ sku, supplierId })
    if (!Number.isSafeInteger(units) || units < 1 || units > maximumUnits) {
      return yield* new InvalidUnits({ sku, units, reason: `order a whole number from 1 to ${maximumUnits}` })
    }
    if (units < minimumUnits) return yield* new BelowMinimumOrder({ sku, supplierId, units, minimumUnits })
    if (units % packSize !== 0) {
      const reason = `it comes in packs of ${packSize}; order ${wholePacks(units, packSize)}`
      return yield* new InvalidUnits({ sku, units, reason })
    }
    return { unitPriceCents, costCents: units * unitPriceCents, leadTimeDays: offer.leadTimeDays }
  })

  const place = Effect.fnUntraced(function* (request: OrderRequest) {
    const { costCents, leadTimeDays, unitPriceCents } = yield* orderable(request)
    const placedAt = yield* Clock.currentTimeMillis
    const expectedAt = DateTime.add(DateTime.makeUnsafe(placedAt), { days: leadTimeDays })
    const inserted = insertOrder({
      sku: request.sku,
      supplier_id: request.supplierId,
      units: request.units,
      unit_price_cents: unitPriceCents,
      cost_cents: costCents,
      reason: request.reason ?? null,
      idempotency_key: request.idempotencyKey ?? null,
      placed_at: placedAt,
      expected_at: DateTime.toEpochMillis(expectedAt)
    })
    return yield* ours(inserted).pipe(Effect.catchTag("NoSuchElementError", Effect.die))
  })

  return Warehouse.of({
    belowReorderLevel: ours(findBelow()),
    product,
    stock,
    offers,
    demand,
    placeOrder: (request) => sql.withTransaction(place(request)),
    orders: ours(findOrders())
  })
})

/**
 * The tools of the purchasing agent: a plugin over the warehouse database.
 *
 * Three tools read; `place_order` changes the world and is not idempotent. So its intent is journaled before the call,
 * and the layer says how to find out, after a crash in between, whether the order was placed: each order carries the
 * key of the call that placed it.
 */
import { Plugin, ToolCall } from "@selvage/tools"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Demand, Offer, Order, OrderError, Stock, UnknownProduct, Warehouse } from "./Warehouse.ts"

const Sku = Schema.Struct({ sku: Schema.String.annotate({ description: "The SKU of the product" }) })

export const CheckStock = Tool.make("check_stock", {
  description: "Check the stock of a product: units there, units on order, reorder level",
  parameters: Sku,
  success: Stock,
  failure: UnknownProduct
}).annotate(Tool.Readonly, true)

export const ListOffers = Tool.make("list_offers", {
  description: "List the suppliers' offers for a product with unit price, lead time and minimum order",
  parameters: Sku,
  success: Schema.Struct({ offers: Schema.Array(Offer) }),
  failure: UnknownProduct
}).annotate(Tool.Readonly, true)

export const ForecastDemand = Tool.make("forecast_demand", {
  description: "Forecast the demand of a product from its history, with the units suggested to order",
  parameters: Sku,
  success: Demand,
  failure: UnknownProduct
}).annotate(Tool.Readonly, true)

const OrderParameters = Schema.Struct({
  sku: Schema.String.annotate({ description: "The SKU of the product to order" }),
  supplierId: Schema.String.annotate({ description: "The id of the supplier whose offer is taken" }),
  units: Schema.Int.annotate({
    description: "How many units to order: the suggested units, at least the offer's effective minimum units"
  })
})

/** Whether an order must be approved before it is placed. By default none must. */
export const ApprovalRule = Context.Reference<(order: typeof OrderParameters.Type) => Effect.Effect<boolean>>(
  "restock/ApprovalRule",
  { defaultValue: () => () => Effect.succeed(false) }
)

export const PlaceOrder = Tool.make("place_order", {
  description: "Place an order for a product with a supplier. Spends money and cannot be taken back",
  parameters: OrderParameters,
  success: Order,
  failure: OrderError,
  needsApproval: (order) => Effect.flatMap(ApprovalRule, (rule) => rule(order))
}).annotate(Tool.Destructive, true)

/** The contract: what an agent depends on. */
export const Purchasing = Plugin.make("purchasing", {
  version: "1.0.0",
  toolkit: Toolkit.make(CheckStock, ListOffers, ForecastDemand, PlaceOrder)
})

/** The implementation on the warehouse database. A database that fails is a defect here, not a model's mistake. */
export const PurchasingLive = Layer.unwrap(
  Effect.map(Warehouse, (warehouse) => {
    const known = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.catchIf(
        effect,
        (error): error is Extract<E, { readonly _tag: "SqlError" }> => error._tag === "SqlError",
        (error) => Effect.die(error)
      )
    return Purchasing.toLayer(
      {
        check_stock: ({ sku }) => known(warehouse.stock(sku)),
        list_offers: ({ sku }) => Effect.map(known(warehouse.offers(sku)), (offers) => ({ offers })),
        forecast_demand: ({ sku }) => known(warehouse.demand(sku)),
        place_order: Effect.fnUntraced(function* (order) {
          const call = yield* ToolCall.Current
          return yield* known(warehouse.placeOrder(call === undefined ? order : { ...order, idempotencyKey: call.key }))
        })
      },
      {
        reconcile: {
          place_order: (_, { key }) =>
            Effect.map(warehouse.orders, (orders) =>
              Option.fromUndefinedOr(orders.find((order) => order.idempotencyKey === key))
            )
        }
      }
    )
  })
)

/** Orders above this many cents are asked about. */
export const approvalAbove = (cents: number) =>
  Layer.effect(
    ApprovalRule,
    Effect.map(
      Warehouse,
      (warehouse) =>
        ({ sku, supplierId, units }: typeof OrderParameters.Type) =>
          warehouse.offers(sku).pipe(
            Effect.map((offers) => offers.find((offer) => offer.supplierId === supplierId)?.unitPriceCents ?? 0),
            // An order that cannot be priced is refused by the warehouse itself.
            Effect.catch(() => Effect.succeed(0)),
            Effect.map((unitPriceCents) => unitPriceCents * units > cents)
          )
    )
  )

/**
 * The purchasing agent and the graph that runs it: one task per product below its reorder level, each an agent with a
 * state of its own.
 */
import { Agent } from "@selvage/agent"
import { Channel, Graph, Limit, Node } from "@selvage/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Purchasing } from "./Purchasing.ts"
import { Product, Warehouse } from "./Warehouse.ts"

/** What the agent decides about a product. */
export const Choice = Schema.Struct({
  order: Schema.Boolean.annotate({ description: "Whether an order was placed" }),
  supplierId: Schema.NullOr(Schema.String).annotate({ description: "The id of the supplier the order went to" }),
  units: Schema.Int.annotate({ description: "The units ordered; 0 without an order" }),
  reasons: Schema.Array(Schema.String).annotate({ description: "Why, in short sentences" })
})

/** A decision with what it cost to reach it. */
export const Decision = Schema.Struct({
  sku: Schema.String,
  name: Schema.String,
  ...Choice.fields,
  turns: Schema.Int,
  inputTokens: Schema.Int,
  outputTokens: Schema.Int,
  /** US dollars; null where the model's price is not known. */
  usd: Schema.NullOr(Schema.Finite)
})
export type Decision = typeof Decision.Type

export const Buyer = Agent.make("buyer", {
  instructions: `You restock a warehouse, one product at a time. Check the stock, list the offers and forecast the demand.
Choose the cheapest offer with a price. Then place an order for the suggested units, at least the effective minimum units
of that offer. Do not order a discontinued product, a product whose stock is unknown, or a product without an offer. Do
not order twice. Give your reasons.`,
  tools: [Purchasing],
  output: Choice,
  limit: Limit.all(Limit.turns(12), Limit.within("3 minutes"), Limit.spend({ usd: 0.25, tokens: 200_000 }))
})

/** Answers a person's question about one product; orders only when asked to. */
export const Advisor = Agent.make("advisor", {
  instructions: `You answer questions about one product of a warehouse, in the words of the person who asks. Look up what
you need with the tools. Place an order only when the person asks for one.`,
  tools: [Purchasing],
  limit: Limit.all(Limit.turns(12), Limit.within("3 minutes"))
})

const decide = Agent.node(Buyer, {
  prompt: (product: Product) =>
    `Restock ${product.sku} (${product.name}), sold by the ${product.unit}. Place an order if it is needed.`,
  update: ({ output, turns }, { name, sku }) => ({
    decisions: [{ sku, name, ...(output ?? undecided("the agent gave no answer")), ...cost(turns) }]
  })
})

const undecided = (reason: string): typeof Choice.Type => ({
  order: false,
  supplierId: null,
  units: 0,
  reasons: [reason]
})

const cost = (turns: ReadonlyArray<Limit.Turn>) => ({
  turns: turns.length,
  inputTokens: turns.reduce((sum, turn) => sum + turn.inputTokens, 0),
  outputTokens: turns.reduce((sum, turn) => sum + turn.outputTokens, 0),
  usd: turns.some((turn) => turn.usd === undefined) ? null : turns.reduce((sum, turn) => sum + (turn.usd ?? 0), 0)
})

/** The job: find what is low, decide about each, eight at a time. */
export const Restock = Graph.make("restock", {
  state: {
    products: Channel.last(Schema.Array(Product), { initial: [] }),
    decisions: Channel.append(Decision)
  },
  nodes: {
    find: () =>
      Effect.map(
        Effect.flatMap(Warehouse, (warehouse) => Effect.orDie(warehouse.belowReorderLevel)),
        (products) => ({
          products
        })
      ),
    // A product that runs into a limit is left undecided and said so; the others go on.
    decide: Node.withInput(
      Product,
      Node.transform(decide, (run, { name, sku }) =>
        Effect.catchTag(run, "LimitReached", (limit) =>
          Effect.succeed({ decisions: [{ sku, name, ...undecided(limit.message), ...cost([]) }] })
        )
      )
    )
  },
  edges: {
    start: "find",
    find: {
      each: "decide",
      of: ({ products }) => products,
      keys: ({ products }) => products.map(({ sku }) => sku),
      concurrency: 8
    },
    decide: "end"
  }
})

/** What is printed at the end: a table of decisions, and what they cost. */
import * as Option from "effect/Option"
import type { Decision } from "./Restock.ts"
import type { Order } from "./Warehouse.ts"
import { fit, padEnd, padStart, width } from "./Width.ts"

/** Cents as an amount of money. */
export const euros = (cents: number): string =>
  `€${(cents / 100).toLocaleString("en-IE", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`

/** Rows as columns of equal width; columns named in `right` are aligned to the right. */
export const table = (
  header: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  right: ReadonlySet<number> = new Set()
): string => {
  const widths = header.map((title, index) => Math.max(width(title), ...rows.map((row) => width(row[index] ?? ""))))
  const line = (row: ReadonlyArray<string>) =>
    row
      .map((cell, index) => (right.has(index) ? padStart(cell, widths[index]!) : padEnd(cell, widths[index]!)))
      .join("  ")
      .trimEnd()
  return [line(header), widths.map((columns) => "─".repeat(columns)).join("  "), ...rows.map(line)].join("\n")
}

/** The table of decisions, in the order of the products. */
export const decisions = (list: ReadonlyArray<Decision>, orders: ReadonlyArray<Order>): string => {
  const placed = new Map(orders.map((order) => [order.sku, order]))
  return table(
    ["SKU", "Product", "Order", "Supplier", "Units", "Amount", "Turns", "Why"],
    list.map(({ name, order, reasons, sku, supplierId, turns, units }) => [
      sku,
      fit(name, 28),
      order ? "yes" : "no",
      supplierId ?? "",
      order ? String(units) : "",
      Option.match(Option.fromUndefinedOr(placed.get(sku)), {
        onNone: () => "",
        onSome: ({ costCents }) => euros(costCents)
      }),
      String(turns),
      fit(reasons[0] ?? "", 72)
    ]),
    new Set([4, 5, 6])
  )
}

/** The sums under the table. */
export const totals = (
  list: ReadonlyArray<Decision>,
  orders: ReadonlyArray<Order>,
  millis: number,
  model: string
): string => {
  const tokens = list.reduce((sum, { inputTokens, outputTokens }) => sum + inputTokens + outputTokens, 0)
  const unpriced = list.some(({ usd }) => usd === null)
  const usd = list.reduce((sum, decision) => sum + (decision.usd ?? 0), 0)
  return [
    `${list.length} products decided, ${orders.length} orders placed, ${euros(orders.reduce((sum, { costCents }) => sum + costCents, 0))} spent on stock`,
    `${tokens} tokens, model cost ${unpriced ? `unknown (no price for a model; known part $${usd.toFixed(4)})` : `$${usd.toFixed(4)}`}, ${(millis / 1000).toFixed(1)} s`,
    `model: ${model}`
  ].join("\n")
}

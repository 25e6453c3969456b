/**
 * Live progress: a pure fold of a run's events, and its two pictures, a block that redraws itself in a terminal and plain
 * lines without one.
 */
import type { Entry, Event } from "@selvage/core"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { Decision } from "./Restock.ts"
import { euros } from "./Report.ts"

/** What is known of the run so far. */
export interface Progress {
  readonly products: number
  readonly decided: number
  readonly steps: number
  readonly tokens: number
  readonly spentCents: number
  /** What each product under way is doing. */
  readonly active: ReadonlyMap<string, string>
}

export const empty: Progress = { products: 0, decided: 0, steps: 0, tokens: 0, spentCents: 0, active: new Map() }

const Decisions = Schema.Struct({ decisions: Schema.Array(Decision) })
const Products = Schema.Struct({ products: Schema.Array(Schema.Unknown) })
const Order = Schema.Struct({ costCents: Schema.Int })
const decodeDecisions = Schema.decodeUnknownOption(Decisions)
const decodeProducts = Schema.decodeUnknownOption(Products)
const decodeOrder = Schema.decodeUnknownOption(Order)

const resultsOf = (entry: Entry.Entry): ReadonlyArray<Entry.TaskResult> =>
  entry._tag === "TaskCompleted" ? [entry.result] : entry._tag === "StepCommitted" ? entry.results : []

/** The decisions that an entry brings. */
export const decisionsOf = (entry: Entry.Entry): ReadonlyArray<Decision> =>
  (entry._tag === "TaskCompleted" || entry._tag === "StepCommitted") && entry.path === ""
    ? resultsOf(entry).flatMap(({ update }) =>
        Option.match(decodeDecisions(update), { onNone: () => [], onSome: ({ decisions }) => decisions })
      )
    : []

const skuOf = (text: string): string | undefined => /decide\[([^\]]+)\]/.exec(text)?.[1]

/** Folds an event into the progress. Pure. */
export const update = (progress: Progress, event: Event.Event): Progress => {
  if (event._tag === "TaskStarted") {
    const sku = skuOf(event.path)
    return sku === undefined ? progress : { ...progress, active: new Map(progress.active).set(sku, event.task) }
  }
  if (event._tag !== "Journaled") return progress
  const { entry } = event
  const decisions = decisionsOf(entry)
  const active = new Map(progress.active)
  for (const { sku } of decisions) active.delete(sku)
  if (entry._tag === "AskOpened") {
    const sku = skuOf(entry.path)
    if (sku !== undefined) active.set(sku, "waits for approval")
  }
  const order = entry._tag === "Recorded" ? decodeOrder(recordedResult(entry.value)) : Option.none()
  const found = resultsOf(entry).flatMap(({ update }) => Option.toArray(decodeProducts(update)))
  return {
    products: found[0]?.products.length ?? progress.products,
    decided: progress.decided + decisions.length,
    steps: progress.steps + (entry._tag === "StepCommitted" ? 1 : 0),
    tokens: progress.tokens + decisions.reduce((sum, turn) => sum + turn.inputTokens + turn.outputTokens, 0),
    spentCents: progress.spentCents + Option.match(order, { onNone: () => 0, onSome: ({ costCents }) => costCents }),
    active
  }
}

const recordedResult = (value: unknown): unknown =>
  typeof value === "object" && value !== null && "result" in value ? value.result : value

/** One line on where the run stands. */
export const summary = ({ decided, products, spentCents, steps, tokens }: Progress): string =>
  `${decided}/${products} decided · ${steps} steps · ${tokens} tokens · ${euros(spentCents)} ordered`

/** The block of a terminal: the summary, and a line per product under way. */
export const block = (progress: Progress, columns: number): ReadonlyArray<string> =>
  [summary(progress), ...Array.from(progress.active, ([sku, doing]) => `  ${sku}  ${doing}`)].map((line) =>
    line.slice(0, Math.max(20, columns - 1))
  )

const decisionLine = ({ order, reasons, sku, supplierId, units }: Decision): string =>
  order ? `${sku}: ordered ${units} from ${supplierId}` : `${sku}: no order (${reasons[0] ?? "no reason given"})`

/**
 * Runs a stream of events and shows them. `columns` is the width of the terminal, or `undefined` for plain lines.
 */
export const show = Effect.fnUntraced(function* <E, R>(
  events: Stream.Stream<Event.Event, E, R>,
  columns: number | undefined,
  from: Progress
) {
  const stdio = yield* Stdio.Stdio
  const write = (text: string) => Stream.run(Stream.make(text), stdio.stdout({ endOnDone: false }))
  let progress = from
  let height = 0
  const clear = () => (height === 0 ? "" : `\u001b[${height}A\u001b[J`)
  yield* Stream.runForEach(events, (event) =>
    Effect.suspend(() => {
      progress = update(progress, event)
      const lines = event._tag === "Journaled" ? decisionsOf(event.entry).map(decisionLine) : []
      if (columns === undefined) {
        return lines.length === 0 ? Effect.void : Console.log(`${lines.join("\n")}  [${summary(progress)}]`)
      }
      const picture = block(progress, columns)
      const text = `${clear()}${lines.map((line) => `${line}\n`).join("")}${picture.join("\n")}\n`
      height = picture.length
      return write(text)
    })
  )
  return progress
})

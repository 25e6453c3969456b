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
import { euros } from "./Report.ts"
import { Decision } from "./Restock.ts"
import { fit, padEnd, width } from "./Width.ts"

/** A product that is being decided. */
export interface Active {
  readonly doing: string
  readonly steps: number
  readonly tokens: number
  readonly spentCents: number
}

/** What is known of the run so far. */
export interface Progress {
  /** The name of each product by its SKU. */
  readonly products: ReadonlyMap<string, string>
  readonly decided: number
  readonly steps: number
  readonly tokens: number
  readonly spentCents: number
  /** The products under way. */
  readonly active: ReadonlyMap<string, Active>
}

export const empty: Progress = {
  products: new Map(),
  decided: 0,
  steps: 0,
  tokens: 0,
  spentCents: 0,
  active: new Map()
}

const waits = "waits for approval"
const idle: Active = { doing: "starts", steps: 0, tokens: 0, spentCents: 0 }

const decodeDecisions = Schema.decodeUnknownOption(Schema.Struct({ decisions: Schema.Array(Decision) }))
const decodeProducts = Schema.decodeUnknownOption(
  Schema.Struct({ products: Schema.Array(Schema.Struct({ sku: Schema.String, name: Schema.String })) })
)
const decodeTurns = Schema.decodeUnknownOption(
  Schema.Struct({ turns: Schema.Array(Schema.Struct({ inputTokens: Schema.Int, outputTokens: Schema.Int })) })
)
/** The result of an order as its call was recorded; other tools have no `costCents`. */
const decodeOrder = Schema.decodeUnknownOption(
  Schema.Struct({ isFailure: Schema.Literal(false), result: Schema.Struct({ costCents: Schema.Int }) })
)

const resultsOf = (entry: Entry.Entry): ReadonlyArray<Entry.TaskResult> =>
  entry._tag === "TaskCompleted" ? [entry.result] : entry._tag === "StepCommitted" ? entry.results : []

/** The decisions that an entry brings. */
export const decisionsOf = (entry: Entry.Entry): ReadonlyArray<Decision> =>
  (entry._tag === "TaskCompleted" || entry._tag === "StepCommitted") && entry.path === ""
    ? resultsOf(entry).flatMap(({ update }) =>
        Option.match(decodeDecisions(update), { onNone: () => [], onSome: ({ decisions }) => decisions })
      )
    : []

const skuOf = (path: string): string | undefined => /^decide\[([^\]]+)\]/.exec(path)?.[1]

/** What a task does, in words. */
const doing = (task: string): string =>
  /^call\[(.+)\]$/.exec(task)?.[1] ?? (task === "model" ? "asks the model" : task === "answer" ? "decides" : task)

const tokensOf = (results: ReadonlyArray<Entry.TaskResult>): number =>
  results
    .flatMap(({ update }) => Option.match(decodeTurns(update), { onNone: () => [], onSome: ({ turns }) => turns }))
    .reduce((sum, turn) => sum + turn.inputTokens + turn.outputTokens, 0)

/** Folds an event into the progress. Pure. */
export const update = (progress: Progress, event: Event.Event): Progress => {
  const active = new Map(progress.active)
  const change = (path: string, to: (was: Active) => Active) => {
    const sku = skuOf(path)
    if (sku !== undefined) active.set(sku, to(active.get(sku) ?? idle))
  }
  if (event._tag === "TaskStarted") {
    change(event.path, (was) => ({ ...was, doing: doing(event.task) }))
    return { ...progress, active }
  }
  if (event._tag !== "Journaled") return progress
  const { entry } = event
  const path = "path" in entry ? entry.path : ""
  const results = resultsOf(entry)
  const steps = entry._tag === "StepCommitted" ? 1 : 0
  const tokens = tokensOf(results)
  const spentCents =
    entry._tag === "Recorded"
      ? Option.match(decodeOrder(entry.value), { onNone: () => 0, onSome: ({ result }) => result.costCents })
      : 0
  if (steps + tokens + spentCents > 0) {
    change(path, (was) => ({
      ...was,
      steps: was.steps + steps,
      tokens: was.tokens + tokens,
      spentCents: was.spentCents + spentCents
    }))
  }
  if (entry._tag === "AskOpened") change(path, (was) => ({ ...was, doing: waits }))
  const decisions = decisionsOf(entry)
  for (const { sku } of decisions) active.delete(sku)
  const found = path === "" ? results.flatMap((result) => Option.toArray(decodeProducts(result.update)))[0] : undefined
  return {
    products: found === undefined ? progress.products : new Map(found.products.map(({ name, sku }) => [sku, name])),
    decided: progress.decided + decisions.length,
    steps: progress.steps + steps,
    tokens: progress.tokens + tokens,
    spentCents: progress.spentCents + spentCents,
    active
  }
}

const counted = (count: number, unit: string) => `${count} ${count === 1 ? unit : `${unit}s`}`

const amounts = ({ spentCents, steps, tokens }: Active | Progress): string =>
  `${counted(steps, "step")} · ${counted(tokens, "token")} · ${euros(spentCents)}`

/** One line on where the run stands. */
export const summary = (progress: Progress): string =>
  `${progress.decided}/${progress.products.size} decided · ${amounts(progress)} ordered`

/** The size of a terminal. */
export interface Size {
  readonly columns: number
  readonly rows: number
}

/**
 * The block of a terminal: the summary, and a line per product under way. It is never higher than the screen, and no
 * line wraps: else going back over it would miss its first lines.
 */
export const block = (progress: Progress, { columns, rows }: Size): ReadonlyArray<string> => {
  const waiting = ({ doing }: Active) => doing === waits
  const under = [...progress.active]
  // What works comes first: what waits is the same for long.
  const ordered = [...under.filter(([, own]) => !waiting(own)), ...under.filter(([, own]) => waiting(own))]
  const told = ordered.map(([, own]) => `${padEnd(own.doing, 18)} ${amounts(own)}`)
  const name = Math.min(28, Math.max(8, columns - 14 - Math.max(0, ...told.map(width))))
  const lines = ordered.map(
    ([sku], index) => `  ${padEnd(sku, 8)} ${padEnd(fit(progress.products.get(sku) ?? "", name), name)} ${told[index]}`
  )
  const room = Math.max(0, rows - 3)
  const shown = lines.length <= room ? lines : lines.slice(0, Math.max(0, room - 1))
  const rest = lines.length - shown.length
  return [summary(progress), ...shown, ...(rest > 0 && room > 0 ? [`  … and ${rest} more`] : [])].map((line) =>
    fit(line, Math.max(1, columns - 1))
  )
}

const decisionLine = ({ order, reasons, sku, supplierId, units }: Decision): string =>
  order ? `${sku}: ordered ${units} from ${supplierId}` : `${sku}: no order (${reasons[0] ?? "no reason given"})`

/**
 * Runs a stream of events and shows them; `size` is that of the terminal, or `undefined` for plain lines. The block is
 * gone when it ends, however it ends: what comes next has the screen for itself.
 */
export const show = Effect.fnUntraced(function* <E, R, E2, R2>(
  events: Stream.Stream<Event.Event, E, R>,
  size: Effect.Effect<Size, E2, R2> | undefined,
  from: Progress
) {
  const stdio = yield* Stdio.Stdio
  const write = (text: string) => Stream.run(Stream.make(text), stdio.stdout({ endOnDone: false }))
  let progress = from
  let drawn: ReadonlyArray<string> = []
  const clear = () => (drawn.length === 0 ? "" : `\u001b[${drawn.length}A\r\u001b[J`)
  const draw = Effect.fnUntraced(function* (own: Effect.Effect<Size, E2, R2>, lines: ReadonlyArray<string>) {
    const current = yield* own
    const picture = block(progress, current)
    if (lines.length === 0 && picture.join("\n") === drawn.join("\n")) return
    const above = lines.map((line) => `${fit(line, current.columns - 1)}\n`).join("")
    const text = `${clear()}${above}${picture.join("\n")}\n`
    drawn = picture
    yield* write(text)
  })
  yield* Stream.runForEach(events, (event) =>
    Effect.suspend(() => {
      progress = update(progress, event)
      const lines = event._tag === "Journaled" ? decisionsOf(event.entry).map(decisionLine) : []
      if (size !== undefined) return draw(size, lines)
      return Effect.forEach(lines, (line) => Console.log(`${fit(line, 300)}  [${summary(progress)}]`), {
        discard: true
      })
    })
  ).pipe(Effect.ensuring(Effect.suspend(() => (drawn.length === 0 ? Effect.void : Effect.ignore(write(clear()))))))
  return progress
})

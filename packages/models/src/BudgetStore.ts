/**
 * Where the accounts of budgets are kept: what was spent, and what is held for calls that are under way.
 *
 * A *book* is one account in one window (`user:42 day Europe/Zurich`). It has *slots*, the parts of time whose spending
 * counts until a stated end, and *holds*, amounts reserved until they are settled, released or expire. A store knows
 * neither windows nor prices: a request says which slot it is charged to and when that slot ends.
 *
 * **Laws** of every store
 *
 * - `reserve` is all or nothing over its lines, and one atomic step: no two callers see the same room.
 * - What counts of a book at a time is the sum of its slots that have not ended and of its holds that have not expired and
 *   whose slot has not ended. A hold is granted only if this sum, with it, is within the ceiling.
 * - Time may go back, and all of this holds: a slot that has ended and a hold that has expired by a later time count again by an
 *   earlier one, so a clock that is set gives no fresh ceiling. For this a store drops nothing by what a clock says alone: it
 *   keeps the last slots and holds of a book however old they are, and of older slots the sum ({@link foldEnded}).
 * - `settle` counts the usage once. The hold may have expired: late usage counts, for as long as the hold is remembered.
 * - `renew` says anew when a hold expires. One that has expired counts again, though there may be no room for it any more: what it
 *   is held for goes on.
 * - Amounts are whole numbers up to 2^53, so there is no drift.
 *
 * **Gotchas**
 *
 * - Time is the caller's clock. Machines that share a store must agree on it to well within the life of a hold.
 * - A hold that expired is remembered for {@link Options.remember}, and longer while it is one of the last thousand of its book.
 *   Usage that is settled later than that is not counted.
 *
 * ```ts
 * import * as BudgetStore from "@selvage/models/BudgetStore"
 * import * as BudgetStoreSql from "@selvage/models/BudgetStoreSql"
 * import * as SqliteClient from "@selvage/sqlite/SqliteClient"
 * import * as Layer from "effect/Layer"
 *
 * export const inProcess = BudgetStore.layerMemory()
 * export const shared = BudgetStoreSql.layer().pipe(Layer.provide(SqliteClient.layer({ filename: "budgets.db" })))
 * ```
 */
import type * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { format } from "effect/Formatter"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { elapsedMillis } from "./internal/elapsed.ts"
import { immediate } from "./internal/immediate.ts"

/** Tokens, and money in micro-dollars (millionths of a US dollar). Both are whole and not negative. */
export interface Amount {
  readonly tokens: number
  readonly micros: number
}

/** Nothing. */
export const zero: Amount = { tokens: 0, micros: 0 }

/** Both together. */
export const add = (self: Amount, that: Amount): Amount => ({
  tokens: self.tokens + that.tokens,
  micros: self.micros + that.micros
})

/** An amount several times. */
export const times = (self: Amount, count: number): Amount => ({
  tokens: self.tokens * count,
  micros: self.micros * count
})

/** The end of a slot that always counts. */
export const never: number = Number.MAX_SAFE_INTEGER

/** What is charged where. Times are milliseconds since the epoch. */
export interface Charge {
  readonly book: string
  /** The start of the slot. */
  readonly slot: number
  /** When what is charged to the slot counts no longer; {@link never} for a window without end. */
  readonly ends: number
}

/** A charge with the ceiling that it must fit under. */
export interface Line extends Charge {
  readonly ceiling: { readonly tokens?: number | undefined; readonly micros?: number | undefined }
  /** How many holds the book may have at a time. */
  readonly maxHolds: number
}

/** What counts of a book at a time. */
export interface Sums {
  readonly spent: Amount
  readonly reserved: Amount
  readonly holds: number
}

/** What a slot of a book has spent and reserved. */
export interface SlotSums {
  readonly ends: number
  readonly amount: Amount
}

/** What a ceiling limits. */
export type Resource = "tokens" | "money" | "holds"

/** The answer to a reservation. A refusal names the first line that has no room, and what its slots hold. */
export type Reply =
  | { readonly _tag: "Reserved" }
  | {
      readonly _tag: "Refused"
      readonly index: number
      readonly resource: Resource
      readonly sums: Sums
      readonly slots: ReadonlyArray<SlotSums>
    }

/**
 * The answer to a settlement: for each charge what counted as spent of its book before, or undefined where there was no
 * hold to settle (settled or released before, forgotten) and nothing was counted.
 */
export type Settlement = ReadonlyArray<Amount | undefined>

// Some errors, such as Redis', have their message in their cause.
const told = (cause: unknown): string =>
  cause instanceof Error ? cause.message || told(cause.cause) : typeof cause === "string" ? cause : format(cause)

/** The store of budgets cannot be used now. */
export class BudgetUnavailable extends Schema.TaggedError<BudgetUnavailable>()("BudgetUnavailable", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The store of budgets could not ${this.operation}; without it nothing may be spent: check that it is reachable and try again. ${told(this.cause)}`
  }
}

/** Where accounts are kept. */
export interface Service {
  /** Holds the amount in every line's book, or in none. `id` must be new. */
  readonly reserve: (request: {
    readonly id: string
    readonly lines: Arr.NonEmptyReadonlyArray<Line>
    readonly amount: Amount
    readonly now: number
    readonly expires: number
  }) => Effect.Effect<Reply, BudgetUnavailable>
  /** Says anew when a hold expires: mostly later than it would. Nothing happens if there is none. */
  readonly renew: (request: {
    readonly id: string
    readonly charges: Arr.NonEmptyReadonlyArray<Charge>
    readonly now: number
    readonly expires: number
  }) => Effect.Effect<void, BudgetUnavailable>
  /** Ends a hold and counts what was really used. */
  readonly settle: (request: {
    readonly id: string
    readonly charges: Arr.NonEmptyReadonlyArray<Charge>
    readonly usage: Amount
    readonly now: number
  }) => Effect.Effect<Settlement, BudgetUnavailable>
  /** Ends a hold. Nothing happens if there is none. */
  readonly release: (request: {
    readonly id: string
    readonly charges: Arr.NonEmptyReadonlyArray<Charge>
    readonly now: number
  }) => Effect.Effect<void, BudgetUnavailable>
  /** What counts of each book. */
  readonly sums: (books: ReadonlyArray<string>, now: number) => Effect.Effect<ReadonlyArray<Sums>, BudgetUnavailable>
  /** Removes books with all that they spent: for accounts that are over, such as those of a finished run. */
  readonly forget: (books: ReadonlyArray<string>) => Effect.Effect<void, BudgetUnavailable>
}

/** Where accounts are kept. */
export class BudgetStore extends Context.Service<BudgetStore, Service>()("selvage/models/BudgetStore") {}

/** Options of every store. */
export interface Options {
  /** How long an expired hold and an ended slot are remembered. Default 7 days. */
  readonly remember?: Duration.Input | undefined
}

/** How long an expired hold and an ended slot are remembered, in milliseconds. */
export const rememberMillis = (options: Options | undefined): number =>
  Duration.toMillis(Duration.fromInputUnsafe(options?.remember ?? "7 days"))

/** What of a line has no room for the amount, if anything. */
export const lacking = ({ ceiling, maxHolds }: Line, sums: Sums, amount: Amount): Resource | undefined => {
  const exceeds = (limit: number | undefined, unit: keyof Amount) =>
    limit !== undefined && sums.spent[unit] + sums.reserved[unit] + amount[unit] > limit
  if (exceeds(ceiling.tokens, "tokens")) return "tokens"
  if (exceeds(ceiling.micros, "micros")) return "money"
  return sums.holds >= maxHolds ? "holds" : undefined
}

/** A slot of a book: when it began, until when it counts, and what was spent in it. */
export interface Slot {
  readonly slot: number
  readonly ends: number
  readonly amount: Amount
}

/** How many slots that have ended a book has at most; half of them stay when they are folded. */
export const maxEnded = 64

/** How many holds of a book are remembered however long ago they expired. */
export const keptHolds = 1_000

/**
 * Where a book has too many slots that ended long ago, the older ones in place of which one is kept, with their sum, until the
 * last of them ended: should a clock go back, what counts is never less than what was spent.
 */
export const foldEnded = (
  ended: ReadonlyArray<Slot>
): { readonly folded: ReadonlyArray<Slot>; readonly into: Slot } | undefined => {
  if (ended.length <= maxEnded) return undefined
  const [last, ...others] = [...ended].sort((one, other) => other.ends - one.ends).slice(maxEnded / 2)
  if (last === undefined) return undefined
  const sum = others.reduce((sum, { amount }) => add(sum, amount), last.amount)
  const most = (value: number) => Math.min(value, Number.MAX_SAFE_INTEGER)
  const amount = { tokens: most(sum.tokens), micros: most(sum.micros) }
  return { folded: [last, ...others], into: { ...last, amount } }
}

interface Hold extends Charge {
  readonly expires: number
  readonly amount: Amount
}

interface Book {
  readonly slots: Map<number, Slot>
  readonly holds: Map<string, Hold>
  /** When it was last reserved in, by time that passes. */
  touched: number
}

const sumsOf = (book: Book | undefined, now: number): Sums => {
  const spent = { tokens: 0, micros: 0 }
  const reserved = { tokens: 0, micros: 0 }
  let holds = 0
  const count = (sum: { tokens: number; micros: number }, amount: Amount) => {
    sum.tokens += amount.tokens
    sum.micros += amount.micros
  }
  if (book === undefined) return { spent, reserved, holds }
  for (const slot of book.slots.values()) if (slot.ends > now) count(spent, slot.amount)
  for (const hold of book.holds.values()) {
    if (hold.expires <= now || hold.ends <= now) continue
    count(reserved, hold.amount)
    holds++
  }
  return { spent, reserved, holds }
}

const slotsOf = (book: Book | undefined, now: number): ReadonlyArray<SlotSums> => [
  ...[...(book?.slots.values() ?? [])].filter(({ ends }) => ends > now),
  ...[...(book?.holds.values() ?? [])].filter(({ ends, expires }) => ends > now && expires > now)
]

/** Drops what is remembered no longer. */
const prune = ({ holds, slots }: Book, before: number): void => {
  if (slots.size > maxEnded) {
    const fold = foldEnded([...slots.values()].filter(({ ends }) => ends <= before))
    for (const { slot } of fold?.folded ?? []) slots.delete(slot)
    if (fold !== undefined) slots.set(fold.into.slot, fold.into)
  }
  if (holds.size > keptHolds) {
    const old = [...holds].sort(([, one], [, other]) => other.expires - one.expires).slice(keptHolds)
    for (const [id, { expires }] of old) if (expires <= before) holds.delete(id)
  }
}

/** Whether all of it is remembered no longer. */
const isOver = ({ holds, slots }: Book, before: number): boolean =>
  [...slots.values()].every(({ ends }) => ends <= before) &&
  [...holds.values()].every(({ expires }) => expires <= before)

/** Options of the store in memory. */
export interface MemoryOptions extends Options {
  /**
   * How many books it has at most. When they are all in use a reservation in a new one fails with
   * {@link BudgetUnavailable}: nothing that counts is dropped. Default 100,000.
   */
  readonly maxBooks?: number | undefined
}

/** Accounts in the memory of this process. */
export const makeMemory = (options?: MemoryOptions): Service => {
  const remember = rememberMillis(options)
  const maxBooks = options?.maxBooks ?? 100_000
  const books = new Map<string, Book>()

  const open = (name: string): Book => {
    const known = books.get(name)
    if (known !== undefined) return known
    const made: Book = { slots: new Map(), holds: new Map(), touched: 0 }
    books.set(name, made)
    return made
  }

  const isFull = (lines: ReadonlyArray<Line>, now: number, elapsed: number): boolean => {
    const added = lines.filter(({ book }) => !books.has(book)).length
    if (added === 0 || books.size + added <= maxBooks) return false
    // By the clock, and by the time that really passed.
    for (const [name, book] of books) {
      if (isOver(book, now - remember) && book.touched <= elapsed - remember) books.delete(name)
    }
    return books.size + added > maxBooks
  }

  const full = () =>
    new BudgetUnavailable({
      operation: "open another account in memory",
      cause: `All ${maxBooks} are in use: forget those that are over (Ledger.forget), raise maxBooks, or use a store outside of memory.`
    })

  return immediate({
    reserve: ({ amount, expires, id, lines, now }) =>
      Effect.withFiber((fiber): Effect.Effect<Reply, BudgetUnavailable> => {
        const elapsed = elapsedMillis(fiber.getRef(Clock.Clock))
        for (const [index, line] of lines.entries()) {
          const book = books.get(line.book)
          if (book !== undefined) prune(book, now - remember)
          const sums = sumsOf(book, now)
          const resource = lacking(line, sums, amount)
          if (resource !== undefined) {
            return Effect.succeed({ _tag: "Refused", index, resource, sums, slots: slotsOf(book, now) })
          }
        }
        if (isFull(lines, now, elapsed)) return Effect.fail(full())
        for (const { book: name, ends, slot } of lines) {
          const book = open(name)
          book.holds.set(id, { book: name, slot, ends, expires, amount })
          book.touched = elapsed
        }
        return Effect.succeed({ _tag: "Reserved" })
      }),
    renew: ({ charges, expires, id }) =>
      Effect.sync(() => {
        for (const { book } of charges) {
          const hold = books.get(book)?.holds.get(id)
          if (hold !== undefined) books.get(book)?.holds.set(id, { ...hold, expires })
        }
      }),
    settle: ({ charges, id, now, usage }) =>
      Effect.sync(() =>
        charges.map(({ book: name, ends, slot }) => {
          const book = books.get(name)
          if (book === undefined || !book.holds.has(id)) return undefined
          const { spent } = sumsOf(book, now)
          book.holds.delete(id)
          const known = book.slots.get(slot)
          const until = Math.max(ends, known?.ends ?? ends)
          book.slots.set(slot, { slot, ends: until, amount: add(known?.amount ?? zero, usage) })
          return spent
        })
      ),
    release: ({ charges, id }) =>
      Effect.sync(() => {
        for (const { book } of charges) books.get(book)?.holds.delete(id)
      }),
    sums: (names, now) => Effect.sync(() => names.map((name) => sumsOf(books.get(name), now))),
    forget: (names) =>
      Effect.sync(() => {
        for (const name of names) books.delete(name)
      })
  })
}

/** {@link makeMemory} as a layer: for one process, and gone with it. */
export const layerMemory = (options?: MemoryOptions): Layer.Layer<BudgetStore> =>
  Layer.sync(BudgetStore, () => BudgetStore.of(makeMemory(options)))

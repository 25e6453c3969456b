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
 * - `settle` counts the usage once. The hold may have expired: late usage counts, for as long as the hold is remembered.
 * - `renew` lets a hold expire later. One that has expired counts again, though there may be no room for it any more: what it
 *   is held for goes on.
 * - Amounts are whole numbers up to 2^53, so there is no drift.
 *
 * **Gotchas**
 *
 * - Time is the caller's clock. Machines that share a store must agree on it to well within the life of a hold.
 * - A hold that expired is remembered for {@link Options.remember}. Usage that is settled later than that is refused.
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
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { format } from "effect/Formatter"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
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
  /** Lets a hold end later than it would. Nothing happens if there is none. */
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

interface Slot {
  readonly ends: number
  amount: Amount
}

interface Hold extends Charge {
  readonly expires: number
  readonly amount: Amount
}

interface Book {
  readonly slots: Map<number, Slot>
  readonly holds: Map<string, Hold>
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

/** Drops what is remembered no longer. True if nothing is left. */
const prune = (book: Book, before: number): boolean => {
  for (const [start, { ends }] of book.slots) if (ends <= before) book.slots.delete(start)
  for (const [id, { expires }] of book.holds) if (expires <= before) book.holds.delete(id)
  return book.slots.size === 0 && book.holds.size === 0
}

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
    const made: Book = { slots: new Map(), holds: new Map() }
    books.set(name, made)
    return made
  }

  const isFull = (lines: ReadonlyArray<Line>, now: number): boolean => {
    const added = lines.filter(({ book }) => !books.has(book)).length
    if (added === 0 || books.size + added <= maxBooks) return false
    for (const [name, book] of books) if (prune(book, now - remember)) books.delete(name)
    return books.size + added > maxBooks
  }

  const full = () =>
    new BudgetUnavailable({
      operation: "open another account in memory",
      cause: `All ${maxBooks} are in use: forget those that are over (Ledger.forget), raise maxBooks, or use a store outside of memory.`
    })

  return immediate({
    reserve: ({ amount, expires, id, lines, now }) =>
      Effect.suspend((): Effect.Effect<Reply, BudgetUnavailable> => {
        for (const [index, line] of lines.entries()) {
          const book = books.get(line.book)
          if (book !== undefined) prune(book, now - remember)
          const sums = sumsOf(book, now)
          const resource = lacking(line, sums, amount)
          if (resource !== undefined) {
            return Effect.succeed({ _tag: "Refused", index, resource, sums, slots: slotsOf(book, now) })
          }
        }
        if (isFull(lines, now)) return Effect.fail(full())
        for (const { book, ends, slot } of lines) open(book).holds.set(id, { book, slot, ends, expires, amount })
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
          book.slots.set(slot, { ends, amount: add(book.slots.get(slot)?.amount ?? zero, usage) })
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

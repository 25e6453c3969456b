/** Accounts of budgets as data, and the arithmetic of their windows: pure. */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { add, type Amount, type Line, never, type SlotSums, zero } from "../BudgetStore.ts"

const Zone = Schema.String.check(
  Schema.makeFilter((zone) => Option.isSome(DateTime.zoneMakeNamed(zone)), {
    expected: "an IANA time zone such as Europe/Zurich, or UTC"
  })
)

const Length = Schema.String.check(
  Schema.makeFilter(
    (text) => Option.exists(Duration.fromInput(text as Duration.Input), (length) => Duration.toMillis(length) >= 1),
    { expected: "a duration such as 24 hours" }
  )
)

/** The calendar day, week (from Monday) or month of a time zone. */
export const Calendar = Schema.Struct({ every: Schema.Literals(["day", "week", "month"]), zone: Zone })

/**
 * The time that just passed: `{ last: "24 hours" }`. It moves on in `slices` (default 24): what was spent counts until its
 * whole slice is past, so at most one slice longer than the window, and never shorter.
 */
export const Rolling = Schema.Struct({
  last: Length,
  slices: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 })))
})

/** When spending counts. */
export const Window = Schema.Union([Calendar, Rolling])

/** When spending counts. */
export type Window = typeof Window.Type

/**
 * An account: whose tokens and money, and how much. With neither `tokens` nor `dollars` it has no ceiling and only counts.
 *
 * - `name`: one name is one account for everyone who shares the store: `tenant:acme`, `user:42`, `run:7f3a`.
 * - `tokens`, `dollars`: the ceilings, of input and output together. Dollars count to the millionth.
 * - `window`: the calendar day, week or month of a time zone, or the time that just passed; left out: for ever.
 * - `onExhausted`: `fail` (default), `wait` until there is room, or `step-down` to the cheaper model of the middleware.
 * - `alerts`: parts of a ceiling at which spending is reported. Default 0.8 and 1.
 */
export class Account extends Schema.Class<Account>("selvage/models/Account")({
  name: Schema.NonEmptyString,
  tokens: Schema.optional(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  dollars: Schema.optional(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }))),
  window: Schema.optional(Window),
  onExhausted: Schema.optional(Schema.Literals(["fail", "wait", "step-down"])),
  alerts: Schema.optional(Schema.Array(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))))
}) {}

/** What an account is when it is written: plain data. */
export type Input = typeof Account.Encoded

/** The accounts that what runs in this fiber is charged to, the outermost first. */
export const Accounts = Context.Reference<ReadonlyArray<Account>>("selvage/models/Budget/Accounts", {
  defaultValue: () => []
})

/** Accounts that a call is charged to already by a budget further out, and which are no matter of one further in. */
interface Charged {
  /** That of the call: what else is asked on the way down has its own. */
  readonly span: unknown
  readonly ledger: unknown
  readonly books: ReadonlySet<string>
}

/** What the calls that this fiber is in are charged to. */
export const ChargedAccounts = Context.Reference<ReadonlyArray<Charged>>("selvage/models/Budget/ChargedAccounts", {
  defaultValue: () => []
})

/** Charges what an effect spends to these accounts too, besides those that it runs in already. */
export const withAccounts: {
  (accounts: ReadonlyArray<Input>): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, accounts: ReadonlyArray<Input>): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, accounts: ReadonlyArray<Input>): Effect.Effect<A, E, R> => {
  const made = accounts.map(toAccount)
  return Effect.flatMap(Accounts, (outer) => Effect.provideService(self, Accounts, [...outer, ...made]))
})

const decode = Schema.decodeSync(Account)

/** An account out of plain data. Throws what is wrong with it. */
export const toAccount = (account: Input): Account => (account instanceof Account ? account : decode(account))

/** A window for a person, and part of the name of the account's book: `day Europe/Zurich`, `last 24h`. */
export const windowName = (window: Window | undefined): string => {
  if (window === undefined) return ""
  if ("every" in window) return `${window.every} ${window.zone}`
  return `last ${window.last}${window.slices === undefined ? "" : ` in ${window.slices}`}`
}

/** The name of the book of an account: accounts of one name with other windows are counted apart. */
export const bookOf = ({ name, window }: Account): string =>
  window === undefined ? name : `${name} (${windowName(window)})`

/** A part of time: when it begins, which names it, and when what was charged to it counts no longer. */
interface Slot {
  readonly slot: number
  readonly ends: number
}

/** When a wall clock of the zone first shows this time; where it skips the time, when it has skipped it. */
const whenShown = (wall: DateTime.Utc, zone: string): number =>
  DateTime.toEpochMillis(
    DateTime.makeZonedUnsafe(wall, { timeZone: zone, adjustForTimeZone: true, disambiguation: "compatible" })
  )

const oneOf = { day: { days: 1 }, week: { weeks: 1 }, month: { months: 1 } } as const

/**
 * The window of the calendar that an instant is in. A window begins when a clock of the zone first shows the first midnight
 * of its day, week or month, and ends where the next begins. So windows divide time whatever clocks do: an hour that is shown
 * twice belongs to the window that has begun, also where it is shown with the date of the day before, and a date that a zone
 * skips has no window.
 */
const calendarWindow = ({ every, zone }: typeof Calendar.Type, now: number): Slot => {
  const shown = DateTime.makeUnsafe(DateTime.toDate(DateTime.makeZonedUnsafe(now, { timeZone: zone })))
  let first = DateTime.startOf(shown, every, { weekStartsOn: 1 })
  let slot = whenShown(first, zone)
  while (slot > now) {
    first = DateTime.subtract(first, oneOf[every])
    slot = whenShown(first, zone)
  }
  for (;;) {
    first = DateTime.add(first, oneOf[every])
    const ends = whenShown(first, zone)
    if (ends > now) return { slot, ends }
    slot = ends
  }
}

// Time zone arithmetic takes longer than all the rest; the current slot of a calendar is the answer nearly always.
const current = new Map<string, Slot>()
const calendarSlot = (window: typeof Calendar.Type, now: number): Slot => {
  const name = windowName(window)
  const known = current.get(name)
  if (known !== undefined && known.slot <= now && now < known.ends) return known
  const made = calendarWindow(window, now)
  if (current.size >= 256) current.clear()
  current.set(name, made)
  return made
}

/** The slot that an instant is charged to: the same one for every instant of a window, or of a slice of a rolling one. */
export const slotOf = (window: Window | undefined, now: number): Slot => {
  if (window === undefined) return { slot: 0, ends: never }
  if ("every" in window) return calendarSlot(window, now)
  const length = Duration.toMillis(Duration.fromInputUnsafe(window.last as Duration.Input))
  const slice = Math.ceil(length / (window.slices ?? 24))
  const slot = Math.floor(now / slice) * slice
  return { slot, ends: slot + slice + length }
}

/** How many micro-dollars a ceiling in dollars is. */
export const microsOf = (dollars: number): number => Math.round(dollars * 1_000_000)

/** What a reservation at a time asks of an account. */
export const lineOf = (account: Account, now: number, maxHolds: number): Line => ({
  book: bookOf(account),
  ...slotOf(account.window, now),
  ceiling: {
    tokens: account.tokens,
    micros: account.dollars === undefined ? undefined : microsOf(account.dollars)
  },
  maxHolds
})

const lower = (self: number | undefined, that: number | undefined): number | undefined =>
  self === undefined ? that : that === undefined ? self : Math.min(self, that)

/** One account for each book. Of several for one book the lowest ceilings count, and else the outermost. */
export const distinct = (accounts: ReadonlyArray<Account>): ReadonlyArray<Account> => {
  const books = new Map<string, Account>()
  for (const account of accounts) {
    const book = bookOf(account)
    const outer = books.get(book)
    const tokens = lower(outer?.tokens, account.tokens)
    const dollars = lower(outer?.dollars, account.dollars)
    books.set(
      book,
      outer === undefined || (tokens === outer.tokens && dollars === outer.dollars)
        ? (outer ?? account)
        : new Account({ ...outer, tokens, dollars })
    )
  }
  return [...books.values()]
}

/**
 * When slots will have ended so that the amount fits, if nothing else is spent; undefined if it never will, because the
 * amount alone is above the ceiling or what is spent counts for ever.
 */
export const freesAt = (line: Line, amount: Amount, slots: ReadonlyArray<SlotSums>): number | undefined => {
  const { micros = Infinity, tokens = Infinity } = line.ceiling
  let counted = slots.reduce((sum, slot) => add(sum, slot.amount), zero)
  const fits = () => counted.tokens + amount.tokens <= tokens && counted.micros + amount.micros <= micros
  for (const slot of [...slots].sort((one, other) => one.ends - other.ends)) {
    if (slot.ends >= never) return undefined
    counted = { tokens: counted.tokens - slot.amount.tokens, micros: counted.micros - slot.amount.micros }
    if (fits()) return slot.ends
  }
  return undefined
}

/**
 * The ledger: reserves an amount in several accounts at once, settles it with what was really used, or releases it.
 *
 * {@link Budget} keeps a model within its accounts by it; use it directly for what else costs money.
 *
 * - A reservation is granted in all accounts or in none, and only where it fits under every ceiling with what is spent and
 *   reserved already. However many callers there are, spending passes a ceiling only by what usage was above its estimate.
 * - A reservation that is never settled, because its process died, holds its amount until it expires
 *   ({@link Options.holdFor}). Usage that is settled later still counts. What takes longer is kept ({@link Service.keep}).
 * - Usage is charged to the window in which it was reserved.
 * - A clock that is set back or forward gives no fresh ceiling. What was spent counts until its window has ended by the clock;
 *   what this process holds is held for the time that passes, not until a time of day.
 *
 * **Gotchas**
 *
 * - Callers that wait for one account are served in order within a process; another process, or a caller who comes when
 *   there is room, may be before them.
 * - After a clock of a machine was set forward by more than a third of `holdFor`, processes that share a store renew what they
 *   hold within another third, each before it reserves again: until then a process may be granted what another one holds.
 * - What was spent while a clock was ahead counts until the window that it showed has ended. Should that take too long, `forget`
 *   the account.
 * - {@link events} keeps the last 256 events for a reader that is behind, and drops older ones.
 *
 * **Example**
 *
 * ```ts
 * import * as BudgetLedger from "@selvage/models/BudgetLedger"
 * import * as BudgetStore from "@selvage/models/BudgetStore"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const user = { name: "user:42", dollars: 0.5, window: { every: "day", zone: "Europe/Zurich" } } as const
 *
 * export const search = Effect.gen(function* () {
 *   const ledger = yield* BudgetLedger.Ledger
 *   const reservation = yield* ledger.reserve([user], { tokens: 0, micros: 5_000 })
 *   yield* Effect.log("asking a search service for half a cent")
 *   yield* ledger.settle(reservation, { tokens: 0, micros: 5_000 })
 * }).pipe(
 *   Effect.catchTag("BudgetExceeded", (error) => Effect.logWarning(error.message)),
 *   Effect.provide(BudgetLedger.layer().pipe(Layer.provide(BudgetStore.layerMemory())))
 * )
 * ```
 */
import * as Event from "@selvage/core/Event"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import {
  type Amount,
  BudgetStore,
  BudgetUnavailable,
  type Line,
  type Reply,
  type Settlement,
  type Sums
} from "./BudgetStore.ts"
import {
  type Account,
  bookOf,
  distinct,
  freesAt,
  type Input,
  lineOf,
  toAccount,
  windowName
} from "./internal/budgetAccount.ts"
import { bounded } from "./internal/bounded.ts"
import { makeHolds } from "./internal/budgetHolds.ts"
import { elapsedMillis } from "./internal/elapsed.ts"
import { isImmediate } from "./internal/immediate.ts"
import { askAgain } from "./internal/retrying.ts"

const inUnit = (resource: "tokens" | "money" | "holds", value: number): string =>
  resource === "money" ? `$${(value / 1_000_000).toFixed(6).replace(/(\.\d\d\d*?)0+$/, "$1")}` : `${value} ${resource}`

/** An account has no room for what was asked. */
export class BudgetExceeded extends Schema.TaggedError<BudgetExceeded>()("BudgetExceeded", {
  account: Schema.String,
  /** `day Europe/Zurich`, `last 24 hours`; empty for an account without window. */
  window: Schema.String,
  /** What ran out. Money is in micro-dollars below; `holds` is how many reservations may be open. */
  resource: Schema.Literals(["tokens", "money", "holds"]),
  ceiling: Schema.Int,
  spent: Schema.Int,
  reserved: Schema.Int,
  asked: Schema.Int,
  /** When past spending will have left the window so that the amount fits; absent if it never will by time alone. */
  freesAt: Schema.optionalKey(Schema.DateTimeUtcFromString),
  onExhausted: Schema.Literals(["fail", "wait", "step-down"])
}) {
  override get message(): string {
    const name = this.window === "" ? this.account : `${this.account} (${this.window})`
    const unit = (value: number) => inUnit(this.resource, value)
    const then =
      this.asked > this.ceiling
        ? "it is more than the whole ceiling: raise the ceiling, or ask for less"
        : this.freesAt === undefined
          ? "raise the ceiling, or wait for what is reserved to be released"
          : `it fits at ${DateTime.formatIso(this.freesAt)} at the latest, if nothing else is spent: wait, or raise the ceiling`
    return `The account ${name} cannot pay ${unit(this.asked)}: of ${unit(this.ceiling)}, ${unit(this.spent)} are spent and ${unit(this.reserved)} are reserved; ${then}.`
  }
}

/** What happened in the accounts, for whoever watches them. Amounts of money are in micro-dollars. */
export type BudgetEvent =
  /** Spending reached a part of a ceiling. Once for each crossing, in the process whose settlement crossed it. */
  | {
      readonly _tag: "ThresholdReached"
      readonly account: string
      readonly window: string
      readonly resource: "tokens" | "money"
      readonly threshold: number
      readonly ceiling: number
      readonly spent: number
    }
  | { readonly _tag: "Refused"; readonly error: BudgetExceeded }
  | { readonly _tag: "Waiting"; readonly error: BudgetExceeded }
  | { readonly _tag: "SteppedDown"; readonly error: BudgetExceeded; readonly to: ReadonlyArray<string> }
  /** What was used is not known, so the estimate was charged. */
  | {
      readonly _tag: "EstimateCharged"
      readonly accounts: ReadonlyArray<string>
      readonly amount: Amount
      readonly why: string
    }
  /** The price is not known, so no money was counted; only accounts without a ceiling in money allow that. */
  | { readonly _tag: "Unpriced"; readonly accounts: ReadonlyArray<string>; readonly model: string }
  /** Nothing was counted by this settlement: the store failed, or holds no such reservation (any more). */
  | {
      readonly _tag: "Unsettled"
      readonly accounts: ReadonlyArray<string>
      readonly amount: Amount
      readonly why: string
    }

/** An amount that is held in accounts. */
export interface Reservation {
  readonly id: string
  readonly amount: Amount
  /** When it ends by itself, in milliseconds since the epoch. */
  readonly expires: number
  readonly accounts: ReadonlyArray<Account>
  readonly lines: ReadonlyArray<Line>
}

/** An account and what counts of it now. */
export interface Balance extends Sums {
  readonly account: Account
}

/** The accounts, as those who spend see them. */
export interface Service {
  /**
   * Holds an amount in all accounts. With no account nothing is held. Waits where the exhausted account says so. Safe as
   * what `Effect.acquireUseRelease` acquires: also there it can be interrupted while it waits, and then holds nothing.
   */
  readonly reserve: (
    accounts: ReadonlyArray<Input>,
    amount: Amount
  ) => Effect.Effect<Reservation, BudgetExceeded | BudgetUnavailable>
  /**
   * Lets a reservation not expire before it is settled or released, for at most `keepFor`: for what may take longer than
   * `holdFor`. Who asks for it must settle or release.
   */
  readonly keep: (reservation: Reservation) => Effect.Effect<void>
  /**
   * Counts what was used and ends the reservation. Done again, it does nothing. When the store fails it is tried three
   * times in all.
   */
  readonly settle: (reservation: Reservation, usage: Amount) => Effect.Effect<void, BudgetUnavailable>
  /** Ends a reservation of which nothing was used. */
  readonly release: (reservation: Reservation) => Effect.Effect<void, BudgetUnavailable>
  readonly balances: (accounts: ReadonlyArray<Input>) => Effect.Effect<ReadonlyArray<Balance>, BudgetUnavailable>
  /** Removes accounts that are over, with what they spent. */
  readonly forget: (accounts: ReadonlyArray<Input>) => Effect.Effect<void, BudgetUnavailable>
  /** What happens in the accounts from now on, in this process. Who listens to a run has its events too. */
  readonly events: Stream.Stream<BudgetEvent>
  readonly report: (event: BudgetEvent) => Effect.Effect<void>
}

/** The accounts, as those who spend see them. */
export class Ledger extends Context.Service<Ledger, Service>()("selvage/models/Ledger") {}

/** Options of {@link layer}. */
export interface Options {
  /** How long a reservation holds unless it is settled or kept: until then it stays if its process dies. Default 10 minutes. */
  readonly holdFor?: Duration.Input | undefined
  /** How long a reservation is kept at most: longer than the longest call. Default 1 hour. */
  readonly keepFor?: Duration.Input | undefined
  /** How many reservations an account may have open. Default 10,000. */
  readonly maxHolds?: number | undefined
  /** For how long an account with `onExhausted: "wait"` lets a caller wait. Default 1 minute. */
  readonly waitFor?: Duration.Input | undefined
  /** How often a waiting caller looks for what other processes released. Default 1 second. */
  readonly lookEvery?: Duration.Input | undefined
  /** How many callers may wait; the next fails. Default 1,000. */
  readonly maxWaiting?: number | undefined
  /** How long the store may take for an answer before {@link BudgetUnavailable}. Default 5 seconds. */
  readonly answerWithin?: Duration.Input | undefined
}

let ledgers = 0

const exceeded = (
  account: Account,
  line: Line,
  amount: Amount,
  { resource, slots, sums }: Extract<Reply, { readonly _tag: "Refused" }>
): BudgetExceeded => {
  const at = resource === "holds" ? undefined : freesAt(line, amount, slots)
  const figures = {
    tokens: {
      ceiling: line.ceiling.tokens ?? 0,
      spent: sums.spent.tokens,
      reserved: sums.reserved.tokens,
      asked: amount.tokens
    },
    money: {
      ceiling: line.ceiling.micros ?? 0,
      spent: sums.spent.micros,
      reserved: sums.reserved.micros,
      asked: amount.micros
    },
    holds: { ceiling: line.maxHolds, spent: 0, reserved: sums.holds, asked: 1 }
  }
  return new BudgetExceeded({
    account: account.name,
    window: windowName(account.window),
    resource,
    ...figures[resource],
    ...(at === undefined ? {} : { freesAt: DateTime.makeUnsafe(at) }),
    onExhausted: account.onExhausted ?? "fail"
  })
}

/** The thresholds of an account that spending passed between two moments. */
const crossed = (account: Account, line: Line, before: Amount, usage: Amount): ReadonlyArray<BudgetEvent> =>
  (account.alerts ?? [0.8, 1]).flatMap((threshold) =>
    (["tokens", "micros"] as const).flatMap((unit): ReadonlyArray<BudgetEvent> => {
      const ceiling = line.ceiling[unit]
      const spent = before[unit] + usage[unit]
      if (ceiling === undefined || before[unit] >= threshold * ceiling || spent < threshold * ceiling) return []
      return [
        {
          _tag: "ThresholdReached",
          account: account.name,
          window: windowName(account.window),
          resource: unit === "tokens" ? "tokens" : "money",
          threshold,
          ceiling,
          spent
        }
      ]
    })
  )

const mayWait = ({ asked, ceiling, onExhausted }: BudgetExceeded): boolean => onExhausted === "wait" && asked <= ceiling

const namesOf = (accounts: ReadonlyArray<Account>): ReadonlyArray<string> => accounts.map(({ name }) => name)

/** The ledger on the {@link BudgetStore} in the context. */
export const make = Effect.fnUntraced(function* (options?: Options) {
  const store = yield* BudgetStore
  const immediate = isImmediate(store)
  const holdFor = Duration.toMillis(Duration.fromInputUnsafe(options?.holdFor ?? "10 minutes"))
  const keepFor = Duration.toMillis(Duration.fromInputUnsafe(options?.keepFor ?? "1 hour"))
  const waitFor = options?.waitFor ?? "1 minute"
  const lookEvery = Duration.toMillis(Duration.fromInputUnsafe(options?.lookEvery ?? "1 second"))
  const answerWithin = Duration.fromInputUnsafe(options?.answerWithin ?? "5 seconds")
  const { maxHolds = 10_000, maxWaiting = 1_000 } = options ?? {}
  const events = yield* Effect.acquireRelease(PubSub.sliding<BudgetEvent>(256), PubSub.shutdown)
  const freed = yield* Latch.make()
  // Unlike those of all other ledgers, and of this one before.
  const [some, more] = [yield* Random.nextInt, yield* Random.nextInt]
  const ledger = `${(ledgers++).toString(36)}-${(yield* Clock.currentTimeMillis).toString(36)}-${Math.abs(some).toString(36)}-${Math.abs(more).toString(36)}`
  let reservations = 0
  const turns = new Map<string, { readonly semaphore: Semaphore.Semaphore; callers: number }>()
  let waiting = 0

  // Reports are made where nothing can be interrupted, and a run waits for a slow listener: so another fiber tells it.
  const report = (event: BudgetEvent) =>
    Effect.andThen(
      PubSub.publish(events, event),
      Effect.flatMap(Event.isListening, (listening) =>
        listening
          ? Effect.asVoid(Effect.forkDetach(Event.emit("selvage.budget", event), { startImmediately: true }))
          : Effect.void
      )
    )

  // A store that failed is asked again, one that did not answer in time is not.
  const insists = Schedule.exponential("100 millis").pipe(
    Schedule.jittered,
    Schedule.upTo({ times: 2, duration: answerWithin })
  )

  const answered = <A>(operation: string, answer: Effect.Effect<A, BudgetUnavailable>) =>
    immediate
      ? answer
      : bounded(
          answer,
          Duration.toMillis(answerWithin),
          () => {
            const cause = `It did not answer in ${Duration.format(answerWithin)}.`
            return Effect.fail(new BudgetUnavailable({ operation, cause }))
          },
          undefined,
          "left"
        )

  const holds = makeHolds({
    holdFor,
    keepFor,
    renew: (request) => answered("renew an amount", store.renew(request))
  })

  const giveBack = (id: string, lines: ReadonlyArray<Line>) =>
    Arr.isReadonlyArrayNonEmpty(lines)
      ? Effect.flatMap(Clock.currentTimeMillis, (now) => {
          holds.end(id)
          return answered("release an amount", store.release({ id, charges: lines, now }))
        })
      : Effect.void

  // Not interruptible but while the store is asked. If that ends without an answer, what it may have granted is given back.
  const tryReserve = (accounts: ReadonlyArray<Account>, amount: Amount) =>
    Effect.andThen(holds.caughtUp, asked(accounts, amount))
  const asked = (accounts: ReadonlyArray<Account>, amount: Amount) =>
    Effect.withFiber((fiber): Effect.Effect<Reservation, BudgetExceeded | BudgetUnavailable> => {
      const clock = fiber.getRef(Clock.Clock)
      const now = clock.currentTimeMillisUnsafe()
      const id = `${ledger}-${(reservations++).toString(36)}`
      const expires = now + holdFor
      const lines = accounts.map((account) => lineOf(account, now, maxHolds))
      const reservation: Reservation = { id, amount, expires, accounts, lines }
      if (!Arr.isReadonlyArrayNonEmpty(lines)) return Effect.succeed(reservation)
      const reply = store.reserve({ id, lines, amount, now, expires })
      const answer = immediate
        ? reply
        : answered("reserve an amount", reply).pipe(
            Effect.interruptible,
            // Not waited for: a store that did not answer may not answer this either. What it holds expires.
            Effect.onError(() => Effect.forkDetach(Effect.ignore(giveBack(id, lines)), { startImmediately: true }))
          )
      return Effect.flatMap(answer, (reply) => {
        if (reply._tag === "Refused") {
          return Effect.fail(
            exceeded(accounts[reply.index] ?? accounts[0]!, lines[reply.index] ?? lines[0], amount, reply)
          )
        }
        holds.begin(id, lines, expires, elapsedMillis(clock))
        return Effect.succeed(reservation)
      })
    })

  // One waiting caller of a book looks whether there is room, the others stand behind it: so they are served in order, and
  // the store is asked once, not once for each, when something is released.
  const inTurn = <A, E>(book: string, effect: Effect.Effect<A, E>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const turn = turns.get(book) ?? { semaphore: Semaphore.makeUnsafe(1), callers: 0 }
        turns.set(book, turn)
        turn.callers++
        return turn
      }),
      (turn) => turn.semaphore.withPermits(1)(effect),
      (turn) => Effect.sync(() => (--turn.callers === 0 ? turns.delete(book) : false))
    )

  const wait = (accounts: ReadonlyArray<Account>, amount: Amount, first: BudgetExceeded) => {
    let last = first
    let granted: Reservation | undefined
    const look = Effect.gen(function* () {
      for (;;) {
        // Remembered before anything can interrupt: what was granted is given back then.
        const looked = Effect.map(tryReserve(accounts, amount), (reservation) => void (granted = reservation))
        yield* Effect.catchTag(Effect.uninterruptible(looked), "BudgetExceeded", (error) =>
          Effect.sync(() => void (last = error))
        )
        if (granted !== undefined) return granted
        if (!mayWait(last)) return yield* last
        const until = last.freesAt === undefined ? Infinity : DateTime.toEpochMillis(last.freesAt)
        const pause = Math.max(1, Math.min(lookEvery, until - (yield* Clock.currentTimeMillis)))
        yield* Effect.raceFirst(freed.await, Effect.sleep(pause))
      }
    })
    return inTurn(`${first.account} ${first.window}`, look).pipe(
      Effect.timeoutOrElse({ duration: waitFor, orElse: () => Effect.fail(last) }),
      Effect.interruptible,
      // Granted in the moment in which the time was up or the caller interrupted.
      Effect.onError(() => (granted === undefined ? Effect.void : Effect.ignore(giveBack(granted.id, granted.lines))))
    )
  }

  const refused = (error: BudgetExceeded) => Effect.andThen(report({ _tag: "Refused", error }), Effect.fail(error))

  const reserve = (inputs: ReadonlyArray<Input>, amount: Amount) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const accounts = distinct(inputs.map(toAccount))
        return Effect.catchTag(tryReserve(accounts, amount), "BudgetExceeded", (error) => {
          if (!mayWait(error) || waiting >= maxWaiting) return refused(error)
          waiting++
          return report({ _tag: "Waiting", error }).pipe(
            Effect.andThen(wait(accounts, amount, error)),
            Effect.ensuring(Effect.sync(() => waiting--)),
            Effect.catchTag("BudgetExceeded", refused)
          )
        })
      })
    )

  // Who waits looks whether there is room now.
  const wake = (): Effect.Effect<void> => (waiting === 0 ? Effect.void : Effect.asVoid(freed.release))

  const settled = (
    { accounts, lines }: Reservation,
    usage: Amount,
    before: Settlement,
    now: number
  ): ReadonlyArray<BudgetEvent> => {
    if (before.every((own) => own === undefined)) {
      const why = "it was settled or released before, or expired so long ago that it is forgotten"
      return [{ _tag: "Unsettled", accounts: namesOf(accounts), amount: usage, why }]
    }
    return accounts.flatMap((account, index) => {
      const line = lines[index]!
      const own = before[index]
      return own !== undefined && line.ends > now ? crossed(account, line, own, usage) : []
    })
  }

  const settle = (reservation: Reservation, usage: Amount) =>
    Effect.withFiber((fiber) => {
      const { id, lines } = reservation
      if (!Arr.isReadonlyArrayNonEmpty(lines)) return Effect.void
      holds.end(id)
      const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
      const answer = store.settle({ id, charges: lines, usage, now })
      const sure = immediate ? answer : askAgain(answered("settle an amount", answer), insists)
      return Effect.flatMap(sure, (before) => {
        const events = settled(reservation, usage, before, now)
        return events.length === 0 ? wake() : Effect.andThen(wake(), Effect.forEach(events, report, { discard: true }))
      })
    })

  const release = Effect.fnUntraced(function* ({ id, lines }: Reservation) {
    yield* giveBack(id, lines)
    yield* wake()
  })

  yield* Effect.forkScoped(holds.renewing)
  return Ledger.of({
    reserve,
    keep: ({ id }) => holds.keep(id),
    settle,
    release,
    balances: Effect.fnUntraced(function* (inputs) {
      const accounts = inputs.map(toAccount)
      const now = yield* Clock.currentTimeMillis
      const sums = yield* answered("read its accounts", store.sums(accounts.map(bookOf), now))
      return Arr.zipWith(accounts, sums, (account, own): Balance => ({ account, ...own }))
    }),
    forget: (inputs) => answered("forget accounts", store.forget(inputs.map((input) => bookOf(toAccount(input))))),
    events: Stream.fromPubSub(events),
    report
  })
})

/** The ledger on the {@link BudgetStore} in the context. */
export const layer = (options?: Options): Layer.Layer<Ledger, never, BudgetStore> => Layer.effect(Ledger, make(options))

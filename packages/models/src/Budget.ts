/**
 * Budgets: accounts of tokens and money with a ceiling, nested in one another, around any `LanguageModel`.
 *
 * Before a call its estimate is reserved in all accounts of the fiber, or in none; after it, what was really used is
 * counted in its place; a call that failed before its model answered is released. The accounts are those of
 * {@link withAccounts}, which nest (a tenant's around a user's around a run's), and those of the middleware itself.
 *
 * What happens when an account is exhausted is said by the account: the call fails, waits for room, or goes to a cheaper
 * model. It fails as a `LanguageModel` does, with an `AiError`; {@link exceededIn} and `Refusal.catchRefusal` give the
 * {@link BudgetExceeded} in it.
 *
 * **What is counted**
 *
 * - Known usage as the provider reports it, with cached, written and reasoning tokens at their own price, rounded up to the
 *   micro-dollar.
 * - The estimate, when the usage is not known: a call or a stream that was interrupted, a stream that its reader left, that
 *   was cut or broke off after it had begun (also if a policy then began it anew), an answer without usage. `Ledger.events`
 *   has an `EstimateCharged` for each.
 * - Nothing for a model that failed before it answered (refused, rate limited, timed out, unreachable), or that was not asked.
 *
 * **Estimates** are the counted prompt and tools, with the counter's error on top, and `outputTokens` for the answer. A
 * ceiling is passed at most by what usage is above its estimate, so let `outputTokens` be what you allow the model
 * (`max_output_tokens`, `max_tokens`), not what it mostly needs.
 *
 * **Prices** are those of `Prices.Prices` where the middleware is made. For a model without one an account in money refuses
 * the call ({@link PriceUnknown}), unless `unknownPrice` says by what to count. It is never counted as free; a model of your
 * own machine is, if you give it a row of zeros.
 *
 * **Gotchas**
 *
 * - Put it outside of retries, breakers and fallback for one reservation per call, inside for one per attempt.
 * - Where it stands in another one on the same ledger, each account is charged once for a call.
 * - A call without accounts is not limited.
 * - Of several accounts without room the first, which is the outermost, says what happens.
 * - A stream is reserved when it is run, in the accounts of the fiber that runs it.
 *
 * **Example**
 *
 * ```ts
 * import * as Budget from "@selvage/models/Budget"
 * import * as BudgetLedger from "@selvage/models/BudgetLedger"
 * import * as BudgetStore from "@selvage/models/BudgetStore"
 * import * as Models from "@selvage/models/Models"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const answer = (user: string, prompt: string) =>
 *   LanguageModel.generateText({ prompt }).pipe(
 *     Budget.withAccounts([
 *       { name: "tenant:acme", dollars: 500, window: { every: "month", zone: "Europe/Zurich" } },
 *       { name: `user:${user}`, tokens: 200_000, window: { last: "24 hours" }, onExhausted: "wait" }
 *     ])
 *   )
 *
 * export const main = answer("42", "What is a selvage?").pipe(
 *   Effect.provide(
 *     Budget.layer({ outputTokens: 1_000 }).pipe(
 *       Layer.provide([Models.layerConfig, BudgetLedger.layer().pipe(Layer.provide(BudgetStore.layerMemory()))])
 *     )
 *   )
 * )
 * ```
 */
import type * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { BudgetExceeded, Ledger, type Reservation } from "./BudgetLedger.ts"
import { add, BudgetUnavailable, times, zero } from "./BudgetStore.ts"
import * as ContextWindow from "./ContextWindow.ts"
import {
  type Account,
  Accounts,
  bookOf,
  ChargedAccounts,
  distinct,
  type Input,
  toAccount
} from "./internal/budgetAccount.ts"
import * as BudgetCall from "./internal/budgetCall.ts"
import { isRestart } from "./internal/restart.ts"
import * as Middleware from "./Middleware.ts"
import * as Prices from "./Prices.ts"
import * as Refusal from "./Refusal.ts"

export { BudgetExceeded } from "./BudgetLedger.ts"
export {
  Account,
  Accounts,
  Calendar,
  type Input as AccountInput,
  Rolling,
  Window,
  withAccounts
} from "./internal/budgetAccount.ts"

/** A call was refused because nobody knows what it costs, and an account has a ceiling in money. */
export class PriceUnknown extends Schema.TaggedError<PriceUnknown>()("PriceUnknown", {
  models: Schema.Array(Schema.String),
  accounts: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `The price of ${this.models.join(", ")} is not known, and money is limited in ${this.accounts.join(", ")}: add a row to the prices (${Prices.variable}, Prices.layer), or set unknownPrice to count by an estimate.`
  }
}

/** The account that had no room, in the error of a call. */
export const exceededIn = (error: unknown): Option.Option<BudgetExceeded> => Refusal.find(BudgetExceeded, error)

/** Options of {@link middleware}. */
export interface Options {
  /** Accounts of every call, besides those of the fiber: of a role, for example. */
  readonly accounts?: ReadonlyArray<Input> | undefined
  /** The most tokens that an answer takes, reasoning included. Default 4,096. */
  readonly outputTokens?: number | undefined
  /** Counts the prompt. Default: `ContextWindow.estimateCareful`. */
  readonly counter?: ContextWindow.Counter | undefined
  /** Estimates a call in place of `outputTokens` and `counter`. */
  readonly estimate?: ((call: Middleware.Call) => Effect.Effect<Prices.Tokens, AiError.AiError>) | undefined
  /** By what to count models without a known price. Without it accounts in money refuse them. */
  readonly unknownPrice?: Prices.Price | undefined
  /** Who is asked when an account with `onExhausted: "step-down"` has no room. Its own estimate must fit. */
  readonly stepDown?: LanguageModel.LanguageModel | undefined
}

/** A model that may be asked, with what its calls cost. */
interface Quoted {
  readonly next: Middleware.Next
  readonly quotes: ReadonlyArray<BudgetCall.Quote>
  /** The models without a price. */
  readonly unknown: ReadonlyArray<string>
}

interface Held {
  readonly next: Middleware.Next
  readonly reservation: Reservation
  readonly quotes: ReadonlyArray<BudgetCall.Quote>
}

const namesOf = (accounts: ReadonlyArray<Account>): ReadonlyArray<string> => accounts.map(({ name }) => name)

/** What a middleware has seen of an answer. */
interface Seen {
  /** Whether the model was asked at all. */
  asked: boolean
  finish: Response.FinishPartEncoded | undefined
  model: string | undefined
  content: boolean
  /** How often a stream was begun anew after it gave content, which somebody is paid for. */
  restarts: number
}

const nothingSeen = (): Seen => ({ asked: false, finish: undefined, model: undefined, content: false, restarts: 0 })

const see = (seen: Seen, part: Response.AnyPartEncoded): void => {
  if (part.type === "finish") seen.finish = part
  else if (isRestart(part)) Object.assign(seen, { ...nothingSeen(), asked: true, restarts: seen.restarts + 1 })
  else if (part.type === "response-metadata") seen.model = part.modelId ?? seen.model
  else seen.content = true
}

/** Keeps the calls of a model within the accounts of the fiber. */
export const middleware: (options?: Options) => Effect.Effect<Middleware.Middleware, never, Ledger> = Effect.fnUntraced(
  function* (options: Options = {}) {
    const ledger = yield* Ledger
    const prices = yield* Prices.Prices
    const { counter = ContextWindow.estimateCareful, outputTokens = 4_096 } = options
    const own = distinct((options.accounts ?? []).map(toAccount))
    const quoted = (next: Middleware.Next): Quoted => {
      const quotes = BudgetCall.quotes(next.subject.models, prices, options.unknownPrice)
      return { next, quotes, unknown: quotes.flatMap(({ model, price }) => (Option.isNone(price) ? [model] : [])) }
    }
    const cheaper = options.stepDown === undefined ? undefined : quoted(Middleware.toNext(options.stepDown))
    const estimate = options.estimate ?? ((call: Middleware.Call) => BudgetCall.estimate(call, counter, outputTokens))

    const reserve = (
      call: Middleware.Call,
      { next, quotes, unknown }: Quoted,
      accounts: ReadonlyArray<Account>
    ): Effect.Effect<Held, AiError.AiError | BudgetExceeded | BudgetUnavailable | PriceUnknown> => {
      const inMoney = accounts.filter(({ dollars }) => dollars !== undefined)
      if (unknown.length > 0 && inMoney.length > 0) {
        return Effect.fail(new PriceUnknown({ models: unknown, accounts: namesOf(inMoney) }))
      }
      const tokens = estimate(call)
      // Nothing is held yet, and a counter may ask a server.
      return Effect.flatMapEager(Exit.isExit(tokens) ? tokens : Effect.interruptible(tokens), (tokens) =>
        Effect.flatMap(ledger.reserve(accounts, BudgetCall.reserved(tokens, quotes)), (reservation) => {
          const held: Held = { next, quotes, reservation }
          const kept = ledger.keep(reservation)
          return Effect.as(unknown.length === 0 ? kept : Effect.andThen(kept, unpriced(unknown, accounts)), held)
        })
      )
    }

    const unpriced = (models: ReadonlyArray<string>, accounts: ReadonlyArray<Account>): Effect.Effect<void> =>
      Effect.forEach(models, (model) => ledger.report({ _tag: "Unpriced", accounts: namesOf(accounts), model }), {
        discard: true
      })

    /** The accounts of a call, but for those that a budget further out has charged it to. */
    const accountsOf = (fiber: Fiber.Fiber<unknown, unknown>, call: Middleware.Call): ReadonlyArray<Account> => {
      const outer = fiber.getRef(Accounts)
      const accounts = outer.length === 0 ? own : distinct([...outer, ...own])
      const charged = fiber.getRef(ChargedAccounts).filter((one) => one.span === call.span && one.ledger === ledger)
      return charged.length === 0
        ? accounts
        : accounts.filter((account) => !charged.some(({ books }) => books.has(bookOf(account))))
    }

    const refused =
      (call: Middleware.Call) =>
      (
        error: AiError.AiError | BudgetExceeded | PriceUnknown | BudgetUnavailable
      ): Effect.Effect<never, AiError.AiError> => {
        const { method } = call
        switch (error._tag) {
          case "BudgetExceeded":
            return Effect.fail(Refusal.make(BudgetExceeded, error, { method }))
          case "PriceUnknown":
            return Effect.fail(Refusal.make(PriceUnknown, error, { method, as: "InvalidRequestError" }))
          case "BudgetUnavailable":
            return Effect.fail(Refusal.make(BudgetUnavailable, error, { method, as: "InternalProviderError" }))
          default:
            return Effect.fail(error)
        }
      }

    /** Holds what a call may take, or refuses it. */
    const admit = (call: Middleware.Call, asked: Quoted, accounts: ReadonlyArray<Account>) => {
      const first = reserve(call, asked, accounts)
      const held =
        cheaper === undefined
          ? first
          : Effect.catchTag(first, "BudgetExceeded", (error) =>
              error.onExhausted === "step-down"
                ? Effect.tap(reserve(call, cheaper, accounts), () =>
                    ledger.report({ _tag: "SteppedDown", error, to: cheaper.next.subject.models })
                  )
                : Effect.fail(error)
            )
      return Effect.matchEffect(held, {
        onFailure: refused(call),
        onSuccess: (held) => {
          call.span.attribute("selvage.budget.accounts", namesOf(accounts))
          call.span.attribute("selvage.budget.reserved_tokens", held.reservation.amount.tokens)
          call.span.attribute("selvage.budget.reserved_micros", held.reservation.amount.micros)
          if (held.next === cheaper?.next) call.span.attribute("selvage.budget.stepped_down", true)
          return Effect.succeed(held)
        }
      })
    }

    /** What runs below knows what it is charged to; and that it runs is known here. */
    const charging =
      (call: Middleware.Call, accounts: ReadonlyArray<Account>, seen: Seen) =>
      (context: Context.Context<never>): Context.Context<never> => {
        seen.asked = true
        return Context.add(context, ChargedAccounts, [
          ...Context.get(context, ChargedAccounts),
          { span: call.span, ledger, books: new Set(accounts.map(bookOf)) }
        ])
      }

    /** Counts what was used in the place of what was held. */
    const end = (
      { quotes, reservation }: Held,
      exit: Exit.Exit<unknown, AiError.AiError>,
      seen: Seen
    ): Effect.Effect<void> => {
      const accounts = namesOf(reservation.accounts)
      const result = BudgetCall.result(exit, seen.finish, seen.content)
      const isFree = !seen.asked || (result._tag === "Nothing" && seen.restarts === 0)
      if (isFree) return Effect.ignore(ledger.release(reservation))
      const estimates = [
        ...Array.from({ length: seen.restarts }, () => "the answer broke off, and was begun anew"),
        ...(result._tag === "Unknown" ? [result.why] : [])
      ]
      const own = result._tag === "Used" ? BudgetCall.used(result.tokens, quotes, seen.model) : zero
      const usage = add(own, times(reservation.amount, estimates.length))
      // The answer is there and paid for: an account that cannot be reached must not take it away.
      const settled = Effect.catch(ledger.settle(reservation, usage), (error) =>
        Effect.andThen(
          Effect.logError(
            `${usage.tokens} tokens and ${usage.micros} micro-dollars of ${accounts.join(", ")} are not counted`,
            error
          ),
          ledger.report({ _tag: "Unsettled", accounts, amount: usage, why: error.message })
        )
      )
      if (estimates.length === 0) return settled
      const amount = reservation.amount
      return Effect.andThen(
        Effect.forEach(estimates, (why) => ledger.report({ _tag: "EstimateCharged", accounts, amount, why }), {
          discard: true
        }),
        settled
      )
    }

    return (next: Middleware.Next): Middleware.Next => {
      const asked = quoted(next)
      return {
        ...next,
        generate: (call) =>
          Effect.withFiber((fiber) => {
            const accounts = accountsOf(fiber, call)
            if (accounts.length === 0) return next.generate(call)
            const seen = nothingSeen()
            return Effect.acquireUseRelease(
              admit(call, asked, accounts),
              (held) => Effect.updateContext(held.next.generate(call), charging(call, accounts, seen)),
              (held, exit) => {
                if (Exit.isSuccess(exit)) for (const part of exit.value) see(seen, part)
                return end(held, exit, seen)
              }
            )
          }),
        stream: (call) =>
          Stream.unwrap(
            Effect.withFiber((fiber) => {
              const accounts = accountsOf(fiber, call)
              if (accounts.length === 0) return Effect.succeed(next.stream(call))
              const seen = nothingSeen()
              return Effect.map(
                Effect.acquireRelease(admit(call, asked, accounts), (held, exit) =>
                  end(held, exit as Exit.Exit<unknown, AiError.AiError>, seen)
                ),
                (held) =>
                  Stream.mapArray(
                    Stream.updateContext(held.next.stream(call), charging(call, accounts, seen)),
                    (parts) => {
                      for (const part of parts) see(seen, part)
                      return parts
                    }
                  )
              )
            })
          )
      }
    }
  }
)

/** Keeps the calls of the `LanguageModel` below within the accounts of the fiber; compose with `Layer.provide`. */
export const layer = (
  options?: Options
): Layer.Layer<LanguageModel.LanguageModel, never, Ledger | LanguageModel.LanguageModel> =>
  Middleware.layer(middleware(options))

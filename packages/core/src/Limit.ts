/**
 * A limit says whether the next turn may run. It is a named schedule whose input is a {@link Turn}.
 *
 * A limit is computed from the turns that a thread has journaled: before the next turn the schedule's step function is
 * folded over them with their recorded times. So a crash does not reset it, and time counts from the first turn.
 *
 * **Example**
 *
 * ```ts
 * import { Limit } from "@selvage/core"
 *
 * export const limit = Limit.all(Limit.turns(8), Limit.within("45 seconds"), Limit.spend({ usd: 0.05 }))
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { LimitReached } from "./Errors.ts"

/** What one turn of a model cost. */
export const Turn = Schema.Struct({
  /** When the turn began and when its answer was complete, milliseconds since the epoch. */
  startedAt: Schema.Finite,
  endedAt: Schema.Finite,
  inputTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  /** US dollars; absent where the price is not known. */
  usd: Schema.optionalKey(Schema.Finite)
})
export type Turn = typeof Turn.Type

/** A limit: one or more named schedules over turns. All of them must go on. */
export interface Limit {
  readonly parts: ReadonlyArray<{
    readonly name: string
    readonly schedule: Schedule.Schedule<unknown, Turn>
  }>
}

/** Makes a limit of any schedule over turns: it recurs while the next turn may run. */
export const make = (name: string, schedule: Schedule.Schedule<unknown, Turn>): Limit => ({
  parts: [{ name, schedule }]
})

/** At most `n` turns. A limit is asked before every turn but the first, so one turn always runs. */
export const turns = (n: number): Limit =>
  make(`${n} turns`, Schedule.identity<Turn>().pipe(Schedule.while(({ attempt }) => Effect.succeed(attempt < n))))

/** No turn begins later than this after the first began. */
export const within = (duration: Duration.Input): Limit => {
  const millis = Duration.toMillis(duration)
  return make(
    `within ${Duration.format(Duration.fromInputUnsafe(duration))}`,
    Schedule.fromStep<Turn, number, never, never, never, never>(
      Effect.sync(() => {
        let first: number | undefined
        return (now: number, turn: Turn) => {
          first ??= turn.startedAt
          const elapsed = now - first
          return elapsed >= millis ? Cause.done(elapsed) : Effect.succeed([elapsed, Duration.zero])
        }
      })
    )
  )
}

const spending = (name: string, cost: (turn: Turn) => number, ceiling: number): Limit =>
  make(
    name,
    Schedule.fromStep<Turn, number, never, never, never, never>(
      Effect.sync(() => {
        let total = 0
        return (_now: number, turn: Turn) => {
          total += cost(turn)
          return total >= ceiling ? Cause.done(total) : Effect.succeed([total, Duration.zero])
        }
      })
    )
  )

/**
 * Stops before the turn after the one that reached the ceiling: US dollars, tokens in and out, or both. A turn whose
 * price is not known counts tokens but no dollars.
 */
export const spend = (ceiling: { readonly usd?: number; readonly tokens?: number }): Limit =>
  all(
    ...(ceiling.usd === undefined ? [] : [spending(`${ceiling.usd} USD`, (turn) => turn.usd ?? 0, ceiling.usd)]),
    ...(ceiling.tokens === undefined
      ? []
      : [spending(`${ceiling.tokens} tokens`, (turn) => turn.inputTokens + turn.outputTokens, ceiling.tokens)])
  )

/** The turns go on while all limits do. */
export const all = (...limits: ReadonlyArray<Limit>): Limit => ({ parts: limits.flatMap((limit) => limit.parts) })

/**
 * Whether the next turn may run after these. Fails with the first limit that says no.
 */
export const check = Effect.fnUntraced(function* (limit: Limit, turns: ReadonlyArray<Turn>) {
  if (turns.length === 0) return
  const now = yield* Clock.currentTimeMillis
  for (const { name, schedule } of limit.parts) {
    const step = yield* Schedule.toStep(schedule)
    for (let index = 0; index < turns.length; index++) {
      const turn = turns[index]!
      const at = index === turns.length - 1 ? now : turn.endedAt
      const goesOn = yield* step(at, turn).pipe(
        Effect.as(Result.succeed(undefined)),
        Pull.catchDone(() => Effect.succeed(Result.fail(undefined)))
      )
      if (Result.isFailure(goesOn)) return yield* new LimitReached({ limit: name, turns: turns.length })
    }
  }
})

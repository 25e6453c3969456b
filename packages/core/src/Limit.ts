/**
 * A limit says whether the next turn may run. It is a named schedule whose input is a {@link Turn}.
 *
 * A limit is computed from the turns that a thread has journaled: before the next turn the schedule's step function is
 * folded over them with their recorded times. So a crash does not reset it, and time counts from the first turn. Time in
 * which the thread waited for answers, or lay there until it was forked, is no time of work: schedules are stepped as if
 * it had not passed, and see turns with times that are as much earlier.
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
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { LimitReached } from "./Errors.ts"
import * as Task from "./Task.ts"

/** What one turn of a model cost. */
export const Turn = Schema.Struct({
  /** When the turn began and when its answer was complete, milliseconds since the epoch. */
  startedAt: Schema.Finite,
  endedAt: Schema.Finite,
  inputTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  /** Whether the model did not say how many tokens it took, and they are estimated. */
  estimated: Schema.optionalKey(Schema.Boolean),
  /** US dollars; absent where the price is not known. */
  usd: Schema.optionalKey(Schema.Finite),
  /** How long the thread had waited for answers when the turn began, in milliseconds: `Task.waited`. None if absent. */
  waited: Schema.optionalKey(Schema.Finite)
})
export type Turn = typeof Turn.Type

/** A limit: one or more named schedules over turns. All of them must go on. */
export interface Limit {
  readonly parts: ReadonlyArray<Part>
}

/** One named schedule of a limit. */
export interface Part {
  readonly name: string
  readonly schedule: Schedule.Schedule<unknown, Turn>
  /** The same decision without a schedule's machinery, for limits that need no effect to decide. */
  readonly start?: (() => Decide) | undefined
  /** How many turns it lets run at most, where it counts them. */
  readonly turns?: number | undefined
}

/** Whether the turns go on after this one, which is asked at `now`; called with each turn in order. */
type Decide = (turn: Turn, now: number) => boolean

/** Makes a limit of any schedule over turns: it recurs while the next turn may run. */
export const make = (name: string, schedule: Schedule.Schedule<unknown, Turn>): Limit => ({
  parts: [{ name, schedule }]
})

// The schedule is made of the decision, so that the two cannot differ.
const deciding = (name: string, start: () => Decide): Limit => {
  const schedule = Schedule.fromStep<Turn, Turn, never, never, never, never>(
    Effect.sync(() => {
      const goesOn = start()
      return (now: number, turn: Turn) => (goesOn(turn, now) ? Effect.succeed([turn, Duration.zero]) : Cause.done(turn))
    })
  )
  return { parts: [{ name, schedule, start }] }
}

/** At most `n` turns. A limit is asked before every turn but the first, so one turn always runs. */
export const turns = (n: number): Limit => {
  const { parts } = deciding(`${n} turns`, () => {
    let count = 0
    return () => ++count < n
  })
  return { parts: parts.map((part) => ({ ...part, turns: n })) }
}

/** A limit that bounds the turns in any case: itself if it counts them, else with this many at most. */
export const withTurns = (limit: Limit, n: number): Limit =>
  limit.parts.some((part) => part.turns !== undefined) ? limit : all(limit, turns(n))

/** No turn begins later than this after the first began; time waited for answers does not count. */
export const within = (duration: Duration.Input): Limit => {
  const millis = Duration.toMillis(duration)
  return deciding(`within ${Duration.format(Duration.fromInputUnsafe(duration))}`, () => {
    let first: number | undefined
    return ({ startedAt }, now) => now - (first ??= startedAt) < millis
  })
}

const spending = (name: string, cost: (turn: Turn) => number, ceiling: number): Limit =>
  deciding(name, () => {
    let total = 0
    return (turn) => (total += cost(turn)) < ceiling
  })

/**
 * Stops before the turn after the one that reached the ceiling: US dollars, tokens in and out, or both. A turn whose
 * model did not say how many tokens it took counts an estimate; one whose price is not known counts tokens but no dollars.
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
export const check = (limit: Limit, turns: ReadonlyArray<Turn>): Effect.Effect<void, LimitReached> =>
  turns.length === 0
    ? Effect.void
    : Effect.contextWith((context: Context.Context<never>) => {
        const now = Context.get(context, Clock.Clock).currentTimeMillisUnsafe()
        const waited = Context.get(context, Task.Current)?.waited(now) ?? 0
        return checkFrom(limit, waited === 0 ? turns : turns.map(worked), now - waited, 0)
      })

/** A turn at its time of work. */
const worked = ({ waited = 0, ...turn }: Turn): Turn => ({
  ...turn,
  startedAt: turn.startedAt - waited,
  endedAt: turn.endedAt - waited
})

const checkFrom = (
  { parts }: Limit,
  turns: ReadonlyArray<Turn>,
  now: number,
  from: number
): Effect.Effect<void, LimitReached> => {
  for (let index = from; index < parts.length; index++) {
    const { name, schedule, start } = parts[index]!
    const reached = () => Effect.fail(new LimitReached({ limit: name, turns: turns.length }))
    if (start === undefined) {
      return Effect.flatMap(recurs(schedule, turns, now), (goesOn) =>
        goesOn ? checkFrom({ parts }, turns, now, index + 1) : reached()
      )
    }
    const goesOn = start()
    if (!turns.every((turn, at) => goesOn(turn, askedAt(turns, at, now)))) return reached()
  }
  return Effect.void
}

// A turn is asked about when it has ended; the last one is asked about now.
const askedAt = (turns: ReadonlyArray<Turn>, index: number, now: number): number =>
  index === turns.length - 1 ? now : turns[index]!.endedAt

const recurs = Effect.fnUntraced(function* (
  schedule: Schedule.Schedule<unknown, Turn>,
  turns: ReadonlyArray<Turn>,
  now: number
) {
  const step = yield* Schedule.toStep(schedule)
  for (let index = 0; index < turns.length; index++) {
    const goesOn = yield* step(askedAt(turns, index, now), turns[index]!).pipe(
      Effect.as(true),
      Pull.catchDone(() => Effect.succeed(false))
    )
    if (!goesOn) return false
  }
  return true
})

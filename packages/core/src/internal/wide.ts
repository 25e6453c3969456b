// The tasks of a step that is wide: at most so many at once, those of one fan-out by its own limit, and with pauses, so that
// to start them does not hold up the process. A step of n tasks costs n times what one costs.
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { pause } from "./turns.ts"

/** Tasks that share a limit. */
interface Lane<A> {
  readonly concurrency: number | "unbounded"
  readonly items: Array<A>
}

// How many are started between two looks at the time.
const slice = 64

/** Runs an effect for each item; items of one group share its concurrency, and all of them that of the whole. */
export const forEach = <A, E, R>(
  items: ReadonlyArray<A>,
  one: (item: A) => Effect.Effect<void, E, R>,
  options: {
    readonly concurrency: number | "unbounded"
    readonly group: (item: A) => { readonly concurrency: number } | undefined
  }
): Effect.Effect<void, E, R> => {
  const { concurrency } = options
  const lanes = lanesOf(items, options.group)
  if (lanes.length === 1) {
    const [lane] = lanes
    return runLane({ items: lane!.items, concurrency: least(lane!.concurrency, concurrency) }, one)
  }
  if (concurrency === "unbounded") return Effect.forEach(lanes, (lane) => runLane(lane, one), all)
  // Of each lane at most as many as may run at all wait for the whole, so few wait.
  const whole = Semaphore.makeUnsafe(concurrency)
  const held = (item: A) => whole.withPermit(one(item))
  return Effect.forEach(
    lanes,
    (lane) => runLane({ items: lane.items, concurrency: least(lane.concurrency, concurrency) }, held),
    all
  )
}

const all = { concurrency: "unbounded", discard: true } as const

const least = (a: number | "unbounded", b: number | "unbounded"): number | "unbounded" =>
  a === "unbounded" ? b : b === "unbounded" ? a : Math.min(a, b)

const lanesOf = <A>(
  items: ReadonlyArray<A>,
  groupOf: (item: A) => { readonly concurrency: number } | undefined
): ReadonlyArray<Lane<A>> => {
  const lanes = new Map<object | undefined, Lane<A>>()
  for (const item of items) {
    const group = groupOf(item)
    let lane = lanes.get(group)
    if (lane === undefined) {
      lane = { concurrency: group === undefined ? "unbounded" : Math.max(1, group.concurrency), items: [] }
      lanes.set(group, lane)
    }
    lane.items.push(item)
  }
  return Array.from(lanes.values())
}

const runLane = <A, E, R>(
  { concurrency, items }: Lane<A>,
  one: (item: A) => Effect.Effect<void, E, R>
): Effect.Effect<void, E, R> => {
  if (concurrency !== "unbounded" && concurrency < items.length) {
    const paused = (item: A) => Effect.andThen(pause, one(item))
    return Effect.forEach(items, paused, { concurrency, discard: true })
  }
  if (items.length <= slice) return Effect.forEach(items, one, all)
  const slices = Array.from({ length: Math.ceil(items.length / slice) }, (_, index) => index * slice)
  return Effect.forEach(
    slices,
    (from) => Effect.andThen(pause, Effect.forEach(items.slice(from, from + slice), one, all)),
    all
  )
}

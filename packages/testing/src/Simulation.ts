/**
 * Deterministic simulation: a generated graph, run as a thread by processes that compete, are slow, freeze, fail, lose
 * acknowledgements and are killed, and whose requests arrive late, under a clock and a scheduler that follow one seed. The same seed gives the same world.
 *
 * What must hold, whatever was injected:
 *
 * - The thread comes to the same state as a run in which nothing went wrong.
 * - No process runs a task again that it knows to be committed, nor a piece of `Durable.once` that it knows to be recorded.
 * - A call that is not idempotent is made exactly once; an idempotent one has the same key every time.
 * - No task is committed twice, no fan-out runs more tasks than it may, and the journal is sound.
 *
 * **Example**
 *
 * ```ts
 * import { Simulation } from "@selvage/testing"
 *
 * export const report = await Simulation.run(42)
 * if (report.violations.length > 0) throw new Error(report.violations.join("\n"))
 * ```
 *
 * @since 0.1.0
 */
import * as Durable from "@selvage/core/Durable"
import { Journal, layerMemoryWith } from "@selvage/core/Journal"
import * as Thread from "@selvage/core/Thread"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import {
  answerTo,
  build,
  type Generated,
  type GraphPlan,
  plan,
  Question,
  type State
} from "./internal/simulation/plan.ts"
import { chance, makeTime, numberOf } from "./internal/simulation/seeded.ts"
import { type Fault, journalOf, type Process, Truth, worldOf } from "./internal/simulation/world.ts"

export type { Fault } from "./internal/simulation/world.ts"

/** What came of one seed. */
export interface Report {
  readonly seed: number
  /** How often each kind of fault was injected. */
  readonly faults: Readonly<Partial<Record<Fault, number>>>
  readonly entries: number
  readonly violations: ReadonlyArray<string>
}

/** Options of {@link run}. */
export interface Options {
  /** Changes the journal under the processes; to see that a broken one is found out. */
  readonly journal?: ((journal: Journal["Service"]) => Journal["Service"]) | undefined
}

const thread = "t"
// More than any world needs: its faults come to an end.
const rounds = 300

/** Runs the world of a seed. */
export const run = (seed: number, options: Options = {}): Promise<Report> => {
  const random = chance(seed)
  const { clock, scheduler } = makeTime(random)
  const graph = plan(random)
  const truth = new Truth(random, random.below(16), () => clock.currentTimeMillisUnsafe())
  // From a snapshot at nearly every step to none.
  const snapshots = random.happens(0.2) ? ("never" as const) : { entries: 1 + random.below(12) }
  const inputs = 1 + (random.happens(0.3) ? random.below(3) : 0)
  truth.failing = inputs === 1
  const world = Effect.gen(function* () {
    const journal = yield* Journal
    const given = options.journal?.(journal) ?? journal
    const workers = 1 + random.below(3)
    const done = yield* Deferred.make<void>()
    const all = yield* Effect.forEach(
      [
        ...Array.from({ length: inputs }, (_, index) => user(truth, given, graph, index, inputs)),
        ...Array.from({ length: workers }, (_, index) => worker(truth, given, graph, `worker ${index}`, inputs)),
        operator(truth, given, done)
      ],
      (one) => Effect.forkChild(one)
    )
    yield* Effect.forEach(all.slice(0, -1), (one) => Fiber.join(one), { discard: true })
    yield* Deferred.succeed(done, undefined)
    yield* examine(truth, journal, graph, inputs)
  })
  return Effect.runPromise(
    world.pipe(
      Effect.provide(layerMemoryWith({ snapshots })),
      Effect.provideService(Clock.Clock, clock),
      Effect.catchCause((cause) => Effect.sync(() => truth.violated(`the world ended: ${String(cause)}`))),
      Effect.as(truth)
    ),
    { scheduler }
  ).then(({ entries, faults, violations }) => ({
    seed,
    faults: Object.fromEntries(faults),
    entries: entries.length,
    violations
  }))
}

/** One life of a process after another, until `goOn` says that there is nothing left to do. */
const lives = (
  truth: Truth,
  journal: Journal["Service"],
  plan: GraphPlan,
  name: string,
  inputs: number,
  life: (graph: Generated) => Effect.Effect<boolean, unknown, Journal>
) =>
  Effect.gen(function* () {
    for (let round = 0; round < rounds; round++) {
      const process = truth.start(`${name}, life ${round}`)
      const killed = yield* Deferred.make<void>()
      const crash = Effect.andThen(
        Effect.sync(() => truth.kill(process)),
        Deferred.succeed(killed, undefined)
      )
      const graph = build(plan, worldOf(truth, process, inputs === 1))
      const journals = journalOf(truth, process, journal, Effect.asVoid(crash))
      // Not a child: a process that is killed is never heard of again, not even to clean up.
      const fiber = yield* Effect.forkDetach(Effect.provideService(life(graph), Journal, journals))
      const interrupted = truth.goesWrong("interrupt", 0.05)
        ? Effect.andThen(Effect.sleep(truth.random.below(60)), Effect.as(Fiber.interrupt(fiber), undefined))
        : Effect.never
      const exit = yield* Effect.raceFirst(
        Fiber.await(fiber),
        Effect.raceFirst(Effect.as(Deferred.await(killed), undefined), interrupted)
      )
      truth.kill(process)
      if (exit !== undefined && Exit.isSuccess(exit) && exit.value) return
      if (exit !== undefined && Exit.isFailure(exit) && !isExpected(exit)) {
        truth.violated(`${process.name} failed: ${String(exit.cause)}`)
        return
      }
      // Another may be frozen in a call of which nobody can tell before it wakes.
      yield* Effect.sleep(1 + truth.random.below(round < 30 ? 20 : 2000))
    }
    truth.violated(`${name} did not come to an end: ${JSON.stringify(truth.entries.slice(-4))}`)
  })

const expected = new Set(["JournalUnavailable", "JournalConflict", "Transient", "AttemptTimedOut", "ThreadNotFound"])

const isExpected = (exit: Exit.Failure<unknown, unknown>): boolean =>
  exit.cause.reasons.every(
    (reason) =>
      reason._tag === "Interrupt" ||
      (reason._tag === "Fail" &&
        typeof reason.error === "object" &&
        reason.error !== null &&
        "_tag" in reason.error &&
        expected.has(String(reason.error._tag)))
  )

/** Gives an input, and again until it is taken. */
const user = (truth: Truth, journal: Journal["Service"], plan: GraphPlan, index: number, inputs: number) =>
  Effect.andThen(
    Effect.sleep(truth.random.below(80)),
    lives(truth, journal, plan, `user ${index}`, inputs, (graph) =>
      Effect.as(
        Thread.run(graph, {
          thread,
          input: { tags: [`input ${index}`], round: 0 },
          run: `r${index}`,
          whenBusy: "queue"
        }),
        true
      )
    )
  )

/** Runs the thread until everything that was given is done. */
const worker = (truth: Truth, journal: Journal["Service"], plan: GraphPlan, name: string, inputs: number) =>
  lives(
    truth,
    journal,
    plan,
    name,
    inputs,
    Effect.fnUntraced(function* (graph) {
      // While it lives, it goes on with what it still holds of the thread.
      for (let runs = 0; runs < 4; runs++) {
        const { _tag } = yield* Thread.run(graph, { thread })
        if (_tag === "Done" && ended(truth).length === inputs) return true
        yield* Effect.sleep(1 + truth.random.below(20))
      }
      return false
    })
  )

const ended = (truth: Truth) =>
  truth.entries.filter((entry) => entry._tag === "RunFinished" && entry.outcome === "done")

/** Answers what is asked, truthfully. */
const operator = (truth: Truth, journal: Journal["Service"], done: Deferred.Deferred<void>) =>
  Effect.gen(function* () {
    const process = truth.start("operator")
    const journals = journalOf(truth, process, journal, undefined)
    while (!(yield* Deferred.isDone(done))) {
      yield* Effect.sleep(1 + truth.random.below(30))
      yield* Effect.provideService(answerAll(truth), Journal, journals).pipe(
        Effect.catchTag(["JournalUnavailable", "JournalConflict", "ThreadNotFound", "AskNotOpen"], () => Effect.void)
      )
    }
  })

const answerAll = Effect.fnUntraced(function* (truth: Truth) {
  for (const { ask, kind, question } of yield* Thread.asks({ thread })) {
    if (kind === "question") {
      yield* Thread.answer(Question, { thread, ask, value: answerTo(String(question)) })
      continue
    }
    const place =
      typeof question === "object" && question !== null && "detail" in question ? String(question.detail) : ""
    // Somebody may be at it: then nobody knows yet.
    if (truth.isCalled(place) || truth.sent.has(place)) continue
    const value =
      (truth.calls.get(place) ?? 0) > 0
        ? ({ decision: "made", result: numberOf(place, 5) } as const)
        : ({ decision: "repeat" } as const)
    yield* Thread.answer(Durable.Uncertain, { thread, ask, value })
  }
})

/** What the thread came to, beside what it would have come to if nothing had gone wrong. */
const examine = Effect.fnUntraced(function* (
  truth: Truth,
  journal: Journal["Service"],
  plan: GraphPlan,
  inputs: number
) {
  const calm = new Truth(chance(1), 0)
  const process: Process = calm.start("calm")
  const graph = build(plan, worldOf(calm, process, false))
  const state = yield* Effect.provideService(Thread.state(graph, { thread }), Journal, journal)
  const order = truth.entries.flatMap((entry) => (entry._tag === "RunStarted" ? [entry.input] : []))
  if (order.length !== inputs) truth.violated(`${order.length} runs were started, of ${inputs}`)
  const wanted = yield* calmRun(calm, process, graph, order)
  if (!Equal.equals(state, wanted)) {
    truth.violated(`the state is ${JSON.stringify(state)}, and without faults ${JSON.stringify(wanted)}`)
  }
  for (const place of new Set([...truth.calls.keys(), ...calm.calls.keys()])) {
    const times = truth.calls.get(place) ?? 0
    if (times !== calm.calls.get(place)) truth.violated(`the call at ${place} was made ${times} times`)
  }
  for (const [place, keys] of truth.puts) {
    if (keys.size !== 1) truth.violated(`the put at ${place} had the keys ${Array.from(keys).join(", ")}`)
  }
  const findings = yield* journal.check(thread)
  for (const { issue, seq } of findings) truth.violated(`entry ${seq}: ${issue}`)
})

const calmRun = Effect.fnUntraced(
  function* (truth: Truth, process: Process, graph: Generated, inputs: ReadonlyArray<unknown>) {
    let state: State | undefined
    for (const input of inputs) {
      let outcome = yield* Thread.run(graph, { thread, input: input as never })
      while (outcome._tag === "Waiting") {
        yield* answerAll(truth)
        outcome = yield* Thread.run(graph, { thread })
      }
      process.head = truth.entries.length
      state = outcome.state
    }
    return state
  },
  (effect) => Effect.provide(effect, layerMemoryWith({}))
)

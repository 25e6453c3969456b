/** Circuits of a policy against those of `effect/persistence/CircuitBreaker`, whose stores and rules they have. */
import { assert, describe, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import * as Circuit from "../src/internal/circuit.ts"
import { runs } from "../../testing/test/measures.ts"

const failure = (retryAfter: number | undefined) =>
  AiError.make({
    module: "test",
    method: "generateText",
    reason: new AiError.RateLimitError(retryAfter === undefined ? {} : { retryAfter: Duration.seconds(retryAfter) })
  })

const classify = (exit: Exit.Exit<unknown, AiError.AiError>): CircuitBreaker.Outcome => {
  if (Exit.isSuccess(exit)) return CircuitBreaker.success
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "None") return CircuitBreaker.ignored
  return CircuitBreaker.failure({ retryAfter: error.value.retryAfter })
}

/** What a call does after some seconds, or that time passes, or that the oldest call that is under way is left. */
const step = fc.oneof(
  fc.record({
    _tag: fc.constant("Call" as const),
    seconds: fc.constantFrom(0, 0, 0, 1, 5),
    ends: fc.constantFrom("success", "failure", "failure", "asks", "dies"),
    key: fc.constantFrom("a", "a", "a", "b")
  }),
  fc.record({ _tag: fc.constant("Pass" as const), seconds: fc.constantFrom(1, 3, 10, 20) }),
  fc.record({ _tag: fc.constant("Leave" as const) })
)
const rules = fc.record({
  tripPolicy: fc.constantFrom(
    CircuitBreaker.consecutive(2),
    CircuitBreaker.rate({ threshold: 0.5, size: 4, minimumCalls: 3 })
  ),
  openDuration: fc.constantFrom<Circuit.Rules["openDuration"]>(
    "10 seconds",
    Schedule.exponential("2 seconds").pipe(Schedule.upTo({ times: 2 }))
  )
})

const store = Effect.map(Layer.build(CircuitBreaker.layerStoreMemory()), (context) =>
  Context.get(context, CircuitBreaker.CircuitBreakerStore)
)

/** What happened, call by call, and how the circuits stood after each step. */
const history = (
  make: typeof Circuit.make,
  own: Circuit.Rules,
  steps: ReadonlyArray<typeof step extends fc.Arbitrary<infer A> ? A : never>
) =>
  Effect.gen(function* () {
    const circuits = yield* store
    const circuit = yield* Effect.provideService(make(own), CircuitBreaker.CircuitBreakerStore, circuits)
    const calls: Array<Fiber.Fiber<unknown, unknown>> = []
    const told: Array<unknown> = []
    for (const next of steps) {
      if (next._tag === "Pass") yield* TestClock.adjust(Duration.seconds(next.seconds))
      else if (next._tag === "Leave")
        yield* Fiber.interrupt(
          calls.find((call) => call.pollUnsafe() === undefined) ?? (yield* Effect.forkChild(Effect.void))
        )
      else {
        const end = {
          success: Effect.succeed("answer"),
          failure: Effect.fail(failure(undefined)),
          asks: Effect.fail(failure(30)),
          dies: Effect.die("broken")
        }[next.ends]
        calls.push(
          yield* Effect.forkChild(circuit(Effect.delay(end, Duration.seconds(next.seconds)), next.key, classify), {
            startImmediately: true
          })
        )
      }
      yield* Effect.yieldNow
      told.push([yield* circuits.state("a"), yield* circuits.state("b")])
    }
    yield* TestClock.adjust("1 minute")
    for (const call of calls) told.push(Exit.mapError(yield* Fiber.await(call), String))
    return told
  }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))

const theirs: typeof Circuit.make = (own) =>
  Effect.map(
    Effect.scoped(CircuitBreaker.make(own)),
    (breaker): Circuit.Circuit =>
      (self, key, classify) =>
        breaker.execute(self, { key, classify })
  )

describe("Circuit", () => {
  it("does with every call what Effect's breaker does", () =>
    fc.assert(
      fc.asyncProperty(rules, fc.array(step, { maxLength: 25 }), async (own, steps) => {
        const [ours, expected] = await Effect.runPromise(
          Effect.all([history(Circuit.make, own, steps), history(theirs, own, steps)])
        )
        assert.deepStrictEqual(ours, expected)
      }),
      { numRuns: runs(40) }
    ))

  const gone = Effect.fail(
    new CircuitBreaker.CircuitBreakerError({
      reason: new CircuitBreaker.CircuitBreakerStoreError({ message: "gone", cause: undefined })
    })
  )
  const consecutive: Circuit.Rules = { tripPolicy: CircuitBreaker.consecutive(2), openDuration: "10 seconds" }

  it.effect("makes the call where its store cannot be reached, before or after it", () =>
    Effect.gen(function* () {
      const circuits = yield* store
      for (const broken of [
        { ...circuits, admit: () => gone },
        { ...circuits, record: () => gone }
      ]) {
        const circuit = yield* Effect.provideService(
          Circuit.make(consecutive),
          CircuitBreaker.CircuitBreakerStore,
          broken
        )
        assert.strictEqual(yield* circuit(Effect.succeed(1), "a", classify), 1)
        assert.strictEqual(
          yield* Effect.flip(circuit(Effect.fail(failure(undefined)), "a", classify)).pipe(Effect.map(String)),
          String(failure(undefined))
        )
      }
    })
  )

  it.effect("keeps what the store holds for a call until its outcome is counted", () =>
    Effect.gen(function* () {
      const circuits = yield* store
      const order: Array<string> = []
      const told = (what: string) => Effect.sync(() => void order.push(what))
      const holding: CircuitBreaker.CircuitBreakerStore["Service"] = {
        ...circuits,
        admit: (key) => Effect.tap(circuits.admit(key), () => Effect.addFinalizer(() => told("let go"))),
        record: (options) => Effect.tap(circuits.record(options), () => told(`counted ${options.outcome}`))
      }
      const circuit = yield* Effect.provideService(
        Circuit.make(consecutive),
        CircuitBreaker.CircuitBreakerStore,
        holding
      )
      yield* circuit(told("called"), "a", classify)
      const left = yield* Effect.forkChild(circuit(Effect.never, "a", classify), { startImmediately: true })
      yield* Fiber.interrupt(left)
      assert.deepStrictEqual(order, ["called", "counted Success", "let go", "counted Ignored", "let go"])
    })
  )
})

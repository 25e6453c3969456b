/**
 * A policy says what happens around an attempt: a retry schedule, a timeout per attempt, slots shared by the process, a
 * circuit breaker. It is a value; `Policy.apply` puts it around any effect, a graph puts it around a node, and
 * `Node.withPolicy` makes it part of a node. A fallback is `Node.orElse`.
 *
 * From the inside out: the timeout, whose timer starts anew with each attempt; the slot, taken and given back with each
 * attempt; the retries; the breaker, which so sees one outcome per call.
 *
 * In a run with a {@link Deadline}, an attempt's timeout is cut short to what is left of it, and a retry whose delay would
 * pass it is given up.
 *
 * **Gotchas**
 *
 * The retry schedule decides from the error. {@link retryable} restricts a schedule to errors that say so themselves:
 * `isRetryable` (as `effect/ai`'s `AiError` has it) is `true`, or the error is an {@link AttemptTimedOut}; and it waits at
 * least an error's `retryAfter`. Whatever the schedule says, an ask that waits and a journal that fails are not retried,
 * and a defect is a bug and never is. To a breaker, an ask is no failure, and neither are full slots or a run's deadline.
 *
 * **Example**
 *
 * ```ts
 * import { Policy } from "@selvage/core"
 * import { Effect, Schedule } from "effect"
 *
 * const patient = Policy.make({ retry: Policy.retryable(Schedule.recurs(5)), timeout: "10 seconds" })
 *
 * export const program = Effect.succeed("ok").pipe(Policy.apply(patient))
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import { JournalConflict, JournalUnavailable } from "./Errors.ts"
import * as Within from "./internal/within.ts"
import { Suspended } from "./Task.ts"

/** One attempt took longer than its policy, or what is left of its run's deadline, allows. */
export class AttemptTimedOut extends Schema.TaggedError<AttemptTimedOut>()("AttemptTimedOut", {
  millis: Schema.Finite,
  /** Whether the run's deadline cut the attempt short, and not its own timeout. */
  deadline: Schema.optionalKey(Schema.Boolean)
}) {
  override get message() {
    if (this.deadline === true) {
      return `The attempt was interrupted after ${this.millis} ms: the deadline of its run is reached. Give the run more time.`
    }
    return `The attempt took longer than ${this.millis} ms and was interrupted. Raise the policy's timeout, or retry.`
  }
}

/** No slot came free for an attempt: too many wait already, or it waited too long. */
export class SlotsExhausted extends Schema.TaggedError<SlotsExhausted>()("SlotsExhausted", {
  slots: Schema.String,
  reason: Schema.Literals(["too many waiting", "waited too long"]),
  /** How many were waiting when it was refused, or how many milliseconds it waited. */
  after: Schema.Finite
}) {
  /** Slots come free again: a retry may help. */
  get isRetryable(): boolean {
    return true
  }
  override get message() {
    const why =
      this.reason === "too many waiting" ? `${this.after} attempts wait already` : `none came free in ${this.after} ms`
    return `No slot of "${this.slots}" for this attempt: ${why}. Retry later, or give its layer more slots or a longer wait.`
  }
}

/** What happens around an attempt: what it can fail with of its own, and the services (slots) it needs. */
export interface Policy<out Failure = never, out Services = never> {
  /** When to try again; its input is the error. It ends before a delay that would pass the {@link Deadline}. */
  readonly retry: Schedule.Schedule<unknown, unknown> | undefined
  readonly timeout: Duration.Duration | undefined
  readonly breaker: { readonly breaker: CircuitBreaker.CircuitBreaker; readonly key: string } | undefined
  readonly slots: Context.Key<Services, SlotsShape> | undefined
  readonly "~failure": () => Failure
}

/** Any policy. */
export interface Any extends Policy<unknown, unknown> {}

/** What a policy can fail with of its own. */
export type FailureOf<P> = P extends { readonly "~failure": () => infer Failure } ? Failure : never

/** The services that a policy needs. */
export type ServicesOf<P> = P extends Policy<unknown, infer Services> ? Services : never

/**
 * When the run around the current effect must end, in epoch milliseconds; `undefined`: it need not. A run with a deadline
 * provides it.
 */
export const Deadline = Context.Reference<number | undefined>("selvage/core/Policy/Deadline", {
  defaultValue: () => undefined
})

interface Options {
  /** When to try again; its input is the error. See {@link retryable}. */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
  /** How long one attempt may take. The wait for a slot does not count. */
  readonly timeout?: Duration.Input | undefined
  /** A breaker of `effect/persistence/CircuitBreaker` and the key of what it guards. */
  readonly breaker?: { readonly breaker: CircuitBreaker.CircuitBreaker; readonly key: string } | undefined
  /** A limit that all attempts in the process share. See {@link Slots}. */
  readonly slots?: Context.Key<unknown, SlotsShape> | undefined
}

type FailureOfOptions<O extends Options> =
  | (O extends { readonly timeout: Duration.Input } ? AttemptTimedOut : never)
  | (O extends { readonly breaker: object } ? CircuitBreaker.CircuitBreakerError : never)
  | (O extends { readonly slots: object } ? SlotsExhausted : never)

type ServicesOfOptions<O extends Options> = O extends { readonly slots: Context.Key<infer Self, SlotsShape> }
  ? Self
  : never

/** Makes a policy. */
export const make = <const O extends Options>(options: O): Policy<FailureOfOptions<O>, ServicesOfOptions<O>> => ({
  retry: options.retry === undefined ? undefined : withinDeadline(options.retry),
  timeout: options.timeout === undefined ? undefined : Duration.fromInputUnsafe(options.timeout),
  breaker: options.breaker,
  slots: options.slots as Context.Key<ServicesOfOptions<O>, SlotsShape> | undefined,
  "~failure": () => undefined as never
})

// A retry that could only begin after the deadline would end in a worse error than the one at hand.
const withinDeadline = (schedule: Schedule.Schedule<unknown, unknown>): Schedule.Schedule<unknown, unknown> =>
  Schedule.while(schedule, ({ duration, now }) =>
    Effect.map(Deadline, (deadline) => deadline === undefined || now + Duration.toMillis(duration) < deadline)
  )

/** Whether an error says of itself that a retry may help. */
export const isRetryable = (error: unknown): boolean =>
  error instanceof AttemptTimedOut || (Predicate.hasProperty(error, "isRetryable") && error.isRetryable === true)

const retryAfter = (error: unknown): Duration.Duration =>
  Predicate.hasProperty(error, "retryAfter") && Duration.isDuration(error.retryAfter) ? error.retryAfter : Duration.zero

/**
 * Restricts a schedule to errors worth a retry, and makes it wait at least as long as the error asks for.
 */
export const retryable = <Output>(schedule: Schedule.Schedule<Output, unknown>): Schedule.Schedule<Output, unknown> =>
  Schedule.modifyDelay(
    Schedule.while(schedule, ({ input }) => Effect.succeed(isRetryable(input))),
    ({ duration, input }) => Effect.succeed(Duration.max(duration, retryAfter(input)))
  )

/** Three more tries on retryable errors: 200 ms, 400 ms, 800 ms, each jittered, or what the error asks for. */
export const transient: Policy = make({
  retry: retryable(Schedule.exponential("200 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 3 })))
})

// What belongs to the runtime around the effect is none of its policy's business.
const isOwn = (error: unknown): boolean =>
  !(error instanceof Suspended || error instanceof JournalConflict || error instanceof JournalUnavailable)

const classify = (exit: Exit.Exit<unknown, unknown>): CircuitBreaker.Outcome => {
  if (Exit.isSuccess(exit)) return { _tag: "Success" }
  const error = Cause.squash(exit.cause)
  if (Cause.hasInterruptsOnly(exit.cause) || !isOwn(error) || isOurs(error)) return { _tag: "Ignored" }
  const wait = retryAfter(error)
  return { _tag: "Failure", ...(Duration.isZero(wait) ? {} : { retryAfter: wait }) }
}

// A full queue or a run out of time says nothing about what the breaker guards.
const isOurs = (error: unknown): boolean =>
  error instanceof SlotsExhausted || (error instanceof AttemptTimedOut && error.deadline === true)

/** The slots of a process: how a limit is kept. */
export interface SlotsShape {
  /** Runs an effect in a slot, which is given back however it ends. */
  readonly hold: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | SlotsExhausted, R>
}

/** A limit over the whole process: a tag whose layer says how many. */
export interface SlotsClass<Self, Id extends string> extends Context.ServiceClass<Self, Id, SlotsShape> {
  /**
   * At most `slots` attempts at once; `maxWaiting` more (1,000 if not given) may wait, each at most `maxWait` (one minute
   * if not given). Who comes beyond that fails with `SlotsExhausted`.
   */
  readonly layer: (
    slots: number,
    options?: { readonly maxWaiting?: number | undefined; readonly maxWait?: Duration.Input | undefined }
  ) => Layer.Layer<Self>
}

/**
 * Declares a limit that every policy naming it shares, in whatever graph and run: attempts take a slot one by one, in the
 * order in which they came.
 *
 * **Example**
 *
 * ```ts
 * import { Policy } from "@selvage/core"
 *
 * class SearchSlots extends Policy.Slots<SearchSlots>()("app/SearchSlots") {}
 *
 * export const polite = Policy.make({ slots: SearchSlots, timeout: "10 seconds" })
 * export const SearchSlotsLive = SearchSlots.layer(10, { maxWait: "5 seconds" })
 * ```
 */
export const Slots =
  <Self>() =>
  <const Id extends string>(id: Id): SlotsClass<Self, Id> => {
    const tag = Context.Service<Self, SlotsShape>()(id)
    const layer: SlotsClass<Self, Id>["layer"] = (slots, { maxWait = "1 minute", maxWaiting = 1000 } = {}) =>
      Layer.sync(tag, () => makeSlots(id, slots, maxWaiting, Duration.fromInputUnsafe(maxWait)))
    return Object.assign(tag, { layer })
  }

interface Waiter {
  readonly turn: Deferred.Deferred<void>
  granted: boolean
}

// Not a Semaphore: one whose `take` is raced with a timer loses the permit that comes as the time ends.
const makeSlots = (id: string, slots: number, maxWaiting: number, maxWait: Duration.Duration): SlotsShape => {
  const queue = new Set<Waiter>()
  let free = slots
  const exhausted = (reason: SlotsExhausted["reason"], after: number) =>
    Effect.fail(new SlotsExhausted({ slots: id, reason, after }))
  const give = Effect.suspend(() => {
    for (const waiter of queue) {
      queue.delete(waiter)
      waiter.granted = true
      return Deferred.succeed(waiter.turn, undefined)
    }
    free++
    return Effect.void
  })
  const queued = (waiter: Waiter, restore: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>) => {
    queue.add(waiter)
    const turn = Effect.timeoutOrElse(Deferred.await(waiter.turn), {
      duration: maxWait,
      orElse: () => exhausted("waited too long", Duration.toMillis(maxWait))
    })
    return Effect.onError(restore(turn), () => {
      queue.delete(waiter)
      return waiter.granted ? give : Effect.void
    })
  }
  return {
    hold: (self) =>
      Effect.uninterruptibleMask((restore) => {
        const held = Effect.onExit(restore(self), () => give)
        if (free > 0) {
          free--
          return held
        }
        if (queue.size >= maxWaiting) return exhausted("too many waiting", queue.size)
        return Effect.andThen(queued({ turn: Deferred.makeUnsafe<void>(), granted: false }, restore), held)
      })
  }
}

/** Puts a policy around an effect. */
export const apply: {
  <Failure, Services>(
    policy: Policy<Failure, Services>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Failure, R | Services>
  <A, E, R, Failure, Services>(
    self: Effect.Effect<A, E, R>,
    policy: Policy<Failure, Services>
  ): Effect.Effect<A, E | Failure, R | Services>
} = dual(2, (self: Unknown, policy: Any): Unknown => {
  const { breaker, retry, slots, timeout } = policy
  const timed = timeout === undefined ? self : within(self, timeout)
  const attempt = slots === undefined ? timed : Effect.flatMap(slots, ({ hold }) => hold(timed))
  const tried = retry === undefined ? attempt : Effect.retry(attempt, { schedule: retry, while: isOwn })
  return breaker === undefined ? tried : breaker.breaker.execute(tried, { key: breaker.key, classify })
})

/**
 * The store of circuits in the context, whose answers are waited for only so long (default 1 second, in real time): a store that
 * is frozen holds no call up. What takes longer is a `CircuitBreakerStoreError`, by which a call goes on uncounted, or fails
 * where its breaker says `onStoreError: "fail"`. Put it between `CircuitBreaker.layerStoreRedis` and the breakers of nodes; those
 * of `@selvage/models` have it already.
 *
 * ```ts
 * import { NodeRedis } from "@effect/platform-node"
 * import { Policy } from "@selvage/core"
 * import * as Layer from "effect/Layer"
 * import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
 *
 * export const circuits = Policy.layerStoreWithin("1 second").pipe(
 *   Layer.provide(CircuitBreaker.layerStoreRedis()),
 *   Layer.provide(NodeRedis.layer({ url: "redis://cache.internal" }))
 * )
 * ```
 */
export const layerStoreWithin = (
  limit: Duration.Input = "1 second"
): Layer.Layer<CircuitBreaker.CircuitBreakerStore, never, CircuitBreaker.CircuitBreakerStore> =>
  Layer.effect(
    CircuitBreaker.CircuitBreakerStore,
    Effect.map(CircuitBreaker.CircuitBreakerStore, ({ admit, record, state }) => {
      const millis = Duration.toMillis(Duration.fromInputUnsafe(limit))
      const answered = <A, R>(answer: Effect.Effect<A, CircuitBreaker.CircuitBreakerError, R>) =>
        Within.within(answer, millis, () => {
          const message = `the store of circuits gave no answer within ${millis} ms`
          const reason = new CircuitBreaker.CircuitBreakerStoreError({ message })
          return Effect.fail(new CircuitBreaker.CircuitBreakerError({ reason }))
        })
      return CircuitBreaker.CircuitBreakerStore.of({
        admit: (key) => answered(admit(key)),
        record: (options) => answered(record(options)),
        state: (key) => answered(state(key))
      })
    })
  )

/**
 * A layer that closes within a time, in real time, whatever its client does: some wait for answers that a frozen server never
 * gives. When the time is over, `abandon` gets what the layer made, to end its connections.
 *
 * ```ts
 * import { NodeRedis } from "@effect/platform-node"
 * import { Policy } from "@selvage/core"
 * import * as Context from "effect/Context"
 * import * as Effect from "effect/Effect"
 *
 * export const redis = Policy.layerClosedWithin(NodeRedis.layer({ url: "redis://cache.internal" }), {
 *   within: "2 seconds",
 *   abandon: (made) => Effect.sync(() => Context.get(made, NodeRedis.NodeRedis).client.destroy())
 * })
 * ```
 */
export const layerClosedWithin = <Services, E, R>(
  layer: Layer.Layer<Services, E, R>,
  options: {
    readonly within: Duration.Input
    readonly abandon?: ((made: Context.Context<Services>) => Effect.Effect<void>) | undefined
  }
): Layer.Layer<Services, E, R> => {
  const build: Effect.Effect<Context.Context<Services>, E, R | Scope.Scope> = Effect.gen(function* () {
    const scope = yield* Scope.make()
    const built: { made?: Context.Context<Services> } = {}
    yield* Effect.addFinalizer((exit) =>
      Within.within(Scope.close(scope, exit), Duration.toMillis(Duration.fromInputUnsafe(options.within)), () =>
        built.made === undefined ? Effect.void : (options.abandon?.(built.made) ?? Effect.void)
      )
    )
    built.made = yield* Layer.buildWithScope(layer, scope)
    return built.made
  })
  return Layer.effectContext(build) as Layer.Layer<Services, E, R>
}

type Unknown = Effect.Effect<unknown, unknown, unknown>

const within = (self: Unknown, timeout: Duration.Duration): Unknown =>
  Effect.flatMap(Deadline, (deadline) =>
    deadline === undefined
      ? cut(self, Duration.toMillis(timeout), false)
      : Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const left = Math.max(0, deadline - now)
          const millis = Duration.toMillis(timeout)
          return cut(self, Math.min(left, millis), left <= millis)
        })
  )

const cut = (self: Unknown, millis: number, deadline: boolean): Unknown => {
  const timedOut = Effect.suspend(() => Effect.fail(new AttemptTimedOut(deadline ? { millis, deadline } : { millis })))
  return millis === 0 && deadline ? timedOut : Effect.timeoutOrElse(self, { duration: millis, orElse: () => timedOut })
}

/** Bounds on the time that a model may take. */
import * as Policy from "@selvage/core/Policy"
import type * as AiError from "effect/ai/AiError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Middleware, Part } from "../Middleware.ts"
import { isContent } from "../Middleware.ts"
import { bounded } from "./bounded.ts"
import { elapsedMillis } from "./elapsed.ts"

type Chunk = readonly [Part, ...Array<Part>]
type PartPull = Pull.Pull<Chunk, AiError.AiError>

/** What was waited for when the time was over. */
export type Phase = "answer" | "first-token" | "next-token"

/** Bounds, in milliseconds; `Infinity` for none. */
export interface Bounds {
  /** The waiting time of a whole attempt. */
  readonly attempt: number
  /** The time to the first content of a stream. */
  readonly firstToken: number
  /** The time between two chunks of a stream after the first content. */
  readonly nextToken: number
}

/** Says how long the next chunk may take. */
interface Allowance {
  /** The allowance never shrinks by more than what was waited, nor below this by anything else. */
  readonly least: number
  /** When the chunk must be there. */
  readonly end: (now: number) => number
  readonly received: (chunk: Chunk, waited: number) => void
  readonly error: () => AiError.AiError
}

// One fiber watches the whole stream, for a timer per token costs more than the token. A chunk that takes too long is
// pulled by a fiber of its own, which is what the watch interrupts.
const watched = (
  pull: PartPull,
  scope: Scope.Scope,
  clock: Clock.Clock,
  allowance: Allowance
): Effect.Effect<PartPull> => {
  let end = Infinity
  let began = 0
  let pulling: Fiber.Fiber<Chunk, Pull.Error<PartPull> | unknown> | undefined
  let expired: AiError.AiError | undefined
  const watch = Effect.gen(function* () {
    while (true) {
      const now = elapsedMillis(clock)
      if (end <= now && pulling !== undefined) {
        expired = allowance.error()
        end = Infinity
        yield* Fiber.interrupt(pulling)
      }
      yield* Effect.sleep(Math.max(1, Math.min(allowance.least, end - now)))
    }
  })
  const settle = (exit: Exit.Exit<Chunk, unknown>): PartPull => {
    end = Infinity
    pulling = undefined
    if (Exit.isSuccess(exit)) allowance.received(exit.value, elapsedMillis(clock) - began)
    else if (expired !== undefined) return Effect.fail(expired)
    return exit as PartPull
  }
  const wait = (fiber: Fiber.Fiber<Chunk, unknown>): PartPull => {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return settle(exit)
    pulling = fiber
    return Effect.flatMap(
      Effect.onInterrupt(Fiber.await(fiber), () => Fiber.interrupt(fiber)),
      settle
    )
  }
  const forked = Effect.flatMap(Effect.forkChild(pull, { startImmediately: true }), wait)
  const next: PartPull = Effect.suspend(() => {
    began = elapsedMillis(clock)
    end = allowance.end(began)
    return end <= began ? Effect.fail(allowance.error()) : forked
  })
  return Effect.as(Effect.forkIn(watch, scope, { startImmediately: true }), next)
}

const streaming = (
  stream: Stream.Stream<Part, AiError.AiError>,
  make: (now: number) => Allowance
): Stream.Stream<Part, AiError.AiError> =>
  Stream.transformPull(stream, (pull, scope) =>
    Effect.flatMap(Clock.Clock, (clock) => watched(pull, scope, clock, make(elapsedMillis(clock))))
  )

/** Puts bounds on the time that the model below makes its caller wait; what the caller does with the parts is not counted. */
export const within =
  (bounds: Bounds, error: (phase: Phase, millis: number, method: string) => AiError.AiError): Middleware =>
  (next) => ({
    ...next,
    generate: (call) =>
      bounds.attempt === Infinity
        ? next.generate(call)
        : bounded(next.generate(call), bounds.attempt, () => Effect.fail(error("answer", bounds.attempt, call.method))),
    stream: (call) => {
      const least = Math.min(bounds.attempt, bounds.firstToken, bounds.nextToken)
      if (least === Infinity) return next.stream(call)
      return streaming(next.stream(call), () => {
        let waited = 0
        let content = false
        const left = () => bounds.attempt - waited
        const phase = () => (content ? bounds.nextToken : bounds.firstToken - waited)
        return {
          least,
          end: (now) => now + Math.min(left(), phase()),
          received: (chunk, time) => {
            waited += time
            if (!content) content = chunk.some(isContent)
          },
          error: () => {
            if (left() <= phase()) return error("answer", bounds.attempt, call.method)
            if (content) return error("next-token", bounds.nextToken, call.method)
            return error("first-token", bounds.firstToken, call.method)
          }
        }
      })
    }
  })

// What is below knows when to give up: a retry, for example.
const earlier = (fiber: Fiber.Fiber<unknown, unknown>, millis: number): number =>
  Math.min(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe() + millis, fiber.getRef(Policy.Deadline) ?? Infinity)

/** Ends a call, whatever is below, when its time is over, counted from its beginning. */
export const until =
  (millis: number, error: (method: string) => AiError.AiError): Middleware =>
  (next) => ({
    ...next,
    generate: (call) =>
      Effect.withFiber((fiber) => {
        const context = Context.add(fiber.context, Policy.Deadline, earlier(fiber, millis))
        return bounded(next.generate(call), millis, () => Effect.fail(error(call.method)), context)
      }),
    stream: (call) =>
      Stream.unwrap(
        Effect.withFiberSucceed((fiber) => {
          const parts = Stream.provideService(next.stream(call), Policy.Deadline, earlier(fiber, millis))
          return streaming(parts, (began) => ({
            least: millis,
            end: () => began + millis,
            received: () => undefined,
            error: () => error(call.method)
          }))
        })
      )
  })

/**
 * Flights: calls under way, so that an equal call waits for the answer instead of asking too.
 */
import type * as AiError from "effect/ai/AiError"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Kept } from "./answerStore.ts"

/** How a flight ended: with an answer, with one that is not for others, or without its pilot. */
export type Landing =
  | { readonly _tag: "kept"; readonly kept: Kept }
  | { readonly _tag: "unfit" }
  | { readonly _tag: "left" }

/** A call under way. */
export type Flight = Deferred.Deferred<Landing, AiError.AiError>

/** Calls under way, by key: as many as there are callers. */
export interface Flights {
  /** The flight of a key; `leads` for who has to fly it and to land it. */
  readonly board: (key: string) => Effect.Effect<{ readonly flight: Flight; readonly leads: boolean }>
  /** Ends a flight; does nothing for one that has ended. */
  readonly land: (key: string, flight: Flight, exit: Exit.Exit<Landing, AiError.AiError>) => Effect.Effect<void>
  /** The landing of another's flight; `unfit` where waiting was too long. */
  readonly awaited: (flight: Flight) => Effect.Effect<Landing, AiError.AiError>
}

const outcomeOf = (exit: Exit.Exit<Landing, AiError.AiError>): Effect.Effect<Landing, AiError.AiError> => {
  if (Exit.isSuccess(exit)) return exit
  const error = Cause.hasInterrupts(exit.cause) ? Option.none() : Cause.findErrorOption(exit.cause)
  return Option.isSome(error) ? Effect.fail(error.value) : Effect.succeed({ _tag: "left" })
}

/** No calls under way. */
export const make = (maxWait: Duration.Duration): Flights => {
  const flights = new Map<string, Flight>()
  return {
    board: (key) =>
      Effect.sync(() => {
        const flying = flights.get(key)
        if (flying !== undefined) return { flight: flying, leads: false }
        const flight: Flight = Deferred.makeUnsafe()
        flights.set(key, flight)
        return { flight, leads: true }
      }),
    // Who waits learns of the end when the next flight may begin.
    land: (key, flight, exit) =>
      Effect.sync(() => {
        if (flights.get(key) === flight) flights.delete(key)
        Deferred.doneUnsafe(flight, outcomeOf(exit))
      }),
    awaited: (flight) =>
      Effect.map(
        Effect.timeoutOption(Deferred.await(flight), maxWait),
        Option.getOrElse((): Landing => ({ _tag: "unfit" }))
      )
  }
}

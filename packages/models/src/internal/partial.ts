/**
 * Streams that may have to be asked for again: what they have given so far decides whether that is safe.
 */
import type * as AiError from "effect/ai/AiError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Part } from "../Middleware.ts"
import { isContent } from "../Middleware.ts"

type Chunk = readonly [Part, ...Array<Part>]
type PartPull = Pull.Pull<Chunk, AiError.AiError>

/** What a stream has given. */
export interface Progress {
  content: boolean
  /** A tool was called: its handler may have begun, so the answer stands. */
  called: boolean
}

/** Nothing yet. */
export const nothing = (): Progress => ({ content: false, called: false })

const isChunk = (parts: ReadonlyArray<Part>): parts is Chunk => parts.length > 0

/**
 * Notes what a stream gives, and holds back what only announces a response until there is content, so that a stream that
 * fails before leaves no trace.
 */
export const noting = (
  stream: Stream.Stream<Part, AiError.AiError>,
  progress: Progress
): Stream.Stream<Part, AiError.AiError> =>
  Stream.transformPull(stream, (pull) =>
    Effect.sync(() => {
      let waiting: Array<Part> = []
      let begun = false
      let ended = false
      const begin: PartPull = Effect.suspend(() => {
        if (ended) return Cause.done()
        return Pull.matchEffect(pull, {
          onSuccess: (parts): PartPull => {
            waiting.push(...parts)
            if (!parts.some(isContent)) return begin
            begun = true
            return give(waiting)
          },
          onFailure: (cause): PartPull => Effect.failCause(cause),
          onDone: (): PartPull => {
            ended = true
            return give(waiting)
          }
        })
      })
      const give = (parts: ReadonlyArray<Part>): PartPull => {
        if (!isChunk(parts)) return Cause.done()
        waiting = []
        return note(parts)
      }
      const note = (parts: Chunk): PartPull => {
        for (const part of parts) {
          if (isContent(part)) progress.content = true
          if (part.type === "tool-call" && part.providerExecuted !== true) progress.called = true
        }
        return Effect.succeed(parts)
      }
      const noted = Effect.flatMap(pull, note)
      return Effect.suspend(() => (begun ? noted : begin))
    })
  )

/** Pulls until there is content: what came until then, and where the rest comes from. */
const beginning = (
  pull: PartPull,
  waiting: ReadonlyArray<Part> = []
): Effect.Effect<{ readonly waiting: ReadonlyArray<Part>; readonly pull: PartPull }, AiError.AiError> =>
  Pull.matchEffect(pull, {
    onSuccess: (parts) => {
      const all = [...waiting, ...parts]
      return parts.some(isContent) ? Effect.succeed({ waiting: all, pull }) : beginning(pull, all)
    },
    onFailure: (cause) => Effect.failCause(cause),
    onDone: () => Effect.succeed({ waiting, pull: Cause.done() })
  })

/** A stream whose first content is there, and what ends its request. */
export interface Opened {
  readonly stream: Stream.Stream<Part, AiError.AiError>
  readonly close: Effect.Effect<void>
}

/**
 * Waits for the first content of a stream, which is then the success of an effect: so a breaker or a race of two
 * requests is the same for streams as for whole answers. The request lives as long as the scope; if there is no content,
 * it ends at once.
 */
export const open = (
  stream: Stream.Stream<Part, AiError.AiError>
): Effect.Effect<Opened, AiError.AiError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const begin = Effect.flatMap(Stream.toPull(stream), (pull) => beginning(pull))
      const exit = yield* Effect.exit(restore(Scope.provide(begin, scope)))
      if (Exit.isFailure(exit)) {
        yield* Scope.close(scope, exit)
        return yield* Effect.failCause(exit.cause)
      }
      const { pull, waiting } = exit.value
      let first: Chunk | undefined = isChunk(waiting) ? waiting : undefined
      const rest: PartPull = Effect.suspend(() => {
        if (first === undefined) return pull
        const parts = first
        first = undefined
        return Effect.succeed(parts)
      })
      return { stream: Stream.fromPull(Effect.succeed(rest)), close: Scope.close(scope, Exit.void) }
    })
  )

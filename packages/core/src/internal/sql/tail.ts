/** Tails: entries as they come, from this process and from others. */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Sequenced } from "../../Entry.ts"
import { type ReadFailure, ThreadNotFound } from "../../Errors.ts"
import { rangeOf } from "../journalFold.ts"
import type { Reader } from "./reader.ts"

/** A tail that waits, or would if it had read all that is there. */
interface Listener {
  changed: boolean
  wake: (() => void) | undefined
}

/** How the appends of other processes are noticed. */
export type Changes =
  | { readonly poll: Duration.Duration }
  /** The threads that changed; `undefined`: any may have. Each tail also looks for itself now and then, in real time. */
  | { readonly stream: Stream.Stream<string | undefined>; readonly look: Duration.Duration }

const page = 512
const realTime = Clock.Clock.defaultValue()

/** `changes` is listened to from the first tail on, until the scope closes. */
export const make = Effect.fnUntraced(function* (reader: Reader, changes: Changes) {
  const scope = yield* Effect.scope
  const listeners = new Map<string, Set<Listener>>()

  const tell = (listening: Iterable<Listener>) => {
    for (const listener of Array.from(listening)) {
      listener.changed = true
      listener.wake?.()
    }
  }
  const changed = (thread: string | undefined) => {
    if (thread === undefined) for (const listening of listeners.values()) tell(listening)
    else tell(listeners.get(thread) ?? [])
  }

  let following = false
  // Once for all tails, also if the first is interrupted right then.
  const follow = Effect.uninterruptible(
    Effect.suspend(() => {
      if (following || !("stream" in changes)) return Effect.void
      following = true
      return Effect.forkIn(
        Stream.runForEach(changes.stream, (thread) => Effect.sync(() => changed(thread))),
        scope
      )
    })
  )

  const listen = (thread: string): Effect.Effect<Listener, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const listener: Listener = { changed: false, wake: undefined }
        const listening = listeners.get(thread) ?? new Set()
        listeners.set(thread, listening.add(listener))
        return listener
      }),
      (listener) =>
        Effect.sync(() => {
          const listening = listeners.get(thread)
          listening?.delete(listener)
          if (listening?.size === 0) listeners.delete(thread)
        })
    )

  const wait = (listener: Listener): Effect.Effect<void> => {
    const told = Effect.callback<void>((resume) => {
      if (listener.changed) return resume(Effect.void)
      listener.wake = () => {
        listener.wake = undefined
        resume(Effect.void)
      }
      return Effect.sync(() => {
        listener.wake = undefined
      })
    })
    return Effect.raceFirst(
      told,
      "poll" in changes
        ? Effect.sleep(changes.poll)
        : Effect.provideService(Effect.sleep(changes.look), Clock.Clock, realTime)
    )
  }

  const tail = (thread: string, after: number): Stream.Stream<Sequenced, ReadFailure> =>
    Stream.unwrap(
      Effect.gen(function* () {
        const listener = yield* listen(thread)
        yield* follow
        const { info } = yield* reader.known(thread)
        const next = Effect.fnUntraced(function* (
          from: number
        ): Effect.fn.Return<ReadonlyArray<Sequenced>, ReadFailure> {
          while (true) {
            listener.changed = false
            const { entries, id } = yield* reader.page(thread, { after: from, until: undefined, limit: page })
            // Another thread of that name: the one that was asked for is gone.
            if (id !== info.id) return yield* new ThreadNotFound({ thread })
            if (entries.length > 0) return entries
            yield* wait(listener)
          }
        })
        return Stream.paginate(rangeOf({ after }).after, (from) =>
          Effect.map(next(from), (entries) => [entries, Option.some(from + entries.length)] as const)
        )
      })
    )

  return { tail, changed }
})

/**
 * A watch over one HTTP request: it is aborted when it is left before its end, and when nothing is heard of it for too long.
 *
 * **Example**
 *
 * ```ts
 * import * as Watch from "@selvage/provider/Watch"
 * import * as Effect from "effect/Effect"
 *
 * // Fails when the server is silent for ten seconds, in the middle of the body too.
 * export const get = (url: string) =>
 *   Watch.during(10_000, (watch) =>
 *     Effect.tryPromise(async () => {
 *       const response = await fetch(url, { signal: watch.signal })
 *       watch.heard()
 *       return await Watch.text(response, watch, 1_000_000)
 *     })
 *   )
 * ```
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Alarm from "./Alarm.ts"
import * as Fetch from "./Fetch.ts"
import { millisOf } from "./internal/monotonic.ts"

// One for all requests. The stack of an error that is made where a request is aborted holds what runs there, the request with
// its body among it, and whoever keeps the signal keeps that.
const left = new DOMException("This operation was aborted", "AbortError")

/** Under what a request that goes through an SDK carries its watch. */
const carried = Symbol.for("selvage/provider/Watch")

/** Options of a `fetch` that hold nothing but a watch, which is not seen. */
export type Options = Pick<RequestInit, "keepalive">

/** A request that is watched. */
export class Watch {
  readonly #controller = new AbortController()
  readonly #clock: Clock.Clock
  readonly #alarm: Alarm.Setter
  readonly #limit: number
  #last: number
  #callOff: () => void = () => {}
  #finished = false
  #silent = false

  /** Begins to watch, by the clock of a fiber, for a silence of `limit` milliseconds. */
  constructor(fiber: Fiber.Fiber<unknown, unknown>, limit: number) {
    this.#clock = fiber.getRef(Clock.Clock)
    this.#alarm = Alarm.by(fiber)
    this.#limit = limit
    this.#last = millisOf(this.#clock)
    this.#callOff = this.#alarm(limit, this.#look)
  }

  readonly #look = (): void => {
    const rest = this.#last + this.#limit - millisOf(this.#clock)
    if (rest > 0) {
      this.#callOff = this.#alarm(Math.ceil(rest), this.#look)
      return
    }
    this.#silent = true
    this.abort()
  }

  /** What the request is to be made with. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Whether it was aborted for its silence. */
  get isSilent(): boolean {
    return this.#silent
  }

  /** Whether all was heard. */
  get isFinished(): boolean {
    return this.#finished
  }

  /** Something was heard. */
  heard(): void {
    this.#last = millisOf(this.#clock)
  }

  /** All was heard: there is nothing left to abort. */
  finished(): void {
    this.#finished = true
    this.#callOff()
  }

  /** Aborts the request, unless all was heard. */
  abort(): void {
    this.#callOff()
    if (!this.#finished) this.#controller.abort(left)
  }

  /**
   * What a request is to be made with that goes through an SDK: `fetchOptions` for a `fetch` that is {@link obeying}. An SDK that
   * is given the signal itself listens to it for as long as its registries keep the answer, and so keeps the request.
   */
  get options(): Options {
    const options: Options & { readonly [carried]: Watch } = { [carried]: this }
    return options
  }
}

const carriedBy = (init: object | undefined): Watch | undefined => {
  const watch: unknown = init === undefined ? undefined : Reflect.get(init, carried)
  return watch instanceof Watch ? watch : undefined
}

/** A `fetch` in which a watch that came with the {@link Watch.options} of a request takes the place of the SDK's own signal. */
export const obeying =
  (fetch: Fetch.Fetch): Fetch.Fetch =>
  (input, init) => {
    const watch = carriedBy(init)
    return watch === undefined ? fetch(input, init) : fetch(input, { ...init, signal: watch.signal })
  }

/** Watches a request while an effect runs. */
export const during = <A, E, R>(limit: number, use: (watch: Watch) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let watch: Watch | undefined
    return Effect.onExitPrimitive(
      // Made when its end is sure to be seen: a fiber may be interrupted between any two steps.
      Effect.withFiber((fiber) => {
        watch = new Watch(fiber, limit)
        return use(watch)
      }),
      () => {
        watch?.abort()
        return undefined
      }
    )
  })

/** Watches a request until the scope closes; then `close` ends it, if something other than {@link Watch.abort} is to be done. */
export const scoped = (
  limit: number,
  close: (watch: Watch) => Effect.Effect<void> = (watch) => Effect.sync(() => watch.abort())
): Effect.Effect<Watch, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.withFiberSucceed((fiber) => new Watch(fiber, limit)),
    close
  )

/** The text of a body of at most so many bytes, `undefined` for a larger one, which is not read on. */
export const text = async (response: Response, watch: Watch, maxBytes: number): Promise<string | undefined> => {
  const body = Fetch.pieces(response)
  const decoder = new TextDecoder()
  let bytes = 0
  let read = ""
  while (true) {
    const piece = await body.next()
    watch.heard()
    if (piece === undefined) {
      watch.finished()
      return read + decoder.decode()
    }
    bytes += piece.byteLength
    if (bytes > maxBytes) {
      // Who leaves the watch closes the connection, however long this takes.
      void body.cancel().catch(() => {})
      return undefined
    }
    read += decoder.decode(piece, { stream: true })
  }
}

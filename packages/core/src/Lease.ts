/**
 * Leases say which runs may still be making a call that must not be repeated.
 *
 * A run takes a lease before its first intent (`Durable.call`, a tool that is neither `Readonly` nor `Idempotent`) and renews
 * it every third of {@link Ttl} while it works. Another run that finds the call in flight waits until the lease has certainly
 * expired, and only then finds out what became of the call. A run without such calls has no lease and pays nothing.
 *
 * Leases belong to runs, not to threads, and nothing competes for them. The journal's compare-and-set stays the last word on
 * who may write.
 *
 * **Gotchas**
 *
 * - A run whose lease has run out (its process was frozen, its store was silent) begins no call, and its calls in flight are
 *   interrupted. A process that is frozen between that look and the request can still send it late: give calls that matter
 *   an idempotency key (`Task.key`).
 * - A run that ends with a call in flight keeps its lease until it expires: the request may still be on its way.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { JournalUnavailable } from "./Errors.ts"

/**
 * For how long a lease is valid after it was renewed, and for how long `None` of a `reconcile` is not believed after an
 * attempt ended. Default 10 seconds. All processes of a journal should agree on it. Zero turns leases and waiting off: then
 * only one process may run threads of the journal.
 */
export const Ttl = Context.Reference<Duration.Input>("selvage/core/Lease/Ttl", { defaultValue: () => "10 seconds" })

/** A lease as it is kept. */
export interface Lease {
  /** The run that holds it; another for each run. */
  readonly owner: string
  readonly thread: string
  /** Grows with each renewal. */
  readonly beat: number
  /** When it was renewed last, by its owner's clock, milliseconds since the epoch. */
  readonly at: number
  /** For how long it is valid after that, in milliseconds. */
  readonly ttl: number
}

/** Where leases are kept: with the journal. Those that expired more than an hour ago are removed, a few at a time. */
export interface Leases {
  readonly acquire: (lease: {
    readonly owner: string
    readonly thread: string
    readonly ttl: number
  }) => Effect.Effect<void, JournalUnavailable>
  /** Renews leases; succeeds with the owners of those that still stood. One that was ended is never renewed. */
  readonly renew: (owners: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, JournalUnavailable>
  readonly read: (owner: string) => Effect.Effect<Option.Option<Lease>, JournalUnavailable>
  /**
   * Ends a lease; with `beat` only if it was not renewed since, which is how an expired one is taken from its owner.
   * Succeeds with whether it is gone.
   */
  readonly end: (
    owner: string,
    options?: { readonly beat?: number | undefined }
  ) => Effect.Effect<boolean, JournalUnavailable>
}

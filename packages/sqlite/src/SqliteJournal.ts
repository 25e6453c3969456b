/**
 * The journal in a SQLite file: no server, one file, durable at every append.
 *
 * **Example**
 *
 * ```ts
 * import { Thread } from "@selvage/core"
 * import { SqliteJournal } from "@selvage/sqlite"
 * import { Effect, Stream } from "effect"
 *
 * export const program = Stream.runCollect(Thread.events({ thread: "t-1" })).pipe(
 *   Effect.provide(SqliteJournal.layer({ filename: "agents.db" }))
 * )
 * ```
 *
 * Tails see the appends of this process at once, and those of others when they look: every `poll`, 250 ms by default.
 *
 * @since 0.1.0
 */
import { JournalUnavailable } from "@selvage/core/Errors"
import type { Journal, SnapshotPolicy } from "@selvage/core/Journal"
import * as SqlJournal from "@selvage/core/SqlJournal"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqliteClient from "./SqliteClient.ts"

/** Where the journal is, and how it is kept. */
export interface Options {
  /** Path of the file, created if it is not there, or `:memory:`. Its directory must exist. */
  readonly filename: string
  /**
   * Default `full`: an append survives power loss. `normal` is some six times faster for one thread alone, and survives
   * a crash of the process, while a power loss may take the last appends.
   */
  readonly durability?: SqlJournal.Durability | undefined
  readonly snapshots?: SnapshotPolicy | undefined
  /** How often a tail looks for the appends of other processes. Default 250 ms. */
  readonly poll?: Duration.Input | undefined
  /**
   * Default `false`. `true` reads a journal that is there, beside its writer and from a read-only mount: nothing is written, and
   * its tables are not migrated. What writes fails with `JournalUnavailable`.
   */
  readonly readonly?: boolean | undefined
  /** How long to wait for a lock another process holds before a `JournalUnavailable`. Default 5 seconds. */
  readonly busyTimeout?: Duration.Input | undefined
}

/**
 * The journal in the SQLite file of that name; the file and its tables are made if they are not there. A file that is
 * no database, or cannot be opened, is a `JournalUnavailable` that says so.
 */
export const layer = (options: Options): Layer.Layer<Journal, JournalUnavailable> => {
  const { busyTimeout, durability = "full", filename, poll, readonly = false, snapshots } = options
  const store: SqlJournal.Named = { name: `SQLite "${filename}"` }
  const client = SqliteClient.layer({ filename, synchronous: durability, busyTimeout, readonly })
  const journal = Layer.unwrap(
    Effect.map(SqliteClient.SqliteClient, ({ transactNow }) =>
      SqlJournal.layerWith({ store, poll, snapshots, readonly, ...(readonly ? {} : { transactNow }) })
    )
  )
  return Layer.effectContext(
    Layer.build(Layer.provide(journal, client)).pipe(
      Effect.mapError((error) =>
        error._tag === "JournalUnavailable"
          ? error
          : SqlJournal.identify(store)(
              new JournalUnavailable({ operation: `open the file "${filename}"`, cause: error })
            )
      )
    )
  )
}

// Declarations of an application that has no dependency on core find these names here.
export type { Journal } from "@selvage/core/Journal"
export type { JournalUnavailable } from "@selvage/core/Errors"

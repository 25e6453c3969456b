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
 * @since 0.1.0
 */
import { JournalUnavailable } from "@selvage/core/Errors"
import type { Journal } from "@selvage/core/Journal"
import * as SqlJournal from "@selvage/core/SqlJournal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqliteClient from "./SqliteClient.ts"

/**
 * The journal in the SQLite file of that name; the file and its tables are made if they are not there. A file that is
 * no database, or cannot be opened, is a `JournalUnavailable` that says so.
 */
export const layer = (options: SqliteClient.SqliteClientConfig): Layer.Layer<Journal, JournalUnavailable> =>
  Layer.effectContext(
    Layer.build(Layer.provide(SqlJournal.layer, SqliteClient.layer(options))).pipe(
      Effect.mapError((error) =>
        error._tag === "JournalUnavailable"
          ? error
          : new JournalUnavailable({ operation: `open the file "${options.filename}"`, cause: error })
      )
    )
  )

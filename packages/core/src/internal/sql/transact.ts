/**
 * A transaction on a connection of its own. Leaner than `sql.withTransaction`: no span, no savepoints, and its statements
 * are prepared once; an append spends less here than in SQLite.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import type { JournalUnavailable } from "../../Errors.ts"
import { type Database, unavailable } from "./rows.ts"

/** Rolled back if `use` fails or is interrupted. `committing` is called right before the commit. */
export const transact = <A, E>(
  { dialect, sql }: Database,
  values: "none" | "use" | "delete",
  use: (connection: Connection) => Effect.Effect<A, E>,
  committing?: () => void
): Effect.Effect<A, E | SqlError> =>
  Effect.scoped(
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(sql.reserve), (connection) =>
        Effect.gen(function* () {
          for (const text of dialect.begin(values)) yield* connection.execute(text, [], undefined)
          const result = yield* restore(use(connection))
          committing?.()
          yield* connection.execute("COMMIT", [], undefined)
          return result
        }).pipe(
          // What went wrong matters more than whether there was anything to roll back.
          Effect.onError(() => Effect.exit(connection.executeUnprepared("ROLLBACK", [], undefined)))
        )
      )
    )
  )

/**
 * Refuses what is called inside `sql.withTransaction` of the same client: the journal's transactions are its own, and on
 * SQLite one would wait for the other for ever.
 */
export const outside = <A, E, R>(
  { sql }: Database,
  operation: string,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | JournalUnavailable, R> =>
  Effect.withFiber((fiber): Effect.Effect<A, E | JournalUnavailable, R> =>
    Option.isNone(Context.getOption(fiber.context, sql.transactionService))
      ? self
      : Effect.fail(
          unavailable(operation)(
            new Error(
              "it was called inside a transaction of the same SqlClient; call it before or after that transaction"
            )
          )
        )
  )

/**
 * A transaction on a connection of its own. Leaner than `sql.withTransaction`: no span, no savepoints, and its statements
 * are prepared once; an append spends less here than in SQLite. Every statement has its time, also those that cannot be
 * interrupted, so that nothing waits for ever for a server that does not answer.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import type { JournalUnavailable } from "../../Errors.ts"
import { type Database, unavailable } from "./rows.ts"
import { within } from "./within.ts"

/** Rolled back if `use` fails or is interrupted. `committing` is called right before the commit. */
export const transact = <A, E>(
  { dialect, limit, sql }: Database,
  values: "none" | "use" | "delete",
  use: (connection: Connection) => Effect.Effect<A, E>,
  committing?: () => void
): Effect.Effect<A, E | SqlError> =>
  Effect.scoped(
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(within(sql.reserve, limit)), (reserved) => {
        const { connection, isBusy } = limited(reserved, limit)
        return Effect.gen(function* () {
          for (const text of dialect.begin(values)) yield* connection.execute(text, [], undefined)
          const result = yield* restore(use(connection))
          committing?.()
          yield* connection.execute("COMMIT", [], undefined)
          return result
        }).pipe(
          // What went wrong matters more than whether there was anything to roll back. A connection that has not answered is
          // given back as it is: its client ends one that has work outstanding, and so no late answer is taken for another's.
          Effect.onError(() =>
            Effect.suspend(() =>
              isBusy() ? Effect.void : Effect.exit(connection.executeUnprepared("ROLLBACK", [], undefined))
            )
          )
        )
      })
    )
  )

interface Limited {
  readonly connection: Connection
  /** Whether the database still owes an answer. */
  readonly isBusy: () => boolean
}

/** A connection whose statements have their time. */
const limited = (connection: Connection, limit: number): Limited => {
  if (limit === Infinity) return { connection, isBusy: () => false }
  let running = 0
  const timed = <A>(statement: Effect.Effect<A, SqlError>) =>
    within(
      Effect.suspend(() => {
        running++
        return Effect.ensuring(
          statement,
          Effect.sync(() => running--)
        )
      }),
      limit
    )
  const methods: Pick<Connection, "execute" | "executeValues" | "executeUnprepared"> = {
    execute: (sql, params, transform) => timed(connection.execute(sql, params, transform)),
    executeValues: (sql, params) => timed(connection.executeValues(sql, params)),
    executeUnprepared: (sql, params, transform) => timed(connection.executeUnprepared(sql, params, transform))
  }
  return { connection: Object.assign(Object.create(connection), methods), isBusy: () => running > 0 }
}

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

/**
 * A `SqlConnection` on an open `DatabaseSync`.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import type { FileIdentity } from "./FileIdentity.ts"
import * as SqliteFailure from "./SqliteFailure.ts"
import * as SqliteValue from "./SqliteValue.ts"

const streamChunk = 128
const none: ReadonlyArray<ReadonlyArray<unknown>> = []

export interface SqliteConnectionConfig {
  readonly filename: string
  readonly busyTimeout?: Duration.Input | undefined
  readonly preparedStatements?: number | undefined
}

type TransformRows = (<A extends object>(rows: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

interface Request {
  readonly prepared: boolean
  readonly arrays: boolean
}

/** Runs a statement at once; throws an `SqlError`. */
export type Execute = (sql: string, params: ReadonlyArray<unknown>) => ReadonlyArray<ReadonlyArray<unknown>>

/** A connection that can also run a whole transaction at once. */
export interface SqliteConnection extends Connection {
  /**
   * Runs a transaction between two turns of the event loop: nothing else can come in between, so the connection need not
   * be reserved. `undefined`, without having done anything: a transaction is under way on this connection, or another
   * connection has the write lock. Throws what `use` throws, or an `SqlError`, after it has rolled back.
   */
  readonly transactNow: <A>(use: (execute: Execute) => A) => { readonly result: A } | undefined
}

/** The one connection on `database`: statements prepared and bounded, locks waited for, errors typed. */
export const makeConnection = (
  database: DatabaseSync,
  config: SqliteConnectionConfig,
  identity: FileIdentity
): SqliteConnection => {
  const { filename } = config
  /** Throws an `SqlError` where what would be committed, or is read, is no longer the file of that name. */
  const checkFile = () => {
    const lost = identity.lost()
    if (lost !== undefined) throw SqliteFailure.lost(filename, lost)
  }
  const prepare = makePrepare(database, filename, config.preparedStatements ?? 128)
  const wait = waitForLock(Duration.fromInputUnsafe(config.busyTimeout ?? "5 seconds"))

  const attempt = <A>(
    sql: string,
    params: ReadonlyArray<unknown>,
    request: Request,
    use: (statement: StatementSync, params: ReadonlyArray<SQLInputValue>, integers: boolean) => A
  ): Effect.Effect<A, SqlError> =>
    Effect.withFiber((fiber) => {
      const integers = fiber.getRef(SqlClient.SafeIntegers)
      const once = (): Effect.Effect<A, SqlError> => {
        let operation = "prepare"
        try {
          // Before a transaction begins and before it is committed; so also before a statement on its own.
          if (!database.isTransaction || commits.test(sql)) checkFile()
          const statement = prepare(sql, request.prepared)
          statement.setReturnArrays(request.arrays)
          operation = "execute"
          return Effect.succeed(use(statement, SqliteValue.bindAll(filename, params), integers))
        } catch (cause) {
          return Effect.fail(isSqlError(cause) ? cause : SqliteFailure.fromCause(filename, operation, cause))
        }
      }
      return Effect.catchIf(once(), isBusyError, () => wait(Effect.suspend(once)))
    })

  const rows = (sql: string, params: ReadonlyArray<unknown>, transform: TransformRows, prepared: boolean) => {
    const found = attempt(sql, params, { prepared, arrays: false }, (statement, bound, integers) =>
      statement.all(...bound).map((row) => SqliteValue.toRow(row, integers))
    )
    return transform === undefined ? found : Effect.map(found, transform)
  }

  const values = (sql: string, params: ReadonlyArray<unknown>, prepared: boolean) =>
    attempt(sql, params, { prepared, arrays: true }, (statement, bound, integers) =>
      // With returned arrays a row is an array, which the types of node:sqlite do not say.
      statement.all(...bound).map((row) => Object.values(row).map((value) => SqliteValue.toValue(value, integers)))
    )

  const executeNow: Execute = (sql, params) => {
    const statement = prepare(sql, true)
    statement.setReturnArrays(true)
    const rows = statement.all(...SqliteValue.bindAll(filename, params))
    return rows.length === 0
      ? none
      : rows.map((row) => Object.values(row).map((value) => SqliteValue.toValue(value, false)))
  }

  const failNow = (cause: unknown) => {
    if (database.isTransaction) executeNow("ROLLBACK", [])
    return SqliteFailure.resultCode(cause) === undefined ? cause : SqliteFailure.fromCause(filename, "execute", cause)
  }

  return {
    transactNow: (use) => {
      if (database.isTransaction) return undefined
      try {
        executeNow("BEGIN IMMEDIATE", [])
      } catch (cause) {
        if (SqliteFailure.isBusy(cause)) return undefined
        throw failNow(cause)
      }
      try {
        const result = use(executeNow)
        checkFile()
        executeNow("COMMIT", [])
        return { result }
      } catch (cause) {
        throw failNow(cause)
      }
    },
    execute: (sql, params, transform) => rows(sql, params, transform, true),
    executeUnprepared: (sql, params, transform) => rows(sql, params, transform, false),
    executeValues: (sql, params) => values(sql, params, true),
    executeValuesUnprepared: (sql, params) => values(sql, params, false),
    executeRaw: (sql, params) =>
      attempt<unknown>(sql, params, { prepared: true, arrays: false }, (statement, bound, integers) =>
        statement.columns().length === 0
          ? SqliteValue.toRow({ ...statement.run(...bound) }, integers)
          : statement.all(...bound).map((row) => SqliteValue.toRow(row, integers))
      ),
    executeStream: (sql, params, transform) => {
      // A statement of its own: another run of a shared one would reset the cursor.
      const cursor = attempt(sql, params, { prepared: false, arrays: false }, (statement, bound, integers) => ({
        rows: statement.iterate(...bound),
        integers
      }))
      const opened = Effect.acquireRelease(cursor, ({ rows }) => Effect.sync(() => rows.return?.()))
      return Stream.unwrap(
        Effect.map(opened, ({ integers, rows }) =>
          Stream.paginate(undefined, () =>
            Effect.try({
              try: () => {
                const chunk = take(rows, streamChunk).map((row) => SqliteValue.toRow(row, integers))
                const next = chunk.length < streamChunk ? Option.none<undefined>() : Option.some(undefined)
                return [transform === undefined ? chunk : transform(chunk), next] as const
              },
              catch: (cause) => SqliteFailure.fromCause(filename, "stream", cause)
            })
          )
        )
      )
    }
  }
}

const commits = /^\s*(?:COMMIT|END)\b/i

/** A bounded cache of prepared statements, in the order of their last use. */
const makePrepare = (database: DatabaseSync, filename: string, bound: number) => {
  const cache = new Map<string, StatementSync>()
  return (sql: string, cached: boolean): StatementSync => {
    const known = cached ? cache.get(sql) : undefined
    if (known !== undefined) {
      cache.delete(sql)
      cache.set(sql, known)
      return known
    }
    const statement = database.prepare(sql)
    if (!blank.test(sql.slice(statement.sourceSQL.length))) {
      throw SqliteFailure.refused(filename, "prepare", "the text holds more than one statement; run them one by one")
    }
    // Read as BigInt and narrowed by toValue: as numbers, SQLite would run the statement and then fail to return it.
    statement.setReadBigInts(true)
    if (cached) {
      cache.set(sql, statement)
      const [oldest] = cache.keys()
      if (cache.size > bound && oldest !== undefined) cache.delete(oldest)
    }
    return statement
  }
}

/** White space, semicolons and comments. */
const blank = /^(?:[\s;]|--[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*\*\/)*$/

const isBusyError = (error: SqlError): boolean => SqliteFailure.isBusy(error.reason.cause)

/**
 * Tries again until the lock is free or the time is over. In real time whatever the caller's clock: the lock may be
 * another process's. SQLite's own busy timeout would block the event loop, and with it a holder in this process.
 */
const waitForLock = (timeout: Duration.Duration) => {
  const schedule = Schedule.min([Schedule.exponential("1 millis"), Schedule.spaced("25 millis")]).pipe(
    Schedule.upTo({ duration: timeout })
  )
  const realTime = Clock.Clock.defaultValue()
  return <A>(attempt: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> =>
    Effect.retry(attempt, { schedule, while: isBusyError }).pipe(Effect.provideService(Clock.Clock, realTime))
}

/** Not `Iterator.take`, which would end the cursor with the chunk. */
const take = <A>(iterator: Iterator<A>, count: number): Array<A> => {
  const taken: Array<A> = []
  while (taken.length < count) {
    const next = iterator.next()
    if (next.done === true) break
    taken.push(next.value)
  }
  return taken
}

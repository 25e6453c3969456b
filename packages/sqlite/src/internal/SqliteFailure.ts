/**
 * Turns what `node:sqlite` throws into an `SqlError` whose message says which file, what, and what to do.
 *
 * Result codes: https://www.sqlite.org/rescode.html. The low byte is the primary code, the rest refines it.
 */
import * as Predicate from "effect/Predicate"
import {
  AuthorizationError,
  ConnectionError,
  ConstraintError,
  LockTimeoutError,
  SqlError,
  type SqlErrorReason,
  SqlSyntaxError,
  UniqueViolation,
  UnknownError
} from "effect/sql/SqlError"
import { existsSync, statSync } from "node:fs"
import { dirname } from "node:path"

const Generic = 1
const Forbidden = 3
const Busy = 5
const Locked = 6
const ReadOnly = 8
const Corrupt = 11
const Full = 13
const CannotOpen = 14
const Constraint = 19
const Unauthorized = 23
const NotADatabase = 26
const BusySnapshot = 517
const PrimaryKeyViolation = 1555
const UniqueKeyViolation = 2067

/** SQLite's own code, of what SQLite threw. */
export const resultCode = (cause: unknown): number | undefined =>
  Predicate.hasProperty(cause, "errcode") && typeof cause.errcode === "number" ? cause.errcode : undefined

/**
 * Whether another connection holds the lock now and waiting may help. A stale snapshot
 * (`SQLITE_BUSY_SNAPSHOT`) never gets better within its transaction, so it does not count.
 */
export const isBusy = (cause: unknown): boolean => {
  const code = resultCode(cause)
  return code !== undefined && code !== BusySnapshot && (code & 0xff) === Busy
}

const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

const explainOpen = (filename: string): string => {
  const directory = dirname(filename)
  if (!existsSync(directory)) {
    return `its directory "${directory}" does not exist; create the directory or correct the filename`
  }
  return isDirectory(filename)
    ? "it is a directory; name a file in it"
    : "the file cannot be opened; check its permissions and those of its directory"
}

const explain = (filename: string, code: number | undefined, detail: string): string => {
  switch (code === undefined ? undefined : code & 0xff) {
    case Busy:
    case Locked:
      return `${detail}; another connection holds the lock: retry, raise busyTimeout, or keep transactions shorter`
    case ReadOnly:
      return `${detail}; make the file and its directory writable`
    case Corrupt:
      return `${detail}; the file is damaged: restore a backup or salvage it with "sqlite3 FILE .recover"`
    case Full:
      return `${detail}; free space on the volume and retry`
    case CannotOpen:
      return explainOpen(filename)
    case NotADatabase:
      return `${detail}; the file was left as it is: name a SQLite file, or a path where none exists yet`
    default:
      return detail
  }
}

/** The `SqlError` for something thrown by `node:sqlite` while doing `operation` on `filename`. */
export const fromCause = (filename: string, operation: string, cause: unknown): SqlError => {
  const code = resultCode(cause)
  const detail = cause instanceof Error ? cause.message : String(cause)
  const props = {
    cause,
    operation,
    message: `SQLite "${filename}": ${explain(filename, code, detail)}`
  }
  return new SqlError({ reason: reason(code, detail, props) })
}

const reason = (
  code: number | undefined,
  detail: string,
  props: { readonly cause: unknown; readonly operation: string; readonly message: string }
): SqlErrorReason => {
  if (code === PrimaryKeyViolation || code === UniqueKeyViolation) {
    return new UniqueViolation({
      ...props,
      constraint: detail.replace("UNIQUE constraint failed: ", "")
    })
  }
  switch (code === undefined ? undefined : code & 0xff) {
    // SQLite's generic code: at prepare time it means the text, at run time a function or trigger that failed.
    case Generic:
      return props.operation === "prepare" ? new SqlSyntaxError(props) : new UnknownError(props)
    case Forbidden:
    case Unauthorized:
      return new AuthorizationError(props)
    case Busy:
    case Locked:
      return new LockTimeoutError(props)
    case CannotOpen:
      return new ConnectionError(props)
    case Constraint:
      return new ConstraintError(props)
    default:
      return new UnknownError(props)
  }
}

/** An `SqlError` for a file that is no longer the one that was opened. */
export const lost = (filename: string, what: string): SqlError => {
  const message = `SQLite "${filename}": ${what}; nothing was written: close it, see what stands there now, and open it again`
  return new SqlError({ reason: new ConnectionError({ cause: new Error(message), operation: "execute", message }) })
}

/** An `SqlError` for a request this client refuses before SQLite sees it. */
export const refused = (filename: string, operation: string, message: string): SqlError => {
  const text = `SQLite "${filename}": ${message}`
  return new SqlError({
    reason: new UnknownError({ cause: new TypeError(text), operation, message: text })
  })
}

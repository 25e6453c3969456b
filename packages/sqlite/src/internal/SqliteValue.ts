/**
 * Values between JavaScript and SQLite; the rules stand in `SqliteClient`.
 */
import type { SQLInputValue, SQLOutputValue } from "node:sqlite"
import * as SqliteFailure from "./SqliteFailure.ts"

/** The parameters as SQLite takes them; throws an `SqlError` for one it would silently change. */
export const bindAll = (filename: string, params: ReadonlyArray<unknown>): ReadonlyArray<SQLInputValue> =>
  params.map((value, index) => {
    const bound = bind(value)
    if (bound !== undefined) return bound
    const what = value instanceof Date ? "an invalid Date" : Number.isNaN(value) ? "NaN" : `of type ${typeof value}`
    throw SqliteFailure.refused(
      filename,
      "bind",
      `parameter ${index + 1} is ${what}; encode it as text, a number, a bigint, a boolean, a Date, bytes or null`
    )
  })

const bind = (value: unknown): SQLInputValue | undefined => {
  switch (typeof value) {
    case "string":
    case "bigint":
      return value
    case "number":
      // node:sqlite binds every number as REAL, which a TEXT column would store as "5.0".
      return Number.isSafeInteger(value) ? BigInt(value) : Number.isNaN(value) ? undefined : value
    case "boolean":
      return value ? 1n : 0n
    case "undefined":
      return null
  }
  if (value === null) return null
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.toISOString()
  return ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : undefined
}

/** A `number` where it is exact and `integers` (`SafeIntegers`) is off. */
export const toValue = (value: SQLOutputValue, integers: boolean): SQLOutputValue =>
  typeof value !== "bigint" || integers || !isSafe(value) ? value : Number(value)

const isSafe = (value: bigint): boolean =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)

/** A copy with the ordinary prototype, which row transforms and comparisons expect. */
export const toRow = (source: Record<string, SQLOutputValue>, integers: boolean): Record<string, SQLOutputValue> => {
  const row = { ...source }
  for (const name in row) row[name] = toValue(row[name] ?? null, integers)
  return row
}

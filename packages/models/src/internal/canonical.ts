/**
 * Canonical text: equal data has equal text, whatever the order of its keys, and unequal data has not. A JSON value has
 * its JSON text with sorted keys; what JSON has no form for is written in a form that no JSON text has.
 */
import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"
import * as Base64 from "effect/encoding/Base64"
import * as Predicate from "effect/Predicate"

const text = (value: string): string => JSON.stringify(value)

const numberText = (value: number): string =>
  Number.isFinite(value) ? (Object.is(value, -0) ? "0" : String(value)) : `@number(${value})`

/** Throws a `RangeError` for what is nested too deeply or in itself. */
export const canonicalText = (value: unknown): string => {
  switch (typeof value) {
    case "string":
      return text(value)
    case "number":
      return numberText(value)
    case "boolean":
      return value ? "true" : "false"
    case "bigint":
      return `@bigint(${value})`
    case "undefined":
    case "function":
    case "symbol":
      return "null"
    case "object":
      break
  }
  if (value === null) return "null"
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`
  if (value instanceof Uint8Array) return `@bytes(${Base64.encode(value)})`
  if (value instanceof URL) return `@url(${text(value.href)})`
  if (value instanceof Date) return `@date(${value.getTime()})`
  if (DateTime.isDateTime(value)) return `@date(${DateTime.toEpochMillis(value)})`
  if (BigDecimal.isBigDecimal(value)) return `@decimal(${BigDecimal.format(value)})`
  if (value instanceof Map) return `@map(${canonicalText([...value])})`
  if (value instanceof Set) return `@set(${canonicalText([...value])})`
  if (Predicate.hasProperty(value, "toJSON") && typeof value.toJSON === "function") return canonicalText(value.toJSON())
  const source = value as Readonly<Record<string, unknown>>
  const fields: Array<string> = []
  for (const key of Object.keys(source).sort()) {
    const field = source[key]
    if (field !== undefined && typeof field !== "function") fields.push(`${text(key)}:${canonicalText(field)}`)
  }
  return `{${fields.join(",")}}`
}

// What is told of a failure that something foreign threw: its words, and nothing of what it was configured with.
import * as Predicate from "effect/Predicate"

const deepest = 8
const most = 2_000

/** A property that may be a getter which throws. */
const read = (value: object, key: string): unknown => {
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}

const textOf = (value: object, key: string): string | undefined => {
  const text = read(value, key)
  return typeof text === "string" && text !== "" ? text : typeof text === "number" ? String(text) : undefined
}

/** The words of one link of a chain of causes; an error without a message has its code, or what it gathers. */
const words = (cause: unknown): string => {
  if (typeof cause === "string") return cause
  if (!Predicate.isObjectOrArray(cause)) return cause === undefined ? "" : String(cause)
  const gathered = read(cause, "errors")
  const [first]: ReadonlyArray<unknown> = Array.isArray(gathered) ? gathered : []
  return textOf(cause, "message") ?? (first === undefined ? undefined : words(first)) ?? textOf(cause, "code") ?? ""
}

/** A chain of causes as one line: each link once, the outermost first. Never throws. */
export const tellCause = (cause: unknown): string => {
  const told: Array<string> = []
  let link = cause
  for (let depth = 0; depth < deepest && link !== undefined && link !== null; depth++) {
    const text = words(link)
    if (text !== "" && !told.some((before) => before.includes(text))) told.push(text)
    link = Predicate.isObjectOrArray(link) ? read(link, "cause") : undefined
  }
  return told.length === 0 ? "for a reason that it does not tell" : told.join(": ").slice(0, most)
}

const kept = ["code", "errcode", "_tag"] as const

/**
 * A failure of a driver as it may be logged: the names, messages, stacks and codes of its chain of causes. All other
 * properties are left out, because drivers keep addresses, parameters and the URL they were given there. `redact` is
 * applied to every text.
 *
 * ```ts
 * import * as Errors from "@selvage/core/Errors"
 *
 * const driver = Object.assign(new TypeError("Invalid URL"), { input: "postgres://app:secret/1@host/db" })
 * export const plain = Errors.plainCause(driver) // TypeError: Invalid URL, without `input`
 * ```
 */
export const plainCause = (cause: unknown, redact: (text: string) => string = (text) => text): unknown => {
  const copy = (link: unknown, depth: number): unknown => {
    if (typeof link === "string") return redact(link)
    if (!Predicate.isObjectOrArray(link)) return link
    const inner = read(link, "cause")
    const plain = new Error(
      redact(words(link)),
      inner === undefined || depth >= deepest ? {} : { cause: copy(inner, depth + 1) }
    )
    const name = textOf(link, "name")
    if (name !== undefined) hidden(plain, "name", redact(name))
    hidden(plain, "stack", redact(textOf(link, "stack") ?? `${plain.name}: ${plain.message}`))
    for (const key of kept) {
      const value = read(link, key)
      if (typeof value === "string") Reflect.set(plain, key, redact(value))
      if (typeof value === "number") Reflect.set(plain, key, value)
    }
    return plain
  }
  return copy(cause, 0)
}

const hidden = (error: Error, key: string, value: string) =>
  Object.defineProperty(error, key, { value, enumerable: false, writable: true, configurable: true })

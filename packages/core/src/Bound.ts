/**
 * What a value may be at most where it enters a thread: a channel's update, an input, a patch, a question, an answer, what
 * `Durable` records, a tool's arguments and result, an imported entry.
 *
 * JSON may be nested as deep and be as long as who made it likes, and what walks it (to encode, compare, hash, write it) has a
 * stack and an event loop. So each entrance refuses what is beyond these bounds, by its own typed error, before anything
 * walks it, and what is refused there cannot keep a thread from going on.
 *
 * **Example** (values of up to 32 Mi characters)
 *
 * ```ts
 * import { Bound } from "@selvage/core"
 * import * as Effect from "effect/Effect"
 *
 * export const withLargeValues = Effect.provideService(Bound.MaxLength, 32 * 1024 * 1024)
 * ```
 *
 * **Gotchas**
 *
 * - A value of several megabytes holds the event loop for some hundred milliseconds while it is encoded and written. Keep what is
 *   large in a store of its own, and its key in the thread.
 * - The length is that of one value, not of all that a channel that appends has collected.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Fiber from "effect/Fiber"

/** How deep a value may be nested: arrays and objects inside of each other. */
export const maxDepth = 512

/** How long a value may be, in characters of JSON: 4,194,304 (4 Mi) if not given. */
export const MaxLength = Context.Reference<number>("selvage/core/Bound/MaxLength", {
  defaultValue: () => 4 * 1024 * 1024
})

/** How long the name of a run, or the key of an answer or a patch, may be: 1,024 characters. A thread keeps the last 1,024 of them. */
export const maxName = 1024

/** What is wrong with the length of such a name, in words; `undefined`: nothing is. */
export const nameIssue = (name: string | undefined): string | undefined =>
  name === undefined || name.length <= maxName
    ? undefined
    : `it has ${name.length} characters, and at most ${maxName} are kept; use a shorter one, such as a hash of it`

interface Level {
  readonly value: object
  readonly keys: ReadonlyArray<string> | undefined
  next: number
}

const isPlain = (value: object): boolean => {
  if (Array.isArray(value)) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const levelOf = (value: object): Level => ({
  value,
  keys: Array.isArray(value) ? undefined : Object.keys(value),
  next: 0
})

/**
 * What of a value is beyond the bounds, in words; `undefined`: nothing is. Looks into arrays and plain objects, also those that
 * contain themselves; does not recurse, and looks at no more than the bound. A getter that throws is an issue as well.
 */
export const issueOf = (value: unknown): string | undefined => {
  try {
    return look(value, Fiber.getCurrent()?.getRef(MaxLength) ?? MaxLength.defaultValue())
  } catch (error) {
    return `reading it throws: ${error instanceof Error ? error.message : String(error)}`
  }
}

const look = (root: unknown, maxLength: number): string | undefined => {
  const levels: Array<Level> = []
  let length = 0
  let value = root
  while (true) {
    if (typeof value === "string") length += value.length + 2
    else if (typeof value !== "object" || value === null) length += 4
    else if (isPlain(value)) {
      if (levels.length >= maxDepth) {
        return `it is nested more than ${maxDepth} levels deep, or contains itself; keep it flatter, or as a text`
      }
      length += 2
      levels.push(levelOf(value))
    }
    if (length > maxLength) {
      return (
        `it has more than ${maxLength} characters of JSON; keep what is large in a store of its own and its key here, ` +
        `or raise Bound.MaxLength`
      )
    }
    let level = levels.at(-1)
    while (level !== undefined && level.next >= (level.keys ?? (level.value as ReadonlyArray<unknown>)).length) {
      levels.pop()
      level = levels.at(-1)
    }
    if (level === undefined) return undefined
    const index = level.next++
    if (level.keys === undefined) value = (level.value as ReadonlyArray<unknown>)[index]
    else {
      const key = level.keys[index]!
      length += key.length + 4
      value = (level.value as Readonly<Record<string, unknown>>)[key]
    }
  }
}

/** The same for the text of a value as JSON, before it is parsed. The value may stand inside an entry. */
export const textIssue = (text: string): string | undefined => {
  let depth = 0
  let quoted = false
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (quoted) {
      if (code === 0x5c) index++
      else if (code === 0x22) quoted = false
    } else if (code === 0x22) quoted = true
    else if (code === 0x5b || code === 0x7b) {
      if (++depth > maxDepth + entryLevels) return `it is nested more than ${maxDepth} levels deep`
    } else if (code === 0x5d || code === 0x7d) depth--
  }
  return undefined
}

// An entry holds its values so deep.
const entryLevels = 16

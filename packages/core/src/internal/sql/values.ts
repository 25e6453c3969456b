/**
 * Large values of entries are stored once, by the hash of their JSON, and stand in the entry as a marker.
 *
 * A marker is a string that begins with U+0000 and `#`. A string of the user that begins with U+0000 gets one more in
 * front, so that the two are never confused. Text without `"\u0000` needs neither.
 */
import * as Predicate from "effect/Predicate"
import { sha256 } from "./digest.ts"

/** Values whose JSON is longer than this, in characters, are stored apart. */
export const limit = 4096

const nul = "\u0000"
const marker = `${nul}#`
const suspicious = String.raw`"\u0000`

/** An entry's text, and the values that it refers to by hash. */
export interface Shrunk {
  readonly text: string
  readonly values: ReadonlyMap<string, string>
}

const none: ReadonlyMap<string, string> = new Map()

type Item = readonly [json: unknown, size: number]

const shrinkItem = (json: unknown, values: Map<string, string>, root: boolean): Item => {
  const [small, size] = shrinkInside(json, values)
  if (root || size <= limit) return [small, size]
  const text = JSON.stringify(small)
  const key = sha256(text)
  values.set(key, text)
  return [marker + key, marker.length + key.length + 7]
}

const shrinkInside = (json: unknown, values: Map<string, string>): Item => {
  if (typeof json === "string") {
    return [
      json.startsWith(nul) ? nul + json : json,
      json.length > limit ? json.length + 2 : JSON.stringify(json).length
    ]
  }
  if (Array.isArray(json)) {
    const items = json.map((item) => shrinkItem(item, values, false))
    return [items.map(([item]) => item), items.reduce((sum, [, size]) => sum + size + 1, 2)]
  }
  if (!Predicate.isObject(json)) return [json, String(json).length]
  let size = 2
  const fields = Object.entries(json).map(([key, value]): readonly [string, unknown] => {
    const [small, bytes] = shrinkItem(value, values, false)
    size += key.length + 4 + bytes
    return [key, small]
  })
  return [Object.fromEntries(fields), size]
}

/** The JSON of an entry as it is stored. */
export const shrink = (json: object): Shrunk => {
  const text = JSON.stringify(json)
  if (text.length <= limit && !text.includes(suspicious)) return { text, values: none }
  const values = new Map<string, string>()
  const [small] = shrinkItem(json, values, true)
  return { text: JSON.stringify(small), values }
}

/** Whether a stored text may hold markers. */
export const mayRefer = (text: string): boolean => text.includes(suspicious)

/** The hashes that stored JSON refers to, not those inside the values they stand for. */
export const references = (json: unknown, into: Set<string>): void => {
  if (typeof json === "string") {
    if (json.startsWith(marker)) into.add(json.slice(marker.length))
  } else if (Array.isArray(json)) {
    for (const item of json) references(item, into)
  } else if (Predicate.isObject(json)) {
    for (const item of Object.values(json)) references(item, into)
  }
}

/** A value that is referred to and not there. */
export class Missing extends Error {
  readonly key: string
  constructor(key: string) {
    super(`its value ${key} is missing`)
    this.key = key
  }
}

/** Stored JSON as it was. Throws {@link Missing}. */
export const grow = (json: unknown, values: ReadonlyMap<string, unknown>): unknown => {
  if (typeof json === "string") {
    if (!json.startsWith(nul)) return json
    if (!json.startsWith(marker)) return json.slice(1)
    const key = json.slice(marker.length)
    if (!values.has(key)) throw new Missing(key)
    return grow(values.get(key), values)
  }
  if (Array.isArray(json)) return json.map((item) => grow(item, values))
  if (!Predicate.isObject(json)) return json
  return Object.fromEntries(Object.entries(json).map(([key, item]) => [key, grow(item, values)]))
}

/** Whether a value's text is the one its hash names. */
export const isIntact = (key: string, text: string): boolean => sha256(text) === key

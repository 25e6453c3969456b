/** Rules of an API as data, and what their checks are written with. */

/** Which API. */
export type Wire = "responses" | "chat" | "messages"

export type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }
export type Fields = { readonly [key: string]: Json }

/** A request as a server sees it. */
export interface Seen {
  readonly wire: Wire
  readonly headers: Readonly<Record<string, string>>
  /** The body as text, and as what it says. */
  readonly text: string
  readonly body: Fields
  readonly model: string
  /** What thinking came from: what was sent before it, by its signature. */
  readonly signatures: ReadonlyMap<string, ReadonlySet<string>>
}

/** A rule that an API documents. */
export interface Rule {
  /** `wire/what`: what a refusal is named by. */
  readonly id: string
  readonly wire: Wire
  /** The models that it concerns; all if not given. */
  readonly models?: RegExp | undefined
  /** Where it is documented, or reported from the real API. */
  readonly source: string
  /** What the API answers to a request that breaks it; nothing for one that does not. */
  readonly check: (seen: Seen) => string | undefined
  /** 400 if not given. */
  readonly status?: number | undefined
}

export const isFields = (value: Json | undefined): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const listOf = (value: Json | undefined): ReadonlyArray<Json> =>
  Array.isArray(value) ? (value as ReadonlyArray<Json>) : []

export const fieldsIn = (value: Json | undefined): ReadonlyArray<Fields> => listOf(value).filter(isFields)

export const textOf = (value: Json | undefined): string => (typeof value === "string" ? value : "")

/** The first of the messages there are. */
export const first = (...found: ReadonlyArray<string | undefined | false>): string | undefined =>
  found.find((one): one is string => typeof one === "string")

/** The message of the first of these that has one. */
export const among = <A>(
  all: ReadonlyArray<A>,
  check: (one: A, index: number) => string | undefined | false
): string | undefined => {
  for (const [index, one] of all.entries()) {
    const message = check(one, index)
    if (typeof message === "string") return message
  }
  return undefined
}

/** Values that come twice. */
export const repeated = (values: ReadonlyArray<string>): ReadonlyArray<string> =>
  values.filter((value, index) => values.indexOf(value) !== index)

const lone = /(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F][0-9a-fA-F]{2}/

// A pair may be escaped as well.
const pair = /\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}/g

export const hasLoneSurrogate = (text: string): boolean => lone.test(text.replaceAll(pair, ""))

export const isBase64 = (text: string): boolean => /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0

export const isObjectText = (text: string): boolean => {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)
  } catch {
    return false
  }
}

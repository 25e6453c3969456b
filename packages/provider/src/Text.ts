/**
 * Text as wires take it: well-formed Unicode, cut between characters.
 *
 * **Example**
 *
 * ```ts
 * import * as Text from "@selvage/provider/Text"
 *
 * console.log(Text.cut("a👋b", 2)) // "a": half a character is no text
 * ```
 */

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff

/** The first `most` UTF-16 code units of a text, or one fewer where that would end within a character. */
export const cut = (text: string, most: number): string =>
  text.length <= most
    ? text
    : text.slice(0, most > 0 && isHigh(text.charCodeAt(most - 1)) ? most - 1 : Math.max(0, most))

const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff

/** The last `most` UTF-16 code units of a text, or one fewer where that would begin within a character. */
export const end = (text: string, most: number): string => {
  if (text.length <= most) return text
  const from = text.length - Math.max(0, most)
  return text.slice(isLow(text.charCodeAt(from)) ? from + 1 : from)
}

// `JSON.stringify` writes half of a surrogate pair as an escape, and whole pairs as they are. An escape that a text itself spells out has its
// backslash doubled.
const lone = /(?<!\\)((?:\\\\)*)\\ud[89a-f][0-9a-f]{2}/g

/** JSON in which every half of a surrogate pair, which servers refuse, has become the replacement character. */
export const wellFormedJson = (json: string): string =>
  json.includes("\\ud") ? json.replaceAll(lone, (_, slashes: string) => `${slashes}\ufffd`) : json

/** A `fetch` that sends JSON as {@link wellFormedJson} gives it. */
export const wellFormed =
  (fetch: typeof globalThis.fetch): typeof globalThis.fetch =>
  (input, init) => {
    const body = init?.body
    if (typeof body !== "string" || !body.includes("\\ud")) return fetch(input, init)
    return fetch(input, { ...init, body: wellFormedJson(body) })
  }

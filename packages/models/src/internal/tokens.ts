/**
 * Tokens: an estimate of how many tokens a text has, by the script of its words. Without a vocabulary it can only be an
 * estimate; its error was measured against real tokenizers and is held by a test (`ContextWindow.test.ts`).
 */

/** How many tokens a unit of text costs. */
export interface Profile {
  readonly name: string
  /** Longest ASCII word that is one token, and the letters per token of longer ones. */
  readonly wholeWord: number
  readonly lettersPerToken: number
  /** Letters per token of words in Latin script with accents. */
  readonly accented: number
  /** Tokens per character. */
  readonly han: number
  readonly hangul: number
  readonly cyrillicGreek: number
  readonly arabicHebrew: number
  readonly other: number
}

/** OpenAI's `o200k_base` and tokenizers with a vocabulary as large. */
export const o200k: Profile = {
  name: "o200k",
  wholeWord: 8,
  lettersPerToken: 5.2,
  accented: 3.6,
  han: 0.85,
  hangul: 0.75,
  cyrillicGreek: 0.28,
  arabicHebrew: 0.42,
  other: 0.36
}

/** For tokenizers that are not known: rather too many than too few, most of all for scripts other than Latin. */
export const careful: Profile = {
  name: "careful",
  wholeWord: 8,
  lettersPerToken: 3.1,
  accented: 2.6,
  han: 1.1,
  hangul: 1.45,
  cyrillicGreek: 0.65,
  arabicHebrew: 1.15,
  other: 1.35
}

const units = /\p{L}[\p{L}\p{M}]*|\p{N}+|[^\S\n]+|\n\s*|[^\s\p{L}\p{N}]+/gu
const ascii = /^[\x20-\x7e]+$/
const camel = /[a-z][A-Z]/g
const eastAsian = /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u

const lengthOf = (text: string): number => {
  let length = 0
  for (const _ of text) length++
  return length
}

const bytesOf = (text: string): number => {
  let bytes = 0
  for (const character of text) {
    const code = character.codePointAt(0)!
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return bytes
}

const wordTokens = (word: string, profile: Profile): number => {
  if (ascii.test(word)) {
    const whole = word.length <= profile.wholeWord ? 1 : word.length / profile.lettersPerToken
    return whole + 0.6 * (word.match(camel)?.length ?? 0)
  }
  const length = lengthOf(word)
  if (eastAsian.test(word)) return length * profile.han
  if (/^\p{Script=Hangul}/u.test(word)) return length * profile.hangul
  if (/^\p{Script=Latin}/u.test(word)) return Math.max(1, length / profile.accented)
  if (/^[\p{Script=Cyrillic}\p{Script=Greek}]/u.test(word)) return Math.max(1, length * profile.cyrillicGreek)
  if (/^[\p{Script=Arabic}\p{Script=Hebrew}]/u.test(word)) return Math.max(1, length * profile.arabicHebrew)
  return Math.max(1, length * profile.other)
}

const isLetter = (code: number): boolean => (code >= 97 && code <= 122) || (code >= 65 && code <= 90)
const isDigit = (code: number): boolean => code >= 48 && code <= 57
// `\s` below U+0080.
const isSpace = (code: number): boolean => code === 32 || (code >= 9 && code <= 13)

// Where a run of characters of one kind that began before `at` ends.
const whileIn = (isOf: (code: number) => boolean, text: string, at: number): number => {
  let end = at
  while (end < text.length && isOf(text.charCodeAt(end))) end++
  return end
}

const isMark = (code: number): boolean => code < 0x80 && !isLetter(code) && !isDigit(code) && !isSpace(code)
const isSpaceOfLine = (code: number): boolean => code !== 10 && isSpace(code)

const humps = (text: string, from: number, to: number): number => {
  let count = 0
  for (let at = from + 1; at < to; at++) if (text.charCodeAt(at) < 97 && text.charCodeAt(at - 1) >= 97) count++
  return count
}

const isPrintable = (text: string, from: number, to: number): boolean => {
  for (let at = from; at < to; at++) if (text.charCodeAt(at) <= 32 || text.charCodeAt(at) >= 127) return false
  return true
}

/** As below, for text that is all ASCII, without a match for every word; `undefined` for other text. */
const estimateAscii = (text: string, { lettersPerToken, wholeWord }: Profile): number | undefined => {
  let tokens = 0
  let spaced = false
  let at = 0
  while (at < text.length) {
    const from = at
    const first = text.charCodeAt(at)
    if (first >= 0x80) return undefined
    const space = isSpace(first)
    if (isLetter(first)) {
      at = whileIn(isLetter, text, at + 1)
      const length = at - from
      tokens += (length <= wholeWord ? 1 : length / lettersPerToken) + 0.6 * humps(text, from, at)
    } else if (isDigit(first)) {
      at = whileIn(isDigit, text, at + 1)
      tokens += Math.ceil((at - from) / 3) + (spaced ? 1 : 0)
    } else if (space) {
      at = whileIn(first === 10 ? isSpace : isSpaceOfLine, text, at + 1)
      tokens += first === 10 || at - from > 1 ? 1 : 0
    } else {
      at = whileIn(isMark, text, at + 1)
      // A character beyond ASCII may belong to this unit.
      if (at < text.length && text.charCodeAt(at) >= 0x80) return undefined
      tokens += isPrintable(text, from, at) ? Math.max(1, (at - from) / 2.2) : (at - from) / 3
    }
    spaced = space
  }
  return Math.ceil(tokens)
}

/** The estimated tokens of a text. */
export const estimate = (text: string, profile: Profile): number =>
  estimateAscii(text, profile) ?? estimateByScript(text, profile)

/** {@link estimate} by the script of each unit, whatever the text. */
export const estimateByScript = (text: string, profile: Profile): number => {
  let tokens = 0
  let spaced = false
  for (const [unit] of text.matchAll(units)) {
    const space = /^\s/.test(unit)
    if (space) tokens += unit.startsWith("\n") || unit.length > 1 ? 1 : 0
    // A space belongs to the word that follows, but not to a number.
    else if (/^\p{N}/u.test(unit)) tokens += Math.ceil(unit.length / 3) + (spaced ? 1 : 0)
    else if (/^\p{L}/u.test(unit)) tokens += wordTokens(unit, profile)
    else if (ascii.test(unit)) tokens += Math.max(1, unit.length / 2.2)
    else tokens += bytesOf(unit) / 3
    spaced = space
  }
  return Math.ceil(tokens)
}

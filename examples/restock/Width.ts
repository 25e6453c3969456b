/** Widths: how many columns of a terminal a text takes, which is not its length where it holds wide characters. */

const segmenter = new Intl.Segmenter()
const controls = /\p{Cc}/gu
const invisible = /^[\p{Mn}\p{Me}\p{Cf}]+$/u
/** What East Asian Width calls wide or full width, and emoji. */
const wide =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f000}-\u{1faff}]|[\u{20000}-\u{3fffd}]|\p{Emoji_Presentation})/u

const widthOf = (grapheme: string): number => (invisible.test(grapheme) ? 0 : wide.test(grapheme) ? 2 : 1)

/** The columns that a text takes. */
export const width = (text: string): number => {
  let sum = 0
  for (const { segment } of segmenter.segment(text)) sum += widthOf(segment)
  return sum
}

/** The text in one line of at most that many columns, with an ellipsis where it was cut. */
export const fit = (text: string, columns: number): string => {
  const line = text.replace(controls, " ")
  if (width(line) <= columns) return line
  let out = ""
  let used = 1
  for (const { segment } of segmenter.segment(line)) {
    used += widthOf(segment)
    if (used > columns) break
    out += segment
  }
  return `${out}…`
}

/** The text with spaces after it up to that many columns. */
export const padEnd = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - width(text)))

/** The text with spaces before it up to that many columns. */
export const padStart = (text: string, columns: number): string => " ".repeat(Math.max(0, columns - width(text))) + text

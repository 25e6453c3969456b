/**
 * What thinking is bound to: a mark of all that stands before it in a request, breakpoints of caches left out.
 *
 * Newer models take thinking back only after the very prefix that it was made after:
 * https://platform.claude.com/docs/en/build-with-claude/preserved-thinking/prefix-checks. So an answer's thinking keeps the mark of its
 * request, and goes back where the mark is still the same.
 */

/** A mark that grows: two hashes of 32 bits, for telling texts apart and no more. */
export class Mark {
  #one = 0xdeadbeef
  #two = 0x41c6ce57

  add(text: string): void {
    let one = this.#one
    let two = this.#two
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index)
      one = Math.imul(one ^ code, 2654435761)
      two = Math.imul(two ^ code, 1597334677)
    }
    this.#one = one ^ (two >>> 15)
    this.#two = two ^ (one >>> 13)
  }

  get text(): string {
    return `${(this.#one >>> 0).toString(36)}.${(this.#two >>> 0).toString(36)}`
  }
}

/** A value as far as the check reads it. */
export const read = (value: unknown): string => {
  const json = JSON.stringify(value) ?? ""
  return json.includes('"cache_control"')
    ? JSON.stringify(value, (key, inner: unknown) => (key === "cache_control" ? undefined : inner))
    : json
}

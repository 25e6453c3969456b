/**
 * Names and ids that a wire takes, in place of those that it does not, and back.
 *
 * A name that fits stays as it is. Another has the characters that do not fit replaced and is cut, and gets a mark made of the whole name
 * where that would make it equal to one that is taken. What a name becomes depends on the names before it alone, so that a conversation
 * which grows at its end is written the same way each time.
 *
 * **Example**
 *
 * ```ts
 * import * as Names from "@selvage/provider/Names"
 *
 * const names = Names.make(Names.tools, ["fs.read", "fs_read"])
 * console.log(names.toWire("fs_read"), names.fromWire(names.toWire("fs.read"))) // "fs_read" "fs.read"
 * ```
 */

/** What a wire takes. */
export interface Rule {
  /** Matches, globally, each character that may not stand in a name; none for any character. */
  readonly other?: RegExp | undefined
  /** In UTF-16 code units. */
  readonly longest: number
}

/** Tool names as OpenAI and Anthropic take them: https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools and `FunctionDefinition.name` of OpenAI's SDK. */
export const tools: Rule = { other: /[^a-zA-Z0-9_-]/g, longest: 64 }

/** A mapping that grows as it is asked. */
export interface Names {
  readonly toWire: (name: string) => string
  /** The name that became this one; one that was never asked for stays as it is. */
  readonly fromWire: (name: string) => string
}

// FNV-1a, for a mark that tells names apart.
const markOf = (text: string): string => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return (hash >>> 0).toString(36)
}

const fits = (name: string, { longest, other }: Rule): boolean =>
  name !== "" && name.length <= longest && (other === undefined || name.search(other) < 0)

/** A mapping by a rule. Of the names that are known from the start those that fit are taken first. */
export const make = (rule: Rule, known: Iterable<string> = [], reserved: Iterable<string> = []): Names => {
  const wires = new Map<string, string>()
  const names = new Map<string, string>()
  for (const name of reserved) names.set(name, name)
  const take = (name: string, wire: string): string => {
    wires.set(name, wire)
    names.set(wire, name)
    return wire
  }
  const toWire = (name: string): string => {
    const before = wires.get(name)
    if (before !== undefined) return before
    if (fits(name, rule) && !names.has(name)) return take(name, name)
    const base = (rule.other === undefined ? name : name.replaceAll(rule.other, "_")) || "_"
    if (base.length <= rule.longest && !names.has(base)) return take(name, base)
    for (let round = 0; ; round++) {
      const mark = `_${markOf(round === 0 ? name : `${name}\n${round}`)}`
      const wire = base.slice(0, rule.longest - mark.length) + mark
      if (!names.has(wire)) return take(name, wire)
    }
  }
  const rest: Array<string> = []
  for (const name of known) {
    if (fits(name, rule) && !names.has(name)) take(name, name)
    else rest.push(name)
  }
  for (const name of rest) toWire(name)
  return { toWire, fromWire: (wire) => names.get(wire) ?? wire }
}

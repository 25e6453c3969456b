/**
 * Nearest: of recorded requests the one most like another, and how the two differ, to be read by a person.
 */
import * as Predicate from "effect/Predicate"
import * as TextDiff from "effect/TextDiff"

/** The most lines of a difference that are shown, and of a request that are compared. */
const maxShown = 60
const maxCompared = 2_000
const maxEdits = 400

/** Data as lines: one for each leaf, and one for each line of a text. */
const linesOf = (value: unknown, name: string, depth: number): ReadonlyArray<string> => {
  const indent = "  ".repeat(depth)
  const label = name === "" ? "" : `${name}: `
  if (typeof value === "string" && value.includes("\n"))
    return [`${indent}${label}|`, ...value.split("\n").map((line) => `${indent}  ${line}`)]
  if (Array.isArray(value)) {
    if (value.length === 0) return [`${indent}${label}[]`]
    return [`${indent}${label}`.trimEnd(), ...value.flatMap((entry) => linesOf(entry, "-", depth + 1))]
  }
  if (Predicate.isObject(value)) {
    const fields = Object.entries(value).filter(([, entry]) => entry !== undefined)
    if (fields.length === 0) return [`${indent}${label}{}`]
    return [
      ...(name === "" ? [] : [`${indent}${label}`.trimEnd()]),
      ...fields.flatMap(([key, entry]) => linesOf(entry, key, name === "" ? depth : depth + 1))
    ]
  }
  return [`${indent}${label}${typeof value === "string" ? value : JSON.stringify(value)}`]
}

/** Data as a text to be read and compared. */
export const render = (value: unknown): string => `${linesOf(value, "", 0).slice(0, maxCompared).join("\n")}\n`

const sizeOf = (edits: ReadonlyArray<TextDiff.Edit<string>>): number => {
  let changed = 0
  for (const edit of edits) {
    if (edit._tag === "Equal") continue
    // A changed line counts by how much of it there is, so that a long text that differs weighs more than a flag.
    for (const line of edit.items) changed += 1 + line.length / 80
  }
  return changed
}

/** The nearest of some, and the difference to it in the form of `diff -u`; `undefined` of none. */
export const nearest = (
  wanted: unknown,
  recorded: ReadonlyArray<unknown>
): { readonly index: number; readonly difference: string } | undefined => {
  const after = render(wanted)
  let best: { readonly index: number; readonly size: number; readonly edits: Array<TextDiff.Edit<string>> } | undefined
  for (const [index, other] of recorded.entries()) {
    const edits = TextDiff.lines(render(other), after, { maxEdits })
    const size = sizeOf(edits)
    if (best === undefined || size < best.size) best = { index, size, edits }
  }
  if (best === undefined) return undefined
  const lines = TextDiff.unified(best.edits, { context: 2, fromFile: "recorded", toFile: "asked" }).split("\n")
  const shown =
    lines.length > maxShown ? [...lines.slice(0, maxShown), `… ${lines.length - maxShown} more lines`] : lines
  return { index: best.index, difference: shown.join("\n").trimEnd() }
}

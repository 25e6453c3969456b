// Names of tools and ids of calls are a model's text: bounded where they enter, and told apart where they are equal.
import * as Bound from "@selvage/core/Bound"
import * as Hash from "effect/Hash"

/** The most characters of a tool's name that a model made up: as many as every provider takes back. */
export const maxName = 64

/** The most characters of the name that a call has in the journal. */
export const maxCallName = 128

/** The most characters of a model's id of a call; some gateways put signatures of several thousand characters into it. */
export const maxId = 64 * 1024

/** The most characters of JSON that the arguments of a call may have. */
export const maxArguments = 1024 * 1024

/** The same text, or its beginning and a fingerprint of all of it. */
export const abbreviate = (text: string, max: number): string => {
  if (text.length <= max) return text
  const rest = `_${text.length}_${(Hash.string(text) >>> 0).toString(36)}`
  // Not in the middle of a surrogate pair.
  return text.slice(0, max - rest.length).replace(/[\ud800-\udbff]$/, "") + rest
}

/** A name for each call of a turn: its id, and a count where another call before it has that one. */
export const distinct = (ids: ReadonlyArray<string>): ReadonlyArray<string> => {
  const own = ids.map((id) => abbreviate(id, maxCallName))
  if (new Set(own).size === own.length) return own
  const taken = new Set(own)
  const used = new Set<string>()
  const counts = new Map<string, number>()
  return own.map((id) => {
    let name = id
    let count = counts.get(id) ?? 1
    while (used.has(name)) {
      const other = `${id}#${++count}`
      if (!taken.has(other)) name = other
    }
    counts.set(id, count)
    used.add(name)
    return name
  })
}

interface Bounded {
  readonly id: string
  readonly name: string
  readonly params: unknown
}

/** The call with a name, an id and arguments within bounds; itself where they are. */
export const within = <Call extends Bounded>(call: Call, isKnown: (name: string) => boolean): Call => {
  const id = abbreviate(call.id, maxId)
  const name = isKnown(call.name) ? call.name : abbreviate(call.name, maxName)
  const params = paramsWithin(call.params)
  return id === call.id && name === call.name && params === call.params ? call : { ...call, id, name, params }
}

// A text in place of arguments is no arguments: the dispatcher tells the model so.
const paramsWithin = (params: unknown): unknown => {
  const beyond = typeof params === "string" ? undefined : Bound.issueOf(params)
  if (beyond !== undefined) return `The arguments were left out: ${beyond}.`
  try {
    const length = typeof params === "string" ? params.length : (JSON.stringify(params)?.length ?? 0)
    return length <= maxArguments
      ? params
      : `The arguments had ${length} characters, more than the ${maxArguments} that are kept, and were left out.`
  } catch {
    return "The arguments were nested too deeply to be kept, and were left out."
  }
}

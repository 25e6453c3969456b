// Long lists of a state: appended to without a copy, and put together when somebody reads them. So a step of a thread with
// a long history costs what it costs with a short one.
import type { Record_ } from "./compile.ts"

// Below this a copy is as good.
const shortest = 512

/** A list as what it was before and what came to it. */
class List {
  #items: ReadonlyArray<unknown> | undefined
  #before: List | undefined
  #added: ReadonlyArray<unknown>

  private constructor(
    items: ReadonlyArray<unknown> | undefined,
    before: List | undefined,
    added: ReadonlyArray<unknown>
  ) {
    this.#items = items
    this.#before = before
    this.#added = added
  }
  static of(items: ReadonlyArray<unknown>) {
    return new List(items, undefined, [])
  }
  with(added: ReadonlyArray<unknown>) {
    return new List(undefined, this, added)
  }
  get items(): ReadonlyArray<unknown> {
    if (this.#items !== undefined) return this.#items
    const parts = [this.#added]
    let list = this.#before
    while (list !== undefined) {
      parts.push(list.#items ?? list.#added)
      list = list.#items === undefined ? list.#before : undefined
    }
    this.#items = parts.toReversed().flat()
    this.#before = undefined
    this.#added = []
    return this.#items
  }
}

/** The long lists of a state, where it has any. */
const lists = Symbol("selvage/core/lists")

type Lists = ReadonlyMap<string, List>

const listsOf = (state: Record_): Lists | undefined => (state as { readonly [lists]?: Lists })[lists]

/** A state that differs from another only by what is assigned to it. Reads none of its long lists. */
export const copyOf = (state: Record_): Record<string, unknown> => {
  const long = listsOf(state)
  if (long === undefined) return { ...state }
  const copy: Record<string, unknown> = {}
  for (const channel of Object.keys(state)) {
    const list = long.get(channel)
    if (list === undefined) copy[channel] = state[channel]
    else define(copy, channel, list)
  }
  keep(copy, long)
  return copy
}

/** Appends to a list of a state that is still being made. */
export const append = (state: Record<string, unknown>, channel: string, added: ReadonlyArray<unknown>): void => {
  const long = listsOf(state)
  const known = long?.get(channel)
  if (known === undefined) {
    const items = state[channel] as ReadonlyArray<unknown>
    if (items.length < shortest) {
      state[channel] = items.concat(added)
      return
    }
  }
  const list = (known ?? List.of(state[channel] as ReadonlyArray<unknown>)).with(added)
  define(state, channel, list)
  keep(state, new Map(long).set(channel, list))
}

const define = (state: Record<string, unknown>, channel: string, list: List) =>
  Object.defineProperty(state, channel, {
    get: () => list.items,
    // A reducer, or an ephemeral channel, may put another in its place.
    set: (value: unknown) => {
      Object.defineProperty(state, channel, { value, enumerable: true, configurable: true, writable: true })
      const long = new Map(listsOf(state))
      long.delete(channel)
      keep(state, long)
    },
    enumerable: true,
    configurable: true
  })

const keep = (state: Record<string, unknown>, long: Lists) =>
  Object.defineProperty(state, lists, { value: long, enumerable: false, configurable: true })

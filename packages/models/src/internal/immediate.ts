/** Stores that answer without waiting for anything: nobody needs to wait for them. By identity, for what stands around one may wait. */
const known = new WeakSet<object>()

/** Says so of a store. */
export const immediate = <Store extends object>(store: Store): Store => {
  known.add(store)
  return store
}

/** Whether it was said. */
export const isImmediate = (store: object): boolean => known.has(store)

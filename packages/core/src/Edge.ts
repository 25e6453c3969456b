/**
 * Edges say where a graph goes after a node. They are data:
 *
 * | edge | means |
 * |---|---|
 * | `"write"` | go on with that node; `"end"` ends this branch |
 * | `["a", "b"]` | go on with both, in parallel |
 * | `{ each: "search", of: (state) => state.topics }` | a **fan-out**: one task per item, folded in item order |
 * | `{ to: ["plan", "write"], choose: (state) => … }` | a **route** that lists its targets, so that a diagram can draw them |
 * | `(state) => "plan"` | a route; it may also return several names, or {@link fanOut} |
 *
 * A fan-out of no items goes on after its target. Routes and item functions must be pure: they are evaluated again when
 * a thread is resumed.
 *
 * @since 0.1.0
 */

/** One task of `target` per item: what a route returns to fan out. */
export interface FanOut<out Target extends string, out Item> {
  readonly target: Target
  readonly items: ReadonlyArray<Item>
  readonly concurrency: number | undefined
  readonly keys: ReadonlyArray<string>
}

/** A fan-out over items of the state. */
export interface Each<in State, out Target extends string, out Item> {
  readonly each: Target
  readonly of: (state: State) => ReadonlyArray<Item>
  /** How many tasks run at once; all of them if not given. */
  readonly concurrency?: number | undefined
  /** A short unique name per item, in the order of the items, shown as `node[key]`; its index if not given. */
  readonly keys?: ((state: State) => ReadonlyArray<string>) | undefined
}

/** A route that lists its targets. */
export interface Route<in State, out Target extends string, out Choice> {
  readonly to: ReadonlyArray<Target>
  readonly choose: (state: State) => Choice
}

/** One task of `target` per item, as the result of a route. */
export const fanOut = <const Target extends string, Item>(
  target: Target,
  items: ReadonlyArray<Item>,
  options?: { readonly concurrency?: number | undefined; readonly keys?: ReadonlyArray<string> | undefined }
): FanOut<Target, Item> => ({
  target,
  items,
  concurrency: options?.concurrency,
  keys: items.map((_, index) => options?.keys?.[index] ?? String(index))
})

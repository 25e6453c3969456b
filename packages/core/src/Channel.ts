/**
 * A channel is one field of a graph's state: a schema for its value, a schema for an update, an initial value, and a
 * reducer that folds an update into the value.
 *
 * | constructor | value | update | two tasks of one step write it |
 * |---|---|---|---|
 * | {@link last} | `A` | `A` | `ConcurrentUpdate` |
 * | {@link optional} | `A \| undefined` | `A \| undefined` | `ConcurrentUpdate` |
 * | {@link append} | `ReadonlyArray<A>` | `ReadonlyArray<A>` | folded in task order |
 * | {@link sum} | `number` | `number` | folded in task order |
 * | {@link map} | `Record<string, A>` | `Record<string, A \| Removed>` | folded in task order, a later key wins |
 * | {@link merge} | `A` | `A` | folded in task order |
 * | {@link messages} | `Prompt` | `Prompt` to append, or `Messages.Operation`s | folded in task order |
 * | {@link reduce} | `A` | `U` | folded in task order |
 *
 * {@link ephemeral} makes any of them forget: its value is seen by the step after the one that wrote it, and then is the
 * initial one again.
 *
 * Reducers are pure: a thread's state is a fold of its journal through them, today and after every restart.
 *
 * **Gotchas**
 *
 * A schema must have a faithful JSON encoding, or the graph is not built: no `Unknown`, no functions, no union whose
 * members look the same as JSON (`NullOr` inside {@link optional}: both `null` and `undefined` would be `null`). `-0` is
 * read back as `0`.
 *
 * **Example**
 *
 * ```ts
 * import { Channel, Graph } from "@selvage/core"
 * import { Effect, Schema } from "effect"
 *
 * export const Stock = Graph.make("stock", {
 *   state: {
 *     levels: Channel.map(Schema.Int),
 *     highest: Channel.merge(Schema.Int, { initial: 0, merge: Math.max }),
 *     warnings: Channel.ephemeral(Channel.append(Schema.String))
 *   },
 *   nodes: { count: () => Effect.succeed({ levels: { bolts: 7, nuts: Channel.removed }, highest: 7 }) },
 *   edges: { start: "count", count: "end" }
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Prompt from "effect/ai/Prompt"
import * as Messages from "./Messages.ts"

/**
 * How a channel folds, by name. It is written into the journal, so that a tool without the program can read a state.
 */
export type Kind = "last" | "optional" | "append" | "sum" | "map" | "merge" | "messages" | "reduce"

/**
 * One field of a state. `Required` says whether a run must be given the channel's first value as input.
 */
export interface Channel<out Value, in Update = Value, out Required extends boolean = boolean> {
  readonly kind: Kind
  /** Whether the value is forgotten after the step that follows the one that wrote it. */
  readonly ephemeral: boolean
  /** The schema of the value, as kept in a state. */
  readonly schema: Schema.Codec<Value, unknown>
  /** The schema of an update, as kept in the journal. */
  readonly update: Schema.Codec<unknown, unknown>
  /** Whether a run must give the first value as input. */
  readonly required: Required
  /** The value before the first update; `undefined` where the input gives it. */
  readonly initial: Value | undefined
  /** Folds an update into a value. Pure. */
  readonly reducer: (value: never, update: never) => Value
  /** Carries the update's type for inference. */
  readonly "~update": (update: Update) => void
}

/** Any channel. */
export interface Any extends Channel<unknown, never, boolean> {}

/** The channels of a state, by name. */
export type Channels = Readonly<Record<string, Any>>

/** The value type of a channel. */
export type Value<C> = C extends Channel<infer V, never, boolean> ? V : never

/** The update type of a channel. */
export type Update<C> = C extends { readonly "~update": (update: infer U) => void } ? U : never

/** The record of values that a set of channels holds. */
export type State<C extends Channels> = { readonly [K in keyof C]: Value<C[K]> }

/** What a node may return: updates for some of the channels. */
export type Updates<C extends Channels> = { readonly [K in keyof C]?: Update<C[K]> }

type RequiredKeys<C extends Channels> = { [K in keyof C]: C[K]["required"] extends true ? K : never }[keyof C]

/** What a run is given: a value for each channel that has none of its own, an update for any other. */
export type Input<C extends Channels> = { readonly [K in RequiredKeys<C>]: Update<C[K]> } & {
  readonly [K in Exclude<keyof C, RequiredKeys<C>>]?: Update<C[K]>
}

const make = <Value, Update, const Required extends boolean>(options: {
  readonly kind: Kind
  readonly schema: Schema.Codec<Value, unknown>
  readonly update: Schema.Codec<unknown, unknown>
  readonly required: Required
  readonly initial: Value | undefined
  readonly reducer: (value: Value, update: Update) => Value
}): Channel<Value, Update, Required> => ({ ...options, ephemeral: false, "~update": () => {} })

/** How a channel folds, in words: what a thread remembers of it, to tell a changed graph. */
export const shape = (channel: Any): string => (channel.ephemeral ? `ephemeral ${channel.kind}` : channel.kind)

const replace = <A>(_: A, update: A): A => update

/**
 * Keeps the last value written. Without `initial` the run's input must give it. Two tasks that write it in one step
 * are a `ConcurrentUpdate`.
 */
export const last: {
  <A, E>(schema: Schema.Codec<A, E>): Channel<A, A, true>
  <A, E>(schema: Schema.Codec<A, E>, options: { readonly initial: A }): Channel<A, A, false>
} = <A, E>(schema: Schema.Codec<A, E>, options?: { readonly initial: A }): Channel<A, A, never> =>
  make<A, A, never>({
    kind: "last",
    schema,
    update: schema,
    required: (options === undefined) as never,
    initial: options?.initial,
    reducer: replace
  })

/** Keeps the last value written and starts as `undefined`. */
export const optional = <A, E>(schema: Schema.Codec<A, E>): Channel<A | undefined, A | undefined, false> => {
  const codec = Schema.UndefinedOr(schema)
  return make<A | undefined, A | undefined, false>({
    kind: "optional",
    schema: codec,
    update: codec,
    required: false,
    initial: undefined,
    reducer: replace
  })
}

/** A list that grows: an update is the items to add. */
export const append = <A, E>(schema: Schema.Codec<A, E>): Channel<ReadonlyArray<A>, ReadonlyArray<A>, false> =>
  make<ReadonlyArray<A>, ReadonlyArray<A>, false>({
    kind: "append",
    schema: Schema.Array(schema),
    update: Schema.Array(schema),
    required: false,
    initial: [],
    reducer: (value, update) => (update.length === 0 ? value : [...value, ...update])
  })

/** A finite number that updates are added to; starts at 0. */
export const sum: Channel<number, number, false> = make<number, number, false>({
  kind: "sum",
  schema: Schema.Finite,
  update: Schema.Finite,
  required: false,
  initial: 0,
  reducer: (value, update) => value + update
})

/** The type of {@link removed}. */
export class Removed {
  readonly _tag = "Removed"
}

/** In an update of a {@link map}: takes the key out. */
export const removed = new Removed()

const isRemoved = Schema.declare((u): u is Removed => u === removed, { identifier: "Removed" })

/** An update of a {@link map} as JSON: what to set, and which keys to take out. */
const mapUpdate = <A, E>(schema: Schema.Codec<A, E>) =>
  Schema.Struct({
    set: Schema.optionalKey(Schema.Record(Schema.String, schema)),
    remove: Schema.optionalKey(Schema.Array(Schema.String))
  }).pipe(
    Schema.decodeTo(
      Schema.Record(Schema.String, Schema.Union([isRemoved, Schema.toType(schema)])),
      SchemaTransformation.transform({
        decode: ({ remove = [], set = {} }) =>
          Object.fromEntries([...Object.entries(set), ...remove.map((key) => [key, removed] as const)]),
        encode: (update) => {
          const set: Array<[string, A]> = []
          const remove: Array<string> = []
          for (const [key, value] of Object.entries(update)) {
            if (value === removed) remove.push(key)
            else set.push([key, value as A])
          }
          return {
            ...(set.length === 0 ? {} : { set: Object.fromEntries(set) }),
            ...(remove.length === 0 ? {} : { remove })
          }
        }
      })
    )
  )

/**
 * A record that updates are merged into key by key; starts empty. {@link removed} as a key's value takes the key out;
 * taking out a key that is not there is nothing.
 */
export const map = <A, E>(
  schema: Schema.Codec<A, E>
): Channel<Readonly<Record<string, A>>, Readonly<Record<string, A | Removed>>, false> =>
  make<Readonly<Record<string, A>>, Readonly<Record<string, A | Removed>>, false>({
    kind: "map",
    schema: Schema.Record(Schema.String, schema),
    update: mapUpdate(schema),
    required: false,
    initial: {},
    reducer: (value, update) => {
      const next = new Map(Object.entries(value))
      for (const [key, item] of Object.entries(update)) {
        if (item === removed) next.delete(key)
        else next.set(key, item as A)
      }
      return Object.fromEntries(next)
    }
  })

/** A value that updates of the same type are merged into by a function. The function must be pure. */
export const merge = <A, E>(
  schema: Schema.Codec<A, E>,
  options: { readonly initial: NoInfer<A>; readonly merge: (value: NoInfer<A>, update: NoInfer<A>) => NoInfer<A> }
): Channel<A, A, false> =>
  make<A, A, false>({
    kind: "merge",
    schema,
    update: schema,
    required: false,
    initial: options.initial,
    reducer: options.merge
  })

/**
 * A conversation, kept as an `effect/ai` `Prompt`. An update is the messages to append, never the whole; or a list of
 * `Messages` operations, which also replace and remove messages by id.
 */
export const messages: Channel<Prompt.Prompt, Messages.Update, false> = make<Prompt.Prompt, Messages.Update, false>({
  kind: "messages",
  schema: Prompt.Prompt,
  update: Messages.Update,
  required: false,
  initial: Prompt.empty,
  reducer: Messages.fold
})

/**
 * A channel with a reducer of your own. The reducer must be pure; it is replayed over the journal.
 */
export const reduce = <A, E, U, UE>(options: {
  readonly schema: Schema.Codec<A, E>
  readonly update: Schema.Codec<U, UE>
  readonly initial: A
  readonly reducer: (value: A, update: U) => A
}): Channel<A, U, false> =>
  make<A, U, false>({
    kind: "reduce",
    schema: options.schema,
    update: options.update,
    required: false,
    initial: options.initial,
    reducer: options.reducer
  })

/**
 * Makes a channel forget: what a step writes is seen by the routes after it and by the tasks of the next step, and with
 * that step's end the channel is its initial value again, unless written anew. What a run's input gives is seen by the
 * first step. The channel must have an initial value.
 */
export const ephemeral = <Value, Update>(self: Channel<Value, Update, false>): Channel<Value, Update, false> => ({
  ...self,
  ephemeral: true
})

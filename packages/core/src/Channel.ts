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
 * | {@link map} | `Record<string, A>` | `Record<string, A>` | folded in task order, a later key wins |
 * | {@link messages} | `Prompt` | `Prompt` to append | folded in task order |
 * | {@link reduce} | `A` | `U` | folded in task order |
 *
 * Reducers are pure: a thread's state is a fold of its journal through them, today and after every restart.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Prompt from "effect/ai/Prompt"

/**
 * How a channel folds, by name. It is written into the journal, so that a tool without the program can read a state.
 */
export type Kind = "last" | "optional" | "append" | "sum" | "map" | "messages" | "reduce"

/**
 * One field of a state. `Required` says whether a run must be given the channel's first value as input.
 */
export interface Channel<out Value, in Update = Value, out Required extends boolean = boolean> {
  readonly kind: Kind
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
}): Channel<Value, Update, Required> => ({ ...options, "~update": () => {} })

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

/** A record that updates are merged into key by key; starts empty. */
export const map = <A, E>(
  schema: Schema.Codec<A, E>
): Channel<Readonly<Record<string, A>>, Readonly<Record<string, A>>, false> => {
  const codec = Schema.Record(Schema.String, schema)
  return make<Readonly<Record<string, A>>, Readonly<Record<string, A>>, false>({
    kind: "map",
    schema: codec,
    update: codec,
    required: false,
    initial: {},
    reducer: (value, update) => ({ ...value, ...update })
  })
}

/** A conversation, kept as an `effect/ai` `Prompt`; an update is the messages to append, never the whole. */
export const messages: Channel<Prompt.Prompt, Prompt.Prompt, false> = make<Prompt.Prompt, Prompt.Prompt, false>({
  kind: "messages",
  schema: Prompt.Prompt,
  update: Prompt.Prompt,
  required: false,
  initial: Prompt.empty,
  reducer: (value, update) => Prompt.concat(value, update)
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

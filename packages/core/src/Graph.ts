/**
 * A graph is state, nodes and edges: a plain immutable value. Its type tells everything it needs and how it can fail.
 *
 * One round of a graph is a **step**: all tasks that are ready run in parallel, then their updates are folded into the
 * channels in a fixed order, then the edges of the finished tasks say what is ready next. A node that several of them
 * lead to runs once. Results do not depend on the order in which tasks finish.
 *
 * **Example**
 *
 * ```ts
 * import { Channel, Graph } from "@selvage/core"
 * import { Effect, Schema } from "effect"
 *
 * const Count = Graph.make("count", {
 *   state: { n: Channel.last(Schema.Int) },
 *   nodes: { increment: ({ n }) => Effect.succeed({ n: n + 1 }) },
 *   edges: { start: "increment", increment: ({ n }) => (n < 10 ? "increment" : "end") }
 * })
 *
 * export const program = Graph.run(Count, { n: 0 }) // Effect<{ readonly n: number }, GraphFailure>
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Channel from "./Channel.ts"
import type * as Edge from "./Edge.ts"
import type { DeadlineExceeded, GraphFailure } from "./Errors.ts"
import { compile, type Compiled } from "./internal/compile.ts"
import { mermaid } from "./internal/mermaid.ts"
import { runEphemeral, runNested } from "./internal/runtime.ts"
import type { Migrate } from "./Migration.ts"
import * as Node from "./Node.ts"
import type * as Policy from "./Policy.ts"
import type * as Task from "./Task.ts"

/** Brands a graph. */
export const TypeId = "~selvage/core/Graph"

/** A graph, by its name, its state, how it fails, what it needs, and what a run is given. */
export interface Graph<out Name extends string, out State, out E = never, out R = never, in Input = never> {
  readonly [TypeId]: {
    readonly _State: () => State
    readonly _E: () => E
    readonly _R: () => R
    readonly _Input: (input: Input) => void
  }
  readonly name: Name
  /** @internal */
  readonly compiled: Compiled
}

/** Any graph. */
export interface Any extends Graph<string, unknown, unknown, unknown, never> {}

/** The state type of a graph. */
export type State<G> = G extends Graph<string, infer S, unknown, unknown, never> ? S : never

/** What a run of a graph is given. */
export type Input<G> = G extends Graph<string, unknown, unknown, unknown, infer I> ? I : never

/** What a graph may be made of: functions of the state, and definitions (with an input of their own, or of the state). */
export type Nodes<State> = Readonly<Record<string, Node.Fn<State> | { readonly [Node.TypeId]: unknown }>>

type Simplify<A> = { readonly [K in keyof A]: A[K] } & {}

/** The errors of a node. */
export type NodeError<N> = N extends { readonly [Node.TypeId]: unknown; readonly run: (input: never) => infer Run }
  ? Effect.Error<Run>
  : N extends (...args: never) => Effect.Effect<unknown, infer E, unknown>
    ? E
    : never

/** What a node requires. */
export type NodeServices<N> = N extends { readonly [Node.TypeId]: unknown; readonly run: (input: never) => infer Run }
  ? Effect.Services<Run>
  : N extends (...args: never) => Effect.Effect<unknown, unknown, infer R>
    ? R
    : never

type NodeInput<N> =
  N extends Node.Node<infer I, unknown, unknown, unknown>
    ? I
    : N extends (input: infer I, ...args: never) => unknown
      ? I
      : never

type NodeUpdate<N> = N extends { readonly [Node.TypeId]: unknown; readonly run: (input: never) => infer Run }
  ? Effect.Success<Run>
  : N extends (...args: never) => Effect.Effect<infer A, unknown, unknown>
    ? A
    : never

// A node whose update fits adds `unknown` to its property, which changes nothing; one that does not adds a type that
// says what is wrong, so the compiler's error stands on the line of that node.
type CheckNode<N, C extends Channel.Channels> =
  // The compiler asks for the type of a generator's parameter before it knows the node: nothing may be wrong then.
  [N] extends [never] ? unknown : Node.Typed<NodeInput<N>> & CheckUpdate<N, C>

type CheckUpdate<N, C extends Channel.Channels> = N extends (...args: never) => infer Returned
  ? Returned extends Effect.Effect<infer A, unknown, unknown>
    ? CheckChannels<A, C>
    : N extends { readonly [Node.TypeId]: unknown }
      ? CheckChannels<NodeUpdate<N>, C>
      : { readonly "a node returns an Effect": Returned }
  : CheckChannels<NodeUpdate<N>, C>

type CheckChannels<Update, C extends Channel.Channels> = [Update] extends [infer A]
  ? [A] extends [void | undefined]
    ? unknown
    : [Exclude<KeysOf<A>, keyof C>] extends [never]
      ? [A] extends [Channel.Updates<C> | void | undefined]
        ? unknown
        : { readonly "the update of this node does not fit the channels of the state": A }
      : { readonly "this node updates a channel that the state does not have": Exclude<KeysOf<A>, keyof C> }
  : never

type KeysOf<A> = A extends unknown ? keyof A : never

/** The nodes that can be reached by an edge without items: those that take the state. */
type Targets<N, S> = { [K in keyof N & string]: [S] extends [NodeInput<N[K]>] ? K : never }[keyof N & string] | "end"

// The compiler looks at functions without parameters before it knows the names of the nodes: then any item is right.
type Item<N, K extends keyof N> = string extends keyof N ? unknown : NodeInput<N[K]>

type FanOuts<N> = { [K in keyof N & string]: Edge.FanOut<K, Item<N, K>> }[keyof N & string]

type Eachs<N, S> = { [K in keyof N & string]: Edge.Each<S, K, Item<N, K>> }[keyof N & string]

type Choice<N, S> = Targets<N, S> | ReadonlyArray<Targets<N, S>> | FanOuts<N>

/** Where a graph may go after a node. */
type EdgeOf<N, S> =
  | Targets<N, S>
  | ReadonlyArray<Targets<N, S>>
  | Eachs<N, S>
  | Edge.Route<S, (keyof N & string) | "end", Choice<N, S>>
  | ((state: S) => Choice<N, S>)

type Edges<N, S> = { readonly [K in (keyof N & string) | "start"]: EdgeOf<N, S> }

type Tags<E> = E extends { readonly _tag: infer T extends string } ? T : never

// Infers the tags, and then is gone: so that a tag that no node fails with is an unknown property on its line.
type Infer<Routed extends string> = [Routed] extends [string] ? unknown : { readonly [T in Routed]: string }

type OnError<N, S, P, E = NodeError<N[keyof N]> | Policy.FailureOf<P>> = {
  readonly [T in Tags<E>]?:
    | {
        [K in keyof N & string]: [S] extends [NodeInput<N[K]>]
          ? K
          : [Extract<E, { readonly _tag: T }>] extends [NodeInput<N[K]>]
            ? K
            : never
      }[keyof N & string]
    | "end"
}

type Joins<N, S> = {
  readonly [K in keyof N & string]?: [S] extends [NodeInput<N[K]>] ? ReadonlyArray<keyof N & string> : never
}

type DeadlineFailure<D> = [D] extends [never] ? never : DeadlineExceeded

// Failures that every run has, and that a graph's own type need not repeat.
type Internal = Task.Suspended | Task.JournalFailure | GraphFailure

/**
 * Makes a graph. Node names, updates, routes, fan-out items and error routes are checked by the compiler; what only
 * the whole shows (a node that nothing leads to, one that cannot reach the end) throws a `GraphInvalid` with all
 * findings at once.
 */
export const make = <
  const Name extends string,
  C extends Channel.Channels,
  N extends Nodes<Simplify<Channel.State<C>>>,
  const Routed extends string = never,
  const P extends { readonly [K in keyof N]?: Policy.Any } = {},
  const Joined extends string = never,
  Q extends Policy.Any = never,
  D extends Duration.Input = never
>(
  name: Name,
  definition: {
    /** The channels of the state. */
    readonly state: C
    /** Functions of the state, node services, asks, graphs. */
    readonly nodes: N & { readonly [K in keyof N]: CheckNode<NoInfer<N[K]>, NoInfer<C>> }
    /** Where to go from `start` and after each node. */
    readonly edges: Edges<NoInfer<N>, Simplify<Channel.State<C>>>
    /**
     * Where to go when a node fails with an error of this tag; such an error leaves the graph's error type. It takes the place of
     * the edge after the node, also where only some items of a fan-out fail; `"end"` leaves those items out.
     */
    readonly onError?: Infer<Routed> & OnError<NoInfer<N>, Simplify<Channel.State<NoInfer<C>>>, NoInfer<P[keyof P] | Q>>
    /**
     * Nodes that wait: each runs once all the nodes named here have led to it, also where their branches differ in length,
     * and waits anew after that. A node that is no join runs whenever one leads to it.
     *
     * A branch that goes elsewhere does not hold a join up for ever: when nothing else is left to run, it runs with what
     * arrived.
     */
    readonly joins?: Infer<Joined> & Joins<NoInfer<N>, Simplify<Channel.State<NoInfer<C>>>>
    /** What happens around the attempts of a node. */
    readonly policies?: P
    /** The policy of each node that has none of its own; not of asks and of graphs inside. */
    readonly policy?: Q
    /** How many tasks of a step run at once; all of them if not given. */
    readonly concurrency?: number
    /**
     * What becomes of the tasks beside one that fails: they `finish` (default) and their results are kept, or are
     * interrupted and run again with the failed one.
     */
    readonly siblings?: "finish" | "interrupt"
    /** How long a run may take from its input on, restarts included, waiting for answers not. */
    readonly deadline?: D
    /** How a thread of an older form of this graph is read. */
    readonly migrate?: Migrate
  }
): Graph<
  Name,
  Simplify<Channel.State<C>>,
  | Exclude<NodeError<N[keyof N]> | Policy.FailureOf<P[keyof P] | Q>, { readonly _tag: Routed } | Internal>
  | DeadlineFailure<D>,
  NodeServices<N[keyof N]> | Policy.ServicesOf<P[keyof P] | Q>,
  Simplify<Channel.Input<C>>
> => ({
  [TypeId]: {
    _State: () => undefined as never,
    _E: () => undefined as never,
    _R: () => undefined as never,
    _Input: () => {}
  },
  name,
  compiled: compile(name, definition as never)
})

/**
 * Runs a graph in this process, without a journal. Succeeds with the state it ends in.
 *
 * A graph that asks needs a thread: here an ask fails the run with `Suspended`.
 */
export const run = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  input: NoInfer<Input>
): Effect.Effect<State, E | GraphFailure | Task.Suspended, R> =>
  runEphemeral(graph.compiled, input) as Effect.Effect<State, E | GraphFailure | Task.Suspended, R>

/**
 * A graph as a node of another. It keeps a state of its own under the parent's task; what it asks and tells carries its
 * path. The state it ends in becomes an update of the parent.
 */
export const node: {
  <Name extends string, State, E, R, Input, ParentState, Update>(
    graph: Graph<Name, State, E, R, Input>,
    options: {
      readonly input: (state: ParentState) => NoInfer<Input>
      readonly update: (state: NoInfer<State>, parent: ParentState) => Update
    }
  ): Node.Node<ParentState, Update, E | GraphFailure | Task.Suspended | Task.JournalFailure, R>
} = (graph, options) => ({
  [Node.TypeId]: Node.brand,
  kind: "graph",
  input: undefined,
  graph,
  run: (parent) =>
    Effect.map(
      Effect.suspend(() => runNested(graph.compiled, options.input(parent))) as Effect.Effect<never, never, never>,
      (state) => options.update(state, parent)
    )
})

/** The graph as a Mermaid flowchart: every node, edge, route, error route and graph inside. */
export const toMermaid = (graph: Any): string => mermaid(graph.compiled)

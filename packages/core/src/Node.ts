/**
 * A node is a named step of a graph: `(input) => Effect<Update, E, R>`.
 *
 * - A plain **function** of the state, written in place.
 * - {@link make}: a function with an input schema of its own, the target of a fan-out or of an error route.
 * - {@link Service}: a contract without an implementation. A layer implements it, another layer fakes it.
 * - `Ask.node`, `Graph.node`: a person, and a graph, as a node.
 *
 * **Example** (a contract, its implementation, its use)
 *
 * ```ts
 * import { Node } from "@selvage/core"
 * import { Effect, Schema } from "effect"
 *
 * class Search extends Node.Service<Search>()("app/Search", {
 *   input: Schema.String,
 *   output: Schema.Struct({ notes: Schema.Array(Schema.String) })
 * }) {}
 *
 * export const SearchLive = Search.toLayer((topic) => Effect.succeed({ notes: [`all about ${topic}`] }))
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { NodeContractViolated } from "./Errors.ts"

/** Brands a node definition. */
export const TypeId = "~selvage/core/Node"

/** A node as a value: what it takes, and how it runs. */
export interface Node<in Input, out Update, out E = never, out R = never> {
  readonly [TypeId]: { readonly _Input: (_: Input) => void; readonly _Update: () => Update }
  readonly kind: "task" | "service" | "ask" | "graph"
  /** The schema of an input of its own; without one the node takes the state. */
  readonly input: Schema.Codec<unknown, unknown> | undefined
  /** The graph inside, where the node is one. */
  readonly graph: unknown
  readonly run: (input: Input) => Effect.Effect<Update, E, R>
}

/**
 * A function of the state, used as a node as it stands. What it returns must be an Effect; that is checked where the
 * graph is made, because a result type here would turn type parameters that nothing else decides into `unknown`.
 */
export type Fn<State> = (state: State) => unknown

/** Any node definition. */
export interface Any {
  readonly [TypeId]: { readonly _Input: (_: never) => void; readonly _Update: () => unknown }
  readonly kind: Node<never, unknown>["kind"]
  readonly input: Schema.Codec<unknown, unknown> | undefined
  readonly graph: unknown
  readonly run: (input: never) => Effect.Effect<unknown, unknown, unknown>
}

/** Whether a value is a node definition (and not a plain function). */
export const isNode = (u: unknown): u is Any =>
  (typeof u === "object" || typeof u === "function") && u !== null && TypeId in u

/** @internal */
export const brand = { _Input: () => {}, _Update: () => undefined as never }

/** A function with an input schema of its own: the target of a fan-out, or of an error route. */
export const make = <A, Encoded, Update, E, R>(
  input: Schema.Codec<A, Encoded>,
  run: (input: A) => Effect.Effect<Update, E, R>
): Node<A, Update, E, R> => ({ [TypeId]: brand, kind: "task", input, graph: undefined, run })

/** Gives a node an input schema of its own, so that it can be the target of a fan-out. */
export const withInput = <A, Encoded, Update, E, R>(
  input: Schema.Codec<A, Encoded>,
  self: Node<A, Update, E, R>
): Node<A, Update, E, R> => ({ ...self, input })

/** Changes how a node runs, and nothing else of it: catch an error, add a policy, time it. */
export const transform = <Input, Update, E, R, Update2, E2, R2>(
  self: Node<Input, Update, E, R>,
  f: (run: Effect.Effect<Update, E, R>, input: Input) => Effect.Effect<Update2, E2, R2>
): Node<Input, Update2, E2, R2> => ({
  ...self,
  [TypeId]: brand,
  run: (input) => f(self.run(input), input)
})

/** The implementation of a node service. */
export type Handler<Input, Output, E, R = never> = (input: Input) => Effect.Effect<Output, E, R>

/** A node service: a tag with a contract, usable as a node in any graph. */
export interface ServiceClass<Self, Id extends string, Input, Output, E>
  extends
    Context.ServiceClass<Self, Id, Handler<Input, Output, E | NodeContractViolated>>,
    Node<Input, Output, E | NodeContractViolated, Self> {
  /** Implements the node. What the handler requires is required of the layer. */
  readonly toLayer: {
    <R>(handler: Handler<Input, Output, E, R>): Layer.Layer<Self, never, R>
    <R, EX, RX>(handler: Effect.Effect<Handler<Input, Output, E, R>, EX, RX>): Layer.Layer<Self, EX, R | RX>
  }
}

/**
 * Declares a node service: a tag with input, output and error schemas. Inputs and outputs are checked against them at
 * the boundary, whoever implements it; a breach is a `NodeContractViolated`.
 */
export const Service =
  <Self>() =>
  <const Id extends string, Input, InputEncoded, Output, OutputEncoded, E = never, EEncoded = never>(
    id: Id,
    contract: {
      readonly input: Schema.Codec<Input, InputEncoded>
      readonly output: Schema.Codec<Output, OutputEncoded>
      readonly error?: Schema.Codec<E, EEncoded>
    }
  ): ServiceClass<Self, Id, Input, Output, E> => {
    const tag = Context.Service<Self, Handler<Input, Output, E | NodeContractViolated>>()(id)
    const input = checker(contract.input, id, "its input")
    const output = checker(contract.output, id, "its output")
    const guarded =
      <R>(handler: Handler<Input, Output, E, R>) =>
      (value: Input) =>
        Effect.flatMap(input(value), (checked) => Effect.flatMap(handler(checked), output))
    const implement = <R>(handler: Handler<Input, Output, E, R>) =>
      Effect.map(
        Effect.context<R>(),
        (context) => (value: Input) => Effect.provideContext(guarded(handler)(value), context)
      )
    return Object.assign(tag, {
      [TypeId]: brand,
      kind: "service" as const,
      input: contract.input,
      graph: undefined,
      run: (value: Input) => Effect.flatMap(tag, (handler) => handler(value)),
      toLayer: <R, EX, RX>(
        handler: Handler<Input, Output, E, R> | Effect.Effect<Handler<Input, Output, E, R>, EX, RX>
      ) => Layer.effect(tag, Effect.isEffect(handler) ? Effect.flatMap(handler, implement) : implement(handler))
    }) as never
  }

const checker = <A, I>(schema: Schema.Codec<A, I>, node: string, part: string) => {
  const decode = Schema.decodeUnknownEffect(Schema.toType(schema))
  return (value: unknown) =>
    Effect.mapError(decode(value), (error) => new NodeContractViolated({ node, part, issue: error.message }))
}

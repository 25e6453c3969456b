/**
 * A node is a named step of a graph: `(input) => Effect<Update, E, R>`.
 *
 * - A plain **function** of the state, written in place: an arrow, a method, `Effect.fn` or `Effect.fnUntraced`.
 * - {@link make}: a function with an input schema of its own, the target of a fan-out or of an error route.
 * - {@link Service}: a contract without an implementation. A layer implements it, another layer fakes it.
 * - `Ask.node`, `Graph.node`: a person, and a graph, as a node.
 *
 * Combinators make a node of a node, whatever kind it is: {@link orElse} gives it a fallback, {@link withPolicy} a policy
 * of its own, {@link adapt} fits it to another state, {@link transform} anything else.
 *
 * **Gotchas**
 *
 * The compiler knows the state's type in a function that stands right where a graph's node stands, and not in an argument
 * of a call there. So write the parameter's type in a function given to a combinator, to `Ask.node` or to `Graph.node`
 * (`({ topic }: { readonly topic: string }) => …`). Without it the graph does not compile.
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
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { ConcurrentUpdate, JournalConflict, JournalUnavailable, NodeContractViolated, UnknownRoute } from "./Errors.ts"
import * as Policy from "./Policy.ts"
import * as Task from "./Task.ts"

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
  run: (input) =>
    f(
      Effect.suspend(() => self.run(input)),
      input
    )
})

/** What can be used as a node: a definition, or a plain function. */
export type Source<Input, Update, E, R> = Node<Input, Update, E, R> | ((input: Input) => Effect.Effect<Update, E, R>)

/** Added to an argument, it refuses a function whose parameter is `any`, and changes nothing for every other. */
export type Typed<Input> = 0 extends 1 & Input
  ? { readonly "the parameter of this node is `any`: write its type, as in ({ n }: { readonly n: number })": never }
  : unknown

const toNode = <Input, Update, E, R>(self: Source<Input, Update, E, R>): Node<Input, Update, E, R> =>
  isNode(self) ? self : { [TypeId]: brand, kind: "task", input: undefined, graph: undefined, run: self }

/** Failures of the runtime around a node, and breaches of contract: bugs. No fallback takes them. */
export type NotOwn =
  | Task.Suspended
  | JournalConflict
  | JournalUnavailable
  | NodeContractViolated
  | ConcurrentUpdate
  | UnknownRoute

const isOwn = (error: unknown): boolean =>
  !(
    error instanceof Task.Suspended ||
    error instanceof JournalConflict ||
    error instanceof JournalUnavailable ||
    error instanceof NodeContractViolated ||
    error instanceof ConcurrentUpdate ||
    error instanceof UnknownRoute
  )

/**
 * Gives a node a fallback: where the node fails with an error of its own, the other runs with the same input, and the
 * error is gone from the type. A defect, an interruption, an ask that waits, a journal that fails and a breach of
 * contract ({@link NotOwn}) pass the fallback by. In a diagram it is the node it was.
 *
 * **Example**
 *
 * ```ts
 * import { Node } from "@selvage/core"
 * import { Effect, Schema } from "effect"
 *
 * class Down extends Schema.TaggedError<Down>()("Down", {}) {}
 * class Search extends Node.Service<Search>()("app/Search", {
 *   input: Schema.String,
 *   output: Schema.Struct({ notes: Schema.Array(Schema.String) }),
 *   error: Down
 * }) {}
 *
 * export const search = Node.orElse(Search, (topic) => Effect.succeed({ notes: [`nothing found on ${topic}`] }))
 * ```
 */
export const orElse = <Input, Update, E, R, Update2, E2, R2>(
  self: Source<Input, Update, E, R> & Typed<NoInfer<Input>>,
  other: Source<NoInfer<Input>, Update2, E2, R2>
): Node<Input, Update | Update2, Extract<E, NotOwn> | E2, R | R2> => {
  const fallback = toNode(other)
  return transform(toNode(self), (run, input) =>
    Effect.catchCause(run, (cause): Effect.Effect<Update | Update2, Extract<E, NotOwn> | E2, R2> =>
      cause.reasons.every((reason) => reason._tag === "Fail" && isOwn(reason.error))
        ? fallback.run(input)
        : Effect.failCause(cause as Cause.Cause<Extract<E, NotOwn>>)
    )
  )
}

/**
 * Puts a policy around a node, as part of it: around one side of an {@link orElse}, or wherever the node is used. A policy
 * of the graph for the node goes around this one. What the policy fails with and needs joins the node's type.
 */
export const withPolicy = <Input, Update, E, R, Failure, Services>(
  self: Source<Input, Update, E, R> & Typed<NoInfer<Input>>,
  policy: Policy.Policy<Failure, Services>
): Node<Input, Update, E | Failure, R | Services> =>
  transform(toNode(self), (run) =>
    policy.retry === undefined ? Policy.apply(run, policy) : Effect.suspend(() => Policy.apply(asAttempts(run), policy))
  )

// A task keeps what an attempt has asked, so that a further attempt finds its answers as the runtime's own attempts do.
const asAttempts = <Update, E, R>(run: Effect.Effect<Update, E, R>): Effect.Effect<Update, E, R> => {
  let attempt: Task.Task | undefined
  return Effect.flatMap(Task.Current, (task) => {
    if (task === undefined) return run
    attempt = attempt === undefined ? task : attempt.next()
    return Effect.provideService(run, Task.Current, attempt)
  })
}

/**
 * Fits a node to a state it was not made for: its input is made from the state, and its output made into an update. An
 * input schema of the node no longer counts: it now takes the state.
 *
 * **Example**
 *
 * ```ts
 * import { Node } from "@selvage/core"
 * import { Schema } from "effect"
 *
 * class Translate extends Node.Service<Translate>()("app/Translate", { input: Schema.String, output: Schema.String }) {}
 *
 * export const translate = Node.adapt(Translate, {
 *   input: ({ draft }: { readonly draft: string }) => draft,
 *   update: (final) => ({ final })
 * })
 * ```
 */
export const adapt = <Input, Output, E, R, State, Update>(
  self: Source<Input, Output, E, R> & Typed<NoInfer<Input>>,
  options: {
    readonly input: (state: State) => NoInfer<Input>
    readonly update: (output: NoInfer<Output>, state: State) => Update
  }
): Node<State, Update, E, R> => {
  const node = toNode(self)
  return {
    ...node,
    [TypeId]: brand,
    input: undefined,
    run: (state) =>
      Effect.map(
        Effect.suspend(() => node.run(options.input(state))),
        (output) => options.update(output, state)
      )
  }
}

/** The implementation of a node service. */
export type Handler<Input, Output, E, R = never> = (input: Input) => Effect.Effect<Output, E, R>

/**
 * An effect that makes the implementation of a node service.
 *
 * The second half says nothing new. It has no type parameter that is still to be inferred, so that the compiler finds the
 * type of the handler's parameter there, also where `Effect.fnUntraced` makes the handler.
 */
export type MadeHandler<Input, Output, E, R = never, EX = never, RX = never> = Effect.Effect<
  Handler<Input, Output, E, R>,
  EX,
  RX
> &
  Effect.Effect<Handler<Input, Output, E, unknown>, unknown, unknown>

/** A node service: a tag with a contract, usable as a node in any graph. */
export interface ServiceClass<Self, Id extends string, Input, Output, E>
  extends
    Context.ServiceClass<Self, Id, Handler<Input, Output, E | NodeContractViolated>>,
    Node<Input, Output, E | NodeContractViolated, Self> {
  /** Implements the node. What the handler requires is required of the layer. */
  readonly toLayer: <R = never, EX = never, RX = never>(
    handler: Handler<Input, Output, E, R> | MadeHandler<Input, Output, E, R, EX, RX>
  ) => Layer.Layer<Self, EX, R | RX>
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

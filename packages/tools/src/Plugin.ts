/**
 * A plugin is a named, versioned contract over an `effect/ai` toolkit. Who uses its tools depends on the contract alone;
 * a layer implements it, another layer fakes it.
 *
 * **Example**
 *
 * ```ts
 * import { Plugin } from "@selvage/tools"
 * import * as Tool from "effect/ai/Tool"
 * import * as Toolkit from "effect/ai/Toolkit"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * const CheckStock = Tool.make("check_stock", {
 *   parameters: Schema.Struct({ sku: Schema.String }),
 *   success: Schema.Struct({ units: Schema.Int })
 * }).annotate(Tool.Readonly, true)
 *
 * export const Warehouse = Plugin.make("warehouse", { version: "1.0.0", toolkit: Toolkit.make(CheckStock) })
 *
 * export const WarehouseFake = Warehouse.fake({ check_stock: () => Effect.succeed({ units: 2 }) })
 * ```
 *
 * @since 0.1.0
 */
import type * as Policy from "@selvage/core/Policy"
import type * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import { run, type Running } from "./internal/running.ts"

/** Brands a plugin. */
export const TypeId = "~selvage/tools/Plugin"

/** A plugin with its handlers, in the requirements of who uses its tools. */
export interface Live<in out Name extends string> {
  readonly [TypeId]: { readonly _Live: Types.Invariant<Name> }
}

/** Any plugin. */
export interface Any {
  readonly [TypeId]: { readonly _Name: () => string }
  readonly name: string
  readonly version: string
  readonly toolkit: Toolkit.Any
}

/** The live plugin that the use of a plugin requires. */
export type Services<P> = P extends { readonly [TypeId]: { readonly _Name: () => infer Name extends string } }
  ? Live<Name>
  : never

/** How to find out, per tool, whether a call was made. */
export type Reconcile<Tools extends Record<string, Tool.Any>, Requirements> = {
  readonly [Name in keyof Tools]?: (
    params: Tool.Parameters<Tools[Name]>,
    call: {
      /** The key the handler saw in `ToolCall.Current`. */
      readonly key: string
    }
  ) => Effect.Effect<Option.Option<Tool.Success<Tools[Name]>>, unknown, Requirements>
}

/** What may be said about a plugin's tools where they are implemented. */
export interface Options<Tools extends Record<string, Tool.Any>, out Requirements = never> {
  /**
   * What happens around a call. A timeout applies to every tool; retries only to tools that are `Readonly` or
   * `Idempotent`.
   */
  readonly policies?: { readonly [Name in keyof Tools]?: Policy.Policy<unknown> } | undefined
  /**
   * For tools that are neither `Readonly` nor `Idempotent`: whether a call was made whose result was lost to a crash or
   * a timeout. `Some` its result, `None` it was not made. Without it, or if it fails, a person is asked after a crash,
   * and after a timeout the model is told that nobody knows.
   */
  readonly reconcile?: Reconcile<Tools, Requirements> | undefined
}

/** A named, versioned contract over a toolkit. */
export interface Plugin<in out Name extends string, in out Tools extends Record<string, Tool.Any>> {
  readonly [TypeId]: { readonly _Name: () => Name }
  readonly name: Name
  readonly version: string
  readonly toolkit: Toolkit.Toolkit<Tools>
  /** Implements the tools, as the `toLayer` of a toolkit does. */
  readonly toLayer: <Handlers extends Toolkit.HandlersFrom<Tools>, EX = never, RX = never, R = never>(
    build: Handlers | Effect.Effect<Handlers, EX, RX>,
    options?: Options<Tools, R>
  ) => Layer.Layer<Live<Name>, EX, Exclude<RX, Scope.Scope> | Tool.HandlerServices<Tools[keyof Tools]> | R>
  /** Takes the handlers from a layer of the toolkit (`toolkit.toLayer`, `McpClient`), wherever it comes from. */
  readonly layerToolkit: <R = never>(
    options?: Options<Tools, R>
  ) => Layer.Layer<Live<Name>, never, Tool.HandlersFor<Tools> | Tool.HandlerServices<Tools[keyof Tools]> | R>
  /** Implements some of the tools, for tests. A call of another one is a defect that says so. */
  readonly fake: <R = never>(
    handlers: Partial<Toolkit.HandlersFrom<Tools>>,
    options?: Options<Tools, R>
  ) => Layer.Layer<Live<Name>, never, Tool.HandlerServices<Tools[keyof Tools]> | R>
}

/** Declares a plugin. Two layers of plugins with one name are alternatives of each other. */
export const make = <const Name extends string, Tools extends Record<string, Tool.Any>>(
  name: Name,
  options: {
    /** The version of the contract. The registry refuses a layer of another version. */
    readonly version: string
    readonly toolkit: Toolkit.Toolkit<Tools>
  }
): Plugin<Name, Tools> => {
  const { toolkit, version } = options
  const tag = service<Name>(name)
  const start = (handlers: Context.Context<never>, { policies = {}, reconcile = {} }: Options<Tools, unknown> = {}) =>
    Effect.map(Effect.context<never>(), (context) =>
      run({
        name,
        version,
        toolkit,
        handlers,
        context,
        policies: policies as Readonly<Record<string, Policy.Policy<unknown> | undefined>>,
        reconcile: reconcile as Parameters<typeof run>[0]["reconcile"]
      })
    )
  const toLayer = <Handlers extends Toolkit.HandlersFrom<Tools>, EX, RX>(
    build: Handlers | Effect.Effect<Handlers, EX, RX>,
    live?: Options<Tools, unknown>
  ) =>
    Layer.effect(
      tag,
      Effect.flatMap(toolkit.toHandlers(build), (handlers) => start(handlers, live))
    )
  return {
    [TypeId]: { _Name: () => name },
    name,
    version,
    toolkit,
    toLayer,
    layerToolkit: (live?: Options<Tools, unknown>) =>
      Layer.effect(
        tag,
        Effect.flatMap(Effect.context<never>(), (context) => start(context, live))
      ),
    fake: (handlers: Partial<Toolkit.HandlersFrom<Tools>>, live?: Options<Tools, unknown>) =>
      toLayer({ ...unfaked(name, toolkit), ...handlers } as Toolkit.HandlersFrom<Tools>, live)
    // Handlers and reconciles get their services from the layer's own context, which the signatures ask for.
  } as Plugin<Name, Tools>
}

const unfaked = (plugin: string, toolkit: Toolkit.Any) =>
  Object.fromEntries(
    Object.keys(toolkit.tools).map((tool) => [
      tool,
      () =>
        Effect.die(
          new Error(`Tool "${tool}" was called, and the fake of plugin "${plugin}" has no handler for it. Add one.`)
        )
    ])
  )

const service = <Name extends string>(name: Name) =>
  Context.Service<Live<Name>, Running>(`selvage/tools/Plugin/${name}`)

/**
 * The key of a live plugin.
 *
 * @internal
 */
export const keyOf = <P extends Any>({ name }: P): Context.Key<Services<P>, Running> =>
  service(name) as Context.Key<unknown, Running> as Context.Key<Services<P>, Running>

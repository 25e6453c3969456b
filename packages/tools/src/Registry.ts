/**
 * The registry brings the tools of several plugins together: one toolkit for the model, one place to look a tool up.
 *
 * @since 0.1.0
 */
import type * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { RegistryInvalid } from "./Errors.ts"
import type { Running, RunningTool } from "./internal/running.ts"
import * as Plugin from "./Plugin.ts"

/** A tool of which no more is known than that it is one; its services are already provided. */
export interface AnyTool extends Tool.Tool<
  string,
  {
    readonly parameters: Schema.Codec<unknown, unknown>
    readonly success: Schema.Codec<unknown, unknown>
    readonly failure: Schema.Codec<unknown, unknown>
    readonly failureMode: Tool.FailureMode
  }
> {}

/** A tool with its plugin, its policy, and how to find out about a lost call. */
export interface RegisteredTool extends RunningTool {}

/** The tools of several plugins. */
export interface Registry {
  readonly plugins: ReadonlyArray<{ readonly name: string; readonly version: string }>
  /**
   * For `LanguageModel.generateText({ toolkit, disableToolCallResolution: true, toolCallValidation: "deferred" })`;
   * its calls go to `Dispatcher.dispatch`.
   */
  readonly toolkit: Toolkit.WithHandler<Record<string, AnyTool>>
  /** The tools that can be dispatched, by name. */
  readonly tools: ReadonlyMap<string, RegisteredTool>
}

/**
 * Brings the tools of plugins together, or says everything that keeps them from working together. Done once for the same
 * live plugins: later uses of the effect in the same layers give the same registry.
 */
export const make = <const Plugins extends ReadonlyArray<Plugin.Any>>(
  plugins: Plugins
): Effect.Effect<Registry, RegistryInvalid, Plugin.Services<Plugins[number]>> => {
  // By the first live plugin, so that a registry goes when the layers it was made of go.
  const made = new WeakMap<object, Made>()
  const none = {}
  const keys = (plugins as ReadonlyArray<Plugins[number]>).map((plugin) => Plugin.keyOf(plugin))
  return Effect.contextWith((context: Context.Context<Plugin.Services<Plugins[number]>>) => {
    const live = keys.map((key) => Context.get(context, key))
    const kept = made.get(live[0] ?? none)
    if (kept !== undefined && kept.live.every((running, index) => running === live[index])) return kept.registry
    return Effect.tap(together(plugins, live), (registry) =>
      Effect.sync(() => made.set(live[0] ?? none, { live, registry: Effect.succeed(registry) }))
    )
  })
}

interface Made {
  readonly live: ReadonlyArray<Running>
  readonly registry: Effect.Effect<Registry>
}

const together = (
  plugins: ReadonlyArray<Plugin.Any>,
  live: ReadonlyArray<Running>
): Effect.Effect<Registry, RegistryInvalid> => {
  const findings = check(plugins, live)
  if (findings.length > 0) return Effect.fail(new RegistryInvalid({ findings }))
  const handlers = live.reduce((all, { handlers }) => Context.merge(all, handlers), Context.empty())
  // The handlers are provided below, and their services were provided to the layers they came from.
  const definitions = live.flatMap(({ definitions }) => definitions) as ReadonlyArray<unknown> as ReadonlyArray<AnyTool>
  const toolkit = Toolkit.make(...definitions) as Effect.Effect<
    Toolkit.WithHandler<Record<string, AnyTool>>,
    never,
    unknown
  >
  // A toolkit keeps the context it is made in: the handlers, and nothing of the run that happened to be first.
  return Effect.map(
    Effect.updateContext(toolkit, () => handlers as Context.Context<unknown>),
    (toolkit) => ({
      plugins: live.map(({ name, version }) => ({ name, version })),
      toolkit,
      tools: new Map(live.flatMap(({ tools }) => tools.map((tool) => [tool.name, tool] as const)))
    })
  )
}

const check = (plugins: ReadonlyArray<Plugin.Any>, live: ReadonlyArray<Running>): ReadonlyArray<string> => {
  const findings: Array<string> = []
  const seen = new Set<string>()
  const owners = new Map<string, string>()
  plugins.forEach(({ name, toolkit, version }, index) => {
    if (seen.has(name)) {
      findings.push(`plugin "${name}" is given more than once`)
      return
    }
    seen.add(name)
    const running = live[index]!
    if (running.version !== version) {
      findings.push(
        `plugin "${name}" is used in version ${version}, but its layer implements version ${running.version}`
      )
    }
    findings.push(...running.findings)
    for (const tool of Object.keys(toolkit.tools)) {
      // Any other name is mapped by the adapters, and any schema has a form that providers take.
      if (tool.trim() === "") findings.push(`plugin "${name}" has a tool without a name; name it`)
      const owner = owners.get(tool)
      if (owner === undefined) owners.set(tool, name)
      else findings.push(`plugins "${owner}" and "${name}" both have a tool "${tool}"; rename one of them`)
    }
  })
  return findings
}

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

/** Brings the tools of plugins together, or says everything that keeps them from working together. */
export const make = Effect.fnUntraced(function* <const Plugins extends ReadonlyArray<Plugin.Any>>(
  plugins: Plugins
): Effect.fn.Return<Registry, RegistryInvalid, Plugin.Services<Plugins[number]>> {
  const live = yield* Effect.forEach(plugins as ReadonlyArray<Plugins[number]>, (plugin) => Plugin.running(plugin))
  const findings = check(plugins, live)
  if (findings.length > 0) return yield* new RegistryInvalid({ findings })
  const handlers = live.reduce((all, { handlers }) => Context.merge(all, handlers), Context.empty())
  // The handlers are provided below, and their services were provided to the layers they came from.
  const definitions = live.flatMap(({ definitions }) => definitions) as ReadonlyArray<unknown> as ReadonlyArray<AnyTool>
  const toolkit = Toolkit.make(...definitions) as Effect.Effect<
    Toolkit.WithHandler<Record<string, AnyTool>>,
    never,
    unknown
  >
  return {
    plugins: live.map(({ name, version }) => ({ name, version })),
    toolkit: yield* Effect.provideContext(toolkit, handlers as Context.Context<unknown>),
    tools: new Map(live.flatMap(({ tools }) => tools.map((tool) => [tool.name, tool] as const)))
  }
})

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
      const owner = owners.get(tool)
      if (owner === undefined) owners.set(tool, name)
      else findings.push(`plugins "${owner}" and "${name}" both have a tool "${tool}"; rename one of them`)
    }
  })
  return findings
}

/** Providers from the modules that `SELVAGE_PROVIDERS` names. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { Finding, Provider } from "../Providers.ts"
import { read } from "./roleSources.ts"
import { providersVariable } from "./variables.ts"

/** What the modules hold, and what is wrong with them. */
export interface Loaded {
  readonly providers: ReadonlyArray<Provider>
  readonly findings: ReadonlyArray<Finding>
}

const isProvider = (value: unknown): value is Provider =>
  Predicate.hasProperty(value, "name") &&
  typeof value.name === "string" &&
  /^[a-z][a-z0-9_-]*$/.test(value.name) &&
  Predicate.hasProperty(value, "layer") &&
  typeof value.layer === "function"

/** The providers among what a module exports, alone or in lists. */
const providersOf = (module: Readonly<Record<string, unknown>>): ReadonlyArray<Provider> => [
  ...new Set(
    Object.values(module)
      .flatMap((value): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [value]))
      .filter(isProvider)
  )
]

// A path is meant from where the program runs, a package as that directory sees it.
const locate = async (specifier: string): Promise<string> => {
  if (/^[a-z][a-z0-9+.-]+:/i.test(specifier)) return specifier
  const [{ createRequire }, { resolve }, { pathToFileURL }] = await Promise.all([
    import("node:module"),
    import("node:path"),
    import("node:url")
  ])
  if (/^\.{0,2}\//.test(specifier)) return pathToFileURL(resolve(specifier)).href
  try {
    return pathToFileURL(createRequire(pathToFileURL(resolve("index.js"))).resolve(specifier)).href
  } catch {
    // Packages that only have an `import` entry are found by the loader itself, from here.
    return specifier
  }
}

const load = (specifier: string): Effect.Effect<Loaded> =>
  Effect.tryPromise(async () => (await import(await locate(specifier))) as Readonly<Record<string, unknown>>).pipe(
    Effect.match({
      onFailure: ({ cause }): Loaded => ({
        providers: [],
        findings: [
          {
            what: `the module "${specifier}" cannot be loaded: ${cause instanceof Error ? cause.message.split("\n")[0] : String(cause)}`,
            where: providersVariable,
            fix: "name a package that is installed, or a file as ./FILE from where the program runs; divide several by commas"
          }
        ]
      }),
      onSuccess: (module): Loaded => {
        const providers = providersOf(module)
        const finding = {
          what: `the module "${specifier}" exports no provider`,
          where: providersVariable,
          fix: "export a Provider of @selvage/models: a value with a name in lower case and a layer; see Providers.fromLayers"
        }
        return { providers, findings: providers.length === 0 ? [finding] : [] }
      }
    })
  )

/** The providers of all modules that the variable names. */
export const loaded = Effect.gen(function* () {
  const named = Option.getOrElse(yield* read(providersVariable), () => "")
  const specifiers = named.split(",").map((entry) => entry.trim())
  const all = yield* Effect.forEach(
    specifiers.filter((specifier) => specifier.length > 0),
    load
  )
  return {
    providers: all.flatMap(({ providers }) => providers),
    findings: all.flatMap(({ findings }) => findings)
  } satisfies Loaded
})

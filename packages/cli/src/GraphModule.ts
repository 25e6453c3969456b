/**
 * The graphs that a module exports. The module is imported, which runs it: keep graphs in a module that starts nothing.
 *
 * @since 0.1.0
 */
import * as Graph from "@selvage/core/Graph"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { GraphNotExported, ModuleFailed, ModuleNotFound } from "./Failure.ts"

/** A graph and the name it is exported as. */
export interface Exported {
  readonly name: string
  readonly as: string
  readonly graph: Graph.Any
}

/** What loading graphs can fail with. */
export type LoadFailure = ModuleNotFound | ModuleFailed | GraphNotExported

const importLimit = "30 seconds"

const Manifest = Schema.fromJsonString(
  Schema.Struct({ exports: Schema.optionalKey(Schema.Json), main: Schema.optionalKey(Schema.String) })
)

const conditions = ["node", "import", "module-sync", "default"]

/** The file that `exports` of a package.json names for the package itself. */
const entryOf = (exports: unknown, depth = 0): string | undefined => {
  if (typeof exports === "string") return exports
  if (!Predicate.isObject(exports) || Array.isArray(exports) || depth > 8) return undefined
  const root = Object.entries(exports).find(([key]) => key === ".")
  if (root !== undefined) return entryOf(root[1], depth + 1)
  for (const [condition, target] of Object.entries(exports)) {
    const entry = conditions.includes(condition) ? entryOf(target, depth + 1) : undefined
    if (entry !== undefined) return entry
  }
  return undefined
}

const resolve = Effect.fnUntraced(function* (module: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const typeOf = (file: string) =>
    Effect.orElseSucceed(
      Effect.map(fs.stat(file), ({ type }) => type),
      () => undefined
    )
  const at = path.resolve(module)
  const type = yield* typeOf(at)
  if (type === undefined) return yield* new ModuleNotFound({ module, looked: `nothing is at ${at}` })
  if (type !== "Directory") return at
  const manifest = path.join(at, "package.json")
  const candidates: Array<string> = []
  if ((yield* typeOf(manifest)) === "File") {
    const decoded = yield* fs.readFileString(manifest).pipe(
      Effect.flatMap(Schema.decodeEffect(Manifest)),
      Effect.mapError(
        ({ message }) => new ModuleFailed({ module, reason: `its package.json cannot be read: ${message}` })
      )
    )
    const entry = entryOf(decoded.exports) ?? decoded.main
    if (entry !== undefined) candidates.push(entry)
  }
  candidates.push("index.ts", "index.js")
  for (const candidate of candidates) {
    const file = path.join(at, candidate)
    if ((yield* typeOf(file)) === "File") return file
  }
  return yield* new ModuleNotFound({ module, looked: `${at} has no ${candidates.join(", no ")}` })
})

const reasonOf = (cause: unknown): string => {
  const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  return text.split("\n", 1)[0] ?? text
}

const isGraph = (value: unknown): value is Graph.Any =>
  Predicate.hasProperty(value, Graph.TypeId) && Predicate.hasProperty(value, "name") && typeof value.name === "string"

const isNamespace = (value: unknown): value is object =>
  Predicate.isObject(value) && Reflect.get(value, Symbol.toStringTag) === "Module"

const graphsOf = (namespace: object): ReadonlyArray<Exported> => {
  const found = new Map<Graph.Any, Exported>()
  const add = (as: string, value: unknown) => {
    if (isGraph(value) && !found.has(value)) found.set(value, { name: value.name, as, graph: value })
  }
  const exported = Object.entries(namespace)
  for (const [as, value] of exported) add(as, value)
  // An index that re-exports its modules as namespaces is common; deeper ones are not looked into.
  for (const [outer, value] of exported) {
    if (isNamespace(value)) for (const [as, inner] of Object.entries(value)) add(`${outer}.${as}`, inner)
  }
  return Array.from(found.values())
}

/** The graphs that a file or a directory exports, at least one; with `name` those whose own or exported name it is. */
export const load = Effect.fnUntraced(function* (
  module: string,
  name: string | undefined
): Effect.fn.Return<readonly [Exported, ...ReadonlyArray<Exported>], LoadFailure, FileSystem.FileSystem | Path.Path> {
  const path = yield* Path.Path
  const file = yield* resolve(module)
  const url = yield* Effect.mapError(
    path.toFileUrl(file),
    ({ message }) => new ModuleFailed({ module, reason: message })
  )
  const namespace = yield* Effect.tryPromise({
    try: (): Promise<object> => import(url.href),
    catch: (cause) => new ModuleFailed({ module, reason: reasonOf(cause) })
  }).pipe(
    Effect.timeoutOrElse({
      duration: importLimit,
      orElse: () => Effect.fail(new ModuleFailed({ module, reason: `it did not load within ${importLimit}` }))
    })
  )
  const exported = graphsOf(namespace)
  const [first, ...rest] =
    name === undefined ? exported : exported.filter((graph) => graph.name === name || graph.as === name)
  if (first === undefined)
    return yield* new GraphNotExported({ module, name, found: exported.map((graph) => graph.name) })
  return [first, ...rest]
})

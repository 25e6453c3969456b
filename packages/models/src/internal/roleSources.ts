/** Where roles are written: code, the file that `SELVAGE_MODELS_FILE` names, the variables of roles. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Toml from "effect/encoding/Toml"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as ModelConfig from "../ModelConfig.ts"
import type { Finding } from "../Providers.ts"
import type { Written } from "./rolePlan.ts"

/** The variable that names the file. */
export const fileVariable = "SELVAGE_MODELS_FILE"

/** A variable that is set and not empty. */
export const read = (name: string) =>
  Config.String(name).pipe(Config.option, Config.map(Option.filter((value) => value.trim().length > 0)))

/** What a file holds, by role, or what is wrong with it. */
export interface Source {
  readonly roles: ReadonlyMap<string, Written>
  readonly findings: ReadonlyArray<Finding>
}

const wrong = (what: string, where: string, fix: string): Source => ({
  roles: new Map(),
  findings: [{ what, where, fix }]
})

// Node's own file system, where the program has not put another in its place.
const contents = Effect.fnUntraced(function* (path: string) {
  const files = yield* Effect.serviceOption(FileSystem.FileSystem)
  if (Option.isSome(files)) return yield* files.value.readFileString(path)
  return yield* Effect.tryPromise(async () => (await import("node:fs/promises")).readFile(path, "utf8"))
})

const json = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Unknown))

const parseText = (path: string, text: string): Result.Result<unknown, string> =>
  path.toLowerCase().endsWith(".toml")
    ? Result.mapError(Toml.parse(text), (error) => error.message)
    : Result.mapError(json(text), () => "it is no JSON")

/** Reads the file that the variable names, if it does. */
export const file = Effect.gen(function* () {
  const named = yield* read(fileVariable)
  if (Option.isNone(named)) return { roles: new Map(), findings: [] } satisfies Source
  const path = named.value.trim()
  const text = yield* Effect.result(contents(path))
  if (Result.isFailure(text)) {
    return wrong(`the file "${path}" cannot be read`, fileVariable, "name a file that exists, or unset it")
  }
  const parsed = parseText(path, text.success)
  if (Result.isFailure(parsed)) {
    return wrong(`the file cannot be read: ${parsed.failure}`, path, "write it as .toml or .json, as ModelConfig says")
  }
  return rolesOf(parsed.success, path)
})

const rolesOf = (data: unknown, path: string): Source => {
  const decoded = Schema.decodeUnknownResult(ModelConfig.File, { onExcessProperty: "error" })(data)
  if (Result.isFailure(decoded)) {
    return wrong("it must have roles and nothing else at its top", path, "write each role as roles.NAME")
  }
  const roles = new Map<string, Written>()
  const findings: Array<Finding> = []
  for (const [name, role] of Object.entries(decoded.success.roles)) {
    const at = (inner: string) => `${path}: roles.${name}${inner === "" ? "" : `.${inner}`}`
    if (Predicate.isObject(role) && !Array.isArray(role)) roles.set(name, { role: { ...role }, at })
    else findings.push({ what: "a role must be a table", where: at(""), fix: 'write model = "provider:model" in it' })
  }
  return { roles, findings }
}

/** Roles that are written in code. */
export const code = (roles: Readonly<Record<string, ModelConfig.RoleInput>>): ReadonlyMap<string, Written> =>
  new Map(
    Object.entries(roles).map(([name, role]) => [
      name,
      { role: { ...role }, at: (inner) => `roles.${name}${inner === "" ? "" : `.${inner}`} of Models.layerWith` }
    ])
  )

/** The text of a variable: models divided by `|`, or a role as JSON. */
export const variable = (name: string, text: string): Written => {
  if (!text.trim().startsWith("{")) return { role: { model: text, fallbacks: [] }, at: () => name }
  const at = (inner: string) => (inner === "" ? name : `${name}: ${inner}`)
  const parsed = json(text)
  if (Result.isSuccess(parsed) && Predicate.isObject(parsed.success)) return { role: { ...parsed.success }, at }
  const finding = {
    what: "it begins like JSON and is none",
    where: name,
    fix: "correct it, or name models divided by |"
  }
  return { role: {}, at, findings: [finding] }
}

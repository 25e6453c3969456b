/** The variables that Selvage's packages read, and those that are set and that none of them reads. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"

/** What every variable of Selvage begins with, and what the variable of a role begins with. */
const prefix = "SELVAGE_"
export const rolePrefix = "SELVAGE_MODEL_"

/** The variable that configures a role. */
export const variableOf = (role: string): string =>
  `${rolePrefix}${role
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/[^A-Za-z0-9]+/g, "_")
    .toUpperCase()}`

/** The variable that says whether the offline model may be taken where no model is configured. */
export const offlineVariable = "SELVAGE_OFFLINE"

/** The variable that names the modules of further providers. */
export const providersVariable = "SELVAGE_PROVIDERS"

/** Every variable that a package of Selvage reads, besides those of roles: one table for all packages, which a test keeps whole. */
export const known: ReadonlyArray<string> = [
  "SELVAGE_JOURNAL",
  "SELVAGE_MODELS_FILE",
  offlineVariable,
  "SELVAGE_OPENAI_API",
  "SELVAGE_OPENAI_AUTH",
  "SELVAGE_PRICES",
  providersVariable
]

/** Variables of the repository's own tests and benchmarks begin so; the packages read none of them. */
const ours = /^SELVAGE_(?:TEST|BENCH|LIVE)_/

/** The most names that are looked at, and the longest path to one. */
const maxNames = 500
const maxDepth = 16

/** The names of the variables of Selvage that are set. A provider that cannot list what it holds gives none. */
const namesSet = Effect.gen(function* () {
  const provider = yield* ConfigProvider.ConfigProvider
  const names = new Set<string>()
  const visit = (path: ReadonlyArray<string>): Effect.Effect<void, ConfigProvider.SourceError> =>
    Effect.gen(function* () {
      if (names.size >= maxNames || path.length > maxDepth) return
      const node = yield* provider.load(path)
      if (node === undefined) return
      if (node.value !== undefined && node.value.trim() !== "") names.add(path.join("_"))
      if (node._tag === "Record") for (const key of node.keys) yield* visit([...path, key])
      if (node._tag === "Array")
        for (let index = 0; index < node.length; index++) yield* visit([...path, String(index)])
    })
  const root = yield* provider.load([])
  for (const key of root?._tag === "Record" ? root.keys : []) {
    if (key === prefix.slice(0, -1) || key.startsWith(prefix)) yield* visit([key])
  }
  return [...names].filter((name) => name.startsWith(prefix))
}).pipe(Effect.orElseSucceed((): ReadonlyArray<string> => []))

/** How many letters must be put in, taken out, replaced or swapped with the next to make one text of another. */
export const distance = (from: string, to: string): number => {
  const rows = [Array.from({ length: to.length + 1 }, (_, column) => column)]
  for (let row = 1; row <= from.length; row++) {
    const line = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      let least = Math.min(
        rows[row - 1]![column]! + 1,
        line[column - 1]! + 1,
        rows[row - 1]![column - 1]! + (same ? 0 : 1)
      )
      if (row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        least = Math.min(least, rows[row - 2]![column - 2]! + 1)
      }
      line.push(least)
    }
    rows.push(line)
  }
  return rows[from.length]![to.length]!
}

const maxLength = 100

/** Of some names the one most like another; the first of several that are. */
export const nearest = (name: string, names: ReadonlyArray<string>): string | undefined => {
  let best: { readonly name: string; readonly distance: number } | undefined
  for (const other of names) {
    const own = distance(name.slice(0, maxLength), other.slice(0, maxLength))
    if (best === undefined || own < best.distance) best = { name: other, distance: own }
  }
  return best?.name
}

/**
 * A line for each variable of Selvage that is set and that nothing reads, with the known one that is most like it. `roles`
 * are the variables of the roles that the program has, `others` further ones that it reads.
 */
export const unread = (
  roles: ReadonlyArray<string>,
  others: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(namesSet, (names) => {
    const all = [...new Set([...roles, ...known, ...others])]
    return names
      .filter((name) => !all.includes(name) && !ours.test(name))
      .map((name) => {
        const meant = `did you mean ${nearest(name, all)}?`
        return name.startsWith(rolePrefix)
          ? `${name} is set, but the program declares no role of this name: ${meant} A role of your own is declared in Models.layerWith({ roles }) or in the file of SELVAGE_MODELS_FILE.`
          : `${name} is set, but no package of Selvage reads it: ${meant}`
      })
  })

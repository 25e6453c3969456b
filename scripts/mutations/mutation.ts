/** Mutations: small changes of the code that a test of the same package must notice. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

/** One change of the code, and the tests that must fail with it. Paths are relative to the package. */
export interface Mutation {
  readonly file: string
  /** The text as it stands in the file, once. */
  readonly find: string
  readonly replace: string
  /** The test files that notice. */
  readonly tests: ReadonlyArray<string>
  /** What breaks. */
  readonly breaks: string
}

/** A mutation of a package, with its paths relative to the root of the repository. */
export interface Listed extends Mutation {
  readonly package: string
}

/** The mutations of a package. Test files are named without `.test.ts`; those of another package as `package:name`. */
export const of = (name: string, mutations: ReadonlyArray<Mutation>): ReadonlyArray<Listed> =>
  mutations.map((mutation) => ({
    ...mutation,
    package: name,
    file: `packages/${name}/src/${mutation.file}`,
    tests: mutation.tests.map((test) => {
      const [file, owner = name] = test.split(":").toReversed()
      return `packages/${owner}/test/${file}.test.ts`
    })
  }))

const root = join(import.meta.dirname, "../..")

const read = (path: string): string | undefined => {
  try {
    return readFileSync(join(root, path), "utf8")
  } catch {
    return undefined
  }
}

/** What is wrong with a mutation as the code stands now, if anything. */
export const staleness = ({ file, find, replace, tests }: Listed): string | undefined => {
  const text = read(file)
  if (text === undefined) return `there is no ${file}`
  const count = text.split(find).length - 1
  if (count !== 1) return `${file} has ${count === 0 ? "no" : count} places that read ${JSON.stringify(find)}`
  if (find === replace) return `it changes nothing of ${file}`
  const lost = tests.find((test) => read(test) === undefined)
  if (lost !== undefined) return `there is no ${lost}`
  return tests.length === 0 ? "it names no test" : undefined
}

// Mutations are texts of the code: one that is not there any more proves nothing. `pnpm mutate` makes them.
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { type Listed, staleness } from "../mutations/mutation.ts"

const directory = join(import.meta.dirname, "../mutations")
const lists = readdirSync(directory).filter((file) => file !== "mutation.ts")

const load = async (list: string): Promise<ReadonlyArray<Listed>> =>
  ((await import(`../mutations/${list}`)) as { readonly mutations: ReadonlyArray<Listed> }).mutations

for (const list of lists) {
  test(`every mutation in scripts/mutations/${list} is of the code as it stands`, async () => {
    const mutations = await load(list)
    expect(mutations.flatMap((mutation) => staleness(mutation) ?? [])).toEqual([])
    expect(new Set(mutations.map(({ file, find, replace }) => `${file} ${find} ${replace}`)).size).toBe(
      mutations.length
    )
  })
}

test("every package has mutations", () => {
  const packages = readdirSync(join(directory, "../../packages"))
  expect(lists.map((list) => list.replace(".ts", "")).sort()).toEqual(packages.sort())
})

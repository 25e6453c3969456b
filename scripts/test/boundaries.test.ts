import { execFile } from "node:child_process"
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { boundaries } from "../../oxlint.config.ts"

const root = join(import.meta.dirname, "../..")
const names = Object.keys(boundaries)

const rule = "eslint(no-restricted-imports)"

/** The lint rules over a house in which every package has one file that holds these imports, line by line. */
const lint = async (house: string, imports: ReadonlyArray<string>): Promise<ReadonlySet<string>> => {
  for (const name of names) {
    await mkdir(join(house, "packages", name, "src"), { recursive: true })
    await writeFile(
      join(house, "packages", name, "src/Module.ts"),
      imports.map((from, line) => `export * as N${line} from "${from}"\n`).join("")
    )
  }
  const { stdout } = await promisify(execFile)(join(root, "node_modules/.bin/oxlint"), ["-f", "json", "packages"], {
    cwd: house,
    maxBuffer: 1 << 24
  }).catch((failed: { readonly stdout: string }) => failed)
  const { diagnostics } = JSON.parse(stdout) as {
    readonly diagnostics: ReadonlyArray<{
      readonly code: string
      readonly filename: string
      readonly labels: ReadonlyArray<{ readonly span: { readonly line: number } }>
    }>
  }
  return new Set(
    diagnostics
      .filter(({ code }) => code === rule)
      .map(({ filename, labels }) => `${filename.split("/").at(-3)} → ${imports[(labels[0]?.span.line ?? 0) - 1]}`)
  )
}

describe("package boundaries", () => {
  let house = ""
  beforeAll(async () => {
    house = await mkdtemp(join(tmpdir(), "selvage-boundaries-"))
    await copyFile(join(root, "oxlint.config.ts"), join(house, "oxlint.config.ts"))
    await symlink(join(root, "node_modules"), join(house, "node_modules"))
  })
  afterAll(() => rm(house, { recursive: true, force: true }))

  test("a package imports the packages below it and no others, by barrel and by subpath", async () => {
    const refused = await lint(
      house,
      names.flatMap((to) => [`@selvage/${to}`, `@selvage/${to}/Module`])
    )
    const expected = names.flatMap((from) =>
      names
        .filter((to) => !boundaries[from]?.includes(to))
        .flatMap((to) => [`${from} → @selvage/${to}`, `${from} → @selvage/${to}/Module`])
    )
    expect([...refused].sort()).toEqual(expected.sort())
  })

  test("nobody imports what is internal to another package, its files, or the barrel of effect", async () => {
    const forbidden = ["@selvage/core/internal/runtime", "../../core/src/Graph.ts", "effect"]
    const refused = await lint(house, [...forbidden, "effect/Effect", "./internal/runtime.ts", "../test/support.ts"])
    expect([...refused].sort()).toEqual(names.flatMap((from) => forbidden.map((to) => `${from} → ${to}`)).sort())
  })
})

describe.each(names)("@selvage/%s", (name) => {
  const json = async (file: string): Promise<unknown> =>
    JSON.parse(await readFile(join(root, "packages", name, file), "utf8"))

  test("depends on exactly what it may import", async () => {
    const { dependencies } = (await json("package.json")) as { readonly dependencies: Readonly<Record<string, string>> }
    const ours = Object.keys(dependencies).filter((dependency) => dependency.startsWith("@selvage/"))
    expect(ours.sort()).toEqual(boundaries[name]?.map((to) => `@selvage/${to}`).sort())
  })

  test("its project references are what it may import", async () => {
    const { references } = (await json("tsconfig.json")) as {
      readonly references: ReadonlyArray<{ readonly path: string }>
    }
    expect(references.map(({ path }) => path).sort()).toEqual(boundaries[name]?.map((to) => `../${to}`).sort())
  })
})

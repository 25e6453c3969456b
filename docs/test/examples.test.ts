import { execFile } from "node:child_process"
import { mkdir, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, describe, expect, test } from "vitest"
import { type Block, blocks, documents, modules, packages, root, text } from "./documents.ts"

// Inside docs/, so that the packages resolve as they do for a reader.
const directory = join(root, "docs/.examples", String(process.pid))

interface Checked {
  /** What the compiler found in each block. */
  readonly blocks: ReadonlyArray<ReadonlyArray<string>>
  /** What it found in the packages that the blocks import: an example of a broken package proves nothing. */
  readonly packages: ReadonlyArray<string>
}

/** Type checks all blocks as modules, in one run of the compiler. */
const check = async (all: ReadonlyArray<Block>): Promise<Checked> => {
  await mkdir(directory, { recursive: true })
  await writeFile(
    join(directory, "tsconfig.json"),
    JSON.stringify({
      extends: "../../../tsconfig.tests.json",
      compilerOptions: {
        incremental: false,
        tsBuildInfoFile: null,
        moduleDetection: "force",
        noUnusedLocals: false,
        noUnusedParameters: false
      },
      include: ["*.ts"],
      exclude: [],
      references: []
    })
  )
  await Promise.all(all.map(({ code }, index) => writeFile(join(directory, `${index}.ts`), code)))
  const { stdout } = await promisify(execFile)(
    join(root, "node_modules/.bin/tsc"),
    ["-p", directory, "--pretty", "false", "--singleThreaded"],
    { cwd: directory, maxBuffer: 1 << 24 }
  ).catch((failed: { readonly stdout: string }) => failed)
  const found = all.map((): Array<string> => [])
  const outside: Array<string> = []
  for (const line of stdout.split("\n")) {
    const [, index, row, message] = /^(\d+)\.ts\((\d+),\d+\): (?:error|warning) (.*)$/.exec(line) ?? []
    const block = all[Number(index)]
    if (block !== undefined) found[Number(index)]?.push(`${block.file}:${block.line + Number(row) - 1}: ${message}`)
    else if (/\b(error|warning) TS/.test(line)) outside.push(line)
  }
  return { blocks: found, packages: outside }
}

afterAll(() => rm(directory, { recursive: true, force: true }))

const everything = (await Promise.all([...(await documents()), ...(await modules())].map(blocks))).flat()
const names = await packages()
const results = check(everything)
results.catch(() => {})

describe("an example in a document compiles as a module of its own", () => {
  test("and so do the packages that it imports", async () => {
    expect((await results).packages).toEqual([])
  })

  test.for(everything.map((block, index) => [`${block.file}:${block.line}`, index] as const))(
    "%s",
    async ([, index], { expect }) => {
      expect(everything[index]?.code).not.toMatch(/^\s*\/\/ (not compiled|@ts-nocheck)/m)
      expect(everything[index]?.code).not.toMatch(/@ts-(ignore|expect-error)/)
      expect((await results).blocks[index]).toEqual([])
    }
  )
})

describe("a package's README starts with a working example", () => {
  test.for(names)("@selvage/%s", async (name) => {
    const readme = await text(`packages/${name}/README.md`)
    // The working example of a command is a command line; its own tests run it.
    expect(/^```(\w*)/m.exec(readme)?.[1]).toBe(name === "cli" ? "sh" : "ts")
  })
})

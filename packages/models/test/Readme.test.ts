import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

it("compiles every TypeScript block of the README as a module of its own", { timeout: 120_000 }, () => {
  const blocks = [...readFileSync(path("../README.md"), "utf8").matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(
    (match) => match[1]!
  )
  assert.isAbove(blocks.length, 0)
  // Below the package, so that its own name and its dependencies resolve as they do for a user.
  const directory = path("../node_modules/.cache/readme/")
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  for (const [index, block] of blocks.entries()) writeFileSync(`${directory}block${index}.ts`, block)
  writeFileSync(
    `${directory}tsconfig.json`,
    JSON.stringify({
      extends: "../../../../../tsconfig.base.json",
      compilerOptions: {
        noEmit: true,
        emitDeclarationOnly: false,
        declarationMap: false,
        composite: false,
        plugins: []
      },
      include: ["*.ts"]
    })
  )
  const result = spawnSync(path("../../../node_modules/.bin/tsc"), ["-p", directory], { encoding: "utf8" })
  assert.strictEqual(result.status, 0, result.stdout)
})

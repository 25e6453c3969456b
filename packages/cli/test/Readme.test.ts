import { assert, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { dirname, join } from "node:path"

const packageDirectory = fileURLToPath(new URL("..", import.meta.url))
const typescript = dirname(fileURLToPath(import.meta.resolve("typescript/package.json")))

// Inside the package, so that the examples resolve `@selvage/cli` by its own name, as a user's would.
it("every example of the README compiles on its own", { timeout: 60_000 }, async () => {
  const readme = readFileSync(join(packageDirectory, "README.md"), "utf8")
  const examples = Array.from(readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm), ([, code]) => code ?? "")
  assert.isAbove(examples.length, 0)
  mkdirSync(join(packageDirectory, "node_modules/.cache"), { recursive: true })
  const directory = mkdtempSync(join(packageDirectory, "node_modules/.cache/readme-"))
  try {
    examples.forEach((code, index) => writeFileSync(join(directory, `example${index}.ts`), code))
    writeFileSync(
      join(directory, "tsconfig.json"),
      JSON.stringify({
        extends: join(packageDirectory, "../../tsconfig.base.json"),
        compilerOptions: {
          composite: false,
          emitDeclarationOnly: false,
          declarationMap: false,
          noEmit: true,
          types: ["node"]
        },
        include: ["*.ts"]
      })
    )
    const output = await new Promise<string>((resolve) =>
      execFile(process.execPath, [join(typescript, "bin/tsc"), "-p", directory], (error, stdout, stderr) =>
        resolve(error === null ? "" : `${stdout}${stderr}`)
      )
    )
    assert.strictEqual(output, "")
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

/** Minified bundles for Node, with everything in them: what they weigh, and how fast they start. */
import { execFile } from "node:child_process"
import { createRequire } from "node:module"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { expect, median, type Sample, time } from "./measure.ts"

interface Built {
  readonly metafile: {
    readonly inputs: Readonly<Record<string, { readonly bytes: number }>>
    readonly outputs: Readonly<
      Record<
        string,
        { readonly bytes: number; readonly inputs: Readonly<Record<string, { readonly bytesInOutput: number }>> }
      >
    >
  }
}

interface Esbuild {
  readonly build: (options: Readonly<Record<string, unknown>>) => Promise<Built>
}

// tsup brings esbuild along.
const root = createRequire(join(import.meta.dirname, "../package.json"))
const esbuild = createRequire(root.resolve("tsup/package.json"))("esbuild") as Esbuild

export const build = (entry: string, outfile: string) =>
  esbuild.build({
    entryPoints: [join(import.meta.dirname, "hello", entry)],
    outfile,
    bundle: true,
    minify: true,
    platform: "node",
    format: "esm",
    target: "node22",
    metafile: true,
    // Not the paths of our own tsconfig, which lead to the sources.
    tsconfigRaw: "{}",
    logLevel: "error",
    // Packages of CommonJS inside ask for `require` by its name.
    banner: { js: 'import{createRequire as __r}from"node:module";const require=__r(import.meta.url);' }
  })

const greets = async (outfile: string): Promise<void> => {
  const { stdout } = await promisify(execFile)(process.execPath, [outfile], { env: { NODE_NO_WARNINGS: "1" } })
  expect("the greeting", stdout.trim(), "Hello, Ada")
}

/** Bundles a program that says hello, runs it, and reports its size. */
export const bundle = async (entry: string, file: string): Promise<Sample> => {
  const outfile = `${file}.mjs`
  const start = performance.now()
  const { metafile } = await build(entry, outfile)
  const ms = performance.now() - start
  await greets(outfile)
  return { ms, bundle: Object.values(metafile.outputs)[0]?.bytes }
}

/** From the start of a process of a bundled program to its end, without what Node itself takes to start and end. */
export const bundledStart = async (entry: string, file: string): Promise<Sample> => {
  const outfile = `${file}.mjs`
  await build(entry, outfile)
  const empty = `${file}.empty.mjs`
  await writeFile(empty, 'console.log("Hello, Ada")')
  const starts: Array<number> = []
  const bare: Array<number> = []
  for (let round = 0; round < 5; round++) {
    bare.push(await time(() => greets(empty)))
    starts.push(await time(() => greets(outfile)))
  }
  return { ms: median(starts) - median(bare) }
}

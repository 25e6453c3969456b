import { readdir, readFile } from "node:fs/promises"
import { join, relative } from "node:path"

/** The repository's root. */
export const root = join(import.meta.dirname, "../..")

/** A fenced `ts` block: where it stands, and its code. */
export interface Block {
  readonly file: string
  /** The line of its first line of code, from 1. */
  readonly line: number
  readonly code: string
}

const listing = async (directory: string, recursive = false): Promise<ReadonlyArray<string>> =>
  (await readdir(join(root, directory), { recursive, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort()

/** The packages, by directory name. */
export const packages = async (): Promise<ReadonlyArray<string>> => (await readdir(join(root, "packages"))).sort()

/** Every document that people read, by its path from the root. */
export const documents = async (): Promise<ReadonlyArray<string>> => [
  ...(await listing("")).filter((file) => file.endsWith(".md")),
  ...(await listing("docs")).filter((file) => file.endsWith(".md")),
  ...(await Promise.all((await packages()).map((name) => listing(`packages/${name}`))))
    .flat()
    .filter((file) => file.endsWith("README.md"))
]

/** Every source module of every package, by its path from the root. */
export const modules = async (): Promise<ReadonlyArray<string>> =>
  (await Promise.all((await packages()).map((name) => listing(`packages/${name}/src`, true))))
    .flat()
    .filter((file) => file.endsWith(".ts"))

/** The text of a file, by its path from the root. */
export const text = (file: string): Promise<string> => readFile(join(root, file), "utf8")

/** The `ts` blocks of a document, or of the doc comments of a module. */
export const blocks = async (file: string): Promise<ReadonlyArray<Block>> => {
  const found: Array<Block> = []
  const strip = file.endsWith(".ts") ? (line: string) => line.replace(/^\s*\* ?/, "") : (line: string) => line
  let open: { readonly line: number; readonly typescript: boolean; readonly code: Array<string> } | undefined
  for (const [index, raw] of (await text(file)).split("\n").entries()) {
    // In a module only comment lines count: a template literal may hold a fence of its own.
    if (file.endsWith(".ts") && !/^\s*\*/.test(raw)) {
      open = undefined
      continue
    }
    const line = strip(raw)
    const fence = /^\s*```(.*)$/.exec(line)
    if (fence === null) open?.code.push(line)
    else if (open === undefined) {
      open = { line: index + 2, typescript: /^(ts|typescript)\b/.test(fence[1] ?? ""), code: [] }
    } else {
      if (open.typescript) found.push({ file, line: open.line, code: open.code.join("\n") })
      open = undefined
    }
  }
  return found
}

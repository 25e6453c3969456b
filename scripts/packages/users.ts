/**
 * Type checks the packed packages as those who install them do: strict and no more, declarations of libraries included, by
 * three compilers, from the layouts of npm and of pnpm. A program's own declarations are made too, so a type that
 * cannot be named in them is found.
 */
import { execFile } from "node:child_process"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { promisify } from "node:util"

const root = join(import.meta.dirname, "../..")
const run = promisify(execFile)

/** A package that was packed: its name and its tarball. */
export interface Packed {
  readonly name: string
  readonly tarball: string
  /** What a program can import of it. */
  readonly entries: ReadonlyArray<string>
}

/** The compilers, by the package that has them here. */
const compilers = { "5.9": "typescript-5-9", "6": "typescript-6", "7": "typescript" } as const

/** A project of a user. */
interface Project {
  readonly name: string
  readonly folder: string
  /** What it depends on directly. */
  readonly packages: ReadonlyArray<Packed>
  readonly files: Readonly<Record<string, string>>
  readonly install: () => Promise<unknown>
  readonly compilers: ReadonlyArray<keyof typeof compilers>
}

// As a user's shell: nothing of the package manager that runs this script.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm|pnpm)_/i.test(name) && name !== "INIT_CWD")
)

const execute = (command: string, args: ReadonlyArray<string>, cwd: string) =>
  run(command, [...args], { cwd, env: environment, maxBuffer: 1 << 26 })

const versionOf = async (name: string): Promise<string> =>
  (JSON.parse(await readFile(join(root, "node_modules", name, "package.json"), "utf8")) as { readonly version: string })
    .version

/** The TypeScript examples of the README, but for that of a test, which needs a test runner. */
const examples = async (): Promise<Readonly<Record<string, string>>> => {
  const readme = await readFile(join(root, "README.md"), "utf8")
  const found = Array.from(readme.matchAll(/^```ts\n(.*?)^```/gms), ([, code]) => code!)
  return Object.fromEntries(
    found.filter((code) => !code.includes("@effect/vitest")).map((code, index) => [`readme-${index + 1}.ts`, code])
  )
}

const write = async ({ files, folder, packages }: Project, overrides: ReadonlyArray<Packed>): Promise<void> => {
  await mkdir(folder, { recursive: true })
  const dependencies = {
    ...Object.fromEntries(packages.map(({ name, tarball }) => [name, `file:${tarball}`])),
    effect: await versionOf("effect"),
    "@effect/platform-node": await versionOf("@effect/platform-node"),
    "@types/node": await versionOf("@types/node")
  }
  const contents: Record<string, string> = {
    ...files,
    "package.json": JSON.stringify({ name: "user", version: "1.0.0", private: true, type: "module", dependencies }),
    // The tarballs name each other by versions that no registry has yet.
    "pnpm-workspace.yaml": [
      "overrides:",
      ...overrides.map(({ name, tarball }) => `  "${name}": "file:${tarball}"`)
    ].join("\n"),
    "tsconfig.json": JSON.stringify({
      compilerOptions: {
        target: "ES2023",
        // effect's declarations name types of the DOM.
        lib: ["ES2023", "DOM"],
        module: "NodeNext",
        strict: true,
        declaration: true,
        outDir: "out",
        types: ["node"],
        skipLibCheck: false
      },
      files: Object.keys(files)
    })
  }
  for (const [name, content] of Object.entries(contents)) await writeFile(join(folder, name), content)
}

/** What a compiler finds that is ours: in a declaration of Selvage's, or in the program. */
const findings = async (project: Project, version: keyof typeof compilers, declarations: boolean) => {
  const tsc = join(root, "node_modules", compilers[version], "bin/tsc")
  const options = declarations ? ["--emitDeclarationOnly"] : ["--declaration", "false", "--noEmit"]
  const output = await execute(
    process.execPath,
    [tsc, "-p", ".", "--pretty", "false", ...options],
    project.folder
  ).then(
    () => "",
    (failed: { readonly stdout?: string; readonly message: string }) => failed.stdout || `error: ${failed.message}`
  )
  const ours = output
    .split("\n")
    .filter((line) => /error/.test(line) && (line.includes("@selvage") || !line.startsWith("node_modules/")))
  return ours.map((line) => `${project.name}, TypeScript ${version}: ${line}`)
}

const everything = (packages: ReadonlyArray<Packed>) =>
  packages
    .flatMap(({ entries }) => entries)
    .map((name, index) => `export * as entry${index} from "${name}"\n`)
    .join("")

/** Installs and compiles what users write; gives what is wrong. */
export const asUsers = async (packages: ReadonlyArray<Packed>, place: string): Promise<ReadonlyArray<string>> => {
  const program = await readFile(join(import.meta.dirname, "program.txt"), "utf8")
  const direct = new Set(Array.from(program.matchAll(/from "(@selvage\/\w+)"/g), ([, name]) => name))
  const npm: Project = {
    name: "npm",
    folder: join(place, "npm"),
    packages,
    files: { "everything.ts": everything(packages), "program.ts": program, ...(await examples()) },
    install: () => execute("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts"], npm.folder),
    compilers: ["5.9", "6", "7"]
  }
  // It depends on what it imports alone: what its types come from is not in its own node_modules.
  const pnpm: Project = {
    name: "pnpm",
    folder: join(place, "pnpm"),
    packages: packages.filter(({ name }) => direct.has(name)),
    files: { "program.ts": program },
    install: () =>
      execute("pnpm", ["install", "--prefer-offline", "--no-frozen-lockfile", "--ignore-scripts"], pnpm.folder),
    compilers: ["7"]
  }
  const found: Array<string> = []
  for (const project of [npm, pnpm]) {
    await write(project, packages)
    await project.install()
    for (const version of project.compilers) found.push(...(await findings(project, version, true)))
    found.push(...(await findings(project, "7", false)))
  }
  if (found.length === 0) {
    const projects = [npm, pnpm].map(({ compilers, name }) => `${name} (${compilers.join(", ")})`)
    console.log(`users: their programs compile with ${projects.join(" and ")}`)
  }
  return found.map((line) => line.replaceAll(`${relative(dirname(place), place)}/`, ""))
}

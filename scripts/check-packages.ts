/**
 * Checks what would be published: packs every package as pnpm publishes it, lints the tarball (publint, attw), looks at
 * what is in it, and installs all of them, with no workspace near, into a consumer that imports every public entry with
 * plain Node and type checks against the declarations; and then as users do ({@link asUsers}).
 *
 * Run after a build: `pnpm packages`.
 */
import { execFile } from "node:child_process"
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { promisify } from "node:util"
import { asUsers } from "./packages/users.ts"

const root = join(import.meta.dirname, "..")
const run = promisify(execFile)

interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, unknown>>
  readonly bin?: Readonly<Record<string, string>>
}

interface Package {
  readonly manifest: Manifest
  /** Its source directory. */
  readonly source: string
  /** Where its tarball is unpacked. */
  readonly unpacked: string
  readonly tarball: string
  readonly findings: Array<string>
}

/** Runs a command and returns what it says if it fails. */
const complaint = (command: string, args: ReadonlyArray<string>, cwd: string): Promise<string | undefined> =>
  run(command, [...args], { cwd, maxBuffer: 1 << 24, env: { ...process.env, NO_COLOR: "1" } }).then(
    () => undefined,
    (failed: { readonly stdout?: string; readonly stderr?: string; readonly message: string }) =>
      [failed.stdout, failed.stderr].join("\n").trim() || failed.message
  )

const bin = (name: string) => join(root, "node_modules/.bin", name)

const files = async (directory: string): Promise<ReadonlyArray<string>> =>
  (await readdir(directory, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))

/** Every public entry of a package, as a consumer writes it. */
const entries = async ({ manifest, unpacked }: Package): Promise<ReadonlyArray<string>> => [
  manifest.name,
  ...(await readdir(join(unpacked, "src")))
    .filter(
      (file) => file.endsWith(".ts") && file !== "index.ts" && manifest.exports[`./${file.slice(0, -3)}`] !== null
    )
    .map((file) => `${manifest.name}/${file.slice(0, -3)}`)
]

const contents = async ({ findings, manifest, unpacked }: Package): Promise<void> => {
  const packed = await files(unpacked)
  for (const needed of ["README.md", "LICENSE", "package.json", "dist/index.js", "dist/index.d.ts"]) {
    if (!packed.includes(needed)) findings.push(`the tarball lacks ${needed}`)
  }
  for (const file of packed) {
    if (/(^|\/)(test|typetest|node_modules)\/|\.(test|tst)\.|tsbuildinfo|\.env|\.db$/.test(file)) {
      findings.push(`the tarball holds ${file}, which nobody needs`)
    } else if ((await readFile(join(unpacked, file), "utf8")).includes(root)) {
      findings.push(`${file} names a path of this machine (${root})`)
    }
  }
  for (const [name, range] of Object.entries({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    if (/^(workspace|catalog|link|file):/.test(range)) findings.push(`its dependency ${name} has the range "${range}"`)
  }
}

const pack = async (name: string, place: string): Promise<Package> => {
  const source = join(root, "packages", name)
  const tarballs = join(place, "tarballs", name)
  const unpacked = join(place, "consumer/node_modules/@selvage", name)
  await mkdir(tarballs, { recursive: true })
  await mkdir(unpacked, { recursive: true })
  await run("pnpm", ["pack", "--pack-destination", tarballs], { cwd: source })
  const tarball = join(tarballs, (await readdir(tarballs))[0] ?? "")
  await run("tar", ["-xzf", tarball, "-C", unpacked, "--strip-components=1"])
  const manifest = JSON.parse(await readFile(join(unpacked, "package.json"), "utf8")) as Manifest
  const self: Package = { manifest, source, unpacked, tarball, findings: [] }
  const [publint, attw] = await Promise.all([
    complaint(bin("publint"), ["--strict", tarball], source),
    complaint(bin("attw"), ["--profile", "esm-only", "--no-emoji", tarball], source)
  ])
  if (publint !== undefined) self.findings.push(`publint: ${publint}`)
  if (attw !== undefined) self.findings.push(`attw: ${attw}`)
  await contents(self)
  return self
}

/** Puts what the packages depend on into the consumer: links to what is installed, so that no network is needed. */
const install = async (packages: ReadonlyArray<Package>, consumer: string): Promise<void> => {
  for (const { manifest, source } of packages) {
    for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
      if (name.startsWith("@selvage/")) continue
      const link = join(consumer, "node_modules", name)
      await mkdir(dirname(link), { recursive: true })
      await symlink(await realpath(join(source, "node_modules", name)), link).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error
      })
    }
  }
  const types = join(consumer, "node_modules/@types/node")
  await mkdir(dirname(types), { recursive: true })
  await symlink(await realpath(join(root, "node_modules/@types/node")), types)
}

const consume = async (packages: ReadonlyArray<Package>, consumer: string): Promise<ReadonlyArray<string>> => {
  await install(packages, consumer)
  const names = (await Promise.all(packages.map(entries))).flat()
  const hidden = packages.flatMap(({ manifest }) =>
    ["internal/anything", "chunk-ANYTHING"].map((file) => `${manifest.name}/${file}`)
  )
  await writeFile(join(consumer, "package.json"), JSON.stringify({ name: "consumer", type: "module", private: true }))
  await writeFile(
    join(consumer, "import.mjs"),
    `const findings = []
const refused = { ERR_PACKAGE_PATH_NOT_EXPORTED: true }
for (const name of ${JSON.stringify(names)}) {
  const module = await import(name).catch((error) => void findings.push(name + " does not import: " + error.message))
  if (module && !import.meta.resolve(name).includes("/dist/")) findings.push(name + " is not the built file")
}
for (const name of ${JSON.stringify(hidden)}) {
  await import(name).then(() => findings.push(name + " can be imported"), (error) => {
    if (!refused[error.code]) findings.push(name + ": " + error.message)
  })
}
if (findings.length > 0) throw new Error(findings.join("\\n"))
`
  )
  await writeFile(
    join(consumer, "consumer.ts"),
    names.map((name, index) => `export * as entry${index} from "${name}"\n`).join("")
  )
  await writeFile(
    join(consumer, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2023",
        lib: ["ES2023", "DOM"],
        module: "NodeNext",
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        types: ["node"],
        skipLibCheck: true
      },
      files: ["consumer.ts"]
    })
  )
  const commands = packages.flatMap(({ manifest, unpacked }) =>
    Object.values(manifest.bin ?? {}).map((file) => join(unpacked, file))
  )
  const findings = [
    ...(await Promise.all(commands.map((command) => complaint(process.execPath, [command, "--help"], consumer)))),
    await complaint(process.execPath, ["import.mjs"], consumer),
    await complaint(bin("tsc"), ["-p", consumer, "--pretty", "false"], consumer)
  ].filter((finding) => finding !== undefined)
  if (findings.length === 0) console.log(`consumer: ${names.length} entries import and type check`)
  return findings
}

const place = await mkdtemp(join(tmpdir(), "selvage-packages-"))
try {
  const names = await readdir(join(root, "packages"))
  const packages: Array<Package> = []
  // Two at a time: attw is a compiler of its own.
  for (let at = 0; at < names.length; at += 2) {
    packages.push(...(await Promise.all(names.slice(at, at + 2).map((name) => pack(name, place)))))
  }
  for (const { findings, manifest } of packages) {
    console.log(findings.length === 0 ? `${manifest.name}: ok` : `${manifest.name}:`)
    for (const finding of findings) console.log(`  ${finding.replaceAll("\n", "\n  ")}`)
  }
  const findings = (await consume(packages, join(place, "consumer"))).map((finding) => `consumer: ${finding}`)
  const packed = await Promise.all(
    packages.map(async (self) => ({ name: self.manifest.name, tarball: self.tarball, entries: await entries(self) }))
  )
  findings.push(...(await asUsers(packed, join(place, "users"))))
  for (const finding of findings) console.log(finding)
  if (findings.length > 0 || packages.some((self) => self.findings.length > 0)) process.exitCode = 1
} finally {
  await rm(place, { recursive: true, force: true })
}

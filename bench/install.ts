/** The peers from npm, and our packages as they are published: what the workloads import. */
import { execFile, spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"

const here = import.meta.dirname
const root = join(here, "..")
const peers = [
  "@langchain/langgraph",
  "langchain",
  "ai",
  "@ai-sdk/openai",
  "@openai/agents",
  "openai",
  "@anthropic-ai/sdk",
  "undici"
]

/** Ours. */
const packages = ["core", "sqlite", "tools", "agent", "provider", "openai", "anthropic", "models"]

interface Manifest {
  readonly exports: unknown
  readonly publishConfig: { readonly exports: unknown }
}

/** Builds a package as `pnpm build` does, but into `bench/node_modules`, so that nobody else's `dist` is touched. */
const publish = async (name: string): Promise<void> => {
  const source = join(root, "packages", name)
  const target = join(here, "node_modules", "@selvage", name)
  const manifest = JSON.parse(await readFile(join(source, "package.json"), "utf8")) as Manifest
  await rm(target, { recursive: true, force: true })
  await mkdir(target, { recursive: true })
  await writeFile(
    join(target, "package.json"),
    JSON.stringify({ ...manifest, ...manifest.publishConfig, devDependencies: {} })
  )
  await promisify(execFile)(
    process.execPath,
    [
      join(root, "node_modules", "tsup", "dist", "cli-default.js"),
      "--config",
      join(root, "tsup.config.ts"),
      "--out-dir",
      join(target, "dist")
    ],
    { cwd: source }
  )
}

/** The peers, where they are missing. */
export const installPeers = (): void => {
  if (peers.every((name) => existsSync(join(here, "node_modules", name)))) return
  const { status } = spawnSync("npm", ["ci"], { cwd: here, stdio: ["ignore", process.stderr.fd, process.stderr.fd] })
  if (status !== 0) throw new Error(`"npm ci" in ${here} failed; is a registry reachable?`)
}

/** The peers, and ours as they are now. After the peers: npm knows nothing of ours, and removes them. */
export const install = async (): Promise<void> => {
  installPeers()
  for (const name of packages) await publish(name)
}

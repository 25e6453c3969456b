import { join } from "node:path"
import { defineConfig } from "vitest/config"

// Workers, and what they start, compile a module once and not each.
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, "node_modules/.cache/compile")

const project = (name: string, root: string) => ({
  test: {
    name,
    root,
    include: ["test/**/*.test.ts"],
    // Files share a worker, and with it the modules: loading them anew for each file cost more than the tests.
    isolate: false,
    // No test is about time: a limit is only there to end one that hangs, on a machine that is busy as well.
    testTimeout: 300_000,
    hookTimeout: 300_000
  }
})

export default defineConfig({
  test: {
    // As many as there are cores: most of the time of the suite is tests that wait.
    maxWorkers: "100%",
    projects: [
      ...[
        "core",
        "sqlite",
        "postgres",
        "provider",
        "openai",
        "anthropic",
        "models",
        "tools",
        "agent",
        "testing",
        "cli"
      ].map((name) => project(name, `packages/${name}`)),
      project("examples", "examples"),
      project("docs", "docs"),
      project("scripts", "scripts")
    ]
  }
})

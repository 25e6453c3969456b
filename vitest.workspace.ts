import { defineConfig } from "vitest/config"

const project = (name: string, root: string) => ({ test: { name, root, include: ["test/**/*.test.ts"] } })

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

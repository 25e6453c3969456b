import { defineConfig, type OxlintOverride } from "oxlint"

/** What each package may import of this repository: an arrow only points downward. Nothing imports `testing`. */
export const boundaries: Readonly<Record<string, ReadonlyArray<string>>> = {
  core: [],
  sqlite: ["core"],
  postgres: ["core"],
  provider: [],
  openai: ["provider"],
  anthropic: ["provider"],
  models: ["core", "provider", "openai", "anthropic"],
  tools: ["core"],
  agent: ["core", "tools"],
  testing: ["core", "tools"],
  cli: ["core", "sqlite"]
}

const inside = [
  { group: ["@selvage/*/internal/*", "@selvage/*/src/**"], message: "What is internal to a package is nobody else's." },
  {
    group: ["../../*/src/**", "../../../*/src/**", "../../../../*/src/**", "**/packages/*/src/**"],
    message: "Import another package by its name, not by its files."
  }
]

const barrel = {
  name: "effect",
  message: "Import Effect's modules by their subpath (effect/Effect): cold start and bundles depend on it."
}

const imports = (name: string, below: ReadonlyArray<string>) => ({
  group: ["@selvage/*", "@selvage/*/**", ...below.flatMap((to) => [`!@selvage/${to}`, `!@selvage/${to}/*`])],
  message: `"${name}" may import ${below.join(", ") || "nothing"} of this repository: an arrow only points downward.`
})

export default defineConfig({
  plugins: ["typescript", "unicorn", "oxc", "import", "vitest"],
  categories: { correctness: "error", suspicious: "error" },
  ignorePatterns: ["**/dist/**", "docs/.examples/**", "packages/*/typetest/**"],
  rules: {
    eqeqeq: "error",
    "prefer-const": "error",
    "import/no-cycle": "error",
    "import/no-duplicates": "error",
    "typescript/consistent-type-imports": "error",
    "unicorn/prefer-node-protocol": "error",
    "no-restricted-imports": ["error", { patterns: inside }],
    // Effect's own habits: `_tag`, names that a namespace also has, functions next to what they close over, loops whose
    // condition another fiber changes.
    "no-shadow": "off",
    "no-underscore-dangle": "off",
    "no-unmodified-loop-condition": "off",
    "unicorn/consistent-function-scoping": "off",
    "unicorn/no-array-sort": "off"
  },
  overrides: [
    {
      files: ["packages/*/src/**"],
      rules: {
        "no-console": "error",
        "typescript/no-explicit-any": "error",
        "no-restricted-globals": [
          "error",
          { name: "setTimeout", message: "Time is Effect's Clock: Effect.sleep, Effect.timeout, a Schedule." },
          { name: "setInterval", message: "Time is Effect's Clock: Effect.repeat with a Schedule." },
          { name: "fetch", message: "HTTP is a service: effect/http, or the provider's own SDK." }
        ],
        "no-restricted-properties": [
          "error",
          { object: "Date", property: "now", message: "Time is a service: effect/Clock, effect/DateTime." },
          { object: "Math", property: "random", message: "Randomness is a service: effect/Random." },
          { object: "process", property: "env", message: "Configuration is a service: effect/Config." }
        ]
      }
    },
    ...Object.entries(boundaries).map(([name, below]): OxlintOverride => ({
      files: [`packages/${name}/src/**`],
      rules: {
        "no-restricted-imports": ["error", { paths: [barrel], patterns: [...inside, imports(name, below)] }]
      }
    }))
  ]
})

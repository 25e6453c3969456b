/**
 * Breaks the code on purpose, one small change at a time, and runs the tests that must notice:
 *
 * ```sh
 * pnpm mutate                          # all of scripts/mutations: minutes
 * pnpm mutate --only core,models       # of these packages
 * pnpm mutate --sample 10 --seed 7     # some of them
 * pnpm mutate --match BudgetLedger     # whose file, text or meaning contains this
 * ```
 *
 * A change is made in what the tests load, never in a file, so there is nothing to restore. Tests that run the code in a process of
 * their own do not see it. Exits with 1 if a change survived, or is stale because its text is not in the code any more.
 */
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { createVitest, type Vitest } from "vitest/node"
import workspace from "../vitest.workspace.ts"
import { type Listed, staleness } from "./mutations/mutation.ts"

const root = join(import.meta.dirname, "..")

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    sample: { type: "string" },
    seed: { type: "string" },
    match: { type: "string" },
    // Without the run of the tests as the code is, where they have just passed.
    trust: { type: "boolean", default: false }
  }
})
const natural = (name: "sample" | "seed"): number | undefined => {
  const value = values[name]
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value)
  console.error(`--${name} is a whole number.`)
  process.exit(2)
}

const lists = async (): Promise<ReadonlyArray<Listed>> => {
  const files = (await readdir(join(import.meta.dirname, "mutations"))).filter((file) => file !== "mutation.ts").sort()
  const modules = await Promise.all(
    files.map(async (file) => (await import(`./mutations/${file}`)) as { readonly mutations: ReadonlyArray<Listed> })
  )
  return modules.flatMap(({ mutations }) => mutations)
}

// Mulberry32: the same sample for the same seed.
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
}

const sampled = (all: ReadonlyArray<Listed>, count: number | undefined, seed: number): ReadonlyArray<Listed> => {
  if (count === undefined || count >= all.length) return all
  const next = random(seed)
  const chosen = all.map((one) => ({ one, by: next() })).sort((left, right) => left.by - right.by)
  return chosen.slice(0, count).map(({ one }) => one)
}

/** The change that the tests load now. */
let current: Listed | undefined

const plugin = {
  name: "mutate",
  enforce: "pre" as const,
  transform: (code: string, id: string) => {
    if (current === undefined || id.split("?")[0] !== join(root, current.file)) return undefined
    // A function, for `$` means something in a text that replaces.
    const { replace } = current
    return { code: code.replace(current.find, () => replace), map: null }
  }
}

/** How long the tests of a change may take, in milliseconds. */
const limit = 600_000

const start = (): Promise<Vitest> => {
  const { projects = [], ...test } = workspace.test ?? {}
  return createVitest(
    { root, watch: false },
    {
      test: {
        ...test,
        bail: 1,
        reporters: [{}],
        silent: true,
        // What it keeps is the code without a change.
        fsModuleCache: false,
        maxWorkers: 1,
        projects: projects.map((project) =>
          typeof project === "object" && "test" in project
            ? { ...project, plugins: [plugin], test: { ...project.test, testTimeout: 30_000, hookTimeout: 30_000 } }
            : project
        )
      }
    }
  )
}

type Verdict = "passed" | "failed" | "not loaded" | "hung"

interface Run {
  readonly verdict: Verdict
  /** The first test that failed, or why none ran. */
  readonly by: string
}

const firstLine = (error: unknown): string =>
  (error instanceof Object && "message" in error ? String(error.message) : String(error)).split("\n")[0] ?? ""

/** Runs test files with a change, or with none. */
const run = async (vitest: Vitest, tests: ReadonlyArray<string>, mutation: Listed | undefined): Promise<Run> => {
  current = mutation
  if (mutation !== undefined) vitest.invalidateFile(join(root, mutation.file))
  try {
    const specifications = await vitest.globTestSpecifications(tests.map((test) => join(root, test)))
    if (specifications.length < tests.length) return { verdict: "not loaded", by: `no tests in ${tests.join(", ")}` }
    // Else the failures of the runs before end this one.
    vitest.state.filesMap.clear()
    vitest.state.idMap.clear()
    const result = vitest.runTestSpecifications([...specifications])
    let timer: ReturnType<typeof setTimeout> | undefined
    const ended = await Promise.race([
      result,
      new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), limit)))
    ])
    clearTimeout(timer)
    if (ended === undefined) return { verdict: "hung", by: `no end within ${limit / 1000} s` }
    for (const module of ended.testModules) {
      for (const test of module.children.allTests("failed")) return { verdict: "failed", by: test.fullName }
    }
    const errors = [...ended.testModules.flatMap((module) => module.errors()), ...ended.unhandledErrors]
    const ran = ended.testModules.some((module) => [...module.children.allTests("passed")].length > 0)
    if (errors.length > 0 || !ran) return { verdict: ran ? "failed" : "not loaded", by: firstLine(errors[0]) }
    return { verdict: "passed", by: "" }
  } finally {
    current = undefined
    if (mutation !== undefined) vitest.invalidateFile(join(root, mutation.file))
  }
}

const told = ({ breaks, file }: Listed) => `${file}: ${breaks}`

const all = (await lists()).filter(
  (one) =>
    (values.only === undefined || values.only.split(",").includes(one.package)) &&
    (values.match === undefined || `${one.file} ${one.find} ${one.breaks}`.includes(values.match))
)
if (all.length === 0) {
  console.error("No mutation is of this package or contains this text: see scripts/mutations.")
  process.exit(2)
}
const seed = natural("seed") ?? Date.now() % 1_000_000
const chosen = sampled(all, natural("sample"), seed)
const problems: Array<string> = []
let killed = 0

const stale = chosen.filter((mutation) => {
  const why = staleness(mutation)
  if (why !== undefined)
    problems.push(`STALE     ${mutation.breaks}: ${why}. Update scripts/mutations/${mutation.package}.ts.`)
  return why !== undefined
})
const usable = chosen.filter((mutation) => !stale.includes(mutation))

console.log(`${chosen.length} of ${all.length} mutations${values.sample === undefined ? "" : `, seed ${seed}`}`)
let vitest = await start()
try {
  const broken = new Set<string>()
  if (!values.trust) {
    for (const test of new Set(usable.flatMap(({ tests }) => tests))) {
      const { by, verdict } = await run(vitest, [test], undefined)
      if (verdict === "passed") continue
      broken.add(test)
      problems.push(`BROKEN    ${test} fails as the code is: ${by}`)
    }
  }
  for (const mutation of usable.filter(({ tests }) => !tests.some((test) => broken.has(test)))) {
    const began = performance.now()
    const { by, verdict } = await run(vitest, mutation.tests, mutation)
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    if (verdict === "hung") {
      await vitest.close()
      vitest = await start()
    }
    if (verdict === "failed" || verdict === "hung") {
      killed++
      console.log(`killed    ${told(mutation)} (${seconds} s, ${by})`)
      continue
    }
    const problem =
      verdict === "passed"
        ? `SURVIVED  ${told(mutation)}; passed: ${mutation.tests.join(", ")}`
        : `NOT TRIED ${told(mutation)}; it does not load: ${by}`
    console.log(problem)
    problems.push(problem)
  }
} finally {
  await vitest.close()
}

console.log(`\n${killed} killed, ${problems.length} problems`)
for (const problem of problems) console.error(problem)
process.exit(problems.length === 0 ? 0 : 1)

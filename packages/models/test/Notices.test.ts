import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as fc from "fast-check"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import * as Variables from "../src/internal/variables.ts"
import { Models, Providers } from "../src/index.ts"

/** What a program with this environment logs at its start, and how it starts. */
const start = (env: Record<string, string>, options: Models.Options = {}) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel} ${Array.isArray(message) ? message.join(" ") : String(message)}`)
    })
    const error = yield* Effect.gen(function* () {
      const models = yield* Models.Models
      for (const role of ["smart", "fast", "judge", "planner"]) yield* models.model(role)
      return undefined
    }).pipe(
      Effect.provide(
        Models.layerWith(options).pipe(
          Layer.provideMerge(Layer.merge(ConfigProvider.layer(ConfigProvider.fromEnv({ env })), Logger.layer([logger])))
        )
      ),
      Effect.catchTag("ModelConfigInvalid", Effect.succeed)
    )
    return { lines, error }
  })

describe("the offline model where nothing is configured", () => {
  it.effect("is one warning, however many roles and calls there are", () =>
    Effect.gen(function* () {
      const { error, lines } = yield* start({ NODE_ENV: "development" })
      assert.isUndefined(error)
      assert.lengthOf(lines, 1)
      assert.match(lines[0]!, /^Warn NO MODEL IS CONFIGURED/)
      assert.include(lines[0], "SELVAGE_MODEL_SMART")
      assert.include(lines[0], "ANTHROPIC_API_KEY or OPENAI_API_KEY")
    })
  )

  it.effect("is an error in production, or where it is forbidden", () =>
    Effect.gen(function* () {
      for (const env of [
        { NODE_ENV: "production" },
        { SELVAGE_OFFLINE: "forbid" },
        { NODE_ENV: "production", SELVAGE_OFFLINE: "Forbid " }
      ]) {
        const { error, lines } = yield* start(env)
        assert.deepStrictEqual(
          error?.findings.map(({ where }) => where),
          ["SELVAGE_MODEL_SMART"]
        )
        assert.include(error?.message, "SELVAGE_MODEL_SMART")
        assert.deepStrictEqual(lines, [])
      }
    })
  )

  it.effect("is silent where it is allowed, asked for, or not taken at all", () =>
    Effect.gen(function* () {
      for (const env of [
        { SELVAGE_OFFLINE: "allow" },
        { SELVAGE_OFFLINE: "allow", NODE_ENV: "production" },
        { SELVAGE_MODEL_SMART: "offline" },
        { SELVAGE_MODEL_SMART: "offline", NODE_ENV: "production" },
        { OPENAI_API_KEY: "k", NODE_ENV: "production" },
        { SELVAGE_MODEL_SMART: "openai:gpt-5.1 | offline", OPENAI_API_KEY: "k", SELVAGE_OFFLINE: "forbid" }
      ]) {
        assert.deepStrictEqual(yield* start(env), { lines: [], error: undefined })
      }
    })
  )

  it.effect("cannot be ruled by a word that is none", () =>
    Effect.gen(function* () {
      const { error } = yield* start({ SELVAGE_OFFLINE: "never" })
      assert.deepStrictEqual(error?.findings, [
        {
          what: '"never" is none of allow, forbid',
          where: "SELVAGE_OFFLINE",
          fix: "set it to allow or forbid, or unset it for a warning"
        }
      ])
    })
  )
})

describe("a variable that nothing reads", () => {
  const quiet = { SELVAGE_OFFLINE: "allow" }

  it.effect("is a warning with the known one that is most like it", () =>
    Effect.gen(function* () {
      const { lines } = yield* start({
        ...quiet,
        SELVAGE_MODEL_SMRAT: "offline",
        SELVAGE_MODELS_FIEL: "x.toml",
        SELVAGE_OPENAI_APi: "chat",
        SELVAGE_JOURNL: "x"
      })
      const meant = lines.map((line) => /^Warn (\w+) is set.*did you mean (\w+)\?/.exec(line)?.slice(1).join(" → "))
      assert.deepStrictEqual(meant.toSorted(), [
        "SELVAGE_JOURNL → SELVAGE_JOURNAL",
        "SELVAGE_MODELS_FIEL → SELVAGE_MODELS_FILE",
        "SELVAGE_MODEL_SMRAT → SELVAGE_MODEL_SMART",
        "SELVAGE_OPENAI_APi → SELVAGE_OPENAI_API"
      ])
    })
  )

  it.effect("is none that the program, its providers or another package knows", () =>
    Effect.gen(function* () {
      const acme: Providers.Provider = {
        name: "acme",
        keyVariable: "SELVAGE_ACME_KEY",
        layer: () => Layer.effectContext(Effect.never)
      }
      const options: Models.Options = { roles: { reviewer: { model: "offline" } } }
      const env = {
        ...quiet,
        SELVAGE_MODEL_REVIEWER: "offline",
        SELVAGE_MODEL_FAST: "",
        SELVAGE_JOURNAL: "agents.db",
        SELVAGE_TEST_POSTGRES_URL: "x",
        SELVAGE_ACME_KEY: "k"
      }
      const { lines } = yield* start(env, { ...options, providers: [...Providers.all, acme] })
      assert.deepStrictEqual(lines, [])
      assert.lengthOf((yield* start({ ...quiet, SELVAGE_MODEL_REVIEWER: "offline" })).lines, 1)
    })
  )

  it("never is one that the source of a package reads", async () => {
    const root = join(import.meta.dirname, "../..")
    const read = new Set<string>()
    for (const name of await readdir(root)) {
      for (const file of await readdir(join(root, name, "src"), { recursive: true })) {
        if (!file.endsWith(".ts")) continue
        const text = await readFile(join(root, name, "src", file), "utf8")
        for (const [, variable] of text.matchAll(/"(SELVAGE_[A-Z0-9_]+)"/g)) read.add(variable!)
      }
    }
    read.delete(Variables.rolePrefix)
    read.delete("SELVAGE_")
    assert.deepStrictEqual([...read].toSorted(), Variables.known.toSorted())
  })
})

describe("the distance of two names", () => {
  const word = fc.string({ unit: fc.constantFrom("A", "B", "_"), maxLength: 8 })

  it("is that of a metric, and 1 for a slip of the hand", () => {
    fc.assert(
      fc.property(word, word, (left, right) => {
        const own = Variables.distance(left, right)
        assert.strictEqual(own, Variables.distance(right, left))
        assert.strictEqual(own === 0, left === right)
        assert.isAtMost(own, Math.max(left.length, right.length))
        assert.isAtLeast(own, Math.abs(left.length - right.length))
      })
    )
    for (const slip of ["SMRT", "SMARTT", "SMORT", "SMRAT"]) assert.strictEqual(Variables.distance("SMART", slip), 1)
  })
})

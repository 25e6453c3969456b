import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { Models } from "../src/index.ts"

const fixture = new URL("./fixtures/acme.ts", import.meta.url).href

const ask = (env: Record<string, string>) =>
  Effect.gen(function* () {
    const models = yield* Models.Models
    const { text } = yield* LanguageModel.generateText({ prompt: "Who are you?" })
    return `${yield* models.description("smart")}: ${text}`
  }).pipe(
    Effect.provide(Models.layerConfig.pipe(Layer.provideMerge(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))))
  )

const findings = (env: Record<string, string>) =>
  Effect.map(Effect.flip(ask(env)), (error) => (error._tag === "ModelConfigInvalid" ? error.findings : []))

describe("a provider of another package", () => {
  it.effect("is there by configuration alone, named or by its key", () =>
    Effect.gen(function* () {
      const env = { SELVAGE_PROVIDERS: fixture, ACME_API_KEY: "k" }
      assert.strictEqual(yield* ask({ ...env, SELVAGE_MODEL_SMART: "acme:acme-2" }), "acme:acme-2: acme-2 with k")
      assert.strictEqual(yield* ask(env), "acme:acme-1: acme-1 with k")
    })
  )

  it.effect("is found as an installed package and as a file, from where the program runs", () =>
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => mkdtemp(join(tmpdir(), "selvage-providers-"))),
        (made) => Effect.promise(() => rm(made, { recursive: true, force: true }))
      )
      const home = join(directory, "node_modules", "acme-provider")
      yield* Effect.promise(async () => {
        await mkdir(home, { recursive: true })
        await writeFile(
          join(home, "package.json"),
          '{ "name": "acme-provider", "type": "module", "exports": "./index.js" }'
        )
        await writeFile(join(home, "index.js"), `export { acme as default } from ${JSON.stringify(fixture)}\n`)
      })
      const from = (specifier: string) =>
        ask({ SELVAGE_PROVIDERS: specifier, SELVAGE_MODEL_SMART: "acme:a", ACME_API_KEY: "k" })
      const before = process.cwd()
      yield* Effect.acquireRelease(
        Effect.sync(() => process.chdir(directory)),
        () => Effect.sync(() => process.chdir(before))
      )
      assert.strictEqual(yield* from("acme-provider"), "acme:a: a with k")
      assert.strictEqual(yield* from(" ./node_modules/acme-provider/index.js ,"), "acme:a: a with k")
    })
  )

  it.effect("that cannot be loaded, exports none, or has no key, is said at start with what to do", () =>
    Effect.gen(function* () {
      const nothing = pathToFileURL(join(import.meta.dirname, "schemas.ts")).href
      const found = yield* findings({
        SELVAGE_PROVIDERS: `no-such-package, ${nothing}`,
        SELVAGE_MODEL_SMART: "offline"
      })
      assert.deepStrictEqual(
        found.map(({ where }) => where),
        ["SELVAGE_PROVIDERS", "SELVAGE_PROVIDERS"]
      )
      assert.match(found[0]!.what, /^the module "no-such-package" cannot be loaded: /)
      assert.include(found[1]!.what, "exports no provider")
      const keyless = yield* findings({ SELVAGE_PROVIDERS: fixture, SELVAGE_MODEL_SMART: "acme:a" })
      assert.deepStrictEqual(
        keyless.map(({ where }) => where),
        ["ACME_API_KEY"]
      )
    })
  )
})

import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { SqliteClient } from "@selvage/sqlite"
import { LanguageModelLaws, StrictProvider } from "@selvage/testing"
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { prove } from "../restock/Crash.ts"
import * as Progress from "../restock/Progress.ts"
import { data, databaseFile, demo, demoProcess, journalFile, kept, temporary } from "./demo.ts"

const table = (stdout: string) => stdout.slice(stdout.indexOf("SKU "), stdout.indexOf("Look inside"))
const limitCents = 100_000

/** One message, no stack trace. */
const oneMessage = (stderr: string, lines = 1) => {
  assert.lengthOf(stderr.trim().split("\n"), lines, stderr)
  assert.notMatch(stderr, /\n\s+at /)
}

// One after the other: a job that runs in this process would hold back the one that is to be killed in time.
describe("the demo", () => {
  it.live("decides about every product without a key, and changes nothing when it is run again", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const first = yield* demo(directory, [])
      assert.strictEqual(first.code, 0, first.stderr)
      assert.strictEqual(first.stderr, "")
      assert.include(first.stdout, "model: offline (no intelligence, no cost)")
      assert.include(first.stdout, "72 products decided, 39 orders placed")
      const before = yield* kept(directory)
      assert.lengthOf(before.orders, 39)
      // More than half of what it decides to order is ordered: the others wait for an approval that nobody gives.
      const wanted = [...first.stdout.matchAll(/^[A-Z]{3}-\d{3} {2}.*?(?: yes |place_order (?:failed|was denied))/gm)]
      assert.isAbove(before.orders.length, wanted.length / 2)
      assert.isAbove(wanted.length, before.orders.length)
      assert.isTrue(before.orders.every(({ costCents }) => costCents <= limitCents))
      assert.strictEqual(before.entries.at(-1)?.entry._tag, "RunFinished")
      const progress = before.entries.reduce(
        (folded, entry) => Progress.update(folded, { _tag: "Journaled", ...entry }),
        Progress.empty
      )
      assert.strictEqual(progress.decided, 72)
      assert.strictEqual(
        progress.spentCents,
        before.orders.reduce((sum, { costCents }) => sum + costCents, 0)
      )
      assert.include(first.stdout, `\n${progress.tokens} tokens,`)
      const again = yield* demo(directory, [])
      assert.strictEqual(again.code, 0)
      assert.strictEqual(table(again.stdout), table(first.stdout))
      const after = yield* kept(directory)
      assert.deepStrictEqual(after.orders, before.orders)
      assert.lengthOf(after.entries, before.entries.length)
    })
  )

  it.live("goes on after a SIGKILL in the middle, with every large order approved and nothing doubled", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const killed = yield* demoProcess(directory, ["--approve", "all"], {
        killAt: (text) => /\[2\d\/72 decided/.test(text)
      })
      assert.isNull(killed.code)
      const { entries } = yield* kept(directory)
      const ended = yield* demo(directory, ["--approve", "all"])
      assert.strictEqual(ended.code, 0, ended.stderr)
      const after = yield* kept(directory)
      assert.deepStrictEqual(after.entries.slice(0, entries.length), entries)
      assert.lengthOf(after.orders, 61)
      assert.lengthOf(new Set(after.orders.map(({ sku }) => sku)), 61)
      assert.isTrue(after.orders.some(({ costCents }) => costCents > limitCents))
      yield* prove(join(directory, ".selvage"), 1).pipe(Effect.provide(NodeServices.layer))
      // The proof sees an order that was placed twice.
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`INSERT INTO orders SELECT 1000, sku, supplier_id, units, unit_price_cents, cost_cents, reason,
            idempotency_key, placed_at, expected_at FROM orders WHERE id = 1`
      }).pipe(Effect.provide(SqliteClient.layer({ filename: databaseFile(directory) })))
      const failed = yield* Effect.flip(prove(join(directory, ".selvage"), 1)).pipe(Effect.provide(NodeServices.layer))
      assert.strictEqual(failed._tag, "CrashProofFailed")
      assert.include(failed.message, "1 orders placed twice for a product; 1 orders placed twice by one call")
    })
  )

  it.live("kills itself and proves the outcome", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* demo(yield* temporary, ["--crash", "--kills", "2"])
      assert.strictEqual(code, 0, stderr)
      assert.match(stdout, /run 1: killed with SIGKILL; \d+\/72 decided/)
      assert.match(stdout, /run 2: killed with SIGKILL; \d+\/72 decided/)
      assert.include(stdout, "2 kills, 72 products, 72 decisions, 61 orders")
      assert.include(stdout, "nothing lost, nothing doubled")
    })
  )

  it.live("decides about one product, and answers a person's own words without acting", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const one = yield* demo(directory, ["--only", "HND-001", "--approve", "all"])
      assert.strictEqual(one.code, 0, one.stderr)
      assert.include(one.stdout, '"supplierId": "SUP-05"')
      assert.lengthOf((yield* kept(directory, "ask-HND-001-1")).orders, 1)
      const question = yield* demo(directory, ["--only", "HND-001", "--prompt", "Who sells this hammer cheapest?"])
      assert.strictEqual(question.code, 0, question.stderr)
      assert.include(question.stdout, "Kanto Tools")
      assert.lengthOf((yield* kept(directory, "ask-HND-001-2")).orders, 1)
    })
  )

  it.live("uses OpenAI or Anthropic by configuration alone, with requests that they take", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const { Answer } = LanguageModelLaws.Turn
      const no = '{"order":false,"supplierId":null,"units":0,"reasons":["The provider says no."]}'
      for (const env of [
        (url: string) => ({ OPENAI_API_KEY: "sk-test", OPENAI_BASE_URL: `${url}/v1` }),
        (url: string) => ({ OPENAI_API_KEY: "sk-test", OPENAI_BASE_URL: `${url}/v1`, SELVAGE_OPENAI_API: "chat" }),
        (url: string) => ({ ANTHROPIC_API_KEY: "sk-ant-test", ANTHROPIC_BASE_URL: url })
      ]) {
        const provider = yield* StrictProvider.make(
          Answer({ calls: [{ id: "call_1", name: "check_stock", arguments: '{"sku":"HND-001"}' }] }),
          Answer({ text: no })
        )
        const { code, stderr, stdout } = yield* demo(directory, ["--only", "HND-001"], env(provider.url))
        assert.deepStrictEqual(yield* provider.refusals, [])
        assert.strictEqual(code, 0, stderr)
        assert.include(stdout, "The provider says no.")
        const requests = yield* provider.received
        assert.isAtLeast(requests.length, 3)
        for (const tool of ["check_stock", "list_offers", "forecast_demand", "place_order"]) {
          assert.include(JSON.stringify(requests[0]), tool)
        }
      }
    })
  )

  it.live("says in one message what is wrong, and loses nothing", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const only = ["--only", "HND-001"]
      const broken = join(directory, "broken")
      cpSync(data, broken, { recursive: true })
      const products = readFileSync(join(broken, "products.csv"), "utf8")
      writeFileSync(join(broken, "products.csv"), products.replace(",no\n", ",perhaps\n"))

      const badRow = yield* demo(directory, ["--data", broken])
      assert.strictEqual(badRow.code, 1)
      assert.include(badRow.stderr, 'products.csv line 2, column "discontinued": "perhaps" is neither yes nor no')
      oneMessage(badRow.stderr)

      const unknown = yield* demo(directory, ["--only", "NOPE-1"])
      assert.strictEqual(unknown.code, 1)
      assert.include(unknown.stderr, 'No product has the SKU "NOPE-1"')
      oneMessage(unknown.stderr)

      const wrongModel = yield* demo(directory, only, { SELVAGE_MODEL_SMART: "foo:bar" })
      assert.strictEqual(wrongModel.code, 1)
      assert.include(wrongModel.stderr, 'unknown provider "foo" in "foo:bar"')
      oneMessage(wrongModel.stderr, 2)

      const noKey = yield* demo(directory, only, { SELVAGE_MODEL_SMART: "openai:gpt-5.1" })
      assert.strictEqual(noKey.code, 1)
      assert.include(noKey.stderr, 'OPENAI_API_KEY: the key for the provider "openai" is missing')
      oneMessage(noKey.stderr, 2)

      assert.strictEqual((yield* demo(directory, only)).code, 0)
    })
  )

  it.live("leaves a file that is no database or is damaged as it is, and says which", () =>
    Effect.gen(function* () {
      for (const file of [journalFile, databaseFile]) {
        const directory = yield* temporary
        mkdirSync(join(directory, ".selvage"))
        const content = "this is no database ".repeat(100)
        writeFileSync(file(directory), content)
        const { code, stderr } = yield* demo(directory, [])
        assert.strictEqual(code, 1)
        assert.include(stderr, "file is not a database")
        assert.include(stderr, file(".").slice(2))
        oneMessage(stderr)
        assert.strictEqual(readFileSync(file(directory), "utf8"), content)
      }
    })
  )

  it.live("ends with 2 when it is used wrongly", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const asProgram = yield* demoProcess(directory, ["--nope"])
      assert.strictEqual(asProgram.code, 2)
      assert.include(asProgram.stderr, "Unrecognized flag: --nope")
      for (const [args, message] of [
        [["--nope"], "Unrecognized flag: --nope"],
        [["--approve", "maybe"], "Invalid value for flag --approve"],
        [["--crash", "--kills", "-3"], "Invalid value for flag --kills"],
        [["--prompt", "hello"], "--prompt needs --only SKU"],
        [["--approve", "ask"], "--approve ask needs a terminal"]
      ] as const) {
        const { code, stderr, stdout } = yield* demo(directory, args)
        assert.strictEqual(code, 2, stderr)
        assert.include(stderr, message)
        assert.strictEqual(stdout, "")
      }
    })
  )
})

// A process of its own that appends to a thread: `node appender.ts SQLITE_FILE|"" POSTGRES_SCHEMA|"" THREAD HEAD COUNT`.
import { Journal } from "@selvage/core"
import { PostgresJournal } from "@selvage/postgres"
import { SqliteJournal } from "@selvage/sqlite"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

const [filename = "", schema = "", thread = "", head = "0", count = "1"] = process.argv.slice(2)
const url = process.env.SELVAGE_TEST_POSTGRES_URL ?? "postgres://postgres@127.0.0.1:5432/test"

const program = Effect.gen(function* () {
  const journal = yield* Journal.Journal
  for (let expected = Number(head); expected < Number(head) + Number(count); expected++) {
    yield* journal.append(thread, expected, [{ _tag: "Patched", updates: { by: process.pid } }])
  }
})

await Effect.runPromise(
  Effect.provide(
    program,
    filename === "" ? PostgresJournal.layer({ url: Redacted.make(url), schema }) : SqliteJournal.layer({ filename })
  )
)

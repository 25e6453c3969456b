import { Journal } from "@selvage/core"
import * as Entry from "@selvage/core/Entry"
import { SqliteClient, SqliteJournal } from "@selvage/sqlite"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "./documents.ts"

const document = await text("docs/journal.md")

/** The rows of the tables under the heading of each table of the journal: its columns. */
const documented = new Map(
  Array.from(document.matchAll(/^### (selvage_\w+)\n([\s\S]*?)(?=^### |^## )/gm), ([, table = "", section = ""]) => [
    table,
    {
      columns: Array.from(section.matchAll(/^\| ((?:`\w+`(?:, )?)+) \|/gm), ([, cell = ""]) =>
        Array.from(cell.matchAll(/`(\w+)`/g), ([, name = ""]) => name)
      ).flat(),
      queries: Array.from(section.matchAll(/^```sql\n([\s\S]*?)^```/gm), ([, query = ""]) => query),
      indexes: Array.from(section.matchAll(/Index `(\w+) /g), ([, name = ""]) => name)
    }
  ])
)

const journalFile = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "selvage-docs-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
).pipe(
  Effect.map((directory) => join(directory, "journal.db")),
  Effect.tap((filename) =>
    Effect.flatMap(Journal.Journal, (journal) => journal.append("t-1", 0, [{ _tag: "Patched", updates: {} }])).pipe(
      Effect.provide(SqliteJournal.layer({ filename }))
    )
  )
)

it.effect("docs/journal.md names every table, column and index, and its queries run", () =>
  Effect.gen(function* () {
    const filename = yield* journalFile
    yield* Effect.gen(function* () {
      const sql = yield* SqlClient
      const names = (type: string) =>
        Effect.map(
          sql<{ name: string }>`SELECT name FROM sqlite_master WHERE type = ${type} AND name LIKE 'selvage_%'
            AND name <> 'selvage_migrations' ORDER BY name`,
          (rows) => rows.map(({ name }) => name)
        )
      assert.deepStrictEqual(Array.from(documented.keys()).toSorted(), yield* names("table"))
      const indexes = Array.from(documented.values()).flatMap(({ indexes }) => indexes)
      assert.deepStrictEqual(indexes.toSorted(), yield* names("index"))
      for (const [table, { columns, queries }] of documented) {
        const found = yield* sql<{ name: string }>`SELECT name FROM pragma_table_info(${table})`
        assert.deepStrictEqual(columns.toSorted(), found.map(({ name }) => name).toSorted(), table)
        assert.isAtLeast(queries.length, 1, table)
        for (const query of queries) yield* sql.unsafe(query)
      }
    }).pipe(Effect.provide(SqliteClient.layer({ filename })))
  })
)

it("docs/journal.md names every kind of entry", () => {
  const [, section = ""] = /## 4\. Entries\n([\s\S]*?)^## /m.exec(document) ?? []
  const named = Array.from(section.matchAll(/^\| ((?:`\w+`(?:, )?)+) \|/gm), ([, cell = ""]) =>
    Array.from(cell.matchAll(/`(\w+)`/g), ([, name = ""]) => name)
  ).flat()
  assert.deepStrictEqual(named.toSorted(), Object.keys(Entry.Entry.cases).toSorted())
})

// The laws of every journal on SQLite, and what a fork takes of a snapshot.
import { describe, it } from "@effect/vitest"
import { JournalLaws } from "@selvage/testing"
import * as Effect from "effect/Effect"
import { stores } from "./stores.ts"

const sqlite = stores("selvage_sqlite_laws").find(({ name }) => name === "SQLite")!

describe("the laws of journals on SQLite", () => {
  for (const law of JournalLaws.all()) it.live(law.name, () => Effect.provide(law.check, sqlite.layer))
})

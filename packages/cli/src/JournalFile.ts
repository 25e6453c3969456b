/**
 * The journal in a file that is there already: a command that looks at a journal never makes one, and never turns
 * another program's database into one.
 *
 * @since 0.1.0
 */
import { JournalUnavailable } from "@selvage/core/Errors"
import type { Journal } from "@selvage/core/Journal"
import * as SqliteJournal from "@selvage/sqlite/SqliteJournal"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { existsSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import { JournalFileNotFound, NotAJournal } from "./Failure.ts"

/** What opening a journal file can fail with. */
export type OpenFailure = JournalFileNotFound | NotAJournal | JournalUnavailable

// Beside a file on a read-only mount neither a log nor its index can be made: then it is read as one that does not change.
const openToRead = (file: string): DatabaseSync => {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 1000 })
  try {
    database.prepare("PRAGMA schema_version").get()
    return database
  } catch (cause) {
    database.close()
    if (existsSync(`${file}-wal`)) throw cause
    const url = pathToFileURL(file)
    url.searchParams.set("immutable", "1")
    return new DatabaseSync(url, { readOnly: true, timeout: 1000 })
  }
}

const check = Effect.fnUntraced(function* (file: string) {
  const fs = yield* FileSystem.FileSystem
  const { type } = yield* Effect.mapError(fs.stat(file), (error) =>
    error.reason._tag === "NotFound"
      ? new JournalFileNotFound({ file })
      : new JournalUnavailable({ operation: `open the file "${file}"`, cause: error })
  )
  if (type === "Directory") return yield* new NotAJournal({ file, reason: "it is a directory" })
  const found = yield* Effect.try({
    // Read-only, unlike the client: nothing of a file that is no journal may change.
    try: () => {
      const database = openToRead(file)
      try {
        return database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'selvage_threads'").get() !== undefined
      } finally {
        database.close()
      }
    },
    catch: (cause) => new NotAJournal({ file, reason: cause instanceof Error ? cause.message : String(cause) })
  })
  if (!found) return yield* new NotAJournal({ file, reason: "it is a database without threads" })
})

/** The journal in the file of that name. `readonly`: beside a writer, from a read-only mount, without a migration. */
export const layer = (
  file: string,
  options: { readonly readonly: boolean }
): Layer.Layer<Journal, OpenFailure, FileSystem.FileSystem> =>
  Layer.unwrap(Effect.as(check(file), SqliteJournal.layer({ filename: file, readonly: options.readonly })))

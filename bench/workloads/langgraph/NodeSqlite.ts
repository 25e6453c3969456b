/**
 * As much of better-sqlite3 as the peer's SQLite saver uses, over `node:sqlite`: better-sqlite3 itself needs a compiler
 * and crashes under Node 24 here.
 */
import { DatabaseSync, type SQLInputValue } from "node:sqlite"

type Value = SQLInputValue | undefined

const bound = (values: ReadonlyArray<Value>) => values.map((value) => value ?? null)

/** `synchronous` is "normal" in better-sqlite3's own builds (SQLITE_DEFAULT_WAL_SYNCHRONOUS=1). */
export const open = (filename: string, synchronous: "full" | "normal") => {
  const database = new DatabaseSync(filename)
  database.exec("PRAGMA journal_mode = wal")
  database.exec(`PRAGMA synchronous = ${synchronous}`)
  return {
    pragma: (text: string) => database.prepare(`PRAGMA ${text}`).all(),
    exec: (text: string) => database.exec(text),
    prepare: (text: string) => {
      const statement = database.prepare(text)
      return {
        get: (...values: ReadonlyArray<Value>) => statement.get(...bound(values)),
        all: (...values: ReadonlyArray<Value>) => statement.all(...bound(values)),
        run: (...values: ReadonlyArray<Value>) => statement.run(...bound(values))
      }
    },
    transaction:
      <Args extends ReadonlyArray<unknown>>(body: (...args: Args) => unknown) =>
      (...args: Args) => {
        database.exec("BEGIN")
        try {
          const result = body(...args)
          database.exec("COMMIT")
          return result
        } catch (error) {
          database.exec("ROLLBACK")
          throw error
        }
      },
    close: () => database.close()
  }
}

/** An `effect/sql` client on Node's own SQLite. */
export * as SqliteClient from "./SqliteClient.ts"

/** The journal in a SQLite file. */
export * as SqliteJournal from "./SqliteJournal.ts"

/** An `effect/sql` client on Node's own SQLite. */
export * as SqliteClient from "./SqliteClient.ts"

/** The journal in PostgreSQL. */
export * as PostgresJournal from "./PostgresJournal.ts"

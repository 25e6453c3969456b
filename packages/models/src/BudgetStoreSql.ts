/**
 * The accounts of budgets on an `effect/sql` client: SQLite (`@selvage/sqlite`) and PostgreSQL (`@effect/sql-pg`).
 *
 * Three tables, made and migrated by the layer: `selvage_budget_books` has a row per book, which a transaction locks, in the
 * order of their names, before it looks; `selvage_budget_slots` has what was spent, `selvage_budget_holds` what is held.
 *
 * **Gotchas**
 *
 * - A transaction that the database gives up (deadlock, serialization, lock timeout) is tried again, five times at most.
 * - Rows that are remembered no longer are deleted by the reservations of their own book. The books of runs and threads
 *   stay until they are forgotten (`Ledger.forget`).
 */
import { plainCause } from "@selvage/core/Errors"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Order from "effect/Order"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import { SqlError } from "effect/sql/SqlError"
import {
  type Amount,
  BudgetStore,
  BudgetUnavailable,
  type Charge,
  foldEnded,
  keptHolds,
  lacking,
  type Line,
  type Options,
  rememberMillis,
  type Reply,
  type Settlement,
  type SlotSums,
  type Sums,
  zero
} from "./BudgetStore.ts"

const migrations = Migrator.fromRecord({
  "0001_budgets": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE selvage_budget_books (book TEXT PRIMARY KEY)`
    yield* sql`CREATE TABLE selvage_budget_slots (
      book TEXT NOT NULL,
      slot BIGINT NOT NULL,
      ends BIGINT NOT NULL,
      tokens BIGINT NOT NULL,
      micros BIGINT NOT NULL,
      PRIMARY KEY (book, slot)
    )`
    yield* sql`CREATE TABLE selvage_budget_holds (
      book TEXT NOT NULL,
      id TEXT NOT NULL,
      slot BIGINT NOT NULL,
      ends BIGINT NOT NULL,
      expires BIGINT NOT NULL,
      tokens BIGINT NOT NULL,
      micros BIGINT NOT NULL,
      PRIMARY KEY (book, id)
    )`
    yield* sql`CREATE INDEX selvage_budget_holds_open ON selvage_budget_holds (book, expires, ends, tokens, micros)`
  })
})

// Numbers arrive as number, bigint or string, as the driver of the dialect has it.
const Whole = Schema.Union([Schema.Finite, Schema.BigInt, Schema.String])
const decodeSums = Schema.decodeUnknownEffect(
  Schema.Array(
    Schema.Struct({
      book: Schema.String,
      kind: Schema.Literals(["spent", "held"]),
      tokens: Whole,
      micros: Whole,
      entries: Whole
    })
  )
)
const decodeSlots = Schema.decodeUnknownEffect(
  Schema.Array(Schema.Struct({ ends: Whole, tokens: Whole, micros: Whole }))
)
const decodeEnded = Schema.decodeUnknownEffect(
  Schema.Array(Schema.Struct({ slot: Whole, ends: Whole, tokens: Whole, micros: Whole }))
)
const decodeHeld = Schema.decodeUnknownEffect(Schema.Array(Schema.Struct({ book: Schema.String })))

const amountOf = (row: { readonly tokens: typeof Whole.Type; readonly micros: typeof Whole.Type }): Amount => ({
  tokens: Number(row.tokens),
  micros: Number(row.micros)
})

const nothing: Sums = { spent: zero, reserved: zero, holds: 0 }

const insists = Schedule.exponential("10 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 5 }))

// Every transaction locks its books in this order, so that no two wait for each other.
const ordered = (charges: Arr.NonEmptyReadonlyArray<Charge>): Arr.NonEmptyReadonlyArray<{ readonly book: string }> =>
  Arr.map(Arr.sort(Arr.dedupe(Arr.map(charges, ({ book }) => book)), Order.String), (book) => ({ book }))

const booksOf = (charges: ReadonlyArray<Charge>): ReadonlyArray<string> => charges.map(({ book }) => book)

/** Deletes what is remembered no longer with every this many reservations of a process. */
const pruneEvery = 64

const make = Effect.fnUntraced(function* (options: Options | undefined) {
  const sql = yield* SqlClient.SqlClient
  const remember = rememberMillis(options)
  let reservations = 0

  const guarded =
    (operation: string) =>
    <A, E>(effect: Effect.Effect<A, E>) =>
      effect.pipe(
        // A rollback on a connection that was lost is a defect of `withTransaction`.
        Effect.catchDefect((defect) => (defect instanceof SqlError ? Effect.fail(defect) : Effect.die(defect))),
        Effect.retry({ schedule: insists, while: (error) => error instanceof SqlError && error.isRetryable }),
        Effect.mapError((cause) => new BudgetUnavailable({ operation, cause: plainCause(cause) }))
      )

  const lock = (lines: Arr.NonEmptyReadonlyArray<Line>) =>
    sql`INSERT INTO selvage_budget_books ${sql.insert(ordered(lines))}
      ON CONFLICT (book) DO UPDATE SET book = excluded.book`

  // Only books that are there: settling must not bring back one that was forgotten. SQLite locks the whole file.
  const lockKnown = (books: ReadonlyArray<string>) =>
    sql.onDialectOrElse({
      sqlite: () => Effect.void,
      orElse: () =>
        sql`SELECT book FROM selvage_budget_books WHERE ${sql.in("book", books)} ORDER BY book COLLATE "C" FOR UPDATE`.pipe(
          Effect.asVoid
        )
    })

  // One statement, so that it sees one moment also without the lock.
  const readSums = Effect.fnUntraced(function* (books: ReadonlyArray<string>, now: number) {
    const sums = new Map<string, Sums>()
    if (books.length === 0) return sums
    const rows = yield* Effect.flatMap(
      sql`SELECT book, kind, SUM(tokens) AS tokens, SUM(micros) AS micros, COUNT(*) AS entries FROM (
        SELECT book, 'spent' AS kind, tokens, micros FROM selvage_budget_slots
        WHERE ${sql.in("book", books)} AND ends > ${now}
        UNION ALL
        SELECT book, 'held' AS kind, tokens, micros FROM selvage_budget_holds
        WHERE ${sql.in("book", books)} AND expires > ${now} AND ends > ${now}
      ) AS counted GROUP BY book, kind`,
      decodeSums
    )
    for (const { book, entries, kind, ...amount } of rows) {
      const known = sums.get(book) ?? nothing
      sums.set(
        book,
        kind === "spent"
          ? { ...known, spent: amountOf(amount) }
          : { ...known, reserved: amountOf(amount), holds: Number(entries) }
      )
    }
    return sums
  })

  const readSlots = Effect.fnUntraced(function* (book: string, now: number) {
    const rows = yield* Effect.flatMap(
      sql`SELECT ends, SUM(tokens) AS tokens, SUM(micros) AS micros FROM (
        SELECT ends, tokens, micros FROM selvage_budget_slots WHERE book = ${book} AND ends > ${now}
        UNION ALL
        SELECT ends, tokens, micros FROM selvage_budget_holds
        WHERE book = ${book} AND expires > ${now} AND ends > ${now}
      ) AS counted GROUP BY ends`,
      decodeSlots
    )
    return rows.map((row): SlotSums => ({ ends: Number(row.ends), amount: amountOf(row) }))
  })

  const prune = (books: ReadonlyArray<string>, before: number) =>
    reservations++ % pruneEvery === 0
      ? Effect.forEach(books, (book) => Effect.andThen(pruneHolds(book, before), pruneSlots(book, before)), {
          discard: true
        })
      : Effect.void

  const pruneHolds = (book: string, before: number) =>
    sql`DELETE FROM selvage_budget_holds WHERE book = ${book} AND expires <= ${before} AND expires < (
      SELECT expires FROM selvage_budget_holds WHERE book = ${book} ORDER BY expires DESC LIMIT 1 OFFSET ${keptHolds - 1}
    )`

  const pruneSlots = Effect.fnUntraced(function* (book: string, before: number) {
    const rows = yield* Effect.flatMap(
      sql`SELECT slot, ends, tokens, micros FROM selvage_budget_slots WHERE book = ${book} AND ends <= ${before}`,
      decodeEnded
    )
    const fold = foldEnded(
      rows.map((row) => ({ slot: Number(row.slot), ends: Number(row.ends), amount: amountOf(row) }))
    )
    if (fold === undefined) return
    const { amount, ends, slot } = fold.into
    const folded = fold.folded.map(({ slot }) => slot)
    yield* sql`DELETE FROM selvage_budget_slots WHERE book = ${book} AND ${sql.in("slot", folded)}`
    yield* sql`INSERT INTO selvage_budget_slots ${sql.insert({ book, slot, ends, ...amount })}`
  })

  const hold = (id: string, lines: Arr.NonEmptyReadonlyArray<Line>, amount: Amount, expires: number) =>
    sql`INSERT INTO selvage_budget_holds ${sql.insert(
      Arr.map(lines, ({ book, ends, slot }) => ({ book, id, slot, ends, expires, ...amount }))
    )}`

  const count = (charges: Arr.NonEmptyReadonlyArray<Charge>, usage: Amount) =>
    sql`INSERT INTO selvage_budget_slots ${sql.insert(
      Arr.map(charges, ({ book, ends, slot }) => ({ book, slot, ends, ...usage }))
    )}
      ON CONFLICT (book, slot) DO UPDATE SET
        tokens = selvage_budget_slots.tokens + excluded.tokens,
        micros = selvage_budget_slots.micros + excluded.micros,
        ends = CASE WHEN excluded.ends > selvage_budget_slots.ends THEN excluded.ends ELSE selvage_budget_slots.ends END`

  return BudgetStore.of({
    reserve: ({ amount, expires, id, lines, now }) =>
      Effect.gen(function* () {
        const books = booksOf(lines)
        yield* lock(lines)
        yield* prune(books, now - remember)
        const all = yield* readSums(books, now)
        for (const [index, line] of lines.entries()) {
          const sums = all.get(line.book) ?? nothing
          const resource = lacking(line, sums, amount)
          if (resource === undefined) continue
          const refused: Reply = { _tag: "Refused", index, resource, sums, slots: yield* readSlots(line.book, now) }
          return refused
        }
        yield* hold(id, lines, amount, expires)
        const reserved: Reply = { _tag: "Reserved" }
        return reserved
      }).pipe(sql.withTransaction, guarded("reserve an amount")),
    renew: ({ charges, expires, id }) =>
      sql`UPDATE selvage_budget_holds SET expires = ${expires} WHERE id = ${id} AND ${sql.in("book", booksOf(charges))}`.pipe(
        guarded("renew an amount"),
        Effect.asVoid
      ),
    settle: ({ charges, id, now, usage }) =>
      Effect.gen(function* () {
        yield* lockKnown(booksOf(charges))
        const held = yield* Effect.flatMap(
          sql`DELETE FROM selvage_budget_holds WHERE id = ${id} AND ${sql.in("book", booksOf(charges))} RETURNING book`,
          decodeHeld
        )
        const books = held.map(({ book }) => book)
        const sums = yield* readSums(books, now)
        const counted = charges.filter(({ book }) => books.includes(book))
        if (Arr.isReadonlyArrayNonEmpty(counted)) yield* count(counted, usage)
        return charges.map(({ book }): Settlement[number] =>
          books.includes(book) ? (sums.get(book) ?? nothing).spent : undefined
        )
      }).pipe(sql.withTransaction, guarded("settle an amount")),
    release: ({ charges, id }) =>
      sql`DELETE FROM selvage_budget_holds WHERE id = ${id} AND ${sql.in("book", booksOf(charges))}`.pipe(
        guarded("release an amount"),
        Effect.asVoid
      ),
    sums: (books, now) =>
      readSums(books, now).pipe(
        guarded("read the sums of its accounts"),
        Effect.map((sums) => books.map((book) => sums.get(book) ?? nothing))
      ),
    forget: (books) =>
      Effect.gen(function* () {
        if (books.length === 0) return
        for (const table of ["selvage_budget_holds", "selvage_budget_slots", "selvage_budget_books"]) {
          yield* sql`DELETE FROM ${sql(table)} WHERE ${sql.in("book", books)}`
        }
      }).pipe(sql.withTransaction, guarded("forget accounts"))
  })
})

/** Accounts on the `SqlClient` in the context. Makes and migrates its tables (recorded in `selvage_budget_migrations`). */
export const layer = (options?: Options): Layer.Layer<BudgetStore, BudgetUnavailable, SqlClient.SqlClient> =>
  Layer.effect(
    BudgetStore,
    Migrator.make({})({ loader: migrations, table: "selvage_budget_migrations" }).pipe(
      Effect.mapError(
        (cause) => new BudgetUnavailable({ operation: "make or migrate its tables", cause: plainCause(cause) })
      ),
      Effect.andThen(make(options))
    )
  )

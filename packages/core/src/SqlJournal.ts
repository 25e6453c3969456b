/**
 * The journal on an `effect/sql` client: SQLite (`@selvage/sqlite`) and PostgreSQL (`@selvage/postgres`, which also
 * listens for the appends of other processes). `docs/journal.md` describes the tables.
 *
 * Appends of all threads that wait share one transaction. An append moves the head of its thread with a conditional
 * update and inserts its entries in the same transaction, so that a reader sees all of them or none.
 *
 * **Gotchas**
 *
 * - The journal's transactions are its own: inside `sql.withTransaction` of the same client an append is refused with
 *   `JournalUnavailable`.
 * - A name of a thread with U+0000 or half of a surrogate pair is refused: databases change such text.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { JournalUnavailable, ThreadNotFound } from "./Errors.ts"
import { plainCause } from "./internal/cause.ts"
import { onlyPosted, rangeOf } from "./internal/journalFold.ts"
import * as Check from "./internal/sql/check.ts"
import * as Dialect from "./internal/sql/dialect.ts"
import * as KnownThreads from "./internal/sql/knownThreads.ts"
import * as Leases from "./internal/sql/leases.ts"
import { prepare, readable, snapshotsSealed } from "./internal/sql/migrations.ts"
import * as Reader from "./internal/sql/reader.ts"
import { type Database, isNameable, unavailable } from "./internal/sql/rows.ts"
import * as Tail from "./internal/sql/tail.ts"
import * as Threads from "./internal/sql/threads.ts"
import { outside } from "./internal/sql/transact.ts"
import { within } from "./internal/sql/within.ts"
import * as Writer from "./internal/sql/writer.ts"
import { Journal, maxFindings, policyOf, type SnapshotPolicy } from "./Journal.ts"

/** What survives: `full`, a power loss; `normal`, a crash of the process, while a power loss may take the last appends. */
export type Durability = "full" | "normal"

/** How the appends of other processes reach a tail. */
export interface Notifications {
  /** The PostgreSQL channel that every transaction tells the names of the threads it wrote. */
  readonly channel: string
  /** What comes on that channel: the name of a thread that changed, or `undefined` if any may have. Must not fail. */
  readonly changes: Stream.Stream<string | undefined>
  /** How often a tail looks all the same, for a connection that fell silent tells nothing. Default 30 seconds. */
  readonly look?: Duration.Input | undefined
}

/**
 * Runs a transaction that writes to its end at once, on the connection of the client. `undefined`: not now, somebody else
 * has the connection or the lock. Throws what went wrong (an `SqlError` where the database refused); then nothing stands.
 */
export type TransactNow = Writer.TransactNow

/** How failures speak of a store. */
export interface Named {
  /** Its file, or its host and port: `PostgreSQL at db.internal:5432`. */
  readonly name: string
  /** Takes what nobody may see, such as a password that a server repeats, out of a text. */
  readonly redact?: ((text: string) => string) | undefined
}

/** How the journal is kept. */
export interface Options {
  /** What the failures of the journal say of where it is. */
  readonly store?: Named | undefined
  /** For PostgreSQL; a SQLite client has it as its `synchronous`. Default `full`: the server's own setting. */
  readonly durability?: Durability | undefined
  readonly snapshots?: SnapshotPolicy | undefined
  /** How often a tail looks for the appends of other processes. Default 250 ms. Not used with `notifications`. */
  readonly poll?: Duration.Input | undefined
  readonly notifications?: Notifications | undefined
  /**
   * How long the database may leave a statement without an answer, or let a statement wait for a connection; in real time.
   * What takes longer is a `JournalUnavailable`, and its connection is ended. Default 12 seconds; SQLite, which is no server,
   * has none.
   */
  readonly timeout?: Duration.Input | undefined
  /** Default `false`. `true` makes and migrates no tables: those that are there are read. */
  readonly readonly?: boolean | undefined
  /** For a database in this process: appends are then written without waiting for anything. */
  readonly transactNow?: TransactNow | undefined
}

/** Threads whose rows are remembered between appends. */
const rememberedThreads = 4096

/** The longest name that is sent with a notification, in characters; PostgreSQL takes 8,000 bytes. */
const maxPayload = 2000

const announceOn = (channel: string): Writer.Announce =>
  function* (threads) {
    const names = threads.map((thread) => (thread.length <= maxPayload ? thread : ""))
    const text = "SELECT pg_notify($1, name) FROM json_array_elements_text($2::text::json) AS name"
    yield [text, [channel, JSON.stringify(names)]]
  }

/** Says in a failure of the journal which store it is. */
export const identify =
  ({ name, redact }: Named) =>
  (error: JournalUnavailable): JournalUnavailable =>
    new JournalUnavailable({ operation: error.operation, store: name, cause: plainCause(error.cause, redact) })

/** All operations of a journal, with failures that say which store it is. */
const identified = (journal: Journal["Service"], store: Named): Journal["Service"] => {
  const identity = identify(store)
  const told = <E>(error: E): E | JournalUnavailable => (error instanceof JournalUnavailable ? identity(error) : error)
  return Journal.of({
    append: (...args) => Effect.mapError(journal.append(...args), told),
    post: (...args) => Effect.mapError(journal.post(...args), told),
    read: (...args) => Effect.mapError(journal.read(...args), told),
    info: (...args) => Effect.mapError(journal.info(...args), told),
    threads: (...args) => Stream.mapError(journal.threads(...args), told),
    fork: (...args) => Effect.mapError(journal.fork(...args), told),
    remove: (...args) => Effect.mapError(journal.remove(...args), told),
    snapshot: (...args) => Effect.mapError(journal.snapshot(...args), told),
    keepSnapshot: (...args) => Effect.mapError(journal.keepSnapshot(...args), told),
    tail: (...args) => Stream.mapError(journal.tail(...args), told),
    restore: (...args) => Effect.mapError(journal.restore(...args), told),
    check: (...args) => Effect.mapError(journal.check(...args), told),
    leases: {
      acquire: (...args) => Effect.mapError(journal.leases.acquire(...args), told),
      renew: (...args) => Effect.mapError(journal.leases.renew(...args), told),
      read: (...args) => Effect.mapError(journal.leases.read(...args), told),
      end: (...args) => Effect.mapError(journal.leases.end(...args), told)
    }
  })
}

/** The journal on the client in the context. Makes and migrates its tables (recorded in `selvage_migrations`). */
export const make = ({ store, ...options }: Options = {}): Effect.Effect<
  Journal["Service"],
  JournalUnavailable,
  SqlClient.SqlClient | Scope.Scope
> =>
  store === undefined
    ? makeJournal(options)
    : Effect.mapBoth(makeJournal(options), {
        onFailure: identify(store),
        onSuccess: (journal) => identified(journal, store)
      })

const makeJournal = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Journal["Service"], JournalUnavailable, SqlClient.SqlClient | Scope.Scope> {
  const sql = yield* SqlClient.SqlClient
  const dialect = sql.onDialectOrElse({
    sqlite: () => Dialect.sqlite,
    pg: () => Dialect.postgres({ durability: options.durability ?? "full" }),
    orElse: () => undefined
  })
  if (dialect === undefined) {
    return yield* unavailable("open")(new Error("this SqlClient speaks neither SQLite nor PostgreSQL"))
  }
  const limit =
    dialect === Dialect.sqlite ? Infinity : Duration.toMillis(Duration.fromInputUnsafe(options.timeout ?? "12 seconds"))
  const database: Database = {
    sql,
    dialect,
    limit,
    query: (text, params) => within(sql.unsafe(text, params).values, limit)
  }
  const sealed = (yield* options.readonly === true ? readable(database) : prepare(database)) >= snapshotsSealed
  const reader = Reader.make(database)
  const poll = Duration.fromInputUnsafe(options.poll ?? "250 millis")
  const { notifications } = options
  const { changed, tail } = yield* Tail.make(
    reader,
    notifications === undefined
      ? { poll }
      : {
          stream: notifications.changes,
          look: Duration.fromInputUnsafe(notifications.look ?? "30 seconds")
        }
  )
  const known = KnownThreads.make(rememberedThreads)
  const announce = notifications === undefined ? undefined : announceOn(notifications.channel)
  const snapshots = policyOf(options.snapshots)
  const append = yield* Writer.make({
    database,
    known,
    snapshots,
    transactNow: options.transactNow,
    announce,
    committed: changed
  })
  const threads = Threads.make({ database, known, announce, committed: changed })

  return Journal.of({
    append: (thread, expected, entries, options) => {
      const place = options?.past === undefined ? "after" : "past"
      const appended = Effect.clockWith((clock) =>
        append(thread, expected, entries, options?.id, clock.currentTimeMillisUnsafe(), place, options?.hash)
      )
      return outside(
        database,
        "append to a thread",
        known.get(thread) === undefined ? Effect.andThen(Threads.nameable(thread), appended) : appended
      )
    },
    post: (thread, entries, options) =>
      isNameable(thread)
        ? outside(
            database,
            "append to a thread",
            Effect.andThen(
              onlyPosted(entries),
              Effect.clockWith((clock) =>
                append(thread, 0, entries, options?.id, clock.currentTimeMillisUnsafe(), "post")
              )
            )
          ).pipe(
            Effect.catchTag("JournalConflict", (error) =>
              Effect.fail(error.actual === 0 ? new ThreadNotFound({ thread }) : error)
            )
          )
        : Effect.fail(new ThreadNotFound({ thread })),
    read: (thread, range) =>
      Effect.map(
        reader.page(thread, { ...rangeOf(range), limit: undefined, hash: range?.hash }),
        ({ entries }) => entries
      ),
    info: (thread) => Effect.map(reader.known(thread), ({ info }) => info),
    threads: reader.threads,
    fork: (from, at, as, patch) =>
      outside(
        database,
        "fork a thread",
        Effect.flatMap(Clock.currentTimeMillis, (now) => threads.fork(from, at, as, patch, now))
      ),
    remove: (thread, options) => outside(database, "delete a thread", threads.remove(thread, options?.head)),
    // Without hashes they are not believed.
    snapshot: sealed ? threads.snapshot : () => Effect.succeedNone,
    keepSnapshot: (thread, seq, value, options) => threads.keepSnapshot(thread, seq, value, options?.id),
    tail,
    restore: (thread, entries) => outside(database, "restore a thread", threads.restore(thread, entries)),
    check: Check.make(database, reader, { maxFindings, sealed }),
    leases: Leases.make(database)
  })
})

/** The journal on the `SqlClient` in the context, as the options say. */
export const layerWith = (options: Options): Layer.Layer<Journal, JournalUnavailable, SqlClient.SqlClient> =>
  Layer.effect(Journal, make(options))

/** {@link layerWith} with the defaults. */
export const layer: Layer.Layer<Journal, JournalUnavailable, SqlClient.SqlClient> = layerWith({})

/**
 * The journal in PostgreSQL: many processes and servers on one set of threads.
 *
 * Tails see the appends of every process at once: each transaction tells the names of its threads on a channel of the
 * schema (`LISTEN`/`NOTIFY`). If the listening connection is lost, it is opened again and every tail looks for itself
 * what it missed.
 *
 * **Example**
 *
 * ```ts
 * import { Thread } from "@selvage/core"
 * import { PostgresJournal } from "@selvage/postgres"
 * import { Effect, Redacted, Stream } from "effect"
 *
 * export const program = Stream.runCollect(Thread.events({ thread: "t-1" })).pipe(
 *   Effect.provide(PostgresJournal.layer({ url: Redacted.make("postgres://agents@db.internal/agents") }))
 * )
 * ```
 *
 * **Gotchas**
 *
 * - A tail holds one connection of the pool for all tails of this process.
 * - A connection pooler must be in session mode: `LISTEN` does not outlive a transaction in the others.
 *
 * @since 0.1.0
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { JournalUnavailable } from "@selvage/core/Errors"
import type { Journal, SnapshotPolicy } from "@selvage/core/Journal"
import * as SqlJournal from "@selvage/core/SqlJournal"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Address from "./internal/address.ts"
import * as Sockets from "./internal/sockets.ts"

/** Where the journal is, and how it is kept. */
export interface Options {
  /**
   * `postgres://user:password@host:port/database`. Write each `/ ? # @ : %` of a user and a password percent-encoded
   * (`%2F`). One that cannot be read is a `JournalUnavailable`; no failure shows the user or the password.
   */
  readonly url: Redacted.Redacted
  /**
   * Default `full`: the server's own setting, which survives power loss as it comes. `normal` does not wait for the
   * server's disk (`synchronous_commit = off`): a crash of the server may take the appends of its last second.
   */
  readonly durability?: SqlJournal.Durability | undefined
  /** The schema of the tables, made if it is not there. Default: the first of the role's `search_path`. */
  readonly schema?: string | undefined
  readonly snapshots?: SnapshotPolicy | undefined
  /** How many connections there are at most. Default 10. */
  readonly maxConnections?: number | undefined
  /** How long to wait for a connection. Default 5 seconds. */
  readonly connectTimeout?: Duration.Input | undefined
  /**
   * How long a statement may take, waiting for locks included. Default 10 seconds. The server ends one that takes longer; if
   * it has said nothing 2 seconds later (or as long again, if that is less), the connection is ended and the call fails with `JournalUnavailable`, so that a
   * server that accepts and never answers holds nothing up for ever.
   */
  readonly statementTimeout?: Duration.Input | undefined
  /** The largest entry or value that can be read, in bytes. Default 256 MiB. */
  readonly maxMessageSize?: number | undefined
}

/** How much longer than a statement may take the server may be silent, in milliseconds. */
const silence = (statementMillis: number) => Math.min(2_000, statementMillis)

/** The longest name of a schema, so that a channel can be named for it. */
const maxSchema = 48

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`

const open = (cause: unknown) => new JournalUnavailable({ operation: "open: PostgreSQL did not let it in", cause })

const refused = (reason: string) =>
  Layer.effectContext(Effect.fail(new JournalUnavailable({ operation: "open", cause: new Error(reason) })))

const decodeSchemaName = Schema.decodeUnknownEffect(Schema.Tuple([Schema.Tuple([Schema.String])]))

/** The schema of the tables, made if it was asked for and is not there. */
const schemaOf = Effect.fnUntraced(function* (client: PgClient.PgClient, schema: string | undefined) {
  if (schema !== undefined) {
    const found = yield* client`SELECT 1 FROM pg_namespace WHERE nspname = ${schema}`.values
    if (found.length === 0) {
      yield* client.unsafe(`CREATE SCHEMA IF NOT EXISTS ${quote(schema)}`).pipe(
        // Two processes that start at once: the one that comes second may find it neither there nor free.
        Effect.retry({ times: 3, while: ({ reason }) => reason._tag === "UniqueViolation" })
      )
    }
  }
  const [[name]] = yield* decodeSchemaName(yield* client`SELECT current_schema()`.values)
  return name
})

const reconnect = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("5 seconds")])

/** Names of threads as they change. After every (re)connection any may have. */
const changesOn = (client: PgClient.PgClient, channel: string): Stream.Stream<string | undefined> => {
  const listening = Stream.unwrap(
    Effect.map(client.listen(channel), (notifications) =>
      Stream.concat(
        Stream.make(undefined),
        Stream.map(Stream.fromQueue(notifications), ({ payload }) => (payload === "" ? undefined : payload))
      )
    )
  )
  // Without end: the database may come back at any time, and until then every tail fails by itself.
  return Stream.orDie(Stream.retry(listening, reconnect))
}

/** The journal in the database at the URL; its tables are made and migrated. */
export const layer = (options: Options): Layer.Layer<Journal, JournalUnavailable> => {
  const { schema } = options
  if (schema !== undefined && new TextEncoder().encode(schema).length > maxSchema) {
    return refused(`the name of the schema "${schema}" is longer than ${maxSchema} bytes`)
  }
  const address = Address.parse(Redacted.value(options.url))
  if (Result.isFailure(address)) return refused(address.failure)
  const store: SqlJournal.Named = { name: Address.nameOf(address.success), redact: address.success.redact }
  return Layer.effectContext(
    Effect.mapError(built(options, address.success, store), (error) =>
      SqlJournal.identify(store)(error._tag === "JournalUnavailable" ? error : open(error))
    )
  )
}

const built = Effect.fnUntraced(function* (options: Options, address: Address.Address, store: SqlJournal.Named) {
  const { durability, schema, snapshots } = options
  const sockets = Sockets.make(address)
  const statementMillis = Duration.toMillis(Duration.fromInputUnsafe(options.statementTimeout ?? "10 seconds"))
  const timeout = statementMillis + silence(statementMillis)
  const client = PgClient.layer({
    url: options.url,
    stream: sockets.open,
    applicationName: "selvage",
    connectTimeout: options.connectTimeout ?? "5 seconds",
    maxConnections: options.maxConnections ?? 10,
    maxMessageSize: options.maxMessageSize ?? 256 * 1024 * 1024,
    startupParameters: {
      statement_timeout: String(statementMillis),
      ...(schema === undefined ? {} : { search_path: quote(schema) })
    }
  })
  const journal = Layer.unwrap(
    Effect.gen(function* () {
      const client = yield* PgClient.PgClient
      const name = yield* Effect.mapError(sockets.answering(schemaOf(client, schema), timeout), open)
      const channel = `selvage ${name}`
      const notifications = { channel, changes: changesOn(client, channel) }
      return SqlJournal.layerWith({ store, durability, snapshots, notifications, timeout })
    })
  )
  // A scope of its own, so that its end is known before the client begins to close.
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer((exit) => {
    sockets.closing()
    return Effect.ensuring(Scope.close(scope, exit), Effect.sync(sockets.closed))
  })
  return yield* Layer.buildWithScope(Layer.provide(journal, client), scope)
})

// Declarations of an application that has no dependency on core find these names here.
export type { Journal } from "@selvage/core/Journal"
export type { JournalUnavailable } from "@selvage/core/Errors"

/** What the tortured processes do: a graph whose every call is written into a ledger, so that it can be counted. */
import { PgClient } from "@effect/sql-pg"
import { Channel, Durable, Graph, type Journal, Lease, Node, Task, Thread } from "@selvage/core"
import { PostgresJournal } from "@selvage/postgres"
import { SqliteClient, SqliteJournal } from "@selvage/sqlite"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"

/** Where the threads and the ledger are. */
export const Place = Schema.Union([
  Schema.TaggedStruct("sqlite", { directory: Schema.String }),
  Schema.TaggedStruct("postgres", { url: Schema.String, schema: Schema.String })
])
export type Place = typeof Place.Type

/** The outside world: what was called, by place. Written at once, whoever dies afterwards. */
export class Ledger extends Context.Service<
  Ledger,
  {
    readonly write: (place: string) => Effect.Effect<void>
    readonly has: (place: string) => Effect.Effect<boolean>
    readonly times: Effect.Effect<ReadonlyMap<string, number>>
  }
>()("torture/Ledger") {}

const ledger = Layer.effect(
  Ledger,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE IF NOT EXISTS ledger (place TEXT NOT NULL)`
    yield* sql`CREATE INDEX IF NOT EXISTS ledger_place ON ledger (place)`
    return Ledger.of({
      write: (place) => Effect.orDie(Effect.asVoid(sql`INSERT INTO ledger (place) VALUES (${place})`)),
      has: (place) =>
        Effect.orDie(Effect.map(sql`SELECT 1 FROM ledger WHERE place = ${place}`, ({ length }) => length > 0)),
      times: Effect.orDie(
        Effect.map(
          sql<{ place: string; times: number }>`SELECT place, COUNT(*) AS times FROM ledger GROUP BY place`,
          (rows) => new Map(rows.map(({ place, times }) => [place, Number(times)]))
        )
      )
    })
  })
)

export const layerOf = (place: Place): Layer.Layer<Journal.Journal | Ledger> => {
  if (place._tag === "sqlite") {
    const { directory } = place
    return Layer.orDie(
      Layer.mergeAll(
        // Killing a process is no power failure, so `normal` would do; what is tested is what is the default.
        SqliteJournal.layer({ filename: `${directory}/journal.db` }),
        Layer.provide(ledger, SqliteClient.layer({ filename: `${directory}/ledger.db` }))
      )
    )
  }
  const { schema, url } = place
  const client = PgClient.layer({
    url: Redacted.make(`${url}?options=-c%20search_path%3D${schema}`),
    maxConnections: 2
  })
  return Layer.orDie(
    Layer.mergeAll(PostgresJournal.layer({ url: Redacted.make(url), schema }), Layer.provide(ledger, client))
  )
}

const call = Effect.fnUntraced(function* (key: string) {
  const task = yield* Task.Current
  const { has, write } = yield* Ledger
  const place = `${task?.key}${key}`
  return yield* Durable.call({
    key,
    detail: place,
    schema: Schema.Int,
    call: Effect.as(write(place), 1),
    reconcile: Effect.map(has(place), (made) => (made ? Option.some(1) : Option.none()))
  })
})

/** A call whose outcome only a person can tell. */
const askedCall = Effect.fnUntraced(function* () {
  const task = yield* Task.Current
  const { write } = yield* Ledger
  const place = `${task?.key}asked`
  return yield* Durable.call({ key: "asked", detail: place, schema: Schema.Int, call: Effect.as(write(place), 1) })
})

const Inner = Graph.make("inner", {
  state: { calls: Channel.sum, log: Channel.append(Schema.String) },
  nodes: {
    a: () => Effect.map(call("a"), (calls) => ({ calls, log: ["a"] })),
    b: () => Effect.map(call("b"), (calls) => ({ calls, log: ["b"] })),
    both: ({ log }) => Effect.succeed({ log: [`both after ${log.length}`] })
  },
  edges: { start: ["a", "b"], a: "both", b: "both", both: "end" }
})

const width = 4
const rounds = 3

export const Work = Graph.make("work", {
  state: { calls: Channel.sum, log: Channel.append(Schema.String), round: Channel.last(Schema.Int, { initial: 0 }) },
  nodes: {
    once: ({ round }) =>
      Effect.map(Durable.once("piece", Schema.Int, Effect.succeed(round)), (piece) => ({ log: [`once ${piece}`] })),
    fan: Node.make(Schema.Int, (item) => Effect.map(call("fan"), (calls) => ({ calls, log: [`fan ${item}`] }))),
    asked: () => Effect.map(askedCall(), (calls) => ({ calls })),
    inner: Graph.node(Inner, { input: () => ({}), update: ({ calls, log }) => ({ calls, log }) }),
    tick: ({ round }) => Effect.succeed({ round: round + 1 })
  },
  edges: {
    start: "once",
    once: {
      each: "fan",
      of: ({ round }) => Array.from({ length: width }, (_, item) => round * width + item),
      concurrency: 2
    },
    fan: ["asked", "inner"],
    asked: "tick",
    inner: "tick",
    tick: ({ round }) => (round < rounds ? "once" : "end")
  },
  joins: { tick: ["asked", "inner"] }
})

/** How many calls one thread makes. */
export const callsPerThread = rounds * (width + 3)

/** How long a lease of the tortured processes is valid: they wait as long after most kills, and so it is short. */
export const leaseTtl = "300 millis"

/**
 * Runs a thread to its end; answers what a restart leaves uncertain by the ledger, as a person would. Fails as `Thread.run`
 * does where the process was held up for longer than its lease is valid.
 */
export const finish = Effect.fnUntraced(
  function* (thread: string) {
    const { has } = yield* Ledger
    let outcome = yield* Thread.run(Work, { thread, input: {}, run: "only" })
    while (outcome._tag === "Waiting") {
      for (const { ask, question } of outcome.asks) {
        const place =
          typeof question === "object" && question !== null && "detail" in question ? String(question.detail) : ""
        const value = (yield* has(place))
          ? ({ decision: "made", result: 1 } as const)
          : ({ decision: "repeat" } as const)
        yield* Thread.answer(Durable.Uncertain, { thread, ask, value })
      }
      outcome = yield* Thread.run(Work, { thread })
    }
    return outcome.state
  },
  Effect.provideService(Lease.Ttl, leaseTtl)
)

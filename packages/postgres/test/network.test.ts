// PostgreSQL behind a network that delays, freezes, cuts and garbles at every message.
import { PgClient } from "@effect/sql-pg"
import { Channel, Graph, Journal, Thread } from "@selvage/core"
import type { JournalUnavailable } from "@selvage/core/Errors"
import { PostgresJournal } from "@selvage/postgres"
import { StoreProxy } from "@selvage/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { postgresSchema, reachable } from "../../sqlite/test/stores.ts"

const url = new URL(process.env.SELVAGE_TEST_POSTGRES_URL ?? "postgres://postgres@127.0.0.1:5432/test")
const admin = PgClient.layer({ url: Redacted.make(url.href) })

const Count = Graph.make("count", {
  state: { n: Channel.last(Schema.Int, { initial: 0 }) },
  nodes: { step: ({ n }) => Effect.as(Effect.yieldNow, { n: n + 1 }) },
  edges: { start: "step", step: ({ n }) => (n < 4 ? "step" : "end") }
})

const through = (proxy: StoreProxy.Proxy, schema: string, options: Partial<PostgresJournal.Options> = {}) => {
  const own = new URL(url)
  own.hostname = "127.0.0.1"
  own.port = String(proxy.port)
  return PostgresJournal.layer({
    url: Redacted.make(own.href),
    schema,
    statementTimeout: "300 millis",
    connectTimeout: "1 second",
    ...options
  })
}

const behindProxy = Effect.gen(function* () {
  const proxy = yield* StoreProxy.make({ host: url.hostname, port: Number(url.port || 5432) })
  yield* Effect.addFinalizer(() => proxy.heal)
  return proxy
})

const isUnavailable = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && (Cause.squash(exit.cause) as { _tag?: string })._tag === "JournalUnavailable"

// What is asked here is whether it ends at all: the limits are some two seconds, and the machine may be busy.
const ends = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>) =>
  Effect.timeoutOrElse(effect, { duration: "25 seconds", orElse: () => Effect.die(new Error(`${what} does not end`)) })

describe.skipIf(!reachable)("PostgreSQL behind a bad network", { timeout: 120_000 }, () => {
  const schema = "selvage_network_test"

  for (const kind of ["freeze", "cut", "garble"] as const) {
    for (const direction of ["up", "down"] as const) {
      it.live(`a run ends, and its thread goes on, after ${kind} at any message ${direction}`, () =>
        Effect.gen(function* () {
          yield* postgresSchema(schema)
          const proxy = yield* behindProxy
          // From the first message of the first connection, with its tables yet to be made, on to where nothing is struck.
          let at = 1
          for (let struck = true; struck; at += at < 10 ? 1 : 4) {
            yield* proxy.set({ kind, direction, at })
            const thread = `${kind}-${direction}-${at}`
            const run = Thread.run(Count, { thread, run: "only", input: {} }).pipe(
              Effect.provide(through(proxy, schema))
            )
            const exit = yield* ends(`a run (${thread})`, Effect.exit(run))
            struck = yield* proxy.struck
            assert.isTrue(
              Exit.isSuccess(exit) || isUnavailable(exit),
              `${thread}: ${Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""}`
            )
            yield* proxy.heal
            const outcome = yield* ends(
              `the next run (${thread})`,
              Effect.gen(function* () {
                const outcome = yield* Thread.run(Count, { thread, run: "only", input: {} })
                const entries = yield* Stream.runCollect(Thread.events({ thread }))
                const journal = yield* Journal.Journal
                return { outcome, entries, findings: yield* journal.check(thread) }
              }).pipe(Effect.provide(through(proxy, schema, { statementTimeout: "10 seconds" })))
            )
            assert.strictEqual(outcome.outcome._tag === "Done" && outcome.outcome.state.n, 4, thread)
            assert.strictEqual(outcome.entries.filter(({ entry }) => entry._tag === "StepCommitted").length, 4, thread)
            assert.deepStrictEqual(outcome.findings, [])
          }
          assert.isAbove(at, 8)
        }).pipe(Effect.scoped, Effect.provide(admin))
      )
    }
  }

  it.live(
    "a connection that is cut while the tables are made is JournalUnavailable and no defect, at any message",
    () =>
      Effect.gen(function* () {
        const proxy = yield* behindProxy
        let at = 2
        for (let struck = true; struck; at += 3) {
          yield* postgresSchema(schema)
          yield* proxy.set({ kind: "cut", direction: "up", at })
          const exit = yield* ends(
            `opening (${at})`,
            Effect.exit(Effect.scoped(Layer.build(through(proxy, schema, { statementTimeout: "10 seconds" }))))
          )
          struck = yield* proxy.struck
          yield* proxy.heal
          const cause = Exit.isFailure(exit) ? exit.cause : undefined
          assert.isTrue(
            cause === undefined || (isUnavailable(exit) && !Cause.hasDies(cause)),
            `${at}: ${String(cause)}`
          )
        }
        assert.isAbove(at, 20)
      }).pipe(Effect.scoped, Effect.provide(admin))
  )

  it.live("a server that delays every message is only slow", () =>
    Effect.gen(function* () {
      yield* postgresSchema(schema)
      const proxy = yield* behindProxy
      yield* proxy.set({ kind: "delay", millis: 20 })
      const outcome = yield* Effect.provide(
        Thread.run(Count, { thread: "slow", input: {} }),
        through(proxy, schema, { statementTimeout: "10 seconds" })
      )
      assert.strictEqual(outcome._tag, "Done")
    }).pipe(Effect.scoped, Effect.provide(admin))
  )

  it.live("a frozen server ends every operation with JournalUnavailable, and none is left with its connection", () =>
    Effect.gen(function* () {
      yield* postgresSchema(schema)
      const proxy = yield* behindProxy
      const journal = yield* Effect.map(
        Layer.build(through(proxy, schema, { maxConnections: 2 })),
        (context) => context
      )
      yield* Effect.gen(function* () {
        const { append, check, fork, info, keepSnapshot, read, remove, restore, snapshot, tail, threads } =
          yield* Journal.Journal
        const entry = { _tag: "Patched", updates: { n: 1 } } as const
        yield* append("t", 0, [entry])
        const operations: Record<string, Effect.Effect<unknown, unknown>> = {
          append: append("t", 1, [entry]),
          read: read("t"),
          info: info("t"),
          threads: Stream.runDrain(threads()),
          fork: fork("t", 1, "f"),
          remove: remove("t"),
          snapshot: snapshot("t"),
          keepSnapshot: keepSnapshot("t", 1, {}),
          restore: restore("r", [{ seq: 1, at: 1, entry }]),
          check: check("t"),
          tail: Stream.runHead(tail("t", 0))
        }
        yield* proxy.set({ kind: "freeze" })
        const exits = yield* ends(
          "an operation",
          Effect.forEach(Object.values(operations), Effect.exit, { concurrency: "unbounded" })
        )
        const ended = exits.map((exit) => (isUnavailable(exit) ? "unavailable" : String(exit)))
        assert.deepStrictEqual(ended, Array(ended.length).fill("unavailable"))
        const [first] = exits
        const error =
          first !== undefined && Exit.isFailure(first) ? (Cause.squash(first.cause) as JournalUnavailable) : undefined
        assert.match(String(error?.message), new RegExp(`PostgreSQL at 127.0.0.1:${proxy.port}`))
        yield* proxy.heal
        // No late answer is taken for another's, and the pool has its connections again.
        const heads = yield* ends(
          "what comes after",
          Effect.forEach(
            Array.from({ length: 8 }, (_, index) => index),
            (index) =>
              Effect.map(append(`after-${index}`, 0, [entry]), ({ written }) => written.map(({ seq }) => seq)).pipe(
                Effect.retry({ times: 20 })
              ),
            { concurrency: 8 }
          )
        )
        assert.deepStrictEqual(heads.flat(), Array(8).fill(1))
      }).pipe(Effect.provide(journal))
    }).pipe(Effect.scoped, Effect.provide(admin))
  )

  it.live("a tail fails when its server is frozen, and closing the journal does not wait for it", () =>
    Effect.gen(function* () {
      yield* postgresSchema(schema)
      const proxy = yield* behindProxy
      const scope = yield* Scope.make()
      // Long limits: closing must not wait for them.
      const context = yield* Layer.buildWithScope(through(proxy, schema, { statementTimeout: "5 minutes" }), scope)
      yield* Effect.gen(function* () {
        const { append, read, tail } = yield* Journal.Journal
        yield* append("t", 0, [{ _tag: "Patched", updates: {} }])
        const following = yield* Effect.forkIn(Stream.runDrain(tail("t", 0)), scope)
        const sql = yield* SqlClient
        while (
          (yield* sql`SELECT 1 FROM pg_stat_activity WHERE query LIKE ${`LISTEN "selvage ${schema}%`}`).length === 0
        ) {
          yield* Effect.sleep("20 millis")
        }
        yield* proxy.set({ kind: "freeze" })
        const reading = yield* Effect.forkIn(read("t"), scope)
        const appending = yield* Effect.forkIn(append("t", 1, [{ _tag: "Patched", updates: {} }]), scope)
        yield* Effect.sleep("50 millis")
        yield* ends("closing", Scope.close(scope, Exit.void))
        yield* ends("their fibers", Fiber.awaitAll([following, reading, appending]))
      }).pipe(Effect.provide(context))
    }).pipe(Effect.scoped, Effect.provide(admin))
  )
})

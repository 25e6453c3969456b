// The stores of circuits, limits, budgets and answers behind a network that freezes, cuts, delays and garbles.
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Channel, Graph, Policy } from "@selvage/core"
import { StoreProxy } from "@selvage/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Persistence from "effect/persistence/Persistence"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import { BudgetLedger, BudgetStoreRedis, BudgetStoreSql, Middleware, ModelPolicy, ResponseCache } from "../src/index.ts"
import { reachable } from "./budgetStores.ts"
import { fake, text } from "./fakes.ts"

const redisUrl = new URL(process.env["SELVAGE_TEST_REDIS_URL"] ?? "redis://127.0.0.1:6379")
const postgresUrl = new URL(process.env["SELVAGE_TEST_POSTGRES_URL"] ?? "postgres://postgres@127.0.0.1:5432/test")
const prefix = `selvage-network-test:`

const proxyOf = (url: URL, port: number) =>
  Effect.acquireRelease(StoreProxy.make({ host: url.hostname, port: Number(url.port || port) }), ({ heal }) => heal)

const through = (url: URL, { port }: StoreProxy.Proxy) => {
  const own = new URL(url)
  own.hostname = "127.0.0.1"
  own.port = String(port)
  return own.href
}

/** As docs/models.md has it: a server that is silent for two seconds loses its connection, and another is made. */
const client = (proxy: StoreProxy.Proxy) =>
  Policy.layerClosedWithin(
    NodeRedis.layer({
      url: through(redisUrl, proxy),
      pingInterval: 500,
      socket: { socketTimeout: 2000, reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, 1000) }
    }),
    {
      within: "2 seconds",
      abandon: (made) => Effect.sync(() => Context.get(made, NodeRedis.NodeRedis).client.destroy())
    }
  )

const policy: ModelPolicy.Policy = {
  breaker: { tripPolicy: CircuitBreaker.consecutive(2), openDuration: "1 second" },
  rateLimit: { requestsPerMinute: 100_000, tokensPerMinute: 1_000_000_000 }
}

const One = Graph.make("one", {
  state: { n: Channel.sum },
  nodes: { only: () => Effect.as(Effect.yieldNow, { n: 1 }) },
  edges: { start: "only", only: "end" }
})

// What it logs of a store that is away is not looked at here.
const quiet = Effect.provideService(References.MinimumLogLevel, "None")

// What is asked is whether it ends: the limits are a second or five, and the machine may be busy.
const ends = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>) =>
  Effect.timeoutOrElse(effect, { duration: "30 seconds", orElse: () => Effect.die(new Error(`${what} does not end`)) })

/** What an application does with its Redis. */
const uses = Effect.gen(function* () {
  const { model } = fake([text("yes")])
  const named = Middleware.named({ models: ["fake:one"] })
  const guarded = yield* Middleware.apply(model, yield* ModelPolicy.middleware(policy), named)
  const cache = yield* ResponseCache.ResponseCache
  const cached = yield* Middleware.apply(model, cache.middleware, named)
  const ledger = yield* BudgetLedger.Ledger
  const breaker = yield* CircuitBreaker.make({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "1 second" })
  const node = Policy.make({ breaker: { breaker, key: "node" } })
  const account = { name: "network", tokens: 1_000_000 }
  let asked = 0
  return {
    call: Effect.asVoid(guarded.generateText({ prompt: "hi" })),
    cached: Effect.suspend(() => Effect.asVoid(cached.generateText({ prompt: `hi ${asked++}` }))),
    node: Effect.asVoid(Policy.apply(Graph.run(One, {}), node)),
    budget: Effect.flatMap(ledger.reserve([account], { tokens: 1, micros: 0 }), (reservation) =>
      ledger.settle(reservation, { tokens: 1, micros: 0 })
    ),
    invalidate: cache.invalidate("tag")
  }
})

const redisStores = Layer.mergeAll(
  Policy.layerStoreWithin("1 second").pipe(Layer.provide(CircuitBreaker.layerStoreRedis({ prefix }))),
  RateLimiter.layerStoreRedis({ prefix }),
  BudgetLedger.layer({ answerWithin: "1 second" }).pipe(Layer.provide(BudgetStoreRedis.layer({ prefix }))),
  ResponseCache.layerPersisted().pipe(Layer.provide(Persistence.layerRedis))
)

describe.skipIf(!reachable.redis)("Redis behind a bad network", { timeout: 120_000 }, () => {
  for (const kind of ["freeze", "cut", "delay", "garble"] as const) {
    it.live(`${kind}: calls are made all the same, and what needs the store fails or ends`, () =>
      Effect.gen(function* () {
        const proxy = yield* proxyOf(redisUrl, 6379)
        // A garbled answer is read, rightly or not, by the client of Redis, which is not ours.
        const fault = (at: number) => ({
          kind,
          at,
          millis: 200,
          ...(kind === "garble" ? { direction: "up" as const } : {})
        })
        yield* Effect.gen(function* () {
          const { budget, cached, call, invalidate, node } = yield* uses
          const calls: Record<string, Effect.Effect<void, unknown>> = { call, cached, node }
          for (const made of [...Object.values(calls), budget, invalidate]) yield* made as Effect.Effect<void, unknown>
          for (const at of [1, 2]) {
            for (const [name, made] of Object.entries(calls)) {
              yield* proxy.set(fault(at))
              yield* ends(`${name} at message ${at}`, made)
              yield* proxy.heal
            }
            yield* proxy.set(fault(at))
            const [exit, voided] = yield* ends("a budget", Effect.all([Effect.exit(budget), Effect.exit(invalidate)]))
            if (kind === "delay") assert.isTrue(Exit.isSuccess(exit) && Exit.isSuccess(voided))
            yield* proxy.heal
          }
          // It is as before once the network is.
          yield* ends("a budget afterwards", Effect.retry(budget, Schedule.spaced("500 millis")))
        }).pipe(Effect.provide(redisStores.pipe(Layer.provide(client(proxy)))), (program) => ends("closing", program))
      }).pipe(quiet, Effect.scoped)
    )
  }

  it.live("frozen: a caller that is interrupted goes at once, and closing the layers does not hang", () =>
    Effect.gen(function* () {
      const proxy = yield* proxyOf(redisUrl, 6379)
      const closed = Effect.gen(function* () {
        const { budget, cached, call, node } = yield* uses
        yield* proxy.set({ kind: "freeze" })
        for (const made of [call, cached, node, budget]) {
          yield* ends(
            "an interrupted call",
            Effect.exit(Effect.timeout(made as Effect.Effect<void, unknown>, "50 millis"))
          )
        }
      }).pipe(Effect.provide(redisStores.pipe(Layer.provide(client(proxy)))))
      yield* ends("closing", closed)
    }).pipe(quiet, Effect.scoped)
  )
})

describe.skipIf(!reachable.postgres)("budgets on PostgreSQL behind a bad network", { timeout: 120_000 }, () => {
  for (const kind of ["freeze", "cut", "garble"] as const) {
    it.live(`${kind}: a budget fails in its time, and is as before once the network is`, () =>
      Effect.gen(function* () {
        const proxy = yield* proxyOf(postgresUrl, 5432)
        const sql = PgClient.layer({ url: Redacted.make(through(postgresUrl, proxy)), connectTimeout: "2 seconds" })
        const store = BudgetStoreSql.layer().pipe(Layer.provide(sql))
        yield* Effect.gen(function* () {
          const ledger = yield* BudgetLedger.Ledger
          const account = { name: `network-${kind}`, tokens: 1_000_000 }
          const budget = Effect.flatMap(ledger.reserve([account], { tokens: 1, micros: 0 }), (reservation) =>
            ledger.settle(reservation, { tokens: 1, micros: 0 })
          )
          yield* budget
          for (const at of [1, 3, 5, 7]) {
            yield* proxy.set({ kind, at })
            const exit = yield* ends("a budget", Effect.exit(budget))
            if (Exit.isFailure(exit)) assert.include(String(exit.cause), "BudgetUnavailable")
            yield* proxy.heal
          }
          yield* ends("a budget afterwards", Effect.retry(budget, { times: 100 }))
          yield* ledger.forget([account])
        }).pipe(Effect.provide(BudgetLedger.layer({ answerWithin: "1 second" }).pipe(Layer.provide(store))))
      }).pipe(quiet, Effect.scoped)
    )
  }
})

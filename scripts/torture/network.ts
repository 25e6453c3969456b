/**
 * PostgreSQL and Redis behind proxies that delay, freeze, cut and garble at random, while threads and budgets run on them. Counts
 * what was lost, repeated, torn, and what hung although its store was there.
 */
import { NodeRedis } from "@effect/platform-node"
import { Journal, Policy, Thread } from "@selvage/core"
import { BudgetLedger, BudgetStoreRedis } from "@selvage/models"
import { PostgresJournal } from "@selvage/postgres"
import { StoreProxy } from "@selvage/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import { callsPerThread, finish, Ledger, Work } from "./work.ts"

const kinds = ["delay", "freeze", "cut", "garble"] as const
const directions = ["up", "down"] as const
const any = <A>(items: ReadonlyArray<A>): A => items[Math.floor(Math.random() * items.length)]!

const proxyOf = (url: URL, port: number) => StoreProxy.make({ host: url.hostname, port: Number(url.port || port) })

const through = (url: URL, port: number) => {
  const own = new URL(url)
  own.hostname = "127.0.0.1"
  own.port = String(port)
  return own.href
}

/** Faults without end, with a time in between in which all is well. `answers`: whether answers may be garbled too. */
const faults = (proxy: StoreProxy.Proxy, answers: boolean, count: () => void) =>
  Effect.forever(
    Effect.gen(function* () {
      const kind = any(kinds)
      const direction = kind === "garble" && !answers ? "up" : any(directions)
      yield* proxy.set({ kind, direction, at: 1 + Math.floor(Math.random() * 30), millis: 30 })
      yield* Effect.sleep(100 + Math.random() * 1900)
      if (yield* proxy.struck) count()
      yield* proxy.heal
      yield* Effect.sleep(Math.random() * 300)
    })
  )

/** What was called, in this process, which does not die. */
const memoryLedger = () => {
  const times = new Map<string, number>()
  return Ledger.of({
    write: (place) => Effect.sync(() => void times.set(place, (times.get(place) ?? 0) + 1)),
    has: (place) => Effect.sync(() => times.has(place)),
    times: Effect.sync(() => times)
  })
}

const hangs = "90 seconds"
const retry = Schedule.spaced("50 millis")

/** Runs for some minutes; succeeds with whether nothing was found. */
export const torture = (options: { minutes: number; postgres: string; redis: string; schema: string }) =>
  Effect.gen(function* () {
    const [postgresUrl, redisUrl] = [new URL(options.postgres), new URL(options.redis)]
    const [postgres, redis] = [yield* proxyOf(postgresUrl, 5432), yield* proxyOf(redisUrl, 6379)]
    const until = performance.now() + options.minutes * 60_000
    let [struck, hung, settled, attempts, done] = [0, 0, 0, 0, 0]
    const ledger = memoryLedger()
    const journal = PostgresJournal.layer({
      url: Redacted.make(through(postgresUrl, postgres.port)),
      schema: options.schema,
      statementTimeout: "500 millis",
      connectTimeout: "1 second"
    })
    const client = Policy.layerClosedWithin(
      NodeRedis.layer({
        url: through(redisUrl, redis.port),
        pingInterval: 300,
        socket: { socketTimeout: 1000, reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, 500) }
      }),
      {
        within: "2 seconds",
        abandon: (made) => Effect.sync(() => Context.get(made, NodeRedis.NodeRedis).client.destroy())
      }
    )
    const budgets = BudgetLedger.layer({ answerWithin: "1 second" }).pipe(
      Layer.provide(BudgetStoreRedis.layer({ prefix: options.schema })),
      Layer.provide(client)
    )
    const account = { name: "network", tokens: 1_000_000_000 }
    const bounded = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.timeoutOrElse(effect, { duration: hangs, orElse: () => Effect.sync(() => void hung++) })

    const threads = Effect.forEach(
      [1, 2, 3],
      (worker) =>
        Effect.gen(function* () {
          for (let thread = 1; performance.now() < until; thread++) {
            yield* bounded(Effect.retry(finish(`w${worker}-${thread}`), retry))
            done++
          }
        }),
      { concurrency: "unbounded", discard: true }
    ).pipe(Effect.provideService(Ledger, ledger))
    const spending = Effect.gen(function* () {
      const { reserve, settle } = yield* BudgetLedger.Ledger
      while (performance.now() < until) {
        attempts++
        const spent = Effect.flatMap(reserve([account], { tokens: 1, micros: 0 }), (held) =>
          settle(held, { tokens: 1, micros: 0 })
        )
        yield* bounded(Effect.match(spent, { onSuccess: () => void settled++, onFailure: () => {} }))
      }
    })

    const count = () => void struck++
    const striking = yield* Effect.forkChild(
      Effect.all([faults(postgres, true, count), faults(redis, false, count)], { concurrency: "unbounded" })
    )
    const working = Effect.all(
      [Effect.retry(Effect.provide(threads, journal), retry), Effect.retry(Effect.provide(spending, budgets), retry)],
      { concurrency: "unbounded" }
    )
    yield* working
    yield* Fiber.interrupt(striking)
    yield* postgres.heal
    yield* redis.heal

    let [torn, repeated, lost] = [0, 0, 0]
    const spent = yield* Effect.gen(function* () {
      const { balances, forget } = yield* BudgetLedger.Ledger
      const [own] = yield* Effect.retry(balances([account]), retry)
      yield* forget([account])
      return own?.spent.tokens ?? 0
    }).pipe(Effect.provide(budgets))
    lost += Math.max(0, settled - spent)
    repeated += Math.max(0, spent - attempts)
    yield* Effect.gen(function* () {
      const { check, threads } = yield* Journal.Journal
      const { runCollect } = yield* Effect.promise(() => import("effect/Stream"))
      const all = yield* runCollect(threads())
      const times = yield* ledger.times
      for (const made of times.values()) repeated += made - 1
      for (const { thread } of all) {
        torn += (yield* check(thread)).length
        const { calls, log, round } = yield* Thread.state(Work, { thread })
        if (calls !== callsPerThread || round !== 3 || log.length !== 24) torn++
      }
      lost += all.length * callsPerThread - times.size + Math.max(0, done - all.length)
    }).pipe(Effect.provide(PostgresJournal.layer({ url: Redacted.make(options.postgres), schema: options.schema })))
    console.log(
      `network: ${struck} faults, ${done} threads, ${settled} of ${attempts} reservations settled; ` +
        `lost ${lost}, repeated ${repeated}, torn ${torn}, hung ${hung}`
    )
    return lost === 0 && repeated === 0 && torn === 0 && hung === 0
  }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None"))

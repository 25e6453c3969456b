import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Redis from "effect/persistence/Redis"
import * as Schedule from "effect/Schedule"
import { Middleware, ModelPolicy, Refusal } from "../src/index.ts"
import { fake, text, unavailable } from "./fakes.ts"
import { patiently } from "../../testing/test/measures.ts"

const url = process.env["SELVAGE_TEST_REDIS_URL"] ?? "redis://127.0.0.1:6379"
const prefix = "selvage-model-policy-test:"

const redis = NodeRedis.layer({ url })

/** The stores of one process; each use has a connection of its own. */
const process_ = Layer.fresh(
  Layer.mergeAll(CircuitBreaker.layerStoreRedis({ prefix }), RateLimiter.layerStoreRedis({ prefix })).pipe(
    Layer.provideMerge(redis)
  )
)

const clean = Effect.gen(function* () {
  const client = yield* Redis.Redis
  const keys = yield* client.send<Array<string>>("KEYS", `${prefix}*`)
  if (keys.length > 0) yield* client.send("DEL", ...keys)
}).pipe(Effect.provide(redis))

const reachable = await Effect.runPromise(
  clean.pipe(
    Effect.timeout("10 seconds"),
    Effect.as(true),
    Effect.catchCause(() => Effect.succeed(false))
  )
)
if (!reachable && process.env["CI"] === "true") throw new Error(`Redis is not reachable at ${url}`)
if (!reachable) console.log(`Redis is not reachable at ${url}, its tests are skipped. Start one: docker compose up -d`)

const named = Middleware.named({ models: ["fake:one"] })

const inProcess = (policy: ModelPolicy.Policy, model: Parameters<typeof Middleware.apply>[0]) =>
  Effect.gen(function* () {
    const stores = yield* Layer.build(process_)
    const middleware = yield* Effect.provide(ModelPolicy.middleware(policy), stores)
    return yield* Middleware.apply(model, middleware, named)
  })

describe.skipIf(!reachable)("ModelPolicy on Redis", () => {
  it.live("shares circuits between processes, and closes them by a probe", () =>
    patiently(
      Effect.fnUntraced(function* (openDuration) {
        yield* clean
        const policy = { breaker: { tripPolicy: CircuitBreaker.consecutive(2), openDuration } }
        const { asked, model } = fake([unavailable, unavailable, text("again")])
        const one = yield* inProcess(policy, model)
        const other = yield* inProcess(policy, model)
        yield* Effect.flip(one.generateText({ prompt: "hi" }))
        yield* Effect.flip(one.generateText({ prompt: "hi" }))
        const error = yield* Effect.flip(other.generateText({ prompt: "hi" }))
        assert.strictEqual(Option.getOrThrow(Refusal.find(ModelPolicy.CircuitOpen, error)).key, "fake:one")
        assert.strictEqual(asked.length, 2)
        // The open time is Redis' own; ask until it is over.
        const response = yield* other.generateText({ prompt: "hi" }).pipe(Effect.retry(Schedule.spaced("20 millis")))
        assert.strictEqual(response.text, "again")
        assert.strictEqual((yield* one.generateText({ prompt: "hi" })).text, "again")
        yield* clean
      })
    )
  )

  it.live("shares rate limits between processes", () =>
    Effect.gen(function* () {
      yield* clean
      const policy = { rateLimit: { requestsPerMinute: 3, maxWait: "1 second" as const } }
      const { asked, model } = fake([text("yes")])
      const both = [yield* inProcess(policy, model), yield* inProcess(policy, model)]
      const exits = yield* Effect.forEach(
        [...both, ...both, ...both],
        (of) => Effect.exit(of.generateText({ prompt: "hi" })),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(exits.filter((exit) => exit._tag === "Success").length, 3)
      assert.strictEqual(asked.length, 3)
      yield* clean
    })
  )
})

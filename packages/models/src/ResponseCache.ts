/**
 * Response cache: the same call gets the same answer, without asking the model again.
 *
 * Two calls are the same if their canonical keys are: models, messages, tools, tool choice, output schema, the provider's
 * settings of the call and the tags of the fiber, whatever the order of object keys. Answers are looked up in memory, then
 * in an `effect/persistence` store (SQL, Redis, files). Calls that are made while an equal one is under way wait for its
 * answer. A whole answer is replayed as a stream and a stream as a whole.
 *
 * **What is cached.** A cache stands below the tools, so no handler runs or is spared by it. A call is cached if
 *
 * 1. none of its tools is executed by the provider: what a web search finds is not determined by the call;
 * 2. no temperature above 0 is set for it (per call, for the model, or in `settings`), unless `sampled` is true. A call that sets no
 *    temperature is cached: who puts a cache around a model wants the same answer again;
 * 3. the answer came to its end (`stop` or `tool-calls`), holds no error, and is no larger than `maxBytes`.
 *
 * A replayed answer has a usage of zero, because it used nothing; the recorded usage stands in the metadata of `finish`
 * under `selvage`. It has no response id, so that no conversation goes on from another one's response.
 *
 * ```ts
 * import * as Offline from "@selvage/models/Offline"
 * import * as ResponseCache from "@selvage/models/ResponseCache"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const program = Effect.gen(function* () {
 *   const ask = LanguageModel.generateText({ prompt: "What is a selvage?" }).pipe(ResponseCache.withTags("glossary"))
 *   yield* ask
 *   yield* ask // from memory
 *   const cache = yield* ResponseCache.ResponseCache
 *   yield* cache.invalidate("glossary")
 * }).pipe(
 *   Effect.provide(
 *     ResponseCache.layer.pipe(
 *       Layer.provideMerge(ResponseCache.layerMemory({ timeToLive: "10 minutes" })),
 *       Layer.provide(Offline.layer)
 *     )
 *   )
 * )
 * ```
 *
 * **Gotchas**
 *
 * - Settings that a model was made with are part of a call where they are known: those of configuration are (`Models`), and
 *   those of models by `Provider.make`, as all adapters of this house are. Name others in `settings` where models with the same
 *   name and different settings share a store.
 * - A model that nobody named (`Middleware.named`, `Models`) is cached in memory only.
 * - Who waits for an equal call shares its failure, and asks for itself if that call is interrupted, takes longer than
 *   `maxWait`, or ends in an answer that is not cached. Who waits for a stream gets it when it has ended.
 * - Tags are part of the key: calls with other tags do not share answers, so a tag of the tenant keeps tenants apart.
 * - Another process may give an answer from its memory for `memoryTimeToLive` after a tag was voided.
 * - A store that fails or is slow is a warning and a miss. What is persisted is bounded by the time to live:
 *   the answers of that time, each no larger than `maxBytes`. The store deletes what has expired.
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Persistence from "effect/persistence/Persistence"
import * as AnswerStore from "./internal/answerStore.ts"
import { caching, type Counts, type Mode as CallMode } from "./internal/caching.ts"
import * as Middleware from "./Middleware.ts"

// ---- Model

/** Options of a cache. */
export interface Options {
  /** How long an answer is good. Default: 1 hour. */
  readonly timeToLive?: Duration.Input | undefined
  /** How long an answer of a persisted store is kept in memory. Default: 30 seconds, no more than `timeToLive`. */
  readonly memoryTimeToLive?: Duration.Input | undefined
  /** Answers in memory; the one used longest ago goes first. Default: 1,000. */
  readonly capacity?: number | undefined
  /** The largest answer that is kept, in characters of JSON. Default: 256 Ki. */
  readonly maxBytes?: number | undefined
  /** How long to wait for an equal call. Default: 30 seconds. */
  readonly maxWait?: Duration.Input | undefined
  /** How long to wait for the store. Default: 1 second. */
  readonly storeTimeout?: Duration.Input | undefined
  /** The name of the persisted store. Default: `selvage-responses`. */
  readonly storeId?: string | undefined
  /** What else shapes an answer, as data: settings that a model was made with in code. */
  readonly settings?: unknown
  /** Whether calls with a temperature above 0 are cached. Default: false. */
  readonly sampled?: boolean | undefined
}

/** How the calls of a cache went since it was made. */
export type { Counts }

/** A cache of answers. */
export interface Service {
  readonly middleware: Middleware.Middleware
  /** Makes the answers of all calls with a tag void, also of those under way. */
  readonly invalidate: (tag: string) => Effect.Effect<void, Persistence.PersistenceError>
  /** Removes all answers. */
  readonly clear: Effect.Effect<void, Persistence.PersistenceError>
  readonly counts: Effect.Effect<Counts>
}

/** A cache of answers. */
export class ResponseCache extends Context.Service<ResponseCache, Service>()("selvage/models/ResponseCache") {}

/** What the calls of a fiber do with caches: `refresh` asks anew and keeps the answer, `bypass` does neither. */
export const Mode = Context.Reference<CallMode>("selvage/models/ResponseCache/Mode", {
  defaultValue: () => "use"
})

/** The tags of a fiber's calls. */
export const Tags = Context.Reference<ReadonlyArray<string>>("selvage/models/ResponseCache/Tags", {
  defaultValue: () => []
})

/** Adds tags to the calls of an effect. */
export const withTags =
  (...tags: ReadonlyArray<string>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(Tags, (before) => Effect.provideService(effect, Tags, [...new Set([...before, ...tags])]))

// ---- Layers

const build = Effect.fnUntraced(function* (
  options: Options,
  persistence: Persistence.Persistence["Service"] | undefined
) {
  const timeToLive = Duration.fromInputUnsafe(options.timeToLive ?? "1 hour")
  const store = yield* AnswerStore.make(
    {
      capacity: options.capacity ?? 1_000,
      timeToLive,
      memoryTimeToLive: Duration.min(timeToLive, Duration.fromInputUnsafe(options.memoryTimeToLive ?? "30 seconds")),
      storeId: options.storeId ?? "selvage-responses",
      storeTimeout: Duration.fromInputUnsafe(options.storeTimeout ?? "1 second")
    },
    persistence
  )
  const { counts, middleware } = caching(store, {
    maxBytes: options.maxBytes ?? 262_144,
    maxWait: Duration.fromInputUnsafe(options.maxWait ?? "30 seconds"),
    settings: options.settings,
    sampled: options.sampled ?? false,
    mode: Mode,
    tags: Tags
  })
  return { middleware, counts, invalidate: store.invalidate, clear: store.clear } satisfies Service
})

/** A cache in the memory of this process. */
export const layerMemory = (options: Options = {}): Layer.Layer<ResponseCache> =>
  Layer.effect(ResponseCache, build(options, undefined))

/** A cache in memory and in the store below: `Persistence.layerSql`, `layerRedis`, `layerKvs`. */
export const layerPersisted = (options: Options = {}): Layer.Layer<ResponseCache, never, Persistence.Persistence> =>
  Layer.effect(
    ResponseCache,
    Effect.flatMap(Persistence.Persistence, (persistence) => build(options, persistence))
  )

/** Puts the cache around the `LanguageModel` below. */
export const layer: Layer.Layer<LanguageModel.LanguageModel, never, LanguageModel.LanguageModel | ResponseCache> =
  Middleware.layer(Effect.map(ResponseCache, (cache) => cache.middleware))

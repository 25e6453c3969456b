/**
 * Caching: the middleware of a response cache, over a store of answers and the calls under way.
 */
import type * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type { Answer, Call, Middleware, Next, Part } from "../Middleware.ts"
import type { AnswerStore, Kept } from "./answerStore.ts"
import { keyOf, settingsOf } from "./cacheKey.ts"
import * as Flights from "./flights.ts"
import { fitting, keep, streamOf, wholeOf } from "./keeping.ts"
import { sha256 } from "./sha256.ts"

/** How the calls of a cache went. */
export interface Counts {
  readonly hits: number
  readonly misses: number
  /** Calls that got the answer of an equal one that was under way. */
  readonly joined: number
  /** Calls that are not cached by the rule, or because the fiber says so. */
  readonly bypassed: number
}

/** What a call does with the cache. */
export type Mode = "use" | "refresh" | "bypass"

/** What the middleware is made with. */
export interface Settings {
  readonly maxBytes: number
  readonly maxWait: Duration.Duration
  readonly settings: unknown
  readonly sampled: boolean
  readonly mode: Effect.Effect<Mode>
  readonly tags: Effect.Effect<ReadonlyArray<string>>
}

interface Plan {
  readonly key: string
  readonly shared: boolean
  readonly marks: Kept["marks"]
  readonly mode: "use" | "refresh"
}

/** All that the calls of one model need. */
interface Scene {
  readonly store: AnswerStore
  readonly settings: Settings
  readonly flights: Flights.Flights
  readonly next: Next
  readonly models: ReadonlyArray<string>
  readonly shared: boolean
  readonly tell: (call: Call, outcome: keyof Counts, reason?: string) => Effect.Effect<void>
}

/** How a call is to be cached; `undefined` if it is not. */
const planOf = Effect.fnUntraced(function* (scene: Scene, call: Call) {
  const { settings, store } = scene
  const mode = yield* settings.mode
  if (mode === "bypass") {
    yield* scene.tell(call, "bypassed", "mode")
    return undefined
  }
  const tags = yield* settings.tags
  const shaping = {
    model: settings.settings,
    made: scene.next.subject.settings,
    call: settingsOf(yield* Effect.context<never>())
  }
  const made = keyOf(call, { models: scene.models }, shaping, tags, settings.sampled)
  if ("reason" in made) {
    yield* scene.tell(call, "bypassed", made.reason)
    return undefined
  }
  const key = sha256(made.text)
  return { key, shared: scene.shared, marks: yield* store.marks(tags), mode } satisfies Plan
})

const keeping = Effect.fnUntraced(function* (
  scene: Scene,
  plan: Plan,
  parts: ReadonlyArray<Response.AllPartsEncoded>,
  streamed: boolean
) {
  const own = keep(parts, streamed, scene.settings.maxBytes)
  if (own === undefined) return { _tag: "unfit" } satisfies Flights.Landing
  const kept: Kept = { parts: own, streamed, marks: plan.marks, at: yield* Clock.currentTimeMillis }
  yield* scene.store.write(plan.key, kept, plan.shared)
  return { _tag: "kept", kept } satisfies Flights.Landing
})

// ---- Whole answers

const lead = Effect.fnUntraced(function* (scene: Scene, call: Call, plan: Plan) {
  const known = yield* fitting(yield* scene.store.read(plan.key, plan.shared), call)
  if (known !== undefined) {
    yield* scene.tell(call, "hits")
    return { answer: wholeOf(known), landing: { _tag: "kept", kept: known } as Flights.Landing }
  }
  yield* scene.tell(call, "misses")
  const answer = yield* scene.next.generate(call)
  return { answer, landing: (yield* keeping(scene, plan, answer, false)) as Flights.Landing }
})

/** The answer of an own flight, or the landing of another's. */
const fly = (
  scene: Scene,
  call: Call,
  plan: Plan
): Effect.Effect<{ readonly answer: Answer } | { readonly landing: Flights.Landing }, AiError.AiError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(scene.flights.board(plan.key), ({ flight, leads }) =>
      leads
        ? restore(lead(scene, call, plan)).pipe(
            Effect.onExit((exit) =>
              scene.flights.land(
                plan.key,
                flight,
                Exit.map(exit, ({ landing }) => landing)
              )
            ),
            Effect.map(({ answer }): { readonly answer: Answer } | { readonly landing: Flights.Landing } => ({
              answer
            }))
          )
        : Effect.map(restore(scene.flights.awaited(flight)), (landing) => ({ landing }))
    )
  )

const cached = (scene: Scene, call: Call, plan: Plan): Effect.Effect<Answer, AiError.AiError> =>
  Effect.gen(function* () {
    const known = yield* fitting(yield* scene.store.recall(plan.key), call)
    if (known !== undefined) {
      yield* scene.tell(call, "hits")
      return wholeOf(known)
    }
    const flown = yield* fly(scene, call, plan)
    if ("answer" in flown) return flown.answer
    const { landing } = flown
    if (landing._tag === "left") return yield* cached(scene, call, plan)
    const joined = landing._tag === "kept" ? yield* fitting(landing.kept, call) : undefined
    yield* scene.tell(call, joined === undefined ? "misses" : "joined")
    return joined === undefined ? yield* scene.next.generate(call) : wholeOf(joined)
  })

const generate = Effect.fnUntraced(function* (scene: Scene, call: Call) {
  const plan = yield* planOf(scene, call)
  if (plan === undefined) return yield* scene.next.generate(call)
  if (plan.mode === "use") return yield* cached(scene, call, plan)
  yield* scene.tell(call, "misses", "refresh")
  const answer = yield* scene.next.generate(call)
  yield* keeping(scene, plan, answer, false)
  return answer
})

// ---- Streams

/** A stream that is kept when it ends; its readers get it as it comes. */
const recorded = (
  scene: Scene,
  call: Call,
  plan: Plan,
  landed: (landing: Flights.Landing) => Effect.Effect<void>
): Stream.Stream<Part, AiError.AiError> =>
  Stream.suspend(() => {
    const { maxBytes } = scene.settings
    const parts: Array<Part> = []
    let size = 0
    const end = Effect.suspend(() =>
      size > maxBytes
        ? Effect.succeed<Flights.Landing>({ _tag: "unfit" })
        : Effect.map(keeping(scene, plan, parts, true), (landing): Flights.Landing => landing)
    )
    return Stream.mapArray(scene.next.stream(call), (chunk) => {
      for (const part of chunk) {
        // What is too large is not held only to be thrown away at the end.
        if (size > maxBytes) break
        size += "delta" in part ? part.delta.length : 0
        parts.push(part)
      }
      return chunk
    }).pipe(Stream.concat(Stream.drain(Stream.fromEffect(Effect.flatMap(end, landed)))))
  })

const cachedStream = (scene: Scene, call: Call, plan: Plan): Stream.Stream<Part, AiError.AiError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const { flights, store } = scene
      const known = yield* fitting(yield* store.recall(plan.key), call)
      if (known !== undefined) {
        yield* scene.tell(call, "hits")
        return streamOf(known)
      }
      // Lands also when the reader leaves before the end.
      const { flight, leads } = yield* Effect.acquireRelease(flights.board(plan.key), ({ flight, leads }) =>
        leads ? flights.land(plan.key, flight, Exit.succeed({ _tag: "left" })) : Effect.void
      )
      if (!leads) {
        const landing = yield* flights.awaited(flight)
        if (landing._tag === "left") return cachedStream(scene, call, plan)
        yield* scene.tell(call, landing._tag === "kept" ? "joined" : "misses")
        return landing._tag === "kept" ? streamOf(landing.kept) : scene.next.stream(call)
      }
      const found = yield* fitting(yield* store.read(plan.key, plan.shared), call)
      if (found !== undefined) {
        yield* scene.tell(call, "hits")
        yield* flights.land(plan.key, flight, Exit.succeed({ _tag: "kept", kept: found }))
        return streamOf(found)
      }
      yield* scene.tell(call, "misses")
      return recorded(scene, call, plan, (landing) => flights.land(plan.key, flight, Exit.succeed(landing))).pipe(
        Stream.tapError((error) => flights.land(plan.key, flight, Exit.fail(error)))
      )
    })
  )

const stream = (scene: Scene, call: Call): Stream.Stream<Part, AiError.AiError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const plan = yield* planOf(scene, call)
      if (plan === undefined) return scene.next.stream(call)
      if (plan.mode === "use") return cachedStream(scene, call, plan)
      yield* scene.tell(call, "misses", "refresh")
      return recorded(scene, call, plan, () => Effect.void)
    })
  )

/** A middleware that gives equal calls equal answers, and how its calls went. */
export const caching = (
  store: AnswerStore,
  settings: Settings
): { readonly middleware: Middleware; readonly counts: Effect.Effect<Counts> } => {
  const counts = { hits: 0, misses: 0, joined: 0, bypassed: 0 }
  const flights = Flights.make(settings.maxWait)
  let unnamed = 0
  const tell: Scene["tell"] = (call, outcome, reason) =>
    Effect.sync(() => {
      counts[outcome]++
      call.span.attribute("selvage.cache", outcome)
      if (reason !== undefined) call.span.attribute("selvage.cache.reason", reason)
    })
  return {
    middleware: (next) => {
      const shared = next.subject.models.length > 0
      const models = shared ? next.subject.models : [`unnamed ${unnamed++}`]
      const scene: Scene = { store, settings, flights, next, models, shared, tell }
      return { ...next, generate: (call) => generate(scene, call), stream: (call) => stream(scene, call) }
    },
    counts: Effect.sync(() => ({ ...counts }))
  }
}

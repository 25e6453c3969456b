/**
 * Answer store: answers by key, in memory first, then in an `effect/persistence` store, with tags that make them void.
 *
 * A persisted answer names for each of its tags the mark that the tag had when its call began. Voiding a tag changes its
 * mark, so answers of all processes that carry the old one are void, those still under way too.
 */
import type * as Response from "effect/ai/Response"
import * as Cache from "effect/Cache"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Persistable from "effect/persistence/Persistable"
import * as Persistence from "effect/persistence/Persistence"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { bounded } from "./bounded.ts"
import { EncodedPart } from "./parts.ts"

/** A kept answer. */
export interface Kept {
  readonly parts: ReadonlyArray<Response.AllPartsEncoded>
  /** Whether it came, and is kept, as the parts of a stream. */
  readonly streamed: boolean
  /** The marks of its tags. */
  readonly marks: Readonly<Record<string, string>>
  readonly at: number
}

const Kept: Schema.Codec<Kept, unknown> = Schema.Struct({
  parts: Schema.Array(EncodedPart),
  streamed: Schema.Boolean,
  marks: Schema.Record(Schema.String, Schema.String),
  at: Schema.Finite
})

class AnswerKey extends Persistable.Class<{ payload: { key: string } }>()("AnswerKey", {
  primaryKey: ({ key }) => key,
  success: Kept
}) {}

class TagKey extends Persistable.Class<{ payload: { tag: string } }>()("TagKey", {
  primaryKey: ({ tag }) => tag,
  success: Schema.String
}) {}

/** What the store is made with. */
export interface Settings {
  readonly capacity: number
  readonly timeToLive: Duration.Duration
  readonly memoryTimeToLive: Duration.Duration
  readonly storeId: string
  readonly storeTimeout: Duration.Duration
}

/** Answers by key. */
export interface AnswerStore {
  /** The marks of tags as they are now; to be taken before a call is made. */
  readonly marks: (tags: ReadonlyArray<string>) => Effect.Effect<Readonly<Record<string, string>>>
  readonly recall: (key: string) => Effect.Effect<Kept | undefined>
  /** Both the memory and the store; `shared: false` for memory only. */
  readonly read: (key: string, shared: boolean) => Effect.Effect<Kept | undefined>
  readonly write: (key: string, kept: Kept, shared: boolean) => Effect.Effect<void>
  readonly invalidate: (tag: string) => Effect.Effect<void, Persistence.PersistenceError>
  readonly clear: Effect.Effect<void, Persistence.PersistenceError>
}

/** The mark of a tag that was never voided. */
const unmarked = ""

const sameMarks = (left: Kept["marks"], right: Kept["marks"]): boolean =>
  Object.keys(left).every((tag) => left[tag] === right[tag])

interface Stores {
  readonly answers: Persistence.PersistenceStore
  readonly tags: Persistence.PersistenceStore
}

/** Makes a store of answers. Without `persistence` it is in memory alone. */
export const make = Effect.fnUntraced(function* (
  settings: Settings,
  persistence: Persistence.Persistence["Service"] | undefined
) {
  const stores: Stores | undefined =
    persistence === undefined
      ? undefined
      : {
          answers: yield* persistence.make({ storeId: settings.storeId, timeToLive: () => settings.timeToLive }),
          // A mark outlives the answers that carry the one before it.
          tags: yield* persistence.make({
            storeId: `${settings.storeId}-tags`,
            timeToLive: () => Duration.times(settings.timeToLive, 2)
          })
        }
  const memory = yield* Cache.makeWith<string, Kept | undefined>(() => Effect.succeed(undefined), {
    capacity: settings.capacity,
    timeToLive: () => (stores === undefined ? settings.timeToLive : settings.memoryTimeToLive)
  })
  // Marks of this process: of calls under way, and all there are where nothing is persisted. Tags that were voided last
  // are remembered; one that is forgotten counts as voided, by a mark that no answer has.
  const local = new Map<string, string>()
  let forgotten = unmarked
  const localMarks = (tags: ReadonlyArray<string>): Readonly<Record<string, string>> =>
    Object.fromEntries(tags.map((tag) => [tag, local.get(tag) ?? forgotten]))

  // Not waited for when its time is over, nor when the call is interrupted: the client of a silent server may be deaf.
  const inTime = <A, E>(effect: Effect.Effect<A, E>) =>
    bounded(
      effect,
      Duration.toMillis(settings.storeTimeout),
      () => {
        const message = `The store gave no answer within ${Duration.format(settings.storeTimeout)}.`
        return Effect.fail(new Persistence.PersistenceError({ message }))
      },
      undefined,
      "left"
    )

  // A store that is down or slow costs a call to the model, never an error.
  const lenient =
    <A>(what: string, otherwise: A) =>
    <E>(effect: Effect.Effect<A, E>): Effect.Effect<A> =>
      inTime(effect).pipe(
        Effect.catch((error) =>
          Effect.as(Effect.logWarning(`the response cache could not ${what}; going on without it`, error), otherwise)
        )
      )

  const sharedMarks = Effect.fnUntraced(function* (tags: ReadonlyArray<string>) {
    if (stores === undefined || tags.length === 0) return {}
    const exits = yield* stores.tags.getMany(tags.map((tag) => new TagKey({ tag })))
    return Object.fromEntries(
      tags.map((tag, index) => {
        const exit = exits[index]
        return [tag, exit !== undefined && Exit.isSuccess(exit) ? exit.value : unmarked]
      })
    )
  })

  const joined = (shared: Kept["marks"], own: Kept["marks"]): Kept["marks"] =>
    Object.fromEntries([
      ...Object.entries(shared).map(([tag, mark]) => [`shared ${tag}`, mark] as const),
      ...Object.entries(own).map(([tag, mark]) => [`local ${tag}`, mark] as const)
    ])
  const part = (marks: Kept["marks"], prefix: "shared " | "local "): Kept["marks"] =>
    Object.fromEntries(
      Object.entries(marks).flatMap(([tag, mark]) => (tag.startsWith(prefix) ? [[tag.slice(prefix.length), mark]] : []))
    )

  const recall = (key: string) => Effect.map(Cache.getOption(memory, key), Option.getOrUndefined)

  const store: AnswerStore = {
    marks: (tags) =>
      Effect.suspend(() => {
        const own = localMarks(tags)
        return Effect.map(
          // Marks that cannot be read are like none that an answer has: the answer is kept in memory only.
          lenient<Kept["marks"] | undefined>("read the marks of tags", undefined)(sharedMarks(tags)),
          (shared) => joined(shared ?? Object.fromEntries(tags.map((tag) => [tag, "unknown"])), own)
        )
      }),
    recall,
    read: Effect.fnUntraced(function* (key, shared) {
      const known = yield* recall(key)
      if (known !== undefined || stores === undefined || !shared) return known
      const found = yield* lenient<Kept | undefined>(
        "read an answer",
        undefined
      )(
        Effect.gen(function* () {
          const exit = yield* stores.answers.get(new AnswerKey({ key }))
          if (exit === undefined || !Exit.isSuccess(exit)) return undefined
          const marks = part(exit.value.marks, "shared ")
          return sameMarks(marks, yield* sharedMarks(Object.keys(marks))) ? exit.value : undefined
        })
      )
      if (found === undefined) return undefined
      // Also one that was kept by a clock that was ahead: it may be of any age.
      const age = Math.abs((yield* Clock.currentTimeMillis) - found.at)
      if (age >= Duration.toMillis(settings.timeToLive)) return undefined
      // Marks of this process mean nothing to another: from now on those of this one count.
      const shares = part(found.marks, "shared ")
      const own: Kept = { ...found, marks: joined(shares, localMarks(Object.keys(shares))) }
      yield* Cache.set(memory, key, own)
      return own
    }),
    write: Effect.fnUntraced(function* (key, kept, shared) {
      const own = part(kept.marks, "local ")
      if (!sameMarks(own, localMarks(Object.keys(own)))) return
      yield* Cache.set(memory, key, kept)
      if (stores === undefined || !shared || Object.values(kept.marks).includes("unknown")) return
      yield* lenient<void>("keep an answer", undefined)(stores.answers.set(new AnswerKey({ key }), Exit.succeed(kept)))
    }),
    invalidate: Effect.fnUntraced(function* (tag) {
      const mark = `${yield* Clock.currentTimeMillis}-${yield* Random.nextIntBetween(0, 2 ** 47)}`
      if (local.size >= settings.capacity) {
        local.clear()
        forgotten = mark
        yield* Cache.invalidateAll(memory)
      }
      local.set(tag, mark)
      for (const [key, kept] of yield* Cache.entries(memory))
        if (kept !== undefined && Object.hasOwn(kept.marks, `local ${tag}`)) yield* Cache.invalidate(memory, key)
      if (stores !== undefined)
        yield* inTime(stores.tags.set(new TagKey({ tag }), Exit.succeed(mark))).pipe(
          Effect.catchTag("SchemaError", (error) => Effect.die(error))
        )
    }),
    clear: Effect.suspend(() =>
      Effect.andThen(Cache.invalidateAll(memory), stores === undefined ? Effect.void : inTime(stores.answers.clear))
    )
  }
  return store
})

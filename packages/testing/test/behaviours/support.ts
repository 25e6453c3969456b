// What the behaviour tests share: other processes, journals that count or stop, entries without their times.
import { Journal, Thread } from "@selvage/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"

/** Runs an effect as another process on the same journal: it shares no memory with the others. */
export const elsewhere = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Journal.Journal> =>
  Effect.flatMap(Journal.Journal, (journal) =>
    Effect.provideService(effect, Journal.Journal, Journal.Journal.of({ ...journal }))
  )

/** Runs an effect on the journal as it is changed by `f`. */
export const onJournal =
  (f: (journal: Journal.Journal["Service"]) => Partial<Journal.Journal["Service"]>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Journal.Journal> =>
    Effect.flatMap(Journal.Journal, (journal) =>
      Effect.provideService(effect, Journal.Journal, Journal.Journal.of({ ...journal, ...f(journal) }))
    )

/** A journal that asks for a snapshot after each append, so that runs are resumed from snapshots wherever they can be. */
export const eager = onJournal((journal) => ({
  append: (...args) => Effect.map(journal.append(...args), (appended) => ({ ...appended, snapshotDue: true }))
}))

/** The entries of a thread, without their places and times. */
export const entriesOf = (thread: string) =>
  Effect.flatMap(Journal.Journal, (journal) =>
    Effect.map(journal.read(thread), (entries) => entries.map(({ entry }) => entry))
  )

/** The entries of a thread, by their tags. */
export const tagsOf = (thread: string) => Effect.map(entriesOf(thread), (entries) => entries.map(({ _tag }) => _tag))

/** What the journal says of a thread. */
export const infoOf = (thread: string) => Effect.flatMap(Journal.Journal, (journal) => journal.info(thread))

/** A gate: who comes says so and waits until it is opened. */
export const makeGate = Effect.gen(function* () {
  const reached = yield* Deferred.make<void>()
  const opened = yield* Deferred.make<void>()
  return {
    reached: Deferred.await(reached),
    open: Effect.asVoid(Deferred.succeed(opened, undefined)),
    pass: Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(opened))
  }
})

/** A list that effects add to. */
export const makeLog = Effect.map(Ref.make<ReadonlyArray<string>>([]), (ref) => ({
  add: (line: string) => Ref.update(ref, (lines) => [...lines, line]),
  get: Ref.get(ref),
  take: Ref.getAndSet(ref, [])
}))

/** Lets everything run that can run without time passing, also what waits for a database. */
export const settle = Effect.promise(
  () =>
    new Promise<void>((resolve) => {
      let turns = 50
      const next = () => (turns-- > 0 ? setImmediate(next) : resolve())
      next()
    })
)

/** A value that the compiler takes for anything. */
export const forced = (value: unknown): never => value as never

/** No thread is held in memory from one run to the next. */
export const cold = Effect.provideService(Thread.WarmThreads, 0)

// Every law on every journal.
import { Journal } from "@selvage/core"
import { JournalLaws } from "@selvage/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { journals } from "../../sqlite/test/stores.ts"

type Service = Journal.Journal["Service"]

for (const { keeps, layer, name, skip } of journals("selvage_journal_laws_test")) {
  describe.skipIf(skip)(`Journal laws on ${name}`, () => {
    for (const law of JournalLaws.all({ keeps })) it.effect(law.name, () => Effect.provide(law.check, layer))
  })
}

/** Journals that are wrong in one way each. */
const mutants: Readonly<Record<string, (journal: Service) => Partial<Service>>> = {
  "appends whatever stands there": (journal) => ({
    append: (thread, _, entries) =>
      Effect.flatMap(
        Effect.orElseSucceed(
          Effect.map(journal.info(thread), ({ head }) => head),
          () => 0
        ),
        (head) => journal.append(thread, head, entries)
      )
  }),
  "takes an old writer for a new one": (journal) => ({
    append: (thread, expected, entries) => journal.append(thread, expected, entries)
  }),
  "appends entry by entry": (journal) => ({
    append: (thread, expected, entries) =>
      Effect.gen(function* () {
        const done = []
        for (const [index, entry] of entries.entries()) {
          done.push(yield* journal.append(thread, expected + index, [entry]))
          yield* Effect.yieldNow
        }
        return { id: done[0]?.id ?? "", snapshotDue: false, written: done.flatMap(({ written }) => written) }
      })
  }),
  "posts to whatever bears the name": (journal) => ({ post: (thread, entries) => journal.post(thread, entries) }),
  "posts anything": (journal) => ({
    post: (thread, entries, options) =>
      Effect.flatMap(journal.info(thread), ({ head }) => journal.append(thread, head, entries, options))
  }),
  "does not pass what was posted": (journal) => ({
    append: (thread, expected, entries, options) => journal.append(thread, expected, entries, { id: options?.id })
  }),
  "passes everything": (journal) => ({
    append: (thread, expected, entries, options) =>
      options?.past === undefined
        ? journal.append(thread, expected, entries, options)
        : Effect.flatMap(
            Effect.orElseSucceed(
              Effect.map(journal.info(thread), ({ head }) => head),
              () => 0
            ),
            (head) => journal.append(thread, head, entries, { id: options.id })
          )
  }),
  "reads what is before": (journal) => ({
    read: (thread, range) => journal.read(thread, { ...range, after: Math.max(0, (range?.after ?? 0) - 1) })
  }),
  "removes threads that moved": (journal) => ({ remove: (thread) => journal.remove(thread) }),
  "removes nothing": (journal) => ({ remove: (thread) => Effect.asVoid(journal.info(thread)) }),
  "forgets the patch of a fork": (journal) => ({ fork: (from, at, as) => journal.fork(from, at, as) }),
  "forks one entry more": (journal) => ({ fork: (from, at, as, patch) => journal.fork(from, at + 1, as, patch) }),
  "lists the first only": (journal) => ({ threads: (filter) => Stream.take(journal.threads(filter), 256) }),
  "ignores the filter": (journal) => ({ threads: () => journal.threads() }),
  "keeps no snapshot": () => ({ keepSnapshot: () => Effect.void }),
  "repeats an entry in a tail": (journal) => ({
    tail: (thread, after) => Stream.flatMap(journal.tail(thread, after), (entry) => Stream.make(entry, entry))
  }),
  "begins a tail too late": (journal) => ({ tail: (thread, after) => journal.tail(thread, after + 1) }),
  "ends a tail at the head": (journal) => ({
    tail: (thread, after) => Stream.fromIterableEffect(journal.read(thread, { after }))
  }),
  "restores what has gaps": (journal) => ({
    restore: (thread, entries) =>
      journal.restore(
        thread,
        entries.map((entry, index) => ({ ...entry, seq: index + 1 }))
      )
  })
}

describe("A journal that", () => {
  for (const [name, mutate] of Object.entries(mutants)) {
    it.live(`${name} breaks a law`, () =>
      Effect.gen(function* () {
        const mutant = Layer.effect(
          Journal.Journal,
          Effect.map(Journal.Journal, (journal) => Journal.Journal.of({ ...journal, ...mutate(journal) }))
        ).pipe(Layer.provide(Journal.layerMemory))
        const kept = JournalLaws.all().map((law) =>
          law.check.pipe(Effect.provide(Layer.fresh(mutant)), Effect.timeout("2 seconds"), Effect.exit)
        )
        const broken = yield* Effect.all(kept, { concurrency: "unbounded" })
        assert.isTrue(broken.some(Exit.isFailure))
      })
    )
  }
})

// Law 4 between real processes, in real time: an agent's call that must not be repeated, and a process that freezes in it.
import { Journal } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Fiber from "effect/Fiber"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { postgresClient, postgresSchema, reachable } from "../../sqlite/test/stores.ts"
import { patiently } from "../../testing/test/measures.ts"
import { bookOf, endOf, journalOf, pay, type Place } from "./clerk.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "selvage-owners-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

/** A store and a bank, new ones for each attempt. */
const placeOf = Effect.fnUntraced(function* (store: "SQLite" | "PostgreSQL", ttl: number) {
  const own = yield* directory
  const bank = join(own, "bank")
  if (store === "SQLite") {
    return { store: { _tag: "sqlite", filename: join(own, "journal.db") }, bank, ttl } satisfies Place
  }
  const schema = "selvage_owners_test"
  yield* Effect.provide(postgresSchema(schema), Layer.succeedContext(yield* Layer.build(postgresClient)))
  return { store: { _tag: "postgres", schema }, bank, ttl } satisfies Place
})

/** Another process, which runs two threads of the clerk and makes both calls. */
const makeProcess = Effect.fnUntraced(function* (place: Place) {
  const child = spawn(process.execPath, [join(import.meta.dirname, "clerk.ts"), JSON.stringify(place)], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
  const begun = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<string>()
  let out = ""
  child.stdout.on("data", (data) => {
    out += String(data)
    if (out.startsWith("begun\nbegun\n")) Deferred.doneUnsafe(begun, Effect.void)
  })
  child.on("close", () => {
    Deferred.doneUnsafe(begun, Effect.void)
    Deferred.doneUnsafe(ended, Effect.succeed(out))
  })
  return {
    begun: Deferred.await(begun),
    ended: Deferred.await(ended),
    signal: (signal: "SIGSTOP" | "SIGCONT") => Effect.sync(() => child.kill(signal))
  }
})

for (const name of ["SQLite", "PostgreSQL"] as const) {
  describe.skipIf(name === "PostgreSQL" && !reachable)(`Law 4 between processes on ${name}`, () => {
    for (const where of ["in two processes", "in one process, without a name"] as const) {
      it.live(`a slow call of an agent is made by one of two runners (${where})`, () =>
        patiently((millis) =>
          Effect.gen(function* () {
            const place = yield* placeOf(name, millis)
            const [own, other] = [yield* Layer.build(journalOf(place)), yield* Layer.build(journalOf(place))]
            const begun = yield* Deferred.make<void>()
            const answers = yield* Deferred.make<void>()
            const call = Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(answers))
            const run = Effect.exit(pay(place, "t", "late", call))
            const first = yield* Effect.forkChild(Effect.provide(run, own))
            yield* Effect.raceFirst(Deferred.await(begun), Fiber.await(first))
            // It looks for as long as a lease is valid whether the first is at work.
            const second = yield* Effect.provide(run, where === "in two processes" ? other : own)
            yield* Deferred.succeed(answers, undefined)
            assert.deepStrictEqual([endOf(yield* Fiber.join(first)), endOf(second)], ["Done", "JournalConflict"])
            const { begun: calls, paid } = bookOf(place)
            assert.deepStrictEqual([calls.length, paid.length], [1, 1])
          }).pipe(Effect.scoped)
        )
      )
    }

    it.live("a process that froze in its calls, and wakes when another has made them, makes none twice", () =>
      patiently((millis) =>
        Effect.gen(function* () {
          const place = yield* placeOf(name, 4 * millis)
          const frozen = yield* makeProcess(place)
          yield* frozen.begun
          yield* frozen.signal("SIGSTOP")
          const context = yield* Layer.build(journalOf(place))
          const threads = ["at once", "late"] as const
          const ends = yield* Effect.forEach(
            threads,
            (thread) => Effect.exit(pay(place, thread, thread, Effect.void)),
            {
              concurrency: "unbounded"
            }
          ).pipe(Effect.provide(context))
          assert.deepStrictEqual(ends.map(endOf), ["Done", "Done"])
          yield* frozen.signal("SIGCONT")
          assert.strictEqual(yield* frozen.ended, "begun\nbegun\nJournalConflict JournalConflict\n")
          const { begun, paid } = bookOf(place)
          // The request that had arrived is found; the one that never left is made by the second, and by the first no more.
          assert.strictEqual(begun.length, 3)
          assert.deepStrictEqual(new Set(paid).size, paid.length)
          assert.deepStrictEqual(new Set(paid), new Set(begun))
          const { check } = yield* Effect.provide(Journal.Journal, context)
          for (const thread of threads) assert.deepStrictEqual(yield* check(thread), [])
        }).pipe(Effect.scoped)
      )
    )
  })
}

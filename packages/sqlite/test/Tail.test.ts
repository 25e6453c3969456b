// What no law can see from outside: an append in the middle of a read, and how often a snapshot is asked for.
import { assert, it } from "@effect/vitest"
import { type Entry, Journal } from "@selvage/core"
import * as SqlJournal from "@selvage/core/SqlJournal"
import { SqliteClient } from "@selvage/sqlite"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"

const patched = (n: number | string): Entry.Entry => ({ _tag: "Patched", updates: { n } })

/** Does something right after the second read of entries. */
const afterSecondRead = (client: SqlClient, then: () => Effect.Effect<unknown, unknown>): SqlClient => {
  let reads = 0
  const hook = () => Effect.suspend(() => (++reads === 2 ? Effect.orDie(then()) : Effect.void))
  return new Proxy(client, {
    get: (target, key) => {
      if (key !== "unsafe") return Reflect.get(target, key)
      return (text: string, params?: ReadonlyArray<unknown>) => {
        const statement = target.unsafe(text, params)
        if (!text.includes("LEFT JOIN selvage_entries")) return statement
        return new Proxy(statement, {
          get: (own, name) => (name === "values" ? Effect.tap(own.values, hook) : Reflect.get(own, name))
        })
      }
    }
  })
}

it.effect("a tail hears of what was appended while it read", () =>
  Effect.gen(function* () {
    let append: () => Effect.Effect<unknown, unknown> = () => Effect.void
    const client = afterSecondRead(yield* SqlClient, () => append())
    const journal = yield* Effect.provideService(SqlJournal.make({ poll: "1 hour" }), SqlClient, client)
    yield* journal.append("t", 0, [patched(1)])
    append = () => journal.append("t", 1, [patched(2)])
    const tail = yield* Effect.forkChild(Stream.runCollect(Stream.take(journal.tail("t", 0), 2)))
    const seen = yield* Fiber.join(tail)
    assert.deepStrictEqual(
      seen.map(({ seq }) => seq),
      [1, 2]
    )
  }).pipe(Effect.scoped, Effect.provide(SqliteClient.layer({ filename: ":memory:" })))
)

it.effect("no snapshot is asked for before as much was written as the last one took", () =>
  Effect.gen(function* () {
    const journal = yield* Journal.Journal
    yield* journal.append("t", 0, [patched(1)])
    yield* journal.keepSnapshot("t", 1, "x".repeat(1_000))
    assert.isFalse((yield* journal.append("t", 1, [patched(2)])).snapshotDue)
    assert.isTrue((yield* journal.append("t", 2, [patched("y".repeat(1_000))])).snapshotDue)
  }).pipe(
    Effect.provide(
      SqlJournal.layerWith({ snapshots: { entries: 1, bytes: 1 } }).pipe(
        Layer.provide(SqliteClient.layer({ filename: ":memory:" }))
      )
    )
  )
)

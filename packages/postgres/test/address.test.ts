import { Journal } from "@selvage/core"
import { PostgresJournal } from "@selvage/postgres"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as fc from "fast-check"
import { inspect } from "node:util"
import * as Address from "../src/internal/address.ts"

const secret = "sEcReT99"

/** Passwords with a marked secret among what splits, breaks or ends a URL. */
const password = fc
  .tuple(fc.array(fc.constantFrom(..."/?#@:%& []\\a1".split("")), { maxLength: 6 }), fc.nat(6))
  .map(([around, at]) => [...around.slice(0, at), secret, ...around.slice(at)].join(""))

const url = fc
  .record({
    scheme: fc.constantFrom("postgres://", "postgresql://", "postgres:/", "postgres:", "http://", "", "postgres//"),
    user: fc.constantFrom("app:", "a%zz:", ":", "us/er:", "user#:"),
    password,
    at: fc.constantFrom("@", "@@", "@[", "@127.0.0.1:99999"),
    host: fc.constantFrom("127.0.0.1:1", "127.0.0.1:1,127.0.0.1:2", "%zz:1", "[::1", "127.0.0.1:x"),
    rest: fc.constantFrom("/db", "/db?sslmode=odd", "/db?port=0", "/%zz", "", `/db?connect_timeout=${secret}`)
  })
  .map(({ at, host, password, rest, scheme, user }) => scheme + user + password + at + host + rest)

const texts = (error: unknown, cause: Cause.Cause<unknown>) => [
  String(error),
  Cause.pretty(cause),
  JSON.stringify(error) ?? "",
  JSON.stringify(cause) ?? "",
  inspect(error, { depth: 20, showHidden: true }),
  inspect(cause, { depth: 20 })
]

describe("a PostgreSQL URL", () => {
  it.live("that cannot be read or used shows nothing of its password, in no form of the failure", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(url, async (raw) => {
          const logged: Array<unknown> = []
          const logger = Logger.make(({ cause, message }) => logged.push(inspect(message), Cause.pretty(cause)))
          const program = Effect.provide(Journal.Journal, PostgresJournal.layer({ url: Redacted.make(raw) })).pipe(
            Effect.tapCause((cause) => Effect.logError("failed", cause)),
            Effect.provide(Logger.layer([logger]))
          )
          const exit = await Effect.runPromiseExit(program)
          if (Exit.isSuccess(exit)) return assert.fail(`${raw} was let in`)
          const error = Cause.squash(exit.cause)
          assert.propertyVal(error, "_tag", "JournalUnavailable")
          for (const text of [...texts(error, exit.cause), ...logged.map(String)]) assert.notInclude(text, secret)
        }),
        { numRuns: 60 }
      )
    )
  )

  it("says which server it is and what to write, without the user", () => {
    const parsed = (raw: string) => Result.map(Address.parse(raw), Address.nameOf)
    const where = (raw: string) => Result.getOrElse(parsed(raw), (issue) => issue)
    assert.strictEqual(where("postgres://app:p%2Fw@db.internal/agents"), "PostgreSQL at db.internal:5432")
    assert.strictEqual(where("postgresql://db.internal:6432"), "PostgreSQL at db.internal:6432")
    assert.strictEqual(where("postgres://app@[::1]:5433/x"), "PostgreSQL at [::1]:5433")
    assert.strictEqual(where("postgres:///agents?host=/run/pg"), "PostgreSQL at /run/pg/.s.PGSQL.5432")
    assert.strictEqual(where("postgres:///agents"), "PostgreSQL at localhost:5432")
    assert.match(where("postgres://app:hunter2/PG@db.internal/app"), /^its URL cannot be read: .*%2F/)
    assert.match(where("postgres://app:12/PG@db.internal/app"), /^its URL has .*%2F/)
  })

  it("is taken out of what a server says", () => {
    const address = Result.getOrThrow(Address.parse("postgres://app:hunter%2F2@db/app"))
    const told = 'password authentication failed for user "app": hunter/2 hunter%2F2'
    assert.strictEqual(
      address.redact(told),
      "password authentication failed for user <redacted>: <redacted> <redacted>"
    )
  })

  it.live("names the server where nobody answers", () =>
    Effect.gen(function* () {
      const layer = PostgresJournal.layer({ url: Redacted.make("postgres://app:pw@127.0.0.1:1/db") })
      const error = yield* Effect.flip(Effect.provide(Journal.Journal, layer))
      assert.match(error.message, /^The journal \(PostgreSQL at 127\.0\.0\.1:1\) failed to open.*ECONNREFUSED/)
    })
  )
})

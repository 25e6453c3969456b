import { Errors } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as fc from "fast-check"
import { inspect } from "node:util"

const secret = "SECRET-c0ffee"

/** What drivers throw: errors with configuration in their properties, and what no one would call an error. */
const leaf = fc.oneof(
  fc.constant(Object.assign(Object.create(null), { code: "57014" })),
  fc.constant(new AggregateError([new Error("connect ECONNREFUSED 127.0.0.1:1")], "")),
  fc.constant(
    Object.defineProperty({}, "message", { get: () => assert.fail("a getter that throws"), enumerable: true })
  ),
  fc.constant(
    new Proxy(
      {},
      {
        get: () => assert.fail("a trap that throws"),
        ownKeys: () => assert.fail("a trap that throws"),
        getPrototypeOf: () => assert.fail("a trap that throws")
      }
    )
  ),
  fc.constant(Symbol("why")),
  fc.constantFrom(undefined, null, 0n, Number.NaN, () => "a function"),
  fc.anything({ withNullPrototype: true, withBigInt: true })
)

const thrown = fc.letrec<{ link: unknown }>((tie) => ({
  link: fc.oneof(
    { depthSize: "small" },
    leaf,
    fc
      .tuple(fc.string(), tie("link"), fc.constantFrom("input", "config", "url", "options"))
      .map(([message, cause, key]) => Object.assign(new Error(message, { cause }), { [key]: secret }))
  )
})).link

describe("the cause of a failure", () => {
  it("gives a message whatever it is", () => {
    fc.assert(
      fc.property(thrown, (cause) => {
        const { message } = new Errors.JournalUnavailable({ operation: "read a thread", store: "the store", cause })
        assert.isString(message)
        assert.include(message, "read a thread")
      })
    )
  })

  it("is told without the properties of what a driver threw", () => {
    fc.assert(
      fc.property(thrown, (driver) => {
        const cause = Errors.plainCause(driver)
        const error = new Errors.JournalUnavailable({ operation: "open", cause })
        const shown = [error.message, Cause.pretty(Cause.fail(error)), inspect(error, { depth: 20 }), inspect(cause)]
        for (const text of shown) assert.notInclude(text, secret)
      })
    )
  })

  it("keeps the words and codes of the chain", () => {
    const inner = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED", address: "10.0.0.1" })
    const cause = Errors.plainCause(new Error("Failed to connect", { cause: inner }))
    const error = new Errors.JournalUnavailable({ operation: "open", store: "PostgreSQL at db:5432", cause })
    assert.strictEqual(
      error.message,
      "The journal (PostgreSQL at db:5432) failed to open: Failed to connect: connect ECONNREFUSED. " +
        "Nothing uncommitted was kept; run the thread again once it is back."
    )
    assert.match(inspect(cause), /code: 'ECONNREFUSED'/)
    assert.notInclude(inspect(cause), "10.0.0.1")
  })

  it("ends where a chain goes in a circle", () => {
    const circle = new Error("round")
    circle.cause = circle
    assert.include(new Errors.JournalUnavailable({ operation: "open", cause: circle }).message, "failed to open: round")
    assert.strictEqual(Errors.plainCause(circle) instanceof Error, true)
  })
})

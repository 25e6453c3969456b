// A thread that crashes at any append, and is run again, comes to the same end as one that never crashed.
import { Ask, Channel, Durable, Edge, Graph, Journal, Node, Policy, Thread } from "@selvage/core"
import { CrashingJournal } from "@selvage/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { stores } from "../../sqlite/test/stores.ts"
import { runs } from "./measures.ts"

const Approve = Ask.make("approve", {
  question: Schema.Struct({ id: Schema.String }),
  answer: Schema.Struct({ approved: Schema.Boolean })
})

class Boom extends Schema.TaggedError<Boom>()("Boom", { id: Schema.String }) {}
class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {
  readonly isRetryable = true
}

/** Counts what it does to the world. */
interface World {
  readonly once: Map<string, number>
  readonly paid: Map<string, number>
}

const count = (map: Map<string, number>, key: string) =>
  Effect.sync(() => {
    map.set(key, (map.get(key) ?? 0) + 1)
    return key
  })

/**
 * Three graphs deep: fan-outs, loops, a join, an ask, an error route, retries of a nested graph, pieces made once, a call
 * that must not be repeated, and values that only their schemas can carry.
 */
const makeWork = ({ once, paid }: World) => {
  const tried = new Set<string>()
  const Leaf = Graph.make("leaf", {
    state: { id: Channel.last(Schema.String), n: Channel.sum, log: Channel.append(Schema.String) },
    nodes: {
      tick: ({ id, n }) =>
        Effect.as(Durable.once(`${n}`, Schema.String, count(once, `${id}/${n}`)), { n: 1, log: [`tick ${n}`] }),
      approve: ({ id }) =>
        id === "b1"
          ? Effect.map(Ask.ask(Approve, { id }), ({ approved }) => ({ log: [String(approved)] }))
          : Effect.succeed({ log: ["not asked"] })
    },
    edges: { start: "tick", tick: ({ n }) => (n < 2 ? "tick" : "approve"), approve: "end" }
  })
  const Branch = Graph.make("branch", {
    state: {
      id: Channel.last(Schema.String),
      log: Channel.append(Schema.String),
      rescued: Channel.optional(Schema.String)
    },
    nodes: {
      leaf: Node.withInput(
        Schema.String,
        Graph.node(Leaf, {
          input: (id: string) => ({ id }),
          update: (leaf) => ({ log: [`${leaf.id}: ${leaf.log.join(", ")}`] })
        })
      ),
      flaky: ({ id }) =>
        Effect.suspend(() => {
          if (tried.has(id)) return Effect.succeed({ log: ["tried again"] })
          tried.add(id)
          return Effect.fail(new Busy())
        }),
      pay: ({ id }) =>
        Effect.map(
          Durable.call({
            key: "pay",
            detail: id,
            schema: Schema.String,
            call: count(paid, id),
            reconcile: Effect.sync(() => (paid.has(id) ? Option.some(id) : Option.none()))
          }),
          (id) => ({ log: [`paid ${id}`] })
        ),
      fail: ({ id }) => Effect.fail(new Boom({ id })),
      rescue: Node.make(Boom, (error) => Effect.succeed({ rescued: `${error.id} ${error instanceof Boom}` }))
    },
    edges: {
      start: { each: "leaf", of: ({ id }) => [`${id}1`, `${id}2`], concurrency: 2 },
      leaf: ["flaky", "pay"],
      flaky: "fail",
      pay: "end",
      fail: "end",
      rescue: "end"
    },
    onError: { Boom: "rescue" }
  })
  return Graph.make("top", {
    state: {
      ids: Channel.last(Schema.Array(Schema.String)),
      log: Channel.append(Schema.String),
      rescued: Channel.map(Schema.String),
      at: Channel.optional(Schema.Date),
      big: Channel.optional(Schema.Option(Schema.BigInt)),
      bytes: Channel.optional(Schema.Uint8Array),
      nan: Channel.optional(Schema.Number),
      round: Channel.sum
    },
    nodes: {
      branch: Node.withInput(
        Schema.String,
        Graph.node(Branch, {
          input: (id: string) => ({ id }),
          update: ({ id, log, rescued }) => ({ log, rescued: { [id]: rescued ?? "" } })
        })
      ),
      stamp: () =>
        Effect.succeed({
          at: new Date(5),
          big: Option.some(7n),
          bytes: new Uint8Array([1, 2]),
          nan: Number.NaN,
          round: 1
        })
    },
    edges: {
      start: { each: "branch", of: ({ ids }) => ids, keys: ({ ids }) => ids },
      branch: "stamp",
      stamp: ({ round }) => (round < 2 ? Edge.fanOut("branch", ["z"], { keys: ["z"] }) : "end")
    },
    policies: { branch: Policy.make({ retry: Policy.retryable(Schedule.recurs(3)) }) }
  })
}

const makeWorld = (): World => ({ once: new Map(), paid: new Map() })

/** Runs a thread to its end, answering what it asks. */
const drive = Effect.fnUntraced(function* (thread: string, world: World) {
  const graph = makeWork(world)
  while (true) {
    const outcome = yield* Thread.run(graph, { thread, run: "only", input: { ids: ["a", "b"] } })
    if (outcome._tag === "Done") return outcome.state
    for (const { ask } of outcome.asks) {
      yield* Thread.answer(Approve, { thread, ask, value: { approved: true } })
    }
  }
})

for (const store of stores("selvage_every_crash_test")) {
  describe.skipIf(store.skip)(`A crash at any append on ${store.name}`, () => {
    for (const append of ["lost", "written"] as const) {
      it.effect(`comes to the same end, and pays once (the append is ${append})`, () =>
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const expected = yield* drive("reference", makeWorld())
          // In memory at every append, elsewhere at some: at each in the long form.
          const some = { memory: 1, SQLite: 4, PostgreSQL: 8 }[store.name] ?? 1
          const stride = Math.max(1, Math.round(some / runs(1)))
          for (let at = 1; ; at += stride) {
            const thread = `crash at ${at}`
            const world = makeWorld()
            const crashing = yield* CrashingJournal.make(journal, { at, append })
            const crashed = yield* Effect.exit(Effect.provideService(drive(thread, world), Journal.Journal, crashing))
            // It came to its end before its nth append: there are no more to crash at.
            if (Exit.isSuccess(crashed)) {
              assert.isAbove(at, 30)
              break
            }
            assert.deepStrictEqual(yield* drive(thread, world), expected, thread)
            assert.deepStrictEqual(yield* Thread.state(makeWork(world), { thread }), expected, thread)
            assert.deepStrictEqual(
              [...world.paid.values()].filter((times) => times !== 1),
              [],
              thread
            )
            // Pieces whose effect is done and whose record is not may be made again; at most four are in flight here.
            const twice = [...world.once.values()].filter((times) => times > 1)
            assert.isAtMost(twice.length, 4, thread)
          }
        }).pipe(Effect.provide(store.layer))
      )
    }
  })
}

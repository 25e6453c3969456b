// The runtime gives way: timers and I/O of the process have their turns while a thread is busy, on every store.
import { Channel, Durable, Graph, Journal, Node, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { stores } from "./worlds.ts"

const Loop = Graph.make("loop", {
  state: { n: Channel.last(Schema.Int), end: Channel.last(Schema.Int) },
  nodes: { one: ({ n }) => Effect.succeed({ n: n + 1 }) },
  edges: { start: "one", one: ({ end, n }) => (n < end ? "one" : "end") }
})

const Pieces = Graph.make("pieces", {
  state: { end: Channel.last(Schema.Int), n: Channel.last(Schema.Int) },
  nodes: {
    make: Effect.fnUntraced(function* ({ end }: { readonly end: number }) {
      for (let n = 0; n < end; n++) yield* Durable.once(`${n}`, Schema.Int, Effect.succeed(n))
      return { n: end }
    })
  },
  edges: { start: "make", make: "end" }
})

const wide = (wait: Effect.Effect<void>, concurrency?: number) =>
  Graph.make("wide", {
    state: { end: Channel.last(Schema.Int), n: Channel.sum },
    nodes: { item: Node.make(Schema.Int, () => Effect.as(wait, { n: 1 })) },
    edges: {
      start: { each: "item", of: ({ end }) => Array.from({ length: end }, (_, n) => n), concurrency },
      item: "end"
    }
  })

const cpu = () => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1000
}

/** The CPU that the process took, and the most of it between two turns of the event loop, in milliseconds. */
const turning = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const began = cpu()
    let last = began
    let longest = 0
    let going = true
    const turn = () => {
      const now = cpu()
      longest = Math.max(longest, now - last)
      last = now
      if (going) setImmediate(turn)
    }
    setImmediate(turn)
    yield* self
    going = false
    turn()
    return { total: last - began, longest }
  })

for (const store of stores("selvage_turns_test", "never")) {
  describe.skipIf(store.skip)(`a busy thread on ${store.name} leaves the event loop to others`, () => {
    const busy: ReadonlyArray<
      readonly [string, number, (end: number) => Effect.Effect<unknown, unknown, Journal.Journal>]
    > = [
      ["in a loop of steps", 1500, (end) => Thread.run(Loop, { thread: "loop", input: { n: 0, end } })],
      ["in a node of many pieces", 1500, (end) => Thread.run(Pieces, { thread: "pieces", input: { n: 0, end } })],
      [
        "in a wide step of nodes that are done at once",
        4000,
        (end) => Thread.run(wide(Effect.void), { thread: "sync", input: { end } })
      ],
      [
        "in a wide step of nodes that end in one turn",
        3000,
        (end) => Thread.run(wide(Effect.yieldNow), { thread: "async", input: { end } })
      ]
    ]
    for (const [name, end, run] of busy) {
      it.live(
        name,
        () =>
          Effect.gen(function* () {
            // Each append to a server is a turn of its own already.
            const { longest, total } = yield* turning(run(store.name === "PostgreSQL" ? 50 : end))
            // A run that does not give way takes nearly all of its time in one turn.
            assert.isBelow(longest, Math.max(total / 2, 60), `of ${total} ms of CPU, ${longest} ms in one turn`)
          }).pipe(Effect.provide(store.layer)),
        60_000
      )
    }
  })
}

it.live("a long thread that is opened, exported, imported and checked leaves the event loop to others", () =>
  Effect.gen(function* () {
    yield* Thread.run(Loop, { thread: "long", input: { n: 0, end: 6000 } })
    const journal = yield* Journal.Journal
    const works: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown, Journal.Journal>]> = [
      ["opened", Thread.state(Loop, { thread: "long" })],
      ["exported", Stream.runDrain(Journal.exportThread("long"))],
      ["imported", Journal.importThread(Journal.exportThread("long"), { as: "again" })],
      ["checked", journal.check("long")]
    ]
    for (const [name, work] of works) {
      const { longest, total } = yield* turning(work)
      assert.isBelow(longest, Math.max(total * 0.6, 60), `${name}: of ${total} ms of CPU, ${longest} ms in one turn`)
    }
    assert.strictEqual((yield* Thread.state(Loop, { thread: "again" })).n, 6000)
  }).pipe(
    Effect.provideService(Thread.WarmThreads, 0),
    Effect.provide(stores("selvage_turns_test", "never").find(({ name }) => name === "SQLite")!.layer)
  )
)

it.live(
  "a fan-out with a concurrency of its own costs about what one without costs, however many items wait",
  () =>
    Effect.gen(function* () {
      const cost = (concurrency?: number) =>
        Effect.map(turning(Graph.run(wide(Effect.yieldNow, concurrency), { end: 10_000 })), ({ total }) => total)
      let [own, none] = [Infinity, Infinity]
      for (let time = 0; time < 2; time++) {
        none = Math.min(none, yield* cost())
        own = Math.min(own, yield* cost(64))
      }
      // Where each that waits is looked at when one ends, it is a hundred times as much.
      assert.isBelow(own / none, 8, `${own} ms with, ${none} ms without`)
    }),
  60_000
)

it.effect("a step keeps its own limit and that of each of its fan-outs", () =>
  Effect.gen(function* () {
    const running = { a: 0, b: 0 }
    const most = { a: 0, b: 0, all: 0 }
    const work = (name: "a" | "b") =>
      Node.make(Schema.Int, () =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            most[name] = Math.max(most[name], ++running[name])
            most.all = Math.max(most.all, running.a + running.b)
          }),
          () => Effect.yieldNow,
          () => Effect.sync(() => running[name]--)
        ).pipe(Effect.as({ n: 1 }))
      )
    const items = ({ n }: { readonly n: number }) => Array.from({ length: 200 }, () => n)
    const graph = Graph.make("limits", {
      state: { n: Channel.sum },
      nodes: { left: () => Effect.void, right: () => Effect.void, a: work("a"), b: work("b") },
      edges: {
        start: ["left", "right"],
        left: { each: "a", of: items, concurrency: 3 },
        right: { each: "b", of: items, concurrency: 5 },
        a: "end",
        b: "end"
      },
      concurrency: 6
    })
    assert.strictEqual((yield* Graph.run(graph, {})).n, 400)
    assert.deepStrictEqual(most, { a: 3, b: 5, all: 6 })
  })
)

/** The same workloads in Selvage. */
import { Channel, Graph, Journal, Node, Thread } from "@selvage/core"
import { SqliteJournal } from "@selvage/sqlite"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { around, expect, firstAndWarm, onDisk, type Workload } from "../measure.ts"

const steps = 1000

const Counter = Graph.make("counter", {
  state: { n: Channel.last(Schema.Int) },
  nodes: { increment: ({ n }) => Effect.succeed({ n: n + 1 }) },
  edges: { start: "increment", increment: ({ n }) => (n < steps ? "increment" : "end") }
})

const count = (thread: string) =>
  Effect.map(Thread.run(Counter, { thread, input: { n: 0 } }), ({ state }) => expect("n", state.n, steps))

const FanOut = Graph.make("fan-out", {
  state: {
    width: Channel.last(Schema.Int),
    items: Channel.last(Schema.Array(Schema.Int), { initial: [] }),
    results: Channel.append(Schema.Int),
    total: Channel.optional(Schema.Int)
  },
  nodes: {
    split: ({ width }) => Effect.succeed({ items: Array.from({ length: width }, (_, index) => index) }),
    double: Node.make(Schema.Int, (item) => Effect.succeed({ results: [item * 2] })),
    sum: ({ results }) => Effect.succeed({ total: results.reduce((a, b) => a + b, 0) })
  },
  edges: { start: "split", split: { each: "double", of: ({ items }) => items }, double: "sum", sum: "end" }
})

const fanOut = (width: number): Workload => {
  const program = Effect.map(Graph.run(FanOut, { width }), ({ total }) => expect("total", total, width * (width - 1)))
  return () => firstAndWarm(() => Effect.runPromise(program), 5)
}

const sqliteCounter =
  (synchronous: "full" | "normal"): Workload =>
  async (filename) => {
    const runtime = ManagedRuntime.make(SqliteJournal.layer({ filename, synchronous }))
    await runtime.runPromise(Effect.void)
    return onDisk(
      filename,
      () => runtime.runPromise(count("t")),
      () => runtime.dispose()
    )
  }

const Conversation = Graph.make("conversation", {
  state: { messages: Channel.messages },
  nodes: {
    answer: () =>
      Effect.succeed({
        messages: Prompt.make([{ role: "assistant", content: [Prompt.textPart({ text: "a".repeat(200) })] }])
      })
  },
  edges: { start: "answer", answer: "end" }
})

const conversation =
  (turns: number, synchronous: "full" | "normal"): Workload =>
  async (filename) => {
    const runtime = ManagedRuntime.make(SqliteJournal.layer({ filename, synchronous }))
    await runtime.runPromise(Effect.void)
    const times: Array<number> = []
    const sample = await onDisk(
      filename,
      async () => {
        let messages = 0
        for (let turn = 0; turn < turns; turn++) {
          const start = performance.now()
          const { state } = await runtime.runPromise(
            Thread.run(Conversation, { thread: "t", input: { messages: Prompt.make("h".repeat(200)) } })
          )
          times.push(performance.now() - start)
          messages = state.messages.content.length
        }
        expect("the number of messages", messages, 2 * turns)
      },
      () => runtime.dispose()
    )
    return { ...sample, early: around(times, 100), late: around(times, turns - 10) }
  }

export const workloads: Readonly<Record<string, Workload>> = {
  steps: () => {
    const program = Effect.map(Graph.run(Counter, { n: 0 }), ({ n }) => expect("n", n, steps))
    return firstAndWarm(() => Effect.runPromise(program), 5)
  },
  "steps, memory": async () => {
    const runtime = ManagedRuntime.make(Journal.layerMemory)
    await runtime.runPromise(Effect.void)
    let thread = 0
    return firstAndWarm(() => runtime.runPromise(count(`t${thread++}`)), 5)
  },
  "steps, SQLite NORMAL": sqliteCounter("normal"),
  "steps, SQLite FULL": sqliteCounter("full"),
  "fan-out of 100": fanOut(100),
  "fan-out of 1000": fanOut(1000),
  "1000 turns, SQLite NORMAL": conversation(1000, "normal"),
  "1000 turns, SQLite FULL": conversation(1000, "full"),
  "3000 turns, SQLite NORMAL": conversation(3000, "normal")
}

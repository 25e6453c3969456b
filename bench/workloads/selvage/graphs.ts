/** The workloads of graphs in Selvage. */
import { Channel, Event, Graph, Journal, Node, Thread } from "@selvage/core"
import { SqliteJournal } from "@selvage/sqlite"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { around, expect, firstAndWarm, median, onDisk, time, type Workload } from "../../measure.ts"

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

const fannedOut = (width: number) =>
  Effect.map(Graph.run(FanOut, { width }), ({ total }) => expect("total", total, width * (width - 1)))

const fanOut =
  (width: number): Workload =>
  () =>
    firstAndWarm(() => Effect.runPromise(fannedOut(width)), 5)

/** What one task takes among few and among many, once the code is warm. */
const growthOfFanOut =
  (few: number, many: number): Workload =>
  async () => {
    const each = { few: new Array<number>(), many: new Array<number>() }
    const start = performance.now()
    for (let round = 0; round < 40; round++) {
      each.few.push((await time(() => Effect.runPromise(fannedOut(few)))) / few)
      each.many.push((await time(() => Effect.runPromise(fannedOut(many)))) / many)
    }
    const ms = performance.now() - start
    return { ms, early: median(each.few.slice(20)), late: median(each.many.slice(20)) }
  }

const sqlite = (filename: string, durability: "full" | "normal") => SqliteJournal.layer({ filename, durability })

const sqliteCounter =
  (durability: "full" | "normal"): Workload =>
  async (filename) => {
    const runtime = ManagedRuntime.make(sqlite(filename, durability))
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

const converse = (thread: string) =>
  Thread.run(Conversation, { thread, input: { messages: Prompt.make("h".repeat(200)) } })

const conversation =
  (turns: number, durability: "full" | "normal"): Workload =>
  async (filename) => {
    const runtime = ManagedRuntime.make(sqlite(filename, durability))
    await runtime.runPromise(Effect.void)
    const times: Array<number> = []
    const sample = await onDisk(
      filename,
      async () => {
        let messages = 0
        for (let turn = 0; turn < turns; turn++) {
          const start = performance.now()
          const { state } = await runtime.runPromise(converse("t"))
          times.push(performance.now() - start)
          messages = state.messages.content.length
        }
        expect("the number of messages", messages, 2 * turns)
      },
      () => runtime.dispose()
    )
    return { ...sample, early: around(times, 100), late: around(times, turns - 10) }
  }

/** As {@link conversation}, after another one in a file of its own: else turn 100 is still run by cold code. */
const warmConversation =
  (turns: number, durability: "full" | "normal"): Workload =>
  async (filename) => {
    await conversation(500, durability)(`${filename}.warm`)
    return conversation(turns, durability)(filename)
  }

const Waiting = Graph.make("waiting", {
  state: { n: Channel.last(Schema.Int) },
  nodes: {
    before: ({ n }) => Effect.succeed({ n: n + 1 }),
    wait: ({ n }) => Effect.delay(Effect.succeed({ n: n + 1 }), "100 millis"),
    after: ({ n }) => Effect.succeed({ n: n + 1 })
  },
  edges: { start: "before", before: "wait", wait: "after", after: "end" }
})

const concurrentRuns = (runs: number): Workload => {
  const work = Effect.map(
    Effect.forEach(
      Array.from({ length: runs }, (_, n) => n),
      (n) => Graph.run(Waiting, { n }),
      { concurrency: "unbounded" }
    ),
    (states) =>
      expect(
        "the sum",
        states.reduce((sum, { n }) => sum + n, 0),
        (runs * (runs - 1)) / 2 + 3 * runs
      )
  )
  return async () => ({ ms: await time(() => Effect.runPromise(work)) })
}

const streaming = (tokens: number): Workload => {
  const words = Array.from({ length: tokens }, () => "word ")
  const Speaker = Graph.make("speaker", {
    state: { said: Channel.last(Schema.String) },
    nodes: { speak: () => Effect.as(Effect.forEach(words, Event.token, { discard: true }), { said: "all" }) },
    edges: { start: "speak", speak: "end" }
  })
  const listen = (thread: string) =>
    Thread.stream(Speaker, { thread, input: { said: "" } }).pipe(
      Stream.runFold(
        () => 0,
        (heard, event) => (event._tag === "Token" ? heard + 1 : heard)
      ),
      Effect.map((heard) => expect("the number of tokens", heard, tokens))
    )
  return async () => {
    const runtime = ManagedRuntime.make(Journal.layerMemory)
    await runtime.runPromise(Effect.void)
    let thread = 0
    return firstAndWarm(() => runtime.runPromise(listen(`t${thread++}`)), 5)
  }
}

const TenSteps = Graph.make("ten-steps", {
  state: { n: Channel.last(Schema.Int) },
  nodes: { increment: ({ n }) => Effect.succeed({ n: n + 1 }) },
  edges: { start: "increment", increment: ({ n }) => (n < 10 ? "increment" : "end") }
})

const manyThreads =
  (threads: number): Workload =>
  async (filename) => {
    const runtime = ManagedRuntime.make(sqlite(filename, "full"))
    await runtime.runPromise(Effect.void)
    const work = Effect.map(
      Effect.forEach(
        Array.from({ length: threads }, (_, index) => `t${index}`),
        (thread) => Thread.run(TenSteps, { thread, input: { n: 0 } }),
        { concurrency: "unbounded" }
      ),
      (outcomes) =>
        expect(
          "the sum",
          outcomes.reduce((sum, { state }) => sum + state.n, 0),
          10 * threads
        )
    )
    return onDisk(
      filename,
      () => runtime.runPromise(work),
      () => runtime.dispose()
    )
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
  "fan-out of 100 and 1000": growthOfFanOut(100, 1000),
  "1000 turns, SQLite NORMAL": conversation(1000, "normal"),
  "1000 turns, SQLite FULL": conversation(1000, "full"),
  "3000 turns, SQLite NORMAL": warmConversation(3000, "normal"),
  "10000 runs at once": concurrentRuns(10_000),
  "10000 tokens": streaming(10_000),
  "1000 threads at once, SQLite FULL": manyThreads(1000)
}

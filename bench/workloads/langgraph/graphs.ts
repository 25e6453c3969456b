/** The workloads in LangGraph, written as its documentation writes them. */
import { AIMessage, HumanMessage } from "@langchain/core/messages"
import {
  Annotation,
  type BaseCheckpointSaver,
  END,
  type LangGraphRunnableConfig,
  MemorySaver,
  MessagesAnnotation,
  Send,
  START,
  StateGraph
} from "@langchain/langgraph"
import { SqliteSaver } from "@langchain/langgraph-checkpoint-sqlite"
import { setTimeout } from "node:timers/promises"
import { around, expect, firstAndWarm, onDisk, time, type Workload } from "../../measure.ts"
import { open } from "./NodeSqlite.ts"

const steps = 1000

const counter = (checkpointer?: BaseCheckpointSaver) =>
  new StateGraph(Annotation.Root({ n: Annotation<number> }))
    .addNode("increment", async ({ n }) => ({ n: n + 1 }))
    .addEdge(START, "increment")
    .addConditionalEdges("increment", ({ n }) => (n < steps ? "increment" : END), ["increment", END])
    .compile(checkpointer === undefined ? {} : { checkpointer })

const count = async (graph: ReturnType<typeof counter>, thread: string) => {
  const { n } = await graph.invoke({ n: 0 }, { recursionLimit: 2 * steps, configurable: { thread_id: thread } })
  expect("n", n, steps)
}

const fanOut = (width: number): Workload => {
  const State = Annotation.Root({
    width: Annotation<number>,
    items: Annotation<ReadonlyArray<number>>,
    results: Annotation<ReadonlyArray<number>>({ reducer: (value, update) => value.concat(update), default: () => [] }),
    total: Annotation<number>
  })
  const graph = new StateGraph(State)
    .addNode("split", async ({ width }: typeof State.State) => ({ items: Array.from({ length: width }, (_, i) => i) }))
    .addNode("double", async (item: number) => ({ results: [item * 2] }))
    .addNode("sum", async ({ results }: typeof State.State) => ({ total: results.reduce((a, b) => a + b, 0) }))
    .addEdge(START, "split")
    .addConditionalEdges("split", ({ items }) => items.map((item) => new Send("double", item)), ["double"])
    .addEdge("double", "sum")
    .addEdge("sum", END)
    .compile()
  return () => firstAndWarm(async () => expect("total", (await graph.invoke({ width })).total, width * (width - 1)), 5)
}

const sqliteCounter =
  (synchronous: "full" | "normal"): Workload =>
  (file) => {
    const database = open(file, synchronous)
    const saver = new SqliteSaver(database as never)
    ;(saver as unknown as { readonly setup: () => void }).setup()
    const graph = counter(saver)
    return onDisk(
      file,
      () => count(graph, "t"),
      () => database.close()
    )
  }

const conversation =
  (turns: number, synchronous: "full" | "normal"): Workload =>
  async (file) => {
    const database = open(file, synchronous)
    const saver = new SqliteSaver(database as never)
    ;(saver as unknown as { readonly setup: () => void }).setup()
    const graph = new StateGraph(MessagesAnnotation)
      .addNode("answer", async () => ({ messages: [new AIMessage("a".repeat(200))] }))
      .addEdge(START, "answer")
      .addEdge("answer", END)
      .compile({ checkpointer: saver })
    const times: Array<number> = []
    const sample = await onDisk(
      file,
      async () => {
        let messages = 0
        for (let turn = 0; turn < turns; turn++) {
          const start = performance.now()
          const state = await graph.invoke(
            { messages: [new HumanMessage("h".repeat(200))] },
            { configurable: { thread_id: "t" } }
          )
          times.push(performance.now() - start)
          messages = state.messages.length
        }
        expect("the number of messages", messages, 2 * turns)
      },
      () => database.close()
    )
    return { ...sample, early: around(times, 100), late: around(times, turns - 10) }
  }

const waiting = new StateGraph(Annotation.Root({ n: Annotation<number> }))
  .addNode("before", async ({ n }) => ({ n: n + 1 }))
  .addNode("wait", async ({ n }) => {
    await setTimeout(100)
    return { n: n + 1 }
  })
  .addNode("after", async ({ n }) => ({ n: n + 1 }))
  .addEdge(START, "before")
  .addEdge("before", "wait")
  .addEdge("wait", "after")
  .addEdge("after", END)
  .compile()

const concurrentRuns = (runs: number): Workload => {
  const work = async () => {
    const states = await Promise.all(Array.from({ length: runs }, (_, n) => waiting.invoke({ n })))
    expect(
      "the sum",
      states.reduce((sum, { n }) => sum + n, 0),
      (runs * (runs - 1)) / 2 + 3 * runs
    )
  }
  return async () => ({ ms: await time(work) })
}

const streaming = (tokens: number): Workload => {
  const graph = new StateGraph(Annotation.Root({ said: Annotation<string> }))
    .addNode("speak", async (_, { writer }: LangGraphRunnableConfig) => {
      for (let token = 0; token < tokens; token++) writer?.("word ")
      return { said: "all" }
    })
    .addEdge(START, "speak")
    .addEdge("speak", END)
    .compile()
  return () =>
    firstAndWarm(async () => {
      let heard = 0
      for await (const chunk of await graph.stream({ said: "" }, { streamMode: "custom" }))
        if (chunk === "word ") heard++
      expect("the number of tokens", heard, tokens)
    }, 5)
}

export const workloads: Readonly<Record<string, Workload>> = {
  steps: () => {
    const graph = counter()
    return firstAndWarm(() => count(graph, "t"), 5)
  },
  "steps, memory": () => {
    const graph = counter(new MemorySaver())
    let thread = 0
    return firstAndWarm(() => count(graph, `t${thread++}`), 5)
  },
  "steps, SQLite NORMAL": sqliteCounter("normal"),
  "steps, SQLite FULL": sqliteCounter("full"),
  "fan-out of 100": fanOut(100),
  "fan-out of 1000": fanOut(1000),
  "1000 turns, SQLite NORMAL": conversation(1000, "normal"),
  "10000 runs at once": concurrentRuns(10_000),
  "10000 tokens": streaming(10_000)
}

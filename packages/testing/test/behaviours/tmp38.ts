import { Channel, Graph, Journal, Thread } from "@selvage/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
const make = (lines: boolean) =>
  Graph.make("chat", {
    state: { said: Channel.last(Schema.String), turns: Channel.sum, lines: Channel.append(Schema.String) },
    nodes: {
      hear: ({ said }) => Effect.succeed(lines ? { lines: [`user: ${said}`] } : {}),
      reply: () => Effect.succeed(lines ? { lines: ["assistant: I see."], turns: 1 } : { turns: 1 })
    },
    edges: { start: "hear", hear: "reply", reply: "end" }
  })
for (const lines of [false, true])
  for (const snapshots of ["never", {}] as const) {
    const Chat = make(lines)
    const millis: number[] = []
    await Effect.runPromise(
      Effect.gen(function* () {
        for (let turn = 1; turn <= 10_000; turn++) {
          const start = performance.now()
          yield* Thread.run(Chat, { thread: "t", input: { said: "what now?" } })
          millis.push(performance.now() - start)
        }
      }).pipe(Effect.provide(Journal.layerMemoryWith({ snapshots })))
    )
    const median = (from: number, to: number) => millis.slice(from, to).sort((a, b) => a - b)[(to - from) / 2]!
    console.log(
      lines,
      snapshots,
      median(100, 600),
      median(4500, 5000),
      median(9500, 10000),
      millis.reduce((a, b) => a + b)
    )
  }

// What a run registers is given back, between whichever two of its operations it is interrupted.
import { assert, describe, it } from "@effect/vitest"
import { Ask, Channel, Durable, Graph, Journal, Policy, Thread } from "@selvage/core"
import { Interruption } from "@selvage/testing"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const Count = Graph.make("count", {
  state: { n: Channel.last(Schema.Int), seen: Channel.append(Schema.Int) },
  nodes: {
    one: ({ n }) => Effect.as(Effect.yieldNow, { n: n + 1 }),
    left: () =>
      Effect.map(Durable.once("piece", Schema.Int, Effect.as(Effect.yieldNow, 1)), (one) => ({ seen: [one] })),
    right: () => Effect.as(Effect.yieldNow, { seen: [2] })
  },
  edges: { start: "one", one: ["left", "right"], left: "end", right: "end" }
})

const goesOn = (thread: string, run: string) =>
  Effect.gen(function* () {
    const exit = yield* Interruption.ends(
      `run "${run}" of ${thread}`,
      Thread.run(Count, { thread, run, input: { n: 1 } })
    )
    assert.strictEqual(exit._tag, "Success", `${thread} does not go on`)
  })

describe("a run that is interrupted after any of its operations", () => {
  it.effect("leaves its name free", () =>
    Effect.gen(function* () {
      const times = yield* Interruption.everyStep({
        subject: (step) => Thread.run(Count, { thread: `t${step}`, run: "r", input: { n: 1 } }),
        sound: (step) => goesOn(`t${step}`, "r")
      })
      assert.isAbove(times, 100)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("leaves its name free where it waits for the run of that name, or replaces another", () =>
    Effect.gen(function* () {
      for (const whenBusy of ["reject", "replace"] as const) {
        yield* Interruption.everyStep({
          every: 9,
          subject: (step) =>
            Effect.all(
              [
                Thread.run(Count, { thread: `${whenBusy}${step}`, run: "r", input: { n: 1 } }),
                Thread.run(Count, { thread: `${whenBusy}${step}`, run: "r", input: { n: 1 }, whenBusy })
              ],
              { concurrency: 2 }
            ),
          sound: (step) => goesOn(`${whenBusy}${step}`, "r")
        })
      }
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("leaves nothing of its stream, and the thread goes on", () =>
    Effect.gen(function* () {
      yield* Interruption.everyStep({
        every: 5,
        subject: (step) =>
          Stream.runDrain(Thread.stream(Count, { thread: `t${step}`, run: "r", input: { n: 1 }, after: 0 })),
        sound: (step) => goesOn(`t${step}`, "r")
      })
    }).pipe(Effect.provide(Journal.layerMemory))
  )
})

class Slot extends Policy.Slots<Slot>()("test/Slot") {}

it.effect("a slot is given back, between whichever operations its holder or who waits for it is interrupted", () =>
  Effect.gen(function* () {
    const policy = Policy.make({ slots: Slot, timeout: "1 minute" })
    const held = Policy.apply(Effect.yieldNow, policy)
    yield* Interruption.everyStep({
      subject: () => Effect.all([held, held, held], { concurrency: 3 }),
      sound: (step) => Effect.asVoid(Interruption.ends(`a slot after step ${step}`, held))
    })
  }).pipe(Effect.provide(Slot.layer(1)))
)

const Approve = Ask.make("approve", { question: Schema.String, answer: Schema.Boolean })
const Asking = Graph.make("asking", {
  state: { ok: Channel.optional(Schema.Boolean) },
  nodes: { ask: () => Effect.map(Ask.ask(Approve, "ok?"), (ok) => ({ ok })) },
  edges: { start: "ask", ask: "end" }
})

it.effect("an answer and a patch that are interrupted leave the thread as it was, or done", () =>
  Effect.gen(function* () {
    yield* Interruption.everyStep({
      every: 3,
      subject: (step) =>
        Effect.gen(function* () {
          const thread = `t${step}`
          yield* Thread.run(Asking, { thread, input: {} })
          yield* Thread.answer(Approve, { thread, value: true })
          yield* Thread.run(Asking, { thread })
          yield* Thread.patch(Asking, { thread, update: { ok: false } })
        }),
      sound: (step) =>
        Effect.gen(function* () {
          const run = Thread.run(Asking, { thread: `t${step}`, input: {} })
          const exit = yield* Interruption.ends(`thread t${step}`, run)
          assert.strictEqual(exit._tag, "Success")
        })
    })
  }).pipe(Effect.provide(Journal.layerMemory))
)

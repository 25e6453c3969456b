// Time in which a thread waits for a person is no time of work: `Limit.within` and every schedule leave it out.
import { Agent } from "@selvage/agent"
import { Journal, Lease, Limit, Thread } from "@selvage/core"
import { ScriptedModel } from "@selvage/testing"
import { Approval, Plugin } from "@selvage/tools"
import { assert, describe, it } from "@effect/vitest"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import { stores } from "../../sqlite/test/stores.ts"

const work = (name: string) =>
  Tool.make(name, {
    parameters: Schema.Struct({ seconds: Schema.Int }),
    success: Schema.String,
    needsApproval: true
  })
const Shop = Plugin.make("shop", {
  version: "1",
  toolkit: Toolkit.make(work("order"), work("look").annotate(Tool.Readonly, true))
})
const handler = ({ seconds }: { readonly seconds: number }) => Effect.as(TestClock.adjust(seconds * 1000), "done")
const Live = Shop.toLayer({ order: handler, look: handler })

const limits = {
  within: Limit.within("1 minute"),
  "a schedule of one's own": Limit.make(
    "a minute",
    Schedule.while(Schedule.forever, ({ elapsed }) => Effect.succeed(elapsed < 60_000)) as never
  )
}

const agentOf = (limit: Limit.Limit) =>
  Agent.make("buyer", { instructions: "Buy.", tools: [Shop], limit: Limit.all(Limit.turns(8), limit) })

const script = (calls: ReadonlyArray<readonly [tool: string, seconds: number]>) =>
  ScriptedModel.layer([
    ...calls.map(([tool, seconds]) => ScriptedModel.call(tool, { seconds })),
    ScriptedModel.text("Done.")
  ])

// A call here moves the clock faster than a server renews a lease.
const elsewhere = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(Effect.provideService(Thread.WarmThreads, 0), Effect.provideService(Lease.Ttl, 0))

/** Runs the agent; a person takes an hour for each answer. */
const buy = Effect.fnUntraced(function* (thread: string, limit: Limit.Limit) {
  const run = elsewhere(Thread.run(agentOf(limit), { thread, input: { prompt: "Buy." } }))
  for (let round = 0; round < 9; round++) {
    const ended = yield* run
    if (ended._tag === "Done") return ended.state.text
    yield* TestClock.adjust("1 hour")
    for (const open of ended.asks) yield* Thread.answer(Approval.of(open)!, { thread, value: { approved: true } })
    yield* TestClock.adjust("1 hour")
  }
  return "no end"
})

for (const { layer, name, skip } of stores("selvage_waiting_test")) {
  describe.skipIf(skip)(`on ${name}`, { timeout: 60_000 }, () => {
    for (const tool of ["order", "look"]) {
      it.effect(`hours of waiting do not count, the seconds of ${tool} do`, () =>
        Effect.gen(function* () {
          const model = (...seconds: ReadonlyArray<number>) => script(seconds.map((count) => [tool, count] as const))
          const within = buy("short", limits.within).pipe(Effect.provide(model(10, 10, 10)))
          assert.strictEqual(yield* within, "Done.")
          const beyond = yield* Effect.flip(buy("long", limits.within).pipe(Effect.provide(model(10, 30, 30))))
          assert.strictEqual(beyond._tag === "LimitReached" ? beyond.turns : beyond, 3)
        }).pipe(Effect.provide([layer, Live]))
      )
    }
  })
}

it.effect("nor do they for a schedule of one's own", () =>
  Effect.gen(function* () {
    const limit = limits["a schedule of one's own"]
    const model = (seconds: number) =>
      script([
        ["order", seconds],
        ["order", seconds]
      ])
    assert.strictEqual(yield* buy("short", limit).pipe(Effect.provide(model(10))), "Done.")
    const beyond = yield* Effect.flip(buy("long", limit).pipe(Effect.provide(model(40))))
    assert.strictEqual(beyond._tag, "LimitReached")
  }).pipe(Effect.provide([Journal.layerMemory, Live]))
)

it.effect("nor does the time before a fork", () =>
  Effect.gen(function* () {
    const agent = agentOf(limits.within)
    yield* Thread.run(agent, { thread: "t", input: { prompt: "Buy." } })
    const journal = yield* Journal.Journal
    const { head } = yield* journal.info("t")
    yield* TestClock.adjust("1 hour")
    for (const at of [head, head - 1]) {
      const thread = `fork ${at}`
      yield* Thread.fork(agent, { thread: "t", at, as: thread })
      let ended = yield* elsewhere(Thread.run(agent, { thread }))
      yield* TestClock.adjust("1 hour")
      if (ended._tag === "Waiting") {
        yield* Thread.answer(Approval.of(ended.asks[0]!)!, { thread, value: { approved: false } })
        ended = yield* elsewhere(Thread.run(agent, { thread }))
      }
      assert.strictEqual(ended._tag, "Done")
    }
  }).pipe(
    Effect.provide([
      ScriptedModel.layer([
        ScriptedModel.call("order", { seconds: 1 }),
        ScriptedModel.text("One."),
        ScriptedModel.text("Two.")
      ]),
      Journal.layerMemory,
      Live
    ])
  )
)

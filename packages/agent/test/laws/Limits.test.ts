// Law 11. Limits are computed from journaled facts, so a crash does not reset them.
import { Agent } from "@selvage/agent"
import { Journal, Limit, Thread } from "@selvage/core"
import { Plugin } from "@selvage/tools"
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { holds, live, makeProcess, mortal, stores } from "../../../testing/test/laws/worlds.ts"

const Look = Tool.make("look", { parameters: Schema.Struct({}), success: Schema.Int }).annotate(Tool.Readonly, true)
const Eyes = Plugin.make("eyes", { version: "1.0.0", toolkit: Toolkit.make(Look) })

/** A model that looks and looks, and never comes to an end. Each turn takes a second. */
const tireless = Effect.suspend(() => {
  let calls = 0
  const usage = {
    inputTokens: { uncached: 100, total: 100, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 20, text: 20, reasoning: 0 }
  }
  return LanguageModel.make({
    generateText: () =>
      Effect.as(Effect.sleep(1000), [
        { type: "response-metadata", modelId: "tireless" },
        { type: "tool-call", id: `call_${++calls}`, name: "look", params: {} },
        { type: "finish", reason: "tool-calls", usage }
      ]),
    streamText: () => Stream.empty
  })
})

type Ceiling =
  | { readonly of: "turns"; readonly most: number }
  | { readonly of: "tokens"; readonly most: number }
  | { readonly of: "usd"; readonly most: number }
  | { readonly of: "time"; readonly most: number }

// In turns: each has 120 tokens, costs a cent, and takes a second.
const limitOf = ({ most, of }: Ceiling): Limit.Limit => {
  switch (of) {
    case "turns":
      return Limit.turns(most)
    case "tokens":
      return Limit.spend({ tokens: most * 120 - 60 })
    case "usd":
      return Limit.spend({ usd: most / 100 - 0.005 })
    case "time":
      return Limit.within(most * 1000 - 500)
  }
}

const ceilings = fc.record({
  of: fc.constantFrom("turns" as const, "tokens" as const, "usd" as const, "time" as const),
  most: fc.integer({ min: 1, max: 5 })
})

for (const store of stores("selvage_law_limits_test")) {
  describe.skipIf(store.skip)(`Law 11 on ${store.name}: limits survive`, () => {
    it.live("at whatever append a process dies, however often", () =>
      holds(
        fc.tuple(
          ceilings,
          fc.array(
            fc.record({
              at: fc.integer({ min: 1, max: 6 }),
              when: fc.constantFrom("before" as const, "after" as const),
              down: fc.nat(1500)
            }),
            { maxLength: 5 }
          )
        ),
        store,
        { memory: 80, other: 6 },
        Effect.fnUntraced(function* ([ceiling, deaths], thread) {
          const journal = yield* Journal.Journal
          const agent = Agent.make("tireless", {
            instructions: "Look.",
            tools: [Eyes],
            limit: limitOf(ceiling)
          })
          const layers = Layer.mergeAll(
            Eyes.toLayer({ look: () => Effect.succeed(1) }),
            Layer.succeed(Agent.Pricing, () => Option.some(0.01))
          )
          // The turns of the first run do not count in the second.
          for (const run of ["first", "second"]) {
            const left = [...deaths]
            while (true) {
              const death = left.shift()
              const process = makeProcess()
              const model = yield* tireless
              const began = yield* Clock.currentTimeMillis
              const life = Thread.run(agent, { thread, run, input: { prompt: "Look around." } }).pipe(
                Effect.provide(layers),
                Effect.provideService(LanguageModel.LanguageModel, model),
                Effect.provideService(Journal.Journal, mortal(journal, process, death))
              )
              const exit = yield* live(process, life)
              process.dead = true
              if (exit === undefined) {
                yield* Effect.sleep(death!.down)
                continue
              }
              assert.ok(Exit.isFailure(exit))
              assert.propertyVal(Cause.squash(exit.cause), "_tag", "LimitReached")
              const state = yield* Thread.state(agent, { thread })
              const turns = state.turns.slice(state.turnsBefore)
              if (ceiling.of !== "time") {
                // Exactly as many turns stand in the journal as in a run that nothing happened to.
                assert.strictEqual(turns.length, ceiling.most)
                break
              }
              const until = turns[0]!.startedAt + ceiling.most * 1000 - 500
              for (const turn of turns.slice(1)) assert.isBelow(turn.startedAt, until)
              assert.isAtMost(turns.length, ceiling.most)
              // No sooner than its time: another turn could not have begun.
              assert.isAtLeast(Math.max(began, turns.at(-1)!.endedAt), until)
              break
            }
          }
        })
      ).pipe(Effect.provide(store.layer))
    )
  })
}

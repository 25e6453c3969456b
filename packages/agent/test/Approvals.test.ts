// An agent's calls that a person decides about, killed at any append and run again under other rules, on every store.
import { Agent } from "@selvage/agent"
import { Journal, Thread } from "@selvage/core"
import { CrashingJournal, ScriptedModel } from "@selvage/testing"
import { Approval, Plugin, Uncertain } from "@selvage/tools"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as fc from "fast-check"
import { stores } from "../../sqlite/test/stores.ts"

// Two calls of one turn have one id, as some gateways give them.
const calls = ScriptedModel.respond(({ prompt }) =>
  prompt.content.some(({ role }) => role === "tool")
    ? ScriptedModel.text("Fine.")
    : ScriptedModel.calls([
        { name: "pay", params: { usd: 150 }, id: "call_0" },
        { name: "pay", params: { usd: 900 }, id: "call_0" },
        { name: "pay", params: { usd: 10 }, id: "call_0" }
      ])
)

const makeShop = () => {
  const paid: Array<number> = []
  // What stands in the journal about a payment is a decision, and the rule is the other way round since.
  const decided = new Set<number>()
  const Pay = Tool.make("pay", {
    parameters: Schema.Struct({ usd: Schema.Int }),
    success: Schema.String,
    needsApproval: ({ usd }) => (decided.has(usd) ? usd <= 100 : usd > 100)
  })
  const Bank = Plugin.make("bank", { version: "1", toolkit: Toolkit.make(Pay) })
  const layer = Bank.toLayer({ pay: ({ usd }) => Effect.sync(() => (paid.push(usd), "paid")) })
  const Buyer = Agent.make("buyer", { instructions: "Buy.", tools: [Bank] })
  return { paid, decided, layer, Buyer }
}

const usdOf = (json: Schema.Json): number => [900, 150].find((usd) => JSON.stringify(json).includes(String(usd))) ?? 10

/** Where a process dies: its nth append, and whether that is written. */
interface Kill {
  readonly at: number
  readonly append: "lost" | "written"
}

/** Runs the agent to its end, killed as often as there are kills: a person approves 150, denies 900, and says of an uncertain call what the bank says. */
const buy = (thread: string, kills: ReadonlyArray<Kill>) =>
  Effect.gen(function* () {
    const { Buyer, decided, layer, paid } = makeShop()
    const script = ScriptedModel.layer(Array.from({ length: 2 + kills.length * 2 }, () => calls))
    const journal = yield* Journal.Journal
    const run = Thread.run(Buyer, { thread, input: { prompt: "Buy." } }).pipe(Effect.provide([layer, script]))
    for (let round = 0; round < 12; round++) {
      for (const { entry } of yield* Effect.orElseSucceed(journal.read(thread), () => [])) {
        if (entry._tag === "AskOpened") decided.add(usdOf(entry.question))
        if (entry._tag === "Intent") decided.add(usdOf(entry.detail))
      }
      const kill = kills[round]
      const service = kill === undefined ? journal : yield* CrashingJournal.make(journal, kill)
      const exit = yield* Effect.provideService(run, Journal.Journal, service).pipe(
        // Every other one is a process that holds nothing of the thread.
        Effect.provideService(Thread.WarmThreads, round % 2 === 0 ? 0 : 256),
        Effect.exit
      )
      if (Exit.isFailure(exit)) continue
      const ended = exit.value
      if (ended._tag === "Done") {
        const told = ended.state.messages.content.flatMap((message) =>
          message.role === "tool"
            ? message.content.flatMap((part) => (part.type === "tool-result" ? [[part.id, part.isFailure]] : []))
            : []
        )
        return { paid, told, entries: yield* journal.read(thread) }
      }
      for (const open of ended.asks) {
        const approval = Approval.of(open)
        const uncertain = Uncertain.of(open)
        const usd = usdOf(open.question)
        if (approval !== undefined) yield* Thread.answer(approval, { thread, value: { approved: usd === 150 } })
        else if (uncertain !== undefined) {
          const value = paid.includes(usd)
            ? { decision: "made" as const, result: "paid" }
            : { decision: "repeat" as const }
          yield* Thread.answer(uncertain, { thread, value })
        }
      }
    }
    return assert.fail("it did not come to an end")
  })

for (const { layer, name, skip } of stores("selvage_approvals_test")) {
  describe.skipIf(skip)(`on ${name}`, { timeout: 60_000 }, () => {
    it.effect(
      "a decision is made once: what was approved is paid once, what was denied never, and nothing is asked about twice",
      () =>
        Effect.gen(function* () {
          const kill = fc.record({
            at: fc.integer({ min: 1, max: 7 }),
            append: fc.constantFrom("lost" as const, "written" as const)
          })
          const lives = fc.sample(fc.array(kill, { maxLength: 4 }), name === "memory" ? 25 : 5)
          for (const [index, kills] of lives.entries()) {
            const { entries, paid, told } = yield* buy(`t-${index}`, kills)
            const where = `killed at ${JSON.stringify(kills)}`
            assert.deepStrictEqual(
              paid.toSorted((a, b) => a - b),
              [10, 150],
              where
            )
            assert.deepStrictEqual(
              told,
              [
                ["call_0", false],
                ["call_0", true],
                ["call_0", false]
              ],
              where
            )
            const asked = entries.flatMap(({ entry }) => (entry._tag === "AskOpened" ? [entry.name] : []))
            const approvals = asked.filter((name) => name.startsWith("approval:"))
            assert.deepStrictEqual(approvals.toSorted(), ["approval:call_0", "approval:call_0#2"], where)
          }
        }).pipe(Effect.provide(layer))
    )
  })
}

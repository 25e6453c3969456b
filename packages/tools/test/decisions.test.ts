// What was decided about a call stands in the journal; tools, rules and schemas that changed since count for later calls.
import { Channel, Graph, Journal, Thread } from "@selvage/core"
import { Approval, Dispatcher, Plugin, Registry, ToolCall, ToolOutcome, Uncertain } from "@selvage/tools"
import { assert, describe, it } from "@effect/vitest"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const USD = Schema.Struct({ usd: Schema.Int })
const Pay = Tool.make("pay", { parameters: USD, success: Schema.String })
const asks = { needsApproval: ({ usd }: { readonly usd: number }) => usd > 100 }
const never = { needsApproval: () => false }
const always = { needsApproval: true }

/** The tools as they are on one day: a plugin's name and its tools. */
interface Day {
  readonly plugin: string
  readonly tools: ReadonlyArray<Tool.Any>
}

const day = (...tools: ReadonlyArray<Tool.Any>): Day => ({ plugin: "bank", tools })

const payWith = (options: object) => Tool.make("pay", { parameters: USD, success: Schema.String, ...options })
const Renamed = Tool.make("transfer", { parameters: USD, success: Schema.String, ...asks })
const OtherParameters = Tool.make("pay", { parameters: Schema.Struct({ euros: Schema.Int }), success: Schema.String })
const Rule = payWith(asks)

/** A bank whose process can be killed in the middle of a payment or right after it. */
const makeBank = () => {
  const paid: Array<number> = []
  const keys = new Set<string | undefined>()
  let kill: "in the call" | "after the call" | "never" = "never"
  const handlers = (tools: ReadonlyArray<Tool.Any>) =>
    Object.fromEntries(
      tools.map(({ name }) => [
        name,
        ({ usd = 0 }: { readonly usd?: number }) =>
          Effect.flatMap(Effect.service(ToolCall.Current), (call) => {
            paid.push(usd)
            keys.add(call?.key)
            return kill === "in the call" ? Effect.die("killed") : Effect.succeed("paid")
          })
      ])
    )
  const run = (
    { plugin, tools }: Day,
    calls: ReadonlyArray<Dispatcher.Call>,
    killed: "in the call" | "after the call" | "never" = "never"
  ) => {
    kill = killed
    const Bank = Plugin.make(plugin, { version: "1", toolkit: Toolkit.make(...tools) })
    return Effect.gen(function* () {
      const registry = yield* Registry.make([Bank])
      const graph = Graph.make("calls", {
        state: { outcomes: Channel.append(ToolOutcome.ToolOutcome) },
        nodes: {
          act: () =>
            Effect.forEach(calls, (call) => Dispatcher.dispatch(registry, call)).pipe(
              Effect.tap(() => (kill === "after the call" ? Effect.die("killed") : Effect.void)),
              Effect.map((outcomes) => ({ outcomes }))
            )
        },
        edges: { start: "act", act: "end" }
      })
      return yield* Thread.run(graph, { thread: "t", input: {} })
    }).pipe(Effect.provide(Bank.toLayer(handlers(tools) as never)))
  }
  return { paid, keys, run }
}

const call = (usd: number, id = "c1") => ({ id, name: "pay", params: { usd } })
const only = (outcome: Thread.Outcome<{ readonly outcomes: ReadonlyArray<ToolOutcome.ToolOutcome> }>) => {
  assert.strictEqual(outcome._tag, "Done")
  return outcome.state.outcomes[0]
}
const answered = (approved: boolean) =>
  Thread.answer(Approval.ask("c1"), { thread: "t", value: approved ? { approved } : { approved, reason: "too dear" } })

const changes: Readonly<Record<string, Day>> = {
  "the rule asks for less": day(payWith(never)),
  "the rule is gone": day(Pay),
  "the rule asks for more": day(payWith(always)),
  "the tool is renamed": day(Renamed),
  "the tool takes other arguments": day(OtherParameters),
  "the plugin is renamed": { plugin: "payments", tools: [Rule] },
  "the tool became idempotent": day(payWith({ needsApproval: true }).annotate(Tool.Idempotent, true)),
  "nothing changed": day(Rule)
}
const gone = new Set(["the tool is renamed", "the tool takes other arguments"])

describe.each(Object.entries(changes))("%s, and a call", (name, later) => {
  it.effect("that was denied is denied", () => {
    const { paid, run } = makeBank()
    return Effect.gen(function* () {
      assert.strictEqual((yield* run(day(Rule), [call(150)]))._tag, "Waiting")
      yield* answered(false)
      const outcome = only(yield* run(later, [call(150)]))
      assert.strictEqual(outcome?.category, "ToolDenied")
      assert.include(JSON.stringify(outcome?.result), "too dear")
      assert.deepStrictEqual(paid, [])
    }).pipe(Effect.provide(Journal.layerMemory))
  })

  it.effect("that waits for an answer waits for it, and is asked about once", () => {
    const { paid, run } = makeBank()
    return Effect.gen(function* () {
      yield* run(day(Rule), [call(150)])
      const waiting = yield* run(later, [call(150)])
      assert.strictEqual(waiting._tag === "Waiting" ? waiting.asks.length : 0, 1)
      assert.deepStrictEqual(paid, [])
    }).pipe(Effect.provide(Journal.layerMemory))
  })

  it.effect("that was approved is made once, or said to be gone", () => {
    const { paid, run } = makeBank()
    return Effect.gen(function* () {
      yield* run(day(Rule), [call(150)])
      yield* answered(true)
      const outcome = only(yield* run(later, [call(150)]))
      assert.deepStrictEqual(paid, gone.has(name) ? [] : [150])
      assert.strictEqual(outcome?.isFailure, gone.has(name))
    }).pipe(Effect.provide(Journal.layerMemory))
  })

  it.effect("that was made is not asked about and not made again, whatever became of its tool", () => {
    const { paid, run } = makeBank()
    return Effect.gen(function* () {
      yield* Effect.exit(run(day(Rule), [call(50)], "after the call"))
      const outcome = only(yield* run(later, [call(50)]))
      assert.deepStrictEqual([outcome?.result, paid], ["paid", [50]])
    }).pipe(Effect.provide(Journal.layerMemory))
  })

  it.effect("that may have been made is asked about as that, once, and never for approval", () => {
    const { paid, run } = makeBank()
    return Effect.gen(function* () {
      yield* Effect.exit(run(day(Rule), [call(50)], "in the call"))
      for (const tools of [day(Rule), later]) {
        const waiting = yield* run(tools, [call(50)])
        assert.deepStrictEqual(waiting._tag === "Waiting" ? waiting.asks.map((open) => open.name) : [], [
          "uncertain:c1"
        ])
      }
      yield* Thread.answer(Uncertain.ask("c1"), { thread: "t", value: { decision: "made", result: "paid by hand" } })
      const outcome = only(yield* run(later, [call(50)]))
      assert.deepStrictEqual([outcome?.result, paid], ["paid by hand", [50]])
    }).pipe(Effect.provide(Journal.layerMemory))
  })

  it.effect("that a person says to repeat is made under its key, or said to be gone", () => {
    const { keys, paid, run } = makeBank()
    return Effect.gen(function* () {
      yield* Effect.exit(run(day(Rule), [call(50)], "in the call"))
      yield* run(later, [call(50)])
      yield* Thread.answer(Uncertain.ask("c1"), { thread: "t", value: { decision: "repeat" } })
      const outcome = only(yield* run(later, [call(50)]))
      assert.strictEqual(outcome?.isFailure, gone.has(name))
      assert.deepStrictEqual([paid.length, keys.size], [gone.has(name) ? 1 : 2, 1])
    }).pipe(Effect.provide(Journal.layerMemory))
  })
})

it.effect("an idempotent call that its rule let through is not asked about once the rule has changed", () => {
  const { paid, run } = makeBank()
  const idempotent = (rule: object) => day(payWith(rule).annotate(Tool.Idempotent, true))
  return Effect.gen(function* () {
    yield* Effect.exit(run(idempotent(asks), [call(50)], "in the call"))
    const outcome = only(yield* run(idempotent(always), [call(50)]))
    assert.deepStrictEqual([outcome?.result, paid], ["paid", [50, 50]])
  }).pipe(Effect.provide(Journal.layerMemory))
})

describe("calls with one id in one task", () => {
  it.effect("are calls of their own where their arguments differ", () => {
    const { keys, paid, run } = makeBank()
    const calls = [call(1), call(2), call(1), call(3, "c1#2")]
    return Effect.gen(function* () {
      yield* Effect.exit(run(day(Pay), calls, "after the call"))
      const ended = yield* run(day(Pay), calls)
      assert.deepStrictEqual(ended._tag === "Done" ? ended.state.outcomes.map(({ id }) => id) : [], [
        "c1",
        "c1",
        "c1",
        "c1#2"
      ])
      assert.deepStrictEqual([paid, keys.size], [[1, 2, 3], 3])
    }).pipe(Effect.provide(Journal.layerMemory))
  })

  it.effect("and an approval of one of them is not that of another", () => {
    const { paid, run } = makeBank()
    return Effect.gen(function* () {
      yield* run(day(Rule), [call(150)])
      yield* answered(true)
      const waiting = yield* run(day(Rule), [call(900)])
      assert.strictEqual(waiting._tag, "Waiting")
      assert.deepStrictEqual(paid, [])
    }).pipe(Effect.provide(Journal.layerMemory))
  })

  it("have names of their own that no other id has, in any order", () => {
    assert.deepStrictEqual(Dispatcher.distinct(["a", "b"]), ["a", "b"])
    assert.deepStrictEqual(Dispatcher.distinct(["a", "a", "a#2", "a"]), ["a", "a#3", "a#2", "a#4"])
    const long = "x".repeat(1_000_000)
    const names = Dispatcher.distinct([`${long}1`, `${long}2`, `${long}1`, "", ""])
    assert.lengthOf(new Set(names), 5)
    for (const name of names) assert.isAtMost(name.length, 140)
  })
})

it.effect("names, ids and arguments of a model are bounded where they enter the journal", () => {
  const { paid, run } = makeBank()
  const huge = "x".repeat(1_000_000)
  const calls = [
    { id: "a", name: huge, params: {} },
    { id: huge, name: "pay", params: { usd: 1 } },
    { id: "b", name: "pay", params: { usd: 1, note: "x".repeat(1_100_000) } },
    { id: "c", name: "pay", params: `{"usd": 1, ${huge}` }
  ]
  return Effect.gen(function* () {
    const ended = yield* run(day(Pay), calls)
    assert.deepStrictEqual(
      ended._tag === "Done" ? ended.state.outcomes.map(({ category }) => category ?? "made") : [],
      ["ToolNotFound", "made", "ToolArgumentsInvalid", "ToolArgumentsInvalid"]
    )
    assert.deepStrictEqual(paid, [1])
    const journal = yield* Journal.Journal
    assert.isBelow(JSON.stringify(yield* journal.read("t")).length, 300_000)
  }).pipe(Effect.provide(Journal.layerMemory))
})

it.effect("ids and names that are made to look like another call's are calls of their own", () => {
  const { paid, run } = makeBank()
  const nul = String.fromCharCode(0)
  const calls = [
    { id: `c]${nul}tool:d`, name: "pay", params: { usd: 1 } },
    { id: "c", name: "pay", params: { usd: 2 } },
    { id: `c${nul}`, name: "pay", params: { usd: 3 } },
    { id: "", name: "pay", params: { usd: 4 } },
    { id: "__proto__", name: "pay", params: { usd: 5 } },
    { id: "\ud800", name: "pay", params: { usd: 6 } },
    { id: "d", name: `pay]${nul}tool:c`, params: { usd: 7 } }
  ]
  return Effect.gen(function* () {
    yield* Effect.exit(run(day(Pay), calls, "after the call"))
    const ended = yield* run(day(Pay), calls)
    assert.deepStrictEqual(paid, [1, 2, 3, 4, 5, 6])
    const outcomes = ended._tag === "Done" ? ended.state.outcomes : []
    assert.deepStrictEqual(
      outcomes.map(({ id }) => id),
      calls.map(({ id }) => id)
    )
    assert.strictEqual(outcomes[6]?.category, "ToolNotFound")
  }).pipe(Effect.provide(Journal.layerMemory))
})

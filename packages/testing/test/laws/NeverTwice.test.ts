// Law 4. If the process dies between the intent of a call and its result, the resumed thread does not repeat the call: it
// asks, or looks. A call that declares itself idempotent has the same key on every attempt.
import { Journal } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { build, type GraphPlan } from "../../src/internal/simulation/plan.ts"
import { plans } from "./plans.ts"
import {
  type Death,
  drive,
  entriesOf,
  factsOf,
  holds,
  Ledger,
  live,
  makeProcess,
  mortal,
  placeOfCall,
  stores,
  worldOf
} from "./worlds.ts"

/** Lives a thread through a death to its end; `false` if there was no such append. */
const dieOnce = Effect.fnUntraced(function* (plan: GraphPlan, thread: string, death: Death, expected: string) {
  const journal = yield* Journal.Journal
  const ledger = new Ledger()
  const process = makeProcess()
  const dying = drive(build(plan, worldOf(ledger, { process })), thread, ledger)
  const exit = yield* live(process, Effect.provideService(dying, Journal.Journal, mortal(journal, process, death)))
  if (exit !== undefined) {
    assert.ok(Exit.isSuccess(exit), String(exit))
    return false
  }
  const { intended, recorded } = factsOf(yield* entriesOf(journal, thread))
  const open = Array.from(intended).filter((place) => !recorded.has(place))
  const state = yield* drive(build(plan, worldOf(ledger)), thread, ledger)
  assert.strictEqual(JSON.stringify(state), expected, thread)
  const twice = Array.from(ledger.calls).filter(([, times]) => times !== 1)
  assert.deepStrictEqual(twice, [], `${thread}: calls that were not made once`)
  const unstable = Array.from(ledger.keys).filter(([, keys]) => keys.size !== 1)
  assert.deepStrictEqual(unstable, [], `${thread}: keys that changed`)
  const asked = (yield* entriesOf(journal, thread)).flatMap((entry) =>
    entry._tag === "AskOpened" && entry.kind === "uncertain" ? [placeOfCall(entry.question)] : []
  )
  // Asked of each call that nobody knows of and that cannot be looked up, once; and of no other.
  const uncertain = open.filter((place) => operationAt(plan, place) === "call")
  assert.deepStrictEqual(asked.sort(), uncertain.sort(), `${thread}: what was asked`)
  return true
})

/** What the node of a place does; its task's path leads there from the root. */
const operationAt = (plan: GraphPlan, place: string): string | undefined => {
  const [path = "", , task = ""] = place.split("|")
  const graphs = path.split("/").slice(0, -1)
  let graph: GraphPlan | undefined = plan
  for (const segment of graphs) {
    const name = segment.replace(/@.*$/, "")
    graph = graph?.stages.flatMap((stage) => (stage._tag === "Graph" && stage.name === name ? [stage.graph] : []))[0]
  }
  const node = task.replace(/\[.*$/, "")
  const nodes = graph?.stages.flatMap((stage) => {
    switch (stage._tag) {
      case "Graph":
        return []
      case "Parallel":
        return [...stage.branches.flat(), stage.join]
      case "Routed":
        return [stage.node, stage.recover]
      default:
        return [stage.node]
    }
  })
  return nodes?.find(({ name }) => name === node)?.operation
}

for (const store of stores("selvage_law_never_twice_test")) {
  const memory = store.name === "memory"

  describe.skipIf(store.skip)(`Law 4 on ${store.name}: a call is never made twice in silence`, () => {
    it.live("at whatever append the process dies, before or after it", () =>
      holds(
        plans({ operations: ["call", "lookUp", "put", "call", "ask"], stages: 2, depth: 1 }),
        store,
        { memory: 12, other: 2 },
        Effect.fnUntraced(function* (plan, thread) {
          const calm = new Ledger()
          const expected = JSON.stringify(yield* drive(build(plan, worldOf(calm)), `${thread} calm`, calm))
          // Elsewhere an append costs more: some of them.
          const stride = memory ? 1 : 4
          for (const when of ["before", "after"] as const) {
            let at = 1
            while (yield* dieOnce(plan, `${thread} dies ${when} ${at}`, { at, when }, expected)) at += stride
          }
        })
      ).pipe(Effect.provide(store.layer))
    )
  })
}

import { assert, describe, it } from "@effect/vitest"
import type { Entry } from "@selvage/core/Entry"
import { Journal } from "@selvage/core"
import { Simulation } from "@selvage/testing"
import * as Effect from "effect/Effect"
import { runs } from "./measures.ts"

type Service = Journal.Journal["Service"]

const violations = async (from: number, seeds: number, journal?: (journal: Service) => Service) => {
  const found: Array<string> = []
  for (let seed = from; seed < from + seeds; seed++) {
    const report = await Simulation.run(seed, { journal })
    for (const violation of report.violations) found.push(`seed ${seed}: ${violation}`)
    if (found.length > 0) return found
  }
  return found
}

describe("Simulation", () => {
  it("finds nothing wrong", async () => {
    assert.deepStrictEqual(await violations(1, runs(60)), [])
  })

  it("is the same world each time for the same seed", async () => {
    for (const seed of [3, 42, 1234]) {
      assert.deepStrictEqual(await Simulation.run(seed), await Simulation.run(seed))
    }
  })

  it("injects every kind of fault", async () => {
    const kinds = new Set<string>()
    for (let seed = 1; seed <= 60; seed++) {
      for (const kind of Object.keys((await Simulation.run(seed)).faults)) kinds.add(kind)
    }
    assert.deepStrictEqual(Array.from(kinds).sort(), [
      "acknowledgement lost",
      "append lost",
      "append slow",
      "crash",
      "frozen",
      "interrupt",
      "node failed",
      "node slow",
      "read failed",
      "request slow"
    ])
  })

  describe("finds out a journal", () => {
    // What a reader gets of each entry.
    const reading =
      (change: (entry: Entry) => Entry) =>
      (journal: Service): Service =>
        Journal.Journal.of({
          ...journal,
          read: (thread, range) =>
            Effect.map(journal.read(thread, range), (entries) =>
              entries.map((sequenced) => ({ ...sequenced, entry: change(sequenced.entry) }))
            )
        })

    it("that appends without comparing", async () => {
      const blind = (journal: Service): Service =>
        Journal.Journal.of({
          ...journal,
          append: (thread, expected, entries) =>
            journal.info(thread).pipe(
              Effect.map(({ head }) => head),
              Effect.catchTag("ThreadNotFound", () => Effect.succeed(expected)),
              Effect.flatMap((head) => journal.append(thread, head, entries))
            )
        })
      assert.isNotEmpty(await violations(1, 40, blind))
    })

    it("that forgets intents", async () => {
      const forgetful = reading((entry) => (entry._tag === "Intent" ? { _tag: "AskExpired", ask: "" } : entry))
      assert.isNotEmpty(await violations(1, 120, forgetful))
    })

    it("that forgets recorded results", async () => {
      const forgetful = reading((entry) => (entry._tag === "Recorded" ? { _tag: "AskExpired", ask: "" } : entry))
      assert.isNotEmpty(await violations(1, 120, forgetful))
    })

    it("that forgets finished tasks", async () => {
      const forgetful = reading((entry) => (entry._tag === "TaskCompleted" ? { _tag: "AskExpired", ask: "" } : entry))
      assert.isNotEmpty(await violations(1, 120, forgetful))
    })

    it("that loses what it acknowledged", async () => {
      let appends = 0
      const lossy = (journal: Service): Service =>
        Journal.Journal.of({
          ...journal,
          append: (thread, expected, entries, options) => {
            const changed = entries.map((entry) =>
              entry._tag === "StepCommitted" && ++appends % 5 === 0
                ? { ...entry, results: entry.results.map((result) => ({ ...result, update: {} })) }
                : entry
            )
            return journal.append(thread, expected, [changed[0]!, ...changed.slice(1)], options)
          }
        })
      assert.isNotEmpty(await violations(1, 60, lossy))
    })
  })
})

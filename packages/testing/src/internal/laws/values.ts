/** Laws of what entries and names may hold. */
import type { Entry } from "@selvage/core/Entry"
import * as Journal from "@selvage/core/Journal"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { equal, type Law, law, LawBroken, patched, started } from "./law.ts"

const graph = { name: "g", channels: { a: "last" }, nodes: ["n", "m"] }
const at = { path: "outer@1/", step: 2, task: "n[k]" }

const kinds: readonly [Entry, ...Array<Entry>] = [
  { _tag: "RunStarted", graph, input: { a: [1, { b: null }] }, run: "r-1" },
  { _tag: "FrameStarted", path: at.path, graph, input: {} },
  { _tag: "TaskCompleted", path: "", step: 1, result: { task: "n", node: "n", update: { a: 1.5e-7 } } },
  {
    _tag: "StepCommitted",
    path: "",
    step: 1,
    tasks: ["n", "m"],
    results: [{ task: "m", node: "m", failure: { tag: "Boom", error: { deep: [true, false] } } }]
  },
  { _tag: "TaskFailed", ...at, tag: "Boom", message: "no" },
  { _tag: "Intent", ...at, key: "k", detail: null },
  { _tag: "Recorded", ...at, key: "k", value: -0.1 },
  { _tag: "AskOpened", ...at, ask: "a-1", name: "a", kind: "uncertain", question: "?" },
  { _tag: "AskAnswered", ask: "a-1", value: [] },
  { _tag: "Patched", updates: {} },
  { _tag: "Forked", from: "somewhere", at: 3 },
  { _tag: "RunFinished", outcome: "waiting" }
]

const strange: ReadonlyArray<string> = [
  "",
  "\u0000",
  "\u0000\u0000 twice",
  "\u0000#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
  "inside \u0000 it",
  "\ud800",
  "tail \udfff",
  "\ud83d\ude00 and \ude00\ud83d",
  "\u2028\u2029\ufeff\uffff",
  "e\u0301 is not \u00e9",
  "\u202eright to left",
  '"\\u0000" \\ / \b\f\n\r\t',
  "'; DROP TABLE selvage_entries; --",
  "${x} $1 ? :a @b"
]

const hold = Effect.fnUntraced(function* (
  journal: Journal.Journal["Service"],
  thread: string,
  entries: readonly [Entry, ...Array<Entry>]
) {
  yield* journal.append(thread, 0, entries)
  yield* equal(
    "the entries",
    (yield* journal.read(thread)).map(({ entry }) => entry),
    entries
  )
  yield* equal("findings", yield* journal.check(thread), [])
  yield* journal.fork(thread, entries.length, `${thread} fork`)
  const forked = yield* journal.read(`${thread} fork`, { until: entries.length })
  yield* equal(
    "the entries of a fork",
    forked.map(({ entry }) => entry),
    entries
  )
  const lines = yield* Stream.runCollect(Journal.exportThread(thread))
  yield* Journal.importThread(Stream.fromIterable(lines), { as: `${thread} copy` })
  yield* equal("the copy of an export", yield* journal.read(`${thread} copy`), yield* journal.read(thread))
})

const big = (seed: string): string => `${seed}${"0123456789abcdef".repeat(65_536)}`

const largeValues: ReadonlyArray<Schema.Json> = [
  big("a file"),
  { file: { name: "a", content: big("a file") }, note: "small" },
  Array.from({ length: 5000 }, (_, index) => index),
  Array.from({ length: 3 }, () => ({ pages: Array.from({ length: 30 }, () => "x".repeat(5000)) })),
  `\u0000${"nul first ".repeat(1000)}`,
  { [`key ${"k".repeat(5000)}`]: 1, "\u0000": "\u0000" },
  ["\u0000#", "\u0000", { deep: [[[["é\ud800".repeat(3000)]]]] }]
]

export const values: ReadonlyArray<Law> = [
  law("entries of every kind come back as they were, from reads, forks and exports", (journal) =>
    hold(journal, "t", kinds)
  ),
  law("any string is a value or a key", (journal) =>
    hold(journal, "t", [
      started("g"),
      ...strange.map((value): Entry => ({ _tag: "Patched", updates: { value, [value]: [value, { [value]: value }] } }))
    ])
  ),
  law("large values come back as they were", (journal) =>
    hold(journal, "t", [
      started("g"),
      ...largeValues.map((value): Entry => ({ _tag: "Recorded", path: "", step: 1, task: "t", key: "k", value }))
    ])
  ),
  law("any string is the name of a thread, or is refused", (journal) =>
    Effect.gen(function* () {
      const names = [...strange, "n".repeat(2000), "a/b", "%", "_"]
      const taken: Array<string> = []
      for (const [index, name] of names.entries()) {
        const exit = yield* Effect.exit(journal.append(name, 0, [patched(index)]))
        if (Exit.isSuccess(exit)) taken.push(name)
        else if (
          !exit.cause.reasons.every((reason) => reason._tag === "Fail" && reason.error._tag === "JournalUnavailable")
        )
          return yield* new LawBroken({
            what: `the name ${JSON.stringify(name)}`,
            expected: "a thread, or JournalUnavailable",
            actual: String(exit.cause)
          })
      }
      for (const name of taken) {
        const entries = (yield* journal.read(name)).map(({ entry }) => entry)
        yield* equal(`thread ${JSON.stringify(name)}`, entries, [patched(names.indexOf(name))])
        yield* equal("its name", (yield* journal.info(name)).thread, name)
      }
      const listed = yield* Stream.runCollect(journal.threads())
      yield* equal("the names listed", listed.map(({ thread }) => thread).toSorted(), taken.toSorted())
    })
  )
]

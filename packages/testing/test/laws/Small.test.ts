// Law 5. Bytes appended per step are proportional to the update, never to the state or the length of the history. Opening
// a thread costs O(state + entries since the last snapshot).
import { Channel, Edge, Graph, Journal, Node, Thread } from "@selvage/core"
import type { Entry } from "@selvage/core/Entry"
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { entriesOf, holds, type Service, stores } from "./worlds.ts"

/** What each step writes, by as many tasks as there are items. */
interface Update {
  readonly lines: ReadonlyArray<string>
  readonly keys: ReadonlyArray<string>
  readonly said: string
  readonly tasks: number
  readonly concurrency: number | undefined
}

const text = fc.string({ maxLength: 20 })

const updates: fc.Arbitrary<Update> = fc.record({
  lines: fc.array(text, { maxLength: 3 }),
  keys: fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), { maxLength: 3 }),
  said: text,
  tasks: fc.integer({ min: 1, max: 3 }),
  concurrency: fc.constantFrom(undefined, 1)
})

// Steps from 10 to 98: each number has two digits, so that it is no reason for another size.
const first = 10
const last = 98

/** A graph whose state grows with each step: in a list, a record, a conversation and a sum. */
const growing = (update: Update, steps: number) => {
  const next = ({ step }: { readonly step: number }) =>
    step < first + steps
      ? Edge.fanOut(
          "write",
          Array.from({ length: update.tasks }, (_, index) => `${step} ${index}`),
          update.concurrency === undefined ? {} : { concurrency: update.concurrency }
        )
      : "end"
  return Graph.make("growing", {
    state: {
      lines: Channel.append(Schema.String),
      levels: Channel.map(Schema.String),
      talk: Channel.messages,
      total: Channel.sum,
      first: Channel.last(Schema.String),
      step: Channel.last(Schema.Int, { initial: first })
    },
    nodes: {
      write: Node.make(Schema.String, (place) => {
        const written = Effect.succeed({
          lines: update.lines,
          levels: Object.fromEntries(update.keys.map((key) => [`${key} ${place}`, place])),
          talk: Prompt.make(update.said),
          total: 1
        })
        // Done at once, or one after the other: how many entries a step has is not left to chance.
        return update.concurrency === undefined ? written : Effect.andThen(Effect.yieldNow, written)
      }),
      count: ({ step }) => Effect.succeed({ step: step + 1 })
    },
    edges: { start: (state) => next(state), write: "count", count: (state) => next(state) }
  })
}

/** The bytes of what each step of the root appended, in order. */
const bytesPerStep = (entries: ReadonlyArray<Entry>) => {
  const bytes: Array<number> = []
  let step = 0
  for (const entry of entries) {
    if (entry._tag === "RunStarted") continue
    step += Buffer.byteLength(JSON.stringify(entry))
    if (entry._tag !== "StepCommitted") continue
    bytes.push(step)
    step = 0
  }
  return bytes
}

/** Counts the entries that are read of a thread. */
const counting = (journal: Service) => {
  const read = { entries: 0, bytes: 0 }
  const service = Journal.Journal.of({
    ...journal,
    read: (thread, range) =>
      Effect.tap(journal.read(thread, range), (entries) =>
        Effect.sync(() => {
          read.entries += entries.length
          read.bytes += Buffer.byteLength(JSON.stringify(entries.map(({ entry }) => entry)))
        })
      )
  })
  return { read, service }
}

for (const store of stores("selvage_law_small_test")) {
  describe.skipIf(store.skip)(`Law 5 on ${store.name}: a step costs what it writes`, () => {
    it.live("the entries of a step have the same bytes, however long the history and however large the state", () =>
      holds(
        fc.tuple(updates, fc.array(text, { maxLength: 50 }), fc.string({ maxLength: 2000 })),
        store,
        { memory: 10, other: 1 },
        Effect.fnUntraced(function* ([update, lines, large], thread) {
          const journal = yield* Journal.Journal
          const graph = growing(update, (last - first) / 2)
          yield* Thread.run(graph, { thread: `${thread} small`, input: { first: "" } })
          const levels = Object.fromEntries(lines.map((line, index) => [`${index}${line}`, line]))
          const talk = Prompt.make(lines.join(" "))
          yield* Thread.run(graph, { thread: `${thread} large`, input: { first: large, lines, levels, talk } })
          const [small, big] = yield* Effect.forEach(["small", "large"], (name) =>
            entriesOf(journal, `${thread} ${name}`)
          )
          // The state is no part of what a step appends.
          assert.deepStrictEqual(bytesPerStep(big!), bytesPerStep(small!))
          // Nor is what came before. The names of the first steps are shorter.
          const bytes = bytesPerStep(small!).slice(first)
          const writes = bytes.filter((_, index) => index % 2 === 0).slice(0, -1)
          assert.deepStrictEqual(
            writes,
            writes.map(() => writes[0]!)
          )
          const counts = bytes.filter((_, index) => index % 2 === 1).slice(0, -1)
          assert.deepStrictEqual(
            counts,
            counts.map(() => counts[0]!)
          )
        })
      ).pipe(Effect.provide(store.layer))
    )
  })
}

const policy = { entries: 20, bytes: 1_000_000 }

for (const store of stores("selvage_law_small_open_test", policy)) {
  describe.skipIf(store.skip)(`Law 5 on ${store.name}: opening a thread costs its state and what came since`, () => {
    it.live("no more entries are read than the snapshot policy leaves, after any number of runs", () =>
      holds(
        fc.tuple(updates, fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 6, maxLength: 14 })),
        store,
        { memory: 10, other: 2 },
        Effect.fnUntraced(function* ([update, turns], thread) {
          const journal = yield* Journal.Journal
          let steps = 0
          // How many came since the snapshot, as the turn before left the thread.
          let before = 0
          for (const turn of turns) {
            steps += turn
            const graph = growing(update, steps)
            const { read, service } = counting(journal)
            // A process of its own for each turn.
            yield* Thread.run(graph, { thread, input: steps === turn ? { first: "" } : { first: "again" } }).pipe(
              Effect.provideService(Journal.Journal, service),
              Effect.provideService(Thread.WarmThreads, 0)
            )
            const opened = counting(journal)
            const { step } = yield* Thread.state(graph, { thread }).pipe(
              Effect.provideService(Journal.Journal, opened.service)
            )
            assert.strictEqual(step, first + steps)
            const { head } = yield* journal.info(thread)
            const snapshot = Option.getOrUndefined(yield* journal.snapshot(thread))
            const since = head - (snapshot?.seq ?? 0)
            // Those after the snapshot, each once; a thread as short as this is read without one.
            assert.isAtMost(opened.read.entries, Math.max(16, since))
            // The policy waits for as many bytes as the last snapshot took, so that all of them together cost no more than
            // the entries; stores count them in their own form.
            const waiting = 2 * Buffer.byteLength(JSON.stringify(snapshot?.value ?? ""))
            assert.isTrue(
              since < policy.entries + update.tasks + 1 || opened.read.bytes < waiting,
              `${since} entries of ${opened.read.bytes} bytes since a snapshot that has ${waiting / 2}`
            )
            assert.isAtMost(read.entries, Math.max(16, before))
            before = since
          }
        })
      ).pipe(Effect.provide(store.layer))
    )
  })
}

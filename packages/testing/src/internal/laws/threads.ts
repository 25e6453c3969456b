/** Laws of whole threads: forks, removal, snapshots, lists, export, restore. */
import type { Sequenced } from "@selvage/core/Entry"
import * as Journal from "@selvage/core/Journal"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { equal, extend, failsWith, finished, type Law, law, LawBroken, patched, range, seqs, started } from "./law.ts"

const list = (journal: Journal.Journal["Service"], filter?: Journal.ThreadFilter) =>
  Effect.map(Stream.runCollect(journal.threads(filter)), (infos) => infos.map(({ thread }) => thread))

const forks: ReadonlyArray<Law> = [
  law("a fork has the first entries of another thread, and neither disturbs the other", (journal) =>
    Effect.gen(function* () {
      yield* journal.append("t", 0, [started("g"), patched(2), patched(3), patched(4)])
      const original = yield* journal.read("t")
      yield* equal("the head of the fork", yield* journal.fork("t", 2, "f"), 3)
      const forked = yield* journal.read("f")
      yield* equal("the prefix", forked.slice(0, 2), original.slice(0, 2))
      yield* equal("the last entry", forked[2]?.entry, { _tag: "Forked", from: "t", at: 2 })
      yield* extend(journal, "f", 3, 2)
      yield* equal("the original", yield* journal.read("t"), original)
      yield* extend(journal, "t", 4, 1)
      yield* equal("the fork", seqs(yield* journal.read("f")), range(1, 5))
      const [one, other] = yield* Effect.all([journal.info("t"), journal.info("f")])
      yield* equal("whether the ids are the same", one.id === other.id, false)
    })
  ),
  law("a fork of a fork outlives both", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "a", 0, 5)
      yield* journal.fork("a", 3, "b")
      yield* journal.fork("b", 4, "c")
      const before = yield* journal.read("c")
      yield* equal(
        "its tags",
        before.map(({ entry }) => entry._tag),
        ["Patched", "Patched", "Patched", "Forked", "Forked"]
      )
      yield* journal.remove("a")
      yield* journal.remove("b")
      yield* equal("the fork of the fork", yield* journal.read("c"), before)
      yield* equal("findings", yield* journal.check("c"), [])
    })
  ),
  law("a fork with a patch has it from the beginning", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 2)
      yield* equal("the head", yield* journal.fork("t", 1, "f", { updates: { n: 7 }, node: "count" }), 3)
      yield* equal(
        "the entries",
        (yield* journal.read("f")).map(({ entry }) => entry),
        [patched(1), { _tag: "Forked", from: "t", at: 1 }, { _tag: "Patched", updates: { n: 7 }, node: "count" }]
      )
    })
  ),
  law("a fork at an entry that is not there, or under a name that is taken, is refused and leaves nothing", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 2)
      yield* extend(journal, "taken", 0, 1)
      for (const at of [0, 3]) {
        const error = yield* failsWith("EntryNotFound", `at ${at}`, journal.fork("t", at, "f"))
        yield* equal("what it says", [error.thread, error.seq, error.head], ["t", at, 2])
      }
      yield* failsWith("ThreadExists", "a name that is taken", journal.fork("t", 1, "taken", { updates: { n: 1 } }))
      yield* failsWith("ThreadExists", "its own name", journal.fork("t", 1, "t"))
      yield* failsWith("ThreadNotFound", "the fork", journal.info("f"))
      yield* equal("the other", seqs(yield* journal.read("taken")), [1])
    })
  ),
  law("a fork while the thread is removed is whole, or is not there", (journal) =>
    Effect.gen(function* () {
      for (const n of range(1, 10)) {
        yield* extend(journal, `t-${n}`, 0, 20)
        yield* Effect.all([Effect.exit(journal.fork(`t-${n}`, 15, `f-${n}`)), journal.remove(`t-${n}`)], {
          concurrency: 2
        })
        const read = yield* Effect.result(journal.read(`f-${n}`))
        if (read._tag === "Success") yield* equal("the fork", seqs(read.success), range(1, 16))
        else yield* equal("why there is no fork", read.failure._tag, "ThreadNotFound")
      }
    })
  )
]

const removal: ReadonlyArray<Law> = [
  law("a thread is removed with all that belongs to it, and only it", (journal) =>
    Effect.gen(function* () {
      for (const thread of ["a", "ab", "b"]) yield* extend(journal, thread, 0, 3)
      yield* journal.keepSnapshot("a", 2, 1)
      yield* journal.remove("a")
      yield* failsWith("ThreadNotFound", "the thread", journal.read("a"))
      yield* equal("its snapshot", (yield* journal.snapshot("a"))._tag, "None")
      for (const thread of ["ab", "b"]) yield* equal(thread, seqs(yield* journal.read(thread)), [1, 2, 3])
      yield* equal("the list", (yield* list(journal)).toSorted(), ["ab", "b"])
    })
  ),
  law("a removal of a thread as it was is refused once it has moved", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 2)
      const conflict = yield* failsWith("JournalConflict", "at 1", journal.remove("t", { head: 1 }))
      yield* equal("where it stands", conflict.actual, 2)
      yield* journal.remove("t", { head: 2 })
      yield* failsWith("ThreadNotFound", "the thread", journal.info("t"))
    })
  )
]

const snapshots: ReadonlyArray<Law> = [
  law("the last snapshot is kept, an older one or one from the future is not", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 9)
      const kept = Effect.map(journal.snapshot("t"), (snapshot) =>
        snapshot._tag === "None" ? undefined : [snapshot.value.seq, snapshot.value.value]
      )
      yield* equal("at first", yield* kept, undefined)
      yield* journal.keepSnapshot("t", 4, { four: ["\u0000", null] })
      yield* equal("one", yield* kept, [4, { four: ["\u0000", null] }])
      yield* journal.keepSnapshot("t", 3, "older")
      yield* journal.keepSnapshot("t", 10, "from the future")
      yield* equal("after an older one and one from the future", yield* kept, [4, { four: ["\u0000", null] }])
      yield* journal.keepSnapshot("t", 9, 9)
      yield* equal("a newer one", yield* kept, [9, 9])
      yield* equal("the entries", seqs(yield* journal.read("t")), range(1, 9))
    })
  ),
  law("no snapshot is due right after one was kept", (journal) =>
    Effect.gen(function* () {
      for (let head = 0; head < 600; head += 3) {
        const { id, snapshotDue } = yield* extend(journal, "t", head, 3)
        if (!snapshotDue) continue
        yield* journal.keepSnapshot("t", head + 3, { n: head }, { id })
        yield* equal("due again", (yield* extend(journal, "t", head + 3, 3)).snapshotDue, false)
        return
      }
    })
  )
]

const restored = (now: number, days: number, last: Sequenced["entry"]): ReadonlyArray<Sequenced> => {
  const at = now - days * 86_400_000
  return [
    { seq: 1, at: at - 5, entry: started("old") },
    { seq: 2, at, entry: last }
  ]
}

const moving: ReadonlyArray<Law> = [
  law("an exported thread is imported byte for byte, under its name or another", (journal) =>
    Effect.gen(function* () {
      yield* journal.append("t", 0, [started("g"), patched(2)])
      yield* extend(journal, "t", 2, 600)
      const lines = yield* Stream.runCollect(Journal.exportThread("t"))
      yield* equal("the number of lines", lines.length, 603)
      const info = yield* Journal.importThread(Stream.fromIterable([...lines, "", "  "]), { as: "copy" })
      yield* equal("what it is", [info.graph, info.head], ["g", 602])
      const again = yield* Stream.runCollect(Journal.exportThread("copy"))
      yield* equal("the entries", again.slice(1), lines.slice(1))
      yield* equal("findings", yield* journal.check("copy"), [])
      yield* failsWith("ThreadExists", "the old name", Journal.importThread(Stream.fromIterable(lines)))
      yield* journal.remove("t")
      yield* Journal.importThread(Stream.fromIterable(lines))
      yield* equal("the thread", yield* Stream.runCollect(Journal.exportThread("t")), lines)
      yield* extend(journal, "t", 602, 1)
    })
  ),
  law("an import says which line is wrong, and makes nothing", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 3)
      const lines = yield* Stream.runCollect(Journal.exportThread("t"))
      const [header = "", one = "", two = "", three = ""] = lines
      const wrong: ReadonlyArray<readonly [number, ReadonlyArray<string>]> = [
        [1, []],
        [1, [one, two]],
        [1, [header.replace('"version":1', '"version":2'), one, two, three]],
        [3, [header, one, three]],
        [3, [header, one, "{", three]],
        [3, [header, one, two.replace("Patched", "Unheard"), three]],
        [4, [header, one, two]],
        [6, [header, one, two, three, three.replace('"seq":3', '"seq":4')]]
      ]
      for (const [line, text] of wrong) {
        const imported = Journal.importThread(Stream.fromIterable(text), { as: "copy" })
        yield* equal(`the line of ${text.length}`, (yield* failsWith("ImportInvalid", "import", imported)).line, line)
      }
      yield* failsWith("ThreadNotFound", "the copy", journal.info("copy"))
    })
  ),
  law("a restore refuses gaps, nothing at all, and a name that is taken", (journal) =>
    Effect.gen(function* () {
      const entry = (seq: number): Sequenced => ({ seq, at: seq, entry: patched(seq) })
      const wrong = [[], [entry(2)], [entry(1), entry(3)], [entry(1), entry(1)], [entry(2), entry(1)]]
      for (const entries of wrong) {
        yield* failsWith("RestoreInvalid", `of ${seqs(entries).join(", ")}`, journal.restore("t", entries))
      }
      yield* failsWith("ThreadNotFound", "the thread", journal.info("t"))
      yield* journal.restore("t", [entry(1), entry(2)])
      yield* equal("the entries", yield* journal.read("t"), [entry(1), entry(2)])
      yield* failsWith("ThreadExists", "once more", journal.restore("t", [entry(1)]))
    })
  )
]

const lists: ReadonlyArray<Law> = [
  law("a list of many threads has each once", (journal) =>
    Effect.gen(function* () {
      const names = range(1, 700).map((n) => `t-${n}`)
      yield* Effect.forEach(names, (thread) => journal.append(thread, 0, [started("g")]), { concurrency: "unbounded" })
      yield* equal("the list", (yield* list(journal)).toSorted(), names.toSorted())
      yield* equal("of another graph", yield* list(journal, { graph: "other" }), [])
    })
  ),
  law("a list has the thread changed last first, and can be narrowed", (journal) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      for (const days of [3, 1, 2, 9]) yield* journal.restore(`t-${days}`, restored(now, days, patched(1)))
      yield* journal.restore("waiting", restored(now, 5, finished("waiting")))
      yield* journal.append("new", 0, [started("new")])
      yield* equal("all", yield* list(journal), ["new", "t-1", "t-2", "t-3", "waiting", "t-9"])
      const before = now - 2.5 * 86_400_000
      yield* equal("changed before", yield* list(journal, { updatedBefore: before }), ["t-3", "waiting", "t-9"])
      yield* equal("waiting", yield* list(journal, { status: "waiting" }), ["waiting"])
      yield* equal("of a graph", yield* list(journal, { graph: "new" }), ["new"])
      const all = { status: "unfinished", graph: "old", updatedBefore: before } as const
      yield* equal("all of it", yield* list(journal, all), ["t-3", "t-9"])
    })
  ),
  law("a sound journal has no findings", (journal) =>
    Effect.gen(function* () {
      yield* extend(journal, "t", 0, 600)
      yield* journal.fork("t", 300, "f", { updates: { n: 1 } })
      yield* equal("all findings", yield* Stream.runCollect(Journal.checkAll), [])
    })
  )
]

/** For journals that keep threads whose run is over. */
const finishedThreads: ReadonlyArray<Law> = [
  law("a thread has the status of its last run and the graph of it", (journal) =>
    Effect.gen(function* () {
      let head = 0
      const step = Effect.fnUntraced(function* (entry: Sequenced["entry"], status: string, graph: string) {
        yield* journal.append("t", head++, [entry])
        const info = yield* journal.info("t")
        yield* equal(`after ${entry._tag}`, [info.status, info.graph, info.head], [status, graph, head])
        yield* equal("in the list", (yield* Stream.runCollect(journal.threads()))[0]?.status, status)
      })
      yield* step(started("one"), "unfinished", "one")
      yield* step(finished("waiting"), "waiting", "one")
      yield* step({ _tag: "AskAnswered", ask: "a", value: 1 }, "unfinished", "one")
      yield* step(finished("failed"), "failed", "one")
      yield* step(patched(1), "failed", "one")
      yield* step(started("two"), "unfinished", "two")
      yield* step(finished("done"), "done", "two")
      const heads = [
        [1, "unfinished", "one"],
        [2, "waiting", "one"],
        [5, "failed", "one"],
        [6, "unfinished", "two"],
        [7, "done", "two"]
      ] as const
      for (const [at, status, graph] of heads) {
        yield* journal.fork("t", at, `f-${at}`)
        const info = yield* journal.info(`f-${at}`)
        yield* equal(`the fork at ${at}`, [info.status, info.graph], [status, graph])
      }
    })
  ),
  law("retention removes what is old and over, and leaves what moved", (journal) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      yield* journal.restore("done", restored(now, 40, finished("done")))
      yield* journal.restore("failed", restored(now, 40, finished("failed")))
      yield* journal.restore("waiting", restored(now, 40, finished("waiting")))
      yield* journal.restore("unfinished", restored(now, 40, patched(1)))
      yield* journal.restore("young", restored(now, 20, finished("done")))
      yield* journal.restore("moves", restored(now, 40, finished("done")))
      // Moves between the list and the removal.
      const moving = Journal.Journal.of({
        ...journal,
        remove: (thread, options) =>
          thread === "moves"
            ? Effect.orDie(journal.append("moves", 2, [started("again")])).pipe(
                Effect.andThen(journal.remove(thread, options))
              )
            : journal.remove(thread, options)
      })
      const retain = Journal.retain({ olderThan: "30 days" })
      yield* equal("removed", yield* Effect.provideService(retain, Journal.Journal, moving), 2)
      yield* equal("left", (yield* list(journal)).toSorted(), ["moves", "unfinished", "waiting", "young"])
      yield* equal("of another status", yield* Journal.retain({ olderThan: "30 days", status: ["waiting"] }), 1)
      const left = (yield* list(journal)).toSorted()
      if (left.includes("waiting")) {
        return yield* new LawBroken({ what: "left after all", expected: "no waiting", actual: left.join(", ") })
      }
    })
  )
]

export const threads: ReadonlyArray<Law> = [...forks, ...removal, ...snapshots, ...moving, ...lists]
export { finishedThreads }

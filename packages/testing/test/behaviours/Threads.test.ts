// Lines 23 to 30 of the acceptance list: threads that crash, compete, are busy, finished, or changed.
import { Ask, Channel, Durable, type Entry, Errors, Graph, Journal, Node, Task, Thread } from "@selvage/core"
import { CrashingJournal } from "@selvage/testing"
import { Dispatcher, Plugin, Registry, ToolCall, ToolOutcome } from "@selvage/tools"
import { assert, describe, it } from "@effect/vitest"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { stores } from "../../../sqlite/test/stores.ts"
import { elsewhere, entriesOf, infoOf, makeGate, onJournal, tagsOf } from "./support.ts"
import { runs } from "../measures.ts"

class Boom extends Schema.TaggedError<Boom>()("Boom", {}) {}

const Approve = Ask.make("approve", { question: Schema.String, answer: Schema.Boolean })

const taskNames = Effect.map(Effect.service(Task.Current), (task) => `${task?.path}${task?.task}@${task?.step}`)

/** Two rounds of: a fan-out of nested graphs of which one asks, beside a longer branch, met by a join; an error route. */
const makeWork = (ran: Array<string>) => {
  const told = <A>(update: A) => Effect.map(taskNames, (name) => (ran.push(name), update))
  const Inner = Graph.make("inner", {
    state: { id: Channel.last(Schema.String), out: Channel.append(Schema.String) },
    nodes: {
      open: ({ id }) => told({ out: [`${id}:open`] }),
      ask: ({ id, out }) =>
        id === "b"
          ? Effect.flatMap(Ask.ask(Approve, out.join()), (ok) => told({ out: [`${id}:${ok}`] }))
          : told({ out: [`${id}:quiet`] }),
      close: ({ id }) => told({ out: [`${id}:close`] })
    },
    edges: { start: "open", open: "ask", ask: "close", close: "end" }
  })
  return Graph.make("work", {
    state: {
      ids: Channel.last(Schema.Array(Schema.String)),
      rounds: Channel.sum,
      out: Channel.append(Schema.String),
      when: Channel.optional(Schema.Date)
    },
    nodes: {
      item: Node.withInput(
        Schema.String,
        Graph.node(Inner, { input: (id: string) => ({ id }), update: ({ out }) => ({ out }) })
      ),
      begin: () => told({ rounds: 1 }),
      long: () => told({ out: ["long"] }),
      fails: () => Effect.flatMap(told({}), () => new Boom()),
      rescue: Node.make(Boom, () => told({ out: ["rescued"] })),
      meet: ({ rounds }) => told({ out: [`meet ${rounds}`], when: new Date(rounds) })
    },
    edges: {
      start: "begin",
      begin: ["long", "fails"],
      long: { each: "item", of: ({ ids }) => ids, keys: ({ ids }) => ids },
      item: "meet",
      fails: "end",
      rescue: "meet",
      meet: ({ rounds }) => (rounds < 2 ? "begin" : "end")
    },
    onError: { Boom: "rescue" },
    joins: { meet: ["item", "rescue"] }
  })
}

const drive = Effect.fnUntraced(function* (thread: string, ran: Array<string>) {
  const graph = makeWork(ran)
  while (true) {
    const outcome = yield* Thread.run(graph, { thread, run: "only", input: { ids: ["a", "b"] } })
    if (outcome._tag === "Done") return outcome.state
    for (const { ask } of outcome.asks) yield* Thread.answer(Approve, { thread, ask, value: true })
  }
})

/** The names of the tasks that are committed, with the step they ran in. */
const committed = (entries: ReadonlyArray<Entry.Entry>): ReadonlySet<string> =>
  new Set(
    entries.flatMap((entry) => {
      if (entry._tag === "TaskCompleted") return [`${entry.path}${entry.result.task}@${entry.step}`]
      return entry._tag === "StepCommitted" ? entry.tasks.map((task) => `${entry.path}${task}@${entry.step}`) : []
    })
  )

const counted = (counter: { appends: number }) =>
  onJournal((journal) => ({
    append: (...args) => Effect.suspend(() => (counter.appends++, journal.append(...args)))
  }))

for (const store of stores("selvage_behaviours_threads")) {
  const crowd = store.name === "memory" ? 1000 : runs(200)

  describe.skipIf(store.skip)(`Threads on ${store.name}`, () => {
    it.effect(
      "23. Killed between any two writes, a thread resumes to the same final state as if never killed; completed tasks do not run again",
      () =>
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const counter = { appends: 0 }
          const expected = yield* counted(counter)(drive("reference", []))
          assert.strictEqual(expected.rounds, 2)
          assert.include(expected.out, "b:true")
          assert.isAtLeast(counter.appends, 20)
          const stride = store.name === "PostgreSQL" ? 4 : 1
          for (const append of ["lost", "written"] as const) {
            for (let at = 1; at <= counter.appends; at += stride) {
              const thread = `${append} ${at}`
              const ran: Array<string> = []
              const crashing = yield* CrashingJournal.make(journal, { at, append })
              const crashed = yield* Effect.exit(Effect.provideService(drive(thread, ran), Journal.Journal, crashing))
              assert.ok(Exit.isFailure(crashed), thread)
              const done = committed(yield* Effect.orElseSucceed(entriesOf(thread), () => []))
              ran.length = 0
              assert.deepStrictEqual(yield* elsewhere(drive(thread, ran)), expected, thread)
              assert.deepStrictEqual(
                ran.filter((name) => done.has(name)),
                [],
                thread
              )
            }
          }
        }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "24. A tool that is not idempotent and was in flight at the kill is not repeated silently (law 4); an idempotent one is, with its key",
      () =>
        Effect.gen(function* () {
          const Params = { parameters: Schema.Struct({ units: Schema.Int }), success: Schema.String }
          const Place = Tool.make("place", Params)
          const Reserve = Tool.make("reserve", Params).annotate(Tool.Idempotent, true)
          const Shop = Plugin.make("shop", { version: "1.0.0", toolkit: Toolkit.make(Place, Reserve) })
          const calls: Array<string> = []
          const handle = Effect.map(ToolCall.Current, (call) => (calls.push(call?.key ?? ""), "made"))
          const shop = Shop.fake({ place: () => handle, reserve: () => handle })
          const registry = yield* Effect.provide(Registry.make([Shop]), shop)
          const graph = (tool: string) =>
            Graph.make("shopping", {
              state: { outcomes: Channel.append(ToolOutcome.ToolOutcome) },
              nodes: {
                call: () =>
                  Effect.map(
                    Dispatcher.dispatch(registry, { id: "c1", name: tool, params: { units: 3 } }),
                    (outcome) => ({
                      outcomes: [outcome]
                    })
                  )
              },
              edges: { start: "call", call: "end" }
            })
          const journal = yield* Journal.Journal
          // Killed when the call was made and its result was not written yet.
          const killed = Effect.fnUntraced(function* (tool: string, at: number) {
            calls.length = 0
            const crashing = yield* CrashingJournal.make(journal, { at })
            const run = Thread.run(graph(tool), { thread: tool, input: {} })
            assert.ok(Exit.isFailure(yield* Effect.exit(Effect.provideService(run, Journal.Journal, crashing))))
            assert.strictEqual(calls.length, 1)
          })
          yield* killed("place", 3)
          assert.deepStrictEqual(yield* tagsOf("place"), ["RunStarted", "Intent"])
          const waiting = yield* elsewhere(Thread.run(graph("place"), { thread: "place" }))
          assert.ok(waiting._tag === "Waiting")
          assert.strictEqual(waiting.asks[0]?.kind, "uncertain")
          assert.strictEqual(calls.length, 1)
          yield* killed("reserve", 2)
          const [key] = calls
          const done = yield* elsewhere(Thread.run(graph("reserve"), { thread: "reserve" }))
          assert.deepStrictEqual(
            done.state.outcomes.map(({ result }) => result),
            ["made"]
          )
          assert.deepStrictEqual(calls, [key, key])
        }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "25. Two processes run one thread: one wins, the other gets JournalConflict; the journal is as if only one had run",
      () =>
        Effect.gen(function* () {
          const gate = yield* makeGate
          const make = (wait: Effect.Effect<void>) =>
            Graph.make("raced", {
              state: { n: Channel.sum, log: Channel.append(Schema.String) },
              nodes: {
                first: () => Effect.succeed({ log: ["first"] }),
                wait: () => Effect.as(wait, { n: 1 }),
                left: () => Effect.as(Effect.yieldNow, { n: 10 }),
                right: () => Effect.as(Effect.yieldNow, { n: 100 }),
                last: () => Effect.succeed({ log: ["last"] })
              },
              edges: {
                start: "first",
                first: "wait",
                wait: ["left", "right"],
                left: "last",
                right: "last",
                last: "end"
              }
            })
          yield* Thread.run(make(Effect.yieldNow), { thread: "alone", input: {} })
          const alone = yield* entriesOf("alone")
          const loser = yield* Effect.forkChild(
            Effect.flip(elsewhere(Thread.run(make(gate.pass), { thread: "t", input: {} })))
          )
          yield* gate.reached
          const winner = yield* elsewhere(Thread.run(make(Effect.yieldNow), { thread: "t" }))
          const entries = yield* entriesOf("t")
          yield* gate.open
          const lost = yield* Fiber.join(loser)
          assert.strictEqual(lost._tag, "JournalConflict")
          assert.deepStrictEqual(winner.state, { n: 111, log: ["first", "last"] })
          assert.deepStrictEqual(yield* entriesOf("t"), entries)
          assert.sameDeepMembers((yield* Thread.state(make(Effect.void), { thread: "t" })).log.slice(), [
            "first",
            "last"
          ])
          // From the very first entry.
          const quick = make(Effect.yieldNow)
          const exits = yield* Effect.all(
            Array.from({ length: 4 }, () =>
              Effect.exit(elsewhere(Thread.run(quick, { thread: "start", input: {}, run: "only" })))
            ),
            { concurrency: "unbounded" }
          )
          for (const exit of exits) {
            if (Exit.isSuccess(exit)) assert.deepStrictEqual(exit.value.state.n, 111)
            else assert.match(String(exit.cause), /JournalConflict/)
          }
          assert.isAtLeast(exits.filter(Exit.isSuccess).length, 1)
          const together = yield* entriesOf("start")
          assert.strictEqual(together.filter(({ _tag }) => _tag === "RunStarted").length, 1)
          assert.strictEqual(together.filter(({ _tag }) => _tag === "RunFinished").length, 1)
          assert.strictEqual(
            together.filter(({ _tag }) => _tag === "StepCommitted").length,
            alone.filter(({ _tag }) => _tag === "StepCommitted").length
          )
        }).pipe(Effect.provide(store.layer))
    )

    it.effect("a busy thread says what of the call is not that of its run: the input, or the name alone", () =>
      Effect.gen(function* () {
        const ask = Graph.make("asks", {
          state: { q: Channel.last(Schema.String), ok: Channel.optional(Schema.Boolean) },
          nodes: {
            ask: Effect.fnUntraced(function* ({ q }) {
              return { ok: yield* Ask.ask(Approve, q) }
            })
          },
          edges: { start: "ask", ask: "end" }
        })
        const busy = (thread: string, q: string, run?: string) =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(Thread.run(ask, { thread, run, input: { q } }))
            assert.ok(error._tag === "ThreadBusy")
            return { message: error.message, differs: error.differs, run: error.run }
          })
        yield* Thread.run(ask, { thread: "t", run: "one", input: { q: "?" } })
        assert.deepStrictEqual(yield* busy("t", "?", "two"), {
          differs: "name",
          run: "one",
          message:
            'Thread "t" waits for an answer to ask@1/approve. Its run is named "one" and has the same input. Answer it first, or run it under that name.'
        })
        assert.deepStrictEqual(yield* busy("t", "!", "two"), {
          differs: "input",
          run: "one",
          message: 'Thread "t" waits for an answer to ask@1/approve and cannot take another input. Answer it first.'
        })
        yield* Thread.run(ask, { thread: "u", input: { q: "?" } })
        assert.include((yield* busy("u", "?", "two")).message, "Its run has no name and has the same input.")
        // A fork keeps the name of the run it was made of.
        yield* Thread.fork(ask, { thread: "t", at: 1, as: "f" })
        assert.include((yield* busy("f", "?", "f")).message, 'Its run is named "one" and has the same input.')
      }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "26. What happens when a new input reaches a busy thread is chosen by the caller: reject, queue behind it, or interrupt and replace",
      () =>
        Effect.gen(function* () {
          const gate = yield* makeGate
          let interrupted = 0
          const graph = Graph.make("busy", {
            state: { item: Channel.last(Schema.String), out: Channel.append(Schema.String) },
            nodes: {
              begin: ({ item }) => Effect.succeed({ out: [`begin ${item}`] }),
              work: ({ item }) =>
                (item === "slow" ? gate.pass : Effect.void).pipe(
                  Effect.onInterrupt(() => Effect.sync(() => interrupted++)),
                  Effect.as({ out: [`done ${item}`] })
                )
            },
            edges: { start: "begin", begin: "work", work: "end" }
          })
          const input = (item: string) => ({ item })
          const first = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: input("slow") }))
          yield* gate.reached
          const before = (yield* infoOf("t")).head
          const busy = yield* Effect.flip(Thread.run(graph, { thread: "t", input: input("rejected") }))
          assert.strictEqual(busy._tag, "ThreadBusy")
          assert.strictEqual((yield* infoOf("t")).head, before)
          const queued = yield* Effect.forEach(["q1", "q2"], (item) =>
            elsewhere(Thread.run(graph, { thread: "t", input: input(item), whenBusy: "queue" }))
          )
          assert.deepStrictEqual(queued, [
            { _tag: "Queued", seq: before + 1 },
            { _tag: "Queued", seq: before + 2 }
          ])
          yield* gate.open
          const last = yield* Fiber.join(first)
          const upToQ2 = ["begin slow", "done slow", "begin q1", "done q1", "begin q2", "done q2"]
          assert.deepStrictEqual(last.state.out, upToQ2)
          assert.strictEqual((yield* infoOf("t")).status, "done")
          // A free thread runs what would queue at once.
          const free = yield* Thread.run(graph, { thread: "t", input: input("q3"), whenBusy: "queue" })
          assert.ok(free._tag === "Done")
          for (const process of ["same", "other"] as const) {
            const thread = `replaced in ${process} process`
            const stuck = yield* makeGate
            const slow = Graph.make("slow", {
              state: { item: Channel.last(Schema.String), out: Channel.append(Schema.String) },
              nodes: {
                begin: ({ item }) => Effect.succeed({ out: [`begin ${item}`] }),
                work: ({ item }) =>
                  (item === "slow" ? stuck.pass : Effect.void).pipe(
                    Effect.onInterrupt(() => Effect.sync(() => interrupted++)),
                    Effect.as({ out: [`done ${item}`] })
                  )
              },
              edges: { start: "begin", begin: "work", work: "end" }
            })
            const replaced = yield* Effect.forkChild(Effect.flip(Thread.run(slow, { thread, input: input("slow") })))
            yield* stuck.reached
            interrupted = 0
            const replace = Thread.run(slow, { thread, input: input("new"), whenBusy: "replace" })
            const done = yield* process === "same" ? replace : elsewhere(replace)
            assert.deepStrictEqual(done.state.out, ["begin slow", "begin new", "done new"])
            if (process === "same") assert.strictEqual(interrupted, 1)
            yield* stuck.open
            assert.strictEqual(
              (yield* Fiber.join(replaced))._tag,
              process === "same" ? "RunReplaced" : "JournalConflict"
            )
            assert.deepStrictEqual((yield* Thread.state(slow, { thread })).out, done.state.out)
          }
        }).pipe(Effect.provide(store.layer))
    )

    it.effect(`27. Concurrent threads never see each other's state (${crowd} at once)`, () =>
      Effect.gen(function* () {
        const graph = Graph.make("own", {
          state: {
            id: Channel.last(Schema.Int),
            seen: Channel.append(Schema.Int),
            ok: Channel.optional(Schema.Boolean)
          },
          nodes: {
            look: ({ id }) => Effect.as(Effect.yieldNow, { seen: [id] }),
            twice: Node.make(Schema.Int, (id) => Effect.as(Effect.yieldNow, { seen: [id] })),
            once: ({ id, seen }) =>
              Effect.map(Durable.once("id", Schema.Int, Effect.succeed(id)), (kept) => ({
                ok: kept === id && seen.every((other) => other === id)
              }))
          },
          edges: { start: "look", look: { each: "twice", of: ({ id }) => [id, id] }, twice: "once", once: "end" }
        })
        const ids = Array.from({ length: crowd }, (_, id) => id)
        const outcomes = yield* Effect.forEach(ids, (id) => Thread.run(graph, { thread: `t${id}`, input: { id } }), {
          concurrency: "unbounded"
        })
        outcomes.forEach(({ state }, id) => assert.deepStrictEqual(state, { id, seen: [id, id, id], ok: true }))
        for (const id of [0, crowd >> 1, crowd - 1]) {
          assert.deepStrictEqual(yield* elsewhere(Thread.state(graph, { thread: `t${id}` })), outcomes[id]?.state)
        }
      }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "28. A failing journal fails the run at once with JournalUnavailable; no node starts whose predecessor is not committed",
      () =>
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const chain = (ran: Array<string>) => {
            const step = (name: string) => () => Effect.sync(() => (ran.push(name), { out: [name] }))
            return Graph.make("chain", {
              state: { out: Channel.append(Schema.String) },
              nodes: { a: step("a"), b: step("b"), c: step("c") },
              edges: { start: "a", a: "b", b: "c", c: "end" }
            })
          }
          // RunStarted, a, b, c with the end.
          for (const [at, started] of [
            [1, []],
            [2, ["a"]],
            [3, ["a", "b"]],
            [4, ["a", "b", "c"]]
          ] as const) {
            const ran: Array<string> = []
            const crashing = yield* CrashingJournal.make(journal, { at })
            const error = yield* Effect.flip(Thread.run(chain(ran), { thread: `t${at}`, input: {} })).pipe(
              Effect.provideService(Journal.Journal, crashing)
            )
            assert.strictEqual(error._tag, "JournalUnavailable")
            assert.deepStrictEqual(ran, [...started])
          }
          // At once: also while a sibling has no end, and whether the runtime or a node was at the journal.
          let running = 0
          const forever = Effect.suspend(() => {
            running++
            return Effect.onInterrupt(Effect.never, () => Effect.sync(() => running--))
          })
          for (const [index, write] of [
            Effect.as(Effect.yieldNow, {}),
            Effect.as(Durable.once("piece", Schema.String, Effect.succeed("made")), {})
          ].entries()) {
            const graph = Graph.make("beside", {
              state: { n: Channel.sum },
              nodes: { forever: () => forever, write: () => write },
              edges: { start: ["forever", "write"], write: "end", forever: "end" }
            })
            const crashing = yield* CrashingJournal.make(journal, { at: 2 })
            const error = yield* Effect.flip(Thread.run(graph, { thread: `beside ${index}`, input: {} })).pipe(
              Effect.provideService(Journal.Journal, crashing)
            )
            assert.strictEqual(error._tag, "JournalUnavailable")
            assert.strictEqual(running, 0)
          }
        }).pipe(Effect.provide(store.layer))
    )

    it.effect("29. Resuming a finished thread with no input is a no-op that returns its state", () =>
      Effect.gen(function* () {
        let ran = 0
        const graph = Graph.make("finished", {
          state: { n: Channel.sum },
          nodes: { work: () => Effect.sync(() => ({ n: ++ran })) },
          edges: { start: "work", work: "end" }
        })
        const first = yield* Thread.run(graph, { thread: "t", input: {} })
        const { head, updatedAt } = yield* infoOf("t")
        for (const resume of [Thread.run(graph, { thread: "t" }), elsewhere(Thread.run(graph, { thread: "t" }))]) {
          assert.deepStrictEqual(yield* resume, first)
        }
        assert.deepStrictEqual(yield* Stream.runCollect(Thread.stream(graph, { thread: "t" })), [])
        assert.strictEqual(ran, 1)
        const after = yield* infoOf("t")
        assert.deepStrictEqual([after.head, after.updatedAt, after.status], [head, updatedAt, "done"])
      }).pipe(Effect.provide(store.layer))
    )

    it.effect(
      "30. A thread whose stored graph no longer fits the code fails with GraphChanged saying what differs; a migration can be given",
      () =>
        Effect.gen(function* () {
          const Old = Graph.make("report", {
            state: {
              heading: Channel.last(Schema.String),
              draft: Channel.optional(Schema.String),
              dollars: Channel.sum,
              log: Channel.append(Schema.String)
            },
            nodes: {
              write: () => Effect.succeed({ draft: "…", dollars: 2, log: ["write"] }),
              approve: () => Effect.map(Ask.ask(Approve, "?"), (ok) => ({ log: [`${ok}`], dollars: 1 }))
            },
            edges: { start: "write", write: "approve", approve: "end" }
          })
          const make = (migrate: boolean) =>
            Graph.make("report", {
              state: { title: Channel.last(Schema.String), cents: Channel.sum, log: Channel.append(Schema.String) },
              nodes: {
                compose: () => Effect.succeed({ cents: 120, log: ["compose"] }),
                review: () => Effect.map(Ask.ask(Approve, "?"), (ok) => ({ log: [`${ok}`], cents: 1 }))
              },
              edges: { start: "compose", compose: "review", review: "end" },
              ...(migrate
                ? {
                    migrate: (stored: Entry.GraphShape) =>
                      "dollars" in stored.channels
                        ? {
                            nodes: { write: "compose", approve: "review" },
                            channels: {
                              heading: "title",
                              draft: null,
                              dollars: (json: Schema.Json) => ({ cents: Number(json) * 100 })
                            }
                          }
                        : undefined
                  }
                : {})
            })
          yield* Thread.run(Old, { thread: "t", input: { heading: "Q3" } })
          const { head } = yield* infoOf("t")
          const refused = yield* Effect.all([
            Effect.flip(Thread.run(make(false), { thread: "t" })),
            Effect.flip(Thread.run(make(false), { thread: "t", input: { title: "Q4" }, whenBusy: "replace" })),
            Effect.flip(Thread.state(make(false), { thread: "t" })),
            Effect.flip(Thread.patch(make(false), { thread: "t", update: { cents: 1 } }))
          ])
          for (const error of refused) {
            assert.ok(error instanceof Errors.GraphChanged)
            assert.match(error.message, /"t".*"report".*("write"|"heading")/)
          }
          assert.strictEqual((yield* infoOf("t")).head, head)
          const New = make(true)
          assert.deepStrictEqual(yield* Thread.state(New, { thread: "t" }), {
            title: "Q3",
            cents: 200,
            log: ["write"]
          })
          yield* Thread.answer(Approve, { thread: "t", value: true })
          const done = yield* elsewhere(Thread.run(New, { thread: "t" }))
          assert.deepStrictEqual(done.state, { title: "Q3", cents: 201, log: ["write", "true"] })
          assert.include(yield* tagsOf("t"), "Migrated")
          // From here on it is a thread of the new graph; of the old one it is none.
          const again = yield* elsewhere(Thread.run(New, { thread: "t", input: { title: "Q4" } }))
          assert.ok(again._tag === "Waiting")
          assert.strictEqual(again.state.cents, 321)
          assert.strictEqual((yield* Effect.flip(Thread.run(Old, { thread: "t" })))._tag, "GraphChanged")
        }).pipe(Effect.provide(store.layer))
    )
  })
}

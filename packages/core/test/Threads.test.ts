// What a thread keeps of its promises, each in few steps and in memory: what `pnpm mutate` breaks, these notice.
import { assert, describe, it } from "@effect/vitest"
import { Ask, Channel, Durable, Edge, type Entry, Graph, Journal, Node, Policy, Thread } from "@selvage/core"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import * as Mailbox from "../src/internal/mailbox.ts"
import * as Runs from "../src/internal/runs.ts"

const log = { log: Channel.append(Schema.String) }
const Ok = Ask.make("ok", { question: Schema.String, answer: Schema.Boolean })
const paid = { key: "pay", detail: "10 francs", schema: Schema.String } as const

/** Runs an effect as another process on the same journal: it shares no memory with the others. */
const elsewhere = <A, E, R>(effect: Effect.Effect<A, E, R>) => onJournal(() => ({}))(effect)

const onJournal =
  (change: (journal: Journal.Journal["Service"]) => Partial<Journal.Journal["Service"]>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Journal.Journal> =>
    Effect.flatMap(Journal.Journal, (journal) =>
      Effect.provideService(effect, Journal.Journal, Journal.Journal.of({ ...journal, ...change(journal) }))
    )

/** A snapshot after each append. */
const eager = onJournal((journal) => ({
  append: (...args) => Effect.map(journal.append(...args), (appended) => ({ ...appended, snapshotDue: true }))
}))

const entriesOf = (thread: string) =>
  Effect.flatMap(Journal.Journal, (journal) =>
    Effect.map(journal.read(thread), (entries) => entries.map(({ entry }) => entry))
  )
const tagsOf = (thread: string) => Effect.map(entriesOf(thread), (entries) => entries.map(({ _tag }) => _tag))

/** Who comes says so and waits until it is opened. */
const makeGate = Effect.gen(function* () {
  const reached = yield* Deferred.make<void>()
  const opened = yield* Deferred.make<void>()
  return {
    reached: Deferred.await(reached),
    open: Effect.asVoid(Deferred.succeed(opened, undefined)),
    pass: Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(opened))
  }
})

const test = <A, E>(name: string, body: Effect.Effect<A, E, Journal.Journal>) =>
  it.effect(name, () => Effect.provide(body, Journal.layerMemory))

const steps = (n: number) =>
  ({
    state: { n: Channel.last(Schema.Int), ...log },
    nodes: { count: ({ n }: { readonly n: number }) => Effect.succeed({ n: n + 1, log: [`${n}`] }) },
    edges: { start: "count", count: ({ n: reached }: { readonly n: number }) => (reached % n === 0 ? "end" : "count") }
  }) as const

describe("What comes from outside while a run works", () => {
  test(
    "is taken in behind the step where it is a patch, once for each key, and is a conflict where another run wrote it",
    Effect.gen(function* () {
      const graph = (pass: Effect.Effect<void>) =>
        Graph.make("g", {
          state: log,
          nodes: { work: () => Effect.as(pass, { log: ["worked"] }) },
          edges: { start: "work", work: "end" }
        })
      for (const forged of [false, true]) {
        const gate = yield* makeGate
        const thread = forged ? "forged" : "patched"
        const working = graph(gate.pass)
        const run = yield* Effect.forkChild(Effect.exit(Thread.run(working, { thread, input: {} })))
        yield* gate.reached
        if (forged) {
          const journal = yield* Journal.Journal
          const { head } = yield* journal.info(thread)
          yield* journal.append(thread, head, [{ _tag: "Patched", updates: { log: ["forged"] } }])
        } else {
          const patch = Thread.patch(working, { thread, update: { log: ["patched"] }, key: "once" })
          yield* elsewhere(patch)
          yield* elsewhere(patch)
        }
        yield* gate.open
        const exit = yield* Fiber.join(run)
        const failure = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
        if (forged) assert.strictEqual(failure?._tag, "JournalConflict")
        else assert.deepStrictEqual(Exit.isSuccess(exit) && exit.value.state.log, ["worked", "patched"])
        assert.strictEqual((yield* tagsOf(thread)).includes("StepCommitted"), !forged)
      }
    })
  )

  test(
    "is taken in where it is an answer, and the run goes on with it",
    Effect.gen(function* () {
      const gate = yield* makeGate
      const graph = Graph.make("g", {
        state: log,
        nodes: {
          ask: () => Effect.map(Ask.ask(Ok, "may I?"), (ok) => ({ log: [`answered ${ok}`] })),
          work: () => Effect.as(gate.pass, { log: ["worked"] })
        },
        edges: { start: ["ask", "work"], ask: "end", work: "end" }
      })
      const run = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
      yield* gate.reached
      yield* elsewhere(Thread.answer(Ok, { thread: "t", value: true }))
      yield* gate.open
      const done = yield* Fiber.join(run)
      assert.strictEqual(done._tag, "Done")
      assert.deepStrictEqual(done.state.log, ["answered true", "worked"])
    })
  )

  test(
    "is refused where more inputs queue than may",
    Effect.gen(function* () {
      const gate = yield* makeGate
      const graph = Graph.make("g", {
        state: log,
        nodes: { work: () => Effect.as(gate.pass, { log: ["worked"] }) },
        edges: { start: "work", work: "end" }
      })
      const run = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
      yield* gate.reached
      const queue = Effect.suspend(() => Thread.run(graph, { thread: "t", input: {}, whenBusy: "queue" }))
      yield* elsewhere(queue)
      const journal = yield* Journal.Journal
      const queued = (yield* entriesOf("t")).find(({ _tag }) => _tag === "InputQueued")!
      const { head } = yield* journal.info("t")
      const [first, ...rest] = Array.from({ length: 1_022 }, () => queued)
      yield* journal.append("t", head, [first!, ...rest])
      assert.strictEqual((yield* elsewhere(queue))._tag, "Queued")
      assert.deepInclude(yield* Effect.flip(elsewhere(queue)), { _tag: "ThreadBusy", queued: 1_024 })
      assert.strictEqual((yield* journal.info("t")).head, head + 1_023)
      yield* Fiber.interrupt(run)
    })
  )
})

describe("A run", () => {
  test(
    "that is over takes no more writes of its tasks",
    Effect.gen(function* () {
      const gate = yield* makeGate
      let late: Fiber.Fiber<Exit.Exit<unknown, unknown>> | undefined
      const graph = Graph.make("g", {
        state: log,
        nodes: {
          leave: Effect.fnUntraced(function* () {
            const once = Durable.once("late", Schema.String, Effect.as(gate.pass, "late"))
            late = yield* Effect.forkDetach(Effect.exit(once), { startImmediately: true })
            return { log: ["left"] }
          })
        },
        edges: { start: "leave", leave: "end" }
      })
      yield* Thread.run(graph, { thread: "t", input: {} })
      yield* gate.open
      assert.isTrue(Exit.isFailure(yield* Fiber.join(late!)))
      assert.notInclude(yield* tagsOf("t"), "Recorded")
    })
  )

  test(
    "writes what its tasks wrote at once in the order in which they wrote it",
    Effect.gen(function* () {
      const node = (name: string) => () =>
        Effect.map(Durable.once(name, Schema.String, Effect.succeed(name)), (done) => ({ log: [done] }))
      const graph = Graph.make("g", {
        state: log,
        nodes: { a: node("a"), b: node("b"), c: node("c"), d: node("d") },
        edges: { start: ["a", "b", "c", "d"], a: "end", b: "end", c: "end", d: "end" }
      })
      const slow = onJournal((journal) => ({
        append: (...args) => Effect.andThen(Effect.yieldNow, journal.append(...args))
      }))
      yield* slow(Thread.run(graph, { thread: "t", input: {} }))
      const keys = (yield* entriesOf("t")).flatMap((entry) => (entry._tag === "Recorded" ? [entry.key] : []))
      assert.deepStrictEqual(keys, ["a", "b", "c", "d"])
    })
  )

  test(
    "that is asked for with the same input after a crash goes on, and an interruption is not its end",
    Effect.gen(function* () {
      let crashed = false
      const graph = Graph.make("g", {
        state: log,
        nodes: {
          work: () =>
            Effect.suspend(() => {
              if (crashed) return Effect.succeed({ log: ["worked"] })
              crashed = true
              return Effect.interrupt
            })
        },
        edges: { start: "work", work: "end" }
      })
      const run = Effect.suspend(() => Thread.run(graph, { thread: "t", input: { log: ["hello"] } }))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(run)))
      assert.notInclude(yield* tagsOf("t"), "RunFinished")
      assert.deepStrictEqual((yield* run).state.log, ["hello", "worked"])
    })
  )

  test(
    "that another replaces is told with the calls that were under way",
    Effect.gen(function* () {
      const gate = yield* makeGate
      const graph = Graph.make("g", {
        state: log,
        nodes: {
          pay: ({ log }) =>
            log.includes("again")
              ? Effect.succeed({ log: ["no"] })
              : Effect.map(Durable.call({ ...paid, call: Effect.as(gate.pass, "yes") }), (done) => ({ log: [done] }))
        },
        edges: { start: "pay", pay: "end" }
      })
      const first = yield* Effect.forkChild(Effect.exit(Thread.run(graph, { thread: "t", input: {} })))
      yield* gate.reached
      yield* Fiber.interrupt(first)
      yield* Thread.run(graph, { thread: "t", input: { log: ["again"] }, whenBusy: "replace" })
      const started = (yield* entriesOf("t")).filter((entry) => entry._tag === "RunStarted")
      assert.deepStrictEqual(
        started.map(({ uncertain }) => uncertain?.map(({ key }) => key)),
        [undefined, ["pay"]]
      )
    })
  )

  test(
    "that is asked for by its name while it is under way is not run twice",
    Effect.gen(function* () {
      const gate = yield* makeGate
      let ran = 0
      const graph = Graph.make("g", {
        state: log,
        nodes: {
          work: () => Effect.suspend(() => Effect.as((ran++, gate.pass), { log: ["worked"] }))
        },
        edges: { start: "work", work: "end" }
      })
      const run = Thread.run(graph, { thread: "t", run: "one", input: {} })
      const both = yield* Effect.forkChild(Effect.all([run, run], { concurrency: 2 }))
      yield* gate.reached
      for (let turn = 0; turn < 50; turn++) yield* Effect.yieldNow
      yield* gate.open
      const [one, other] = yield* Fiber.join(both)
      assert.deepStrictEqual(one.state, other.state)
      assert.strictEqual(ran, 1)
    })
  )

  test(
    "ends at once with the beginning of the one behind it, which is begun once; one that does not fit is refused",
    Effect.gen(function* () {
      const gate = yield* makeGate
      const graph = Graph.make("g", {
        state: {
          ...log,
          once: Channel.merge(Schema.String, {
            initial: "",
            merge: (before, now) => {
              if (before === now) throw new Error("it is there already")
              return now
            }
          })
        },
        nodes: { work: ({ once }) => Effect.as(gate.pass, { log: [once] }), rest: () => Effect.succeed({}) },
        edges: { start: "work", work: "rest", rest: "end" }
      })
      const appends: Array<ReadonlyArray<string>> = []
      const watched = onJournal((journal) => ({
        append: (thread, expected, entries, options) => {
          appends.push(entries.map(({ _tag }) => _tag))
          return journal.append(thread, expected, entries, options)
        }
      }))
      const run = yield* Effect.forkChild(
        Effect.exit(watched(Thread.run(graph, { thread: "t", input: { once: "a" } })))
      )
      yield* gate.reached
      for (const once of ["a", "b"]) {
        yield* elsewhere(Thread.run(graph, { thread: "t", input: { once }, whenBusy: "queue" }))
      }
      yield* gate.open
      yield* Fiber.join(run)
      const tags = yield* tagsOf("t")
      assert.strictEqual(tags.filter((tag) => tag === "InputRefused").length, 1)
      assert.isFalse(
        appends.some(
          (tags) => tags.includes("StepCommitted") && tags.includes("RunFinished") && tags.includes("RunStarted")
        )
      )
      assert.isTrue(appends.some((tags) => tags.includes("RunFinished") && tags.includes("InputRefused")))
      const { state } = yield* elsewhere(Thread.run(graph, { thread: "t" }))
      assert.deepStrictEqual([state.once, state.log], ["b", ["a", "b"]])
      assert.deepStrictEqual(yield* tagsOf("t"), tags)
    })
  )

  it("of the last 1,024 names, and not of more, has its end remembered", () => {
    const ends: Runs.Ends = new Map()
    for (let n = 1; n <= 1_025; n++) {
      if (n === 1_025) assert.isTrue(ends.has("1"))
      Runs.note(ends, undefined, { seq: n, at: 0, entry: { _tag: "RunStarted", input: {}, run: `${n}` } })
    }
    assert.isFalse(ends.has("1"))
    assert.strictEqual(ends.size, 1_024)
  })
})

describe("A thread that is read again", () => {
  test(
    "has the results of tasks that were done before the others, each once in its journal",
    Effect.gen(function* () {
      const gate = yield* makeGate
      const graph = Graph.make("g", {
        state: log,
        nodes: {
          fast: () => Effect.as(Effect.yieldNow, { log: ["fast"] }),
          slow: () => Effect.as(gate.pass, { log: ["slow"] })
        },
        edges: { start: ["fast", "slow"], fast: "end", slow: "end" }
      })
      const run = yield* Effect.forkChild(Thread.run(graph, { thread: "t", input: {} }))
      yield* gate.reached
      while (!(yield* tagsOf("t")).includes("TaskCompleted")) yield* Effect.yieldNow
      yield* gate.open
      yield* Fiber.join(run)
      const committed = (yield* entriesOf("t")).find((entry) => entry._tag === "StepCommitted")!
      assert.deepStrictEqual(
        committed.results.map(({ task }) => task),
        ["slow"]
      )
      assert.deepStrictEqual((yield* elsewhere(Thread.run(graph, { thread: "t" }))).state.log, ["fast", "slow"])
    })
  )

  test(
    "has its own entries, not those that another of its name had",
    Effect.gen(function* () {
      const own = Graph.make("own", {
        state: log,
        nodes: { work: () => Effect.succeed({ log: ["worked"] }) },
        edges: { start: "work", work: "end" }
      })
      yield* Thread.run(own, { thread: "t", input: { log: ["a"] } })
      const journal = yield* Journal.Journal
      yield* journal.remove("t")
      yield* elsewhere(Thread.run(own, { thread: "t", input: { log: ["b"] } }))
      assert.deepStrictEqual((yield* Thread.run(own, { thread: "t" })).state.log, ["b", "worked"])
    })
  )

  test(
    "is read from its beginning when others were used since, as many as a process holds",
    Effect.gen(function* () {
      const graph = Graph.make("g", steps(2))
      const read: Array<string> = []
      const journal = yield* Journal.Journal
      const watched = Journal.Journal.of({
        ...journal,
        read: (thread, range) => {
          read.push(`${thread} after ${range?.after ?? 0}`)
          return journal.read(thread, range)
        }
      })
      yield* Effect.gen(function* () {
        for (const thread of ["one", "two"]) yield* Thread.run(graph, { thread, input: { n: 0 } })
        read.length = 0
        yield* Thread.run(graph, { thread: "two" })
        assert.deepStrictEqual(read, [])
        yield* Thread.run(graph, { thread: "one" })
        assert.deepStrictEqual(read, ["one after 0"])
      }).pipe(Effect.provideService(Journal.Journal, watched), Effect.provideService(Thread.WarmThreads, 1))
    })
  )

  test(
    "has the state of a run of a name as of its end, also where a later snapshot stands",
    Effect.gen(function* () {
      const graph = Graph.make("g", steps(20))
      yield* eager(Thread.run(graph, { thread: "t", run: "one", input: { n: 0 } }))
      yield* eager(Thread.run(graph, { thread: "t", run: "two", input: { n: 20 } }))
      const again = yield* elsewhere(Thread.run(graph, { thread: "t", run: "one", input: { n: 0 } }))
      assert.strictEqual(again.state.n, 20)
      assert.strictEqual(again.state.log.length, 20)
    })
  )

  test(
    "knows from its snapshot how long a person took, and no snapshot stands for a graph inside that is under way",
    Effect.gen(function* () {
      let begun = 0
      const inner = Graph.make("inner", {
        state: log,
        nodes: {
          begin: () => Effect.sync(() => ({ log: [`begun ${++begun}`] })),
          ask: () => Effect.map(Ask.ask(Ok, "inside?"), (ok) => ({ log: [`${ok}`] }))
        },
        edges: { start: "begin", begin: "ask", ask: "end" }
      })
      const graph = Graph.make("g", {
        state: { n: Channel.last(Schema.Int), ...log },
        nodes: {
          ask: () => Effect.as(Ask.ask(Ok, "begin?"), { n: 0 }),
          count: ({ n }) => Effect.succeed({ n: n + 1 }),
          inner: Graph.node(inner, { input: () => ({}), update: ({ log }) => ({ log }) })
        },
        edges: {
          start: "ask",
          ask: "count",
          count: ({ n }) => (n < 20 ? "count" : "inner"),
          inner: "end"
        },
        deadline: "1 minute"
      })
      const run = elsewhere(eager(Thread.run(graph, { thread: "t", input: { n: 0 } })))
      yield* run
      yield* TestClock.adjust("1 hour")
      yield* Thread.answer(Ok, { thread: "t", value: true })
      assert.strictEqual((yield* run)._tag, "Waiting")
      yield* TestClock.adjust("1 hour")
      yield* Thread.answer(Ok, { thread: "t", value: true })
      const done = yield* run
      assert.strictEqual(done._tag, "Done")
      assert.deepStrictEqual(done.state.log, ["begun 1", "true"])
    })
  )
})

describe("Time", () => {
  const graph = (work: Effect.Effect<{ readonly log: ReadonlyArray<string> }>) =>
    Graph.make("g", {
      state: log,
      nodes: { work: () => work },
      edges: { start: "work", work: "end" },
      deadline: "1 minute"
    })

  test(
    "that is over is not begun again, and a fork has a time of its own",
    Effect.gen(function* () {
      let tried = 0
      const late = graph(Effect.suspend(() => (++tried === 1 ? Effect.interrupt : Effect.succeed({ log: ["worked"] }))))
      yield* Effect.exit(Thread.run(late, { thread: "t", input: {} }))
      yield* TestClock.adjust("2 minutes")
      yield* Thread.fork(late, { thread: "t", at: 1, as: "f" })
      assert.strictEqual((yield* Effect.flip(Thread.run(late, { thread: "t" })))._tag, "DeadlineExceeded")
      assert.strictEqual(tried, 1)
      assert.deepStrictEqual((yield* Thread.run(late, { thread: "f" })).state.log, ["worked"])
    })
  )

  test(
    "of a graph inside is not longer than that of the one around it",
    Effect.gen(function* () {
      const inner = Graph.make("inner", {
        state: { until: Channel.last(Schema.Finite) },
        nodes: { look: () => Effect.map(Policy.Deadline, (until = 0) => ({ until })) },
        edges: { start: "look", look: "end" },
        deadline: "1 hour"
      })
      const outer = Graph.make("outer", {
        state: { until: Channel.last(Schema.Finite) },
        nodes: { inner: Graph.node(inner, { input: () => ({ until: 0 }), update: ({ until }) => ({ until }) }) },
        edges: { start: "inner", inner: "end" },
        deadline: "1 minute"
      })
      yield* TestClock.setTime(1_000)
      const { until } = (yield* Thread.run(outer, { thread: "t", input: { until: 0 } })).state
      assert.strictEqual(until, 1_000 + Duration.toMillis("1 minute"))
    })
  )

  test(
    "to answer lasts until the deadline of the question, and an answer beside it counts",
    Effect.gen(function* () {
      const Soon = Ask.make("soon", { question: Schema.String, answer: Schema.Boolean, deadline: "1 hour" })
      const asking = Graph.make("g", {
        state: log,
        nodes: {
          ask: () =>
            Ask.ask(Soon, "now?").pipe(
              Effect.map((ok) => ({ log: [`${ok}`] })),
              Effect.catchTag("AskExpired", () => Effect.succeed({ log: ["expired"] }))
            )
        },
        edges: { start: "ask", ask: "end" }
      })
      const run = (thread: string) => Thread.run(asking, { thread, input: {} })
      for (const thread of ["t", "u"]) yield* run(thread)
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual((yield* run("t"))._tag, "Waiting")
      yield* TestClock.adjust("1 minute")
      const expired = yield* run("t")
      assert.deepStrictEqual(expired.state.log, ["expired"])
      // It was answered in time by another clock, and is journaled right before it expires.
      const [open] = yield* Thread.asks({ thread: "u" })
      let answered = false
      const beside = onJournal((journal) => ({
        append: (thread, expected, entries, options) => {
          const isExpiry = entries.some(({ _tag }) => _tag === "AskExpired")
          if (!isExpiry || answered) return journal.append(thread, expected, entries, options)
          answered = true
          return Effect.andThen(
            journal.append(thread, expected, [{ _tag: "AskAnswered", ask: open!.ask, value: true }]),
            journal.append(thread, expected, entries, options)
          )
        }
      }))
      assert.deepStrictEqual((yield* beside(run("u"))).state.log, ["true"])
    })
  )
})

describe("A question", () => {
  test(
    "is answered by its own answer, and has an id of its own",
    Effect.gen(function* () {
      let second = "two"
      const graph = Graph.make("g", {
        state: log,
        nodes: {
          ask: () =>
            Effect.map(Effect.all([Ask.ask(Ok, "one"), Effect.suspend(() => Ask.ask(Ok, second))]), (all) => ({
              log: all.map(String)
            }))
        },
        edges: { start: "ask", ask: "end" }
      })
      const run = Effect.suspend(() => Thread.run(graph, { thread: "t", input: {} }))
      const asks = Effect.map(Thread.asks({ thread: "t" }), (open) =>
        open.map(({ ask, question }) => ({ ask, question }))
      )
      yield* run
      const [one] = yield* asks
      yield* Thread.answer(Ok, { thread: "t", value: true, ask: one!.ask })
      yield* run
      const [two] = yield* asks
      assert.notStrictEqual(two!.ask, one!.ask)
      yield* Thread.answer(Ok, { thread: "t", value: true, ask: two!.ask })
      second = "another"
      assert.strictEqual((yield* run)._tag, "Waiting")
      assert.deepStrictEqual(
        (yield* asks).map(({ question }) => question),
        ["another"]
      )
    })
  )
})

describe("A call", () => {
  test(
    "that is made is in the journal before it is made, is not under way afterwards, and is not made again after a patch",
    Effect.gen(function* () {
      let made = 0
      let before: ReadonlyArray<string> = []
      const journal = yield* Journal.Journal
      const call = Effect.gen(function* () {
        before = (yield* journal.read("t").pipe(Effect.orDie)).map(({ entry }) => entry._tag)
        made++
        return "yes"
      })
      const graph = Graph.make("g", {
        state: log,
        nodes: {
          pay: Effect.fnUntraced(function* () {
            const paying = yield* Durable.call({ ...paid, call })
            const ok = yield* Ask.ask(Ok, "send?")
            return { log: [paying, `${ok}`] }
          })
        },
        edges: { start: "pay", pay: "end" }
      })
      yield* Thread.run(graph, { thread: "t", input: {} })
      assert.include(before, "Intent")
      yield* Thread.patch(graph, { thread: "t", update: { log: ["patched"] } })
      const waits = yield* Thread.run(graph, { thread: "t" })
      assert.strictEqual(waits._tag, "Waiting")
      yield* Thread.answer(Ok, { thread: "t", value: true })
      assert.deepStrictEqual((yield* elsewhere(Thread.run(graph, { thread: "t" }))).state.log, [
        "patched",
        "yes",
        "true"
      ])
      assert.strictEqual(made, 1)
    })
  )
})

describe("The tasks of a step", () => {
  test(
    "wait at a join for all that come, in whatever step, and run with what came where no more can",
    Effect.gen(function* () {
      const node = (name: string) => () => Effect.succeed({ log: [name] })
      const graph = Graph.make("g", {
        state: log,
        nodes: {
          a: node("a"),
          b: node("b"),
          b2: node("b2"),
          c: node("c"),
          c2: node("c2"),
          c3: node("c3"),
          join: node("join"),
          lone: node("lone"),
          never: node("never")
        },
        edges: {
          start: ["a", "b", "c"],
          a: "join",
          b: "b2",
          b2: "join",
          c: "c2",
          c2: ({ log }) => (log.length > 99 ? "never" : "c3"),
          c3: "lone",
          join: "end",
          lone: "end",
          never: "lone"
        },
        joins: { join: ["a", "b2"], lone: ["c3", "never"] }
      })
      const { state } = yield* Thread.run(graph, { thread: "t", input: {} })
      assert.deepStrictEqual(state.log, ["a", "b", "c", "b2", "c2", "join", "c3", "lone"])
    })
  )

  test(
    "of a fan-out are followed once, also by another fan-out",
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        state: log,
        nodes: {
          first: Node.make(Schema.String, (item) => Effect.succeed({ log: [`first ${item}`] })),
          second: Node.make(Schema.String, (item) => Effect.succeed({ log: [`second ${item}`] }))
        },
        edges: {
          start: () => Edge.fanOut("first", ["a", "b"]),
          first: () => Edge.fanOut("second", ["c", "d"]),
          second: "end"
        }
      })
      const { state } = yield* Thread.run(graph, { thread: "t", input: {} })
      assert.deepStrictEqual(state.log, ["first a", "first b", "second c", "second d"])
    })
  )

  test(
    "are each their own, also where two items have one key",
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        state: { out: Channel.append(Schema.Int) },
        nodes: { work: Node.make(Schema.Int, (n) => Effect.succeed({ out: [n] })) },
        edges: { start: () => Edge.fanOut("work", [1, 2, 3], { keys: ["same", "same", "same"] }), work: "end" }
      })
      assert.deepStrictEqual((yield* Thread.run(graph, { thread: "t", input: {} })).state.out, [1, 2, 3])
    })
  )

  test(
    "are interrupted when a sibling fails, where the graph says so; and an error route does not lead back to itself",
    Effect.gen(function* () {
      class Down extends Schema.TaggedError<Down>()("Down", {}) {}
      const graph = Graph.make("g", {
        state: log,
        nodes: { fails: () => Effect.andThen(Effect.yieldNow, new Down()), hangs: () => Effect.as(Effect.never, {}) },
        edges: { start: ["fails", "hangs"], fails: "end", hangs: "end" },
        siblings: "interrupt"
      })
      const run = yield* Effect.forkChild(Effect.flip(Thread.run(graph, { thread: "t", input: {} })))
      for (let turn = 0; turn < 100 && run.pollUnsafe() === undefined; turn++) yield* Effect.yieldNow
      assert.isDefined(run.pollUnsafe())
      const circle = Graph.make("circle", {
        state: log,
        nodes: { work: () => Effect.fail(new Down()), rescue: () => Effect.fail(new Down()) },
        edges: { start: "work", work: "end", rescue: "end" },
        onError: { Down: "rescue" }
      })
      const failed = yield* Effect.flip(Thread.run(circle, { thread: "c", input: {} }))
      assert.strictEqual((failed as { readonly _tag: string })._tag, "NodeContractViolated")
    })
  )
})

describe("What waits for a run", () => {
  const graph = { name: "g", nodes: {}, channels: {} } as never
  const sent = (key: string): Entry.Entry => ({ _tag: "PatchQueued", graph, updates: {}, key })

  it("is not more than the bound says, whoever journaled it", () => {
    const mailbox = Mailbox.emptyMailbox()
    for (let seq = 1; seq <= Mailbox.maxWaiting + 1; seq++) {
      Mailbox.fold(mailbox, seq % 2 === 0 ? sent(`${seq}`) : { _tag: "InputQueued", graph, input: {} }, seq)
    }
    assert.strictEqual(Mailbox.waiting(mailbox), Mailbox.maxWaiting)
  })

  it("counts once for each key, until it is refused", () => {
    const mailbox = Mailbox.emptyMailbox()
    const seqs = () => mailbox.patches.map(({ seq }) => seq)
    Mailbox.fold(mailbox, sent("a"), 1)
    Mailbox.fold(mailbox, sent("a"), 2)
    assert.deepStrictEqual(seqs(), [1])
    Mailbox.fold(mailbox, { _tag: "PatchRefused", queued: 1, message: "no" }, 3)
    Mailbox.fold(mailbox, sent("a"), 4)
    assert.deepStrictEqual(seqs(), [4])
  })
})

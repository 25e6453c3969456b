// Who listens is told which text is void, so that an answer that was begun again is not shown twice.
import { Channel, Event, Graph, Journal, Node, Policy, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {}

const retrying = Policy.make({ retry: Schedule.recurs(3) })

/** Tells an answer in two pieces; breaks off after the first one as often as it is told to. */
const makeTeller = (name: string, breaks: number) => {
  let tries = 0
  const tell = Effect.gen(function* () {
    const answer = `${name}${++tries}`
    yield* Event.token(`${answer}:`)
    if (tries <= breaks) return yield* new Broken()
    yield* Event.token("whole")
    return { log: [answer] }
  })
  return tell
}

/** What a listener shows that does as it is told: the text by task. */
const shown = <E, R>(messages: Stream.Stream<Thread.Message, E, R>) =>
  Stream.runFold(
    messages,
    () => ({ texts: new Map<string, string>(), restarts: 0 }),
    (screen, message) => {
      if (message._tag === "Message") return screen
      const task = message.path + message.task
      const text = message._tag === "Restarted" ? "" : (screen.texts.get(task) ?? "") + message.text
      screen.texts.set(task, text)
      return message._tag === "Restarted" ? { ...screen, restarts: screen.restarts + 1 } : screen
    }
  )

const state = { log: Channel.append(Schema.String) }

describe("a text that is begun again", () => {
  it.effect("is void where its task is tried again, and only that of this task", () =>
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        state,
        nodes: { a: () => tellA, b: () => tellB },
        edges: { start: ["a", "b"], a: "end", b: "end" },
        policies: { a: retrying }
      })
      const tellA = makeTeller("a", 2)
      const tellB = makeTeller("b", 0)
      const { restarts, texts } = yield* shown(Thread.messages(graph, { thread: "t", input: {} }))
      assert.deepStrictEqual(Object.fromEntries(texts), { a: "a3:whole", b: "b1:whole" })
      assert.strictEqual(restarts, 2)
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect(
    "is void where it was told by a graph inside the task that is tried again, but not what was done there",
    () =>
      Effect.gen(function* () {
        const done = makeTeller("done", 0)
        const flaky = makeTeller("flaky", 1)
        const Inner = Graph.make("inner", {
          state,
          nodes: { done: () => done, flaky: () => flaky },
          edges: { start: "done", done: "flaky", flaky: "end" }
        })
        const graph = Graph.make("g", {
          state,
          nodes: {
            in: Node.withPolicy(Graph.node(Inner, { input: () => ({}), update: ({ log }) => ({ log }) }), retrying)
          },
          edges: { start: "in", in: "end" }
        })
        const { restarts, texts } = yield* shown(Thread.messages(graph, { thread: "t", input: {} }))
        assert.deepStrictEqual(Object.fromEntries(texts), { "in@1/done": "done1:whole", "in@1/flaky": "flaky2:whole" })
        assert.strictEqual(restarts, 1)
      }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("is void where its run failed and another follows in the same stream", () =>
    Effect.gen(function* () {
      const tell = makeTeller("a", 1)
      const graph = Graph.make("g", {
        state,
        nodes: {
          a: () =>
            Effect.tapError(tell, () =>
              Effect.orDie(Thread.run(graph, { thread: "t", run: "next", input: {}, whenBusy: "queue" }) as never)
            )
        },
        edges: { start: "a", a: "end" }
      }) as Graph.Graph<
        "g",
        { readonly log: ReadonlyArray<string> },
        never,
        never,
        { readonly log?: ReadonlyArray<string> }
      >
      const events: Array<Event.Event> = []
      yield* Thread.stream(graph, { thread: "t", input: {} }).pipe(
        Stream.runForEach((event) => Effect.sync(() => events.push(event))),
        Effect.exit
      )
      const tags = events.flatMap((event) =>
        event._tag === "Token" ? [event.delta] : event._tag === "Restarted" ? [`${event.task} void`] : []
      )
      assert.deepStrictEqual(tags, ["a1:", "a void", "a2:", "whole"])
    }).pipe(Effect.provide(Journal.layerMemory))
  )

  it.effect("is void where the task says so itself; a task that told nothing says nothing", () =>
    Effect.gen(function* () {
      const graph = Graph.make("g", {
        state,
        nodes: {
          quiet: () => Effect.as(Event.restarted, {}),
          loud: () =>
            Effect.as(Effect.andThen(Event.token("half"), Effect.andThen(Event.restarted, Event.token("whole"))), {})
        },
        edges: { start: "quiet", quiet: "loud", loud: "end" }
      })
      const messages = yield* Stream.runCollect(Thread.messages(graph, { thread: "t", input: {} }))
      assert.deepStrictEqual(
        messages.map((message) => (message._tag === "Delta" ? message.text : message._tag)),
        ["half", "Restarted", "whole"]
      )
    }).pipe(Effect.provide(Journal.layerMemory))
  )
})

import * as Channel from "@selvage/core/Channel"
import type * as Errors from "@selvage/core/Errors"
import * as Graph from "@selvage/core/Graph"
import * as Node from "@selvage/core/Node"
import * as Policy from "@selvage/core/Policy"
import type * as Task from "@selvage/core/Task"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { describe, expect, test } from "tstyche"

const Note = Schema.Struct({ topic: Schema.String, text: Schema.String })

class PlanError extends Schema.TaggedError<PlanError>()("PlanError", { question: Schema.String }) {}

class SearchUnavailable extends Schema.TaggedError<SearchUnavailable>()("SearchUnavailable", {}) {}

class Plan extends Node.Service<Plan>()("test/Plan", {
  input: Schema.Struct({ question: Schema.String }),
  output: Schema.Struct({ topics: Schema.Array(Schema.String) }),
  error: PlanError
}) {}

class Search extends Node.Service<Search>()("test/Search", {
  input: Schema.String,
  output: Schema.Struct({ notes: Schema.Array(Note) }),
  error: SearchUnavailable
}) {}

const state = {
  question: Channel.last(Schema.String),
  topics: Channel.last(Schema.Array(Schema.String), { initial: [] }),
  notes: Channel.append(Note),
  spent: Channel.sum,
  answer: Channel.optional(Schema.String)
}

interface Research {
  readonly question: string
  readonly topics: ReadonlyArray<string>
  readonly notes: ReadonlyArray<typeof Note.Type>
  readonly spent: number
  readonly answer: string | undefined
}

interface ResearchInput {
  readonly question: string
  readonly topics?: ReadonlyArray<string>
  readonly notes?: ReadonlyArray<typeof Note.Type>
  readonly spent?: number
  readonly answer?: string | undefined
}

const nodes = {
  plan: Plan,
  search: Search,
  write: ({ notes }: Research) => Effect.succeed({ answer: notes.map((note) => note.text).join("\n") })
}

const edges = {
  start: "plan",
  plan: { each: "search", of: ({ topics }: Research) => topics },
  search: ({ notes }: Research) => (notes.length < 3 ? "plan" : "write"),
  write: "end"
} as const

describe("what a graph tells by its type", () => {
  const research = Graph.make("research", {
    state,
    nodes: {
      plan: Plan,
      search: Search,
      write: ({ notes }) => Effect.succeed({ answer: notes.map((note) => note.text).join("\n") })
    },
    edges: {
      start: "plan",
      plan: { each: "search", of: ({ topics }) => topics },
      search: ({ notes }) => (notes.length < 3 ? "plan" : "write"),
      write: "end"
    },
    onError: { SearchUnavailable: "write" }
  })

  test("its name, its state, the errors that have no route, and the node services it needs", () => {
    expect(research).type.toBe<Graph.Graph<"research", Research, PlanError, Plan | Search, ResearchInput>>()
  })

  test("an error keeps its place in the type while it has no route", () => {
    expect(Graph.make("research", { state, nodes, edges })).type.toBe<
      Graph.Graph<"research", Research, PlanError | SearchUnavailable, Plan | Search, ResearchInput>
    >()
  })

  test("an error of a policy can have a route too, to a node that takes it", () => {
    expect(
      Graph.make("patient", {
        state: { n: Channel.sum },
        nodes: {
          wait: ({ n }) => Effect.succeed({ n }),
          late: Node.make(Policy.AttemptTimedOut, ({ millis }) => Effect.succeed({ n: millis }))
        },
        edges: { start: "wait", wait: "end", late: "end" },
        onError: { AttemptTimedOut: "late" },
        policies: { wait: Policy.make({ timeout: "1 second" }) }
      })
    ).type.toBe<Graph.Graph<"patient", { readonly n: number }, never, never, { readonly n?: number }>>()
  })

  test("a run needs what its nodes need, and fails as they do", () => {
    expect(Graph.run(research, { question: "why" })).type.toBe<
      Effect.Effect<Research, PlanError | Errors.GraphFailure | Task.Suspended, Plan | Search>
    >()
  })

  test("a run is given each channel that has no first value of its own", () => {
    expect(Graph.run).type.toBeCallableWith(research, { question: "why" })
    expect(Graph.run).type.toBeCallableWith(research, { question: "why", spent: 3 })
    expect(Graph.run).type.not.toBeCallableWith(research, {})
    expect(Graph.run).type.not.toBeCallableWith(research, { question: 1 })
  })

  test("a function node's requirements and errors join the graph's", () => {
    expect(
      Graph.make("scoped", {
        state: { n: Channel.sum },
        nodes: {
          open: () =>
            Effect.as(
              Effect.acquireRelease(Effect.void, () => Effect.void),
              { n: 1 }
            )
        },
        edges: { start: "open", open: "end" }
      })
    ).type.toBe<Graph.Graph<"scoped", { readonly n: number }, never, Scope.Scope, { readonly n?: number }>>()
  })
})

describe("what does not compile", () => {
  test("an edge to an unknown node", () => {
    expect(Graph.make("typo", { state, nodes, edges: { ...edges, start: "plam" } })).type.toRaiseError("plam")
  })

  test("a list of edges with an unknown node", () => {
    expect(Graph.make("typo", { state, nodes, edges: { ...edges, start: ["plan", "wriet"] } })).type.toRaiseError(
      "wriet"
    )
  })

  test("edges of a node that does not exist", () => {
    expect(
      Graph.make("typo", {
        state,
        nodes,
        edges: {
          start: "plan",
          plan: { each: "search", of: ({ topics }) => topics },
          search: "write",
          write: "end",
          wriet: "end"
        }
      })
    ).type.toRaiseError("wriet")
  })

  test("a node without edges", () => {
    expect(
      Graph.make("gap", {
        state,
        nodes,
        edges: { start: "plan", plan: { each: "search", of: ({ topics }) => topics }, search: "write" }
      })
    ).type.toRaiseError("write")
  })

  test("an update of an unknown channel", () => {
    expect(
      Graph.make("typo", {
        state: { answer: Channel.optional(Schema.String) },
        nodes: { write: () => Effect.succeed({ anwser: "42" }) },
        edges: { start: "write", write: "end" }
      })
    ).type.toRaiseError("this node updates a channel that the state does not have")
  })

  test("an update of an unknown channel beside a known one", () => {
    expect(
      Graph.make("typo", {
        state: { answer: Channel.optional(Schema.String) },
        nodes: { write: () => Effect.succeed({ answer: "42", anwser: "42" }) },
        edges: { start: "write", write: "end" }
      })
    ).type.toRaiseError("this node updates a channel that the state does not have")
  })

  test("an update of the wrong type", () => {
    expect(
      Graph.make("wrong", {
        state: { answer: Channel.optional(Schema.String) },
        nodes: { write: () => Effect.succeed({ answer: 42 }) },
        edges: { start: "write", write: "end" }
      })
    ).type.toRaiseError("the update of this node does not fit the channels of the state")
  })

  test("an update of a list channel with an item in place of a list", () => {
    expect(
      Graph.make("wrong", {
        state: { notes: Channel.append(Schema.String) },
        nodes: { write: () => Effect.succeed({ notes: "one" }) },
        edges: { start: "write", write: "end" }
      })
    ).type.toRaiseError("the update of this node does not fit the channels of the state")
  })

  test("an update by a node service that does not fit the state", () => {
    expect(
      Graph.make("wrong", {
        state: { question: Channel.last(Schema.String) },
        nodes: { plan: Plan },
        edges: { start: "plan", plan: "end" }
      })
    ).type.toRaiseError("this node updates a channel that the state does not have")
  })

  test("a route to nowhere", () => {
    expect(
      Graph.make("lost", {
        state,
        nodes,
        edges: { ...edges, search: ({ notes }) => (notes.length < 3 ? "plan" : "wriet") }
      })
    ).type.toRaiseError("wriet")
  })

  test("a listed route to nowhere", () => {
    expect(
      Graph.make("lost", {
        state,
        nodes,
        edges: { ...edges, search: { to: ["plan", "wriet"], choose: () => "plan" } }
      })
    ).type.toRaiseError("wriet")
  })

  test("a fan-out to an unknown node", () => {
    expect(
      Graph.make("typo", { state, nodes, edges: { ...edges, plan: { each: "serach", of: ({ topics }) => topics } } })
    ).type.toRaiseError("serach")
  })

  test("a fan-out item of the wrong type", () => {
    expect(
      Graph.make("wrong", { state, nodes, edges: { ...edges, plan: { each: "search", of: () => [1, 2, 3] } } })
    ).type.toRaiseError()
  })

  test("an edge without items to a node that takes items", () => {
    expect(Graph.make("wrong", { state, nodes, edges: { ...edges, plan: "search" } })).type.toRaiseError("search")
  })

  test("an error route for a tag that no node fails with", () => {
    expect(Graph.make("typo", { state, nodes, edges, onError: { SearchUnavailible: "write" } })).type.toRaiseError(
      "'SearchUnavailible' does not exist"
    )
  })

  test("an error route for a tag that no node fails with, beside one for a tag that some node does", () => {
    expect(
      Graph.make("typo", { state, nodes, edges, onError: { SearchUnavailable: "write", PlanErorr: "write" } })
    ).type.toRaiseError("'PlanErorr' does not exist")
  })

  test("an error route to an unknown node", () => {
    expect(Graph.make("typo", { state, nodes, edges, onError: { SearchUnavailable: "wriet" } })).type.toRaiseError(
      "wriet"
    )
  })

  test("a run with a node service that nobody provides", () => {
    const research = Graph.make("research", { state, nodes, edges })
    expect(Effect.runPromise(Graph.run(research, { question: "why" }))).type.toRaiseError("Plan | Search")
    expect(
      Effect.runPromise(
        Graph.run(research, { question: "why" }).pipe(
          Effect.provide(Plan.toLayer(() => Effect.succeed({ topics: [] })))
        )
      )
    ).type.toRaiseError("Search")
  })

  test("a layer that breaks the contract of its node service", () => {
    expect(Plan.toLayer(() => Effect.succeed({ topics: [1] }))).type.toRaiseError()
    expect(Plan.toLayer(() => Effect.fail(new SearchUnavailable()))).type.toRaiseError()
  })
})

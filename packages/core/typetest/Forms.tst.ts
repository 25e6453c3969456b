// The forms in which a node can be written. In each of them the parameter has the type of the state, or the graph does not
// compile: it is never `any` in silence.
import * as Ask from "@selvage/core/Ask"
import * as Channel from "@selvage/core/Channel"
import * as Edge from "@selvage/core/Edge"
import * as Graph from "@selvage/core/Graph"
import * as Node from "@selvage/core/Node"
import * as Policy from "@selvage/core/Policy"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { describe, expect, test } from "tstyche"

class Down extends Schema.TaggedError<Down>()("Down", { host: Schema.String }) {}

class Search extends Node.Service<Search>()("test/Search", {
  input: Schema.String,
  output: Schema.Struct({ answer: Schema.String }),
  error: Down
}) {}

const Approve = Ask.make("approve", {
  question: Schema.String,
  answer: Schema.Boolean,
  deadline: "1 day",
  otherwise: (question) => {
    expect(question).type.toBe<string>()
    return false
  }
})

const state = { topic: Channel.last(Schema.String), count: Channel.sum, answer: Channel.optional(Schema.String) }
const edges = { start: "node", node: "end" } as const

const Inside = Graph.make("inside", { state, nodes: { node: () => Effect.succeed({}) }, edges })

describe("a function where the node stands has the type of the state", () => {
  test("an arrow", () => {
    Graph.make("g", { state, nodes: { node: ({ topic }) => Effect.succeed({ answer: topic.trim() }) }, edges })
    Graph.make("g", {
      state,
      nodes: {
        node: ({ topic }) => {
          expect(topic).type.toBe<string>()
          return Effect.gen(function* () {
            return { answer: topic }
          })
        }
      },
      edges
    })
    expect(
      Graph.make("g", { state, nodes: { node: ({ topic }) => Effect.succeed({ anwser: topic }) }, edges })
    ).type.toRaiseError("this node updates a channel that the state does not have")
    expect(
      Graph.make("g", { state, nodes: { node: ({ tpoic }) => Effect.succeed({ answer: tpoic }) }, edges })
    ).type.toRaiseError("'tpoic' does not exist")
  })

  test("a method, and a function expression", () => {
    Graph.make("g", {
      state,
      nodes: {
        node({ topic }) {
          expect(topic).type.toBe<string>()
          return Effect.succeed({ answer: topic })
        },
        other: function (all) {
          expect(all.count).type.toBe<number>()
          return Effect.succeed({ answer: all.topic })
        }
      },
      edges: { start: "node", node: "other", other: "end" }
    })
    expect(
      Graph.make("g", {
        state,
        nodes: {
          node({ tpoic }) {
            return Effect.succeed({ answer: tpoic })
          }
        },
        edges
      })
    ).type.toRaiseError("'tpoic' does not exist")
  })

  test("Effect.fnUntraced, Effect.fn, with and without a name, and with what stands around them", () => {
    Graph.make("g", {
      state,
      nodes: {
        node: Effect.fnUntraced(function* ({ count, topic }) {
          expect(topic).type.toBe<string>()
          expect(count).type.toBe<number>()
          yield* Effect.void
          return { answer: topic }
        }),
        named: Effect.fn("named")(function* (all) {
          expect(all.topic).type.toBe<string>()
          return { answer: all.topic }
        }),
        traced: Effect.fn(function* ({ topic }) {
          expect(topic).type.toBe<string>()
          return { answer: topic }
        }),
        later: Effect.fnUntraced(
          function* ({ topic }) {
            expect(topic).type.toBe<string>()
            return { answer: topic }
          },
          (effect, { count }) => {
            expect(count).type.toBe<number>()
            return Effect.delay(effect, count)
          }
        ),
        without: Effect.fnUntraced(function* () {
          return { answer: "none" }
        })
      },
      edges: { start: "node", node: "named", named: "traced", traced: "later", later: "without", without: "end" }
    })
  })

  test("a generator's mistakes", () => {
    expect(
      Graph.make("g", {
        state,
        nodes: {
          node: Effect.fnUntraced(function* ({ tpoic }) {
            return { answer: tpoic }
          })
        },
        edges
      })
    ).type.toRaiseError("'tpoic' does not exist")
    expect(
      Graph.make("g", {
        state,
        nodes: {
          node: Effect.fn("node")(function* (all) {
            return { answer: all.tpoic }
          })
        },
        edges
      })
    ).type.toRaiseError("'tpoic' does not exist")
    expect(
      Graph.make("g", {
        state,
        nodes: {
          node: Effect.fnUntraced(function* ({ topic }) {
            return { anwser: topic }
          })
        },
        edges
      })
    ).type.toRaiseError("this node updates a channel that the state does not have")
    expect(
      Graph.make("g", {
        state,
        nodes: {
          node: Effect.fnUntraced(function* ({ topic }: { readonly topic: number }) {
            return { answer: `${topic}` }
          })
        },
        edges
      })
    ).type.toRaiseError("'string' is not assignable to type 'number'")
  })

  test("a generator's errors and requirements join the graph's", () => {
    expect(
      Graph.make("g", {
        state,
        nodes: {
          node: Effect.fnUntraced(function* ({ topic }) {
            if (topic === "") return yield* new Down({ host: topic })
            const search = yield* Search
            return yield* search(topic)
          })
        },
        edges
      })
    ).type.toBe<
      Graph.Graph<
        "g",
        { readonly topic: string; readonly count: number; readonly answer: string | undefined },
        Down,
        Search,
        { readonly topic: string; readonly count?: number; readonly answer?: string | undefined }
      >
    >()
  })

  test("a generator that is no Effect", () => {
    expect(
      Graph.make("g", {
        state,
        nodes: {
          *node({ topic }) {
            expect(topic).type.toBe<string>()
            return { answer: topic }
          }
        },
        edges
      })
    ).type.toRaiseError("a node returns an Effect")
  })
})

describe("a function from elsewhere", () => {
  const typed = Effect.fnUntraced(function* ({ topic }: { readonly topic: string }) {
    return { answer: topic }
  })
  const other = Effect.fnUntraced(function* ({ tpoic }: { readonly tpoic: string }) {
    return { answer: tpoic }
  })
  const any = Effect.fnUntraced(function* ({ topic }) {
    return { answer: topic as string }
  })

  test("with its parameter's type", () => {
    Graph.make("g", { state, nodes: { node: typed }, edges })
    expect(Graph.make("g", { state, nodes: { node: other }, edges })).type.toRaiseError("'tpoic' is missing")
  })

  test("with a parameter that is `any`", () => {
    expect(Graph.make("g", { state, nodes: { node: any }, edges })).type.toRaiseError(
      "the parameter of this node is `any`"
    )
    expect(Graph.make("g", { state, nodes: { node: (all: any) => Effect.succeed(all) }, edges })).type.toRaiseError(
      "the parameter of this node is `any`"
    )
  })

  test("in a combinator", () => {
    expect(Node.withPolicy(any, Policy.transient)).type.toRaiseError("the parameter of this node is `any`")
    expect(Node.orElse(any, () => Effect.succeed({}))).type.toRaiseError("the parameter of this node is `any`")
    expect(Node.adapt(any, { input: () => "", update: () => ({}) })).type.toRaiseError(
      "the parameter of this node is `any`"
    )
  })
})

describe("a function inside a call where the node stands", () => {
  test("takes what the other arguments say", () => {
    Graph.make("g", {
      state,
      nodes: {
        make: Node.make(Schema.String, (topic) => {
          expect(topic).type.toBe<string>()
          return Effect.succeed({ answer: topic })
        }),
        node: Node.make(
          Schema.String,
          Effect.fnUntraced(function* (topic) {
            expect(topic).type.toBe<string>()
            return { answer: topic }
          })
        ),
        search: Node.orElse(
          Search,
          Effect.fnUntraced(function* (topic) {
            expect(topic).type.toBe<string>()
            return { answer: topic }
          })
        ),
        sub: Graph.node(Inside, {
          input: ({ topic }: { readonly topic: string }) => ({ topic }),
          update: ({ answer, count }, { topic }) => {
            expect(count).type.toBe<number>()
            expect(topic).type.toBe<string>()
            return { answer }
          }
        }),
        ask: Ask.node(Approve, {
          question: ({ topic }: { readonly topic: string }) => topic,
          update: (approved, { topic }) => {
            expect(approved).type.toBe<boolean>()
            expect(topic).type.toBe<string>()
            return { answer: topic }
          }
        }),
        adapted: Node.adapt(Search, {
          input: ({ topic }: { readonly topic: string }) => topic,
          update: ({ answer }, { topic }) => {
            expect(topic).type.toBe<string>()
            return { answer }
          }
        })
      },
      edges: {
        start: ["sub", "ask", "adapted"],
        sub: { each: "make", of: ({ topic }) => [topic] },
        ask: { each: "node", of: ({ topic }) => [topic] },
        adapted: { each: "search", of: ({ topic }) => [topic] },
        make: "end",
        node: "end",
        search: "end"
      }
    })
  })

  test("does not compile where they do not say it", () => {
    expect(
      Node.withPolicy(
        Effect.fnUntraced(function* ({ topic }) {
          return { answer: topic as string }
        }),
        Policy.transient
      )
    ).type.toRaiseError("the parameter of this node is `any`")
    expect(Node.withPolicy(({ topic }) => Effect.succeed({ answer: topic }), Policy.transient)).type.toRaiseError()
    expect(Ask.node(Approve, { question: ({ topic }) => topic, update: () => ({}) })).type.toRaiseError()
    expect(Graph.node(Inside, { input: ({ topic }) => ({ topic }), update: () => ({}) })).type.toRaiseError()
    expect(Node.adapt(Search, { input: ({ topic }) => topic, update: () => ({}) })).type.toRaiseError()
  })
})

describe("edges", () => {
  const nodes = { node: () => Effect.succeed({}), search: Search }

  test("functions have the type of the state", () => {
    Graph.make("g", {
      state,
      nodes: { ...nodes, late: ({ topic }) => Effect.succeed({ answer: topic }) },
      edges: {
        start: ({ topic }) => {
          expect(topic).type.toBe<string>()
          return "node"
        },
        node: {
          each: "search",
          of: ({ topic }) => {
            expect(topic).type.toBe<string>()
            return [topic]
          },
          keys: ({ topic }) => {
            expect(topic).type.toBe<string>()
            return [topic]
          }
        },
        search: {
          to: ["late", "end"],
          choose: ({ count }) => {
            expect(count).type.toBe<number>()
            return count > 1 ? "late" : "end"
          }
        },
        late: "end"
      }
    })
  })

  test("functions need no parameter, also beside nodes that take the state", () => {
    Graph.make("g", {
      state,
      nodes: {
        node: ({ topic }) => Effect.succeed({ answer: topic }),
        search: Search,
        other: Effect.fnUntraced(function* ({ topic }) {
          return { answer: topic }
        })
      },
      edges: {
        start: () => "node",
        node: { each: "search", of: () => ["a"], keys: () => ["a"] },
        search: { to: ["other", "end"], choose: () => "other" },
        other: () => Edge.fanOut("search", ["b"])
      }
    })
    expect(
      Graph.make("g", {
        state,
        nodes: { node: ({ topic }) => Effect.succeed({ answer: topic }), search: Search },
        edges: { start: "node", node: { each: "search", of: () => [1] }, search: "end" }
      })
    ).type.toRaiseError("'number' is not assignable to type 'string'")
    expect(
      Graph.make("g", {
        state,
        nodes: { node: ({ topic }) => Effect.succeed({ answer: topic }), search: Search },
        edges: { start: "node", node: () => Edge.fanOut("search", [1]), search: "end" }
      })
    ).type.toRaiseError("'number' is not assignable to type 'string'")
    expect(
      Graph.make("g", {
        state,
        nodes: { node: ({ topic }) => Effect.succeed({ answer: topic }), search: Search },
        edges: { start: "node", node: { each: "serach", of: () => ["a"] }, search: "end" }
      })
    ).type.toRaiseError("serach")
  })
})

describe("the implementation of a node service", () => {
  test("has the type of its input", () => {
    Search.toLayer((topic) => {
      expect(topic).type.toBe<string>()
      return Effect.succeed({ answer: topic })
    })
    Search.toLayer(
      Effect.fnUntraced(function* (topic) {
        expect(topic).type.toBe<string>()
        return { answer: topic }
      })
    )
    Search.toLayer(
      Effect.gen(function* () {
        return Effect.fn("search")(function* (topic) {
          expect(topic).type.toBe<string>()
          return { answer: topic }
        })
      })
    )
    Search.toLayer(
      Effect.succeed((topic) => {
        expect(topic).type.toBe<string>()
        return Effect.succeed({ answer: topic })
      })
    )
  })

  test("a wrong output is told as one", () => {
    expect(Search.toLayer((topic) => Effect.succeed({ anwser: topic }))).type.toRaiseError("'answer' is missing")
    expect(
      Search.toLayer(
        Effect.fnUntraced(function* (topic) {
          return { anwser: topic }
        })
      )
    ).type.toRaiseError("'answer' is missing")
  })
})

describe("channels and migrations", () => {
  test("reducers have the types of their schemas", () => {
    Channel.reduce({
      schema: Schema.String,
      update: Schema.Finite,
      initial: "",
      reducer: (value, update) => {
        expect(value).type.toBe<string>()
        expect(update).type.toBe<number>()
        return value + update
      }
    })
    Channel.merge(Schema.Array(Schema.String), {
      initial: [],
      merge: (value, update) => {
        expect(update).type.toBe<ReadonlyArray<string>>()
        return [...value, ...update]
      }
    })
  })

  test("a migration takes a shape and gives functions of JSON", () => {
    Graph.make("g", {
      state,
      nodes: { node: () => Effect.succeed({}) },
      edges,
      migrate: (stored) => {
        expect(stored.nodes).type.toBe<ReadonlyArray<string>>()
        return {
          channels: {
            topic: (json) => {
              expect(json).type.toBe<Schema.Json>()
              return { topic: json }
            }
          }
        }
      }
    })
  })
})

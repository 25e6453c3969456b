import * as Ask from "@selvage/core/Ask"
import * as Channel from "@selvage/core/Channel"
import type * as Errors from "@selvage/core/Errors"
import * as Graph from "@selvage/core/Graph"
import * as Node from "@selvage/core/Node"
import * as Policy from "@selvage/core/Policy"
import * as Thread from "@selvage/core/Thread"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import { describe, expect, test } from "tstyche"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

class Search extends Node.Service<Search>()("test/Search", {
  input: Schema.String,
  output: Schema.Struct({ notes: Schema.Array(Schema.String) }),
  error: Down
}) {}

interface Notes {
  readonly notes: ReadonlyArray<string>
}

class Pool extends Policy.Slots<Pool>()("test/Pool") {}
declare const breaker: CircuitBreaker.CircuitBreaker

describe("a policy tells what it can fail with, and what it needs", () => {
  test("nothing of its own", () => {
    expect(Policy.make({ retry: Schedule.recurs(3) })).type.toBe<Policy.Policy>()
  })

  test("a timeout, a breaker, slots", () => {
    const all = Policy.make({ timeout: "1 second", breaker: { breaker, key: "k" }, slots: Pool })
    expect(all).type.toBe<
      Policy.Policy<Policy.AttemptTimedOut | CircuitBreaker.CircuitBreakerError | Policy.SlotsExhausted, Pool>
    >()
    expect<Policy.FailureOf<typeof all>>().type.toBe<
      Policy.AttemptTimedOut | CircuitBreaker.CircuitBreakerError | Policy.SlotsExhausted
    >()
    expect<Policy.ServicesOf<typeof all>>().type.toBe<Pool>()
    expect<Policy.ServicesOf<typeof all | typeof Policy.transient | undefined>>().type.toBe<Pool>()
    expect(Effect.succeed(1).pipe(Policy.apply(all))).type.toBe<
      Effect.Effect<number, Policy.AttemptTimedOut | CircuitBreaker.CircuitBreakerError | Policy.SlotsExhausted, Pool>
    >()
  })

  test("what a graph's policies need and fail with joins the graph's type", () => {
    const graph = Graph.make("polite", {
      state: { notes: Channel.append(Schema.String) },
      nodes: { search: () => Effect.succeed({ notes: [] }) },
      edges: { start: "search", search: "end" },
      policies: { search: Policy.make({ slots: Pool }) }
    })
    expect(graph).type.toBe<
      Graph.Graph<"polite", Notes, Policy.SlotsExhausted, Pool, { readonly notes?: ReadonlyArray<string> }>
    >()
  })

  test("slots are slots", () => {
    expect(Policy.make).type.not.toBeCallableWith({ slots: Search })
  })
})

describe("node combinators", () => {
  test("orElse: the errors of the first leave the type, breaches of contract stay", () => {
    expect(Node.orElse(Search, (topic) => Effect.succeed({ notes: [topic] }))).type.toBe<
      Node.Node<
        string,
        { readonly notes: ReadonlyArray<string> } | { notes: Array<string> },
        Errors.NodeContractViolated,
        Search
      >
    >()
    expect(
      Node.orElse(
        (_: Notes) => Effect.fail(new Down()),
        () => Effect.fail("other" as const)
      )
    ).type.toBe<Node.Node<Notes, never, "other">>()
  })

  test("orElse: the other takes the same input", () => {
    expect(Node.orElse).type.not.toBeCallableWith(Search, (n: number) => Effect.succeed({ notes: [String(n)] }))
  })

  test("withPolicy: what the policy fails with and needs joins", () => {
    expect(Node.withPolicy(Search, Policy.make({ timeout: "1 second", slots: Pool }))).type.toBe<
      Node.Node<
        string,
        { readonly notes: ReadonlyArray<string> },
        Down | Errors.NodeContractViolated | Policy.AttemptTimedOut | Policy.SlotsExhausted,
        Search | Pool
      >
    >()
  })

  test("adapt: from a state, to an update", () => {
    expect(
      Node.adapt(Search, {
        input: ({ notes }: Notes) => notes.join(),
        update: ({ notes }, state) => ({ count: notes.length + state.notes.length })
      })
    ).type.toBe<Node.Node<Notes, { count: number }, Down | Errors.NodeContractViolated, Search>>()
    expect(Node.adapt).type.not.toBeCallableWith(Search, { input: () => 1, update: () => ({}) })
  })
})

describe("channels", () => {
  test("a map takes values, and removals", () => {
    const map = Channel.map(Schema.Int)
    expect<Channel.Value<typeof map>>().type.toBe<Readonly<Record<string, number>>>()
    expect<Channel.Update<typeof map>>().type.toBe<Readonly<Record<string, number | Channel.Removed>>>()
  })

  test("a conversation takes a prompt, or operations", () => {
    const update = { messages: Channel.messages }
    expect<{ readonly messages: [] }>().type.toBeAssignableTo<Channel.Updates<typeof update>>()
    expect<{ readonly messages: string }>().type.not.toBeAssignableTo<Channel.Updates<typeof update>>()
  })

  test("an ephemeral channel has an initial value", () => {
    expect(Channel.ephemeral).type.toBeCallableWith(Channel.append(Schema.String))
    expect(Channel.ephemeral).type.toBeCallableWith(Channel.last(Schema.Int, { initial: 0 }))
    expect(Channel.ephemeral).type.not.toBeCallableWith(Channel.last(Schema.Int))
  })

  test("merge merges values of the channel", () => {
    expect(Channel.merge(Schema.Int, { initial: 0, merge: Math.max })).type.toBe<
      Channel.Channel<number, number, false>
    >()
    expect(Channel.merge).type.not.toBeCallableWith(Schema.Int, { initial: "0", merge: Math.max })
  })
})

describe("answers", () => {
  const Approve = Ask.make("approve", { question: Schema.String, answer: Schema.Boolean })

  test("an answer has the type of its ask", () => {
    expect(Thread.answer).type.toBeCallableWith(Approve, { thread: "t", value: true })
    expect(Thread.answer).type.not.toBeCallableWith(Approve, { thread: "t", value: "yes" })
  })
})

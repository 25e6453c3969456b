import { Agent } from "@selvage/agent"
import { Graph, Journal, Limit, Thread } from "@selvage/core"
import { ScriptedModel } from "@selvage/testing"
import { Approval, Plugin } from "@selvage/tools"
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const CheckStock = Tool.make("check_stock", {
  parameters: Schema.Struct({ sku: Schema.String }),
  success: Schema.Struct({ units: Schema.Int })
}).annotate(Tool.Readonly, true)

const PlaceOrder = Tool.make("place_order", {
  parameters: Schema.Struct({ sku: Schema.String, units: Schema.Int }),
  success: Schema.Struct({ id: Schema.Int }),
  needsApproval: ({ units }) => units > 100
})

const Warehouse = Plugin.make("warehouse", { version: "1.0.0", toolkit: Toolkit.make(CheckStock, PlaceOrder) })

const Buyer = Agent.make("buyer", {
  instructions: "You restock the warehouse.",
  tools: [Warehouse],
  output: Schema.Struct({ order: Schema.Boolean, units: Schema.Int }),
  limit: Limit.turns(4)
})

const finish = (reason: Response.FinishReason): Response.FinishPartEncoded => ({
  type: "finish",
  reason,
  usage: {
    inputTokens: { uncached: 1, total: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 }
  }
})

/** A warehouse that counts its orders. */
const makeWarehouse = () => {
  const orders: Array<number> = []
  const layer = Warehouse.toLayer({
    check_stock: () => Effect.succeed({ units: 2 }),
    place_order: ({ units }) => Effect.sync(() => ({ id: orders.push(units) }))
  })
  return { layer, orders }
}

describe("Agent", () => {
  it.effect("calls tools until the model has an answer, and gives it by its schema", () =>
    Effect.gen(function* () {
      const { layer, orders } = makeWarehouse()
      const state = yield* Graph.run(Buyer, { prompt: "restock SKU-1" }).pipe(
        Effect.provide([
          layer,
          ScriptedModel.layer([
            ScriptedModel.call("check_stock", { sku: "SKU-1" }),
            ScriptedModel.call("place_order", { sku: "SKU-1", units: 40 }),
            ScriptedModel.text("done"),
            ScriptedModel.object({ order: true, units: 40 })
          ])
        ])
      )
      assert.deepStrictEqual(state.output, { order: true, units: 40 })
      assert.deepStrictEqual(orders, [40])
      assert.deepStrictEqual(
        state.messages.content.map(({ role }) => role),
        ["user", "assistant", "tool", "assistant", "tool", "assistant", "assistant"]
      )
      assert.strictEqual(state.turns.length, 4)
    })
  )

  it.effect("several calls of one turn give their results in the order of the calls", () =>
    Effect.gen(function* () {
      const second = yield* Deferred.make<void>()
      const layer = Warehouse.fake({
        // They run at once: the first waits for the second.
        check_stock: ({ sku }) =>
          Effect.as(sku === "A" ? Deferred.await(second) : Deferred.succeed(second, undefined), {
            units: sku === "A" ? 1 : 2
          })
      })
      const scripted = yield* ScriptedModel.make([
        ScriptedModel.calls([
          { name: "check_stock", params: { sku: "A" } },
          { name: "check_stock", params: { sku: "B" } }
        ]),
        ScriptedModel.text("A 1, B 2"),
        ScriptedModel.object({ order: false, units: 0 })
      ])
      const state = yield* Graph.run(Buyer, { prompt: "?" }).pipe(
        Effect.provide([layer, Layer.succeed(LanguageModel.LanguageModel, scripted.model)])
      )
      const results = state.messages.content.flatMap((message) =>
        message.role === "tool"
          ? message.content.flatMap((part) => (part.type === "tool-result" ? [part.result] : []))
          : []
      )
      assert.deepStrictEqual(results, [{ units: 1 }, { units: 2 }])
      assert.strictEqual(state.text, "A 1, B 2")
    })
  )

  it.effect("stops after sixteen turns where it names no limit", () =>
    Effect.gen(function* () {
      const looks = ScriptedModel.respond(() => ScriptedModel.call("check_stock", { sku: "A" }))
      const scripted = yield* ScriptedModel.make(Array.from({ length: 20 }, () => looks))
      const endless = Agent.make("endless", { instructions: "Look.", tools: [Warehouse] })
      const error = yield* Graph.run(endless, { prompt: "?" }).pipe(
        Effect.provide([makeWarehouse().layer, Layer.succeed(LanguageModel.LanguageModel, scripted.model)]),
        Effect.flip
      )
      assert.strictEqual(error._tag, "LimitReached")
      assert.strictEqual((yield* scripted.requests).length, 16)
    })
  )

  it.effect("a tool the model made up is reported to the model, which may do better", () =>
    Effect.gen(function* () {
      const { layer } = makeWarehouse()
      const state = yield* Graph.run(Buyer, { prompt: "?" }).pipe(
        Effect.provide([
          layer,
          ScriptedModel.layer([
            ScriptedModel.call("buy_everything", {}),
            ScriptedModel.text("sorry"),
            ScriptedModel.object({ order: false, units: 0 })
          ])
        ])
      )
      const failed = state.messages.content.flatMap((message) =>
        message.role === "tool" ? message.content.flatMap((part) => (part.type === "tool-result" ? [part] : [])) : []
      )
      assert.ok(failed[0]?.isFailure)
      assert.include(JSON.stringify(failed[0]?.result), "check_stock")
    })
  )

  it.effect("what a model makes up is bounded before it is journaled, and told back as it is kept", () =>
    Effect.gen(function* () {
      const { layer } = makeWarehouse()
      const huge = "x".repeat(1_000_000)
      const note = "x".repeat(1_100_000)
      const model = ScriptedModel.layer([
        ScriptedModel.calls([
          { name: huge, params: { sku: "SKU-1" }, id: "a" },
          { name: "check_stock", params: { sku: "SKU-1", note }, id: huge },
          { name: "check_stock", params: `{"sku": "${note}`, id: huge }
        ]),
        ScriptedModel.text("done"),
        ScriptedModel.object({ order: false, units: 0 })
      ])
      yield* Effect.gen(function* () {
        const { state } = yield* Thread.run(Buyer, { thread: "t", input: { prompt: "restock SKU-1" } })
        const called = state.messages.content.flatMap((message) =>
          message.role === "assistant"
            ? message.content.flatMap((part) => (part.type === "tool-call" ? [[part.id, part.name]] : []))
            : []
        )
        const told = state.messages.content.flatMap((message) =>
          message.role === "tool"
            ? message.content.flatMap((part) => (part.type === "tool-result" ? [[part.id, part.name]] : []))
            : []
        )
        assert.deepStrictEqual(called, told)
        assert.lengthOf(called, 3)
        const journal = yield* Journal.Journal
        assert.isBelow(JSON.stringify(yield* journal.read("t")).length, 400_000)
      }).pipe(Effect.provide([layer, model, Journal.layerMemory]))
    })
  )

  it.effect("a limit stops before the next call of the model and says which", () =>
    Effect.gen(function* () {
      const { layer } = makeWarehouse()
      const scripted = yield* ScriptedModel.make(
        Array.from({ length: 9 }, () => ScriptedModel.call("check_stock", { sku: "A" }))
      )
      const error = yield* Effect.flip(
        Graph.run(Buyer, { prompt: "?" }).pipe(
          Effect.provide([layer, Layer.succeed(LanguageModel.LanguageModel, scripted.model)])
        )
      )
      assert.ok(error._tag === "LimitReached" && error.limit === "4 turns")
      assert.strictEqual((yield* scripted.requests).length, 4)
    })
  )

  it.effect("a call that needs approval waits, is made once when approved, and not at all when denied", () =>
    Effect.gen(function* () {
      for (const approved of [true, false]) {
        const { layer, orders } = makeWarehouse()
        const model = ScriptedModel.layer([
          ScriptedModel.call("place_order", { sku: "SKU-1", units: 400 }),
          ScriptedModel.text("done"),
          ScriptedModel.object({ order: approved, units: approved ? 400 : 0 })
        ])
        yield* Effect.gen(function* () {
          const waiting = yield* Thread.run(Buyer, { thread: "t", input: { prompt: "restock SKU-1" } })
          assert.ok(waiting._tag === "Waiting")
          assert.deepStrictEqual(orders, [])
          const { ask, question } = waiting.asks[0]!
          const { call, params } = Option.getOrThrow(Schema.decodeUnknownOption(Approval.Question)(question))
          assert.deepStrictEqual(params, { sku: "SKU-1", units: 400 })
          yield* Thread.answer(Approval.ask(call), { thread: "t", ask, value: { approved } })
          const done = yield* Thread.run(Buyer, { thread: "t" })
          assert.strictEqual(done.state.output?.order, approved)
          assert.deepStrictEqual(orders, approved ? [400] : [])
        }).pipe(Effect.provide([layer, model, Journal.layerMemory]))
      }
    })
  )

  it.effect("a second run of the thread goes on with the conversation, and its limit counts anew", () =>
    Effect.gen(function* () {
      const Chat = Agent.make("chat", { instructions: "Be brief.", limit: Limit.turns(1) })
      const scripted = yield* ScriptedModel.make([ScriptedModel.text("hello Ada"), ScriptedModel.text("Ada")])
      yield* Effect.gen(function* () {
        yield* Thread.run(Chat, { thread: "t", input: { prompt: "I am Ada" } })
        const second = yield* Thread.run(Chat, { thread: "t", input: { prompt: "Who am I?" } })
        assert.strictEqual(second.state.text, "Ada")
      }).pipe(Effect.provide([Layer.succeed(LanguageModel.LanguageModel, scripted.model), Journal.layerMemory]))
      const last = (yield* scripted.requests).at(-1)!
      assert.deepStrictEqual(
        last.prompt.content.map(({ role }) => role),
        ["system", "user", "assistant", "user"]
      )
    })
  )

  it.effect("who listens gets the model's tokens, and the same conversation comes of it", () =>
    Effect.gen(function* () {
      const Chat = Agent.make("chat", { instructions: "Be brief." })
      yield* Effect.gen(function* () {
        const events = yield* Stream.runCollect(Thread.stream(Chat, { thread: "t", input: { prompt: "hi" } }))
        const tokens = events.flatMap((event) => (event._tag === "Token" ? [event.delta] : []))
        assert.ok(tokens.length > 1)
        assert.strictEqual(tokens.join(""), "one two three")
        assert.strictEqual((yield* Thread.state(Chat, { thread: "t" })).text, "one two three")
      }).pipe(
        Effect.provide(Layer.merge(ScriptedModel.layer([ScriptedModel.text("one two three")]), Journal.layerMemory))
      )
    })
  )

  describe("a model that pauses", () => {
    const Searcher = Agent.make("searcher", { instructions: "Search the web.", limit: Limit.turns(3) })

    /** A model that says its texts one by one, and pauses after each but the last. */
    const pausing = (texts: ReadonlyArray<string>) => {
      const prompts: Array<Prompt.Prompt> = []
      const next = ({ prompt }: LanguageModel.ProviderOptions) => {
        prompts.push(prompt)
        const text = texts[prompts.length - 1] ?? "more"
        return { text, finish: finish(prompts.length === texts.length ? "stop" : "pause") }
      }
      const layer = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({
          generateText: (options) =>
            Effect.sync(() => {
              const { finish, text } = next(options)
              return [{ type: "text", text }, finish]
            }),
          streamText: (options) =>
            Stream.suspend(() => {
              const { finish, text } = next(options)
              return Stream.make(
                { type: "text-start", id: "1" },
                { type: "text-delta", id: "1", delta: text },
                { type: "text-end", id: "1" },
                finish
              )
            })
        })
      )
      return { layer, prompts }
    }

    it.effect("is called again with what it said, and its answer is the whole", () =>
      Effect.gen(function* () {
        const { layer, prompts } = pausing(["Let me look. ", "It is ", "ten."])
        const state = yield* Effect.provide(Graph.run(Searcher, { prompt: "?" }), layer)
        assert.deepStrictEqual([state.text, state.finishReason], ["Let me look. It is ten.", "stop"])
        assert.deepStrictEqual(
          prompts.map(({ content }) => content.map(({ role }) => role).join(" ")),
          ["system user", "system user assistant", "system user assistant assistant"]
        )
        assert.strictEqual(state.turns.length, 3)
      })
    )

    it.effect("is also called again when someone listens", () =>
      Effect.gen(function* () {
        const { layer } = pausing(["one ", "two ", "three"])
        yield* Effect.gen(function* () {
          const run = Thread.stream(Searcher, { thread: "t", input: { prompt: "?" } })
          const tokens = yield* Stream.runCollect(Stream.filter(run, ({ _tag }) => _tag === "Token"))
          assert.strictEqual(tokens.length, 3)
          assert.strictEqual((yield* Thread.state(Searcher, { thread: "t" })).text, "one two three")
        }).pipe(Effect.provide([layer, Journal.layerMemory]))
      })
    )

    it.effect("is not called for ever: each call is a turn that the limit counts", () =>
      Effect.gen(function* () {
        const { layer, prompts } = pausing([])
        const error = yield* Effect.flip(Effect.provide(Graph.run(Searcher, { prompt: "?" }), layer))
        assert.ok(error._tag === "LimitReached" && error.limit === "3 turns")
        assert.strictEqual(prompts.length, 3)
      })
    )

    it.effect("and was stopped by its limit does not lend its text to the next run", () =>
      Effect.gen(function* () {
        const { layer } = pausing(["a", "b", "c", "d"])
        yield* Effect.gen(function* () {
          yield* Effect.flip(Thread.run(Searcher, { thread: "t", input: { prompt: "first" } }))
          const { state } = yield* Thread.run(Searcher, { thread: "t", input: { prompt: "second" } })
          assert.strictEqual(state.text, "d")
        }).pipe(Effect.provide([layer, Journal.layerMemory]))
      })
    )
  })

  it.effect(
    "a tool that decides about its approval sees the conversation before the call, which is not journaled again",
    () =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        const Note = Tool.make("note", {
          parameters: Schema.Struct({}),
          success: Schema.Void,
          needsApproval: (_, { messages }) => {
            seen.push(messages.map(({ role }) => role).join(" "))
            return false
          }
        })
        const Notes = Plugin.make("notes", { version: "1", toolkit: Toolkit.make(Note) })
        const Writer = Agent.make("writer", { instructions: "Take notes.", tools: [Notes] })
        const layers = Layer.mergeAll(
          Notes.fake({ note: () => Effect.void }),
          ScriptedModel.layer([
            ScriptedModel.calls([
              { name: "note", params: {} },
              { name: "note", params: {} }
            ]),
            ScriptedModel.call("note", {}),
            ScriptedModel.text("done")
          ]),
          Journal.layerMemory
        )
        yield* Effect.gen(function* () {
          yield* Thread.run(Writer, { thread: "t", input: { prompt: "marmalade" } })
          assert.deepStrictEqual(seen, ["user", "user", "user assistant tool tool"])
          const entries = yield* Stream.runCollect(Thread.events({ thread: "t" }))
          // The input, and the message that is made of it.
          assert.strictEqual(JSON.stringify(entries).split("marmalade").length - 1, 2)
        }).pipe(Effect.provide(layers))
      })
  )

  it.effect("what came before a model was asked again in mid-stream is no part of the answer", () =>
    Effect.gen(function* () {
      const model = yield* LanguageModel.make({
        generateText: () => Effect.succeed([]),
        streamText: () =>
          // In two chunks, as a model sends them.
          Stream.flatMap(
            Stream.fromIterable<ReadonlyArray<Response.StreamPartEncoded>>([
              [
                { type: "text-start", id: "1" },
                { type: "text-delta", id: "1", delta: "half" }
              ],
              [
                {
                  type: "response-metadata",
                  modelId: "second",
                  metadata: { selvage: { restarted: { model: "first", reason: "it broke off" } } }
                },
                { type: "text-start", id: "2" },
                { type: "text-delta", id: "2", delta: "whole" },
                { type: "text-end", id: "2" },
                {
                  type: "finish",
                  reason: "stop",
                  usage: {
                    inputTokens: { uncached: 1, total: 1, cacheRead: 0, cacheWrite: 0 },
                    outputTokens: { total: 1, text: 1, reasoning: 0 }
                  }
                }
              ]
            ]),
            (parts) => Stream.fromIterable(parts)
          )
      })
      const Teller = Agent.make("teller", { instructions: "Tell." })
      yield* Effect.gen(function* () {
        const messages = yield* Stream.runCollect(Thread.messages(Teller, { thread: "t", input: { prompt: "?" } }))
        const told = messages.map((message) => (message._tag === "Delta" ? message.text : message._tag))
        assert.deepStrictEqual(told, ["Message", "half", "Restarted", "whole", "Message"])
        assert.strictEqual((yield* Thread.state(Teller, { thread: "t" })).text, "whole")
      }).pipe(Effect.provide([Layer.succeed(LanguageModel.LanguageModel, model), Journal.layerMemory]))
    })
  )
})

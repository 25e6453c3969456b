import { Channel, Graph } from "@selvage/core"
import * as Messages from "@selvage/core/Messages"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Prompt from "effect/ai/Prompt"

const user = (text: string, id?: string): Prompt.Message => {
  const message = Prompt.userMessage({ content: [Prompt.textPart({ text })] })
  return id === undefined ? message : Messages.withId(message, id)
}
const call = (id: string, ...calls: ReadonlyArray<string>) =>
  Messages.withId(
    Prompt.assistantMessage({
      content: calls.map((one) => Prompt.toolCallPart({ id: one, name: "look", params: {}, providerExecuted: false }))
    }),
    id
  )
const result = (id: string, ...calls: ReadonlyArray<string>) =>
  Messages.withId(
    Prompt.toolMessage({
      content: calls.map((one) =>
        Prompt.toolResultPart({ id: one, name: "look", isFailure: false, result: 1, providerExecuted: false })
      )
    }),
    id
  )

const prompt = (...messages: ReadonlyArray<Prompt.Message>) => Prompt.fromMessages(messages)

const codec = Schema.toCodecJson(Messages.Update)
const restarted = (update: Messages.Update): Messages.Update =>
  Schema.decodeUnknownSync(codec)(JSON.parse(JSON.stringify(Schema.encodeUnknownSync(codec)(update))))

const fold = (conversation: Prompt.Prompt, update: Messages.Update) => {
  const live = Messages.fold(conversation, update)
  assert.deepStrictEqual(Messages.fold(conversation, restarted(update)), live)
  return live
}

const refused = (conversation: Prompt.Prompt, update: Messages.Update) => {
  try {
    Messages.fold(conversation, update)
  } catch (error) {
    assert.instanceOf(error, Messages.MessagesRefused)
    return { reason: error.reason, ids: error.ids }
  }
  return assert.fail("it was not refused")
}

describe("Messages", () => {
  it("an id survives a restart beside other options", () => {
    const message = Messages.withId(
      Prompt.systemMessage({ content: "Be brief.", options: { anthropic: { cacheControl: { type: "ephemeral" } } } }),
      "rules"
    )
    const [read] = Schema.decodeUnknownSync(Prompt.Prompt)(
      JSON.parse(JSON.stringify(Schema.encodeUnknownSync(Prompt.Prompt)(prompt(message))))
    ).content
    assert.deepStrictEqual(read, message)
    assert.strictEqual(Messages.idOf(message), "rules")
    assert.isUndefined(Messages.idOf(user("hi")))
  })

  it("a prompt is appended, and so is Messages.append", () => {
    const before = prompt(user("a", "1"))
    assert.deepStrictEqual(fold(before, prompt(user("b"))), prompt(user("a", "1"), user("b")))
    assert.deepStrictEqual(fold(before, Messages.append(user("b", "2"))), prompt(user("a", "1"), user("b", "2")))
    assert.deepStrictEqual(fold(before, []), before)
  })

  it("an id that is there already is refused, also twice in one update", () => {
    const before = prompt(user("a", "1"))
    assert.deepStrictEqual(refused(before, prompt(user("b", "1"))), { reason: "id taken", ids: ["1"] })
    assert.deepStrictEqual(refused(before, Messages.append(user("b", "2"), user("c", "2"))), {
      reason: "id taken",
      ids: ["2"]
    })
  })

  it("replaces a message in its place, by its id", () => {
    const before = prompt(user("a", "1"), user("b", "2"), user("c", "3"))
    assert.deepStrictEqual(
      fold(before, Messages.replace("2", user("B"))),
      prompt(user("a", "1"), user("B", "2"), user("c", "3"))
    )
    assert.deepStrictEqual(refused(before, Messages.replace("4", user("D"))), { reason: "unknown id", ids: ["4"] })
  })

  it("removes messages by their ids", () => {
    const before = prompt(user("a", "1"), user("b"), user("c", "3"))
    assert.deepStrictEqual(fold(before, Messages.remove(["1", "3"])), prompt(user("b")))
    assert.deepStrictEqual(refused(before, Messages.remove(["1", "2"])), { reason: "unknown id", ids: ["2"] })
  })

  it("does several operations in order, all or none", () => {
    const before = prompt(user("a", "1"), user("b", "2"))
    assert.deepStrictEqual(
      fold(before, [
        ...Messages.remove(["1", "2"]),
        ...Messages.append(user("sum", "1")),
        ...Messages.replace("1", user("SUM"))
      ]),
      prompt(user("SUM", "1"))
    )
    refused(before, [...Messages.remove(["1"]), ...Messages.remove(["1"])])
  })

  describe("a tool call and its result go together", () => {
    const before = prompt(user("hi", "1"), call("2", "x", "y"), result("3", "x", "y"))

    it("a result does not stay without its call", () => {
      assert.deepStrictEqual(refused(before, Messages.remove(["2"])), {
        reason: "result without call",
        ids: ["x", "y"]
      })
      assert.deepStrictEqual(refused(before, Messages.replace("2", call("2", "y"))), {
        reason: "result without call",
        ids: ["x"]
      })
    })

    it("a call does not lose its result", () => {
      assert.deepStrictEqual(refused(before, Messages.remove(["3"])), {
        reason: "call without result",
        ids: ["x", "y"]
      })
      assert.deepStrictEqual(refused(before, Messages.replace("3", result("3", "x"))), {
        reason: "call without result",
        ids: ["y"]
      })
    })

    it("both may go in one update, in any order", () => {
      assert.deepStrictEqual(fold(before, Messages.remove(["2", "3"])), prompt(user("hi", "1")))
      assert.deepStrictEqual(
        fold(before, [...Messages.remove(["3"]), ...Messages.remove(["2"])]),
        prompt(user("hi", "1"))
      )
      assert.deepStrictEqual(
        fold(before, [...Messages.replace("2", call("2", "y")), ...Messages.replace("3", result("3", "y"))]),
        prompt(user("hi", "1"), call("2", "y"), result("3", "y"))
      )
    })

    it("a call that waits for its result may go", () => {
      const waiting = prompt(user("hi", "1"), call("2", "x"))
      assert.deepStrictEqual(fold(waiting, Messages.remove(["2"])), prompt(user("hi", "1")))
    })
  })

  it("an update of bytes and addresses comes back as it was", () => {
    const files = user("see", "1")
    const message = {
      ...files,
      content: [
        Prompt.filePart({ mediaType: "image/png", data: new Uint8Array([1, 2, 3]) }),
        Prompt.filePart({ mediaType: "image/png", data: new URL("https://example.com/a.png") }),
        Prompt.filePart({ mediaType: "text/plain", data: "abcd" })
      ]
    } as Prompt.UserMessage
    const update = [...Messages.append(message), ...Messages.replace("1", message)]
    assert.deepStrictEqual(restarted(update), update)
  })

  it.effect("a run reports a refused edit naming the node and the channel", () =>
    Effect.gen(function* () {
      const graph = Graph.make("chat", {
        state: { messages: Channel.messages },
        nodes: {
          say: () => Effect.succeed({ messages: prompt(user("a", "1")) }),
          edit: () => Effect.succeed({ messages: Messages.replace("2", user("b")) })
        },
        edges: { start: "say", say: "edit", edit: "end" }
      })
      const error = yield* Effect.flip(Graph.run(graph, {}))
      assert.strictEqual(error._tag, "NodeContractViolated")
      assert.match(error.message, /Node "edit".*channel "messages".*no message 2/)
    })
  )
})

// Which calls of a conversation are to be made.
import { assert, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import { pendingCalls } from "../src/internal/conversation.ts"

const call = (id: string, providerExecuted = false) =>
  Prompt.toolCallPart({ id, name: "look", params: {}, providerExecuted })
const result = (id: string) =>
  Prompt.toolResultPart({ id, name: "look", isFailure: false, result: "seen", encodedResult: "seen" } as never)
const user = Prompt.userMessage({ content: [Prompt.textPart({ text: "?" })] })
const pending = (...content: ReadonlyArray<Prompt.AssistantMessagePart>) =>
  pendingCalls(Prompt.fromMessages([user, Prompt.assistantMessage({ content })]))

it("those of the last message that have no result, and that no provider has made", () => {
  const calls = pending(call("a"), call("b"), call("c", true), result("a"))
  assert.deepStrictEqual(
    calls.map(({ id }) => id),
    ["b"]
  )
})

it("none of a message before the last", () => {
  const assistant = Prompt.assistantMessage({ content: [call("a")] })
  assert.deepStrictEqual(pendingCalls(Prompt.fromMessages([assistant, user])), [])
})

it("each with the conversation before the message that makes it, and a name of its own", () => {
  const calls = pending(call("a"), call("a"))
  assert.deepStrictEqual(
    calls.map(({ as, leading }) => [as, leading]),
    [
      ["a", [user]],
      ["a#2", [user]]
    ]
  )
})

import { assert, describe, it } from "@effect/vitest"
import * as Chat from "effect/ai/Chat"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as ResponseIdTracker from "effect/ai/ResponseIdTracker"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { AnthropicLanguageModel } from "../src/index.ts"
import { against, message, serve, sse, started, stopped, textBlock } from "./servers.ts"

// Answers `msg_1`, `msg_2`, …; a request that continues an answer named in `lost` is refused as the API does.
const conversation = (lost: ReadonlyArray<string> = []) =>
  serve((response, _request, { body, count }) => {
    if (lost.includes(body.thread?.previous_message_id)) {
      response.writeHead(404, { "content-type": "application/json" })
      const details = { error_code: "thread_not_found" }
      response.end(
        JSON.stringify({ type: "error", error: { type: "not_found_error", message: "No such thread.", details } })
      )
    } else if (body.stream === true) {
      response.writeHead(200, { "content-type": "text/event-stream" })
      const begun = { ...started, message: { ...started.message, id: `msg_${count}` } }
      response.end(sse([begun, ...textBlock("Hello."), ...stopped("end_turn")]))
    } else {
      response.writeHead(200, { "content-type": "application/json" })
      response.end(JSON.stringify(message({ id: `msg_${count}` })))
    }
  })

const tracked = Effect.provideServiceEffect(ResponseIdTracker.ResponseIdTracker, ResponseIdTracker.make)
const user = (text: string) => ({ role: "user", content: [{ type: "text", text }] })
const assistant = { role: "assistant", content: [{ type: "text", text: "Hello." }] }
const system = Prompt.make([{ role: "system", content: "You buy." }])

describe("a conversation that the API holds", () => {
  it.effect("is created by the first call, and later calls send only what is new", () =>
    Effect.gen(function* () {
      const server = yield* conversation()
      yield* Effect.gen(function* () {
        const chat = yield* Chat.fromPrompt(system)
        yield* chat.generateText({ prompt: "one" })
        yield* chat.generateText({ prompt: "two" })
        yield* chat.streamText({ prompt: "three" }).pipe(Stream.runDrain)
        yield* chat.generateText({ prompt: "four" })
      }).pipe(tracked, against(server.url, { thread: true }))
      const continued = (previous_message_id: string, text: string) => ({
        thread: { type: "continue", previous_message_id },
        messages: [user(text)],
        system: undefined
      })
      assert.deepStrictEqual(
        server.received.map(({ body: { messages, system, thread } }) => ({ thread, messages, system })),
        [
          {
            thread: { type: "create" },
            messages: [user("one")],
            system: [{ type: "text", text: "You buy." }]
          },
          continued("msg_1", "two"),
          continued("msg_2", "three"),
          continued("msg_3", "four")
        ]
      )
      for (const { headers } of server.received) {
        assert.strictEqual(headers["anthropic-beta"], "message-threads-2026-08-12")
      }
    })
  )

  it.effect("is sent in full, and held anew, when the API no longer has it", () =>
    Effect.gen(function* () {
      const server = yield* conversation(["msg_1"])
      yield* Effect.gen(function* () {
        const chat = yield* Chat.empty
        yield* chat.generateText({ prompt: "one" })
        yield* chat.generateText({ prompt: "two" })
        yield* chat.generateText({ prompt: "three" })
      }).pipe(tracked, against(server.url, { thread: true }))
      assert.deepStrictEqual(
        server.received.map(({ body }) => [body.thread, body.messages.length]),
        [
          [{ type: "create" }, 1],
          [{ type: "continue", previous_message_id: "msg_1" }, 1],
          [{ type: "create" }, 3],
          [{ type: "continue", previous_message_id: "msg_3" }, 1]
        ]
      )
    })
  )

  it.effect("starts anew when the tools change, because the API would go on with the old ones", () =>
    Effect.gen(function* () {
      const server = yield* conversation()
      const before = Toolkit.make(Tool.make("before"))
      const after = Toolkit.make(Tool.make("after"))
      yield* Effect.gen(function* () {
        const chat = yield* Chat.empty
        yield* chat.generateText({ prompt: "one", toolkit: before })
        yield* chat.generateText({ prompt: "two", toolkit: before })
        yield* chat.generateText({ prompt: "three", toolkit: after })
      }).pipe(
        Effect.provide([before.toLayer({ before: () => Effect.void }), after.toLayer({ after: () => Effect.void })]),
        tracked,
        against(server.url, { thread: true })
      )
      assert.deepStrictEqual(
        server.received.map(({ body }) => [body.thread.type, body.messages.length, body.tools?.[0].name]),
        [
          ["create", 1, "before"],
          ["continue", 1, undefined],
          ["create", 5, "after"]
        ]
      )
    })
  )

  it.effect(
    "is what a call asks for: without thread the whole prompt goes, and without a tracker every call creates",
    () =>
      Effect.gen(function* () {
        const server = yield* conversation()
        const talk = Effect.gen(function* () {
          const chat = yield* Chat.empty
          yield* chat.generateText({ prompt: "one" })
          yield* chat.generateText({ prompt: "two" })
        })
        yield* talk.pipe(tracked, against(server.url))
        yield* talk.pipe(against(server.url, { thread: true }))
        assert.deepStrictEqual(
          server.received.map(({ body }) => [body.thread, body.messages.length]),
          [
            [undefined, 1],
            [undefined, 3],
            [{ type: "create" }, 1],
            [{ type: "create" }, 3]
          ]
        )
        assert.deepStrictEqual(server.received[1]!.body.messages, [user("one"), assistant, user("two")])
      })
  )
})

describe("a paused answer", () => {
  it.effect("goes on when a chat sends it back", () =>
    Effect.gen(function* () {
      const server = yield* serve((response, _request, { count }) => {
        response.writeHead(200, { "content-type": "application/json" })
        response.end(JSON.stringify(message(count === 1 ? { stop_reason: "pause_turn" } : {})))
      })
      yield* Effect.gen(function* () {
        const chat = yield* Chat.empty
        const first = yield* chat.generateText({ prompt: "one" })
        assert.strictEqual(first.finishReason, "pause")
        const second = yield* chat.generateText({ prompt: [] })
        assert.strictEqual(second.finishReason, "stop")
      }).pipe(against(server.url))
      assert.deepStrictEqual(server.received[1]!.body.messages, [user("one"), assistant])
    })
  )

  it.effect("goes on in its container when its id is given back", () =>
    Effect.gen(function* () {
      const container = { id: "container_7", expires_at: "2026-11-21T10:00:00Z", skills: null }
      const server = yield* serve((response) => {
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(message({ container })))
      })
      yield* Effect.gen(function* () {
        const first = yield* LanguageModel.generateText({ prompt: "one" })
        const finish = first.content.find((part) => part.type === "finish")
        const id = finish?.metadata.anthropic?.container?.id
        yield* LanguageModel.generateText({ prompt: "two" }).pipe(AnthropicLanguageModel.withConfig({ container: id }))
      }).pipe(against(server.url))
      assert.deepStrictEqual(
        server.received.map(({ body }) => body.container),
        [undefined, "container_7"]
      )
    })
  )
})

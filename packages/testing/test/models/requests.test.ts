// Requests that the real APIs would refuse, on strict providers: each is sent right, or refused before it is sent.
import { ContextWindow } from "@selvage/models"
import { LanguageModelLaws, StrictProvider } from "@selvage/testing"
import { assert, describe, it } from "@effect/vitest"
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { check, modelAt, type Name } from "./strict.ts"

type Turn = LanguageModelLaws.Turn
const { Answer } = LanguageModelLaws.Turn

const wires: ReadonlyArray<Name> = ["OpenAI Responses", "OpenAI Chat", "Anthropic"]
const today: Readonly<Record<Name, string>> = {
  "OpenAI Responses": "gpt-5.4",
  "OpenAI Chat": "gpt-5.4",
  Anthropic: "claude-sonnet-5-5"
}

interface Asked {
  readonly prompt: Prompt.RawInput
  readonly tools?: ReadonlyArray<Tool.Any>
  readonly toolChoice?: LanguageModel.ToolChoice<string>
  readonly object?: Schema.Codec<unknown, Record<string, unknown>>
}

/** Asks a model, whose tools are only known where it is asked. */
const ask = (
  name: Name,
  provider: StrictProvider.Provider,
  streamed: boolean,
  { object, prompt, toolChoice, tools = [] }: Asked,
  model = today[name]
) =>
  Effect.gen(function* () {
    const { generateObject, generateText, streamText } = (yield* LanguageModel.LanguageModel) as unknown as {
      readonly generateText: (options: object) => Effect.Effect<LanguageModel.GenerateTextResponse<{}>, AiError.AiError>
      readonly generateObject: (
        options: object
      ) => Effect.Effect<LanguageModel.GenerateTextResponse<{}>, AiError.AiError>
      readonly streamText: (options: object) => Stream.Stream<Response.AnyPart, AiError.AiError>
    }
    const options = {
      prompt,
      ...(tools.length === 0
        ? {}
        : { toolkit: Toolkit.make(...tools), ...(toolChoice === undefined ? {} : { toolChoice }) }),
      disableToolCallResolution: true,
      toolCallValidation: "deferred"
    }
    if (object !== undefined) return (yield* generateObject({ ...options, schema: object, objectName: "o" })).content
    return streamed ? yield* Stream.runCollect(streamText(options)) : (yield* generateText(options)).content
  }).pipe(Effect.provide(modelAt(name, model, provider, true)))

const call = (id: string, params: unknown = {}, name = "stock") =>
  Prompt.toolCallPart({ id, name, params, providerExecuted: false })
const result = (id: string, value: unknown = "ok", isFailure = false, name = "stock") =>
  Prompt.toolResultPart({ id, name, isFailure, result: value, providerExecuted: false })
const says = (...content: ReadonlyArray<Prompt.AssistantMessagePart>) => Prompt.assistantMessage({ content })
const user = (text: string) => Prompt.userMessage({ content: [Prompt.textPart({ text })] })
const gave = (...content: ReadonlyArray<Prompt.ToolResultPart>) => Prompt.toolMessage({ content })
const file = (mediaType: string, fileName?: string) =>
  Prompt.userMessage({ content: [Prompt.filePart({ mediaType, data: new Uint8Array([104, 105]), fileName })] })
const of = (...messages: ReadonlyArray<Prompt.Message>) => Prompt.fromMessages(messages)

const union = Schema.Union([Schema.Struct({ a: Schema.String }), Schema.Struct({ b: Schema.String })])
const tool = (name: string, parameters: Schema.Codec<unknown, unknown> = Schema.Struct({ sku: Schema.String })) =>
  Tool.make(name, { parameters, success: Schema.String })

interface Case {
  readonly what: string
  /** The rule that it is about. */
  readonly source: string
  readonly asked: Asked
  /** What must be in the body. */
  readonly sent?: ReadonlyArray<string | RegExp>
  readonly never?: ReadonlyArray<string | RegExp>
}

const docs = "https://platform.claude.com/docs/en"
const openAi = "https://developers.openai.com/api/docs"

const cases: ReadonlyArray<Case> = [
  {
    what: "a call without a result gets one",
    source: `${docs}/agents-and-tools/tool-use/handle-tool-calls`,
    asked: { prompt: of(user("x"), says(call("c1")), user("never mind")) },
    sent: ["interrupted and its outcome is unknown", "never mind"]
  },
  {
    what: "a user who speaks before the result speaks after it",
    source: `${openAi}/guides/function-calling`,
    asked: { prompt: of(user("x"), says(call("c1")), user("wait"), gave(result("c1", "three"))) },
    sent: [/three.*wait/s]
  },
  {
    what: "an answer cut in its reasoning is left out",
    source: `${openAi}/guides/reasoning#keeping-reasoning-items-in-context`,
    asked: {
      prompt: of(
        user("x"),
        says(
          Prompt.reasoningPart({
            text: "hm",
            options: { openai: { itemId: "rs_1", encryptedContent: "sealed" }, anthropic: { signature: "signed" } }
          })
        ),
        user("go on")
      )
    },
    never: ["sealed", "signed"]
  },
  {
    what: "a search of another provider's, or one without its result, is left out",
    source: `${docs}/build-with-claude/handling-stop-reasons#pause-turn`,
    asked: {
      prompt: of(
        user("x"),
        says(
          Prompt.toolCallPart({
            id: "srvtoolu_1",
            name: "Search",
            params: {},
            providerExecuted: true,
            options: { anthropic: { serverTool: "web_search" } }
          }),
          Prompt.textPart({ text: "cut" })
        ),
        user("go on")
      )
    },
    sent: ["cut"],
    never: ["srvtoolu_1"]
  },
  {
    what: "a conversation that the assistant ended goes on with a word of the user's",
    source: `${docs}/api/errors#prefill-not-supported`,
    asked: { prompt: of(user("x"), says(Prompt.textPart({ text: "It is vague." }))) },
    sent: [/It is vague.*Continue\./s]
  },
  {
    what: "a blank message is none",
    source: `${docs}/api/messages`,
    asked: { prompt: of(user("hello"), says(Prompt.textPart({ text: "Hi." })), user(" \n")) },
    sent: [/Hi\..*Continue\./s]
  },
  {
    what: "arguments that are no object go back as an empty one, and the result says what they were",
    source: "https://github.com/anthropics/claude-code/issues/6695",
    asked: {
      prompt: of(
        user("x"),
        says(call("c1", '{"sku": "A')),
        gave(result("c1", { category: "ToolArgumentsInvalid" }, true))
      )
    },
    sent: [String.raw`{\\\"sku\\\": \\\"A`]
  },
  {
    what: "ids of other servers, and made-up names, are told apart",
    source: "https://github.com/vllm-project/vllm/issues/22966",
    asked: {
      prompt: of(
        user("x"),
        says(
          call("functions.get:0", {}, "multi_tool_use.parallel"),
          call("functions_get_0", {}, "s".repeat(200)),
          call(`chatcmpl-tool-${"0123456789abcdef".repeat(4)}`)
        ),
        gave(
          result("functions.get:0", "first"),
          result("functions_get_0", "second"),
          result(`chatcmpl-tool-${"0123456789abcdef".repeat(4)}`, "third")
        )
      )
    },
    sent: [/first.*second.*third/s]
  },
  {
    what: "a failed tool that says nothing says so",
    source: `${docs}/agents-and-tools/tool-use/handle-tool-calls`,
    asked: { prompt: of(user("x"), says(call("c1")), gave(result("c1", "", true))) },
    sent: ["did not say why"]
  },
  {
    what: "half a surrogate pair is replaced, wherever it stands",
    source: "https://github.com/anthropics/claude-code/issues/1709",
    asked: {
      prompt: of(user("a\ud83d"), says(call("c1", { sku: "\udc00" })), gave(result("c1", { text: "\ud83d" }))),
      tools: [tool("stock").annotate(Tool.Strict, false)]
    },
    sent: ["a\ufffd"],
    never: [/\\ud83d/]
  },
  {
    what: "media types are read in any spelling",
    source: `${docs}/build-with-claude/vision`,
    asked: { prompt: of(file("IMAGE/JPG; q=0.9")) },
    sent: ["image/jpeg"]
  },
  {
    what: "a text file is sent, also without a name",
    source: `${openAi}/guides/pdf-files`,
    asked: { prompt: of(file("text/csv; charset=utf-8"), file("text/plain")) }
  },
  {
    what: "tools of any name and shape are offered",
    source: `${docs}/agents-and-tools/tool-use/define-tools`,
    asked: {
      prompt: "x",
      tools: [
        tool("fs.read"),
        tool("fs_read"),
        tool("n".repeat(80)),
        tool("empty", Schema.Struct({})),
        tool("union", union as Schema.Codec<unknown, unknown>),
        tool("list", Schema.Array(Schema.String) as Schema.Codec<unknown, unknown>),
        tool(
          "any",
          Schema.Struct({
            data: Schema.Unknown,
            json: Schema.Json,
            map: Schema.Record(Schema.String, Schema.Unknown)
          }) as Schema.Codec<unknown, unknown>
        ).annotate(Tool.Strict, true)
      ]
    }
  },
  {
    what: "more optional fields than strict tools may have together make one that is not strict",
    source: `${docs}/build-with-claude/structured-outputs#schema-complexity-limits`,
    asked: {
      prompt: "x",
      tools: [1, 2, 3].map((n) =>
        tool(
          `many${n}`,
          Schema.Struct(
            Object.fromEntries(Array.from({ length: 12 }, (_, k) => [`f${k}`, Schema.optionalKey(Schema.String)]))
          ) as Schema.Codec<unknown, unknown>
        ).annotate(Tool.Strict, true)
      )
    }
  },
  {
    what: "system messages stay in their place",
    source: `${docs}/build-with-claude/mid-conversation-system-messages`,
    asked: {
      prompt: of(
        Prompt.systemMessage({ content: "You buy." }),
        user("x"),
        says(Prompt.textPart({ text: "y" })),
        Prompt.systemMessage({ content: "It is night." }),
        user("z")
      )
    },
    sent: [/"role":"system","content":.*It is night\./s]
  }
]

const found = (text: string, wanted: string | RegExp): boolean =>
  typeof wanted === "string" ? text.includes(wanted) : wanted.test(text)

for (const name of wires) {
  describe(`a request over ${name}`, () => {
    for (const { asked, never = [], sent = [], source, what } of cases) {
      it.effect(`${what} (${source})`, () =>
        Effect.gen(function* () {
          for (const streamed of [false, true]) {
            const provider = StrictProvider.makeLocal(Answer({ text: "ok" }))
            yield* ask(name, provider, streamed, asked)
            const body = JSON.stringify((yield* provider.received)[0])
            for (const wanted of sent) assert.isTrue(found(body, wanted), `${wanted} in ${body}`)
            for (const unwanted of never) assert.isFalse(found(body, unwanted), `${unwanted} in ${body}`)
          }
        })
      )
    }

    it.effect("for an object ends with the user", () =>
      Effect.gen(function* () {
        const provider = StrictProvider.makeLocal(Answer({ text: '{"score":3}' }))
        const object = Schema.Struct({ score: Schema.Int })
        yield* ask(name, provider, false, {
          prompt: of(user("x"), says(Prompt.textPart({ text: "It is vague." }))),
          object
        })
        assert.deepStrictEqual(yield* provider.refusals, [])
      })
    )

    it.effect("names tools both ways, and takes arguments out of the field they are wrapped in", () =>
      Effect.gen(function* () {
        for (const streamed of [false, true]) {
          const turn: Turn = Answer({
            calls: [
              { id: "c1", name: "fs_read", arguments: '{"sku":"A"}' },
              { id: "c2", name: "one_of", arguments: '{"input":{"a":"x"}}' }
            ]
          })
          const provider = StrictProvider.makeLocal(turn, Answer({ text: "ok" }))
          const tools = [tool("fs.read"), tool("one.of", union as Schema.Codec<unknown, unknown>)]
          const parts = yield* ask(name, provider, streamed, { prompt: "x", tools })
          const calls = parts.flatMap((part) => (part.type === "tool-call" ? [[part.name, part.params]] : []))
          assert.deepStrictEqual(calls, [
            ["fs.read", { sku: "A" }],
            ["one.of", { a: "x" }]
          ])
          const back = Prompt.concat(
            Prompt.concat(Prompt.make("x"), Prompt.fromResponseParts(parts)),
            of(gave(result("c1", "r", false, "fs.read")))
          )
          yield* ask(name, provider, streamed, { prompt: back, tools })
          assert.match(JSON.stringify((yield* provider.received)[1]), /input.{1,8}:\{?.{0,4}a/)
        }
      })
    )

    it.effect("that nobody can take is refused before it is sent, and says what to change", () =>
      Effect.gen(function* () {
        const provider = StrictProvider.makeLocal(Answer({ text: "ok" }))
        const refused = (asked: Asked, message: RegExp) =>
          Effect.gen(function* () {
            for (const streamed of [false, true]) {
              assert.match((yield* Effect.flip(ask(name, provider, streamed, asked))).message, message)
            }
          })
        yield* refused({ prompt: " " }, /add a user message/)
        yield* refused({ prompt: of(file("application/zip", "a.zip"), file("video/mp4")) }, /cannot be sent|takes/)
        yield* refused({ prompt: of(file("image/heic")) }, /(PNG|image\/png)/i)
        yield* refused({ prompt: of(user("x"), says(call("c1")), gave(result("c1", { n: 1n }))) }, /not JSON/)
        assert.deepStrictEqual(yield* provider.received, [])
      })
    )

    it.effect("is one that the API takes, whatever the history", () => check(name, { cases: 48, seed: 7 }), 60_000)
  })
}

describe("today's Claude", () => {
  const thinking = (n: number) => Answer({ thought: { text: "hm", signature: `s${n}` }, text: `Answer ${n}.` })

  it.effect("is not made to call a tool, and the message says what to do", () =>
    Effect.gen(function* () {
      const provider = StrictProvider.makeLocal(Answer({ text: "ok" }))
      const error = yield* Effect.flip(
        ask("Anthropic", provider, false, { prompt: "x", tools: [tool("t")], toolChoice: "required" })
      )
      assert.match(error.message, /claude-sonnet-5-5 cannot be made to call a tool; leave toolChoice at "auto"/)
      assert.deepStrictEqual(yield* provider.received, [])
      yield* ask(
        "Anthropic",
        provider,
        false,
        { prompt: "x", tools: [tool("t")], toolChoice: "required" },
        "claude-opus-4-8"
      )
    })
  )

  for (const streamed of [false, true]) {
    const how = streamed ? "streamed" : "whole"

    it.effect(`gets its thinking back where what stands before it is the same, and not elsewhere, ${how}`, () =>
      Effect.gen(function* () {
        const provider = StrictProvider.makeLocal(thinking(1), thinking(2), thinking(3), thinking(4), thinking(5))
        const tools = [tool("t"), tool("u")]
        const sent = Effect.map(
          provider.received,
          (bodies) => JSON.stringify(bodies.at(-1)).match(/"signature":"s\d"/g) ?? []
        )
        const start = of(Prompt.systemMessage({ content: "You buy." }), user(`hi ${"x ".repeat(200)}`))
        const first = Prompt.concat(
          start,
          Prompt.fromResponseParts(yield* ask("Anthropic", provider, streamed, { prompt: start, tools }))
        )
        const note = of(Prompt.systemMessage({ content: "It is night." }), user("go on"))
        const asked = Prompt.concat(first, note)
        const second = Prompt.concat(
          asked,
          Prompt.fromResponseParts(yield* ask("Anthropic", provider, streamed, { prompt: asked, tools }))
        )
        assert.deepStrictEqual(yield* sent, ['"signature":"s1"'])
        const third = Prompt.concat(second, "more")
        yield* ask("Anthropic", provider, streamed, { prompt: third, tools, toolChoice: { oneOf: ["t"] } })
        assert.deepStrictEqual(yield* sent, [])
        const { prompt } = yield* ContextWindow.fit(third, { limit: 130, policy: ContextWindow.dropOldest })
        yield* ask("Anthropic", provider, streamed, { prompt, tools })
        assert.deepStrictEqual(yield* sent, [])
        yield* ask("Anthropic", provider, streamed, { prompt: third, tools })
        assert.deepStrictEqual(yield* sent, ['"signature":"s1"', '"signature":"s2"'])
        assert.deepStrictEqual(yield* provider.refusals, [])
      })
    )
  }
})

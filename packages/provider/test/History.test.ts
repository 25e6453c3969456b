import { History, MediaType, Names, Text, ToolSchema } from "@selvage/provider"
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Schema from "effect/Schema"

const call = (id: string, params: unknown = {}, name = "stock") =>
  Prompt.toolCallPart({ id, name, params, providerExecuted: false })

const result = (id: string, value: unknown = "ok", isFailure = false) =>
  Prompt.toolResultPart({ id, name: "stock", isFailure, result: value, providerExecuted: false })

const says = (...content: ReadonlyArray<Prompt.AssistantMessagePart>) => Prompt.assistantMessage({ content })
const text = (words: string) => Prompt.textPart({ text: words })
const user = (words: string) => Prompt.userMessage({ content: [text(words)] })
const tool = (...content: ReadonlyArray<Prompt.ToolResultPart>) => Prompt.toolMessage({ content })
const system = (content: string) => Prompt.systemMessage({ content })

const shown = (message: Prompt.Message): string =>
  message.role === "system"
    ? `system ${message.content}`
    : `${message.role} ${message.content
        .map((part) => {
          if (part.type === "text" || part.type === "reasoning") return part.text
          if (part.type === "tool-call") return `${part.name}(${part.id})`
          return part.type === "tool-result" ? `${part.id}=${JSON.stringify(part.result)}` : part.type
        })
        .join(" ")}`

const whole = (messages: ReadonlyArray<Prompt.Message>, wire: History.Wire = {}) =>
  History.whole(Prompt.fromMessages(messages), wire).content.map(shown)

const lost = JSON.stringify(History.interrupted)

describe("a history that is made whole", () => {
  it("keeps what is whole as it is, message by message", () => {
    const prompt = Prompt.fromMessages([
      system("s"),
      user("a"),
      says(text("b"), call("1")),
      tool(result("1")),
      user("c")
    ])
    const made = History.whole(prompt, {})
    assert.isTrue(made.content.every((message, index) => index === 3 || message === prompt.content[index]))
    assert.deepStrictEqual(made.content.map(shown), prompt.content.map(shown))
  })

  for (const [what, given, expected] of [
    [
      "gives a call without a result a failed one",
      [user("a"), says(call("1")), user("b")],
      ["user a", "assistant stock(1)", `tool 1=${lost}`, "user b"]
    ],
    ["also where nothing follows", [user("a"), says(call("1"))], ["user a", "assistant stock(1)", `tool 1=${lost}`]],
    [
      "puts a result behind its call, and in the order of the calls",
      [says(call("1"), call("2")), user("wait"), tool(result("2")), tool(result("1"))],
      ["assistant stock(1) stock(2)", 'tool 1="ok" 2="ok"', "user wait"]
    ],
    [
      "makes text of a result without a call",
      [user("a"), tool(result("9", { n: 1 }))],
      ["user a", 'user The result of an earlier call of stock: {"n":1}']
    ],
    [
      "tells calls of one id apart",
      [says(call("1")), tool(result("1", "x")), says(call("1")), tool(result("1", "y"))],
      ["assistant stock(1)", 'tool 1="x"', "assistant stock(1\n2)", 'tool 1\n2="y"']
    ],
    [
      "does not take a later result for an earlier call",
      [says(call("1")), user("no"), says(call("1")), tool(result("1"))],
      ["assistant stock(1)", `tool 1=${lost}`, "user no", "assistant stock(1\n2)", 'tool 1\n2="ok"']
    ],
    [
      "leaves out reasoning that led to nothing",
      [
        user("a"),
        says(Prompt.reasoningPart({ text: "hm" })),
        user("b"),
        says(Prompt.reasoningPart({ text: "hm" }), text("c")),
        user("d")
      ],
      ["user a", "user b", "assistant hm c", "user d"]
    ],
    [
      "leaves out what is blank",
      [system(" "), user("a"), user("  "), says(text("\n")), user("b")],
      ["user a", "user b"]
    ],
    [
      "does not end with the assistant, nor lets it speak twice",
      [user("a"), says(text("b")), says(text("c"))],
      ["user a", "assistant b", "user Continue.", "assistant c", "user Continue."]
    ],
    [
      "puts a word between ahead of system messages",
      [user("a"), says(text("b")), system("s")],
      ["user a", "assistant b", "user Continue.", "system s"]
    ],
    [
      "lets no system message between a call and its result",
      [says(call("1")), system("s"), tool(result("1"))],
      ["assistant stock(1)", 'tool 1="ok"', "system s"]
    ],
    [
      "says something for a failure that says nothing",
      [says(call("1")), tool(result("1", "", true))],
      ["assistant stock(1)", 'tool 1="The tool failed and did not say why."']
    ]
  ] as const) {
    it(`${what}`, () => assert.deepStrictEqual(whole(given), [...expected]))
  }

  it("makes arguments objects, and says in the result what was written", () => {
    for (const params of ['{"sku', "A", [1], 7]) {
      const [made, answer] = History.whole(
        Prompt.fromMessages([says(call("1", params)), tool(result("1", { why: "no" }, true))]),
        {}
      ).content
      const part = made?.role === "assistant" ? made.content[0] : undefined
      assert.deepStrictEqual(part?.type === "tool-call" && part.params, {})
      const told = answer?.role === "tool" ? answer.content[0] : undefined
      const expected = { why: "no", arguments: typeof params === "string" ? params : JSON.stringify(params) }
      assert.deepStrictEqual(told?.type === "tool-result" && told.result, expected)
    }
    const [made] = History.whole(Prompt.fromMessages([says(call("1", '{"sku":"A"}'))]), {}).content
    const part = made?.role === "assistant" ? made.content[0] : undefined
    assert.deepStrictEqual(part?.type === "tool-call" && part.params, { sku: "A" })
  })

  it("ends with the assistant after a pause, or where it is to be continued", () => {
    const searched = Prompt.toolCallPart({ id: "s", name: "search", params: {}, providerExecuted: true })
    assert.deepStrictEqual(whole([user("a"), says(searched)]), ["user a", "assistant search(s)"])
    assert.deepStrictEqual(whole([user("a"), says(searched)], { takes: () => false }), ["user a"])
    assert.deepStrictEqual(whole([user("a"), says(text("{"))], { prefill: true }), ["user a", "assistant {"])
  })

  it("leaves results of calls that the provider has", () => {
    assert.deepStrictEqual(whole([tool(result("1"))], { continues: true }), ['tool 1="ok"'])
  })

  it("is written the same way when it grows", () => {
    const wire = { ids: { other: /[^a-z0-9_]/g, longest: 6 } }
    const said = [
      user("a"),
      says(text("b"), call("f.g")),
      tool(result("f.g")),
      says(call("f_g")),
      tool(result("f_g")),
      user("c")
    ]
    for (let length = 1; length < said.length; length++) {
      // A call that waits for its result is the last thing said, and it is answered for it.
      if (said[length]?.role === "tool") continue
      const before = whole(said.slice(0, length), wire).filter((line) => line !== "user Continue.")
      const after = whole(said, wire).filter((line) => line !== "user Continue.")
      assert.deepStrictEqual(after.slice(0, before.length), before)
    }
  })
})

describe("names", () => {
  it("that fit stay, others do not collide, and all come back", () => {
    const given = ["fs.read", "fs_read", "fs/read", "n".repeat(70), "n".repeat(71), "é", ""]
    const names = Names.make(Names.tools, given, ["web_search"])
    const wires = [...given, "web.search"].map(names.toWire)
    assert.strictEqual(names.toWire("fs_read"), "fs_read")
    assert.strictEqual(new Set([...wires, "web_search"]).size, given.length + 2)
    for (const wire of wires) assert.match(wire, /^[a-zA-Z0-9_-]{1,64}$/)
    assert.deepStrictEqual(wires.map(names.fromWire), [...given, "web.search"])
    assert.strictEqual(names.fromWire("made_up"), "made_up")
  })
})

describe("text", () => {
  it("is cut between characters", () => {
    assert.deepStrictEqual(
      [0, 1, 2, 3, 9].map((most) => Text.end("a👋b", most)),
      ["", "b", "b", "👋b", "a👋b"]
    )
    assert.deepStrictEqual(
      [0, 1, 2, 3, 9].map((most) => Text.cut("a👋b", most)),
      ["", "a", "a", "a👋", "a👋b"]
    )
  })

  it("has no half of a surrogate pair in JSON, and keeps what only looks like one", () => {
    for (const [given, expected] of [
      ["a\ud83d", "a\ufffd"],
      ["\udc4bz", "\ufffdz"],
      ["👋", "👋"],
      ["\\ud83d", "\\ud83d"],
      ["\\\ud83d", "\\\ufffd"]
    ] as const) {
      assert.strictEqual(JSON.parse(Text.wellFormedJson(JSON.stringify(given))), expected)
    }
  })
})

describe("media types", () => {
  it("are read in any spelling", () => {
    assert.deepStrictEqual(
      ["IMAGE/JPG; q=0.9", "text/plain; charset=utf-8", "application/x-pdf", "Audio/X-WAV"].map(MediaType.normalize),
      ["image/jpeg", "text/plain", "application/pdf", "audio/wav"]
    )
    assert.strictEqual(MediaType.extension("text/markdown"), "md")
    assert.isTrue(MediaType.isText("application/ld+json"))
  })
})

describe("schemas of tools", () => {
  const of = (parameters: Schema.Codec<unknown, unknown>) => Tool.getJsonSchema(Tool.make("t", { parameters }))
  const union = Schema.Union([Schema.Struct({ a: Schema.String }), Schema.Struct({ b: Schema.String })])

  it("are objects at the root, wrapped where they are none", () => {
    assert.deepStrictEqual(ToolSchema.plain(of(Schema.Struct({}))), ToolSchema.empty)
    for (const schema of [union, Schema.Array(Schema.String), Schema.Unknown] as ReadonlyArray<
      Schema.Codec<unknown, unknown>
    >) {
      const json = of(schema)
      assert.isTrue(ToolSchema.isWrapped(json))
      assert.deepStrictEqual(ToolSchema.plain(json).required, [ToolSchema.field])
    }
    assert.deepStrictEqual(ToolSchema.unwrap(ToolSchema.wrap([1])), [1])
  })

  it("are tamed: described references are written out, also recursive ones, and patterns do not look around", () => {
    const defs = { Tree: { type: "object", properties: { next: { $ref: "#/$defs/Tree", description: "more" } } } }
    const tamed = ToolSchema.tame({
      type: "object",
      properties: {
        tree: { $ref: "#/$defs/Tree", description: "a tree" },
        code: { type: "string", pattern: "(?=a)b" }
      },
      $defs: defs
    })
    const { code, tree } = tamed.properties as Readonly<Record<string, Record<string, unknown>>>
    assert.deepInclude(tree, { type: "object", description: "a tree" })
    assert.deepStrictEqual(code, { type: "string", description: "it matches (?=a)b" })
  })

  it("say why they are beyond a strict mode", () => {
    const object = (properties: Record<string, object>) => ({ type: "object", properties, additionalProperties: false })
    assert.strictEqual(ToolSchema.beyond(object({ any: {} })), "the field any has no type")
    assert.match(ToolSchema.beyond({ type: "object", properties: {} }) ?? "", /open to other fields/)
    assert.match(ToolSchema.beyond(object({ list: { type: "array" } })) ?? "", /does not say what is in it/)
    assert.match(
      ToolSchema.beyond(object({ a: { type: "string" } }), { fields: 0 }) ?? "",
      /1 fields, and 0 is the most/
    )
    assert.isUndefined(ToolSchema.beyond(object({ a: { type: "string" } }), ToolSchema.openAi))
  })
})

import { Messages } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { runs } from "../../testing/test/measures.ts"

const ours = Schema.toCodecJson(Messages.Update)
// What the schemas of effect/ai make of an update, without any shortcut.
const theirs = Schema.toCodecJson(
  Schema.Union([Prompt.Prompt, Schema.Array(Messages.Operation)]) as Schema.Codec<Messages.Update, unknown>
)

const json = fc.jsonValue({ maxDepth: 2 })
const anything = fc.oneof(
  { weight: 9, arbitrary: json },
  { weight: 1, arbitrary: fc.constantFrom(undefined, Number.NaN, 1n, new Date(0), [undefined], { a: undefined }) }
) as fc.Arbitrary<never>
const text = fc.oneof(fc.constantFrom("", "__proto__"), fc.string())
// What a prompt may hold at run time, also where its types say otherwise.
const options = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc.dictionary(
      fc.constantFrom("openai", "selvage"),
      fc.oneof(fc.constant(null), fc.dictionary(text, json))
    )
  }
) as fc.Arbitrary<never>
const textPart = fc.record({ text, options }).map((params) => Prompt.textPart(params))
const callPart = fc
  .record({ id: text, name: text, params: anything, providerExecuted: fc.boolean(), options })
  .map((params) => Prompt.toolCallPart(params))
const resultPart = fc
  .record({ id: text, name: text, isFailure: fc.boolean(), result: anything, providerExecuted: fc.boolean(), options })
  .map((params) => Prompt.toolResultPart(params))
const reasoningPart = fc.record({ text, options }).map((params) => Prompt.reasoningPart(params))
const oddPart = fc.oneof(
  fc
    .constantFrom("aGk=", new Uint8Array([1, 2]), new URL("https://a.test/"))
    .map((data) => Prompt.filePart({ mediaType: "image/png", data })),
  resultPart.map((part) => ({ ...part, modelOutput: [Prompt.textPart({ text: "as text" })] })),
  fc.record({ approvalId: text, toolCallId: text }).map((params) => Prompt.makePart("tool-approval-request", params)),
  // What a program could put together by hand.
  text.map((text) => ({ ...Prompt.textPart({ text }), more: 1 })),
  text.map((text) => ({ type: "text", text, options: {} })),
  fc.oneof(textPart, callPart, resultPart)
)
const content = (...parts: ReadonlyArray<fc.Arbitrary<object>>) =>
  fc.oneof(
    { weight: 5, arbitrary: fc.array(fc.oneof(...parts), { maxLength: 3 }) },
    { weight: 1, arbitrary: fc.array(fc.oneof(...parts, oddPart), { maxLength: 3 }) }
  )
const role = (role: string, content: fc.Arbitrary<ReadonlyArray<object>>) =>
  fc
    .record({ content, options })
    .map(({ content, options }) => ({ ...Prompt.assistantMessage({ content: [] }), role, content, options }))
const message = fc.oneof(
  { weight: 1, arbitrary: text.map((content) => Prompt.systemMessage({ content })) },
  { weight: 2, arbitrary: role("user", content(textPart)) },
  { weight: 4, arbitrary: role("assistant", content(textPart, reasoningPart, callPart, resultPart)) },
  { weight: 3, arbitrary: role("tool", content(resultPart)) }
)
const prompts = fc
  .array(message, { maxLength: 3 })
  .map((messages) => Prompt.fromMessages(messages as unknown as ReadonlyArray<Prompt.Message>))

// Journaled JSON as another version, or another hand, could have left it.
const jsonPart = fc.oneof(
  fc.record(
    {
      options: fc.oneof(options, json),
      type: fc.constantFrom("text", "reasoning", "file"),
      text: fc.oneof(text, json)
    },
    { requiredKeys: ["type", "text"] }
  ),
  fc.record(
    {
      options,
      type: fc.constantFrom("tool-call", "tool-result", "constructor"),
      id: text,
      name: text,
      params: json,
      result: json,
      isFailure: fc.boolean(),
      providerExecuted: fc.oneof(fc.boolean(), text)
    },
    { requiredKeys: ["type", "id", "name"] }
  )
)
const jsonMessage = fc.record(
  {
    options: fc.oneof(options, json),
    role: fc.constantFrom("system", "user", "assistant", "tool", "constructor"),
    content: fc.oneof(text, fc.array(jsonPart, { maxLength: 3 }), json),
    more: json
  },
  { requiredKeys: ["role", "content"] }
)
const jsonPrompt = fc.oneof(
  fc.record({ content: fc.array(jsonMessage, { maxLength: 3 }), more: json }, { requiredKeys: ["content"] }),
  json
)

describe("an update of a conversation as JSON", () => {
  it("is byte for byte what effect/ai's own schemas make of it, or is refused as they refuse it", () => {
    const encode = Schema.encodeUnknownExit(ours)
    const expected = Schema.encodeUnknownExit(theirs)
    let plain = 0
    fc.assert(
      fc.property(prompts, (prompt) => {
        const [one, other] = [encode(prompt), expected(prompt)]
        assert.strictEqual(one._tag, other._tag)
        if (Exit.isSuccess(one) && Exit.isSuccess(other)) {
          plain++
          assert.strictEqual(JSON.stringify(one.value), JSON.stringify(other.value))
        }
      }),
      { numRuns: runs(150) }
    )
    assert.isAbove(plain, runs(150) / 5)
  })

  it("is read as effect/ai's own schemas read it, whoever wrote it", () => {
    const decode = Schema.decodeUnknownExit(ours)
    const expected = Schema.decodeUnknownExit(theirs)
    const same = (value: unknown) => {
      const [one, other] = [decode(value), expected(value)]
      assert.strictEqual(one._tag, other._tag)
      if (Exit.isSuccess(one) && Exit.isSuccess(other)) assert.deepStrictEqual(one.value, other.value)
    }
    fc.assert(fc.property(jsonPrompt, same), { numRuns: runs(150) })
    fc.assert(
      fc.property(prompts, (prompt) => {
        const encoded = Schema.encodeUnknownExit(theirs)(prompt)
        if (Exit.isSuccess(encoded)) same(encoded.value)
      }),
      { numRuns: runs(150) }
    )
  })
})

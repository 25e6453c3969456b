import { assert, describe, it } from "@effect/vitest"
import * as Redaction from "../src/internal/redact.ts"
import type { Part } from "../src/Middleware.ts"

const redactor = Redaction.make([], [])

/** A block of pieces, as a model streams it. */
const block = (kind: "text" | "reasoning", id: string, ...pieces: ReadonlyArray<string>): ReadonlyArray<Part> => [
  { type: `${kind}-start`, id },
  ...pieces.map((delta) => ({ type: `${kind}-delta` as const, id, delta })),
  { type: `${kind}-end`, id }
]

const params = (id: string, ...pieces: ReadonlyArray<string>): ReadonlyArray<Part> => [
  { type: "tool-params-start", id, name: "login" },
  ...pieces.map((delta) => ({ type: "tool-params-delta" as const, id, delta })),
  { type: "tool-params-end", id }
]

const clean = (parts: ReadonlyArray<Part>) => Redaction.parts(redactor, parts)
const isSecret = (name: string, value: unknown = "hunter2") =>
  (redactor.data({ [name]: value }) as Readonly<Record<string, unknown>>)[name] === Redaction.placeholder

describe("the name of a secret", () => {
  it("is found in any case and with any words before", () => {
    for (const name of [
      "token Token apiToken APIToken access_token ACCESS_TOKEN accessToken access-token X-Auth-Token x-api-key",
      "apiKey apikey OPENAI_API_KEY developer-token id_token password dbPassword client_secret",
      "clientSecret aws_secret_access_key privateKey Authorization proxy-authorization Cookie Set-Cookie",
      "passwd refreshToken authtoken"
    ].flatMap((line) => line.split(" ")))
      assert.isTrue(isSecret(name), name)
  })

  it("is not that of a count of tokens, or of a place among pages", () => {
    for (const name of [
      "tokens totalTokens maxTokens inputTokens max_output_tokens outputTokens tokenCount pageToken",
      "next_page_token nextToken costPerToken maxToken text author key"
    ].flatMap((line) => line.split(" ")))
      assert.isFalse(isSecret(name, 7), name)
    const usage = { inputTokens: { total: 10, uncached: 10 }, outputTokens: { total: 5, text: 5 } }
    assert.deepStrictEqual(redactor.data({ type: "finish", usage }), { type: "finish", usage })
  })

  it("hides lists and objects, but not whether there is one", () => {
    assert.isTrue(isSecret("password", ["p1"]))
    assert.isTrue(isSecret("password", { old: "p1", new: ["p2"] }))
    assert.deepStrictEqual(redactor.data({ password: null, token: true }), { password: null, token: true })
  })

  it("keeps what a schema says of it, but no value", () => {
    const schemaOf = (password: unknown) => ({ type: "object", properties: { password, n: { type: "number" } } })
    assert.deepStrictEqual(
      redactor.data(schemaOf({ type: "string", minLength: 3 })),
      schemaOf({ type: "string", minLength: 3 })
    )
    assert.deepStrictEqual(
      redactor.data(schemaOf({ type: "string", default: "hunter2", examples: ["p1"] })),
      schemaOf({ type: "string", default: "[secret]", examples: "[secret]" })
    )
    assert.deepStrictEqual(redactor.data(schemaOf({ was: "hunter2" })), schemaOf("[secret]"))
  })
})

describe("the form of a secret", () => {
  it("is found in addresses and among keys", () => {
    const glpat = `glpat-${"a1B2".repeat(5)}`
    const stripe = `rk_live_${"a1B2".repeat(6)}`
    assert.strictEqual(redactor.text(`${glpat}, ${stripe}.`), "[secret], [secret].")
    assert.strictEqual(
      redactor.text("see https://h/p?api_key=k1&page=2&token=t1#top, or (https://h/#access_token=t2)"),
      "see https://h/p?api_key=[secret]&page=2&token=[secret]#top, or (https://h/#access_token=[secret])"
    )
    assert.strictEqual(redactor.text("https://h/?max_tokens=5&pageToken=p"), "https://h/?max_tokens=5&pageToken=p")
  })

  it("is found once: what is clean stays as it is", () => {
    for (const text of [
      "https://h/?token=t1&a=1",
      '{"password":["a"],"u":"https://h/?token=t"}',
      'so: {"token": "a\\"b"}'
    ]) {
      const once = redactor.data(text)
      assert.notStrictEqual(once, text)
      assert.strictEqual(redactor.data(once), once)
    }
  })
})

describe("JSON in a text", () => {
  it("is cleaned by name, also within itself", () => {
    const inner = JSON.stringify({ list: [{ password: "hunter2", at: "sea" }] })
    assert.deepStrictEqual(redactor.data({ type: "text", text: JSON.stringify({ inner }) }), {
      type: "text",
      text: JSON.stringify({ inner: JSON.stringify({ list: [{ password: "[secret]", at: "sea" }] }) })
    })
  })

  it("is left as it was written where it holds no secret", () => {
    for (const text of ['{ "a" : 12345678901234567890,\n "maxTokens": 1.0 }', "[ 1 ]", "{not json}", "[link](x)", "7"])
      assert.strictEqual(redactor.data(text), text)
  })

  it("is cleaned where it is cut, or stands among words", () => {
    assert.strictEqual(redactor.data('{"a":1,"password":"hunt'), '{"a":1,"password":"[secret]')
    assert.strictEqual(
      redactor.data('So:\n```json\n{ "apiToken": "a\\"b", "pin": 1, "password": 42 }\n```'),
      'So:\n```json\n{ "apiToken": "[secret]", "pin": 1, "password": "[secret]" }\n```'
    )
  })

  it("may be long and full of escapes", () => {
    const long = "\\n".repeat(5_000_000)
    assert.strictEqual(redactor.data(`so: {"token":"${long}"}`), 'so: {"token":"[secret]"}')
  })

  it("may be deeper than the stack", () => {
    const deep = `${"[".repeat(200_000)}"token"${"]".repeat(200_000)}`
    assert.strictEqual(redactor.data(deep), deep)
  })
})

describe("a stream", () => {
  it("has no secret in the pieces of a tool's parameters", () => {
    assert.deepStrictEqual(
      clean(params("1", '{"pass', 'word":"hunter2"', ',"n":1}')),
      params("1", '{"password":"[secret]","n":1}')
    )
  })

  it("has no secret in the pieces of an object, in a form that is cut, or in a block that is cut", () => {
    const key = `sk-${"a1B2".repeat(8)}`
    assert.deepStrictEqual(
      clean(block("text", "1", '{"tok', 'en":["t1"]}')),
      block("text", "1", '{"token":"[secret]"}')
    )
    assert.deepStrictEqual(
      clean(block("reasoning", "1", `use ${key.slice(0, 9)}`, key.slice(9), " now")),
      block("reasoning", "1", "use [secret] now")
    )
    assert.deepStrictEqual(
      clean(params("1", '{"password":', '"hun').slice(0, 3)),
      params("1", '{"password":"[secret]').slice(0, 2)
    )
  })

  it("keeps the order, the ids and the pieces of blocks without secrets", () => {
    const [dirty, other] = [params("1", '{"token":', '"t1"}'), block("text", "1", '{"tokens":', " 3}")]
    const mixed = (pieces: ReadonlyArray<Part>) => pieces.flatMap((part, at) => [part, ...other.slice(at, at + 1)])
    assert.deepStrictEqual(clean(mixed(dirty)), [
      dirty[0]!,
      other[0]!,
      { type: "tool-params-delta", id: "1", delta: '{"token":"[secret]"}' },
      other[1]!,
      other[2]!,
      dirty[3]!,
      other[3]!
    ])
  })

  it("that begins an id anew has two blocks of it", () => {
    const again = [...params("1", '{"pass').slice(0, 2), ...params("1", '{"pass', 'word":["p1"]}')]
    assert.deepStrictEqual(clean(again), [
      ...params("1", '{"pass').slice(0, 2),
      ...params("1", '{"password":"[secret]"}')
    ])
  })
})

// Each rule refuses what breaks it, and says what the API says.
import { LanguageModelLaws, StrictProvider } from "@selvage/testing"
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { modelAt } from "./strict.ts"

type Fields = StrictProvider.Fields
type Wire = StrictProvider.Wire

const says = (text: string): Fields => ({ type: "text", text })
const user = (...content: ReadonlyArray<Fields>): Fields => ({ role: "user", content })
const assistant = (...content: ReadonlyArray<Fields>): Fields => ({ role: "assistant", content })
const hi = user(says("hi"))

const good: Readonly<Record<Wire, Fields>> = {
  messages: { model: "claude-sonnet-5-5", max_tokens: 100, messages: [hi] },
  chat: { model: "gpt-5.4", messages: [{ role: "user", content: "hi" }] },
  responses: {
    model: "gpt-5.4",
    input: [{ role: "user", content: [{ type: "input_text", text: "hi" }] }],
    store: false
  }
}

const headers: Readonly<Record<Wire, Record<string, string>>> = {
  messages: { "x-api-key": "k", "anthropic-version": "2026-10-21" },
  chat: { authorization: "Bearer k" },
  responses: { authorization: "Bearer k" }
}

const seen = (
  wire: Wire,
  change: Fields,
  own: Record<string, string> = headers[wire],
  signatures = new Map<string, Set<string>>()
) => {
  const body = { ...good[wire], ...change }
  return { wire, headers: own, body, text: JSON.stringify(body), model: String(body["model"]), signatures }
}

const closed = (properties: Fields, more: Fields = {}): Fields => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more
})

// ---- Messages

const use = (id: string, more: Fields = {}): Fields => ({ type: "tool_use", id, name: "t", input: {}, ...more })
const gave = (id: string, more: Fields = {}): Fields => ({
  type: "tool_result",
  tool_use_id: id,
  content: "ok",
  ...more
})
const called = (...calls: ReadonlyArray<Fields>): Fields => assistant(...calls)
const thinking: Fields = { type: "thinking", thinking: "hm", signature: "s" }
const tool = (more: Fields = {}): Fields => ({ name: "t", input_schema: { type: "object", properties: {} }, ...more })
const of = (...messages: ReadonlyArray<Fields>): Fields => ({ messages })
const thinks = (type: string, model: string, more: Fields = {}): Fields => ({
  model,
  thinking: { type, budget_tokens: 2048 },
  max_tokens: 9000,
  ...more
})

const messages: Readonly<Record<string, Fields>> = {
  "no-messages": of(),
  roles: of({ role: "tool", content: "x" }),
  "first-user": of(assistant(says("a")), hi),
  "system-in-place": of(hi, { role: "system", content: "s" }, hi),
  "empty-message": of(user()),
  "empty-text": of(user(says(" "))),
  "unanswered-call": of(hi, called(use("1")), hi),
  "uncalled-result": of(hi, assistant(says("a")), user(gave("1"))),
  "results-first": of(hi, called(use("1")), user(says("b"), gave("1"))),
  "call-ids-unique": of(hi, called(use("1")), user(gave("1")), called(use("1")), user(gave("1"))),
  "one-result": of(hi, called(use("1")), user(gave("1"), gave("1"))),
  "call-id": of(hi, called(use("f:0")), user(gave("f:0"))),
  "call-name": of(hi, called(use("1", { name: "a.b" })), user(gave("1"))),
  "call-input": of(hi, called(use("1", { input: "{" })), user(gave("1"))),
  "error-without-content": of(hi, called(use("1")), user(gave("1", { is_error: true, content: "" }))),
  "last-thinking": of(hi, assistant(says("a"), thinking), hi),
  "thinking-signature": of(hi, assistant({ ...thinking, signature: "" }, says("a")), hi),
  "thinking-role": of(user(thinking, says("a"))),
  "assistant-blocks": of(hi, assistant({ type: "image", source: { type: "url", url: "https://a" } }), hi),
  "server-tool-pairs": of(
    hi,
    assistant({ type: "server_tool_use", id: "s", name: "web_search", input: {} }, says("a")),
    hi
  ),
  prefill: of(hi, assistant(says("{"))),
  sources: of(user({ type: "image", source: { type: "base64", media_type: "image/heic", data: "AAAA" } })),
  "cache-breakpoints": of(
    user(...["a", "b", "c", "d", "e"].map((text) => ({ ...says(text), cache_control: { type: "ephemeral" } })))
  ),
  "cache-on-thinking": of(hi, assistant({ ...thinking, cache_control: { type: "ephemeral" } }, says("a")), hi),
  content: of({ role: "user", content: ["a", says("b")] }),
  fields: { prompt: "x" },
  model: { model: "" },
  "max-tokens": { max_tokens: 0 },
  surrogates: of(user(says("a\ud83d"))),
  "tool-name": { tools: [tool({ name: "a.b" })] },
  "tool-names-unique": { tools: [tool(), tool()] },
  "tool-schema": { tools: [tool({ input_schema: { type: "object", anyOf: [] } })] },
  "strict-schema": { tools: [tool({ strict: true, input_schema: closed({ a: {} }) })] },
  "strict-limits": {
    tools: Array.from({ length: 21 }, (_, n) => tool({ name: `t${n}`, strict: true, input_schema: closed({}) }))
  },
  "output-schema": { output_config: { format: { type: "json_schema", schema: { type: "object", properties: {} } } } },
  "choice-without-tools": { tool_choice: { type: "auto" } },
  "choice-unknown": { model: "claude-haiku-4-5", tools: [tool()], tool_choice: { type: "tool", name: "u" } },
  "forced-tool": { tools: [tool()], tool_choice: { type: "any" } },
  "forced-tool-thinking": thinks("enabled", "claude-haiku-4-5", { tools: [tool()], tool_choice: { type: "any" } }),
  sampling: { temperature: 0.5 },
  "sampling-version": { model: "claude-haiku-4-5", temperature: 0.5 },
  "sampling-range": { model: "claude-opus-4-0", temperature: 1.5 },
  "sampling-both": { model: "claude-haiku-4-5", temperature: 0.5, top_p: 0.9 },
  "sampling-thinking": thinks("enabled", "claude-haiku-4-5", { temperature: 0.5 }),
  "thinking-adaptive-only": thinks("disabled", "claude-opus-5-5"),
  "thinking-sonnet-5-5": thinks("disabled", "claude-sonnet-5-5"),
  "thinking-without-budget": thinks("enabled", "claude-sonnet-5"),
  "thinking-4-6": thinks("between_tools", "claude-opus-4-6"),
  "thinking-before-4-6": thinks("adaptive", "claude-haiku-4-5"),
  "thinking-disabled-effort": thinks("disabled", "claude-opus-5", { output_config: { effort: "max" } }),
  "thinking-budget": thinks("enabled", "claude-haiku-4-5", { max_tokens: 100 }),
  "thinking-binding-beta": { thinking: { type: "adaptive", block_binding: {} } },
  "effort-none": { model: "claude-haiku-4-5", output_config: { effort: "low" } },
  "effort-4-5": { model: "claude-opus-4-5", output_config: { effort: "max" } },
  "effort-4-6": { model: "claude-opus-4-6", output_config: { effort: "xhigh" } },
  "stop-sequences": { stop_sequences: [" "] }
}

// Sampling goes with the version before.
const older = { ...headers.messages, "anthropic-version": "2023-06-01" }
const sampled = new Set(["sampling", "sampling-range", "sampling-both", "sampling-thinking"])

// ---- What both APIs of OpenAI have

const fn = (wire: Wire, own: Fields): Fields =>
  wire === "chat" ? { type: "function", function: own } : { type: "function", ...own }
const format = (wire: Wire, own: Fields): Fields =>
  wire === "chat"
    ? { response_format: { type: "json_schema", json_schema: own } }
    : { text: { format: { type: "json_schema", ...own } } }
const effort = (wire: Wire, level: string): Fields =>
  wire === "chat" ? { reasoning_effort: level } : { reasoning: { effort: level } }
const verbosity = (wire: Wire): Fields => (wire === "chat" ? { verbosity: "low" } : { text: { verbosity: "low" } })
const offered = (wire: Wire, own: Fields = {}): Fields => fn(wire, { name: "t", parameters: closed({}), ...own })

const both = (wire: "chat" | "responses"): Readonly<Record<string, Fields>> => ({
  surrogates: { user: "a\ud83d" },
  model: { model: "" },
  ranges: { temperature: 3 },
  metadata: { store: true, metadata: { ["k".repeat(65)]: "v" } },
  "tool-name": { tools: [offered(wire, { name: "a.b" })] },
  "tool-schema": { tools: [offered(wire, { parameters: { type: "object", properties: {}, anyOf: [] } })] },
  "strict-schema": {
    tools: [
      offered(wire, {
        strict: true,
        parameters: closed({ a: { $ref: "#/$defs/A", description: "x" } }, { $defs: { A: closed({}) } })
      })
    ]
  },
  "output-schema": format(wire, {
    name: "o",
    strict: true,
    schema: closed({ a: { type: "string", pattern: "(?=a)" } })
  }),
  "choice-without-tools": { tool_choice: "auto" },
  "parallel-without-tools": { parallel_tool_calls: true },
  "choice-unknown": { tools: [offered(wire)], tool_choice: fn(wire, { name: "u" }) },
  "empty-tools": { tools: [] },
  "sampling-never": { model: "gpt-5", temperature: 1 },
  "sampling-reasoning": { ...effort(wire, "low"), temperature: 1 },
  "sampling-stop": { stop: ["END"] },
  "max-tokens-name": { max_tokens: 20 },
  "parallel-tool-calls": { model: "o3", tools: [offered(wire)], parallel_tool_calls: true },
  "effort-none": { model: "gpt-4o", ...effort(wire, "low") },
  "effort-o": { model: "o3", ...effort(wire, "xhigh") },
  "effort-5": { model: "gpt-5-mini", ...effort(wire, "none") },
  "effort-5.1": { model: "gpt-5.1", ...effort(wire, "minimal") },
  "effort-5.2": { model: "gpt-5.2", ...effort(wire, "max") },
  verbosity: { model: "gpt-4o", ...verbosity(wire) },
  "cache-options": { prompt_cache_options: { mode: "explicit" } }
})

// ---- Chat Completions

const tc = (id: string, more: Fields = {}): Fields => ({
  id,
  type: "function",
  function: { name: "t", arguments: "{}", ...more }
})
const calls = (...all: ReadonlyArray<Fields>): Fields => ({ role: "assistant", content: null, tool_calls: all })
const tr = (tool_call_id: string): Fields => ({ role: "tool", tool_call_id, content: "ok" })

const chat: Readonly<Record<string, Fields>> = {
  ...both("chat"),
  fields: { input: "x" },
  "no-messages": of(),
  roles: of({ role: "function", content: "x" }),
  content: of({ role: "assistant", content: null }),
  parts: of(user({ type: "file", file: { filename: "a.csv", file_data: "data:text/csv;base64,aGk=" } })),
  "unanswered-call": of(calls(tc("1"))),
  "uncalled-result": of(tr("1")),
  "call-ids-unique": of(calls(tc("1"), tc("1")), tr("1")),
  "one-result": of(calls(tc("1")), tr("1"), tr("1")),
  "call-id": of(calls(tc("c".repeat(41))), tr("c".repeat(41))),
  "call-name": of(calls(tc("1", { name: "a.b" })), tr("1")),
  "call-arguments": of(calls(tc("1", { arguments: "[]" })), tr("1")),
  "empty-calls": of({ role: "assistant", content: "a", tool_calls: [] }),
  "metadata-stored": { metadata: { a: "b" } },
  stop: { model: "gpt-4o", stop: ["1", "2", "3", "4", "5"] },
  "max-tokens": { max_completion_tokens: 0 }
}

// ---- Responses

const fc = (call_id: string, more: Fields = {}): Fields => ({
  type: "function_call",
  call_id,
  name: "t",
  arguments: "{}",
  ...more
})
const fo = (call_id: string): Fields => ({ type: "function_call_output", call_id, output: "ok" })
const reasoned = (id: string, more: Fields = { encrypted_content: "e" }): Fields => ({
  type: "reasoning",
  id,
  summary: [],
  ...more
})
const answer: Fields = { role: "assistant", content: "a" }
const input = (...items: ReadonlyArray<Fields>): Fields => ({ input: items })

const responses: Readonly<Record<string, Fields>> = {
  ...both("responses"),
  fields: { messages: [] },
  "no-input": input(),
  items: input({ text: "a" }),
  content: input({ role: "user", content: [] }),
  parts: input({
    role: "user",
    content: [{ type: "input_file", filename: "file.plain", file_data: "data:text/plain;base64,aGk=" }]
  }),
  "unanswered-call": input(fc("1")),
  "uncalled-result": input(fo("1")),
  "call-ids-unique": input(fc("1"), fc("1"), fo("1")),
  "one-result": input(fc("1"), fo("1"), fo("1")),
  "call-id": input(fc("c".repeat(65)), fo("c".repeat(65))),
  "call-name": input(fc("1", { name: "a.b" }), fo("1")),
  "call-arguments": input(fc("1", { arguments: "[" }), fo("1")),
  "reasoning-follower": input(reasoned("r"), { role: "user", content: "b" }),
  "reasoning-model": { model: "gpt-4o", ...input(reasoned("r"), answer) },
  "reasoning-stored": input(reasoned("r", {}), answer),
  "item-ids-unique": input(reasoned("r"), answer, reasoned("r"), answer),
  "include-reasoning": { model: "gpt-4o", include: ["reasoning.encrypted_content"] },
  "continue-twice": { previous_response_id: "r", conversation: "c" },
  "max-tokens": { max_output_tokens: 9 },
  text: { text: "x" }
}

const broken: Readonly<Record<Wire, Readonly<Record<string, Fields>>>> = { messages, chat, responses }

describe("a strict provider", () => {
  for (const wire of ["messages", "chat", "responses"] as const) {
    it(`takes a good request over ${wire}`, () => assert.isUndefined(StrictProvider.check(seen(wire, {}))))

    it(`refuses what breaks a rule of ${wire}, by its id`, () => {
      for (const [what, change] of Object.entries(broken[wire])) {
        const own = wire === "messages" && sampled.has(what) ? older : headers[wire]
        const found = StrictProvider.check(seen(wire, change, own))
        assert.strictEqual(found?.rule.id, `${wire}/${what}`, `${what}: ${found?.message}`)
      }
      assert.strictEqual(StrictProvider.check(seen(wire, {}, {}))?.rule.status, 401)
    })

    it(`has no rule of ${wire} that is not shown here, and none without a source`, () => {
      const shown = new Set(Object.keys(broken[wire]).map((what) => `${wire}/${what}`))
      const apart = new Set([`${wire}/key`, "messages/version", "messages/thinking-prefix"])
      for (const { id, source, wire: own } of StrictProvider.rules) {
        if (own !== wire) continue
        assert.isTrue(shown.has(id) || apart.has(id), id)
        assert.match(source, /^https:\/\//, id)
      }
    })
  }

  it.effect("binds thinking to what it came from", () =>
    Effect.gen(function* () {
      const provider = StrictProvider.makeLocal(
        LanguageModelLaws.Turn.Answer({ thought: { text: "hm", signature: "s" }, text: "a" })
      )
      const send = (body: Fields) =>
        Effect.promise(() =>
          provider.fetch("http://strict.invalid/v1/messages", {
            method: "POST",
            headers: headers.messages,
            body: JSON.stringify(body)
          })
        )
      const back = [hi, assistant(thinking, says("a")), hi]
      assert.strictEqual((yield* send(good.messages)).status, 200)
      assert.strictEqual((yield* send({ ...good.messages, messages: back })).status, 200)
      const changed = yield* send({ ...good.messages, system: "s", messages: back })
      assert.strictEqual(changed.status, 400)
      assert.match(
        yield* Effect.promise(() => changed.text()),
        /bound to a different conversation.*messages\/thinking-prefix/
      )
      // Older models do not.
      const older = yield* send({ ...good.messages, model: "claude-opus-4-8", system: "s", messages: back })
      assert.strictEqual(older.status, 200)
      assert.deepStrictEqual(
        (yield* provider.refusals).map(({ rule, status }) => [rule, status]),
        [["messages/thinking-prefix", 400]]
      )
    })
  )

  for (const name of ["OpenAI Responses", "OpenAI Chat", "Anthropic"] as const) {
    it.effect(`plays turns over loopback, whole and streamed, to ${name}`, () =>
      Effect.gen(function* () {
        const provider = yield* StrictProvider.make(LanguageModelLaws.Turn.Answer({ text: "Hello." }))
        const model = name === "Anthropic" ? "claude-sonnet-5-5" : "gpt-5.4"
        yield* Effect.gen(function* () {
          assert.strictEqual((yield* LanguageModel.generateText({ prompt: "hi" })).text, "Hello.")
          const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "hi" }))
          assert.strictEqual(parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join(""), "Hello.")
        }).pipe(Effect.provide(modelAt(name, model, provider)))
        assert.strictEqual((yield* provider.received).length, 2)
        assert.deepStrictEqual(yield* provider.refusals, [])
      })
    )
  }
})

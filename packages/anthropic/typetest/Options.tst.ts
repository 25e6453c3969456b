import { describe, expect, test } from "tstyche"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import type * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import {
  AnthropicLanguageModel,
  type AnthropicOptions,
  AnthropicTool,
  type AnthropicToolSchema
} from "@selvage/anthropic"

describe("provider options", () => {
  const text = (anthropic: AnthropicOptions.CacheControl) =>
    Prompt.makePart("text", { text: "a", options: { anthropic: { cacheControl: anthropic } } })

  test("take a breakpoint, and no other", () => {
    expect(text).type.toBeCallableWith({ type: "ephemeral", ttl: "1h" })
    expect(text).type.not.toBeCallableWith({ type: "ephemeral", ttl: "2h" })
    expect(text).type.not.toBeCallableWith({ type: "forever" })
  })

  test("of a file are a file's", () => {
    expect<NonNullable<Prompt.FilePartOptions["anthropic"]>>().type.toBeAssignableFrom({
      citations: { enabled: true },
      documentTitle: "A"
    })
    expect<NonNullable<Prompt.FilePartOptions["anthropic"]>>().type.not.toBeAssignableFrom({ citations: true })
  })

  test("of a finish part say what Anthropic counts", () => {
    type Finish = NonNullable<Response.FinishPartMetadata["anthropic"]>
    expect<Finish["usage"]["webSearchRequests"]>().type.toBe<number | null>()
    expect<Finish["container"]>().type.toBe<AnthropicOptions.Container | null>()
  })
})

describe("configuration", () => {
  test("takes what the API has, and nothing else", () => {
    expect(AnthropicLanguageModel.withConfig).type.toBeCallableWith({ effort: "max", thinking: { type: "adaptive" } })
    expect(AnthropicLanguageModel.withConfig).type.not.toBeCallableWith({ effort: "huge" })
    expect(AnthropicLanguageModel.withConfig).type.not.toBeCallableWith({ thinking: { type: "enabled" } })
    expect(AnthropicLanguageModel.withConfig).type.not.toBeCallableWith({ temprature: 1 })
  })
})

describe("tools", () => {
  test("take the arguments of their version", () => {
    expect(AnthropicTool.WebSearch_20260318).type.toBeCallableWith({ maxUses: 1, responseInclusion: "excluded" })
    expect(AnthropicTool.WebSearch_20250305).type.not.toBeCallableWith({ responseInclusion: "excluded" })
    expect(AnthropicTool.WebSearch_20250305).type.not.toBeCallableWith({ maxUse: 1 })
  })

  test("give results of a known shape", () => {
    const search = AnthropicTool.WebSearch_20250305({})
    expect<Tool.Success<typeof search>>().type.toBe<ReadonlyArray<AnthropicToolSchema.WebSearchResult>>()
  })

  test("that Anthropic runs need no handler, and those that we run do", () => {
    const remote = Toolkit.make(AnthropicTool.WebSearch_20250305({}), AnthropicTool.CodeExecution_20250825({}))
    expect<Tool.HandlersFor<typeof remote.tools>>().type.toBe<never>()
    const ours = Toolkit.make(AnthropicTool.Bash_20250124({}))
    expect<Tool.HandlersFor<typeof ours.tools>>().type.toBe<Tool.Handler<"AnthropicBash">>()
  })
})

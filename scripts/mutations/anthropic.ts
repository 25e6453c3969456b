import { of } from "./mutation.ts"

export const mutations = of("anthropic", [
  {
    file: "internal/errors.ts",
    find: "Number.isNaN(serverNow) ? now : serverNow",
    replace: "now",
    tests: ["failures"],
    breaks: "a date to retry after is read by our clock"
  },
  {
    file: "internal/errors.ts",
    find: "Math.min(Math.max(millis, 0), maxRetryAfterMillis)",
    replace: "Math.max(millis, 0)",
    tests: ["failures"],
    breaks: "a server says to come back in years"
  },
  {
    file: "internal/errors.ts",
    find: 'if (outOfCredit.test(`${error.errorCode ?? ""} ${bodyType ?? ""} ${message}`))',
    replace: "if (false)",
    tests: ["failures"],
    breaks: "an account without credit is asked again"
  },
  {
    file: "internal/errors.ts",
    find: "const clean = context.redact(text)",
    replace: "const clean = text",
    tests: ["failures"],
    breaks: "the key is in an error"
  },
  {
    file: "internal/errors.ts",
    find: "return clean.length > maxText ? `${clean.slice(0, maxText)}…` : clean",
    replace: "return clean",
    tests: ["failures"],
    breaks: "an error has a page of a gateway in it"
  },
  {
    file: "internal/errors.ts",
    find: "if (status !== undefined && status >= 500) break",
    replace: "",
    tests: ["failures"],
    breaks: "a gateway's own failure is our request's"
  },
  {
    file: "internal/errors.ts",
    find: "return wait === undefined\n    ? new AiError",
    replace: "return wait === undefined || wait !== undefined\n    ? new AiError",
    tests: ["failures"],
    breaks: "an overloaded server is asked before the time it named"
  },
  {
    file: "internal/transport.ts",
    find: "watch.isSilent\n      ? transportError",
    replace: "false\n      ? transportError",
    tests: ["failures", "AnthropicClient"],
    breaks: "nobody learns that a server was silent"
  },
  {
    file: "internal/transport.ts",
    find: 'if (event.event === "ping" || text === "" || text === "[DONE]") return Effect.undefined',
    replace: "",
    tests: ["quirks"],
    breaks: "an event that says nothing ends a stream"
  },
  {
    file: "internal/events.ts",
    find: "const stopped = before === undefined ? [] : yield* end(state, event.index, before, exchange)",
    replace: "const stopped: ReadonlyArray<Part> = []",
    tests: ["quirks"],
    breaks: "a block that another follows without a stop has no end"
  },
  {
    file: "internal/events.ts",
    find: "const ended = yield* endAll(state, exchange)",
    replace: "const ended: ReadonlyArray<Part> = []",
    tests: ["quirks"],
    breaks: "a block that is open when a message ends has no end"
  },
  {
    file: "internal/events.ts",
    find: "...before,\n  ...Object.fromEntries(",
    replace: "...Object.fromEntries(",
    tests: ["quirks"],
    breaks: "counts that a last event leaves out are lost"
  },
  {
    file: "internal/events.ts",
    find: "if (state.held === undefined || !Answer.isCut(state.stop)) return",
    replace: "if (state.held === undefined) return",
    tests: ["AnthropicLanguageModel", "fixtures"],
    breaks: "a whole call is taken for one that was cut"
  },
  {
    file: "internal/events.ts",
    find: "if (block.json.length > maxArgumentsLength) {",
    replace: "if (block.json.length < 0) {",
    tests: ["failures"],
    breaks: "the arguments of a call grow without end"
  },
  {
    file: "internal/events.ts",
    find: "block.signature += piece.signature",
    replace: "",
    tests: ["AnthropicLanguageModel", "fixtures", "threads"],
    breaks: "thinking cannot be sent back"
  },
  {
    file: "internal/response.ts",
    find: "uncached + (cacheRead ?? 0) + (cacheWrite ?? 0)",
    replace: "uncached",
    tests: ["AnthropicLanguageModel", "fixtures"],
    breaks: "cached input is not counted"
  },
  {
    file: "internal/response.ts",
    find: 'case "model_context_window_exceeded":\n      return "length"',
    replace: 'return "length"',
    tests: ["AnthropicLanguageModel", "failures", "request"],
    breaks: "an answer that filled the window is whole"
  }
])

import { of } from "./mutation.ts"

export const mutations = of("agent", [
  {
    file: "Agent.ts",
    find: "turnsBefore: turns.length",
    replace: "turnsBefore: 0",
    tests: ["Agent"],
    breaks: "a second run counts the turns of the first"
  },
  {
    file: "Agent.ts",
    find: 'return finishReason === "pause" ? "model" : "answer"',
    replace: 'return "answer"',
    tests: ["Agent"],
    breaks: "an answer that was paused is cut"
  },
  {
    file: "Agent.ts",
    find: "{ concurrency, keys: calls.map(({ name }) => name) }",
    replace: "{ concurrency: 1, keys: calls.map(({ name }) => name) }",
    tests: ["Agent"],
    breaks: "calls of one turn wait for each other"
  },
  {
    file: "Agent.ts",
    find: "Limit.turns(16)",
    replace: "Limit.turns(17)",
    tests: ["Agent"],
    breaks: "an agent without a limit takes one turn more"
  },
  {
    file: "internal/conversation.ts",
    find: "answered.size === 0 ? calls : calls.filter(({ id }) => !answered.has(id))",
    replace: "calls",
    tests: ["conversation"],
    breaks: "a call that has its result is made again"
  },
  {
    file: "internal/conversation.ts",
    find: 'part.type === "tool-call" && !part.providerExecuted',
    replace: 'part.type === "tool-call"',
    tests: ["conversation"],
    breaks: "a call of the provider is made by us"
  },
  {
    file: "internal/conversation.ts",
    find: "return this.#messages.slice(0, -1)",
    replace: "return this.#messages",
    tests: ["conversation"],
    breaks: "a tool decides by the message that makes the call"
  },
  {
    file: "internal/turn.ts",
    find: 'state.finishReason === "pause" ? state.text + text : text',
    replace: "text",
    tests: ["Agent"],
    breaks: "the beginning of a paused answer is lost"
  },
  {
    file: "internal/turn.ts",
    find: "Limit.check(limit, turnsBefore === 0 ? turns : turns.slice(turnsBefore))",
    replace: "Limit.check(limit, turns)",
    tests: ["Agent"],
    breaks: "the limit of a run counts the runs before it"
  },
  {
    file: "internal/turn.ts",
    find: "if (isRestart(part)) {",
    replace: "if (false) {",
    tests: ["Agent"],
    breaks: "what came before a restart is part of the answer"
  },
  {
    file: "internal/turn.ts",
    find: 'if (part.type === "tool-call" && !part.providerExecuted) return Dispatcher.withinBounds(registry, part)',
    replace: "",
    tests: ["Agent"],
    breaks: "what a model makes up is journaled whole"
  },
  {
    file: "internal/turn.ts",
    find: "const outputTokens = output ?? Estimate.tokens(parts)",
    replace: "const outputTokens = 0",
    tests: ["Agent", "Limits"],
    breaks: "the tokens of answers are free"
  },
  {
    file: "internal/turn.ts",
    find: "...(waited === 0 ? {} : { waited })",
    replace: "",
    tests: ["Waiting"],
    breaks: "the time of a person counts against a limit"
  }
])

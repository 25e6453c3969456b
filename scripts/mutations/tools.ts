import { of } from "./mutation.ts"

export const mutations = of("tools", [
  {
    file: "Dispatcher.ts",
    find: "for (let count = 2; names.used.has(free); count++)",
    replace: "for (let count = 2; false; count++)",
    tests: ["decisions", "durable"],
    breaks: "two calls with one id are one call"
  },
  {
    file: "Dispatcher.ts",
    find: "question.tool === call.name && Equal.equals(question.params, toJson(call.params))",
    replace: "question.tool === call.name",
    tests: ["decisions"],
    breaks: "the approval of one call is that of another"
  },
  {
    file: "Dispatcher.ts",
    find: "if (task.intended(outcomeKey(call))) return goOn(given)",
    replace: "",
    tests: ["decisions", "durable"],
    breaks: "a call that may have been made is asked about for approval"
  },
  {
    file: "Dispatcher.ts",
    find: "if (given.task?.recorded(decision) !== undefined) return perform(cleared)",
    replace: "",
    tests: ["decisions"],
    breaks: "a call that its rule let through is asked about when the rule has changed"
  },
  {
    file: "Dispatcher.ts",
    find: "  if (!approved) {",
    replace: "  if (false) {",
    tests: ["durable", "decisions"],
    breaks: "a call that was denied is made"
  },
  {
    file: "Dispatcher.ts",
    find: "repeatable ? policy : { ...policy, retry: undefined }",
    replace: "policy",
    tests: ["Dispatcher"],
    breaks: "a call that must not be repeated is tried again"
  },
  {
    file: "Dispatcher.ts",
    find: "cleared.registered.repeatable ? made(cleared) : performOnce(cleared)",
    replace: "made(cleared)",
    tests: ["durable"],
    breaks: "a call that must not be repeated has no intent"
  },
  {
    file: "Dispatcher.ts",
    find: "return bytes <= limit",
    replace: "return bytes >= 0",
    tests: ["Dispatcher"],
    breaks: "a result of any size goes to the model"
  },
  {
    file: "Dispatcher.ts",
    find: 'if (typeof call.params === "string") {',
    replace: 'if (typeof call.params === "bigint") {',
    tests: ["Dispatcher"],
    breaks: "malformed arguments reach a handler"
  },
  {
    file: "Dispatcher.ts",
    find: 'registered.readonly ? "none" : "unknown"',
    replace: '"none"',
    tests: ["Dispatcher"],
    breaks: "a call that timed out is said to have changed nothing"
  },
  {
    file: "Dispatcher.ts",
    find: 'return answer.decision === "repeat"',
    replace: 'return answer.decision !== "repeat"',
    tests: ["durable"],
    breaks: "a call is repeated where a person says that it was made"
  },
  {
    file: "Dispatcher.ts",
    find: "`${task.key}${call.as}`",
    replace: "call.as",
    tests: ["Dispatcher", "durable"],
    breaks: "calls of two tasks have one key"
  },
  {
    file: "internal/names.ts",
    find: "if (!taken.has(other)) name = other",
    replace: "name = other",
    tests: ["decisions"],
    breaks: "a name that is made up is that of another call"
  },
  {
    file: "internal/names.ts",
    find: "isKnown(call.name) ? call.name : abbreviate(call.name, maxName)",
    replace: "call.name",
    tests: ["decisions"],
    breaks: "a name that a model makes up is journaled whole"
  },
  {
    file: "internal/json.ts",
    find: "if (text.length <= maxText) return text",
    replace: "return text",
    tests: ["Dispatcher"],
    breaks: "a text of any length is told to a model"
  },
  {
    file: "internal/running.ts",
    find: "repeatable: readonly || Context.get(tool.annotations, Tool.Idempotent)",
    replace: "repeatable: true",
    tests: ["durable", "Dispatcher"],
    breaks: "every call may be repeated"
  },
  {
    file: "internal/running.ts",
    find: 'typeof tool.needsApproval === "function" ? tool.needsApproval(params, context) : (tool.needsApproval ?? false)',
    replace: "false",
    tests: ["durable"],
    breaks: "no tool waits for a person"
  },
  {
    file: "Registry.ts",
    find: "if (running.version !== version) {",
    replace: "if (false) {",
    tests: ["Registry"],
    breaks: "a plugin of another version is used"
  },
  {
    file: "Registry.ts",
    find: "kept.live.every((running, index) => running === live[index])",
    replace: "true",
    tests: ["Registry"],
    breaks: "a registry is that of plugins that are gone"
  }
])

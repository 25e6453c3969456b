import { of } from "./mutation.ts"

export const mutations = of("provider", [
  {
    file: "Alarm.ts",
    find: "if (alarm.at > now) break",
    replace: "if (alarm.at >= now) break",
    tests: ["Alarm"],
    breaks: "an alarm that is due is slept over"
  },
  {
    file: "Alarm.ts",
    find: "  try {\n    ring()\n  } catch (thrown) {\n    queueMicrotask(() => {\n      throw thrown\n    })\n  }",
    replace: "  ring()",
    tests: ["Alarm"],
    breaks: "an alarm that throws takes others with it"
  },
  {
    file: "Watch.ts",
    find: "if (rest > 0) {",
    replace: "if (rest > 1e12) {",
    tests: ["Watch"],
    breaks: "a request that is heard is aborted"
  },
  {
    file: "Watch.ts",
    find: "if (!this.#finished) this.#controller.abort(left)",
    replace: "this.#controller.abort(left)",
    tests: ["Watch"],
    breaks: "a request of which all was heard is aborted"
  },
  {
    file: "Watch.ts",
    find: "    this.#callOff()\n    if (!this.#finished)",
    replace: "    if (!this.#finished)",
    tests: ["Watch", "Alarm"],
    breaks: "the alarm of a request stays set"
  },
  {
    file: "Watch.ts",
    find: "if (bytes > maxBytes) {",
    replace: "if (bytes < 0) {",
    tests: ["Watch"],
    breaks: "a body of any size is read"
  },
  {
    file: "Fetch.ts",
    find: 'stripHeadersOnCrossOriginRedirect: ["api-key", "x-api-key"]',
    replace: 'stripHeadersOnCrossOriginRedirect: ["api-key"]',
    tests: ["Fetch"],
    breaks: "a key follows a redirect to another server"
  },
  {
    file: "Fetch.ts",
    find: 'if (url.username !== "" || url.password !== "") return undefined',
    replace: "",
    tests: ["Fetch"],
    breaks: "an address with a password is asked"
  },
  {
    file: "Fetch.ts",
    find: "if (signal?.aborted === true) throw signal.reason",
    replace: "",
    tests: ["Fetch"],
    breaks: "an aborted request fails as a broken connection"
  },
  {
    file: "internal/answer.ts",
    find: "signal?.aborted === true ? signal.reason : new TypeError",
    replace: "new TypeError",
    tests: ["Fetch"],
    breaks: "a body that was aborted fails as a broken connection"
  },
  {
    file: "internal/answer.ts",
    find: "this.redirected = history.length > 1",
    replace: "this.redirected = false",
    tests: ["Fetch"],
    breaks: "nobody learns that an answer was redirected"
  },
  {
    file: "internal/decode.ts",
    find: 'one["metadata"] === undefined',
    replace: "true",
    tests: ["Provider"],
    breaks: "the metadata of a piece of text is lost"
  },
  {
    file: "internal/simply.ts",
    find: 'message.role === "assistant" && message.content.some((part) => part.type === "tool-approval-request")',
    replace: 'message.role === "assistant" && false',
    tests: ["Provider", "calls"],
    breaks: "approvals are not resolved"
  }
])

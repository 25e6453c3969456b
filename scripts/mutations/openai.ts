import { of } from "./mutation.ts"

export const mutations = of("openai", [
  {
    file: "internal/errors.ts",
    find: 'const served = Date.parse(headers?.get("date") ?? "")',
    replace: "const served = Number.NaN",
    tests: ["failures"],
    breaks: "a date to retry after is read by our clock"
  },
  {
    file: "internal/errors.ts",
    find: "(status === 503 && delay !== undefined)",
    replace: "false",
    tests: ["failures"],
    breaks: "a server that says when to come back is asked at once"
  },
  {
    file: "internal/errors.ts",
    find: "body: context.redact(text).slice(0, maxBody)",
    replace: "body: text",
    tests: ["failures"],
    breaks: "a body with the key is in an error"
  },
  {
    file: "internal/errors.ts",
    find: "if (status === 402 || kinds.some((kind) => quotaCodes.has(kind))) {",
    replace: "if (false) {",
    tests: ["quirks"],
    breaks: "an account without money is asked again"
  },
  {
    file: "internal/errors.ts",
    find: '`${(plain ?? "").replace(/\\/\\/[^/@]*@/, "//")',
    replace: '`${(plain ?? "")',
    tests: ["failures"],
    breaks: "a password in an address is in an error"
  },
  {
    file: "internal/errors.ts",
    find: "const status = failure.status ?? statusOf(body?.code)",
    replace: "const status = failure.status",
    tests: ["failures"],
    breaks: "a status that a gateway put into its body is not read"
  },
  {
    file: "internal/transport.ts",
    find: "const maxStreamCharacters = 16 * 1024 * 1024",
    replace: "const maxStreamCharacters = Infinity",
    tests: ["failures", "compatible", "chunks"],
    breaks: "a stream gives without end"
  },
  {
    file: "internal/transport.ts",
    find: "watch.isSilent\n        ? Effect.fail(silence(client, context))\n        : ",
    replace: "",
    tests: ["failures", "connections"],
    breaks: "nobody learns that a server was silent"
  },
  {
    file: "internal/transport.ts",
    find: 'const last = data === "[DONE]"',
    replace: "const last = false",
    tests: ["OpenAiLanguageModel", "chunks", "compatible"],
    breaks: "the end of a stream is read as JSON"
  },
  {
    file: "internal/transport.ts",
    find: "Effect.timeoutOption(rest, linger)",
    replace: "Effect.asSome(rest)",
    tests: ["connections"],
    breaks: "a connection that does not end is kept"
  },
  {
    file: "internal/transport.ts",
    find: "Effect.flatMap(client.hasKey ? exchange : noKey(context)",
    replace: "Effect.flatMap(exchange",
    tests: ["OpenAiLanguageModel", "failures", "OpenAiClient"],
    breaks: "a request is sent without a key"
  },
  {
    file: "internal/responsesStream.ts",
    find: 'return item.status === "incomplete" || (isIncomplete && !isJson(item.arguments))',
    replace: "return false",
    tests: ["quirks"],
    breaks: "a call that was cut is made"
  },
  {
    file: "internal/responsesStream.ts",
    find: 'const gap = summaryIndex > block.summary ? "\\n\\n" : ""',
    replace: 'const gap = ""',
    tests: ["OpenAiLanguageModel", "documented", "chunks"],
    breaks: "summaries of reasoning run together"
  },
  {
    file: "internal/responsesStream.ts",
    find: 'if (item.type === "function_call" ? !finishedCalls.has(item.call_id) : all) {',
    replace: "if (true) {",
    tests: ["OpenAiLanguageModel", "documented"],
    breaks: "what was streamed is given twice"
  },
  {
    file: "internal/responsesStream.ts",
    find: "parts.push(...texts.close(), ...reasoning.close())",
    replace: "parts.push(...reasoning.close())",
    tests: ["OpenAiLanguageModel", "documented", "compatible", "chunks", "failures"],
    breaks: "a text that a server did not finish has no end"
  },
  {
    file: "internal/chatStream.ts",
    find: "return another ? undefined : call",
    replace: "return call",
    tests: ["compatible"],
    breaks: "two calls with one index are one"
  },
  {
    file: "internal/chatStream.ts",
    find: "if (Parts.cutShort(reason) && !isJson(call.arguments)) continue",
    replace: "",
    tests: ["quirks"],
    breaks: "a call that was cut is an error"
  },
  {
    file: "internal/chatStream.ts",
    find: "if (reason === undefined && !(marked && answered)) {",
    replace: "if (false) {",
    tests: ["failures", "compatible"],
    breaks: "a stream that was cut is an answer"
  },
  {
    file: "internal/chatStream.ts",
    find: "usage = Parts.merged(usage, chunk.usage)",
    replace: "",
    tests: ["compatible", "OpenAiLanguageModel"],
    breaks: "the usage of a stream is not known"
  },
  {
    file: "internal/batches.ts",
    find: "batch.length >= maxSize || bytes + size > maxBytes",
    replace: "batch.length > maxSize || bytes + size > maxBytes",
    tests: ["OpenAiEmbeddingModel"],
    breaks: "a batch is larger by one than it may be"
  },
  {
    file: "internal/batches.ts",
    find: "bytes + size > maxBytes",
    replace: "bytes > maxBytes",
    tests: ["OpenAiEmbeddingModel"],
    breaks: "a batch has more bytes than it may have"
  },
  {
    file: "internal/parts.ts",
    find: "uncached: minus(counts.input, counts.cacheRead)",
    replace: "uncached: minus(counts.input, 0)",
    tests: ["OpenAiLanguageModel", "wire", "documented", "compatible"],
    breaks: "cached input is counted twice"
  }
])

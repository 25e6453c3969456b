/** Histories as aborts, limits, fallbacks between providers, cuts and other programs leave them, by chance. */
import * as Prompt from "effect/ai/Prompt"
import type { Chance } from "../simulation/seeded.ts"

const texts = [
  "ok",
  "Find it.",
  "",
  "   ",
  "\n",
  "a\ud83d",
  "\udc00b",
  "Zürich 👋",
  "\\ud83d",
  "x".repeat(300)
] as const
const ids = [
  "call_1",
  "call_2",
  "toolu_01A",
  "functions.get:0",
  "functions_get_0",
  `chatcmpl-tool-${"0123456789abcdef".repeat(2)}`,
  `chatcmpl-tool-${"0123456789abcdef".repeat(5)}`,
  "ü é",
  ""
] as const
const names = [
  "plain",
  "root.union",
  "everything of it",
  "multi_tool_use.parallel",
  "stock<|channel|>commentary",
  "s".repeat(200),
  ""
] as const
const params = [
  {},
  { sku: "A" },
  { at: "\ud800", deep: [{ a: null }] },
  '{"sku": "A',
  '{"sku":"B"}',
  "A",
  "",
  [],
  ["x"],
  7,
  null
] as const
const results = ["ok", "", "  ", { units: 3 }, null, [1, "b"], { text: "cut \ud83d" }, 0] as const
const mediaTypes = [
  "image/png",
  "IMAGE/JPG; q=0.9",
  "image/heic",
  "application/pdf",
  "text/plain; charset=utf-8",
  "text/csv",
  "application/json",
  "application/zip",
  "audio/mpeg",
  "video/mp4"
] as const
const files = [
  new Uint8Array([104, 105]),
  "aGk=",
  new URL("https://example.com/a"),
  "data:text/plain;base64,aGk="
] as const

type Options = { readonly options?: Prompt.ProviderOptions }

let made = 0
const fresh = (name: string): string => `${name}_${++made}`

const thought = (chance: Chance): Options =>
  chance.pick<Options>([
    {},
    { options: { openai: { itemId: fresh("rs"), encryptedContent: "sealed" } } },
    { options: { openai: { itemId: fresh("rs") } } },
    { options: { anthropic: { signature: fresh("sig") } } },
    { options: { anthropic: { redactedData: "sealed" } } }
  ])

const file = (chance: Chance): Prompt.FilePart =>
  Prompt.filePart({
    mediaType: chance.pick(mediaTypes),
    data: chance.pick<Prompt.FilePart["data"]>(files),
    fileName: chance.pick([undefined, "a.csv", "a b", "report.pdf"])
  })

const result = (chance: Chance, id: string, name: string): Prompt.ToolResultPart =>
  Prompt.toolResultPart({
    id,
    name,
    isFailure: chance.happens(0.4),
    result: chance.happens(0.005) ? { n: 1n } : chance.pick<unknown>(results),
    providerExecuted: false,
    ...(chance.happens(0.1)
      ? { modelOutput: chance.happens(0.5) ? [Prompt.textPart({ text: chance.pick(texts) })] : [file(chance)] }
      : {})
  })

/** A call that a provider ran itself, with its result or without. */
const hosted = (chance: Chance): ReadonlyArray<Prompt.AssistantMessagePart> => {
  const id = fresh("srv")
  const isOpenAi = chance.happens(0.5)
  const call = Prompt.toolCallPart({
    id,
    name: "Search",
    params: { query: "selvage" },
    providerExecuted: true,
    options: isOpenAi
      ? { openai: { item: { type: "web_search_call", id, status: "completed" } } }
      : { anthropic: { serverTool: "web_search" } }
  })
  const answer = Prompt.toolResultPart({
    id,
    name: "Search",
    isFailure: false,
    result: [],
    providerExecuted: true,
    options: isOpenAi ? {} : { anthropic: { resultType: "web_search_tool_result" } }
  })
  const pause = Prompt.reasoningPart({ text: "", options: { anthropic: { paused: true } } })
  return chance.pick<ReadonlyArray<Prompt.AssistantMessagePart>>([
    [call, answer],
    [call],
    [answer],
    isOpenAi ? [call] : [call, pause]
  ])
}

const list = <A>(chance: Chance, most: number, make: () => A): ReadonlyArray<A> =>
  Array.from({ length: chance.below(most + 1) }, make)

const assistant = (chance: Chance): Prompt.AssistantMessage => {
  const content: Array<Prompt.AssistantMessagePart> = []
  for (let left = 1 + chance.below(4); left > 0; left--) {
    const kind = chance.below(10)
    if (kind < 3) content.push(Prompt.textPart({ text: chance.pick(texts) }))
    else if (kind < 5) content.push(Prompt.reasoningPart({ text: chance.pick(texts), ...thought(chance) }))
    else if (kind < 8) {
      content.push(
        Prompt.toolCallPart({
          id: chance.pick(ids),
          name: chance.pick(names),
          params: chance.pick<unknown>(params),
          providerExecuted: false
        })
      )
    } else if (kind === 8) content.push(...hosted(chance))
    else content.push(file(chance))
  }
  return Prompt.assistantMessage({ content })
}

/** The results of a message's calls: some lost, some twice, some of another's. */
const answers = (chance: Chance, message: Prompt.AssistantMessage): ReadonlyArray<Prompt.ToolResultPart> =>
  message.content.flatMap((part) => {
    if (part.type !== "tool-call" || part.providerExecuted || chance.happens(0.2)) return []
    const one = result(chance, chance.happens(0.05) ? chance.pick(ids) : part.id, part.name)
    return chance.happens(0.1) ? [one, result(chance, part.id, part.name)] : [one]
  })

const user = (chance: Chance): Prompt.UserMessage =>
  Prompt.userMessage({
    content: list(chance, 2, () =>
      chance.happens(0.15) ? file(chance) : Prompt.textPart({ text: chance.pick(texts) })
    )
  })

const system = (chance: Chance): Prompt.SystemMessage => Prompt.systemMessage({ content: chance.pick(texts) })

/** A history of a few messages. */
export const history = (chance: Chance): Prompt.Prompt => {
  const messages: Array<Prompt.Message> = chance.happens(0.6) ? [system(chance)] : []
  for (let left = 1 + chance.below(6); left > 0; left--) {
    const kind = chance.below(10)
    if (kind < 4) messages.push(user(chance))
    else if (kind === 4) messages.push(system(chance))
    else {
      const said = assistant(chance)
      messages.push(said)
      if (chance.happens(0.15)) messages.push(user(chance))
      const content = answers(chance, said)
      if (content.length > 0)
        messages.push(Prompt.toolMessage({ content: chance.happens(0.2) ? content.toReversed() : content }))
    }
  }
  // As a window cuts it, without a look at what belongs together.
  return Prompt.fromMessages(chance.happens(0.2) ? messages.slice(1 + chance.below(2)) : messages)
}

/** A history that something happened to. */
export const disturbed = (chance: Chance, { content }: Prompt.Prompt): Prompt.Prompt => {
  const messages = content.slice()
  switch (chance.below(7)) {
    case 0:
      messages.splice(chance.below(messages.length + 1), 0, Prompt.systemMessage({ content: "It is now night." }))
      break
    case 1:
      messages.splice(0, chance.below(messages.length))
      break
    case 2: {
      // An abort: what came until then.
      const last = messages.at(-1)
      if (last?.role === "assistant") {
        messages.pop()
        messages.push(
          Prompt.assistantMessage({ content: last.content.slice(0, chance.below(last.content.length + 1)) })
        )
      }
      break
    }
    case 3:
      messages.push(assistant(chance))
      break
    default:
  }
  return Prompt.fromMessages(messages)
}

/** What the providers' models cost, and the models of which that is not known, each with its source. */
import type { Price } from "../Prices.ts"

const openaiPage = "https://developers.openai.com/api/docs/pricing"

interface OpenAi {
  readonly cached?: number
  /** Its cache writes cost 1.25 of the input: GPT-5.6 and later (the guide on prompt caching says so). */
  readonly writes?: true
  /** It takes more than 272,000 tokens of input; a longer prompt costs twice the input and 1.5 of the output, all of it. */
  readonly long?: true
}

const openai = (asOf: string, input: number, output: number, { cached = input, long, writes }: OpenAi = {}): Price => {
  const factor = writes === true ? 1.25 : 1
  const beyond = {
    tokens: 272_000,
    input: input * 2,
    cachedInput: cached * 2,
    cacheWrite: input * 2 * factor,
    output: output * 1.5
  }
  return {
    input,
    cachedInput: cached,
    ...(writes === true ? { cacheWrite: input * factor } : {}),
    output,
    ...(long === true ? { beyond } : {}),
    source: openaiPage,
    asOf
  }
}

// Anthropic states cache prices as factors of the input price: writes for five minutes are 1.25 of it.
const anthropic = (asOf: string, input: number, output: number, cacheRead = 0.1): Price => ({
  input,
  cachedInput: input * cacheRead,
  cacheWrite: input * 1.25,
  output,
  source: "https://platform.claude.com/docs/en/about-claude/pricing",
  asOf
})

const newer = { writes: true, long: true } as const

/** Prices by the name of the model. */
export const table: Readonly<Record<string, Price>> = {
  "gpt-6.2-astra": openai("2026-11-18", 8, 40, { cached: 0.4, ...newer }),
  "gpt-6.2-sol": openai("2026-11-18", 2, 10, { cached: 0.1, ...newer }),
  "gpt-6.1-sol": openai("2026-10-13", 2, 10, { cached: 0.1, ...newer }),
  "gpt-6.1-terra": openai("2026-10-27", 1, 5, { cached: 0.05, ...newer }),
  "gpt-6-astra": openai("2026-09-11", 10, 50, { cached: 1, ...newer }),
  "gpt-6-sol": openai("2026-09-23", 2, 10, { cached: 0.2, ...newer }),
  "gpt-6-luna": openai("2026-09-23", 0.1, 0.5, { cached: 0.01, ...newer }),
  "gpt-5.6-terra": openai("2026-08-02", 2, 12, { cached: 0.2, ...newer }),
  "gpt-5.6-luna": openai("2026-08-02", 0.2, 1.2, { cached: 0.02, ...newer }),
  "gpt-5.5": openai("2026-09-05", 5, 30, { cached: 0.5, long: true }),
  "gpt-5.5-pro": openai("2026-09-04", 30, 180, { long: true }),
  "gpt-5.4": openai("2026-11-05", 2.5, 15, { cached: 0.25, long: true }),
  "gpt-5.4-mini": openai("2026-11-05", 0.75, 4.5, { cached: 0.075 }),
  "gpt-5.4-nano": openai("2026-11-05", 0.2, 1.25, { cached: 0.02 }),
  "gpt-5.3-chat-latest": openai("2026-05-07", 1.75, 14, { cached: 0.175 }),
  "gpt-5.2": openai("2026-11-05", 1.75, 14, { cached: 0.175 }),
  "gpt-5.2-chat-latest": openai("2025-12-11", 1.75, 14, { cached: 0.175 }),
  "gpt-5.2-pro": openai("2025-12-11", 21, 168),
  "gpt-5.1": openai("2026-11-05", 1.25, 10, { cached: 0.125 }),
  "gpt-5.1-codex": openai("2025-11-13", 1.25, 10, { cached: 0.125 }),
  "gpt-5.1-codex-max": openai("2025-11-13", 1.25, 10, { cached: 0.125 }),
  "gpt-5.1-chat-latest": openai("2025-11-13", 1.25, 10, { cached: 0.125 }),
  "gpt-5": openai("2026-11-05", 1.25, 10, { cached: 0.125 }),
  "gpt-5-mini": openai("2026-11-05", 0.25, 2, { cached: 0.025 }),
  "gpt-5-nano": openai("2026-11-05", 0.05, 0.4, { cached: 0.005 }),
  "gpt-5-codex": openai("2025-11-13", 1.25, 10, { cached: 0.125 }),
  "gpt-5-chat-latest": openai("2025-11-13", 1.25, 10, { cached: 0.125 }),
  "gpt-5-pro": openai("2025-11-13", 15, 120),
  "gpt-4.1": openai("2026-11-05", 2, 8, { cached: 0.5 }),
  "gpt-4.1-mini": openai("2026-11-05", 0.4, 1.6, { cached: 0.1 }),
  "gpt-4.1-nano": openai("2026-11-05", 0.1, 0.4, { cached: 0.025 }),
  "gpt-4o": openai("2025-07-04", 2.5, 10, { cached: 1.25 }),
  "gpt-4o-mini": openai("2026-11-05", 0.15, 0.6, { cached: 0.075 }),
  "o4-mini": openai("2025-07-04", 1.1, 4.4, { cached: 0.275 }),
  o3: openai("2025-07-12", 2, 8, { cached: 0.5 }),
  "o3-mini": openai("2025-07-04", 1.1, 4.4, { cached: 0.55 }),
  o1: openai("2025-07-04", 15, 60, { cached: 7.5 }),
  "o1-pro": openai("2025-07-04", 150, 600),
  "claude-fable-5-2": anthropic("2026-11-10", 8, 40, 0.025),
  "claude-fable-5-1": anthropic("2026-09-11", 10, 50, 0.025),
  "claude-fable-5": anthropic("2026-09-11", 10, 50),
  "claude-mythos-5-1": anthropic("2026-09-11", 10, 50, 0.025),
  "claude-mythos-5": anthropic("2026-09-11", 10, 50),
  "claude-opus-5-5": anthropic("2026-10-24", 4, 20, 0.05),
  "claude-opus-5": anthropic("2026-10-24", 5, 25),
  "claude-opus-4-8": anthropic("2026-10-24", 5, 25),
  "claude-opus-4-7": anthropic("2026-10-24", 5, 25),
  "claude-opus-4-6": anthropic("2026-10-24", 5, 25),
  "claude-opus-4-5": anthropic("2026-10-24", 5, 25),
  "claude-sonnet-5-5": anthropic("2026-10-24", 2, 10, 0.05),
  "claude-sonnet-5": anthropic("2026-10-24", 2, 10),
  "claude-sonnet-4-6": anthropic("2026-10-24", 3, 15),
  "claude-sonnet-4-5": anthropic("2026-10-24", 3, 15),
  "claude-haiku-5-5": {
    ...anthropic("2026-10-24", 0.1, 0.5),
    beyond: { tokens: 100_000, input: 0.5, cachedInput: 0.05, cacheWrite: 0.625, output: 2.5 }
  },
  "claude-haiku-4-5": anthropic("2026-10-24", 1, 5)
}

const why = (reason: string, ...models: ReadonlyArray<string>) => models.map((model) => [model, reason] as const)

/** Models of the providers' own lists whose price is not known here, and why. Their names are not read as another model's. */
export const unknown: ReadonlyMap<string, string> = new Map([
  ...why("its price was a promotion until at least 2026-11-21", "gpt-5.6-sol"),
  ...why("no price of it was found", "gpt-5.1-mini", "claude-mythos-5-2", "claude-mythos-preview"),
  ...why(
    "it is sold under an agreement, without a list price",
    "gpt-daybreak-blue-latest",
    "gpt-daybreak-red-latest",
    "gpt-5.6-cyber",
    "gpt-6-cyber",
    "gpt-rosalind-research",
    "gpt-6-rosalind",
    "gpt-6.2-astra-law"
  ),
  ...why(
    "audio costs other than text, and usage does not tell them apart",
    "gpt-audio-mini",
    "gpt-4o-audio-preview",
    "gpt-4o-mini-audio-preview"
  ),
  ...why(
    "its searches and steps cost extra, which usage does not count",
    "gpt-4o-search-preview",
    "gpt-4o-mini-search-preview",
    "o3-deep-research",
    "o4-mini-deep-research",
    "computer-use-preview"
  ),
  ...why(
    "an older model, no price of it with a day was found",
    "gpt-4o-2024-05-13",
    "o3-pro",
    "o1-preview",
    "o1-mini",
    "chatgpt-4o-latest",
    "codex-mini-latest",
    "gpt-4-turbo",
    "gpt-4-turbo-preview",
    "gpt-4-0125-preview",
    "gpt-4-1106-preview",
    "gpt-4-vision-preview",
    "gpt-4",
    "gpt-4-0314",
    "gpt-4-0613",
    "gpt-4-32k",
    "gpt-4-32k-0314",
    "gpt-4-32k-0613",
    "gpt-3.5-turbo",
    "gpt-3.5-turbo-16k",
    "gpt-3.5-turbo-0301",
    "gpt-3.5-turbo-0613",
    "gpt-3.5-turbo-1106",
    "gpt-3.5-turbo-0125",
    "gpt-3.5-turbo-16k-0613"
  )
])

/**
 * The settings of a request, shared by both APIs.
 */

/**
 * See `OpenAiLanguageModel.Config`, which re-exports this. A call with an option that only the other API has fails with
 * `InvalidUserInputError` before anything is sent.
 */
export interface Config {
  /** Sampling temperature, 0 to 2. Reasoning models reject it. */
  readonly temperature?: number | undefined
  /** Nucleus sampling, 0 to 1. */
  readonly topP?: number | undefined
  /** Most tokens the model may produce, reasoning included. */
  readonly maxOutputTokens?: number | undefined
  /** How much a reasoning model thinks. */
  readonly reasoningEffort?: "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max" | undefined
  /** Whether to return a summary of the reasoning. Responses API only. */
  readonly reasoningSummary?: "auto" | "concise" | "detailed" | undefined
  /** Which earlier reasoning the model sees again. Responses API only. */
  readonly reasoningContext?: "auto" | "current_turn" | "all_turns" | undefined
  /** Length of the answer. */
  readonly verbosity?: "low" | "medium" | "high" | undefined
  /** Whether the model may call several tools in one turn. Default: the API's, which is yes. */
  readonly parallelToolCalls?: boolean | undefined
  /** Most calls of provider-executed tools in one response. Responses API only. */
  readonly maxToolCalls?: number | undefined
  /** Processing tier. */
  readonly serviceTier?: "auto" | "default" | "flex" | "scale" | "priority" | "fast" | undefined
  /**
   * Whether OpenAI keeps the response (30 days). Default: no. Server-side conversation state (`ResponseIdTracker`) needs it;
   * without it reasoning travels encrypted in the prompt instead.
   */
  readonly store?: boolean | undefined
  /**
   * Continues the stored response with this id: the prompt holds only what is new. Responses API only. With a
   * `ResponseIdTracker` in the context this happens by itself.
   */
  readonly previousResponseId?: string | undefined
  /** Continues the conversation with this id, which OpenAI keeps. Responses API only. */
  readonly conversation?: string | undefined
  /** How prompts are cached; where a cached prefix ends is an option of a prompt part (`cacheBreakpoint`). */
  readonly promptCache?: PromptCache | undefined
  /** A stable, hashed identifier of the end user, for abuse detection. */
  readonly safetyIdentifier?: string | undefined
  /** The end user, as older models and compatible servers take it. OpenAI prefers `safetyIdentifier` and `promptCache.key`. */
  readonly user?: string | undefined
  /** Up to 16 pairs kept with a stored response. */
  readonly metadata?: Record<string, string> | undefined
  /** Sampling seed. Chat Completions only. */
  readonly seed?: number | undefined
  /** Texts that end the answer, at most 4. Chat Completions only. */
  readonly stop?: ReadonlyArray<string> | undefined
  /** Lowers the chance of repeating a token by how often it came, -2 to 2. Chat Completions only. */
  readonly frequencyPenalty?: number | undefined
  /** Lowers the chance of any token that came before, -2 to 2. Chat Completions only. */
  readonly presencePenalty?: number | undefined
  /** Headers of the request, over those of the client. */
  readonly headers?: Record<string, string> | undefined
}

/** See https://developers.openai.com/api/docs/guides/prompt-caching. */
export interface PromptCache {
  /** Requests with the same key and prefix go to the same machines, so that they hit. */
  readonly key?: string | undefined
  /** `explicit`: only marked prefixes are cached. Default: `implicit`. `gpt-5.6` and later. */
  readonly mode?: "implicit" | "explicit" | undefined
  /** Least lifetime of what is written, with `gpt-5.6` and later. Chat Completions knows only `30m`. */
  readonly ttl?: "30m" | "12h" | undefined
  /** Longest lifetime, with earlier models. */
  readonly retention?: "in_memory" | "24h" | undefined
}

/**
 * How a compatible server differs from OpenAI where it must be told, in Chat Completions. Differences in what servers
 * answer need no option: they are read as they come.
 */
export interface Compatibility {
  /** The name of the limit on tokens. Ollama and Mistral know only `max_tokens`. Default: `max_completion_tokens`. */
  readonly maxTokens?: "max_completion_tokens" | "max_tokens" | undefined
  /** Whether to ask for strict schemas. `false` for a server that rejects the field. Default: yes. */
  readonly strict?: boolean | undefined
  /** Whether to ask for token counts at the end of a stream. `false` for a server that rejects it. Default: yes. */
  readonly streamUsage?: boolean | undefined
  /** The field of a message in which the server takes earlier reasoning back. Default: none, reasoning is not sent. */
  readonly reasoning?: "reasoning_content" | "reasoning" | undefined
}

/** Drops the keys that hold `undefined`: the wire has no such value, and servers reject `null` where they expect absence. */
export const compact = <T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } => {
  const left: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const entry: unknown = Reflect.get(value, key)
    if (entry !== undefined) left[key] = entry
  }
  return left as { [K in keyof T]: Exclude<T[K], undefined> }
}

/** The same, and `undefined` when nothing is left. */
export const compactOrNone = <T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } | undefined => {
  const left = compact(value)
  return Object.keys(left).length === 0 ? undefined : left
}

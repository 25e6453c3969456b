/**
 * The settings of a request, shared by both APIs.
 */

/** See `OpenAiLanguageModel.Settings`, which re-exports this. */
export interface Settings {
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
  /** Length of the answer. */
  readonly verbosity?: "low" | "medium" | "high" | undefined
  /** Whether the model may call several tools in one turn. Default: the API's, which is yes. */
  readonly parallelToolCalls?: boolean | undefined
  /** Processing tier. */
  readonly serviceTier?: "auto" | "default" | "flex" | "priority" | undefined
  /**
   * Whether OpenAI keeps the response (30 days). Default: no. Server-side conversation state (`ResponseIdTracker`) needs it;
   * without it reasoning travels encrypted in the prompt instead.
   */
  readonly store?: boolean | undefined
  /** A stable, hashed identifier of the end user, for abuse detection. */
  readonly safetyIdentifier?: string | undefined
  /** Up to 16 pairs kept with a stored response. */
  readonly metadata?: Record<string, string> | undefined
  /** Sampling seed. Chat Completions only. */
  readonly seed?: number | undefined
  /** Texts that end the answer, at most 4. Chat Completions only. */
  readonly stop?: ReadonlyArray<string> | undefined
}

/** Drops the keys that hold `undefined`: the wire has no such value, and servers reject `null` where they expect absence. */
export const compact = <T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }

/** How a model should answer, and where a call finds that out. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import type { CacheControl } from "../AnthropicOptions.ts"

/** The upper limit on an answer's tokens, thinking included, where no `maxTokens` is set. */
export const defaultMaxTokens = 8192

/** How the model should answer. Everything is optional, and absent means the API's default unless said otherwise. */
export interface Config {
  /** Another model than the layer's. */
  readonly model?: string | undefined
  /** Upper limit on the answer's tokens, thinking included; {@link defaultMaxTokens} when absent. */
  readonly maxTokens?: number | undefined
  /** 0 to 1. Sends the call with API version 2023-06-01; models from 4.7 on take none, which fails the call before it is sent. */
  readonly temperature?: number | undefined
  /** 0 to 1. As for `temperature`. */
  readonly topP?: number | undefined
  /** As for `temperature`. */
  readonly topK?: number | undefined
  readonly stopSequences?: ReadonlyArray<string> | undefined
  /** Lets a prompt end with the assistant, for the model to continue its text. Models before 4.6 only. */
  readonly prefill?: boolean | undefined
  /** Which kinds a model takes, and what it does without, depends on the model. */
  readonly thinking?: Thinking | undefined
  /** How much work to put into an answer. */
  readonly effort?: "low" | "medium" | "high" | "xhigh" | "max" | undefined
  /** `false` allows at most one tool call in an answer. */
  readonly parallelToolCalls?: boolean | undefined
  /** Caches the prompt up to its last block. Parts, messages and tools can set breakpoints of their own. */
  readonly cacheControl?: CacheControl | undefined
  /** Asks why the prompt cache could not reuse the prefix of an earlier response; `null` on the first call. */
  readonly cacheDiagnostics?: { readonly previousMessageId: string | null } | undefined
  /** Where code runs: the id of an earlier answer's container, or the skills to load into one. */
  readonly container?: string | ContainerConfig | undefined
  /**
   * Lets the API hold the conversation (beta `message-threads-2026-08-12`). With a `ResponseIdTracker` in context a later call sends only
   * what is new; without one, or when the API no longer has the conversation, or the tools changed, the whole prompt is sent.
   * The API refuses it together with some features, cache breakpoints and thinking among them.
   */
  readonly thread?: boolean | undefined
  readonly serviceTier?: "auto" | "standard_only" | undefined
  readonly speed?: "standard" | "fast" | undefined
  /** Where inference may happen. */
  readonly inferenceGeo?: string | undefined
  /** An opaque id of the end user, which helps Anthropic detect abuse. No names, no addresses. */
  readonly userId?: string | undefined
  /** The profile of the party that the call is made for. */
  readonly userProfileId?: string | undefined
  /** The workspace, for a key that may act in more than one. */
  readonly workspaceId?: string | undefined
  /** Features to switch on, by the API's names for them (`anthropic-beta`). */
  readonly betas?: ReadonlyArray<string> | undefined
}

/** A container to make or go on with. */
export interface ContainerConfig {
  readonly id?: string | undefined
  readonly skills?:
    | ReadonlyArray<{
        readonly type: "anthropic" | "custom"
        readonly skillId: string
        readonly version?: string | undefined
      }>
    | undefined
}

/** Whether the text of thinking comes back; its signature does either way. */
export type ThinkingDisplay = "summarized" | "omitted"

/**
 * What the API does with earlier thinking whose prefix (system text, tools, messages before it) has changed: it fails the call, or leaves that
 * thinking out. The adapter leaves out what it knows to be changed by itself; with this it sends all, and leaves it to the API (beta
 * `thinking-binding-controls-2026-08-01`).
 */
export type PrefixMismatch = "error" | "drop_block"

interface Shown {
  readonly display?: ThinkingDisplay | undefined
  readonly prefixMismatch?: PrefixMismatch | undefined
}

/** `enabled` takes a budget of at least 1024 tokens, below `maxTokens`, which is raised by it where it is not set. */
export type Thinking =
  | ({ readonly type: "adaptive" } & Shown)
  | ({ readonly type: "enabled"; readonly budgetTokens: number } & Shown)
  | { readonly type: "between_tools" }
  | { readonly type: "disabled" }

/** The configuration of the calls made in a scope of the program. It wins over the layer's, field by field. */
export const CurrentConfig = Context.Reference<Config>("selvage/anthropic/AnthropicLanguageModel/CurrentConfig", {
  defaultValue: () => ({})
})

/** What a model is made from. */
export interface Options {
  /** A model id, such as `claude-sonnet-5-5`. */
  readonly model: string
  readonly config?: Config | undefined
}

const given = (config: Config): Config =>
  Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined))

/** The configuration that holds for a call: that of its fiber over the layer's. */
export const current = (fiber: Fiber.Fiber<unknown, unknown>, options: Options): Config => ({
  ...given(options.config ?? {}),
  ...given(fiber.getRef(CurrentConfig))
})

/** Runs an effect with some of the configuration changed, for example `withConfig({ maxTokens: 200 })`. */
export const withConfig: {
  (config: Config): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, config: Config): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, config: Config): Effect.Effect<A, E, R> =>
  Effect.flatMap(CurrentConfig, (outer) => Effect.provideService(self, CurrentConfig, { ...outer, ...given(config) }))
)

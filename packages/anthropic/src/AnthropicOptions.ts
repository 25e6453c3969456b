/**
 * What a prompt, a response and their parts carry for Anthropic alone, under the key `anthropic`. Importing this module, or any model of this
 * package, types these options; the API's own names are kept where a value travels to the API as it is.
 *
 * What a response carries as metadata becomes the same part's options when it is turned into a prompt (`Prompt.fromResponseParts`, `Chat`),
 * so that thinking, citations and the calls of Anthropic's own tools go back the way they came.
 *
 * ```ts
 * import * as Prompt from "effect/ai/Prompt"
 * import "@selvage/anthropic/AnthropicOptions"
 *
 * export const prompt = Prompt.make([
 *   { role: "system", content: "A long instruction.", options: { anthropic: { cacheControl: { type: "ephemeral", ttl: "1h" } } } },
 *   {
 *     role: "user",
 *     content: [
 *       {
 *         type: "file",
 *         mediaType: "application/pdf",
 *         data: new URL("https://example.com/report.pdf"),
 *         options: { anthropic: { citations: { enabled: true }, documentTitle: "Report" } }
 *       },
 *       { type: "text", text: "What does it say?" }
 *     ]
 *   }
 * ])
 * ```
 *
 * **Gotchas**
 *
 * - Options of the wrong shape (a thread may hold anything) fail the call with `InvalidUserInputError` before it is sent; unknown fields are
 *   ignored.
 * - The API takes four cache breakpoints at most.
 */
import type * as Wire from "./internal/wire.ts"

/** Marks the end of a prefix worth caching, for five minutes unless `ttl` says otherwise. */
export type CacheControl = { readonly type: "ephemeral"; readonly ttl?: "5m" | "1h" }

/** What a text cites, in the API's shape. */
export type Citation = Wire.Citation

/** Who called a tool: the model (`direct`), or code that it runs, whose call `toolId` names. */
export type ToolCaller = { readonly type: string; readonly toolId?: string | null }

/** Where code runs; its `id` as `container` of a later call's configuration continues in it. */
export type Container = {
  readonly id: string
  readonly expiresAt: string | null
  readonly skills: ReadonlyArray<{ readonly type: string; readonly skillId: string; readonly version: string | null }>
}

/** What the API counts beyond `usage` of the finish part. */
export type UsageDetails = {
  /** The tokens of `cacheWrite`, by how long they stay. */
  readonly cacheWrite5m: number | null
  readonly cacheWrite1h: number | null
  readonly webSearchRequests: number | null
  readonly webFetchRequests: number | null
  readonly serviceTier: string | null
  readonly inferenceGeo: string | null
  readonly speed: string | null
}

/** A thinking block's signature, or the encrypted whole of one that the API redacted. */
export type Thinking = {
  readonly signature?: string | null
  readonly redactedData?: string | null
  /** A mark of the request that it came from: where that has changed, a model that binds thinking to it refuses this. */
  readonly prefix?: string | null
  /** Not a thought: the answer was paused after what stands before, and goes on from there. */
  readonly paused?: boolean | null
  /**
   * A block that no part of `effect/ai` can hold, such as the call of a tool that nobody declared. The part is empty; the block goes back
   * as it is.
   */
  readonly block?: OpaqueBlock | null
}

/** A block of the API that is kept only to go back. */
export type OpaqueBlock = Wire.ServerToolUse | Wire.ServerToolResult | Wire.ContainerUpload

type Cached = { readonly cacheControl?: CacheControl | null }

type Called = {
  readonly caller?: ToolCaller | null
  /** The API's name for the tool of Anthropic's that was called. */
  readonly serverTool?: string | null
  /** The call as it came, when the tool's schema does not know all of it. */
  readonly block?: Wire.ServerToolUse | null
}

type Resulted = {
  readonly caller?: ToolCaller | null
  /** The API's type of block for the result of a tool of Anthropic's. */
  readonly resultType?: string | null
  /** The result as it came, when the tool's schema does not know all of it. */
  readonly block?: Wire.ServerToolResult | null
}

type FileOptions = Cached & {
  readonly citations?: { readonly enabled: boolean } | null
  /** The document's title; the file's name when absent. */
  readonly documentTitle?: string | null
  /** What the model should know about the document without citing it. */
  readonly documentContext?: string | null
  /** What to do with an image larger than the model takes: `downsize` (the API's default), or fail. */
  readonly oversizedImage?: "downsize" | "error" | null
  /** Puts the file, which must be one of the Files API, where the code execution tool runs. */
  readonly containerUpload?: boolean | null
}

// An optional property takes `undefined` too where a program does without `exactOptionalPropertyTypes`, and then it does not
// fit the index signature of effect's own declaration. Nobody writes that `undefined`, so the declarations ignore the error.
declare module "effect/ai/Prompt" {
  interface SystemMessageOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Cached | null
  }
  interface UserMessageOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Cached | null
  }
  interface AssistantMessageOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Cached | null
  }
  interface ToolMessageOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Cached | null
  }
  interface TextPartOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: (Cached & { readonly citations?: ReadonlyArray<Citation> | null }) | null
  }
  interface FilePartOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: FileOptions | null
  }
  interface ReasoningPartOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Thinking | null
  }
  interface ToolCallPartOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: (Cached & Called) | null
  }
  interface ToolResultPartOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: (Cached & Resulted) | null
  }
}

declare module "effect/ai/Response" {
  interface TextPartMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: { readonly citations?: ReadonlyArray<Citation> | null } | null
  }
  interface TextEndPartMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: { readonly citations?: ReadonlyArray<Citation> | null } | null
  }
  interface ReasoningPartMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Thinking | null
  }
  interface ReasoningStartPartMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Thinking | null
  }
  interface ReasoningEndPartMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Thinking | null
  }
  interface ToolCallPartMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Called | null
  }
  interface ToolResultPartMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Resulted | null
  }
  interface DocumentSourcePartMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Citation | null
  }
  interface UrlSourcePartMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: Citation | null
  }
  interface FinishPartMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly anthropic?: {
      /** The stop reason in Anthropic's words. */
      readonly stopReason: string | null
      readonly stopSequence: string | null
      readonly refusal: { readonly category: string | null; readonly explanation: string | null } | null
      /** The tool whose call the token limit cut, if it did. */
      readonly cutToolCall: string | null
      readonly container: Container | null
      readonly usage: UsageDetails
      /** Why the prompt cache could not be used, when `previousMessageId` asked for it and the API knows. */
      readonly cacheMiss: { readonly reason: string; readonly missedTokens: number | null } | null
    } | null
  }
}

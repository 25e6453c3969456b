/**
 * What `effect/ai`'s prompts and responses may carry for OpenAI, under the key `openai`: options of prompt parts, metadata of
 * response parts. Importing any module of this package makes them known to the compiler.
 *
 * What a response part says of itself (a reasoning item's encrypted content, the item of a web search, the phase of a text)
 * becomes the options of the prompt part made from it, so a conversation kept with `Prompt.fromResponseParts` sends back
 * what OpenAI needs to continue.
 *
 * ```ts
 * import type { OpenAiOptions } from "@selvage/openai"
 * import * as Prompt from "effect/ai/Prompt"
 *
 * const label: OpenAiOptions.FileOptions = { imageDetail: "high" }
 *
 * export const prompt = Prompt.make([
 *   { role: "system", content: "A long handbook …", options: { openai: { cacheBreakpoint: true } } },
 *   {
 *     role: "user",
 *     content: [
 *       { type: "text", text: "What is on this label?" },
 *       {
 *         type: "file",
 *         mediaType: "image/png",
 *         data: new URL("https://example.com/label.png"),
 *         options: { openai: label }
 *       }
 *     ]
 *   }
 * ])
 * ```
 */
import type * as Schema from "effect/Schema"

/** Where a cached prompt prefix may end; see https://developers.openai.com/api/docs/guides/prompt-caching. */
export type CacheOptions = {
  /** Ends a prefix that OpenAI may cache here: at most four per request, `gpt-5.6` and later. */
  readonly cacheBreakpoint?: boolean | null
}

/** Of a text, in a prompt or an answer. */
export type TextOptions = CacheOptions & {
  /** Whether the model was commenting on its work or answering. Sent back as it came. */
  readonly phase?: string | null
  /** The text is a refusal. */
  readonly refusal?: boolean | null
}

/** Of a file in a prompt. */
export type FileOptions = CacheOptions & {
  /** How closely the model looks at an image. Default: `auto`. */
  readonly imageDetail?: "auto" | "low" | "high" | "original" | null
}

/** Of reasoning: what OpenAI needs to read it again. */
export type ReasoningOptions = {
  /** The item's id. Reasoning without one is not OpenAI's and is not sent. */
  readonly itemId?: string | null
  /** The reasoning itself, readable only by OpenAI. There unless the response is stored. */
  readonly encryptedContent?: string | null
  /** The summaries one by one, where there are several. */
  readonly summaries?: ReadonlyArray<string> | null
  /** The text is the reasoning itself, not a summary: open models show it. */
  readonly isContent?: boolean | null
}

/** Of a tool call. */
export type ToolCallOptions = {
  /** The whole item of a call that OpenAI executed, as it came; sent back with the conversation. */
  readonly item?: Schema.Json | null
  /** What a compatible server wants back with the call (`extra_content`), such as Gemini's `google.thought_signature`. */
  readonly extraContent?: { readonly [key: string]: Schema.Json } | null
}

/** Of the result of a tool. */
export type ToolResultOptions = CacheOptions

/** Of a cited web page. Positions are in characters of the text that cites it. */
export type UrlSourceMetadata = {
  readonly startIndex?: number | null
  readonly endIndex?: number | null
}

/** Of a cited file. */
export type DocumentSourceMetadata = {
  readonly kind: "file_citation" | "container_file_citation" | "file_path"
  readonly fileId: string
  /** The container a code interpreter wrote the file in. */
  readonly containerId?: string | null
  /** Position in the text that cites it. */
  readonly index?: number | null
}

/** Of the answer as a whole. */
export type ResponseMetadata = {
  /** The tier that served the request. */
  readonly serviceTier?: string | null
}

/** Of the end of an answer. */
export type FinishMetadata = {
  /** Why it ended, in the provider's own word. */
  readonly stopReason?: string | null
}

/** Of an error that has no description of its own. */
export type ErrorMetadata = {
  readonly description: string
}

// An optional property takes `undefined` too where a program does without `exactOptionalPropertyTypes`, and then it does not
// fit the index signature of effect's own declaration. Nobody writes that `undefined`, so the declarations ignore the error.
declare module "effect/ai/Prompt" {
  export interface SystemMessageOptions extends ProviderOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: CacheOptions | null
  }
  export interface TextPartOptions extends ProviderOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: TextOptions | null
  }
  export interface FilePartOptions extends ProviderOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: FileOptions | null
  }
  export interface ReasoningPartOptions extends ProviderOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: ReasoningOptions | null
  }
  export interface ToolCallPartOptions extends ProviderOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: ToolCallOptions | null
  }
  export interface ToolResultPartOptions extends ProviderOptions {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: ToolResultOptions | null
  }
}

declare module "effect/ai/Response" {
  export interface TextPartMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: TextOptions | null
  }
  export interface TextStartPartMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: TextOptions | null
  }
  export interface TextEndPartMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: TextOptions | null
  }
  export interface ReasoningPartMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: ReasoningOptions | null
  }
  export interface ReasoningStartPartMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: ReasoningOptions | null
  }
  export interface ReasoningEndPartMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: ReasoningOptions | null
  }
  export interface ToolCallPartMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: ToolCallOptions | null
  }
  export interface UrlSourcePartMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: UrlSourceMetadata | null
  }
  export interface DocumentSourcePartMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: DocumentSourceMetadata | null
  }
  export interface ResponseMetadataPartMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: ResponseMetadata | null
  }
  export interface FinishPartMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: FinishMetadata | null
  }
}

declare module "effect/ai/AiError" {
  export interface RateLimitErrorMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: ErrorMetadata | null
  }
  export interface QuotaExhaustedErrorMetadata extends ProviderMetadata {
    /** @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly openai?: ErrorMetadata | null
  }
}

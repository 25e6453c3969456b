/**
 * Parts of a prompt that both APIs write the same way.
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Base64 from "effect/encoding/Base64"
import { cacheOptions } from "./options.ts"

/** Where the bytes of a file are: inside a data URL, or at an address. */
export const fileUrl = (part: Prompt.FilePart): { readonly url: string; readonly inline: boolean } => {
  const { data, mediaType } = part
  if (data instanceof URL) return { url: data.href, inline: data.protocol === "data:" }
  if (typeof data === "string") {
    if (data.startsWith("data:")) return { url: data, inline: true }
    if (data.startsWith("https://") || data.startsWith("http://")) return { url: data, inline: false }
    return { url: `data:${concrete(mediaType)};base64,${data}`, inline: true }
  }
  return { url: `data:${concrete(mediaType)};base64,${Base64.encode(data)}`, inline: true }
}

const concrete = (mediaType: string): string => (mediaType === "image/*" ? "image/jpeg" : mediaType)

/** A name for a file, which the API requires for inline ones. */
export const fileName = (part: Prompt.FilePart): string =>
  part.fileName ?? `file.${part.mediaType.split("/")[1]?.replaceAll(/[^a-z0-9]/g, "") || "bin"}`

/** What stands for a file where the API takes only text. */
export const omitted = (part: Prompt.FilePart): string =>
  `[${part.mediaType} ${part.fileName ?? ""}`.trimEnd() + " omitted]"

/** The result of a tool as the text the model reads. */
export const resultText = (part: Prompt.ToolResultPart): string =>
  typeof part.result === "string" ? part.result : (JSON.stringify(part.result) ?? "null")

/** The parameters of an earlier call as JSON text; text that never was JSON goes back as it came. */
export const callArguments = (part: Prompt.ToolCallPart): string =>
  typeof part.params === "string" ? part.params : (JSON.stringify(part.params) ?? "{}")

/** The id of a file uploaded earlier, if that is what the part holds. Base64 has no `-`. */
export const fileId = (part: Prompt.FilePart): string | undefined =>
  typeof part.data === "string" && /^(file|assistant)-[A-Za-z0-9_-]+$/.test(part.data) ? part.data : undefined

/** Marks the end of a prefix to cache, where the part's options say so. */
export const breakpoint = (part: {
  readonly options: Prompt.ProviderOptions
}): { readonly prompt_cache_breakpoint?: { readonly mode: "explicit" } } =>
  cacheOptions(part).cacheBreakpoint === true ? { prompt_cache_breakpoint: { mode: "explicit" } } : {}
